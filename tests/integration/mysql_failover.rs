//! Sources and replicas: a failover is followed, a replica is never written whatever the account's privileges are, and
//! a replica that does not receive the beat is reported.

use tokio::time::Instant;

use crate::bench::beating_daemon::{BeatingDaemon, ROLE, failure, note, plain_password, target};
use crate::bench::mysql_scene::{
    TABLE, address, beats_asked_of, configuration, furnish, furniture, has_no_queue, on_both, position,
};
use crate::bench::{Flavour, MysqlServer, heartbeatd, secs, steadily};

fn here(server: &MysqlServer) -> String {
    format!("127.0.0.1:{}", server.port())
}

/// A source with everything that a daemon needs, and its replica.
async fn pair(flavour: Flavour) -> (MysqlServer, MysqlServer) {
    let source = MysqlServer::options().flavour(flavour).general_log().start().await;
    furnish(&source).await;
    let replica = source.replica().await;
    replica.catch_up_with(&source).await;
    (source, replica)
}

#[tokio::test]
async fn promoted_replica_is_followed_and_the_former_source_is_never_written_on_again() {
    on_both(async |flavour| {
        let (mut source, replica) = pair(flavour).await;
        let text = configuration(flavour, &[source.port(), replica.port()], "");
        let beating = BeatingDaemon::configured(&text).await;
        assert_eq!(beating.address().await, here(&source));
        beating.beats(2, secs(20)).await;
        assert_eq!(beats_asked_of(&replica), 0, "nothing is ever written on a replica");

        replica.catch_up_with(&source).await;
        // A server takes a while to stop, and the daemon does not wait for it.
        let ((), reported) =
            tokio::join!(source.stop(), beating.fails_with(failure("connection", "not_writable", None)));
        reported.names(&["promote only through your failover tool"]);
        let told = format!("{reported:?}");
        assert!(told.contains("bring 127.0.0.1:") && !told.contains("SET GLOBAL"), "{told}");
        let promoted = Instant::now();
        replica.promote().await;
        beating.recovers_within(secs(20)).await;
        note(&format!("{flavour:?}: followed {:?} after the promotion was asked for", promoted.elapsed()));
        assert_eq!(beating.address().await, here(&replica));
        let before = beats_asked_of(&source);
        source.write_role(true);
        source.resume().await;
        source.follow(&replica).await;
        beating.beats(3, secs(20)).await;
        source.catch_up_with(&replica).await;
        assert_eq!(beats_asked_of(&source), before, "nothing is ever written on a replica");
        has_no_queue(&source).await;
        has_no_queue(&replica).await;
    })
    .await;
}

/// A planned switch-over: the source is closed to writes, its replica catches up and takes over.
#[tokio::test]
async fn source_that_becomes_read_only_is_left_for_the_replica_that_took_over() {
    on_both(async |flavour| {
        let (source, replica) = pair(flavour).await;
        // As on managed services, read_only does not apply to this account.
        let all = format!("GRANT ALL PRIVILEGES ON *.* TO {ROLE}");
        source.execute(&all).await;
        replica.catch_up_with(&source).await;
        let text = configuration(flavour, &[source.port(), replica.port()], "");
        let beating = BeatingDaemon::configured(&text).await;
        beating.beats(2, secs(20)).await;

        source.set_global("read_only", "ON").await;
        let (closed, last) = (Instant::now(), position(&source).await);
        replica.catch_up_with(&source).await;
        replica.promote().await;
        beating.beats(2, secs(20)).await;
        note(&format!("{flavour:?}: two beats on the new source {:?} after the old one was closed", closed.elapsed()));
        assert_eq!(beating.address().await, here(&replica));
        beating.recovers_within(secs(20)).await;
        assert_eq!(position(&source).await, last, "nothing was written there any more");
        let errors = beating.daemon.target("orders").await["counters"]["errors"].take();
        for error in errors.as_array().unwrap() {
            assert_eq!(error["kind"], "not_writable", "{errors}");
        }
        source.follow(&replica).await;
        source.catch_up_with(&replica).await;
        has_no_queue(&source).await;
    })
    .await;
}

