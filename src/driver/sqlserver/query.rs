//! Sends a batch, limits its time on the server and in the client, and reads its answer. Every statement of this driver
//! goes through here.
//!
//! It sends a plain batch, never `sp_executesql`, because that would undo the `SET` options. If an answer does not come
//! in time, it stays unread and the caller drops the client.

use std::time::Duration;

use futures_util::TryStreamExt;
use tiberius::time::DateTime2;
use tiberius::{Client, ColumnData, QueryItem, Row};
use tokio::net::TcpStream;
use tokio_util::compat::Compat;

use super::errors;
use crate::driver::answer::Refusal;
use crate::heartbeat::{ErrorKind, Failure, Stamp};
use crate::time::clock::{self, Clock, Instant};

/// The client of one connection.
pub(super) type SqlClient = Client<Compat<TcpStream>>;

/// The most rows of an answer; the other drivers have the same limit.
const ROWS: usize = 100_000;
/// The most bytes of values in an answer.
const BYTES: usize = 16 << 20;
/// The memory that a value uses besides its bytes.
const PER_VALUE: usize = 16;

/// The longest that one step of provisioning may take.
const STEP_TIME: Duration = Duration::from_secs(10);

/// How long one batch may keep the server and the client busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// How long each statement waits for a lock.
    lock: Duration,
    /// When the client stops waiting for the answer.
    client: Instant,
}

impl Limits {
    /// Limits that end a wait for a lock on the server before the caller gives up at `deadline`. A batch may wait for
    /// two locks, the row's and the table's.
    pub(super) fn until(deadline: Instant) -> Self {
        Self::within(deadline.saturating_duration_since(Clock::system().now().mono))
    }

    /// Limits for one step of provisioning: as [`Limits::until`], but at most [`STEP_TIME`]. While DDL waits for a
    /// lock, everyone else waits behind it.
    pub(super) fn step(deadline: Instant) -> Self {
        Self::within(deadline.saturating_duration_since(Clock::system().now().mono).min(STEP_TIME))
    }

    fn within(time: Duration) -> Self {
        let margin = (time / 10).min(Duration::from_millis(100));
        let lock = (time * 2 / 5).max(Duration::from_millis(1));
        Self { lock, client: Clock::system().now().mono + time.saturating_sub(margin) }
    }

    /// The limits, and settings that every batch relies on: an error ends the batch and rolls its transaction back.
    pub(super) fn sql(self) -> String {
        format!(
            "SET NOCOUNT ON; SET XACT_ABORT ON; SET IMPLICIT_TRANSACTIONS OFF; SET LOCK_TIMEOUT {};",
            self.lock.as_millis()
        )
    }
}

/// The rows of an answer.
#[derive(Debug)]
pub(super) struct Answered {
    /// The rows of all result sets.
    rows: Vec<Row>,
    /// The index of the last set's first row.
    last: usize,
}

impl Answered {
    /// The rows of the last set. An earlier set may come from a trigger.
    pub(super) fn last_set(&self) -> &[Row] {
        self.rows.get(self.last..).unwrap_or_default()
    }
}

/// Sends one batch in one round trip, and reads its answer to the end, because an error may come after the rows.
///
/// `sql` consists of this driver's own text, quoted names, literals and numbers.
///
/// # Errors
/// The error of the server or the network, classified; `timeout`; `protocol` for an oversized answer.
pub(super) async fn send(client: &mut SqlClient, sql: &str, limits: Limits) -> Result<Answered, Failure> {
    let batch = format!("{}\n{sql}", limits.sql());
    let answer = async {
        let mut answer = client.simple_query(batch).await.map_err(errors::classify)?;
        let (mut rows, mut last, mut bytes) = (Vec::new(), 0, 0);
        while let Some(item) = answer.try_next().await.map_err(errors::classify)? {
            let QueryItem::Row(row) = item else {
                last = rows.len();
                continue;
            };
            bytes += row.cells().map(|(_, value)| size_of_value(value) + PER_VALUE).sum::<usize>();
            rows.push(row);
            if rows.len() > ROWS || bytes > BYTES {
                return Err(Failure::new(
                    ErrorKind::Protocol,
                    format!("the answer holds more than {ROWS} rows or {} MiB: the rest was not read", BYTES >> 20),
                ));
            }
        }
        Ok(Answered { rows, last })
    };
    clock::timeout_at(limits.client, answer)
        .await
        .unwrap_or_else(|_| Err(Failure::new(ErrorKind::Timeout, "the server's answer did not come in time")))
}

