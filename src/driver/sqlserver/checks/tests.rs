//! States that no server of the test bench can have. Each test takes the facts of a healthy source and changes one
//! thing.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::right::{right, right_azure, right_managed_instance, right_rds, right_secondary};
use super::*;
use crate::driver::evidence::trial::{NOW, SECOND, inspection, wrong};
use crate::finding::{Inspection, Status};
use crate::target::{ConnectorMode, Endpoint, Named, Replica};

fn target() -> Target {
    let mut target = Target::new("orders", Endpoint::parse("mssql://hb@db.example/orders").unwrap());
    target.connector.user = Named::configured("cdc_reader");
    target.connector.mode = ConnectorMode::ReadWrite;
    target
}

fn with_replica() -> Target {
    let mut target = target();
    let endpoint = Endpoint::parse("mssql://hb@listener.example/orders?ApplicationIntent=ReadOnly").unwrap();
    target.replicas.push(Replica { name: "copy".to_owned(), endpoint, required: false, decode: false });
    target
}

fn judged(target: &Target, now: &Inspection) -> Vec<Finding> {
    judge(&Case { target, now, earlier: None }).unwrap()
}

fn ids(findings: &[Finding]) -> BTreeSet<&str> {
    findings.iter().map(|finding| finding.id.as_str()).collect()
}

/// The faults that are found after one change in the facts of a healthy source.
fn after(pointer: &str, value: Value) -> Vec<String> {
    let mut facts = right();
    let parent = pointer.rsplit_once('/').unwrap();
    let place = facts.pointer_mut(parent.0).unwrap();
    match place {
        Value::Array(items) => items[parent.1.parse::<usize>().unwrap()] = value,
        place => place[parent.1] = value,
    }
    wrong(&judged(&target(), &inspection(facts, None)))
}

#[test]
fn a_healthy_server_of_any_provider_has_no_faults() {
    let every: BTreeSet<&str> = all().iter().map(|check| check.id).collect();
    for facts in [right(), right_rds(), right_azure(), right_managed_instance()] {
        let findings = judged(&with_replica(), &inspection(facts, Some(right_secondary())));
        assert_eq!(wrong(&findings), [""; 0]);
        assert_eq!(ids(&findings), every);
    }
}

#[test]
fn every_check_has_a_finding_whatever_is_refused_and_every_unknown_names_its_requirement() {
    let every: BTreeSet<&str> = all().iter().map(|check| check.id).collect();
    for part in [
        "database",
        "table",
        "row",
        "own",
        "principals",
        "instances",
        "captured",
        "tracked_tables",
        "cdc_errors",
        "cdc_jobs",
        "agent",
        "agent_jobs",
    ] {
        let mut facts = right();
        facts[part] = json!({"refused": {"code": "229", "message": "The SELECT permission was denied on the object"}});
        let findings = judged(&target(), &inspection(facts, None));
        assert_eq!(ids(&findings), every, "{part}");
        let unknown: Vec<_> = findings.iter().filter(|finding| finding.status == Status::Unknown).collect();
        assert!(!unknown.is_empty(), "{part}");
        for finding in unknown {
            assert!(finding.observed.contains("(229); requires "), "{part}: {}", finding.observed);
        }
        assert!(findings.iter().all(|finding| finding.status != Status::Failed), "{part}: {:?}", wrong(&findings));
    }
}

