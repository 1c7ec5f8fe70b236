//! Slots that PostgreSQL 17 copies to a standby for a failover, and slots that remain there. Their remedies never
//! change the connector's own slot.

use heartbeatd::finding::{Finding, Severity, Status};
use heartbeatd::target::{Endpoint, Replica, Target};

use super::stage::{BEAT, Paste, Stage, ids, options, paste_on as paste_into, shown, wrong};
use crate::bench::{PostgresServer, eventually, secs};

/// The connector's slot and what the server remembers of it.
const SLOT: &str = "SELECT wal_status, failover, confirmed_flush_lsn IS NOT NULL FROM pg_replication_slots WHERE slot_name = 'cdc_slot'";

/// A primary whose connector reads a failover slot, and a standby that may copy it.
async fn with_failover_slot() -> (Stage, PostgresServer, Target) {
    let mut stage = Stage::on(options().seventeen().start().await).await;
    stage.disconnect_reader().await;
    stage.server.execute("SELECT pg_drop_replication_slot('cdc_slot')").await;
    stage.server.execute("SELECT pg_create_logical_replication_slot('cdc_slot', 'pgoutput', failover => true)").await;
    stage.connect_reader().await;
    let mut standby = stage.server.standby().await;
    let conninfo = format!(
        "host={} port={} user=admin dbname=postgres",
        stage.server.socket_folder().display(),
        stage.server.port()
    );
    standby.execute(&format!("ALTER SYSTEM SET primary_conninfo = '{conninfo}'")).await;
    standby.execute("ALTER SYSTEM SET hot_standby_feedback = on").await;
    standby.restart().await;
    standby.catch_up_with(&stage.server).await;
    let mut target = stage.target.clone();
    target.replicas.push(Replica {
        name: "standby".to_owned(),
        endpoint: Endpoint::parse(&standby.url("hb", "hb")).unwrap(),
        required: false,
        decode: false,
    });
    (stage, standby, target)
}

/// Copies the slot as the server's own worker does, once.
async fn copy_slot(stage: &Stage, standby: &PostgresServer) {
    standby.set("sync_replication_slots", "on").await;
    eventually(secs(40), "the slot to be copied", async || {
        stage.server.execute(BEAT).await;
        stage.server.execute("SELECT pg_log_standby_snapshot()").await;
        let sql = "SELECT synced AND NOT temporary AND wal_status = 'reserved' FROM pg_replication_slots \
                   WHERE slot_name = 'cdc_slot'";
        let copied = standby.value(sql).await;
        if copied.as_deref() == Some("t") { Ok(()) } else { Err(format!("{copied:?}")) }
    })
    .await;
    // Otherwise the copy would follow the primary's slot and could not be lost.
    standby.set("sync_replication_slots", "off").await;
}

