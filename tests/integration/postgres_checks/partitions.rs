//! A heartbeat table that is partitioned: what holds of its partitions holds of the beat.

use heartbeatd::driver::Purpose;
use heartbeatd::finding::Status;
use heartbeatd::heartbeat::{BeatOutcome, ErrorKind, Writing};

use super::stage::{Stage, TABLE, ids, shown, wrong};
use crate::bench::driver::{beat, failed, in_time, open_over};

#[tokio::test]
async fn a_partitioned_table_is_published_by_its_partitions_and_refused_by_their_identity() {
    let stage = Stage::set().await;
    for statement in [
        "ALTER PUBLICATION pub DROP TABLE T",
        "DROP TABLE T",
        "CREATE TABLE T (id int PRIMARY KEY, text text, last_update timestamp) PARTITION BY RANGE (id)",
        "CREATE TABLE streamkap.first PARTITION OF T FOR VALUES FROM (0) TO (1000)",
        "CREATE TABLE streamkap.\"Second\" PARTITION OF T FOR VALUES FROM (1000) TO (2000)",
        "INSERT INTO T VALUES (1, 'test_heartbeat', now())",
        "GRANT SELECT, INSERT, UPDATE ON T TO hb",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON T TO cdc",
        "ALTER PUBLICATION pub ADD TABLE T",
    ] {
        let words: Vec<&str> = statement.split(' ').map(|word| if word == "T" { TABLE } else { word }).collect();
        stage.server.execute(&words.join(" ")).await;
    }
    stage.all_is_well(&stage.target, "the partitions").await;
    let mut session = open_over(&stage.server.admin_url(), &stage.target, Purpose::Plan).await;
    let plan = session.plan(in_time()).await.unwrap();
    assert!(!plan.steps.iter().any(|step| step.title.contains("publication")), "{:?}", plan.steps);
    for partition in ["streamkap.first", "streamkap.\"Second\""] {
        stage.server.execute(&format!("ALTER TABLE {partition} REPLICA IDENTITY NOTHING")).await;
    }
    let refused = failed(&stage.target).await;
    assert_eq!((refused.kind, refused.code.as_deref()), (ErrorKind::Rejected, Some("55000")));
    let findings = wrong(&stage.findings(&stage.target).await);
    assert_eq!(ids(&findings, Status::Failed), ["replica-identity"], "{}", shown(&findings));
    stage.paste(findings[0].remedy.as_ref().unwrap()).await;
    stage.all_is_well(&stage.target, "the remedy").await;
    assert_eq!(beat(&stage.target, Writing::Always).await.unwrap().outcome, BeatOutcome::Written);
}