/// As [`send`], for an answer with one row that has this column. Triggers may send rows of their own, which are
/// ignored.
///
/// # Errors
/// As [`send`]; `protocol` for any other number of such rows.
pub(super) async fn send_for_row(
    client: &mut SqlClient,
    sql: &str,
    limits: Limits,
    column: &str,
) -> Result<Row, Failure> {
    let mut rows = send(client, sql, limits).await?.rows;
    rows.retain(|row| cell(row, column).is_some());
    match (rows.pop(), rows.len()) {
        (Some(row), 0) => Ok(row),
        _ => Err(malformed()),
    }
}

/// Expressions, each with the name of its value.
pub(super) type Expressions = Vec<(&'static str, String)>;

/// The values of expressions. An expression that the server refused is NULL here.
#[derive(Debug)]
pub(super) struct Values {
    rows: Vec<Row>,
    refused: Vec<(&'static str, Refusal)>,
}

/// Queries the values of expressions in one batch. If the server lacks a function or a column of the catalogue, it
/// refuses the batch. Then each expression is sent by itself, and only the refused ones have no value.
///
/// # Errors
/// As [`send_for_row`]; the server's own error if it answers none of them.
pub(super) async fn values(
    client: &mut SqlClient,
    expressions: &Expressions,
    limits: Limits,
) -> Result<Values, Failure> {
    match select(client, expressions, limits).await {
        Ok(row) => return Ok(Values { rows: vec![row], refused: Vec::new() }),
        Err(failure) if refusal(&failure).is_none() => return Err(failure),
        Err(_) => {}
    }
    let (mut values, mut last) = (Values { rows: Vec::new(), refused: Vec::new() }, None);
    for expression in expressions.chunks(1) {
        match select(client, expression, limits).await {
            Ok(row) => values.rows.push(row),
            Err(failure) => {
                let Some(refusal) = refusal(&failure) else { return Err(failure) };
                values.refused.extend(expression.iter().map(|(name, _)| (*name, refusal.clone())));
                last = Some(failure);
            }
        }
    }
    match last {
        Some(failure) if values.rows.is_empty() => Err(failure),
        _ => Ok(values),
    }
}

async fn select(client: &mut SqlClient, expressions: &[(&str, String)], limits: Limits) -> Result<Row, Failure> {
    let list: Vec<String> = expressions.iter().map(|(name, expression)| format!("{expression} AS {name}")).collect();
    let first = expressions.first().map_or("", |(name, _)| *name);
    send_for_row(client, &format!("SELECT {};", list.join(", ")), limits, first).await
}

/// The server's refusal, if the failure is an answer of the server.
pub(super) fn refusal(failure: &Failure) -> Option<Refusal> {
    failure.code().map(|code| Refusal { code: code.to_owned(), message: failure.message().to_owned() })
}

impl Values {
    /// As [`text`].
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Failure> {
        self.row(name).map_or(Ok(None), |row| text(row, name))
    }

    /// As [`number`].
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, Failure> {
        self.row(name).map_or(Ok(None), |row| number(row, name))
    }

    /// As [`flag`].
    pub(super) fn flag(&self, name: &str) -> Result<bool, Failure> {
        self.row(name).map_or(Ok(false), |row| flag(row, name))
    }

    /// As [`time`].
    pub(super) fn time(&self, name: &str) -> Result<Option<Stamp>, Failure> {
        self.row(name).map_or(Ok(None), |row| time(row, name))
    }

    /// Why an expression has no value, if the server refused it.
    pub(super) fn refusal(&self, name: &str) -> Option<&Refusal> {
        self.refused.iter().find(|(known, _)| *known == name).map(|(_, refusal)| refusal)
    }

    fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| cell(row, name).is_some())
    }
}

/// Finds a column. A lookalike may send its name in upper case.
fn cell<'a>(row: &'a Row, column: &str) -> Option<&'a ColumnData<'static>> {
    row.cells().find(|(found, _)| found.name().eq_ignore_ascii_case(column)).map(|(_, value)| value)
}

fn size_of_value(value: &ColumnData<'_>) -> usize {
    match value {
        ColumnData::String(Some(text)) => text.len(),
        ColumnData::Binary(Some(bytes)) => bytes.len(),
        _ => 0,
    }
}

/// Whether a value is NULL, of any type: the server chooses the type of an expression that is always NULL.
fn is_null(value: &ColumnData<'_>) -> bool {
    match value {
        ColumnData::U8(value) => value.is_none(),
        ColumnData::I16(value) => value.is_none(),
        ColumnData::I32(value) => value.is_none(),
        ColumnData::I64(value) => value.is_none(),
        ColumnData::F32(value) => value.is_none(),
        ColumnData::F64(value) => value.is_none(),
        ColumnData::Bit(value) => value.is_none(),
        ColumnData::String(value) => value.is_none(),
        ColumnData::Guid(value) => value.is_none(),
        ColumnData::Binary(value) => value.is_none(),
        ColumnData::Numeric(value) => value.is_none(),
        ColumnData::DateTime(value) => value.is_none(),
        ColumnData::SmallDateTime(value) => value.is_none(),
        ColumnData::DateTime2(value) => value.is_none(),
        ColumnData::DateTimeOffset(value) => value.is_none(),
        _ => false,
    }
}