#[tokio::test]
async fn privileged_account_leaves_no_trace_on_a_replica_alone_and_beats_when_it_is_promoted() {
    on_both(async |flavour| {
        let (source, replica) = pair(flavour).await;
        source.execute(&format!("GRANT ALL PRIVILEGES ON *.* TO {ROLE}")).await;
        replica.catch_up_with(&source).await;
        let text = configuration(flavour, &[replica.port()], "");
        let beating = BeatingDaemon { daemon: heartbeatd().config(&text).start().await };
        let reported = beating.reports(failure("connection", "not_writable", None)).await;
        assert!(reported.message.contains("is read-only"), "{reported:?}");
        assert_eq!(beating.daemon.health().await.0, 503);
        // Meanwhile replication goes on, with only what the source writes.
        steadily(secs(3), "the source's own history", async || {
            source.execute(&format!("UPDATE {TABLE} SET last_update = NOW() WHERE id = 1")).await;
            replica.catch_up_with(&source).await;
            match (position(&source).await, position(&replica).await) {
                (source, replica) if source == replica => Ok(()),
                positions => Err(format!("{positions:?}")),
            }
        })
        .await;
        assert_eq!(beats_asked_of(&replica), 0, "the beat is not even asked for");
        replica.promote().await;
        beating.recovers_within(secs(20)).await;
        has_no_queue(&replica).await;
    })
    .await;
}

/// The guard inside the statement: the role is read at connect, and this server became a replica afterwards.
#[tokio::test]
async fn privileged_account_leaves_no_trace_on_a_source_that_became_a_replica_under_it() {
    on_both(async |flavour| {
        let (old, new) = pair(flavour).await;
        old.execute(&format!("GRANT ALL PRIVILEGES ON *.* TO {ROLE}")).await;
        let beating = BeatingDaemon::configured(&configuration(flavour, &[old.port()], "")).await;
        old.set_global("read_only", "ON").await;
        new.catch_up_with(&old).await;
        new.promote().await;
        old.follow(&new).await;
        let last = position(&old).await;
        beating.fails_with(failure("connection", "not_writable", None)).await;
        assert_eq!((position(&old).await, position(&new).await), (last.clone(), last), "no errant transaction");
        has_no_queue(&old).await;
    })
    .await;
}

fn replica_of_target(replica: &MysqlServer, required: bool) -> String {
    let url = address(replica.flavour(), &[replica.port()]);
    format!("[[target.replica]]\nname = \"replica-1\"\nurl = \"{url}\"\nrequired = {required}\n{}", plain_password())
}

#[tokio::test]
async fn stopped_replica_is_a_reason_and_red_only_where_it_is_required() {
    on_both(async |flavour| {
        let (source, mut replica) = pair(flavour).await;
        source.execute(&furniture("strict")).await;
        let strict = format!(
            "{}[target.heartbeat]\nschema = \"strict\"\n{}",
            plain_password(),
            replica_of_target(&replica, true)
        );
        let text = format!(
            "{}{}",
            configuration(flavour, &[source.port()], &replica_of_target(&replica, false)),
            target("strict", &address(flavour, &[source.port()]), &strict)
        );
        let beating = BeatingDaemon::configured(&text).await;
        replica.stop().await;
        beating.misses_the_stopped_replica().await;
        replica.resume().await;
        beating.has_its_replica_again().await;
    })
    .await;
}

#[tokio::test]
async fn replica_whose_replication_is_stopped_is_reported_as_not_receiving() {
    on_both(async |flavour| {
        let (source, replica) = pair(flavour).await;
        let text = configuration(flavour, &[source.port()], &replica_of_target(&replica, true));
        let beating = BeatingDaemon::configured(&text).await;
        let threads = if flavour == Flavour::Mysql { "REPLICA SQL_THREAD" } else { "SLAVE SQL_THREAD" };
        replica.execute(&format!("STOP {threads}")).await;
        beating.finds_its_replica_behind().await;
        replica.execute(&format!("START {threads}")).await;
        beating.recovers_within(secs(10)).await;
    })
    .await;
}

#[tokio::test]
async fn replica_address_that_leads_to_a_source_is_reported_as_not_a_replica() {
    on_both(async |flavour| {
        let source = MysqlServer::options().flavour(flavour).start().await;
        furnish(&source).await;
        let text = configuration(flavour, &[source.port()], &replica_of_target(&source, false));
        let beating = BeatingDaemon { daemon: heartbeatd().config(&text).start().await };
        let remedy = beating.finds_a_primary_in_place_of_its_replica().await;
        assert!(remedy.contains("the replica's own address"), "{remedy}");
    })
    .await;
}
