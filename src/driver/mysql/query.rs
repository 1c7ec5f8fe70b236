//! One query message of MySQL's text protocol, and its answer. The driver sends everything through here, because
//! prepared statements do not survive a pooler that shares its connections.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::mysql::{MySql, MySqlConnection, MySqlQueryResult, MySqlRow};
use sqlx::{AssertSqlSafe, ColumnIndex, Decode, Executor, Row};

use super::errors;
use super::identifier::literal;
use crate::driver::answer_limit::{self, Answer};
use crate::heartbeat::{ErrorKind, Failure};
use crate::time::clock::{Clock, Instant};

/// How long one statement may keep the server busy. It is a setting of the session, because no statement can carry it
/// on every server. If a pooler loses the setting, the server's own limits apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ServerLimits {
    /// Seconds to wait for the table's definition.
    table: u64,
    /// Seconds to wait for the row.
    row: u64,
    statement: Duration,
}

/// How late InnoDB may end a wait for a row.
const SWEEP: Duration = Duration::from_secs(1);
/// The longest time for one step of provisioning.
const STEP_TIME: Duration = Duration::from_secs(10);

impl ServerLimits {
    /// The limits of one query among several: a part of the time that is left, so that a query that hangs leaves time
    /// for the others.
    pub(super) fn share(deadline: Instant, part: u32) -> Self {
        Self::within(deadline.saturating_duration_since(Clock::system().now().mono) / part)
    }

    /// The limits of one step of provisioning: as [`ServerLimits::within`], but never long, because every other session
    /// waits behind DDL that waits for a lock.
    pub(super) fn step(deadline: Instant) -> Self {
        Self::within(deadline.saturating_duration_since(Clock::system().now().mono).min(STEP_TIME))
    }

    /// Limits for a caller that waits this long. The server ends the statement before the caller gives up, and ends the
    /// waits for locks, one after the other, before that. A statement left behind would wait on and write much later.
    pub(super) fn within(time: Duration) -> Self {
        let margin = margin(time);
        // Waits for locks are counted in whole seconds, at least one. InnoDB looks only once a second for waits that
        // took too long. Zero would mean no limit for statements.
        let waits = time.saturating_sub(margin * 2 + SWEEP).as_secs();
        // The wait for changes of the table's definition comes first, and is rarer.
        let table = (waits / 3).max(1);
        let row = waits.saturating_sub(table).max(1);
        Self { table, row, statement: time.saturating_sub(margin).max(Duration::from_millis(1)) }
    }

    /// The settings as a list for `SET`.
    ///
    /// MariaDB ends any statement at its limit, MySQL only reads. Each comment is SQL for one of the two only (MariaDB
    /// skips those of versions 5.7 to 9.9): <https://mariadb.com/kb/en/comment-syntax/>.
    pub(super) fn settings(self) -> String {
        let Self { table, row, statement } = self;
        let (seconds, millis, all) = (statement.as_secs(), statement.subsec_millis(), statement.as_millis());
        format!(
            "lock_wait_timeout = {table}, innodb_lock_wait_timeout = {row} \
             /*M!100101 , max_statement_time = {seconds}.{millis:03} */ /*!50708 , max_execution_time = {all} */"
        )
    }
}

/// The limits of one session. They are settings, so they outlast the beat that they were made for.
#[derive(Debug, Clone, Copy)]
pub(super) struct SessionLimits {
    /// The time of a beat that has all of its time left.
    timeout: Duration,
    /// The time for which the current settings were made.
    made_for: Duration,
}

impl SessionLimits {
    /// The limits for the time that is left until `deadline`; `timeout` is the target's.
    pub(super) fn until(deadline: Instant, timeout: Duration) -> Self {
        let left = deadline.saturating_duration_since(Clock::system().now().mono);
        Self { timeout, made_for: Self::time_for(left, timeout) }
    }

    /// The limits that the login sets.
    pub(super) fn limits(self) -> ServerLimits {
        ServerLimits::within(self.made_for)
    }

    /// Adjusts the settings to the time that is left until `deadline`. It costs a round trip before the first beat
    /// after a slow login, and another one before the next. A beat that has all of its time finds the settings right.
    ///
    /// # Errors
    /// As [`send`].
    pub(super) async fn keep_within(
        &mut self,
        connection: &mut MySqlConnection,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let Self { made_for, .. } = Self::until(deadline, self.timeout);
        if made_for.abs_diff(self.made_for) > Self::tolerance(self.timeout) {
            execute(connection, format!("SET {}", ServerLimits::within(made_for).settings())).await?;
            self.made_for = made_for;
        }
        Ok(())
    }

    /// The whole timeout, if hardly any of it has passed.
    fn time_for(left: Duration, timeout: Duration) -> Duration {
        if timeout.saturating_sub(left) <= Self::tolerance(timeout) { timeout } else { left }
    }

    /// Half of the margin by which the server gives up before its caller.
    fn tolerance(timeout: Duration) -> Duration {
        margin(timeout) / 2
    }
}

fn margin(time: Duration) -> Duration {
    (time / 10).min(Duration::from_millis(500))
}

/// Sends one query and reads its rows, in one round trip.
///
/// `sql` consists of this driver's own text, quoted names and literals, and numbers.
///
/// # Errors
/// The server's or the network's error, classified; `protocol` for an oversized answer.
pub(super) async fn send(connection: &mut MySqlConnection, sql: String) -> Result<Vec<MySqlRow>, Failure> {
    send_for(connection, sql, answer_limit::ROWS).await.map(|answer| answer.rows)
}

