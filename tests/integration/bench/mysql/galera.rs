//! A throw-away Galera cluster: nodes of MariaDB on this machine that all accept writes.
//!
//! It starts like a cluster after a power cut: every node has the same data and the same record of the cluster, so none
//! needs a transfer. A node that was killed and restarts receives the data by rsync, on which Debian's package of the
//! server depends.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::OnceCell;

use super::super::wait::{eventually, secs};
use super::super::{ports, programs};
use super::{MysqlOptions, MysqlServer};

/// For changes that wait for the nodes' own time-outs: a silent node is dropped after five seconds.
const SETTLES: Duration = secs(30);

/// The nodes of one cluster.
#[derive(Debug)]
pub(crate) struct Galera {
    pub(crate) nodes: Vec<MysqlServer>,
}

/// The ports on which a node of a cluster listens, besides the clients' port.
#[derive(Debug, Clone, Copy)]
struct Ports {
    group: u16,
    changes: u16,
    data: u16,
}

impl Galera {
    /// Three nodes: two are a majority.
    pub(crate) async fn start() -> Self {
        Self::with(MysqlServer::options(), 3).await
    }

    /// This many nodes with these options; returns when each is a working part of the cluster.
    pub(crate) async fn with(options: MysqlOptions, size: usize) -> Self {
        assert!(size > 1, "a node that remembers no other does not start by itself");
        let (template, cluster) = template().await;
        let ports: Vec<Ports> = (0..size).map(|_| Ports::free()).collect();
        let nodes = ports.iter().enumerate().map(async |(place, own)| {
            let node = MysqlServer::prepare_from(&template, own.settings(&options, &ports)).await;
            node.place.write("data/grastate.dat", cluster);
            node.place.write("data/gvwstate.dat", memory(place, size));
            node
        });
        let mut cluster = Self { nodes: join_all(nodes).await };
        join_all(cluster.nodes.iter_mut().map(MysqlServer::resume)).await;
        cluster.settles().await;
        cluster
    }

    /// The ports for clients.
    pub(crate) fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(MysqlServer::port).collect()
    }

    /// Waits until every running node is a working part of one cluster.
    pub(crate) async fn settles(&self) {
        let running: Vec<&MysqlServer> = self.nodes.iter().filter(|node| node.process.is_some()).collect();
        let size = running.len().to_string();
        for node in running {
            node.wsrep_is("wsrep_cluster_size", &size).await;
            node.wsrep_is("wsrep_local_state_comment", "Synced").await;
        }
    }
}

impl MysqlServer {
    /// Waits until a node reports this value.
    pub(crate) async fn wsrep_is(&self, name: &str, value: &str) {
        eventually(SETTLES, format!("{name} to be {value} on port {}", self.port), async || {
            match self.rows(&format!("SHOW GLOBAL STATUS LIKE '{name}'")).await {
                rows if rows[0][1].as_deref() == Some(value) => Ok(()),
                rows => Err(format!("{rows:?}")),
            }
        })
        .await;
    }

    /// Cuts a node off from the others, or reconnects it; clients still reach it.
    pub(crate) async fn isolate(&self, isolated: bool) {
        let isolated = u8::from(isolated);
        self.execute(&format!("SET GLOBAL wsrep_provider_options = 'gmcast.isolate={isolated}'")).await;
    }

    /// Declares the rest of a cluster, as this node sees it, to be the cluster.
    pub(crate) async fn bootstrap(&self) {
        self.execute("SET GLOBAL wsrep_provider_options = 'pc.bootstrap=YES'").await;
    }
}

impl Ports {
    fn free() -> Self {
        Self { group: ports::free(), changes: ports::free(), data: ports::free() }
    }

    fn settings(self, options: &MysqlOptions, all: &[Self]) -> MysqlOptions {
        let Self { group, changes, data } = self;
        let nodes: Vec<String> = all.iter().map(|node| format!("127.0.0.1:{}", node.group)).collect();
        let lines = [
            // With the same id, the nodes number their transactions alike.
            format!("server_id = {}", all[0].group),
            "wsrep_gtid_mode = ON".to_owned(),
            "innodb_autoinc_lock_mode = 2".to_owned(),
            "wsrep_on = ON".to_owned(),
            format!("wsrep_provider = {}", programs::galera().display()),
            "wsrep_cluster_name = bench".to_owned(),
            format!("wsrep_cluster_address = gcomm://{}", nodes.join(",")),
            format!("wsrep_node_address = 127.0.0.1:{group}"),
            "wsrep_sst_method = rsync".to_owned(),
            format!("wsrep_sst_receive_address = 127.0.0.1:{data}"),
            format!(
                "wsrep_provider_options = \"gmcast.listen_addr=tcp://127.0.0.1:{group};ist.recv_addr=127.0.0.1:{changes};\
                 gcache.size=16M\""
            ),
        ];
        // The options' lines come after these and override them. With the bench's certificates, the transfer of data
        // would require a tunnel.
        let lines = format!("{}\n{}\n[sst]\nssl-mode = DISABLED\n", lines.join("\n"), options.lines);
        MysqlOptions { lines, ..options.clone() }
    }
}

/// The data folder of a node that was the only one of its cluster and was stopped, and its record of the cluster.
/// Created once per test process.
async fn template() -> (PathBuf, &'static str) {
    static TEMPLATE: OnceCell<(MysqlServer, String)> = OnceCell::const_new();
    let make = async || {
        let ports = Ports::free();
        let mut node = MysqlServer::prepare(ports.settings(&MysqlServer::options(), &[ports])).await;
        node.resume_with(&["--wsrep-new-cluster", "--skip-log-bin"]).await;
        node.stop().await;
        std::fs::remove_file(node.data().join("galera.cache")).unwrap();
        let state = std::fs::read_to_string(node.data().join("grastate.dat")).unwrap();
        assert!(!state.contains("seqno:   -1"), "the node was not stopped cleanly: {state}");
        (node, state)
    };
    let (node, state) = TEMPLATE.get_or_init(make).await;
    (node.data(), state)
}

/// What the node at this place remembers of a cluster of this size.
fn memory(place: usize, size: usize) -> String {
    let name = |place: usize| format!("{:08}-0000-11ef-8000-000000000000", place + 1);
    let members: String = (0..size).map(|place| format!("member: {} 0\n", name(place))).collect();
    format!("my_uuid: {}\n#vwbeg\nview_id: 3 {} {size}\nbootstrap: 0\n{members}#vwend\n", name(place), name(0))
}
