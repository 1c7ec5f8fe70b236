//! The daemon on the double of an Oracle server: beats on time in one round trip, troubles that are named, connections that
//! hang, and its end beside them.

use std::collections::BTreeMap;

use rustix::process::Signal;
use serde_json::Value;
use tokio::time::Instant;

use crate::bench::daemon::Daemon;
use crate::bench::oracle::{OracleDouble, PASSWORD, SERVICE, Trouble};
use crate::bench::tls::{CERTIFICATES, Files};
use crate::bench::{eventually, heartbeatd, ports, secs, steadily};

/// A target's lines of a configuration, with these parameters in its address.
fn target(name: &str, double: &OracleDouble, parameters: &str) -> String {
    target_at(name, &double.url(parameters))
}

fn target_at(name: &str, url: &str) -> String {
    format!("[[target]]\nname = \"{name}\"\nurl = \"{url}\"\nwrite = \"always\"\n")
}

fn defaults(timeout: &str) -> String {
    format!("[defaults]\ninterval = \"1s\"\ntimeout = \"{timeout}\"\n")
}

/// A folder with a wallet that trusts this authority.
fn wallet(authority: &str) -> Files {
    let files = Files::new();
    files.put("ewallet.pem", authority);
    files
}

/// The error that a target shows once it shows one of this kind.
async fn error_of(daemon: &Daemon, name: &str, kind: &str) -> Value {
    eventually(secs(25), format!("{name} to fail with {kind}"), async || {
        let target = daemon.target(name).await;
        let error = target["error"].clone();
        if error["kind"] == kind { Ok(error) } else { Err(format!("{target}\n{}", daemon.log())) }
    })
    .await
}

#[tokio::test]
async fn beats_come_on_time_over_tcp_and_tcps_each_in_one_round_trip_and_on_one_connection() {
    let (plain, secure) = (OracleDouble::start(), OracleDouble::start_with_tls());
    let wallet = wallet(&CERTIFICATES.authority);
    let folder = wallet.path("").display().to_string();
    let parameters = format!("?protocol=tcps&wallet_location={}", folder.trim_end_matches('/'));
    let config = [defaults("5s"), target("plain", &plain, ""), target("secure", &secure, &parameters)].concat();
    let mut daemon = heartbeatd().config(&config).start().await;
    for name in ["plain", "secure"] {
        daemon.more_beats(name, "ok", 1, secs(20)).await;
        daemon.checked(name).await;
    }
    let look = async |double: &OracleDouble, name: &str| {
        daemon.right_after_a_beat(name, async |beats| (Instant::now(), beats, double.state().requests)).await
    };
    let before = [look(&plain, "plain").await, look(&secure, "secure").await];
    tokio::time::sleep(secs(30)).await;
    let after = [look(&plain, "plain").await, look(&secure, "secure").await];
    for ((name, double), (before, after)) in
        [("plain", &plain), ("secure", &secure)].into_iter().zip(before.iter().zip(&after))
    {
        let (beats, ticks) = (after.1 - before.1, after.0.duration_since(before.0).as_secs_f64());
        let counted = f64::from(u32::try_from(beats).unwrap());
        assert!((ticks - 1.0..=ticks + 1.0).contains(&counted), "{name}: {beats} in {ticks} s");
        assert_eq!(after.2 - before.2, beats, "{name}: one round trip for each beat");
        assert_eq!(daemon.count("heartbeatd_connects_total", &[("target", name)]).await, 1, "{name}");
        assert_eq!(daemon.beats(name, "failed").await, 0, "{name}: {}", daemon.log());
        assert!(double.state().lock_waits.iter().all(|wait| (1..5).contains(wait)), "{name}");
    }
    daemon.end(Signal::TERM, secs(10)).await;
}

