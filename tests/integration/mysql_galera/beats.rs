//! A healthy cluster: a beat or a provisioning through one node reaches all of them.

use std::time::Duration;

use futures_util::future::join_all;
use heartbeatd::driver::Purpose;
use heartbeatd::heartbeat::{ErrorKind, Writing};
use tokio::time::Instant;

use super::read_at;
use crate::bench::beating_daemon::{BeatingDaemon, ROLE, TARGET, note};
use crate::bench::driver::{TIME, beat, open, report, target};
use crate::bench::mysql::ADMIN;
use crate::bench::mysql::ADMIN_PASSWORD;
use crate::bench::mysql_scene::{TABLE, beats_logged_by, configuration, furnish, last_update, position};
use crate::bench::{Flavour, Galera, MysqlServer, eventually, heartbeatd, programs, secs, steadily};

/// How long beats are observed, at one per second.
const WATCHED: Duration = secs(10);

/// The beats so far, the time of the count, and how many of them each node's binary log contains.
async fn count(beating: &BeatingDaemon, cluster: &Galera) -> (u64, Instant, Vec<u64>) {
    let look = async |beats| {
        let logged = eventually(secs(20), "the newest beat to be in every binary log", async || {
            let logged = join_all(cluster.nodes.iter().map(beats_logged_by)).await;
            if logged.iter().all(|count| *count == logged[0]) { Ok(logged) } else { Err(format!("{logged:?}")) }
        });
        (beats, Instant::now(), logged.await)
    };
    beating.daemon.right_after_a_beat(TARGET, look).await
}

#[tokio::test]
async fn a_beat_through_one_node_is_one_event_in_the_binary_log_of_each() {
    let cluster = Galera::start().await;
    let [one, two, three] = cluster.nodes.as_slice() else { unreachable!() };
    furnish(one).await;
    let text = configuration(Flavour::Mariadb, &[one.port()], &read_at(two));
    let beating = BeatingDaemon::configured(&text).await;
    beating.daemon.checked(TARGET).await;
    let before = count(&beating, &cluster).await;
    steadily(WATCHED, "/health 200", async || match beating.daemon.health().await {
        (200, _) => Ok(()),
        (status, health) => Err(format!("{status}: {health}")),
    })
    .await;
    let after = count(&beating, &cluster).await;
    let beats = after.0 - before.0;
    let seconds = after.1.duration_since(before.1).as_secs_f64();
    assert!(beats > 0, "none in {seconds} s");
    assert_eq!(beating.count("failed").await, 0, "{}", beating.daemon.log());
    for (node, (before, after)) in before.2.iter().zip(&after.2).enumerate() {
        assert_eq!(after - before, beats, "Update_rows events of the table on node {node}");
    }
    beating.has_a_member_for_a_replica().await;
    let at_rest = async || (last_update(one).await, position(one).await);
    beating
        .daemon
        .right_after_a_beat(TARGET, async |_| {
            for node in [two, three] {
                eventually(secs(20), "the node to hold what the first one does", async || {
                    let (here, there) = (at_rest().await, (last_update(node).await, position(node).await));
                    if here == there { Ok(()) } else { Err(format!("{here:?} {there:?}")) }
                })
                .await;
            }
        })
        .await;
    note(&format!("{beats} beats in {seconds:.1} s, as many events in the binary log of each of three nodes"));
}

