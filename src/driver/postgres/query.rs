//! One query message of PostgreSQL's simple protocol, its limits on the server, and its answer. The driver sends
//! everything through here, because prepared statements and session settings do not survive a pooler in transaction
//! mode.

use std::time::Duration;

use sqlx::postgres::{PgConnection, PgRow, Postgres};
use sqlx::{AssertSqlSafe, Executor, Row};

use super::errors;
use crate::driver::answer_limit;
use crate::heartbeat::Failure;
use crate::time::clock::{Clock, Instant};

/// How long one message may keep the server busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ServerLimits {
    lock: Duration,
    statement: Duration,
}

/// The longest time for one step of provisioning.
const STEP_TIME: Duration = Duration::from_secs(10);

impl ServerLimits {
    /// Limits for a caller that gives up at `deadline`. The server ends the statement before that, and a wait for a
    /// lock even earlier. A statement left behind would wait on and write much later.
    pub(super) fn until(deadline: Instant) -> Self {
        Self::within(deadline.saturating_duration_since(Clock::system().now().mono))
    }

    /// The limits of one step of provisioning: as [`ServerLimits::until`], but never long, because every other session
    /// waits behind DDL that waits for a lock.
    pub(super) fn step(deadline: Instant) -> Self {
        Self::within(deadline.saturating_duration_since(Clock::system().now().mono).min(STEP_TIME))
    }

    /// The limits of one query among several: a part of the time that is left, so that a query that hangs leaves time
    /// for the others.
    pub(super) fn share(deadline: Instant, part: u32) -> Self {
        Self::within(deadline.saturating_duration_since(Clock::system().now().mono) / part)
    }

    /// Limits for a caller that waits this long.
    pub(super) fn within(time: Duration) -> Self {
        let margin = (time / 10).min(Duration::from_millis(500));
        // Zero would mean no limit at all.
        let at_least = |limit: Duration| limit.max(Duration::from_millis(1));
        Self { lock: at_least(time.saturating_sub(margin * 2)), statement: at_least(time.saturating_sub(margin)) }
    }

    /// The limits as SQL. They apply to the transaction of the message that begins with them.
    pub(super) fn sql(self) -> String {
        let (lock, statement) = (self.lock.as_millis(), self.statement.as_millis());
        format!("SET LOCAL lock_timeout = {lock}; SET LOCAL statement_timeout = {statement};")
    }
}

/// Sends one message in one round trip and reads its answer to the end, because an error at the commit comes after the
/// rows.
///
/// `sql` consists of this driver's own text, quoted names and literals, and numbers.
///
/// # Errors
/// The server's or the network's error, classified; `protocol` for an oversized answer.
pub(super) async fn send(connection: &mut PgConnection, sql: String) -> Result<Vec<PgRow>, Failure> {
    send_for(connection, sql, answer_limit::ROWS).await
}

/// As [`send`], for a message whose answer is one row.
///
/// # Errors
/// As [`send`]; `protocol` for any other number of rows.
pub(super) async fn send_for_row(connection: &mut PgConnection, sql: String) -> Result<PgRow, Failure> {
    let mut rows = send_for(connection, sql, 1).await?;
    match (rows.pop(), rows.len()) {
        (Some(row), 0) => Ok(row),
        _ => Err(errors::classify(sqlx::Error::RowNotFound)),
    }
}

async fn send_for(connection: &mut PgConnection, sql: String, rows: usize) -> Result<Vec<PgRow>, Failure> {
    let answer = connection.fetch_many(sqlx::raw_sql(AssertSqlSafe(sql)));
    let answer = answer_limit::read::<Postgres>(answer, rows, bytes_of).await;
    answer.map(|answer| answer.rows).map_err(errors::classify)
}

/// The size of a row's values in bytes.
fn bytes_of(row: &PgRow) -> usize {
    let values = (0..row.len()).filter_map(|index| row.try_get_raw(index).ok());
    values.map(|value| value.as_bytes().map_or(0, <[u8]>::len)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_gives_up_before_its_caller_and_waits_for_locks_even_shorter() {
        for milliseconds in [3, 20, 100, 1_000, 10_000, 600_000] {
            let time = Duration::from_millis(milliseconds);
            let ServerLimits { lock, statement } = ServerLimits::within(time);
            assert!(Duration::ZERO < lock && lock < statement && statement < time, "{lock:?} {statement:?} {time:?}");
        }
        assert_eq!(
            ServerLimits::within(Duration::from_secs(10)).sql(),
            "SET LOCAL lock_timeout = 9000; SET LOCAL statement_timeout = 9500;"
        );
    }

    #[test]
    fn without_time_left_the_limit_is_the_shortest_one_and_not_unlimited() {
        assert_eq!(
            ServerLimits::within(Duration::ZERO).sql(),
            "SET LOCAL lock_timeout = 1; SET LOCAL statement_timeout = 1;"
        );
    }
}
