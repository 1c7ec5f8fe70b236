//! Limits how much of an answer is read: a server that sends rows without end costs the daemon a bounded amount of
//! memory. Every driver reads its queries here.
//!
//! This does not limit what a client library buffers before it returns a row: see `docs/operations.md`, "Memory".

use futures_util::stream::{BoxStream, StreamExt};
use sqlx::{Database, Either, Row};

/// The most rows that any inspection needs. The largest answers list a catalogue (tables, grants, binary logs), and a
/// server has tens of thousands of those at most; each row costs memory besides its values.
pub(super) const ROWS: usize = 100_000;
/// The most bytes of values. The largest answer in one row is a server's list of tables as JSON: some 100 bytes per
/// table.
const BYTES: usize = 16 << 20;
/// The most statements that one message may contain; ours contain about ten.
const STATEMENTS: usize = 1_000;
/// What a value costs besides its bytes.
const PER_VALUE: usize = 16;

/// An answer, read to its end.
pub(super) struct Answer<DB: Database> {
    pub(super) rows: Vec<DB::Row>,
    /// The results of all its statements added up.
    pub(super) result: DB::QueryResult,
}

/// One item of an answer: a statement's result, or a row.
type Item<DB> = Result<Either<<DB as Database>::QueryResult, <DB as Database>::Row>, sqlx::Error>;

/// Reads an answer to its end, or to the first row beyond `rows`. `bytes_of` gives the bytes of a row's values.
///
/// The connection must not be used after an error.
///
/// # Errors
/// Those of the library; [`sqlx::Error::Protocol`] for an answer beyond the limits.
pub(super) async fn read<DB: Database>(
    mut answer: BoxStream<'_, Item<DB>>,
    rows: usize,
    bytes_of: fn(&DB::Row) -> usize,
) -> Result<Answer<DB>, sqlx::Error> {
    let mut read = Answer::<DB> { rows: Vec::new(), result: DB::QueryResult::default() };
    let (mut bytes, mut statements) = (0, 0);
    while let Some(item) = answer.next().await {
        match item? {
            Either::Left(result) => {
                statements += 1;
                read.result.extend([result]);
            }
            Either::Right(row) => {
                bytes += bytes_of(&row) + row.len() * PER_VALUE;
                read.rows.push(row);
            }
        }
        if read.rows.len() > rows {
            return Err(too_much(&format!("more than {rows} row{}", if rows == 1 { "" } else { "s" })));
        }
        if bytes > BYTES {
            return Err(too_much(&format!("more than {} MiB", BYTES >> 20)));
        }
        if statements > STATEMENTS {
            return Err(too_much(&format!("the results of more than {STATEMENTS} statements")));
        }
    }
    Ok(read)
}

fn too_much(what: &str) -> sqlx::Error {
    sqlx::Error::Protocol(format!("the answer holds {what}: the rest was not read"))
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests {
    use super::*;
    use sqlx::sqlite::{Sqlite, SqliteRow};
    use sqlx::{Connection, Executor, SqliteConnection};

    async fn read_sql(sql: &'static str, rows: usize, bytes_of: fn(&SqliteRow) -> usize) -> Result<usize, String> {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let answer = connection.fetch_many(sqlx::raw_sql(sql));
        read::<Sqlite>(answer, rows, bytes_of).await.map(|read| read.rows.len()).map_err(|error| error.to_string())
    }

    const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";

    #[tokio::test]
    async fn rows_without_end_are_read_up_to_the_limit() {
        let error = read_sql(ENDLESS, 5, |_| 0).await.unwrap_err();
        assert!(error.contains("more than 5 rows"), "{error}");
        let error = read_sql(ENDLESS, 1, |_| 0).await.unwrap_err();
        assert!(error.contains("more than 1 row:"), "{error}");
        assert_eq!(read_sql("VALUES (1), (2), (3)", 3, |_| 0).await, Ok(3));
    }

    #[tokio::test]
    async fn bytes_without_end_are_read_up_to_the_limit() {
        let error = read_sql(ENDLESS, usize::MAX, |_| 1 << 20).await.unwrap_err();
        assert!(error.contains("more than 16 MiB"), "{error}");
    }

    #[tokio::test]
    async fn results_of_statements_are_counted_too() {
        let many: &'static str = "PRAGMA user_version = 1;".repeat(STATEMENTS + 1).leak();
        let error = read_sql(many, 1, |_| 0).await.unwrap_err();
        assert!(error.contains("more than 1000 statements"), "{error}");
    }
}
