//! Faults of schema, table, row, privileges, locks and roles on a running MariaDB or MySQL server. Each fault is
//! reported with its remedy, `/health` turns red in time, the remedy helps, and the target heals by itself.

use sqlx::Connection;
use tokio::time::Instant;

use crate::bench::beating_daemon::{
    BeatingDaemon, ExpectedFailure, PASSWORD, ROLE, failure, patient, plain_password, provision, target,
};
use crate::bench::mysql::session::{execute, rows};
use crate::bench::mysql_scene::{
    TABLE, address, beats_logged_by, configuration, end_sessions, furnish, furniture, has_no_queue, healthy_daemon_of,
    last_update, on_both, on_each, position,
};
use crate::bench::{Flavour, MysqlServer, eventually, secs, steadily};

/// The heartbeat's table, quoted as in remedies.
const QUOTED: &str = "`streamkap`.`streamkap_heartbeat`";

/// Permission and schema faults are retried within 30 s at most, and usually much sooner.
const HEALS: std::time::Duration = secs(35);

/// A configuration with the administrator's address, which the remedy "heartbeatd provision" needs.
fn with_administrator(server: &MysqlServer) -> String {
    configuration(server.flavour(), &[server.port()], &format!("provision_url = \"{}\"", server.admin_url()))
}

/// Causes the fault on each server, sees it reported, pastes the remedy, and sees the target heal.
async fn is_mended_by_its_remedy(spoil: &str, expected: ExpectedFailure, start: &str, end: Option<&str>) {
    on_both(async |flavour| {
        let server = MysqlServer::options().flavour(flavour).start().await;
        let beating = healthy_daemon_of(&server).await;
        server.execute(spoil).await;
        let reported = beating.fails_with(expected).await;
        server.execute(reported.names(&[QUOTED]).part(start, end)).await;
        beating.recovers_within(HEALS).await;
        has_no_queue(&server).await;
    })
    .await;
}

/// Causes the fault on each server, sees it reported, provisions as the remedy says, and sees the target heal.
async fn is_mended_by_provisioning(spoil: &str, expected: impl Fn(Flavour) -> ExpectedFailure) {
    on_both(async |flavour| {
        let server = MysqlServer::options().flavour(flavour).start().await;
        let beating = healthy_daemon_of(&server).await;
        server.execute(spoil).await;
        beating.fails_with(expected(flavour)).await.names(&["heartbeatd provision --target orders"]);
        provision(&with_administrator(&server)).await;
        beating.recovers_within(HEALS).await;
        has_no_queue(&server).await;
    })
    .await;
}

#[tokio::test]
async fn dropped_table_is_reported_as_missing_table_and_heals_when_provisioned() {
    is_mended_by_provisioning(&format!("DROP TABLE {TABLE}"), |_| failure("schema", "missing_table", Some("1146")))
        .await;
}

#[tokio::test]
async fn missing_schema_is_reported_and_heals_when_provisioned() {
    let expected = |flavour| failure("schema", "missing_schema", Some(no_schema(flavour)));
    is_mended_by_provisioning("DROP DATABASE streamkap", expected).await;
}

/// The server's error for a table in a schema that does not exist.
fn no_schema(flavour: Flavour) -> &'static str {
    if flavour == Flavour::Mariadb { "1146" } else { "1049" }
}

#[tokio::test]
async fn deleted_row_is_reported_as_missing_row_and_heals_when_provisioned() {
    is_mended_by_provisioning(&format!("DELETE FROM {TABLE}"), |_| failure("schema", "missing_row", None)).await;
}

#[tokio::test]
async fn revoked_update_is_reported_as_permission_and_heals() {
    let spoil = format!("REVOKE UPDATE ON {TABLE} FROM {ROLE}");
    let expected = failure("permission", "privilege", Some("1142"));
    is_mended_by_its_remedy(&spoil, expected, "GRANT SELECT", Some(";")).await;
}

#[tokio::test]
async fn lost_column_is_reported_as_missing_column_and_heals() {
    let spoil = format!("ALTER TABLE {TABLE} DROP COLUMN last_update");
    let expected = failure("schema", "missing_column", Some("1054"));
    is_mended_by_its_remedy(&spoil, expected, "ALTER TABLE", None).await;
}

