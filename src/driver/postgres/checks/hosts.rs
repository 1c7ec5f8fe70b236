//! The hosts of an address that names several: whether exactly one of them accepts writes.

use super::evidence::Evidence;
use crate::driver::timelines::{SPLIT_BRAIN_REMEDY, split_brain};
use crate::finding::{Check, Finding, Found, Rung, Severity};

const SUBJECT: &str = "hosts of the address";

/// No two primaries of one cluster may accept writes.
const SPLIT_BRAIN: Check = Check {
    id: "split-brain",
    severity: Severity::Error,
    rung: Rung::Connection,
    title: "no two hosts of the address take writes for the same database cluster",
    meaning: "After a failover the former primary may come back and take writes at the same time as the new one. A \
              connector that reads from the new primary never receives what is written on the former one, and \
              rebuilding that server loses it.",
    judged: "heartbeatd asks each host for its role, system identifier, start and timeline. Fails if two running \
             servers with the same system identifier take writes. The one on the lower timeline is behind; on the same \
             timeline heartbeatd cannot decide. Unknown while a host does not answer. Skipped if the address names one \
             host.",
    privilege: "a login on each host; pg_control_system() and pg_walfile_name(), which every user may call",
    source: "https://www.postgresql.org/docs/current/warm-standby-failover.html: the old primary must learn that it is \
             no longer the primary (STONITH)",
};

pub(super) const CHECKS: &[Check] = &[SPLIT_BRAIN];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let hosts = &evidence.case.now.hosts;
    if hosts.is_empty() {
        return vec![SPLIT_BRAIN.skipped(SUBJECT, "there is one host, or facts of an older version hold no other")];
    }
    if let Some(found) = split_brain(hosts) {
        let finding = SPLIT_BRAIN.failed(SUBJECT, found).expected("one server that takes writes");
        return vec![finding.remedy(SPLIT_BRAIN_REMEDY)];
    }
    let silent = hosts.iter().filter_map(|host| match &host.found {
        Found::Failure(failure) if failure.message.contains(&host.address) => Some(failure.message.clone()),
        Found::Failure(failure) => Some(format!("{}: {}", host.address, failure.message)),
        Found::Server { .. } => None,
    });
    let silent: Vec<_> = silent.collect();
    if silent.is_empty() {
        return vec![SPLIT_BRAIN.ok(SUBJECT, "no two of them take writes")];
    }
    let reason = format!("not every host answered: {}; requires {}", silent.join("; "), SPLIT_BRAIN.privilege);
    vec![SPLIT_BRAIN.unknown(SUBJECT, reason)]
}
