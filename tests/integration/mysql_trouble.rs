//! What can be wrong with schema, table, row, privileges, locks and roles on a MariaDB or MySQL server that runs: each
//! trouble is named, `/health` turns red in time, and the target heals by itself when it is mended.

use sqlx::Connection;

use crate::bench::mysql::session::{execute, rows};
use crate::bench::mysql_scene::{
    TABLE, address, beats_logged_by, configuration, end_sessions, furnish, furniture, has_no_queue, last_update,
    on_both, on_each, patient_of, position, sessions,
};
use crate::bench::patient::{PASSWORD, Patient, ROLE, Symptom, plain_password, symptom, target};
use crate::bench::{Flavour, MysqlServer, secs, steadily};

/// Permission and schema troubles are tried again within 30 s at most; mostly much sooner.
const HEALS: std::time::Duration = secs(35);

/// Spoils each server, sees the trouble reported, mends it, sees that help.
async fn is_reported_and_heals(spoil: &str, expected: impl Fn(Flavour) -> Symptom, mend: &str) {
    on_both(async |flavour| {
        let server = MysqlServer::options().flavour(flavour).start().await;
        let patient = patient_of(&server).await;
        server.execute(spoil).await;
        patient.falls_ill_of(expected(flavour)).await;
        server.execute(mend).await;
        patient.heals_within(HEALS).await;
        has_no_queue(&server).await;
    })
    .await;
}

#[tokio::test]
async fn dropped_table_is_reported_as_missing_table_and_heals() {
    let spoil = format!("CREATE TABLE streamkap.kept AS SELECT * FROM {TABLE}; DROP TABLE {TABLE}");
    let mend = format!("CREATE TABLE {TABLE} AS SELECT * FROM streamkap.kept");
    is_reported_and_heals(&spoil, |_| symptom("schema", "missing_table", Some("1146")), &mend).await;
}

#[tokio::test]
async fn missing_schema_is_reported_and_heals() {
    let expected = |flavour| {
        let code = if flavour == Flavour::Mariadb { "1146" } else { "1049" };
        symptom("schema", "missing_schema", Some(code))
    };
    is_reported_and_heals("DROP DATABASE streamkap", expected, &furniture("streamkap")).await;
}

#[tokio::test]
async fn deleted_row_is_reported_as_missing_row_and_heals() {
    let mend = format!("INSERT INTO {TABLE} (id, text) VALUES (1, 'test_heartbeat')");
    let expected = |_| symptom("schema", "missing_row", None);
    is_reported_and_heals(&format!("DELETE FROM {TABLE}"), expected, &mend).await;
}

#[tokio::test]
async fn revoked_update_is_reported_as_permission_and_heals() {
    let spoil = format!("REVOKE UPDATE ON {TABLE} FROM {ROLE}");
    let mend = format!("GRANT UPDATE ON {TABLE} TO {ROLE}");
    is_reported_and_heals(&spoil, |_| symptom("permission", "privilege", Some("1142")), &mend).await;
}

#[tokio::test]
async fn renamed_column_is_reported_as_missing_column_and_heals() {
    let spoil = format!("ALTER TABLE {TABLE} CHANGE last_update touched timestamp NULL");
    let mend = format!("ALTER TABLE {TABLE} CHANGE touched last_update timestamp NULL");
    is_reported_and_heals(&spoil, |_| symptom("schema", "missing_column", Some("1054")), &mend).await;
}

/// The type is read at connect: until then a text takes the beats, and each is a change in the binary log.
#[tokio::test]
async fn column_that_holds_no_time_is_reported_at_the_next_connection_and_heals() {
    on_both(async |flavour| {
        let server = MysqlServer::options().flavour(flavour).start().await;
        let patient = patient_of(&server).await;
        server.execute(&format!("ALTER TABLE {TABLE} MODIFY last_update varchar(40)")).await;
        patient.beats(2, secs(5)).await;
        end_sessions(&server).await;
        patient.falls_ill_of(symptom("schema", "column_type", None)).await;
        let mend =
            format!("UPDATE {TABLE} SET last_update = NULL; ALTER TABLE {TABLE} MODIFY last_update timestamp NULL");
        server.execute(&mend).await;
        patient.heals_within(HEALS).await;
        has_no_queue(&server).await;
    })
    .await;
}

