//! Cases that the test bench cannot produce: other versions, other flavours, refusals. Each test starts from a source
//! without faults and changes one fact.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::right::{right, right_secondary};
use super::*;
use crate::driver::evidence::trial::{NOW, SECOND, inspection, wrong};
use crate::finding::{Inspection, Status};
use crate::target::{Endpoint, Named, Need, Replica};

fn target() -> Target {
    let endpoint = Endpoint::parse("mongodb://hb@a.example,b.example,c.example/?replicaSet=rs0&tls=true").unwrap();
    let mut target = Target::new("orders", endpoint);
    target.connector.user = Named::configured("cdc");
    listing(target, &["shop", "streamkap.streamkap_heartbeat"])
}

fn listing(mut target: Target, namespaces: &[&str]) -> Target {
    let names = namespaces.iter().map(|name| (*name).to_owned()).collect();
    target.connector.needs.insert("namespaces".to_owned(), Need::Names(names));
    target
}

fn with_replica() -> Target {
    let mut target = target();
    let endpoint = Endpoint::parse("mongodb://hb@b.example/?directConnection=true&tls=true").unwrap();
    target.replicas.push(Replica { name: "copy".to_owned(), endpoint, required: false, decode: false });
    target
}

fn judged(target: &Target, now: &Inspection) -> Vec<Finding> {
    judge(&Case { target, now, earlier: None }).unwrap()
}

/// The problems after one change in the facts of a source without faults.
fn after(pointer: &str, value: Value) -> Vec<String> {
    let mut facts = right();
    let parent = pointer.rsplit_once('/').unwrap();
    facts.pointer_mut(parent.0).unwrap()[parent.1] = value;
    wrong(&judged(&target(), &inspection(facts, None)))
}

fn refused() -> Value {
    json!({"refused": {"code": "13", "message": "not authorized on admin to execute command"}})
}

#[test]
fn a_healthy_server_has_no_faults() {
    let findings = judged(&with_replica(), &inspection(right(), Some(right_secondary())));
    assert_eq!(wrong(&findings), [""; 0]);
    let ids: BTreeSet<&str> = findings.iter().map(|finding| finding.id.as_str()).collect();
    assert_eq!(ids, all().iter().map(|check| check.id).collect());
}

#[test]
fn every_check_has_a_finding_whatever_is_refused_and_every_unknown_names_its_requirement() {
    for part in [
        "collection",
        "ttl",
        "row",
        "own",
        "connector",
        "members",
        "set",
        "oplog",
        "guaranteed_hours",
        "periodic_noops",
        "feature_version",
        "readers",
    ] {
        let mut facts = right();
        facts[part] = refused();
        // Otherwise the oplog is not judged.
        if part == "oplog" {
            facts["guaranteed_hours"] = json!({"seen": 0.0});
        }
        let findings = judged(&target(), &inspection(facts, None));
        let ids: BTreeSet<&str> = findings.iter().map(|finding| finding.id.as_str()).collect();
        assert_eq!(ids, all().iter().map(|check| check.id).collect(), "{part}");
        let unknown: Vec<_> = findings.iter().filter(|finding| finding.status == Status::Unknown).collect();
        assert!(part == "collection" || !unknown.is_empty(), "{part}");
        for finding in unknown {
            assert!(finding.observed.contains("(13); requires "), "{part}: {}", finding.observed);
        }
        assert!(findings.iter().all(|finding| finding.status != Status::Failed), "{part}: {:?}", wrong(&findings));
    }
}

#[test]
fn each_fault_is_one_finding_with_a_next_step() {
    let view = json!({"kind": "view", "capped": false, "view_on": "other", "beat_refused": null});
    let capped = json!({"kind": "collection", "capped": true, "view_on": null, "beat_refused": null});
    let refusing = json!({"kind": "collection", "capped": false, "view_on": null, "beat_refused": true});
    let ttl = json!([{"name": "ttl", "field": "last_update", "seconds": 3600.0}]);
    for (pointer, value, expected) in [
        ("/collection/seen", view, "failed error table-kind: a view on other"),
        ("/collection/seen", capped, "failed error table-kind: a capped collection: it drops its oldest documents"),
        ("/collection/seen", refusing, "failed error validator: it refuses a date in last_update"),
        ("/ttl/seen", ttl, "failed error ttl-index: \"ttl\" deletes it 3600 s after the last beat"),
        ("/row/seen/count", json!(3), "failed warning row-single: 3 documents"),
        ("/row/seen/last_update_type", json!("string"), "failed warning last-update-date: of the type string"),
        ("/row/seen/last_update", json!(NOW - 600 * SECOND), "failed warning row-fresh: 10m old"),
        ("/own/seen/rights/update", json!(false), "failed error writer-update: update is not granted to hb"),
        ("/own/seen/rights/find", json!(false), "failed error writer-select: find is not granted to hb"),
        (
            "/connector/seen/rights/find",
            json!(false),
            "failed error connector-select: no find on streamkap.streamkap_heartbeat",
        ),
        (
            "/connector/seen/rights/change_stream",
            json!(false),
            "failed error connector-change-stream: no changeStream on streamkap.streamkap_heartbeat",
        ),
        ("/server/primary", json!(false), "failed error server-writable: it accepts no writes"),
        ("/server/version", json!("MongoDB 4.4.2"), "failed warning server-version: MongoDB 4.4.2"),
        ("/server/version", json!("MongoDB 4.2.0"), "failed error server-version: MongoDB 4.2.0"),
        ("/feature_version/seen", json!("5.0"), "failed info feature-compatibility: 5.0"),
        ("/periodic_noops/seen", json!(false), "failed info periodic-noops: writePeriodicNoops is off"),
        ("/readers/seen", json!(0), "failed info change-stream-readers: no change stream is open on this server"),
        (
            "/members/seen",
            json!([{"name": "a.example:27017", "state": "PRIMARY", "healthy": true, "own": true}]),
            "failed error majority: 1 of 3 members with a vote and with data are healthy",
        ),
        (
            "/set/seen",
            json!({"votes": 3, "voting_data": ["a.example:27017", "b.example:27017"], "arbiters": ["c.example:27017"]}),
            "failed warning arbiters: 2 with data and a vote, 2 make a majority",
        ),
    ] {
        let found = after(pointer, value);
        assert!(found.contains(&expected.to_owned()), "{pointer}: {found:?} lacks {expected}");
    }
    let mut facts = right();
    facts["collection"]["seen"] = Value::Null;
    facts["row"]["seen"] =
        json!({"count": 0, "found": false, "other": null, "last_update_type": null, "last_update": null});
    let findings = judged(&target(), &inspection(facts, None));
    let failed: Vec<_> = findings.iter().filter(|finding| finding.status == Status::Failed).collect();
    assert_eq!(failed.iter().map(|finding| finding.id.as_str()).collect::<Vec<_>>(), ["table-exists"]);
    assert!(failed[0].remedy.is_some());
}

