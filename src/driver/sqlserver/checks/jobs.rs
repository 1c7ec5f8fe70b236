//! The jobs that run change data capture, how long changes are kept, and jobs of SQL Server Agent that write the same
//! table.

use std::time::Duration;

use super::evidence::{Evidence, with};
use crate::driver::answer::Answer;
use crate::driver::shared_checks::server;
use crate::driver::sqlserver::facts::{AZURE_DATABASE, CdcJob};
use crate::driver::sqlserver::identifier::literal;
use crate::driver::sqlserver::remedies;
use crate::finding::{Check, Finding, How, Rung, Severity};
use crate::target::WriteMode;
use crate::time::ticks::longest_period;
use crate::time::words;

const NATIVE: Check = server::NATIVE.how(How {
    judged: "Enabled jobs of SQL Server Agent whose steps name the table.",
    privilege: "SELECT on msdb.dbo.sysjobs and sysjobsteps",
    source: "Microsoft's pages of dbo.sysjobs and dbo.sysjobsteps",
});

const MSDB: &str = "SELECT on msdb.dbo.cdc_jobs and msdb.dbo.sysjobs (or db_owner of msdb)";
const AGENT_READER: &str =
    "a user in msdb with the role SQLAgentReaderRole, and SELECT on msdb.dbo.sysjobs and sysjobsteps";
const SERVER_STATE: &str = "VIEW SERVER STATE (from 2022 on: VIEW SERVER SECURITY STATE)";
const JOBS_PAGE: &str =
    "https://learn.microsoft.com/en-us/sql/relational-databases/system-tables/dbo-cdc-jobs-transact-sql";

const CAPTURE: Check = Check {
    id: "cdc-jobs",
    severity: Severity::Error,
    rung: Rung::Resource,
    title: "the capture and the cleanup job of the database are there",
    meaning: "Without the capture job nothing gets into the change tables, and the log cannot be truncated. Without \
              the cleanup job change tables grow without limit. After a failover of an availability group they are \
              missing on the new primary.",
    judged: "msdb.dbo.cdc_jobs, joined with the Agent's own list: fails if one is missing, or disabled (a warning for \
             cleanup), or if msdb.dbo.sysjobactivity shows that a capture job that is configured to run continuously \
             does not run. Azure SQL Database has a scheduler of its own instead.",
    privilege: "SELECT on msdb.dbo.cdc_jobs and msdb.dbo.sysjobs; for whether it runs, on sysjobactivity and syssessions",
    source: JOBS_PAGE,
};
const AGENT: Check = Check {
    id: "agent-running",
    severity: Severity::Error,
    rung: Rung::Resource,
    title: "SQL Server Agent runs",
    meaning: "The Agent runs the capture job. While it is stopped no beat reaches the connector, and the log grows.",
    judged: "sys.dm_server_services: fails unless the Agent's status is Running. Azure SQL Database has no Agent.",
    privilege: "VIEW SERVER STATE; from 2022 on VIEW SERVER SECURITY STATE",
    source: "https://learn.microsoft.com/en-us/sql/relational-databases/system-dynamic-management-views/\
             sys-dm-server-services-transact-sql",
};
const RETENTION: Check = Check {
    id: "cdc-retention",
    severity: Severity::Error,
    rung: Rung::Position,
    title: "changes are kept for long enough",
    meaning: "The cleanup job deletes changes older than its retention, counted back from the newest captured one: while \
              heartbeats go on, a connector that was down for longer has lost its position for certain.",
    judged: "msdb.dbo.cdc_jobs.retention of the cleanup job: an error below a day or below a period of beats, a warning below \
             two days or below ten periods, an advice below the default of three days.",
    privilege: "SELECT on msdb.dbo.cdc_jobs",
    source: JOBS_PAGE,
};

pub(super) const CHECKS: &[Check] = &[CAPTURE, AGENT, RETENTION, NATIVE];

const DAY: Duration = Duration::from_secs(86_400);
/// The server's retention if none was configured for the cleanup job.
const DEFAULT_RETENTION: Duration = Duration::from_secs(3 * 86_400);

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    vec![jobs(evidence), agent(evidence), retention(evidence), native(evidence)]
}

/// Judges the jobs of change data capture, or says why they are unknown.
fn with_jobs(evidence: &Evidence<'_>, check: &Check, judge: impl FnOnce(&[CdcJob]) -> Finding) -> Finding {
    let subject = &evidence.facts.server.database;
    let server = &evidence.facts.server;
    if server.is_secondary() {
        return check.skipped(subject, "a secondary replica: the jobs are on the primary, which comes first");
    }
    match &evidence.facts.cdc_jobs {
        Some(jobs) => with(check, subject, jobs, MSDB, |jobs| judge(jobs)),
        None if server.engine_edition == AZURE_DATABASE => {
            check.skipped(subject, "Azure SQL Database captures and cleans up by a scheduler of its own")
        }
        None => check.skipped(subject, "change data capture is off in the database, which comes first"),
    }
}

