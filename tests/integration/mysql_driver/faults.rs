//! Faults of the objects, each with its kind, and each heals by itself.

use heartbeatd::driver::Purpose;
use heartbeatd::heartbeat::{BeatOutcome, ErrorKind, Writing};

use super::{TABLE, provisioned};
use crate::bench::driver::{at, beat, failed, failure, open_with_left, report, session};
use crate::bench::mysql::session::{execute, rows};
use crate::bench::{Flavour, eventually, secs};

/// A fault of the objects, the kind of its failure, and SQL that repairs the rest after its remedy was pasted.
struct Fault {
    seed: String,
    kind: ErrorKind,
    /// Whether the pasted remedy alone ends the failure.
    ends: bool,
    then: String,
}

fn fault(seed: impl Into<String>, kind: ErrorKind, then: impl Into<String>) -> Fault {
    Fault { seed: seed.into(), kind, ends: false, then: then.into() }
}

impl Fault {
    fn ends_with_its_remedy(self) -> Self {
        Self { ends: true, ..self }
    }
}

fn faults(flavour: Flavour) -> Vec<Fault> {
    let trigger = |body: &str| format!("CREATE TRIGGER streamkap.t BEFORE UPDATE ON {TABLE} FOR EACH ROW {body}");
    let no_trigger = "DROP TRIGGER streamkap.t";
    let read_only = if flavour == Flavour::Mysql { "transaction_read_only" } else { "tx_read_only" };
    vec![
        fault(format!("REVOKE UPDATE ON {TABLE} FROM hb@'%'"), ErrorKind::Privilege, "").ends_with_its_remedy(),
        fault(format!("REVOKE SELECT ON {TABLE} FROM hb@'%'"), ErrorKind::Privilege, "").ends_with_its_remedy(),
        fault(
            format!("RENAME TABLE {TABLE} TO streamkap.gone"),
            ErrorKind::MissingTable,
            format!("RENAME TABLE streamkap.gone TO {TABLE}"),
        ),
        fault(
            format!("ALTER TABLE {TABLE} CHANGE last_update gone TIMESTAMP NULL"),
            ErrorKind::MissingColumn,
            format!("ALTER TABLE {TABLE} DROP COLUMN gone"),
        )
        .ends_with_its_remedy(),
        fault(
            format!("ALTER TABLE {TABLE} MODIFY last_update TEXT"),
            ErrorKind::ColumnType,
            format!(
                "RENAME TABLE streamkap.not_the_heartbeat TO {TABLE}; \
                 ALTER TABLE {TABLE} DROP last_update, ADD last_update TIMESTAMP NULL"
            ),
        ),
        fault(format!("UPDATE {TABLE} SET id = 7"), ErrorKind::MissingRow, format!("UPDATE {TABLE} SET id = 1")),
        fault(trigger("SET NEW.last_update = OLD.last_update"), ErrorKind::RowNotUpdatable, no_trigger),
        fault(trigger("SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'"), ErrorKind::Rejected, no_trigger),
        fault(
            format!(
                "ALTER TABLE {TABLE} MODIFY id INT NOT NULL, DROP PRIMARY KEY; \
                 UPDATE {TABLE} SET last_update = '2020-01-01'; \
                 ALTER TABLE {TABLE} PARTITION BY RANGE (UNIX_TIMESTAMP(last_update)) \
                 (PARTITION old VALUES LESS THAN (UNIX_TIMESTAMP('2021-01-01')))"
            ),
            ErrorKind::Rejected,
            format!("ALTER TABLE {TABLE} ADD PRIMARY KEY (id)"),
        )
        .ends_with_its_remedy(),
        fault(
            format!(
                "ALTER TABLE {TABLE} MODIFY id INT NOT NULL, DROP PRIMARY KEY, ADD COLUMN n INT; \
                 INSERT INTO {TABLE} (id) VALUES (1)"
            ),
            ErrorKind::DuplicateRows,
            format!("DELETE FROM {TABLE} LIMIT 1; ALTER TABLE {TABLE} DROP COLUMN n, ADD PRIMARY KEY (id)"),
        ),
        fault("ALTER USER hb@'%' WITH MAX_USER_CONNECTIONS 1", ErrorKind::Limit, "").ends_with_its_remedy(),
        fault(
            "ALTER USER hb@'%' IDENTIFIED BY 'other'",
            ErrorKind::Auth,
            "ALTER USER hb@'%' IDENTIFIED BY 'hb-password'",
        ),
        fault("ALTER USER hb@'%' ACCOUNT LOCK", ErrorKind::Auth, "").ends_with_its_remedy(),
        fault(format!("SET GLOBAL {read_only} = 1"), ErrorKind::ReadOnlySetting, "").ends_with_its_remedy(),
        fault("SET GLOBAL read_only = 1", ErrorKind::NotWritable, "SET GLOBAL read_only = 0"),
    ]
}

#[tokio::test]
async fn each_fault_of_the_objects_has_its_kind_and_heals() {
    for flavour in Flavour::ALL {
        let (server, target) = provisioned(flavour).await;
        // Opened before the faults, because some of them would also refuse an administrator's login.
        let mut admin = server.connect().await;
        for Fault { seed, kind, ends, then } in faults(flavour) {
            execute(&mut admin, &seed).await;
            let holder = match kind {
                ErrorKind::Limit => Some(server.connect_as("hb", "hb-password").await.unwrap()),
                _ => None,
            };
            let failed = failed(&target).await;
            assert_eq!(failed.kind, kind, "{flavour:?}: {seed}");
            drop(holder);
            // Other tests run the scripts for a shell.
            let script =
                Some(failed.script).filter(|script| failed.remedy.contains(&format!("{script} -- on the source")));
            if let Some(script) = script.filter(|script| !script.is_empty()) {
                execute(&mut admin, &script).await;
            }
            let is_written = async || {
                let outcome = beat(&target, Writing::Always).await.map(|beat| beat.outcome);
                assert_eq!(outcome.map_err(|error| error.to_string()), Ok(BeatOutcome::Written), "{flavour:?}: {seed}");
            };
            if ends {
                is_written().await;
            }
            if !then.is_empty() {
                execute(&mut admin, &then).await;
            }
            is_written().await;
        }
        // With a privilege that shows whether the schema exists.
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
            // It has answered, but may not have finished.
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
async fn an_ended_connection_is_reported_with_its_kind() {
    for flavour in Flavour::ALL {
        let (server, target) = provisioned(flavour).await;
        let mut session = session(&target).await;
        let id = server.number("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'hb'").await;
        server.execute(&format!("KILL {id}")).await;
        let failed = report(session.as_mut(), Writing::Always, secs(5)).await.unwrap_err();
        assert!(matches!(failed.kind(), ErrorKind::Shutdown | ErrorKind::Network), "{flavour:?}: {failed}");
    }
}
