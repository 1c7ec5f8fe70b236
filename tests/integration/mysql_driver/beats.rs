//! What a beat writes, when it writes, and that the binary log contains it.

use heartbeatd::heartbeat::{BeatOutcome, ErrorKind, Stamp, Writing, judge};
use heartbeatd::target::Target;

use super::{TABLE, lay, provisioned};
use crate::bench::driver::{MINUTE, TIME, WHEN_STALE, at, beat, report, session, target};
use crate::bench::mysql::session::{execute, rows};
use crate::bench::{Flavour, MysqlServer, eventually, secs};

/// The session's own view of the row, in seconds from the server's clock.
const AGE: &str = "SELECT TIMESTAMPDIFF(SECOND, last_update, UTC_TIMESTAMP()) FROM streamkap.streamkap_heartbeat";

#[tokio::test]
async fn a_beat_is_one_statement_that_writes_one_event_of_a_new_value() {
    for flavour in Flavour::ALL {
        let server = MysqlServer::options().flavour(flavour).general_log().start().await;
        lay(&server).await;
        let target = target(&server.url("hb", "hb-password"));
        let mut session = session(&target).await;
        let mut last = report(session.as_mut(), Writing::Always, TIME).await.unwrap();
        let (statements, events) = (server.statements_of("hb").len(), events(&server).await);
        // Several within one second: each is a second later than the one before, until the value is too far ahead.
        for _ in 0..5 {
            let now = report(session.as_mut(), Writing::Always, TIME).await.unwrap();
            assert_eq!((now.seen, now.changed, now.previous), (1, 1, last.value), "{flavour:?}");
            assert!(now.value > now.previous, "{now:?}");
            let off = now.server_time.unwrap().micros_since(now.value.unwrap());
            assert!((-7_000_000..=1_500_000).contains(&off), "{off} µs");
            last = now;
        }
        let statements = server.statements_of("hb")[statements..].to_vec();
        assert!(statements.iter().all(|text| text.starts_with("UPDATE /* heartbeatd:test */")), "{statements:?}");
        assert_eq!(statements.len(), 5, "{flavour:?}");
        assert_eq!(self::events(&server).await - events, 5, "{flavour:?}");
        session.close().await;
    }
}

async fn events(server: &MysqlServer) -> usize {
    server.update_rows_events("streamkap", "streamkap_heartbeat").await
}

#[tokio::test]
async fn the_value_is_utc_whatever_the_zone_of_the_server_and_the_type_of_the_column() {
    for flavour in Flavour::ALL {
        let server = MysqlServer::options().flavour(flavour).conf("default_time_zone = '+09:00'").start().await;
        lay(&server).await;
        let target = target(&server.url("hb", "hb-password"));
        for kind in ["TIMESTAMP NULL", "TIMESTAMP(6) NULL", "DATETIME", "DATETIME(6) NOT NULL"] {
            server.execute(&format!("ALTER TABLE {TABLE} MODIFY last_update {kind}")).await;
            let beat = beat(&target, Writing::Always).await.unwrap();
            let age = shown(&server, AGE).await;
            assert!((-7..=1).contains(&age), "{flavour:?} {kind}: {age} s");
            let off = beat.server_time.unwrap().micros_since(beat.value.unwrap());
            assert!((-7_000_000..=1_500_000).contains(&off), "{flavour:?} {kind}: {off} µs");
        }
    }
}

/// A number as a session in UTC reads it.
async fn shown(server: &MysqlServer, sql: &str) -> i64 {
    let mut session = server.connect().await;
    execute(&mut session, "SET time_zone = '+00:00'").await;
    rows(&mut session, sql).await.unwrap()[0][0].as_deref().unwrap().parse().unwrap()
}

/// Sets the value, either as a distance in seconds from the server's clock or as an expression.
async fn put(server: &MysqlServer, value: &str) {
    let mut session = server.connect().await;
    execute(&mut session, "SET time_zone = '+00:00', sql_mode = ''").await;
    execute(&mut session, &format!("UPDATE {TABLE} SET last_update = {value}")).await;
}

