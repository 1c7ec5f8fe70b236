//! What the redo log contains of the heartbeat, and how long archived logs are kept.

use std::time::Duration;

use super::evidence::{Evidence, with};
use crate::driver::evidence::size;
use crate::driver::oracle::remedies::{
    MAKE_ROOM, archive, as_administrator, as_sysdba, force_logging, keep_archived_logs, minimal_logging, recovery_area,
};
use crate::finding::{Check, Finding, Rung, Severity};
use crate::remedy::Remedy;
use crate::time::ticks::longest_period;
use crate::time::words;

const CATALOGUE: &str = "SELECT_CATALOG_ROLE, or SELECT on the view";

const ARCHIVED: Check = Check {
    id: "archive-log-mode",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "the database archives its redo logs",
    meaning: "Online logs are overwritten after a few log switches. Without archived logs, the changes that a \
              connector has not read by then are lost.",
    judged: "V$DATABASE.LOG_MODE: fails unless it is ARCHIVELOG.",
    privilege: CATALOGUE,
    source: "Debezium's documentation of its connector for Oracle, preparing the database",
};
const MINIMAL: Check = Check {
    id: "supplemental-logging",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "minimal supplemental logging is on",
    meaning: "Without it LogMiner cannot combine the changes of a row.",
    judged: "V$DATABASE.SUPPLEMENTAL_LOG_DATA_MIN, where IMPLICIT is enough, or DBA_SUPPLEMENTAL_LOGGING of the \
             pluggable database: fails if both say NO.",
    privilege: CATALOGUE,
    source: "https://docs.oracle.com/en/database/oracle/oracle-database/19/refrn/V-DATABASE.html",
};
const OF_TABLE: Check = Check {
    id: "supplemental-logging-table",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "all columns of the heartbeat table are logged",
    meaning: "Otherwise the log of an update contains only the changed column. A connector then stops at the table, \
              or sends a row without its key.",
    judged: "ALL_LOG_GROUPS: fails without an ALL COLUMN LOGGING that is ALWAYS, unless the whole database or the pluggable \
             one logs all columns.",
    privilege: "any privilege on the table",
    source: "Debezium's documentation of its connector for Oracle, preparing the database",
};
const FORCED: Check = Check {
    id: "force-logging",
    severity: Severity::Info,
    rung: Rung::Advice,
    title: "no session can write past the redo log",
    meaning: "A direct-path load into a NOLOGGING table is not logged, so it reaches no connector. The heartbeat's \
              update is always logged.",
    judged: "V$DATABASE.FORCE_LOGGING: fails if it is NO.",
    privilege: CATALOGUE,
    source: "https://docs.oracle.com/en/database/oracle/oracle-database/19/refrn/V-DATABASE.html",
};
const DESTINATION: Check = Check {
    id: "archive-destination",
    severity: Severity::Warning,
    rung: Rung::Tracking,
    title: "archived logs have a valid local destination",
    meaning: "Connectors read archived logs from a local destination. Without a valid one the archiver stops, and \
              then every change waits.",
    judged: "V$ARCHIVE_DEST_STATUS: fails without a row that is VALID and LOCAL.",
    privilege: CATALOGUE,
    source: "Debezium's connector for Oracle asks the same",
};
const RETENTION: Check = Check {
    id: "archived-log-retention",
    severity: Severity::Error,
    rung: Rung::Position,
    title: "archived logs are kept long enough for a connector that is stopped",
    meaning: "A connector that is stopped for longer than archived logs are kept has lost its position. It then needs \
              a new snapshot.",
    judged: "The age of the oldest archived log that was not deleted (V$ARCHIVED_LOG): an error below a day, a \
             warning below two, advice below a week; a warning when the longest period of beats is above a tenth of \
             it. The age shows what is kept now. If the database rarely switches logs, they may be kept for longer \
             than that. Skipped for a database made less than a day ago.",
    privilege: CATALOGUE,
    source: "vendor's set-up guide for Oracle (at least 24 hours); the other bounds are those of Estuary and Datastream",
};
const AREA: Check = Check {
    id: "recovery-area",
    severity: Severity::Error,
    rung: Rung::Resource,
    title: "the recovery area has room for archived logs",
    meaning: "When it is full the archiver stops (ORA-00257). Then every change waits without an error, including the \
              beat.",
    judged: "V$RECOVERY_FILE_DEST: what is used and cannot be reclaimed, against the limit: an error above 97 %, a warning \
             above 85 %.",
    privilege: CATALOGUE,
    source: "https://docs.oracle.com/en/database/oracle/oracle-database/19/refrn/V-RECOVERY_FILE_DEST.html; the bounds are \
             those at which Oracle itself warns",
};

pub(super) const CHECKS: &[Check] = &[ARCHIVED, MINIMAL, OF_TABLE, FORCED, DESTINATION, RETENTION, AREA];

const DAY: Duration = Duration::from_secs(86_400);
const WARNED: i64 = 85;
const FAILED: i64 = 97;

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    vec![
        archived(evidence),
        minimal(evidence),
        of_table(evidence),
        forced(evidence),
        destination(evidence),
        retention(evidence),
        area(evidence),
    ]
}

fn archived(evidence: &Evidence<'_>) -> Finding {
    let subject = &evidence.facts.address;
    with(&ARCHIVED, subject, &evidence.facts.database, &evidence.catalogue(), |database| {
        if database.log_mode == "ARCHIVELOG" {
            return ARCHIVED.ok(subject, "ARCHIVELOG");
        }
        ARCHIVED.failed(subject, &database.log_mode).expected("ARCHIVELOG").remedy(archive(evidence.target))
    })
}

