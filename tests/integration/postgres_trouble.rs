//! Faults of schema, table, row, privileges and locks on a running PostgreSQL server. Each fault is reported with its
//! remedy, `/health` turns red in time, the remedy helps, and the target heals by itself.

use crate::bench::beating_daemon::{
    BeatingDaemon, ExpectedFailure, ROLE, TABLE, address, configuration, failure, furnish, furniture, has_no_queue,
    patient, plain_password, provision, target,
};
use crate::bench::session::{execute, rows};
use crate::bench::{PostgresServer, eventually, secs, steadily};

/// Permission and schema faults are retried within 30 s at most, and usually much sooner.
const HEALS: std::time::Duration = secs(35);

/// A configuration with the administrator's address, which the remedy "heartbeatd provision" needs.
fn with_administrator(server: &PostgresServer) -> String {
    configuration(&[server.port()], &format!("provision_url = \"{}\"", server.admin_url()))
}

/// Causes the fault, sees it reported, pastes the remedy, and sees the target heal.
async fn is_mended_by_its_remedy(spoil: &str, expected: ExpectedFailure, start: &str) {
    let server = PostgresServer::start().await;
    let beating = BeatingDaemon::of(&server).await;
    server.execute(spoil).await;
    let reported = beating.fails_with(expected).await;
    let script = reported.names(&[TABLE]).script();
    assert!(script.starts_with(start), "{script}");
    server.execute(script).await;
    beating.recovers_within(HEALS).await;
    has_no_queue(&server).await;
}

/// Causes the fault, sees it reported, provisions as the remedy says, and sees the target heal.
async fn is_mended_by_provisioning(spoil: &str, expected: ExpectedFailure) {
    let server = PostgresServer::start().await;
    let beating = BeatingDaemon::of(&server).await;
    server.execute(spoil).await;
    beating.fails_with(expected).await.names(&["heartbeatd provision --target orders"]);
    provision(&with_administrator(&server)).await;
    beating.recovers_within(HEALS).await;
    has_no_queue(&server).await;
}

#[tokio::test]
async fn dropped_table_is_reported_as_missing_table_and_heals_when_provisioned() {
    let expected = failure("schema", "missing_table", Some("42P01"));
    is_mended_by_provisioning("DROP TABLE streamkap.streamkap_heartbeat", expected).await;
}

#[tokio::test]
async fn missing_schema_is_reported_and_heals_when_provisioned() {
    let expected = failure("schema", "missing_schema", Some("42P01"));
    is_mended_by_provisioning("DROP SCHEMA streamkap CASCADE", expected).await;
}

#[tokio::test]
async fn deleted_row_is_reported_as_missing_row_and_heals_when_provisioned() {
    let expected = failure("schema", "missing_row", None);
    is_mended_by_provisioning("DELETE FROM streamkap.streamkap_heartbeat", expected).await;
}

#[tokio::test]
async fn revoked_update_is_reported_as_permission_and_heals() {
    let spoil = format!("REVOKE UPDATE ON streamkap.streamkap_heartbeat FROM {ROLE}");
    is_mended_by_its_remedy(&spoil, failure("permission", "privilege", Some("42501")), "GRANT CONNECT").await;
}

#[tokio::test]
async fn renamed_column_is_reported_as_missing_column_and_heals() {
    let spoil = "ALTER TABLE streamkap.streamkap_heartbeat RENAME COLUMN last_update TO touched";
    is_mended_by_its_remedy(spoil, failure("schema", "missing_column", Some("42703")), "ALTER TABLE").await;
}

#[tokio::test]
async fn row_hidden_by_a_policy_is_reported_as_missing_or_not_visible_and_heals() {
    let spoil = "ALTER TABLE streamkap.streamkap_heartbeat ENABLE ROW LEVEL SECURITY";
    is_mended_by_its_remedy(spoil, failure("schema", "missing_row", None), "CREATE POLICY").await;
}

#[tokio::test]
async fn row_visible_and_closed_to_updates_is_reported_as_not_updatable_and_heals() {
    let spoil = "ALTER TABLE streamkap.streamkap_heartbeat ENABLE ROW LEVEL SECURITY; \
                 CREATE POLICY look ON streamkap.streamkap_heartbeat FOR SELECT USING (true)";
    let expected = failure("schema", "row_not_updatable", None);
    is_mended_by_its_remedy(spoil, expected, "CREATE POLICY").await;
}

#[tokio::test]
async fn column_that_holds_no_time_is_reported_and_heals() {
    let spoil = "ALTER TABLE streamkap.streamkap_heartbeat ALTER COLUMN last_update TYPE text";
    let expected = failure("schema", "column_type", None);
    is_mended_by_its_remedy(spoil, expected, "ALTER TABLE").await;
}

