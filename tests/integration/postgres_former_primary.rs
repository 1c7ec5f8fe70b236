//! A primary that was replaced in a failover and comes back accepting writes. It gets no beat while a newer one is
//! known, the beats leave it for a newer one that appears, and two simultaneous primaries are reported.

use tokio::time::Instant;

use crate::bench::beating_daemon::{
    BeatingDaemon, TABLE, beats_asked_of, configuration, failure, furnish, has_no_queue, note,
};
use crate::bench::{PostgresServer, eventually, heartbeatd, secs, steadily};

/// A primary that was killed, and its standby that was promoted afterwards.
async fn replaced() -> (PostgresServer, PostgresServer) {
    let mut former = PostgresServer::options().log_statements().start().await;
    furnish(&former).await;
    let promoted = former.standby().await;
    promoted.catch_up_with(&former).await;
    former.kill().await;
    promoted.promote().await;
    (former, promoted)
}

fn host(server: &PostgresServer) -> String {
    format!("127.0.0.1:{}", server.port())
}

async fn last_update(server: &PostgresServer) -> Option<String> {
    server.value(&format!("SELECT last_update FROM {TABLE}")).await
}

/// The daemon has written to the promoted server, which then fails. After that the former primary comes back.
async fn the_former_primary_gets_no_beat(
    away: impl AsyncFn(&mut PostgresServer),
    back: impl AsyncFn(&mut PostgresServer),
) {
    let mut former = PostgresServer::options().log_statements().start().await;
    furnish(&former).await;
    let mut promoted = former.standby().await;
    let beating = BeatingDaemon::configured(&configuration(&[former.port(), promoted.port()], "")).await;
    beating.beats(2, secs(20)).await;
    promoted.catch_up_with(&former).await;
    former.kill().await;
    promoted.promote().await;
    eventually(secs(10), "the beats to follow", async || match beating.address().await {
        address if address == host(&promoted) => Ok(()),
        other => Err(other),
    })
    .await;
    beating.recovers_within(secs(10)).await;

    away(&mut promoted).await;
    let asked = beats_asked_of(&former);
    former.resume().await;
    let before = last_update(&former).await;
    let reported = beating.reports(failure("connection", "old_timeline", None)).await;
    assert!(reported.message.contains(&format!("{} takes writes on timeline 1", host(&former))), "{reported:?}");
    reported.names(&["fence or stop", "restart heartbeatd"]);
    let destroys = |word: &&str| reported.remedy.to_lowercase().contains(*word);
    assert!(!["promote", "drop", "delete"].iter().any(destroys), "{reported:?}");
    steadily(secs(5), "no beat on the former primary", async || match last_update(&former).await {
        same if same == before => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(beating.daemon.health().await.0, 503);

    back(&mut promoted).await;
    let begin = Instant::now();
    eventually(secs(20), "beats on the promoted server", async || {
        let target = beating.daemon.target("orders").await;
        if target["error"].is_null() { Ok(()) } else { Err(target.to_string()) }
    })
    .await;
    note(&format!("beats again {:?} after the promoted server was back", begin.elapsed()));
    assert_eq!(beating.address().await, host(&promoted));
    beating.beats(2, secs(20)).await;
    assert_eq!(beats_asked_of(&former), asked, "nothing was asked of the former primary");
    // Both still accept writes, until the former one is fenced.
    beating.daemon.reason_within("split_brain", secs(20)).await;
    former.stop().await;
    beating.recovers_within(secs(20)).await;
    has_no_queue(&promoted).await;
}

#[tokio::test]
async fn former_primary_that_comes_back_while_the_promoted_one_is_frozen_is_refused_and_never_written_on() {
    the_former_primary_gets_no_beat(async |promoted| promoted.freeze(), async |promoted| promoted.thaw()).await;
}

#[tokio::test]
async fn former_primary_that_comes_back_while_the_promoted_one_is_down_is_refused_and_never_written_on() {
    the_former_primary_gets_no_beat(async |promoted| promoted.kill().await, async |promoted| promoted.resume().await)
        .await;
}

#[tokio::test]
async fn beats_leave_a_former_primary_for_the_promoted_one_when_it_appears_and_both_are_reported_as_a_split_brain() {
    let (mut former, promoted) = replaced().await;
    promoted.freeze();
    former.resume().await;
    let text = configuration(&[former.port(), promoted.port()], "");
    let beating = BeatingDaemon::configured(&text).await;
    assert_eq!(beating.address().await, host(&former), "nothing tells of a newer one yet");
    beating.beats(2, secs(20)).await;

    promoted.thaw();
    let begin = Instant::now();
    // A period of 1 s, a time-out of 2 s, and a large reserve for a busy machine.
    eventually(secs(20), "the beats to leave", async || match beating.address().await {
        address if address == host(&promoted) => Ok(()),
        other => Err(other),
    })
    .await;
    note(&format!("left the former primary {:?} after the promoted one was back", begin.elapsed()));
    let asked = beats_asked_of(&former);
    let reason = beating.daemon.reason_within("split_brain", secs(20)).await;
    let (message, remedy) = (reason["message"].as_str().unwrap(), reason["remedy"].as_str().unwrap());
    assert!(message.contains(&format!("{} (timeline 2)", host(&promoted))), "{message}");
    assert!(message.ends_with(&format!("{} is behind", host(&former))), "{message}");
    assert!(remedy.contains("fence") && !remedy.contains("promote") && !remedy.contains("drop"), "{remedy}");
    let notice = beating.daemon.target("orders").await["notices"]["split_brain"]["message"].take();
    assert_eq!(notice.as_str(), Some(message));

    let check = || heartbeatd().arg("check").arg("--only").arg("split-brain").config(&text).run();
    let failed = check().await;
    assert_eq!(failed.code, Some(1), "{}{}", failed.stdout, failed.stderr);
    assert!(failed.stdout.contains(&format!("{} is behind", host(&former))), "{}", failed.stdout);
    beating.beats(2, secs(20)).await;
    assert_eq!(beats_asked_of(&former), asked, "nothing was asked of the former primary any more");

    former.stop().await;
    beating.recovers_within(secs(20)).await;
    assert!(!beating.daemon.target("orders").await["notices"].as_object().unwrap().contains_key("another_writer"));
}

#[tokio::test]
async fn two_names_of_one_server_are_no_split_brain() {
    let server = PostgresServer::start().await;
    furnish(&server).await;
    let text =
        configuration(&[server.port()], "").replace("@127.0.0.1", &format!("@localhost:{},127.0.0.1", server.port()));
    let beating = BeatingDaemon::configured(&text).await;
    beating.beats(4, secs(20)).await;
    let (status, health) = beating.daemon.health().await;
    assert_eq!((status, health["targets"][0]["reasons"].as_array().unwrap().len()), (200, 0), "{health}");
}
