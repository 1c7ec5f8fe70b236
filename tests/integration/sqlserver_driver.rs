//! SQL Server's driver over TDS against a double, called as the program calls it: what one beat writes, reports and
//! refuses, and how it logs in. These tests do not show how SQL Server itself runs the batches.

use std::net::Ipv4Addr;
use std::time::Duration;

use heartbeatd::driver::{Purpose, ServerRole};
use heartbeatd::finding::{Severity, Status};
use heartbeatd::heartbeat::{BeatOutcome, ErrorKind, Writing};
use heartbeatd::target::Target;
use heartbeatd::time::Stamp;

use crate::bench::beating_daemon::PASSWORD;
use crate::bench::driver::{
    MINUTE, TIME, WHEN_STALE, beat, failed, failure, failure_of, in_time, open, provision_over, report, session, target,
};
use crate::bench::findings::{judge, look};
use crate::bench::tds::{Browser, Encryption, Fault, Index, TdsServer, USER, micros};
use crate::bench::tls::{CERTIFICATES, Files};
use crate::bench::{eventually, ports, secs};

/// The double's address with the authority to trust, in a folder that must outlive its use.
fn trusting(server: &TdsServer, encrypt: &str, authority: &str) -> (Files, Target) {
    let files = Files::new();
    let file = files.put("ca.pem", authority);
    let target = target(&server.url(&format!("?Encrypt={encrypt}&CaFile={}", file.display())));
    (files, target)
}

async fn plain() -> (TdsServer, Target) {
    let server = TdsServer::options().start().await;
    let target = target(&server.url("?Encrypt=disable"));
    (server, target)
}

#[tokio::test]
async fn a_beat_writes_the_servers_clock_and_reports_the_value_before_it_however_it_is_encrypted() {
    for (encryption, encrypt) in [
        (Encryption::None, "disable"),
        (Encryption::Login, "optional"),
        (Encryption::Wrapped, "mandatory"),
        (Encryption::Wrapped, "optional"),
        (Encryption::Strict, "strict"),
    ] {
        let server = TdsServer::options().encryption(encryption).start().await;
        let (_files, target) = match encrypt {
            "disable" => (Files::new(), target(&server.url("?Encrypt=disable"))),
            encrypt => trusting(&server, encrypt, &CERTIFICATES.authority),
        };
        let mut session = session(&target).await;
        assert_eq!(session.server().address, format!("localhost:{}", server.port()));
        assert_eq!(session.server().version, "SQL Server 16.0.4125.3 Enterprise Edition (64-bit)");
        assert_eq!(session.server().role, ServerRole::Primary);
        let login = server.logins().remove(0);
        assert_eq!((login.encrypted, login.application.as_str()), (encrypt != "disable", "heartbeatd:test"));

        let first = report(session.as_mut(), Writing::Always, TIME).await.unwrap();
        assert_eq!((first.seen, first.changed, first.previous, first.stale), (1, 1, None, true), "{encrypt}");
        assert_eq!(first.value, first.server_time);
        assert_eq!(first.value.unwrap().0, server.state().last_update().unwrap());
        let second = report(session.as_mut(), Writing::Always, TIME).await.unwrap();
        assert!(second.previous == first.value && second.value > first.value, "{second:?}");

        // Fresh: nothing changes, and no write is reported.
        let fresh = report(session.as_mut(), WHEN_STALE, TIME).await.unwrap();
        assert_eq!((fresh.seen, fresh.changed, fresh.stale), (1, 0, false));
        assert_eq!((fresh.previous, fresh.value), (second.value, second.value));
        // Unchanged since the last look, or old: the beat writes.
        let unchanged = Writing::WhenStale { last_seen: second.value, period: MINUTE };
        assert_eq!(report(session.as_mut(), unchanged, TIME).await.unwrap().changed, 1);
        let old = server.state().now() - 500_000_000;
        server.state().rows.insert(1, Some(old));
        assert_eq!(report(session.as_mut(), WHEN_STALE, TIME).await.unwrap().changed, 1);
        session.close().await;
    }
}

#[tokio::test]
async fn a_beat_is_one_packet_each_way() {
    let (server, target) = plain().await;
    let mut session = session(&target).await;
    let before = server.packets();
    for writing in [Writing::Always, WHEN_STALE, Writing::Never] {
        report(session.as_mut(), writing, TIME).await.unwrap();
    }
    let after = server.packets();
    assert_eq!((after.0 - before.0, after.1 - before.1), (3, 3));
}