/// Locks the row, sees the fault and never more than one waiting session, and ends the holder that the remedy finds.
async fn is_mended_by_ending_the_holder(lock: &str) {
    let server = PostgresServer::start().await;
    let beating = BeatingDaemon::of(&server).await;
    // The checks' own session would wait for a lock on the table, too.
    beating.is_checked().await;
    let mut holder = server.connect().await;
    execute(&mut holder, &format!("BEGIN; {lock}")).await;
    let pid = rows(&mut holder, "SELECT pg_backend_pid()").await.unwrap();
    let reported = beating.fails_with(failure("resource", "lock", Some("55P03"))).await;
    let failed = beating.count("failed").await;
    // A session that was cancelled may still be running when the next one starts.
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'heartbeatd%' AND wait_event_type = 'Lock'";
    steadily(secs(7), "at most one session in the queue", async || match server.number(waiting).await {
        0 | 1 => Ok(()),
        more => Err(format!("{more} sessions")),
    })
    .await;
    eventually(secs(15), "two more attempts", async || match beating.count("failed").await {
        now if now >= failed + 2 => Ok(()),
        now => Err(format!("{failed} failed, then {now}")),
    })
    .await;
    let found = server.rows(reported.names(&[TABLE, "pg_terminate_backend(pid)"]).script()).await;
    assert_eq!(found[0][0], pid[0][0], "the oldest holder is first: {found:?}");
    server.execute(&format!("SELECT pg_terminate_backend({})", pid[0][0].as_ref().unwrap())).await;
    beating.recovers_within(secs(20)).await;
    has_no_queue(&server).await;
}

#[tokio::test]
async fn locked_row_is_reported_as_lock_keeps_one_session_waiting_and_heals_when_released() {
    is_mended_by_ending_the_holder("SELECT * FROM streamkap.streamkap_heartbeat FOR UPDATE").await;
}

#[tokio::test]
async fn table_under_access_exclusive_lock_is_reported_as_lock_and_heals_when_released() {
    is_mended_by_ending_the_holder("LOCK TABLE streamkap.streamkap_heartbeat IN ACCESS EXCLUSIVE MODE").await;
}

#[tokio::test]
async fn dropped_table_and_deleted_row_come_back_by_themselves_with_provision_auto() {
    let server = PostgresServer::start().await;
    furnish(&server).await;
    let more = format!("provision = \"auto\"\nprovision_url = \"{}\"", server.admin_url());
    // Several logins within one beat, which a busy machine does not finish in 2 s.
    let text = patient(&configuration(&[server.port()], &more));
    let beating = BeatingDaemon::configured(&text).await;
    for spoil in [
        "DELETE FROM streamkap.streamkap_heartbeat",
        "DROP TABLE streamkap.streamkap_heartbeat",
        "DROP SCHEMA streamkap CASCADE",
    ] {
        server.execute(spoil).await;
        beating.beats(3, secs(30)).await;
        assert_eq!(server.number("SELECT count(*) FROM streamkap.streamkap_heartbeat").await, 1, "{spoil}");
    }
    assert_eq!(beating.count("failed").await, 0, "mended within the tick; log:\n{}", beating.daemon.log());
    has_no_queue(&server).await;
}

#[tokio::test]
async fn provision_auto_without_the_right_to_create_says_so_once_and_goes_on() {
    let server = PostgresServer::start().await;
    furnish(&server).await;
    let beating = BeatingDaemon::configured(&configuration(&[server.port()], "provision = \"auto\"")).await;
    server.execute("DROP SCHEMA streamkap CASCADE").await;
    let reported = beating.fails_with(failure("schema", "missing_schema", Some("42P01"))).await;
    let obstacle = "provision = \"auto\" cannot create it: permission denied for database postgres (42501)";
    assert!(reported.message.contains(obstacle), "{reported:?}");
    reported.names(&["set provision_url"]);
    beating.logs_a_failed_provisioning_once().await;
    server.execute(&furniture("streamkap")).await;
    beating.recovers_within(HEALS).await;
    has_no_queue(&server).await;
}

#[tokio::test]
async fn one_targets_trouble_leaves_another_target_of_the_same_server_alone() {
    let server = PostgresServer::start().await;
    furnish(&server).await;
    server.execute(&furniture("other")).await;
    let url = address(&[server.port()]);
    let other = format!("{}[target.heartbeat]\nschema = \"other\"", plain_password());
    let well = patient(&target("well", &url, &other));
    let text = format!("{}{well}", configuration(&[server.port()], ""));
    let beating = BeatingDaemon::configured(&text).await;
    let before = beating.daemon.target("well").await["counters"]["failed"].take();
    server.execute("DROP TABLE streamkap.streamkap_heartbeat").await;
    beating.fails_with(failure("schema", "missing_table", Some("42P01"))).await;
    let well = beating.daemon.target("well").await;
    assert_eq!((&well["state"], &well["counters"]["failed"]), (&"healthy".into(), &before), "{well}");
}
