//! Which server gets the beats, and over which kind of connection.

use heartbeatd::driver::{Purpose, ServerRole};
use heartbeatd::heartbeat::{BeatOutcome, ErrorKind, Writing};
use heartbeatd::time::clock::Clock;

use super::{provisioned, several};
use crate::bench::driver::{TIME, at, beat, failure, open, report, session};
use crate::bench::session::rows;
use crate::bench::{PgBouncer, PostgresServer, secs};

#[tokio::test]
async fn a_standby_and_a_read_only_setting_are_distinguished_and_never_written() {
    let (server, target) = provisioned().await;
    let standby = server.standby().await;
    standby.catch_up_with(&server).await;
    let on_standby = at(&standby.url("hb", "hb-password"), &target);
    assert_eq!(failure(&on_standby).await, ErrorKind::NotWritable);
    let mut looking = open(&on_standby, Purpose::Inspect, None, TIME).await.unwrap();
    let deadline = Clock::system().now().mono + TIME;
    let seen = looking.observe(deadline).await.unwrap();
    assert_eq!((seen.role, seen.rows), (ServerRole::Standby, 1));
    let failed = report(looking.as_mut(), Writing::Always, TIME).await.unwrap_err();
    assert_eq!((failed.kind(), failed.code()), (ErrorKind::NotWritable, Some("25006")));

    server.execute("ALTER ROLE hb SET default_transaction_read_only = on").await;
    assert_eq!(failure(&target).await, ErrorKind::ReadOnlySetting);
    let mut looking = open(&target, Purpose::Inspect, None, TIME).await.unwrap();
    let failed = report(looking.as_mut(), Writing::Always, TIME).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::ReadOnlySetting);
}

#[tokio::test]
async fn of_several_hosts_the_writable_one_of_the_highest_timeline_takes_the_beats() {
    let (server, _) = provisioned().await;
    let standby = server.standby().await;
    standby.catch_up_with(&server).await;
    for order in [[&server, &standby], [&standby, &server]] {
        let target = several("hb", "hb-password", &order);
        assert!(session(&target).await.server().address.ends_with(&server.port().to_string()));
    }
    standby.promote().await;
    for order in [[&server, &standby], [&standby, &server]] {
        let target = several("hb", "hb-password", &order);
        assert!(session(&target).await.server().address.ends_with(&standby.port().to_string()));
    }
}

#[tokio::test]
async fn without_a_writable_host_every_host_is_named_before_the_caller_gives_up() {
    let (mut server, _) = provisioned().await;
    let standby = server.standby().await;
    standby.catch_up_with(&server).await;
    let target = several("hb", "hb-password", &[&server, &standby]);
    server.freeze();
    let failure = open(&target, Purpose::Beat, None, secs(6)).await.map(|_| ()).unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::NotWritable, "{failure}");
    assert!(failure.message().contains("is a standby") && failure.message().contains("no answer"), "{failure}");
    server.thaw();
    server.stop().await;
    let failure = open(&target, Purpose::Beat, None, TIME).await.map(|_| ()).unwrap_err();
    assert!(failure.message().contains("connection refused"), "{failure}");
}

#[tokio::test]
async fn another_cluster_under_the_same_name_is_refused() {
    let (server, target) = provisioned().await;
    let known = session(&target).await.server().identity.clone().unwrap();
    let other = PostgresServer::options().own_identity().start().await;
    other.execute("CREATE ROLE hb LOGIN PASSWORD 'hb-password'").await;
    let failure = open(&at(&other.url("hb", "hb-password"), &target), Purpose::Beat, Some(&known), TIME).await;
    assert_eq!(failure.map(|_| ()).unwrap_err().kind(), ErrorKind::Identity);
    let both = several("hb", "hb-password", &[&other, &server]);
    let session = open(&both, Purpose::Beat, Some(&known), TIME).await.unwrap();
    assert!(session.server().address.ends_with(&server.port().to_string()));
}