#[tokio::test]
async fn what_is_stale_is_decided_by_the_database() {
    for flavour in Flavour::ALL {
        let (server, target) = provisioned(flavour).await;
        server.execute(&format!("ALTER TABLE {TABLE} MODIFY last_update DATETIME(6) NULL")).await;
        let mut session = session(&target).await;
        // The value, and whether the first look writes.
        for (value, writes) in [
            ("NULL", true),
            ("'0000-00-00'", true),
            ("'1000-01-01'", true),
            ("'9999-12-31 23:59:59'", true),
            ("UTC_TIMESTAMP() - INTERVAL 30 SECOND", false),
            ("UTC_TIMESTAMP() - INTERVAL 50 SECOND", true),
            // Another writer in the same second leaves it a second ahead.
            ("UTC_TIMESTAMP() + INTERVAL 2 SECOND", false),
            ("UTC_TIMESTAMP() + INTERVAL 5 MINUTE", true),
            // Writers in other time zones.
            ("UTC_TIMESTAMP() + INTERVAL 2 HOUR", false),
            ("UTC_TIMESTAMP() - INTERVAL 330 MINUTE", false),
            ("UTC_TIMESTAMP() + INTERVAL 20 HOUR", true),
        ] {
            put(&server, value).await;
            let report = report(session.as_mut(), WHEN_STALE, TIME).await.unwrap();
            assert_eq!((report.seen, report.stale, report.changed == 1), (1, writes, writes), "{value}: {report:?}");
        }
        // A value that has not changed since the last look is stale, however young it is.
        let value = report(session.as_mut(), Writing::Always, TIME).await.unwrap().value;
        let again = Writing::WhenStale { last_seen: value, period: MINUTE };
        assert_eq!(report(session.as_mut(), again, TIME).await.unwrap().changed, 1);
        let changed = Writing::WhenStale { last_seen: Some(Stamp(1_000_000)), period: MINUTE };
        assert_eq!(report(session.as_mut(), changed, TIME).await.unwrap().changed, 0);
    }
}

#[tokio::test]
async fn a_fresh_row_costs_no_byte_of_the_binary_log() {
    for flavour in Flavour::ALL {
        let (server, target) = provisioned(flavour).await;
        let mut session = session(&target).await;
        report(session.as_mut(), Writing::Always, TIME).await.unwrap();
        let before = log_position(&server).await;
        let fresh = report(session.as_mut(), WHEN_STALE, TIME).await.unwrap();
        let looked = report(session.as_mut(), Writing::Never, TIME).await.unwrap();
        assert_eq!((fresh.seen, fresh.changed, fresh.value), (1, 0, looked.value), "{flavour:?}");
        assert_eq!(log_position(&server).await, before, "{flavour:?}");
    }
}

async fn log_position(server: &MysqlServer) -> Vec<Vec<Option<String>>> {
    let rows = server.rows("SHOW BINARY LOGS").await;
    rows.into_iter().map(|row| row.into_iter().take(2).collect()).collect()
}

#[tokio::test]
async fn of_two_daemons_that_find_the_row_stale_one_writes() {
    for flavour in [Flavour::Mariadb, Flavour::Mysql] {
        let (server, target) = provisioned(flavour).await;
        let (mut a, mut b) = (session(&target).await, session(&target).await);
        for minute in 10..30 {
            put(&server, &format!("'2020-01-01 00:{minute}:00'")).await;
            let (a, b) = tokio::join!(report(a.as_mut(), WHEN_STALE, TIME), report(b.as_mut(), WHEN_STALE, TIME));
            assert_eq!(a.unwrap().changed + b.unwrap().changed, 1, "{flavour:?}");
        }
    }
}

