//! States that the test bench cannot give a server: other versions, other flavours, refusals. Each test takes the facts
//! of a healthy source and changes one thing.

mod binlog;
mod replica;
mod right;
mod surroundings;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use self::right::{as_a_node, denied, right, right_mariadb, right_rds, right_replica};
use super::*;
use crate::driver::evidence::trial::{NOW, SECOND, inspection, wrong};
use crate::finding::{Inspection, Severity, Status};
use crate::target::{ConnectorMode, Endpoint, Named, Replica};

fn target() -> Target {
    let endpoint = Endpoint::parse("mysql://hb@db.example/?ssl-mode=verify_identity").unwrap();
    let mut target = Target::new("orders", endpoint);
    target.connector.user = Named::configured("cdc");
    target.connector.mode = ConnectorMode::ReadWrite;
    target
}

fn with_replica(decode: bool, required: bool) -> Target {
    let mut target = target();
    let endpoint = Endpoint::parse("mysql://hb@replica.example/?ssl-mode=verify_identity").unwrap();
    target.replicas.push(Replica { name: "copy".to_owned(), endpoint, required, decode });
    target
}

fn judged(target: &Target, now: &Inspection) -> Vec<Finding> {
    judge(&Case { target, now, earlier: None }).unwrap()
}

/// The findings for these facts that are not OK.
fn wrong_with(facts: Value) -> Vec<String> {
    wrong(&judged(&target(), &inspection(facts, None)))
}

/// Facts with one thing changed.
fn changed(mut facts: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    facts.pointer_mut(parent).unwrap()[key] = value;
    facts
}

/// The findings after one change in the facts of a healthy MySQL.
fn after(pointer: &str, value: Value) -> Vec<String> {
    wrong_with(changed(right(), pointer, value))
}

/// As [`after`], for one of the server's variables, on any flavour.
fn variable(facts: Value, name: &str, value: &str) -> Vec<String> {
    wrong_with(changed(facts, &format!("/server/variables/{name}"), json!(value)))
}

/// The remedy of the only finding that failed for these facts.
fn remedy(facts: Value) -> String {
    only_remedy(&judged(&target(), &inspection(facts, None)))
}

fn only_remedy(findings: &[Finding]) -> String {
    let failed: Vec<_> = findings.iter().filter(|finding| finding.status == Status::Failed).collect();
    assert_eq!(failed.len(), 1, "{:?}", wrong(findings));
    failed[0].remedy.as_ref().unwrap().to_string()
}

/// The finding of this check.
fn of<'a>(findings: &'a [Finding], id: &str) -> &'a Finding {
    findings.iter().find(|finding| finding.id == id).unwrap()
}

#[test]
fn a_healthy_server_of_any_flavour_has_no_faults() {
    for facts in [right(), right_mariadb(), right_rds()] {
        assert_eq!(wrong_with(facts), [""; 0]);
    }
    let findings = judged(&with_replica(true, true), &inspection(right(), Some(right_replica())));
    assert_eq!(wrong(&findings), [""; 0]);
}

#[test]
fn every_check_has_a_finding_whatever_is_refused_and_every_unknown_names_its_requirement() {
    for part in ["table", "row", "binlog", "replication", "activity", "events", "tables"] {
        let findings = judged(&target(), &inspection(changed(right(), &format!("/{part}"), denied()), None));
        let ids: BTreeSet<&str> = findings.iter().map(|finding| finding.id.as_str()).collect();
        assert_eq!(ids, all().iter().map(|check| check.id).collect(), "{part}");
        let unknown: Vec<_> = findings.iter().filter(|finding| finding.status == Status::Unknown).collect();
        // Whether the source follows another server need not be known.
        assert_eq!(unknown.is_empty(), part == "replication", "{part}");
        for finding in unknown {
            assert!(finding.observed.contains("(1227); requires "), "{part}: {}", finding.observed);
        }
        assert!(findings.iter().all(|finding| finding.status != Status::Failed), "{part}: {:?}", wrong(&findings));
    }
}

#[test]
fn a_refusal_that_may_pass_asks_for_another_inspection_and_not_for_a_grant() {
    let said = after("/tables", json!({"refused": {"code": "3024", "message": "maximum execution time exceeded"}}));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("requires another look"), "{said:?}");
}

#[test]
fn facts_of_another_shape_are_an_error_and_not_a_verdict() {
    let target = target();
    let now = inspection(json!({"version": "3.45"}), None);
    assert!(judge(&Case { target: &target, now: &now, earlier: None }).is_err());
}

/// How the remedy begins that makes a server writable.
const FIRST: &str = "make sure that this is the source and that no failover tool keeps it read-only; then run:";

