//! `write = "when-stale"` on a real MariaDB and MySQL: a daemon that shares its row with another daemon, with an event
//! of the server, and with a session that holds the row.

use std::time::Duration;

use serde_json::Value;

use crate::bench::beating_daemon::plain_password;
use crate::bench::daemon::Daemon;
use crate::bench::mysql::session::execute;
use crate::bench::mysql_scene::{TABLE, address, furnish, last_update, on_both};
use crate::bench::sharing::{SLACK, SharedRow};
use crate::bench::{Flavour, MysqlServer, eventually, heartbeatd, secs};

/// The shortest period that a column of whole seconds allows.
const PERIOD: Duration = secs(5);
/// How long two daemons are observed.
const WATCHED: Duration = secs(35);

async fn furnished(flavour: Flavour) -> MysqlServer {
    let server = MysqlServer::options().flavour(flavour).system_time_zone("America/New_York").start().await;
    furnish(&server).await;
    server
}

async fn start(server: &MysqlServer, name: &str) -> Daemon {
    heartbeatd()
        .config(&format!(
            "[[target]]\nname = \"{name}\"\ninterval = \"5s\"\nwrite = \"when-stale\"\nurl = \"{}\"\n{}",
            address(server.flavour(), &[server.port()]),
            plain_password(),
        ))
        .start()
        .await
}

fn row_of(server: &MysqlServer) -> SharedRow<impl AsyncFn() -> Option<String>> {
    SharedRow { period: PERIOD, watched: WATCHED, last_update: async || last_update(server).await }
}

/// The same configuration twice, as in two replicas of a deployment: both act at the same moment.
#[tokio::test]
async fn two_daemons_of_one_phase_write_one_beat_per_period_together() {
    two_daemons_write_one_beat_per_period_together("orders", "orders").await;
}

/// Phases 0.7 s and 3.1 s into the period.
#[tokio::test]
async fn two_daemons_half_a_period_apart_write_one_beat_per_period_together() {
    two_daemons_write_one_beat_per_period_together("payments", "sales").await;
}

async fn two_daemons_write_one_beat_per_period_together(one: &str, other: &str) {
    on_both(async |flavour| {
        let server = furnished(flavour).await;
        let (one, other) = ((start(&server, one).await, one), (start(&server, other).await, other));
        row_of(&server).gets_one_beat_a_period_from(one, other).await;
    })
    .await;
}

/// Another session locks the row again and again just before the daemon, which waits for it. The row still never counts
/// as one that cannot be updated.
#[tokio::test]
async fn a_daemon_that_loses_the_row_to_another_writer_again_and_again_is_healthy() {
    on_both(async |flavour| {
        let server = furnished(flavour).await;
        let daemon = start(&server, "orders").await;
        daemon.healthy_within(secs(10)).await;
        let mut writer = server.connect().await;
        for _ in 0..3 {
            execute(&mut writer, &format!("BEGIN; SELECT id FROM {TABLE} FOR UPDATE")).await;
            let waiting = "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'";
            eventually(PERIOD * 2, "the daemon to wait for the row", async || {
                let rows = server.rows(waiting).await;
                if rows[0][1].as_deref() == Some("1") { Ok(()) } else { Err(format!("{rows:?}")) }
            })
            .await;
            execute(&mut writer, &format!("UPDATE {TABLE} SET last_update = CURRENT_TIMESTAMP; COMMIT")).await;
        }
        daemon.more_beats("orders", "ok", 1, PERIOD * 3).await;
        assert_eq!(daemon.beats("orders", "failed").await, 0, "{}", daemon.log());
        assert_eq!(daemon.health().await.0, 200);
    })
    .await;
}

#[tokio::test]
async fn a_daemon_leaves_the_row_to_an_event_and_takes_over_when_the_event_is_gone() {
    a_daemon_stands_by_an_event("timestamp", |target| {
        assert!(target["notices"]["other_time_zone"].is_null(), "{target}");
    })
    .await;
}

/// The event writes New York's time, hours away from the daemon's value.
#[tokio::test]
async fn a_daemon_leaves_the_row_to_an_event_in_another_time_zone_and_takes_over_when_the_event_is_gone() {
    a_daemon_stands_by_an_event("datetime", |target| {
        assert!(target["notices"]["other_time_zone"]["message"].is_string(), "{target}");
    })
    .await;
}

async fn a_daemon_stands_by_an_event(column: &str, check: impl Fn(&Value)) {
    const NAME: &str = "billing";
    on_both(async |flavour| {
        let server = furnished(flavour).await;
        server
            .execute(&format!("ALTER TABLE {TABLE} MODIFY last_update {column} NULL DEFAULT CURRENT_TIMESTAMP"))
            .await;
        server.set_global("event_scheduler", "ON").await;
        let row = row_of(&server);
        // Much more often than the row becomes stale, so that a daemon that looks late still finds it fresh.
        server
            .execute(&format!(
                "CREATE EVENT streamkap.heartbeat ON SCHEDULE EVERY 1 SECOND STARTS '2026-01-01 00:00:00'
                 DO UPDATE {TABLE} SET last_update = CURRENT_TIMESTAMP WHERE id = 1"
            ))
            .await;
        row.next_change(PERIOD * 2).await;

        let daemon = start(&server, NAME).await;
        daemon.more_beats(NAME, "fresh", 3, PERIOD * 5).await;
        let target = daemon.target(NAME).await;
        daemon.healthy_within(secs(10)).await;
        assert_eq!(target["newest_change_is_ours"], false, "{target}");
        assert_eq!((&target["counters"]["ok"], &target["counters"]["failed"]), (&0.into(), &0.into()), "{target}");
        check(&target);

        row.next_change(PERIOD * 2).await;
        let last_beat = tokio::time::Instant::now();
        server.execute("DROP EVENT streamkap.heartbeat").await;
        row.next_change(PERIOD * 3).await;
        let pause = last_beat.elapsed();
        eprintln!("{flavour:?}, the event dropped: the next beat came after {pause:?}");
        assert!(pause <= PERIOD * 2 + SLACK, "{pause:?}");
        let target = eventually(secs(10), "the daemon's own beat", async || {
            let target = daemon.target(NAME).await;
            if target["counters"]["ok"] == 1 { Ok(target) } else { Err(target.to_string()) }
        })
        .await;
        assert_eq!((&target["newest_change_is_ours"], &target["state"]), (&true.into(), &"healthy".into()), "{target}");
        assert_eq!(daemon.beats(NAME, "failed").await, 0, "{}", daemon.log());
    })
    .await;
}