#[tokio::test]
async fn a_daemon_that_waits_for_the_other_judges_the_new_value() {
    for flavour in [Flavour::Mariadb, Flavour::Mysql] {
        let (server, target) = provisioned(flavour).await;
        let mut session = session(&target).await;
        put(&server, "'2020-01-01 00:07:00'").await;
        let mut other = server.connect().await;
        execute(&mut other, "SET time_zone = '+00:00', autocommit = 0").await;
        execute(&mut other, &format!("UPDATE {TABLE} SET last_update = UTC_TIMESTAMP()")).await;
        let (report, ()) = tokio::join!(report(session.as_mut(), WHEN_STALE, TIME), async {
            eventually(secs(5), "the beat to wait for the row", async || {
                // INNODB_TRX also shows the lock, but returns cached data if it is queried often.
                let waiting = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'UPDATE /*%'";
                match server.number(waiting).await {
                    0 => Err("no session waits".to_owned()),
                    _ => Ok(()),
                }
            })
            .await;
            execute(&mut other, "COMMIT").await;
        });
        let report = report.unwrap();
        assert_eq!((report.seen, report.stale, report.changed), (1, false, 0), "{flavour:?}");
    }
}

#[tokio::test]
async fn a_value_far_ahead_is_set_back_and_one_just_ahead_is_exceeded() {
    for flavour in Flavour::ALL {
        let (server, target) = provisioned(flavour).await;
        for (ahead, expected) in [(3, 4), (3_600, 0), (-3_600, 0)] {
            // The login may take long, and the value must still be ahead.
            let mut session = session(&target).await;
            put(&server, &format!("UTC_TIMESTAMP() + INTERVAL {ahead} SECOND")).await;
            let report = report(session.as_mut(), Writing::Always, TIME).await.unwrap();
            let beat = judge(&report, Writing::Always, true).unwrap();
            let off = beat.value.unwrap().micros_since(beat.server_time.unwrap()) / 1_000_000;
            assert!((expected - 2..=expected + 1).contains(&off), "{flavour:?}: {ahead} s ahead gave {off} s");
            assert_ne!(beat.value, beat.previous);
        }
    }
}

/// In Berlin the hour from 2:00 to 3:00 of 25 October 2026 occurs twice. A beat in it must differ from one an hour
/// before. An account may set the clock of its own session, and the test does so.
#[tokio::test]
async fn the_hour_that_comes_twice_is_not_confused() {
    for flavour in Flavour::ALL {
        let server = MysqlServer::options().flavour(flavour).system_time_zone("Europe/Berlin").start().await;
        lay(&server).await;
        // Every new session of an ordinary account begins with this: a time in the first of the two hours.
        for second_pass in [0, 3_600] {
            let moment = 1_792_888_200 + second_pass;
            server.set_global("init_connect", &format!("'SET timestamp = {moment}'")).await;
            let target = target(&server.url("hb", "hb-password"));
            let beat = beat(&target, Writing::Always).await.unwrap();
            assert_eq!(beat.value, Some(Stamp(moment * 1_000_000)), "{flavour:?}");
            let stored = server.number(&format!("SELECT UNIX_TIMESTAMP(last_update) FROM {TABLE}")).await;
            assert_eq!(stored, moment, "{flavour:?}");
        }
    }
}

