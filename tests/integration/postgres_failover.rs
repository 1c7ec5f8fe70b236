//! Primaries, standbys and other clusters: a failover is followed, a standby is never written, another cluster is
//! refused, and a replica that does not receive the beat is reported.

use rustix::process::Signal;
use tokio::time::Instant;

use crate::bench::beating_daemon::{
    BeatingDaemon, ROLE, TABLE, address, beats_asked_of, configuration, failure, furnish, furniture, has_no_queue,
    note, plain_password, target,
};
use crate::bench::{PostgresServer, Proxy, eventually, heartbeatd, secs};

#[tokio::test]
async fn promoted_standby_is_followed_and_the_former_primary_is_never_written_on_again() {
    let mut primary = PostgresServer::options().log_statements().start().await;
    furnish(&primary).await;
    let mut standby = primary.standby().await;
    let beating = BeatingDaemon::configured(&configuration(&[primary.port(), standby.port()], "")).await;
    assert_eq!(beating.address().await, format!("127.0.0.1:{}", primary.port()));
    beating.beats(2, secs(20)).await;
    assert_eq!(beats_asked_of(&standby), 0, "nothing is ever written on a standby");

    // A server takes a while to stop, and the daemon does not wait for it.
    let ((), reported) = tokio::join!(primary.stop(), beating.fails_with(failure("connection", "not_writable", None)));
    // The primary may come back, and then a promotion by hand would split the cluster.
    reported.names(&[&format!("bring 127.0.0.1:{} back", primary.port()), "promote only through your failover tool"]);
    assert!(!format!("{reported:?}").contains("pg_promote"), "{reported:?}");
    let promoted = Instant::now();
    standby.promote().await;
    beating.recovers_within(secs(20)).await;
    note(&format!("followed {:?} after the promotion was asked for", promoted.elapsed()));
    assert_eq!(beating.address().await, format!("127.0.0.1:{}", standby.port()));
    let before = beats_asked_of(&primary);
    primary.follow(&standby).await;
    beating.beats(3, secs(20)).await;

    // And back, without a pause: the server of the open connection becomes a standby.
    primary.catch_up_with(&standby).await;
    assert_eq!(beats_asked_of(&primary), before, "nothing is ever written on a standby");
    standby.stop().await;
    primary.promote().await;
    standby.follow(&primary).await;
    beating.beats(2, secs(15)).await;
    assert_eq!(beating.address().await, format!("127.0.0.1:{}", primary.port()));
    beating.recovers_within(secs(20)).await;
    has_no_queue(&primary).await;
    has_no_queue(&standby).await;
}

#[tokio::test]
async fn of_two_servers_that_both_claim_to_be_primary_the_promoted_one_gets_the_beats() {
    let mut old = PostgresServer::options().log_statements().start().await;
    furnish(&old).await;
    let new = old.standby().await;
    new.catch_up_with(&old).await;
    old.kill().await;
    new.promote().await;
    old.resume().await;
    let beating = BeatingDaemon::configured(&configuration(&[old.port(), new.port()], "")).await;
    assert_eq!(beating.address().await, format!("127.0.0.1:{}", new.port()));
    beating.beats(2, secs(20)).await;
    assert_eq!(beats_asked_of(&old), 0);
}

#[tokio::test]
async fn standby_alone_is_reported_as_not_writable_its_remedy_finds_the_primary_and_it_heals_when_promoted() {
    let primary = PostgresServer::options().log_statements().start().await;
    furnish(&primary).await;
    let standby = primary.standby().await;
    let beating = BeatingDaemon { daemon: heartbeatd().config(&configuration(&[standby.port()], "")).start().await };
    let reported = beating.reports(failure("connection", "not_writable", None)).await;
    assert!(reported.message.contains("is a standby"), "{reported:?}");
    assert_eq!(beating.daemon.health().await.0, 503);
    let sender = eventually(secs(10), "the standby to stream", async || {
        let mut rows = standby.rows(reported.script()).await;
        rows.pop().ok_or("no receiver")
    })
    .await;
    assert_eq!(sender[1].as_deref(), Some(primary.port().to_string().as_str()), "{sender:?}");
    assert_eq!(beats_asked_of(&standby), 0, "nothing is ever written on a standby");
    standby.promote().await;
    beating.recovers_within(secs(20)).await;
    has_no_queue(&standby).await;
}