/// Linux shows which timer of a connection runs, and when it ends: two hours away unless the connection says otherwise.
#[tokio::test]
async fn a_connection_at_rest_is_kept_alive_after_half_a_minute() {
    let (server, target) = plain().await;
    let mut session = session(&target).await;
    report(session.as_mut(), Writing::Always, TIME).await.unwrap();
    let remote = format!("0100007F:{:04X}", server.port());
    eventually(secs(5), "a keepalive timer of half a minute", async || {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let connections = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let timers: Vec<&str> = connections.filter(|columns| columns[2] == remote).map(|columns| columns[5]).collect();
        let [timer] = timers.as_slice() else { return Err(format!("{timers:?}")) };
        let (kind, ends_in) = timer.split_once(':').unwrap();
        // A hundred to the second.
        let ends_in = u64::from_str_radix(ends_in, 16).unwrap();
        if kind == "02" && ends_in <= 3_000 { Ok(()) } else { Err(format!("timer {timer}")) }
    })
    .await;
    session.close().await;
}

#[tokio::test]
async fn a_value_always_changes_in_any_type_and_one_far_ahead_is_replaced() {
    let (server, target) = plain().await;
    for (kind, step) in
        [(("datetime2", 7), 1), (("datetime2", 3), 1_000), (("datetime2", 0), 1_000_000), (("datetimeoffset", 4), 100)]
    {
        server.state().kind = kind;
        let mut session = session(&target).await;
        // A little ahead of the server's clock: one step is added, so that the value changes.
        let ahead = (server.state().now() + 30_000_000) / 10_000_000 * 10_000_000;
        server.state().rows.insert(1, Some(ahead));
        let followed = report(session.as_mut(), Writing::Always, TIME).await.unwrap();
        assert_eq!(followed.value.unwrap().0, micros(ahead) + step, "{kind:?}");
        // Far ahead: that writer's clock was wrong.
        let far = server.state().now() + 36_000_000_000;
        server.state().rows.insert(1, Some(far));
        let back = report(session.as_mut(), Writing::Always, TIME).await.unwrap();
        let apart = back.value.unwrap().0 - back.server_time.unwrap().0;
        assert!(apart.abs() <= 500_000, "{kind:?}: {apart}");
    }
    // Values of `datetime` are 3⅓ ms apart.
    server.state().kind = ("datetime", 3);
    let mut session = session(&target).await;
    let mut last = Stamp(0);
    for _ in 0..20 {
        let value = report(session.as_mut(), Writing::Always, TIME).await.unwrap().value.unwrap();
        assert!(value > last);
        last = value;
    }
}

#[tokio::test]
async fn of_ten_that_find_a_stale_row_one_writes() {
    let (server, target) = plain().await;
    let mut sessions = Vec::new();
    for _ in 0..10 {
        sessions.push(session(&target).await);
    }
    for _ in 0..10 {
        let old = server.state().now() - 3_000_000_000;
        server.state().rows.insert(1, Some(old));
        let beats = sessions.iter_mut().map(|session| report(session.as_mut(), WHEN_STALE, TIME));
        let reports = futures_util::future::join_all(beats).await;
        let written: u64 = reports.into_iter().map(|report| report.unwrap().changed).sum();
        assert_eq!(written, 1);
    }
}

#[tokio::test]
async fn each_failure_of_a_beat_has_its_kind_its_number_and_a_next_step() {
    let (server, target) = plain().await;
    for (number, kind) in [
        (229, ErrorKind::Privilege),
        (976, ErrorKind::NotWritable),
        (1105, ErrorKind::DiskFull),
        (1222, ErrorKind::Lock),
        (3906, ErrorKind::NotWritable),
        (9002, ErrorKind::DiskFull),
        (40_501, ErrorKind::Throttled),
        (40_613, ErrorKind::Starting),
        (49_918, ErrorKind::Throttled),
    ] {
        for fault in [Fault::Beat(number), Fault::AfterRow(number)] {
            server.fault(fault);
            let failed = failed(&target).await;
            assert_eq!((failed.kind, failed.code), (kind, Some(number.to_string())));
        }
    }
    server.fault(Fault::Beat(1205));
    assert_eq!(beat(&target, Writing::Always).await.unwrap_err().kind(), ErrorKind::Conflict);
    server.fault(None);
    for (missing, kind) in
        [("row", ErrorKind::MissingRow), ("table", ErrorKind::MissingTable), ("schema", ErrorKind::MissingSchema)]
    {
        match missing {
            "row" => server.state().rows.clear(),
            "table" => server.state().table = false,
            _ => server.state().schema = false,
        }
        assert_eq!(failure(&target).await, kind, "{missing}");
    }
}