#[tokio::test]
async fn beats_work_through_a_pooler_in_transaction_mode_and_leave_no_limit_behind() {
    let (server, target) = provisioned().await;
    let pooler = PgBouncer::start(&server, &[("hb", "hb-password")]).await;
    let target = at(&pooler.url("hb", "hb-password"), &target);
    let mut sessions = Vec::new();
    for _ in 0..5 {
        sessions.push(session(&target).await);
    }
    for _ in 0..10 {
        for session in &mut sessions {
            assert_eq!(report(session.as_mut(), Writing::Always, TIME).await.unwrap().changed, 1);
        }
    }
    let mut client = crate::bench::session::connect(pooler.port(), "hb", "hb-password").await.unwrap();
    for (setting, expected) in [("lock_timeout", "0"), ("statement_timeout", "0"), ("synchronous_commit", "on")] {
        let shown = rows(&mut client, &format!("SHOW {setting}")).await.unwrap();
        assert_eq!(shown[0][0].as_deref(), Some(expected), "{setting}");
    }
}

#[tokio::test]
async fn what_a_managed_server_hides_is_left_out() {
    let (server, target) = provisioned().await;
    server.execute("REVOKE EXECUTE ON FUNCTION pg_current_wal_insert_lsn(), pg_control_system() FROM public").await;
    let mut session = session(&target).await;
    assert_eq!(session.server().identity, None);
    let report = report(session.as_mut(), Writing::Always, TIME).await.unwrap();
    assert_eq!((report.changed, report.position), (1, None));
}

#[tokio::test]
async fn a_server_without_a_position_is_asked_for_it_once() {
    let (server, target) = provisioned().await;
    let mut session = session(&target).await;
    // As on managed flavours: the function exists, the user may run it, and it refuses.
    server
        .execute(
            "SET allow_system_table_mods = on; \
             ALTER FUNCTION pg_catalog.pg_current_wal_insert_lsn() RENAME TO pg_hidden; \
             CREATE FUNCTION pg_catalog.pg_current_wal_insert_lsn() RETURNS pg_lsn LANGUAGE plpgsql AS \
             $$BEGIN RAISE EXCEPTION 'not here' USING ERRCODE = '0A000'; END$$",
        )
        .await;
    for _ in 0..2 {
        let report = report(session.as_mut(), Writing::Always, TIME).await.unwrap();
        assert_eq!((report.changed, report.position), (1, None));
    }
    let refused = server.log().matches("not here").count();
    assert_eq!(refused, 1, "{}", server.log());
}

#[tokio::test]
async fn an_ended_connection_is_reported_with_its_kind() {
    let (server, target) = provisioned().await;
    let mut session = session(&target).await;
    server
        .execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'heartbeatd:test'")
        .await;
    let failed = report(session.as_mut(), Writing::Always, TIME).await.unwrap_err();
    assert!(matches!(failed.kind(), ErrorKind::Shutdown | ErrorKind::Network), "{failed}");
}

#[tokio::test]
async fn certificates_are_verified_as_asked() {
    let (server, target) = provisioned().await;
    let url = |host: &str, parameters: String| {
        at(&format!("postgres://hb:hb-password@{host}:{}/postgres?{parameters}", server.port()), &target)
    };
    let (right, wrong) = (server.ca_file().display().to_string(), server.wrong_ca_file().display().to_string());
    for good in [
        url("127.0.0.1", "sslmode=require".to_owned()),
        url("localhost", format!("sslmode=verify-full&sslrootcert={right}")),
        url("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={right}")),
    ] {
        beat(&good, Writing::Always).await.unwrap();
    }
    for bad in [
        url("localhost", "sslmode=verify-full".to_owned()),
        url("localhost", format!("sslmode=verify-full&sslrootcert={wrong}")),
        // As in libpq, `require` verifies if there is a root certificate.
        url("localhost", format!("sslmode=require&sslrootcert={wrong}")),
        url("localhost", "sslmode=verify-full&sslrootcert=/nonexistent.pem".to_owned()),
    ] {
        assert_eq!(failure(&bad).await, ErrorKind::Tls, "{}", bad.endpoint.url);
    }
}

#[tokio::test]
async fn a_socket_needs_no_tls() {
    let (server, target) = provisioned().await;
    let folder = server.socket_folder().display().to_string().replace('/', "%2F");
    let target = at(&format!("postgres://hb@{folder}:{}/postgres", server.port()), &target);
    assert_eq!(beat(&target, Writing::Always).await.unwrap().outcome, BeatOutcome::Written);
}
