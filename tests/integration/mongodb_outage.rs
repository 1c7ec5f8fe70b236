//! MongoDB replica sets that fail: a primary that steps down, is killed, or hangs; secondaries that hang; objects and
//! roles that are dropped or revoked. Each fault is reported in time, the target heals by itself, and every reported
//! beat is in the oplog.

use mongodb::bson::doc;
use rustix::process::Signal;
use tokio::time::Instant;

use crate::bench::beating_daemon::{BeatingDaemon, PASSWORD, failure, note, patient, plain_password, target};
use crate::bench::mongodb::ReplicaSet;
use crate::bench::mongodb_scene::{
    COLLECTION, DATABASE, NAMESPACE, USER, address, configuration, furnish_set, insert_document,
};
use crate::bench::{eventually, heartbeatd, secs};

async fn healthy_daemon_of(set: &ReplicaSet) -> BeatingDaemon {
    healthy_daemon_with(set, &configuration(set, "")).await
}

async fn healthy_daemon_with(set: &ReplicaSet, configuration: &str) -> BeatingDaemon {
    furnish_set(set).await;
    let beating = BeatingDaemon::configured(configuration).await;
    beating.is_checked().await;
    beating
}

/// Every beat that the daemon counts as written is an update in the set's present oplog. No value of an unconfirmed or
/// abandoned beat was taken for another writer's.
async fn every_beat_is_in_the_oplog(set: &ReplicaSet, beating: &BeatingDaemon) {
    let counted = beating.count("ok").await;
    let written = u64::try_from(set.updates(NAMESPACE).await.len()).unwrap();
    assert!(written >= counted, "{counted} beats were counted, {written} are in the oplog");
    let notices = beating.daemon.target("orders").await["notices"].to_string();
    assert!(!notices.contains("another_writer"), "{notices}");
}

#[tokio::test]
async fn primary_that_steps_down_is_followed_and_costs_an_election() {
    let set = ReplicaSet::start().await;
    // An election that takes longer than a beat's time-out may leave a command without an answer, and the client is
    // closed with that command.
    let beating = healthy_daemon_with(&set, &patient(&configuration(&set, ""))).await;
    let before = beating.address().await;
    let begin = Instant::now();
    let now = set.step_down(10).await;
    beating.beats(2, secs(20)).await;
    note(&format!("beats went on {:?} after the order to step down", begin.elapsed()));
    beating.recovers_within(secs(20)).await;
    assert_eq!(beating.address().await, set.member(now).host());
    assert_ne!(before, set.member(now).host());
    assert_eq!(beating.connects("start").await, 1);
    assert_eq!(beating.connects("lost").await + beating.connects("retry").await, 0, "the client follows by itself");
    every_beat_is_in_the_oplog(&set, &beating).await;
}

#[tokio::test]
async fn killed_primary_is_replaced_and_followed() {
    let mut set = ReplicaSet::start().await;
    let beating = healthy_daemon_of(&set).await;
    let primary = set.primary().await;
    let begin = Instant::now();
    set.member_mut(primary).kill().await;
    beating.beats(2, secs(20)).await;
    note(&format!("beats went on {:?} after the kill", begin.elapsed()));
    beating.recovers_within(secs(20)).await;
    set.member_mut(primary).resume().await;
    set.is_whole().await;
    beating.beats(2, secs(20)).await;
    every_beat_is_in_the_oplog(&set, &beating).await;
}

#[tokio::test]
async fn a_frozen_primary_is_left_for_the_elected_one() {
    let set = ReplicaSet::start().await;
    let beating = healthy_daemon_of(&set).await;
    let primary = set.primary().await;
    let files = beating.daemon.open_files();
    let begin = Instant::now();
    set.member(primary).freeze();
    let reported = beating.reports(failure("connection", "timeout", None)).await;
    reported.names(&["the server frozen", "timeout, now 2s"]);
    beating.beats(2, secs(25)).await;
    note(&format!("beats went on {:?} after the freeze", begin.elapsed()));
    beating.recovers_within(secs(20)).await;
    assert_ne!(beating.address().await, set.member(primary).host());
    set.member(primary).thaw();
    set.is_whole().await;
    beating.beats(3, secs(20)).await;
    every_beat_is_in_the_oplog(&set, &beating).await;
    beating.daemon.open_files_fall_to(files + 4).await;
}

