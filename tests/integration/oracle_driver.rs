//! Oracle's driver against the double of a server, called as the program calls it: what one beat writes, reports and
//! refuses.

use std::time::Duration;

use heartbeatd::driver::{Purpose, ServerRole};
use heartbeatd::finding::Status;
use heartbeatd::heartbeat::{ErrorKind, Writing};
use heartbeatd::target::Target;
use heartbeatd::time::clock::Clock;

use crate::bench::driver::{TIME, WHEN_STALE, failure_of, in_time, open, report, session, target};
use crate::bench::findings::{judge, look};
use crate::bench::oracle::{OracleDouble, PASSWORD, SERVICE, State, Trouble, USER};
use crate::bench::secs;

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

    // Fresh: nothing is written, and no write is reported.
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
async fn an_inspection_takes_two_dozen_questions_at_most() {
    let double = OracleDouble::start();
    let mut session = session(&of(&double, "")).await;
    let before = double.state().requests;
    session.inspect(in_time()).await.unwrap();
    let taken = double.state().requests - before;
    assert!((12..=24).contains(&taken), "{taken} questions");
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
async fn each_refusal_of_the_server_has_its_kind_and_a_next_step() {
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
async fn a_missing_table_column_or_row_is_reported_by_name_and_nothing_is_committed() {
    let double = OracleDouble::start();
    let target = of(&double, "");
    let failure = async |change: fn(&mut State)| {
        change(&mut double.state());
        report(session(&target).await.as_mut(), Writing::Always, TIME).await
    };
    let missing = failure(|state| state.table = false).await.unwrap_err();
    assert_eq!((missing.kind(), missing.code()), (ErrorKind::MissingTable, Some("ORA-00942")));
    let missing = failure(|state| (state.table, state.column) = (true, None)).await.unwrap_err();
    assert_eq!((missing.kind(), missing.code()), (ErrorKind::MissingColumn, Some("ORA-00904")));
    let other = failure(|state| state.column = Some("VARCHAR2")).await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::ColumnType);
    let empty = failure(|state| (state.column, state.rows) = (Some("TIMESTAMP(6)"), vec![(7, None)])).await.unwrap();
    assert_eq!((empty.seen, empty.changed), (0, 0));
    let twice = failure(|state| state.rows = vec![(1, None), (1, None)]).await.unwrap();
    assert_eq!((twice.seen, twice.changed), (2, 0));
    assert_eq!(double.state().commits, 0);
}

#[tokio::test]
async fn a_beat_waits_for_the_row_no_longer_than_its_limit_and_writes_it_after_its_release() {
    let double = OracleDouble::start();
    double.state().locked = true;
    // The server waits for whole seconds. A busy machine may need more than what is left of the limit beside them.
    let failure_within = async |limit| {
        for _ in 0..5 {
            let mut session = session(&of(&double, "")).await;
            let failure = report(session.as_mut(), Writing::Always, limit).await.unwrap_err();
            if failure.kind() != ErrorKind::Timeout {
                return failure;
            }
        }
        panic!("no answer within {limit:?}");
    };
    let locked = failure_within(secs(2)).await;
    assert_eq!((locked.kind(), locked.code()), (ErrorKind::Lock, Some("ORA-30006")));
    assert!(double.state().lock_waits.iter().all(|wait| *wait == 1), "{:?}", double.state().lock_waits);
    let at_once = failure_within(Duration::from_millis(900)).await;
    assert_eq!((at_once.kind(), at_once.code()), (ErrorKind::Lock, Some("ORA-00054")));
    let mut session = session(&of(&double, "")).await;
    let (beat, ()) = tokio::join!(report(session.as_mut(), Writing::Always, TIME), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        double.state().locked = false;
    });
    assert_eq!((beat.unwrap().changed, double.state().commits), (1, 1));
}

