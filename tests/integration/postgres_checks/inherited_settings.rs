//! Settings of an administrator or a pooler for every session. They do not change the meaning of heartbeatd's
//! statements. A pooler's own refusals are reported as such.

use heartbeatd::driver::Purpose;
use heartbeatd::finding::Status;
use heartbeatd::heartbeat::{BeatOutcome, ErrorKind, Writing};
use heartbeatd::target::Endpoint;

use super::stage::{Stage, ids, shown, wrong};
use crate::bench::PgBouncer;
use crate::bench::driver::{TIME, WHEN_STALE, at, beat, failed, failure_of, in_time, open};

/// Settings of the role, which have precedence over those of the server and of the database.
const SETTINGS: &[(&str, &str)] = &[
    ("standard_conforming_strings", "off"),
    ("backslash_quote", "off"),
    ("search_path", "''"),
    ("search_path", "streamkap, public"),
    ("\"DateStyle\"", "'SQL, DMY'"),
    ("\"DateStyle\"", "'German'"),
    ("\"IntervalStyle\"", "'iso_8601'"),
    ("\"TimeZone\"", "'Asia/Kathmandu'"),
    ("row_security", "off"),
    ("client_encoding", "'LATIN1'"),
    ("bytea_output", "'escape'"),
    ("extra_float_digits", "'-15'"),
    ("transform_null_equals", "on"),
    ("quote_all_identifiers", "on"),
    ("array_nulls", "off"),
    ("default_transaction_isolation", "'serializable'"),
    ("default_transaction_deferrable", "on"),
    ("statement_timeout", "1"),
    ("lock_timeout", "1"),
    ("lc_numeric", "'C'"),
    ("lc_time", "'C'"),
    ("synchronous_commit", "off"),
    ("role", "'team'"),
    ("enable_seqscan", "off"),
    ("max_parallel_workers_per_gather", "0"),
];

#[tokio::test]
async fn no_setting_for_all_sessions_changes_beats_or_checks() {
    let mut stage = Stage::set().await;
    // A name that two of the settings would change.
    for statement in [
        "CREATE ROLE team; GRANT team TO hb; GRANT pg_monitor TO team; GRANT USAGE ON SCHEMA streamkap TO team",
        "ALTER TABLE streamkap.streamkap_heartbeat RENAME TO \"a\\'ü\"",
        "GRANT SELECT, INSERT, UPDATE ON streamkap.\"a\\'ü\" TO team",
    ] {
        stage.server.execute(statement).await;
    }
    stage.target.heartbeat.table = "a\\'ü".to_owned();
    stage.all_is_well(&stage.target, "the name").await;
    let mut found = Vec::new();
    for (name, value) in SETTINGS {
        stage.server.execute(&format!("ALTER ROLE hb SET {name} = {value}")).await;
        // The statements that replace this limit are subject to it, and a busy machine may exceed it.
        let attempts = if *name == "statement_timeout" { 5 } else { 1 };
        let mut differences = Vec::new();
        for _ in 0..attempts {
            differences = differences_of(&stage).await;
            if differences.is_empty() {
                break;
            }
        }
        found.extend(differences.iter().map(|difference| format!("{name} = {value}: {difference}")));
        stage.server.execute(&format!("ALTER ROLE hb RESET {name}")).await;
    }
    assert!(found.is_empty(), "{} differ:\n{}", found.len(), found.join("\n"));
}

/// What a beat, a look and the checks do otherwise than on a healthy server.
async fn differences_of(stage: &Stage) -> Vec<String> {
    let mut found = Vec::new();
    match beat(&stage.target, Writing::Always).await {
        Ok(beat) if beat.outcome == BeatOutcome::Written => {}
        other => found.push(format!("beat: {other:?}")),
    }
    match beat(&stage.target, WHEN_STALE).await {
        Ok(beat) if beat.outcome == BeatOutcome::Fresh => {}
        other => found.push(format!("look: {other:?}")),
    }
    let findings = wrong(&stage.findings(&stage.target).await);
    if !findings.is_empty() {
        found.push(format!("checks:\n{}", shown(&findings)));
    }
    found
}

