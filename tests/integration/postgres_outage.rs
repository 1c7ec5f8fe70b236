//! PostgreSQL servers and networks that fail: killed, restarted, frozen, full, closed to the password, cut off. Each
//! fault is reported in time, nothing remains on the server, and the target heals by itself.

use sqlx::PgConnection;
use tokio::time::Instant;

use crate::bench::beating_daemon::{
    BeatingDaemon, PASSWORD, ROLE, address, beats_asked_of, configuration, failure, furnish, has_no_queue, note,
    patient, target,
};
use crate::bench::session::execute;
use crate::bench::{PostgresServer, Proxy, Toxic, eventually, heartbeatd, secs};

#[tokio::test]
async fn killed_server_is_reported_as_refused_and_heals_after_its_start() {
    let mut server = PostgresServer::start().await;
    let beating = BeatingDaemon::of(&server).await;
    let ((), reported) = tokio::join!(server.kill(), beating.fails_with(failure("connection", "refused", None)));
    reported.names(&["listen_addresses", "port"]);
    assert!(reported.message.contains(&format!("127.0.0.1:{}", server.port())), "{reported:?}");
    server.resume().await;
    beating.recovers_within(secs(20)).await;
    has_no_queue(&server).await;
}

#[tokio::test]
async fn clean_restart_of_the_server_costs_no_more_than_the_time_it_takes() {
    let mut server = PostgresServer::start().await;
    furnish(&server).await;
    let beating = BeatingDaemon::configured(&patient(&configuration(&[server.port()], ""))).await;
    let begin = Instant::now();
    server.restart().await;
    note(&format!("the restart took {:?}", begin.elapsed()));
    beating.beats(3, secs(30)).await;
    beating.recovers_within(secs(20)).await;
    beating.has_come_through_a_restart().await;
    has_no_queue(&server).await;
}

#[tokio::test]
async fn server_frozen_midway_is_reported_as_timeout_and_gets_no_burst_when_thawed() {
    let server = PostgresServer::options().log_statements().start().await;
    let beating = BeatingDaemon::of(&server).await;
    let files = beating.daemon.open_files();
    server.freeze();
    beating.fails_with(failure("connection", "timeout", None)).await.names(&["the server frozen", "timeout, now 2s"]);
    beating.daemon.open_files_fall_to(files + 1).await;
    server.thaw();
    beating.sent_no_burst(|| beats_asked_of(&server)).await;
    has_no_queue(&server).await;
}

#[tokio::test]
async fn server_frozen_before_the_first_connection_is_reported_as_timeout_and_heals() {
    let server = PostgresServer::start().await;
    furnish(&server).await;
    server.freeze();
    let beating = BeatingDaemon { daemon: heartbeatd().config(&configuration(&[server.port()], "")).start().await };
    let reported = beating.reports(failure("connection", "timeout", None)).await;
    assert!(reported.message.contains("connecting and logging in"), "{reported:?}");
    let (status, health) = beating.daemon.health().await;
    assert_eq!(status, 503, "no beat yet, no green: {health}");
    server.thaw();
    beating.recovers_within(secs(20)).await;
    has_no_queue(&server).await;
}

#[tokio::test]
async fn changed_password_is_tried_once_a_minute_and_heals_when_the_secret_file_is_replaced() {
    let server = PostgresServer::start().await;
    furnish(&server).await;
    let program = heartbeatd();
    let file = program.file("password", PASSWORD);
    let secret = format!("password = {{ file = \"{}\" }}", file.display());
    let beating = BeatingDaemon::started(program.config(&target("orders", &address(&[server.port()]), &secret))).await;
    beating.is_checked().await;
    let failed = beating.count("failed").await;
    let changed = Instant::now();
    server.execute(&format!("ALTER ROLE {ROLE} PASSWORD 'another-secret'")).await;
    end_sessions(&server).await;
    let reported = beating.fails_with(failure("connection", "auth", Some("28P01"))).await;
    reported.names(&[&file.display().to_string(), &format!("\\password \"{ROLE}\"")]);
    beating.daemon.replace_file("password", "another-secret\n");
    // 60 to 75 s after the refusal, which came at most a second after the sessions were ended.
    beating.recovers_within(secs(80)).await;
    assert!(changed.elapsed() >= secs(60), "tried again after {:?}", changed.elapsed());
    assert_eq!(beating.count("failed").await - failed, 1, "the account is not to be locked");
    assert_eq!(server.log().matches("password authentication failed").count(), 1);
    has_no_queue(&server).await;
}

