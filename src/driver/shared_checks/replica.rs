//! The servers that the connector reads from: what they are, and whether the beat arrives there.

use std::time::Duration;

use super::super::evidence::{Evidence, ReplicaEvidence};
use super::BY_DRIVER;
use crate::finding::{Check, Finding, Rung, Severity};
use crate::remedy::Remedy;
use crate::time::ticks::longest_period;
use crate::time::words;

/// Whether it is a replica.
pub(in crate::driver) const ROLE: Check = Check {
    id: "replica-role",
    severity: Severity::Warning,
    rung: Rung::Tracking,
    title: "the replica follows another server",
    meaning: "A replica that was promoted, or whose replay someone paused, receives no more beats. A replica that \
              accepts writes itself diverges from its source.",
    judged: BY_DRIVER,
    privilege: BY_DRIVER,
    source: BY_DRIVER,
};
/// Whether the beat arrives.
pub(in crate::driver) const ARRIVES: Check = Check {
    id: "replica-heartbeat",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "the beat arrives at the replica",
    meaning: "A connector that reads the replica sees the beat only after it has arrived there.",
    judged: "last_update on the replica, compared with last_update on the source. Fails if it is behind by more than a \
             period and the threshold replica_lag. A warning unless the replica is required.",
    privilege: "on the replica, SELECT on the heartbeat table; if the database has schemas, USAGE on its schema",
    source: "vendor page on heartbeats: the change must replicate to the replica that the connector reads",
};

/// Whether the connector can read the log there.
pub(in crate::driver) const DECODE: Check = Check {
    id: "replica-decode",
    severity: Severity::Error,
    rung: Rung::Resource,
    title: "the replica can serve the connector",
    meaning: "A connector that reads from the replica finds the beat only in the replica's own log.",
    judged: BY_DRIVER,
    privilege: BY_DRIVER,
    source: BY_DRIVER,
};

/// Judges every check of replicas on every replica: skipped if none is configured, unknown if one was not reached.
pub(in crate::driver) fn each<F>(
    evidence: &Evidence<'_, F>,
    checks: &'static [Check],
    judge: impl Fn(&str, &F, &ReplicaEvidence<'_, F>) -> Vec<Finding>,
) -> Vec<Finding> {
    if evidence.replicas.is_empty() {
        let why = "no replica is configured";
        return checks.iter().map(|check| check.skipped(&evidence.target.name, why)).collect();
    }
    let judge_one = |place: &ReplicaEvidence<'_, F>| {
        let subject = format!("replica {}", place.name);
        match &place.facts {
            Ok(facts) => judge(&subject, facts, place),
            Err(failure) => {
                let why = format!("the replica could not be looked at: {}", failure.message);
                checks.iter().map(|check| check.unknown(&subject, &why)).collect()
            }
        }
    };
    evidence.replicas.iter().flat_map(judge_one).collect()
}

/// How bad it is if the beat does not arrive at this replica.
pub(in crate::driver) fn severity<F>(evidence: &Evidence<'_, F>, name: &str) -> Severity {
    let required = evidence.target.replicas.iter().any(|replica| replica.name == name && replica.required);
    if required { Severity::Error } else { Severity::Warning }
}

/// Judges how far the replica's `last_update` is behind the source's; both in microseconds since 1970.
pub(in crate::driver) fn arrives<F>(
    evidence: &Evidence<'_, F>,
    place: &ReplicaEvidence<'_, F>,
    written: i64,
    arrived: Option<i64>,
    remedy: impl Into<Remedy>,
) -> Finding {
    let subject = format!("replica {}", place.name);
    let severity = severity(evidence, place.name);
    let limit = longest_period(&evidence.target.schedule, evidence.case.now.taken_at)
        + evidence.target.checks.thresholds.replica_lag;
    let expected = format!("at most {} behind", words(limit));
    let Some(arrived) = arrived else {
        let observed = "the row has never arrived";
        return ARRIVES.failed_as(severity, subject, observed).expected(expected).remedy(remedy);
    };
    let behind = Duration::from_micros(u64::try_from(written.saturating_sub(arrived)).unwrap_or(0));
    let observed = if behind.is_zero() {
        "the newest beat has arrived".to_owned()
    } else {
        format!("the newest beat that has arrived is {} behind", words(behind))
    };
    if behind <= limit {
        return ARRIVES.ok(subject, observed);
    }
    ARRIVES.failed_as(severity, subject, observed).expected(expected).remedy(remedy)
}