#[test]
fn every_failed_check_says_what_to_do() {
    for pointer in ["/server/primary", "/own/seen/rights/update", "/connector/seen/rights/find", "/periodic_noops/seen"]
    {
        let mut facts = right();
        let parent = pointer.rsplit_once('/').unwrap();
        facts.pointer_mut(parent.0).unwrap()[parent.1] = json!(false);
        for finding in judged(&target(), &inspection(facts, None)) {
            assert!(finding.status != Status::Failed || finding.remedy.is_some(), "{finding:?}");
        }
    }
}

#[test]
fn a_list_of_namespaces_without_the_heartbeat_is_reported() {
    let judged = |namespaces: &[&str]| wrong(&judged(&listing(target(), namespaces), &inspection(right(), None)));
    for fitting in [&[][..], &["streamkap"], &["/.*[.]streamkap_heartbeat/"]] {
        assert_eq!(judged(fitting), [""; 0], "{fitting:?}");
    }
    let found = judged(&["shop", "streamkap.other"]);
    assert_eq!(found, ["failed error connector-namespaces: it is in none of: shop, streamkap.other"]);
}

#[test]
fn the_oplog_is_judged_by_what_is_guaranteed_and_by_what_it_holds_now() {
    let says = |hours: f64, window: u64, size: u64| {
        let mut facts = right();
        facts["guaranteed_hours"] = json!({"seen": hours});
        facts["oplog"] = json!({"seen": {"window": window, "size": size, "max_size": 1_000}});
        wrong(&judged(&target(), &inspection(facts, None)))
    };
    assert_eq!(says(48.0, 60, 1_000), [""; 0]);
    let long = says(0.0, 200_000, 1_000);
    assert_eq!(long, ["failed warning oplog-retention: it reaches back 2days 7h, and nothing guarantees it"]);
    assert!(
        says(24.0, 100_000, 1_000)[0]
            .starts_with("failed error oplog-retention: it reaches back 1day 3h, and 1day are")
    );
    let young = says(0.0, 100, 10);
    assert!(young[0].starts_with("failed info oplog-retention: it is not full yet (10 B of 1000 B)"), "{young:?}");
    let short = says(0.0, 30, 1_000);
    assert_eq!(short, ["failed error oplog-retention: it reaches back 30s, and a period of beats is 1m"]);
}

#[test]
fn a_standalone_server_has_no_change_streams() {
    let mut facts = right();
    facts["server"]["set_name"] = Value::Null;
    for part in ["members", "set", "oplog"] {
        facts[part] = json!({"refused": {"code": "76", "message": "not running with --replSet"}});
    }
    let findings = judged(&target(), &inspection(facts, None));
    assert_eq!(wrong(&findings), ["failed error change-streams: a server by itself"]);
}

#[test]
fn what_a_router_does_not_show_is_unknown_and_not_a_fault() {
    let mut facts = right();
    facts["server"]["set_name"] = Value::Null;
    facts["server"]["sharded"] = json!(true);
    let findings = judged(&target(), &inspection(facts, None));
    assert!(findings.iter().all(|finding| finding.status != Status::Failed), "{:?}", wrong(&findings));
    let unknown: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.status == Status::Unknown)
        .map(|finding| finding.id.as_str())
        .collect();
    assert_eq!(unknown, ["periodic-noops", "oplog-retention"]);
}

#[test]
fn a_replica_of_another_set_or_the_primary_itself_is_reported() {
    for (change, word) in [
        (("set_name", json!("rs1")), "another replica set: rs1"),
        (("secondary", json!(false)), "neither primary nor secondary"),
    ] {
        let mut facts = right_secondary();
        facts["server"][change.0] = change.1;
        let found = wrong(&judged(&with_replica(), &inspection(right(), Some(facts))));
        assert!(found.len() == 1 && found[0].contains(word), "{found:?}");
    }
    let mut late = right_secondary();
    late["row"]["seen"]["last_update"] = json!(NOW - 3_600 * SECOND);
    let found = wrong(&judged(&with_replica(), &inspection(right(), Some(late))));
    assert!(found.len() == 1 && found[0].starts_with("failed warning replica-heartbeat:"), "{found:?}");
}