fn minimal(evidence: &Evidence<'_>) -> Finding {
    let (facts, subject) = (&evidence.facts, &evidence.facts.address);
    if facts.pdb_logging.answer().is_some_and(|pdb| pdb.as_ref().is_some_and(|pdb| pdb.minimal)) {
        return MINIMAL.ok(subject, "on in the pluggable database");
    }
    with(&MINIMAL, subject, &facts.database, &evidence.catalogue(), |database| {
        if ["YES", "IMPLICIT"].contains(&database.minimal_logging.as_str()) {
            return MINIMAL.ok(subject, &database.minimal_logging);
        }
        MINIMAL
            .failed(subject, &database.minimal_logging)
            .expected("YES or IMPLICIT")
            .remedy(minimal_logging(evidence.target))
    })
}

fn of_table(evidence: &Evidence<'_>) -> Finding {
    let (facts, table) = (&evidence.facts, &evidence.names.table);
    let in_pdb = facts.pdb_logging.answer().is_some_and(|pdb| pdb.as_ref().is_some_and(|pdb| pdb.all_columns));
    if in_pdb || facts.database.answer().is_some_and(|database| database.all_columns) {
        return OF_TABLE.ok(table, "all columns of all tables are logged");
    }
    if !evidence.has_table() {
        return OF_TABLE.skipped(table, "there is no such table, or it is hidden");
    }
    with(&OF_TABLE, table, &facts.log_groups, &evidence.catalogue(), |groups| {
        if groups.iter().any(|group| group.kind == "ALL COLUMN LOGGING" && group.always) {
            return OF_TABLE.ok(table, "ALL COLUMN LOGGING");
        }
        let observed = match groups.as_slice() {
            [] => "no supplemental logging".to_owned(),
            others => others.iter().map(|group| group.kind.clone()).collect::<Vec<_>>().join(", "),
        };
        OF_TABLE
            .failed(table, observed)
            .expected("ALL COLUMN LOGGING")
            .remedy(as_administrator(format!("ALTER TABLE {table} ADD SUPPLEMENTAL LOG DATA (ALL) COLUMNS;")))
    })
}

fn forced(evidence: &Evidence<'_>) -> Finding {
    let subject = &evidence.facts.address;
    with(&FORCED, subject, &evidence.facts.database, &evidence.catalogue(), |database| {
        if database.force_logging != "NO" {
            return FORCED.ok(subject, &database.force_logging);
        }
        FORCED
            .failed(subject, "NO")
            .expected("YES")
            .remedy(force_logging(evidence.target).note("if loads past the log are to be captured, too"))
    })
}

fn destination(evidence: &Evidence<'_>) -> Finding {
    let subject = &evidence.facts.address;
    with(&DESTINATION, subject, &evidence.facts.destinations, &evidence.catalogue(), |count| match count {
        0 => DESTINATION.failed(subject, "none is valid").expected("one or more").remedy(
            as_sysdba("SELECT DEST_NAME, STATUS, ERROR FROM V$ARCHIVE_DEST WHERE STATUS <> 'INACTIVE';")
                .note("shows what each of them lacks"),
        ),
        count => DESTINATION.ok(subject, format!("{count}")),
    })
}

fn retention(evidence: &Evidence<'_>) -> Finding {
    let (facts, subject) = (&evidence.facts, &evidence.facts.address);
    if facts.database.answer().is_some_and(|database| database.log_mode != "ARCHIVELOG") {
        return RETENTION.skipped(subject, "logs are not archived, which comes first");
    }
    if let Some(database) = facts.database.answer()
        && Duration::from_secs(database.age.unsigned_abs()) < DAY
    {
        return RETENTION.skipped(subject, "the database was made less than a day ago");
    }
    with(&RETENTION, subject, &facts.oldest_archived, &evidence.catalogue(), |oldest| {
        let remedy = keep_archived_logs(evidence.target);
        let Some(seconds) = oldest else {
            return RETENTION.failed(subject, "no archived log is left").expected("two days of them").remedy(remedy);
        };
        let kept = Duration::from_secs(seconds.unsigned_abs());
        let observed = format!("the oldest is {} old", words(kept));
        let period = longest_period(&evidence.target.schedule, evidence.case.now.taken_at);
        let severity = if kept < DAY {
            Severity::Error
        } else if kept < DAY * 2 || period * 10 > kept {
            Severity::Warning
        } else if kept < DAY * 7 {
            Severity::Info
        } else {
            return RETENTION.ok(subject, observed);
        };
        let expected = if severity == Severity::Info { "a week" } else { "two days or more, and ten periods of beats" };
        RETENTION.failed_as(severity, subject, observed).expected(expected).remedy(remedy)
    })
}

fn area(evidence: &Evidence<'_>) -> Finding {
    let subject = &evidence.facts.address;
    with(&AREA, subject, &evidence.facts.recovery_area, &evidence.catalogue(), |area| {
        let Some(area) = area else { return AREA.skipped(subject, "there is no recovery area") };
        let kept = area.used.saturating_sub(area.reclaimable).max(0);
        let percent = i128::from(kept) * 100 / i128::from(area.limit.max(1));
        let observed = format!("{percent} % of {} cannot be reclaimed", size(area.limit.unsigned_abs()));
        let severity = match percent {
            percent if percent > i128::from(FAILED) => Severity::Error,
            percent if percent > i128::from(WARNED) => Severity::Warning,
            _ => return AREA.ok(subject, observed),
        };
        AREA.failed_as(severity, subject, observed)
            .expected(format!("at most {WARNED} %"))
            .remedy(Remedy::advice(MAKE_ROOM).then_run(recovery_area()))
    })
}
