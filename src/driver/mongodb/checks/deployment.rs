//! The replica set or the sharded cluster: whether it has change streams, and whether a majority can acknowledge.

use super::evidence::{Evidence, MONITOR, with};
use crate::finding::{Check, Finding, Rung, Severity};
use crate::remedy::Remedy;

const STREAMS: Check = Check {
    id: "change-streams",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "the deployment has change streams",
    meaning: "Connectors read MongoDB through change streams, which only replica sets and sharded clusters have.",
    judged: "hello. Fails for a standalone server.",
    privilege: "a login",
    source: "https://www.mongodb.com/docs/manual/changeStreams/#availability",
};
const MAJORITY: Check = Check {
    id: "majority",
    severity: Severity::Error,
    rung: Rung::Resource,
    title: "a majority of the replica set can acknowledge a beat",
    meaning: "Change streams deliver only what the majority has. Without a majority, beats are written but not \
              delivered, and after two election time-outs there is no primary.",
    judged: "replSetGetStatus and replSetGetConfig. Fails if fewer healthy members have a vote and data than a \
             majority of the votes requires.",
    privilege: "the role clusterMonitor on the database admin",
    source: "measured: write concern error 64 with both secondaries frozen; \
             https://www.mongodb.com/docs/manual/reference/write-concern/",
};
const ARBITERS: Check = Check {
    id: "arbiters",
    severity: Severity::Warning,
    rung: Rung::Advice,
    title: "no arbiter is needed for a majority",
    meaning: "An arbiter votes but holds no data. With a primary, a secondary and an arbiter, losing either member \
              with data stops every change stream, although the set still has a primary.",
    judged: "replSetGetConfig. Fails if losing one member with data leaves fewer of them than a majority of the votes \
             requires. Skipped without an arbiter.",
    privilege: "the role clusterMonitor on the database admin",
    source: "https://www.mongodb.com/docs/manual/administration/change-streams-production-recommendations/",
};
const NOOPS: Check = Check {
    id: "periodic-noops",
    severity: Severity::Warning,
    rung: Rung::Tracking,
    title: "an idle primary does not delay change streams",
    meaning: "A change stream of a sharded cluster waits for every shard. A shard without writes delays the stream \
              until its primary writes a no-op entry, by default every ten seconds.",
    judged: "The parameter writePeriodicNoops. Fails if it is off; an advice on a single replica set.",
    privilege: "the role clusterMonitor on the database admin",
    source: "https://www.mongodb.com/docs/manual/administration/change-streams-production-recommendations/",
};

pub(super) const CHECKS: &[Check] = &[STREAMS, MAJORITY, ARBITERS, NOOPS];

const ALONE: &str = "the server belongs to no replica set";
const SHARDED: &str = "this is a router: its shards are not checked";

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    vec![streams(evidence), majority(evidence), arbiters(evidence), noops(evidence)]
}

fn streams(evidence: &Evidence<'_>) -> Finding {
    let (server, subject) = (&evidence.facts.server, &evidence.facts.address);
    match &server.set_name {
        Some(name) => STREAMS.ok(subject, format!("a member of the replica set {name}")),
        None if server.sharded => STREAMS.ok(subject, "a router of a sharded cluster"),
        None => STREAMS.failed(subject, "a server by itself").expected("a replica set, of one member at least").remedy(
            Remedy::advice("make it a replica set: set replication.replSetName in mongod.conf, and restart it")
                .then_run(Remedy::mongosh("rs.initiate()").note("as an administrator")),
        ),
    }
}

/// Why there is no replica set to judge.
fn without_set(evidence: &Evidence<'_>) -> Option<&'static str> {
    match (&evidence.facts.server.set_name, evidence.facts.server.sharded) {
        (_, true) => Some(SHARDED),
        (None, false) => Some(ALONE),
        (Some(_), false) => None,
    }
}

fn majority(evidence: &Evidence<'_>) -> Finding {
    let subject = set_name(evidence);
    if let Some(why) = without_set(evidence) {
        return MAJORITY.skipped(subject, why);
    }
    with(&MAJORITY, subject, &evidence.facts.members, MONITOR, |members| {
        with(&MAJORITY, subject, &evidence.facts.set, MONITOR, |set| {
            let needed = usize::try_from(set.votes / 2 + 1).unwrap_or(usize::MAX);
            let acknowledges = |name: &&String| {
                let healthy = |state: &str| matches!(state, "PRIMARY" | "SECONDARY");
                members.iter().any(|member| member.name == **name && member.healthy && healthy(&member.state))
            };
            let healthy = set.voting_data.iter().filter(acknowledges).count();
            let observed =
                format!("{healthy} of {} members with a vote and with data are healthy", set.voting_data.len());
            if healthy >= needed {
                return MAJORITY.ok(subject, observed);
            }
            let down: Vec<String> = members
                .iter()
                .filter(|member| {
                    !member.healthy || !matches!(member.state.as_str(), "PRIMARY" | "SECONDARY" | "ARBITER")
                })
                .map(|member| format!("{} ({})", member.name, member.state))
                .collect();
            MAJORITY
                .failed(subject, observed)
                .expected(format!("{needed}, the majority of {} votes", set.votes))
                .remedy(format!("start these members, or look into their logs: {}", down.join(", ")))
        })
    })
}

fn arbiters(evidence: &Evidence<'_>) -> Finding {
    let subject = set_name(evidence);
    if let Some(why) = without_set(evidence) {
        return ARBITERS.skipped(subject, why);
    }
    with(&ARBITERS, subject, &evidence.facts.set, MONITOR, |set| {
        let needed = usize::try_from(set.votes / 2 + 1).unwrap_or(usize::MAX);
        if set.arbiters.is_empty() {
            return ARBITERS.ok(subject, "there is none");
        }
        if set.voting_data.len() > needed {
            return ARBITERS.ok(subject, "one member with data may be lost");
        }
        ARBITERS
            .failed(subject, format!("{} with data and a vote, {needed} make a majority", set.voting_data.len()))
            .expected("a majority of members with data after the loss of one")
            .remedy(format!("replace the arbiter {} by a member that holds data", set.arbiters.join(", ")))
    })
}

fn noops(evidence: &Evidence<'_>) -> Finding {
    let subject = &evidence.facts.address;
    if evidence.facts.server.sharded {
        return NOOPS.unknown(subject, "a router does not know: ask the primary of each shard: db.adminCommand({getParameter: 1, writePeriodicNoops: 1})");
    }
    if evidence.facts.server.set_name.is_none() {
        return NOOPS.skipped(subject, ALONE);
    }
    with(&NOOPS, subject, &evidence.facts.periodic_noops, MONITOR, |on| {
        if *on {
            return NOOPS.ok(subject, "writePeriodicNoops is on");
        }
        NOOPS.failed_as(Severity::Info, subject, "writePeriodicNoops is off").expected("on").remedy(
            "take setParameter.writePeriodicNoops out of mongod.conf of every member, and restart them one by one",
        )
    })
}

fn set_name<'a>(evidence: &'a Evidence<'_>) -> &'a str {
    evidence.facts.server.set_name.as_deref().unwrap_or(&evidence.facts.address)
}
