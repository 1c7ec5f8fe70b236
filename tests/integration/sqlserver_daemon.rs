//! The whole program over TDS against a double of SQL Server: beats on time, every fault with its class, kind and next
//! step on `/health`, provisioning, checks.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::bench::beating_daemon::{PASSWORD, note, plain_password, target};
use crate::bench::daemon::{Daemon, Ended, are_on_time};
use crate::bench::tds::{Encryption, Fault, State, TdsServer};
use crate::bench::tls::{CERTIFICATES, Files};
use crate::bench::{eventually, fleet, heartbeatd, ports, programs, secs};

/// One fault of one target: what is reported, and a part of the next step.
struct Trouble {
    name: &'static str,
    class: &'static str,
    kind: &'static str,
    code: Option<&'static str>,
    /// A part of the remedy; `None` if heartbeatd retries at once by itself.
    remedy: Option<&'static str>,
    /// Whether the open connection ends first, because the fault concerns logins.
    at_login: bool,
    spoil: fn(&TdsServer, &Files),
    mend: fn(&TdsServer, &Files),
}

const AUTHORITY: &str = "ca.pem";

fn none(server: &TdsServer, _: &Files) {
    server.fault(None);
}

/// A fault that a beat or any other batch meets.
const fn of_beats(
    (name, class, kind, code): (&'static str, &'static str, &'static str, Option<&'static str>),
    remedy: Option<&'static str>,
    spoil: fn(&TdsServer, &Files),
) -> Trouble {
    Trouble { name, class, kind, code, remedy, at_login: false, spoil, mend: none }
}

/// A fault that a login meets.
const fn of_logins(
    what: (&'static str, &'static str, &'static str, Option<&'static str>),
    remedy: &'static str,
    spoil: fn(&TdsServer, &Files),
) -> Trouble {
    Trouble { at_login: true, ..of_beats(what, Some(remedy), spoil) }
}

const TROUBLES: &[Trouble] = &[
    of_logins(("login", "connection", "auth", Some("18456")), "compare the user and the password", |s, _| {
        s.fault(Fault::Login(18_456));
    }),
    of_logins(("database", "connection", "missing_database", Some("4060")), "CREATE USER [beat]", |s, _| {
        s.fault(Fault::Login(4060));
    }),
    of_logins(("secondary", "connection", "not_writable", Some("976")), "the availability group's listener", |s, _| {
        s.fault(Fault::Login(976));
    }),
    of_logins(("redirect", "connection", "refused", None), "check that SQL Server runs", |s, _| {
        s.fault(Fault::Redirect(ports::free()));
    }),
    Trouble {
        mend: |s, _| s.state().read_only = false,
        ..of_logins(
            ("read_only", "connection", "read_only_setting", None),
            "ALTER DATABASE [orders] SET READ_WRITE; -- on the source",
            |s, _| s.state().read_only = true,
        )
    },
    Trouble {
        mend: |_, files| drop(files.put(AUTHORITY, &CERTIFICATES.authority)),
        ..of_logins(("certificate", "connection", "tls", None), "CaFile=FILE", |_, files| {
            files.put(AUTHORITY, &CERTIFICATES.wrong_authority);
        })
    },
    of_beats(("update_refused", "connection", "not_writable", Some("3906")), Some("is_read_only"), |s, _| {
        s.fault(Fault::Beat(3906));
    }),
    of_beats(("lock", "resource", "lock", Some("1222")), Some("sys.dm_tran_locks"), |s, _| {
        s.fault(Fault::Beat(1222));
    }),
    of_beats(("deadlock", "resource", "conflict", Some("1205")), None, |s, _| s.fault(Fault::Beat(1205))),
    of_beats(("log_full", "resource", "disk_full", Some("9002")), Some("log_reuse_wait_desc"), |s, _| {
        s.fault(Fault::Beat(9002));
    }),
    of_beats(("throttled", "resource", "throttled", Some("40501")), Some("service tier"), |s, _| {
        s.fault(Fault::Beat(40_501));
    }),
    of_beats(("denied", "permission", "privilege", Some("229")), Some("GRANT SELECT, INSERT, UPDATE"), |s, _| {
        s.fault(Fault::Beat(229));
    }),
    of_beats(("hung", "connection", "timeout", None), Some("raise timeout"), |s, _| s.fault(Fault::Hang)),
    of_beats(("dropped", "connection", "network", None), Some("network and firewall"), |s, _| s.fault(Fault::Drop)),
    Trouble {
        mend: |s, _| s.state().table = true,
        ..of_beats(
            ("table", "schema", "missing_table", Some("208")),
            Some("heartbeatd provision --target table"),
            |s, _| s.state().table = false,
        )
    },
    Trouble {
        mend: |s, _| {
            s.state().rows.insert(1, None);
        },
        ..of_beats(("row", "schema", "missing_row", None), Some("creates row 1"), |s, _| s.state().rows.clear())
    },
];

