//! States that the simulated server cannot produce: other databases, other roles, refusals. Each test takes the facts
//! of a healthy source and changes one thing. The shapes are those of Oracle's documentation. They were not read from a
//! real database.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::right::right;
use super::*;
use crate::driver::evidence::trial::{NOW, SECOND, inspection, wrong};
use crate::driver::oracle::family;
use crate::finding::{Inspection, Status};
use crate::remedy::Script;
use crate::target::{ConnectorMode, Endpoint, Named, Replica, WriteMode};
use crate::time::schedule::Schedule;

fn target() -> Target {
    let endpoint = Endpoint::parse("oracle://hb@db.example/pdb1?protocol=tcps").unwrap();
    let mut target = Target::new("orders", endpoint);
    target.heartbeat = family::defaults().heartbeat;
    target.connector.user = Named::default_name("STREAMKAP_USER");
    target.connector.mode = ConnectorMode::ReadWrite;
    target
}

fn judged(target: &Target, now: &Inspection) -> Vec<Finding> {
    judge(&Case { target, now, earlier: None }).unwrap()
}

/// The faults that are found after some changes in the facts of a healthy source.
fn after(changes: &[(&str, Value)]) -> Vec<String> {
    wrong(&found(&target(), changes))
}

/// The facts of a healthy source with these changes.
fn changed(changes: &[(&str, Value)]) -> Value {
    let mut facts = right();
    for (pointer, value) in changes {
        let parent = pointer.rsplit_once('/').unwrap();
        facts.pointer_mut(parent.0).unwrap()[parent.1] = value.clone();
    }
    facts
}

fn refused() -> Value {
    json!({"refused": {"code": "ORA-00942", "message": "table or view does not exist"}})
}

#[test]
fn a_healthy_server_has_no_faults() {
    let mut standby = right();
    standby["context"]["role"] = json!("PHYSICAL STANDBY");
    let mut target = target();
    let endpoint = Endpoint::parse("oracle://hb@standby.example/pdb1?protocol=tcps").unwrap();
    target.replicas.push(Replica { name: "copy".to_owned(), endpoint, required: false, decode: false });
    let findings = judged(&target, &inspection(right(), Some(standby)));
    assert_eq!(wrong(&findings), [""; 0]);
    let ids: BTreeSet<&str> = findings.iter().map(|finding| finding.id.as_str()).collect();
    assert_eq!(ids, all().iter().map(|check| check.id).collect());
}

#[test]
fn a_single_tenant_database_and_one_on_rds_are_judged_without_a_common_user() {
    let single = [
        ("/context/multitenant", json!(false)),
        ("/context/container", json!("ORCL")),
        ("/pdb_logging/seen", Value::Null),
        ("/database/seen/minimal_logging", json!("IMPLICIT")),
        ("/users/seen", json!(["STREAMKAP_USER", "HB"])),
        ("/accounts/seen", json!([{"name": "STREAMKAP_USER", "status": "OPEN", "expires_in": null}])),
        (
            "/system_privileges/seen",
            json!(
                super::accounts::CHECKS
                    .iter()
                    .filter(|check| check.id == "connector-logminer")
                    .flat_map(|_| [
                        "LOGMINING",
                        "SELECT ANY TRANSACTION",
                        "SELECT_CATALOG_ROLE",
                        "EXECUTE_CATALOG_ROLE"
                    ])
                    .map(|privilege| json!({"grantee": "STREAMKAP_USER", "privilege": privilege}))
                    .collect::<Vec<_>>()
            ),
        ),
    ];
    assert_eq!(after(&single), [""; 0]);
}

