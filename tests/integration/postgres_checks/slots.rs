//! The connector's slot: missing, in the wrong place, unread, stuck, lost.

use std::time::Duration;

use heartbeatd::finding::{Finding, Severity, Status};
use heartbeatd::target::Target;
use rustix::process::Signal;

use super::stage::{BEAT, Stage, ids, judge, look, shown, wrong};
use crate::bench::driver::{in_time, session};
use crate::bench::session::execute;
use crate::bench::{eventually, secs};

const MINUTE: i64 = 60 * 1_000_000;

/// The target with another slot.
fn with_slot(stage: &Stage, name: &str) -> Target {
    let mut target = stage.target.clone();
    target.connector.set_name("slot", name);
    target
}

/// The finding of a check, which must have failed.
fn failed<'a>(findings: &'a [Finding], id: &str) -> &'a Finding {
    let mut found = findings.iter().filter(|finding| finding.id == id && finding.status == Status::Failed);
    found.next().unwrap_or_else(|| panic!("{id} has not failed:\n{}", shown(findings)))
}

#[tokio::test]
async fn a_missing_slot_is_created_again_by_its_remedy() {
    let stage = Stage::set().await;
    let target = with_slot(&stage, "gone");
    let findings = stage.findings(&target).await;
    assert_eq!(ids(&wrong(&findings), Status::Failed), ["slot-exists"]);
    let finding = failed(&findings, "slot-exists");
    assert!(finding.observed.contains("cdc_slot"), "{}", finding.observed);
    stage.paste(finding.remedy.as_ref().unwrap()).await;
    // No one reads the new one yet.
    assert_eq!(ids(&wrong(&stage.findings(&target).await), Status::Failed), ["slot-active"]);
}

#[tokio::test]
async fn a_default_name_that_does_not_exist_is_no_fault() {
    let mut stage = Stage::set().await;
    let defaults = Target::new("x", stage.target.endpoint.clone()).connector;
    stage.target.connector = defaults;
    stage.all_is_well(&stage.target, "asking for the default names").await;
    let findings = stage.findings(&stage.target).await;
    for id in ["connector-role", "publication-exists", "slot-exists"] {
        let finding = findings.iter().find(|finding| finding.id == id).unwrap();
        assert_eq!(finding.status, Status::Skipped, "{}", shown(std::slice::from_ref(finding)));
    }
}

/// The connector of another database has this slot name and reads it. That is neither a fault of this target nor its
/// connector's progress.
#[tokio::test]
async fn a_slot_of_the_default_name_in_another_database_is_not_this_targets() {
    let mut stage = Stage::set().await;
    stage.target.connector = Target::new("x", stage.target.endpoint.clone()).connector;
    stage.server.execute("CREATE DATABASE other").await;
    let mut other = stage.server.connect_to("other").await;
    execute(&mut other, "SELECT pg_create_logical_replication_slot('streamkap_pgoutput_slot', 'pgoutput')").await;
    stage.all_is_well(&stage.target, "another database taking the default name").await;
    let findings = stage.findings(&stage.target).await;
    let slot = findings.iter().find(|finding| finding.id == "slot-exists").unwrap();
    assert!(slot.observed.contains("belongs to the database other"), "{}", slot.observed);
    let mut session = session(&stage.target).await;
    assert_eq!(session.progress(in_time()).await.unwrap(), None);
    // If it was configured by mistake, it is an error, and its progress still does not count for this target.
    let configured = with_slot(&stage, "streamkap_pgoutput_slot");
    let findings = stage.findings(&configured).await;
    assert_eq!(failed(&findings, "slot-database").observed, "other");
    execute(&mut other, "SELECT pg_drop_replication_slot('streamkap_pgoutput_slot')").await;
}

#[tokio::test]
async fn a_slot_of_another_database_or_plugin_is_distinguished() {
    let stage = Stage::set().await;
    stage.server.execute("SELECT pg_create_logical_replication_slot('other_plugin', 'test_decoding')").await;
    stage.server.execute("SELECT pg_create_physical_replication_slot('physical')").await;
    let findings = stage.findings(&with_slot(&stage, "other_plugin")).await;
    assert_eq!(ids(&wrong(&findings), Status::Failed), ["slot-plugin", "slot-active"]);
    let findings = stage.findings(&with_slot(&stage, "physical")).await;
    assert_eq!(ids(&wrong(&findings), Status::Failed), ["slot-database", "slot-active"]);
    stage.server.execute("CREATE DATABASE \"elsewhere\"").await;
    let url = format!("{}elsewhere", stage.server.admin_url().strip_suffix("postgres").unwrap());
    let mut elsewhere = with_slot(&stage, "cdc_slot");
    elsewhere.endpoint = heartbeatd::target::Endpoint::parse(&url).unwrap();
    let findings = stage.findings(&elsewhere).await;
    let finding = failed(&findings, "slot-database");
    assert_eq!((finding.observed.as_str(), finding.expected.as_deref()), ("postgres", Some("elsewhere")));
}

