//! The replicas that the connector reads from: whether the beat arrives there, and whether their binary logs contain
//! it.

use super::cluster;
use super::evidence::{CLIENT, Evidence, ReplicaEvidence, with};
use super::variables::{set_at_start, set_global};
use crate::driver::mysql::errors::PASSING;
use std::time::Duration;

use super::activity::reads;
use super::binlog::{left_out, let_in};
use super::settings::{BINLOG_FORMAT, Fault, faults};
use crate::driver::mysql::facts::{Channel, MysqlFacts, Relation};
use crate::driver::mysql::provision;
use crate::driver::mysql::remedies::MEMBERS;
use crate::driver::mysql::replication_filters::{Filters, text};
use crate::driver::shared_checks::replica::{self, ARRIVES};
use crate::finding::{Check, Finding, How, Rung, Severity};
use crate::remedy::Remedy;
use crate::time::words;

const ROLE: Check = replica::ROLE.how(How {
    judged: "SHOW REPLICA STATUS, and read_only, which must be ON. A node of a Galera cluster, a member of a \
             replication group and a reader of Aurora need no source.",
    privilege: "a login on the replica, and REPLICATION CLIENT or REPLICA MONITOR on it",
    source: "vendor page on heartbeats: the change must replicate to the replica that the connector reads",
});
const DECODE: Check = replica::DECODE.how(How {
    judged: "log_bin, log_replica_updates, binlog_format, binlog_row_image and the filters of the replica's binary log. \
             A warning unless the connector reads there, or decode = true.",
    privilege: "a login on the replica, and REPLICATION CLIENT on it to see the filters",
    source: "vendor's set-up guide for MySQL, replicas",
});

const MONITOR: &str = "on the replica, REPLICATION CLIENT (MariaDB: SLAVE MONITOR)";

const THREADS: Check = Check {
    id: "replica-threads",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "the replica receives and applies what the source writes",
    meaning: "If a replica's threads stop or lag, the beat arrives late or never.",
    judged: "SHOW REPLICA STATUS. Fails if a thread does not run, or the lag is above the threshold replica_lag. A \
             warning unless the replica is required.",
    privilege: MONITOR,
    source: "vendor page on heartbeats: the change must replicate to the replica that the connector reads",
};
const FILTERS: Check = Check {
    id: "replica-filters",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "the replica does not exclude the heartbeat table",
    meaning: "A replication filter drops changes without an error: everything else arrives, but not the beat.",
    judged: "The Replicate_… columns of SHOW REPLICA STATUS, as the server applies them to rows. Fails if they exclude \
             the schema or the table. A warning unless the replica is required.",
    privilege: MONITOR,
    source: "https://dev.mysql.com/doc/refman/8.4/en/replication-rules.html",
};

pub(super) const CHECKS: &[Check] = &[ROLE, THREADS, FILTERS, ARRIVES, DECODE];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    replica::each(evidence, CHECKS, |subject, facts, place| {
        let mut findings = match facts.replication.seen() {
            Ok(channels) => {
                vec![
                    role(place.name, subject, facts, channels),
                    threads(evidence, place, facts, channels),
                    filters(evidence, place, facts, channels),
                ]
            }
            Err(refusal) => {
                let grant = format!("{MONITOR}: GRANT {} ON *.* TO {};", monitor(facts), facts.server.account.quoted());
                let why = refusal.unless(&grant, PASSING);
                [ROLE, THREADS, FILTERS].iter().map(|check| check.unknown(subject, &why)).collect()
            }
        };
        findings.extend([arrives(evidence, subject, facts, place), decode(evidence, subject, facts, place)]);
        findings
    })
}

fn monitor(facts: &MysqlFacts) -> &'static str {
    if facts.server.flavour.is_mariadb() { "SLAVE MONITOR" } else { CLIENT }
}

/// The word for a replica in this server's statements.
fn word(facts: &MysqlFacts) -> &'static str {
    if facts.server.variables.contains_key("log_replica_updates") { "REPLICA" } else { "SLAVE" }
}

