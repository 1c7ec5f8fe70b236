//! A message that makes the client library panic affects only its own work: the fault is reported, the loop starts
//! again, the other targets go on. The panics are real ones of sqlx.

use serde_json::Value;

use crate::bench::beating_daemon::{PASSWORD, ROLE, furnish, target};
use crate::bench::daemon::{Ended, Heartbeatd};
use crate::bench::hostile::{HostileServer, Malice};
use crate::bench::{PostgresServer, Proxy, eventually, heartbeatd, secs};

/// Everything that can be logged.
const EVERYTHING: &str = "heartbeatd=trace,sqlx=trace";

/// A good target between two whose servers make the client library panic.
async fn three_targets(command: &str) -> Ended {
    let (postgres, mysql) =
        (HostileServer::start(Malice::PostgresTooShort).await, HostileServer::start(Malice::MysqlTooShort).await);
    let password = format!("password = \"{PASSWORD}\"");
    let text = [
        target("first", &format!("postgres://hb@127.0.0.1:{}/orders", postgres.port()), &password),
        target("good", "sqlite:good.db", "provision = \"auto\""),
        target("last", &format!("mysql://hb@127.0.0.1:{}", mysql.port()), &password),
    ];
    let program = command.split(' ').fold(heartbeatd().env("HEARTBEATD_LOG", EVERYTHING), Heartbeatd::arg);
    program.config(&text.join("\n")).run().await
}

fn shows_no_password(ended: &Ended) {
    assert!(!ended.stdout.contains(PASSWORD) && !ended.stderr.contains(PASSWORD), "{ended:?}");
    assert!(ended.stderr.contains("panic place="), "no panic was staged: {ended:?}");
}

#[tokio::test]
async fn commands_report_a_panic_as_a_failure_of_that_target_only() {
    let ended = three_targets("provision").await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(ended.stdout.matches("[resource, internal]").count(), 2, "{ended:?}");
    assert!(ended.stdout.lines().any(|line| line.starts_with("good") && line.contains("done")), "{ended:?}");
    shows_no_password(&ended);

    let ended = three_targets("beat").await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(ended.stdout.matches("[resource, internal]").count(), 2, "{ended:?}");
    assert!(ended.stdout.lines().any(|line| line.starts_with("good")), "{ended:?}");
    shows_no_password(&ended);
}

#[tokio::test]
async fn a_check_judges_the_other_targets_if_one_panics() {
    let ended = three_targets("check --format json").await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    let targets = report["targets"].as_array().unwrap();
    assert_eq!(targets.len(), 3, "{report}");
    for target in targets {
        let panicked = target.to_string().contains("[resource, internal]");
        assert_eq!(panicked, target["name"] != "good", "{target}");
    }
    shows_no_password(&ended);
}

#[tokio::test]
async fn a_daemon_reports_a_panic_and_goes_on_with_the_others_and_recovers_with_the_server() {
    let server = PostgresServer::start().await;
    furnish(&server).await;
    let malformed = HostileServer::start(Malice::PostgresTooShort).await;
    let proxy = Proxy::start(malformed.port()).await;
    let password = format!("password = \"{PASSWORD}\"");
    let address = format!("postgres://{ROLE}@127.0.0.1:{}/postgres", proxy.port());
    let good = target("good", "sqlite:good.db", "provision = \"auto\"");
    let text = format!("{good}\n{}", target("orders", &address, &password));
    let daemon = heartbeatd().env("HEARTBEATD_LOG", EVERYTHING).config(&text).start().await;
    let reason = daemon.reason_within("internal", secs(10)).await;
    assert!(reason["remedy"].as_str().is_some_and(|remedy| remedy.to_string().contains("report")), "{reason}");
    daemon.more_beats("good", "ok", 3, secs(10)).await;
    daemon.more_beats("orders", "failed", 2, secs(10)).await;
    let log = daemon.log();
    assert_eq!(log.matches("a loop panicked and is started again").count(), 1, "once a minute:\n{log}");
    assert!(log.contains("target=\"orders\" part=\"beats\"") && !log.contains(PASSWORD), "{log}");
    proxy.lead_to(server.port());
    daemon.more_beats("orders", "ok", 3, secs(15)).await;
    daemon.healthy_within(secs(10)).await;
}

#[tokio::test]
async fn a_required_replica_whose_watcher_panics_loses_its_lag_turns_red_and_heals() {
    let server = PostgresServer::start().await;
    furnish(&server).await;
    let standby = server.standby().await;
    let malformed = HostileServer::start(Malice::PostgresTooShort).await;
    let proxy = Proxy::start(standby.port()).await;
    let password = format!("password = \"{PASSWORD}\"");
    let address = |port| format!("postgres://{ROLE}@127.0.0.1:{port}/postgres");
    let replica = format!(
        "{password}\n[[target.replica]]\nname = \"copy\"\nrequired = true\nurl = \"{}\"\n{password}\n",
        address(proxy.port())
    );
    let daemon = heartbeatd().config(&target("orders", &address(server.port()), &replica)).start().await;
    daemon.healthy_within(secs(10)).await;
    daemon.replica_lag("orders", "copy").await;

    proxy.lead_to(malformed.port());
    proxy.reset().await;
    let reason = daemon.reason_within("internal", secs(10)).await;
    assert_eq!(reason["replica"], "copy", "{reason}");
    eventually(secs(10), "/health to be 503", async || match daemon.health().await {
        (503, _) => Ok(()),
        (status, health) => Err(format!("{status}: {health}")),
    })
    .await;
    let lag =
        daemon.metrics().await.value("heartbeatd_replica_lag_seconds", &[("target", "orders"), ("replica", "copy")]);
    assert_eq!(lag, None, "a lag that is not known any more");
    daemon.more_beats("orders", "ok", 3, secs(10)).await;
    assert!(daemon.log().contains("part=\"copy\""), "{}", daemon.log());

    proxy.lead_to(standby.port());
    daemon.healthy_within(secs(15)).await;
    daemon.replica_lag("orders", "copy").await;
}
