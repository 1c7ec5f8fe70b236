//! MariaDB and MySQL servers and networks that fail: killed, restarted, frozen, full, closed to the password, cut off.
//! Each fault is reported in time, nothing remains on the server, and the target heals by itself.

use rustix::process::Signal;
use sqlx::mysql::MySqlConnection;
use tokio::time::Instant;

use crate::bench::beating_daemon::{BeatingDaemon, PASSWORD, ROLE, failure, note, patient, target};
use crate::bench::mysql::session::rows;
use crate::bench::mysql_scene::{
    address, beats_asked_of, configuration, end_sessions, end_sessions_through, furnish, has_no_queue,
    healthy_daemon_of, on_both, on_each, sessions,
};
use crate::bench::{Flavour, MysqlServer, Proxy, Toxic, eventually, heartbeatd, secs};

#[tokio::test]
async fn killed_server_is_reported_as_refused_and_heals_after_its_start() {
    on_each(&Flavour::ALL, async |flavour| {
        let mut server = MysqlServer::options().flavour(flavour).start().await;
        let beating = healthy_daemon_of(&server).await;
        let ((), reported) = tokio::join!(server.kill(), beating.fails_with(failure("connection", "refused", None)));
        assert!(reported.message.contains(&format!("127.0.0.1:{}", server.port())), "{reported:?}");
        reported.names(&["@@bind_address", "@@port"]);
        server.resume().await;
        beating.beats(1, secs(20)).await;
        beating.recovers_within(secs(20)).await;
        has_no_queue(&server).await;
    })
    .await;
}

#[tokio::test]
async fn clean_restart_of_the_server_costs_no_more_than_the_time_it_takes() {
    on_both(async |flavour| {
        let mut server = MysqlServer::options().flavour(flavour).start().await;
        furnish(&server).await;
        let beating = BeatingDaemon::configured(&patient(&configuration(flavour, &[server.port()], ""))).await;
        let begin = Instant::now();
        server.restart().await;
        note(&format!("the restart took {:?}", begin.elapsed()));
        beating.beats(3, secs(30)).await;
        beating.recovers_within(secs(20)).await;
        beating.has_come_through_a_restart().await;
        has_no_queue(&server).await;
    })
    .await;
}

#[tokio::test]
async fn server_frozen_midway_is_reported_as_timeout_and_gets_no_burst_when_thawed() {
    on_both(async |flavour| {
        let server = MysqlServer::options().flavour(flavour).general_log().start().await;
        let beating = healthy_daemon_of(&server).await;
        let files = beating.daemon.open_files();
        server.freeze();
        let reported = beating.fails_with(failure("connection", "timeout", None)).await;
        reported.names(&["the server frozen", "timeout, now 2s"]);
        beating.daemon.open_files_fall_to(files + 1).await;
        server.thaw();
        beating.sent_no_burst(|| beats_asked_of(&server)).await;
        has_no_queue(&server).await;
    })
    .await;
}

#[tokio::test]
async fn server_frozen_before_the_first_connection_is_reported_as_timeout_and_heals() {
    on_both(async |flavour| {
        let server = MysqlServer::options().flavour(flavour).start().await;
        furnish(&server).await;
        server.freeze();
        let text = configuration(flavour, &[server.port()], "");
        let beating = BeatingDaemon { daemon: heartbeatd().config(&text).start().await };
        let reported = beating.reports(failure("connection", "timeout", None)).await;
        assert!(reported.message.contains("connecting and logging in"), "{reported:?}");
        let (status, health) = beating.daemon.health().await;
        assert_eq!(status, 503, "no beat yet, no green: {health}");
        server.thaw();
        beating.recovers_within(secs(20)).await;
        has_no_queue(&server).await;
    })
    .await;
}

/// The most that can be logged. It names libraries, because a level alone concerns only heartbeatd's own lines.
const EVERYTHING: &str = "heartbeatd=trace,sqlx=debug,rustls=debug,hyper=debug,tokio=debug,log=debug";

