//! Triggers and views that fail for their own reasons, on MariaDB and MySQL. They are reported as the cause, by name if
//! the account may see the name.

use heartbeatd::heartbeat::{BeatOutcome, ErrorKind, Writing};
use heartbeatd::remedy::Remedy;
use heartbeatd::target::Target;

use crate::bench::beating_daemon::ROLE;
use crate::bench::driver::{beat, failure_of, target};
use crate::bench::mysql_scene::{TABLE, furniture, on_each};
use crate::bench::{Flavour, MysqlServer, mysql_client};

async fn furnished(flavour: Flavour) -> (MysqlServer, Target) {
    let server = MysqlServer::options().flavour(flavour).start().await;
    server.execute(&format!("CREATE USER {ROLE} IDENTIFIED BY 'hb'; {}", furniture("streamkap"))).await;
    server.execute("CREATE TABLE streamkap.seen (n INT)").await;
    let target = target(&server.url(ROLE, "hb"));
    (server, target)
}

/// The statement that breaks the trigger, and the server's error number.
const FAULTS: &[(&str, &str, &str)] = &[
    ("SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no beats here'", "", "1644"),
    ("INSERT INTO streamkap.seen VALUES (1)", "DROP TABLE streamkap.seen", "1146"),
    ("INSERT INTO nowhere.seen VALUES (1)", "DROP DATABASE nowhere", "1146"),
    ("INSERT INTO streamkap.seen (n) VALUES (1)", "ALTER TABLE streamkap.seen CHANGE n m INT", "1054"),
    ("UPDATE streamkap.streamkap_heartbeat SET text = 'me too'", "", "1442"),
    ("CALL streamkap.note()", "DROP PROCEDURE streamkap.note", "1305"),
    ("INSERT INTO streamkap.seen VALUES (1)", "DROP USER maker", "1449"),
    ("INSERT INTO streamkap.seen VALUES (1)", "REVOKE ALL ON streamkap.seen FROM maker", "1142"),
];

#[tokio::test]
async fn a_trigger_that_fails_is_reported_by_its_name_and_not_as_our_missing_table_or_privilege() {
    on_each(&Flavour::ALL, async |flavour| {
        let (server, target) = furnished(flavour).await;
        for shown in [false, true] {
            if shown {
                server.execute(&format!("GRANT TRIGGER ON {TABLE} TO {ROLE}")).await;
            }
            for (body, spoil, code) in FAULTS {
                server
                    .execute(&format!(
                        "CREATE DATABASE IF NOT EXISTS nowhere; CREATE TABLE IF NOT EXISTS nowhere.seen (n INT);
                         DROP TABLE IF EXISTS streamkap.seen; CREATE TABLE streamkap.seen (n INT);
                         DROP PROCEDURE IF EXISTS streamkap.note; CREATE PROCEDURE streamkap.note() DO 1;
                         CREATE USER IF NOT EXISTS maker; GRANT ALL ON *.* TO maker; REVOKE ALL ON *.* FROM maker;
                         GRANT TRIGGER, SELECT, UPDATE ON {TABLE} TO maker; GRANT ALL ON nowhere.* TO maker;
                         GRANT ALL ON streamkap.seen TO maker; GRANT EXECUTE ON streamkap.* TO maker;
                         DROP TRIGGER IF EXISTS streamkap.`the trigger`;
                         CREATE DEFINER = maker TRIGGER streamkap.`the trigger` BEFORE UPDATE ON {TABLE} FOR EACH ROW {body}"
                    ))
                    .await;
                assert_eq!(beat(&target, Writing::Always).await.is_ok(), spoil != &"", "{flavour:?} {body}");
                if !spoil.is_empty() {
                    server.execute(spoil).await;
                }
                let failure = failure_of(&target).await;
                let told = format!("{flavour:?} {body}, {spoil}: {failure:?}");
                assert_eq!((failure.kind(), failure.code()), (ErrorKind::Rejected, Some(*code)), "{told}");
                let remedy = failure.remedy().unwrap().to_string();
                assert!(!remedy.contains("heartbeatd provision") && !remedy.contains("GRANT SELECT, INSERT"), "{told}");
                // MariaDB names a trigger to everyone who may use the table, but its definer only to those who may see
                // triggers.
                let named = shown || flavour == Flavour::Mariadb;
                assert_eq!(remedy.contains("SHOW CREATE TRIGGER `streamkap`.`the trigger`;"), named, "{told}");
                assert!(named || remedy.contains("SHOW TRIGGERS FROM `streamkap`"), "{told}");
                assert_eq!(remedy.contains("`maker`@`%`"), shown, "{told}");
                server.execute(&failure.remedy().and_then(Remedy::script).unwrap().to_string()).await;
                server.execute("DROP TRIGGER streamkap.`the trigger`").await;
                let healed = beat(&target, Writing::Always).await.unwrap().outcome;
                assert_eq!(healed, BeatOutcome::Written, "{flavour:?} {body}");
            }
        }
        // Our own missing table or privilege is still reported as before.
        server.execute(&format!("REVOKE UPDATE ON {TABLE} FROM {ROLE}")).await;
        assert_eq!(failure_of(&target).await.kind(), ErrorKind::Privilege, "{flavour:?}");
        server.execute(&format!("GRANT UPDATE ON {TABLE} TO {ROLE}; RENAME TABLE {TABLE} TO streamkap.gone")).await;
        assert_eq!(failure_of(&target).await.kind(), ErrorKind::MissingTable, "{flavour:?}");
    })
    .await;
}

