//! `write = "when-stale"` on a real PostgreSQL: a daemon that shares its row with another daemon or with a pg_cron job,
//! and one whose row is hidden by row-level security.

use std::time::Duration;

use serde_json::Value;

use crate::bench::daemon::Daemon;
use crate::bench::session::execute;
use crate::bench::sharing::{SLACK, SharedRow};
use crate::bench::{PostgresServer, eventually, heartbeat, heartbeatd, secs, steadily};

const PERIOD: Duration = secs(2);
/// How long two daemons are observed.
const WATCHED: Duration = secs(20);

async fn start(server: &PostgresServer, name: &str, interval: &str) -> Daemon {
    heartbeatd()
        .config(&format!(
            "[[target]]\nname = \"{name}\"\ninterval = \"{interval}\"\nwrite = \"when-stale\"\nurl = \"{}\"\n",
            heartbeat::url(server.port(), "")
        ))
        .start()
        .await
}

/// The same configuration twice, as in two replicas of a deployment: both act at the same moment.
#[tokio::test]
async fn two_daemons_of_one_phase_write_one_beat_per_period_together() {
    two_daemons_write_one_beat_per_period_together("orders", "orders").await;
}

/// Phases 690 ms and 1,573 ms into the period.
#[tokio::test]
async fn two_daemons_half_a_period_apart_write_one_beat_per_period_together() {
    two_daemons_write_one_beat_per_period_together("payments", "erp").await;
}

async fn two_daemons_write_one_beat_per_period_together(one_name: &str, other_name: &str) {
    let server = PostgresServer::start().await;
    heartbeat::lay(&server).await;
    let one = start(&server, one_name, "2s").await;
    let other = start(&server, other_name, "2s").await;
    let row =
        SharedRow { period: PERIOD, watched: WATCHED, last_update: async || heartbeat::last_update(&server).await };
    row.gets_one_beat_a_period_from((one, one_name), (other, other_name)).await;
}

/// Another writer takes the row just before the daemon, which has seen that it is stale and waits for it. Even after
/// two such beats in a row, it does not count as a row that cannot be updated.
#[tokio::test]
async fn a_daemon_that_loses_the_row_to_another_writer_again_and_again_is_healthy() {
    let server = PostgresServer::start().await;
    heartbeat::lay(&server).await;
    let daemon = start(&server, "orders", "2s").await;
    daemon.healthy_within(secs(10)).await;
    let mut writer = server.connect().await;
    for _ in 0..4 {
        execute(&mut writer, &format!("BEGIN; SELECT FROM {} FOR UPDATE", heartbeat::TABLE)).await;
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        eventually(secs(20), "the daemon to wait for the row", async || match server.number(waiting).await {
            1 => Ok(()),
            count => Err(count),
        })
        .await;
        let write = format!("UPDATE {} SET last_update = clock_timestamp() AT TIME ZONE 'UTC'", heartbeat::TABLE);
        execute(&mut writer, &format!("{write}; COMMIT")).await;
    }
    daemon.more_beats("orders", "ok", 1, secs(20)).await;
    assert_eq!(daemon.beats("orders", "failed").await, 0, "{}", daemon.log());
    assert_eq!(daemon.health().await.0, 200);
}

/// The server's time zone is New York's, so the job's value is hours away from the daemon's.
#[tokio::test]
async fn a_daemon_leaves_the_row_to_a_pg_cron_job_and_takes_over_when_the_job_is_gone() {
    const MINUTE: Duration = secs(60);
    // Its phase is 5.3 s into the minute: just after the job.
    const NAME: &str = "returns";
    let server = PostgresServer::options().pg_cron().conf("timezone = 'America/New_York'").start().await;
    heartbeat::lay(&server).await;
    let job = format!("UPDATE {} SET last_update = CURRENT_TIMESTAMP WHERE id = 1", heartbeat::TABLE);
    server.execute(&job).await;
    server.execute("CREATE EXTENSION pg_cron").await;
    server.execute(&format!("SELECT cron.schedule('heartbeat', '* * * * *', '{job}')")).await;

    let daemon = start(&server, NAME, "1m").await;
    let own_change = |target: &Value| target["newest_change_is_ours"].as_bool();
    eventually(secs(110), "the daemon to see the job's beat", async || {
        let target = daemon.target(NAME).await;
        if own_change(&target) == Some(false) { Ok(()) } else { Err(target.to_string()) }
    })
    .await;
    let target = daemon.target(NAME).await;
    daemon.healthy_within(secs(10)).await;
    assert!(target["notices"]["other_time_zone"]["message"].is_string(), "{target}");
    assert!(target["counters"]["fresh"].as_u64() >= Some(2), "{target}");
    assert_eq!((&target["counters"]["ok"], &target["counters"]["failed"]), (&0.into(), &0.into()), "{target}");

    server.execute("SELECT cron.unschedule('heartbeat')").await;
    let run = "SELECT count(*) FROM cron.job_run_details WHERE status = 'running'";
    assert_eq!(server.number(run).await, 0, "no run of the job is under way");
    let age = "SELECT extract(epoch FROM clock_timestamp() AT TIME ZONE 'America/New_York' - last_update)::int \
               FROM streamkap.streamkap_heartbeat";
    let age_of_last_beat = secs(u64::try_from(server.number(age).await).unwrap());
    daemon.more_beats(NAME, "ok", 1, MINUTE * 2 - age_of_last_beat + SLACK).await;
    let target = daemon.target(NAME).await;
    assert_eq!(own_change(&target), Some(true), "{target}");
    assert_eq!(target["state"], "healthy", "{target}");
}

#[tokio::test]
async fn a_row_hidden_from_updates_by_row_level_security_is_reported_and_heals() {
    let server = PostgresServer::start().await;
    heartbeat::lay(&server).await;
    server
        .execute(&format!(
            "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
             CREATE POLICY look ON {table} FOR SELECT USING (true)",
            table = heartbeat::TABLE
        ))
        .await;
    let daemon = start(&server, "orders", "1s").await;
    let reason = daemon.reason_within("row_not_updatable", secs(10)).await;
    assert!(reason["remedy"].is_string(), "{reason}");
    steadily(secs(8), "the reason row_not_updatable", async || match daemon.health().await {
        (503, health) if health["targets"][0]["reasons"][0]["kind"] == "row_not_updatable" => Ok(()),
        (status, health) => Err(format!("{status}: {health}")),
    })
    .await;
    assert!(!daemon.log().contains("heartbeat is back"), "{}", daemon.log());
    assert_eq!(heartbeat::last_update(&server).await, None);

    server.execute(&format!("CREATE POLICY beat ON {} FOR UPDATE USING (true)", heartbeat::TABLE)).await;
    daemon.healthy_within(secs(35)).await;
    assert!(heartbeat::last_update(&server).await.is_some());
}
