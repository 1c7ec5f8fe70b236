//! The replica that the connector reads.

use heartbeatd::finding::{Severity, Status};
use heartbeatd::remedy::Remedy;
use heartbeatd::target::{Endpoint, Replica, Target};

use super::stage::{Stage, TABLE, ids, paste, shown, wrong};
use crate::bench::mysql::Flavour;
use crate::bench::{MysqlServer, eventually, secs};

async fn with_replica(flavour: Flavour, lines: &str) -> (Stage, MysqlServer, Target) {
    let stage = Stage::set(flavour).await;
    let replica = stage.server.replica_with(lines).await;
    replica.catch_up_with(&stage.server).await;
    let target = reading(&stage, &replica);
    (stage, replica, target)
}

/// The target with this replica.
fn reading(stage: &Stage, replica: &MysqlServer) -> Target {
    let mut target = stage.target.clone();
    target.replicas.push(Replica {
        name: "reads".to_owned(),
        endpoint: Endpoint::parse(&replica.url("hb", "hb")).unwrap(),
        required: false,
        decode: false,
    });
    target
}

/// The remedy of the one finding that fails.
async fn remedy_of(stage: &Stage, target: &Target, check: &str, says: &str) -> (Severity, Remedy) {
    eventually(secs(10), format!("{check}: {says}"), async || {
        let findings = wrong(&stage.findings(target).await);
        match findings.as_slice() {
            [only] if only.id == check && only.status == Status::Failed && only.observed.contains(says) => {
                Ok((only.severity, only.remedy.clone().unwrap()))
            }
            _ => Err(shown(&findings)),
        }
    })
    .await
}

#[tokio::test]
async fn a_replica_that_follows_is_healthy_and_one_that_stopped_is_found() {
    for flavour in Flavour::ALL {
        let (stage, replica, mut target) = with_replica(flavour, "").await;
        stage.all_is_well(&target, "a replica was added").await;
        let word = flavour.replica_word();
        for (required, severity) in [(false, Severity::Warning), (true, Severity::Error)] {
            target.replicas[0].required = required;
            replica.execute(&format!("STOP {word} SQL_THREAD")).await;
            let (found, remedy) = remedy_of(&stage, &target, "replica-threads", "it does not apply").await;
            assert_eq!(found, severity, "{flavour:?}");
            paste(&replica, &remedy).await;
            stage.all_is_well(&target, "the remedy").await;
        }
        replica.execute(&format!("STOP {word} IO_THREAD")).await;
        let (_, remedy) = remedy_of(&stage, &target, "replica-threads", "it does not receive").await;
        paste(&replica, &remedy).await;
        stage.all_is_well(&target, "the remedy").await;
    }
}

#[tokio::test]
async fn a_replica_that_takes_writes_lacks_a_beat_or_was_promoted_is_found() {
    for flavour in Flavour::ALL {
        let (stage, replica, target) = with_replica(flavour, "").await;
        replica.set_global("read_only", "OFF").await;
        let (severity, remedy) = remedy_of(&stage, &target, "replica-role", "accepts writes of its own").await;
        assert_eq!(severity, Severity::Warning);
        paste(&replica, &remedy).await;
        stage.all_is_well(&target, "the remedy").await;
        // Without the binary log, so the replica keeps its value.
        let old = format!("SET sql_log_bin = 0; UPDATE {TABLE} SET last_update = NOW() - INTERVAL 630 SECOND");
        replica.execute(&old).await;
        let (severity, remedy) = remedy_of(&stage, &target, "replica-heartbeat", "10m").await;
        assert_eq!(severity, Severity::Warning);
        paste(&replica, &remedy).await;
        arrives(&stage, &replica, "a beat that did not arrive").await;
        stage.all_is_well(&target, "the next beat").await;
        replica.promote().await;
        remedy_of(&stage, &target, "replica-role", "it follows no server").await;
    }
}

#[tokio::test]
async fn a_filter_that_leaves_the_table_out_is_found_and_its_remedy_lets_it_in() {
    for flavour in Flavour::ALL {
        // The replica must have the table to be right in all else.
        let (stage, replica, mut target) = with_replica(flavour, "").await;
        target.replicas[0].required = true;
        for line in ["replicate_do_db = app", "replicate_wild_ignore_table = stream%.%"] {
            stage.all_is_well(&target, "a replica was added").await;
            set_filter(&replica, line).await;
            let (severity, remedy) = remedy_of(&stage, &target, "replica-filters", "the table is left out").await;
            assert_eq!(severity, Severity::Error);
            paste(&replica, &remedy).await;
            stage.all_is_well(&target, "the remedy").await;
            arrives(&stage, &replica, line).await;
        }
    }
}

