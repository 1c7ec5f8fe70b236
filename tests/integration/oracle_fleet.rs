//! The daemon on the double of an Oracle server: beats on time in one round trip, faults that are reported, a standby
//! that is watched, connections that hang, the cost of targets, and the program's end meanwhile.
//!
//! ORACLE_SECONDS sets how long the counting and measuring tests run.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tokio::time::Instant;

use crate::bench::daemon::{Daemon, are_on_time};
use crate::bench::oracle::{OracleDouble, PASSWORD, Trouble};
use crate::bench::proxy::Proxy;
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

/// How long a test counts and measures.
fn span(usual: u64) -> Duration {
    let asked = std::env::var("ORACLE_SECONDS").ok().map(|text| text.parse().expect("ORACLE_SECONDS is a number"));
    secs(asked.unwrap_or(usual))
}

/// A folder with a wallet that trusts this authority.
fn wallet(authority: &str) -> Files {
    let files = Files::new();
    files.put("ewallet.pem", authority);
    files
}

/// The reason of this kind that `/health` gives for a target, as soon as it does.
async fn reason_of(daemon: &Daemon, name: &str, kind: &str) -> Value {
    eventually(secs(25), format!("{name} to fail with {kind}"), async || {
        let (_, health) = daemon.health().await;
        let target = health["targets"].as_array().unwrap().iter().find(|target| target["name"] == name).unwrap();
        let found = target["reasons"].as_array().unwrap().iter().find(|reason| reason["kind"] == kind);
        found.cloned().ok_or_else(|| format!("{target}\n{}", daemon.log()))
    })
    .await
}

#[tokio::test]
async fn beats_come_on_time_over_tcp_and_tcps_each_in_one_round_trip_and_on_one_connection() {
    let doubles = [OracleDouble::start(), OracleDouble::start_with_tls(), OracleDouble::start_with_tls()];
    let mut proxies = Vec::new();
    for double in &doubles {
        proxies.push(Proxy::start_foreign(double.port()).await);
    }
    let wallet = wallet(&CERTIFICATES.authority);
    let folder = wallet.path("").display().to_string();
    let parameters = format!("?protocol=tcps&wallet_location={}", folder.trim_end_matches('/'));
    // Without a wallet, the system's authorities: here a file in their place.
    let system = Files::new();
    system.put("authorities.crt", &CERTIFICATES.authority);
    let config = [
        defaults("5s"),
        target_at("plain", &OracleDouble::url_at(proxies[0].port(), "")),
        target_at("secure", &OracleDouble::url_at(proxies[1].port(), &parameters)),
        target_at("of-the-system", &OracleDouble::url_at(proxies[2].port(), "?protocol=tcps")),
    ];
    let daemon = heartbeatd().env("SSL_CERT_FILE", &system.path("authorities.crt").display().to_string());
    let mut daemon = daemon.config(&config.concat()).start().await;
    const NAMES: [&str; 3] = ["plain", "secure", "of-the-system"];
    for name in NAMES {
        daemon.more_beats(name, "ok", 1, secs(20)).await;
        daemon.checked(name).await;
    }
    let look = async |double: &OracleDouble, proxy: &Proxy, name: &str| {
        let seen = async |beats| {
            let ticks = daemon.ticks(name).await;
            (Instant::now(), beats, double.state().requests, proxy.total().bursts, ticks)
        };
        daemon.right_after_a_beat(name, seen).await
    };
    let looks = async || {
        let mut seen = Vec::new();
        for ((double, proxy), name) in doubles.iter().zip(&proxies).zip(NAMES) {
            seen.push(look(double, proxy, name).await);
        }
        seen
    };
    let before = looks().await;
    tokio::time::sleep(span(20)).await;
    let after = looks().await;
    for ((name, double), (before, after)) in NAMES.into_iter().zip(&doubles).zip(before.iter().zip(&after)) {
        let (beats, seconds) = (after.1 - before.1, after.0.duration_since(before.0).as_secs_f64());
        let ticks = after.4 - before.4;
        let (requests, bursts) = (after.2 - before.2, after.3 - before.3);
        let connects = daemon.count("heartbeatd_connects_total", &[("target", name)]).await;
        eprintln!(
            "{name}: {seconds:.1} s at 1 s: {beats} beats, {bursts} round trips at the proxy, {requests} requests at the \
             server, connects {connects}"
        );
        are_on_time(name, beats, ticks, seconds);
        assert_eq!((bursts, requests), (beats, beats), "{name}: one round trip for each beat");
        assert_eq!(connects, 1, "{name}");
        assert_eq!(daemon.beats(name, "failed").await, 0, "{name}: {}", daemon.log());
        assert!(double.state().lock_waits.iter().all(|wait| (1..5).contains(wait)), "{name}");
    }
    daemon.end(Signal::TERM, secs(10)).await;
}

