//! The integration tests: the compiled program against real servers, which the tests start and throw away.
//!
//! One binary for all of them; each module is a group of scenarios, `bench` is what they are built from.
#![allow(clippy::disallowed_methods, reason = "the tests live in real time, beside the program and not within it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]
#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]

mod bad_input;
mod bench;
mod bench_works;
mod bench_works_mongodb;
mod bench_works_mysql;
mod bounded_reads;
mod check_command;
mod check_reports;
mod column_faults;
mod command_line;
mod corpus;
mod daemon_checks;
mod descriptors;
mod documentation;
mod further_family;
mod fuzz_corpus;
mod hostile_servers;
mod log_sinks;
mod mongodb_beats;
mod mongodb_checks;
mod mongodb_driver;
mod mongodb_fleet;
mod mongodb_outage;
mod mongodb_provisioning;
mod mongodb_walkthrough;
mod mysql_beats;
mod mysql_certificates;
mod mysql_changed_columns;
mod mysql_checks;
mod mysql_driver;
mod mysql_failover;
mod mysql_galera;
mod mysql_grants;
mod mysql_group;
mod mysql_lifecycle;
mod mysql_lower_case_names;
mod mysql_outage;
mod mysql_provisioned_accounts;
mod mysql_provisioning;
mod mysql_reload;
mod mysql_triggers;
mod mysql_trouble;
mod mysql_two_writers;
mod mysql_walkthrough;
mod oracle_commands;
mod oracle_driver;
mod oracle_fleet;
mod oracle_judges;
mod panics;
mod postgres_beats;
mod postgres_checks;
mod postgres_commands;
mod postgres_driver;
mod postgres_failover;
mod postgres_fleet;
mod postgres_former_primary;
mod postgres_lifecycle;
mod postgres_outage;
mod postgres_reload;
mod postgres_tls;
mod postgres_trouble;
mod postgres_two_writers;
mod rooms;
mod service_manager;
mod shards;
mod simulation;
mod soak;
mod sqlite;
mod systemd_units;
mod walkthrough;
mod watched_configuration;