#[test]
fn a_finding_names_the_variable_that_makes_a_server_read_only() {
    assert_eq!(variable(right(), "read_only", "ON"), ["failed error server-writable: read_only is ON"]);
    assert_eq!(
        variable(right_mariadb(), "read_only", "NO_LOCK"),
        ["failed error server-writable: read_only is NO_LOCK"]
    );
    assert_eq!(
        variable(right(), "innodb_read_only", "ON"),
        ["failed error server-writable: innodb_read_only is ON, as on a reader of Aurora"]
    );
    assert_eq!(
        after("/server/session_read_only", json!(true)),
        ["failed error server-writable: transaction_read_only is ON"]
    );
    let both = changed(right(), "/server/variables/super_read_only", json!("ON"));
    let both = changed(both, "/server/variables/read_only", json!("ON"));
    assert_eq!(remedy(both), format!("{FIRST} SET PERSIST read_only = OFF; -- on the source"));
    let mariadb = changed(right_mariadb(), "/server/variables/read_only", json!("ON"));
    assert_eq!(
        remedy(mariadb),
        format!(
            "{FIRST} SET GLOBAL read_only = OFF; -- on the source: also write read_only = OFF under [mysqld] in the option \
             file, for a restart"
        )
    );
}

#[test]
fn a_replica_in_place_of_the_primary_fails_and_a_writable_one_only_warns() {
    let mut facts = right_replica();
    facts["activity"] = right()["activity"].clone();
    let said = wrong_with(facts.clone());
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("failed error server-writable: it is a replica of db.example:3306"), "{said:?}");
    assert!(remedy(facts.clone()).starts_with("name the primary in url"));
    facts["server"] = right()["server"].clone();
    let said = wrong_with(facts.clone());
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("failed warning server-writable: it accepts writes, and follows"), "{said:?}");
    // If two sources follow each other, neither must stop.
    assert!(!said[0].contains("do not get there") && !remedy(facts.clone()).contains("STOP"), "{said:?}");
    // A former replica that no longer follows a server is a primary.
    facts["replication"]["seen"][0]["applying"] = json!(false);
    facts["replication"]["seen"][0]["receiving"] = json!("No");
    assert_eq!(wrong_with(facts), [""; 0]);
}

#[test]
fn only_a_server_that_is_known_to_follow_no_other_is_made_writable() {
    let guarded = |mut facts: Value| {
        facts["server"]["variables"]["read_only"] = json!("ON");
        facts
    };
    assert_eq!(remedy(guarded(right())), format!("{FIRST} SET PERSIST read_only = OFF; -- on the source"));
    let unless = "name the primary in url, or all hosts (mysql://user@a,b/); let your failover tool decide whether";
    let hidden = changed(guarded(right()), "/replication", denied());
    assert!(remedy(hidden.clone()).starts_with(unless), "{}", remedy(hidden.clone()));
    assert_eq!(
        wrong_with(hidden),
        ["failed error server-writable: read_only is ON; whether it is a replica is not shown to this user"]
    );
    // A replica stays a replica when its threads are stopped, by hand or by an error.
    let mut stopped = changed(guarded(right()), "/replication", right_replica()["replication"].clone());
    stopped["replication"]["seen"][0]["applying"] = json!(false);
    stopped["replication"]["seen"][0]["receiving"] = json!("No");
    assert_eq!(
        wrong_with(stopped.clone()),
        ["failed error server-writable: it is a replica of db.example:3306: read_only is ON"]
    );
    assert!(remedy(stopped).starts_with(unless));
    // Members of a group show no source, and are read-only because another member is the primary.
    let member = changed(guarded(right()), "/server/variables/group_replication_group_name", json!("8a94f357"));
    assert!(remedy(member).starts_with(unless));
    assert!(remedy(guarded(as_a_node(right_mariadb()))).starts_with(unless));
}

#[test]
fn remedies_write_only_options_that_a_server_accepts_at_its_start() {
    let mut facts = right_mariadb();
    facts["server"]["variables"]["read_only"] = json!("ON");
    facts["server"]["session_read_only"] = json!(true);
    assert_eq!(
        remedy(facts),
        format!(
            "{FIRST} SET GLOBAL read_only = OFF; SET GLOBAL tx_read_only = OFF; -- on the source: also write read_only = \
             OFF and transaction-read-only = OFF under [mysqld] in the option file, for a restart"
        )
    );
}