#[tokio::test]
async fn a_step_that_someone_else_ran_meanwhile_counts_as_done_and_another_object_of_the_name_is_a_failure() {
    let double = OracleDouble::start();
    let missing = |state: &mut State| {
        (state.table, state.logged) = (false, false);
        state.grants.clear();
    };
    missing(&mut double.state());
    let mut session = open(&of(&double, ""), Purpose::Provision, None, TIME).await.unwrap();
    let deadline = Clock::system().now().mono + secs(60);
    let steps = session.plan(deadline).await.unwrap().steps;
    assert_eq!(steps.len(), 5, "{steps:#?}");
    (double.state().table, double.state().logged) = (true, true);
    for step in &steps {
        session.apply(step, deadline).await.unwrap_or_else(|failure| panic!("{}: {failure}", step.title));
    }
    double.state().rows = vec![(7, None)];
    let other = session.apply(&steps[1], deadline).await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::Conflict, "{other}");
    double.state().answers.push(("ALL_OBJECTS", vec!["STREAMKAP_USER\tVIEW"]));
    let view = session.apply(&steps[0], deadline).await.unwrap_err();
    assert_eq!((view.kind(), view.code()), (ErrorKind::Rejected, Some("ORA-00955")));
}

#[tokio::test]
async fn a_time_is_written_and_read_in_utc_whatever_the_columns_type() {
    let double = OracleDouble::start();
    let target = of(&double, "");
    for (column, precision) in [
        ("TIMESTAMP(9)", 1),
        ("TIMESTAMP(6)", 1),
        ("TIMESTAMP(3)", 1_000),
        ("TIMESTAMP(0)", 1_000_000),
        ("DATE", 1_000_000),
        ("TIMESTAMP(6) WITH TIME ZONE", 1),
        ("TIMESTAMP(6) WITH LOCAL TIME ZONE", 1),
    ] {
        {
            let mut state = double.state();
            (state.column, state.rows, state.sees_database) = (Some(column), vec![(1, None)], precision == 1);
        }
        let mut session = session(&target).await;
        let first = report(session.as_mut(), Writing::Always, TIME).await.unwrap();
        let (written, clock) = (first.value.unwrap().0, first.server_time.unwrap().0);
        assert!((written - clock).abs() < precision.max(1_000), "{column}: {} µs off", written - clock);
        let second = report(session.as_mut(), Writing::Never, TIME).await.unwrap();
        assert_eq!(second.value, first.value, "{column}");
        assert_eq!(first.position.is_some(), precision == 1, "{column}: the position where it may be seen");
        session.close().await;
    }
}

#[tokio::test]
async fn a_column_that_holds_no_time_has_one_remedy_for_beat_check_and_plan() {
    let double = OracleDouble::start();
    double.state().column = Some("VARCHAR2");
    let target = of(&double, "");
    let failed = failure_of(&target).await;
    assert_eq!(failed.kind(), ErrorKind::ColumnType, "{failed}");
    let findings = judge(&target, &look(&target).await, None);
    let found = findings.iter().find(|finding| finding.id == "table-columns").unwrap();
    assert_eq!(failed.remedy(), found.remedy.as_ref(), "{failed}");
    let planned = open(&target, Purpose::Plan, None, TIME).await.unwrap().plan(in_time()).await.unwrap();
    assert_eq!(planned.failures[0].remedy(), found.remedy.as_ref(), "{planned:?}");
}

#[tokio::test]
async fn an_id_with_a_unique_index_or_constraint_of_its_own_needs_no_primary_key() {
    let double = OracleDouble::start();
    let target = of(&double, "");
    for (keys, observed) in [
        (vec!["U\tHB_ID\t01\tID"], None),
        (vec!["P\tSYS_C1\t01\tTEXT", "I\tHB_ID\t01\tID", "I\tSYS_C1\t01\tTEXT"], None),
        (vec!["I\tHB_ID\t01\tID", "I\tHB_ID\t02\tTEXT"], Some("it has none")),
        (vec!["P\tSYS_C1\t01\tTEXT", "P\tSYS_C1\t02\tID"], Some("TEXT, ID")),
    ] {
        double.state().keys.clone_from(&keys);
        let findings = judge(&target, &look(&target).await, None);
        let found = findings.iter().find(|finding| finding.id == "table-primary-key").unwrap();
        let failed = (found.status == Status::Failed).then_some(found.observed.as_str());
        assert_eq!(failed, observed, "{keys:?}: {found:?}");
    }
    // Its row would be this session's alone.
    double.state().temporary = true;
    let findings = judge(&target, &look(&target).await, None);
    let found = findings.iter().find(|finding| finding.id == "table-kind").unwrap();
    assert_eq!((found.status, found.observed.as_str()), (Status::Failed, "a temporary table"), "{found:?}");
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