#[tokio::test]
async fn row_that_a_trigger_puts_back_is_reported_as_not_updatable_and_heals() {
    let spoil = format!(
        "CREATE TRIGGER streamkap.back BEFORE UPDATE ON {TABLE} FOR EACH ROW SET NEW.last_update = OLD.last_update"
    );
    let expected = |_| symptom("schema", "row_not_updatable", None);
    is_reported_and_heals(&spoil, expected, "DROP TRIGGER streamkap.back").await;
}

#[tokio::test]
async fn trigger_that_only_keeps_a_journal_does_no_harm() {
    on_both(async |flavour| {
        let server = MysqlServer::options().flavour(flavour).start().await;
        let patient = patient_of(&server).await;
        server
            .execute(&format!(
                "CREATE TABLE streamkap.journal (id int AUTO_INCREMENT PRIMARY KEY, old timestamp NULL);
                 CREATE TRIGGER streamkap.note AFTER UPDATE ON {TABLE} FOR EACH ROW
                   INSERT INTO streamkap.journal (old) VALUES (OLD.last_update)"
            ))
            .await;
        patient.beats(4, secs(10)).await;
        assert_eq!(patient.count("failed").await, 0, "log:\n{}", patient.daemon.log());
        let notes = "SELECT COUNT(*) - COUNT(DISTINCT old) + 10 * (COUNT(*) >= 3) FROM streamkap.journal";
        assert_eq!(server.number(notes).await, 10, "each beat is noted with a value of its own");
    })
    .await;
}

/// Locks, sees the trouble and never more than one session that waits, releases; at most one beat comes late.
async fn is_reported_as_a_lock_and_heals(lock: &str, release: &str) {
    on_both(async |flavour| {
        let server = MysqlServer::options().flavour(flavour).start().await;
        let patient = patient_of(&server).await;
        let mut holder = server.connect().await;
        execute(&mut holder, lock).await;
        patient.falls_ill_of(symptom("resource", "lock", Some("1205"))).await;
        let failed = patient.count("failed").await;
        steadily(secs(7), "at most one session in the queue", async || match sessions(&server).await {
            few if few.len() <= 1 => Ok(()),
            more => Err(format!("{more:?}")),
        })
        .await;
        assert!(patient.count("failed").await >= failed + 2, "it goes on trying");
        execute(&mut holder, release).await;
        patient.heals_within(secs(5)).await;
        patient.beats(2, secs(5)).await;
        let logged = beats_logged_by(&server).await;
        let answered = patient.count("ok").await;
        // One may be under way between the two counts, or have been when the lock went.
        assert!(logged <= answered + 1, "{logged} beats in the log, {answered} answered");
        has_no_queue(&server).await;
    })
    .await;
}

#[tokio::test]
async fn locked_row_is_reported_as_lock_keeps_one_session_waiting_and_heals_when_released() {
    is_reported_as_a_lock_and_heals(&format!("BEGIN; SELECT * FROM {TABLE} FOR UPDATE"), "COMMIT").await;
}

#[tokio::test]
async fn locked_table_is_reported_as_lock_and_heals_when_released() {
    is_reported_as_a_lock_and_heals(&format!("LOCK TABLES {TABLE} WRITE"), "UNLOCK TABLES").await;
}

#[tokio::test]
async fn server_under_a_global_read_lock_is_reported_as_lock_and_heals_when_released() {
    is_reported_as_a_lock_and_heals("FLUSH TABLES WITH READ LOCK", "UNLOCK TABLES").await;
}