/// How many logins were refused, by the general log.
fn refused_logins(server: &MysqlServer) -> usize {
    let refused = |text: &str| text.starts_with("Access denied");
    server.commands().iter().filter(|command| command.kind == "Connect" && refused(&command.text)).count()
}

#[tokio::test]
async fn changed_password_is_tried_once_a_minute_and_heals_when_the_secret_file_is_replaced() {
    on_both(async |flavour| {
        let server = MysqlServer::options().flavour(flavour).general_log().start().await;
        furnish(&server).await;
        let program = heartbeatd();
        let file = program.file("password", PASSWORD);
        let secret = format!("password = {{ file = \"{}\" }}", file.display());
        let text = target("orders", &address(flavour, &[server.port()]), &secret);
        let beating = BeatingDaemon::started(program.config(&text)).await;
        beating.is_checked().await;
        let changed = Instant::now();
        server.execute(&format!("ALTER USER {ROLE} IDENTIFIED BY 'another-secret'")).await;
        end_sessions(&server).await;
        let reported = beating.fails_with(failure("connection", "auth", Some("1045"))).await;
        reported.names(&[&file.display().to_string(), &format!("FROM mysql.user WHERE User IN ('{ROLE}', '')")]);
        beating.daemon.replace_file("password", "another-secret\n");
        // 60 to 75 s after the refusal, which came at most a second after the sessions were ended.
        beating.recovers_within(secs(80)).await;
        assert!(changed.elapsed() >= secs(60), "tried again after {:?}", changed.elapsed());
        assert_eq!(beating.count("failed").await, 1, "the account is not to be locked");
        assert_eq!(refused_logins(&server), 1, "one try, and the next with the new password");
        has_no_queue(&server).await;
    })
    .await;
}

#[tokio::test]
async fn locked_account_is_reported_and_let_in_again_upon_a_reload() {
    on_both(async |flavour| {
        let server = MysqlServer::options().flavour(flavour).start().await;
        let beating = healthy_daemon_of(&server).await;
        server.execute(&format!("ALTER USER {ROLE} ACCOUNT LOCK")).await;
        end_sessions(&server).await;
        let code = if flavour == Flavour::Mariadb { "4151" } else { "3118" };
        let reported = beating.fails_with(failure("connection", "auth", Some(code))).await;
        server.execute(reported.part("ALTER USER", None)).await;
        assert_eq!(beating.count("failed").await, 1, "tried once a minute");
        beating.daemon.signal(Signal::HUP);
        beating.recovers_within(secs(20)).await;
    })
    .await;
}

#[tokio::test]
async fn used_up_connection_slots_are_reported_and_heal_when_one_is_free() {
    on_each(&Flavour::ALL, async |flavour| {
        let server = MysqlServer::options().flavour(flavour).conf("max_connections = 10").start().await;
        let beating = healthy_daemon_of(&server).await;
        server.execute("CREATE USER crowd IDENTIFIED BY 'crowd'").await;
        let mut admin = server.connect().await;
        let mut crowd: Vec<MySqlConnection> = Vec::new();
        // Ten connections, one of them this administrator's and one or two the daemon's (its checks use another one),
        // which the crowd takes once they are free.
        eventually(secs(30), "the crowd to take every slot", async || {
            if crowd.len() >= 7 {
                end_sessions_through(&mut admin).await;
            }
            match server.connect_as("crowd", "crowd").await {
                Ok(session) => crowd.push(session),
                Err(error) => return Err(error.to_string()),
            }
            if crowd.len() == 9 { Ok(()) } else { Err(format!("{} of them", crowd.len())) }
        })
        .await;
        let reported = beating.fails_with(failure("connection", "too_many_connections", Some("1040"))).await;
        let found = rows(&mut admin, reported.part("SELECT user", Some(";"))).await.unwrap();
        assert!(found.iter().any(|row| row[0].as_deref() == Some("crowd")), "{found:?}");
        reported.names(&["raise max_connections"]);
        crowd.clear();
        beating.recovers_within(secs(20)).await;
        has_no_queue(&server).await;
    })
    .await;
}

