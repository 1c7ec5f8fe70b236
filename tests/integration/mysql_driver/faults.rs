//! What goes wrong with the objects: each fault with its kind, and each healing by itself.

use heartbeatd::driver::Purpose;
use heartbeatd::heartbeat::{BeatOutcome, ErrorKind, Writing};

use super::{TABLE, provisioned};
use crate::bench::driver::{at, beat, failure, open_with_left, report, session};
use crate::bench::mysql::session::{execute, rows};
use crate::bench::{Flavour, eventually, secs};

/// Fault, cure, kind.
fn faults(flavour: Flavour) -> Vec<(String, String, ErrorKind)> {
    let trigger = |body: &str| format!("CREATE TRIGGER streamkap.t BEFORE UPDATE ON {TABLE} FOR EACH ROW {body}");
    let no_trigger = "DROP TRIGGER streamkap.t";
    let mut faults = vec![
        (
            format!("REVOKE UPDATE ON {TABLE} FROM hb@'%'"),
            format!("GRANT UPDATE ON {TABLE} TO hb@'%'"),
            ErrorKind::Privilege,
        ),
        (
            format!("REVOKE SELECT ON {TABLE} FROM hb@'%'"),
            format!("GRANT SELECT ON {TABLE} TO hb@'%'"),
            ErrorKind::Privilege,
        ),
        (
            format!("RENAME TABLE {TABLE} TO streamkap.gone"),
            format!("RENAME TABLE streamkap.gone TO {TABLE}"),
            ErrorKind::MissingTable,
        ),
        (
            format!("ALTER TABLE {TABLE} CHANGE last_update gone TIMESTAMP NULL"),
            format!("ALTER TABLE {TABLE} CHANGE gone last_update TIMESTAMP NULL"),
            ErrorKind::MissingColumn,
        ),
        (
            format!("ALTER TABLE {TABLE} MODIFY last_update TEXT"),
            format!("ALTER TABLE {TABLE} DROP last_update, ADD last_update TIMESTAMP NULL"),
            ErrorKind::ColumnType,
        ),
        (format!("UPDATE {TABLE} SET id = 7"), format!("UPDATE {TABLE} SET id = 1"), ErrorKind::MissingRow),
        (trigger("SET NEW.last_update = OLD.last_update"), no_trigger.to_owned(), ErrorKind::RowNotUpdatable),
        (trigger("SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'"), no_trigger.to_owned(), ErrorKind::Rejected),
        (
            format!("ALTER TABLE {TABLE} MODIFY id INT NOT NULL, DROP PRIMARY KEY, ADD COLUMN n INT"),
            format!("ALTER TABLE {TABLE} DROP COLUMN n, ADD PRIMARY KEY (id)"),
            ErrorKind::DuplicateRows,
        ),
        (
            "ALTER USER hb@'%' WITH MAX_USER_CONNECTIONS 1".to_owned(),
            "ALTER USER hb@'%' WITH MAX_USER_CONNECTIONS 0".to_owned(),
            ErrorKind::Limit,
        ),
        (
            "ALTER USER hb@'%' IDENTIFIED BY 'other'".to_owned(),
            "ALTER USER hb@'%' IDENTIFIED BY 'hb-password'".to_owned(),
            ErrorKind::Auth,
        ),
        ("ALTER USER hb@'%' ACCOUNT LOCK".to_owned(), "ALTER USER hb@'%' ACCOUNT UNLOCK".to_owned(), ErrorKind::Auth),
    ];
    let read_only = if flavour == Flavour::Mysql { "transaction_read_only" } else { "tx_read_only" };
    faults.push((
        format!("SET GLOBAL {read_only} = 1"),
        format!("SET GLOBAL {read_only} = 0"),
        ErrorKind::ReadOnlySetting,
    ));
    faults.push(("SET GLOBAL read_only = 1".to_owned(), "SET GLOBAL read_only = 0".to_owned(), ErrorKind::NotWritable));
    faults
}

