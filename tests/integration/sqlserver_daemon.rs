//! The whole program over TDS against a double of SQL Server: beats on time, every trouble with its class, kind and next
//! step on `/health`, provisioning, checks.

use std::time::Duration;

use serde_json::Value;

use crate::bench::beating_daemon::{PASSWORD, plain_password, target};
use crate::bench::daemon::{Daemon, Ended};
use crate::bench::tds::{Encryption, Fault, State, TdsServer};
use crate::bench::tls::{CERTIFICATES, Files};
use crate::bench::{eventually, heartbeatd, ports, secs};

/// One trouble of one target: what is reported.
struct Trouble {
    name: &'static str,
    class: &'static str,
    kind: &'static str,
    code: Option<&'static str>,
    server: TdsServer,
    spoil: fn(&mut TdsServer),
    mend: fn(&mut TdsServer),
}

fn configuration(server: &TdsServer, name: &str, more: &str) -> String {
    target(name, &server.address("?Encrypt=disable"), &format!("write = \"always\"\n{}{more}", plain_password()))
}

async fn trouble(
    (name, class, kind, code): (&'static str, &'static str, &'static str, Option<&'static str>),
    spoil: fn(&mut TdsServer),
    mend: fn(&mut TdsServer),
) -> Trouble {
    Trouble { name, class, kind, code, server: TdsServer::options().start().await, spoil, mend }
}

fn none(server: &mut TdsServer) {
    server.fault(None);
}

async fn troubles() -> Vec<Trouble> {
    vec![
        trouble(("login", "connection", "auth", Some("18456")), |s| s.fault(Fault::Login(18_456)), none).await,
        trouble(("database", "connection", "missing_database", Some("4060")), |s| s.fault(Fault::Login(4060)), none)
            .await,
        trouble(
            ("read_only", "connection", "read_only_setting", None),
            |s| s.state().read_only = true,
            |s| s.state().read_only = false,
        )
        .await,
        trouble(("secondary", "connection", "not_writable", Some("976")), |s| s.fault(Fault::Login(976)), none).await,
        trouble(("lock", "resource", "lock", Some("1222")), |s| s.fault(Fault::Beat(1222)), none).await,
        trouble(("deadlock", "resource", "conflict", Some("1205")), |s| s.fault(Fault::Beat(1205)), none).await,
        trouble(("log_full", "resource", "disk_full", Some("9002")), |s| s.fault(Fault::Beat(9002)), none).await,
        trouble(("throttled", "resource", "throttled", Some("40501")), |s| s.fault(Fault::Beat(40_501)), none).await,
        trouble(
            ("table", "schema", "missing_table", Some("208")),
            |s| s.state().table = false,
            |s| s.state().table = true,
        )
        .await,
        trouble(("denied", "permission", "privilege", Some("229")), |s| s.fault(Fault::Beat(229)), none).await,
        trouble(("hung", "connection", "timeout", None), |s| s.fault(Fault::Hang), none).await,
        trouble(("dropped", "connection", "network", None), |s| s.fault(Fault::Drop), none).await,
        trouble(
            ("row", "schema", "missing_row", None),
            |s| s.state().rows.clear(),
            |s| {
                s.state().rows.insert(1, None);
            },
        )
        .await,
    ]
}

fn reasons(health: &Value, name: &str) -> Vec<Value> {
    let targets = health["targets"].as_array().unwrap();
    let found = targets.iter().find(|target| target["name"] == name).unwrap();
    found["reasons"].as_array().unwrap().clone()
}

async fn healthy(daemon: &Daemon, within: Duration) {
    eventually(within, "nothing is wrong with the beats of any target", async || {
        let (_, health) = daemon.health().await;
        let targets = health["targets"].as_array().unwrap();
        let of_beats = |reason: &Value| reason["kind"] != "check_failed";
        let wrong: Vec<&Value> =
            targets.iter().filter(|target| target["reasons"].as_array().unwrap().iter().any(of_beats)).collect();
        if wrong.is_empty() { Ok(()) } else { Err(format!("{wrong:#?}")) }
    })
    .await;
}

/// A refused login is tried again after a minute: the last of them heals then.
#[tokio::test]
async fn every_trouble_has_class_kind_and_next_step_on_health_and_heals_by_itself() {
    let mut troubles = troubles().await;
    let text: String = troubles.iter().map(|trouble| configuration(&trouble.server, trouble.name, "")).collect();
    let daemon = heartbeatd().config(&text).start().await;
    healthy(&daemon, secs(30)).await;
    for trouble in &mut troubles {
        (trouble.spoil)(&mut trouble.server);
        // A kept connection needs no login: it ends first.
        if matches!(trouble.name, "login" | "database" | "secondary" | "read_only") {
            trouble.server.stop().await;
            trouble.server.listen().await;
        }
    }
    for trouble in &troubles {
        let Trouble { name, class, kind, code, .. } = trouble;
        let reason = eventually(secs(40), format!("{name}: {kind}"), async || {
            let (_, health) = daemon.health().await;
            let reasons = reasons(&health, name);
            let fits = |reason: &&Value| {
                reason["class"] == *class && reason["kind"] == *kind && code.is_none_or(|code| reason["code"] == code)
            };
            reasons.iter().find(fits).cloned().ok_or_else(|| format!("{reasons:#?}"))
        })
        .await;
        let heals_by_itself = *kind == "conflict";
        assert!(heals_by_itself || reason["remedy"].is_string(), "{reason}");
        assert!(!reason.to_string().contains(PASSWORD), "{reason}");
    }
    let logins = troubles[0].server.logins().len();
    for trouble in &mut troubles {
        (trouble.mend)(&mut trouble.server);
    }
    healthy(&daemon, secs(100)).await;
    assert!(logins <= 4, "{logins} logins before the password was refused");
    assert!(!daemon.log().contains(PASSWORD));
}

