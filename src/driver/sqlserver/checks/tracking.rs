//! Whether change data capture copies the beat from the log into the change table that the connector reads.

use std::time::Duration;

use super::connector::instance_of;
use super::evidence::{CATALOGUE, Evidence, with};
use super::row::rows_of;
use crate::driver::sqlserver::error_codes::{CAPTURE_METADATA, NO_OWNER};
use crate::driver::sqlserver::facts::{self, AZURE_DATABASE, CaptureInstance, CdcError, DatabaseFacts};
use crate::driver::sqlserver::family::capture_instance_of;
use crate::driver::sqlserver::identifier::{literal, quote};
use crate::driver::sqlserver::remedies;
use crate::finding::{Check, Finding, Rung, Severity};
use crate::remedy::Remedy;
use crate::time::ticks::longest_period;
use crate::time::words;

const PAGE: &str = "https://learn.microsoft.com/en-us/sql/relational-databases/track-changes/\
                    about-change-data-capture-sql-server";
const CDC_SCHEMA: &str = "SELECT on the schema cdc (or db_owner)";
const STATE: &str = "VIEW DATABASE STATE (from 2022 on: VIEW DATABASE PERFORMANCE STATE)";

const DATABASE: Check = Check {
    id: "cdc-database",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "change data capture is on in the database",
    meaning: "Without it no table is tracked, and the connector has nothing to read. A restore or a rename may switch it off.",
    judged: "sys.databases.is_cdc_enabled: fails if it is 0. The finding says so if the server is not SQL Server \
             (SERVERPROPERTY, @@VERSION) or has no sys.sp_cdc_enable_table.",
    privilege: "a login with a user in the database",
    source: PAGE,
};
const TRACKED: Check = Check {
    id: "cdc-table",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "change data capture tracks the heartbeat table",
    meaning: "A beat on a table that is not tracked is written, and never reaches the connector. The script on the vendor's \
              older page misspells the table's name, and stops there with error 22931.",
    judged: "sys.tables.is_tracked_by_cdc of this very table, by its object id: fails if it is 0.",
    privilege: "a login with a user in the database, and any privilege on the table",
    source: "vendor page on heartbeats, SQL Server: is_tracked_by_cdc",
};
const OTHERS: Check = Check {
    id: "cdc-tables",
    severity: Severity::Warning,
    rung: Rung::Tracking,
    title: "change data capture tracks more than the heartbeat table",
    meaning: "After a restore, or after change data capture was switched off and on again, no table is tracked. If only the \
              heartbeat table is tracked again, every other check passes, and the connector receives nothing but heartbeats.",
    judged: "cdc.change_tables: fails if the heartbeat table is the only one in it.",
    privilege: "SELECT on the schema cdc",
    source: PAGE,
};
const COLUMNS: Check = Check {
    id: "capture-columns",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "the capture instance captures last_update",
    meaning: "A capture instance captures a list of columns, by default those that the table had when the instance \
              was created. Without last_update it captures no change of a beat.",
    judged: "cdc.captured_columns of the instance of the connector: fails if last_update or id is missing, or if the \
             configured instance is. Without capture_instance, the first of the table's instances.",
    privilege: "SELECT on the schema cdc",
    source: "https://learn.microsoft.com/en-us/sql/relational-databases/system-tables/cdc-captured-columns-transact-sql",
};
const LATENCY: Check = Check {
    id: "capture-latency",
    severity: Severity::Warning,
    rung: Rung::Movement,
    title: "the capture job has read the newest beats",
    meaning: "The capture job copies beats from the log into the change table. The connector cannot see what the job \
              has not read, and the log cannot be truncated. How far the connector itself has read is not visible on \
              the server.",
    judged: "The newest time in cdc.lsn_time_mapping, made UTC by the server's own offset, against last_update: fails when it \
             is behind by more than two periods and a minute.",
    privilege: "SELECT on the schema cdc",
    source: "https://learn.microsoft.com/en-us/sql/relational-databases/system-tables/cdc-lsn-time-mapping-transact-sql",
};
const ERRORS: Check = Check {
    id: "capture-errors",
    severity: Severity::Warning,
    rung: Rung::Movement,
    title: "the capture job had no error in the last day",
    meaning: "After an error the capture job starts again. Until it succeeds, it copies no changes.",
    judged: "sys.dm_cdc_errors: fails if the newest entry is less than a day old. The view is empty after a restart.",
    privilege: "VIEW DATABASE STATE; from 2022 on VIEW DATABASE PERFORMANCE STATE",
    source: "https://learn.microsoft.com/en-us/sql/relational-databases/system-dynamic-management-views/\
             change-data-capture-sys-dm-cdc-errors",
};
const LOG: Check = Check {
    id: "log-reuse",
    severity: Severity::Warning,
    rung: Rung::Resource,
    title: "change data capture does not prevent the log's truncation",
    meaning: "The log keeps everything that the capture job has not read, in every recovery model, until it is full (error \
              9002); then no session can write.",
    judged: "sys.databases.log_reuse_wait_desc: fails if it is REPLICATION. It may be so for a moment on a busy server.",
    privilege: "a login with a user in the database",
    source: "https://learn.microsoft.com/en-us/sql/relational-databases/logs/the-transaction-log-sql-server",
};