#[test]
fn every_check_has_a_finding_whatever_is_refused_and_every_unknown_names_its_requirement() {
    for part in [
        "database",
        "pdb_logging",
        "destinations",
        "oldest_archived",
        "recovery_area",
        "objects",
        "columns",
        "primary_key",
        "row",
        "log_groups",
        "own_privileges",
        "own_account",
        "users",
        "accounts",
        "grants",
        "system_privileges",
        "jobs",
    ] {
        let mut facts = right();
        facts[part] = refused();
        let findings = judged(&target(), &inspection(facts, None));
        let ids: BTreeSet<&str> = findings.iter().map(|finding| finding.id.as_str()).collect();
        assert_eq!(ids, all().iter().map(|check| check.id).collect(), "{part}");
        for finding in findings.iter().filter(|finding| finding.status == Status::Unknown) {
            assert!(finding.observed.contains("(ORA-00942); requires "), "{part}: {}", finding.observed);
        }
        assert!(findings.iter().all(|finding| finding.status != Status::Failed), "{part}: {:?}", wrong(&findings));
    }
}

#[test]
fn a_user_without_the_catalogue_gets_unknown_results_and_no_faults() {
    let hidden = ["database", "pdb_logging", "destinations", "oldest_archived", "recovery_area", "accounts", "grants"];
    let mut facts = right();
    for part in hidden.into_iter().chain(["system_privileges"]) {
        facts[part] = refused();
    }
    let found = wrong(&judged(&target(), &inspection(facts, None)));
    assert!(found.iter().all(|finding| finding.starts_with("unknown ")), "{found:?}");
    assert!(found.iter().any(|finding| finding.contains("GRANT SELECT_CATALOG_ROLE TO \"HB\";")), "{found:?}");
}