/// For ten seconds at a beat a second, in each encryption.
#[tokio::test]
async fn beats_are_on_time_and_one_packet_each_way_however_they_are_encrypted() {
    let files = Files::new();
    let ca = files.put("ca.pem", &CERTIFICATES.authority);
    let trust = format!("&CaFile={}", ca.display());
    let (mut servers, mut text) = (Vec::new(), String::new());
    for (name, encryption, query) in [
        ("plain", Encryption::None, "?Encrypt=disable".to_owned()),
        ("login", Encryption::Login, format!("?Encrypt=optional{trust}")),
        ("wrapped", Encryption::Wrapped, format!("?Encrypt=mandatory{trust}")),
        ("strict", Encryption::Strict, format!("?Encrypt=strict{trust}")),
    ] {
        let server = TdsServer::options().encryption(encryption).start().await;
        text.push_str(&target(name, &server.address(&query), &format!("write = \"always\"\n{}", plain_password())));
        servers.push((name, server));
    }
    let daemon = heartbeatd().config(&text).start().await;
    healthy(&daemon, secs(30)).await;
    let before: Vec<u64> =
        futures_util::future::join_all(servers.iter().map(|(name, _)| daemon.beats(name, "ok"))).await;
    tokio::time::sleep(secs(10)).await;
    for ((name, server), before) in servers.iter().zip(before) {
        let beats = daemon.beats(name, "ok").await - before;
        assert!((9..=11).contains(&beats), "{name}: {beats} beats in ten seconds");
        let (arrived, sent) = server.packets();
        assert_eq!(arrived, sent, "{name}");
        assert_eq!(u64::try_from(server.batches().len()).unwrap(), arrived, "{name}: a batch is one packet");
    }
}

#[tokio::test]
async fn two_daemons_that_write_when_stale_make_one_beat_a_period_together() {
    let server = TdsServer::options().start().await;
    let text = configuration(&server, "orders", "").replace("write = \"always\"\n", "");
    let (first, second) = (heartbeatd().config(&text).start().await, heartbeatd().config(&text).start().await);
    healthy(&first, secs(30)).await;
    healthy(&second, secs(30)).await;
    let count = async || first.beats("orders", "ok").await + second.beats("orders", "ok").await;
    let before = count().await;
    tokio::time::sleep(secs(10)).await;
    let written = count().await - before;
    assert!((8..=12).contains(&written), "{written} beats in ten periods by two daemons");
    assert!(first.beats("orders", "fresh").await + second.beats("orders", "fresh").await >= 8);
}

async fn run(server: &TdsServer, more: &str, arguments: &[&str]) -> Ended {
    let program = arguments.iter().fold(heartbeatd(), |program, argument| program.arg(argument));
    let ended = program.config(&configuration(server, "orders", more)).run().await;
    assert!(!ended.stdout.contains(PASSWORD) && !ended.stderr.contains(PASSWORD), "{ended:?}");
    ended
}

#[tokio::test]
async fn what_is_missing_is_printed_made_once_and_then_beaten_and_checked() {
    let server = TdsServer::options().start().await;
    *server.state() = State { cdc: false, ..State::empty() };
    let more = "[target.connector]\nenable_cdc = true\n";
    let printed = run(&server, more, &["provision", "--dry-run"]).await;
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(!server.state().schema && printed.stdout.contains("EXEC sys.sp_cdc_enable_db;"), "{printed:?}");
    let made = run(&server, more, &["provision"]).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    {
        let state = server.state();
        assert!(state.table && state.tracked && state.rows.contains_key(&1), "{state:?}");
    }
    let again = run(&server, more, &["provision", "--dry-run"]).await;
    assert!(again.stdout.contains("nothing is missing"), "{again:?}");
    assert_eq!(run(&server, "", &["beat"]).await.code, Some(0));
    let checked = run(&server, "", &["--check"]).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(checked.stdout.contains("the source side is healthy"), "{checked:?}");
}

#[tokio::test]
async fn a_daemon_that_provisions_by_itself_brings_a_deleted_row_and_table_back() {
    let server = TdsServer::options().start().await;
    *server.state() = State { cdc: true, ..State::empty() };
    let daemon = heartbeatd().config(&configuration(&server, "orders", "provision = \"auto\"\n")).start().await;
    healthy(&daemon, secs(30)).await;
    server.state().rows.clear();
    eventually(secs(20), "the row again", async || server.state().last_update().map(drop).ok_or("none")).await;
}

#[tokio::test]
async fn a_connection_string_of_microsofts_clients_is_an_address() {
    let server = TdsServer::options().start().await;
    let text = format!(
        "Server=tcp:localhost,{};Initial Catalog=orders;User ID=beat;Password={PASSWORD};Encrypt=disable",
        server.port()
    );
    let ended = heartbeatd().arg("beat").arg(&text).run().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let refused =
        heartbeatd().arg("beat").arg(&format!("Server=tcp:localhost,{};{PASSWORD}=x", ports::free())).run().await;
    assert!(refused.code != Some(0) && !format!("{refused:?}").contains(PASSWORD), "{refused:?}");
}
