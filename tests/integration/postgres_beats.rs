//! The beat on a real PostgreSQL: on time, in one message and one round trip; through PgBouncer; and without its former
//! synchronous standby.

use std::time::Duration;

use sqlx::Connection;
use tokio::time::{Instant, timeout};

use crate::bench::daemon::{Daemon, are_on_time};
use crate::bench::frontend::Traffic;
use crate::bench::session::{connect, execute, rows};
use crate::bench::{PgBouncer, PostgresServer, Proxy, eventually, heartbeat, heartbeatd, secs, steadily};

/// How long beats are observed, at one per second.
const WATCHED: Duration = secs(20);

/// The counts right after a beat.
struct Count {
    at: Instant,
    beats: u64,
    /// The beats, and the ticks that the daemon counted as missed.
    ticks: u64,
    traffic: Traffic,
    statements: usize,
    updates: i64,
}

#[tokio::test]
async fn a_beat_is_on_time_and_one_message_in_one_round_trip_and_arrives_at_the_replica() {
    let server = PostgresServer::options().log_statements().start().await;
    heartbeat::lay(&server).await;
    let standby = server.standby().await;
    let proxy = Proxy::start(server.port()).await;
    let daemon = heartbeatd()
        .config(&format!(
            "[[target]]\nname = \"orders\"\ninterval = \"1s\"\nurl = \"{}\"\n\
             [[target.replica]]\nname = \"replica-1\"\nurl = \"{}\"\n",
            heartbeat::url(proxy.port(), "sslmode=disable"),
            heartbeat::url(standby.port(), "sslmode=disable"),
        ))
        .start()
        .await;
    daemon.more_beats("orders", "ok", 1, secs(10)).await;
    daemon.checked("orders").await;
    // Right after the checks the daemon asks over one more connection how far the log was read.
    daemon.more_beats("orders", "ok", 2, secs(15)).await;
    eventually(secs(10), "no connection but the beats'", async || match proxy.open_connections() {
        1 => Ok(()),
        open => Err(format!("{open} connections")),
    })
    .await;

    let before = count(&daemon, &server, &proxy).await;
    steadily(WATCHED, "/health 200", async || match daemon.health().await {
        (200, _) => Ok(()),
        (status, health) => Err(format!("{status}: {health}")),
    })
    .await;
    let after = count(&daemon, &server, &proxy).await;

    let beats = after.beats - before.beats;
    let ticks = after.ticks - before.ticks;
    let time = after.at.duration_since(before.at).as_secs_f64();
    are_on_time("orders", beats, ticks, time);
    assert_eq!(daemon.beats("orders", "failed").await, 0);

    let messages = |count: &Count| count.traffic.messages.values().sum::<u64>();
    assert_eq!(after.traffic.count("Q") - before.traffic.count("Q"), beats, "query messages");
    assert_eq!(messages(&after) - messages(&before), beats, "messages of any kind");
    assert_eq!(after.traffic.bursts - before.traffic.bursts, beats, "round trips");
    assert_eq!(u64::try_from(after.statements - before.statements).unwrap(), beats, "in the server's log");

    assert_eq!(daemon.count("heartbeatd_connects_total", &[("target", "orders")]).await, 1);
    assert_eq!(proxy.open_connections(), 1);
    let in_place = hot_updates(&server, before.updates, beats).await;
    eprintln!("{beats} beats in {time:.2} s, {in_place:.0} % of them in place (HOT)");

    let lag = daemon.replica_lag("orders", "replica-1").await;
    eprintln!("the replica's lag: {:.1} ms", lag * 1_000.0);
    assert!((0.0..5.0).contains(&lag), "{lag}");
}

/// Counts right after a beat, so that none is in flight meanwhile.
async fn count(daemon: &Daemon, server: &PostgresServer, proxy: &Proxy) -> Count {
    daemon
        .right_after_a_beat("orders", async |beats| {
            let at = Instant::now();
            let ticks = daemon.ticks("orders").await;
            let traffic = proxy.total();
            let of_beats = |line: &&str| line.contains("user=beat ") && line.contains("statement: ");
            let statements = server.log().lines().filter(of_beats).count();
            Count { at, beats, ticks, traffic, statements, updates: server.number(UPDATES).await }
        })
        .await
}

