//! Pastes every remedy for PostgreSQL that can be pasted into a real server. The test of its situation does that, or
//! this file does with changed facts, if the situation takes months or another provider.

use heartbeatd::driver::Purpose;
use heartbeatd::drivers::Drivers;
use heartbeatd::finding::{Inspection, Look, Status};
use heartbeatd::heartbeat::{ErrorKind, Failure};
use heartbeatd::remedy::Remedy;
use heartbeatd::target::{Named, Target};
use serde_json::{Value, json};

use super::stage::{Stage, judge, look, options, statements};
use crate::bench::PostgresServer;
use crate::bench::driver::{in_time, open_over};
use crate::bench::remedy_register::sources;
use crate::bench::session::rows;

/// How a pasted remedy is known to work.
#[derive(Debug, Clone, Copy)]
enum Known {
    /// A test pastes it.
    By(&'static str),
    /// No test pastes it, for this reason.
    Not(&'static str),
}

use Known::{By, Not};

const FAULTS: Known = By("each_fault_is_found_and_its_remedy_repairs_it");
const HERE: Known = By("every_remedy_that_no_situation_brings_about_is_pasted");
const KINDS: Known = By("the_remedy_of_every_kind_of_failure_is_pasted");
const RESTART: Known = By("settings_that_need_a_restart_are_repaired_by_the_remedy_and_a_restart");
const FORGOTTEN: Known = By("a_transaction_that_was_forgotten_is_named_and_ended_by_its_remedy");

/// Each place of the driver that makes SQL to paste, in the order of its file: the file, its places, and how each is
/// known to work.
const PLACES: &[(&str, &[(&str, Known)])] = &[
    ("beat.rs", &[]),
    (
        "checks/activity.rs",
        &[
            ("commits then wait for no standby", FAULTS),
            ("SELECT pg_terminate_backend(", FORGOTTEN),
            ("COMMIT PREPARED ", FORGOTTEN),
        ],
    ),
    ("checks/archive.rs", &[("if you can afford to lose that much", FAULTS)]),
    (
        "checks/connector.rs",
        &[
            ("CREATE ROLE {name} LOGIN REPLICATION;", HERE),
            ("ALTER ROLE {name} LOGIN;", FAULTS),
            ("GRANT CONNECT ON DATABASE", FAULTS),
            ("GRANT rds_replication", HERE),
            ("ALTER ROLE {name} REPLICATION;", FAULTS),
            ("GRANT USAGE ON SCHEMA", FAULTS),
            ("GRANT {privilege} ON TABLE", FAULTS),
            ("GRANT USAGE ON SEQUENCE", FAULTS),
        ],
    ),
    ("checks/evidence.rs", &[("ALTER SYSTEM SET", FAULTS)]),
    (
        "checks/native.rs",
        &[
            ("FROM cron.job WHERE command ILIKE", Not("it runs in a database that this target does not name")),
            ("SELECT cron.unschedule(", By("every_state_of_a_pg_cron_job_is_distinguished")),
        ],
    ),
    (
        "checks/publication.rs",
        &[
            ("CREATE PUBLICATION", FAULTS),
            ("ADD TABLE {};", FAULTS),
            ("SET (publish", FAULTS),
            ("DROP TABLE {table}; ALTER PUBLICATION", FAULTS),
            (
                "ALTER TABLE {part} REPLICA IDENTITY DEFAULT;",
                By("a_partitioned_table_is_judged_by_the_publication_and_identity_of_its_partitions"),
            ),
            ("ALTER TABLE {table} REPLICA IDENTITY DEFAULT;", FAULTS),
        ],
    ),
    (
        "checks/published_rows.rs",
        &[("REPLICA IDENTITY FULL;", FAULTS), ("ADD TABLE {table}{list}{filter}; COMMIT;", FAULTS)],
    ),
    (
        "checks/replica.rs",
        &[
            ("pg_wal_replay_resume", By("a_standby_that_follows_is_healthy_and_one_that_is_paused_is_found")),
            ("FROM pg_stat_replication;", By("a_standby_that_follows_is_healthy_and_one_that_is_paused_is_found")),
            ("\"wal_level\", \"logical\", true", RESTART),
            ("hot_standby_feedback", By("a_newer_standby_decodes_once_it_gives_feedback")),
            ("&evidence.facts.server, \"wal_level\"", RESTART),
        ],
    ),
    ("checks/row.rs", &[("SELECT * FROM {name} WHERE id <> {wanted};", FAULTS)]),
    ("checks/server.rs", &[("BEGIN READ WRITE;", FAULTS), ("reset, \"off\", false", HERE)]),
    (
        "checks/settings.rs",
        &[
            ("\"wal_level\", \"logical\", true", RESTART),
            ("max_replication_slots", FAULTS),
            ("max_wal_senders", RESTART),
            ("50GB", FAULTS),
            ("idle_replication_slot_timeout", Not("the bench has no PostgreSQL 18; the form is that of the others")),
            ("10min", FAULTS),
        ],
    ),
    (
        "checks/slot.rs",
        &[
            (
                "do not drop it",
                By("a_lost_copy_on_a_standby_is_a_warning_and_is_created_again_once_the_standby_keeps_its_wal"),
            ),
            ("WHERE database = {};", HERE),
            ("WHERE slot_type = 'logical';", HERE),
            ("'streamkap_pgoutput_slot', 'pgoutput'", HERE),
            ("get the connector to read on at once", HERE),
            ("pg_size_pretty(", HERE),
        ],
    ),
    (
        "checks/slot/found.rs",
        &[
            (
                "SELECT pg_drop_replication_slot({name}); SELECT pg_create",
                By("a_lost_slot_is_created_again_on_its_own_server_with_the_same_options"),
            ),
            (
                "SELECT pg_drop_replication_slot({name});",
                By("a_leftover_slot_on_a_standby_is_dropped_there_and_the_connectors_slot_is_never_touched"),
            ),
            ("'pgoutput');", By("a_missing_slot_is_created_again_by_its_remedy")),
        ],
    ),
    ("checks/standby_slots.rs", &[("rest.join", By("a_missing_standby_that_the_connectors_slot_waits_for_is_named"))]),
    (
        "checks/table.rs",
        &[
            ("SET LOGGED;", FAULTS),
            ("RENAME TO {};", FAULTS),
            ("ADD PRIMARY KEY (id);", FAULTS),
            ("ADD UNIQUE (id);", FAULTS),
            ("DROP INDEX {};", FAULTS),
        ],
    ),
    (
        "checks/transaction_age.rs",
        &[("age(catalog_xmin) FROM pg_replication_slots;", HERE), ("FROM pg_prepared_xacts", HERE)],
    ),
    (
        "checks/writer.rs",
        &[
            ("GRANT USAGE ON SCHEMA", FAULTS),
            ("GRANT {privilege} ON TABLE", FAULTS),
            ("VALID UNTIL 'infinity';", FAULTS),
        ],
    ),
    ("columns.rs", &[("RENAME COLUMN", By("on_postgresql_the_repair_of_one_column_loses_no_value_of_another"))]),
    ("pooler.rs", &[("SHOW POOLS;", By("each_refusal_of_a_pooler_is_named_with_its_next_step"))]),
    (
        "provision.rs",
        &[
            (
                "FROM pg_event_trigger",
                By("an_event_trigger_that_forbids_a_table_is_one_failure_with_its_own_next_step"),
            ),
            ("GRANT SELECT ON TABLE", HERE),
            ("CREATE ROLE {name} LOGIN;", HERE),
            ("CREATE PUBLICATION", HERE),
        ],
    ),
    (
        "remedies.rs",
        &[
            ("listen_addresses", KINDS),
            ("ALTER ROLE {role} LOGIN;", KINDS),
            ("SELECT datname FROM pg_database;", KINDS),
            ("GROUP BY 1, 2, 3", KINDS),
            ("BEGIN READ WRITE;", KINDS),
            ("FROM pg_stat_wal_receiver;", KINDS),
            ("GRANT CONNECT ON DATABASE", KINDS),
            ("CREATE POLICY heartbeatd ON", FAULTS),
            ("SHOW ssl_ca_file;", Not("a client's certificate must be refused; the setting exists on each server")),
            ("SELECT ctid, * FROM", KINDS),
            ("pg_policies", KINDS),
            ("FROM pg_locks l", KINDS),
            ("pg_size_pretty(", KINDS),
            ("age(datfrozenxid)", KINDS),
            (
                "PARTITION OF {} DEFAULT;",
                By("the_remedy_adds_a_missing_partition_and_a_violated_constraint_is_distinguished"),
            ),
            ("pg_constraint", KINDS),
        ],
    ),
];

/// The functions that make SQL to paste.
const MAKERS: &[&str] = &["Remedy::sql(", "alter_system("];

#[test]
fn every_place_that_makes_sql_to_paste_names_the_test_that_pastes_it_or_why_none_does() {
    let tests: String = sources("tests/integration").into_values().collect();
    let (mut pasted, mut not) = (0, Vec::new());
    let files = sources("src/driver/postgres");
    for (file, _) in PLACES {
        assert!(files.contains_key(*file), "src/driver/postgres/{file} is in PLACES and does not exist");
    }
    for (file, text) in files {
        let code = text.split("#[cfg(test)]").next().unwrap();
        let made =
            code.lines().filter(|line| !["fn ", "use ", "//"].iter().any(|word| line.trim_start().starts_with(word)));
        let made = made.filter(|line| !line.contains("fn alter_system"));
        let made: usize = made.map(|line| MAKERS.iter().map(|maker| line.matches(maker).count()).sum::<usize>()).sum();
        let known = PLACES.iter().find(|(name, _)| *name == file).map_or(&[][..], |(_, known)| known);
        assert_eq!(
            made,
            known.len(),
            "src/driver/postgres/{file}: places that make SQL to paste, and those of them in PLACES"
        );
        for (part, how) in known {
            assert!(code.contains(part), "{part:?} is not in src/driver/postgres/{file}");
            match how {
                By(test) => {
                    assert!(tests.contains(&format!("fn {test}(")), "there is no test {test}");
                    pasted += 1;
                }
                Not(reason) => not.push(format!("{file}: {part}: {reason}")),
            }
        }
    }
    eprintln!("{pasted} pasted, {} not:\n{}", not.len(), not.join("\n"));
}

/// Pastes a script as one message, and then statement by statement, after the first way has had its effect.
async fn paste_both_ways(server: &PostgresServer, remedy: &Remedy, of: &str) {
    let script = remedy.script().unwrap().text();
    let whole = rows(&mut server.connect().await, script).await;
    assert!(whole.is_ok(), "{of}: as one message: {script}: {}", whole.unwrap_err());
    let mut session = server.connect().await;
    for statement in statements(remedy) {
        let Err(error) = rows(&mut session, &statement).await else { continue };
        let code =
            error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default().into_owned();
        assert!(matches!(code.as_str(), "42710" | "42P07"), "{of}: {statement}: {error}");
    }
}

#[tokio::test]
async fn the_remedy_of_every_kind_of_failure_is_pasted() {
    let stage = Stage::set().await;
    let drivers = Drivers::built_in();
    let driver = drivers.get(stage.target.endpoint.url.family()).unwrap();
    let mut pasted: Vec<String> = Vec::new();
    for kind in ErrorKind::ALL.iter().copied() {
        for code in ["", "54000", "55000", "42P10", "23514"] {
            let failure = Failure::new(kind, "x");
            let failure = if code.is_empty() { failure } else { failure.with_code(code) };
            let Some(remedy) = driver.remedy(&failure, &stage.target) else { continue };
            let Some(script) = remedy.script() else { continue };
            let command = remedy == Remedy::shell(script.text()) || script.text().starts_with("heartbeatd ");
            if command || pasted.iter().any(|text| text == script.text()) {
                continue;
            }
            paste_both_ways(&stage.server, &remedy, kind.as_str()).await;
            pasted.push(script.text().to_owned());
        }
    }
    assert!(pasted.len() >= 12, "{pasted:#?}");
}

/// Values, each with the JSON pointer of its place in the facts.
type Values = &'static [(&'static str, fn() -> Value)];