#[test]
fn each_fault_is_one_finding_with_a_next_step() {
    let column = |name: &str, kind: &str| {
        json!({
            "name": name, "kind": kind, "scale": 7, "nullable": false, "identity": false, "computed": false,
            "has_default": false, "key": false,
        })
    };
    let instance = |role: &str, columns: &[&str]| json!({"name": "i", "role": role, "columns": columns});
    let jobs = |retention: i64| {
        json!([
            {"kind": "capture", "enabled": true, "retention": 0}, {"kind": "cleanup", "enabled": true, "retention": retention},
        ])
    };
    for (pointer, value, expected) in [
        ("/server/updateability", json!("READ_ONLY"), "failed error server-writable: a secondary replica"),
        ("/server/version", json!("12.0.6000.0"), "failed error server-version: 12.0.6000.0 Standard Edition (64-bit)"),
        (
            "/server/engine_edition",
            json!(4),
            "failed error server-version: 16.0.4125.3 Standard Edition (64-bit): this edition has no change data capture",
        ),
        ("/database/seen/snapshot_isolation", json!("OFF"), "failed info snapshot-isolation: OFF"),
        ("/database/seen/cdc", json!(false), "failed error cdc-database: it is off"),
        (
            "/database/seen/log_reuse_wait",
            json!("REPLICATION"),
            "failed warning log-reuse: REPLICATION: the log keeps what the capture job has not read",
        ),
        ("/table/seen/kind", json!("VIEW"), "failed error table-kind: of the kind VIEW"),
        (
            "/table/seen/history",
            json!(true),
            "failed warning table-kind: a system-versioned table: each beat adds an old row to its history",
        ),
        ("/table/seen/tracked", json!(false), "failed error cdc-table: it is not tracked"),
        ("/table/seen/instead_of", json!(["t"]), "failed warning instead-of-trigger: INSTEAD OF triggers: [t]"),
        (
            "/table/seen/columns",
            json!([column("id", "int"), column("last_update", "date")]),
            "failed error table-columns: last_update is of type date, which holds no time",
        ),
        (
            "/table/seen/columns",
            json!([column("id", "int"), column("last_update", "datetime")]),
            "failed warning table-primary-key: it has none",
        ),
        ("/row/seen/found", json!(0), "failed error row-exists: the table is empty"),
        ("/row/seen/count", json!(1_001), "failed warning row-single: 1000 or more rows"),
        ("/row/seen/last_update", json!(NOW - 600 * SECOND), "failed warning row-fresh: 10m old"),
        ("/own/seen/update", json!(false), "failed error writer-update: UPDATE is not granted to [hb], or is denied"),
        ("/own/seen/select", json!(false), "failed error writer-select: SELECT is not granted to [hb], or is denied"),
        ("/principals/seen/members", json!([]), "failed warning connector-membership: no member of [streamkap_role]"),
        (
            "/principals/seen/members",
            json!([]),
            "failed error capture-gating-role: no member of [streamkap_role], which gates streamkap_streamkap_heartbeat",
        ),
        (
            "/principals/seen/grants/0",
            json!({"grantee": "streamkap_role", "permission": "CONNECT", "denied": false, "column": false}),
            "failed error connector-select: no SELECT on [streamkap].[streamkap_heartbeat]",
        ),
        (
            "/principals/seen/grants/2",
            json!({"grantee": "public", "permission": "UPDATE", "denied": true, "column": false}),
            "failed error connector-update: UPDATE on [streamkap].[streamkap_heartbeat] is denied to [public], which wins \
             over every grant",
        ),
        ("/principals/seen/names", json!(["dbo", "hb"]), "failed error connector-role: the database has no such user"),
        (
            "/instances/seen",
            json!([instance("streamkap_role", &["id", "text"])]),
            "failed error capture-columns: it captures no last_update",
        ),
        (
            "/tracked_tables/seen",
            json!(1),
            "failed warning cdc-tables: [streamkap].[streamkap_heartbeat] is the only tracked table",
        ),
        ("/captured/seen/until", json!(null), "failed warning capture-latency: nothing was ever captured"),
        (
            "/captured/seen/until",
            json!(NOW - 3_600 * SECOND),
            "failed warning capture-latency: captured up to 59m 40s before the newest beat",
        ),
        (
            "/cdc_errors/seen",
            json!([{"number": 22_832, "message": "Could not update the metadata", "at": NOW - 60 * SECOND}]),
            "failed warning capture-errors: error 22832: Could not update the metadata",
        ),
        ("/cdc_jobs/seen", json!([]), "failed error cdc-jobs: there is no capture job"),
        ("/capture_runs", json!({"seen": false}), "failed error cdc-jobs: the capture job does not run"),
        ("/cdc_jobs/seen", jobs(600), "failed error cdc-retention: 10h"),
        ("/cdc_jobs/seen", jobs(2_000), "failed warning cdc-retention: 1day 9h"),
        ("/cdc_jobs/seen", jobs(3_000), "failed info cdc-retention: 2days 2h"),
        ("/agent/seen", json!("Stopped"), "failed error agent-running: Stopped"),
        (
            "/agent_jobs/seen",
            json!([{"name": "beat", "enabled": true}, {"name": "old", "enabled": false}]),
            "failed warning native-scheduler: jobs of the Agent name the heartbeat table: beat",
        ),
    ] {
        let found = after(pointer, value);
        assert!(found.contains(&expected.to_owned()), "{pointer}: {found:?} lacks {expected}");
    }
}