fn configuration(server: &TdsServer, name: &str, more: &str) -> String {
    target(name, &server.address("?Encrypt=disable"), &format!("write = \"always\"\n{}{more}", plain_password()))
}

/// The server with a fault, and the target's lines of the configuration.
async fn server_of(trouble: &Trouble, files: &Files) -> (TdsServer, String) {
    if trouble.kind != "tls" {
        let server = TdsServer::options().start().await;
        let text = configuration(&server, trouble.name, "");
        return (server, text);
    }
    let server = TdsServer::options().encryption(Encryption::Wrapped).start().await;
    let ca = files.put(AUTHORITY, &CERTIFICATES.authority);
    let text = configuration(&server, trouble.name, "").replace("Encrypt=disable", &format!("CaFile={}", ca.display()));
    (server, text)
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

/// A refused login is retried after a minute, so its target heals last.
#[tokio::test]
async fn every_trouble_has_class_kind_and_next_step_on_health_and_heals_by_itself() {
    let (files, mut servers, mut text) = (Files::new(), Vec::new(), String::new());
    for trouble in TROUBLES {
        let (server, lines) = server_of(trouble, &files).await;
        servers.push(server);
        text.push_str(&lines);
    }
    let daemon = heartbeatd().config(&text).start().await;
    healthy(&daemon, secs(30)).await;
    let before = servers[0].attempts();
    for (trouble, server) in TROUBLES.iter().zip(&mut servers) {
        (trouble.spoil)(server, &files);
        if trouble.at_login {
            server.stop().await;
            server.listen().await;
        }
    }
    for trouble in TROUBLES {
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
        match trouble.remedy {
            Some(part) => {
                assert!(reason["remedy"].as_str().is_some_and(|remedy| remedy.contains(part)), "{part}: {reason:#}");
            }
            None => assert!(reason["remedy"].is_null(), "{reason:#}"),
        }
        assert!(!reason.to_string().contains(PASSWORD), "{reason}");
    }
    let refused = servers[0].attempts() - before;
    for (trouble, server) in TROUBLES.iter().zip(&servers) {
        (trouble.mend)(server, &files);
    }
    healthy(&daemon, secs(100)).await;
    // The login for beats, and one for the checks.
    assert!((1..=2).contains(&refused), "{refused} logins with a password that was refused");
    assert!(!daemon.log().contains(PASSWORD));
}

/// How long beats are counted: a minute with `SQLSERVER_SECONDS=60`.
fn span() -> Duration {
    let asked =
        std::env::var("SQLSERVER_SECONDS").ok().map(|text| text.parse().expect("SQLSERVER_SECONDS is a number"));
    secs(asked.unwrap_or(10))
}

/// With one beat per second, in each kind of encryption.
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
    for (name, _) in &servers {
        // The checks use separate connections.
        daemon.checked(name).await;
    }
    let look = async |name: &str, server: &TdsServer| {
        let seen = async |beats| (Instant::now(), daemon.ticks(name).await, beats, server.packets());
        daemon.right_after_a_beat(name, seen).await
    };
    let mut before = Vec::new();
    for (name, server) in &servers {
        before.push(look(name, server).await);
    }
    tokio::time::sleep(span()).await;
    for ((name, server), (begin, ticks_before, beats_before, packets_before)) in servers.iter().zip(before) {
        let (end, ticks, beats, packets) = look(name, server).await;
        let (seconds, ticks, beats) = ((end - begin).as_secs_f64(), ticks - ticks_before, beats - beats_before);
        let (arrived, sent) = (packets.0 - packets_before.0, packets.1 - packets_before.1);
        note(&format!("{name}: {beats} beats in {seconds:.1} s, {arrived} packets there and {sent} back"));
        are_on_time(name, beats, ticks, seconds);
        assert_eq!((arrived, sent), (beats, beats), "{name}: one packet each way for each beat");
    }
}

