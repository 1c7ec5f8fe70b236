//! The columns of the heartbeat table, read from the catalogue, and the remedies for wrong columns. `beat` calls it
//! after a refusal, and the check and `provision` call it.

use serde::{Deserialize, Serialize};
use sqlx::mysql::{MySqlConnection, MySqlRow};

use super::identifier::{literal, quote, table_of};
use super::query;
use crate::heartbeat::{ErrorKind, Failure};
use crate::plan::columns::{self, Column, ColumnFault, Holds};
use crate::remedy::Remedy;
use crate::target::HeartbeatTable;

/// One column of the table, in saved facts too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ColumnFacts {
    pub(crate) name: String,
    /// `DATA_TYPE`, without length or sign.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Whether the server computes its value, so that it cannot be set.
    pub(crate) generated: bool,
    /// Whether the history of a system-versioned table leaves this column out (MariaDB).
    #[serde(default)]
    pub(crate) unversioned: bool,
}

impl ColumnFacts {
    /// Reads a row of [`sql`].
    ///
    /// # Errors
    /// `protocol` if it is another row.
    pub(super) fn read(row: &MySqlRow) -> Result<Self, Failure> {
        let text = |column| query::text(row, column).map(Option::unwrap_or_default);
        let extra = text("extra")?.to_ascii_uppercase();
        // DEFAULT_GENERATED marks a default that is an expression.
        let generated = extra.split(' ').any(|word| ["VIRTUAL", "STORED", "PERSISTENT"].contains(&word));
        let unversioned = extra.contains("WITHOUT SYSTEM VERSIONING");
        Ok(Self { name: text("name")?, kind: text("kind")?, generated, unversioned })
    }
}

/// What a column of this `DATA_TYPE` can hold.
pub(super) fn holds(kind: &str) -> Holds {
    match kind.to_ascii_lowercase().as_str() {
        "int" | "bigint" | "smallint" | "mediumint" | "tinyint" | "decimal" => Holds::Number,
        "timestamp" | "datetime" => Holds::Time,
        _ => Holds::Other,
    }
}

/// The columns in the form that is judged for a beat.
pub(super) fn judged(columns: &[ColumnFacts]) -> Vec<Column> {
    let judged = |column: &ColumnFacts| Column {
        name: column.name.to_ascii_lowercase(),
        kind: column.kind.clone(),
        holds: holds(&column.kind),
        generated: column.generated,
    };
    columns.iter().map(judged).collect()
}

/// Adds the faults of the columns to a refused beat, if the catalogue shows any. A column that the server did not
/// report as missing may only be hidden.
pub(super) async fn explain(connection: &mut MySqlConnection, heartbeat: &HeartbeatTable, failure: Failure) -> Failure {
    if !matches!(failure.kind(), ErrorKind::MissingColumn | ErrorKind::ColumnType | ErrorKind::Rejected) {
        return failure;
    }
    let Ok(rows) = query::send(connection, sql(heartbeat)).await else { return failure };
    let Ok(found) = rows.iter().map(ColumnFacts::read).collect::<Result<Vec<_>, _>>() else { return failure };
    let mut faults = if found.is_empty() { Vec::new() } else { columns::judge(&judged(&found), false) };
    if failure.kind() != ErrorKind::MissingColumn {
        faults.retain(ColumnFault::is_in_the_way);
    }
    let keyed = rows.iter().any(|row| query::text(row, "part_of").is_ok_and(|key| key.as_deref() == Some("PRI")));
    let remedy = mend(heartbeat, keyed, &faults);
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

/// The columns that this user can see; none without the table.
pub(super) fn sql(heartbeat: &HeartbeatTable) -> String {
    format!(
        "SELECT COLUMN_NAME AS name, DATA_TYPE AS kind, EXTRA AS extra, COLUMN_KEY AS part_of \
         FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} ORDER BY ORDINAL_POSITION",
        literal(&heartbeat.schema),
        literal(&heartbeat.table)
    )
}
