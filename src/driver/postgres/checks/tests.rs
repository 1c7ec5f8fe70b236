//! States that the test bench cannot give a server: other versions, other flavours, refusals. Each test takes the facts
//! of a healthy source and changes one thing.

mod right;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use self::right::{right, right_standby};
use super::*;
use crate::driver::evidence::trial::{NOW, SECOND, inspection, wrong};
use crate::finding::{Inspection, Severity, Status};
use crate::target::{ConnectorMode, Endpoint, Named, Replica, WriteMode};

fn target() -> Target {
    let endpoint = Endpoint::parse("postgres://hb@db.example/orders?sslmode=verify-full").unwrap();
    let mut target = Target::new("orders", endpoint);
    target.connector.user = Named::configured("cdc");
    target.connector.set_name("publication", "pub");
    target.connector.set_name("slot", "slot");
    target.connector.mode = ConnectorMode::ReadWrite;
    target
}

fn with_replica(decode: bool) -> Target {
    let mut target = target();
    let endpoint = Endpoint::parse("postgres://hb@standby.example/orders?sslmode=verify-full").unwrap();
    target.replicas.push(Replica { name: "copy".to_owned(), endpoint, required: false, decode });
    target
}

fn judged(target: &Target, now: &Inspection) -> Vec<Finding> {
    judge(&Case { target, now, earlier: None }).unwrap()
}

/// The findings after one change in the facts of a healthy source.
fn after(pointer: &str, value: Value) -> Vec<String> {
    let mut facts = right();
    let parent = pointer.rsplit_once('/').unwrap();
    facts.pointer_mut(parent.0).unwrap()[parent.1] = value;
    wrong(&judged(&target(), &inspection(facts, None)))
}

fn setting(name: &str, value: &str, unit: Option<&str>) -> Vec<String> {
    let value = json!({"setting": value, "unit": unit, "source": "configuration file"});
    after(&format!("/server/settings/{name}"), value)
}

#[test]
fn a_healthy_server_of_any_version_has_no_faults() {
    for version in [130_000, 140_000, 150_020, 160_000, 170_000, 180_001, 190_000] {
        assert_eq!(after("/server/version_number", json!(version)), [""; 0], "{version}");
    }
    let findings = judged(&with_replica(true), &inspection(right(), Some(right_standby())));
    assert_eq!(wrong(&findings), [""; 0]);
}

#[test]
fn every_check_has_a_finding_whatever_is_refused_and_every_unknown_names_its_requirement() {
    let refused = json!({"refused": {"code": "42501", "message": "permission denied for something"}});
    for part in ["table", "row", "roles", "publication", "slots", "wal", "activity"] {
        let mut facts = right();
        facts[part] = refused.clone();
        let findings = judged(&target(), &inspection(facts, None));
        let ids: BTreeSet<&str> = findings.iter().map(|finding| finding.id.as_str()).collect();
        assert_eq!(ids, all().iter().map(|check| check.id).collect(), "{part}");
        let unknown: Vec<_> = findings.iter().filter(|finding| finding.status == Status::Unknown).collect();
        assert!(!unknown.is_empty(), "{part}");
        for finding in unknown {
            assert!(finding.observed.contains("(42501); requires "), "{part}: {}", finding.observed);
        }
        assert!(findings.iter().all(|finding| finding.status != Status::Failed), "{part}: {:?}", wrong(&findings));
    }
}

#[test]
fn every_failed_check_says_what_to_do() {
    let mut target = target();
    target.connector.user = Named::configured("a\"b");
    let mut facts = right();
    for part in ["table", "slots", "publication", "roles"] {
        let seen = facts[part]["seen"].as_object_mut().unwrap();
        for key in ["schema", "table", "named", "connector"] {
            if seen.contains_key(key) {
                seen.insert(key.to_owned(), Value::Null);
            }
        }
    }
    facts["row"] = Value::Null;
    let findings = judged(&target, &inspection(facts, None));
    let failed: Vec<_> = findings.iter().filter(|finding| finding.status == Status::Failed).collect();
    let ids: Vec<_> = failed.iter().map(|finding| finding.id.as_str()).collect();
    assert_eq!(ids, ["schema-exists", "connector-role", "publication-exists", "slot-exists"]);
    assert!(failed.iter().all(|finding| finding.remedy.is_some()));
    assert!(failed[1].remedy.as_ref().unwrap().to_string().starts_with("CREATE ROLE \"a\"\"b\" LOGIN REPLICATION;"));
}

#[test]
fn old_versions_are_found() {
    assert_eq!(after("/server/version_number", json!(120_018)).len(), 1);
    let old = after("/server/version_number", json!(90_600));
    assert!(old.iter().any(|line| line.starts_with("failed error server-version")), "{old:?}");
}