/// Turns the server read-only under the daemon: it is reported, nothing is written, it heals.
async fn read_only_server_is_left_alone(flavour: Flavour, variable: &str, privileges: Option<&str>) {
    let server = MysqlServer::options().flavour(flavour).start().await;
    furnish(&server).await;
    if let Some(privileges) = privileges {
        server.execute(&format!("GRANT {privileges} ON *.* TO {ROLE}")).await;
    }
    let patient = Patient::configured(&configuration(flavour, &[server.port()], "")).await;
    server.set_global(variable, "ON").await;
    let before = (position(&server).await, beats_logged_by(&server).await, last_update(&server).await);
    let diagnosis = patient.falls_ill_of(symptom("connection", "not_writable", None)).await;
    assert!(diagnosis.message.contains("is read-only"), "{diagnosis:?}");
    steadily(secs(3), "an untouched server", async || {
        match (position(&server).await, beats_logged_by(&server).await, last_update(&server).await) {
            now if now == before => Ok(()),
            now => Err(format!("{before:?}, then {now:?}")),
        }
    })
    .await;
    // Proves that the guard held it back, and nothing else did.
    let mut session = server.connect_as(ROLE, PASSWORD).await.unwrap();
    let write = rows(&mut session, &format!("UPDATE {TABLE} SET text = 'through' WHERE id = 1")).await;
    let passes = privileges.is_some() && variable == "read_only";
    assert_eq!(write.is_ok(), passes, "{flavour:?} {variable} {privileges:?}: {write:?}");
    session.close().await.unwrap();
    server.set_global("read_only", "OFF").await;
    patient.heals_within(secs(5)).await;
    has_no_queue(&server).await;
}

#[tokio::test]
async fn read_only_is_reported_as_not_writable_and_heals() {
    on_each(&Flavour::ALL, async |flavour| read_only_server_is_left_alone(flavour, "read_only", None).await).await;
}

#[tokio::test]
async fn read_only_holds_back_an_account_that_could_write_nevertheless() {
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
async fn read_only_transactions_are_told_apart_from_a_replica_and_heal() {
    on_both(async |flavour| {
        let server = MysqlServer::options().flavour(flavour).start().await;
        let patient = patient_of(&server).await;
        let variable = if flavour == Flavour::Mariadb { "tx_read_only" } else { "transaction_read_only" };
        server.set_global(variable, "ON").await;
        end_sessions(&server).await;
        patient.falls_ill_of(symptom("connection", "read_only_setting", None)).await;
        server.set_global(variable, "OFF").await;
        patient.heals_within(secs(5)).await;
    })
    .await;
}

/// `init_connect` runs in the sessions of those who may not pass over it, and this account may turn its own log off.
#[tokio::test]
async fn session_whose_binary_log_is_turned_off_claims_nothing_and_heals() {
    on_both(async |flavour| {
        let server = MysqlServer::options().flavour(flavour).start().await;
        furnish(&server).await;
        let privilege = if flavour == Flavour::Mariadb { "BINLOG ADMIN" } else { "SESSION_VARIABLES_ADMIN" };
        server.execute(&format!("GRANT {privilege} ON *.* TO {ROLE}")).await;
        let patient = Patient::configured(&configuration(flavour, &[server.port()], "")).await;
        server.set_global("init_connect", "'SET SESSION sql_log_bin = 0'").await;
        end_sessions(&server).await;
        let before = (patient.count("ok").await, position(&server).await, last_update(&server).await);
        let diagnosis = patient.falls_ill_of(symptom("connection", "settings", None)).await;
        assert!(diagnosis.message.contains("sql_log_bin"), "{diagnosis:?}");
        let after = (patient.count("ok").await, position(&server).await, last_update(&server).await);
        assert_eq!(before, after, "nothing was written, and nothing claimed");
        server.set_global("init_connect", "''").await;
        patient.heals_within(secs(5)).await;
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
        let patient = Patient::configured(&text).await;
        server.execute(&format!("DROP TABLE {TABLE}")).await;
        patient.falls_ill_of(symptom("schema", "missing_table", Some("1146"))).await;
        let well = patient.daemon.target("well").await;
        assert_eq!((&well["state"], &well["counters"]["failed"]), (&"healthy".into(), &0.into()), "{well}");
    })
    .await;
}
