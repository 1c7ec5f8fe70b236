//! A partitioned heartbeat table: the state of its partitions decides whether a beat works.

use heartbeatd::driver::Purpose;
use heartbeatd::finding::Status;
use heartbeatd::heartbeat::{BeatOutcome, ErrorKind, Writing};

use super::stage::{Stage, TABLE, ids, shown, wrong};
use crate::bench::driver::{beat, failed, failure_of, in_time, open_over};
use crate::bench::seeded_faults::naming_the_table;

#[tokio::test]
async fn a_partitioned_table_is_judged_by_the_publication_and_identity_of_its_partitions() {
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
        stage.server.execute(&naming_the_table(statement, TABLE)).await;
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
    assert!(refused.remedy.contains("--only replica-identity"), "{refused:?}");
    let findings = wrong(&stage.findings(&stage.target).await);
    assert_eq!(ids(&findings, Status::Failed), ["replica-identity"], "{}", shown(&findings));
    stage.paste(findings[0].remedy.as_ref().unwrap()).await;
    stage.all_is_well(&stage.target, "the remedy").await;
    assert_eq!(beat(&stage.target, Writing::Always).await.unwrap().outcome, BeatOutcome::Written);
}

/// A row without a partition, and a violated constraint: the server has one code for both.
#[tokio::test]
async fn the_remedy_adds_a_missing_partition_and_a_violated_constraint_is_distinguished() {
    let stage = Stage::set().await;
    for statement in [
        "ALTER PUBLICATION pub DROP TABLE T",
        "DROP TABLE T",
        "CREATE TABLE T (id int, text text, last_update timestamp, PRIMARY KEY (id, last_update)) PARTITION BY RANGE \
         (last_update)",
        "CREATE TABLE streamkap.past PARTITION OF T FOR VALUES FROM ('2020-01-01') TO ('2020-02-01')",
        "INSERT INTO T VALUES (1, 'test_heartbeat', '2020-01-15')",
        "GRANT SELECT, INSERT, UPDATE ON T TO hb",
    ] {
        stage.server.execute(&naming_the_table(statement, TABLE)).await;
    }
    let refused = failure_of(&stage.target).await;
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Rejected, Some("23514")), "{refused}");
    let remedy = refused.remedy().unwrap();
    assert!(remedy.to_string().starts_with("create a partition for the present time"), "{remedy}");
    // The detail contains the row's values.
    assert!(!refused.message().contains("test_heartbeat"), "{refused}");
    stage.paste(remedy).await;
    assert_eq!(beat(&stage.target, Writing::Always).await.unwrap().outcome, BeatOutcome::Written);

    stage
        .server
        .execute(&format!("ALTER TABLE {TABLE} ADD CONSTRAINT old CHECK (last_update < '2020-02-01') NOT VALID"))
        .await;
    let refused = failure_of(&stage.target).await;
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Rejected, Some("23514")), "{refused}");
    let remedy = refused.remedy().unwrap();
    assert!(remedy.to_string().starts_with("take away what refuses the update"), "{remedy}");
    let found = stage.server.rows(remedy.script().unwrap().text()).await;
    assert!(found.iter().any(|row| row[0].as_deref() == Some("old")), "{found:?}");
}

/// The server's detail is repeated only if it cannot contain a row's values.
#[tokio::test]
async fn the_servers_detail_is_in_the_message_of_a_publication_that_refuses_the_update() {
    let stage = Stage::set().await;
    stage
        .server
        .execute(&format!("CREATE PUBLICATION audit FOR TABLE {TABLE} WHERE (last_update > '2020-01-01')"))
        .await;
    let refused = failed(&stage.target).await;
    assert_eq!(refused.code.as_deref(), Some("42P10"), "{refused:?}");
    assert!(refused.message.contains("not part of the replica identity"), "{refused:?}");
    assert!(refused.remedy.contains("--only publication-identity"), "{refused:?}");
}
