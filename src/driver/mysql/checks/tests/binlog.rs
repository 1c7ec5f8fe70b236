//! The binary log: what it holds, and for how long.

use std::time::Duration;

use super::*;
use crate::time::schedule::Schedule;

#[test]
fn each_setting_that_spoils_the_binary_log_is_found_by_itself() {
    for (name, value, says) in [
        ("log_bin", "OFF", "failed error binlog-enabled: OFF"),
        ("server_id", "0", "failed error server-id: 0"),
        ("binlog_format", "STATEMENT", "failed error binlog-format: STATEMENT"),
        ("binlog_row_image", "MINIMAL", "failed error binlog-row-image: MINIMAL"),
        ("binlog_row_value_options", "PARTIAL_JSON", "failed error binlog-row-value-options: PARTIAL_JSON"),
        ("gtid_mode", "OFF", "failed warning gtid-mode: OFF, enforce_gtid_consistency ON"),
        ("enforce_gtid_consistency", "WARN", "failed warning gtid-mode: ON, enforce_gtid_consistency WARN"),
    ] {
        assert_eq!(variable(right(), name, value), [says], "{name}");
    }
    for (name, value, says) in [
        ("binlog_format", "MIXED", "failed error binlog-format: MIXED"),
        ("binlog_row_image", "FULL_NODUP", "failed warning binlog-row-image: FULL_NODUP"),
        ("log_bin_compress", "ON", "failed error binlog-compression: ON"),
        (
            "max_binlog_total_size",
            "1073741824",
            "failed warning binlog-size-limit: files are purged beyond 1.0 GiB, however young",
        ),
    ] {
        assert_eq!(variable(right_mariadb(), name, value), [says], "{name}");
    }
}

#[test]
fn a_remedy_uses_the_syntax_of_its_flavour() {
    let set = |facts: Value, name: &str, value: &str| {
        remedy(changed(facts, &format!("/server/variables/{name}"), json!(value)))
    };
    assert_eq!(set(right(), "binlog_row_image", "MINIMAL"), "SET PERSIST binlog_row_image = FULL; -- on the source");
    assert!(
        set(right_mariadb(), "binlog_format", "MIXED")
            .starts_with("SET GLOBAL binlog_format = ROW; -- on the source: also write")
    );
    assert_eq!(set(right_rds(), "binlog_row_image", "MINIMAL"), "set binlog_row_image = FULL in the parameter group");
    assert_eq!(
        remedy(changed(right(), "/server/variables/server_id", json!("0"))),
        "SET PERSIST server_id = <NUMBER>; -- on the source",
        "a number that another server may have is none to paste"
    );
    // Changing the format at run time breaks a running cluster.
    assert!(set(as_a_node(right_mariadb()), "binlog_format", "MIXED").contains("restart the server"));
}

#[test]
fn gtids_are_turned_on_in_steps_on_all_servers_and_the_last_option_file_starts_a_server() {
    let at = |mut facts: Value, mode: &str, consistency: &str| {
        facts["server"]["variables"]["gtid_mode"] = json!(mode);
        facts["server"]["variables"]["enforce_gtid_consistency"] = json!(consistency);
        remedy(facts)
    };
    let mut old = right();
    old["server"]["variables"].as_object_mut().unwrap().remove("persisted_globals_load");
    insta::assert_snapshot!(at(right(), "OFF", "OFF"), @"SET PERSIST enforce_gtid_consistency = ON; -- on the source: on every server of the replication; this check then shows the next step");
    insta::assert_snapshot!(at(old.clone(), "OFF", "ON"), @"SET GLOBAL gtid_mode = OFF_PERMISSIVE; -- on the source: on every server of the replication; this check then shows the next step");
    insta::assert_snapshot!(at(right(), "ON_PERMISSIVE", "ON"), @"wait until Ongoing_anonymous_transaction_count (SHOW GLOBAL STATUS) is 0 on every server of the replication and no replica lags; then run: SET PERSIST gtid_mode = ON; -- on the source: on every server");
    insta::assert_snapshot!(at(old, "ON_PERMISSIVE", "ON"), @"wait until Ongoing_anonymous_transaction_count (SHOW GLOBAL STATUS) is 0 on every server of the replication and no replica lags; then run: SET GLOBAL gtid_mode = ON; -- on the source: on every server; also write enforce_gtid_consistency = ON and gtid_mode = ON under [mysqld] in the option file, for a restart");
    insta::assert_snapshot!(at(right_rds(), "OFF", "OFF"), @"set enforce_gtid_consistency = ON and gtid_mode = ON in the parameter group");
}