/// The names of a channel: in statements, and in the statement that shows its state.
fn names(facts: &MysqlFacts, channel: &Channel) -> (String, String) {
    let word = word(facts);
    if channel.name.is_empty() {
        return (String::new(), format!("SHOW {word} STATUS"));
    }
    let name = text(&channel.name);
    if facts.server.flavour.is_mariadb() {
        (format!(" {name}"), format!("SHOW {word} {name} STATUS"))
    } else {
        (format!(" FOR CHANNEL {name}"), format!("SHOW {word} STATUS FOR CHANNEL {name}"))
    }
}

/// The remedy for a wrong setting. `binlog_format` may only change while the threads are stopped: otherwise MySQL
/// refuses, and MariaDB's threads keep the old format.
fn around_format(facts: &MysqlFacts, fault: Fault) -> Remedy {
    if fault.variable != BINLOG_FORMAT || fault.remedy.is_advice() {
        return fault.remedy;
    }
    let word = word(facts);
    let channels = facts.replication.answer().map(Vec::as_slice).unwrap_or_default();
    let order = |order: &str| {
        let running = channels.iter().filter(|channel| channel.applying).map(|channel| names(facts, channel).0);
        let orders: Vec<String> = running
            .map(|name| match facts.server.flavour.is_mariadb() {
                true => format!("{order} {word}{name} SQL_THREAD;"),
                false => format!("{order} {word} SQL_THREAD{name};"),
            })
            .collect();
        (!orders.is_empty()).then(|| Remedy::sql(orders.join(" ")))
    };
    let all = order("STOP").into_iter().chain([fault.remedy.clone()]).chain(order("START"));
    Remedy::all(all).unwrap_or(fault.remedy)
}

/// The next step if the replica accepts writes although its group has read-only members.
fn name_a_secondary(replica: &str) -> Remedy {
    Remedy::advice(
        "name a secondary of its group as the replica, and let a server that is out of its group join it again",
    )
    .then_run(Remedy::sql(MEMBERS).on_replica(replica))
}

fn role(name: &str, subject: &str, facts: &MysqlFacts, channels: &[Channel]) -> Finding {
    let server = &facts.server;
    let membership = cluster::membership(server);
    if channels.is_empty() {
        if let Some(membership) = membership {
            return ROLE.ok(subject, format!("it is {membership}, whose members send each other all changes"));
        }
        if server.is_on("innodb_read_only") == Some(true) {
            return ROLE
                .ok(subject, "innodb_read_only is ON, as on a reader of Aurora, which shares its writer's storage");
        }
        if cluster::has_a_group(server) {
            let observed = match server.group_member {
                Some(false) => "it accepts writes, and is not a working member of its replication group",
                Some(true) => "it is the primary of its replication group",
                None => "it accepts writes: it is the primary of its replication group, or out of it",
            };
            return ROLE.failed(subject, observed).expected("a secondary of the group").remedy(name_a_secondary(name));
        }
        return ROLE
            .failed(subject, "it follows no server: it was promoted, or the address leads to the source")
            .expected("a replica of the source")
            .remedy("compare the addresses of the target and of the replica; rebuild the replica if it was promoted");
    }
    let sources: Vec<&str> = channels.iter().map(|channel| channel.source.as_str()).collect();
    let follows = format!("it follows {}", sources.join(" and "));
    if membership.is_none() && server.is_on("read_only") == Some(false) {
        let remedy = match cluster::has_a_group(server) {
            true => name_a_secondary(name),
            false => set_global(server, "read_only", "ON").on_replica(name),
        };
        return ROLE
            .failed(subject, format!("{follows}, and accepts writes of its own: read_only is OFF"))
            .expected("a replica that no one writes to")
            .remedy(remedy);
    }
    ROLE.ok(subject, follows)
}

