//! The beat: one batch, one packet each way, one transaction, on the server's clock. The session's `beat` and `observe`
//! call it.

use std::time::Duration;

use tiberius::Row;

use super::columns;
use super::connect::{Column, Opened, ROLE, find_column, role_of};
use super::error_codes::{COLUMN_DENIED, INVALID_OBJECT, OBJECT_DENIED};
use super::facts;
use super::identifier::{literal, quote};
use super::query::{self, Limits, SqlClient};
use super::remedies::as_owner;
use crate::driver::answer::Answer;
use crate::driver::{Observation, SessionAccount};
use crate::heartbeat::{ErrorKind, Failure, RowReport, Stamp, Writing, ZoneGuess};
use crate::plan;
use crate::target::{HeartbeatTable, Target};
use crate::time::clock::Instant;

/// In milliseconds. An old value further ahead of the server's clock than this is replaced by the server's time instead
/// of a greater value.
const AHEAD: i64 = 5_000;

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
    let column = column_of(opened, table, deadline).await?;
    let limits = Limits::until(deadline);
    let row = query::send_for_row(&mut opened.client, &batch(table, writing, &column), limits, "seen").await;
    match row.and_then(|row| report(&row)) {
        Ok(report) => Ok(report),
        Err(failure) => Err(explain(&mut opened.client, table, failure, deadline).await),
    }
}

/// Reads the row and the server's role.
///
/// # Errors
/// The server's error, classified.
pub(super) async fn observe(
    opened: &mut Opened,
    table: &HeartbeatTable,
    deadline: Instant,
) -> Result<Observation, Failure> {
    let column = column_of(opened, table, deadline).await?;
    let sql = look(table, &column, opened.says_role);
    let row = query::send_for_row(&mut opened.client, &sql, Limits::until(deadline), "seen").await;
    let (says_role, role) = (opened.says_role, opened.server.role);
    let read = |row: Row| {
        let of_now = || Ok(role_of(query::text(&row, "updateability")?.as_deref(), query::flag(&row, "read_only")?));
        Ok(Observation {
            value: query::time(&row, "previous")?,
            rows: count(&row, "seen")?,
            server_time: query::time(&row, "server_time")?,
            role: if says_role { of_now()? } else { role },
        })
    };
    match row.and_then(read) {
        Ok(observation) => Ok(observation),
        Err(failure) => Err(explain(&mut opened.client, table, failure, deadline).await),
    }
}

/// The type of `last_update`. It is read at connect. For a table that was created later it is read now. Without the
/// column, the server's own error says best what is missing.
async fn column_of(opened: &mut Opened, table: &HeartbeatTable, deadline: Instant) -> Result<Column, Failure> {
    if opened.column.is_none() {
        opened.column = find_column(&mut opened.client, table, Limits::until(deadline)).await?;
    }
    match &opened.column {
        Some(Column::Other(found)) => Err(Failure::new(
            ErrorKind::ColumnType,
            format!("the column last_update is of type {found}, which holds no time to the second"),
        )),
        Some(column) => Ok(column.clone()),
        None => Ok(Column::DateTime2(7)),
    }
}

/// Error 208 is the same for a missing table, a missing schema and a hidden table. A lookalike has one number for
/// nearly every error. The catalogue shows the reason.
async fn explain(client: &mut SqlClient, table: &HeartbeatTable, failure: Failure, deadline: Instant) -> Failure {
    let is_unknown = failure.kind() == ErrorKind::Unknown;
    let Some(code) = failure.code() else { return failure };
    if !is_unknown && code != INVALID_OBJECT.to_string() {
        return failure;
    }
    let limits = Limits::until(deadline);
    let name = literal(&name_of(table));
    let mut expressions = vec![
        ("schema_id", format!("SCHEMA_ID({})", literal(&table.schema))),
        ("table_id", format!("OBJECT_ID({name})")),
    ];
    if is_unknown {
        expressions.push(("column_length", format!("COL_LENGTH({name}, N'last_update')")));
        expressions.push(("can_update", format!("HAS_PERMS_BY_NAME({name}, N'OBJECT', N'UPDATE')")));
    }
    // A lookalike may keep the failed transaction open and answer nothing in it.
    let _ = query::send(client, "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION;", limits).await;
    let Ok(found) = query::values(client, &expressions, limits).await else { return failure };
    let is_null = |name| found.refusal(name).is_none() && matches!(found.number(name), Ok(None));
    if is_null("schema_id") {
        failure.with_kind(ErrorKind::MissingSchema)
    } else if is_null("table_id") {
        failure.with_kind(ErrorKind::MissingTable)
    } else if is_unknown && is_null("column_length") {
        failure.with_kind(ErrorKind::MissingColumn)
    } else if is_unknown && matches!(found.number("can_update"), Ok(Some(0))) {
        failure.with_kind(ErrorKind::Privilege)
    } else {
        failure
    }
}