#[test]
fn a_filter_excludes_or_includes_the_schema() {
    for (list, value, fails) in [
        ("do_db", "app", true),
        ("do_db", "app,streamkap", false),
        ("ignore_db", "streamkap", true),
        ("ignore_db", "app, other", false),
    ] {
        let said = after(&format!("/binlog/seen/{list}"), json!(value));
        assert_eq!(said.len(), usize::from(fails), "{list} {value}: {said:?}");
        if fails {
            assert_eq!(said, [format!("failed error binlog-filters: binlog_{list} is {value}: streamkap is left out")]);
        }
    }
}

#[test]
fn a_session_that_is_not_logged_is_found() {
    assert_eq!(
        after("/server/session_binlog", json!(false)),
        ["failed error session-binlog: sql_log_bin is off in this session"]
    );
}

/// The findings about the growth of the binary log between two inspections.
fn grew(facts: Value, change: impl Fn(&mut Value)) -> Vec<String> {
    let target = target();
    let earlier = inspection(facts.clone(), None);
    let mut now = inspection(facts, None);
    now.taken_at += 120 * SECOND;
    let crate::finding::Look::Facts(facts) = &mut now.source else { unreachable!() };
    facts["server"]["time"] = json!(NOW + 120 * SECOND);
    facts["row"]["seen"]["last_update"] = json!(NOW + 110 * SECOND);
    change(facts);
    wrong(&judge(&Case { target: &target, now: &now, earlier: Some(&earlier) }).unwrap())
}

#[test]
fn a_row_that_moves_while_the_binary_log_does_not_is_found() {
    let says = "failed error binlog-moves: last_update changed between the two looks, and the binary log did not grow";
    for facts in [right(), right_mariadb()] {
        assert_eq!(grew(facts.clone(), |_| {}), [says]);
        assert_eq!(grew(facts.clone(), |now| now["server"]["transactions"] = json!("more")), [""; 0]);
        assert_eq!(grew(facts, |now| now["binlog"]["seen"]["position"] = json!("binlog.000001:9999")), [""; 0]);
    }
    let mut hidden = changed(right(), "/binlog", denied());
    let said = grew(hidden.clone(), |_| {});
    assert!(said.contains(&says.to_owned()), "{said:?}");
    // Without GTIDs, MySQL's set of transactions never changes and proves nothing.
    hidden["server"]["variables"]["gtid_mode"] = json!("OFF");
    let said = grew(hidden, |_| {});
    assert!(said.iter().any(|line| line.starts_with("unknown error binlog-moves")), "{said:?}");
}

#[test]
fn a_beat_during_an_inspection_is_not_reported_as_missing_from_the_binary_log() {
    // The beat came during the first inspection, after the row and before the log: both inspections show it in the log.
    let mut facts = right();
    facts["last_update_again"] = json!(NOW + 110 * SECOND);
    assert_eq!(grew(facts, |_| {}), [""; 0]);
    // A beat after the first inspection is not in its row, even if the row was read twice.
    let mut facts = right();
    facts["last_update_again"] = facts["row"]["seen"]["last_update"].clone();
    assert_eq!(grew(facts, |_| {}).len(), 1);
}

#[test]
fn how_long_files_are_kept_is_read_by_precedence() {
    let says = |facts: Value, seconds: Option<&str>, days: Option<&str>| {
        let mut facts = facts;
        for (name, value) in [("binlog_expire_logs_seconds", seconds), ("expire_logs_days", days)] {
            let variables = facts["server"]["variables"].as_object_mut().unwrap();
            variables.remove(name);
            if let Some(value) = value {
                variables.insert(name.to_owned(), json!(value));
            }
        }
        wrong_with(facts)
    };
    for (seconds, days, expected) in [
        (Some("3600"), Some("30"), Some("failed error binlog-retention: 1h")),
        (Some("0"), Some("2"), Some("failed warning binlog-retention: 2days")),
        (None, Some("5.500000"), Some("failed info binlog-retention: 5days 12h")),
        (Some("604800"), None, None),
        (Some("0"), Some("0"), None),
    ] {
        assert_eq!(says(right(), seconds, days), Vec::from_iter(expected), "{seconds:?} {days:?}");
    }
    let none = says(right(), None, None);
    assert_eq!(none.len(), 2, "{none:?}");
    assert!(none.iter().all(|line| line.starts_with("unknown error")), "{none:?}");
    let mut facts = right();
    facts["server"]["variables"]["binlog_expire_logs_auto_purge"] = json!("OFF");
    assert_eq!(says(facts, Some("3600"), None), [""; 0]);
}

