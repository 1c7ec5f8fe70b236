//! The checks of PostgreSQL on real servers: a healthy server has no findings, and each fault is found.

mod failover_slots;
mod faults;
mod inherited_settings;
mod partitions;
mod remedies;
mod slots;
mod stage;
mod standby;
mod surroundings;

use heartbeatd::finding::Status;
use heartbeatd::target::{Endpoint, WriteMode};

use crate::bench::session::{execute, rows};
use crate::bench::{PgBouncer, eventually, secs};
use stage::{Stage, TABLE, ids, look, shown, wrong};

#[tokio::test]
async fn on_a_healthy_server_nothing_fails_and_nothing_is_unknown() {
    let stage = Stage::set().await;
    for target in [stage.as_admin(), stage.target.clone()] {
        let findings = stage.findings(&target).await;
        assert!(wrong(&findings).is_empty(), "{}", shown(&wrong(&findings)));
    }
}

#[tokio::test]
async fn what_the_least_user_may_not_see_is_unknown_and_names_the_grant() {
    let stage = Stage::set().await;
    stage.server.execute("REVOKE pg_monitor FROM hb").await;
    // The administrator's session may take a moment to end, and a worker of autovacuum may run.
    eventually(secs(10), "only native-scheduler to be unknown", async || {
        let findings = stage.findings(&stage.target).await;
        assert_eq!(ids(&findings, Status::Failed), [""; 0], "{}", shown(&wrong(&findings)));
        if ids(&findings, Status::Unknown) == ["native-scheduler"] { Ok(()) } else { Err(shown(&wrong(&findings))) }
    })
    .await;
    // Another user's session, which may have an open transaction. A check must not ignore it.
    let _other = stage.server.connect().await;
    let findings = wrong(&stage.findings(&stage.target).await);
    assert_eq!(ids(&findings, Status::Unknown), ["long-transactions", "native-scheduler"], "{}", shown(&findings));
    for finding in &findings {
        assert!(finding.observed.contains("requires GRANT pg_monitor TO \"hb\";"), "{}", finding.observed);
    }
    stage.server.execute("GRANT pg_monitor TO \"hb\"").await;
    stage.all_is_well(&stage.target, "the grant").await;
}

#[tokio::test]
async fn an_inspection_changes_nothing_and_takes_a_dozen_messages() {
    let server = stage::options().log_statements().start().await;
    let stage = Stage::on(server).await;
    let row = "SELECT last_update, xmin FROM streamkap.streamkap_heartbeat";
    let before = stage.server.rows(row).await;
    look(&stage.target).await;
    assert_eq!(stage.server.rows(row).await, before);
    let log = stage.server.log();
    let said: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("app=heartbeatd:test user=hb") && line.contains("statement:"))
        .collect();
    let probes = said.iter().filter(|line| line.contains("EXPLAIN")).count();
    assert_eq!(probes, 3);
    // Two to four of them belong to the connection itself.
    assert!(said.len() - probes <= 14, "{} messages:\n{}", said.len(), said.join("\n"));
}

#[tokio::test]
async fn no_password_and_no_statement_of_others_is_in_the_facts() {
    let stage = Stage::set().await;
    let mut other = stage.server.connect().await;
    execute(&mut other, "BEGIN; SELECT 'somebody else''s secret'").await;
    let facts = format!("{:?}", look(&stage.as_admin()).await);
    for secret in ["somebody else", crate::bench::postgres::ADMIN_PASSWORD, "SCRAM-SHA"] {
        assert!(!facts.contains(secret), "{secret} is in {facts}");
    }
}

#[tokio::test]
async fn a_locked_table_hides_only_what_is_read_from_it() {
    let stage = Stage::set().await;
    let mut holder = stage.server.connect().await;
    execute(&mut holder, &format!("BEGIN; LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")).await;
    let findings = stage.findings(&stage.target).await;
    let unknown = ["row-exists", "row-single", "row-fresh", "row-moves", "writer-select", "writer-update"];
    assert_eq!(ids(&wrong(&findings), Status::Unknown), unknown, "{}", shown(&wrong(&findings)));
    assert_eq!(ids(&findings, Status::Failed), [""; 0]);
    for finding in wrong(&findings) {
        // On a busy machine the limit of the statement may come before the limit of the lock.
        let code = ["(55P03)", "(57014)"].into_iter().find(|code| finding.observed.contains(code));
        let code = code.unwrap_or_else(|| panic!("{}", finding.observed));
        assert!(finding.observed.contains(&format!("{code}; requires another look")), "{}", finding.observed);
    }
    execute(&mut holder, "ROLLBACK").await;
    stage.all_is_well(&stage.target, "the lock").await;
}

#[tokio::test]
async fn a_refusal_hides_only_its_own_answer() {
    let stage = Stage::set().await;
    stage
        .server
        .execute("REVOKE SELECT ON pg_replication_slots FROM public; REVOKE EXECUTE ON FUNCTION pg_current_wal_lsn() FROM public")
        .await;
    let findings = stage.findings(&stage.target).await;
    assert_eq!(ids(&findings, Status::Failed), [""; 0], "{}", shown(&wrong(&findings)));
    assert_eq!(
        ids(&wrong(&findings), Status::Unknown),
        ["slots-free", "slot-exists", "transaction-age"],
        "{}",
        shown(&wrong(&findings))
    );
    stage.server.execute("GRANT SELECT ON pg_replication_slots TO public").await;
    let findings = stage.findings(&stage.target).await;
    assert_eq!(ids(&wrong(&findings), Status::Unknown), ["slot-retained-wal"], "{}", shown(&wrong(&findings)));
    stage.server.execute("GRANT EXECUTE ON FUNCTION pg_current_wal_lsn() TO public").await;
    stage.all_is_well(&stage.target, "the grants").await;
}

#[tokio::test]
async fn a_check_through_a_transaction_pooler_sees_everything_and_leaves_nothing_behind() {
    let stage = Stage::set().await;
    let pooler = PgBouncer::start(&stage.server, &[("hb", "hb")]).await;
    let mut target = stage.target.clone();
    target.endpoint = Endpoint::parse(&pooler.url("hb", "hb")).unwrap();
    for _ in 0..5 {
        stage.all_is_well(&target, "going through a pooler").await;
    }
    let left = "SELECT state, query FROM pg_stat_activity WHERE usename = 'hb' AND state <> 'idle'";
    assert_eq!(stage.server.rows(left).await, Vec::<Vec<Option<String>>>::new());
    let mut session = crate::bench::session::connect(pooler.port(), "hb", "hb").await.unwrap();
    let kept = rows(&mut session, "SELECT current_setting('search_path'), current_setting('statement_timeout')").await;
    assert_eq!(kept.unwrap(), [[Some("\"$user\", public".to_owned()), Some("0".to_owned())]]);
}

#[tokio::test]
async fn a_watcher_needs_no_privilege_to_write() {
    let mut stage = Stage::set().await;
    stage.target.write = WriteMode::Never;
    stage.server.execute("REVOKE UPDATE ON streamkap.streamkap_heartbeat FROM hb").await;
    stage.all_is_well(&stage.target, "taking UPDATE from a watcher").await;
}