pub(super) const CHECKS: &[Check] = &[DATABASE, TRACKED, OTHERS, COLUMNS, LATENCY, ERRORS, LOG];

/// Added to two periods: the capture job polls every five seconds, Azure's scheduler every twenty.
const SLACK: Duration = Duration::from_secs(60);
/// The server refuses a third one (error 22962).
const MOST_INSTANCES: usize = 2;
/// An older error is ignored.
const OF_LATE: Duration = Duration::from_secs(86_400);

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    vec![
        database(evidence),
        tracked(evidence),
        others(evidence),
        columns(evidence),
        latency(evidence),
        errors(evidence),
        log(evidence),
    ]
}

fn database(evidence: &Evidence<'_>) -> Finding {
    let (subject, server) = (&evidence.facts.server.database, &evidence.facts.server);
    let is_on = evidence.facts.database.answer().is_some_and(|database| database.cdc);
    if let Some(name) = server.lookalike().filter(|_| !is_on) {
        let remedy = match server.babelfish {
            true => "let the connector read PostgreSQL: use PostgreSQL's own port, and heartbeatd's PostgreSQL driver",
            false => "let the connector read the database behind it, by that database's own protocol",
        };
        let observed = format!("{name} has no change data capture");
        return DATABASE.failed(subject, observed).expected("SQL Server").remedy(remedy);
    }
    if !is_on && server.cdc_procedures == Some(false) && evidence.facts.database.answer().is_some() {
        return DATABASE
            .failed(subject, "it is off, and the server has no procedure that switches it on (sys.sp_cdc_enable_db)")
            .expected("SQL Server")
            .remedy("find out what server this is: a lookalike of SQL Server has no change data capture");
    }
    with(&DATABASE, subject, &evidence.facts.database, CATALOGUE, |database| match database.cdc {
        true => DATABASE.ok(subject, "it is on"),
        false => {
            DATABASE.failed(subject, "it is off").expected("is_cdc_enabled = 1").remedy(match server.engine_edition {
                _ if server.rds => {
                    remedies::as_administrator(format!("EXEC msdb.dbo.rds_cdc_enable_db {};", literal(subject)))
                }
                AZURE_DATABASE => evidence.as_owner("EXEC sys.sp_cdc_enable_db;"),
                _ => remedies::look(evidence.target, "EXEC sys.sp_cdc_enable_db;").note("as sysadmin"),
            })
        }
    })
}

/// Judges if CDC is on in the database. If it is off, another check reports that.
fn with_cdc(evidence: &Evidence<'_>, check: &Check, judge: impl FnOnce(&DatabaseFacts) -> Finding) -> Finding {
    let subject = &evidence.names.table;
    with(check, subject, &evidence.facts.database, CATALOGUE, |database| match database.cdc {
        true => judge(database),
        false => check.skipped(subject, "change data capture is off in the database, which comes first"),
    })
}

