//! PostgreSQL servers and networks that fail: killed, restarted, frozen, full, closed to the password, cut off. Each is
//! named in time, nothing is left behind on the server, and the target heals by itself.

use sqlx::PgConnection;
use tokio::time::Instant;

use crate::bench::patient::{
    PASSWORD, Patient, ROLE, address, beats_asked_of, configuration, furnish, has_no_queue, note, symptom, target,
};
use crate::bench::session::execute;
use crate::bench::{PostgresServer, Proxy, Toxic, eventually, heartbeatd, secs};

#[tokio::test]
async fn killed_server_is_reported_as_refused_and_heals_after_its_start() {
    let mut server = PostgresServer::start().await;
    let patient = Patient::of(&server).await;
    let ((), diagnosis) = tokio::join!(server.kill(), patient.falls_ill_of(symptom("connection", "refused", None)));
    diagnosis.names(&["SHOW listen_addresses", "SHOW port"]);
    assert!(diagnosis.message.contains(&format!("127.0.0.1:{}", server.port())), "{diagnosis:?}");
    server.resume().await;
    patient.heals_within(secs(5)).await;
    has_no_queue(&server).await;
}

#[tokio::test]
async fn clean_restart_of_the_server_costs_no_more_than_the_time_it_takes() {
    let mut server = PostgresServer::start().await;
    let patient = Patient::of(&server).await;
    let begin = Instant::now();
    server.restart().await;
    note(&format!("the restart took {:?}", begin.elapsed()));
    patient.beats(3, secs(10)).await;
    patient.heals_within(secs(5)).await;
    patient.has_come_through_a_restart().await;
    has_no_queue(&server).await;
}

#[tokio::test]
async fn server_frozen_midway_is_reported_as_timeout_and_gets_no_burst_when_thawed() {
    let server = PostgresServer::options().log_statements().start().await;
    let patient = Patient::of(&server).await;
    let files = patient.daemon.open_files();
    server.freeze();
    patient.falls_ill_of(symptom("connection", "timeout", None)).await.names(&["the server frozen", "timeout, now 2s"]);
    eventually(secs(5), "abandoned connections to be closed", async || match patient.daemon.open_files() {
        now if now <= files + 1 => Ok(()),
        now => Err(format!("{files} files, then {now}")),
    })
    .await;
    server.thaw();
    patient.sent_no_burst(|| beats_asked_of(&server)).await;
    has_no_queue(&server).await;
}

#[tokio::test]
async fn server_frozen_before_the_first_connection_is_reported_as_timeout_and_heals() {
    let server = PostgresServer::start().await;
    furnish(&server).await;
    server.freeze();
    let patient = Patient { daemon: heartbeatd().config(&configuration(&[server.port()], "")).start().await };
    let diagnosis = patient.reports(symptom("connection", "timeout", None)).await;
    assert!(diagnosis.message.contains("connecting and logging in"), "{diagnosis:?}");
    let (status, health) = patient.daemon.health().await;
    assert_eq!(status, 503, "no beat yet, no green: {health}");
    server.thaw();
    patient.heals_within(secs(6)).await;
    has_no_queue(&server).await;
}

#[tokio::test]
async fn changed_password_is_tried_once_a_minute_and_heals_when_the_secret_file_is_replaced() {
    let server = PostgresServer::start().await;
    furnish(&server).await;
    let program = heartbeatd();
    let file = program.file("password", PASSWORD);
    let secret = format!("password = {{ file = \"{}\" }}", file.display());
    let patient = Patient::started(program.config(&target("orders", &address(&[server.port()]), &secret))).await;
    patient.is_checked().await;
    let changed = Instant::now();
    server.execute(&format!("ALTER ROLE {ROLE} PASSWORD 'another-secret'")).await;
    end_sessions(&server).await;
    let diagnosis = patient.falls_ill_of(symptom("connection", "auth", Some("28P01"))).await;
    diagnosis.names(&[&file.display().to_string(), &format!("ALTER ROLE \"{ROLE}\" PASSWORD")]);
    patient.daemon.replace_file("password", "another-secret\n");
    // 60 to 75 s after the refusal, which came at most a second after the sessions were ended.
    patient.heals_within(secs(80)).await;
    assert!(changed.elapsed() >= secs(60), "tried again after {:?}", changed.elapsed());
    assert_eq!(patient.count("failed").await, 1, "the account is not to be locked");
    assert_eq!(server.log().matches("password authentication failed").count(), 1);
    has_no_queue(&server).await;
}

