//! The checks of a running daemon: the connector's slot once a period, all checks after a recovery.

use serde_json::Value;

use crate::bench::metrics::Metrics;
use crate::bench::{Daemon, PostgresServer, eventually, heartbeatd, secs};

const SLOT: &str = "streamkap_pgoutput_slot";
/// What a connector does: it reads its slot and confirms what it has read.
const CONSUME: &str = "SELECT count(*) FROM pg_logical_slot_get_binary_changes('streamkap_pgoutput_slot', NULL, NULL, \
                       'proto_version', '1', 'publication_names', 'streamkap_pub')";

/// A source as the vendor's pages require it, with a publication and a slot, and a daemon that writes to it every
/// second.
async fn watched() -> (PostgresServer, Daemon) {
    let server = PostgresServer::start().await;
    server
        .execute(
            "CREATE ROLE streamkap_user LOGIN REPLICATION; CREATE TABLE captured (id int PRIMARY KEY); \
                   CREATE PUBLICATION streamkap_pub FOR TABLE captured",
        )
        .await;
    let config = format!(
        "[defaults]\ninterval = \"1s\"\ntimeout = \"3s\"\nprovision = \"auto\"\n\n[[target]]\nname = \"orders\"\nurl = \"{}\"\n",
        server.admin_url()
    );
    let daemon = heartbeatd().config(&config).start().await;
    eventually(secs(10), "the first beat", async || beaten(&daemon).await).await;
    // After the table was created, because an older slot would also see the table's creation.
    server.execute(&format!("SELECT pg_create_logical_replication_slot('{SLOT}', 'pgoutput')")).await;
    (server, daemon)
}

async fn beaten(daemon: &Daemon) -> Result<(), String> {
    let (status, body) = daemon.health().await;
    if status == 200 { Ok(()) } else { Err(body.to_string()) }
}

async fn delivery(daemon: &Daemon) -> Result<Value, String> {
    let target = daemon.target("orders").await;
    match &target["delivery"] {
        Value::Null => Err(format!("no delivery in {target}")),
        delivery => Ok(delivery.clone()),
    }
}

fn failed<'a>(target: &'a Value, id: &str) -> Vec<&'a Value> {
    let findings = target["checks"]["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
    findings.iter().filter(|finding| finding["id"] == id && finding["status"] == "failed").collect()
}

#[tokio::test]
async fn a_connector_that_reads_confirms_beats_and_one_that_stops_lets_the_lag_grow() {
    let (server, daemon) = watched().await;
    let confirmed = async || {
        server.number(CONSUME).await;
        let delivery = delivery(&daemon).await?;
        match delivery["confirmed_beat"].is_string() && delivery["lag_seconds"].as_f64().is_some_and(|lag| lag < 12.0) {
            true => Ok(()),
            false => Err(delivery.to_string()),
        }
    };
    eventually(secs(30), "a beat that the slot confirms", confirmed).await;
    let lag = |metrics: &Metrics| metrics.value("heartbeatd_delivery_lag_seconds", &[("target", "orders")]);
    let retained =
        daemon.metrics().await.value("heartbeatd_slot_retained_bytes", &[("target", "orders"), ("slot", SLOT)]);
    assert!(retained.is_some_and(|bytes| bytes >= 0.0), "{retained:?}");
    // The connector stops: beats are healthy, the connector's progress is not.
    let stopped = async || match lag(&daemon.metrics().await) {
        Some(lag) if lag > 15.0 => Ok(()),
        lag => Err(format!("{lag:?}")),
    };
    eventually(secs(40), "the delivery lag of a connector that stopped", stopped).await;
    assert_eq!(beaten(&daemon).await, Ok(()));
}

#[tokio::test]
async fn a_table_that_is_not_published_is_found_after_a_recovery_and_reported_without_turning_health_red() {
    let (server, daemon) = watched().await;
    let checked = async || {
        let target = daemon.target("orders").await;
        if target["checks"].is_null() { Err("no checks yet".to_owned()) } else { Ok(target) }
    };
    let target = eventually(secs(15), "the first run of all checks", checked).await;
    assert!(failed(&target, "publication-membership").is_empty(), "{}", target["checks"]);
    // No one reads the slot.
    assert_eq!(target["checks"]["verdict"]["rung"], "movement", "{}", target["checks"]);
    server.execute("ALTER PUBLICATION streamkap_pub DROP TABLE streamkap.streamkap_heartbeat").await;
    // A new connection causes a new check within a minute.
    let end_sessions = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                        WHERE application_name LIKE 'heartbeatd%'";
    server.number(end_sessions).await;
    let found = async || {
        let target = daemon.target("orders").await;
        match failed(&target, "publication-membership").as_slice() {
            [finding] => Ok((*finding).clone()),
            _ => Err(target["checks"]["at"].to_string()),
        }
    };
    let finding = eventually(secs(75), "the finding", found).await;
    assert!(finding["remedy"].as_str().is_some_and(|sql| sql.contains("ALTER PUBLICATION")), "{finding}");
    let (status, health) = daemon.health().await;
    assert_eq!(status, 200, "{health}");
    assert!(health.to_string().contains("publication-membership"), "{health}");
    // People see "beating, with problems". The log says it once, in a line that names the checks.
    let problems = health["targets"][0]["problems"].as_u64().unwrap();
    assert!(problems >= 2, "{health}");
    let page = daemon.get("/").await.body;
    assert!(page.contains("<h1 class=\"problems\">all 1 healthy, 1 with problems</h1>"), "{page}");
    assert!(page.contains(&format!("with {problems} problems")), "{page}");
    let gauge = daemon.metrics().await.value("heartbeatd_target_problems", &[("target", "orders")]);
    assert_eq!(gauge, Some(problems as f64));
    let told =
        daemon.log().lines().filter(|line| line.contains("with problems")).map(str::to_owned).collect::<Vec<_>>();
    let [before, after] = told.as_slice() else { panic!("not a line for each change:\n{}", told.join("\n")) };
    assert!(before.contains("slot-active") && !before.contains("publication-membership"), "{before}");
    assert!(after.contains("publication-membership") && after.contains("ALTER PUBLICATION"), "{after}");
    let labels = [("target", "orders"), ("check", "publication-membership"), ("severity", "error")];
    assert_eq!(daemon.metrics().await.value("heartbeatd_check_failed", &labels), Some(1.0));
    // I9: the beating connection, and no connection of a check that has ended.
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'heartbeatd%'";
    let one = async || match server.number(sessions).await {
        1 => Ok(()),
        count => Err(format!("{count} sessions")),
    };
    eventually(secs(10), "only the beating connection to be open", one).await;
}
