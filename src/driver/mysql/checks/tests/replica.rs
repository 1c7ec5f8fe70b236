//! The replicas that the connector reads from.

use super::*;

/// The findings about a replica after one change in its facts.
fn replica(target: &Target, pointer: &str, value: Value) -> Vec<String> {
    wrong(&judged(target, &inspection(right(), Some(changed(right_replica(), pointer, value)))))
}

#[test]
fn a_replica_without_a_source_or_without_progress_is_found() {
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
    // A connector that reads there makes it an error.
    let mut facts = right_replica();
    facts["activity"]["seen"]["readers"] = json!(["cdc"]);
    facts["binlog"]["seen"]["ignore_db"] = json!("streamkap");
    let said = wrong(&judged(&with_replica(false, false), &inspection(right(), Some(facts))));
    assert_eq!(said, ["failed error replica-decode: binlog_ignore_db is streamkap"]);
}

#[test]
fn a_replica_that_shows_nothing_is_unknown_and_never_healthy() {
    let said = replica(&with_replica(false, false), "/replication", denied());
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
    copy["activity"] = denied();
    let hidden = said(&source, &copy);
    assert!(hidden.len() == 1 && hidden[0].starts_with("unknown warning connector-connected"), "{hidden:?}");
}

/// The remedy of the only check that fails on this replica.
fn mends(target: &Target, copy: Value) -> String {
    only_remedy(&judged(target, &inspection(right(), Some(copy))))
}

#[test]
fn a_replica_that_accepts_writes_gets_a_warning_and_a_member_of_a_cluster_does_not() {
    let target = with_replica(false, true);
    let mut copy = right_replica();
    copy["server"]["variables"]["read_only"] = json!("OFF");
    copy["server"]["variables"]["super_read_only"] = json!("OFF");
    assert_eq!(
        wrong(&judged(&target, &inspection(right(), Some(copy.clone())))),
        ["failed warning replica-role: it follows db.example:3306, and accepts writes of its own: read_only is OFF"]
    );
    assert_eq!(mends(&target, copy.clone()), "SET PERSIST read_only = ON; -- on replica copy");
    copy["server"]["variables"]["group_replication_group_name"] = json!("8a94f357");
    let primary = mends(&target, copy.clone());
    assert!(primary.starts_with("name a secondary"), "a group needs a primary that takes writes: {primary}");
    copy["server"]["variables"]["group_replication_single_primary_mode"] = json!("OFF");
    assert_eq!(wrong(&judged(&target, &inspection(right(), Some(copy)))), [""; 0]);
}

/// As in `/health`, which calls such a server `not_a_replica`.
#[test]
fn a_writable_member_of_a_single_primary_group_or_outside_its_group_is_not_a_replica() {
    let target = with_replica(false, true);
    let findings = |single_primary: &str, read_only: &str, member: Option<bool>| {
        let mut copy = right_replica();
        copy["replication"]["seen"] = json!([]);
        copy["server"]["group_member"] = json!(member);
        for (name, value) in [
            ("group_replication_group_name", "8a94f357"),
            ("group_replication_single_primary_mode", single_primary),
            ("read_only", read_only),
            ("super_read_only", read_only),
        ] {
            copy["server"]["variables"][name] = json!(value);
        }
        wrong(&judged(&target, &inspection(right(), Some(copy))))
    };
    let role = "failed warning replica-role: it";
    assert_eq!(findings("ON", "ON", None), [""; 0], "a secondary");
    assert_eq!(findings("OFF", "OFF", Some(true)), [""; 0], "all members take writes");
    assert_eq!(findings("OFF", "OFF", None), [""; 0], "a server that cannot tell");
    assert_eq!(findings("ON", "OFF", Some(true)), [format!("{role} is the primary of its replication group")]);
    assert_eq!(
        findings("OFF", "OFF", Some(false)),
        [format!("{role} accepts writes, and is not a working member of its replication group")]
    );
    assert_eq!(
        findings("ON", "OFF", None),
        [format!("{role} accepts writes: it is the primary of its replication group, or out of it")]
    );
}

#[test]
fn a_server_that_replicates_without_a_source_was_not_promoted() {
    for (name, value) in [("wsrep_on", "ON"), ("innodb_read_only", "ON")] {
        let mut copy = right_replica();
        copy["replication"]["seen"] = json!([]);
        copy["server"]["variables"]["read_only"] = json!("OFF");
        copy["server"]["variables"][name] = json!(value);
        assert_eq!(wrong(&judged(&with_replica(false, true), &inspection(right(), Some(copy)))), [""; 0], "{name}");
    }
}

#[test]
fn a_channel_is_named_as_its_server_names_it() {
    let target = with_replica(false, true);
    let stopped = |facts: Value| {
        let mut copy = facts;
        copy["replication"] = right_replica()["replication"].clone();
        copy["replication"]["seen"][0]["name"] = json!("c'1");
        copy["replication"]["seen"][0]["applying"] = json!(false);
        copy["server"]["variables"]["read_only"] = json!("ON");
        mends(&target, copy)
    };
    assert_eq!(stopped(right_mariadb()), "START SLAVE 'c''1'; -- on replica copy: read SHOW SLAVE 'c''1' STATUS first");
    assert_eq!(
        stopped(right()),
        "START REPLICA FOR CHANNEL 'c''1'; -- on replica copy: read SHOW REPLICA STATUS FOR CHANNEL 'c''1' first"
    );
}

