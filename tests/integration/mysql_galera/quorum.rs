//! Nodes that leave their cluster, and nodes that die.

use std::time::Duration;

use heartbeatd::finding::Status;
use heartbeatd::heartbeat::{ErrorKind, Writing};
use tokio::time::Instant;

use super::{all_of, here};
use crate::bench::beating_daemon::{BeatingDaemon, PASSWORD, ROLE, failure, note};
use crate::bench::driver::{TIME, report, session, target};
use crate::bench::findings::{ids, judge, look, shown, wrong};
use crate::bench::mysql_scene::{beats_asked_of, configuration, furnish, has_no_queue, last_update};
use crate::bench::{Flavour, Galera, MysqlServer, eventually, heartbeatd, secs};

/// The cluster removes a node that was silent for five seconds. Until then it answers nothing.
const AGREEMENT: Duration = secs(20);
/// How long the driver waits for the hosts before the first one that answered.
const GRACE: Duration = Duration::from_millis(500);

/// Waits until the daemon's beats go through another node.
async fn leaves(beating: &BeatingDaemon, left: &MysqlServer) -> String {
    eventually(AGREEMENT, "beats through another node", async || {
        let before = beating.count("ok").await;
        beating.beats(1, AGREEMENT).await;
        match beating.address().await {
            address if address != here(left) => Ok(address),
            address => Err(format!("{address}, {before} beats")),
        }
    })
    .await
}

fn index_of(cluster: &Galera, address: &str) -> usize {
    cluster.nodes.iter().position(|node| here(node) == address).unwrap()
}

#[tokio::test]
async fn a_node_that_is_cut_off_or_killed_is_left_for_one_that_is_still_in_the_cluster() {
    let mut cluster = Galera::with(MysqlServer::options().general_log(), 3).await;
    furnish(&cluster.nodes[0]).await;
    let beating = BeatingDaemon::configured_and_at(&all_of(&cluster), &here(&cluster.nodes[0])).await;

    cluster.nodes[0].isolate(true).await;
    let cut = Instant::now();
    leaves(&beating, &cluster.nodes[0]).await;
    note(&format!("cut off: a beat through another node after {:.1} s", cut.elapsed().as_secs_f64()));
    beating.recovers_within(secs(20)).await;
    let asked = beats_asked_of(&cluster.nodes[0]);
    // A daemon that starts now reaches a node that answers, and must not use it.
    let fresh = BeatingDaemon::configured(&all_of(&cluster)).await;
    fresh.beats(3, secs(20)).await;
    assert_ne!(fresh.address().await, here(&cluster.nodes[0]));
    assert_eq!(beats_asked_of(&cluster.nodes[0]), asked, "the beat is not even asked for");
    drop(fresh);

    cluster.nodes[0].isolate(false).await;
    cluster.settles().await;
    beating.beats(1, secs(20)).await;
    // Which of the nodes that are left it chose depends on how quickly they answered.
    let second = index_of(&cluster, &beating.address().await);
    cluster.nodes[second].kill().await;
    let killed = Instant::now();
    let third = index_of(&cluster, &leaves(&beating, &cluster.nodes[second]).await);
    note(&format!("killed: a beat through another node after {:.1} s", killed.elapsed().as_secs_f64()));
    beating.recovers_within(secs(20)).await;
    cluster.nodes[second].resume().await;
    cluster.settles().await;
    beating.beats(2, secs(20)).await;
    let newest = last_update(&cluster.nodes[third]).await;
    eventually(secs(20), "the node that came back to get the beats", async || {
        match (last_update(&cluster.nodes[second]).await, last_update(&cluster.nodes[third]).await) {
            (there, _) if there >= newest => Ok(()),
            values => Err(format!("{values:?}")),
        }
    })
    .await;
    for node in &cluster.nodes {
        has_no_queue(node).await;
    }
}

/// The commit waits until the cluster removes the other nodes. Its error number is that of a broken disk.
#[tokio::test]
async fn a_beat_during_the_loss_of_the_majority_fails_with_the_right_kind() {
    let mut cluster = Galera::with(MysqlServer::options(), 2).await;
    furnish(&cluster.nodes[0]).await;
    let target = target(&cluster.nodes[0].url(ROLE, PASSWORD));
    let mut session = session(&target).await;
    for _ in 0..3 {
        report(session.as_mut(), Writing::Always, TIME).await.unwrap();
        let before = last_update(&cluster.nodes[0]).await;
        cluster.nodes[1].kill().await;
        let failure = report(session.as_mut(), Writing::Always, AGREEMENT).await.unwrap_err();
        assert_eq!(failure.kind(), ErrorKind::Starting, "{failure}");
        note(&format!("the majority lost: {failure}"));
        cluster.nodes[0].bootstrap().await;
        cluster.nodes[0].wsrep_is("wsrep_ready", "ON").await;
        assert_eq!(last_update(&cluster.nodes[0]).await, before, "nothing was written");
        match failure.code() {
            Some("1180") => return,
            // On a busy machine the cluster may have removed the other node before the beat was sent.
            Some("1047") => {}
            _ => panic!("{failure}"),
        }
        cluster.nodes[1].resume().await;
        cluster.settles().await;
    }
    panic!("no beat was under way in three tries");
}

