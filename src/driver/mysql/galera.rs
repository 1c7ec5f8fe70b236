//! Galera: whether a server is a node of a cluster, whether it is a working member, and whether its writes reach the
//! other nodes. `connect` calls it at each login; `beat` and the checks call it too.
//!
//! A node that is not ready still shows its variables and the catalogue, so it looks writable; it refuses only
//! statements on tables. A node whose `wsrep_on` is OFF accepts writes and does not send them to the others.

use std::collections::BTreeMap;

use sqlx::mysql::MySqlConnection;

use super::error_codes;
use super::query;
use crate::heartbeat::{ErrorKind, Failure};
use crate::remedy::Remedy;

/// The variables that identify a Galera node. In Percona XtraDB Cluster `wsrep_on` is a variable of sessions only,
/// which no server shows among the global ones. There, a server with a replication library is a node
/// (<https://docs.percona.com/percona-xtradb-cluster/8.0/wsrep-system-index.html#wsrep_on>).
pub(super) const VARIABLES: &[&str] = &["wsrep_on", "wsrep_provider", "wsrep_reject_queries"];
/// The `wsrep_cluster_status` of a node that lost sight of the others and is in the minority.
pub(super) const NON_PRIMARY: &str = "non-Primary";
/// The remedy for a node whose `wsrep_on` was switched off. The node may hold writes that the others lack, and lack
/// writes that they hold.
pub(super) fn switch_on() -> Remedy {
    Remedy::advice(
        "save what was written on the node alone, stop it, remove grastate.dat from its datadir and start it, so that it gets \
         a full state transfer from the others",
    )
    .or_run(
        Remedy::sql("SET GLOBAL wsrep_on = ON;")
            .note("only if nothing was written on the node meanwhile, and no one is at work there; sessions that are open keep \
                   OFF until they connect again: behind a pooler, end those"),
    )
}

/// A server's part in a Galera cluster, read from its variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Node {
    /// Whether it has a library for Galera replication, in use or not.
    library: bool,
    /// Whether the library was in use at the login: then the server is a node of a cluster, working or not.
    on: bool,
    /// Whether `wsrep_on` can be switched for the whole node, and not only for single sessions.
    switch: bool,
    /// Whether the node is set to refuse statements that it could answer.
    rejects_queries: bool,
}

impl Node {
    /// Reads those of [`VARIABLES`] that the server has.
    pub(super) fn of(variables: &BTreeMap<String, String>) -> Self {
        let value = |name: &str| variables.get(name).map_or("", String::as_str);
        let (library, switch) = (!matches!(value("wsrep_provider"), "" | "none"), variables.get("wsrep_on"));
        Self {
            library,
            on: switch.map_or(library, |switch| switch == "ON"),
            switch: switch.is_some(),
            rejects_queries: !matches!(value("wsrep_reject_queries"), "" | "NONE"),
        }
    }

    /// Whether it has a library for Galera replication, in use or not.
    pub(super) fn has_library(self) -> bool {
        self.library
    }

    /// Whether the library was in use at the login.
    pub(super) fn is_on(self) -> bool {
        self.on
    }

    /// Checks that a server with the library is a working part of its cluster, or in no cluster. Returns whether a node
    /// is in sync; `None` outside a cluster.
    ///
    /// # Errors
    /// `starting` or `not_writable` if the check fails; the server's error otherwise.
    pub(super) async fn must_be_in_its_cluster(
        self,
        connection: &mut MySqlConnection,
    ) -> Result<Option<bool>, Failure> {
        let names = ["wsrep_ready", "wsrep_connected", "wsrep_cluster_status", "wsrep_local_state_comment"];
        let status = query::show(connection, "GLOBAL STATUS", &names).await?;
        let shown = |name: &str| status.get(name).map_or("not shown", String::as_str);
        let not_ready = |message: String| {
            Err(Failure::new(ErrorKind::Starting, message).with_code(error_codes::ER_UNKNOWN_COM_ERROR))
        };
        match (self.on, shown("wsrep_ready")) {
            (false, _) if shown("wsrep_connected") == "ON" => Err(self.kept_to_itself("the node's")),
            (false, _) => Ok(None),
            (true, "ON") if self.rejects_queries => {
                not_ready("the node refuses statements: wsrep_reject_queries is set".to_owned())
            }
            (true, "ON") => Ok(Some(shown("wsrep_local_state_comment") == "Synced")),
            (true, ready) => not_ready(format!(
                "the node is not a working part of its Galera cluster: wsrep_ready is {ready}, wsrep_cluster_status {}",
                shown("wsrep_cluster_status")
            )),
        }
    }