#[test]
fn clocks_that_differ_are_found() {
    assert_eq!(after("/server/time", json!(NOW + 14 * SECOND)), [""; 0]);
    let wrong = after("/server/time", json!(NOW + 60 * SECOND));
    assert_eq!(wrong, ["failed warning server-clock: the server's clock is 1m ahead of the clock here"]);
}

#[test]
fn an_unverified_server_is_found_by_its_address() {
    let says = |address: &str, encrypted: bool| {
        let mut target = target();
        target.endpoint = Endpoint::parse(address).unwrap();
        let mut facts = right();
        facts["server"]["encrypted"] = json!(encrypted);
        wrong(&judged(&target, &inspection(facts, None)))
    };
    for address in ["postgres://hb@127.0.0.1/x", "postgres://hb@localhost,[::1]/x", "postgres://hb@%2Frun%2Fpg/x"] {
        assert_eq!(says(address, false), [""; 0], "{address}");
    }
    for (address, encrypted, what) in [
        ("postgres://hb@db/x", false, "this session is not encrypted"),
        ("postgres://hb@db/x?sslmode=prefer", true, "the certificate is not verified"),
        ("postgres://hb@db/x?sslmode=disable", false, "nothing is encrypted"),
        ("postgres://hb@db/x?sslmode=require", true, "the certificate is not verified"),
        ("postgres://hb@db/x?sslmode=verify-ca", true, "whatever its name"),
        ("postgres://hb@localhost,db/x", false, "this session is not encrypted"),
    ] {
        let said = says(address, encrypted);
        assert!(said.len() == 1 && said[0].contains("tls-verified") && said[0].contains(what), "{address}: {said:?}");
    }
}

#[test]
fn an_idle_slot_is_given_up_only_from_version_18_on() {
    let said = setting("idle_replication_slot_timeout", "7200", Some("s"));
    assert_eq!(said, ["failed warning idle-slot-timeout: 2h"]);
    assert_eq!(setting("idle_replication_slot_timeout", "2880", Some("min")), [""; 0]);
}

#[test]
fn a_setting_that_is_hidden_is_unknown() {
    for (name, check) in
        [("wal_level", "wal-level"), ("max_wal_senders", "senders-free"), ("archive_mode", "archive-timeout")]
    {
        let mut facts = right();
        facts["server"]["settings"].as_object_mut().unwrap().remove(name);
        let said = wrong(&judged(&target(), &inspection(facts, None)));
        assert!(said.len() == 1 && said[0].starts_with("unknown") && said[0].contains(check), "{said:?}");
        assert!(said[0].contains("requires GRANT pg_read_all_settings"), "{said:?}");
    }
}

#[test]
fn every_way_to_lose_a_slot_is_named() {
    let slot = "/slots/seen/named";
    for (key, value, says) in [
        ("wal_status", json!("lost"), "failed error slot-wal-status: lost: the WAL it needs has been removed"),
        (
            "wal_status",
            json!("unreserved"),
            "failed warning slot-wal-status: unreserved: it is lost at the next checkpoint",
        ),
        ("conflicting", json!(true), "failed error slot-wal-status: invalidated by a conflict with recovery"),
        ("invalidation_reason", json!("idle_timeout"), "failed error slot-wal-status: invalidated: idle_timeout"),
    ] {
        assert_eq!(after(&format!("{slot}/{key}"), value), [says]);
    }
}

#[test]
fn a_slot_that_was_read_a_moment_ago_is_no_fault() {
    for (seconds, failed) in [(30, 0), (3_600, 1)] {
        let mut facts = right();
        facts["slots"]["seen"]["named"]["active"] = json!(false);
        facts["slots"]["seen"]["named"]["inactive_since_micros"] = json!(NOW - seconds * SECOND);
        let said = wrong(&judged(&target(), &inspection(facts, None)));
        assert_eq!(said.len(), failed, "{said:?}");
    }
}

#[test]
fn a_replica_decodes_if_version_settings_and_feedback_fit() {
    let said = |change: fn(&mut Value, &mut Value), decode: bool| {
        let (mut source, mut replica) = (right(), right_standby());
        change(&mut source, &mut replica);
        wrong(&judged(&with_replica(decode), &inspection(source, Some(replica))))
    };
    let feedback = |_: &mut Value, replica: &mut Value| {
        replica["server"]["settings"]["hot_standby_feedback"]["setting"] = json!("off");
    };
    assert_eq!(said(feedback, true), ["failed error replica-decode: hot_standby_feedback is off"]);
    assert_eq!(said(feedback, false), [""; 0]);
    let level = |_: &mut Value, replica: &mut Value| {
        replica["server"]["settings"]["wal_level"]["setting"] = json!("replica");
    };
    assert_eq!(said(level, true), ["failed error replica-decode: wal_level is replica on the replica"]);
    // An existing slot makes it an error, and is judged on its own server.
    let slot = |source: &mut Value, replica: &mut Value| {
        replica["slots"]["seen"]["named"] = source["slots"]["seen"]["named"].take();
        replica["slots"]["seen"]["named"]["conflicting"] = json!(true);
        replica["server"]["version_number"] = json!(150_000);
    };
    let lines = said(slot, false);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("slot-wal-status") && lines[1].contains("cannot decode on a standby"), "{lines:?}");
}