fn threads(evidence: &Evidence<'_>, place: &ReplicaEvidence<'_>, facts: &MysqlFacts, channels: &[Channel]) -> Finding {
    let (subject, severity) = (&format!("replica {}", place.name), replica::severity(evidence, place.name));
    if channels.is_empty() {
        return THREADS.skipped(subject, "it follows no server");
    }
    let limit = evidence.target.checks.thresholds.replica_lag;
    let expected = format!("both threads run, at most {} behind", words(limit));
    for channel in channels {
        let number = |error: i64| if error == 0 { String::new() } else { format!(" (error {error})") };
        let mut stopped = Vec::new();
        if channel.receiving != "Yes" {
            stopped.push(format!("it does not receive: {}{}", channel.receiving, number(channel.receive_error)));
        }
        if !channel.applying {
            stopped.push(format!("it does not apply{}", number(channel.apply_error)));
        }
        if !stopped.is_empty() {
            let of = if channel.name.is_empty() { String::new() } else { format!("channel {}: ", channel.name) };
            let (word, (name, status)) = (word(facts), names(facts, channel));
            let start = match facts.server.managed {
                Some(managed) => managed.start_replication(),
                None => Remedy::sql(format!("START {word}{name};")),
            };
            return THREADS
                .failed_as(severity, subject, format!("{of}{}", stopped.join("; ")))
                .expected(expected)
                .remedy(start.on_replica(place.name).note(format!("read {status} first")));
        }
        let behind = Duration::from_secs(channel.behind.unwrap_or(0).try_into().unwrap_or(0));
        if behind > limit {
            return THREADS
                .failed_as(severity, subject, format!("{} behind", words(behind)))
                .expected(expected)
                .remedy(
                    Remedy::advice("find what slows it down: there, or a long transaction on the source")
                        .then_run(Remedy::sql("SHOW PROCESSLIST;").on_replica(place.name)),
                );
        }
    }
    THREADS.ok(subject, "both threads run")
}

fn filters(evidence: &Evidence<'_>, place: &ReplicaEvidence<'_>, facts: &MysqlFacts, channels: &[Channel]) -> Finding {
    let (subject, severity) = (&format!("replica {}", place.name), replica::severity(evidence, place.name));
    let heartbeat = &evidence.target.heartbeat;
    for channel in channels {
        let filters = Filters::of(&channel.filters, facts.server.naming());
        if let Some(filter) = filters.left_out(heartbeat) {
            let value = channel.filters.get(filter).map_or("", String::as_str);
            let remedy = match facts.server.managed {
                Some(managed) => {
                    let set = Remedy::advice(managed.set_filter(filter, &filters.with_table(filter, heartbeat)));
                    // A provider's accounts cannot write without logging to the binary log.
                    match is_there(evidence, facts) {
                        true => set,
                        false => set.note("then rebuild the replica, which lacks the table or its row"),
                    }
                }
                None => {
                    let lifted = filters.let_in(filter, heartbeat, facts.server.flavour, word(facts), &channel.name);
                    with_made_first(evidence, facts, lifted)
                }
            };
            return FILTERS
                .failed_as(severity, subject, format!("replicate_{filter} is {value}: the table is left out"))
                .expected("the heartbeat table is replicated")
                .remedy(remedy.on_replica(place.name));
        }
    }
    FILTERS.ok(subject, "the table is not left out")
}

/// Creates the missing table or row before the filter is lifted, because a change of a missing object stops the
/// replica. The binary log is off meanwhile, because the change would look like one of the source's.
fn with_made_first(evidence: &Evidence<'_>, facts: &MysqlFacts, lifted: Remedy) -> Remedy {
    if is_there(evidence, facts) {
        return lifted;
    }
    let heartbeat = &evidence.target.heartbeat;
    let has_table = has_table(facts);
    if !has_table && !evidence.relation().is_none_or(Relation::is_as_provisioned) {
        return Remedy::advice("create the table and its row as they are on the source, under SET sql_log_bin = 0")
            .then_run(lifted);
    }
    let [schema, table, row] = provision::by_hand(heartbeat);
    let made = if has_table { row } else { [schema, table, row].join(" ") };
    let made = format!("SET SESSION sql_log_bin = 0; {made} SET SESSION sql_log_bin = 1;");
    // super_read_only binds administrators, too.
    let made = match facts.server.is_on("super_read_only") {
        Some(true) => format!("SET GLOBAL super_read_only = OFF; {made} SET GLOBAL super_read_only = ON;"),
        _ => made,
    };
    Remedy::all([Remedy::sql(made), lifted.clone()]).unwrap_or(lifted)
}