#[tokio::test]
async fn a_trigger_of_the_table_does_not_hide_what_a_beat_did() {
    for flavour in Flavour::ALL {
        let (server, target) = provisioned(flavour).await;
        server.execute(&trigger("NEW.text = 'seen'")).await;
        let mut session = session(&target).await;
        let first = report(session.as_mut(), Writing::Always, TIME).await.unwrap();
        let second = report(session.as_mut(), Writing::Always, TIME).await.unwrap();
        assert_eq!((second.changed, second.previous), (1, first.value), "{flavour:?}");
        assert!(second.value > first.value);
        // A later trigger that sets the value back is detected by the same beat.
        server.execute("DROP TRIGGER streamkap.t").await;
        report(session.as_mut(), Writing::Always, TIME).await.unwrap();
        // An audit table with its own numbers.
        server.execute("CREATE TABLE streamkap.audit (n INT AUTO_INCREMENT PRIMARY KEY, at TIMESTAMP NULL)").await;
        server
            .execute(&format!(
                "CREATE TRIGGER streamkap.t AFTER UPDATE ON {TABLE} FOR EACH ROW INSERT INTO streamkap.audit (at) VALUES \
                 (NEW.last_update)"
            ))
            .await;
        let audited = report(session.as_mut(), Writing::Always, TIME).await.unwrap();
        assert_eq!((audited.seen, audited.changed), (1, 1), "{flavour:?}: {audited:?}");
        assert!(audited.value > audited.previous);
        server.execute("DROP TRIGGER streamkap.t").await;
        report(session.as_mut(), Writing::Always, TIME).await.unwrap();
        server.execute(&trigger("NEW.last_update = OLD.last_update")).await;
        let third = report(session.as_mut(), Writing::Always, TIME).await.unwrap();
        let failure = judge(&third, Writing::Always, false).unwrap_err();
        assert_eq!(failure.kind(), ErrorKind::RowNotUpdatable, "{flavour:?}: {third:?}");
    }
}

fn trigger(set: &str) -> String {
    format!("CREATE TRIGGER streamkap.t BEFORE UPDATE ON {TABLE} FOR EACH ROW SET {set}")
}

/// An ordinary account would get an error. This account can write despite `read_only`, unless the statement itself
/// checks it.
#[tokio::test]
async fn a_privileged_account_writes_nothing_on_a_server_that_became_read_only() {
    for flavour in Flavour::ALL {
        let (server, target) = provisioned(flavour).await;
        let target: Target = at(&server.admin_url(), &target);
        let mut session = session(&target).await;
        report(session.as_mut(), Writing::Always, TIME).await.unwrap();
        server.set_global("read_only", "1").await;
        let before = log_position(&server).await;
        for writing in [Writing::Always, WHEN_STALE] {
            let failed = report(session.as_mut(), writing, TIME).await.unwrap_err();
            assert_eq!(failed.kind(), ErrorKind::NotWritable, "{flavour:?}: {failed}");
        }
        assert_eq!(log_position(&server).await, before, "{flavour:?}");
        server.set_global("read_only", "0").await;
        assert_eq!(beat(&target, Writing::Always).await.unwrap().outcome, BeatOutcome::Written);
    }
}

#[tokio::test]
async fn a_session_that_would_not_be_logged_writes_nothing_and_says_why() {
    for (flavour, privilege) in [(Flavour::Mariadb, "BINLOG ADMIN"), (Flavour::Mysql, "SESSION_VARIABLES_ADMIN")] {
        let (server, target) = provisioned(flavour).await;
        server.execute(&format!("GRANT {privilege} ON *.* TO hb@'%'")).await;
        server.set_global("init_connect", "'SET sql_log_bin = 0'").await;
        let failure = beat(&target, Writing::Always).await.unwrap_err();
        assert_eq!(failure.kind(), ErrorKind::Settings, "{flavour:?}: {failure}");
        assert!(failure.message().contains("sql_log_bin"), "{failure}");
        server.set_global("init_connect", "'SET autocommit = 0'").await;
        assert_eq!(beat(&target, Writing::Always).await.unwrap().outcome, BeatOutcome::Written);
        assert_eq!(events(&server).await, 1, "{flavour:?}");
    }
}

#[tokio::test]
async fn a_beat_is_a_row_event_even_where_statements_are_logged() {
    let (server, target) = provisioned(Flavour::Mariadb).await;
    server.set_global("binlog_format", "MIXED").await;
    beat(&target, Writing::Always).await.unwrap();
    assert_eq!(events(&server).await, 1);
}
