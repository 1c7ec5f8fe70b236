//! The beat: one autocommitted statement on the server's clock. Called by the session's `beat` and `observe`.
//!
//! These servers return no rows from an UPDATE. What the UPDATE found comes back in `LAST_INSERT_ID(…)`, a number of 62
//! bits in the answer to any statement: see [`Found`]. `timestamp` holds whole seconds, so the beat uses whole seconds.
//!
//! A transaction of four statements in one packet could select the old value, but it takes 1.8 times as long (235
//! against 131 µs on MariaDB 10.11 over a socket, the median of 3,000, alternating). The server counts four statements,
//! several poolers refuse such packets, and after a lost connection its lock stays until the server notices.

use sqlx::mysql::MySqlRow;

use super::columns;
use super::connect::{Capabilities, LastLook, Opened, column_type_sql};
use super::error_codes;
use super::errors;
use super::identifier::{Account, table_of};
use super::query;
use super::triggers_and_views;
use crate::driver::{Observation, ServerRole};
use crate::heartbeat::{ErrorKind, Failure, RowReport, Stamp, Writing, ZoneGuess};
use crate::plan::columns::Holds;
use crate::remedy::Remedy;
use crate::target::HeartbeatTable;
use crate::time::clock::Instant;

/// What the statement found in the row before it wrote, packed into one number. From the highest bit: the server's
/// clock in seconds since 1970 (32 bits), the distance of the old value from the clock (28 bits, biased), whether there
/// is an old value, whether the row calls for a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    /// The server's clock, in seconds since 1970.
    now: i64,
    /// The old value, in seconds since 1970. Its distance from the clock is cut to [`REACH`], about four years.
    previous: Option<i64>,
    stale: bool,
}

const NOW: &str = "UNIX_TIMESTAMP()";
/// For a `timestamp` this is the stored value, regardless of the session's time zone.
pub(super) const OLD: &str = "FLOOR(UNIX_TIMESTAMP(last_update))";

/// Half of the span, in seconds, within which an old value is reported exactly.
const REACH: i64 = 1 << 27;
/// The place value of the clock in [`Found`].
const CLOCK: i64 = 1 << 30;
/// The place value of the old value; two flags are below it.
const VALUE: i64 = 4;
const HAS_VALUE: i64 = 2;

/// A value that is at most this many seconds ahead of the clock counts as current: two writers within one second leave
/// it a second ahead. A value further ahead comes from a wrong clock, and a beat that continued from it would run ahead
/// forever.
pub(super) const AHEAD: i64 = 5;

/// The last second that a `timestamp` holds: 2038-01-19 03:14:07 UTC.
const LAST_TIMESTAMP: i64 = i32::MAX as i64;

/// Errors that can concern the heartbeat table as well as an object that a trigger or a view uses.
const BEHIND: &[&str] = &[
    error_codes::ER_ACCESS_DENIED_ERROR,
    error_codes::ER_BAD_DB_ERROR,
    error_codes::ER_BAD_FIELD_ERROR,
    error_codes::ER_TABLEACCESS_DENIED_ERROR,
    error_codes::ER_COLUMNACCESS_DENIED_ERROR,
    error_codes::ER_NO_SUCH_TABLE,
    error_codes::ER_PROCACCESS_DENIED_ERROR,
];

/// Writes the heartbeat row, or only reads it.
///
/// # Errors
/// The server's error, classified; `column_type` where `last_update` cannot hold a time.
pub(super) async fn beat(
    opened: &mut Opened,
    table: &HeartbeatTable,
    writing: Writing,
    deadline: Instant,
) -> Result<RowReport, Failure> {
    if let Err(failure) = must_hold_a_time(opened, table).await {
        return Err(columns::explain(&mut opened.connection, table, failure).await);
    }
    let result = match writing {
        Writing::Never => look(opened, table).await.map(|(report, _)| report),
        Writing::Always | Writing::WhenStale { .. } => write(opened, table, writing, deadline).await,
    };
    match result {
        Ok(report) => Ok(report),
        Err(failure) => match columns::explain(&mut opened.connection, table, failure).await {
            failure if failure.remedy().is_some() => Err(failure),
            failure => Err(explain(opened, table, failure).await),
        },
    }
}

