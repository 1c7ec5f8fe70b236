//! The beat: one query message, one transaction, on the server's clock. Called by the session's `beat` and `observe`.

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::columns;
use super::connect::{ALL_DIGITS, Column, LastUpdate, Opened, column_type_sql, role_of};
use super::errors::{
    self, FEATURE_NOT_SUPPORTED, INSUFFICIENT_PRIVILEGE, OBJECT_NOT_IN_PREREQUISITE_STATE, READ_ONLY_SQL_TRANSACTION,
    UNDEFINED_FUNCTION, UNDEFINED_TABLE,
};
use super::identifier::{literal, quote};
use super::query::{self, ServerLimits};
use super::remedies;
use crate::driver::{Observation, ServerRole, SessionAccount};
use crate::heartbeat::{ErrorKind, Failure, RowReport, Stamp, Writing, ZoneGuess};
use crate::target::HeartbeatTable;
use crate::time::clock::Instant;

/// What the statement depends on, besides the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    /// Whether `last_update` is a `timestamptz`.
    with_zone: bool,
    /// How many decimal digits of a second it keeps.
    digits: u8,
    /// Whether to query the WAL position.
    position: bool,
}

/// Microseconds since 1970 by the server's clock. Not CURRENT_TIMESTAMP: it is taken before a wait for a lock, so two
/// writers would set the value back.
const NOW: &str = "(extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint";

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
    let shape = match shape(opened, table, deadline).await {
        Ok(shape) => shape,
        Err(failure) => return Err(columns::explain(&mut opened.connection, table, failure, deadline).await),
    };
    let failure = match run(&mut opened.connection, table, writing, shape, deadline).await {
        Ok(report) => return behind_a_policy(&mut opened.connection, table, writing, report, deadline).await,
        Err(failure) => failure,
    };
    match failure.code() {
        // The errors of a server that has no position to report: never, not now, or no such function.
        Some(FEATURE_NOT_SUPPORTED | OBJECT_NOT_IN_PREREQUISITE_STATE | UNDEFINED_FUNCTION)
            if shape.position && writing != Writing::Never =>
        {
            let without = Shape { position: false, ..shape };
            match run(&mut opened.connection, table, writing, without, deadline).await {
                Ok(report) => {
                    opened.position = false;
                    Ok(report)
                }
                Err(failure) => Err(columns::explain(&mut opened.connection, table, failure, deadline).await),
            }
        }
        Some(UNDEFINED_TABLE) => Err(with_what_is_missing(&mut opened.connection, table, failure, deadline).await),
        Some(READ_ONLY_SQL_TRANSACTION) => Err(with_the_reason(&mut opened.connection, failure, deadline).await),
        Some(INSUFFICIENT_PRIVILEGE) => {
            let failure = columns::explain(&mut opened.connection, table, failure, deadline).await;
            Err(with_the_grant(&mut opened.connection, table, failure, deadline).await)
        }
        _ => Err(columns::explain(&mut opened.connection, table, failure, deadline).await),
    }
}

/// Reads the row and the server's role.
///
/// # Errors
/// The server's error, classified.
pub(super) async fn observe(
    connection: &mut PgConnection,
    table: &HeartbeatTable,
    deadline: Instant,
) -> Result<Observation, Failure> {
    let sql = format!(
        "{} SELECT look.*, {ROLE} FROM ({}) AS look",
        ServerLimits::until(deadline).sql(),
        look_sql(table, &micros("h.last_update"))
    );
    let row = query::send_for_row(connection, sql).await?;
    let read = || -> Result<_, sqlx::Error> {
        Ok(Observation {
            value: stamp(&row, "previous")?,
            rows: count(&row, "seen")?,
            server_time: stamp(&row, "server_time")?,
            role: read_role(&row)?,
        })
    };
    read().map_err(errors::classify)
}

async fn run(
    connection: &mut PgConnection,
    table: &HeartbeatTable,
    writing: Writing,
    shape: Shape,
    deadline: Instant,
) -> Result<RowReport, Failure> {
    let limits = ServerLimits::until(deadline).sql();
    // Otherwise the commit could wait without limit for a standby that is gone.
    let sql = format!("{limits} SET LOCAL synchronous_commit = local; {}", statement(table, writing, shape));
    let row = query::send_for_row(connection, sql).await?;
    report(&row, writing).map_err(errors::classify)
}

