//! One script of SQL and its rows. Every query of this driver that may return several rows goes through here.

use sqlx::sqlite::{Sqlite, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Decode, Executor, Row, TypeInfo, ValueRef};

use crate::driver::answer_limit;

/// Runs statements and reads their rows.
///
/// `sql` consists only of this driver's own text, quoted names and literals, and numbers.
///
/// # Errors
/// SQLite's error; [`sqlx::Error::Protocol`] for an answer beyond the limits, for example of a table without a key.
pub(super) async fn send(connection: &mut SqliteConnection, sql: String) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let answer = connection.fetch_many(sqlx::raw_sql(AssertSqlSafe(sql)));
    answer_limit::read::<Sqlite>(answer, answer_limit::ROWS, bytes_of).await.map(|answer| answer.rows)
}

/// The bytes of a row's texts and blobs. Numbers are left out, because SQLite would convert them to text first.
fn bytes_of(row: &SqliteRow) -> usize {
    let values = (0..row.len()).filter_map(|index| row.try_get_raw(index).ok());
    let values = values.filter(|value| matches!(value.type_info().name(), "TEXT" | "BLOB"));
    values.map(|value| <&[u8] as Decode<'_, Sqlite>>::decode(value).map_or(0, <[u8]>::len)).sum()
}