fn tracked(evidence: &Evidence<'_>) -> Finding {
    let name = &evidence.names.table;
    with_cdc(evidence, &TRACKED, |_| {
        evidence.with_part(&TRACKED, facts::TRACKED, |table| match table.tracked {
            true => TRACKED.ok(name, "it is tracked"),
            false => TRACKED
                .failed(name, "it is not tracked")
                .expected("is_tracked_by_cdc = 1")
                .remedy(evidence.provision().note("requires a member of db_owner")),
        })
    })
}

fn others(evidence: &Evidence<'_>) -> Finding {
    let subject = &evidence.facts.server.database;
    if !evidence.facts.table.answer().is_some_and(|table| table.tracked) {
        return OTHERS.skipped(subject, "the heartbeat table is not tracked, which comes first");
    }
    let Some(tables) = &evidence.facts.tracked_tables else {
        return OTHERS.skipped(subject, "the saved facts do not say how many tables are tracked");
    };
    with(&OTHERS, subject, tables, CDC_SCHEMA, |tables| match tables {
        0 | 1 => OTHERS
            .failed(subject, format!("{} is the only tracked table", evidence.names.table))
            .expected("every table that the connector captures")
            .remedy("track every table that the connector captures, with sys.sp_cdc_enable_table"),
        tables => OTHERS.ok(subject, format!("{tables} tables")),
    })
}

fn columns(evidence: &Evidence<'_>) -> Finding {
    let name = &evidence.names.table;
    if !evidence.facts.table.answer().is_some_and(|table| table.tracked) {
        return COLUMNS.skipped(name, "the table is not tracked, which comes first");
    }
    let Some(instances) = &evidence.facts.instances else {
        return COLUMNS.skipped(name, "change data capture is off in the database, which comes first");
    };
    with(&COLUMNS, name, instances, CDC_SCHEMA, |instances| {
        let Some(instance) = instance_of(evidence, instances) else {
            let wanted = capture_instance_of(evidence.target);
            if !wanted.configured {
                return COLUMNS.unknown(name, format!("its capture instance is hidden; requires {CDC_SCHEMA}"));
            }
            let found = instances.iter().map(|instance| instance.name.as_str()).collect::<Vec<_>>().join(", ");
            return COLUMNS
                .failed(name, format!("its capture instances are: {found}"))
                .expected(&wanted.name)
                .remedy("set capture_instance under [target.connector] to the one that the connector reads");
        };
        captures(evidence, instance, instances.len())
    })
}

fn captures(evidence: &Evidence<'_>, instance: &CaptureInstance, count: usize) -> Finding {
    let has = |column: &str| instance.columns.iter().any(|known| known.eq_ignore_ascii_case(column));
    let missing: Vec<&str> = ["id", "last_update"].into_iter().filter(|column| !has(column)).collect();
    if missing.is_empty() {
        return COLUMNS.ok(&instance.name, instance.columns.join(", "));
    }
    let failed =
        COLUMNS.failed(&instance.name, format!("it captures no {}", missing.join(", no "))).expected("id, last_update");
    if count >= MOST_INSTANCES {
        return failed.remedy(
            "let the connector read the table's other capture instance, or make room for a new one: a table has two at most, \
             and one that no connector reads may go (sys.sp_cdc_disable_table)",
        );
    }
    let heartbeat = &evidence.target.heartbeat;
    let second = format!(
        "EXEC sys.sp_cdc_enable_table @source_schema = {}, @source_name = {}, @role_name = {}, @capture_instance = {}, \
         @supports_net_changes = 0;",
        literal(&heartbeat.schema),
        literal(&heartbeat.table),
        instance.role.as_deref().map_or_else(|| "NULL".to_owned(), literal),
        literal(&format!("{}_2", instance.name)),
    );
    failed.remedy(evidence.as_owner(second).note("creates a second instance: let the connector change over to it"))
}