#[tokio::test]
async fn used_up_connection_slots_are_reported_and_heal_when_one_is_free() {
    let server = PostgresServer::options().conf("max_connections = 6").start().await;
    let patient = Patient::of(&server).await;
    server.execute("CREATE ROLE crowd LOGIN PASSWORD 'crowd'").await;
    let mut crowd: Vec<PgConnection> = Vec::new();
    // Six, of which three are kept for superusers, of which one is ours: its place is taken as soon as it is free.
    for _ in 0..2 {
        crowd.push(server.connect_as("crowd", "crowd").await.unwrap());
    }
    eventually(secs(20), "the crowd to take every slot", async || {
        end_sessions(&server).await;
        match server.connect_as("crowd", "crowd").await {
            Ok(session) => crowd.push(session),
            Err(error) => return Err(error.to_string()),
        }
        if crowd.len() == 3 { Ok(()) } else { Err(format!("{} of them", crowd.len())) }
    })
    .await;
    let diagnosis = patient.falls_ill_of(symptom("connection", "too_many_connections", Some("53300"))).await;
    let found = server.rows(diagnosis.part("SELECT usename", Some(" then free"))).await;
    assert!(found.iter().any(|row| row[0].as_deref() == Some("crowd")), "{found:?}");
    diagnosis.names(&[&format!("ALTER ROLE \"{ROLE}\" CONNECTION LIMIT -1;")]);
    crowd.clear();
    patient.heals_within(secs(5)).await;
    has_no_queue(&server).await;
}

#[tokio::test]
async fn black_hole_during_a_beat_is_a_timeout_and_the_connection_is_never_used_again() {
    let server = PostgresServer::options().log_statements().start().await;
    furnish(&server).await;
    let proxy = Proxy::start(server.port()).await;
    let patient = Patient::configured(&configuration(&[proxy.port()], "")).await;
    proxy.set(Toxic::BlackHole).await;
    patient.falls_ill_of(symptom("connection", "timeout", None)).await;
    proxy.set(Toxic::Clean).await;
    patient.sent_no_burst(|| beats_asked_of(&server)).await;
    patient.gave_its_connection_up(&proxy).await;
    has_no_queue(&server).await;
}

#[tokio::test]
async fn reset_of_the_idle_connection_is_mended_within_the_tick_and_is_no_failure() {
    let server = PostgresServer::start().await;
    furnish(&server).await;
    let proxy = Proxy::start(server.port()).await;
    let patient = Patient::configured(&configuration(&[proxy.port()], "")).await;
    proxy.reset().await;
    patient.replaces_its_connection_within_the_tick().await;
    has_no_queue(&server).await;
}

#[tokio::test]
async fn session_ended_by_an_administrator_is_mended_within_the_tick_and_is_no_failure() {
    let server = PostgresServer::start().await;
    let patient = Patient::of(&server).await;
    end_sessions(&server).await;
    patient.replaces_its_connection_within_the_tick().await;
    has_no_queue(&server).await;
}

#[tokio::test]
async fn dead_server_is_told_in_two_lines_and_the_password_nowhere() {
    let mut server = PostgresServer::start().await;
    furnish(&server).await;
    // One password as it is, one within an address.
    let url = server.url(ROLE, PASSWORD);
    let text = format!("{}{}", configuration(&[server.port()], ""), target("inline", &url, ""));
    let mut patient = Patient::started(heartbeatd().env("HEARTBEATD_LOG", EVERYTHING).config(&text)).await;
    server.stop().await;
    patient.tells_of_a_dead_server_in_two_lines_and_of_the_password_nowhere().await;
}

/// What is logged at the most: libraries are named, as a level alone is about heartbeatd's own lines.
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
    let patient = Patient::started(program.config(&target("orders", &address(&[server.port()]), &secret))).await;
    std::fs::remove_file(&file).unwrap();
    end_sessions(&server).await;
    let error = eventually(secs(10), "the missing secret to be told", async || {
        let error = patient.daemon.target("orders").await["error"].take();
        if error["kind"] == "secret_source" { Ok(error) } else { Err(error.to_string()) }
    })
    .await;
    assert!(error["message"].as_str().unwrap().contains(&file.display().to_string()), "{error}");
    patient.daemon.replace_file("password", PASSWORD);
    patient.heals_within(secs(5)).await;
}