/// Whether a failure has one of these numbers.
fn is(failure: &Failure, numbers: &[u32]) -> bool {
    failure.code().is_some_and(|code| numbers.iter().any(|known| known.to_string() == code))
}

/// Adds the next step if the catalogue shows more than the failure says: which column is wrong, or who this session's
/// user is. That user may differ from the one in the address.
pub(super) async fn with_remedy(
    client: &mut SqlClient,
    target: &Target,
    failure: Failure,
    deadline: Instant,
) -> Failure {
    match failure.kind() {
        ErrorKind::MissingColumn | ErrorKind::ColumnType => {
            let Ok(Answer::Seen(table)) = facts::table(client, target, Limits::until(deadline)).await else {
                return failure;
            };
            let faults = columns::faults(&table, false);
            let mend = columns::mend(target, &name_of(&target.heartbeat), &table, &faults);
            plan::columns::explain(failure, &faults, mend)
        }
        ErrorKind::Privilege if is(&failure, &[OBJECT_DENIED, COLUMN_DENIED]) => {
            match account(client, deadline).await {
                Ok(account) => {
                    let (table, user) = (name_of(&target.heartbeat), quote(&account.user));
                    let grant = format!("GRANT SELECT, INSERT, UPDATE ON OBJECT::{table} TO {user};");
                    failure.with_remedy(as_owner(target, grant))
                }
                Err(_) => failure,
            }
        }
        _ => failure,
    }
}

/// This session's user in its database. It may have another name than the login; an owner is dbo.
///
/// # Errors
/// The server's error, classified.
pub(super) async fn account(client: &mut SqlClient, deadline: Instant) -> Result<SessionAccount, Failure> {
    let sql = "SELECT CONVERT(nvarchar(128), USER_NAME()) AS session_user_name, \
               CONVERT(nvarchar(128), DB_NAME()) AS session_database;";
    let row = query::send_for_row(client, sql, Limits::until(deadline), "session_user_name").await?;
    let user = query::text(&row, "session_user_name")?.unwrap_or_default();
    Ok(SessionAccount { user, database: query::text(&row, "session_database")? })
}

fn report(row: &Row) -> Result<RowReport, Failure> {
    Ok(RowReport {
        seen: count(row, "seen")?,
        changed: count(row, "changed")?,
        stale: query::flag(row, "stale")?,
        previous: query::time(row, "previous")?,
        value: query::time(row, "value")?,
        server_time: query::time(row, "server_time")?,
        position: None,
    })
}

fn count(row: &Row, column: &str) -> Result<u64, Failure> {
    Ok(query::number(row, column)?.unwrap_or_default().unsigned_abs())
}

/// The one batch. It reads the old value under the row's lock, and the clock after that. So two writers never set the
/// value back, and the reported old value is the one that was replaced. It reads the new value again, because a trigger
/// may have replaced it. If a lookalike ignores UPDLOCK, a stale row is still written only once, because the UPDATE
/// checks the old value again.
fn batch(table: &HeartbeatTable, writing: Writing, column: &Column) -> String {
    if writing == Writing::Never {
        return look(table, column, false);
    }
    let (name, row, kind) = (name_of(table), table.row_number(), column.sql());
    let stale = stale_condition(writing);
    let only_stale = match writing {
        Writing::Always => "",
        _ => " AND @stale = 1 AND (last_update = @found OR last_update IS NULL AND @found IS NULL)",
    };
    let (old, new) = (column.utc("@found"), column.utc("@written"));
    let (unit, count) = column.step();
    format!(
        "DECLARE @found {kind}, @written {kind}, @previous datetime2, @now datetime2, @age bigint, @stale int, @seen int, \
         @changed int;\n\
         BEGIN TRANSACTION;\n\
         SELECT @found = MAX(last_update), @seen = COUNT(*) FROM {name} WITH (UPDLOCK, ROWLOCK) WHERE id = {row};\n\
         SELECT @previous = {old}, @now = SYSUTCDATETIME();\n\
         SET @age = {AGE};\n\
         SET @stale = {stale};\n\
         SET @written = @now;\n\
         SET @written = CASE WHEN {new} <= @previous AND @age >= -{AHEAD} THEN DATEADD({unit}, {count}, @found) \
         ELSE @written END;\n\
         UPDATE {name} SET last_update = @written WHERE id = {row}{only_stale};\n\
         SET @changed = @@ROWCOUNT;\n\
         SELECT @found = MAX(last_update) FROM {name} WHERE id = {row};\n\
         COMMIT TRANSACTION;\n\
         SELECT @seen AS seen, @changed AS changed, @stale AS stale, @previous AS previous, \
         {old} AS value, @now AS server_time;"
    )
}

