//! Writers inside the database: pg_cron jobs that update the same table.

use super::evidence::Evidence;
use crate::driver::answer::Answer;
use crate::driver::postgres::errors::PASSING;
use crate::driver::postgres::facts::{ActivityFacts, Job, LastRun};
use crate::driver::postgres::identifier::literal;
use crate::driver::shared_checks::server;
use crate::finding::{Check, Finding, How, Severity};
use crate::remedy::Remedy;
use crate::target::WriteMode;

const NATIVE: Check = server::NATIVE.how(How {
    judged: "cron.job and cron.job_run_details if pg_cron is in this database; another database hides its jobs, so the \
             check is unknown while pg_cron's launcher runs.",
    privilege: "USAGE on the schema cron, and to be the owner of the job or a superuser; other users see no row and no \
                error",
    source: "vendor page on heartbeats, pg_cron; measured: it hides jobs from other users without an error",
});

pub(super) const CHECKS: &[Check] = &[NATIVE];

const SUBJECT: &str = "pg_cron";

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let activity = match evidence.facts.activity.seen() {
        Ok(activity) => activity,
        Err(refusal) => return vec![NATIVE.unknown(SUBJECT, refusal.unless(NATIVE.privilege, PASSING))],
    };
    let Some(cron) = &activity.cron else { return vec![elsewhere(evidence, activity)] };
    let jobs = match evidence.facts.jobs.as_ref().map(Answer::seen) {
        Some(Ok(jobs)) => jobs,
        Some(Err(refusal)) => {
            return vec![NATIVE.unknown(SUBJECT, refusal.unless(NATIVE.privilege, PASSING))];
        }
        None => {
            return vec![
                NATIVE.unknown(SUBJECT, format!("its jobs were not asked for; requires {}", NATIVE.privilege)),
            ];
        }
    };
    if !jobs.is_empty() {
        return jobs.iter().map(|job| judge_job(evidence, activity, job)).collect();
    }
    if cron.filtered {
        let why = format!(
            "row-level security shows {} its own jobs only; requires {}",
            evidence.names.user, NATIVE.privilege
        );
        return vec![NATIVE.unknown(SUBJECT, why)];
    }
    vec![NATIVE.ok(SUBJECT, "no job names the heartbeat table")]
}

fn elsewhere(evidence: &Evidence<'_>, activity: &ActivityFacts) -> Finding {
    let database = evidence.facts.server.setting("cron.database_name");
    match activity.cron_launcher {
        Some(false) => NATIVE.ok(SUBJECT, "it does not run on this server"),
        Some(true) if database == Some(&evidence.facts.server.database) => {
            NATIVE.ok(SUBJECT, "it runs, and was not created in its database: it has no jobs")
        }
        Some(true) => NATIVE
            .unknown(
                SUBJECT,
                format!(
                    "it runs, and keeps its jobs in {}; requires a look there",
                    database.map_or("another database".to_owned(), |name| format!("the database {name}"))
                ),
            )
            .remedy(
                Remedy::sql(format!(
                    "SELECT jobid, schedule, database, active FROM cron.job WHERE command ILIKE {};",
                    literal(&format!("%{}%", evidence.target.heartbeat.table))
                ))
                .note("in that database, as a superuser"),
            ),
        None => NATIVE.unknown(
            SUBJECT,
            format!("whether its launcher runs is hidden; requires GRANT pg_monitor TO {};", evidence.names.user),
        ),
    }
}

fn judge_job(evidence: &Evidence<'_>, activity: &ActivityFacts, job: &Job) -> Finding {
    let subject =
        format!("pg_cron job {}{}", job.id, job.name.as_ref().map_or(String::new(), |name| format!(" ({name})")));
    let wanted = evidence.target.heartbeat.row_number();
    // Unscheduling deletes the job, and its command may not be written down elsewhere.
    let keep = format!("keep what SELECT command FROM cron.job WHERE jobid = {} shows", job.id);
    let unschedule = Remedy::sql(format!("SELECT cron.unschedule({});", job.id));
    let watching = evidence.target.write == WriteMode::Never;
    if job.database != evidence.facts.server.database {
        return NATIVE.ok(subject, format!("it works on another database, {}", job.database));
    }
    if let Some(row) = job.row.filter(|row| *row != wanted) {
        return NATIVE
            .failed(subject, format!("it updates row {row}, and the heartbeat is row {wanted}"))
            .expected(format!("row {wanted}"))
            .remedy(Remedy::advice(keep).then_run(unschedule));
    }
    if let Some(fault) = fault(evidence, activity, job) {
        // If heartbeatd writes as well, it covers for the job.
        let severity = if watching { Severity::Warning } else { Severity::Info };
        let remedy = if watching {
            Remedy::advice(format!("mend the job, or set write = \"when-stale\" and {keep}")).then_run(unschedule)
        } else {
            Remedy::advice(keep).then_run(unschedule)
        };
        return NATIVE.failed_as(severity, subject, fault).expected("a job that runs, or none").remedy(remedy);
    }
    match evidence.target.write {
        WriteMode::Always => {
            NATIVE.failed(subject, format!("it beats as well ({})", job.schedule)).expected("one writer").remedy(
                Remedy::advice(format!(
                    "set write = \"when-stale\", so that heartbeatd writes only if the job does not; or {keep}"
                ))
                .then_run(unschedule),
            )
        }
        WriteMode::WhenStale => {
            NATIVE.ok(subject, format!("it beats ({}), and heartbeatd covers for it", job.schedule))
        }
        WriteMode::Never => NATIVE.ok(subject, format!("it beats ({})", job.schedule)),
    }
}

/// Why a job does not update the row.
fn fault(evidence: &Evidence<'_>, activity: &ActivityFacts, job: &Job) -> Option<String> {
    if !job.active {
        return Some("it is switched off".to_owned());
    }
    if activity.cron_launcher == Some(false) {
        return Some("it never runs: pg_cron's launcher does not".to_owned());
    }
    let run: &LastRun = evidence.facts.runs.as_ref()?.answer()?.iter().find(|run| run.job == job.id)?;
    if run.status.as_deref() != Some("failed") {
        return None;
    }
    Some(format!("its last run failed: {}", run.message.as_deref().unwrap_or("without a word").trim()))
}