/// The value of a column; `None` for NULL.
fn present<'a>(row: &'a Row, column: &str) -> Result<Option<&'a ColumnData<'static>>, Failure> {
    cell(row, column).map(|value| Some(value).filter(|value| !is_null(value))).ok_or_else(malformed)
}

/// Text of a column; `None` for NULL.
///
/// # Errors
/// `protocol` if the column does not exist, or is not text.
pub(super) fn text(row: &Row, column: &str) -> Result<Option<String>, Failure> {
    match present(row, column)? {
        None => Ok(None),
        Some(ColumnData::String(Some(text))) => Ok(Some(text.clone().into_owned())),
        Some(_) => Err(malformed()),
    }
}

/// A whole number of a column, of any type; `None` for NULL.
///
/// # Errors
/// As [`text`].
pub(super) fn number(row: &Row, column: &str) -> Result<Option<i64>, Failure> {
    match present(row, column)? {
        None => Ok(None),
        Some(ColumnData::U8(number)) => Ok(number.map(i64::from)),
        Some(ColumnData::I16(number)) => Ok(number.map(i64::from)),
        Some(ColumnData::I32(number)) => Ok(number.map(i64::from)),
        Some(ColumnData::I64(number)) => Ok(*number),
        Some(ColumnData::Bit(bit)) => Ok(bit.map(i64::from)),
        Some(ColumnData::Numeric(Some(number))) if number.dec_part() == 0 => {
            i64::try_from(number.int_part()).map(Some).map_err(|_| malformed())
        }
        Some(_) => Err(malformed()),
    }
}

/// Whether a column contains a number other than 0. NULL counts as 0.
///
/// # Errors
/// As [`text`].
pub(super) fn flag(row: &Row, column: &str) -> Result<bool, Failure> {
    Ok(number(row, column)?.is_some_and(|number| number != 0))
}

/// Microseconds since 1970 of a `datetime2`, or of the type that a lookalike sends instead; `None` for NULL. Fractions
/// of a microsecond are cut off.
///
/// # Errors
/// As [`text`].
pub(super) fn time(row: &Row, column: &str) -> Result<Option<Stamp>, Failure> {
    /// Days from 1900, where `datetime` begins, to 1970.
    const DATETIME_EPOCH: i64 = 25_567;
    match present(row, column)? {
        None => Ok(None),
        Some(ColumnData::DateTime2(time)) => Ok(time.map(stamp)),
        // The protocol sends the time in UTC, whatever the offset.
        Some(ColumnData::DateTimeOffset(time)) => Ok(time.map(|time| stamp(time.datetime2()))),
        Some(ColumnData::DateTime(time)) => Ok(time.map(|time| {
            let clock = i64::from(time.seconds_fragments()) * 10_000 / 3;
            Stamp((i64::from(time.days()) - DATETIME_EPOCH) * DAY + clock)
        })),
        Some(_) => Err(malformed()),
    }
}

const DAY: i64 = 86_400_000_000;

fn stamp(time: DateTime2) -> Stamp {
    /// Days from the year 1, where this type begins, to 1970.
    const EPOCH: i64 = 719_162;
    let (clock, scale) = (time.time().increments(), u32::from(time.time().scale()));
    let micros = if scale <= 6 { clock.saturating_mul(10_u64.pow(6 - scale)) } else { clock / 10_u64.pow(scale - 6) };
    let days = i64::from(time.date().days()) - EPOCH;
    Stamp(days * DAY + i64::try_from(micros).unwrap_or(i64::MAX / 2))
}

fn malformed() -> Failure {
    Failure::new(ErrorKind::Protocol, "not the answer that was asked for")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_server_may_wait_for_two_locks_before_the_client_gives_up_and_its_caller_after_that() {
        for milliseconds in [10, 100, 1_000, 10_000, 600_000] {
            let (now, time) = (Clock::system().now().mono, Duration::from_millis(milliseconds));
            let Limits { lock, client } = Limits::until(now + time);
            assert!(now + lock * 2 < client && client < now + time, "{lock:?} {time:?}");
        }
        assert!(Limits::within(Duration::ZERO).sql().ends_with("SET LOCK_TIMEOUT 1;"), "0 would mean no wait at all");
    }
}