/// What the job has read is not the connector's progress, which no server shows.
#[tokio::test]
async fn the_progress_of_the_capture_job_is_shown_as_captured_and_never_as_delivery() {
    let server = TdsServer::options().start().await;
    let daemon = heartbeatd().config(&configuration(&server, "orders", "")).start().await;
    let captured =
        eventually(
            secs(30),
            "the progress of the capture job",
            async || match daemon.target("orders").await["captured"].take() {
                Value::Null => Err("none".to_owned()),
                captured => Ok(captured),
            },
        )
        .await;
    assert!(captured["until"].is_string() && captured["seen_at"].is_string(), "{captured:#}");
    let metrics = daemon.metrics().await;
    let figure = |name: &str| metrics.value(name, &[("target", "orders")]);
    assert!(figure("heartbeatd_capture_lag_seconds").is_some_and(|lag| lag < 30.0), "{captured:#}");
    assert_eq!(
        (figure("heartbeatd_delivery_lag_seconds"), &daemon.target("orders").await["delivery"]),
        (None, &Value::Null)
    );

    // The job stops capturing, while beats go on.
    let newest = server.state().rows[&1];
    server.state().captured_until = newest;
    eventually(secs(60), "the lag of a job that stopped", async || {
        let (metrics, (status, _)) = (daemon.metrics().await, daemon.health().await);
        match metrics.value("heartbeatd_capture_lag_seconds", &[("target", "orders")]) {
            Some(lag) if lag > 8.0 && status == 200 => Ok(()),
            lag => Err(format!("{lag:?}, {status}")),
        }
    })
    .await;
}

/// The replica's address is the listener's. A login with read-only intent is redirected to the secondary.
#[tokio::test]
async fn a_replica_behind_a_listener_is_shown_with_its_age_role_and_lag() {
    let (primary, secondary) = (TdsServer::options().start().await, TdsServer::options().start().await);
    secondary.follow(Some(&primary));
    primary.fault(Fault::RouteReaders(secondary.port()));
    let address = primary.address("?Encrypt=disable&ApplicationIntent=ReadOnly");
    let replica = format!("[[target.replica]]\nname = \"copy\"\nurl = \"{address}\"\n{}", plain_password());
    let daemon = heartbeatd().config(&configuration(&primary, "orders", &replica)).start().await;
    healthy(&daemon, secs(30)).await;
    let lag = daemon.replica_lag("orders", "copy").await;
    assert!(lag < 5.0, "{lag} s");
    assert!(secondary.logins().iter().all(|login| login.read_only) && secondary.beats().is_empty());
    daemon.checked("orders").await;
    let target = daemon.target("orders").await;
    let shown = &target["replicas"][0];
    assert_eq!((&shown["role"], &shown["server"]["role"]), (&"standby".into(), &"standby".into()), "{shown:#}");
    assert!(shown["value"].is_string() && shown["seen_at"].is_string(), "{shown:#}");

    // Data movement is suspended: the value on the secondary no longer changes.
    secondary.follow(None);
    let held = eventually(secs(10), "the value that was held", async || {
        let value = async || daemon.target("orders").await["replicas"][0]["value"].take();
        let seen = value().await;
        tokio::time::sleep(secs(3)).await;
        if value().await == seen { Ok(seen) } else { Err(seen.to_string()) }
    })
    .await;
    let newest = daemon.target("orders").await["last_beat"]["value"].take();
    assert_ne!(held, newest, "the source goes on");

    // Read-only routing is removed: the address leads to the primary itself.
    primary.fault(None);
    secondary.fault(Fault::Drop);
    eventually(secs(30), "the server not to be a replica", async || {
        let (_, health) = daemon.health().await;
        let reasons = reasons(&health, "orders");
        match reasons.iter().any(|reason| reason["kind"] == "not_a_replica" && reason["replica"] == "copy") {
            true => Ok(()),
            false => Err(format!("{reasons:#?}")),
        }
    })
    .await;
}

/// A name with three addresses, like an availability group's listener over three subnets: a secondary, a machine that
/// accepts the connection and sends nothing, and the primary with an IPv6 address. `libnss_wrapper` provides the name to
/// heartbeatd only.
#[tokio::test]
async fn of_the_addresses_of_one_name_the_primarys_is_found_even_after_a_failover() {
    let ([first, silent], third) = ([2, 3].map(|last| Ipv4Addr::new(127, 14, 35, last)), Ipv6Addr::LOCALHOST);
    let primary = TdsServer::options().home(third).start().await;
    let port = primary.port();
    let secondary = TdsServer::options().home(first).port(port).start().await;
    secondary.follow(Some(&primary));
    let deaf = TcpListener::bind((silent, port)).await.unwrap();
    let files = Files::new();
    let names = files.put("hosts", &format!("{first} listener\n{silent} listener\n{third} listener\n"));
    let address = primary.address("?Encrypt=disable").replace("localhost", "listener");
    let text = target("orders", &address, &format!("write = \"always\"\n{}", plain_password()));
    let daemon = heartbeatd()
        .env("LD_PRELOAD", programs::nss_wrapper().to_str().unwrap())
        .env("NSS_WRAPPER_HOSTS", names.to_str().unwrap())
        .config(&text)
        .start()
        .await;
    healthy(&daemon, secs(30)).await;
    daemon.more_beats("orders", "ok", 2, secs(20)).await;
    assert!(secondary.beats().is_empty() && primary.beats().len() >= 2);

    // The two servers exchange their roles.
    primary.state().secondary = true;
    secondary.follow(None);
    secondary.state().secondary = false;
    eventually(secs(30), "beats on the new primary", async || {
        let beats = secondary.beats().len();
        if beats >= 2 { Ok(()) } else { Err(format!("{beats} beats")) }
    })
    .await;
    healthy(&daemon, secs(30)).await;
    drop(deaf);
}