/// Whether the table and the row exist, as far as is known.
fn is_there(evidence: &Evidence<'_>, facts: &MysqlFacts) -> bool {
    let row = evidence.target.heartbeat.row_number();
    has_table(facts) && facts.rows().is_none_or(|rows| rows.ids.contains(&row))
}

fn has_table(facts: &MysqlFacts) -> bool {
    facts.relation().is_some() || facts.table.answer().is_none()
}

fn arrives(evidence: &Evidence<'_>, subject: &str, facts: &MysqlFacts, place: &ReplicaEvidence<'_>) -> Finding {
    let Some(written) = evidence.facts.rows().and_then(|rows| rows.last_update) else {
        return ARRIVES.skipped(subject, "the source has no beat to compare with");
    };
    // Without ALL, MariaDB shows only one channel.
    let all = if facts.server.flavour.is_mariadb() { "ALL SLAVES" } else { word(facts) };
    let remedy = Remedy::sql(format!("SHOW {all} STATUS;")).on_replica(place.name).note("shows what keeps it");
    if facts.table.answer().is_some() && facts.relation().is_none() {
        let observed = "there is no heartbeat table, or it is hidden from this user";
        return ARRIVES
            .failed_as(replica::severity(evidence, place.name), subject, observed)
            .expected("the table as it is on the source")
            .remedy(remedy);
    }
    let Some(rows) = &facts.row else {
        return ARRIVES.unknown(subject, format!("the table cannot be read; requires {}", ARRIVES.privilege));
    };
    with(&ARRIVES, subject, rows, |rows| replica::arrives(evidence, place, written, rows.last_update, remedy))
}

fn decode(evidence: &Evidence<'_>, subject: &str, facts: &MysqlFacts, place: &ReplicaEvidence<'_>) -> Finding {
    let server = &facts.server;
    let wanted = evidence.target.replicas.iter().any(|replica| replica.name == place.name && replica.decode);
    let severity = if wanted || reads(evidence, facts) == Some(true) { Severity::Error } else { Severity::Warning };
    let mut faults = faults(server);
    // A node gets the other nodes' changes without a source.
    let follows = facts.replication.answer().is_none_or(|channels| !channels.is_empty());
    if let Some(name) = cluster::leaves_updates_out(server).filter(|_| follows || !cluster::logs_the_others(server)) {
        let remedy = set_at_start(server, name, &format!("{name} = ON"));
        faults.push(Fault { variable: name.to_owned(), observed: format!("{name} is OFF"), remedy });
    }
    let schema = &evidence.target.heartbeat.schema;
    if let Some((filter, value)) = facts.binlog.answer().and_then(|binlog| left_out(server, binlog, schema)) {
        let remedy = let_in(server, filter, &value, schema);
        faults.push(Fault { variable: filter.to_owned(), observed: format!("{filter} is {value}"), remedy });
    }
    if !faults.is_empty() {
        let observed: Vec<&str> = faults.iter().map(|fault| fault.observed.as_str()).collect();
        let finding = DECODE
            .failed_as(severity, subject, observed.join("; "))
            .expected("a binary log of whole rows, with log_replica_updates");
        return match Remedy::all(faults.into_iter().map(|fault| around_format(facts, fault))) {
            Some(remedy) => finding.remedy(remedy.on_replica(place.name)),
            None => finding,
        };
    }
    match facts.binlog.seen() {
        Ok(_) => DECODE.ok(subject, "its binary log holds what it replicates, as whole rows"),
        Err(refusal) => {
            let grant = format!("on the replica, GRANT {CLIENT} ON *.* TO {};", facts.server.account.quoted());
            DECODE.unknown(subject, refusal.unless(&grant, PASSING))
        }
    }
}
