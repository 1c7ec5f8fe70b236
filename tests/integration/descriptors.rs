//! File descriptors: the limit that applies, what happens when it is reached, and the share that is reserved for the
//! status page.

use std::fmt::Write as _;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::bench::daemon::Daemon;
use crate::bench::{PostgresServer, eventually, heartbeat, heartbeatd, secs};

/// This many targets on one server, which share its row.
fn config(server: &PostgresServer, targets: usize) -> String {
    let mut config = "[defaults]\ninterval = \"1s\"\ntimeout = \"20s\"\n".to_owned();
    for number in 0..targets {
        let url = heartbeat::url(server.port(), "");
        writeln!(config, "[[target]]\nname = \"shop-{number}\"\nurl = \"{url}\"\nwrite = \"when-stale\"").unwrap();
    }
    config
}

async fn server() -> PostgresServer {
    let server = PostgresServer::options().conf("max_connections = 350").start().await;
    heartbeat::lay(&server).await;
    server
}

/// Requests `/live` for this long, each time on a new connection.
async fn answers_within_a_second(daemon: &Daemon, duration: Duration) {
    let end = Instant::now() + duration;
    while Instant::now() < end {
        let answer = timeout(secs(1), daemon.try_get("/live")).await;
        let answer = answer.unwrap_or_else(|_| panic!("/live did not answer within a second; log:\n{}", daemon.log()));
        assert_eq!(answer.unwrap().status, 200);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
    let (server, targets) = (server().await, 80);
    let daemon = heartbeatd().config(&config(&server, targets)).open_files(64, 4096).start().await;
    daemon.healthy_within(secs(90)).await;
    assert!(daemon.open_files() > targets, "{}", daemon.open_files());
    assert!(!daemon.log().contains("descriptors"), "{}", daemon.log());
}

#[tokio::test]
async fn a_limit_below_the_need_is_reported_with_numbers_and_the_page_still_answers() {
    let server = server().await;
    let daemon = heartbeatd().config(&config(&server, 300)).open_files(64, 64).start().await;
    // The first logins keep a small machine busy.
    eventually(secs(30), "no descriptor to be left", async || match daemon.open_files() {
        64 => Ok(()),
        open => Err(open),
    })
    .await;
    answers_within_a_second(&daemon, secs(20)).await;
    let log = daemon.log();
    assert!(log.contains("300 targets need about 1300 file descriptors, and the limit is 64"), "{log}");
    let told = eventually(secs(30), "a target that fails for want of a descriptor", async || {
        let (_, health) = daemon.health().await;
        let reasons =
            health["targets"].as_array().into_iter().flatten().filter_map(|target| target["reasons"].as_array());
        let found = reasons.flatten().find(|reason| reason["kind"] == "limit").cloned();
        found.ok_or_else(|| health.to_string())
    })
    .await;
    let (message, remedy) = (told["message"].to_string(), told["remedy"].to_string());
    assert!(message.contains("no file descriptor is left to heartbeatd (the limit is 64)"), "{told}");
    assert!(remedy.contains("LimitNOFILE="), "{told}");
}

#[tokio::test]
async fn half_open_connections_of_one_peer_keep_no_probe_waiting() {
    let program = heartbeatd();
    let file = program.folder().join("heartbeat.db");
    let config = format!("[[target]]\nname = \"good\"\nurl = \"sqlite:{}\"\nprovision = \"auto\"\n", file.display());
    let daemon = program.config(&config).start().await;
    let mut half_open = Vec::new();
    for number in 0..200 {
        let mut stream = TcpStream::connect(("127.0.0.1", daemon.port())).await.unwrap();
        if number % 2 == 0 {
            stream.write_all(b"GET /live HTTP/1.1\r\nHost: x\r\n").await.unwrap();
        }
        half_open.push(stream);
    }
    answers_within_a_second(&daemon, secs(4)).await;
    assert!(daemon.open_files() < 100, "{}", daemon.open_files());
    drop(half_open);
}
