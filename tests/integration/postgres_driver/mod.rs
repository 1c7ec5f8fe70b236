//! The PostgreSQL driver with real servers: each failure with its kind, and each promise of a beat.

mod beats;
mod connections;
mod faults;
mod provisioning;

use heartbeatd::driver::Purpose;
use heartbeatd::provisioning::provision;
use heartbeatd::target::Target;

use crate::bench::PostgresServer;
use crate::bench::driver::{in_time, open_over, target};

const TABLE: &str = "streamkap.streamkap_heartbeat";

/// A server with the heartbeat's objects, and the role `hb` with exactly the privileges for a beat.
async fn provisioned() -> (PostgresServer, Target) {
    let server = PostgresServer::start().await;
    server.execute("CREATE ROLE hb LOGIN PASSWORD 'hb-password'").await;
    let target = target(&server.url("hb", "hb-password"));
    assert_eq!(provision_as_admin(&server, &target).await, 6);
    (server, target)
}

/// Several servers in one address.
fn several(user: &str, password: &str, servers: &[&PostgresServer]) -> Target {
    let hosts: Vec<String> = servers.iter().map(|server| format!("127.0.0.1:{}", server.port())).collect();
    target(&format!("postgres://{user}:{password}@{}/postgres", hosts.join(",")))
}

/// Applies the missing steps as the superuser, and returns how many there were.
async fn provision_as_admin(server: &PostgresServer, target: &Target) -> usize {
    let mut session = open_over(&server.admin_url(), target, Purpose::Provision).await;
    let applied = provision(session.as_mut(), in_time()).await.unwrap();
    assert!(applied.failed.is_empty(), "{:?}", applied.failed);
    applied.done.len()
}
