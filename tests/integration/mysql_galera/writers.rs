//! Daemons on two nodes that write the same row.

use std::time::Duration;

use futures_util::future::join_all;

use crate::bench::beating_daemon::{TARGET, note, plain_password, target};
use crate::bench::daemon::Daemon;
use crate::bench::mysql::MysqlOptions;
use crate::bench::mysql_scene::{address, beats_logged_by, furnish, last_update};
use crate::bench::sharing::SharedRow;
use crate::bench::{Flavour, Galera, MysqlServer, eventually, heartbeatd, secs, steadily};

/// How long two daemons with `always` are observed.
const WATCHED: Duration = secs(20);
/// The shortest period that a column of whole seconds allows with `when-stale`.
const PERIOD: Duration = secs(5);

async fn pair(options: MysqlOptions) -> Galera {
    let cluster = Galera::with(options, 2).await;
    furnish(&cluster.nodes[0]).await;
    cluster
}

/// The same name means the same phase: both act at the same moment.
async fn start(node: &MysqlServer, more: &str) -> Daemon {
    let address = address(Flavour::Mariadb, &[node.port()]);
    heartbeatd().config(&target(TARGET, &address, &format!("{}{more}", plain_password()))).start().await
}

#[tokio::test]
async fn two_daemons_that_always_write_through_two_nodes_collide_and_neither_fails() {
    // By default a node repeats a statement that lost, so the daemons would rarely get an error.
    let cluster = pair(MysqlServer::options().conf("wsrep_retry_autocommit = 0")).await;
    let daemons = join_all(cluster.nodes.iter().map(|node| start(node, ""))).await;
    for daemon in &daemons {
        daemon.healthy_within(secs(15)).await;
    }
    steadily(WATCHED, "both /health 200", async || {
        let states = join_all(daemons.iter().map(Daemon::health)).await;
        if states.iter().all(|(status, _)| *status == 200) { Ok(()) } else { Err(format!("{states:?}")) }
    })
    .await;
    let mut written = 0;
    for daemon in &daemons {
        assert_eq!(daemon.beats(TARGET, "failed").await, 0, "{}", daemon.log());
        written += daemon.beats(TARGET, "ok").await;
    }
    let mut conflicts = Vec::new();
    for node in &cluster.nodes {
        for name in ["wsrep_local_cert_failures", "wsrep_local_bf_aborts"] {
            let rows = node.rows(&format!("SHOW GLOBAL STATUS LIKE '{name}'")).await;
            conflicts.push(rows[0][1].clone().unwrap().parse::<u64>().unwrap());
        }
    }
    note(&format!("{written} beats of two daemons, conflicts {conflicts:?}"));
    assert!(conflicts.iter().sum::<u64>() > 0, "they never met: {written} beats");
    drop(daemons);
    eventually(secs(20), "every beat in both binary logs", async || {
        let logged = join_all(cluster.nodes.iter().map(beats_logged_by)).await;
        if logged[0] == logged[1] && logged[0] >= written { Ok(()) } else { Err(format!("{logged:?} {written}")) }
    })
    .await;
}

#[tokio::test]
async fn two_daemons_on_two_nodes_write_one_beat_per_period_together() {
    let cluster = pair(MysqlServer::options()).await;
    let lines = "interval = \"5s\"\nwrite = \"when-stale\"\n";
    let start = async |node: &MysqlServer| {
        let address = address(Flavour::Mariadb, &[node.port()]);
        let text = format!("[[target]]\nname = \"{TARGET}\"\n{lines}url = \"{address}\"\n{}", plain_password());
        (heartbeatd().config(&text).start().await, TARGET)
    };
    let (one, two) = (start(&cluster.nodes[0]).await, start(&cluster.nodes[1]).await);
    let seen = async || last_update(&cluster.nodes[1]).await;
    SharedRow { period: PERIOD, watched: secs(15), last_update: seen }.gets_one_beat_a_period_from(one, two).await;
    eventually(secs(20), "the same on both nodes", async || {
        let values = join_all(cluster.nodes.iter().map(last_update)).await;
        if values[0] == values[1] { Ok(()) } else { Err(format!("{values:?}")) }
    })
    .await;
}