#[tokio::test]
async fn troubles_are_named_with_a_next_step_and_heal_by_themselves() {
    let troubles: Vec<(&str, Trouble, &str, &str, Option<&str>)> = vec![
        ("no-service", Trouble::Refuse(12_514), "connection", "missing_database", Some("ORA-12514")),
        ("no-handler", Trouble::Refuse(12_519), "connection", "too_many_connections", Some("ORA-12519")),
        ("no-table", Trouble::Error(942), "schema", "missing_table", Some("ORA-00942")),
        ("no-privilege", Trouble::Error(1031), "permission", "privilege", Some("ORA-01031")),
        ("read-only", Trouble::Error(16_000), "connection", "not_writable", Some("ORA-16000")),
        ("archiver", Trouble::Error(257), "resource", "disk_full", Some("ORA-00257")),
        ("session-killed", Trouble::Error(28), "connection", "shutdown", Some("ORA-00028")),
        ("lost", Trouble::Close, "connection", "network", None),
        ("hung", Trouble::Hang, "connection", "timeout", None),
        ("silent", Trouble::SilentLogin, "connection", "timeout", None),
        ("drips", Trouble::Drip, "connection", "timeout", None),
        // A packet of no length, and one that is too short for its head: the client panics at both.
        ("no-length", Trouble::Bytes(vec![0; 8]), "resource", "internal", None),
        ("too-short", Trouble::AnswerBytes(vec![0, 0, 0, 5, 6, 0, 0, 0, 0, 0]), "resource", "internal", None),
        ("block-broken", Trouble::Error(6550), "resource", "internal", Some("ORA-06550")),
    ];
    let doubles: BTreeMap<&str, OracleDouble> =
        troubles.iter().map(|(name, ..)| (*name, OracleDouble::start())).collect();
    let locked = OracleDouble::start();
    locked.state().locked = true;
    let secure = OracleDouble::start_with_tls();
    let wallet = wallet(&CERTIFICATES.wrong_authority);
    let folder = wallet.path("").display().to_string();
    let parameters = format!("?protocol=tcps&wallet_location={}", folder.trim_end_matches('/'));
    let refusing = OracleDouble::start();
    let mut config = defaults("2s");
    for (name, trouble, ..) in &troubles {
        doubles[name].state().trouble = trouble.clone();
        config.push_str(&target(name, &doubles[name], ""));
    }
    config.push_str(&target("locked", &locked, ""));
    config.push_str(&target("wrong-wallet", &secure, &parameters));
    config.push_str(&target_at("wrong-password", &refusing.url("").replace(PASSWORD, "wrong")));
    config.push_str(&target_at("closed", &format!("oracle://hb:x@localhost:{}/{SERVICE}", ports::free())));
    config.push_str(&target_at("no-name", "oracle://hb:x@no-such-host.invalid/pdb1"));
    let mut daemon = heartbeatd().config(&config).start().await;

    let mut expected: Vec<(&str, &str, &str, Option<&str>)> =
        troubles.iter().map(|(name, _, class, kind, code)| (*name, *class, *kind, *code)).collect();
    expected.push(("locked", "resource", "lock", Some("ORA-30006")));
    expected.push(("wrong-wallet", "connection", "tls", None));
    expected.push(("wrong-password", "connection", "auth", Some("ORA-01017")));
    expected.push(("closed", "connection", "refused", None));
    expected.push(("no-name", "connection", "name", None));
    for (name, class, kind, code) in expected {
        let error = error_of(&daemon, name, kind).await;
        assert_eq!((error["class"].as_str(), error["code"].as_str()), (Some(class), code), "{name}: {error}");
        assert!(error["remedy"].is_string() || code == Some("ORA-06550"), "{name}: {error}");
        assert!(!error.to_string().contains(PASSWORD), "{name}: {error}");
    }
    // A refused login is tried again at the slow pace alone: servers lock accounts.
    assert_eq!(refusing.state().logins, 1);

    for double in doubles.values() {
        double.state().trouble = Trouble::None;
        double.end_connections();
    }
    locked.state().locked = false;
    for name in troubles.iter().map(|(name, ..)| *name).chain(["locked"]) {
        daemon.more_beats(name, "ok", 2, secs(40)).await;
    }
    assert!(!daemon.log().contains(PASSWORD), "{}", daemon.log());
    daemon.end(Signal::TERM, secs(10)).await;
}

#[tokio::test]
async fn a_session_that_was_idle_for_too_long_is_replaced_within_the_beat() {
    let double = OracleDouble::start();
    let config = [defaults("5s"), target("orders", &double, "")].concat();
    let daemon = heartbeatd().config(&config).start().await;
    daemon.more_beats("orders", "ok", 2, secs(20)).await;
    double.state().trouble = Trouble::ErrorOnce(2396);
    daemon.more_beats("orders", "ok", 3, secs(10)).await;
    assert_eq!(daemon.beats("orders", "failed").await, 0, "{}", daemon.log());
    assert_eq!(double.state().trouble, Trouble::None);
}

#[tokio::test]
async fn twenty_targets_that_hang_cost_no_thread_no_memory_and_not_the_end_within_the_grace() {
    let (hung, good) = (OracleDouble::start(), OracleDouble::start());
    let mut config = defaults("1s");
    for number in 0..20 {
        config.push_str(&target(&format!("hung-{number}"), &hung, ""));
    }
    config.push_str(&target("good", &good, ""));
    let mut daemon = heartbeatd().config(&config).start().await;
    daemon.more_beats("hung-19", "ok", 1, secs(20)).await;
    // Half of the time the login hangs, half of it a call.
    hung.state().trouble = Trouble::Hang;
    error_of(&daemon, "hung-19", "timeout").await;
    hung.state().trouble = Trouble::SilentLogin;
    tokio::time::sleep(secs(5)).await;
    let (threads, memory) = (daemon.threads(), daemon.rss_kib());
    let before = daemon.beats("good", "ok").await;
    steadily(secs(20), "at most a thread for each target and little more memory", async || {
        match (daemon.threads(), daemon.rss_kib()) {
            (now, _) if now > threads.max(50) + 5 => Err(format!("{now} threads after {threads}")),
            (_, now) if now > memory + (8 << 10) => Err(format!("{now} KiB after {memory}")),
            _ => Ok(()),
        }
    })
    .await;
    assert!(daemon.beats("good", "ok").await >= before + 15, "{}", daemon.log());
    let begin = Instant::now();
    daemon.end(Signal::TERM, secs(10)).await;
    eprintln!("{threads} threads, {memory} KiB; ended in {:?}", begin.elapsed());
}

#[tokio::test]
async fn a_good_bye_that_is_never_answered_keeps_nothing_waiting() {
    let double = OracleDouble::start();
    double.state().trouble = Trouble::HangAtGoodbye;
    let config = [defaults("5s"), target("orders", &double, "")].concat();
    let mut daemon = heartbeatd().config(&config).start().await;
    daemon.more_beats("orders", "ok", 2, secs(20)).await;
    let begin = Instant::now();
    daemon.end(Signal::TERM, secs(10)).await;
    assert!(begin.elapsed() < secs(5), "{:?}", begin.elapsed());
}
