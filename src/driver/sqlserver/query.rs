//! One batch, its limits on the server and in the client, and its answer. Everything this driver says goes through here.
//!
//! It goes as a plain batch, never by `sp_executesql`, which would take the `SET` options back. An answer that did not come in time
//! stays unread: the caller drops the client.

use std::time::Duration;

use futures_util::TryStreamExt;
use tiberius::{Client, ColumnData, QueryItem, Row};
use tokio::net::TcpStream;
use tokio_util::compat::Compat;

use super::errors;
use crate::heartbeat::{ErrorKind, Failure, Stamp};
use crate::time::clock::{self, Clock, Instant};

/// The client of one connection.
pub(super) type SqlClient = Client<Compat<TcpStream>>;

/// The most rows that any look needs, as in the drivers beside this one.
const ROWS: usize = 100_000;
/// The most bytes of values.
const BYTES: usize = 16 << 20;
/// What a value costs beside its bytes.
const PER_VALUE: usize = 16;

/// The longest that one step of provisioning may take.
const STEP_TIME: Duration = Duration::from_secs(10);

/// How long one batch may keep the server and the client busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// How long each statement waits for a lock.
    lock: Duration,
    /// When the answer is waited for no longer.
    client: Instant,
}

impl Limits {
    /// Limits that end a wait for locks on the server before its caller gives up at `deadline`. A batch may wait twice: for
    /// the row, and for its table.
    pub(super) fn until(deadline: Instant) -> Self {
        Self::within(deadline.saturating_duration_since(Clock::system().now().mono))
    }

    /// Limits for one step of provisioning: as [`Limits::until`], and never long, because DDL that waits for a lock makes
    /// everybody else wait behind it.
    pub(super) fn step(deadline: Instant) -> Self {
        Self::within(deadline.saturating_duration_since(Clock::system().now().mono).min(STEP_TIME))
    }

    fn within(time: Duration) -> Self {
        let margin = (time / 10).min(Duration::from_millis(100));
        let lock = (time * 2 / 5).max(Duration::from_millis(1));
        Self { lock, client: Clock::system().now().mono + time.saturating_sub(margin) }
    }

    /// The limits, and what every batch relies on: an error ends the batch and takes its transaction back.
    pub(super) fn sql(self) -> String {
        format!(
            "SET NOCOUNT ON; SET XACT_ABORT ON; SET IMPLICIT_TRANSACTIONS OFF; SET LOCK_TIMEOUT {};",
            self.lock.as_millis()
        )
    }
}

/// Sends one batch, in one round trip, and reads its answer to the end: an error comes after the rows, and is final even
/// then.
///
/// `sql` is put together from this driver's own text, quoted names and literals, and numbers.
///
/// # Errors
/// What the server says, or the network, classified; `timeout`; `protocol` for an answer beyond all bounds.
pub(super) async fn send(client: &mut SqlClient, sql: &str, limits: Limits) -> Result<Vec<Row>, Failure> {
    let batch = format!("{}\n{sql}", limits.sql());
    let answer = async {
        let mut answer = client.simple_query(batch).await.map_err(errors::classify)?;
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while let Some(item) = answer.try_next().await.map_err(errors::classify)? {
            let QueryItem::Row(row) = item else { continue };
            bytes += row.cells().map(|(_, value)| size_of_value(value) + PER_VALUE).sum::<usize>();
            rows.push(row);
            if rows.len() > ROWS || bytes > BYTES {
                return Err(Failure::new(
                    ErrorKind::Protocol,
                    format!("the answer holds more than {ROWS} rows or {} MiB: the rest was not read", BYTES >> 20),
                ));
            }
        }
        Ok(rows)
    };
    clock::timeout_at(limits.client, answer)
        .await
        .unwrap_or_else(|_| Err(Failure::new(ErrorKind::Timeout, "the server's answer did not come in time")))
}

/// As [`send`], for an answer of one row that has this column. A trigger's own answers come before and beside it.
///
/// # Errors
/// As [`send`]; `protocol` for any other number of such rows.
pub(super) async fn send_for_row(
    client: &mut SqlClient,
    sql: &str,
    limits: Limits,
    column: &str,
) -> Result<Row, Failure> {
    let mut rows = send(client, sql, limits).await?;
    rows.retain(|row| row.columns().iter().any(|found| found.name() == column));
    match (rows.pop(), rows.len()) {
        (Some(row), 0) => Ok(row),
        _ => Err(malformed()),
    }
}

fn size_of_value(value: &ColumnData<'_>) -> usize {
    match value {
        ColumnData::String(Some(text)) => text.len(),
        ColumnData::Binary(Some(bytes)) => bytes.len(),
        _ => 0,
    }
}

/// Text of a column; `None` is NULL.
///
/// # Errors
/// `protocol` where there is no such column, or no text in it.
pub(super) fn text(row: &Row, column: &str) -> Result<Option<String>, Failure> {
    match row.get_column_data(column) {
        Ok(ColumnData::String(text)) => Ok(text.as_ref().map(|text| text.clone().into_owned())),
        _ => Err(malformed()),
    }
}

/// A whole number of a column, of whichever width; `None` is NULL.
///
/// # Errors
/// As [`text`].
pub(super) fn number(row: &Row, column: &str) -> Result<Option<i64>, Failure> {
    match row.get_column_data(column) {
        Ok(ColumnData::U8(number)) => Ok(number.map(i64::from)),
        Ok(ColumnData::I16(number)) => Ok(number.map(i64::from)),
        Ok(ColumnData::I32(number)) => Ok(number.map(i64::from)),
        Ok(ColumnData::I64(number)) => Ok(*number),
        Ok(ColumnData::Bit(bit)) => Ok(bit.map(i64::from)),
        _ => Err(malformed()),
    }
}

/// Whether a column holds a number other than 0; NULL does not.
///
/// # Errors
/// As [`text`].
pub(super) fn flag(row: &Row, column: &str) -> Result<bool, Failure> {
    Ok(number(row, column)?.is_some_and(|number| number != 0))
}

/// Microseconds since 1970 of a `datetime2`, cut to whole ones; `None` is NULL.
///
/// # Errors
/// As [`text`].
pub(super) fn time(row: &Row, column: &str) -> Result<Option<Stamp>, Failure> {
    /// Days from the year 1, where this type begins, to 1970.
    const EPOCH: i64 = 719_162;
    match row.get_column_data(column) {
        Ok(ColumnData::DateTime2(time)) => Ok(time.map(|time| {
            let (clock, scale) = (time.time().increments(), u32::from(time.time().scale()));
            let micros =
                if scale <= 6 { clock.saturating_mul(10_u64.pow(6 - scale)) } else { clock / 10_u64.pow(scale - 6) };
            let days = i64::from(time.date().days()) - EPOCH;
            Stamp(days * 86_400_000_000 + i64::try_from(micros).unwrap_or(i64::MAX / 2))
        })),
        _ => Err(malformed()),
    }
}

fn malformed() -> Failure {
    Failure::new(ErrorKind::Protocol, "not the answer that was asked for")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_server_waits_for_two_locks_and_the_client_gives_up_after_that_and_before_its_caller() {
        for milliseconds in [10, 100, 1_000, 10_000, 600_000] {
            let (now, time) = (Clock::system().now().mono, Duration::from_millis(milliseconds));
            let Limits { lock, client } = Limits::until(now + time);
            assert!(now + lock * 2 < client && client < now + time, "{lock:?} {time:?}");
        }
        assert!(Limits::within(Duration::ZERO).sql().ends_with("SET LOCK_TIMEOUT 1;"), "0 would mean no wait at all");
    }
}
