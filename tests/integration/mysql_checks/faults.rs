//! One fault after another on a server that is otherwise right: exactly that finding fails, and what mends it mends it.

use std::time::Duration;

use heartbeatd::finding::{Severity, Status};
use heartbeatd::remedy::Remedy;
use heartbeatd::target::{Target, WriteMode};

use super::stage::{BEAT, Stage, TABLE, shown, wrong};
use crate::bench::mysql::Flavour;

/// How a fault is mended.
enum Mend {
    /// By pasting the finding's remedy.
    Remedy,
    /// By pasting it, and then with this.
    RemedyAnd(&'static str),
    /// With this: the remedy is advice, or shows where to look.
    Sql(&'static str),
    /// By pasting it again and again: each is the next step.
    Steps,
}

/// One fault.
struct Fault {
    /// The one check that must fail.
    check: &'static str,
    severity: Severity,
    /// What the finding must say.
    says: &'static str,
    seed: &'static str,
    mend: Mend,
    /// What puts the rest back once all is well.
    after: &'static str,
    /// The flavours it can be seeded on.
    on: &'static [Flavour],
    target: fn(&mut Target),
}

const ALL: &[Flavour] = &[Flavour::Mariadb, Flavour::Mysql, Flavour::Mysql57];
const MYSQLS: &[Flavour] = &[Flavour::Mysql, Flavour::Mysql57];
const SECONDS: &[Flavour] = &[Flavour::Mariadb, Flavour::Mysql];

fn fault(check: &'static str, says: &'static str, seed: &'static str, mend: Mend) -> Fault {
    Fault { check, severity: Severity::Error, says, seed, mend, after: "", on: ALL, target: |_| {} }
}

impl Fault {
    fn warns(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    fn informs(self) -> Self {
        Self { severity: Severity::Info, ..self }
    }

    fn after(self, after: &'static str) -> Self {
        Self { after, ..self }
    }

    fn only(self, on: &'static [Flavour]) -> Self {
        Self { on, ..self }
    }

    fn with(self, target: fn(&mut Target)) -> Self {
        Self { target, ..self }
    }
}

/// An event as the vendor's page asks for, that runs once a minute.
const EVENT_ON: &str = "SET GLOBAL event_scheduler = ON; CREATE EVENT streamkap.beat ON SCHEDULE EVERY 1 MINUTE DO \
                     UPDATE streamkap.streamkap_heartbeat SET last_update = CURRENT_TIMESTAMP WHERE id = 1";
const EVENT_OFF: &str = "SET GLOBAL event_scheduler = OFF; CREATE EVENT streamkap.beat ON SCHEDULE EVERY 1 MINUTE DO \
                         UPDATE streamkap.streamkap_heartbeat SET last_update = CURRENT_TIMESTAMP WHERE id = 1";
const DISABLED_EVENT: &str = "CREATE EVENT streamkap.beat ON SCHEDULE EVERY 1 MINUTE DISABLE ON SLAVE DO \
                              UPDATE streamkap.streamkap_heartbeat SET last_update = CURRENT_TIMESTAMP WHERE id = 1";
const OTHER_EVENT: &str = "CREATE EVENT streamkap.beat ON SCHEDULE EVERY 1 MINUTE DO \
                           UPDATE streamkap.streamkap_heartbeat SET last_update = CURRENT_TIMESTAMP WHERE id = 7";

/// The list; `T` stands for the heartbeat table.
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
        // --- what is logged
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
        // --- how long it is kept
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
async fn each_fault_is_found_as_what_it_is_and_its_remedy_mends_it_on_mariadb() {
    try_all(Flavour::Mariadb).await;
}

#[tokio::test]
async fn each_fault_is_found_as_what_it_is_and_its_remedy_mends_it_on_mysql() {
    try_all(Flavour::Mysql).await;
}

#[tokio::test]
async fn each_fault_is_found_as_what_it_is_and_its_remedy_mends_it_on_an_old_mysql() {
    try_all(Flavour::Mysql57).await;
}

async fn try_all(flavour: Flavour) {
    let stage = Stage::set(flavour).await;
    stage.server.set_global("event_scheduler", "OFF").await;
    stage.all_is_well(&stage.target, "nothing").await;
    for fault in faults().into_iter().filter(|fault| fault.on.contains(&flavour)) {
        eprintln!("{}: {}", fault.check, fault.seed);
        let mut target = stage.target.clone();
        (fault.target)(&mut target);
        run(&stage, fault.seed).await;
        let remedy = found(&stage, &target, &fault).await;
        match fault.mend {
            Mend::Remedy => stage.paste(&remedy).await,
            Mend::RemedyAnd(more) => {
                stage.paste(&remedy).await;
                run(&stage, more).await;
            }
            Mend::Sql(sql) => {
                if remedy.script().is_some_and(|script| script.to_string().contains("-- on the source")) {
                    stage.paste(&remedy).await;
                }
                run(&stage, sql).await;
            }
            Mend::Steps => {
                let mut next = Some(remedy);
                while let Some(step) = next {
                    stage.paste(&step).await;
                    let findings = stage.findings(&target).await;
                    next =
                        findings.into_iter().find(|finding| finding.id == fault.check).and_then(|found| found.remedy);
                }
            }
        }
        stage.all_is_well(&target, fault.seed).await;
        run(&stage, fault.after).await;
        run(&stage, BEAT).await;
    }
    stage.all_is_well(&stage.target, "all of it").await;
}

/// Waits until exactly this fault is found; its remedy.
async fn found(stage: &Stage, target: &Target, fault: &Fault) -> Remedy {
    crate::bench::eventually(Duration::from_secs(10), format!("{} after {}", fault.check, fault.seed), async || {
        let findings = stage.findings(target).await;
        let wrong = wrong(&findings);
        let [only] = wrong.as_slice() else { return Err(shown(&wrong)) };
        let fits = only.status == Status::Failed
            && only.id == fault.check
            && only.severity == fault.severity
            && only.observed.contains(fault.says);
        if !fits {
            return Err(shown(&wrong));
        }
        only.remedy.clone().ok_or_else(|| "no remedy".to_owned())
    })
    .await
}

/// Runs statements one by one in one session, with `T` for the table.
async fn run(stage: &Stage, sql: &str) {
    let mut session = stage.server.connect().await;
    for statement in sql.split("; ").filter(|statement| !statement.is_empty()) {
        let words: Vec<&str> = statement.split(' ').map(|word| if word == "T" { TABLE } else { word }).collect();
        crate::bench::mysql::session::execute(&mut session, &words.join(" ")).await;
    }
}
