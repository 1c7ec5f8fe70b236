//! Plans what the file lacks, from facts of the catalogue, with the steps of `migrations/sqlite/`.

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row};

use super::columns::{self, WHOLE};
use super::connect::lock_wait;
use super::errors;
use super::identifier::quote;
use super::message;
use crate::heartbeat::Failure;
use crate::plan::columns::{self as judged, Column, Holds};
use crate::plan::existing_table::{ExistingTable, RowNeed, Rows};
use crate::plan::{Plan, Step, render};
use crate::remedy::Remedy;
use crate::target::{HeartbeatTable, Target};
use crate::time::clock::Instant;

const TABLE: &str = include_str!("../../../migrations/sqlite/001_table.sql");
const ROW: &str = include_str!("../../../migrations/sqlite/002_row.sql");

/// What exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// The table's columns; none without a table.
    columns: Vec<Column>,
    /// The ids of the first two rows; empty without a numeric `id`.
    rows: Rows,
}

/// Reads what exists.
///
/// # Errors
/// SQLite's error, classified.
pub(super) async fn gather(connection: &mut SqliteConnection, table: &HeartbeatTable) -> Result<Facts, Failure> {
    let columns = columns::gather(connection, table).await.map_err(|error| errors::classify(error, None))?;
    let ids = match columns.iter().any(|column| column.name == "id" && column.holds == Holds::Number) {
        true => {
            let (name, row) = (quote(&table.table), table.row_number());
            let sql = format!("SELECT CAST(id AS INTEGER) FROM {name} WHERE {WHOLE} ORDER BY id <> {row}, id LIMIT 2");
            read(connection, sql).await?
        }
        false => Vec::new(),
    };
    Ok(Facts { columns, rows: Rows::Ids(ids) })
}

/// Plans what is missing.
pub(super) fn plan(facts: &Facts, target: &Target) -> Plan {
    let (table, row) = (&target.heartbeat.table, target.heartbeat.row_number());
    let (name, id) = (quote(table), row.to_string());
    let values = [("table", name.as_str()), ("row", id.as_str())];
    let mut plan = Plan::default();
    let need = if facts.columns.is_empty() {
        plan.steps.push(Step::script(format!("create table {name}"), render(TABLE, &values)));
        RowNeed::Insert
    } else {
        // A user who may open the file sees every row.
        let faults = judged::judge(&facts.columns, facts.rows.are_none());
        let mend = columns::mend(&target.heartbeat, &facts.columns, &faults);
        let nothing = Remedy::advice("");
        let seen_by = ("this program", &nothing);
        let standing = ExistingTable { name: &name, faults: &faults, mend: &mend, rows: &facts.rows, seen_by };
        standing.judge(row, &mut plan)
    };
    if need == RowNeed::Insert {
        plan.steps.push(Step::script(format!("insert row {row} into {name}"), render(ROW, &values)));
    }
    plan
}

/// Runs one step, under the file's write lock from the beginning: two programs that read first and write later would
/// block each other.
///
/// # Errors
/// SQLite's error, classified.
pub(super) async fn apply(connection: &mut SqliteConnection, step: &Step, deadline: Instant) -> Result<(), Failure> {
    let sql = format!("{} BEGIN IMMEDIATE; {} COMMIT;", lock_wait(deadline), step.script);
    let Err(error) = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await else { return Ok(()) };
    // Without a transaction there is nothing to undo, and SQLite reports that.
    let _ = sqlx::raw_sql("ROLLBACK").execute(connection).await;
    Err(errors::classify(error, None))
}

async fn read<T>(connection: &mut SqliteConnection, sql: String) -> Result<Vec<T>, Failure>
where
    T: for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    let rows = message::send(connection, sql).await;
    rows.and_then(|rows| rows.iter().map(|row| row.try_get(0)).collect()).map_err(|error| errors::classify(error, None))
}