#[tokio::test]
async fn an_inspection_takes_two_dozen_batches_at_most() {
    let (server, target) = plain().await;
    let mut session = session(&target).await;
    let before = server.batches().len();
    session.inspect(in_time()).await.unwrap();
    let taken = server.batches().len() - before;
    assert!((12..=24).contains(&taken), "{taken} batches");
}

#[tokio::test]
async fn a_row_that_a_trigger_sets_back_is_no_beat() {
    let (server, target) = plain().await;
    server.state().undone = true;
    assert_eq!(failure(&target).await, ErrorKind::RowNotUpdatable);
}

#[tokio::test]
async fn a_column_that_holds_no_time_to_the_second_is_refused_before_anything_is_written() {
    let (server, target) = plain().await;
    for kind in ["nvarchar", "smalldatetime", "date"] {
        server.state().kind = (kind, 0);
        let failed = failure_of(&target).await;
        assert_eq!(failed.kind(), ErrorKind::ColumnType, "{kind}");
        // Beat, check and plan report the same fault.
        let findings = judge(&target, &look(&target).await, None);
        let found = findings.iter().find(|finding| finding.id == "table-columns").unwrap();
        assert_eq!(failed.remedy(), found.remedy.as_ref(), "{kind}");
        let planned = open(&target, Purpose::Plan, None, TIME).await.unwrap().plan(in_time()).await.unwrap();
        assert_eq!(planned.failures[0].remedy(), found.remedy.as_ref(), "{kind}");
    }
    assert!(server.beats().is_empty());
}

