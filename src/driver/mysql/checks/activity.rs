//! What other sessions do to the server, the connector's included, and how many tables the server has.

use super::evidence::Evidence;
use crate::driver::mysql::errors::PASSING;
use std::time::Duration;

use crate::driver::mysql::facts::{ActivityFacts, MysqlFacts};
use crate::driver::mysql::identifier::Account;
use crate::driver::shared_checks::activity;
use crate::finding::{Check, Finding, How, Rung, Severity};
use crate::remedy::Remedy;
use crate::time::words;

const LONG: Check = activity::LONG.how(How {
    judged: "information_schema.INNODB_TRX. Fails if a transaction is older than the threshold long_transaction.",
    privilege: "PROCESS",
    source: "the threshold is the one that Estuary uses; old versions of rows accumulate, and DDL waits",
});

const CONNECTED: Check = Check {
    id: "connector-connected",
    severity: Severity::Warning,
    rung: Rung::Movement,
    title: "the connector reads the binary log",
    meaning: "A stopped connector reads nothing, and its position grows old until the server purges the binary log \
              that it needs.",
    judged: "information_schema.PROCESSLIST of the source and of each replica. Fails if no session of the connector's \
             user reads the binary log (command Binlog Dump), now or in the look before.",
    privilege: "PROCESS",
    source: "vendor page on recovery: the source connector is stopped or paused",
};
const TABLES: Check = Check {
    id: "table-count",
    severity: Severity::Info,
    rung: Rung::Advice,
    title: "the server has fewer than a thousand tables",
    meaning: "With very many tables connectors can lose their schema history: \"Schema isn't known to this \
              connector\".",
    judged: "information_schema.TABLES. Fails from a thousand on. Below that, unknown if the server may hide tables \
             from this user.",
    privilege: "SHOW VIEW or another privilege on all databases, to see every table",
    source: "vendor page on recovery, MySQL: typical from a thousand tables on",
};

pub(super) const CHECKS: &[Check] = &[CONNECTED, LONG, TABLES];

const MANY: i64 = 1000;
/// Any one of these on all databases shows every table. The first one, which is recommended, allows no reads.
const SHOW_ALL: &[&str] =
    &["SHOW VIEW", "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "INDEX", "ALTER", "TRIGGER", "REFERENCES"];
const PROCESS: &str = "PROCESS";

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let (address, facts) = (&evidence.facts.address, &evidence.facts);
    vec![
        connected(evidence),
        evidence.with_privilege(&LONG, address, &facts.activity, PROCESS, |activity| long(evidence, activity)),
        evidence.with_privilege(&TABLES, address, &facts.tables, SHOW_ALL[0], |count| tables(evidence, *count)),
    ]
}

/// Whether a session of the connector's user reads this server's binary log; `None` if that is hidden.
pub(super) fn reads(evidence: &Evidence<'_>, facts: &MysqlFacts) -> Option<bool> {
    let activity = facts.activity.answer()?;
    let name = &evidence.target.connector.user.name;
    let user = Account::read(name).user;
    // A session's host is the address that it connects from, not its account's host.
    Some(activity.readers.iter().any(|reader| reader == name || *reader == user))
}

fn connected(evidence: &Evidence<'_>) -> Finding {
    let named = &evidence.target.connector.user;
    let subject = &named.name;
    let seen = |facts: &MysqlFacts| reads(evidence, facts) == Some(true);
    if seen(&evidence.facts) {
        return CONNECTED.ok(subject, "it reads the binary log");
    }
    let replicas = || evidence.replicas.iter().filter_map(|place| Some((place, place.facts.as_ref().ok()?)));
    if let Some((place, _)) = replicas().find(|(_, facts)| seen(facts)) {
        return CONNECTED.ok(subject, format!("it reads the binary log of replica {}", place.name));
    }
    if let Err(refusal) = evidence.facts.activity.seen() {
        return CONNECTED.unknown(subject, refusal.unless(&evidence.grant(PROCESS), PASSING));
    }
    if evidence.replicas.len() > replicas().filter(|(_, facts)| facts.activity.answer().is_some()).count() {
        let grant = evidence.grant(PROCESS);
        return CONNECTED.unknown(subject, format!("whether it reads a replica's is hidden; requires {grant}"));
    }
    // Only if every reader is visible.
    if !named.configured {
        return CONNECTED.skipped(
            subject,
            "no account of the default name reads the binary log: say under [target.connector] which user it logs in as",
        );
    }
    let before = evidence.earlier.iter().chain(evidence.replicas.iter().filter_map(|place| place.earlier.as_ref()));
    if before.into_iter().any(seen) {
        return CONNECTED.ok(subject, "it read the binary log in the look before: it may be connecting again");
    }
    CONNECTED
        .failed(subject, "no session of this user reads the binary log")
        .expected("a session with the command Binlog Dump")
        .remedy("start or resume the connector, and look at its log; if it logs in as another user, say so under [target.connector]")
}

fn long(evidence: &Evidence<'_>, activity: &ActivityFacts) -> Finding {
    let subject = &evidence.facts.address;
    let threshold = evidence.target.checks.thresholds.long_transaction;
    let Some(oldest) = activity.transactions.iter().max_by_key(|transaction| transaction.age) else {
        return LONG.ok(subject, "none is open");
    };
    let age = Duration::from_micros(u64::try_from(oldest.age).unwrap_or(0));
    let open = words(age);
    if age <= threshold {
        return LONG.ok(subject, format!("the oldest has been open for {open}"));
    }
    let user = oldest.user.as_deref().unwrap_or("somebody");
    let (who, remedy) = if oldest.session == 0 {
        let remedy = Remedy::advice(
            "let its owner, whom its name tells, decide on XA COMMIT or XA ROLLBACK: either is for good",
        );
        ("a prepared transaction (XA)".to_owned(), remedy.then_run(Remedy::sql("XA RECOVER;")))
    } else {
        let session = oldest.session;
        let kill = match evidence.facts.server.managed {
            Some(managed) => managed.kill(&session.to_string()),
            None => format!("KILL {session};"),
        };
        let remedy = Remedy::advice(format!("ask {user} to end it"))
            .or_run(Remedy::sql(kill).note("after asking; what it has not committed is rolled back"));
        (format!("session {session} of {user}"), remedy)
    };
    LONG.failed(subject, format!("{who} has had a transaction open for {open}"))
        .expected(format!("none older than {}", words(threshold)))
        .remedy(remedy)
}

fn tables(evidence: &Evidence<'_>, seen: i64) -> Finding {
    let subject = &evidence.facts.address;
    if seen >= MANY {
        return TABLES
            .failed(subject, format!("{seen} tables"))
            .expected(format!("fewer than {MANY}"))
            .remedy("in the connector's settings, consider \"Capture Only Captured Tables DDL\"");
    }
    let grants = evidence.facts.roles.own.grants.answer();
    if grants.is_some_and(|grants| SHOW_ALL.iter().any(|name| grants.holds(name))) {
        return TABLES.ok(subject, format!("{seen} tables"));
    }
    let grant = evidence.grant(SHOW_ALL[0]);
    TABLES.unknown(subject, format!("this user sees {seen} tables, and others may be hidden; requires {grant}"))
}
