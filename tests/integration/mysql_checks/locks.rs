//! A server where somebody holds what the checks ask for.

use heartbeatd::finding::Status;

use super::stage::{Stage, ids, shown, wrong};
use crate::bench::mysql::Flavour;
use crate::bench::mysql::session::execute;

#[tokio::test]
async fn a_locked_table_costs_no_answers_but_its_own() {
    for flavour in [Flavour::Mariadb, Flavour::Mysql] {
        let stage = Stage::set(flavour).await;
        let mut holder = stage.server.connect().await;
        execute(&mut holder, "LOCK TABLES streamkap.streamkap_heartbeat WRITE").await;
        let findings = stage.findings(&stage.target).await;
        let wrong = wrong(&findings);
        assert_eq!(ids(&wrong, Status::Failed), [""; 0], "{flavour:?}: {}", shown(&wrong));
        let unknown = ids(&wrong, Status::Unknown);
        assert!(unknown.contains(&"writer-update"), "{flavour:?}: {}", shown(&wrong));
        let of_the_table = |id: &&str| id.starts_with("writer-") || id.starts_with("row-");
        assert!(unknown.iter().all(of_the_table), "{flavour:?}: {}", shown(&wrong));
        execute(&mut holder, "UNLOCK TABLES").await;
        stage.all_is_well(&stage.target, "a lock that is gone").await;
    }
}