/// A node that sends its data to a new node may stop for that time.
#[tokio::test]
async fn of_several_nodes_one_that_is_in_sync_gets_the_beats() {
    let cluster = Galera::with(MysqlServer::options(), 2).await;
    let [one, two] = cluster.nodes.as_slice() else { unreachable!() };
    furnish(one).await;
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", one.port(), two.port());
    let target = target(&format!("mariadb://{ROLE}:{PASSWORD}@{hosts}"));
    // The driver waits half a second for an earlier host. A slow machine may answer later, and may need several logins.
    let chooses = async |node: &MysqlServer| {
        eventually(secs(20), format!("{} to be chosen", here(node)), async || {
            let begin = Instant::now();
            let chosen = session(&target).await.server().address.clone();
            if chosen == here(node) {
                return Ok(());
            }
            assert!(begin.elapsed() >= GRACE, "{chosen} was chosen at once, before {}", here(node));
            Err(chosen)
        })
        .await;
    };
    chooses(one).await;
    one.set_global("wsrep_desync", "ON").await;
    one.wsrep_is("wsrep_local_state_comment", "Donor/Desynced").await;
    chooses(two).await;
    two.set_global("wsrep_desync", "ON").await;
    two.wsrep_is("wsrep_local_state_comment", "Donor/Desynced").await;
    // None is in sync: any will do.
    chooses(one).await;
}

#[tokio::test]
async fn a_node_that_loses_the_majority_is_starting_until_it_is_declared_to_be_the_cluster() {
    let mut cluster = Galera::start().await;
    furnish(&cluster.nodes[0]).await;
    let port = cluster.nodes[0].port();
    let beating = BeatingDaemon::configured(&configuration(Flavour::Mariadb, &[port], "")).await;
    beating.beats(2, secs(20)).await;
    for node in &mut cluster.nodes[1..] {
        node.kill().await;
    }
    let left = &cluster.nodes[0];
    // A refused beat says less than the login that follows it.
    let reported = eventually(AGREEMENT, "a login that tells the state", async || {
        let reported = beating.reports(failure("connection", "starting", Some("1047"))).await;
        if reported.message.contains("non-Primary") { Ok(reported) } else { Err(reported.message) }
    })
    .await;
    note(&format!("without a majority: {}", reported.message));
    reported.names(&["no other node is Primary", "resetting the quorum"]);
    left.wsrep_is("wsrep_ready", "OFF").await;
    let errors = beating.daemon.target("orders").await["counters"]["errors"].take();
    for error in errors.as_array().unwrap() {
        // Until the cluster has removed the other nodes, the node answers nothing, and its last beat holds the row.
        let kind = error["kind"].as_str().unwrap();
        assert!(["starting", "timeout", "lock"].contains(&kind), "{errors}");
    }
    assert_eq!(beating.daemon.health().await.0, 503);

    let target = target(&left.url(ROLE, PASSWORD));
    let findings = judge(&target, &look(&target).await, None);
    assert_eq!(failed(&findings), ["galera-ready"], "{}", shown(&wrong(&findings)));
    for finding in findings.iter().filter(|finding| finding.observed.contains("1047")) {
        assert!(finding.observed.ends_with("another look, when the server can answer it"), "{finding:?}");
    }
    let provision = heartbeatd().arg("provision").arg(&left.admin_url()).run().await;
    assert_ne!(provision.code, Some(0));
    assert!(format!("{provision:?}").contains("1047"), "{provision:?}");

    left.bootstrap().await;
    beating.recovers_within(secs(20)).await;
    has_no_queue(left).await;
}

/// The ids of the failed checks, except for the version, which is old on purpose, and those that a plain account and
/// address must fail.
fn failed(findings: &[heartbeatd::finding::Finding]) -> Vec<&str> {
    let besides = ["server-version", "tls-verified", "binlog-retention"];
    ids(findings, Status::Failed).into_iter().filter(|id| !besides.contains(id)).collect()
}
