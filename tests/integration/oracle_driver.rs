//! Oracle's driver against the double of a server, called as its callers call it: what one beat writes, reports and refuses.

use heartbeatd::driver::{Purpose, ServerRole};
use heartbeatd::heartbeat::{ErrorKind, Writing};
use heartbeatd::target::Target;

use crate::bench::driver::{TIME, WHEN_STALE, open, report, session, target};
use crate::bench::oracle::{OracleDouble, PASSWORD, SERVICE, Trouble, USER};

fn of(double: &OracleDouble, parameters: &str) -> Target {
    let mut target = target(&double.url(parameters));
    target.heartbeat.schema = "STREAMKAP_USER".to_owned();
    target.heartbeat.table = "STREAMKAP_HEARTBEAT".to_owned();
    target
}

#[tokio::test]
async fn a_beat_writes_the_servers_clock_in_one_round_trip_and_reports_the_value_before_it() {
    let double = OracleDouble::start();
    let mut session = session(&of(&double, "")).await;
    let server = session.server().clone();
    assert_eq!((server.role, server.identity.as_deref()), (ServerRole::Primary, Some("CDB1/PDB1")));
    assert!(server.version.starts_with("Oracle 19.3"), "{server:?}");

    let first = report(session.as_mut(), Writing::Always, TIME).await.unwrap();
    assert_eq!((first.seen, first.changed, first.previous, first.stale), (1, 1, None, true));
    assert_eq!(double.state().rows[0].1, first.value.map(|stamp| stamp.0));
    assert_eq!(first.position.as_deref(), Some("1234568"));
    let before = double.state().requests;
    let second = report(session.as_mut(), Writing::Always, TIME).await.unwrap();
    assert_eq!(double.state().requests - before, 1);
    assert_eq!(second.previous, first.value);
    assert!(second.value > first.value, "{second:?}");

    // Fresh: nothing is written, and nothing is said to have been written.
    let fresh = report(session.as_mut(), WHEN_STALE, TIME).await.unwrap();
    assert_eq!((fresh.seen, fresh.changed, fresh.stale), (1, 0, false));
    assert_eq!((fresh.previous, fresh.value), (second.value, second.value));
    let unchanged = Writing::WhenStale { last_seen: second.value, period: crate::bench::driver::MINUTE };
    assert_eq!(report(session.as_mut(), unchanged, TIME).await.unwrap().changed, 1);
    let watched = report(session.as_mut(), Writing::Never, TIME).await.unwrap();
    assert_eq!((watched.seen, watched.changed), (1, 0));
    assert_eq!(double.state().commits, 3);
    session.close().await;
}

#[tokio::test]
async fn the_password_is_checked_and_a_session_names_itself() {
    let double = OracleDouble::start();
    open(&of(&double, ""), Purpose::Beat, None, TIME).await.unwrap().close().await;
    assert!(double.state().modules.iter().any(|name| name == "heartbeatd:test"), "{:?}", double.state().modules);
    assert!(double.state().descriptors[0].contains("(PROGRAM=heartbeatd:test)"), "{:?}", double.state().descriptors);
    let wrong = double.url("").replace(PASSWORD, "wrong");
    let failure = open(&target(&wrong), Purpose::Beat, None, TIME).await.err().unwrap();
    assert_eq!((failure.kind(), failure.code()), (ErrorKind::Auth, Some("ORA-01017")));
}

#[tokio::test]
async fn what_the_server_refuses_has_its_kind_and_a_next_step() {
    let double = OracleDouble::start();
    let target = of(&double, "");
    for (code, kind) in [
        (942, ErrorKind::MissingTable),
        (904, ErrorKind::MissingColumn),
        (1031, ErrorKind::Privilege),
        (16_000, ErrorKind::NotWritable),
        (30_006, ErrorKind::Lock),
        (257, ErrorKind::DiskFull),
        (1653, ErrorKind::DiskFull),
    ] {
        let mut session = session(&target).await;
        double.state().trouble = Trouble::Error(code);
        let failure = report(session.as_mut(), Writing::Always, TIME).await.unwrap_err();
        assert_eq!(failure.kind(), kind, "ORA-{code:05}");
        double.state().trouble = Trouble::None;
    }
}

#[tokio::test]
async fn an_alias_and_a_descriptor_lead_to_the_same_database() {
    let double = OracleDouble::start();
    let descriptor = format!(
        "(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=localhost)(PORT={}))(CONNECT_DATA=(SERVICE_NAME={SERVICE})))",
        double.port()
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tnsnames.ora"), format!("orders_high = {descriptor}\n")).unwrap();
    let by_alias = format!("oracle://{USER}:{PASSWORD}@orders_high?tns_admin={}", folder.path().display());
    let by_descriptor = format!("oracle://{USER}:{PASSWORD}@orders?descriptor={descriptor}");
    for url in [by_alias, by_descriptor] {
        let mut target = target(&url);
        target.heartbeat = of(&double, "").heartbeat;
        let mut session = session(&target).await;
        assert_eq!(report(session.as_mut(), Writing::Always, TIME).await.unwrap().changed, 1, "{url}");
        session.close().await;
    }
    let unknown = format!("oracle://{USER}:{PASSWORD}@nowhere?tns_admin={}", folder.path().display());
    let failure = open(&target(&unknown), Purpose::Beat, None, TIME).await.err().unwrap();
    assert_eq!((failure.kind(), failure.code()), (ErrorKind::Settings, Some("ORA-12154")));
}
