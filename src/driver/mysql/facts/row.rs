//! The heartbeat row.

use serde::{Deserialize, Serialize};
use sqlx::mysql::MySqlConnection;

use super::question::{ask, ask_for_number};
use super::table::Relation;
use crate::driver::answer::Answer;
use crate::driver::mysql::beat::OLD;
use crate::driver::mysql::identifier::table_of;
use crate::driver::mysql::query;
use crate::heartbeat::Failure;
use crate::target::HeartbeatTable;

/// The rows of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RowFacts {
    /// The number of rows, counted up to a thousand.
    pub(crate) count: i64,
    /// The first ids, the configured one first.
    pub(crate) ids: Vec<i64>,
    /// `last_update` of the configured row, in microseconds since 1970, as the beat reads it.
    pub(crate) last_update: Option<i64>,
}

/// Reads the rows; `None` if the table has no numeric `id`.
///
/// # Errors
/// A failure that ends the connection.
pub(super) async fn gather(
    connection: &mut MySqlConnection,
    heartbeat: &HeartbeatTable,
    relation: &Relation,
) -> Result<Option<Answer<RowFacts>>, Failure> {
    let row = heartbeat.row_number();
    if !relation.is_numbered() {
        return Ok(None);
    }
    let name = table_of(heartbeat);
    let last_update = if relation.is_dated() { OLD } else { "NULL" };
    let sql = format!(
        "SELECT (SELECT COUNT(*) FROM (SELECT 1 AS one FROM {name} LIMIT 1000) AS rows_of_it) AS count, \
         (SELECT MAX({last_update}) FROM {name} AS h WHERE h.id = {row}) AS last_update"
    );
    let ids = format!(
        "(SELECT CAST(h.id AS SIGNED) AS id FROM {name} AS h WHERE h.id = {row} LIMIT 3) UNION ALL \
         (SELECT CAST(h.id AS SIGNED) AS id FROM {name} AS h WHERE h.id <> {row} ORDER BY h.id LIMIT 3)"
    );
    let counted = match ask(connection, sql).await? {
        Answer::Seen(rows) => rows,
        Answer::Refused(refusal) => return Ok(Some(Answer::Refused(refusal))),
    };
    let number = |name| Ok(counted.first().map(|row| query::number(row, name)).transpose()?.flatten());
    let (count, last_update): (Option<i64>, Option<i64>) = (number("count")?, number("last_update")?);
    let rows = ask(connection, ids).await?.map(|rows| {
        let ids: Result<Vec<_>, Failure> = rows.iter().take(3).map(|row| query::number(row, "id")).collect();
        Ok::<_, Failure>(RowFacts {
            count: count.unwrap_or_default(),
            ids: ids?.into_iter().flatten().collect(),
            last_update: last_update.map(|seconds| seconds.saturating_mul(1_000_000)),
        })
    })?;
    Ok(Some(rows))
}

/// Reads `last_update` of the configured row, in microseconds since 1970.
///
/// # Errors
/// A failure that ends the connection.
pub(super) async fn last_update(
    connection: &mut MySqlConnection,
    heartbeat: &HeartbeatTable,
    relation: &Relation,
) -> Result<Option<i64>, Failure> {
    if !relation.is_dated() {
        return Ok(None);
    }
    let (table, row) = (table_of(heartbeat), heartbeat.row_number());
    let sql = format!("SELECT MAX({OLD}) FROM {table} AS h WHERE h.id = {row}");
    let seconds = ask_for_number(connection, sql).await?;
    Ok(seconds.answer().copied().flatten().map(|seconds| seconds.saturating_mul(1_000_000)))
}
