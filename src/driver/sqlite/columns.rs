//! The columns of the heartbeat table, read from the catalogue, the remedies for wrong columns, and how to read a time
//! from a column. `beat` calls it after a refusal; the facts of the checks and `provision` call it too.

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row};

use super::identifier::{literal, quote};
use super::message;
use crate::plan::columns::{Column, ColumnFault, Holds, name_aside};
use crate::remedy::Remedy;
use crate::target::HeartbeatTable;

/// Whether `id` is a whole number, stored in any type.
pub(super) const WHOLE: &str = "CAST(CAST(id AS INTEGER) AS TEXT) = CAST(id AS TEXT)";

/// Microseconds since 1970 of a column; NULL for anything but a written-out date. SQLite's date functions also read
/// words as the present (`now`, `subsec`), and numbers: a row with such a value would always look fresh.
pub(super) fn micros_of(column: &str) -> String {
    let date = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*";
    format!("CASE WHEN typeof({column}) = 'text' AND {column} GLOB '{date}' THEN {} END", micros(column))
}

/// Microseconds since 1970 of a SQLite time.
pub(super) fn micros(time: &str) -> String {
    format!("CAST(round(unixepoch({time}, 'subsec') * 1000) AS INTEGER) * 1000")
}

/// Reads the columns, in lower case; empty without the table. A column accepts a value of any type, unless the table is
/// STRICT, so only this counts: whether the row can be found by its number.
///
/// # Errors
/// SQLite's error.
pub(super) async fn gather(
    connection: &mut SqliteConnection,
    heartbeat: &HeartbeatTable,
) -> Result<Vec<Column>, sqlx::Error> {
    let name = literal(&heartbeat.table);
    // Not table_info, which leaves generated columns out.
    let sql = format!(
        "SELECT x.name AS name, x.type AS kind, x.hidden IN (2, 3) AS generated, l.strict AS strict \
         FROM pragma_table_xinfo({name}) AS x, pragma_table_list({name}) AS l WHERE l.schema = 'main' ORDER BY x.cid"
    );
    let rows = message::send(connection, sql).await?;
    let mut columns = Vec::new();
    for row in &rows {
        let (name, kind): (String, String) = (row.try_get("name")?, row.try_get("kind")?);
        let takes_text = !row.try_get::<bool, _>("strict")? || ["TEXT", "ANY"].contains(&kind.to_uppercase().as_str());
        let holds = match name.to_ascii_lowercase().as_str() {
            "id" => Holds::Number,
            "last_update" if takes_text => Holds::Time,
            _ => Holds::Other,
        };
        let generated = row.try_get("generated")?;
        columns.push(Column { name: name.to_ascii_lowercase(), kind, holds, generated });
    }
    if let Some(id) = columns.iter_mut().find(|column| column.name == "id")
        && !is_numbered(connection, heartbeat).await?
    {
        id.holds = Holds::Other;
    }
    Ok(columns)
}

/// Whether the configured row is found by its number, or all other rows have numbers.
async fn is_numbered(connection: &mut SqliteConnection, heartbeat: &HeartbeatTable) -> Result<bool, sqlx::Error> {
    let (table, row) = (quote(&heartbeat.table), heartbeat.row_number());
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM {table} WHERE id = {row}) \
         OR NOT EXISTS (SELECT 1 FROM {table} WHERE NOT coalesce({WHOLE}, 0)) AS numbered"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(connection).await?.try_get("numbered")
}

/// Replaces each wrong or missing column with a right one; the wrong column is kept under another name with its values.
pub(super) fn mend(heartbeat: &HeartbeatTable, found: &[Column], faults: &[ColumnFault]) -> Remedy {
    let table = quote(&heartbeat.table);
    let mut sql = Vec::new();
    for fault in faults {
        let name = fault.column;
        if fault.is_in_the_way() {
            sql.push(format!("ALTER TABLE {table} RENAME COLUMN {name} TO {};", quote(&name_aside(name, found))));
        }
        let kind = if name == "id" { "INTEGER" } else { "TEXT" };
        sql.push(format!("ALTER TABLE {table} ADD COLUMN {name} {kind};"));
        if name == "id" {
            sql.push(format!("UPDATE {table} SET id = rowid;"));
        }
    }
    Remedy::sql(sql.join(" "))
}