/// The type is read at connect. Until then a text column accepts the beats, and each one changes the binary log.
#[tokio::test]
async fn column_that_holds_no_time_is_reported_at_the_next_connection_and_heals() {
    on_both(async |flavour| {
        let server = MysqlServer::options().flavour(flavour).start().await;
        let beating = healthy_daemon_of(&server).await;
        server.execute(&format!("ALTER TABLE {TABLE} MODIFY last_update varchar(40)")).await;
        beating.beats(2, secs(20)).await;
        end_sessions(&server).await;
        let reported = beating.fails_with(failure("schema", "column_type", None)).await;
        reported.names(&["heartbeatd provision"]);
        server.execute(reported.names(&[QUOTED]).part("RENAME TABLE", Some(";"))).await;
        provision(&with_administrator(&server)).await;
        beating.recovers_within(HEALS).await;
        has_no_queue(&server).await;
    })
    .await;
}

#[tokio::test]
async fn a_row_that_a_trigger_sets_back_is_reported_as_not_updatable_and_heals() {
    on_both(async |flavour| {
        let server = MysqlServer::options().flavour(flavour).start().await;
        let beating = healthy_daemon_of(&server).await;
        let back = format!("CREATE TRIGGER streamkap.back BEFORE UPDATE ON {TABLE} FOR EACH ROW");
        server.execute(&format!("{back} SET NEW.last_update = OLD.last_update")).await;
        let reported = beating.fails_with(failure("schema", "row_not_updatable", None)).await;
        let found = server.rows(reported.part("SHOW TRIGGERS", Some(";"))).await;
        server.execute(&format!("DROP TRIGGER streamkap.{}", found[0][0].as_ref().unwrap())).await;
        beating.recovers_within(HEALS).await;
        has_no_queue(&server).await;
    })
    .await;
}

#[tokio::test]
async fn trigger_that_only_keeps_a_journal_does_no_harm() {
    on_both(async |flavour| {
        let server = MysqlServer::options().flavour(flavour).start().await;
        let beating = healthy_daemon_of(&server).await;
        server
            .execute(&format!(
                "CREATE TABLE streamkap.journal (id int AUTO_INCREMENT PRIMARY KEY, old timestamp NULL);
                 CREATE TRIGGER streamkap.note AFTER UPDATE ON {TABLE} FOR EACH ROW
                   INSERT INTO streamkap.journal (old) VALUES (OLD.last_update)"
            ))
            .await;
        beating.beats(4, secs(30)).await;
        assert_eq!(beating.count("failed").await, 0, "log:\n{}", beating.daemon.log());
        let notes = "SELECT COUNT(*) - COUNT(DISTINCT old) + 10 * (COUNT(*) >= 3) FROM streamkap.journal";
        assert_eq!(server.number(notes).await, 10, "each beat is noted with a value of its own");
    })
    .await;
}

/// Locks the row, sees the fault and never more than one waiting session, and ends the holder that the remedy finds. At
/// most one beat is late.
async fn is_mended_by_ending_the_holder(lock: &str, question: &str) {
    on_both(async |flavour| {
        let server = MysqlServer::options().flavour(flavour).start().await;
        let beating = healthy_daemon_of(&server).await;
        let mut holder = server.connect().await;
        let id = rows(&mut holder, "SELECT CONNECTION_ID()").await.unwrap()[0][0].clone();
        execute(&mut holder, lock).await;
        let reported = beating.fails_with(failure("resource", "lock", Some("1205"))).await;
        let failed = beating.count("failed").await;
        let waiting =
            "SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE 'UPDATE /* heartbeatd%' ORDER BY ID";
        let mut two_since: Option<Instant> = None;
        steadily(secs(7), "at most one session in the queue", async || {
            let queue = server.rows(waiting).await;
            match queue.len() {
                0 | 1 => two_since = None,
                // The server ends a wait up to a second late, and the next beat may begin to wait before.
                2 if two_since.get_or_insert_with(Instant::now).elapsed() < secs(3) => {}
                _ => return Err(format!("{queue:?}, since {two_since:?}")),
            }
            Ok(())
        })
        .await;
        assert!(beating.count("failed").await >= failed + 2, "it goes on trying");
        eventually(secs(10), "a beat to wait", async || match server.rows(waiting).await {
            none if none.is_empty() => Err("none waits"),
            _ => Ok(()),
        })
        .await;
        let found = server.rows(reported.part(question, Some(";"))).await;
        let own =
            |row: &Vec<Option<String>>| row.iter().flatten().any(|cell| cell.starts_with("UPDATE /* heartbeatd:"));
        assert!(!found.iter().any(own), "heartbeatd's own beat, which waits, is among {found:?}");
        assert!(found.iter().any(|row| row[0] == id), "the holder {id:?} is among {found:?}");
        reported.names(&["KILL ends a session"]);
        server.execute(&format!("KILL {}", id.unwrap())).await;
        beating.recovers_within(secs(20)).await;
        beating.beats(2, secs(20)).await;
        let logged = beats_logged_by(&server).await;
        let answered = beating.count("ok").await;
        // One beat may be in progress between the two counts, or was when the lock ended.
        assert!(logged <= answered + 1, "{logged} beats in the log, {answered} answered");
        has_no_queue(&server).await;
    })
    .await;
}

