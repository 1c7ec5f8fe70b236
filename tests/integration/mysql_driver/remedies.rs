//! Pastes every remedy for MySQL and MariaDB that can be pasted. This file pastes the scripts of the table of failures.
//! Other tests paste the others in their situations, and a register names the test for each file.

use super::provisioned;
use crate::bench::mysql::mysql_client;
use crate::bench::remedy_register::{Site, expect_complete};
use crate::bench::{Flavour, MysqlServer};

/// The text of every failure, with and without each number, for the account `` hb`x `` of the target `orders db`.
const TABLE: &str = include_str!(
    "../../../src/driver/mysql/snapshots/heartbeatd__driver__mysql__remedies__tests__every_failure_of_the_table_reads_like_this.snap"
);

/// The scripts that this test does not paste, and why.
const ELSEWHERE: &[(&str, &[Flavour], &str)] = &[
    ("REMOVE PARTITIONING", &Flavour::ALL, "requires partitions: mysql_driver::faults pastes it"),
    ("performance_schema.replication_group_members", &[Flavour::Mariadb], "has no group replication"),
    ("SET GLOBAL offline_mode", &[Flavour::Mariadb], "has no offline mode"),
];

/// The scripts for the source in the snapshot: the text between advice and comment.
fn scripts() -> Vec<String> {
    let lines = TABLE.lines().filter_map(|line| line.strip_prefix("    "));
    let mut scripts: Vec<String> = lines
        .filter_map(|line| Some(line.split_once(" -- on the source")?.0))
        .map(|line| line.rsplit_once(" run: ").map_or(line, |(_, script)| script).to_owned())
        .collect();
    scripts.sort();
    scripts.dedup();
    scripts
}

/// Pastes a script statement by statement and as one message. A script that is pasted unchanged sets no password.
async fn paste(server: &MysqlServer, script: &str) {
    if script.contains("<password>") {
        let refused = crate::bench::mysql::session::rows(&mut server.connect().await, script).await.unwrap_err();
        assert!(refused.to_string().contains("1064"), "{script}: {refused}");
    }
    let script = script.replace("<password>", "'Pasted-1'");
    for statement in script.split_inclusive(';') {
        server.execute(statement).await;
    }
    server.execute(&script).await;
    mysql_client(server, format!("{script} -- on the source: as people see it\n")).await;
}

#[tokio::test]
async fn each_script_of_the_table_of_failures_is_pasted_alone_and_as_one_message() {
    let scripts = scripts();
    assert!(scripts.len() >= 18, "{scripts:?}");
    for flavour in Flavour::ALL {
        let (server, _target) = provisioned(flavour).await;
        server.execute("CREATE USER `hb``x`@`%` IDENTIFIED BY 'hb-password'").await;
        let excused =
            |script: &&String| ELSEWHERE.iter().any(|(part, on, _)| script.contains(part) && on.contains(&flavour));
        let pasted: Vec<&String> = scripts.iter().filter(|script| !excused(script)).collect();
        for script in &pasted {
            paste(&server, script).await;
        }
        eprintln!("{flavour:?}: {} of {} scripts pasted", pasted.len(), scripts.len());
    }
    for (part, ..) in ELSEWHERE {
        assert!(scripts.iter().any(|script| script.contains(part)), "nothing is excused by {part}");
    }
}

/// The tests that cause the faults of the checks, and paste the remedy of each finding.
const FAULTS: &str = "each_fault_on_mysql_is_found_and_its_remedy_repairs_it";
const GRANTS: &str = "each_fault_of_table_row_or_account_on_mysql_is_found_and_its_remedy_repairs_it";
const GALERA: &str = "a_healthy_node_has_no_faults_and_each_fault_of_a_node_is_found_by_itself";
const FAILURES: &str = "each_script_of_the_table_of_failures_is_pasted_alone_and_as_one_message";

/// Where remedies are made: the file, how many, the tests that paste them, and why one is not pasted.
const SITES: &[Site] = &[
    ("beat.rs", 1, &["a_beat_beyond_timestamps_range_fails_and_names_datetime_and_leaves_the_value"], ""),
    (
        "checks/activity.rs",
        2,
        &["a_transaction_that_is_open_for_long_is_found_in_whatever_zone_the_server_is", FAILURES],
        "",
    ),
    ("checks/binlog.rs", 1, &[FAULTS], ""),
    ("checks/cluster.rs", 2, &[GALERA], ""),
    ("checks/connector.rs", 3, &[GRANTS], ""),
    ("checks/native.rs", 6, &[FAULTS, "an_event_of_a_cluster_runs_on_one_node_and_the_others_say_so"], ""),
    (
        "checks/replica.rs",
        6,
        &[
            "a_replica_that_follows_is_healthy_and_one_that_stopped_is_found",
            "a_replica_that_takes_writes_lacks_a_beat_or_was_promoted_is_found",
            "a_replica_whose_own_binary_log_lacks_what_it_replicates_is_found",
            "a_filter_that_kept_the_table_out_from_the_start_is_lifted_once_it_is_there",
            FAILURES,
        ],
        "",
    ),
    ("checks/retention.rs", 1, &[], "Amazon's procedure: no server of Amazon's is run"),
    ("checks/row.rs", 1, &[GRANTS], ""),
    ("checks/settings.rs", 1, &[FAULTS], ""),
    ("checks/table.rs", 5, &[GRANTS, "a_table_that_keeps_its_history_counts_as_one"], ""),
    ("checks/variables.rs", 1, &[FAULTS], ""),
    ("checks/writer.rs", 5, &[GRANTS], ""),
    ("cloud.rs", 2, &[], "the providers' procedures: no server of theirs is run"),
    ("columns.rs", 2, &[GRANTS], ""),
    ("galera.rs", 1, &[GALERA], ""),
    (
        "provision.rs",
        3,
        &[
            "provisioning_never_makes_a_second_row_nor_one_beside_what_it_cannot_see",
            "grants_that_are_not_shown_are_not_taken_for_missing",
            "an_account_that_does_not_exist_is_never_created",
        ],
        "",
    ),
    ("remedies.rs", 25, &[FAILURES, "each_fault_of_the_objects_has_its_kind_and_heals"], ""),
    ("replication_filters.rs", 2, &["a_filter_that_leaves_the_table_out_is_found_and_its_remedy_lets_it_in"], ""),
    (
        "triggers_and_views.rs",
        4,
        &[
            "a_trigger_that_fails_is_reported_by_its_name_and_not_as_our_missing_table_or_privilege",
            "a_trigger_that_does_what_it_should_is_not_blamed_for_what_the_table_refuses",
            "a_view_in_the_tables_place_is_reported_if_its_definer_is_gone",
        ],
        "",
    ),
];

#[test]
fn every_place_that_words_a_script_is_pasted_by_a_test_or_says_why_not() {
    expect_complete("mysql", SITES, |code| code.matches("Remedy::sql(").count());
}