/// How `last_update` is written. The type is read at connect. For a table that was created later it is read now.
async fn shape(opened: &mut Opened, table: &HeartbeatTable, deadline: Instant) -> Result<Shape, Failure> {
    if opened.column.is_none() {
        let sql = format!("{} {}", ServerLimits::until(deadline).sql(), column_type_sql(&table.schema, &table.table));
        let rows = query::send(&mut opened.connection, sql).await?;
        let found: Option<String> = rows.first().map(|row| row.try_get(0)).transpose().map_err(errors::classify)?;
        opened.column = found.as_deref().map(LastUpdate::from_type);
    }
    // Without the column, the server's own error says best what is missing.
    let digits = opened.column.as_ref().map_or(ALL_DIGITS, |found| found.digits);
    let shape = Shape { with_zone: false, digits, position: opened.position };
    match opened.column.as_ref().map(|found| &found.column) {
        Some(Column::WithZone) => Ok(Shape { with_zone: true, ..shape }),
        Some(Column::WithoutZone) | None => Ok(shape),
        Some(Column::Other(found)) => Err(Failure::new(
            ErrorKind::ColumnType,
            format!("the column last_update is of type {found}, which holds no time"),
        )),
    }
}

/// The code for "read-only" means a standby or a setting. The server is asked which.
async fn with_the_reason(connection: &mut PgConnection, failure: Failure, deadline: Instant) -> Failure {
    let sql = format!("{} SELECT {ROLE}", ServerLimits::until(deadline).sql());
    match query::send_for_row(connection, sql).await.as_ref().map(read_role) {
        Ok(Ok(ServerRole::ReadOnly)) => failure.with_kind(ErrorKind::ReadOnlySetting),
        _ => failure,
    }
}

/// Row-level security hides a row, or keeps it from being updated, without an error. So the catalogue is queried if the
/// row was not seen, or was seen but not changed.
async fn behind_a_policy(
    connection: &mut PgConnection,
    table: &HeartbeatTable,
    writing: Writing,
    report: RowReport,
    deadline: Instant,
) -> Result<RowReport, Failure> {
    let (kind, message, command) = match (report.seen, report.changed) {
        (0, _) if writing != Writing::Never => (
            ErrorKind::MissingRow,
            "hides the row with the configured id from this user, or the row does not exist",
            "",
        ),
        (1, 0) if writing == Writing::Always => {
            (ErrorKind::RowNotUpdatable, "lets this user see the heartbeat row, and not update it", " FOR UPDATE")
        }
        _ => return Ok(report),
    };
    let sql = format!(
        "{} SELECT current_user::text AS session FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = \
         c.relnamespace WHERE n.nspname = {} AND c.relname = {} AND pg_catalog.row_security_active(c.oid)",
        ServerLimits::until(deadline).sql(),
        literal(&table.schema),
        literal(&table.table)
    );
    let asked = query::send_for_row(connection, sql).await;
    let Ok(Ok(user)) = asked.map(|row| row.try_get::<String, _>("session")) else { return Ok(report) };
    let remedy = remedies::policy(table, &user, command);
    let remedy = match kind {
        ErrorKind::MissingRow => {
            remedy.note("if the table's owner sees the row; if not, heartbeatd provision creates it")
        }
        _ => remedy,
    };
    Err(Failure::new(kind, format!("row-level security {message}")).with_remedy(remedy))
}

/// The session's user and database may differ from the address: a role may have `role` set, and a pooler maps both.
async fn with_the_grant(
    connection: &mut PgConnection,
    table: &HeartbeatTable,
    failure: Failure,
    deadline: Instant,
) -> Failure {
    if failure.remedy().is_some() {
        return failure;
    }
    match account(connection, deadline).await {
        Ok(SessionAccount { user, database: Some(database) }) => {
            failure.with_remedy(remedies::grants(&user, &database, table))
        }
        _ => failure,
    }
}

