//! The readable secondaries that the connector reads from: whether the beat arrives there.

use super::evidence::{DATA, Evidence, ReplicaEvidence, with};
use super::row::rows_of;
use crate::driver::shared_checks::replica::{self, ARRIVES};
use crate::driver::sqlserver::facts::SqlServerFacts;
use crate::finding::{Check, Finding, How};
use crate::remedy::{Remedy, RunsOn};

const ROLE: Check = replica::ROLE.how(How {
    judged: "DATABASEPROPERTYEX, Updateability. Fails unless it is READ_ONLY.",
    privilege: "a login on the replica",
    source: "vendor page on heartbeats: the change must replicate to the replica that the connector reads",
});

pub(super) const CHECKS: &[Check] = &[ROLE, ARRIVES];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    replica::each(evidence, CHECKS, |subject, facts, place| {
        vec![role(subject, facts), arrives(evidence, subject, facts, place)]
    })
}

fn role(subject: &str, facts: &SqlServerFacts) -> Finding {
    if facts.server.updateability == "READ_WRITE" {
        return ROLE
            .failed(subject, "its address leads to the primary")
            .expected("a readable secondary")
            .remedy(
                "put ApplicationIntent=ReadOnly into the replica's address, and check the group's read-only routing list; or \
                 name the secondary itself",
            );
    }
    if facts.server.updateability.is_empty() {
        return ROLE.unknown(subject, "the server does not say; requires DATABASEPROPERTYEX, Updateability");
    }
    ROLE.ok(subject, "a secondary")
}

fn arrives(evidence: &Evidence<'_>, subject: &str, facts: &SqlServerFacts, place: &ReplicaEvidence<'_>) -> Finding {
    let Some(written) = rows_of(&evidence.facts).and_then(|rows| rows.last_update) else {
        return ARRIVES.skipped(subject, "the source has no beat to compare with");
    };
    let remedy = Remedy::sql(
        "SELECT DB_NAME(database_id) AS name, synchronization_state_desc, is_suspended, log_send_queue_size, redo_queue_size \
         FROM sys.dm_hadr_database_replica_states;",
    )
    .on(RunsOn::Server("the primary".to_owned()))
    .note("shows how far the replicas are behind, in KiB; requires VIEW SERVER STATE");
    with(&ARRIVES, subject, &facts.row, DATA, |rows| {
        replica::arrives(evidence, place, written, rows.last_update, remedy)
    })
}