    /// SQL that is true if this session's writes reach the other nodes of the cluster; `None` without the library. A
    /// session keeps the `wsrep_on` that was in force when it began. With OFF its writes succeed, but stay on this
    /// node. heartbeatd writes nothing on a node that was switched off, although older sessions could still send their
    /// writes to the others.
    pub(super) fn replicated_sql(self) -> Option<&'static str> {
        match (self.library, self.switch, self.on) {
            (false, ..) => None,
            (true, false, _) => Some("@@session.wsrep_on"),
            (true, true, true) => Some("@@session.wsrep_on AND @@global.wsrep_on"),
            // In no cluster at the login; the server may have joined one since.
            (true, true, false) => Some("(@@session.wsrep_on OR NOT @@global.wsrep_on)"),
        }
    }

    /// The failure of a node, or of a session, whose writes stay on the node.
    pub(super) fn kept_to_itself(self, whose: &str) -> Failure {
        let message =
            format!("{whose} wsrep_on is off: nothing that is written would reach the other nodes of the cluster");
        let reconnect = "end this session, which a pooler keeps open: it still has the wsrep_on that was in force \
                         when it began";
        let remedy = if self.switch { switch_on() } else { reconnect.into() };
        Failure::new(ErrorKind::NotWritable, message).with_remedy(remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_of_a_cluster_is_recognised_by_the_values_of_its_variables() {
        let node = |on: &str, provider: &str| {
            let variables = [("wsrep_on", on), ("wsrep_provider", provider), ("wsrep_reject_queries", "NONE")];
            Node::of(&variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
        };
        let cluster = node("ON", "/usr/lib/galera/libgalera_smm.so");
        assert!(cluster.on && cluster.replicated_sql().is_some() && !cluster.rejects_queries);
        let alone = node("OFF", "none");
        assert!(!alone.on && alone.replicated_sql().is_none());
        assert!(Node::default().replicated_sql().is_none());
        assert!(node("OFF", "/usr/lib/galera/libgalera_smm.so").replicated_sql().is_some(), "it may be switched on");
        assert_eq!(
            cluster.replicated_sql(),
            Some("@@session.wsrep_on AND @@global.wsrep_on"),
            "it may be switched off"
        );
        let failure = cluster.kept_to_itself("the node's");
        let remedy = failure.remedy().unwrap().to_string();
        assert!(
            remedy.starts_with("save what was written") && remedy.contains("only if nothing was written"),
            "{remedy}"
        );
    }

    #[test]
    fn a_node_whose_switch_exists_only_for_sessions_is_not_asked_for_the_servers_switch() {
        let percona = |provider: &str| {
            let variables =
                [("wsrep_provider", provider), ("wsrep_reject_queries", "NONE"), ("super_read_only", "OFF")];
            Node::of(&variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
        };
        let node = percona("/usr/lib/galera4/libgalera_smm.so");
        assert!(node.on, "wsrep_ready decides whether it gets beats");
        assert_eq!(node.replicated_sql(), Some("@@session.wsrep_on"), "@@global.wsrep_on would be error 1238");
        let failure = node.kept_to_itself("this session's");
        assert!(!failure.remedy().unwrap().to_string().contains("SET GLOBAL"), "{failure:?}");
        let alone = percona("none");
        assert!(!alone.on && alone.replicated_sql().is_none());
    }
}