#[tokio::test]
async fn an_id_with_a_unique_index_of_its_own_needs_no_primary_key() {
    let (server, target) = plain().await;
    let index = |columns: &[&'static str]| Index { columns: columns.to_vec(), ..Index::default() };
    let key = Index { primary: true, ..index(&["text"]) };
    for (indexes, observed) in [
        (vec![index(&["ID"])], None),
        (vec![key.clone(), index(&["id"])], None),
        (vec![], Some("it has none")),
        (vec![key.clone(), index(&["id", "text"])], Some("text")),
        (vec![key.clone(), Index { filtered: true, ..index(&["id"]) }], Some("text")),
        (vec![key, Index { disabled: true, ..index(&["id"]) }], Some("text")),
    ] {
        server.state().indexes.clone_from(&indexes);
        let findings = judge(&target, &look(&target).await, None);
        let found = findings.iter().find(|finding| finding.id == "table-primary-key").unwrap();
        let failed = (found.status == Status::Failed).then_some(found.observed.as_str());
        assert_eq!(failed, observed, "{indexes:?}: {found:?}");
    }
}

#[tokio::test]
async fn a_table_that_keeps_its_history_is_a_warning_and_one_in_memory_is_no_table_to_track() {
    let (server, target) = plain().await;
    let kind = async || {
        let findings = judge(&target, &look(&target).await, None);
        findings.into_iter().find(|finding| finding.id == "table-kind").unwrap()
    };
    server.state().system_versioned = true;
    let found = kind().await;
    assert_eq!((found.status, found.severity), (Status::Failed, Severity::Warning), "{found:?}");
    let script = found.remedy.unwrap().script().unwrap().text().to_owned();
    assert_eq!(script, "ALTER TABLE [streamkap].[streamkap_heartbeat] SET (SYSTEM_VERSIONING = OFF);");
    beat(&target, Writing::Always).await.unwrap();

    server.state().memory_optimized = true;
    let found = kind().await;
    assert_eq!((found.status, found.severity), (Status::Failed, Severity::Error), "{found:?}");
    let planned = open(&target, Purpose::Plan, None, TIME).await.unwrap().plan(in_time()).await.unwrap();
    assert_eq!(planned.failures.first().map(heartbeatd::heartbeat::Failure::remedy), Some(found.remedy.as_ref()));
}

#[tokio::test]
async fn grants_go_to_the_user_that_the_server_maps_the_login_to() {
    let (server, target) = plain().await;
    {
        let mut state = server.state();
        state.user = "app".to_owned();
        state.principals.push("app".to_owned());
        state.grants.retain(|(to, ..)| to != "beat");
    }
    server.fault(Fault::Beat(229));
    let refused = failed(&target).await;
    assert!(refused.script.ends_with("TO [app];"), "{refused:?}");
    server.fault(None);
    let applied = provision_over(&server.url("?Encrypt=disable&ApplicationName=admin"), &target).await;
    assert!(applied.failed.is_empty(), "{applied:?}");
    let [granted] = applied.done.as_slice() else { panic!("{applied:?}") };
    assert!(granted.starts_with("grant SELECT, INSERT, UPDATE") && granted.ends_with("to [app]"), "{granted}");
}

#[tokio::test]
async fn a_database_that_accepts_no_writes_gets_no_beat_and_is_still_inspected() {
    let (server, target) = plain().await;
    server.state().read_only = true;
    assert_eq!(failure(&target).await, ErrorKind::ReadOnlySetting);
    server.state().read_only = false;
    server.state().secondary = true;
    assert_eq!(failure(&target).await, ErrorKind::NotWritable);
    assert!(server.beats().is_empty());
    let mut looking = open(&target, Purpose::Inspect, None, TIME).await.unwrap();
    assert_eq!(looking.observe(crate::bench::driver::in_time()).await.unwrap().role, ServerRole::Standby);
}

#[tokio::test]
async fn of_two_hosts_the_writable_one_gets_the_beats_and_another_database_is_refused() {
    let (first, second) = (TdsServer::options().start().await, TdsServer::options().start().await);
    first.state().secondary = true;
    let both = first.url("?Encrypt=disable").replace("/orders", &format!(",localhost:{}/orders", second.port()));
    let session = session(&target(&both)).await;
    assert_eq!(session.server().address, format!("localhost:{}", second.port()));
    let identity = session.server().identity.clone();
    second.state().identity = "5B7A1F0C-0000-4000-8000-000000000002".to_owned();
    let alone = target(&second.url("?Encrypt=disable"));
    let other = open(&alone, Purpose::Beat, identity.as_deref(), TIME).await.err().unwrap();
    assert_eq!(other.kind(), ErrorKind::Identity);
}

#[tokio::test]
async fn no_password_is_sent_if_the_certificate_is_not_trusted() {
    for (encryption, encrypt) in
        [(Encryption::Wrapped, "mandatory"), (Encryption::Login, "optional"), (Encryption::Strict, "strict")]
    {
        let server = TdsServer::options().encryption(encryption).start().await;
        let (_files, wrong) = trusting(&server, encrypt, &CERTIFICATES.wrong_authority);
        assert_eq!(failure(&wrong).await, ErrorKind::Tls, "{encrypt}");
        let unknown = target(&server.url(&format!("?Encrypt={encrypt}")));
        assert_eq!(failure(&unknown).await, ErrorKind::Tls, "{encrypt}");
        let (_files, other) =
            trusting(&server, &format!("{encrypt}&HostNameInCertificate=db.example"), &CERTIFICATES.authority);
        assert_eq!(failure(&other).await, ErrorKind::Tls, "{encrypt}");
        assert!(server.logins().is_empty(), "{encrypt}");
    }
    let server = TdsServer::options().encryption(Encryption::Wrapped).start().await;
    let any = target(&server.url("?TrustServerCertificate=true"));
    assert_eq!(beat(&any, Writing::Always).await.unwrap().outcome, BeatOutcome::Written);
}

#[tokio::test]
async fn a_server_without_encryption_gets_no_password_unless_the_address_allows_it() {
    let server = TdsServer::options().start().await;
    for encrypt in ["mandatory", "optional", "strict"] {
        let target = target(&server.url(&format!("?Encrypt={encrypt}&TrustServerCertificate=false")));
        let failure = beat(&target, Writing::Always).await.unwrap_err();
        assert!(matches!(failure.kind(), ErrorKind::Tls | ErrorKind::Network), "{encrypt}: {failure:?}");
    }
    assert!(server.logins().is_empty());
}

#[tokio::test]
async fn a_refused_login_says_what_to_check() {
    let (server, target) = plain().await;
    let wrong = crate::bench::driver::at(&server.url("?Encrypt=disable").replace("hunter2-secret", "another"), &target);
    let refused = failed(&wrong).await;
    assert_eq!((refused.kind, refused.code.as_deref()), (ErrorKind::Auth, Some("18456")));
    let elsewhere = crate::bench::driver::at(&server.url("?Encrypt=disable").replace("/orders", "/other"), &target);
    assert_eq!(failure(&elsewhere).await, ErrorKind::MissingDatabase);
    for (number, kind) in [
        (18_486, ErrorKind::Auth),
        (40_615, ErrorKind::Auth),
        (17_142, ErrorKind::Starting),
        (983, ErrorKind::NotWritable),
    ] {
        server.fault(Fault::Login(number));
        assert_eq!(failure(&target).await, kind, "{number}");
    }
}

#[tokio::test]
async fn a_login_by_access_token_shows_the_token_and_no_password() {
    let server = TdsServer::options().encryption(Encryption::Wrapped).start().await;
    let (_files, target) = trusting(&server, "mandatory&Authentication=AccessToken", &CERTIFICATES.authority);
    assert_eq!(beat(&target, Writing::Always).await.unwrap().outcome, BeatOutcome::Written);
    assert!(server.logins()[0].by_token);
}

#[tokio::test]
async fn a_redirected_login_is_followed_and_a_loop_ends() {
    let (gateway, node) = (TdsServer::options().start().await, TdsServer::options().start().await);
    gateway.fault(Fault::Redirect(node.port()));
    let target = target(&gateway.url("?Encrypt=disable"));
    assert_eq!(beat(&target, Writing::Always).await.unwrap().outcome, BeatOutcome::Written);
    assert_eq!((gateway.beats().len(), node.beats().len()), (0, 1));
    node.fault(Fault::Redirect(gateway.port()));
    assert_eq!(failure(&target).await, ErrorKind::Protocol);
}

#[tokio::test]
async fn a_named_instance_is_found_by_sql_server_browser_unless_the_address_has_a_port() {
    const HOME: Ipv4Addr = Ipv4Addr::new(127, 14, 34, 1);
    let server = TdsServer::options().home(HOME).start().await;
    let browser = Browser::start(HOME, "PROD", server.port()).await;
    let at = |place: String| target(&format!("mssql://{USER}:{PASSWORD}@{HOME}\\{place}/orders?Encrypt=disable"));
    assert_eq!(beat(&at("prod".to_owned()), Writing::Always).await.unwrap().outcome, BeatOutcome::Written);
    assert_eq!(browser.asked(), ["prod"]);
    let with_port = at(format!("prod:{}", server.port()));
    assert_eq!(beat(&with_port, Writing::Always).await.unwrap().outcome, BeatOutcome::Written);
    assert_eq!(browser.asked().len(), 1, "the port is known");
    let unknown = failed(&at("TEST".to_owned())).await;
    assert_eq!(unknown.kind, ErrorKind::Name);
    assert!(unknown.message.ends_with("names no port for the instance TEST"), "{}", unknown.message);
    assert!(unknown.remedy.contains("UDP port 1434"), "{}", unknown.remedy);
}

#[tokio::test]
async fn a_server_that_hangs_or_disconnects_costs_no_more_than_the_time_out() {
    let (server, target) = plain().await;
    let mut hanging = session(&target).await;
    server.fault(Fault::Hang);
    let failure = report(hanging.as_mut(), Writing::Always, secs(1)).await.unwrap_err();
    assert_eq!((failure.kind(), failure.message()), (ErrorKind::Timeout, "the server's answer did not come in time"));
    server.fault(Fault::Drop);
    server.fault(None);
    let mut left = session(&target).await;
    server.fault(Fault::Drop);
    assert_eq!(report(left.as_mut(), Writing::Always, secs(2)).await.unwrap_err().kind(), ErrorKind::Network);
    let silent = crate::bench::driver::target(&format!("mssql://beat:x@127.0.0.1:{}/orders", ports::free()));
    assert_eq!(beat(&silent, Writing::Always).await.unwrap_err().kind(), ErrorKind::Refused);
}

#[tokio::test]
async fn only_a_login_to_a_replica_asks_for_a_read_only_server() {
    let (server, _) = plain().await;
    let target = target(&server.url("?Encrypt=disable&ApplicationIntent=ReadOnly&Workstation%20ID=here"));
    beat(&target, Writing::Always).await.unwrap();
    open(&target, Purpose::Inspect, None, TIME).await.unwrap();
    let intents: Vec<bool> = server.logins().iter().map(|login| login.read_only).collect();
    assert_eq!(intents, [false, true]);
    assert!(server.logins().iter().all(|login| login.workstation == "here"));
}

#[tokio::test]
async fn a_wait_for_the_row_ends_on_the_server_before_the_beat_is_given_up() {
    let (server, target) = plain().await;
    let mut session = session(&target).await;
    report(session.as_mut(), Writing::Always, secs(2)).await.unwrap();
    let batch = server.beats().remove(0);
    let limit = batch.split_once("SET LOCK_TIMEOUT ").unwrap().1.split_once(';').unwrap().0;
    let limit = Duration::from_millis(limit.parse().unwrap());
    assert!(limit > Duration::from_millis(500) && limit * 2 < secs(2), "{limit:?}");
}
