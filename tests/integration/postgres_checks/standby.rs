//! The replica that the connector reads.

use heartbeatd::finding::{Severity, Status};
use heartbeatd::target::{Endpoint, Replica, Target};

use super::stage::{BEAT, Paste, Stage, TABLE, ids, options, paste_on, shown, wrong};
use crate::bench::{PostgresServer, eventually, secs};

async fn with_standby() -> (Stage, PostgresServer, Target) {
    standby_of(Stage::set().await).await
}

async fn standby_of(stage: Stage) -> (Stage, PostgresServer, Target) {
    let standby = stage.server.standby().await;
    standby.catch_up_with(&stage.server).await;
    let mut target = stage.target.clone();
    target.replicas.push(Replica {
        name: "reads".to_owned(),
        endpoint: Endpoint::parse(&standby.url("hb", "hb")).unwrap(),
        required: false,
        decode: false,
    });
    (stage, standby, target)
}

#[tokio::test]
async fn a_standby_that_follows_is_healthy_and_one_that_is_paused_is_found() {
    let (stage, standby, mut target) = with_standby().await;
    stage.all_is_well(&target, "a standby was added").await;
    stage.server.execute(&format!("UPDATE {TABLE} SET last_update = last_update - interval '10 minutes'")).await;
    standby.catch_up_with(&stage.server).await;
    standby.execute("SELECT pg_wal_replay_pause()").await;
    stage.server.execute(BEAT).await;
    for (required, severity) in [(false, Severity::Warning), (true, Severity::Error)] {
        target.replicas[0].required = required;
        let findings = stage.findings(&target).await;
        assert_eq!(
            ids(&findings, Status::Failed),
            ["replica-role", "replica-heartbeat"],
            "{}",
            shown(&wrong(&findings))
        );
        let arrives = findings.iter().find(|finding| finding.id == "replica-heartbeat").unwrap();
        assert_eq!(arrives.severity, severity);
        assert!(arrives.observed.contains("10m") || arrives.observed.contains("9m"), "{}", arrives.observed);
        stage.paste(arrives.remedy.as_ref().unwrap()).await;
    }
    let findings = stage.findings(&target).await;
    let role = findings.iter().find(|finding| finding.id == "replica-role").unwrap();
    paste_on(&standby, role.remedy.as_ref().unwrap(), Paste::AsOneMessage).await;
    stage.all_is_well(&target, "the remedy").await;
}

#[tokio::test]
async fn a_replica_that_is_promoted_or_the_source_itself_is_found() {
    let (stage, standby, target) = with_standby().await;
    standby.promote().await;
    let findings = stage.findings(&target).await;
    assert_eq!(ids(&findings, Status::Failed), ["replica-role"], "{}", shown(&wrong(&findings)));
}

#[tokio::test]
async fn a_replica_that_shows_nothing_is_unknown_and_never_healthy() {
    let (stage, mut standby, target) = with_standby().await;
    stage.server.execute("CREATE ROLE blind LOGIN PASSWORD 'b'").await;
    standby.catch_up_with(&stage.server).await;
    let mut blind = target.clone();
    blind.replicas[0].endpoint = Endpoint::parse(&standby.url("blind", "b")).unwrap();
    let findings = stage.findings(&blind).await;
    assert_eq!(ids(&wrong(&findings), Status::Unknown), ["replica-heartbeat"], "{}", shown(&wrong(&findings)));
    assert!(wrong(&findings)[0].observed.contains("SELECT on the heartbeat table"), "{}", wrong(&findings)[0].observed);
    standby.stop().await;
    let findings = stage.findings(&target).await;
    assert_eq!(ids(&findings, Status::Unknown), ["replica-role", "replica-heartbeat", "replica-decode"]);
}

#[tokio::test]
async fn decoding_on_a_standby_requires_a_version_that_supports_it() {
    let (stage, _standby, mut target) = with_standby().await;
    target.replicas[0].decode = true;
    let findings = stage.findings(&target).await;
    assert_eq!(ids(&findings, Status::Failed), ["replica-decode"], "{}", shown(&wrong(&findings)));
    let decode = findings.iter().find(|finding| finding.id == "replica-decode").unwrap();
    assert!(decode.observed.contains("PostgreSQL 15"), "{}", decode.observed);
    assert!(decode.observed.contains("hot_standby_feedback is off"), "{}", decode.observed);
}

#[tokio::test]
async fn a_newer_standby_decodes_once_it_gives_feedback() {
    let (stage, standby, mut target) = standby_of(Stage::on(options().seventeen().start().await).await).await;
    target.replicas[0].decode = true;
    let findings = stage.findings(&target).await;
    let decode = findings.iter().find(|finding| finding.id == "replica-decode").unwrap();
    assert_eq!((decode.status, decode.observed.as_str()), (Status::Failed, "hot_standby_feedback is off"));
    paste_on(&standby, decode.remedy.as_ref().unwrap(), Paste::StatementByStatement).await;
    stage.all_is_well(&target, "the remedy").await;
    // And the check's promise holds.
    let create = standby.execute("SELECT pg_create_logical_replication_slot('decodes', 'pgoutput')");
    let made = eventually(secs(9), "the slot on the standby", async || {
        // A slot begins at the next snapshot of running transactions, which a quiet primary does not write.
        stage.server.execute("SELECT pg_log_standby_snapshot()").await;
        let sql = "SELECT count(*) FROM pg_replication_slots WHERE confirmed_flush_lsn IS NOT NULL";
        if standby.number(sql).await == 1 { Ok(()) } else { Err("not there yet") }
    });
    tokio::join!(create, made);
}

#[tokio::test]
async fn a_standby_in_place_of_the_primary_is_reported_and_still_inspected() {
    let (stage, standby, target) = with_standby().await;
    let mut wrong_place = Target { replicas: Vec::new(), ..target };
    wrong_place.endpoint = Endpoint::parse(&standby.url("hb", "hb")).unwrap();
    // The slot is on the primary, and the standby does not know of it.
    wrong_place.connector.needs.remove("slot");
    eventually(secs(10), "the wrong place to be found", async || {
        let findings = stage.findings(&wrong_place).await;
        let writable = findings.iter().find(|finding| finding.id == "server-writable").unwrap();
        let fits = ids(&findings, Status::Failed) == ["server-writable"]
            && ids(&findings, Status::Unknown).is_empty()
            && writable.observed == "it is a standby";
        if fits { Ok(()) } else { Err(shown(&wrong(&findings))) }
    })
    .await;
}