#[tokio::test]
async fn each_fault_of_the_objects_has_its_kind_and_heals() {
    for flavour in Flavour::ALL {
        let (server, target) = provisioned(flavour).await;
        // Opened before the faults: some of them would keep an administrator out, too.
        let mut admin = server.connect().await;
        for (fault, cure, kind) in faults(flavour) {
            execute(&mut admin, &fault).await;
            let mut holder = None;
            match kind {
                ErrorKind::DuplicateRows => execute(&mut admin, &format!("INSERT INTO {TABLE} (id) VALUES (1)")).await,
                ErrorKind::Limit => holder = Some(server.connect_as("hb", "hb-password").await.unwrap()),
                _ => {}
            }
            assert_eq!(failure(&target).await, kind, "{flavour:?}: {fault}");
            drop(holder);
            if kind == ErrorKind::DuplicateRows {
                execute(&mut admin, &format!("DELETE FROM {TABLE} LIMIT 1")).await;
            }
            execute(&mut admin, &cure).await;
            let healed = beat(&target, Writing::Always).await;
            let healed = healed.map(|beat| beat.outcome).map_err(|error| error.to_string());
            assert_eq!(healed, Ok(BeatOutcome::Written), "{flavour:?}: {cure}");
        }
        // Where the account may see whether the schema is there.
        server.execute("GRANT SELECT, UPDATE ON *.* TO hb@'%'").await;
        server.execute("DROP DATABASE streamkap").await;
        assert_eq!(failure(&target).await, ErrorKind::MissingSchema, "{flavour:?}");
        assert_eq!(failure(&at(&server.url("hb", "wrong"), &target)).await, ErrorKind::Auth);
        let nowhere = format!("mysql://hb:hb-password@127.0.0.1:{}/nowhere", server.port());
        assert_eq!(failure(&at(&nowhere, &target)).await, ErrorKind::MissingDatabase);
        assert_eq!(failure(&at("mysql://hb@no-such-host.invalid/x", &target)).await, ErrorKind::Name);
        assert_eq!(failure(&at("mysql://hb@%2Fnonexistent/x", &target)).await, ErrorKind::Refused);
    }
}

#[tokio::test]
async fn a_held_lock_ends_the_beat_on_the_server_before_its_caller_gives_up() {
    for flavour in Flavour::ALL {
        let (server, target) = provisioned(flavour).await;
        let mut holder = server.connect().await;
        for (lock, release) in [
            (format!("UPDATE {TABLE} SET text = 'held'"), "ROLLBACK"),
            (format!("LOCK TABLES {TABLE} WRITE"), "UNLOCK TABLES"),
            ("FLUSH TABLES WITH READ LOCK".to_owned(), "UNLOCK TABLES"),
        ] {
            execute(&mut holder, "SET autocommit = 0").await;
            execute(&mut holder, &lock).await;
            let mut session = crate::bench::driver::open(&target, Purpose::Beat, None, secs(2)).await.unwrap();
            let failed = report(session.as_mut(), Writing::Always, secs(3)).await.unwrap_err();
            assert_eq!(failed.kind(), ErrorKind::Lock, "{flavour:?} {lock}: {failed}");
            let left = "SELECT ID, STATE FROM information_schema.PROCESSLIST WHERE INFO LIKE 'UPDATE%'";
            // It has answered, and may still be putting its things away.
            eventually(secs(1), "the statement to be gone from the server", async || {
                let left = rows(&mut holder, left).await.unwrap();
                if left.is_empty() { Ok(()) } else { Err(format!("left behind: {left:?}")) }
            })
            .await;
            execute(&mut holder, release).await;
            execute(&mut holder, "ROLLBACK").await;
        }
    }
}

#[tokio::test]
async fn a_beat_after_a_slow_login_ends_on_the_server_before_its_caller_gives_up_and_the_next_has_all_of_its_time() {
    for flavour in Flavour::ALL {
        let (server, target) = provisioned(flavour).await;
        let mut holder = server.connect().await;
        execute(&mut holder, &format!("BEGIN; UPDATE {TABLE} SET text = 'held'")).await;
        let (left, timeout) = (secs(4), secs(10));
        let mut session = open_with_left(&target, Purpose::Beat, None, left, timeout).await.unwrap();
        let failed = report(session.as_mut(), Writing::Always, left).await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Lock, "{flavour:?}: {failed}");
        let began = std::time::Instant::now();
        let failed = report(session.as_mut(), Writing::Always, timeout).await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Lock, "{flavour:?}: {failed}");
        assert!(began.elapsed() > secs(4), "{flavour:?}: given up after {:?} of {timeout:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_connection_that_was_ended_is_told_by_its_kind() {
    for flavour in Flavour::ALL {
        let (server, target) = provisioned(flavour).await;
        let mut session = session(&target).await;
        let id = server.number("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'hb'").await;
        server.execute(&format!("KILL {id}")).await;
        let failed = report(session.as_mut(), Writing::Always, secs(5)).await.unwrap_err();
        assert!(matches!(failed.kind(), ErrorKind::Shutdown | ErrorKind::Network), "{flavour:?}: {failed}");
    }
}
