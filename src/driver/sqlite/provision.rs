//! What the file lacks: facts from the catalogue, a plan from the facts, the steps from `migrations/sqlite/`.

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row};

use super::connect::lock_wait;
use super::errors;
use super::identifier::{literal, quote};
use crate::heartbeat::{ErrorKind, Failure};
use crate::provisioning::{Plan, Step, render};
use crate::scheduler::clock::Instant;
use crate::target::{HeartbeatTable, Target};

const TABLE: &str = include_str!("../../../migrations/sqlite/001_table.sql");
const ROW: &str = include_str!("../../../migrations/sqlite/002_row.sql");

/// What exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// The table's columns; `None` without a table.
    columns: Option<Vec<String>>,
    /// The ids of the first two rows; empty where there is no column `id`.
    rows: Vec<i64>,
}

/// Looks at what exists.
///
/// # Errors
/// What SQLite says, classified.
pub(super) async fn gather(connection: &mut SqliteConnection, table: &HeartbeatTable) -> Result<Facts, Failure> {
    let sql = format!("SELECT name FROM pragma_table_info({})", literal(&table.table));
    let columns: Vec<String> = read(connection, sql).await?;
    if columns.is_empty() {
        return Ok(Facts { columns: None, rows: Vec::new() });
    }
    let rows = match columns.iter().any(|column| column.eq_ignore_ascii_case("id")) {
        true => {
            let sql = format!("SELECT id FROM {} ORDER BY id <> {}, id LIMIT 2", quote(&table.table), table.row);
            read(connection, sql).await?
        }
        false => Vec::new(),
    };
    Ok(Facts { columns: Some(columns), rows })
}

/// Says what is missing.
pub(super) fn plan(facts: &Facts, target: &Target) -> Plan {
    let HeartbeatTable { table, row, .. } = &target.heartbeat;
    let (name, id) = (quote(table), row.to_string());
    let values = [("table", name.as_str()), ("row", id.as_str())];
    let mut plan = Plan::default();
    if let Some(columns) = &facts.columns {
        for wanted in ["id", "last_update"] {
            if !columns.iter().any(|column| column.eq_ignore_ascii_case(wanted)) {
                let message = format!("the table {table} has no column {wanted}");
                plan.failures.push(Failure::new(ErrorKind::MissingColumn, message));
            }
        }
        if !plan.failures.is_empty() {
            return plan;
        }
    } else {
        plan.steps.push(Step { title: format!("create table {name}"), sql: render(TABLE, &values) });
    }
    match facts.rows.first() {
        None => plan.steps.push(Step { title: format!("insert row {row} into {name}"), sql: render(ROW, &values) }),
        Some(found) if found != row => {
            let message = format!("the table {table} holds row {found} and not row {row}");
            let remedy = format!("set row = {found} under [target.heartbeat] to adopt it");
            plan.failures.push(Failure::new(ErrorKind::MissingRow, message).with_remedy(remedy));
        }
        Some(_) => {}
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
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await;
    rows.and_then(|rows| rows.iter().map(|row| row.try_get(0)).collect()).map_err(|error| errors::classify(error, None))
}