fn latency(evidence: &Evidence<'_>) -> Finding {
    let name = &evidence.names.table;
    let Some(captured) = &evidence.facts.captured else {
        return LATENCY.skipped(name, "change data capture is off in the database, which comes first");
    };
    if !evidence.facts.table.answer().is_some_and(|table| table.tracked) {
        return LATENCY.skipped(name, "the table is not tracked, which comes first");
    }
    let Some(written) = rows_of(&evidence.facts).and_then(|rows| rows.last_update) else {
        return LATENCY.skipped(name, "there is no beat to compare with");
    };
    let limit = longest_period(&evidence.target.schedule, evidence.case.now.taken_at) * 2 + SLACK;
    let remedy = look_at_capture(evidence);
    with(&LATENCY, name, captured, CDC_SCHEMA, |captured| {
        let Some(until) = captured.until else {
            return LATENCY.failed(name, "nothing was ever captured").expected("the newest beat").remedy(remedy);
        };
        let behind = Duration::from_micros(u64::try_from(written.saturating_sub(until)).unwrap_or(0));
        let observed = match behind.is_zero() {
            true => "captured up to the newest beat".to_owned(),
            false => format!("captured up to {} before the newest beat", words(behind)),
        };
        match behind <= limit {
            true => LATENCY.ok(name, observed),
            false => LATENCY.failed(name, observed).expected(format!("at most {} behind", words(limit))).remedy(remedy),
        }
    })
}

/// Starts the capture job. Azure SQL Database has no job, so the remedy shows what its scheduler did.
fn look_at_capture(evidence: &Evidence<'_>) -> Remedy {
    let scans = "SELECT TOP (10) session_id, start_time, end_time, error_count, latency FROM sys.dm_cdc_log_scan_sessions \
                 ORDER BY start_time DESC;";
    match evidence.facts.server.engine_edition {
        AZURE_DATABASE => remedies::look(evidence.target, scans)
            .note("shows what Azure's scheduler did; requires VIEW DATABASE STATE"),
        _ => Remedy::advice("check that SQL Server Agent runs").then_run(
            evidence.as_owner("EXEC sys.sp_cdc_start_job;").note("the server refuses it if the job runs already"),
        ),
    }
}

/// The remedy for an error of the capture job.
fn mend_error(evidence: &Evidence<'_>, error: &CdcError) -> Remedy {
    let database = &evidence.facts.server.database;
    match u32::try_from(error.number) {
        Ok(NO_OWNER) => remedies::as_administrator(format!(
            "SELECT name, SUSER_SNAME(owner_sid) AS owner FROM sys.databases WHERE name = {};",
            literal(database)
        ))
        .note(format!(
            "if the owner is NULL, give it to a login: ALTER AUTHORIZATION ON DATABASE::{} TO …",
            quote(database)
        )),
        Ok(number) if CAPTURE_METADATA.contains(&number) => remedies::look(
            evidence.target,
            "SELECT TOP (10) entry_time, error_number, error_message FROM sys.dm_cdc_errors ORDER BY entry_time DESC;",
        )
        .note("the entries beside it name the cause"),
        _ => "read the server's message, which names the cause; the capture job starts again by itself".into(),
    }
}

fn errors(evidence: &Evidence<'_>) -> Finding {
    let subject = &evidence.facts.server.database;
    let Some(errors) = &evidence.facts.cdc_errors else {
        return ERRORS.skipped(subject, "change data capture is off in the database, which comes first");
    };
    with(&ERRORS, subject, errors, STATE, |errors| {
        let Some(newest) = errors.first() else { return ERRORS.ok(subject, "none") };
        let age = newest.at.map(|at| evidence.facts.server.time.saturating_sub(at));
        let age = age.map(|age| Duration::from_micros(u64::try_from(age).unwrap_or(0)));
        match age {
            Some(age) if age > OF_LATE => ERRORS.ok(subject, format!("the newest is {} old", words(age))),
            _ => ERRORS
                .failed(subject, format!("error {}: {}", newest.number, newest.message))
                .expected("none")
                .remedy(mend_error(evidence, newest)),
        }
    })
}

fn log(evidence: &Evidence<'_>) -> Finding {
    let subject = &evidence.facts.server.database;
    with(&LOG, subject, &evidence.facts.database, CATALOGUE, |database| match database.log_reuse_wait.as_str() {
        "REPLICATION" => LOG
            .failed(subject, "REPLICATION: the log keeps what the capture job has not read")
            .expected("anything else")
            .remedy(
                look_at_capture(evidence).note("look again in a minute: it may last for a moment on a busy server"),
            ),
        "" => LOG.unknown(subject, "the server does not say; requires sys.databases.log_reuse_wait_desc"),
        other => LOG.ok(subject, other),
    })
}
