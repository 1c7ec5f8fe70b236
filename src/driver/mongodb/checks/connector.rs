//! The connector's user, and whether any client reads change streams.

use super::evidence::{Evidence, MONITOR, USERS, with};
use crate::driver::mongodb::facts::UserFacts;
use crate::driver::mongodb::family;
use crate::driver::mongodb::identifier::{READER, literal, pattern};
use crate::driver::mongodb::remedies::on_primary;
use crate::driver::shared_checks::connector;
use crate::finding::{Check, Finding, Rung, Severity};
use crate::remedy::Remedy;

const ROLE: Check = connector::ROLE.requires(USERS);
const SELECT: Check = connector::SELECT.requires(USERS);

const STREAM: Check = Check {
    id: "connector-change-stream",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the connector's user may open a change stream on the heartbeat's collection",
    meaning: "Without the action changeStream the connector reads no changes, even if the heartbeat is fresh.",
    judged: "From its privileges. Fails if no role grants the action on the collection, its database or every \
             database.",
    privilege: USERS,
    source: "https://www.mongodb.com/docs/manual/changeStreams/#access-control; vendor's set-up guide for MongoDB",
};
const READERS: Check = Check {
    id: "change-stream-readers",
    severity: Severity::Info,
    rung: Rung::Movement,
    title: "a client reads change streams of this server",
    meaning: "A connector that reads keeps a cursor open. If no member has one, no one receives the heartbeats.",
    judged: "$currentOp with idle cursors. Fails if no cursor of a change stream is open on this server. A connector \
             may read from another member.",
    privilege: "the role clusterMonitor on the database admin",
    source: "https://www.mongodb.com/docs/manual/reference/operator/aggregation/currentOp/",
};

const NAMESPACES: Check = Check {
    id: "connector-namespaces",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "the connector's namespaces include the heartbeat's collection",
    meaning: "If the connector reads only some databases or collections, it receives the heartbeat's events only if \
              the heartbeat's collection is one of them.",
    judged: "From connector.namespaces. Fails if no name or expression matches. Skipped if none is configured: the \
             connector reads everything, or heartbeatd does not know its list.",
    privilege: "none",
    source: "vendor page on heartbeats: the collection is in the connector's list",
};

pub(super) const CHECKS: &[Check] = &[ROLE, SELECT, STREAM, NAMESPACES, READERS];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    vec![
        role(evidence),
        with_connector(evidence, &SELECT, |user| granted(evidence, &SELECT, "find", user.rights.find)),
        with_connector(evidence, &STREAM, |user| granted(evidence, &STREAM, "changeStream", user.rights.change_stream)),
        namespaces(evidence),
        readers(evidence),
    ]
}

fn namespaces(evidence: &Evidence<'_>) -> Finding {
    let (name, listed) = (&evidence.names.table, family::NAMESPACES.listed(evidence.target));
    if listed.is_empty() {
        return NAMESPACES.skipped(name, "connector.namespaces names none");
    }
    let fits = |listed: &&String| pattern(listed).is_ok_and(|pattern| pattern.is_match(name));
    match listed.iter().find(fits) {
        Some(fitting) => NAMESPACES.ok(name, format!("it is in {fitting}")),
        None => NAMESPACES
            .failed(name, format!("it is in none of: {}", listed.join(", ")))
            .expected(name)
            .remedy(format!("add {name} to what the connector reads, and to namespaces under [target.connector]")),
    }
}

fn role(evidence: &Evidence<'_>) -> Finding {
    let (named, name) = (&evidence.target.connector.user, &evidence.names.connector);
    with(&ROLE, name, &evidence.facts.connector, USERS, |user| {
        match user {
        Some(_) => ROLE.ok(name, "it exists"),
        None if named.configured => ROLE.failed(name, "there is no such user in the database admin").remedy(on_primary(format!(
            "db.getSiblingDB(\"admin\").createUser({{user: {}, pwd: passwordPrompt(), roles: [\"readAnyDatabase\", {{role: \
             \"read\", db: \"local\"}}]}})",
            literal(name)
        ))),
        None => ROLE.skipped(name, "no user has the default name: say under [target.connector] which user it logs in as"),
    }
    })
}

fn with_connector(evidence: &Evidence<'_>, check: &Check, judge: impl FnOnce(&UserFacts) -> Finding) -> Finding {
    let name = &evidence.names.connector;
    with(check, name, &evidence.facts.connector, USERS, |user| match user {
        Some(user) => judge(user),
        None => check.skipped(name, "there is no such user"),
    })
}

fn granted(evidence: &Evidence<'_>, check: &Check, action: &str, has: bool) -> Finding {
    let (name, collection) = (&evidence.names.connector, &evidence.names.table);
    if has {
        return check.ok(name, format!("{action} on {collection}"));
    }
    check.failed(name, format!("no {action} on {collection}")).expected(action).remedy(
        Remedy::advice(format!("create and grant the role {READER}: {}", evidence.provision_in_words())).or_run(
            on_primary(format!(
                "db.getSiblingDB(\"admin\").grantRolesToUser({}, [\"readAnyDatabase\"])",
                literal(name)
            )),
        ),
    )
}

fn readers(evidence: &Evidence<'_>) -> Finding {
    let subject = &evidence.facts.address;
    with(&READERS, subject, &evidence.facts.readers, MONITOR, |readers| {
        match readers {
        0 => READERS.failed(subject, "no change stream is open on this server").expected("the connector's").remedy(
            "look at the connector, unless it reads from another member; after error 286 or 280 (ChangeStreamHistoryLost, \
             ChangeStreamFatalError) its resume point is gone because the oplog no longer reaches back to it, or because \
             its pipeline was changed: give it a new snapshot",
        ),
        count => READERS.ok(subject, format!("{count}")),
    }
    })
}
