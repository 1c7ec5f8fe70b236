//! One fault after another on a healthy server: exactly that finding fails, and its remedy repairs it.

use std::time::Duration;

use heartbeatd::target::WriteMode;

use super::stage::{BEAT, Stage};
use crate::bench::mysql::Flavour;
use crate::bench::seeded_faults::{Fault, Mend, fault, try_all};

const MYSQLS: &[Flavour] = &[Flavour::Mysql, Flavour::Mysql57];
const SECONDS: &[Flavour] = &[Flavour::Mariadb, Flavour::Mysql];

/// An event as the vendor's page asks for, that runs once a minute.
const EVENT_ON: &str = "SET GLOBAL event_scheduler = ON; CREATE EVENT streamkap.beat ON SCHEDULE EVERY 1 MINUTE DO \
                     UPDATE streamkap.streamkap_heartbeat SET last_update = CURRENT_TIMESTAMP WHERE id = 1";
const EVENT_OFF: &str = "SET GLOBAL event_scheduler = OFF; CREATE EVENT streamkap.beat ON SCHEDULE EVERY 1 MINUTE DO \
                         UPDATE streamkap.streamkap_heartbeat SET last_update = CURRENT_TIMESTAMP WHERE id = 1";
const DISABLED_EVENT: &str = "CREATE EVENT streamkap.beat ON SCHEDULE EVERY 1 MINUTE DISABLE ON SLAVE DO \
                              UPDATE streamkap.streamkap_heartbeat SET last_update = CURRENT_TIMESTAMP WHERE id = 1";
const OTHER_EVENT: &str = "CREATE EVENT streamkap.beat ON SCHEDULE EVERY 1 MINUTE DO \
                           UPDATE streamkap.streamkap_heartbeat SET last_update = CURRENT_TIMESTAMP WHERE id = 7";

/// The list; `T` is the heartbeat table.
fn faults() -> Vec<Fault> {
    use Mend::{Remedy, RemedyAnd, Sql, Steps};
    let no_event = "DROP EVENT streamkap.beat";
    vec![
        // --- the server
        fault("server-writable", "read_only is ON", "SET GLOBAL read_only = ON", Remedy),
        fault("server-writable", "super_read_only is ON", "SET GLOBAL super_read_only = ON", Remedy).only(MYSQLS),
        fault(
            "server-writable",
            "transaction_read_only is ON",
            "SET GLOBAL transaction_read_only = ON",
            Sql("SET SESSION TRANSACTION READ WRITE; SET GLOBAL transaction_read_only = OFF"),
        )
        .only(MYSQLS),
        // --- the binary log
        fault("binlog-format", "MIXED", "SET GLOBAL binlog_format = MIXED", Remedy),
        fault("binlog-format", "STATEMENT", "SET GLOBAL binlog_format = STATEMENT", Remedy),
        fault("binlog-row-image", "MINIMAL", "SET GLOBAL binlog_row_image = MINIMAL", Remedy),
        fault("binlog-row-value-options", "PARTIAL_JSON", "SET GLOBAL binlog_row_value_options = PARTIAL_JSON", Remedy)
            .only(&[Flavour::Mysql]),
        fault("binlog-compression", "ON", "SET GLOBAL log_bin_compress = ON", Remedy).only(&[Flavour::Mariadb]),
        fault("gtid-mode", "ON_PERMISSIVE", "SET GLOBAL gtid_mode = ON_PERMISSIVE", Steps).warns().only(MYSQLS),
        fault(
            "gtid-mode",
            "OFF, enforce_gtid_consistency OFF",
            "SET GLOBAL gtid_mode = ON_PERMISSIVE; SET GLOBAL gtid_mode = OFF_PERMISSIVE; SET GLOBAL gtid_mode = OFF; \
             SET GLOBAL enforce_gtid_consistency = OFF",
            Steps,
        )
        .warns()
        .only(MYSQLS),
        fault(
            "session-binlog",
            "sql_log_bin is off",
            "GRANT BINLOG ADMIN ON *.* TO hb@'%'; SET GLOBAL init_connect = 'SET sql_log_bin = 0'",
            Sql("SET GLOBAL init_connect = ''"),
        )
        .after("REVOKE BINLOG ADMIN ON *.* FROM hb@'%'")
        .only(&[Flavour::Mariadb]),
        fault(
            "session-binlog",
            "sql_log_bin is off",
            "GRANT SYSTEM_VARIABLES_ADMIN ON *.* TO hb@'%'; SET GLOBAL init_connect = 'SET sql_log_bin = 0'",
            Sql("SET GLOBAL init_connect = ''"),
        )
        .after("REVOKE SYSTEM_VARIABLES_ADMIN ON *.* FROM hb@'%'")
        .only(&[Flavour::Mysql]),
        // --- retention
        fault("binlog-retention", "1h", "SET GLOBAL binlog_expire_logs_seconds = 3600", Remedy).only(SECONDS),
        fault("binlog-retention", "2days", "SET GLOBAL binlog_expire_logs_seconds = 172800", Remedy)
            .warns()
            .only(SECONDS),
        fault("binlog-retention", "5days", "SET GLOBAL expire_logs_days = 5", Remedy)
            .informs()
            .only(&[Flavour::Mariadb, Flavour::Mysql57]),
        fault("retention-interval", "a beat each 4days", "DO 1", Sql("SET GLOBAL binlog_expire_logs_seconds = 0"))
            .warns()
            .with(|target| {
                target.schedule = heartbeatd::time::schedule::Schedule::Interval(Duration::from_secs(4 * 86_400));
            })
            .after("SET GLOBAL binlog_expire_logs_seconds = 2592000")
            .only(SECONDS),
        // --- events
        fault(
            "native-scheduler",
            "it beats as well (every 1 MINUTE)",
            EVENT_ON,
            RemedyAnd("DROP EVENT streamkap.beat"),
        )
        .warns()
        .after("SET GLOBAL event_scheduler = OFF"),
        fault("native-scheduler", "event_scheduler is OFF", EVENT_OFF, Remedy).informs().after(no_event),
        fault("native-scheduler", "event_scheduler is OFF", EVENT_OFF, RemedyAnd(BEAT))
            .warns()
            .with(|target| target.write = WriteMode::Never)
            .after("DROP EVENT streamkap.beat; SET GLOBAL event_scheduler = OFF"),
        fault("native-scheduler", "SIDE_DISABLED", DISABLED_EVENT, Remedy).informs().after(no_event),
        fault("native-scheduler", "it updates row 7", OTHER_EVENT, Remedy).warns().after(no_event),
    ]
}

#[tokio::test]
async fn each_fault_on_mariadb_is_found_and_its_remedy_repairs_it() {
    try_on(Flavour::Mariadb).await;
}

#[tokio::test]
async fn each_fault_on_mysql_is_found_and_its_remedy_repairs_it() {
    try_on(Flavour::Mysql).await;
}

#[tokio::test]
async fn each_fault_on_an_old_mysql_is_found_and_its_remedy_repairs_it() {
    try_on(Flavour::Mysql57).await;
}

async fn try_on(flavour: Flavour) {
    let stage = Stage::set(flavour).await;
    stage.server.set_global("event_scheduler", "OFF").await;
    try_all(&stage, faults()).await;
}