/// The cost of a target. The figures are meaningful only for a release binary: `cargo test --release --locked --test
/// integration sqlserver_daemon::a_hundred -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "measures for a minute and a half: run it with a release binary"]
async fn a_hundred_targets_beat_in_flat_memory() {
    const TARGETS: usize = 100;
    let mut figures = Vec::new();
    for targets in [1, TARGETS] {
        let server = TdsServer::options().encryption(Encryption::Wrapped).start().await;
        server.state().rows = (1..=i64::try_from(targets).unwrap()).map(|row| (row, None)).collect();
        let files = Files::new();
        let ca = files.put(AUTHORITY, &CERTIFICATES.authority);
        let address = server.address(&format!("?CaFile={}", ca.display()));
        let of_row = |row| target(&format!("t-{row}"), &address, &format!("{}heartbeat.row = {row}", plain_password()));
        let text: String = (1..=targets).map(of_row).collect();
        let text = text.replace("interval = \"1s\"\ntimeout = \"2s\"", "interval = \"10s\"\ntimeout = \"30s\"");
        let mut daemon = heartbeatd().config(&text).start().await;
        healthy(&daemon, secs(120)).await;
        for row in 1..=targets {
            daemon.checked(&format!("t-{row}")).await;
        }
        figures.push(fleet::cost_in_flat_memory(&daemon, targets, secs(30)).await.rss_kib);
        let status = daemon.end(Signal::TERM, secs(10)).await;
        assert_eq!(status.code(), Some(0), "{}", daemon.log());
    }
    let each = (figures[1] - figures[0]) / (u64::try_from(TARGETS).unwrap() - 1);
    note(&format!("{each} KiB for each further target, with TLS"));
}

#[tokio::test]
async fn two_daemons_that_write_when_stale_make_one_beat_a_period_together() {
    let server = TdsServer::options().start().await;
    let text = configuration(&server, "orders", "").replace("write = \"always\"\n", "");
    let (first, second) = (heartbeatd().config(&text).start().await, heartbeatd().config(&text).start().await);
    healthy(&first, secs(30)).await;
    healthy(&second, secs(30)).await;
    let count = async || first.beats("orders", "ok").await + second.beats("orders", "ok").await;
    let (begin, before) = (Instant::now(), count().await);
    tokio::time::sleep(secs(10)).await;
    let (written, periods) = (count().await - before, begin.elapsed().as_secs());
    let missed = first.missed("orders").await + second.missed("orders").await;
    assert!(
        (periods.saturating_sub(2 + missed)..=periods + 2).contains(&written),
        "{written} beats in {periods} periods by two daemons, {missed} ticks missed"
    );
    let fresh = first.beats("orders", "fresh").await + second.beats("orders", "fresh").await;
    assert!(fresh + missed >= 8, "{fresh} looks found the row fresh");
}

async fn run(server: &TdsServer, more: &str, arguments: &[&str]) -> Ended {
    let program = arguments.iter().fold(heartbeatd(), |program, argument| program.arg(argument));
    let ended = program.config(&configuration(server, "orders", more)).run().await;
    assert!(!ended.stdout.contains(PASSWORD) && !ended.stderr.contains(PASSWORD), "{ended:?}");
    ended
}

#[tokio::test]
async fn missing_objects_are_printed_created_once_and_then_written_and_checked() {
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

/// A trigger on the database can undo a step like this.
#[tokio::test]
async fn a_step_that_the_server_accepts_without_effect_is_a_failure() {
    let undone = [
        "CREATE SCHEMA",
        "CREATE TABLE",
        "INSERT INTO",
        "CREATE ROLE",
        "ADD MEMBER",
        "GRANT ",
        "cdc_enable_db",
        "sp_cdc_enable_table",
    ];
    let provisioned = async |undone: &'static str| {
        let server = TdsServer::options().start().await;
        *server.state() = State { cdc: false, undoes: Some(undone), ..State::empty() };
        let made = run(&server, "[target.connector]\nenable_cdc = true\n", &["provision"]).await;
        let said = format!("{}{}", made.stdout, made.stderr);
        assert!(made.code != Some(0) && said.contains("the step had no effect"), "{undone}: {made:?}");
    };
    futures_util::future::join_all(undone.map(provisioned)).await;
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
async fn a_connection_string_of_microsofts_clients_works_as_an_address() {
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
