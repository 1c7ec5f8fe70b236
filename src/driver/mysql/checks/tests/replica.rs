//! The servers that the connector reads from.

use super::*;

/// What is wrong with a replica after one thing was changed in its facts.
fn replica(target: &Target, pointer: &str, value: Value) -> Vec<String> {
    wrong(&judged(target, &inspection(right(), Some(changed(right_replica(), pointer, value)))))
}

#[test]
fn a_replica_that_follows_nobody_or_stands_still_is_found() {
    for (required, severity) in [(false, Severity::Warning), (true, Severity::Error)] {
        let target = with_replica(false, required);
        assert_eq!(
            replica(&target, "/replication/seen", json!([])),
            ["failed warning replica-role: it follows no server: it was promoted, or the address leads to the source"]
        );
        let channel = "/replication/seen/0";
        for (key, value, says) in [
            ("receiving", json!("Connecting"), "it does not receive: Connecting"),
            ("applying", json!(false), "it does not apply"),
            ("behind", json!(600), "10m behind"),
        ] {
            let said = replica(&target, &format!("{channel}/{key}"), value);
            assert_eq!(said, [format!("failed {severity} replica-threads: {says}")]);
        }
        let late = replica(&target, "/row/seen/last_update", json!(NOW - 3_600 * SECOND));
        assert_eq!(
            late,
            [format!("failed {severity} replica-heartbeat: the newest beat that has arrived is 59m 40s behind")]
        );
    }
}

#[test]
fn filters_of_a_replica_are_read_as_the_server_reads_them() {
    let target = with_replica(false, true);
    let filters = |filters: Value| replica(&target, "/replication/seen/0/filters", filters);
    assert_eq!(
        filters(json!({"wild_ignore_table": "stream%.%"})),
        ["failed error replica-filters: replicate_wild_ignore_table is stream%.%: the table is left out"]
    );
    assert_eq!(filters(json!({"do_db": "streamkap,app", "ignore_table": "app.a"})), [""; 0]);
}

#[test]
fn a_replica_serves_the_connector_if_its_own_binary_log_holds_rows() {
    for (name, value, says) in [
        ("log_bin", "OFF", "log_bin is OFF"),
        ("log_replica_updates", "OFF", "log_replica_updates is OFF"),
        ("binlog_format", "MIXED", "binlog_format is MIXED"),
        ("binlog_row_image", "NOBLOB", "binlog_row_image is NOBLOB"),
    ] {
        let pointer = format!("/server/variables/{name}");
        for (decode, severity) in [(false, Severity::Warning), (true, Severity::Error)] {
            let said = replica(&with_replica(decode, false), &pointer, json!(value));
            assert_eq!(said, [format!("failed {severity} replica-decode: {says}")]);
        }
    }
    // A connector that reads there is reason enough.
    let mut facts = right_replica();
    facts["activity"]["seen"]["readers"] = json!(["cdc"]);
    facts["binlog"]["seen"]["ignore_db"] = json!("streamkap");
    let said = wrong(&judged(&with_replica(false, false), &inspection(right(), Some(facts))));
    assert_eq!(said, ["failed error replica-decode: binlog_ignore_db is streamkap"]);
}

#[test]
fn a_replica_that_shows_nothing_is_unknown_and_never_right() {
    let refused = json!({"refused": {"code": "1227", "message": "access denied"}});
    let said = replica(&with_replica(false, false), "/replication", refused);
    let ids = ["replica-role", "replica-threads", "replica-filters"];
    assert_eq!(said.len(), ids.len(), "{said:?}");
    for (line, id) in said.iter().zip(ids) {
        assert!(line.contains(id) && line.contains("GRANT REPLICATION CLIENT ON *.* TO `hb`@`%`;"), "{line}");
    }
}

#[test]
fn a_connector_that_reads_the_replica_is_connected() {
    let (mut source, mut copy) = (right(), right_replica());
    source["activity"]["seen"]["readers"] = json!(["repl"]);
    let said = |source: &Value, copy: &Value| {
        wrong(&judged(&with_replica(false, false), &inspection(source.clone(), Some(copy.clone()))))
    };
    assert_eq!(
        said(&source, &copy),
        ["failed warning connector-connected: no session of this user reads the binary log"]
    );
    copy["activity"]["seen"]["readers"] = json!(["cdc"]);
    assert_eq!(said(&source, &copy), [""; 0]);
    copy["activity"] = json!({"refused": {"code": "1227", "message": "access denied"}});
    let hidden = said(&source, &copy);
    assert!(hidden.len() == 1 && hidden[0].starts_with("unknown warning connector-connected"), "{hidden:?}");
}
