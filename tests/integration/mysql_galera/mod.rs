//! A Galera cluster: beats arrive at every node and in its binary log, a node outside the cluster gets no write, and
//! daemons on several nodes share a row.

mod beats;
mod quorum;
mod writers;

use crate::bench::beating_daemon::plain_password;
use crate::bench::mysql_scene::{address, configuration};
use crate::bench::{Flavour, Galera, MysqlServer};

fn here(node: &MysqlServer) -> String {
    format!("127.0.0.1:{}", node.port())
}

/// The configuration of one target that names all nodes.
fn all_of(cluster: &Galera) -> String {
    configuration(Flavour::Mariadb, &cluster.ports(), "")
}

/// Lines for a target whose connector reads this node.
fn read_at(node: &MysqlServer) -> String {
    let url = address(Flavour::Mariadb, &[node.port()]);
    format!("[[target.replica]]\nname = \"replica-1\"\nurl = \"{url}\"\n{}", plain_password())
}