/// Changes in the facts of a healthy database, and the finding that each leads to.
fn faults() -> Vec<(Vec<(&'static str, Value)>, &'static str)> {
    vec![
        (vec![("/context/container", json!("CDB$ROOT"))], "failed error container: the session is in CDB$ROOT"),
        (
            vec![("/context/role", json!("PHYSICAL STANDBY"))],
            "failed error server-writable: its role is PHYSICAL STANDBY",
        ),
        (vec![("/database/seen/open_mode", json!("READ ONLY"))], "failed error server-writable: it is open READ ONLY"),
        (vec![("/version", json!("Oracle 12.2.0.1.0"))], "failed warning server-version: Oracle 12.2.0.1.0"),
        (vec![("/database/seen/log_mode", json!("NOARCHIVELOG"))], "failed error archive-log-mode: NOARCHIVELOG"),
        (
            vec![("/database/seen/minimal_logging", json!("NO")), ("/pdb_logging/seen/minimal", json!(false))],
            "failed error supplemental-logging: NO",
        ),
        (vec![("/log_groups/seen", json!([]))], "failed error supplemental-logging-table: no supplemental logging"),
        (
            vec![("/log_groups/seen", json!([{"kind": "PRIMARY KEY LOGGING", "always": true}]))],
            "failed error supplemental-logging-table: PRIMARY KEY LOGGING",
        ),
        (vec![("/database/seen/force_logging", json!("NO"))], "failed info force-logging: NO"),
        (vec![("/destinations/seen", json!(0))], "failed warning archive-destination: none is valid"),
        (vec![("/oldest_archived/seen", json!(7_200))], "failed error archived-log-retention: the oldest is 2h old"),
        (
            vec![("/oldest_archived/seen", json!(100_000))],
            "failed warning archived-log-retention: the oldest is 1day 3h old",
        ),
        (
            vec![("/oldest_archived/seen", json!(3 * 86_400))],
            "failed info archived-log-retention: the oldest is 3days old",
        ),
        (
            vec![("/recovery_area/seen/used", json!(119_i64 << 30))],
            "failed error recovery-area: 99 % of 100 GiB cannot be reclaimed",
        ),
        (
            vec![("/recovery_area/seen/used", json!(110_i64 << 30))],
            "failed warning recovery-area: 90 % of 100 GiB cannot be reclaimed",
        ),
        (
            vec![("/objects/seen", json!([{"owner": "STREAMKAP", "kind": "TABLE"}]))],
            "failed error table-exists: it is in another schema: \"STREAMKAP\".\"STREAMKAP_HEARTBEAT\"",
        ),
        (
            vec![("/objects/seen", json!([{"owner": "STREAMKAP_USER", "kind": "VIEW"}]))],
            "failed error table-kind: a view",
        ),
        (vec![("/primary_key/seen", json!([]))], "failed warning table-primary-key: it has none"),
        (vec![("/primary_key/seen", json!(["TEXT", "ID"]))], "failed warning table-primary-key: TEXT, ID"),
        (
            vec![("/row/seen/found", json!(0)), ("/row/seen/other", json!(7))],
            "failed error row-exists: there is ID 7 and not 1",
        ),
        (vec![("/row/seen/count", json!(3))], "failed warning row-single: 3 rows"),
        (vec![("/row/seen/last_update", json!(NOW - 600 * SECOND))], "failed warning row-fresh: 10m old"),
        (
            vec![("/own_privileges/seen", json!(["SELECT"]))],
            "failed error writer-update: UPDATE is not granted to \"HB\"",
        ),
        (
            vec![("/own_privileges/seen", json!(["READ", "UPDATE"]))],
            "failed error writer-select: SELECT is not granted to \"HB\": only READ is, which does not allow the \
             row's lock (SELECT ... FOR UPDATE)",
        ),
        (
            vec![("/own_account/seen/status", json!("EXPIRED(GRACE)"))],
            "failed warning writer-expiry: its account is EXPIRED(GRACE)",
        ),
        (vec![("/own_account/seen/expires_in", json!(3_600))], "failed warning writer-expiry: it expires in 1h"),
        (
            vec![("/accounts/seen/1/status", json!("LOCKED(TIMED)"))],
            "failed error connector-login: its account is LOCKED(TIMED)",
        ),
        (
            vec![("/grants/seen", json!([{"grantee": "C##STREAMKAP_USER", "privilege": "SELECT"}]))],
            "failed error connector-update: no UPDATE on \"STREAMKAP_USER\".\"STREAMKAP_HEARTBEAT\"",
        ),
        (
            vec![("/system_privileges/seen", json!([{"grantee": "C##STREAMKAP_USER", "privilege": "LOGMINING"}]))],
            "failed error connector-logminer: not granted: SELECT ANY TRANSACTION, SELECT_CATALOG_ROLE, EXECUTE_CATALOG_ROLE",
        ),
        (
            vec![("/jobs/seen", json!([["STREAMKAP_USER.BEAT", "SCHEDULED"]]))],
            "failed warning native-scheduler: STREAMKAP_USER.BEAT names it, and is enabled",
        ),
        (
            vec![("/users/seen", json!(["C##STREAMKAP_USER", "HB"]))],
            "failed error schema-exists: there is no user of that name, so there is no such schema",
        ),
        (vec![("/objects/seen", json!([]))], "failed error table-exists: it is missing, or \"HB\" may not see it"),
        (
            vec![("/columns/seen", json!([{"name": "id", "kind": "NUMBER", "holds": "number", "generated": false}]))],
            "failed error table-columns: without last_update",
        ),
    ]
}

/// All findings after these changes.
fn found(target: &Target, changes: &[(&str, Value)]) -> Vec<Finding> {
    judged(target, &inspection(changed(changes), None))
}

#[test]
fn an_id_with_a_unique_index_or_constraint_of_its_own_needs_no_primary_key() {
    for key in [json!([]), json!(["TEXT"])] {
        let changes = [("/primary_key/seen", key.clone()), ("/unique_id", json!(true))];
        assert_eq!(after(&changes), [""; 0], "{key}");
    }
    let other = found(&target(), &[("/primary_key/seen", json!(["TEXT"]))]);
    let remedy = other.iter().find(|finding| finding.id == "table-primary-key").unwrap().remedy.clone().unwrap();
    let script = "ALTER TABLE \"STREAMKAP_USER\".\"STREAMKAP_HEARTBEAT\" ADD UNIQUE (ID);";
    assert_eq!(remedy.script().map(Script::text), Some(script));
}

#[test]
fn each_fault_is_one_finding_with_a_next_step() {
    for (changes, expected) in faults() {
        let wrong = after(&changes);
        assert!(wrong.contains(&expected.to_owned()), "{changes:?}: {wrong:?} lacks {expected}");
        for finding in found(&target(), &changes) {
            assert!(finding.status != Status::Failed || finding.remedy.is_some(), "{finding:?}");
        }
    }
}

/// Another test reads this list and passes each script to a foreign parser.
#[test]
fn every_script_of_a_finding_is_listed_for_the_foreign_parser() {
    let mut findings: Vec<Finding> = faults().iter().flat_map(|(changes, _)| found(&target(), changes)).collect();
    let mut watched = target();
    watched.write = WriteMode::Never;
    findings.extend(found(&watched, &[("/jobs/seen", json!([["STREAMKAP_USER.BEAT", "DISABLED"]]))]));
    let mut named = target();
    named.connector.user = Named::configured("DEBEZIUM");
    findings.extend(found(&named, &[]));
    let mut standby = right();
    standby["context"]["role"] = json!("PHYSICAL STANDBY");
    standby["row"]["seen"]["last_update"] = json!(NOW - 9_000 * SECOND);
    let mut copied = target();
    let endpoint = Endpoint::parse("oracle://hb@standby.example/pdb1?protocol=tcps").unwrap();
    copied.replicas.push(Replica { name: "copy".to_owned(), endpoint, required: false, decode: false });
    findings.extend(judged(&copied, &inspection(right(), Some(standby))));
    let failed = findings.iter().filter(|finding| finding.status == Status::Failed);
    let scripts: BTreeSet<&str> =
        failed.filter_map(|finding| finding.remedy.as_ref()?.script()).map(Script::text).collect();
    insta::assert_snapshot!(scripts.into_iter().collect::<Vec<_>>().join("\n"));
}

/// A facts file may have any origin.
#[test]
fn numbers_that_no_server_gives_are_judged_without_a_panic() {
    for (time, value) in [(i64::MIN, i64::MAX), (i64::MAX, i64::MIN)] {
        let absurd = [
            ("/context/time", json!(time)),
            ("/row/seen/last_update", json!(value)),
            ("/recovery_area/seen", json!({"limit": value, "used": time, "reclaimable": value})),
            ("/database/seen/age", json!(value)),
            ("/oldest_archived/seen", json!(value)),
            ("/own_account/seen/expires_in", json!(value)),
        ];
        let mut target = target();
        let endpoint = Endpoint::parse("oracle://hb@standby.example/pdb1?protocol=tcps").unwrap();
        target.replicas.push(Replica { name: "copy".to_owned(), endpoint, required: false, decode: false });
        let findings = judged(&target, &inspection(changed(&absurd), Some(right())));
        assert!(findings.iter().any(|finding| finding.id == "row-fresh" && finding.status == Status::Failed));
    }
}

#[test]
fn a_period_of_more_than_a_tenth_of_what_is_kept_is_a_warning() {
    let mut target = target();
    let kept = [("/oldest_archived/seen", json!(8 * 86_400)), ("/row/seen/last_update", json!(NOW))];
    assert_eq!(wrong(&found(&target, &kept)), [""; 0]);
    target.schedule = Schedule::Interval(Duration::from_secs(20 * 3_600));
    assert_eq!(
        wrong(&found(&target, &kept)),
        ["failed warning archived-log-retention: the oldest is 8days old".to_owned()]
    );
}

#[test]
fn a_watcher_needs_only_read() {
    let mut target = target();
    target.write = WriteMode::Never;
    assert_eq!(wrong(&found(&target, &[("/own_privileges/seen", json!(["READ"]))])), [""; 0]);
}

#[test]
fn an_owner_has_privileges_that_no_view_lists() {
    // Neither of its privileges is in DBA_TAB_PRIVS, and this user writes the heartbeat itself.
    let owner = [
        ("/context/user", json!("STREAMKAP_USER")),
        ("/own_privileges/seen", json!([])),
        ("/own_account/seen/name", json!("STREAMKAP_USER")),
    ];
    assert_eq!(after(&owner), [""; 0]);
}