#[tokio::test]
async fn locked_row_is_reported_as_lock_keeps_one_session_waiting_and_heals_when_released() {
    is_mended_by_ending_the_holder(&format!("BEGIN; SELECT * FROM {TABLE} FOR UPDATE"), "SELECT t.trx_mysql_thread_id")
        .await;
}

#[tokio::test]
async fn locked_table_is_reported_as_lock_and_heals_when_released() {
    is_mended_by_ending_the_holder(&format!("LOCK TABLES {TABLE} WRITE"), "SELECT id, user").await;
}

#[tokio::test]
async fn server_under_a_global_read_lock_is_reported_as_lock_and_heals_when_released() {
    is_mended_by_ending_the_holder("FLUSH TABLES WITH READ LOCK", "SELECT id, user").await;
}

/// Makes the server read-only while the daemon runs: it is reported, nothing is written, the target heals.
async fn read_only_server_is_left_alone(flavour: Flavour, variable: &str, privileges: Option<&str>) {
    let server = MysqlServer::options().flavour(flavour).start().await;
    furnish(&server).await;
    if let Some(privileges) = privileges {
        server.execute(&format!("GRANT {privileges} ON *.* TO {ROLE}")).await;
    }
    let beating = BeatingDaemon::configured(&configuration(flavour, &[server.port()], "")).await;
    server.set_global(variable, "ON").await;
    let before = (position(&server).await, beats_logged_by(&server).await, last_update(&server).await);
    let reported = beating.fails_with(failure("connection", "not_writable", None)).await;
    assert!(reported.message.contains("is read-only"), "{reported:?}");
    steadily(secs(3), "an untouched server", async || {
        match (position(&server).await, beats_logged_by(&server).await, last_update(&server).await) {
            now if now == before => Ok(()),
            now => Err(format!("{before:?}, then {now:?}")),
        }
    })
    .await;
    // Proves that only the guard stopped the write.
    let mut session = server.connect_as(ROLE, PASSWORD).await.unwrap();
    let write = rows(&mut session, &format!("UPDATE {TABLE} SET text = 'through' WHERE id = 1")).await;
    let passes = privileges.is_some() && variable == "read_only";
    assert_eq!(write.is_ok(), passes, "{flavour:?} {variable} {privileges:?}: {write:?}");
    session.close().await.unwrap();
    // Lifting it may split a cluster that failed over, so the remedy only shows which variable is set.
    assert!(!reported.remedy.contains("SET GLOBAL"), "{reported:?}");
    let found = server.rows(reported.part("SHOW GLOBAL VARIABLES", Some(";"))).await;
    assert!(found.contains(&vec![Some(variable.to_owned()), Some("ON".to_owned())]), "{found:?}");
    server.execute("SET GLOBAL read_only = 0").await;
    beating.recovers_within(secs(20)).await;
    has_no_queue(&server).await;
}

#[tokio::test]
async fn read_only_is_reported_as_not_writable_and_heals() {
    on_each(&Flavour::ALL, async |flavour| read_only_server_is_left_alone(flavour, "read_only", None).await).await;
}

#[tokio::test]
async fn read_only_stops_an_account_that_could_still_write() {
    on_each(&Flavour::ALL, async |flavour| {
        let privilege = match flavour {
            Flavour::Mariadb => "READ ONLY ADMIN",
            Flavour::Mysql => "CONNECTION_ADMIN",
            Flavour::Mysql57 => "SUPER",
        };
        read_only_server_is_left_alone(flavour, "read_only", Some(privilege)).await;
    })
    .await;
}

#[tokio::test]
async fn super_read_only_is_reported_as_not_writable_and_heals() {
    on_each(&[Flavour::Mysql, Flavour::Mysql57], async |flavour| {
        read_only_server_is_left_alone(flavour, "super_read_only", Some("SUPER")).await;
    })
    .await;
}

#[tokio::test]
async fn read_only_transactions_are_distinguished_from_a_replica_and_heal() {
    on_both(async |flavour| {
        let server = MysqlServer::options().flavour(flavour).start().await;
        let beating = healthy_daemon_of(&server).await;
        let variable = if flavour == Flavour::Mariadb { "tx_read_only" } else { "transaction_read_only" };
        server.set_global(variable, "ON").await;
        end_sessions(&server).await;
        let reported = beating.fails_with(failure("connection", "read_only_setting", None)).await;
        server.execute(reported.script()).await;
        beating.recovers_within(secs(20)).await;
    })
    .await;
}

