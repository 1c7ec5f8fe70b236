//! The members that the connector reads from: whether the beat arrives there.

use super::document::rows_of;
use super::evidence::{DATA, Evidence, ReplicaEvidence, with};
use crate::driver::mongodb::facts::MongoFacts;
use crate::driver::shared_checks::replica::{self, ARRIVES};
use crate::finding::{Check, Finding, How};
use crate::remedy::{Remedy, RunsOn};

const ROLE: Check = replica::ROLE.how(How {
    judged: "The command hello. Fails unless the server is a secondary of the target's replica set.",
    privilege: "a login on the replica",
    source: "vendor page on heartbeats: the change must replicate to the replica that the connector reads",
});

pub(super) const CHECKS: &[Check] = &[ROLE, ARRIVES];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    replica::each(evidence, CHECKS, |subject, facts, place| {
        vec![role(evidence, subject, facts), arrives(evidence, subject, facts, place)]
    })
}

fn role(evidence: &Evidence<'_>, subject: &str, facts: &MongoFacts) -> Finding {
    let server = &facts.server;
    if server.set_name != evidence.facts.server.set_name {
        let name = server.set_name.as_deref().unwrap_or("none");
        return ROLE
            .failed(subject, format!("it belongs to another replica set: {name}"))
            .expected("a member of the target's set")
            .remedy("compare the addresses of the target and of the replica");
    }
    if server.secondary {
        return ROLE.ok(subject, "a secondary");
    }
    let (observed, remedy) = if server.primary {
        ("it is the primary", "name another member: after an election roles change, and the connector may read any")
    } else {
        ("it is neither primary nor secondary", "look at the member's log: it starts, recovers, or is out of its set")
    };
    ROLE.failed(subject, observed).expected("a secondary").remedy(remedy)
}

fn arrives(evidence: &Evidence<'_>, subject: &str, facts: &MongoFacts, place: &ReplicaEvidence<'_>) -> Finding {
    let Some(written) = rows_of(&evidence.facts).and_then(|rows| rows.last_update) else {
        return ARRIVES.skipped(subject, "the source has no beat to compare with");
    };
    let remedy = Remedy::mongosh("rs.printSecondaryReplicationInfo()")
        .on(RunsOn::Server("the primary".to_owned()))
        .note("shows how far each secondary is behind");
    with(&ARRIVES, subject, &facts.row, DATA, |rows| {
        replica::arrives(evidence, place, written, rows.last_update, remedy)
    })
}
