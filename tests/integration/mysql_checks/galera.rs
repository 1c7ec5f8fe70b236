//! The checks on the nodes of a real Galera cluster.

use heartbeatd::finding::{Severity, Status};
use heartbeatd::remedy::Remedy;
use heartbeatd::target::{Endpoint, Replica, WriteMode};

use super::stage::{Stage, TABLE, ids, options, shown, wrong};
use crate::bench::mysql::{Flavour, Galera, MysqlOptions};
use crate::bench::mysql_scene::beats_logged_by;
use crate::bench::{MysqlServer, eventually, secs};

/// A stage on the first node, and the other nodes.
async fn stage_of(options: MysqlOptions, size: usize) -> (Stage, Galera) {
    let mut cluster = Galera::with(options, size).await;
    let first = cluster.nodes.remove(0);
    (Stage::on(first).await, cluster)
}

/// The severity and the remedy of the one finding that fails.
async fn only(stage: &Stage, check: &str, says: &str) -> (Severity, Remedy) {
    eventually(secs(10), format!("{check}: {says}"), async || {
        let findings = wrong(&stage.findings(&stage.target).await);
        let mut failed = findings.iter().filter(|finding| finding.status == Status::Failed);
        match (failed.next(), failed.next()) {
            (Some(only), None) if only.id == check && only.observed.contains(says) => {
                Ok((only.severity, only.remedy.clone().unwrap()))
            }
            _ => Err(shown(&findings)),
        }
    })
    .await
}

#[tokio::test]
async fn a_healthy_node_has_no_faults_and_each_fault_of_a_node_is_found_by_itself() {
    let (mut stage, cluster) = stage_of(options(Flavour::Mariadb), 2).await;
    stage.all_is_well(&stage.target, "nothing").await;
    let other = &cluster.nodes[0];
    stage.target.replicas.push(Replica {
        name: "reads".to_owned(),
        endpoint: Endpoint::parse(&other.url("hb", "hb")).unwrap(),
        required: true,
        decode: true,
    });
    stage.all_is_well(&stage.target, "the other node was named as a replica").await;
    let findings = stage.findings(&stage.target).await;
    let role = findings.iter().find(|finding| finding.id == "replica-role").unwrap();
    assert_eq!(role.observed, "it is a node of a Galera cluster, whose members send each other all changes");
    stage.target.replicas.clear();

    stage.server.set_global("wsrep_reject_queries", "ALL").await;
    let (severity, remedy) = only(&stage, "galera-ready", "ALL").await;
    assert_eq!(severity, Severity::Error);
    stage.paste(&remedy).await;
    stage.all_is_well(&stage.target, "the node answers again").await;

    stage.server.set_global("wsrep_on", "OFF").await;
    let (severity, remedy) = only(&stage, "galera-ready", "reaches no other node").await;
    assert_eq!(severity, Severity::Error);
    // Nothing was written on this node meanwhile. But the remedy cannot know that, so it must begin with saving such
    // writes.
    assert!(remedy.to_string().starts_with("save what was written on the node alone"), "{remedy}");
    stage.paste(&remedy).await;
    stage.all_is_well(&stage.target, "the node replicates again").await;

    stage.server.set_global("wsrep_desync", "ON").await;
    let (severity, remedy) = only(&stage, "galera-ready", "Donor/Desynced").await;
    assert_eq!(severity, Severity::Warning);
    stage.paste(&remedy).await;
    stage.server.set_global("wsrep_desync", "OFF").await;
    stage.all_is_well(&stage.target, "the node is in sync again").await;

    stage.server.set_global("wsrep_gtid_mode", "OFF").await;
    let (severity, remedy) = only(&stage, "galera-gtid", "OFF").await;
    assert_eq!(severity, Severity::Info);
    assert!(remedy.to_string().contains("wsrep_gtid_mode = ON"), "{remedy}");
    stage.server.set_global("wsrep_gtid_mode", "ON").await;
    stage.all_is_well(&stage.target, "the mode is set again").await;
}