/// As [`send`], for a query whose answer is one row.
///
/// # Errors
/// As [`send`]; `protocol` for any other number of rows.
pub(super) async fn send_for_row(connection: &mut MySqlConnection, sql: String) -> Result<MySqlRow, Failure> {
    let mut rows = send_for(connection, sql, 1).await?.rows;
    match (rows.pop(), rows.len()) {
        (Some(row), 0) => Ok(row),
        _ => Err(errors::classify(sqlx::Error::RowNotFound)),
    }
}

/// Sends one statement that changes something. Returns the number of rows that it matched, and the value of its
/// `LAST_INSERT_ID(…)`.
///
/// # Errors
/// As [`send`].
pub(super) async fn execute(connection: &mut MySqlConnection, sql: String) -> Result<MySqlQueryResult, Failure> {
    send_for(connection, sql, 0).await.map(|answer| answer.result)
}

async fn send_for(connection: &mut MySqlConnection, sql: String, rows: usize) -> Result<Answer<MySql>, Failure> {
    let answer = connection.fetch_many(sqlx::raw_sql(AssertSqlSafe(sql)));
    answer_limit::read(answer, rows, bytes_of).await.map_err(errors::classify)
}

/// The size of a row's values in bytes.
fn bytes_of(row: &MySqlRow) -> usize {
    let values = (0..row.len()).filter_map(|index| row.try_get_raw(index).ok());
    values.map(|value| <&[u8] as Decode<'_, MySql>>::decode(value).map_or(0, <[u8]>::len)).sum()
}

/// A column as text, regardless of its type: the text protocol sends only text. `None` is SQL's NULL.
///
/// # Errors
/// `protocol` if there is no such column.
pub(super) fn text(row: &MySqlRow, column: impl ColumnIndex<MySqlRow>) -> Result<Option<String>, Failure> {
    let value = row.try_get_raw(column).map_err(errors::classify)?;
    if sqlx::ValueRef::is_null(&value) {
        return Ok(None);
    }
    let bytes =
        <&[u8] as Decode<'_, MySql>>::decode(value).map_err(|error| errors::classify(sqlx::Error::Decode(error)))?;
    Ok(Some(String::from_utf8_lossy(bytes).into_owned()))
}

/// A column that holds a whole number.
///
/// # Errors
/// `protocol` if there is no such column, or it holds no number.
pub(super) fn number(row: &MySqlRow, column: impl ColumnIndex<MySqlRow>) -> Result<Option<i64>, Failure> {
    let Some(text) = text(row, column)? else { return Ok(None) };
    let number = text.parse().map_err(|error| not_the_answer().with_source(error))?;
    Ok(Some(number))
}

/// The values of these names, from `SHOW GLOBAL VARIABLES` or `SHOW SESSION STATUS`. A name that the server does not
/// know gives no row and no error.
///
/// # Errors
/// As [`send`].
pub(super) async fn show(
    connection: &mut MySqlConnection,
    what: &str,
    names: &[&str],
) -> Result<BTreeMap<String, String>, Failure> {
    let names: Vec<String> = names.iter().map(|name| literal(name)).collect();
    pairs(&send(connection, format!("SHOW {what} WHERE Variable_name IN ({})", names.join(", "))).await?)
}

/// Pairs of name and value, the names in lower case, as SHOW VARIABLES and SHOW STATUS return them.
///
/// # Errors
/// As [`text`].
pub(super) fn pairs(rows: &[MySqlRow]) -> Result<BTreeMap<String, String>, Failure> {
    let pairs = rows.iter().map(|row| {
        let name = text(row, 0)?.unwrap_or_default().to_ascii_lowercase();
        Ok((name, text(row, 1)?.unwrap_or_default()))
    });
    pairs.collect()
}

fn not_the_answer() -> Failure {
    Failure::new(ErrorKind::Protocol, "not the answer that was asked for")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_gives_up_before_its_caller_as_far_as_whole_seconds_allow() {
        for milliseconds in [4_000, 10_000, 600_000] {
            let time = Duration::from_millis(milliseconds);
            let ServerLimits { table, row, statement } = ServerLimits::within(time);
            let waits = Duration::from_secs(table + row);
            assert!(
                Duration::ZERO < waits && waits < statement && statement < time,
                "{waits:?} {statement:?} {time:?}"
            );
        }
        insta::assert_snapshot!(ServerLimits::within(Duration::from_secs(10)).settings(), @"lock_wait_timeout = 2, innodb_lock_wait_timeout = 6 /*M!100101 , max_statement_time = 9.500 */ /*!50708 , max_execution_time = 9500 */");
    }

    #[test]
    fn limits_after_a_slow_login_use_the_remaining_time_and_a_small_change_costs_no_round_trip() {
        let timeout = Duration::from_secs(10);
        for (left, expected) in [(10_000, 10_000), (9_750, 10_000), (9_749, 9_749), (4_000, 4_000), (30_000, 10_000)] {
            let (left, expected) = (Duration::from_millis(left), Duration::from_millis(expected));
            assert_eq!(SessionLimits::time_for(left, timeout), expected, "{left:?}");
        }
    }

    #[test]
    fn without_time_left_the_limit_is_the_shortest_one_and_not_unlimited() {
        insta::assert_snapshot!(ServerLimits::within(Duration::ZERO).settings(), @"lock_wait_timeout = 1, innodb_lock_wait_timeout = 1 /*M!100101 , max_statement_time = 0.001 */ /*!50708 , max_execution_time = 1 */");
    }
}
