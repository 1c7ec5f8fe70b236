//! Clusters: Galera, and other servers that replicate without a source.

use super::evidence::Evidence;
use super::variables::{NO_LOG, has_log, set_at_start};
use crate::driver::mysql::connect::GUARDS;
use crate::driver::mysql::facts::ServerFacts;
use crate::driver::mysql::galera::{Node, switch_on};
use crate::driver::mysql::group_replication;
use crate::driver::mysql::remedies::WSREP;
use crate::finding::{Check, Finding, Rung, Severity};
use crate::remedy::Remedy;

const STATE: &str = "read access to the server's state, which every user has";

const READY: Check = Check {
    id: "galera-ready",
    severity: Severity::Error,
    rung: Rung::Connection,
    title: "the node is a working member of its Galera cluster",
    meaning: "A node that is not ready, or is set to reject queries, answers every statement on a table with error \
              1047. A node outside the primary component, or not in sync, shows old data. A node whose wsrep_on is OFF \
              accepts every write and sends none to the others.",
    judged: "wsrep_ready, wsrep_cluster_status, wsrep_local_state_comment and wsrep_reject_queries. Fails unless they \
             are ON, Primary, Synced and NONE; a donor is a warning. If wsrep_on is OFF, it fails if wsrep_connected \
             is ON and is skipped otherwise. Percona XtraDB Cluster has no global wsrep_on: there a server with a \
             wsrep_provider counts as a node.",
    privilege: STATE,
    source: "https://mariadb.com/kb/en/galera-cluster-status-variables/",
};
const GTID: Check = Check {
    id: "galera-gtid",
    severity: Severity::Info,
    rung: Rung::Advice,
    title: "the nodes of the Galera cluster give a transaction the same GTID",
    meaning: "Without wsrep_gtid_mode a connector that changes to another node cannot find its position there.",
    judged: "wsrep_gtid_mode. Fails unless it is ON. Only if wsrep_on is ON.",
    privilege: STATE,
    source: "https://mariadb.com/kb/en/using-mariadb-gtids-with-mariadb-galera-cluster/",
};
const UPDATES: Check = Check {
    id: "galera-log-updates",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "the node's binary log contains what the other nodes write",
    meaning: "Without log_slave_updates a MySQL node (Percona XtraDB Cluster, Codership) logs only what clients write \
              through that node. The connector that reads there receives the beat but not the changes from other \
              nodes, and the beat hides that. A MariaDB node always logs what the others write.",
    judged: "log_slave_updates. On MySQL fails if it is OFF. Only if wsrep_on is ON and the node has a binary log.",
    privilege: STATE,
    source: "measured: a MariaDB 10.11 node logs everything with it OFF; for MySQL the server's source code, where \
             appliers log only with it ON",
};

pub(super) const CHECKS: &[Check] = &[READY, GTID, UPDATES];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let server = &evidence.facts.server;
    if is_node(server) {
        return vec![ready(server), gtid(server), updates(server)];
    }
    let skipped = |check: &Check| check.skipped("wsrep_on", "this is not a node of a Galera cluster");
    if server.status.get("wsrep_connected").is_some_and(|connected| connected == "ON") {
        return vec![kept_to_itself(), skipped(&GTID), skipped(&UPDATES)];
    }
    CHECKS.iter().map(skipped).collect()
}

/// Whether it is a node of a Galera cluster, working or not.
pub(super) fn is_node(server: &ServerFacts) -> bool {
    Node::of(&server.variables).is_on()
}

/// What this server is in its cluster, if the cluster's members send each other all changes.
pub(super) fn membership(server: &ServerFacts) -> Option<&'static str> {
    if is_node(server) {
        Some("a node of a Galera cluster")
    } else if is_in_a_group(server) {
        Some("a member of a replication group")
    } else {
        None
    }
}

/// Whether it is configured for group replication, as a member or not.
pub(super) fn has_a_group(server: &ServerFacts) -> bool {
    group_replication::is_configured(&server.variables)
}

/// A member that follows its group's primary is read-only. A writable one shares writes only if all members may write.
fn is_in_a_group(server: &ServerFacts) -> bool {
    let shares_writes =
        server.is_on(group_replication::SINGLE_PRIMARY) == Some(false) && server.group_member != Some(false);
    has_a_group(server) && (shares_writes || GUARDS.iter().any(|guard| server.is_on(guard) == Some(true)))
}

/// The name of the variable that keeps replicated changes out of this server's binary log, if it does.
pub(super) fn leaves_updates_out(server: &ServerFacts) -> Option<&'static str> {
    let names = ["log_replica_updates", "log_slave_updates"];
    names.into_iter().find(|name| server.is_on(name) == Some(false)).filter(|_| has_log(server))
}

/// Whether the other nodes' writes are in this node's binary log regardless of its settings: in MariaDB every commit
/// goes through it.
pub(super) fn logs_the_others(server: &ServerFacts) -> bool {
    is_node(server) && server.flavour.is_mariadb()
}

fn ready(server: &ServerFacts) -> Finding {
    let subject = "wsrep_local_state_comment";
    let status = |name: &str| server.status.get(name).map_or("not shown", String::as_str);
    let (answers, component, state) =
        (status("wsrep_ready"), status("wsrep_cluster_status"), status("wsrep_local_state_comment"));
    let observed = format!("ready {answers}, component {component}, state {state}");
    let expected = "ready ON, component Primary, state Synced";
    let remedy = Remedy::advice("name a node that is Synced in url meanwhile").then_run(Remedy::sql(WSREP));
    match server.variable("wsrep_reject_queries") {
        None | Some("NONE") => {}
        Some(rejects) => {
            return READY.failed("wsrep_reject_queries", rejects).expected("NONE").remedy(
                Remedy::advice("make sure that no administrator is at work on the node")
                    .then_run(Remedy::sql("SET GLOBAL wsrep_reject_queries = NONE;")),
            );
        }
    }
    match (answers, component, state) {
        ("ON", "Primary", "Synced") => READY.ok(subject, observed),
        ("ON", "Primary", "Donor/Desynced") => {
            READY.failed_as(Severity::Warning, subject, observed).expected(expected).remedy(remedy)
        }
        _ => READY.failed(subject, observed).expected(expected).remedy(remedy),
    }
}

/// A session keeps the value that was in force when it began.
fn kept_to_itself() -> Finding {
    READY
        .failed("wsrep_on", "OFF, and the node is connected to its cluster: what is written here reaches no other node")
        .expected("ON")
        .remedy(switch_on())
}

fn gtid(server: &ServerFacts) -> Finding {
    let name = "wsrep_gtid_mode";
    match server.is_on(name) {
        None => GTID.skipped(name, "this server has no such variable"),
        Some(true) => GTID.ok(name, "ON"),
        Some(false) => GTID.failed(name, "OFF").expected("ON").remedy(set_at_start(
            server,
            name,
            "wsrep_gtid_mode = ON, one wsrep_gtid_domain_id and log_slave_updates = ON on every node",
        )),
    }
}

fn updates(server: &ServerFacts) -> Finding {
    let name = "log_slave_updates";
    if !has_log(server) {
        return UPDATES.skipped(name, NO_LOG);
    }
    match leaves_updates_out(server) {
        None => UPDATES.ok(name, "ON"),
        Some(_) if logs_the_others(server) => {
            UPDATES.ok(name, "OFF, and MariaDB logs what the other nodes write all the same")
        }
        Some(name) => {
            let remedy = set_at_start(server, name, &format!("{name} = ON"));
            UPDATES.failed(name, "OFF").expected("ON").remedy(remedy)
        }
    }
}
