//! How far the oplog reaches back.

use std::time::Duration;

use super::evidence::{Evidence, MONITOR, with};
use crate::driver::evidence::size;
use crate::driver::mongodb::facts::OplogFacts;
use crate::finding::{Check, Finding, Rung, Severity};
use crate::remedy::{Remedy, RunsOn};
use crate::time::ticks::longest_period;
use crate::time::words;

const RETENTION: Check = Check {
    id: "oplog-retention",
    severity: Severity::Error,
    rung: Rung::Position,
    title: "the oplog reaches back two days, and the server guarantees it",
    meaning: "A connector resumes from the oplog. If its position has left the oplog (errors 286 and 280), it needs a \
              new snapshot. Every burst of writes shortens today's window; only the guaranteed hours stay the same.",
    judged: "oplogMinRetentionHours, and the time between the oldest and the newest entry, compared with 48 hours: a \
             warning if the window is long enough but not guaranteed, an error if it is shorter, an advice if the \
             oplog is not full yet and therefore reaches back less far. Also an error if a period of beats is not \
             shorter than the window.",
    privilege: "the role read on the database local, and clusterMonitor on the database admin",
    source: "vendor page on recovery: 48 hours; https://www.mongodb.com/docs/manual/reference/command/replSetResizeOplog/",
};

pub(super) const CHECKS: &[Check] = &[RETENTION];

/// What the vendor asks for.
const WANTED: Duration = Duration::from_secs(48 * 3_600);

const LOCAL: &str = "the role read on the database local, and clusterMonitor on the database admin";

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let server = &evidence.facts.server;
    let subject = &evidence.facts.address;
    if server.sharded {
        return vec![RETENTION.unknown(
            subject,
            "a router has no oplog; requires a look at a member of each shard, as a target of its own",
        )];
    }
    if server.set_name.is_none() {
        return vec![RETENTION.skipped(subject, "the server belongs to no replica set")];
    }
    vec![with(&RETENTION, subject, &evidence.facts.guaranteed_hours, MONITOR, |hours| {
        let guaranteed = Duration::from_secs_f64((hours * 3_600.0).clamp(0.0, 1e10));
        if guaranteed >= WANTED {
            return RETENTION.ok(subject, format!("at least {} are kept", words(guaranteed)));
        }
        with(&RETENTION, subject, &evidence.facts.oplog, LOCAL, |oplog| window(evidence, oplog, guaranteed))
    })]
}

fn window(evidence: &Evidence<'_>, oplog: &OplogFacts, guaranteed: Duration) -> Finding {
    let subject = &evidence.facts.address;
    let window = Duration::from_secs(oplog.window);
    let period = longest_period(&evidence.target.schedule, evidence.case.now.taken_at);
    let full = oplog.max_size.is_none_or(|most| oplog.size >= most / 10 * 9);
    let remedy = Remedy::mongosh("db.adminCommand({replSetResizeOplog: 1, minRetentionHours: 48})")
        .on(RunsOn::Server("each member".to_owned()))
        .note("as an administrator; its disk must have room for that much; in Atlas, set Minimum Oplog Window");
    let failed = |severity, observed: String| {
        RETENTION.failed_as(severity, subject, observed).expected("at least 48h, guaranteed").remedy(remedy)
    };
    let bound = if guaranteed.is_zero() {
        "nothing guarantees it".to_owned()
    } else {
        format!("{} are guaranteed", words(guaranteed))
    };
    if full && window.max(guaranteed) <= period {
        return failed(
            Severity::Error,
            format!("it reaches back {}, and a period of beats is {}", words(window), words(period)),
        );
    }
    if window >= WANTED {
        return failed(Severity::Warning, format!("it reaches back {}, and {bound}", words(window)));
    }
    if !full {
        let filled =
            oplog.max_size.map_or_else(String::new, |most| format!(" ({} of {})", size(oplog.size), size(most)));
        let observed = format!("it is not full yet{filled}, so that its {} say little; {bound}", words(window));
        return failed(Severity::Info, observed);
    }
    failed(Severity::Error, format!("it reaches back {}, and {bound}", words(window)))
}
