//! The beat: one batch, one packet each way, one transaction, on the server's clock. Called by the session's `beat` and
//! `observe`.

use std::time::Duration;

use tiberius::Row;

use super::connect::{Column, Opened, ROLE, column_sql, read_role};
use super::errors::{BABELFISH, INVALID_OBJECT};
use super::identifier::{literal, quote};
use super::query::{self, Limits, SqlClient};
use crate::driver::Observation;
use crate::heartbeat::{ErrorKind, Failure, RowReport, Stamp, Writing, ZoneGuess};
use crate::target::HeartbeatTable;
use crate::time::clock::Instant;

/// A value that lies further ahead of the server's clock is not followed by a greater one, in milliseconds.
const AHEAD: i64 = 5_000;

/// Beats, or looks.
///
/// # Errors
/// What the server says, classified; `column_type` where `last_update` cannot hold a time.
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

/// Looks at the row and at the server's role.
///
/// # Errors
/// What the server says, classified.
pub(super) async fn observe(
    opened: &mut Opened,
    table: &HeartbeatTable,
    deadline: Instant,
) -> Result<Observation, Failure> {
    let column = column_of(opened, table, deadline).await?;
    let sql = look(table, &column);
    let row = query::send_for_row(&mut opened.client, &sql, Limits::until(deadline), "seen").await;
    let read = |row: Row| {
        Ok(Observation {
            value: query::time(&row, "previous")?,
            rows: count(&row, "seen")?,
            server_time: query::time(&row, "server_time")?,
            role: read_role(&row)?,
        })
    };
    match row.and_then(read) {
        Ok(observation) => Ok(observation),
        Err(failure) => Err(explain(&mut opened.client, table, failure, deadline).await),
    }
}

/// The type of `last_update`. It is read at connect; a table that came later is looked up now. Without a column the
/// server's own error says best what is missing.
async fn column_of(opened: &mut Opened, table: &HeartbeatTable, deadline: Instant) -> Result<Column, Failure> {
    if opened.column.is_none() {
        let sql = format!("SELECT {};", column_sql(table));
        let row = query::send_for_row(&mut opened.client, &sql, Limits::until(deadline), "column_type").await?;
        opened.column = Column::read(&row)?;
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

/// A number says the same of a table that is missing, of its schema, and of one that is hidden; a lookalike has one number
/// for nearly everything: the catalogue is asked which.
async fn explain(client: &mut SqlClient, table: &HeartbeatTable, failure: Failure, deadline: Instant) -> Failure {
    if !failure.code().is_some_and(|code| [INVALID_OBJECT, BABELFISH].iter().any(|known| known.to_string() == code)) {
        return failure;
    }
    let name = format!("{}.{}", quote(&table.schema), quote(&table.table));
    let sql = format!(
        "IF @@TRANCOUNT > 0 ROLLBACK; SELECT SCHEMA_ID({}) AS schema_id, OBJECT_ID({}) AS table_id;",
        literal(&table.schema),
        literal(&name)
    );
    let row = query::send_for_row(client, &sql, Limits::until(deadline), "schema_id").await;
    let found = row.and_then(|row| Ok((query::number(&row, "schema_id")?, query::number(&row, "table_id")?)));
    match found {
        Ok((None, _)) => failure.with_kind(ErrorKind::MissingSchema),
        Ok((Some(_), None)) => failure.with_kind(ErrorKind::MissingTable),
        _ => failure,
    }
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

/// The one batch. The old value is read under the row's lock, and the clock after that: two writers never turn the value
/// back, and what is reported as the old value is what was replaced. The new one is read back: a trigger may have put
/// another in its place. A lookalike that takes no lock by UPDLOCK still writes
/// a stale row once only, as the UPDATE repeats the look.
fn batch(table: &HeartbeatTable, writing: Writing, column: &Column) -> String {
    if writing == Writing::Never {
        return look(table, column);
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

fn look(table: &HeartbeatTable, column: &Column) -> String {
    let (name, row, kind, old) = (name_of(table), table.row_number(), column.sql(), column.utc("@found"));
    format!(
        "DECLARE @found {kind}, @previous datetime2, @seen int;\n\
         SELECT @found = MAX(last_update), @seen = COUNT(*) FROM {name} WHERE id = {row};\n\
         SET @previous = {old};\n\
         SELECT @seen AS seen, 0 AS changed, 0 AS stale, @previous AS previous, @previous AS value, \
         SYSUTCDATETIME() AS server_time, {ROLE};"
    )
}

fn name_of(table: &HeartbeatTable) -> String {
    format!("{}.{}", quote(&table.schema), quote(&table.table))
}

/// The value's age in milliseconds. DATEDIFF overflows after 24 days of them: beyond, whole days are near enough.
const AGE: &str = "CASE WHEN DATEDIFF(day, @previous, @now) BETWEEN -20 AND 20 \
                   THEN CAST(DATEDIFF(millisecond, @previous, @now) AS bigint) \
                   ELSE CAST(DATEDIFF(day, @previous, @now) AS bigint) * 86400000 END";

/// When the row calls for a write: see `Writing::WhenStale`. A value about a whole zone offset away comes from a writer
/// that takes its local time for UTC, and is judged by change only.
fn stale_condition(writing: Writing) -> String {
    let Writing::WhenStale { last_seen, period } = writing else { return "1".to_owned() };
    let unchanged = last_seen.map_or(String::new(), |stamp| {
        // What is known of the value is cut to microseconds.
        let (from, to) = (timestamp(stamp), timestamp(Stamp(stamp.0.saturating_add(1))));
        format!("OR @previous >= '{from}' AND @previous < '{to}' ")
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

/// A moment as T-SQL reads it whatever the session's language is.
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
    fn the_beat_is_one_transaction_that_looks_under_the_rows_lock_and_takes_the_clock_after_it() {
        insta::assert_snapshot!(batch(&table(), Writing::Always, &Column::DateTime2(7)));
    }

    #[test]
    fn a_stale_row_is_judged_where_it_is_written() {
        let writing =
            Writing::WhenStale { last_seen: Some(Stamp(1_764_408_000_123_456)), period: Duration::from_secs(60) };
        insta::assert_snapshot!(batch(&table(), writing, &Column::DateTime));
    }

    #[test]
    fn looking_only_is_a_select() {
        insta::assert_snapshot!(batch(&table(), Writing::Never, &Column::DateTimeOffset(3)));
    }

    #[test]
    fn names_are_quoted_wherever_they_are() {
        let table = HeartbeatTable { schema: "a]b".to_owned(), table: "; drop table x".to_owned(), row: (-3).into() };
        for writing in [Writing::Always, Writing::Never] {
            let sql = batch(&table, writing, &Column::DateTime2(7));
            assert!(sql.contains("[a]]b].[; drop table x]") && sql.contains("WHERE id = -3"), "{sql}");
        }
    }
}