#[tokio::test]
async fn black_hole_during_a_beat_is_a_timeout_and_the_connection_is_never_used_again() {
    on_both(async |flavour| {
        let server = MysqlServer::options().flavour(flavour).general_log().start().await;
        furnish(&server).await;
        let proxy = Proxy::start(server.port()).await;
        let beating = BeatingDaemon::configured(&configuration(flavour, &[proxy.port()], "")).await;
        proxy.set(Toxic::BlackHole).await;
        beating.fails_with(failure("connection", "timeout", None)).await;
        proxy.set(Toxic::Clean).await;
        beating.sent_no_burst(|| beats_asked_of(&server)).await;
        beating.replaced_its_connection(&proxy).await;
        has_no_queue(&server).await;
    })
    .await;
}

#[tokio::test]
async fn reset_of_the_idle_connection_is_mended_within_the_tick_and_is_no_failure() {
    on_both(async |flavour| {
        let server = MysqlServer::options().flavour(flavour).start().await;
        furnish(&server).await;
        let proxy = Proxy::start(server.port()).await;
        let beating = BeatingDaemon::configured(&patient(&configuration(flavour, &[proxy.port()], ""))).await;
        beating.replaces_its_connection_within_the_tick(async || proxy.reset().await).await;
        has_no_queue(&server).await;
    })
    .await;
}

#[tokio::test]
async fn session_killed_by_an_administrator_is_mended_within_the_tick_and_is_no_failure() {
    on_each(&Flavour::ALL, async |flavour| {
        let server = MysqlServer::options().flavour(flavour).start().await;
        furnish(&server).await;
        let beating = BeatingDaemon::configured(&patient(&configuration(flavour, &[server.port()], ""))).await;
        beating.replaces_its_connection_within_the_tick(async || end_sessions(&server).await).await;
        has_no_queue(&server).await;
    })
    .await;
}

#[tokio::test]
async fn session_idle_for_longer_than_the_server_allows_is_mended_within_the_tick_and_is_no_failure() {
    on_each(&Flavour::ALL, async |flavour| {
        let server = MysqlServer::options().flavour(flavour).conf("wait_timeout = 1").start().await;
        furnish(&server).await;
        let text = patient(&configuration(flavour, &[server.port()], ""));
        let beating = BeatingDaemon::configured(&text.replace("interval = \"1s\"", "interval = \"5s\"")).await;
        eventually(secs(20), "the server to end the idle session", async || match sessions(&server).await {
            none if none.is_empty() => Ok(()),
            some => Err(format!("{some:?}")),
        })
        .await;
        // Not since the start: the first beat comes at any moment before the first tick.
        let count = async || {
            let look = async |beats| (beats, beating.connects("lost").await);
            beating.daemon.right_after_a_beat("orders", look).await
        };
        let before = count().await;
        beating.beats(2, secs(40)).await;
        let after = count().await;
        assert_eq!(after.1 - before.1, after.0 - before.0, "lost before each beat; log:\n{}", beating.daemon.log());
        assert_eq!(beating.count("failed").await, 0, "log:\n{}", beating.daemon.log());
        beating.missed_ticks_only_while_a_beat_was_slow(secs(5)).await;
    })
    .await;
}

#[tokio::test]
async fn a_dead_server_is_reported_in_two_lines_without_the_password() {
    on_both(async |flavour| {
        let mut server = MysqlServer::options().flavour(flavour).start().await;
        furnish(&server).await;
        // One password as plain text, one inside an address.
        let url = server.url(ROLE, PASSWORD);
        let text = format!("{}{}", configuration(flavour, &[server.port()], ""), target("inline", &url, ""));
        let program = heartbeatd().env("HEARTBEATD_LOG", EVERYTHING).config(&text);
        let mut beating = BeatingDaemon::started(program).await;
        server.stop().await;
        beating.logs_a_dead_server_in_two_lines_and_the_password_nowhere().await;
    })
    .await;
}