#[tokio::test]
async fn what_is_provisioned_through_one_node_is_on_all_of_them_with_the_row_that_is_wanted() {
    let cluster = Galera::start().await;
    let [one, two, three] = cluster.nodes.as_slice() else { unreachable!() };
    one.execute(&format!("CREATE USER {ROLE} IDENTIFIED BY 'beat'; CREATE USER streamkap_user")).await;
    // Each node uses its own auto-increment offset.
    assert_ne!(two.number("SELECT @@auto_increment_offset").await, 1);
    let text = format!(
        "[[target]]\nname = \"{TARGET}\"\nurl = \"{}\"\nprovision_url = \"{}\"\n",
        two.url(ROLE, "beat"),
        two.admin_url()
    );
    for _ in 0..2 {
        let ended = heartbeatd().arg("provision").config(&text).run().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    let ids = async |node: &MysqlServer| node.rows(&format!("SELECT id, text FROM {TABLE}")).await;
    let wanted = [[Some("1".to_owned()), Some("test_heartbeat".to_owned())]];
    for node in [one, two, three] {
        eventually(secs(20), "the row", async || {
            // The schema may not have arrived yet.
            let tables = node.number("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'streamkap'");
            if tables.await == 1 && ids(node).await == wanted { Ok(()) } else { Err("not there") }
        })
        .await;
        beat(&target(&node.url(ROLE, "beat")), Writing::Always).await.unwrap();
        assert_eq!(ids(node).await, wanted);
    }
}

/// `wsrep_on` is a session variable that starts with the global value.
#[tokio::test]
async fn a_beat_that_would_stay_on_its_node_is_not_written() {
    let cluster = Galera::with(MysqlServer::options(), 2).await;
    let [one, two] = cluster.nodes.as_slice() else { unreachable!() };
    furnish(one).await;
    let all = target(&format!("mariadb://{ADMIN}:{ADMIN_PASSWORD}@127.0.0.1:{},127.0.0.1:{}", one.port(), two.port()));
    let target = target(&one.admin_url());
    beat(&target, Writing::Always).await.unwrap();
    let written =
        eventually(secs(20), "the beat to arrive", async || match (last_update(one).await, last_update(two).await) {
            (here, there) if here == there => Ok(here),
            values => Err(format!("{values:?}")),
        })
        .await;

    one.set_global("wsrep_on", "OFF").await;
    let failure = beat(&target, Writing::Always).await.unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::NotWritable, "{failure}");
    assert!(failure.message().contains("the node's wsrep_on is off"), "{failure}");
    let remedy = failure.remedy().cloned().unwrap();
    let text = remedy.to_string();
    assert!(text.starts_with("save what was written") && text.contains("full state transfer"), "{failure:?}");
    let session = open(&all, Purpose::Beat, None, TIME).await.unwrap();
    assert!(session.server().address.ends_with(&two.port().to_string()), "{:?}", session.server());
    drop(session);
    two.set_global("wsrep_on", "OFF").await;
    let failure = beat(&all, Writing::Always).await.unwrap_err();
    assert_eq!(failure.remedy(), Some(&remedy), "of several hosts, too: {failure:?}");
    two.set_global("wsrep_on", "ON").await;
    // A session that began before, such as a pooler's, keeps its own value.
    let mut kept = open(&target, Purpose::Inspect, None, TIME).await.unwrap();
    one.set_global("wsrep_on", "ON").await;
    let failure = report(kept.as_mut(), Writing::Always, TIME).await.unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::NotWritable, "{failure}");
    assert!(failure.message().contains("this session's wsrep_on is off"), "{failure}");
    assert_eq!((last_update(one).await, last_update(two).await), (written.clone(), written));
    beat(&target, Writing::Always).await.unwrap();
}

/// A session keeps the `wsrep_on` with which it began. Its writes would still reach the other nodes, but later writes
/// of other sessions on this node do not. So a beat must not use it.
#[tokio::test]
async fn a_session_from_before_its_nodes_wsrep_on_was_switched_off_writes_no_beat() {
    let cluster = Galera::with(MysqlServer::options(), 2).await;
    let [one, two] = cluster.nodes.as_slice() else { unreachable!() };
    furnish(one).await;
    let target = target(&one.admin_url());
    let mut kept = open(&target, Purpose::Beat, None, TIME).await.unwrap();
    report(kept.as_mut(), Writing::Always, TIME).await.unwrap();
    let written =
        eventually(secs(20), "the beat to arrive", async || match (position(one).await, position(two).await) {
            (here, there) if here == there => Ok(here),
            positions => Err(format!("{positions:?}")),
        })
        .await;
    one.set_global("wsrep_on", "OFF").await;
    let failure = report(kept.as_mut(), Writing::Always, TIME).await.unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::NotWritable, "{failure}");
    assert!(failure.message().contains("the node's wsrep_on is off"), "{failure}");
    assert_eq!((position(one).await, position(two).await), (written.clone(), written));
    one.set_global("wsrep_on", "ON").await;
    report(kept.as_mut(), Writing::Always, TIME).await.unwrap();
}

#[tokio::test]
async fn a_server_without_a_cluster_is_no_member_though_it_has_the_library() {
    let library = format!("wsrep_provider = {}", programs::galera().display());
    let server = MysqlServer::options().conf(&library).start().await;
    furnish(&server).await;
    let text = configuration(Flavour::Mariadb, &[server.port()], &read_at(&server));
    let beating = BeatingDaemon { daemon: heartbeatd().config(&text).start().await };
    beating.finds_a_primary_in_place_of_its_replica().await;
}
