//! Events, sessions, clusters, tables.

use super::*;
use crate::target::WriteMode;

fn event() -> Value {
    json!({
        "schema": "streamkap", "name": "beat", "definer": "admin@%", "status": "ENABLED", "every": "1 MINUTE",
        "every_seconds": 60, "last_run": NOW - 30 * SECOND, "updates": true,
        "row": 1,
    })
}

/// The findings about an event in each write mode.
fn said(write: WriteMode, key: &str, value: Value) -> Vec<String> {
    let mut target = target();
    target.write = write;
    let facts = changed(
        right(),
        "/events",
        json!({"seen": [changed(json!({"e": event()}), &format!("/e/{key}"), value)["e"]]}),
    );
    wrong(&judged(&target, &inspection(facts, None)))
}

/// In a Galera cluster one node runs it.
#[test]
fn an_event_that_another_node_of_the_cluster_runs_is_not_called_switched_off() {
    let said = |write: WriteMode| {
        let mut target = target();
        target.write = write;
        let mut facts = as_a_node(right_mariadb());
        let event = changed(json!({"e": event()}), "/e/status", json!("SLAVESIDE_DISABLED"));
        facts["events"] = json!({"seen": [event["e"]]});
        wrong(&judged(&target, &inspection(facts, None)))
    };
    let there = "native-scheduler: SLAVESIDE_DISABLED: it runs on the node on which it was enabled last, if that is still there";
    assert_eq!(said(WriteMode::Always), [format!("failed info {there}")]);
    assert_eq!(said(WriteMode::WhenStale), [""; 0]);
    assert_eq!(said(WriteMode::Never), [format!("unknown warning {there}; requires a look at each node")]);
}

#[test]
fn an_event_that_also_updates_the_row_is_found_unless_heartbeatd_writes_only_a_stale_row() {
    let doubled = "failed warning native-scheduler: it beats as well (every 1 MINUTE)";
    assert_eq!(said(WriteMode::Always, "row", json!(1)), [doubled]);
    assert_eq!(said(WriteMode::Always, "row", Value::Null), [doubled]);
    assert_eq!(said(WriteMode::WhenStale, "row", json!(1)), [""; 0]);
    assert_eq!(said(WriteMode::Never, "row", json!(1)), [""; 0]);
    assert_eq!(
        said(WriteMode::Never, "row", json!(7)),
        ["failed warning native-scheduler: it updates row 7, and the heartbeat is row 1"]
    );
}

#[test]
fn an_event_of_another_row_is_switched_off_and_never_dropped() {
    let seen = |event: Value| changed(right(), "/events", json!({"seen": [event]}));
    let other = changed(event(), "/row", json!(7));
    assert_eq!(
        remedy(seen(other.clone())),
        "ALTER EVENT `streamkap`.`beat` DISABLE; -- on the source: or let it update row 1; it may do more than that"
    );
    assert_eq!(wrong_with(seen(changed(other, "/status", json!("DISABLED")))), [""; 0]);
}

#[test]
fn an_event_that_only_names_the_table_is_not_a_writer() {
    for write in [WriteMode::Always, WriteMode::WhenStale, WriteMode::Never] {
        assert_eq!(said(write, "updates", json!(false)), [""; 0]);
    }
    let reading = changed(event(), "/updates", json!(false));
    let findings = judged(&target(), &inspection(changed(right(), "/events", json!({"seen": [reading]})), None));
    assert_eq!(of(&findings, "native-scheduler").observed, "it names the table, and does not update it");
}

#[test]
fn an_event_that_does_not_update_the_row_is_worse_without_another_writer() {
    for status in ["SLAVESIDE_DISABLED", "REPLICA_SIDE_DISABLED"] {
        for (write, severity) in [(WriteMode::Always, Severity::Info), (WriteMode::Never, Severity::Warning)] {
            let lines = said(write, "status", json!(status));
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert!(lines[0].starts_with(&format!("failed {severity} native-scheduler: {status}")), "{lines:?}");
        }
    }
    assert_eq!(
        said(WriteMode::Never, "last_run", json!(NOW - 600 * SECOND)),
        ["failed warning native-scheduler: it last ran 10m ago, and says every 1 MINUTE"]
    );
    assert_eq!(
        said(WriteMode::Never, "status", json!("DISABLED")),
        ["failed warning native-scheduler: it is switched off"]
    );
    // No one relies on it.
    assert_eq!(said(WriteMode::Always, "status", json!("DISABLED")), [""; 0]);
}