fn find<'a>(jobs: &'a [CdcJob], kind: &str) -> Option<&'a CdcJob> {
    jobs.iter().find(|job| job.kind == kind)
}

fn jobs(evidence: &Evidence<'_>) -> Finding {
    let subject = &evidence.facts.server.database;
    with_jobs(evidence, &CAPTURE, |jobs| {
        for (kind, severity) in [("capture", Severity::Error), ("cleanup", Severity::Warning)] {
            match find(jobs, kind) {
                None => {
                    return CAPTURE
                        .failed_as(severity, subject, format!("there is no {kind} job"))
                        .expected("capture, cleanup")
                        .remedy(remedies::on_primary(
                            evidence.target,
                            format!("EXEC sys.sp_cdc_add_job @job_type = N'{kind}';"),
                        ));
                }
                Some(job) if !job.enabled => {
                    return CAPTURE
                        .failed_as(
                            severity,
                            subject,
                            format!("the {kind} job is disabled, or missing in the Agent's list"),
                        )
                        .expected("enabled")
                        .remedy(remedies::as_administrator(format!(
                            "EXEC msdb.dbo.sp_update_job @job_name = {}, @enabled = 1;",
                            literal(&format!("cdc.{subject}_{kind}"))
                        )));
                }
                Some(_) => {}
            }
        }
        match &evidence.facts.capture_runs {
            Some(Answer::Seen(Some(false))) => CAPTURE
                .failed(subject, "the capture job does not run")
                .expected("running")
                .remedy(evidence.as_owner("EXEC sys.sp_cdc_start_job;")),
            Some(Answer::Seen(Some(true))) => CAPTURE.ok(subject, "capture, which runs, and cleanup"),
            _ => CAPTURE.ok(subject, "capture, cleanup"),
        }
    })
}

fn agent(evidence: &Evidence<'_>) -> Finding {
    let subject = &evidence.facts.address;
    let Some(status) = &evidence.facts.agent else {
        return AGENT.skipped(subject, "this server has no Agent");
    };
    if evidence.facts.server.is_without_cdc() {
        return AGENT.skipped(subject, "this edition has no change data capture, which comes first");
    }
    with(&AGENT, subject, status, SERVER_STATE, |status| match status.as_deref() {
        Some("Running") => AGENT.ok(subject, "Running"),
        Some(other) => AGENT
            .failed(subject, other)
            .expected("Running")
            .remedy("start the service SQL Server Agent on the server's machine, and set it to start automatically"),
        None => AGENT.unknown(subject, "the server lists no Agent; requires a look at the machine's services"),
    })
}

fn retention(evidence: &Evidence<'_>) -> Finding {
    let subject = &evidence.facts.server.database;
    with_jobs(evidence, &RETENTION, |jobs| {
        let Some(cleanup) = find(jobs, "cleanup") else {
            return RETENTION.skipped(subject, "there is no cleanup job, which comes first");
        };
        let kept = Duration::from_secs(u64::try_from(cleanup.retention).unwrap_or(0).saturating_mul(60));
        let period = longest_period(&evidence.target.schedule, evidence.case.now.taken_at);
        let (severity, expected) = if kept < DAY.max(period) {
            (Severity::Error, DAY.max(period))
        } else if kept < (DAY * 2).max(period * 10) {
            (Severity::Warning, (DAY * 2).max(period * 10))
        } else if kept < DEFAULT_RETENTION {
            (Severity::Info, DEFAULT_RETENTION)
        } else {
            return RETENTION.ok(subject, words(kept));
        };
        let minutes = DEFAULT_RETENTION.max(expected).as_secs().div_ceil(60);
        let longer = format!("EXEC sys.sp_cdc_change_job @job_type = N'cleanup', @retention = {minutes};");
        RETENTION
            .failed_as(severity, subject, words(kept))
            .expected(format!("at least {}", words(expected)))
            .remedy(evidence.as_owner(longer).note("in minutes; holds from the job's next run on"))
    })
}

fn native(evidence: &Evidence<'_>) -> Finding {
    let subject = &evidence.facts.address;
    let Some(jobs) = &evidence.facts.agent_jobs else {
        return NATIVE.skipped(subject, "this server has no Agent; Azure's elastic jobs are not visible from here");
    };
    with(&NATIVE, subject, jobs, AGENT_READER, |jobs| {
        let enabled: Vec<&str> = jobs.iter().filter(|job| job.enabled).map(|job| job.name.as_str()).collect();
        if enabled.is_empty() {
            return NATIVE.ok(subject, "no enabled job of the Agent names the heartbeat table");
        }
        let observed = format!("jobs of the Agent name the heartbeat table: {}", enabled.join(", "));
        match evidence.target.write {
            WriteMode::Never => NATIVE.ok(subject, observed),
            WriteMode::Always | WriteMode::WhenStale => NATIVE
                .failed(subject, observed)
                .expected("one writer")
                .remedy("if the job writes the heartbeat, disable it, or set write = \"never\" to watch only"),
        }
    })
}
