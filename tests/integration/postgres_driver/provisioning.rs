//! What is missing is made, and nothing else.

use heartbeatd::driver::Purpose;
use heartbeatd::heartbeat::{BeatOutcome, ErrorKind, Failure, Writing};
use heartbeatd::provisioning::provision;
use heartbeatd::target::Named;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::{TABLE, provision_as_admin, provisioned};
use crate::bench::driver::{TIME, beat, in_time, open, open_over};

#[tokio::test]
async fn provisioning_twice_changes_nothing_and_the_vendors_own_insert_still_works() {
    let (server, mut target) = provisioned().await;
    server.execute("CREATE ROLE cdc LOGIN; CREATE PUBLICATION pub").await;
    target.connector.user = Named::configured("cdc");
    target.connector.set_name("publication", "pub");
    // Schema, table and sequence to cdc, and the table to the publication.
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
async fn any_name_comes_through_as_it_is() {
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