/// The user and the database of this session.
///
/// # Errors
/// The server's error, classified.
pub(super) async fn account(connection: &mut PgConnection, deadline: Instant) -> Result<SessionAccount, Failure> {
    let limits = ServerLimits::until(deadline).sql();
    let sql = format!("{limits} SELECT current_user::text AS session, pg_catalog.current_database()::text AS base");
    let row = query::send_for_row(connection, sql).await?;
    let read = || Ok(SessionAccount { user: row.try_get("session")?, database: row.try_get("base")? });
    read().map_err(errors::classify)
}

/// The error is the same for a missing table and for its missing schema. The catalogue shows which is missing.
async fn with_what_is_missing(
    connection: &mut PgConnection,
    table: &HeartbeatTable,
    failure: Failure,
    deadline: Instant,
) -> Failure {
    let (limits, name) = (ServerLimits::until(deadline).sql(), literal(&table.schema));
    let sql = format!("{limits} SELECT count(*) AS found FROM pg_catalog.pg_namespace WHERE nspname = {name}");
    match query::send_for_row(connection, sql).await.as_ref().map(|row| count(row, "found")) {
        Ok(Ok(0)) => failure.with_kind(ErrorKind::MissingSchema),
        _ => failure,
    }
}

const ROLE: &str = "pg_catalog.pg_is_in_recovery() AS in_recovery, \
                    pg_catalog.current_setting('transaction_read_only') = 'on' AS read_only";

fn read_role(row: &PgRow) -> Result<ServerRole, sqlx::Error> {
    Ok(role_of(row.try_get("in_recovery")?, row.try_get("read_only")?))
}

fn report(row: &PgRow, writing: Writing) -> Result<RowReport, sqlx::Error> {
    let (seen, previous, server_time) = (count(row, "seen")?, stamp(row, "previous")?, stamp(row, "server_time")?);
    if writing == Writing::Never {
        return Ok(RowReport { seen, previous, value: previous, server_time, ..RowReport::default() });
    }
    let changed = count(row, "changed")?;
    Ok(RowReport {
        seen,
        changed,
        stale: row.try_get::<Option<bool>, _>("stale")?.unwrap_or(false),
        previous,
        value: if changed > 0 { stamp(row, "value")? } else { previous },
        server_time,
        position: row.try_get("position")?,
    })
}

fn count(row: &PgRow, column: &str) -> Result<u64, sqlx::Error> {
    row.try_get::<i64, _>(column).map(i64::unsigned_abs)
}

fn stamp(row: &PgRow, column: &str) -> Result<Option<Stamp>, sqlx::Error> {
    row.try_get::<Option<i64>, _>(column).map(|micros| micros.map(Stamp))
}

/// One statement that separates a missing row (seen 0) from a row that cannot be written (seen 1, changed 0). Both
/// parts read the same snapshot. If another writer changed the row in between, the UPDATE judges it again by its new
/// value.
fn statement(table: &HeartbeatTable, writing: Writing, shape: Shape) -> String {
    let old = micros("h.last_update");
    if writing == Writing::Never {
        return look_sql(table, &old);
    }
    let (name, row) = (name_of(table), table.row_number());
    let stale = stale_condition(writing, &old);
    let now = new_value(shape);
    let only_stale = if writing == Writing::Always { String::new() } else { format!("\n  AND {stale}") };
    let position = if shape.position { "pg_catalog.pg_current_wal_insert_lsn()::text" } else { "NULL::text" };
    format!(
        "WITH seen AS (\n  SELECT {old} AS value, {stale} AS stale\n  FROM {name} AS h WHERE h.id = {row}\n), \
         beat AS (\n  UPDATE {name} AS h SET last_update = {now} WHERE h.id = {row}{only_stale}\n  \
         RETURNING {old} AS value, {position} AS position\n)\n\
         SELECT (SELECT count(*) FROM seen) AS seen, (SELECT max(value) FROM seen) AS previous, \
         (SELECT bool_or(stale) FROM seen) AS stale, (SELECT count(*) FROM beat) AS changed, \
         (SELECT max(value) FROM beat) AS value, (SELECT max(position) FROM beat) AS position, {NOW} AS server_time"
    )
}