#[tokio::test]
async fn used_up_connection_slots_are_reported_and_heal_when_one_is_free() {
    let server = PostgresServer::options().conf("max_connections = 6").start().await;
    let beating = BeatingDaemon::of(&server).await;
    server.execute("CREATE ROLE crowd LOGIN PASSWORD 'crowd'").await;
    let mut crowd: Vec<PgConnection> = Vec::new();
    // Six slots. Three are reserved for superusers, of which one is ours. The daemon's slots (its checks use one more)
    // are taken once they are free.
    eventually(secs(20), "the crowd to take every slot", async || {
        end_sessions(&server).await;
        match server.connect_as("crowd", "crowd").await {
            Ok(session) => crowd.push(session),
            Err(error) => return Err(error.to_string()),
        }
        if crowd.len() == 3 { Ok(()) } else { Err(format!("{} of them", crowd.len())) }
    })
    .await;
    let reported = beating.fails_with(failure("connection", "too_many_connections", Some("53300"))).await;
    let found = server.rows(reported.part("SELECT usename", Some(";"))).await;
    assert!(found.iter().any(|row| row[0].as_deref() == Some("crowd")), "{found:?}");
    reported.names(&[&format!("ALTER ROLE \"{ROLE}\" CONNECTION LIMIT -1")]);
    crowd.clear();
    beating.recovers_within(secs(20)).await;
    has_no_queue(&server).await;
}

#[tokio::test]
async fn black_hole_during_a_beat_is_a_timeout_and_the_connection_is_never_used_again() {
    let server = PostgresServer::options().log_statements().start().await;
    furnish(&server).await;
    let proxy = Proxy::start(server.port()).await;
    let beating = BeatingDaemon::configured(&configuration(&[proxy.port()], "")).await;
    proxy.set(Toxic::BlackHole).await;
    beating.fails_with(failure("connection", "timeout", None)).await;
    proxy.set(Toxic::Clean).await;
    beating.sent_no_burst(|| beats_asked_of(&server)).await;
    beating.replaced_its_connection(&proxy).await;
    has_no_queue(&server).await;
}

#[tokio::test]
async fn reset_of_the_idle_connection_is_mended_within_the_tick_and_is_no_failure() {
    let server = PostgresServer::start().await;
    furnish(&server).await;
    let proxy = Proxy::start(server.port()).await;
    let beating = BeatingDaemon::configured(&patient(&configuration(&[proxy.port()], ""))).await;
    beating.replaces_its_connection_within_the_tick(async || proxy.reset().await).await;
    has_no_queue(&server).await;
}

#[tokio::test]
async fn session_ended_by_an_administrator_is_mended_within_the_tick_and_is_no_failure() {
    let server = PostgresServer::start().await;
    furnish(&server).await;
    let beating = BeatingDaemon::configured(&patient(&configuration(&[server.port()], ""))).await;
    beating.replaces_its_connection_within_the_tick(async || end_sessions(&server).await).await;
    has_no_queue(&server).await;
}

#[tokio::test]
async fn a_dead_server_is_reported_in_two_lines_without_the_password() {
    let mut server = PostgresServer::start().await;
    furnish(&server).await;
    // One password as plain text, one inside an address.
    let url = server.url(ROLE, PASSWORD);
    let text = format!("{}{}", configuration(&[server.port()], ""), target("inline", &url, ""));
    let mut beating = BeatingDaemon::started(heartbeatd().env("HEARTBEATD_LOG", EVERYTHING).config(&text)).await;
    server.stop().await;
    beating.logs_a_dead_server_in_two_lines_and_the_password_nowhere().await;
}

/// The most that can be logged. It names libraries, because a level alone concerns only heartbeatd's own lines.
const EVERYTHING: &str = "heartbeatd=trace,sqlx=debug,rustls=debug,hyper=debug,tokio=debug,log=debug";

/// Ends every session of the daemon, as an administrator would.
async fn end_sessions(server: &PostgresServer) {
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'heartbeatd%'";
    execute(&mut server.connect().await, end).await;
}

#[tokio::test]
async fn secret_file_that_is_gone_is_reported_by_its_path_and_heals_when_it_is_back() {
    let server = PostgresServer::start().await;
    furnish(&server).await;
    let program = heartbeatd();
    let file = program.file("password", PASSWORD);
    let secret = format!("password = {{ file = \"{}\" }}", file.display());
    let beating = BeatingDaemon::started(program.config(&target("orders", &address(&[server.port()]), &secret))).await;
    std::fs::remove_file(&file).unwrap();
    end_sessions(&server).await;
    let error = eventually(secs(10), "the missing secret to be reported", async || {
        let error = beating.daemon.target("orders").await["error"].take();
        if error["kind"] == "secret_source" { Ok(error) } else { Err(error.to_string()) }
    })
    .await;
    assert!(error["message"].as_str().unwrap().contains(&file.display().to_string()), "{error}");
    beating.daemon.replace_file("password", PASSWORD);
    beating.recovers_within(secs(20)).await;
}