#[test]
fn a_copy_of_the_slot_for_a_failover_is_not_expected_to_be_read() {
    let mut replica = right_standby();
    replica["slots"]["seen"]["named"] = right()["slots"]["seen"]["named"].clone();
    replica["slots"]["seen"]["named"]["active"] = json!(false);
    replica["server"]["settings"]["hot_standby_feedback"]["setting"] = json!("off");
    replica["slots"]["seen"]["named"]["synced"] = json!(true);
    assert_eq!(wrong(&judged(&with_replica(false), &inspection(right(), Some(replica.clone())))), [""; 0]);
    replica["slots"]["seen"]["named"]["synced"] = json!(false);
    let said = wrong(&judged(&with_replica(false), &inspection(right(), Some(replica))));
    assert!(
        said.len() == 1 && said[0].starts_with("failed warning slot-wal-status: a slot on replica copy"),
        "{said:?}"
    );
}

#[test]
fn managed_flavours_replicate_through_their_roles() {
    let role = "/roles/seen/connector";
    let mut facts = right();
    facts["roles"]["seen"]["connector"]["replication"] = json!(false);
    facts["server"]["settings"]["rds.logical_replication"] = json!({"setting": "on", "source": "configuration file"});
    let findings = judged(&target(), &inspection(facts.clone(), None));
    let failed: Vec<_> = findings.iter().filter(|finding| finding.status == Status::Failed).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].remedy.as_ref().unwrap().to_string(), "GRANT rds_replication TO \"cdc\"; -- on the source");
    facts.pointer_mut(role).unwrap()["replication_roles"] = json!(["rds_replication"]);
    assert_eq!(wrong(&judged(&target(), &inspection(facts, None))), [""; 0]);
}

#[test]
fn an_update_that_a_publication_would_refuse_is_not_reported_as_a_missing_privilege() {
    let refused = json!({"refused": {"code": "55000", "message": "cannot update table without a replica identity"}});
    assert_eq!(after("/probes/update", refused), [""; 0]);
}

#[test]
fn a_refused_probe_is_a_grant_that_is_missing_unless_something_else_comes_first() {
    let refused = |code: &str| json!({"refused": {"code": code, "message": "no"}});
    assert_eq!(after("/probes/update", refused("42501")), ["failed error writer-update: no (42501)"]);
    for code in ["42P01", "3F000", "42703"] {
        assert_eq!(after("/probes/update", refused(code)), [""; 0], "{code}");
    }
    let unknown = after("/probes/update", refused("XX000"));
    assert!(unknown[0].starts_with("unknown error writer-update: no (XX000); requires GRANT UPDATE"), "{unknown:?}");
    let locked = after("/probes/update", refused("55P03"));
    assert!(locked[0].starts_with("unknown error writer-update: no (55P03); requires another look"), "{locked:?}");
}

#[test]
fn hidden_sessions_make_long_transactions_unknown_but_an_old_one_still_fails() {
    let said = after("/activity/seen/sessions_hidden", json!(2));
    assert_eq!(
        said,
        ["unknown warning long-transactions: none is open, and 2 sessions of other users are hidden; requires GRANT \
          pg_monitor TO \"hb\";"]
    );
    let mut facts = right();
    facts["activity"]["seen"]["sessions_hidden"] = json!(2);
    facts["activity"]["seen"]["transactions"] =
        json!([{"pid": 7, "prepared": null, "user": "hb", "application": "", "age": 3_600 * SECOND}]);
    let said = wrong(&judged(&target(), &inspection(facts, None)));
    assert_eq!(
        said,
        ["failed warning long-transactions: session 7 of hb (without a name) has had a transaction open for 1h"]
    );
}

#[test]
fn standbys_that_a_commit_waits_for_are_counted_as_the_setting_is_read() {
    for (names, wanted) in [
        ("", 0),
        ("a", 1),
        ("a, b", 1),
        ("*", 1),
        ("2 (a, b)", 2),
        ("ANY 2 (a, b, c)", 2),
        ("FIRST 3 (a, b, c)", 3),
        ("first 2(\"a (x)\", b)", 2),
    ] {
        assert_eq!(activity::standbys_wanted(names), wanted, "{names}");
    }
    let mut facts = right();
    facts["server"]["settings"]["synchronous_standby_names"]["setting"] = json!("a");
    facts["activity"]["seen"]["senders_hidden"] = json!(1);
    let said = wrong(&judged(&target(), &inspection(facts, None)));
    assert!(said.len() == 1 && said[0].starts_with("unknown warning synchronous-standby"), "{said:?}");
}