/// The account that the server uses for this session.
///
/// # Errors
/// The server's error, classified.
pub(super) async fn account(opened: &mut Opened) -> Result<Account, Failure> {
    let row = query::send_for_row(&mut opened.connection, "SELECT CURRENT_USER()".to_owned()).await?;
    Ok(Account::read(&query::text(&row, 0)?.unwrap_or_default()))
}

/// Explains a failure that the columns do not explain.
async fn explain(opened: &mut Opened, table: &HeartbeatTable, failure: Failure) -> Failure {
    match failure.code() {
        Some(code) if BEHIND.contains(&code) => {
            triggers_and_views::explain(&mut opened.connection, table, failure).await
        }
        _ if failure.kind() == ErrorKind::Rejected => {
            triggers_and_views::with_remedies(&mut opened.connection, table, failure).await
        }
        Some(code) if errors::READ_ONLY.contains(&code) => with_the_reason(opened, failure).await,
        Some(error_codes::ER_WARN_DATA_OUT_OF_RANGE | error_codes::ER_TRUNCATED_WRONG_VALUE) => {
            if_not_the_end_of_timestamp(opened, table, failure).await
        }
        Some(error_codes::ER_ERROR_DURING_COMMIT) if opened.capabilities.node.is_on() => {
            out_of_the_cluster(opened, failure).await
        }
        _ => failure,
    }
}

/// Reads the row and the server's role.
///
/// # Errors
/// The server's error, classified.
pub(super) async fn observe(opened: &mut Opened, table: &HeartbeatTable) -> Result<Observation, Failure> {
    let (report, role) = look(opened, table).await?;
    Ok(Observation { value: report.previous, rows: report.seen, server_time: report.server_time, role })
}

async fn look(opened: &mut Opened, table: &HeartbeatTable) -> Result<(RowReport, ServerRole), Failure> {
    let row = query::send_for_row(&mut opened.connection, look_sql(table, &opened.capabilities)).await?;
    let previous = query::number(&row, "previous")?.map(seconds);
    let report = RowReport {
        seen: count(&row, "seen")?,
        previous,
        value: previous,
        server_time: query::number(&row, "server_time")?.map(Stamp),
        ..RowReport::default()
    };
    Ok((report, opened.capabilities.role_of(&row)?))
}

async fn write(
    opened: &mut Opened,
    table: &HeartbeatTable,
    writing: Writing,
    deadline: Instant,
) -> Result<RowReport, Failure> {
    opened.limits.keep_within(&mut opened.connection, deadline).await?;
    let sql = statement(table, writing, &opened.capabilities, &opened.application_name);
    let done = query::execute(&mut opened.connection, sql).await?;
    let report = match (Found::unpack(done.last_insert_id()), done.rows_affected()) {
        (Some(found), matched) if matched > 0 && found.next() > LAST_TIMESTAMP => {
            beyond_31_bits(opened, table, found.report(matched)).await?
        }
        (Some(found), matched) => found.report(matched),
        (None, 0) => return why_nothing(opened, table).await,
        (None, matched) => behind_a_trigger(opened, table, matched, deadline).await?,
    };
    let before = opened.last_look;
    let fell_back = before.is_some_and(|last| last.is_ahead_of(&report));
    opened.last_look = Some(LastLook { value: report.value, fell_back });
    if fell_back && !before.is_some_and(|last| last.fell_back) {
        // A column that keeps only a part of the value falls back, too. If the type still is a time, the cause is
        // another, such as a second writer with a slow clock. Then the type is not read again while the row keeps
        // falling back.
        opened.last_update_type = None;
        must_hold_a_time(opened, table).await?;
    }
    Ok(report)
}

