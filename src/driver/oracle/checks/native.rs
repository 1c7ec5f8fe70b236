//! Writers inside the database: scheduled jobs that update the same table.

use super::evidence::{Evidence, with};
use crate::driver::oracle::identifier::literal;
use crate::driver::oracle::remedies::as_administrator;
use crate::driver::shared_checks::server;
use crate::finding::{Check, Finding, How, Severity};
use crate::remedy::Remedy;
use crate::target::WriteMode;

const NATIVE: Check = server::NATIVE.how(How {
    judged: "ALL_SCHEDULER_JOBS with an action that names the table; a job that runs a program or a procedure is not \
             found.",
    privilege: "SELECT_CATALOG_ROLE; other users see no row and no error",
    source: "Oracle's documentation of ALL_SCHEDULER_JOBS",
});

pub(super) const CHECKS: &[Check] = &[NATIVE];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let table = &evidence.names.table;
    let takes = format!("GRANT SELECT_CATALOG_ROLE TO {};", evidence.names.user);
    vec![with(&NATIVE, table, &evidence.facts.jobs, &takes, |jobs| {
        let running: Vec<&str> =
            jobs.iter().filter(|(_, state)| state != "DISABLED").map(|(name, _)| name.as_str()).collect();
        match (running.as_slice(), jobs.as_slice(), evidence.target.write) {
            ([], [], _) => NATIVE.ok(table, "no job that this user may see names it"),
            ([], _, WriteMode::Never) => NATIVE
                .failed(table, "a job names it, and is disabled; heartbeatd only watches")
                .remedy(as_administrator(format!("EXEC DBMS_SCHEDULER.ENABLE({});", literal(&jobs[0].0)))),
            ([], _, _) => NATIVE.ok(table, "a job names it, and is disabled"),
            (_, _, WriteMode::Never) => NATIVE.ok(table, format!("{} writes it", running.join(", "))),
            ([first, ..], _, _) => NATIVE
                .failed_as(Severity::Warning, table, format!("{} names it, and is enabled", running.join(", ")))
                .expected("one writer")
                .remedy(
                    Remedy::advice("let only one of them write: set write = \"when-stale\"")
                        .or_run(as_administrator(format!("EXEC DBMS_SCHEDULER.DISABLE({});", literal(first)))),
                ),
        }
    })]
}