#[tokio::test]
async fn a_slot_that_no_one_reads_is_found_until_the_connector_is_back() {
    let mut stage = Stage::set().await;
    stage.disconnect_reader().await;
    let findings = stage.findings(&stage.target).await;
    assert_eq!(ids(&wrong(&findings), Status::Failed), ["slot-active"]);
    assert_eq!(failed(&findings, "slot-active").severity, Severity::Warning);
    stage.connect_reader().await;
    stage.all_is_well(&stage.target, "the connector's return").await;
}

#[tokio::test]
async fn a_restart_of_the_connector_between_two_inspections_is_no_fault() {
    let mut stage = Stage::set().await;
    let earlier = look(&stage.target).await;
    stage.disconnect_reader().await;
    let now = look(&stage.target).await;
    let findings = judge(&stage.target, &now, Some(&earlier));
    assert!(wrong(&findings).is_empty(), "{}", shown(&wrong(&findings)));
}

#[tokio::test]
async fn a_connector_that_is_connected_and_stuck_is_found_by_two_inspections() {
    let stage = Stage::set().await;
    stage.reader().signal(Signal::STOP);
    let mut earlier = look(&stage.target).await;
    stage.server.execute(BEAT).await;
    let now = look(&stage.target).await;
    let findings = judge(&stage.target, &now, Some(&earlier));
    assert!(wrong(&findings).is_empty(), "too short a time to say so: {}", shown(&wrong(&findings)));
    earlier.taken_at -= 3 * MINUTE;
    let findings = judge(&stage.target, &now, Some(&earlier));
    assert_eq!(ids(&findings, Status::Failed), ["slot-moves"], "{}", shown(&wrong(&findings)));
    stage.reader().signal(Signal::CONT);
    eventually(secs(15), "the slot to move", async || {
        let findings = judge(&stage.target, &look(&stage.target).await, Some(&earlier));
        if wrong(&findings).is_empty() { Ok(()) } else { Err(shown(&wrong(&findings))) }
    })
    .await;
}

#[tokio::test]
async fn a_row_that_does_not_change_is_found_by_two_inspections() {
    let stage = Stage::set().await;
    let mut earlier = look(&stage.target).await;
    let now = look(&stage.target).await;
    let findings = judge(&stage.target, &now, Some(&earlier));
    assert!(wrong(&findings).is_empty(), "too short a time to say so: {}", shown(&wrong(&findings)));
    earlier.taken_at -= 3 * MINUTE;
    let findings = judge(&stage.target, &now, Some(&earlier));
    assert_eq!(ids(&findings, Status::Failed), ["row-moves"], "{}", shown(&wrong(&findings)));
    stage.server.execute(BEAT).await;
    eventually(secs(15), "row and slot to move", async || {
        let findings = judge(&stage.target, &look(&stage.target).await, Some(&earlier));
        if wrong(&findings).is_empty() { Ok(()) } else { Err(shown(&wrong(&findings))) }
    })
    .await;
}

#[tokio::test]
async fn held_back_wal_is_measured_against_the_threshold() {
    let mut stage = Stage::set().await;
    stage.server.execute("SELECT pg_create_logical_replication_slot('holds', 'pgoutput')").await;
    stage.server.execute("SELECT pg_switch_wal()").await;
    stage.server.execute(BEAT).await;
    let mut target = with_slot(&stage, "holds");
    target.checks.thresholds.retained_wal_mib = 1;
    let findings = stage.findings(&target).await;
    assert_eq!(ids(&wrong(&findings), Status::Failed), ["slot-active", "slot-retained-wal"]);
    stage.target.checks.thresholds.retained_wal_mib = 1024;
    stage.all_is_well(&stage.target, "a higher threshold").await;
}

#[tokio::test]
async fn a_lost_slot_is_an_error_whose_remedy_makes_a_new_one() {
    let stage = Stage::set().await;
    stage.server.execute("SELECT pg_create_logical_replication_slot('lost', 'pgoutput')").await;
    stage.server.set("max_slot_wal_keep_size", "'1MB'").await;
    let target = with_slot(&stage, "lost");
    let status = eventually(Duration::from_secs(30), "the slot to be lost", async || {
        stage.server.execute("SELECT pg_switch_wal()").await;
        stage.server.execute(BEAT).await;
        stage.server.execute("CHECKPOINT").await;
        let findings = stage.findings(&target).await;
        let status = findings.iter().find(|finding| finding.id == "slot-wal-status").unwrap().clone();
        if status.observed.starts_with("lost") { Ok(status) } else { Err(status.observed) }
    })
    .await;
    assert_eq!((status.status, status.severity), (Status::Failed, Severity::Error));
    stage.server.set("max_slot_wal_keep_size", "'2GB'").await;
    assert_eq!(ids(&wrong(&stage.findings(&target).await), Status::Failed), ["slot-wal-status"]);
    stage.paste(status.remedy.as_ref().unwrap()).await;
    assert_eq!(ids(&wrong(&stage.findings(&target).await), Status::Failed), ["slot-active"]);
}