/// A value beyond the range of `timestamp`. Column and server decide whether it was stored, so the row is read.
async fn beyond_31_bits(opened: &mut Opened, table: &HeartbeatTable, report: RowReport) -> Result<RowReport, Failure> {
    let (after, _) = look(opened, table).await?;
    if after.value == report.value {
        return Ok(report);
    }
    Err(end_of_timestamp(table))
}

/// Finds out whether the server's clock is the reason for a refused value.
async fn if_not_the_end_of_timestamp(opened: &mut Opened, table: &HeartbeatTable, failure: Failure) -> Failure {
    let sql = format!("SELECT {NOW} + {AHEAD} > {LAST_TIMESTAMP} AS late");
    let row = query::send_for_row(&mut opened.connection, sql).await;
    match row.and_then(|row| query::number(&row, "late")) {
        Ok(Some(1)) => {
            let code = failure.code().unwrap_or_default().to_owned();
            end_of_timestamp(table).with_code(code).with_source(failure)
        }
        _ => failure,
    }
}

fn end_of_timestamp(table: &HeartbeatTable) -> Failure {
    Failure::new(
        ErrorKind::ColumnType,
        "the server's clock is at the end of the range of timestamp (2038-01-19): last_update cannot hold a later time",
    )
    .with_remedy(
        Remedy::sql(format!(
            "SET time_zone = '+00:00'; ALTER TABLE {} MODIFY last_update datetime NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE \
             CURRENT_TIMESTAMP;",
            table_of(table)
        ))
        .note("requires a server that knows later times: MySQL from 8.0.28, MariaDB from 11.5"),
    )
}

/// A table with a trigger. The trigger's statements overwrite the number. The trigger may also have restored the old
/// value, and the server counts that as a matched row. So the row is read.
async fn behind_a_trigger(
    opened: &mut Opened,
    table: &HeartbeatTable,
    matched: u64,
    deadline: Instant,
) -> Result<RowReport, Failure> {
    let before = match opened.last_look {
        Some(last) => last.value,
        // The value before this write is unknown. A second write must change the value that the row has now.
        None => {
            let (before, _) = look(opened, table).await?;
            opened.limits.keep_within(&mut opened.connection, deadline).await?;
            let again = statement(table, Writing::Always, &opened.capabilities, &opened.application_name);
            query::execute(&mut opened.connection, again).await?;
            before.value
        }
    };
    let (after, _) = look(opened, table).await?;
    let changed = if after.value == before { 0 } else { matched };
    Ok(RowReport { seen: matched, changed, stale: true, previous: before, ..after })
}

/// The statement matched no row: the row is missing, or a guard did not hold.
async fn why_nothing(opened: &mut Opened, table: &HeartbeatTable) -> Result<RowReport, Failure> {
    let (report, role) = look(opened, table).await?;
    if !role.takes_writes() {
        return Err(Failure::new(ErrorKind::NotWritable, "the server became read-only"));
    }
    if report.seen == 0 {
        return Ok(report);
    }
    let sql = "SELECT @@session.sql_log_bin AS logged, @@session.autocommit AS committed".to_owned();
    let row = query::send_for_row(&mut opened.connection, sql).await?;
    if query::number(&row, "logged")? == Some(0) {
        let message = "this session's sql_log_bin is off: nothing it writes would reach the binary log";
        return Err(Failure::new(ErrorKind::Settings, message));
    }
    if query::number(&row, "committed")? == Some(0) {
        let message = "this session's autocommit is off: nothing it writes would be committed";
        return Err(Failure::new(ErrorKind::Settings, message));
    }
    if let Some(replicated) = opened.capabilities.node.replicated_sql() {
        let sql = format!("SELECT {replicated} AS replicated, @@session.wsrep_on AS own");
        let row = query::send_for_row(&mut opened.connection, sql).await?;
        if query::number(&row, "replicated")? == Some(0) {
            let whose = if query::number(&row, "own")? == Some(0) { "this session's" } else { "the node's" };
            return Err(opened.capabilities.node.kept_to_itself(whose));
        }
    }
    // The cause has passed: the next try may succeed.
    Err(Failure::new(ErrorKind::Conflict, "the server was read-only, or the row away, for a moment"))
}

