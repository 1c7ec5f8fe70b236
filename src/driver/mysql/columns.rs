//! The columns of the heartbeat table, read from the catalogue, and the remedies for wrong columns. `beat` calls it
//! after a refusal, and the check and `provision` call it.

use sqlx::mysql::MySqlConnection;

use super::identifier::{literal, quote, table_of};
use super::query;
use crate::heartbeat::{ErrorKind, Failure};
use crate::plan::columns::{self, Column, ColumnFault, Holds};
use crate::remedy::Remedy;
use crate::target::HeartbeatTable;

/// A column, from its `DATA_TYPE` and `EXTRA`.
pub(super) fn column(name: &str, kind: &str, generated: bool) -> Column {
    let holds = match kind.to_ascii_lowercase().as_str() {
        "int" | "bigint" | "smallint" | "mediumint" | "tinyint" | "decimal" => Holds::Number,
        "timestamp" | "datetime" => Holds::Time,
        _ => Holds::Other,
    };
    Column { name: name.to_ascii_lowercase(), kind: kind.to_owned(), holds, generated }
}

/// Whether `EXTRA` marks a computed column. `DEFAULT_GENERATED` does not: it marks a default that is an expression.
pub(super) fn is_generated(extra: &str) -> bool {
    let extra = extra.to_ascii_uppercase();
    extra.split(' ').any(|word| ["VIRTUAL", "STORED", "PERSISTENT"].contains(&word))
}

/// The columns that this user can see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Columns {
    /// Empty without the table.
    pub(super) all: Vec<Column>,
    /// Whether the table has a primary key.
    pub(super) keyed: bool,
}

/// Reads the columns.
///
/// # Errors
/// The server's error, classified.
pub(super) async fn gather(connection: &mut MySqlConnection, heartbeat: &HeartbeatTable) -> Result<Columns, Failure> {
    let mut columns = Columns::default();
    for row in query::send(connection, sql(heartbeat)).await? {
        let text = |index| query::text(&row, index).map(Option::unwrap_or_default);
        columns.all.push(column(&text(0)?, &text(1)?, is_generated(&text(2)?)));
        columns.keyed |= text(3)? == "PRI";
    }
    Ok(columns)
}

/// Adds the faults of the columns to a refused beat, if the catalogue shows any. A column that the server did not
/// report as missing may only be hidden.
pub(super) async fn explain(connection: &mut MySqlConnection, heartbeat: &HeartbeatTable, failure: Failure) -> Failure {
    if !matches!(failure.kind(), ErrorKind::MissingColumn | ErrorKind::ColumnType | ErrorKind::Rejected) {
        return failure;
    }
    let Ok(found) = gather(connection, heartbeat).await else { return failure };
    let mut faults = if found.all.is_empty() { Vec::new() } else { columns::judge(&found.all, false) };
    if failure.kind() != ErrorKind::MissingColumn {
        faults.retain(ColumnFault::is_in_the_way);
    }
    let remedy = mend(heartbeat, found.keyed, &faults);
    columns::explain(failure, &faults, remedy)
}

/// Adds missing columns. A table with a wrong column is renamed with all its rows, and a new table takes its place:
/// converting a column depends on `sql_mode` here, and can change values without an error.
pub(super) fn mend(heartbeat: &HeartbeatTable, keyed: bool, faults: &[ColumnFault]) -> Remedy {
    let table = table_of(heartbeat);
    if faults.iter().any(ColumnFault::is_in_the_way) {
        return Remedy::sql(set_aside(heartbeat)).note(
            "the table is kept with all it holds; then create a new one with heartbeatd provision, with the same \
             configuration or address",
        );
    }
    let added = faults.iter().map(|fault| match fault.column {
        // Existing rows get numbers, too.
        "id" if keyed => "ADD COLUMN id INT AUTO_INCREMENT UNIQUE",
        "id" => "ADD COLUMN id INT AUTO_INCREMENT PRIMARY KEY",
        "last_update" => "ADD COLUMN last_update TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP",
        _ => "ADD COLUMN text TEXT",
    });
    Remedy::sql(format!("ALTER TABLE {table} {};", added.collect::<Vec<_>>().join(", ")))
}

/// Renames the object that is in the table's place.
pub(super) fn set_aside(heartbeat: &HeartbeatTable) -> String {
    let aside = format!("{}.{}", quote(&heartbeat.schema), quote("not_the_heartbeat"));
    format!("RENAME TABLE {} TO {aside};", table_of(heartbeat))
}

fn sql(heartbeat: &HeartbeatTable) -> String {
    format!(
        "SELECT COLUMN_NAME, DATA_TYPE, EXTRA, COLUMN_KEY FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} \
         ORDER BY ORDINAL_POSITION",
        literal(&heartbeat.schema),
        literal(&heartbeat.table)
    )
}