#[test]
fn on_rds_its_own_setting_counts() {
    let hours = |hours: Value| wrong_with(changed(right_rds(), "/retention/seen/hours", hours));
    assert_eq!(hours(Value::Null), ["failed error binlog-retention: not set: files are purged as soon as possible"]);
    assert_eq!(hours(json!(48)), ["failed warning binlog-retention: 2days"]);
    let facts = changed(right_rds(), "/retention/seen/hours", Value::Null);
    assert_eq!(remedy(facts), "CALL mysql.rds_set_configuration('binlog retention hours', 168); -- on the source");
    let denied = json!({"refused": {"code": "1142", "message": "denied"}});
    for managed in ["rds", "aurora"] {
        let said =
            wrong_with(changed(changed(right_rds(), "/server/managed", json!(managed)), "/retention", denied.clone()));
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].contains("requires GRANT SELECT ON mysql.rds_configuration TO `hb`@`%`;"), "{said:?}");
    }
    // Other servers have no such table, and answer a user without privileges with the same error.
    assert_eq!(wrong_with(changed(right(), "/retention", denied)), [""; 0]);
}

#[test]
fn beats_must_be_much_more_frequent_than_purges() {
    for (hours, says) in [
        (2, None),
        (80, Some("failed warning retention-interval: a beat each 3days 8h, the binary log is kept for 30days")),
        (30 * 24, Some("failed error retention-interval: a beat each 30days, the binary log is kept for 30days")),
    ] {
        let mut target = target();
        target.schedule = Schedule::Interval(Duration::from_secs(hours * 3_600));
        let said = wrong(&judged(&target, &inspection(right(), None)));
        assert_eq!(said, Vec::from_iter(says), "{hours}");
    }
}

/// The facts of a server that this provider manages.
fn managed_by(provider: &str) -> Value {
    let mut facts = right();
    facts["server"]["managed"] = json!(provider);
    facts
}

// Not run against a live server: from the providers' documentation.
#[test]
fn on_a_managed_server_no_remedy_uses_what_only_the_provider_can_change() {
    let said = |provider: &str| {
        let facts = managed_by(provider);
        let of = |name: &str, value: &str| {
            remedy(changed(facts.clone(), &format!("/server/variables/{name}"), json!(value)))
        };
        let mut filtered = facts.clone();
        filtered["binlog"]["seen"]["ignore_db"] = json!("streamkap");
        let gtid = of("gtid_mode", "OFF");
        assert!(!gtid.contains("SET "), "{gtid}");
        [of("binlog_row_image", "MINIMAL"), of("server_id", "0"), remedy(filtered)].join("\n")
    };
    insta::assert_snapshot!(said("cloud_sql"), @"
    set binlog_row_image = FULL among the instance's database flags
    set server_id = <NUMBER> among the instance's database flags
    set binlog_ignore_db, without streamkap, among the instance's database flags, which restarts it
    ");
    insta::assert_snapshot!(said("azure"), @"
    set binlog_row_image = FULL among the server parameters
    set server_id = <NUMBER> among the server parameters
    set binlog_ignore_db, without streamkap, among the server parameters, and restart the server
    ");
    insta::assert_snapshot!(said("rds"), @"
    set binlog_row_image = FULL in the parameter group
    set server_id = <NUMBER> in the parameter group
    set binlog_ignore_db, without streamkap, in the parameter group, and reboot the instance
    ");
    insta::assert_snapshot!(said("aurora"), @"
    set binlog_row_image = FULL in the cluster parameter group
    set server_id = <NUMBER> in the cluster parameter group
    set binlog_ignore_db, without streamkap, in the cluster parameter group, and reboot the instance
    ");
}