/// The type is read at connect. For a table that was created later it is read now.
async fn must_hold_a_time(opened: &mut Opened, table: &HeartbeatTable) -> Result<(), Failure> {
    if opened.last_update_type.is_none() {
        let rows = query::send(&mut opened.connection, column_type_sql(table)).await?;
        opened.last_update_type = rows.first().map(|row| query::text(row, 0)).transpose()?.flatten();
    }
    match &opened.last_update_type {
        Some(kind) if columns::holds(kind) != Holds::Time => Err(Failure::new(
            ErrorKind::ColumnType,
            format!("the column last_update is of type {kind}, which holds no time"),
        )),
        // Without the column, the server's own error says best what is missing.
        _ => Ok(()),
    }
}

/// The number for "read-only" means a replica or a setting of transactions. The server is asked which.
async fn with_the_reason(opened: &mut Opened, failure: Failure) -> Failure {
    let sql = format!("SELECT {}", opened.capabilities.role_sql());
    match query::send_for_row(&mut opened.connection, sql).await.and_then(|row| opened.capabilities.role_of(&row)) {
        Ok(ServerRole::ReadOnly) => failure.with_kind(ErrorKind::ReadOnlySetting),
        _ => failure,
    }
}

/// If a node loses its cluster during a commit, the error has the number of a broken disk.
async fn out_of_the_cluster(opened: &mut Opened, failure: Failure) -> Failure {
    match opened.capabilities.node.must_be_in_its_cluster(&mut opened.connection).await {
        Err(state) if state.kind() == ErrorKind::Starting => failure.with_kind(ErrorKind::Starting),
        _ => failure,
    }
}

impl LastLook {
    /// Whether a later report has an older value than this one, or none: something set it back.
    fn is_ahead_of(self, report: &RowReport) -> bool {
        self.value.is_some_and(|value| [report.previous, report.value].iter().any(|later| *later < Some(value)))
    }
}

impl Found {
    /// Reads the number of an answer; `None` if the statement found no row.
    fn unpack(number: u64) -> Option<Self> {
        let number = i64::try_from(number).ok().filter(|number| *number >= CLOCK)?;
        let (now, rest) = (number / CLOCK, number % CLOCK);
        let previous = (rest & HAS_VALUE != 0).then_some(now + rest / VALUE - REACH);
        Some(Self { now, previous, stale: rest & 1 != 0 })
    }

    /// The SQL expression that packs it.
    fn packed_sql(stale: &str) -> String {
        let (low, high) = (-REACH, REACH - 1);
        format!(
            "{NOW} * {CLOCK} + COALESCE((LEAST(GREATEST({OLD} - {NOW}, {low}), {high}) + {REACH}) * {VALUE} + {HAS_VALUE}, 0) \
             + IF({stale}, 1, 0)"
        )
    }

    /// The value that the statement writes, by the same rule as [`statement`].
    fn next(self) -> i64 {
        match self.previous {
            Some(previous) if (self.now..=self.now + AHEAD).contains(&previous) => previous + 1,
            _ => self.now,
        }
    }

    fn report(self, matched: u64) -> RowReport {
        let previous = self.previous.map(seconds);
        RowReport {
            seen: matched.max(1),
            changed: matched,
            stale: self.stale,
            previous,
            value: if matched > 0 { Some(seconds(self.next())) } else { previous },
            // The clock is cut to whole seconds, so the middle of the second is the best guess.
            server_time: Some(Stamp(self.now * 1_000_000 + 500_000)),
            position: None,
        }
    }
}

fn seconds(seconds: i64) -> Stamp {
    Stamp(seconds.saturating_mul(1_000_000))
}

fn count(row: &MySqlRow, column: &str) -> Result<u64, Failure> {
    query::number(row, column).map(|count| count.unwrap_or_default().unsigned_abs())
}

