//! The beat on a real MariaDB and MySQL: on time, one statement and one event in the binary log each; and its cost.

use std::time::Duration;

use tokio::time::Instant;

use crate::bench::beating_daemon::{ROLE, TARGET, patient, plain_password, target};
use crate::bench::daemon::{Daemon, are_on_time};
use crate::bench::mysql_scene::{
    TABLE, address, beats_asked_of, beats_logged_by, furnish, last_update, on_both, position,
};
use crate::bench::{MysqlServer, Proxy, heartbeatd, secs, steadily};

/// How long beats are observed, at one per second.
const WATCHED: Duration = secs(20);

/// The counts right after a beat.
#[derive(Debug)]
struct Count {
    beats: u64,
    ticks: u64,
    at: Instant,
    bursts: u64,
    statements: u64,
    updates: u64,
    logged: u64,
    transactions: u64,
}

#[tokio::test]
async fn a_beat_is_on_time_and_one_statement_and_one_event_and_arrives_at_the_replica() {
    on_both(async |flavour| {
        let server =
            MysqlServer::options().flavour(flavour).general_log().system_time_zone("Europe/Berlin").start().await;
        furnish(&server).await;
        let replica = server.replica().await;
        let proxy = Proxy::start(server.port()).await;
        let more = format!(
            "{}[[target.replica]]\nname = \"replica-1\"\nurl = \"{}\"\n{}",
            plain_password(),
            address(flavour, &[replica.port()]),
            plain_password()
        );
        let text = patient(&target(TARGET, &address(flavour, &[proxy.port()]), &more));
        let daemon = heartbeatd().config(&text).start().await;
        daemon.more_beats(TARGET, "ok", 1, secs(30)).await;
        daemon.checked(TARGET).await;

        let before = count(&daemon, &server, &proxy).await;
        let (mut seen, mut compared) = (Vec::<(Option<String>, u64)>::new(), 0);
        steadily(WATCHED, "/health 200", async || {
            let beats = daemon.beats(TARGET, "ok").await;
            let value = last_update(&server).await;
            // One beat may have been written and not counted yet. A second one was written between the two looks.
            for (former, _) in seen.iter().filter(|(_, counted)| counted + 2 <= beats) {
                assert_ne!(*former, value, "a value came twice: {seen:?}");
                compared += 1;
            }
            seen.push((value, daemon.beats(TARGET, "ok").await));
            match daemon.health().await {
                (200, _) => Ok(()),
                (status, health) => Err(format!("{status}: {health}")),
            }
        })
        .await;
        let after = count(&daemon, &server, &proxy).await;

        let (beats, ticks) = (after.beats - before.beats, after.ticks - before.ticks);
        let seconds = after.at.duration_since(before.at).as_secs_f64();
        are_on_time(TARGET, beats, ticks, seconds);
        assert_eq!(daemon.beats(TARGET, "failed").await, 0);
        assert_eq!(after.bursts - before.bursts, beats, "round trips");
        assert_eq!(after.statements - before.statements, beats, "statements of the account in the general log");
        assert_eq!(after.updates - before.updates, beats, "beats among them");
        assert_eq!(after.logged - before.logged, beats, "Update_rows events of the table");
        assert_eq!(after.transactions - before.transactions, beats, "transactions of any session");
        assert!(compared > 0, "no two beats after one another: {seen:?}");

        assert_eq!(daemon.count("heartbeatd_connects_total", &[("target", TARGET)]).await, 1);
        assert_eq!(proxy.open_connections(), 1);
        eprintln!("{flavour:?}: {beats} beats in {seconds:.2} s");
        says_what_the_clock_says(&daemon, &server).await;
        let lag = daemon.replica_lag(TARGET, "replica-1").await;
        eprintln!("{flavour:?}: the replica's lag: {:.1} ms", lag * 1_000.0);
        assert!((0.0..5.0).contains(&lag), "{lag}");
    })
    .await;
}

/// Counts right after a beat, so that none is in flight meanwhile.
async fn count(daemon: &Daemon, server: &MysqlServer, proxy: &Proxy) -> Count {
    daemon
        .right_after_a_beat(TARGET, async |beats| Count {
            beats,
            ticks: daemon.ticks(TARGET).await,
            at: Instant::now(),
            bursts: proxy.total().bursts,
            statements: u64::try_from(server.statements_of(ROLE).len()).unwrap(),
            updates: u64::try_from(beats_asked_of(server)).unwrap(),
            logged: beats_logged_by(server).await,
            transactions: transactions(&position(server).await),
        })
        .await
}

/// How many transactions a GTID set of one server contains: "0-17-42" or "3e11fa47-…:1-42".
fn transactions(position: &str) -> u64 {
    position.rsplit('-').next().unwrap().parse().unwrap()
}

/// The value is the server's time, whatever its zone, and the metrics show it.
async fn says_what_the_clock_says(daemon: &Daemon, server: &MysqlServer) {
    let offset = server.number("SELECT TIMESTAMPDIFF(MINUTE, UTC_TIMESTAMP(), NOW())").await;
    assert!((59..=120).contains(&offset), "the server's own zone is Berlin's, {offset} minutes from UTC");
    let age = server.number(&format!("SELECT UNIX_TIMESTAMP() - UNIX_TIMESTAMP(last_update) FROM {TABLE}")).await;
    assert!((-1..=3).contains(&age), "{age} s");
    let metrics = daemon.metrics().await;
    let value = |name| metrics.value(name, &[("target", TARGET)]).unwrap_or_else(|| panic!("no {name}: {metrics:?}"));
    assert!(value("heartbeatd_clock_skew_seconds").abs() < 1.5, "{metrics:?}");
    let since = chrono::Utc::now().timestamp_millis() as f64 / 1e3 - value("heartbeatd_last_beat_timestamp_seconds");
    assert!((0.0..3.0).contains(&since), "{since} s since the newest change");
    assert!((value("heartbeatd_target_healthy") - 1.0).abs() < f64::EPSILON, "{metrics:?}");
    assert_eq!(metrics.values_of("heartbeatd_beats_total", "driver").first().map(String::as_str), Some("mysql"));
}
