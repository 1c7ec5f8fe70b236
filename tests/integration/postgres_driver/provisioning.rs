//! Provisioning creates what is missing and nothing else.

use heartbeatd::driver::Purpose;
use heartbeatd::heartbeat::{BeatOutcome, ErrorKind, Failure, Writing};
use heartbeatd::provisioning::provision;
use heartbeatd::remedy::Remedy;
use heartbeatd::target::Named;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::{TABLE, provision_as_admin, provisioned};
use crate::bench::driver::{TIME, at, beat, failure, in_time, open, open_over, provision_over, target};
use crate::bench::{PgBouncer, PostgresServer};

#[tokio::test]
async fn provisioning_twice_changes_nothing_and_the_vendors_own_insert_still_works() {
    let (server, mut target) = provisioned().await;
    server.execute("CREATE ROLE cdc LOGIN; CREATE PUBLICATION pub").await;
    target.connector.user = Named::configured("cdc");
    target.connector.set_name("publication", "pub");
    // Grants on schema, table and sequence to cdc, and the table in the publication.
    assert_eq!(provision_as_admin(&server, &target).await, 4);
    assert_eq!(provision_as_admin(&server, &target).await, 0);
    server
        .execute(&format!("SET ROLE cdc; INSERT INTO {TABLE} (text) VALUES ('x'); DELETE FROM {TABLE} WHERE id > 1"))
        .await;
    let published = server.number("SELECT count(*) FROM pg_publication_tables WHERE pubname = 'pub'").await;
    assert_eq!(published, 1);
}

#[tokio::test]
async fn provisioning_never_makes_a_second_row_nor_one_beside_what_it_cannot_see() {
    let (server, target) = provisioned().await;
    let mut other_row = target.clone();
    other_row.heartbeat.row = 5.into();
    server.execute("CREATE ROLE blind LOGIN PASSWORD 'b'; GRANT USAGE ON SCHEMA streamkap TO blind").await;
    for (target, url, kind) in [
        (&other_row, server.admin_url(), ErrorKind::MissingRow),
        (&target, server.url("blind", "b"), ErrorKind::Privilege),
    ] {
        let mut session = open_over(&url, target, Purpose::Provision).await;
        let plan = session.plan(in_time()).await.unwrap();
        assert!(plan.steps.is_empty(), "{:?}", plan.steps);
        assert_eq!(plan.failures.iter().map(Failure::kind).collect::<Vec<_>>(), [kind]);
    }
    assert_eq!(server.number(&format!("SELECT count(*) FROM {TABLE}")).await, 1);
}

#[tokio::test]
async fn a_grant_that_takes_no_effect_is_a_failure() {
    let (server, mut target) = provisioned().await;
    server.execute("CREATE ROLE cdc LOGIN").await;
    target.connector.user = Named::configured("cdc");
    let mut session = open(&target, Purpose::Provision, None, TIME).await.unwrap();
    let applied = provision(session.as_mut(), in_time()).await.unwrap();
    assert!(applied.done.is_empty(), "{:?}", applied.done);
    assert!(applied.failed.iter().all(|(_, failure)| failure.kind() == ErrorKind::Privilege), "{:?}", applied.failed);
}

#[tokio::test]
async fn an_insert_that_a_trigger_reverts_is_a_failure() {
    let (server, target) = provisioned().await;
    server
        .execute(&format!(
            "DELETE FROM {TABLE}; CREATE FUNCTION public.nothing() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN RETURN NULL; END'; CREATE TRIGGER nothing BEFORE INSERT ON {TABLE} FOR EACH ROW EXECUTE FUNCTION \
             public.nothing()"
        ))
        .await;
    for _ in 0..2 {
        let applied = provision_over(&server.admin_url(), &target).await;
        let [(Some(step), failure)] = applied.failed.as_slice() else { panic!("{applied:?}") };
        assert!(step.title.starts_with("insert row 1"), "{applied:?}");
        assert!(failure.message().contains("still missing"), "{failure}");
        assert!(applied.done.iter().all(|title| !title.starts_with("insert")), "{applied:?}");
    }
}