#[test]
fn an_event_never_runs_while_the_scheduler_is_off() {
    for (value, mends) in [("OFF", "SET PERSIST event_scheduler = ON;"), ("DISABLED", "restart the server")] {
        let mut target = target();
        target.write = WriteMode::Never;
        let facts = changed(right(), "/events", json!({"seen": [event()]}));
        let facts = changed(facts, "/server/variables/event_scheduler", json!(value));
        let findings = judged(&target, &inspection(facts, None));
        assert_eq!(
            wrong(&findings),
            [format!("failed warning native-scheduler: it never runs: event_scheduler is {value}")]
        );
        assert!(only_remedy(&findings).contains(mends), "{findings:?}");
    }
}

#[test]
fn hidden_events_are_not_reported_as_missing() {
    let lines = after("/events", json!({"refused": {"code": "1044", "message": "access denied"}}));
    assert_eq!(
        lines,
        ["unknown warning native-scheduler: access denied (1044); requires GRANT EVENT ON `streamkap`.* TO `hb`@`%`;"]
    );
}

/// In a grant on a whole schema `_` and `%` are wildcards.
#[test]
fn the_grant_for_events_is_only_on_the_schema() {
    for (partial_revokes, named) in [("OFF", "`app\\_hb`.*"), ("ON", "`app_hb`.*")] {
        let mut target = target();
        target.heartbeat.schema = "app_hb".to_owned();
        let facts = changed(right(), "/events", json!({"refused": {"code": "1044", "message": "access denied"}}));
        let facts = changed(facts, "/server/variables/partial_revokes", json!(partial_revokes));
        let findings = judged(&target, &inspection(facts, None));
        let event = of(&findings, "native-scheduler");
        assert!(event.observed.contains(&format!("GRANT EVENT ON {named} TO")), "{}", event.observed);
    }
}

#[test]
fn an_old_transaction_is_found_with_its_session() {
    let open = |session: i64, age: i64| {
        let transaction = json!([{"session": session, "user": "app", "age": age * SECOND}]);
        changed(right(), "/activity/seen/transactions", transaction)
    };
    assert_eq!(wrong_with(open(7, 60)), [""; 0]);
    assert_eq!(
        wrong_with(open(7, 3_600)),
        ["failed warning long-transactions: session 7 of app has had a transaction open for 1h"]
    );
    assert_eq!(
        remedy(open(7, 3_600)),
        "ask app to end it; or run: KILL 7; -- on the source: after asking; what it has not committed is rolled back"
    );
    assert!(remedy(open(0, 3_600)).ends_with("XA RECOVER; -- on the source"));
}

#[test]
fn a_connector_that_the_previous_inspection_saw_is_reconnecting() {
    let mut facts = right();
    facts["activity"]["seen"]["readers"] = json!([]);
    let says = "failed warning connector-connected: no session of this user reads the binary log";
    assert_eq!(wrong_with(facts.clone()), [says]);
    let (target, earlier, now) = (target(), inspection(right(), None), inspection(facts.clone(), None));
    assert_eq!(wrong(&judge(&Case { target: &target, now: &now, earlier: Some(&earlier) }).unwrap()), [""; 0]);
    let mut unnamed = target.clone();
    unnamed.connector.user = Named::default_name("streamkap_user");
    assert_eq!(wrong(&judged(&unnamed, &inspection(facts, None))), [""; 0]);
}

#[test]
fn an_unseen_reader_of_the_binary_log_is_never_reported_as_missing() {
    let facts = changed(right(), "/activity", denied());
    for user in [Named::default_name("streamkap_user"), Named::configured("cdc")] {
        let mut target = target();
        target.connector.user = user;
        let findings = judged(&target, &inspection(facts.clone(), None));
        let finding = of(&findings, "connector-connected");
        assert_eq!(finding.status, Status::Unknown, "{finding:?}");
        assert!(finding.observed.ends_with("requires GRANT PROCESS ON *.* TO `hb`@`%`;"), "{finding:?}");
    }
}

#[test]
fn a_thousand_tables_are_reported_and_a_lower_count_is_unknown_unless_all_are_visible() {
    assert_eq!(after("/tables/seen", json!(1_000)), ["failed info table-count: 1000 tables"]);
    assert_eq!(after("/tables/seen", json!(999)), [""; 0]);
    let mut facts = right();
    facts["roles"]["own"]["grants"]["seen"]["granted"][0]["privileges"] = json!([{"name": "PROCESS"}]);
    let lines = wrong_with(facts);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with("unknown info table-count") && lines[0].contains("GRANT SHOW VIEW ON *.* TO `hb`@`%`;"),
        "{lines:?}"
    );
}

