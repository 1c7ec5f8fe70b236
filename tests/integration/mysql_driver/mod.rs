//! The driver of MySQL and MariaDB with real servers: each failure with its kind, and each promise of a beat.

mod accounts;
mod beats;
mod connections;
mod faults;
mod names;
mod remedies;

use heartbeatd::target::Target;

use crate::bench::driver::target;
use crate::bench::{Flavour, MysqlServer};

const TABLE: &str = "streamkap.streamkap_heartbeat";

/// A server with the heartbeat's objects, and the account `hb` with exactly the privileges for a beat.
async fn provisioned(flavour: Flavour) -> (MysqlServer, Target) {
    let server = MysqlServer::options().flavour(flavour).start().await;
    lay(&server).await;
    let target = target(&server.url("hb", "hb-password"));
    (server, target)
}

/// Creates the objects as on the vendor's page.
async fn lay(server: &MysqlServer) {
    for sql in [
        "CREATE DATABASE streamkap",
        "CREATE TABLE streamkap.streamkap_heartbeat (id INT AUTO_INCREMENT PRIMARY KEY, text TEXT, last_update TIMESTAMP \
         NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP)",
        "INSERT INTO streamkap.streamkap_heartbeat (text) VALUES ('test_heartbeat')",
        "CREATE USER hb@'%' IDENTIFIED BY 'hb-password'",
        "GRANT SELECT, INSERT, UPDATE ON streamkap.streamkap_heartbeat TO hb@'%'",
    ] {
        server.execute(sql).await;
    }
}

/// Several servers in one address.
fn several(user: &str, password: &str, servers: &[&MysqlServer]) -> Target {
    let hosts: Vec<String> = servers.iter().map(|server| format!("127.0.0.1:{}", server.port())).collect();
    target(&format!("mysql://{user}:{password}@{}/", hosts.join(",")))
}
