//! The checks of MySQL and MariaDB on real servers: a healthy server has no findings, and each fault is found.

mod faults;
mod galera;
mod inherited_settings;
mod locks;
mod replica;
mod stage;
mod surroundings;

use heartbeatd::finding::Status;

use crate::bench::mysql::Flavour;
use stage::{Stage, ids, shown, wrong};

#[tokio::test]
async fn on_a_healthy_server_nothing_fails_and_nothing_is_unknown() {
    for flavour in [Flavour::Mariadb, Flavour::Mysql, Flavour::Mysql57] {
        let stage = Stage::set(flavour).await;
        stage.all_is_well(&stage.target, "nothing").await;
        // An administrator may write to a read-only server. Everything else is healthy for this user, too.
        let findings = stage.findings(&stage.as_admin()).await;
        assert_eq!(
            ids(&wrong(&findings), Status::Failed),
            ["writer-read-only"],
            "{flavour:?}: {}",
            shown(&wrong(&findings))
        );
        assert_eq!(ids(&wrong(&findings), Status::Unknown), [""; 0], "{flavour:?}: {}", shown(&wrong(&findings)));
    }
}