/// A node with `wsrep_gtid_mode` ON does not start with this setting.
#[tokio::test]
async fn a_node_logs_what_the_others_write_even_without_log_slave_updates_and_is_not_blamed() {
    let lines = options(Flavour::Mariadb).conf("wsrep_gtid_mode = OFF").conf("log_slave_updates = OFF");
    let (mut stage, cluster) = stage_of(lines, 2).await;
    let (_, remedy) = only(&stage, "galera-gtid", "OFF").await;
    assert!(remedy.to_string().contains("log_slave_updates = ON on every node"), "{remedy}");
    assert_eq!(stage.server.value("SELECT @@log_slave_updates").await.as_deref(), Some("0"));
    assert_eq!(events_of_two_beats(&stage, &cluster).await, 2);
    stage.target.replicas.push(Replica {
        name: "reads".to_owned(),
        endpoint: Endpoint::parse(&cluster.nodes[0].url("hb", "hb")).unwrap(),
        required: true,
        decode: true,
    });
    only(&stage, "galera-gtid", "OFF").await;
}

/// How many events two beats write to the first node's binary log, one beat through it and one through another node.
async fn events_of_two_beats(stage: &Stage, cluster: &Galera) -> u64 {
    let before = beats_logged_by(&stage.server).await;
    for (node, text) in [(&stage.server, "here"), (&cluster.nodes[0], "there")] {
        node.execute(&format!("UPDATE {TABLE} SET last_update = NOW(), text = '{text}' WHERE id = 1")).await;
    }
    let text = format!("SELECT text FROM {TABLE}");
    eventually(secs(5), "the second one to arrive", async || match stage.server.value(&text).await.as_deref() {
        Some("there") => Ok(()),
        text => Err(format!("{text:?}")),
    })
    .await;
    beats_logged_by(&stage.server).await - before
}

/// Only one of the nodes runs an event.
#[tokio::test]
async fn an_event_of_a_cluster_runs_on_one_node_and_the_others_say_so() {
    let (mut stage, cluster) = stage_of(options(Flavour::Mariadb), 2).await;
    let other = &cluster.nodes[0];
    for node in [&stage.server, other] {
        node.set_global("event_scheduler", "ON").await;
    }
    other.execute("CREATE TABLE streamkap.log (id INT AUTO_INCREMENT PRIMARY KEY, node INT)").await;
    other
        .execute(
            "CREATE EVENT streamkap.beat ON SCHEDULE EVERY 1 SECOND DO BEGIN \
             UPDATE streamkap.streamkap_heartbeat SET last_update = CURRENT_TIMESTAMP WHERE id = 1; \
             INSERT INTO streamkap.log (node) VALUES (@@port); END",
        )
        .await;
    eventually(secs(10), "the event to run three times", async || {
        match stage.server.number("SELECT COUNT(*) FROM streamkap.log").await {
            3.. => Ok(()),
            runs => Err(format!("{runs}")),
        }
    })
    .await;
    assert_eq!(runs_of(&stage.server).await, [other.port()], "it runs on the node on which it was made");
    let (severity, remedy) = only(&stage, "native-scheduler", "it runs on the node").await;
    assert_eq!(severity, Severity::Info);
    stage.target.write = WriteMode::WhenStale;
    stage.all_is_well(&stage.target, "heartbeatd leaves the row to the event").await;
    stage.target.write = WriteMode::Never;
    let findings = wrong(&stage.findings(&stage.target).await);
    assert_eq!(ids(&findings, Status::Unknown), ["native-scheduler"], "{}", shown(&findings));
    assert_eq!(ids(&findings, Status::Failed), [""; 0], "{}", shown(&findings));

    stage.target.write = WriteMode::Always;
    stage.paste(&remedy).await;
    stage.all_is_well(&stage.target, "the remedy").await;
    eventually(secs(5), "the event to be off everywhere", async || {
        let status = "SELECT STATUS FROM information_schema.EVENTS";
        match (stage.server.value(status).await.as_deref(), other.value(status).await.as_deref()) {
            (Some("DISABLED"), Some("SLAVESIDE_DISABLED")) => Ok(()),
            states => Err(format!("{states:?}")),
        }
    })
    .await;
}

/// The ports of the nodes that ran the event.
async fn runs_of(server: &MysqlServer) -> Vec<u16> {
    let rows = server.rows("SELECT DISTINCT node FROM streamkap.log").await;
    rows.into_iter().map(|row| row[0].clone().unwrap().parse().unwrap()).collect()
}