/// Facts that no test's situation has: the change in a real server's facts, and the finding that follows.
struct Change {
    check: &'static str,
    facts: Values,
    target: fn(&mut Target),
}

fn change(check: &'static str, facts: Values) -> Change {
    Change { check, facts, target: |_| {} }
}

fn changes() -> Vec<Change> {
    let slot = |check: &'static str, facts| change(check, facts);
    vec![
        change("transaction-age", &[("/slots/seen/databases/0/age", || json!(600_000_000))]),
        change(
            "transaction-age",
            &[("/slots/seen/oldest", || json!([{"name": "s", "active": false, "age": 600_000_000}]))],
        ),
        slot("slot-database", &[("/slots/seen/named/database", || json!("elsewhere"))]),
        slot("slot-database", &[("/slots/seen/named/database", || Value::Null)]),
        slot("slot-plugin", &[("/slots/seen/named/plugin", || json!("wal2json"))]),
        slot("slot-wal-status", &[("/slots/seen/named/wal_status", || json!("unreserved"))]),
        Change {
            target: |target| target.checks.thresholds.retained_wal_mib = 0,
            ..slot("slot-retained-wal", &[("/slots/seen/named/restart_lsn", || json!("0/1"))])
        },
        Change {
            target: |target| target.connector.user = Named::configured("made by its remedy"),
            ..change("connector-role", &[("/roles/seen/connector", || Value::Null)])
        },
        change(
            "connector-replication",
            &[("/roles/seen/connector/replication", || json!(false)), ("/server/provider", || json!("rds"))],
        ),
        change(
            "server-writable",
            &[(
                "/server/settings/default_transaction_read_only",
                || json!({"setting": "on", "source": "configuration file"}),
            )],
        ),
        change(
            "server-writable",
            &[(
                "/server/settings/default_transaction_read_only",
                || json!({"setting": "on", "source": "database user"}),
            )],
        ),
        change("server-writable", &[("/server/in_recovery", || json!(true))]),
    ]
}