#[test]
fn a_connector_that_only_reads_needs_no_privilege_to_write() {
    let mut target = target();
    target.connector.mode = ConnectorMode::ReadOnly;
    let mut facts = right();
    for privilege in ["insert", "update", "delete", "sequence"] {
        facts["roles"]["seen"]["connector"][privilege] = json!(false);
    }
    assert_eq!(wrong(&judged(&target, &inspection(facts.clone(), None))), [""; 0]);
    target.connector.mode = ConnectorMode::ReadWrite;
    assert_eq!(wrong(&judged(&target, &inspection(facts, None))).len(), 4);
}

#[test]
fn a_policy_with_a_condition_cannot_be_judged_from_outside() {
    let mut facts = right();
    let table = &mut facts["table"]["seen"]["table"];
    table["row_security"] = json!(true);
    table["row_security_active"] = json!(true);
    table["policies"] = json!([{"command": "*", "permissive": true, "applies": true, "every_row": false}]);
    let said = wrong(&judged(&target(), &inspection(facts, None)));
    assert!(
        said.iter().any(|line| line.starts_with("unknown error row-level-security: the policies for SELECT")),
        "{said:?}"
    );
}

#[test]
fn a_failing_job_is_worse_without_another_writer() {
    for (write, severity) in [(WriteMode::Always, Severity::Info), (WriteMode::Never, Severity::Warning)] {
        let mut target = target();
        target.write = write;
        let mut facts = right();
        facts["activity"]["seen"]["cron_launcher"] = json!(true);
        facts["activity"]["seen"]["cron"] = json!({"version": "1.6", "filtered": false});
        facts["jobs"] = json!({"seen": [{"id": 3, "name": null, "schedule": "* * * * *", "active": true,
            "database": "orders", "row": 1}]});
        facts["runs"] =
            json!({"seen": [{"job": 3, "status": "failed", "message": "job startup timeout", "started_at": NOW}]});
        let said = wrong(&judged(&target, &inspection(facts, None)));
        assert_eq!(said, [format!("failed {severity} native-scheduler: its last run failed: job startup timeout")]);
    }
}

#[test]
fn facts_of_another_shape_are_an_error_and_not_a_verdict() {
    let target = target();
    let now = inspection(json!({"version": "3.45"}), None);
    assert!(judge(&Case { target: &target, now: &now, earlier: None }).is_err());
}

#[test]
fn a_remedy_deletes_rows_only_if_one_row_is_kept() {
    let both = after("/row/seen", json!({"count": 2, "ids": [7, 8], "last_update": null}));
    assert_eq!(both, ["failed error row-exists: there is row 7 and not row 1"]);
    let mut facts = right();
    facts["row"]["seen"]["count"] = json!(2);
    facts["row"]["seen"]["ids"] = json!([1, 7]);
    let findings = judged(&target(), &inspection(facts, None));
    let finding = findings.iter().find(|finding| finding.status == Status::Failed).unwrap();
    let remedy = finding.remedy.as_ref().unwrap().to_string();
    assert!(remedy.contains(" SELECT * FROM ") && !remedy.contains("DELETE"), "{remedy}");
}

#[test]
fn the_age_of_the_oldest_transaction_is_judged_and_the_slot_that_holds_it_is_named() {
    let slots = |database: i64, slot: i64| {
        let mut facts = right();
        let seen = &mut facts["slots"]["seen"];
        seen["databases"] = json!([{"name": "orders", "age": database}]);
        seen["oldest"] = json!([{"name": "forgotten", "active": false, "age": slot}]);
        let findings = judged(&target(), &inspection(facts, None));
        let age = findings.into_iter().find(|finding| finding.id == "transaction-age").unwrap();
        (age.status, age.severity, age.remedy.map(|remedy| remedy.to_string()).unwrap_or_default())
    };
    assert_eq!(slots(200_000_000, 499_999_999).0, Status::Ok);
    let (status, severity, remedy) = slots(520_000_000, 510_000_000);
    assert_eq!((status, severity), (Status::Failed, Severity::Warning));
    assert!(remedy.contains("\"forgotten\" (it is not read)") && !remedy.contains("drop"), "{remedy}");
    let (_, severity, remedy) = slots(1_700_000_000, 1_000);
    assert_eq!(severity, Severity::Error);
    assert!(remedy.contains("VACUUM (FREEZE) in the database \"orders\""), "{remedy}");
}