#[test]
fn an_id_with_a_unique_index_of_its_own_needs_no_primary_key() {
    for key in [None, Some(1)] {
        let mut facts = right();
        facts["table"]["seen"]["columns"][0]["key"] = json!(false);
        if let Some(column) = key {
            facts["table"]["seen"]["columns"][column]["key"] = json!(true);
        }
        let of = |facts: &Value| {
            let findings = judged(&target(), &inspection(facts.clone(), None));
            let failed = findings.into_iter().find(|finding| finding.status == Status::Failed);
            failed.map(|finding| (finding.id.clone(), finding.remedy.unwrap().script().unwrap().text().to_owned()))
        };
        let (id, script) = of(&facts).unwrap();
        let added = if key.is_some() { "UNIQUE" } else { "PRIMARY KEY" };
        assert_eq!(id, "table-primary-key");
        assert_eq!(script, format!("ALTER TABLE [streamkap].[streamkap_heartbeat] ADD {added} (id);"));
        facts["table"]["seen"]["unique_id"] = json!(true);
        assert_eq!(of(&facts), None, "{key:?}");
    }
}

#[test]
fn every_failed_check_says_what_to_do() {
    let mut facts = right();
    facts["server"]["updateability"] = json!("READ_ONLY");
    facts["database"]["seen"]["log_reuse_wait"] = json!("REPLICATION");
    facts["table"]["seen"]["columns"] = json!([]);
    facts["principals"]["seen"]["members"] = json!([]);
    facts["principals"]["seen"]["grants"] = json!([]);
    facts["cdc_jobs"]["seen"] = json!([{"kind": "capture", "enabled": false, "retention": 0}]);
    facts["agent"]["seen"] = json!("Stopped");
    let findings = judged(&target(), &inspection(facts, None));
    let failed: Vec<_> = findings.iter().filter(|finding| finding.status == Status::Failed).collect();
    assert!(failed.len() >= 10, "{:?}", wrong(&findings));
    assert!(failed.iter().all(|finding| finding.remedy.is_some()), "{failed:?}");
}

/// A user with few privileges sees no grants of others, and gets no error.
#[test]
fn what_an_account_may_not_see_is_not_reported_as_missing() {
    let mut facts = right();
    facts["principals"]["seen"] = json!({"sees_all": false, "names": ["public", "hb"], "members": [], "grants": []});
    let findings = judged(&target(), &inspection(facts, None));
    assert!(findings.iter().all(|finding| finding.status != Status::Failed), "{:?}", wrong(&findings));
    let unknown = findings.iter().find(|finding| finding.id == "connector-role").unwrap();
    assert_eq!(unknown.status, Status::Unknown);
    assert!(unknown.observed.ends_with("requires VIEW DEFINITION on the database"), "{}", unknown.observed);
}

#[test]
fn no_jobs_are_expected_on_a_secondary() {
    let mut facts = right_secondary();
    facts["cdc_jobs"]["seen"] = json!([]);
    let failed = wrong(&judged(&target(), &inspection(facts, None)));
    assert_eq!(failed, ["failed error server-writable: a secondary replica"]);
}