const UPDATES: &str = "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'streamkap_heartbeat'";

/// The share of updates that needed no new index entry, in per cent, once the server has counted the beats.
async fn hot_updates(server: &PostgresServer, before: i64, beats: u64) -> f64 {
    let goal = before + i64::try_from(beats).unwrap() - 2;
    eventually(secs(15), format!("{goal} updates in the statistics"), async || match server.number(UPDATES).await {
        now if now >= goal => Ok(()),
        now => Err(now),
    })
    .await;
    let share = "SELECT (100 * n_tup_hot_upd / n_tup_upd)::int FROM pg_stat_user_tables \
                 WHERE relname = 'streamkap_heartbeat'";
    let share = f64::from(i32::try_from(server.number(share).await).unwrap());
    assert!(share >= 90.0, "{share} %");
    share
}

#[tokio::test]
async fn through_pgbouncer_no_beat_fails_and_no_setting_leaks() {
    let server = PostgresServer::start().await;
    heartbeat::lay(&server).await;
    let bouncer = PgBouncer::start(&server, &[(heartbeat::USER, heartbeat::PASSWORD)]).await;
    let daemon = heartbeatd()
        .config(&format!(
            "[[target]]\nname = \"orders\"\ninterval = \"1s\"\nurl = \"{}\"\n",
            heartbeat::url(bouncer.port(), "sslmode=disable")
        ))
        .start()
        .await;
    daemon.more_beats("orders", "ok", 5, secs(15)).await;

    // Two transactions at a time use all server connections of this user, and the beat needs one of them.
    let mut one = connect(bouncer.port(), heartbeat::USER, heartbeat::PASSWORD).await.unwrap();
    let mut other = connect(bouncer.port(), heartbeat::USER, heartbeat::PASSWORD).await.unwrap();
    execute(&mut one, "BEGIN").await;
    for session in [&mut one, &mut other] {
        for (setting, default) in [("lock_timeout", "0"), ("statement_timeout", "0"), ("synchronous_commit", "on")] {
            let value = rows(session, &format!("SHOW {setting}")).await.unwrap();
            assert_eq!(value, [[Some(default.to_owned())]], "{setting}");
        }
    }
    execute(&mut one, "COMMIT").await;

    daemon.more_beats("orders", "ok", 3, secs(15)).await;
    assert_eq!(daemon.beats("orders", "failed").await, 0, "{}", daemon.log());
    assert_eq!(daemon.count("heartbeatd_connects_total", &[("target", "orders")]).await, 1);
    daemon.healthy_within(secs(10)).await;
    for session in [one, other] {
        session.close().await.unwrap();
    }
}

#[tokio::test]
async fn without_its_synchronous_standby_a_server_still_accepts_beats_while_other_commits_hang() {
    let server = PostgresServer::start().await;
    heartbeat::lay(&server).await;
    server.execute("CREATE TABLE business (id int)").await;
    let daemon = heartbeatd()
        .config(&format!(
            "[[target]]\nname = \"orders\"\ninterval = \"1s\"\nurl = \"{}\"\n",
            heartbeat::url(server.port(), "")
        ))
        .start()
        .await;
    daemon.more_beats("orders", "ok", 1, secs(10)).await;

    server.set("synchronous_standby_names", "'gone'").await;
    let mut session = server.connect().await;
    let mut commit = std::pin::pin!(rows(&mut session, "INSERT INTO business VALUES (1) RETURNING id"));
    let while_it_hangs = async {
        daemon.more_beats("orders", "ok", 3, secs(10)).await;
        daemon.health().await
    };
    let (status, health) = tokio::select! {
        ended = &mut commit => panic!("an ordinary commit did not wait for the standby: {ended:?}"),
        health = while_it_hangs => health,
    };
    assert_eq!(status, 200, "{health}");
    assert_eq!(daemon.beats("orders", "failed").await, 0, "{}", daemon.log());
    assert_eq!(server.number("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").await, 1);

    server.set("synchronous_standby_names", "''").await;
    assert!(timeout(secs(20), commit).await.expect("the commit goes on").is_ok());
}