#[tokio::test]
async fn grants_go_to_the_role_of_the_beats_session_and_not_to_its_login() {
    let (server, target) = provisioned().await;
    server.execute("CREATE ROLE \"Team\"; GRANT \"Team\" TO hb; ALTER ROLE hb SET role = 'Team'").await;
    assert_eq!(failure(&target).await, ErrorKind::Privilege);
    // The administrator's session reads it from the catalogue.
    assert_eq!(provision_as_admin(&server, &target).await, 2);
    assert_eq!(beat(&target, Writing::Always).await.unwrap().outcome, BeatOutcome::Written);
    assert_eq!(provision_as_admin(&server, &target).await, 0);
    // A session of url itself knows it, even if a pooler logs in as another user.
    server.execute("ALTER ROLE hb RESET role; CREATE ROLE pooled LOGIN PASSWORD 'p'").await;
    let mapped =
        format!("[databases]\nmapped = host=127.0.0.1 port={} dbname=postgres user=pooled password=p", server.port());
    let pooler = PgBouncer::start_with(&server, &[("hb", "hb")], &mapped).await;
    let through = at(&format!("postgres://hb:hb@127.0.0.1:{}/mapped", pooler.port()), &target);
    let mut session = open(&through, Purpose::Plan, None, TIME).await.unwrap();
    let plan = session.plan(in_time()).await.unwrap();
    let titles: Vec<&str> = plan.steps.iter().map(|step| step.title.as_str()).collect();
    assert!(!titles.is_empty() && titles.iter().all(|title| title.ends_with("to \"pooled\"")), "{titles:?}");
    // The administrator's session asks a session of url, and so does the printed plan.
    let applied = provision_over(&server.admin_url(), &through).await;
    assert_eq!(applied.done, titles);
    assert!(applied.failed.is_empty(), "{applied:?}");
    assert_eq!(beat(&through, Writing::Always).await.unwrap().outcome, BeatOutcome::Written);
    assert_eq!(provision_over(&server.admin_url(), &through).await.done, [""; 0]);
    // If no session can be asked, the plan says so, and uses the login's name.
    let refused = at(&pooler.url("hb", "wrong"), &target);
    let applied = provision_over(&server.admin_url(), &refused).await;
    assert!(applied.notices[0].starts_with("cannot check which account"), "{:?}", applied.notices);
    assert!(applied.done.is_empty() && applied.failed.is_empty(), "{applied:?}");
}

#[tokio::test]
async fn nothing_is_created_in_another_database_than_the_one_the_pooler_uses_for_beats() {
    let (server, target) = provisioned().await;
    server.execute("CREATE DATABASE real").await;
    let mapped = format!("[databases]\npostgres = host=127.0.0.1 port={} dbname=real", server.port());
    let pooler = PgBouncer::start_with(&server, &[("hb", "hb-password")], &mapped).await;
    let through = at(&pooler.url("hb", "hb-password"), &target);
    let applied = provision_over(&server.admin_url(), &through).await;
    let [(None, failure)] = applied.failed.as_slice() else { panic!("{applied:?}") };
    assert_eq!(failure.kind(), ErrorKind::Settings, "{failure}");
    assert!(failure.message().contains("\"real\"") && failure.message().contains("\"postgres\""), "{failure}");
    // As the remedy says.
    let there = server.admin_url().replace("/postgres", "/real");
    assert!(failure.remedy().unwrap().to_string().ends_with("/real"), "{failure:?}");
    let applied = provision_over(&there, &through).await;
    assert!(applied.failed.is_empty() && !applied.done.is_empty(), "{applied:?}");
    assert_eq!(beat(&through, Writing::Always).await.unwrap().outcome, BeatOutcome::Written);
}

#[tokio::test]
async fn an_event_trigger_that_forbids_a_table_is_one_failure_with_its_own_next_step() {
    let server = PostgresServer::start().await;
    let target = target(&server.url("hb", "hb"));
    server
        .execute(
            "CREATE ROLE hb LOGIN PASSWORD 'hb'; CREATE FUNCTION public.no() RETURNS event_trigger LANGUAGE plpgsql AS \
             $$BEGIN RAISE EXCEPTION 'ask the platform team'; END$$; CREATE EVENT TRIGGER no ON ddl_command_start WHEN TAG \
             IN ('CREATE TABLE') EXECUTE FUNCTION public.no()",
        )
        .await;
    let mut session = open_over(&server.admin_url(), &target, Purpose::Provision).await;
    let applied = provision(session.as_mut(), in_time()).await.unwrap();
    let [(Some(step), failure)] = applied.failed.as_slice() else { panic!("{:?}", applied.failed) };
    assert!(step.title.starts_with("create table"), "{}", step.title);
    assert_eq!(failure.kind(), ErrorKind::Rejected, "{failure}");
    assert!(applied.notices.iter().any(|notice| notice.starts_with("skipped") && notice.contains("insert row")));
    let script = failure.remedy().and_then(Remedy::script).unwrap();
    let found = server.rows(script.text()).await;
    assert_eq!(found[0][0].as_deref(), Some("no"), "{found:?}");
}

#[tokio::test]
async fn any_name_works_unchanged() {
    let (server, target) = provisioned().await;
    let mut runner = TestRunner::deterministic();
    let names = "[^\0]{1,20}".prop_filter("kept whole", |name: &String| name.len() <= 63 && !name.starts_with("pg_"));
    for _ in 0..24 {
        let mut target = target.clone();
        target.heartbeat.schema = names.new_tree(&mut runner).unwrap().current();
        target.heartbeat.table = names.new_tree(&mut runner).unwrap().current();
        provision_as_admin(&server, &target).await;
        assert_eq!(provision_as_admin(&server, &target).await, 0, "{:?}", target.heartbeat);
        let outcome = beat(&target, Writing::Always).await.map(|beat| beat.outcome);
        assert!(matches!(outcome, Ok(BeatOutcome::Written)), "{:?}: {outcome:?}", target.heartbeat);
    }
}