#[tokio::test]
async fn every_remedy_that_no_situation_brings_about_is_pasted() {
    let stage = Stage::set().await;
    stage.server.execute("CREATE ROLE rds_replication").await;
    let real = look(&stage.as_admin()).await;
    let Look::Facts(facts) = &real.source else { unreachable!() };
    for Change { check, facts: changed, target: change_target } in changes() {
        let (mut facts, mut target) = (facts.clone(), stage.target.clone());
        for (path, value) in changed {
            let (parent, key) = path.rsplit_once('/').unwrap();
            match facts.pointer_mut(parent).unwrap() {
                Value::Object(object) => object.insert(key.to_owned(), value()),
                Value::Array(array) => Some(std::mem::replace(&mut array[key.parse::<usize>().unwrap()], value())),
                other => panic!("{path}: {other}"),
            };
        }
        change_target(&mut target);
        let found = judge(&target, &Inspection { source: Look::Facts(facts), ..real.clone() }, None);
        let failed = found.iter().find(|finding| finding.id == check && finding.status == Status::Failed);
        let failed = failed.unwrap_or_else(|| panic!("{check} with {:?}", changed.iter().map(|(path, _)| path)));
        paste_both_ways(&stage.server, failed.remedy.as_ref().unwrap(), check).await;
    }
    let mut target = stage.target.clone();
    target.connector.user = Named::configured("planned");
    target.connector.set_name("publication", "planned");
    let mut session = open_over(&stage.server.admin_url(), &target, Purpose::Plan).await;
    let missing = session.plan(in_time()).await.unwrap().failures;
    assert_eq!(missing.len(), 2, "{missing:?}");
    stage.server.execute("CREATE ROLE blind LOGIN PASSWORD 'b'; GRANT USAGE ON SCHEMA streamkap TO blind").await;
    let mut session = open_over(&stage.server.url("blind", "b"), &stage.target, Purpose::Plan).await;
    let hidden = session.plan(in_time()).await.unwrap().failures;
    assert_eq!(hidden.len(), 1, "{hidden:?}");
    for failure in missing.iter().chain(&hidden) {
        paste_both_ways(&stage.server, failure.remedy().unwrap(), failure.message()).await;
    }
}