/// A pooler's sessions have the database's settings, and heartbeatd sets nothing for a whole session there.
#[tokio::test]
async fn through_a_pooler_the_hostile_defaults_of_a_database_change_nothing() {
    let mut stage = Stage::set().await;
    stage.server.execute("ALTER TABLE streamkap.streamkap_heartbeat RENAME TO \"a\\'ü\"").await;
    stage.target.heartbeat.table = "a\\'ü".to_owned();
    for (name, value) in [
        ("standard_conforming_strings", "off"),
        ("backslash_quote", "off"),
        ("\"DateStyle\"", "'SQL, DMY'"),
        ("\"IntervalStyle\"", "'iso_8601'"),
        ("\"TimeZone\"", "'Asia/Kathmandu'"),
        ("search_path", "''"),
        ("row_security", "off"),
        ("default_transaction_isolation", "'serializable'"),
        ("default_transaction_deferrable", "on"),
        ("bytea_output", "'escape'"),
        ("array_nulls", "off"),
        ("transform_null_equals", "on"),
        ("quote_all_identifiers", "on"),
        ("lock_timeout", "1"),
        ("synchronous_commit", "off"),
    ] {
        stage.server.execute(&format!("ALTER DATABASE postgres SET {name} = {value}")).await;
    }
    // After the settings: a pooler keeps its sessions.
    let pooler = PgBouncer::start(&stage.server, &[("hb", "hb")]).await;
    let through = at(&pooler.url("hb", "hb"), &stage.target);
    assert_eq!(beat(&through, Writing::Always).await.unwrap().outcome, BeatOutcome::Written);
    assert_eq!(beat(&through, WHEN_STALE).await.unwrap().outcome, BeatOutcome::Fresh);
    stage.all_is_well(&through, "hostile defaults").await;
    let mut session = open(&through, Purpose::Plan, None, TIME).await.unwrap();
    let plan = session.plan(in_time()).await.unwrap();
    assert!(plan.steps.is_empty() && plan.failures.is_empty(), "{plan:?}");
}

#[tokio::test]
async fn each_refusal_of_a_pooler_is_named_with_its_next_step() {
    let stage = Stage::set().await;
    let pooler = PgBouncer::start_with(&stage.server, &[("hb", "hb")], "[users]\nhb = pool_mode=statement").await;
    let through = at(&pooler.url("hb", "hb"), &stage.target);
    // A beat needs only single statements; a check needs a transaction.
    assert_eq!(beat(&through, Writing::Always).await.unwrap().outcome, BeatOutcome::Written);
    let mut session = open(&through, Purpose::Check, None, TIME).await.unwrap();
    let refused = session.inspect(in_time()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Settings, "{refused:?}");
    assert!(refused.remedy().is_some_and(|remedy| remedy.to_string().contains("pool_mode=transaction")));
    let wrong_password = failed(&at(&pooler.url("hb", "wrong"), &stage.target)).await;
    assert_eq!((wrong_password.kind, wrong_password.code.as_deref()), (ErrorKind::Auth, Some("08P01")));
    let mut crowded = stage.target.clone();
    let pooler = PgBouncer::start_with(
        &stage.server,
        &[("hb", "hb")],
        "default_pool_size = 1\nquery_wait_timeout = 1\nquery_timeout = 0",
    )
    .await;
    crowded.endpoint = Endpoint::parse(&pooler.url("hb", "hb")).unwrap();
    let mut holder = crate::bench::session::connect(pooler.port(), "hb", "hb").await.unwrap();
    crate::bench::session::execute(&mut holder, "BEGIN").await;
    let crowded = failure_of(&crowded).await;
    assert_eq!(crowded.kind(), ErrorKind::TooManyConnections, "{crowded:?}");
    let remedy = crowded.remedy().unwrap();
    assert!(remedy.to_string().contains("default_pool_size"), "{remedy}");
    let (admin, password) = (crate::bench::postgres::ADMIN, crate::bench::postgres::ADMIN_PASSWORD);
    let console = crate::bench::session::connect_to("pgbouncer", pooler.port(), admin, password).await;
    crate::bench::session::execute(&mut console.unwrap(), remedy.script().unwrap().text()).await;
    let findings = stage.findings(&stage.target).await;
    assert!(ids(&findings, Status::Failed).is_empty(), "{}", shown(&wrong(&findings)));
}

#[tokio::test]
async fn the_remedy_for_a_missing_grant_names_the_sessions_user_and_not_the_addresss() {
    let stage = Stage::set().await;
    for statement in ["CREATE ROLE \"Team\"; GRANT \"Team\" TO hb", "ALTER ROLE hb SET role = 'Team'"] {
        stage.server.execute(statement).await;
    }
    let refused = failure_of(&stage.target).await;
    assert_eq!(refused.kind(), ErrorKind::Privilege, "{refused:?}");
    stage.paste(refused.remedy().unwrap()).await;
    assert_eq!(beat(&stage.target, Writing::Always).await.unwrap().outcome, BeatOutcome::Written);
}