/// Errors of the table itself, and the server's number.
const OBJECTIONS: &[(Flavour, &str, &str)] = &[
    (Flavour::Mariadb, "ADD CONSTRAINT old CHECK (last_update < '2021-01-01')", "4025"),
    (Flavour::Mysql, "ADD CONSTRAINT old CHECK (last_update < '2021-01-01')", "3819"),
];

#[tokio::test]
async fn a_trigger_that_does_what_it_should_is_not_blamed_for_what_the_table_refuses() {
    for (flavour, objection, code) in OBJECTIONS {
        let (server, target) = furnished(*flavour).await;
        server
            .execute(&format!(
                "GRANT TRIGGER ON {TABLE} TO {ROLE};
                 CREATE TRIGGER streamkap.harmless BEFORE UPDATE ON {TABLE} FOR EACH ROW INSERT INTO streamkap.seen VALUES (1)"
            ))
            .await;
        assert_eq!(beat(&target, Writing::Always).await.unwrap().outcome, BeatOutcome::Written, "{flavour:?}");
        server
            .execute(&format!("UPDATE {TABLE} SET last_update = '2020-01-01'; ALTER TABLE {TABLE} {objection}"))
            .await;
        let failure = failure_of(&target).await;
        let told = format!("{flavour:?}: {failure:?}");
        assert_eq!((failure.kind(), failure.code()), (ErrorKind::Rejected, Some(*code)), "{told}");
        let remedy = failure.remedy().unwrap().to_string();
        assert!(remedy.contains("SHOW CREATE TABLE `streamkap`.`streamkap_heartbeat`;"), "{told}");
        assert!(remedy.contains("SHOW CREATE TRIGGER `streamkap`.`harmless`;"), "{told}");
        assert!(!remedy.contains("DROP"), "{told}");
        mysql_client(&server, format!("{}\n", failure.remedy().and_then(Remedy::script).unwrap())).await;
    }
}

#[tokio::test]
async fn a_view_in_the_tables_place_is_reported_if_its_definer_is_gone() {
    on_each(&Flavour::ALL, async |flavour| {
        let (server, target) = furnished(flavour).await;
        server
            .execute(&format!(
                "CREATE USER maker; GRANT ALL ON streamkap.* TO maker; RENAME TABLE {TABLE} TO streamkap.rows_of_it;
                 CREATE DEFINER = maker VIEW {TABLE} AS SELECT * FROM streamkap.rows_of_it"
            ))
            .await;
        assert_eq!(beat(&target, Writing::Always).await.unwrap().outcome, BeatOutcome::Written, "{flavour:?}");
        server.execute("DROP USER maker").await;
        let failure = failure_of(&target).await;
        let told = format!("{flavour:?}: {failure:?}");
        assert_eq!(failure.kind(), ErrorKind::Rejected, "{told}");
        let remedy = failure.remedy().unwrap().to_string();
        assert!(remedy.contains("the view") && remedy.contains("`maker`@`%`"), "{told}");
        server.execute(&failure.remedy().and_then(Remedy::script).unwrap().to_string()).await;
        server.execute("GRANT ALL ON streamkap.* TO maker").await;
        assert_eq!(beat(&target, Writing::Always).await.unwrap().outcome, BeatOutcome::Written, "{flavour:?}");
    })
    .await;
}