#[test]
fn a_node_of_a_cluster_must_be_in_it() {
    let node = |ready: &str, component: &str, state: &str, gtid: &str| {
        let mut facts = as_a_node(right_mariadb());
        facts["server"]["variables"]["wsrep_gtid_mode"] = json!(gtid);
        for (name, value) in
            [("wsrep_ready", ready), ("wsrep_cluster_status", component), ("wsrep_local_state_comment", state)]
        {
            facts["server"]["status"][name] = json!(value);
        }
        wrong_with(facts)
    };
    assert_eq!(node("ON", "Primary", "Synced", "ON"), [""; 0]);
    assert_eq!(
        node("ON", "Primary", "Donor/Desynced", "ON"),
        ["failed warning galera-ready: ready ON, component Primary, state Donor/Desynced"]
    );
    assert_eq!(
        node("OFF", "non-Primary", "Initialized", "ON"),
        ["failed error galera-ready: ready OFF, component non-Primary, state Initialized"]
    );
    assert_eq!(node("ON", "Primary", "Synced", "OFF"), ["failed info galera-gtid: OFF"]);
}

#[test]
fn a_node_that_is_set_to_refuse_or_to_keep_its_writes_is_found() {
    let mut facts = as_a_node(right_mariadb());
    facts["server"]["variables"]["wsrep_reject_queries"] = json!("ALL_KILL");
    assert_eq!(wrong_with(facts.clone()), ["failed error galera-ready: ALL_KILL"]);
    assert!(remedy(facts.clone()).contains("then run: SET GLOBAL wsrep_reject_queries = NONE; --"));
    facts["server"]["variables"]["wsrep_reject_queries"] = json!("NONE");
    assert_eq!(wrong_with(facts.clone()), [""; 0]);
    facts["server"]["variables"]["wsrep_on"] = json!("OFF");
    let lines = wrong_with(facts.clone());
    assert!(lines.len() == 1 && lines[0].starts_with("failed error galera-ready: OFF, and the node is"), "{lines:?}");
    let advice = remedy(facts.clone());
    let both = advice.contains("full state transfer") && advice.contains("; or run: SET GLOBAL wsrep_on = ON; --");
    assert!(advice.starts_with("save what was written") && both, "what was written there is nowhere else: {advice}");
    facts["server"]["status"]["wsrep_connected"] = json!("OFF");
    assert_eq!(wrong_with(facts), [""; 0], "a server that was started without its cluster");
}

/// As on Percona XtraDB Cluster, where `wsrep_on` is a session variable only.
#[test]
fn a_node_whose_switch_is_hidden_counts_as_on() {
    let mut facts = as_a_node(right());
    for name in ["wsrep_on", "wsrep_gtid_mode"] {
        facts["server"]["variables"].as_object_mut().unwrap().remove(name);
    }
    facts["server"]["variables"]["wsrep_provider"] = json!("/usr/lib/galera4/libgalera_smm.so");
    assert_eq!(wrong_with(facts.clone()), [""; 0]);
    facts["server"]["status"]["wsrep_ready"] = json!("OFF");
    assert_eq!(wrong_with(facts.clone()), ["failed error galera-ready: ready OFF, component Primary, state Synced"]);
    facts["server"]["variables"]["wsrep_provider"] = json!("none");
    facts["server"]["status"]["wsrep_connected"] = json!("OFF");
    assert_eq!(wrong_with(facts), [""; 0], "without the library it is no node");
}

#[test]
fn a_node_of_a_cluster_logs_what_the_others_write() {
    let node = |facts: Value| changed(as_a_node(facts), "/server/variables/log_slave_updates", json!("OFF"));
    assert_eq!(wrong_with(node(right_mariadb())), [""; 0], "MariaDB's does in any case");
    let mut facts = node(right());
    facts["server"]["variables"].as_object_mut().unwrap().remove("log_replica_updates");
    assert_eq!(wrong_with(facts.clone()), ["failed error galera-log-updates: OFF"]);
    assert!(remedy(facts.clone()).starts_with("write log_slave_updates = ON under [mysqld]"));
    facts["server"]["variables"]["wsrep_on"] = json!("OFF");
    facts["server"]["status"]["wsrep_connected"] = json!("OFF");
    assert_eq!(wrong_with(facts), [""; 0]);
}