/// `init_connect` runs in sessions without a certain privilege, and this account may turn off its own binary log.
#[tokio::test]
async fn a_session_whose_binary_log_is_off_reports_no_success_and_heals() {
    on_both(async |flavour| {
        let server = MysqlServer::options().flavour(flavour).start().await;
        furnish(&server).await;
        let privilege = if flavour == Flavour::Mariadb { "BINLOG ADMIN" } else { "SESSION_VARIABLES_ADMIN" };
        server.execute(&format!("GRANT {privilege} ON *.* TO {ROLE}")).await;
        let beating = BeatingDaemon::configured(&configuration(flavour, &[server.port()], "")).await;
        server.set_global("init_connect", "'SET SESSION sql_log_bin = 0'").await;
        end_sessions(&server).await;
        let before = (beating.count("ok").await, position(&server).await, last_update(&server).await);
        let reported = beating.fails_with(failure("connection", "settings", None)).await;
        assert!(reported.message.contains("sql_log_bin"), "{reported:?}");
        let found = server.rows(reported.part("SHOW GLOBAL VARIABLES", Some(";"))).await;
        assert!(found.iter().any(|row| row[0].as_deref() == Some("init_connect")), "{found:?}");
        let after = (beating.count("ok").await, position(&server).await, last_update(&server).await);
        assert_eq!(before, after, "nothing was written, and nothing claimed");
        server.set_global("init_connect", "''").await;
        beating.recovers_within(secs(20)).await;
        has_no_queue(&server).await;
    })
    .await;
}

#[tokio::test]
async fn dropped_table_and_deleted_row_come_back_by_themselves_with_provision_auto() {
    on_both(async |flavour| {
        let server = MysqlServer::options().flavour(flavour).start().await;
        furnish(&server).await;
        let text =
            patient(&with_administrator(&server)).replace("provision_url", "provision = \"auto\"\nprovision_url");
        let beating = BeatingDaemon::configured(&text).await;
        for spoil in [&format!("DELETE FROM {TABLE}"), &format!("DROP TABLE {TABLE}"), "DROP DATABASE streamkap"] {
            server.execute(spoil).await;
            beating.beats(3, secs(30)).await;
            assert_eq!(server.number(&format!("SELECT COUNT(*) FROM {TABLE}")).await, 1, "{spoil}");
        }
        assert_eq!(beating.count("failed").await, 0, "mended within the tick; log:\n{}", beating.daemon.log());
        has_no_queue(&server).await;
    })
    .await;
}

#[tokio::test]
async fn provision_auto_without_the_right_to_create_says_so_once_and_goes_on() {
    on_both(async |flavour| {
        let server = MysqlServer::options().flavour(flavour).start().await;
        furnish(&server).await;
        // One time-out is for the beat and for the provisioning after it.
        let text = patient(&configuration(flavour, &[server.port()], "provision = \"auto\""));
        let beating = BeatingDaemon::configured(&text).await;
        server.execute("DROP DATABASE streamkap").await;
        let expected = failure("schema", "missing_schema", Some(no_schema(flavour)));
        let reported = beating.reports(expected).await;
        assert!(reported.message.contains("provision = \"auto\" cannot create it: "), "{reported:?}");
        reported.names(&["provision_url"]);
        beating.logs_a_failed_provisioning_once().await;
        server.execute(&furniture("streamkap")).await;
        beating.recovers_within(HEALS).await;
        has_no_queue(&server).await;
    })
    .await;
}

#[tokio::test]
async fn one_targets_trouble_leaves_another_target_of_the_same_server_alone() {
    on_both(async |flavour| {
        let server = MysqlServer::options().flavour(flavour).start().await;
        furnish(&server).await;
        server.execute(&furniture("other")).await;
        let other = format!("{}[target.heartbeat]\nschema = \"other\"", plain_password());
        let url = address(flavour, &[server.port()]);
        let text = format!("{}{}", configuration(flavour, &[server.port()], ""), target("well", &url, &other));
        let beating = BeatingDaemon::configured(&text).await;
        server.execute(&format!("DROP TABLE {TABLE}")).await;
        beating.fails_with(failure("schema", "missing_table", Some("1146"))).await;
        let well = beating.daemon.target("well").await;
        assert_eq!((&well["state"], &well["counters"]["failed"]), (&"healthy".into(), &0.into()), "{well}");
    })
    .await;
}
