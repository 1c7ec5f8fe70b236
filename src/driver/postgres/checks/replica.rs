//! The replicas that the connector reads from: whether the beat arrives there, and whether they can decode it.

use super::evidence::{Evidence, ReplicaEvidence, alter_system, relation_of, with};
use crate::driver::answer::Answer;
use crate::driver::postgres::facts::{PostgresFacts, RowFacts};
use crate::driver::shared_checks::replica::{self, ARRIVES};
use crate::finding::{Check, Finding, How};
use crate::remedy::Remedy;

const ROLE: Check = replica::ROLE.how(How {
    judged: "pg_is_in_recovery() and pg_is_wal_replay_paused() of the replica. Fails if the replica is a primary, or if \
             its replay is paused.",
    privilege: "a login on the replica",
    source: "vendor page on heartbeats: the change must replicate to the replica that the connector reads",
});
const DECODE: Check = replica::DECODE.how(How {
    judged: "server_version_num (16 or newer), wal_level = logical on both servers, and hot_standby_feedback, without \
             which the primary's next vacuum invalidates the slot. Only if the slot is on the replica, or with decode = \
             true.",
    privilege: "a login on the replica",
    source: "https://www.postgresql.org/docs/current/logicaldecoding-explanation.html",
});

pub(super) const CHECKS: &[Check] = &[ROLE, ARRIVES, DECODE];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    replica::each(evidence, CHECKS, |subject, facts, place| {
        vec![
            role(place.name, subject, facts),
            arrives(evidence, subject, facts, place),
            decode(evidence, subject, facts, place.name),
        ]
    })
}

fn role(name: &str, subject: &str, facts: &PostgresFacts) -> Finding {
    if !facts.server.in_recovery {
        return ROLE
            .failed(subject, "it is a primary: it was promoted, or the address leads to the source")
            .expected("a standby of the source")
            .remedy("compare the addresses of the target and of the replica; rebuild the standby if it was promoted");
    }
    let paused = facts.wal.answer().and_then(|wal| wal.replay_paused);
    if paused == Some(true) {
        return ROLE
            .failed(subject, "its replay is paused")
            .expected("a standby that replays")
            .remedy(Remedy::sql("SELECT pg_wal_replay_resume();").on_replica(name));
    }
    ROLE.ok(subject, "a standby")
}

fn rows_of(facts: &PostgresFacts) -> Option<&RowFacts> {
    facts.row.as_ref().and_then(Answer::answer)
}

fn arrives(evidence: &Evidence<'_>, subject: &str, facts: &PostgresFacts, place: &ReplicaEvidence<'_>) -> Finding {
    let Some(written) = rows_of(&evidence.facts).and_then(|rows| rows.last_update) else {
        return ARRIVES.skipped(subject, "the source has no beat to compare with");
    };
    let remedy = |advice: &str| {
        Remedy::advice(advice).then_run(
            Remedy::sql("SELECT application_name, state, replay_lag FROM pg_stat_replication;")
                .note("and on the replica, SELECT status FROM pg_stat_wal_receiver"),
        )
    };
    if facts.table.answer().is_some() && relation_of(facts).is_none() {
        let observed = format!("the database {} has no heartbeat table", facts.server.database);
        return ARRIVES
            .failed_as(replica::severity(evidence, place.name), subject, observed)
            .expected("the table as it is on the source")
            .remedy(remedy("check the database in the replica's address, and where the replication stops"));
    }
    let Some(rows) = &facts.row else {
        return ARRIVES.unknown(subject, format!("the table cannot be read; requires {}", ARRIVES.privilege));
    };
    with(&ARRIVES, subject, rows, |rows| {
        replica::arrives(evidence, place, written, rows.last_update, remedy("find where the replication stops"))
    })
}

fn decode(evidence: &Evidence<'_>, subject: &str, facts: &PostgresFacts, name: &str) -> Finding {
    let settings = evidence.target.replicas.iter().find(|replica| replica.name == name);
    let holds_slot = settings.is_some_and(|replica| super::slot::is_read_on(evidence, &replica.name));
    if !holds_slot && settings.is_none_or(|replica| !replica.decode) {
        return DECODE.skipped(subject, "the connector's slot is not there, and decode is not set");
    }
    let server = &facts.server;
    let mut faults = Vec::new();
    let mut remedies = Vec::new();
    if facts.server.in_recovery && facts.server.major() < 16 {
        faults.push(format!("PostgreSQL {} cannot decode on a standby", facts.server.version));
        remedies.push(Remedy::advice("upgrade to 16 or later, or let the connector read the source"));
    }
    let on_source = evidence.facts.server.setting("wal_level").filter(|level| *level != "logical");
    if let Some(level) = on_source {
        faults.push(format!("wal_level is {level} on the source"));
    }
    if let Some(level) = facts.server.setting("wal_level").filter(|level| *level != "logical") {
        faults.push(format!("wal_level is {level} on the replica"));
        remedies.push(alter_system(server, "wal_level", "logical", true));
    }
    if facts.server.in_recovery && facts.server.setting("hot_standby_feedback") == Some("off") {
        faults.push("hot_standby_feedback is off".to_owned());
        remedies.push(alter_system(server, "hot_standby_feedback", "on", false));
    }
    if faults.is_empty() {
        return DECODE.ok(subject, "it can");
    }
    let finding = DECODE
        .failed(subject, faults.join("; "))
        .expected("PostgreSQL 16, wal_level = logical, hot_standby_feedback = on");
    // A remedy runs on one server, and each setting needs its own message. The next check shows what remains.
    let more = remedies.len() > 1;
    match remedies.into_iter().next().map(|remedy| remedy.on_replica(name)) {
        Some(remedy) if on_source.is_some() => {
            finding.remedy(remedy.note("also set wal_level = logical on the source"))
        }
        Some(remedy) if more => finding.remedy(remedy.note("then check again: something else is left")),
        Some(remedy) => finding.remedy(remedy),
        None => finding.remedy(alter_system(&evidence.facts.server, "wal_level", "logical", true)),
    }
}