/// One UPDATE. It contains the guards because a privileged account can write despite `read_only`, and because a session
/// without a binary log, or without commits, accepts every write. The row is judged under its lock, in its current
/// state.
///
/// An UPDATE that changes no value writes nothing to the binary log. So the new value is at least one second later than
/// the old one, regardless of the writer. A server that does not know such a late time turns it into NULL, and the row
/// then keeps its old value.
fn statement(table: &HeartbeatTable, writing: Writing, capabilities: &Capabilities, application_name: &str) -> String {
    let (name, row) = (table_of(table), table.row_number());
    let packed = Found::packed_sql(&stale_condition(writing));
    let writable = capabilities.writable_sql();
    let replicated =
        capabilities.node.replicated_sql().map_or(String::new(), |replicated| format!("AND {replicated} "));
    format!(
        "UPDATE /* {application_name} */ {name} SET last_update = \
         COALESCE(FROM_UNIXTIME(IF({OLD} BETWEEN {NOW} AND {NOW} + {AHEAD}, {OLD} + 1, {NOW})), last_update) WHERE id = {row} \
         AND {writable} AND @@sql_log_bin {replicated}AND @@autocommit AND LAST_INSERT_ID({packed}) % 2"
    )
}

fn look_sql(table: &HeartbeatTable, capabilities: &Capabilities) -> String {
    let (name, row) = (table_of(table), table.row_number());
    format!(
        "SELECT COUNT(*) AS seen, MAX({OLD}) AS previous, CAST(@@timestamp * 1000000 AS SIGNED) AS server_time, \
         {} FROM {name} WHERE id = {row}",
        capabilities.role_sql()
    )
}