/// The current time, as the column holds it. A column with fewer digits than the clock may already hold this value,
/// after a beat in the same second. Then the next possible value is written, because an UPDATE to the same value looks
/// like one that a trigger reverted.
fn new_value(shape: Shape) -> String {
    let (now, kind) = match shape.with_zone {
        true => ("pg_catalog.clock_timestamp()", "timestamptz"),
        false => ("pg_catalog.clock_timestamp() AT TIME ZONE 'UTC'", "timestamp"),
    };
    let Some(missing) = ALL_DIGITS.checked_sub(shape.digits).filter(|missing| *missing > 0) else {
        return now.to_owned();
    };
    let (digits, step) = (shape.digits, 10_u32.saturating_pow(missing.into()));
    format!(
        "CASE WHEN h.last_update = ({now})::pg_catalog.{kind}({digits}) \
         THEN h.last_update + pg_catalog.make_interval(secs => {step} / 1000000.0) ELSE {now} END"
    )
}

fn look_sql(table: &HeartbeatTable, old: &str) -> String {
    let (name, row) = (name_of(table), table.row_number());
    format!("SELECT count(*) AS seen, max({old}) AS previous, {NOW} AS server_time FROM {name} AS h WHERE h.id = {row}")
}

fn name_of(table: &HeartbeatTable) -> String {
    format!("{}.{}", quote(&table.schema), quote(&table.table))
}

/// A column's value in microseconds since 1970. It may be of either time type; a value without a zone is read as UTC. A
/// value outside the range of numbers, such as infinity, becomes the nearest limit.
pub(super) fn micros(column: &str) -> String {
    format!(
        "CASE WHEN {column} >= '290000-01-01' THEN 9000000000000000000 \
         WHEN {column} = '-infinity' THEN -9000000000000000000 \
         ELSE (extract(epoch FROM {column}) * 1000000)::bigint END"
    )
}