#[test]
fn the_remedy_leaves_a_role_that_denies_and_revokes_a_deny() {
    let remedy_of = |facts: Value| {
        let findings = judged(&target(), &inspection(facts, None));
        let denied = findings.into_iter().find(|finding| finding.id == "connector-update").unwrap();
        denied.remedy.unwrap().script().unwrap().text().to_owned()
    };
    let mut facts = right();
    facts["principals"]["seen"]["members"] =
        json!([["cdc_reader", "streamkap_role"], ["cdc_reader", "db_denydatawriter"]]);
    assert_eq!(remedy_of(facts), "ALTER ROLE [db_denydatawriter] DROP MEMBER [cdc_reader];");
    let mut facts = right();
    let deny = json!({"grantee": "public", "permission": "UPDATE", "denied": true, "column": false});
    facts["principals"]["seen"]["grants"].as_array_mut().unwrap().push(deny);
    assert_eq!(remedy_of(facts), "REVOKE UPDATE ON OBJECT::[streamkap].[streamkap_heartbeat] FROM [public];");
}

#[test]
fn a_table_that_is_hidden_or_missing_is_one_finding() {
    let mut facts = right();
    facts["table"]["seen"] = json!({"schema": true, "kind": null, "tracked": false, "instead_of": [], "columns": []});
    facts["row"] = json!({"refused": {"code": "208", "message": "Invalid object name"}});
    let failed = wrong(&judged(&target(), &inspection(facts, None)));
    assert_eq!(failed, ["failed error table-exists: it is missing, or hidden from [hb]"]);
}

#[test]
fn a_lookalike_is_reported_as_one() {
    let mut facts = right();
    facts["server"]["babelfish"] = json!(true);
    for part in ["instances", "captured", "tracked_tables", "cdc_errors", "cdc_jobs", "agent", "agent_jobs"] {
        facts[part] = Value::Null;
    }
    facts["database"]["seen"]["cdc"] = json!(false);
    let failed = wrong(&judged(&target(), &inspection(facts, None)));
    assert!(
        failed.iter().any(|line| line == "failed error cdc-database: Babelfish has no change data capture"),
        "{failed:?}"
    );
    assert!(failed.iter().any(|line| line.contains("server-version: Babelfish: PostgreSQL")), "{failed:?}");
}

#[test]
fn the_configured_capture_instance_is_the_one_that_is_judged() {
    let mut target = target();
    target.connector.set_name("capture_instance", "second");
    let failed = wrong(&judged(&target, &inspection(right(), None)));
    assert_eq!(failed, ["failed error capture-columns: its capture instances are: streamkap_streamkap_heartbeat"]);
}

#[test]
fn a_secondary_that_lags_or_is_really_the_primary_is_found() {
    let mut primary = right_secondary();
    primary["server"]["updateability"] = json!("READ_WRITE");
    let found = wrong(&judged(&with_replica(), &inspection(right(), Some(primary))));
    assert_eq!(found, ["failed warning replica-role: its address leads to the primary"]);
    let mut late = right_secondary();
    late["row"]["seen"]["last_update"] = json!(NOW - 3_600 * SECOND);
    let found = wrong(&judged(&with_replica(), &inspection(right(), Some(late))));
    assert!(found.len() == 1 && found[0].starts_with("failed warning replica-heartbeat:"), "{found:?}");
}

#[test]
fn trust_in_certificates_is_judged_by_the_address() {
    for (query, observed) in [
        ("Encrypt=disable", "nothing is encrypted, the password included"),
        ("Encrypt=optional", "only the login is encrypted"),
        ("TrustServerCertificate=true", "encrypted, but the certificate is not verified"),
    ] {
        let mut target = target();
        target.endpoint = Endpoint::parse(&format!("mssql://hb@db.example/orders?{query}")).unwrap();
        let found = wrong(&judged(&target, &inspection(right(), None)));
        assert_eq!(found, [format!("failed warning tls-verified: {observed}")]);
    }
}