#[test]
fn old_versions_are_found_and_older_ones_are_worse() {
    let said = |facts: Value, version: &str| wrong_with(changed(facts, "/server/version", json!(version)));
    for (version, severity) in [
        ("5.5.62-log", Some(Severity::Error)),
        ("5.7.29-log", Some(Severity::Warning)),
        ("8.0.36-cluster", None),
        ("9.7.4-2", None),
    ] {
        let expected = severity.map(|severity| format!("failed {severity} server-version: MySQL {version}"));
        assert_eq!(said(right(), version), Vec::from_iter(expected));
    }
    for (version, severity) in [
        ("10.1.48-MariaDB", Some(Severity::Error)),
        ("10.5.20-MariaDB-1:10.5.20+maria~ubu2004-log", Some(Severity::Warning)),
        ("5.5.5-10.11.6-MariaDB-log", Some(Severity::Info)),
        ("11.4.2-MariaDB", Some(Severity::Info)),
        ("11.4.3-MariaDB", None),
        ("12.1.1-MariaDB", None),
    ] {
        let expected = severity.map(|severity| format!("failed {severity} server-version: MariaDB {version}"));
        assert_eq!(said(right_mariadb(), version), Vec::from_iter(expected));
    }
}

#[test]
fn an_unverified_server_is_found_by_its_address() {
    let says = |address: &str, encrypted: bool| {
        let mut target = target();
        target.endpoint = Endpoint::parse(address).unwrap();
        let facts = changed(right(), "/server/encrypted", json!(encrypted));
        wrong(&judged(&target, &inspection(facts, None)))
    };
    for address in ["mysql://hb@127.0.0.1/", "mysql://hb@localhost,[::1]/", "mysql://hb@%2Frun%2Fmysqld%2Fs.sock/"] {
        assert_eq!(says(address, false), [""; 0], "{address}");
    }
    for (address, encrypted, what) in [
        ("mysql://hb@db/", false, "this session is not encrypted"),
        ("mysql://hb@db/?ssl-mode=preferred", true, "the certificate is not verified"),
        ("mysql://hb@db/?ssl-mode=disabled", false, "nothing is encrypted"),
        ("mysql://hb@db/?ssl-mode=required", true, "the certificate is not verified"),
        ("mysql://hb@db/?ssl-mode=verify_ca", true, "whatever its name"),
    ] {
        let said = says(address, encrypted);
        assert!(said.len() == 1 && said[0].contains("tls-verified") && said[0].contains(what), "{address}: {said:?}");
    }
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
fn a_key_is_the_same_however_the_catalogue_writes_its_name() {
    assert_eq!(after("/table/seen/table/primary_key", json!(["ID"])), [""; 0]);
    assert_eq!(after("/table/seen/table/primary_key", json!(["Text"])), ["failed warning table-primary-key: Text"]);
}

#[test]
fn an_administrators_remedy_does_not_revoke_his_own_privileges() {
    let mut facts = right();
    facts["server"]["user"] = json!("root");
    facts["roles"]["own"]["user"] = json!("root");
    facts["roles"]["own"]["grants"]["seen"]["granted"][0]["privileges"] = json!([{"name": "ALL PRIVILEGES"}]);
    let remedy = remedy(facts);
    assert!(remedy.starts_with("CREATE USER `heartbeat`@`%` IDENTIFIED BY <password>;"), "{remedy}");
    assert!(!remedy.contains("REVOKE"), "{remedy}");
}

#[test]
fn all_privileges_are_those_that_the_server_has() {
    let mut facts = right();
    facts["roles"]["own"]["grants"]["seen"]["granted"][0]["privileges"] = json!([{"name": "ALL PRIVILEGES"}]);
    let held = |facts: Value| wrong_with(facts).into_iter().find(|line| line.contains("writer-read-only")).unwrap();
    assert!(held(facts.clone()).ends_with("it holds SUPER"), "as on MySQL 5.7");
    facts["server"]["variables"]["activate_all_roles_on_login"] = json!("OFF");
    assert!(held(facts).ends_with("it holds SUPER, CONNECTION_ADMIN"));
}

#[test]
fn accounts_of_the_connector_that_were_not_read_are_unknown() {
    assert_eq!(
        after("/roles/connector_left_out", json!(3)),
        ["unknown error connector-role: 3 more accounts have this name and were not read: name the connector's as \
             user@host"]
    );
}

#[test]
fn only_an_account_with_a_password_expires() {
    let past = json!(NOW - 3_600 * SECOND);
    let logs_in_by = |plugin: &str| {
        let mut facts = right();
        let account = facts.pointer_mut("/roles/own/account/seen").unwrap();
        account["plugin"] = json!(plugin);
        account["valid_until"] = past.clone();
        wrong_with(facts)
    };
    for plugin in ["auth_socket", "unix_socket", "authentication_ldap_simple", "AWSAuthenticationPlugin", "pam"] {
        assert_eq!(logs_in_by(plugin), [""; 0], "{plugin}");
    }
    for plugin in ["caching_sha2_password", "mysql_native_password", "ed25519"] {
        assert_eq!(logs_in_by(plugin), ["failed error writer-expiry: it expired 1h ago"], "{plugin}");
    }
}