/// When the row calls for a write: see `Writing::WhenStale`. A value about a whole zone offset away comes from a writer
/// in another time zone. Only its changes count.
fn stale_condition(writing: Writing, old: &str) -> String {
    let Writing::WhenStale { last_seen, period } = writing else {
        return "true".to_owned();
    };
    let unchanged = last_seen.map_or(String::new(), |stamp| format!("v.value = {} OR ", stamp.0));
    let oldest = (period / 4 * 3).as_micros();
    let ZoneGuess { step, tolerance, furthest } = ZoneGuess::for_period(period);
    let (nearest, beyond) = (step - tolerance, furthest + tolerance);
    // OFFSET 0 keeps the planner from inlining the inner parts, so the whole condition reads the clock once.
    format!(
        "(SELECT v.value IS NULL OR {unchanged}a.age NOT BETWEEN 0 AND {oldest} AND NOT (\
         abs(a.age) BETWEEN {nearest} AND {beyond} AND \
         abs(abs(a.age) - (abs(a.age) + {step} / 2) / {step} * {step}) <= {tolerance}) \
         FROM (SELECT {old} AS value OFFSET 0) AS v, LATERAL (SELECT {NOW} - v.value AS age OFFSET 0) AS a)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SHAPE: Shape = Shape { with_zone: false, digits: ALL_DIGITS, position: true };

    /// The statement with words in place of its two long expressions.
    fn shown(writing: Writing, shape: Shape) -> String {
        let sql = statement(&HeartbeatTable::default(), writing, shape);
        sql.replace(&micros("h.last_update"), "{old}").replace(NOW, "{now}")
    }

    #[test]
    fn the_beat_is_one_statement_that_returns_what_it_saw_and_what_it_changed() {
        insta::assert_snapshot!(shown(Writing::Always, SHAPE), @r#"
        WITH seen AS (
          SELECT {old} AS value, true AS stale
          FROM "streamkap"."streamkap_heartbeat" AS h WHERE h.id = 1
        ), beat AS (
          UPDATE "streamkap"."streamkap_heartbeat" AS h SET last_update = pg_catalog.clock_timestamp() AT TIME ZONE 'UTC' WHERE h.id = 1
          RETURNING {old} AS value, pg_catalog.pg_current_wal_insert_lsn()::text AS position
        )
        SELECT (SELECT count(*) FROM seen) AS seen, (SELECT max(value) FROM seen) AS previous, (SELECT bool_or(stale) FROM seen) AS stale, (SELECT count(*) FROM beat) AS changed, (SELECT max(value) FROM beat) AS value, (SELECT max(position) FROM beat) AS position, {now} AS server_time
        "#);
    }

    #[test]
    fn the_statement_that_writes_also_judges_whether_the_row_is_stale() {
        let writing = Writing::WhenStale { last_seen: Some(Stamp(17)), period: Duration::from_secs(60) };
        insta::assert_snapshot!(shown(writing, Shape { with_zone: true, position: false, ..SHAPE }), @r#"
        WITH seen AS (
          SELECT {old} AS value, (SELECT v.value IS NULL OR v.value = 17 OR a.age NOT BETWEEN 0 AND 45000000 AND NOT (abs(a.age) BETWEEN 855000000 AND 50445000000 AND abs(abs(a.age) - (abs(a.age) + 900000000 / 2) / 900000000 * 900000000) <= 45000000) FROM (SELECT {old} AS value OFFSET 0) AS v, LATERAL (SELECT {now} - v.value AS age OFFSET 0) AS a) AS stale
          FROM "streamkap"."streamkap_heartbeat" AS h WHERE h.id = 1
        ), beat AS (
          UPDATE "streamkap"."streamkap_heartbeat" AS h SET last_update = pg_catalog.clock_timestamp() WHERE h.id = 1
          AND (SELECT v.value IS NULL OR v.value = 17 OR a.age NOT BETWEEN 0 AND 45000000 AND NOT (abs(a.age) BETWEEN 855000000 AND 50445000000 AND abs(abs(a.age) - (abs(a.age) + 900000000 / 2) / 900000000 * 900000000) <= 45000000) FROM (SELECT {old} AS value OFFSET 0) AS v, LATERAL (SELECT {now} - v.value AS age OFFSET 0) AS a)
          RETURNING {old} AS value, NULL::text AS position
        )
        SELECT (SELECT count(*) FROM seen) AS seen, (SELECT max(value) FROM seen) AS previous, (SELECT bool_or(stale) FROM seen) AS stale, (SELECT count(*) FROM beat) AS changed, (SELECT max(value) FROM beat) AS value, (SELECT max(position) FROM beat) AS position, {now} AS server_time
        "#);
    }

    #[test]
    fn an_observation_is_only_a_select() {
        insta::assert_snapshot!(shown(Writing::Never, SHAPE), @r#"SELECT count(*) AS seen, max({old}) AS previous, {now} AS server_time FROM "streamkap"."streamkap_heartbeat" AS h WHERE h.id = 1"#);
    }

    #[test]
    fn a_column_that_keeps_fewer_digits_gets_a_new_value_at_every_beat() {
        for (name, column, digits) in [
            ("timestamp(0) without time zone", Column::WithoutZone, 0),
            ("timestamp(3) with time zone", Column::WithZone, 3),
            ("timestamp without time zone", Column::WithoutZone, 6),
            ("character varying(40)", Column::Other("character varying".to_owned()), 40),
        ] {
            assert_eq!(LastUpdate::from_type(name), LastUpdate { column, digits }, "{name}");
        }
        insta::assert_snapshot!(new_value(Shape { digits: 0, ..SHAPE }), @"CASE WHEN h.last_update = (pg_catalog.clock_timestamp() AT TIME ZONE 'UTC')::pg_catalog.timestamp(0) THEN h.last_update + pg_catalog.make_interval(secs => 1000000 / 1000000.0) ELSE pg_catalog.clock_timestamp() AT TIME ZONE 'UTC' END");
    }

    #[test]
    fn names_are_quoted_everywhere() {
        let table = HeartbeatTable { schema: "a\"b".to_owned(), table: "; drop table x".to_owned(), row: (-3).into() };
        for writing in [Writing::Always, Writing::Never] {
            let sql = statement(&table, writing, SHAPE);
            assert!(sql.contains("\"a\"\"b\".\"; drop table x\" AS h WHERE h.id = -3"), "{sql}");
        }
    }
}
