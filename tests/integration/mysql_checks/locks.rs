//! A server where another session holds locks that the checks wait for.

use std::time::Duration;

use heartbeatd::check::runner;
use heartbeatd::finding::{Look, Status};
use heartbeatd::time::clock::Clock;

use super::stage::{Stage, ids, wrong};
use crate::bench::driver::context;
use crate::bench::findings::{judge, shown};
use crate::bench::mysql::Flavour;
use crate::bench::mysql::session::execute;

#[tokio::test]
async fn a_locked_table_hides_only_its_own_answers() {
    for flavour in [Flavour::Mariadb, Flavour::Mysql] {
        let stage = Stage::set(flavour).await;
        let mut holder = stage.server.connect().await;
        execute(&mut holder, "LOCK TABLES streamkap.streamkap_heartbeat WRITE").await;
        let findings = stage.findings(&stage.target).await;
        let found = wrong(&findings);
        assert_eq!(ids(&found, Status::Failed), [""; 0], "{flavour:?}: {}", shown(&found));
        let unknown = ids(&found, Status::Unknown);
        assert!(unknown.contains(&"writer-update"), "{flavour:?}: {}", shown(&found));
        let of_the_table = |id: &&str| id.starts_with("writer-") || id.starts_with("row-");
        assert!(unknown.iter().all(of_the_table), "{flavour:?}: {}", shown(&found));
        // Also with little time: the inspection waits for the table once, and not for each answer about it.
        let look = runner::inspect(&context(&stage.target), &Clock::system(), Duration::from_secs(4)).await;
        assert!(matches!(look.source, Look::Facts(_)), "{flavour:?}: {:?}", look.source);
        let findings = judge(&stage.target, &look, None);
        let found = wrong(&findings);
        assert_eq!(ids(&found, Status::Failed), [""; 0], "{flavour:?}: {}", shown(&found));
        assert!(ids(&found, Status::Unknown).iter().all(of_the_table), "{flavour:?}: {}", shown(&found));
        let update = found.iter().find(|finding| finding.id == "writer-update").unwrap();
        assert!(update.observed.starts_with("the table is locked"), "{flavour:?}: {update:?}");
        execute(&mut holder, "UNLOCK TABLES").await;
        stage.all_is_well(&stage.target, "a lock that is gone").await;
    }
}