/// Lets the standby remove the WAL that its slot needs, while the primary keeps it.
async fn lose_on(standby: &PostgresServer, stage: &Stage) {
    standby.set("max_slot_wal_keep_size", "'1MB'").await;
    eventually(secs(60), "the standby's slot to be lost", async || {
        stage.server.execute("SELECT pg_switch_wal()").await;
        stage.server.execute(BEAT).await;
        stage.server.execute("CHECKPOINT").await;
        standby.catch_up_with(&stage.server).await;
        standby.execute("CHECKPOINT").await;
        let status = standby.value("SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'cdc_slot'").await;
        if status.as_deref() == Some("lost") { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
    assert_eq!(stage.server.rows(SLOT).await, sound(), "the primary's is sound");
}

fn sound() -> Vec<Vec<Option<String>>> {
    vec![["reserved", "t", "t"].map(|value| Some(value.to_owned())).to_vec()]
}

/// The one finding that failed, on the standby's slot.
async fn only_finding(stage: &Stage, target: &Target) -> Finding {
    let findings = stage.findings(target).await;
    assert_eq!(ids(&wrong(&findings), Status::Failed), ["slot-wal-status"], "{}", shown(&wrong(&findings)));
    let finding = wrong(&findings).remove(0);
    assert_eq!((finding.severity, finding.subject.as_str()), (Severity::Warning, "\"cdc_slot\" on replica standby"));
    assert!(finding.observed.contains("after a failover to standby"), "{}", finding.observed);
    finding
}

/// Pastes a remedy into the server that it names, statement by statement.
async fn paste_on(server: &PostgresServer, finding: &Finding) {
    let remedy = finding.remedy.as_ref().unwrap().to_string();
    let place = format!("at 127.0.0.1:{}", server.port());
    assert!(remedy.contains("-- on replica standby: ") && remedy.contains(&place), "{remedy}");
    paste_into(server, finding.remedy.as_ref().unwrap(), Paste::StatementByStatement).await;
}

#[tokio::test]
async fn a_leftover_slot_on_a_standby_is_dropped_there_and_the_connectors_slot_is_never_touched() {
    let (stage, standby, target) = with_failover_slot().await;
    let snapshot = async {
        for _ in 0..20 {
            stage.server.execute("SELECT pg_log_standby_snapshot()").await;
            tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        }
    };
    let left = "SELECT pg_create_logical_replication_slot('cdc_slot', 'pgoutput')";
    tokio::join!(standby.execute(left), snapshot);

    // The leftover slot prevents the copy of the connector's slot, while the connector advances.
    let finding = only_finding(&stage, &target).await;
    assert!(finding.observed.contains("keeps the standby from copying"), "{}", finding.observed);

    lose_on(&standby, &stage).await;
    let finding = only_finding(&stage, &target).await;
    assert!(finding.observed.contains("the connector's slot on the source"), "{}", finding.observed);
    paste_on(&standby, &finding).await;
    assert_eq!(stage.server.rows(SLOT).await, sound());
    copy_slot(&stage, &standby).await;
    stage.all_is_well(&target, "the copy").await;
}

#[tokio::test]
async fn a_lost_copy_on_a_standby_is_a_warning_and_is_created_again_once_the_standby_keeps_its_wal() {
    let (stage, standby, target) = with_failover_slot().await;
    copy_slot(&stage, &standby).await;
    stage.all_is_well(&target, "the copy").await;
    lose_on(&standby, &stage).await;
    let finding = only_finding(&stage, &target).await;
    assert!(!finding.remedy.as_ref().unwrap().to_string().contains("pg_drop_replication_slot"), "{:?}", finding.remedy);
    paste_on(&standby, &finding).await;
    copy_slot(&stage, &standby).await;
    assert_eq!(stage.server.rows(SLOT).await, sound());
    stage.all_is_well(&target, "the copy").await;
}

#[tokio::test]
async fn a_lost_slot_is_created_again_on_its_own_server_with_the_same_options() {
    let (stage, _standby, target) = with_failover_slot().await;
    let sql = "SELECT pg_create_logical_replication_slot('lost', 'pgoutput', failover => true, twophase => true)";
    stage.server.execute(sql).await;
    let mut target = Target { replicas: Vec::new(), ..target };
    target.connector.set_name("slot", "lost");
    stage.server.set("max_slot_wal_keep_size", "'1MB'").await;
    let status = eventually(secs(30), "the slot to be lost", async || {
        stage.server.execute("SELECT pg_switch_wal()").await;
        stage.server.execute(BEAT).await;
        stage.server.execute("CHECKPOINT").await;
        let findings = stage.findings(&target).await;
        let status = findings.iter().find(|finding| finding.id == "slot-wal-status").unwrap().clone();
        if status.severity == Severity::Error && status.status == Status::Failed {
            Ok(status)
        } else {
            Err(status.observed)
        }
    })
    .await;
    let remedy = status.remedy.unwrap();
    let server = format!("-- on the source: at 127.0.0.1:{}", stage.server.port());
    let text = remedy.to_string();
    assert!(text.contains(&server) && text.contains("already lost its position"), "{text}");
    stage.paste(&remedy).await;
    let sql = "SELECT failover, two_phase, wal_status FROM pg_replication_slots WHERE slot_name = 'lost'";
    let expected = ["t", "t", "reserved"].map(|value| Some(value.to_owned())).to_vec();
    assert_eq!(stage.server.rows(sql).await, [expected]);
}

/// The server delays the connector until a standby has the same changes, and reports nothing about it.
#[tokio::test]
async fn a_missing_standby_that_the_connectors_slot_waits_for_is_named() {
    let mut stage = Stage::on(options().seventeen().start().await).await;
    stage.server.set("synchronized_standby_slots", "'gone'").await;
    // Only slots with failover wait.
    stage.all_is_well(&stage.target, "a list that the connector's slot does not wait for").await;
    stage.disconnect_reader().await;
    stage.server.execute("SELECT pg_drop_replication_slot('cdc_slot')").await;
    stage.server.execute("SELECT pg_create_logical_replication_slot('cdc_slot', 'pgoutput', failover => true)").await;
    stage.connect_reader().await;
    let findings = wrong(&stage.findings(&stage.target).await);
    assert_eq!(ids(&findings, Status::Failed), ["synchronized-standby-slots"], "{}", shown(&findings));
    assert_eq!(findings[0].severity, Severity::Error);
    assert!(findings[0].observed.contains("does not exist"), "{}", findings[0].observed);
    stage.paste(findings[0].remedy.as_ref().unwrap()).await;
    stage.all_is_well(&stage.target, "the remedy").await;
    stage.server.execute("SELECT pg_create_physical_replication_slot('away')").await;
    stage.server.set("synchronized_standby_slots", "'away'").await;
    let findings = wrong(&stage.findings(&stage.target).await);
    assert!(findings.iter().any(|it| it.observed.contains("\"away\" is not read")), "{}", shown(&findings));
}