/// A fault of the double, and the answer of `/health`: class, kind, code, and a part of the remedy.
type Named = (&'static str, Trouble, &'static str, &'static str, Option<&'static str>, &'static str);

/// An archiver that hangs looks like any hung call, so the remedy says where to check.
fn troubles() -> Vec<Named> {
    vec![
        (
            "no-service",
            Trouble::Refuse(12_514),
            "connection",
            "missing_database",
            Some("ORA-12514"),
            "lsnrctl services",
        ),
        ("no-handler", Trouble::Refuse(12_519), "connection", "too_many_connections", Some("ORA-12519"), "PROCESSES"),
        ("no-table", Trouble::Error(942), "schema", "missing_table", Some("ORA-00942"), "heartbeatd provision"),
        ("no-privilege", Trouble::Error(1031), "permission", "privilege", Some("ORA-01031"), "GRANT SELECT, UPDATE ON"),
        ("read-only", Trouble::Error(16_000), "connection", "not_writable", Some("ORA-16000"), "name the primary"),
        (
            "archiver",
            Trouble::LoginError(257),
            "resource",
            "disk_full",
            Some("ORA-00257"),
            "DB_RECOVERY_FILE_DEST_SIZE",
        ),
        ("session-killed", Trouble::Error(28), "connection", "shutdown", Some("ORA-00028"), "no action"),
        ("end-of-file", Trouble::Error(3113), "connection", "network", Some("ORA-03113"), "alert log"),
        ("lost", Trouble::Close, "connection", "network", None, "alert log"),
        ("hung", Trouble::Hang, "connection", "timeout", None, "V$RECOVERY_FILE_DEST"),
        ("silent", Trouble::SilentLogin, "connection", "timeout", None, "firewall"),
        ("drips", Trouble::Drip, "connection", "timeout", None, "firewall"),
        // A packet of length zero, and one that is shorter than its header: the client panics at both.
        ("no-length", Trouble::Bytes(vec![0; 8]), "resource", "internal", None, ""),
        ("too-short", Trouble::AnswerBytes(vec![0, 0, 0, 5, 6, 0, 0, 0, 0, 0]), "resource", "internal", None, ""),
        ("old-verifier", Trouble::OldVerifier, "resource", "internal", None, "PASSWORD_VERSIONS"),
        ("block-broken", Trouble::Error(6550), "resource", "internal", Some("ORA-06550"), ""),
    ]
}

#[tokio::test]
async fn every_trouble_is_named_with_a_next_step_and_heals_by_itself() {
    let troubles = troubles();
    let doubles: BTreeMap<&str, OracleDouble> =
        troubles.iter().map(|(name, ..)| (*name, OracleDouble::start())).collect();
    let locked = OracleDouble::start();
    locked.state().locked = true;
    let secure = OracleDouble::start_with_tls();
    let wallet = wallet(&CERTIFICATES.wrong_authority);
    let folder = wallet.path("").display().to_string();
    let parameters = format!("?protocol=tcps&wallet_location={}", folder.trim_end_matches('/'));
    let (refusing, closed) = (OracleDouble::start(), ports::free());
    let mut config = defaults("2s");
    for (name, trouble, ..) in &troubles {
        doubles[name].state().trouble = trouble.clone();
        config.push_str(&target(name, &doubles[name], ""));
    }
    // Long enough for a wait of whole seconds after a slow login.
    config.push_str(&format!("{}timeout = \"8s\"\n", target("locked", &locked, "")));
    config.push_str(&target("wrong-wallet", &secure, &parameters));
    config.push_str(&target_at("wrong-password", &refusing.url("").replace(PASSWORD, "wrong")));
    config.push_str(&target_at("closed", &OracleDouble::url_at(closed, "")));
    for (name, parameters) in [("no-name", ""), ("no-name-tls", "?protocol=tcps")] {
        config.push_str(&target_at(name, &format!("oracle://hb:x@no-such-host.invalid/pdb1{parameters}")));
    }
    let has_oci = cfg!(feature = "oracle-oci");
    if has_oci {
        config.push_str(&target("no-library", &refusing, "?client=oci"));
        // A login without user and password is also left to the library.
        config.push_str(&target_at("no-ticket", "oracle://localhost/pdb1?client=oci"));
    }
    let begin = Instant::now();
    let mut daemon = heartbeatd().config(&config).start().await;

    let mut expected: Vec<(&str, &str, &str, Option<&str>, &str)> =
        troubles.iter().map(|(name, _, class, kind, code, next)| (*name, *class, *kind, *code, *next)).collect();
    expected.extend([
        ("locked", "resource", "lock", Some("ORA-30006"), "V$LOCKED_OBJECT"),
        ("wrong-wallet", "connection", "tls", None, "ewallet.pem"),
        ("wrong-password", "connection", "auth", Some("ORA-01017"), "ACCOUNT_STATUS"),
        ("closed", "connection", "refused", None, "lsnrctl status"),
        ("no-name", "connection", "name", None, "resolver"),
        ("no-name-tls", "connection", "name", None, "resolver"),
    ]);
    if has_oci {
        for name in ["no-library", "no-ticket"] {
            expected.push((name, "connection", "client_library", Some("DPI-1047"), "Basic"));
        }
    }
    for (name, class, kind, code, next) in expected {
        let reason = reason_of(&daemon, name, kind).await;
        assert_eq!((reason["class"].as_str(), reason["code"].as_str()), (Some(class), code), "{name}: {reason}");
        let remedy = reason["remedy"].as_str();
        assert!(remedy.is_some_and(|remedy| remedy.contains(next)) || code == Some("ORA-06550"), "{name}: {reason}");
        assert!(!reason.to_string().contains(PASSWORD), "{name}: {reason}");
    }

    for double in doubles.values() {
        double.state().trouble = Trouble::None;
        double.end_connections();
    }
    locked.state().locked = false;
    wallet.put("ewallet.pem", &CERTIFICATES.authority);
    let opened = OracleDouble::start_at(closed);
    for name in troubles.iter().map(|(name, ..)| *name).chain(["locked", "wrong-wallet", "closed"]) {
        daemon.more_beats(name, "ok", 2, secs(40)).await;
    }
    // A refused login is retried only at the slow pace, about once a minute, because servers lock accounts after ten.
    let (tried, minutes) = (refusing.state().logins, begin.elapsed().as_secs() / 45);
    assert!(tried <= 1 + minutes, "{tried} logins in {:?}", begin.elapsed());
    assert!(!daemon.log().contains(PASSWORD), "{}", daemon.log());
    daemon.end(Signal::TERM, secs(10)).await;
    drop(opened);
}

#[tokio::test]
async fn a_standby_that_is_open_read_only_is_watched_as_a_replica_and_never_written() {
    let primary = OracleDouble::start();
    let standby = OracleDouble::standby_of(&primary);
    let replica = format!("[[target.replica]]\nname = \"copy\"\nurl = \"{}\"\n", standby.url(""));
    let config = [defaults("5s"), target("orders", &primary, ""), replica].concat();
    let mut daemon = heartbeatd().config(&config).start().await;
    daemon.replica_lag("orders", "copy").await;
    let lag_of = async || daemon.target("orders").await["replicas"][0]["lag_seconds"].as_f64();
    eventually(secs(20), "a beat to arrive", async || match lag_of().await {
        Some(lag) if lag < 2.0 => Ok(()),
        lag => Err(format!("{lag:?} s")),
    })
    .await;

    // Redo apply stops: the primary's writes no longer arrive, and the beats go on.
    standby.state().applies = None;
    eventually(secs(20), "a lag that grows", async || match lag_of().await {
        Some(lag) if lag > 3.0 => Ok(()),
        lag => Err(format!("{lag:?} s")),
    })
    .await;
    assert_eq!(daemon.health().await.0, 200, "a replica that is not required turns nothing red");
    standby.state().applies = Some(primary.shared_state());
    eventually(secs(20), "the beat to arrive again", async || match lag_of().await {
        Some(lag) if lag < 2.0 => Ok(()),
        lag => Err(format!("{lag:?} s")),
    })
    .await;
    assert_eq!(daemon.beats("orders", "failed").await, 0, "{}", daemon.log());
    let (commits, locks) = {
        let state = standby.state();
        (state.commits, state.lock_waits.len())
    };
    assert_eq!((commits, locks), (0, 0), "nothing is written on a standby");
    daemon.end(Signal::TERM, secs(10)).await;
}

/// The figures in docs/databases/oracle.md come from a release build: `cargo test --release --test integration
/// oracle_fleet::a_hundred -- --nocapture`, with ORACLE_SECONDS=60.
#[tokio::test]
async fn a_hundred_targets_cost_a_thread_and_a_socket_each_in_flat_memory() {
    const TARGETS: u64 = 100;
    let double = OracleDouble::start();
    let mut costs = Vec::new();
    for targets in [1, TARGETS] {
        let mut config = "[defaults]\ninterval = \"5s\"\ntimeout = \"20s\"\n".to_owned();
        (0..targets).for_each(|number| config.push_str(&target(&format!("shop-{number}"), &double, "")));
        let mut daemon = heartbeatd().config(&config).start().await;
        daemon.healthy_within(secs(60)).await;
        // The first run of all checks has separate sessions.
        daemon.checked(&format!("shop-{}", targets - 1)).await;
        eventually(secs(60), "the checks' sessions to be closed", async || match daemon.threads() {
            threads if threads <= targets + 8 => Ok(()),
            threads => Err(format!("{threads} threads")),
        })
        .await;
        let before = daemon.rss_kib();
        steadily(span(8), "/health 200, and a thread for each target", async || match daemon.health().await {
            (200, _) if daemon.threads() <= targets + 16 => Ok(()),
            (status, health) => Err(format!("{status}, {} threads: {health}", daemon.threads())),
        })
        .await;
        let (memory, threads, files) = (daemon.rss_kib(), daemon.threads(), daemon.open_files());
        eprintln!("{targets} targets: RSS {before} KiB, then {memory} KiB; {threads} threads, {files} files open");
        assert!(memory < before + before / 10, "{before} KiB, then {memory} KiB");
        assert_eq!(daemon.count("heartbeatd_beats_total", &[("result", "failed")]).await, 0, "{}", daemon.log());
        costs.push((memory, threads));
        daemon.end(Signal::TERM, secs(10)).await;
    }
    let (one, all) = (costs[0], costs[1]);
    eprintln!("each further target: {} KiB", (all.0.saturating_sub(one.0)) / (TARGETS - 1));
    assert!(all.1 <= one.1 + TARGETS + 2, "{} threads, with one target {}", all.1, one.1);
}

#[tokio::test]
async fn a_password_that_expires_soon_is_a_warning_and_a_session_that_timed_out_is_replaced_within_the_beat() {
    let double = OracleDouble::start();
    double.state().trouble = Trouble::LoginWarning(28_002);
    let config = [defaults("5s"), target("orders", &double, "")].concat();
    let daemon = heartbeatd().config(&config).start().await;
    daemon.more_beats("orders", "ok", 2, secs(20)).await;
    // The profile's IDLE_TIME, and its CONNECT_TIME.
    for code in [2396, 2399] {
        double.state().trouble = Trouble::ErrorOnce(code);
        daemon.more_beats("orders", "ok", 2, secs(10)).await;
        assert_eq!(daemon.beats("orders", "failed").await, 0, "{}", daemon.log());
    }
    assert_eq!(double.state().trouble, Trouble::None);
}

#[tokio::test]
async fn twenty_targets_that_hang_cost_no_thread_or_memory_and_the_program_still_ends_in_time() {
    let (hung, good) = (OracleDouble::start(), OracleDouble::start());
    let mut config = defaults("3s");
    for number in 0..20 {
        config.push_str(&target(&format!("hung-{number}"), &hung, ""));
    }
    config.push_str(&target("good", &good, ""));
    let mut daemon = heartbeatd().config(&config).start().await;
    daemon.healthy_within(secs(60)).await;
    // Half of the time the login hangs, the other half a call.
    hung.state().trouble = Trouble::Hang;
    reason_of(&daemon, "hung-19", "timeout").await;
    hung.state().trouble = Trouble::SilentLogin;
    tokio::time::sleep(secs(5)).await;
    let (threads, memory) = (daemon.threads(), daemon.rss_kib());
    let before = daemon.beats("good", "ok").await;
    let (begin, mut shown) = (Instant::now(), 0);
    steadily(span(20), "at most a thread for each target and little more memory", async || {
        let minutes = begin.elapsed().as_secs() / 60;
        if minutes >= shown {
            eprintln!("minute {minutes}: {} threads, {} KiB", daemon.threads(), daemon.rss_kib());
            shown = minutes + 1;
        }
        match (daemon.threads(), daemon.rss_kib()) {
            (now, _) if now > threads.max(50) + 5 => Err(format!("{now} threads after {threads}")),
            (_, now) if now > memory + (8 << 10) => Err(format!("{now} KiB after {memory}")),
            _ => Ok(()),
        }
    })
    .await;
    assert!(daemon.beats("good", "ok").await >= before + span(20).as_secs() * 3 / 4, "{}", daemon.log());
    let begin = Instant::now();
    daemon.end(Signal::TERM, secs(10)).await;
    eprintln!("{threads} threads, {memory} KiB; ended in {:?}", begin.elapsed());
}

#[tokio::test]
async fn a_logoff_that_is_never_answered_delays_nothing() {
    let double = OracleDouble::start();
    double.state().trouble = Trouble::HangAtGoodbye;
    let config = [defaults("5s"), target("orders", &double, "")].concat();
    let mut daemon = heartbeatd().config(&config).start().await;
    daemon.more_beats("orders", "ok", 2, secs(20)).await;
    let begin = Instant::now();
    daemon.end(Signal::TERM, secs(10)).await;
    assert!(begin.elapsed() < secs(5), "{:?}", begin.elapsed());
}
