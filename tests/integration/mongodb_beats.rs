//! The beat on a real MongoDB replica set: on time, in one command, and delivered by a change stream; two daemons that
//! share a document.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use mongodb::bson::{DateTime, Document, doc};
use rustix::process::Signal;
use tokio::time::{Instant, timeout};

use crate::bench::beating_daemon::{PASSWORD, patient, plain_password, target};
use crate::bench::daemon::{Daemon, are_on_time};
use crate::bench::mongodb::{Admin, ReplicaSet};
use crate::bench::mongodb_scene::{
    COLLECTION, DATABASE, NAMESPACE, USER, address, configuration, furnish_set, last_update,
};
use crate::bench::sharing::SharedRow;
use crate::bench::{heartbeatd, secs, steadily};

/// How long beats are observed, at one per second.
const WATCHED: std::time::Duration = secs(60);

#[tokio::test]
async fn for_a_minute_a_change_stream_sees_one_update_per_beat_and_the_server_one_command() {
    let set = ReplicaSet::start().await;
    furnish_set(&set).await;
    let primary = set.member(set.primary().await);
    // On a busy machine one of sixty beats may take longer than the 2 s of the other scenarios.
    let mut daemon = heartbeatd().config(&patient(&configuration(&set, ""))).start().await;
    daemon.more_beats("orders", "ok", 1, secs(15)).await;
    daemon.checked("orders").await;
    let collection = set.admin().await.client().database(DATABASE).collection::<Document>(COLLECTION);
    let mut stream = collection.watch().await.unwrap();
    primary.run(DATABASE, doc! { "profile": 2 }).await;

    let (begin, before) = right_after_a_beat(&daemon, primary.admin().await).await;
    steadily(WATCHED, "/health 200", async || match daemon.health().await {
        (200, _) => Ok(()),
        (status, health) => Err(format!("{status}: {health}")),
    })
    .await;
    let (end, after) = right_after_a_beat(&daemon, primary.admin().await).await;

    let (beats, ticks) = (after.beats - before.beats, after.ticks - before.ticks);
    let seconds = end.duration_since(begin).as_secs_f64();
    are_on_time("orders", beats, ticks, seconds);
    assert_eq!(daemon.beats("orders", "failed").await, 0);
    let sent = u64::try_from(after.commands.len() - before.commands.len()).unwrap();
    assert_eq!(sent, beats, "{:?}", &after.commands[before.commands.len()..]);
    assert!(after.commands[before.commands.len()..].iter().all(|command| command == "findAndModify"));
    assert_eq!(daemon.count("heartbeatd_connects_total", &[("target", "orders")]).await, 1);

    // By its end the stream has shown each write of the daemon once.
    let files = daemon.open_files();
    daemon.end(Signal::TERM, secs(10)).await;
    let updates = set.updates(NAMESPACE).await;
    let newest = last_update(&set).await;
    let (mut seen, mut values) = (0_u64, BTreeSet::new());
    while values.last() != newest.as_ref() {
        let event = timeout(secs(20), stream.next()).await.expect("an event").unwrap().unwrap();
        let changed = event.update_description.unwrap().updated_fields;
        assert!(values.insert(*changed.get_datetime("last_update").unwrap()), "a value came twice: {changed}");
        seen += 1;
    }
    assert!(seen >= beats, "{seen} events, {beats} beats");
    let written: BTreeSet<DateTime> = updates.iter().filter_map(value_in_oplog).collect();
    assert!(values.is_subset(&written), "an event that is not in the oplog");
    eprintln!("{beats} beats in {seconds:.2} s, {seen} events; {files} files were open");
}

/// The value that an oplog entry writes.
fn value_in_oplog(entry: &Document) -> Option<DateTime> {
    let set = entry.get_document("o").ok()?.get_document("diff").ok()?.get_document("u").ok()?;
    set.get_datetime("last_update").ok().copied()
}

struct Count {
    beats: u64,
    /// Beats and missed ticks.
    ticks: u64,
    /// The daemon's commands on the heartbeat's database, by name.
    commands: Vec<String>,
}

/// Counts right after a beat, so that none is in flight meanwhile.
async fn right_after_a_beat(daemon: &Daemon, admin: &Admin) -> (Instant, Count) {
    daemon
        .right_after_a_beat("orders", async |beats| {
            let (at, ticks) = (Instant::now(), daemon.ticks("orders").await);
            let ours = doc! { "appName": { "$regex": "^heartbeatd:" } };
            let entries = admin.find(DATABASE, "system.profile", ours, doc! { "$natural": 1 }).await;
            let name = |entry: &Document| match entry.get_document("command") {
                Ok(command) => command.keys().next().cloned().unwrap_or_default(),
                Err(_) => "none".to_owned(),
            };
            (at, Count { beats, ticks, commands: entries.iter().map(name).collect() })
        })
        .await
}

#[tokio::test]
async fn two_daemons_write_one_beat_per_period_together_and_either_carries_on_alone() {
    let set = ReplicaSet::start().await;
    furnish_set(&set).await;
    let start = async || {
        let more = format!("{}write = \"when-stale\"\n", plain_password());
        let text = target("orders", &address(&set), &more).replace("interval = \"1s\"", "interval = \"2s\"");
        heartbeatd().config(&patient(&text)).start().await
    };
    let (one, other) = (start().await, start().await);
    let row = SharedRow {
        period: secs(2),
        watched: secs(20),
        last_update: async || last_update(&set).await.map(|value| value.timestamp_millis().to_string()),
    };
    row.gets_one_beat_a_period_from((one, "orders"), (other, "orders")).await;
}

/// Without `tlsCAFile` heartbeatd trusts only the authorities of this machine.
#[tokio::test]
async fn a_secondary_is_watched_and_the_authorities_of_this_machine_are_trusted() {
    let set = ReplicaSet::start().await;
    furnish_set(&set).await;
    let secondary = set.member(set.secondaries().await[0]);
    let ca = set.member(0).ca_file();
    let trusting = address(&set).replace(&format!("&tlsCAFile={}", ca.display()), "");
    assert!(!trusting.contains("tlsCAFile"), "{trusting}");
    let replica = format!("mongodb://{USER}:{PASSWORD}@{}/?directConnection=true&tls=true", secondary.host());
    let text = |url: &str| {
        let replica = format!("[[target.replica]]\nname = \"copy\"\nurl = \"{replica}\"\n");
        target("orders", url, &format!("{}{replica}", plain_password()))
    };
    let daemon = heartbeatd().env("SSL_CERT_FILE", ca.to_str().unwrap()).config(&text(&trusting)).start().await;
    daemon.more_beats("orders", "ok", 3, secs(15)).await;
    let lag = daemon.replica_lag("orders", "copy").await;
    eprintln!("the secondary's lag: {:.1} ms", lag * 1_000.0);
    assert!((0.0..5.0).contains(&lag), "{lag}");
    let stranger =
        heartbeatd().env("SSL_CERT_FILE", secondary.wrong_ca_file().to_str().unwrap()).config(&text(&trusting));
    let reason = stranger.start().await.reason_within("tls", secs(15)).await;
    assert!(reason["message"].as_str().unwrap().contains("certificate"), "{reason}");
}