/// A beat on the source arrives at the replica.
async fn arrives(stage: &Stage, replica: &MysqlServer, after: &str) {
    // Not within the second of the last beat, or in which the row was made: that would be no change.
    let beat = format!("UPDATE {TABLE} SET last_update = last_update - INTERVAL 5 SECOND");
    stage.server.execute(&beat).await;
    replica.catch_up_with(&stage.server).await;
    let value = format!("SELECT last_update FROM {TABLE}");
    assert_eq!(replica.rows(&value).await, stage.server.rows(&value).await, "{:?} {after}", replica.flavour());
}

/// Sets a filter as a line of the option file would.
async fn set_filter(replica: &MysqlServer, line: &str) {
    let (name, value) = line.split_once(" = ").unwrap();
    match replica.flavour() {
        Flavour::Mariadb => {
            replica.execute("STOP SLAVE").await;
            replica.execute(&format!("SET GLOBAL {name} = '{value}'")).await;
            replica.execute("START SLAVE").await;
        }
        flavour => {
            let word = flavour.replica_word();
            let value = if name.contains("wild") { format!("'{value}'") } else { value.to_owned() };
            replica.execute(&format!("STOP {word} SQL_THREAD")).await;
            replica.execute(&format!("CHANGE REPLICATION FILTER {name} = ({value})")).await;
            replica.execute(&format!("START {word} SQL_THREAD")).await;
        }
    }
}

#[tokio::test]
async fn a_replica_whose_own_binary_log_lacks_what_it_replicates_is_found() {
    for flavour in Flavour::ALL {
        let name = if flavour == Flavour::Mysql { "log_replica_updates" } else { "log_slave_updates" };
        let (stage, replica, mut target) = with_replica(flavour, &format!("{name} = OFF")).await;
        let (severity, _) = remedy_of(&stage, &target, "replica-decode", "_updates is OFF").await;
        assert_eq!(severity, Severity::Warning);
        target.replicas[0].decode = true;
        let (severity, _) = remedy_of(&stage, &target, "replica-decode", "_updates is OFF").await;
        assert_eq!(severity, Severity::Error);
        drop(replica);
        let (stage, replica, target) = with_replica(flavour, "").await;
        replica.set_global("binlog_row_image", "MINIMAL").await;
        let (_, remedy) = remedy_of(&stage, &target, "replica-decode", "binlog_row_image is MINIMAL").await;
        paste(&replica, &remedy).await;
        stage.all_is_well(&target, "the remedy").await;
        // Of two faults the second is no part of what is said beside the first.
        let word = flavour.replica_word();
        for statement in [
            &format!("STOP {word} SQL_THREAD"),
            "SET GLOBAL binlog_row_image = MINIMAL",
            "SET GLOBAL binlog_format = MIXED",
            &format!("START {word} SQL_THREAD"),
        ] {
            replica.execute(statement).await;
        }
        let (_, remedy) = remedy_of(&stage, &target, "replica-decode", "MINIMAL").await;
        paste(&replica, &remedy).await;
        stage.all_is_well(&target, "the remedy of both").await;
    }
}

#[tokio::test]
async fn a_replica_that_shows_nothing_is_unknown_and_never_healthy() {
    for flavour in Flavour::ALL {
        let (stage, mut replica, target) = with_replica(flavour, "").await;
        stage.server.execute("CREATE USER blind@'%' IDENTIFIED BY 'b'").await;
        replica.catch_up_with(&stage.server).await;
        let mut blind = target.clone();
        blind.replicas[0].endpoint = Endpoint::parse(&replica.url("blind", "b")).unwrap();
        let findings = stage.findings(&blind).await;
        let unknown = ids(&findings, Status::Unknown);
        for id in ["replica-role", "replica-threads", "replica-filters", "replica-decode"] {
            assert!(unknown.contains(&id), "{flavour:?}: {}", shown(&wrong(&findings)));
        }
        replica.stop().await;
        let findings = stage.findings(&target).await;
        let unknown = ids(&findings, Status::Unknown);
        for id in ["replica-role", "replica-threads", "replica-filters", "replica-heartbeat", "replica-decode"] {
            assert!(unknown.contains(&id), "{flavour:?}: {}", shown(&wrong(&findings)));
        }
    }
}

