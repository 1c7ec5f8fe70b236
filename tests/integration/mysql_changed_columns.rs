//! A column that changes while its connection stays open, and the end of TIMESTAMP's range, on MariaDB and MySQL: no
//! beat is reported that the binary log does not contain.

use heartbeatd::driver::Session;
use heartbeatd::heartbeat::{Beat, ErrorKind, Failure, Writing, judge};
use heartbeatd::remedy::{Remedy, Script};
use heartbeatd::target::Target;

use crate::bench::beating_daemon::ROLE;
use crate::bench::driver::{TIME, beat, report, session, target};
use crate::bench::mysql::session::execute;
use crate::bench::mysql_scene::{TABLE, furniture, on_each};
use crate::bench::{Flavour, MysqlServer};

const PASSWORD: &str = "hb-password";

async fn furnished(flavour: Flavour, conf: &[&str]) -> (MysqlServer, Target) {
    let options = MysqlServer::options().flavour(flavour);
    let server = conf.iter().fold(options, |options, line| options.conf(line)).start().await;
    server.execute(&format!("CREATE USER {ROLE} IDENTIFIED BY '{PASSWORD}'; {}", furniture("streamkap"))).await;
    let target = target(&server.url(ROLE, PASSWORD));
    (server, target)
}

async fn beat_in(session: &mut dyn Session) -> Result<Beat, Failure> {
    let report = report(session, Writing::Always, TIME).await?;
    judge(&report, Writing::Always, false)
}

async fn logged(server: &MysqlServer) -> usize {
    server.update_rows_events("streamkap", "streamkap_heartbeat").await
}

/// Types, and whether beats can continue with them.
const TYPES: &[(&str, Option<bool>)] = &[
    ("DATETIME", Some(true)),
    ("DATETIME(6)", Some(true)),
    ("TIMESTAMP(3) NULL", Some(true)),
    ("DATE", Some(false)),
    ("YEAR", Some(false)),
    ("INT", Some(false)),
    ("VARCHAR(10)", Some(false)),
    // As long as the server can read it as a time that changes.
    ("VARCHAR(40)", None),
    ("TEXT", None),
    ("TIME", None),
    ("BIGINT", None),
    ("DOUBLE", None),
];

#[tokio::test]
async fn a_beat_that_a_changed_column_did_not_store_is_never_reported_as_success() {
    on_each(&Flavour::ALL, async |flavour| {
        for sql_mode in ["STRICT_TRANS_TABLES", ""] {
            let (server, target) = furnished(flavour, &[]).await;
            server.set_global("sql_mode", &format!("'{sql_mode}'")).await;
            let mut admin = server.connect().await;
            execute(&mut admin, "SET sql_mode = ''").await;
            for (kind, goes_on) in TYPES {
                execute(&mut admin, &format!("ALTER TABLE {TABLE} DROP last_update, ADD last_update TIMESTAMP NULL"))
                    .await;
                let mut kept = session(&target).await;
                for _ in 0..2 {
                    beat_in(kept.as_mut()).await.unwrap();
                }
                execute(&mut admin, &format!("ALTER TABLE {TABLE} MODIFY last_update {kind}")).await;
                let (mut claimed, before) = (0, logged(&server).await);
                let mut failed = None;
                while claimed < 3 && failed.is_none() {
                    match beat_in(kept.as_mut()).await {
                        Ok(_) => claimed += 1,
                        Err(failure) => failed = Some(failure),
                    }
                    let events = logged(&server).await - before;
                    assert!(claimed <= events, "{flavour:?} {sql_mode} {kind}: {claimed} claimed, {events} logged");
                }
                if let Some(failure) = &failed {
                    assert_eq!(failure.kind(), ErrorKind::ColumnType, "{flavour:?} {sql_mode} {kind}: {failure}");
                }
                match goes_on {
                    Some(true) => assert_eq!((claimed, failed.is_none()), (3, true), "{flavour:?} {kind}: {failed:?}"),
                    Some(false) => assert_eq!((claimed, failed.is_some()), (0, true), "{flavour:?} {kind}"),
                    None => {}
                }
                // The next connection reads the type.
                let anew = beat(&target, Writing::Always).await.map_err(|failure| failure.kind());
                assert_eq!(anew.is_ok(), *goes_on == Some(true), "{flavour:?} {kind}: {anew:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_writer_that_keeps_setting_the_row_back_costs_one_query_of_the_type() {
    on_each(&[Flavour::Mariadb, Flavour::Mysql], async |flavour| {
        let server = MysqlServer::options().flavour(flavour).general_log().start().await;
        server.execute(&format!("CREATE USER {ROLE} IDENTIFIED BY '{PASSWORD}'; {}", furniture("streamkap"))).await;
        let target = target(&server.url(ROLE, PASSWORD));
        let mut kept = session(&target).await;
        let asked = || server.statements_of(ROLE).iter().filter(|sql| sql.starts_with("SELECT DATA_TYPE")).count();
        beat_in(kept.as_mut()).await.unwrap();
        let at_login = asked();
        for _ in 0..4 {
            // A writer whose clock shows New York's time does this.
            server.execute(&format!("UPDATE {TABLE} SET last_update = last_update - INTERVAL 5 HOUR")).await;
            beat_in(kept.as_mut()).await.unwrap();
        }
        assert_eq!(asked() - at_login, 1, "{flavour:?}: {:?}", server.statements_of(ROLE));
    })
    .await;
}

#[tokio::test]
async fn a_beat_beyond_timestamps_range_fails_and_names_datetime_and_leaves_the_value() {
    on_each(&Flavour::ALL, async |flavour| {
        // Sessions whose time stops just before the end of 31 bits of seconds.
        let (server, target) = furnished(flavour, &["init_connect = 'SET timestamp = 2147483646'"]).await;
        let value = || server.value("SET time_zone = '+00:00'; SELECT last_update FROM streamkap.streamkap_heartbeat");
        let mut kept = session(&target).await;
        for second in ["06", "07"] {
            beat_in(kept.as_mut()).await.unwrap();
            assert_eq!(value().await.as_deref(), Some(&*format!("2038-01-19 03:14:{second}")), "{flavour:?}");
        }
        let logged_before = logged(&server).await;
        let ended = beat_in(kept.as_mut()).await.unwrap_err();
        assert_eq!(ended.kind(), ErrorKind::ColumnType, "{flavour:?}: {ended}");
        let ended = crate::bench::driver::with_drivers_remedy(&target, ended);
        let script = ended.remedy().and_then(Remedy::script).map(Script::text).unwrap().to_owned();
        assert!(script.contains("MODIFY last_update datetime"), "{flavour:?}: {ended:?}");
        assert_eq!(logged(&server).await, logged_before, "{flavour:?}");
        assert_eq!(value().await.as_deref(), Some("2038-01-19 03:14:07"), "{flavour:?}");
        drop(kept);

        // DATETIME helps if the server itself supports later times.
        server.execute(&script).await;
        let later = beat(&target, Writing::Always).await;
        assert_eq!(later.is_ok(), flavour == Flavour::Mysql, "{flavour:?}: {later:?}");
    })
    .await;
}
