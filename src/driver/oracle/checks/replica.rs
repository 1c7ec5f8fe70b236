//! The standbys that are configured as replicas: whether the beat arrives there. Connectors do not read them;
//! administrators do.

use super::evidence::{Evidence, ReplicaEvidence, with};
use crate::driver::oracle::facts::OracleFacts;
use crate::driver::oracle::remedies::as_sysdba;
use crate::driver::shared_checks::replica::{self, ARRIVES};
use crate::finding::{Check, Finding, How};
use crate::remedy::RunsOn;

const ROLE: Check = replica::ROLE.how(How {
    judged: "The database's role in Data Guard. Fails unless it is a standby.",
    privilege: "a login on the replica",
    source: "vendor page on heartbeats: the change must replicate to the replica that the connector reads",
});

pub(super) const CHECKS: &[Check] = &[ROLE, ARRIVES];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    replica::each(evidence, CHECKS, |subject, facts, place| {
        vec![role(subject, facts), arrives(evidence, subject, facts, place)]
    })
}

fn role(subject: &str, facts: &OracleFacts) -> Finding {
    let role = &facts.context.role;
    if role.contains("STANDBY") && role != "SNAPSHOT STANDBY" {
        return ROLE.ok(subject, role);
    }
    ROLE.failed(subject, role).expected("PHYSICAL STANDBY").remedy(
        "name a standby that is open read-only (Active Data Guard), or take the replica out of the configuration",
    )
}

fn arrives(evidence: &Evidence<'_>, subject: &str, facts: &OracleFacts, place: &ReplicaEvidence<'_>) -> Finding {
    let Some(written) = evidence.facts.row.answer().and_then(|rows| rows.last_update) else {
        return ARRIVES.skipped(subject, "the source has no beat to compare with");
    };
    let remedy = as_sysdba("SELECT NAME, VALUE FROM V$DATAGUARD_STATS WHERE NAME IN ('transport lag', 'apply lag');")
        .note("shows whether redo arrives there and is applied")
        .on(RunsOn::Replica(place.name.to_owned()));
    let takes = format!("GRANT SELECT ON {} TO {};", evidence.names.table, evidence.names.user);
    with(&ARRIVES, subject, &facts.row, &takes, |rows| {
        replica::arrives(evidence, place, written, rows.last_update, remedy)
    })
}