/// Reads the row, and the server's role if the server answers the query for it.
fn look(table: &HeartbeatTable, column: &Column, with_role: bool) -> String {
    let role: String = ROLE.iter().map(|(name, expression)| format!(", {expression} AS {name}")).collect();
    let role = if with_role { role.as_str() } else { "" };
    let (name, row, kind, old) = (name_of(table), table.row_number(), column.sql(), column.utc("@found"));
    format!(
        "DECLARE @found {kind}, @previous datetime2, @seen int;\n\
         SELECT @found = MAX(last_update), @seen = COUNT(*) FROM {name} WHERE id = {row};\n\
         SET @previous = {old};\n\
         SELECT @seen AS seen, 0 AS changed, 0 AS stale, @previous AS previous, @previous AS value, \
         SYSUTCDATETIME() AS server_time{role};"
    )
}

fn name_of(table: &HeartbeatTable) -> String {
    format!("{}.{}", quote(&table.schema), quote(&table.table))
}

/// The value's age in milliseconds. DATEDIFF overflows after 24 days of milliseconds, so greater ages are counted in
/// whole days.
const AGE: &str = "CASE WHEN DATEDIFF(day, @previous, @now) BETWEEN -20 AND 20 \
                   THEN CAST(DATEDIFF(millisecond, @previous, @now) AS bigint) \
                   ELSE CAST(DATEDIFF(day, @previous, @now) AS bigint) * 86400000 END";

/// When the row calls for a write: see `Writing::WhenStale`. A value about a whole zone offset away comes from a writer
/// that uses its local time as UTC. Only its changes count.
fn stale_condition(writing: Writing) -> String {
    let Writing::WhenStale { last_seen, period } = writing else { return "1".to_owned() };
    let unchanged = last_seen.map_or(String::new(), |stamp| {
        // The value of the last look was cut to microseconds.
        let (from, to) = (timestamp(stamp), timestamp(Stamp(stamp.0.saturating_add(1))));
        format!("OR @previous >= CAST('{from}' AS datetime2) AND @previous < CAST('{to}' AS datetime2) ")
    });
    let oldest = millis(period / 4 * 3);
    let ZoneGuess { step, tolerance, furthest } = ZoneGuess::for_period(period);
    let [step, tolerance, furthest] = [step, tolerance, furthest].map(|micros| micros / 1_000);
    let (nearest, beyond) = (step - tolerance, furthest + tolerance);
    format!(
        "CASE WHEN @previous IS NULL {unchanged}OR NOT @age BETWEEN -{AHEAD} AND {oldest} AND NOT (\
         ABS(@age) BETWEEN {nearest} AND {beyond} AND \
         (ABS(@age) % {step} <= {tolerance} OR ABS(@age) % {step} >= {nearest})) THEN 1 ELSE 0 END"
    )
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A time in a form that T-SQL reads the same in every session language.
fn timestamp(stamp: Stamp) -> String {
    let time = chrono::DateTime::from_timestamp_micros(stamp.0).unwrap_or_default();
    time.format("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> HeartbeatTable {
        HeartbeatTable::default()
    }

    #[test]
    fn the_beat_is_one_transaction_that_reads_the_row_under_its_lock_and_then_the_clock() {
        insta::assert_snapshot!(batch(&table(), Writing::Always, &Column::DateTime2(7)));
    }

    #[test]
    fn the_statement_that_writes_also_judges_whether_the_row_is_stale() {
        let writing =
            Writing::WhenStale { last_seen: Some(Stamp(1_764_408_000_123_456)), period: Duration::from_secs(60) };
        insta::assert_snapshot!(batch(&table(), writing, &Column::DateTime));
    }

    #[test]
    fn an_observation_is_only_a_select() {
        insta::assert_snapshot!(look(&table(), &Column::DateTimeOffset(3), true));
        assert!(!batch(&table(), Writing::Never, &Column::DateTimeOffset(3)).contains("DATABASEPROPERTYEX"));
    }

    #[test]
    fn names_are_quoted_everywhere() {
        let table = HeartbeatTable { schema: "a]b".to_owned(), table: "; drop table x".to_owned(), row: (-3).into() };
        for writing in [Writing::Always, Writing::Never] {
            let sql = batch(&table, writing, &Column::DateTime2(7));
            assert!(sql.contains("[a]]b].[; drop table x]") && sql.contains("WHERE id = -3"), "{sql}");
        }
    }
}
