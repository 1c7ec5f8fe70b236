//! The servers that the connector reads from: whether the beat arrives there, and whether they can decode it.

use std::time::Duration;

use super::{Place, Scene, alter_system, relation_of, with};
use crate::driver::postgres::facts::{Gathered, PostgresFacts, RowFacts};
use crate::finding::{Check, Finding, Rung, Severity};
use crate::freshness::words;
use crate::scheduler::ticks::longest_period;
use crate::target::Replica;

const ROLE: Check = Check {
    id: "replica-role",
    severity: Severity::Warning,
    rung: Rung::Tracking,
    title: "the replica is a standby that replays",
    meaning: "A replica that was promoted, or whose replay was paused, gets no beat any more.",
    judged: "pg_is_in_recovery() and pg_is_wal_replay_paused() of the replica.",
    privilege: "a login on the replica",
    source: "vendor page on heartbeats: the change must replicate to the replica that the connector reads",
};
const ARRIVES: Check = Check {
    id: "replica-heartbeat",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "the beat arrives at the replica",
    meaning: "A connector that reads the replica sees the beat only once it has arrived there.",
    judged: "last_update on the replica against last_update on the source: fails when it is behind by more than a period and \
             the threshold replica_lag. A warning unless the replica is required.",
    privilege: "on the replica, USAGE on the schema and SELECT on the heartbeat table",
    source: "vendor page on heartbeats: the change must replicate to the replica that the connector reads",
};
const DECODE: Check = Check {
    id: "replica-decode",
    severity: Severity::Error,
    rung: Rung::Resource,
    title: "the replica can decode for the connector",
    meaning: "Decoding on a standby takes PostgreSQL 16, wal_level = logical on both servers, and hot_standby_feedback, or \
              the slot is invalidated by the next vacuum of the primary.",
    judged: "server_version_num, wal_level of both, hot_standby_feedback. Only where the slot is on the replica, or with \
             decode = true.",
    privilege: "a login on the replica",
    source: "https://www.postgresql.org/docs/current/logicaldecoding-explanation.html",
};

pub(super) const CHECKS: &[Check] = &[ROLE, ARRIVES, DECODE];

pub(super) fn judge(scene: &Scene<'_>) -> Vec<Finding> {
    if scene.replicas.is_empty() {
        let why = "no replica is configured";
        return CHECKS.iter().map(|check| check.skipped(&scene.target.name, why)).collect();
    }
    scene.replicas.iter().flat_map(|place| judge_one(scene, place)).collect()
}

fn judge_one(scene: &Scene<'_>, place: &Place<'_>) -> Vec<Finding> {
    let subject = format!("replica {}", place.name);
    let settings = scene.target.replicas.iter().find(|replica| replica.name == place.name);
    match &place.facts {
        Ok(facts) => vec![
            role(&subject, facts),
            arrives(scene, &subject, facts, settings),
            decode(scene, &subject, facts, settings),
        ],
        Err(failure) => {
            let why = format!("the replica could not be looked at: {}", failure.message);
            CHECKS.iter().map(|check| check.unknown(&subject, &why)).collect()
        }
    }
}

fn role(subject: &str, facts: &PostgresFacts) -> Finding {
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
            .remedy("SELECT pg_wal_replay_resume(); -- on the replica");
    }
    ROLE.ok(subject, "a standby")
}

fn rows_of(facts: &PostgresFacts) -> Option<&RowFacts> {
    facts.row.as_ref().and_then(Gathered::answer)
}

fn arrives(scene: &Scene<'_>, subject: &str, facts: &PostgresFacts, settings: Option<&Replica>) -> Finding {
    let required = settings.is_some_and(|replica| replica.required);
    let severity = if required { Severity::Error } else { Severity::Warning };
    let Some(written) = rows_of(&scene.facts).and_then(|rows| rows.last_update) else {
        return ARRIVES.skipped(subject, "the source has no beat to compare with");
    };
    let remedy = "look at the replication: on the source SELECT application_name, state, replay_lag FROM \
                  pg_stat_replication; on the replica SELECT status FROM pg_stat_wal_receiver;";
    if facts.table.answer().is_some() && relation_of(facts).is_none() {
        return ARRIVES
            .failed_as(severity, subject, format!("the database {} has no heartbeat table", facts.server.database))
            .expected("the table as it is on the source")
            .remedy(format!("check the database in the replica's address; {remedy}"));
    }
    let Some(rows) = &facts.row else {
        return ARRIVES.unknown(subject, format!("the table cannot be read; it takes {}", ARRIVES.privilege));
    };
    with(&ARRIVES, subject, rows, |rows| {
        let limit = longest_period(&scene.target.schedule, scene.case.now.taken_at)
            + scene.target.checks.thresholds.replica_lag;
        let expected = format!("at most {} behind", words(limit));
        let Some(arrived) = rows.last_update else {
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
    })
}

fn decode(scene: &Scene<'_>, subject: &str, facts: &PostgresFacts, settings: Option<&Replica>) -> Finding {
    let slot = facts.slots.answer().and_then(|slots| slots.named.as_ref());
    let holds_slot = slot.is_some_and(|slot| !slot.is_copy());
    if !holds_slot && settings.is_none_or(|replica| !replica.decode) {
        return DECODE.skipped(subject, "the connector's slot is not there, and decode is not set");
    }
    let mut faults = Vec::new();
    let mut remedies = Vec::new();
    if facts.server.in_recovery && facts.server.major() < 16 {
        faults.push(format!("PostgreSQL {} cannot decode on a standby", facts.server.version));
        remedies.push("upgrade to 16 or later, or let the connector read the source".to_owned());
    }
    for (place, server) in [("the source", &scene.facts.server), ("the replica", &facts.server)] {
        if let Some(level) = server.setting("wal_level").filter(|level| *level != "logical") {
            faults.push(format!("wal_level is {level} on {place}"));
            remedies.push(format!("on {place}: {}", alter_system("wal_level", "logical", true)));
        }
    }
    if facts.server.in_recovery && facts.server.setting("hot_standby_feedback") == Some("off") {
        faults.push("hot_standby_feedback is off".to_owned());
        remedies.push(format!("on the replica: {}", alter_system("hot_standby_feedback", "on", false)));
    }
    if faults.is_empty() {
        return DECODE.ok(subject, "it can");
    }
    DECODE
        .failed(subject, faults.join("; "))
        .expected("PostgreSQL 16, wal_level = logical, hot_standby_feedback = on")
        .remedy(remedies.join(" "))
}