#[tokio::test]
async fn a_replica_in_place_of_the_primary_is_reported_and_still_inspected() {
    for flavour in Flavour::ALL {
        let (stage, replica, target) = with_replica(flavour, "").await;
        let mut wrong_place = Target { replicas: Vec::new(), ..target };
        wrong_place.endpoint = Endpoint::parse(&replica.url("hb", "hb")).unwrap();
        let findings = stage.findings(&wrong_place).await;
        // The connector reads the primary, and this server does not know of it.
        let failed = ids(&findings, Status::Failed);
        assert_eq!(failed, ["server-writable", "connector-connected"], "{flavour:?}: {}", shown(&wrong(&findings)));
        let writable = findings.iter().find(|finding| finding.id == "server-writable").unwrap();
        assert!(writable.observed.contains("it is a replica of 127.0.0.1"), "{}", writable.observed);
    }
}

#[tokio::test]
async fn a_stopped_replica_in_place_of_the_primary_is_not_simply_made_writable() {
    for flavour in Flavour::ALL {
        let (stage, replica, target) = with_replica(flavour, "").await;
        let word = flavour.replica_word();
        replica.execute(&format!("STOP {word}")).await;
        for (user, password) in [("hb", "hb"), ("blind", "b")] {
            if user == "blind" {
                stage.server.execute("CREATE USER blind@'%' IDENTIFIED BY 'b'").await;
                replica.execute(&format!("START {word}")).await;
                replica.catch_up_with(&stage.server).await;
            }
            let mut wrong_place = Target { replicas: Vec::new(), ..target.clone() };
            wrong_place.endpoint = Endpoint::parse(&replica.url(user, password)).unwrap();
            let findings = stage.findings(&wrong_place).await;
            let writable = findings.iter().find(|finding| finding.id == "server-writable").unwrap();
            let remedy = writable.remedy.as_ref().unwrap();
            assert_eq!(writable.status, Status::Failed, "{flavour:?} {user}");
            assert!(remedy.to_string().starts_with("name the primary in url"), "{flavour:?} {user}: {remedy}");
        }
    }
}

#[tokio::test]
async fn a_filter_that_kept_the_table_out_from_the_start_is_lifted_once_it_is_there() {
    for flavour in Flavour::ALL {
        // As patterns have it, with a backslash.
        let line = "replicate_wild_do_table = my\\_app.%";
        let server = super::stage::options(flavour).start().await;
        let replica = server.replica_with(line).await;
        let stage = Stage::on(server).await;
        replica.catch_up_with(&stage.server).await;
        // The filter also excluded accounts.
        replica.execute("SET sql_log_bin = 0; CREATE USER hb@'%' IDENTIFIED BY 'hb'; GRANT ALL ON *.* TO hb@'%'").await;
        let mut target = reading(&stage, &replica);
        target.replicas[0].required = true;
        let findings = stage.findings(&target).await;
        let filters = findings.iter().find(|finding| finding.id == "replica-filters").unwrap();
        let remedy = filters.remedy.as_ref().unwrap();
        assert!(remedy.to_string().contains("my\\_app.%"), "{remedy}");
        paste(&replica, remedy).await;
        arrives(&stage, &replica, line).await;
        let findings = stage.findings(&target).await;
        for id in ["replica-threads", "replica-filters", "replica-heartbeat"] {
            let finding = findings.iter().find(|finding| finding.id == id).unwrap();
            assert_eq!(finding.status, Status::Ok, "{flavour:?}: {}", shown(&wrong(&findings)));
        }
        let status = replica.replication_status().await;
        let list = status.iter().find(|(name, _)| name.eq_ignore_ascii_case("replicate_wild_do_table")).unwrap();
        assert_eq!(list.1.as_deref(), Some("my\\_app.%,streamkap.streamkap_heartbeat"), "{flavour:?}");
    }
}

#[tokio::test]
async fn a_named_connection_is_started_by_its_name() {
    let (stage, replica, target) = with_replica(Flavour::Mariadb, "").await;
    let settings = format!(
        "STOP SLAVE; RESET SLAVE ALL; CHANGE MASTER 'orders' TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {}, \
         MASTER_USER = '{}', MASTER_PASSWORD = '{}', MASTER_USE_GTID = slave_pos; START SLAVE 'orders'",
        stage.server.port(),
        crate::bench::mysql::ADMIN,
        crate::bench::mysql::ADMIN_PASSWORD
    );
    replica.execute(&settings).await;
    stage.all_is_well(&target, "the connection was given a name").await;
    replica.execute("STOP SLAVE 'orders'").await;
    let (_, remedy) = remedy_of(&stage, &target, "replica-threads", "channel orders: ").await;
    paste(&replica, &remedy).await;
    stage.all_is_well(&target, "the remedy").await;
}