#[test]
fn remedies_for_a_replica_are_pasted_as_a_whole() {
    let target = with_replica(true, false);
    let mut copy = right_mariadb();
    copy["replication"] = right_replica()["replication"].clone();
    for (name, value) in [("read_only", "ON"), ("binlog_format", "MIXED"), ("binlog_row_image", "MINIMAL")] {
        copy["server"]["variables"][name] = json!(value);
    }
    insta::assert_snapshot!(mends(&target, copy.clone()), @"STOP SLAVE SQL_THREAD; SET GLOBAL binlog_format = ROW; START SLAVE SQL_THREAD; SET GLOBAL binlog_row_image = FULL; -- on replica copy: also write binlog_format = ROW under [mysqld] in the option file, for a restart; open sessions keep their format until they connect again; also write binlog_row_image = FULL under [mysqld] in the option file, for a restart");
    copy["server"]["variables"]["log_slave_updates"] = json!("OFF");
    insta::assert_snapshot!(mends(&target, copy), @"STOP SLAVE SQL_THREAD; SET GLOBAL binlog_format = ROW; START SLAVE SQL_THREAD; SET GLOBAL binlog_row_image = FULL; -- on replica copy: also write binlog_format = ROW under [mysqld] in the option file, for a restart; open sessions keep their format until they connect again; also write binlog_row_image = FULL under [mysqld] in the option file, for a restart; write log_slave_updates = ON under [mysqld] in the option file, and restart the server");
    let mut steps = right_replica();
    steps["server"]["variables"]["log_replica_updates"] = json!("OFF");
    insta::assert_snapshot!(mends(&target, steps), @"on replica copy: write log_replica_updates = ON under [mysqld] in the option file, and restart the server");
}

#[test]
fn a_remedy_creates_what_is_missing_before_it_lifts_a_filter() {
    let target = with_replica(false, true);
    let mut copy = right_replica();
    copy["replication"]["seen"][0]["filters"] = json!({"do_db": "app"});
    let lift = "STOP REPLICA SQL_THREAD; CHANGE REPLICATION FILTER";
    assert!(mends(&target, copy.clone()).starts_with(lift));
    // Without the row or the table the beat does not arrive either.
    let lifted = |source: Value, copy: &Value| {
        let findings = judged(&target, &inspection(source, Some(copy.clone())));
        of(&findings, "replica-filters").remedy.as_ref().unwrap().to_string()
    };
    copy["row"]["seen"] = json!({"count": 0, "ids": [], "last_update": null});
    insta::assert_snapshot!(lifted(right(), &copy), @"SET GLOBAL super_read_only = OFF; SET SESSION sql_log_bin = 0; INSERT INTO `streamkap`.`streamkap_heartbeat` (id, text, last_update) SELECT 1, 'test_heartbeat', NULL FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM `streamkap`.`streamkap_heartbeat`); SET SESSION sql_log_bin = 1; SET GLOBAL super_read_only = ON; STOP REPLICA SQL_THREAD; CHANGE REPLICATION FILTER REPLICATE_DO_DB = (`app`, `streamkap`); START REPLICA SQL_THREAD; -- on replica copy: also write the filter into the replica's option file, for a restart");
    copy["row"] = Value::Null;
    copy["table"]["seen"]["table"] = Value::Null;
    copy["server"]["variables"]["super_read_only"] = json!("OFF");
    insta::assert_snapshot!(lifted(right(), &copy), @"SET SESSION sql_log_bin = 0; CREATE DATABASE IF NOT EXISTS `streamkap`; CREATE TABLE IF NOT EXISTS `streamkap`.`streamkap_heartbeat` ( id INT AUTO_INCREMENT PRIMARY KEY, text TEXT, last_update TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP ) ENGINE = InnoDB; INSERT INTO `streamkap`.`streamkap_heartbeat` (id, text, last_update) SELECT 1, 'test_heartbeat', NULL FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM `streamkap`.`streamkap_heartbeat`); SET SESSION sql_log_bin = 1; STOP REPLICA SQL_THREAD; CHANGE REPLICATION FILTER REPLICATE_DO_DB = (`app`, `streamkap`); START REPLICA SQL_THREAD; -- on replica copy: also write the filter into the replica's option file, for a restart");
    // heartbeatd does not create a table of another shape.
    let mut source = right();
    source["table"]["seen"]["table"]["columns"][2]["type"] = json!("datetime");
    let by_hand = "on replica copy: create the table and its row as they are on the source";
    assert!(lifted(source, &copy).starts_with(by_hand));
}

// Not run against a live server: from the providers' documentation.
#[test]
fn on_a_managed_replica_only_the_provider_changes_filters_and_threads() {
    let target = with_replica(false, true);
    let said = |provider: &str| {
        let mut copy = right_replica();
        copy["server"]["managed"] = json!(provider);
        let mut filtered = copy.clone();
        filtered["replication"]["seen"][0]["filters"] = json!({"do_db": "app"});
        copy["replication"]["seen"][0]["applying"] = json!(false);
        [mends(&target, filtered), mends(&target, copy)].join("\n")
    };
    insta::assert_snapshot!(said("cloud_sql"), @"
    on replica copy: set replicate_do_db = app,streamkap among the instance's database flags
    on replica copy: enable replication on the replica's page (gcloud sql instances patch REPLICA --enable-database-replication); read SHOW REPLICA STATUS first
    ");
    insta::assert_snapshot!(said("azure"), @"
    on replica copy: set replicate_do_db = app,streamkap among the server parameters
    CALL mysql.az_replication_start; -- on replica copy: read SHOW REPLICA STATUS first
    ");
    insta::assert_snapshot!(said("rds"), @"
    on replica copy: set replicate-do-db = app,streamkap in the parameter group
    CALL mysql.rds_start_replication; -- on replica copy: read SHOW REPLICA STATUS first
    ");
}