/// When the row calls for a write: see `Writing::WhenStale`. A value about a whole zone offset away comes from a writer
/// in another time zone. Only its changes count.
fn stale_condition(writing: Writing) -> String {
    let Writing::WhenStale { last_seen, period } = writing else {
        return "TRUE".to_owned();
    };
    let unchanged = last_seen.map_or(String::new(), |stamp| format!("{OLD} = {} OR ", stamp.0.div_euclid(1_000_000)));
    let oldest = (period / 4 * 3).as_secs();
    let ZoneGuess { step, tolerance, furthest } = ZoneGuess::for_period(period);
    let (step, tolerance, furthest) = (step / 1_000_000, tolerance / 1_000_000, furthest / 1_000_000);
    let (nearest, beyond) = (step - tolerance, furthest + tolerance);
    let age = format!("({NOW} - {OLD})");
    // UNIX_TIMESTAMP turns an invalid date, such as one in the year zero, into NULL or 0.
    format!(
        "{OLD} IS NULL OR {unchanged}{age} NOT BETWEEN -{AHEAD} AND {oldest} AND NOT (\
         ABS({age}) BETWEEN {nearest} AND {beyond} AND \
         ABS(ABS({age}) - (ABS({age}) + {step} DIV 2) DIV {step} * {step}) <= {tolerance})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// The statement with words in place of its two long expressions.
    fn shown(writing: Writing) -> String {
        let sql = statement(&HeartbeatTable::default(), writing, &Capabilities::default(), "heartbeatd:here");
        sql.replace(OLD, "{old}").replace(NOW, "{now}")
    }

    #[test]
    fn the_beat_is_one_statement_that_writes_a_later_value_and_returns_what_it_found() {
        insta::assert_snapshot!(shown(Writing::Always), @r#"UPDATE /* heartbeatd:here */ `streamkap`.`streamkap_heartbeat` SET last_update = COALESCE(FROM_UNIXTIME(IF({old} BETWEEN {now} AND {now} + 5, {old} + 1, {now})), last_update) WHERE id = 1 AND TRUE AND @@sql_log_bin AND @@autocommit AND LAST_INSERT_ID({now} * 1073741824 + COALESCE((LEAST(GREATEST({old} - {now}, -134217728), 134217727) + 134217728) * 4 + 2, 0) + IF(TRUE, 1, 0)) % 2"#);
    }

    #[test]
    fn the_statement_that_writes_also_judges_whether_the_row_is_stale() {
        let writing = Writing::WhenStale { last_seen: Some(Stamp(17_000_000)), period: Duration::from_secs(60) };
        insta::assert_snapshot!(shown(writing), @r#"UPDATE /* heartbeatd:here */ `streamkap`.`streamkap_heartbeat` SET last_update = COALESCE(FROM_UNIXTIME(IF({old} BETWEEN {now} AND {now} + 5, {old} + 1, {now})), last_update) WHERE id = 1 AND TRUE AND @@sql_log_bin AND @@autocommit AND LAST_INSERT_ID({now} * 1073741824 + COALESCE((LEAST(GREATEST({old} - {now}, -134217728), 134217727) + 134217728) * 4 + 2, 0) + IF({old} IS NULL OR {old} = 17 OR ({now} - {old}) NOT BETWEEN -5 AND 45 AND NOT (ABS(({now} - {old})) BETWEEN 855 AND 50445 AND ABS(ABS(({now} - {old})) - (ABS(({now} - {old})) + 900 DIV 2) DIV 900 * 900) <= 45), 1, 0)) % 2"#);
    }

    #[test]
    fn an_observation_is_only_a_select() {
        let sql = look_sql(&HeartbeatTable::default(), &Capabilities::default());
        insta::assert_snapshot!(sql.replace(OLD, "{old}"), @r#"SELECT COUNT(*) AS seen, MAX({old}) AS previous, CAST(@@timestamp * 1000000 AS SIGNED) AS server_time, TRUE AS writable, 0 AS transaction_read_only FROM `streamkap`.`streamkap_heartbeat` WHERE id = 1"#);
    }

    #[test]
    fn names_are_quoted_everywhere() {
        let table = HeartbeatTable { schema: "a`b".to_owned(), table: "; drop table x".to_owned(), row: (-3).into() };
        for sql in [
            statement(&table, Writing::Always, &Capabilities::default(), ""),
            look_sql(&table, &Capabilities::default()),
        ] {
            assert!(sql.contains("`a``b`.`; drop table x` ") && sql.contains("WHERE id = -3"), "{sql}");
        }
    }

    /// Packs as the SQL does.
    fn pack(found: Found) -> u64 {
        let value = found
            .previous
            .map_or(0, |previous| ((previous - found.now).clamp(-REACH, REACH - 1) + REACH) * VALUE + HAS_VALUE);
        u64::try_from(found.now * CLOCK + value + i64::from(found.stale)).unwrap()
    }

    #[test]
    fn the_found_value_survives_packing_into_one_number() {
        let now = 1_790_000_000;
        for previous in [None, Some(now), Some(now - 60), Some(now + 3_600), Some(now - REACH), Some(now + REACH - 1)] {
            for stale in [false, true] {
                let found = Found { now, previous, stale };
                assert_eq!(Found::unpack(pack(found)), Some(found));
            }
        }
        let ancient = Found { now, previous: Some(0), stale: true };
        assert_eq!(Found::unpack(pack(ancient)).unwrap().previous, Some(now - REACH));
        let last = Found { now: (1 << 32) - 1, previous: Some(1 << 33), stale: true };
        assert!(i64::try_from(pack(last)).is_ok(), "it fits until 2106");
    }

    #[test]
    fn an_answer_that_did_not_read_the_row_is_refused() {
        assert_eq!(Found::unpack(0), None);
        assert_eq!(Found::unpack(u64::MAX), None);
    }

    #[test]
    fn the_new_value_differs_from_the_old_one_and_never_runs_ahead_of_the_clock() {
        let now = 1_790_000_000;
        let next = |previous| Found { now, previous, stale: true }.next();
        assert_eq!(next(None), now);
        assert_eq!(next(Some(now - 1)), now);
        assert_eq!(next(Some(now)), now + 1);
        assert_eq!(next(Some(now + AHEAD)), now + AHEAD + 1);
        assert_eq!(next(Some(now + AHEAD + 1)), now);
    }
}
