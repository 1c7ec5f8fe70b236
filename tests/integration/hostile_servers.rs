//! Hostile servers of every protocol. What they send costs a limited amount of memory and no other target's beat. They
//! do not get what they ask for.

use std::time::Duration;

use heartbeatd::driver::Purpose;
use heartbeatd::heartbeat::{ErrorKind, Pace};
use tokio::time::Instant;

use crate::bench::driver::{failed, open, target};
use crate::bench::hostile::{HostileServer, Malice};
use crate::bench::{PostgresServer, eventually, heartbeat, heartbeatd, secs};

const PASSWORD: &str = "never-in-clear";
/// The most memory that a flood may cost, in KiB.
const ALLOWANCE: u64 = 100 << 10;

fn address(server: &HostileServer, malice: Malice, parameters: &str) -> String {
    let port = server.port();
    match format!("{malice:?}").starts_with("Mysql") {
        true => format!("mysql://hb:{PASSWORD}@127.0.0.1:{port}/{parameters}"),
        false => format!("postgres://hb:{PASSWORD}@127.0.0.1:{port}/postgres{parameters}"),
    }
}

/// Runs a daemon with a flooding server and a good one, both with a beat every second.
async fn flood_is_weathered(malice: Malice, kind: &str) {
    let good = PostgresServer::start().await;
    heartbeat::lay(&good).await;
    let hostile = HostileServer::start(malice).await;
    let daemon = heartbeatd()
        // The log has its own test for what a server says.
        .arg("--log=info,sqlx=off")
        .config(&format!(
            "[defaults]\ninterval = \"1s\"\ntimeout = \"4s\"\n\
             [[target]]\nname = \"good\"\nurl = \"{}\"\n[[target]]\nname = \"hostile\"\nurl = \"{}\"\n",
            heartbeat::url(good.port(), ""),
            address(&hostile, malice, "")
        ))
        .start()
        .await;
    daemon.more_beats("good", "ok", 2, secs(20)).await;
    let (before, ticks_before) = (daemon.beats("good", "ok").await, daemon.ticks("good").await);
    let (begin, mut highest, mut beats) = (Instant::now(), 0, 0);
    // On a busy machine the beats come late.
    while beats < 8 && begin.elapsed() < secs(60) {
        highest = highest.max(daemon.rss_kib());
        tokio::time::sleep(Duration::from_millis(20)).await;
        if begin.elapsed() >= secs(10) {
            beats = daemon.beats("good", "ok").await - before;
        }
    }
    let watched = begin.elapsed();
    eprintln!("{malice:?}: at most {} MiB RSS, {beats} good beats in {watched:?}", highest >> 10);
    // Among the failures so far: on a busy machine a later one may be a time-out while the flood is being read.
    eventually(secs(30), format!("the kind {kind}"), async || {
        let errors = daemon.target("hostile").await["counters"]["errors"].take();
        let found = errors.as_array().unwrap().iter().any(|error| error["kind"] == kind);
        if found { Ok(()) } else { Err(errors.to_string()) }
    })
    .await;
    // The daemon's whole memory, including what it needs without a flood.
    assert!(highest < ALLOWANCE, "{} MiB; log:\n{}", highest >> 10, daemon.log());
    let ticks = daemon.ticks("good").await - ticks_before;
    assert!(beats >= 8 && beats * 2 > ticks, "{beats} beats, {ticks} ticks in {watched:?}; log:\n{}", daemon.log());
    assert_eq!(daemon.beats("good", "failed").await, 0, "{}", daemon.log());
}

#[tokio::test]
async fn rows_without_end_of_a_postgresql_server_are_cut_off() {
    flood_is_weathered(Malice::PostgresRows, "protocol").await;
}

#[tokio::test]
async fn notices_without_end_of_a_postgresql_server_cost_no_memory() {
    flood_is_weathered(Malice::PostgresNotices, "timeout").await;
}

#[tokio::test]
async fn rows_without_end_of_a_mysql_server_are_cut_off() {
    flood_is_weathered(Malice::MysqlRows, "protocol").await;
}

#[tokio::test]
async fn a_server_that_asks_for_the_password_in_clear_does_not_get_it() {
    for (malice, modes) in [
        (Malice::PostgresClearText, ["", "?sslmode=disable"]),
        (Malice::PostgresClearTextLater, ["", "?sslmode=disable"]),
        (Malice::MysqlClearText, ["", "?ssl-mode=disabled"]),
        (Malice::MysqlClearTextLater, ["", "?ssl-mode=disabled"]),
    ] {
        for mode in modes {
            let server = HostileServer::start(malice).await;
            let refused = failed(&target(&address(&server, malice, mode))).await;
            assert!(!server.has_heard(PASSWORD), "{malice:?}{mode} got the password: {refused:?}");
            assert_eq!(refused.kind, ErrorKind::AuthMethod, "{malice:?}{mode}: {refused:?}");
            assert!(refused.message.contains("password") && refused.message.contains("in clear"), "{refused:?}");
        }
    }
}

#[tokio::test]
async fn a_password_is_sent_in_clear_if_the_address_says_so() {
    for (malice, word) in [
        (Malice::PostgresClearText, "?allow_cleartext_password=1"),
        (Malice::MysqlClearText, "?enable-cleartext-plugin=1"),
        (Malice::MysqlClearTextLater, "?enable-cleartext-plugin=1"),
    ] {
        let server = HostileServer::start(malice).await;
        let target = target(&address(&server, malice, word));
        // The server listens and sends nothing more.
        let opened = open(&target, Purpose::Beat, None, secs(2)).await.map(drop).unwrap_err();
        assert_eq!(opened.kind(), ErrorKind::Timeout, "{malice:?}: {opened}");
        assert!(server.has_heard(PASSWORD), "{malice:?}");
    }
}

/// The client library cannot read the text or the code of such an error. Most are a refused password.
#[tokio::test]
async fn a_refusal_in_another_character_set_is_one_of_the_login_and_is_not_tried_again_soon() {
    for mode in ["", "?sslmode=disable"] {
        let server = HostileServer::start(Malice::PostgresFrench).await;
        let refused = failed(&target(&address(&server, Malice::PostgresFrench, mode))).await;
        assert_eq!(refused.kind, ErrorKind::Auth, "{refused:?}");
        assert_eq!(refused.kind.pace(), Pace::Login);
        assert!(refused.message.contains("lc_messages"), "{refused:?}");
    }
}
