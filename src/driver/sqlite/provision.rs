//! What the file lacks: facts from the catalogue, a plan from the facts, the steps from `migrations/sqlite/`.

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row};

use super::connect::lock_wait;
use super::errors;
use super::identifier::{literal, quote};
use super::message;
use crate::heartbeat::Failure;
use crate::plan::standing_table::{RowNeed, Rows, StandingTable};
use crate::plan::{Plan, Step, render};
use crate::target::{HeartbeatTable, Target};
use crate::time::clock::Instant;

const TABLE: &str = include_str!("../../../migrations/sqlite/001_table.sql");
const ROW: &str = include_str!("../../../migrations/sqlite/002_row.sql");

/// What exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// The table's columns, in small letters; `None` without a table.
    columns: Option<Vec<String>>,
    /// The ids of the first two rows; empty where there is no column `id`.
    rows: Rows,
}

/// Looks at what exists.
///
/// # Errors
/// What SQLite says, classified.
pub(super) async fn gather(connection: &mut SqliteConnection, table: &HeartbeatTable) -> Result<Facts, Failure> {
    let sql = format!("SELECT name FROM pragma_table_info({})", literal(&table.table));
    let columns: Vec<String> = read(connection, sql).await?;
    if columns.is_empty() {
        return Ok(Facts { columns: None, rows: Rows::Ids(Vec::new()) });
    }
    let columns: Vec<_> = columns.into_iter().map(|column| column.to_ascii_lowercase()).collect();
    let ids = match columns.iter().any(|column| column == "id") {
        true => {
            let sql = format!("SELECT id FROM {} ORDER BY id <> {}, id LIMIT 2", quote(&table.table), table.row);
            read(connection, sql).await?
        }
        false => Vec::new(),
    };
    Ok(Facts { columns: Some(columns), rows: Rows::Ids(ids) })
}

/// Says what is missing.
pub(super) fn plan(facts: &Facts, target: &Target) -> Plan {
    let HeartbeatTable { table, row, .. } = &target.heartbeat;
    let (name, id) = (quote(table), row.to_string());
    let values = [("table", name.as_str()), ("row", id.as_str())];
    let mut plan = Plan::default();
    let need = match &facts.columns {
        None => {
            plan.steps.push(Step { title: format!("create table {name}"), sql: render(TABLE, &values) });
            RowNeed::Insert
        }
        // Who may open the file sees every row, and a column takes a time whatever its type.
        Some(columns) => {
            let standing =
                StandingTable { name: &name, columns, no_time: None, rows: &facts.rows, seen_by: ("this program", "") };
            standing.judge(*row, &mut plan)
        }
    };
    if need == RowNeed::Insert {
        plan.steps.push(Step { title: format!("insert row {row} into {name}"), sql: render(ROW, &values) });
    }
    plan
}

/// Runs one step.
///
/// # Errors
/// What SQLite says, classified.
pub(super) async fn apply(connection: &mut SqliteConnection, step: &Step, deadline: Instant) -> Result<(), Failure> {
    let sql = format!("{} {}", lock_wait(deadline), step.sql);
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await;
    done.map(|_| ()).map_err(|error| errors::classify(error, None))
}

async fn read<T>(connection: &mut SqliteConnection, sql: String) -> Result<Vec<T>, Failure>
where
    T: for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    let rows = message::send(connection, sql).await;
    rows.and_then(|rows| rows.iter().map(|row| row.try_get(0)).collect()).map_err(|error| errors::classify(error, None))
}
