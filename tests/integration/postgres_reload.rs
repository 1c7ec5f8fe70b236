//! SIGHUP to a daemon with real PostgreSQL targets: unchanged targets go on undisturbed, and a mistake changes nothing.

use std::fmt::Write as _;

use rustix::process::Signal;

use crate::bench::beating_daemon::{BeatingDaemon, configuration, furnish};
use crate::bench::daemon::Daemon;
use crate::bench::session::execute;
use crate::bench::{PostgresServer, eventually, heartbeat, heartbeatd, secs, steadily};

/// A configuration of targets that differ in name and interval. Each shows its name as the application name.
fn config(server: &PostgresServer, targets: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, interval) in targets {
        let url = heartbeat::url(server.port(), &format!("application_name={name}"));
        writeln!(text, "[[target]]\nname = \"{name}\"\ninterval = \"{interval}\"\nurl = \"{url}\"").unwrap();
    }
    text
}

async fn start(server: &PostgresServer, targets: &[(&str, &str)]) -> Daemon {
    heartbeat::lay(server).await;
    let daemon = heartbeatd().config(&config(server, targets)).start().await;
    daemon.healthy_within(secs(15)).await;
    daemon
}

/// The server's process that serves this target.
async fn backend(server: &PostgresServer, target: &str) -> Option<String> {
    server.value(&format!("SELECT pid FROM pg_stat_activity WHERE application_name = '{target}'")).await
}

async fn logged(daemon: &Daemon, what: &str) {
    eventually(secs(20), format!("the log to say {what:?}"), async || match daemon.log() {
        log if log.contains(what) => Ok(()),
        log => Err(log),
    })
    .await;
}

#[tokio::test]
async fn a_reload_adds_removes_and_changes_targets_and_leaves_the_others_their_connection() {
    let server = PostgresServer::start().await;
    let daemon = start(&server, &[("same", "1s"), ("changed", "1s"), ("removed", "1s")]).await;
    let (same, changed) = (backend(&server, "same").await, backend(&server, "changed").await);
    assert!(same.is_some() && changed.is_some() && same != changed);
    let beats = daemon.beats("same", "ok").await;

    daemon.rewrite_config(&config(&server, &[("same", "1s"), ("changed", "2s"), ("added", "1s")]));
    daemon.signal(Signal::HUP);
    logged(&daemon, "added=1 changed=1 removed=1 unchanged=1").await;
    daemon.more_beats("added", "ok", 1, secs(10)).await;
    daemon.more_beats("changed", "ok", 1, secs(10)).await;
    assert_eq!(daemon.target("changed").await["configuration"]["schedule"], "every 2s");

    assert_eq!(backend(&server, "same").await, same, "the unchanged target's connection");
    assert_ne!(backend(&server, "changed").await, changed, "the changed target's connection");
    assert!(daemon.more_beats("same", "ok", 1, secs(20)).await > beats, "its counters go on");
    assert_eq!(daemon.count("heartbeatd_connects_total", &[("target", "same")]).await, 1);
    eventually(secs(20), "the removed target's connection to be closed", async || {
        match backend(&server, "removed").await {
            None => Ok(()),
            Some(pid) => Err(pid),
        }
    })
    .await;
    assert_eq!(daemon.get("/targets/removed").await.status, 404);
    let metrics = daemon.get("/metrics").await.body;
    assert!(!metrics.contains("\"removed\""), "{metrics}");
    daemon.healthy_within(secs(20)).await;
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_says_why_until_it_is_repaired() {
    let server = PostgresServer::start().await;
    let daemon = start(&server, &[("orders", "1s")]).await;
    let serving = backend(&server, "orders").await;
    let failed = async || daemon.metrics().await.value("heartbeatd_config_reload_failed", &[]);
    assert_eq!(failed().await, Some(0.0));

    let good = config(&server, &[("orders", "1s"), ("more", "1s")]);
    daemon.rewrite_config(&good.replace("interval", "intervall"));
    daemon.signal(Signal::HUP);
    logged(&daemon, "configuration not reloaded").await;
    logged(&daemon, "heartbeatd.toml:3: target[0].intervall: unknown key, did you mean").await;
    assert_eq!(failed().await, Some(1.0));
    daemon.more_beats("orders", "ok", 2, secs(20)).await;
    assert_eq!(daemon.get("/targets/more").await.status, 404);

    daemon.rewrite_config(&good);
    daemon.signal(Signal::HUP);
    daemon.more_beats("more", "ok", 1, secs(10)).await;
    assert_eq!(failed().await, Some(0.0));
    assert_eq!(backend(&server, "orders").await, serving);
    assert_eq!(daemon.count("heartbeatd_connects_total", &[("target", "orders")]).await, 1);
    assert!(!daemon.log().contains(heartbeat::PASSWORD), "{}", daemon.log());
}

/// Twenty reloads while the row is locked: never do two of our sessions wait for it, and its release leads to one beat.
async fn locked_row_is_waited_for_once_through_reloads(timeout: &str) {
    let server = PostgresServer::start().await;
    furnish(&server).await;
    server
        .execute(
            "CREATE TABLE journal (at timestamptz DEFAULT clock_timestamp());
             CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
               'BEGIN INSERT INTO public.journal DEFAULT VALUES; RETURN NEW; END';
             CREATE TRIGGER note AFTER UPDATE ON streamkap.streamkap_heartbeat FOR EACH ROW EXECUTE FUNCTION note()",
        )
        .await;
    let text = configuration(&[server.port()], "").replace("timeout = \"2s\"", &format!("timeout = \"{timeout}\""));
    let beating = BeatingDaemon::configured(&text).await;
    let mut holder = server.connect().await;
    execute(&mut holder, "BEGIN; SELECT * FROM streamkap.streamkap_heartbeat FOR UPDATE").await;
    let before = server.number("SELECT count(*) FROM journal").await;
    let waiting = async || {
        let of_ours = "application_name LIKE 'heartbeatd%' AND wait_event_type = 'Lock'";
        server.number(&format!("SELECT count(*) FROM pg_stat_activity WHERE {of_ours}")).await
    };
    let one_waits = async || match waiting().await {
        1 => Ok(()),
        other => Err(format!("{other} sessions wait")),
    };
    eventually(secs(20), "a beat to wait for the row", one_waits).await;
    beating.is_reloaded_twenty_times(&text, waiting).await;
    eventually(secs(20), "a beat to wait for the row", one_waits).await;
    execute(&mut holder, "COMMIT").await;
    let written = async || server.number("SELECT count(*) FROM journal").await - before;
    eventually(secs(20), "the beat to be written", async || match written().await {
        0 => Err("none"),
        _ => Ok(()),
    })
    .await;
    steadily(secs(5), "one beat and no more", async || match written().await {
        1 => Ok(()),
        more => Err(format!("{more} beats")),
    })
    .await;
}

#[tokio::test]
async fn a_locked_row_is_waited_for_by_one_session_through_twenty_reloads_and_written_once() {
    // Within one beat's time-out, and beyond those of several loops.
    tokio::join!(
        locked_row_is_waited_for_once_through_reloads("30s"),
        locked_row_is_waited_for_once_through_reloads("3s")
    );
}