/// Each provider gives its customers its own role instead of a superuser, and refuses `ALTER SYSTEM`.
#[tokio::test]
async fn where_a_provider_or_an_operator_keeps_the_settings_the_remedy_names_that_place() {
    let stage = Stage::on(options().seventeen().start().await).await;
    stage.server.set("wal_sender_timeout", "'60s'").await;
    let remedy = async || {
        let findings = stage.findings(&stage.target).await;
        let finding = findings.into_iter().find(|finding| finding.id == "wal-sender-timeout").unwrap();
        assert_eq!(finding.status, Status::Failed);
        finding.remedy.unwrap()
    };
    assert_eq!(remedy().await.script().unwrap().text(), "ALTER SYSTEM SET wal_sender_timeout = '10min';");
    for (role, place) in [
        ("rds_superuser", "in the parameter group"),
        ("cloudsqlsuperuser", "among the instance's database flags"),
        ("azure_pg_admin", "among the server parameters"),
    ] {
        stage.server.execute(&format!("CREATE ROLE {role}")).await;
        assert_eq!(remedy().await, Remedy::advice(format!("set wal_sender_timeout = 600000 {place}")), "{role}");
        stage.server.execute(&format!("DROP ROLE {role}")).await;
    }
    // It can only be set in the file.
    let file = stage.server.value("SHOW config_file").await.unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}\nallow_alter_system = off\n")).unwrap();
    stage.server.reload().await;
    let advice = remedy().await;
    assert!(advice.is_advice() && advice.to_string().contains("allow_alter_system = off"), "{advice}");
}