#[tokio::test]
async fn lost_majority_is_reported_as_unconfirmed_then_as_no_primary_and_heals() {
    let set = ReplicaSet::start().await;
    let beating = healthy_daemon_of(&set).await;
    let secondaries = set.secondaries().await;
    let begin = Instant::now();
    secondaries.iter().for_each(|number| set.member(*number).freeze());
    let acknowledged = beating.count("ok").await;
    // 64 if the majority does not answer, or 11602 if the primary steps down before that.
    let reason = beating.daemon.reason_within("unconfirmed", secs(20)).await;
    assert!(["64", "11602"].contains(&reason["code"].as_str().unwrap()), "{reason}");
    assert!(reason["remedy"].as_str().unwrap().contains("rs.status()"), "{reason}");
    note(&format!("unconfirmed after {:?}", begin.elapsed()));
    eventually(secs(20), "/health 503", async || match beating.daemon.health().await {
        (503, _) => Ok(()),
        (status, health) => Err(format!("{status}: {health}")),
    })
    .await;
    // One beat may have been on its way when the secondaries froze.
    assert!(beating.count("ok").await <= acknowledged + 1, "an unconfirmed beat counted");
    note(&format!("red after {:?}", begin.elapsed()));
    eventually(secs(40), "the lost majority to be named", async || {
        let reported = beating.reports(failure("connection", "no_primary", None)).await;
        if reported.message.contains("lost its majority") { Ok(()) } else { Err(reported.message) }
    })
    .await;
    note(&format!("a lost majority after {:?}", begin.elapsed()));
    secondaries.iter().for_each(|number| set.member(*number).thaw());
    beating.recovers_within(secs(20)).await;
    set.is_whole().await;
    beating.beats(3, secs(20)).await;
    every_beat_is_in_the_oplog(&set, &beating).await;
}

#[tokio::test]
async fn dropped_collection_deleted_document_and_revoked_role_each_have_a_remedy_that_heals() {
    let set = ReplicaSet::start().await;
    let beating = healthy_daemon_of(&set).await;
    let primary = set.member(set.primary().await);

    primary.run(DATABASE, doc! { "delete": COLLECTION, "deletes": [{ "q": {}, "limit": 0 }] }).await;
    beating.fails_with(failure("schema", "missing_row", None)).await.names(&["heartbeatd provision --target orders"]);
    insert_document(primary).await;
    beating.recovers_within(secs(35)).await;

    primary.run(DATABASE, doc! { "drop": COLLECTION }).await;
    beating.fails_with(failure("schema", "missing_table", None)).await.names(&["heartbeatd provision"]);
    let configuration =
        configuration(&set, &format!("provision_url = \"{}\"\n", set.url("admin", "admin-password", "")));
    crate::bench::beating_daemon::provision(&configuration).await;
    beating.recovers_within(secs(35)).await;

    primary.run("admin", doc! { "revokeRolesFromUser": USER, "roles": [{ "role": "beats", "db": DATABASE }] }).await;
    let reported = beating.fails_with(failure("permission", "privilege", Some("13"))).await;
    reported.names(&["grantRolesToUser(\"beat\"", "heartbeatd_writer", "on the primary"]);
    crate::bench::beating_daemon::provision(&configuration).await;
    beating.recovers_within(secs(35)).await;
    every_beat_is_in_the_oplog(&set, &beating).await;
}

#[tokio::test]
async fn changed_password_is_tried_once_a_minute_and_heals_when_the_secret_file_is_replaced() {
    let set = ReplicaSet::with(1, crate::bench::mongodb::MongoServer::options()).await;
    furnish_set(&set).await;
    let program = heartbeatd();
    let file = program.file("password", PASSWORD);
    let secret = format!("password = {{ file = \"{}\" }}", file.display());
    let beating = BeatingDaemon::started(program.config(&target("orders", &address(&set), &secret))).await;
    beating.is_checked().await;
    let primary = set.member(0);
    primary.run("admin", doc! { "updateUser": USER, "pwd": "another-secret" }).await;
    // Open connections stay logged in until the server ends.
    let mut set = set;
    let changed = Instant::now();
    set.member_mut(0).kill().await;
    set.member_mut(0).resume().await;
    let reported = beating.reports(failure("connection", "auth", Some("18"))).await;
    reported.names(&[&file.display().to_string(), "changeUserPassword(\"beat\""]);
    beating.daemon.replace_file("password", "another-secret\n");
    beating.recovers_within(secs(90)).await;
    assert!(changed.elapsed() >= secs(60), "tried again after {:?}", changed.elapsed());
    let refused = set.member(0).log().matches("Authentication failed").count();
    assert!(refused <= 2, "{refused} logins were refused");
}

#[tokio::test]
async fn the_program_ends_in_time_with_every_member_frozen_and_shows_the_password_nowhere() {
    let set = ReplicaSet::start().await;
    furnish_set(&set).await;
    let program = heartbeatd().env("HEARTBEATD_LOG", "trace");
    let text = target("orders", &address(&set), &plain_password());
    let mut beating = BeatingDaemon::started(program.config(&text)).await;
    set.members().iter().for_each(crate::bench::mongodb::MongoServer::freeze);
    beating.reports(failure("connection", "timeout", None)).await;
    let mut shown = String::new();
    for path in ["/targets", "/targets/orders", "/metrics", "/health", "/"] {
        shown.push_str(&beating.daemon.get(path).await.body);
    }
    let begin = Instant::now();
    beating.daemon.end(Signal::TERM, secs(12)).await;
    note(&format!("ended {:?} after the signal", begin.elapsed()));
    let log = beating.daemon.log();
    assert!(!shown.contains(PASSWORD), "{shown}");
    assert!(!log.contains(PASSWORD), "{log}");
    assert!(!log.contains("panicked"), "{log}");
}