#[tokio::test]
async fn a_read_only_setting_on_a_primary_is_distinguished_from_a_standby_and_its_remedy_heals() {
    let server = PostgresServer::start().await;
    let beating = BeatingDaemon::of(&server).await;
    server.set("default_transaction_read_only", "on").await;
    let reported = beating.fails_with(failure("connection", "read_only_setting", None)).await;
    reported.names(&[ROLE]);
    // An administrator's session runs it, which is also read-only.
    server.execute(reported.script()).await;
    beating.recovers_within(secs(20)).await;
    has_no_queue(&server).await;
}

#[tokio::test]
async fn another_cluster_under_the_same_address_is_refused_until_reloaded_or_restarted() {
    let known = PostgresServer::start().await;
    let strangers = [
        PostgresServer::options().own_identity().start().await,
        PostgresServer::options().own_identity().start().await,
    ];
    for server in [&known, &strangers[0], &strangers[1]] {
        furnish(server).await;
    }
    let untouched = format!("SELECT count(*) FROM {TABLE} WHERE last_update = '2020-01-01'");
    let proxy = Proxy::start(known.port()).await;
    let text = configuration(&[proxy.port()], "");
    let mut beating = BeatingDaemon::configured(&text).await;

    proxy.lead_to(strangers[0].port());
    proxy.reset().await;
    let reported = beating.fails_with(failure("connection", "identity", None)).await;
    reported.names(&["restart or reload"]);
    assert_eq!(strangers[0].number(&untouched).await, 1, "nothing was written there");
    has_no_queue(&strangers[0]).await;
    beating.daemon.signal(Signal::HUP);
    beating.recovers_within(secs(20)).await;
    assert_eq!(strangers[0].number(&untouched).await, 0);

    proxy.lead_to(strangers[1].port());
    proxy.reset().await;
    beating.fails_with(failure("connection", "identity", None)).await;
    assert_eq!(strangers[1].number(&untouched).await, 1, "nothing was written there");
    beating.daemon.end(Signal::TERM, secs(10)).await;
    let restarted = BeatingDaemon::configured(&text).await;
    restarted.beats(1, secs(20)).await;
    assert_eq!(strangers[1].number(&untouched).await, 0);
}

#[tokio::test]
async fn stopped_replica_is_a_reason_and_red_only_where_it_is_required() {
    let primary = PostgresServer::start().await;
    furnish(&primary).await;
    primary.execute(&furniture("strict")).await;
    let mut standby = primary.standby().await;
    let replica = |required: bool| {
        let url = address(&[standby.port()]);
        format!("[[target.replica]]\nname = \"replica-1\"\nurl = \"{url}\"\nrequired = {required}")
    };
    let strict = format!("{}[target.heartbeat]\nschema = \"strict\"\n{}", plain_password(), replica(true));
    let text = format!(
        "{}{}",
        configuration(&[primary.port()], &replica(false)),
        target("strict", &address(&[primary.port()]), &strict)
    );
    let beating = BeatingDaemon::configured(&text).await;
    standby.stop().await;
    beating.misses_the_stopped_replica().await;
    standby.resume().await;
    beating.has_its_replica_again().await;
}

#[tokio::test]
async fn a_replica_whose_replay_stopped_is_reported_as_not_receiving() {
    let primary = PostgresServer::start().await;
    furnish(&primary).await;
    let standby = primary.standby().await;
    let more =
        format!("[[target.replica]]\nname = \"replica-1\"\nurl = \"{}\"\nrequired = true", address(&[standby.port()]));
    let beating = BeatingDaemon::configured(&configuration(&[primary.port()], &more)).await;
    standby.execute("SELECT pg_wal_replay_pause()").await;
    let remedy = beating.finds_its_replica_behind().await;
    assert!(remedy.contains("pg_stat_wal_receiver"), "{remedy}");
    standby.execute("SELECT pg_wal_replay_resume()").await;
    beating.recovers_within(secs(10)).await;
}

#[tokio::test]
async fn replica_address_that_leads_to_a_primary_is_reported_as_not_a_replica() {
    let primary = PostgresServer::start().await;
    furnish(&primary).await;
    let url = address(&[primary.port()]);
    let more = format!("[[target.replica]]\nname = \"replica-1\"\nurl = \"{url}\"");
    let beating = BeatingDaemon { daemon: heartbeatd().config(&configuration(&[primary.port()], &more)).start().await };
    let remedy = beating.finds_a_primary_in_place_of_its_replica().await;
    assert!(remedy.contains("the replica's own address"), "{remedy}");
}
