//! The beat: one transaction sent as one script, on SQLite's clock.

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::columns::{micros, micros_of};
use super::connect::lock_wait;
use super::errors;
use super::identifier::quote;
use super::message;
use crate::driver::{Observation, ServerRole};
use crate::heartbeat::{Failure, RowReport, Stamp, Writing, ZoneGuess};
use crate::target::HeartbeatTable;
use crate::time::clock::Instant;

/// SQLite's clock, in the text that the column holds: UTC, milliseconds.
const NOW_TEXT: &str = "strftime('%Y-%m-%d %H:%M:%f', 'now')";

/// Writes a beat, or only reads.
///
/// # Errors
/// SQLite's error, classified.
pub(super) async fn beat(
    connection: &mut SqliteConnection,
    table: &HeartbeatTable,
    writing: Writing,
    deadline: Instant,
) -> Result<RowReport, Failure> {
    let sql = format!("{}\n{}", lock_wait(deadline), statement(table, writing));
    let rows = match message::send(connection, sql).await {
        Ok(rows) => rows,
        Err(error) => return Err(errors::classify_with_catalog(error, connection, table).await),
    };
    // The first row is the answer of the PRAGMA.
    let [_, found, written @ ..] = rows.as_slice() else {
        return Err(Failure::new(crate::heartbeat::ErrorKind::Protocol, "SQLite answered the beat with no row"));
    };
    report(found, written).map_err(|error| errors::classify(error, None))
}

/// Reads the row.
///
/// # Errors
/// SQLite's error, classified.
pub(super) async fn observe(
    connection: &mut SqliteConnection,
    table: &HeartbeatTable,
    role: ServerRole,
    deadline: Instant,
) -> Result<Observation, Failure> {
    let seen = beat(connection, table, Writing::Never, deadline).await?;
    Ok(Observation { value: seen.value, rows: seen.seen, server_time: seen.server_time, role })
}

fn report(found: &SqliteRow, written: &[SqliteRow]) -> Result<RowReport, sqlx::Error> {
    let stamp = |row: &SqliteRow, column| row.try_get::<Option<i64>, _>(column).map(|micros| micros.map(Stamp));
    let previous = stamp(found, "previous")?;
    Ok(RowReport {
        seen: u64::try_from(found.try_get::<i64, _>("seen")?).unwrap_or(0),
        changed: written.len() as u64,
        stale: found.try_get::<Option<bool>, _>("stale")?.unwrap_or(false),
        previous,
        value: match written.first() {
            Some(row) => stamp(row, "value")?,
            None => previous,
        },
        server_time: stamp(found, "server_time")?,
        position: None,
    })
}

fn statement(table: &HeartbeatTable, writing: Writing) -> String {
    let (name, row) = (quote(&table.table), table.row_number());
    let (old, now) = (micros_of("last_update"), micros("'now'"));
    let stale = stale_condition(writing, &old, &now);
    let look = format!(
        "SELECT count(*) AS seen, max({old}) AS previous, max({stale}) AS stale, {now} AS server_time \
         FROM {name} WHERE id = {row};"
    );
    if writing == Writing::Never {
        return look;
    }
    // IMMEDIATE takes the lock before the read, so that no other writer comes between the read and the write.
    format!(
        "BEGIN IMMEDIATE;\n{look}\n\
         UPDATE {name} SET last_update = {NOW_TEXT} WHERE id = {row} AND ({stale}) RETURNING {old} AS value;\n\
         COMMIT;"
    )
}

/// The condition of `Writing::WhenStale`. A value about a whole zone offset away comes from a writer in another time
/// zone; only its change counts, not its age.
fn stale_condition(writing: Writing, old: &str, now: &str) -> String {
    let Writing::WhenStale { last_seen, period } = writing else {
        return "1".to_owned();
    };
    let unchanged = last_seen.map_or("0".to_owned(), |stamp| format!("({old}) = {}", stamp.0));
    let oldest = (period / 4 * 3).as_micros();
    let ZoneGuess { step, tolerance, furthest } = ZoneGuess::for_period(period);
    let age = format!("(({now}) - ({old}))");
    let other_zone = format!(
        "(abs({age}) BETWEEN {step} - {tolerance} AND {furthest} + {tolerance} \
         AND abs(abs({age}) - round(abs({age}) * 1.0 / {step}) * {step}) <= {tolerance})"
    );
    format!("({old}) IS NULL OR {unchanged} OR (NOT {other_zone} AND ({age} < 0 OR {age} > {oldest}))")
}
