//! Gathers the facts for the checks in one read transaction: the file, the table and the row.

use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row};

use super::columns::{self, WHOLE};
use super::connect::lock_wait;
use super::errors;
use super::identifier::{literal, quote};
use super::message;
use crate::driver::{ServerInfo, ServerRole};
use crate::heartbeat::{Failure, Stamp};
use crate::plan::columns::Column;
use crate::target::HeartbeatTable;
use crate::time::clock::Instant;

/// All facts from which SQLite's checks are judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SqliteFacts {
    /// The library's version.
    pub(super) version: String,
    /// The file.
    pub(super) file: String,
    /// Whether this session could take the write lock, or why not.
    pub(super) writable: Writable,
    /// `PRAGMA journal_mode`.
    pub(super) journal_mode: String,
    /// SQLite's clock, in microseconds.
    pub(super) server_time: Option<i64>,
    /// The table; `None` if no table has that name.
    pub(super) table: Option<TableFacts>,
}

/// Whether the file can be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Writable {
    /// The write lock was taken and released.
    Yes,
    /// The address asks to open it read-only.
    OpenedReadOnly,
    /// SQLite's own words.
    No(String),
}

/// The heartbeat table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TableFacts {
    /// Its columns.
    pub(super) columns: Vec<String>,
    /// The same columns, with what they can hold.
    #[serde(default)]
    pub(super) judged: Vec<Column>,
    /// The columns of its primary key.
    pub(super) primary_key: Vec<String>,
    /// Whether a unique index of all rows has `id` as its only column.
    #[serde(default)]
    pub(super) unique_id: bool,
    /// Its rows; `None` without a column `id`.
    pub(super) rows: Option<RowFacts>,
}

/// The rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RowFacts {
    /// How many there are.
    pub(super) count: i64,
    /// One of their ids: the configured one, if it exists.
    pub(super) id: Option<i64>,
    /// `last_update` of the configured row, in microseconds.
    pub(super) last_update: Option<i64>,
}

/// Gathers the facts.
///
/// # Errors
/// SQLite's error, classified.
pub(super) async fn gather(
    connection: &mut SqliteConnection,
    server: &ServerInfo,
    table: &HeartbeatTable,
    deadline: Instant,
) -> Result<SqliteFacts, Failure> {
    let writable = probe(connection, server.role, deadline).await;
    let facts = read(connection, server, table, writable).await;
    facts.map_err(|error| errors::classify(error, None))
}

/// Takes the write lock and releases it; changes nothing.
async fn probe(connection: &mut SqliteConnection, role: ServerRole, deadline: Instant) -> Writable {
    if role != ServerRole::Primary {
        return Writable::OpenedReadOnly;
    }
    let sql = format!("{} BEGIN IMMEDIATE; ROLLBACK;", lock_wait(deadline));
    match sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await {
        Ok(_) => Writable::Yes,
        Err(error) => Writable::No(errors::classify(error, None).to_string()),
    }
}

async fn read(
    connection: &mut SqliteConnection,
    server: &ServerInfo,
    table: &HeartbeatTable,
    writable: Writable,
) -> Result<SqliteFacts, sqlx::Error> {
    let sql = "SELECT sqlite_version() AS version, CAST(round(unixepoch('now', 'subsec') * 1000) AS INTEGER) * 1000 \
               AS server_time, (SELECT journal_mode FROM pragma_journal_mode) AS journal_mode";
    let row = sqlx::raw_sql(sql).fetch_one(&mut *connection).await?;
    Ok(SqliteFacts {
        version: row.try_get("version")?,
        file: server.address.clone(),
        writable,
        journal_mode: row.try_get("journal_mode")?,
        server_time: row.try_get("server_time")?,
        table: read_table(connection, table).await?,
    })
}

async fn read_table(
    connection: &mut SqliteConnection,
    table: &HeartbeatTable,
) -> Result<Option<TableFacts>, sqlx::Error> {
    let name = literal(&table.table);
    let sql = format!(
        "SELECT name, pk, EXISTS (SELECT 1 FROM pragma_index_list({name}) AS i WHERE i.\"unique\" AND NOT i.partial AND \
         (SELECT lower(group_concat(coalesce(c.name, ''))) FROM pragma_index_info(i.name) AS c) = 'id') AS unique_id \
         FROM pragma_table_xinfo({name}) ORDER BY cid"
    );
    let rows = message::send(connection, sql).await?;
    let judged = columns::gather(connection, table).await?;
    let mut facts = TableFacts { columns: Vec::new(), judged, primary_key: Vec::new(), unique_id: false, rows: None };
    for row in &rows {
        let name: String = row.try_get("name")?;
        if row.try_get::<i64, _>("pk")? > 0 {
            facts.primary_key.push(name.clone());
        }
        facts.columns.push(name);
        facts.unique_id = row.try_get("unique_id")?;
    }
    if facts.columns.is_empty() {
        return Ok(None);
    }
    if facts.has("id") {
        facts.rows = Some(read_rows(connection, table, facts.has("last_update")).await?);
    }
    Ok(Some(facts))
}

async fn read_rows(
    connection: &mut SqliteConnection,
    table: &HeartbeatTable,
    dated: bool,
) -> Result<RowFacts, sqlx::Error> {
    let (name, id) = (quote(&table.table), table.row_number());
    let last_update = if dated { columns::micros_of("last_update") } else { "NULL".to_owned() };
    let sql = format!(
        "SELECT (SELECT count(*) FROM {name}) AS count, \
         (SELECT CAST(id AS INTEGER) FROM {name} WHERE {WHOLE} ORDER BY id <> {id}, id LIMIT 1) AS id, \
         (SELECT {last_update} FROM {name} WHERE id = {id}) AS last_update"
    );
    let row = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(connection).await?;
    Ok(RowFacts { count: row.try_get("count")?, id: row.try_get("id")?, last_update: row.try_get("last_update")? })
}

impl TableFacts {
    /// Whether it has a column of this name; SQLite ignores case.
    pub(super) fn has(&self, wanted: &str) -> bool {
        self.columns.iter().any(|column| column.eq_ignore_ascii_case(wanted))
    }
}

impl SqliteFacts {
    /// The row's age by SQLite's own clock, in microseconds; negative for a value in the future.
    pub(super) fn age(&self) -> Option<i64> {
        let last_update = self.table.as_ref()?.rows.as_ref()?.last_update?;
        Some(Stamp(self.server_time?).micros_since(Stamp(last_update)))
    }
}
