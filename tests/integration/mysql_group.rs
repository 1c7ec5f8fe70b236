//! Group replication on MySQL 9: the beat is only on the primary, it follows a planned change and a failover, and a
//! server that left its group or lost the majority is not written.

use heartbeatd::driver::{Purpose, ServerRole};
use heartbeatd::finding::Status;
use heartbeatd::heartbeat::Writing;
use heartbeatd::target::{Endpoint, Replica};
use tokio::time::Instant;

use crate::bench::beating_daemon::{BeatingDaemon, ExpectedFailure, PASSWORD, ROLE, failure, note, plain_password};
use crate::bench::driver::{self, TIME, open};
use crate::bench::findings::{ids, judge, look, shown, wrong};
use crate::bench::mysql_scene::{
    address, beats_asked_of, beats_logged_by, configuration, end_sessions, furnish, has_no_queue, position,
};
use crate::bench::{Flavour, MysqlServer, eventually, heartbeatd, secs, steadily};

/// The failure of a member that accepts writes but must not.
const OUT_OF_THE_GROUP: ExpectedFailure = failure("connection", "not_writable", Some("1123"));

/// A group with the heartbeat's objects on all members.
async fn furnished(members: usize) -> Vec<MysqlServer> {
    let group = MysqlServer::group(members).await;
    furnish(&group[0]).await;
    for member in &group[1..] {
        member.catch_up_with(&group[0]).await;
    }
    group
}

/// A configuration that names these members, in this order.
fn naming(members: &[&MysqlServer], more: &str) -> String {
    let ports: Vec<u16> = members.iter().map(|member| member.port()).collect();
    configuration(Flavour::Mysql, &ports, more)
}

fn here(server: &MysqlServer) -> String {
    format!("127.0.0.1:{}", server.port())
}

async fn is_beaten_at(beating: &BeatingDaemon, server: &MysqlServer) {
    let expected = here(server);
    eventually(secs(20), format!("beats at {expected}"), async || match beating.address().await {
        address if address == expected => Ok(()),
        address => Err(format!("{address}; log:\n{}", beating.daemon.log())),
    })
    .await;
    beating.beats(2, secs(20)).await;
}

/// Which of three members replaced the first as primary, once there is one.
async fn successor(group: &[MysqlServer]) -> usize {
    let former = group[0].port().to_string();
    let new = eventually(secs(30), "another primary", async || {
        let members = group[1].members().await.map_err(|error| error.to_string())?;
        match members.into_iter().find(|(.., role)| role == "PRIMARY") {
            Some((port, state, _)) if port != former && state == "ONLINE" => Ok(port),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    if new == group[1].port().to_string() { 1 } else { 2 }
}

/// Whether the server's history is part of the group's, so that it can join again.
async fn has_nothing_of_its_own(server: &MysqlServer, group: &MysqlServer) -> bool {
    let history = position(server).await;
    group.number(&format!("SELECT GTID_SUBSET('{history}', @@gtid_executed)")).await == 1
}

#[tokio::test]
async fn the_primary_of_a_group_gets_the_beats_its_successor_is_followed_and_every_member_logs_them() {
    let group = furnished(2).await;
    let (first, second) = (&group[0], &group[1]);
    let url = address(Flavour::Mysql, &[second.port()]);
    let replica =
        format!("[[target.replica]]\nname = \"second\"\nurl = \"{url}\"\nrequired = true\n{}", plain_password());
    let watched = BeatingDaemon::configured(&naming(&[first], &replica)).await;
    let lag = watched.daemon.replica_lag("orders", "second").await;
    note(&format!("lag {lag} s"));
    assert!(lag < 20.0, "{lag}");
    assert_eq!(watched.daemon.health().await.0, 200);
    drop(watched);

    // The address names the secondary first.
    let beating = BeatingDaemon::configured(&naming(&[second, first], "")).await;
    assert_eq!(beating.address().await, here(first));
    beating.beats(2, secs(20)).await;
    assert_eq!(beats_asked_of(second), 0, "nothing is ever written on a secondary");

    let asked = Instant::now();
    second.take_over().await;
    let (changed, before) = (asked.elapsed(), beats_asked_of(first));
    is_beaten_at(&beating, second).await;
    note(&format!("the change took {changed:?}, two beats at the new primary {:?} after it", asked.elapsed()));
    beating.recovers_within(secs(20)).await;
    beating.beats(2, secs(20)).await;
    // One beat may have met the guard.
    assert!(beats_asked_of(first) <= before + 1, "the former primary is left");
    let answered = beating.count("ok").await;
    for member in &group {
        eventually(secs(20), format!("{answered} beats in the log of {}", member.port()), async || {
            match beats_logged_by(member).await {
                logged if logged >= answered => Ok(()),
                logged => Err(format!("{logged}")),
            }
        })
        .await;
        has_no_queue(member).await;
    }
}

#[tokio::test]
async fn killed_primary_of_a_group_is_replaced_and_not_written_on_when_it_comes_back_outside_the_group() {
    let mut group = furnished(3).await;
    let text = naming(&[&group[0], &group[1], &group[2]], "");
    let beating = BeatingDaemon::configured(&text).await;
    let killed = Instant::now();
    group[0].kill().await;
    let new = successor(&group).await;
    let elected = killed.elapsed();
    is_beaten_at(&beating, &group[new]).await;
    note(&format!("another primary after {elected:?}, two beats there after {:?}", killed.elapsed()));
    beating.recovers_within(secs(20)).await;

    // It accepts writes, because its option file does not set read_only, and it is first in the address.
    group[0].resume().await;
    let (former, new) = (&group[0], &group[new]);
    assert_eq!(former.number("SELECT @@read_only + @@super_read_only").await, 0);
    let last = position(former).await;
    end_sessions(new).await;
    beating.beats(2, secs(20)).await;
    assert_eq!(beating.address().await, here(new));
    let alone = BeatingDaemon { daemon: heartbeatd().config(&naming(&[former], "")).start().await };
    let reported = alone.reports(OUT_OF_THE_GROUP).await;
    assert!(reported.message.contains("not a working member"), "{reported:?}");
    reported.names(&["START GROUP_REPLICATION", "without the plugin group_replication"]);
    assert_eq!(position(former).await, last, "no transaction that the group does not have");
    assert!(has_nothing_of_its_own(former, new).await);
    has_no_queue(new).await;
}

/// Cut off, as by a network fault: when it continues it does not know of its successor, and a beat is in progress.
#[tokio::test]
async fn frozen_primary_that_its_group_expelled_adds_nothing_when_it_is_thawed() {
    let group = furnished(3).await;
    let former = &group[0];
    former.execute("SET GLOBAL group_replication_autorejoin_tries = 0").await;
    let beating = BeatingDaemon::configured(&naming(&[former, &group[1], &group[2]], "")).await;
    let frozen = Instant::now();
    former.freeze();
    let new = &group[successor(&group).await];
    is_beaten_at(&beating, new).await;
    note(&format!("two beats at the new primary {:?} after the old one was frozen", frozen.elapsed()));
    former.thaw();
    eventually(secs(30), "the former primary to know that it was expelled", async || {
        let members = former.members().await.map_err(|error| error.to_string())?;
        if members.iter().any(|(_, state, _)| state == "ERROR") { Ok(()) } else { Err(format!("{members:?}")) }
    })
    .await;
    // The default of such a member on MySQL 9 (group_replication_exit_state_action).
    let alone = BeatingDaemon { daemon: heartbeatd().config(&naming(&[former], "")).start().await };
    let reported = alone.reports(failure("connection", "starting", Some("6400"))).await;
    reported.names(&["START GROUP_REPLICATION", "switch offline_mode off"]);
    beating.beats(2, secs(20)).await;
    assert_eq!(beating.address().await, here(new));
    assert!(has_nothing_of_its_own(former, new).await);
    has_no_queue(former).await;
    has_no_queue(new).await;
}

#[tokio::test]
async fn member_that_left_its_group_is_written_on_only_when_there_is_no_group_any_more() {
    let group = furnished(2).await;
    let (first, second) = (&group[0], &group[1]);
    let beating = BeatingDaemon::configured(&naming(&[first], "")).await;
    first.leave().await;
    beating.fails_with(failure("connection", "not_writable", None)).await;
    // An administrator who wants it to accept writes again does this.
    let last = position(first).await;
    first.execute("SET GLOBAL super_read_only = OFF; SET GLOBAL read_only = OFF").await;
    let reported = beating.reports(OUT_OF_THE_GROUP).await;
    assert!(reported.message.contains(&here(first)), "{reported:?}");
    steadily(secs(3), "an untouched server", async || match position(first).await {
        now if now == last => Ok(()),
        now => Err(now),
    })
    .await;
    // The other one is the primary now.
    let both = BeatingDaemon::configured(&naming(&[first, second], "")).await;
    assert_eq!(both.address().await, here(second));
    drop(both);

    first.execute("UNINSTALL PLUGIN group_replication").await;
    beating.recovers_within(secs(20)).await;
    assert_ne!(position(first).await, last);
    has_no_queue(first).await;
}

#[tokio::test]
async fn a_primary_without_a_majority_is_reported_and_keeps_one_statement_waiting_at_most() {
    let mut group = furnished(3).await;
    let text = naming(&[&group[0], &group[1], &group[2]], "");
    let beating = BeatingDaemon::configured(&text).await;
    for index in [1, 2] {
        group[index].kill().await;
    }
    let reported = beating.reports(OUT_OF_THE_GROUP).await;
    assert!(reported.message.contains("cut off from the majority"), "{reported:?}");
    reported.names(&["performance_schema.replication_group_members", "group_replication_force_members"]);
    let failed = beating.count("failed").await;
    let waiting = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'UPDATE /* heartbeatd%'";
    let primary = &group[0];
    steadily(secs(6), "at most one beat that waits", async || match primary.number(waiting).await {
        0 | 1 => Ok(()),
        more => Err(format!("{more} beats")),
    })
    .await;
    assert!(beating.count("failed").await > failed, "it goes on trying");
    let errors = beating.daemon.target("orders").await["counters"]["errors"].take();
    note(&errors.to_string());
    assert_eq!(beating.daemon.health().await.0, 503);

    // The remedy if the other members are lost for good.
    group[0].kill().await;
    group[0].resume().await;
    group[0].found_group(&[&group[0]]).await;
    beating.recovers_within(secs(20)).await;
    has_no_queue(&group[0]).await;
}

#[tokio::test]
async fn checks_are_silent_on_a_healthy_group_and_its_secondary_counts_as_a_replica() {
    let group = furnished(2).await;
    let (first, second) = (&group[0], &group[1]);
    first
        .execute(&format!(
            "GRANT PROCESS, REPLICATION CLIENT, SHOW VIEW ON *.* TO {ROLE}; GRANT EVENT ON streamkap.* TO {ROLE}; \
             GRANT SELECT ON mysql.* TO {ROLE}"
        ))
        .await;
    second.catch_up_with(first).await;
    let mut target = driver::target(&first.url(ROLE, PASSWORD));
    let endpoint = Endpoint::parse(&second.url(ROLE, PASSWORD)).unwrap();
    target.replicas.push(Replica { name: "second".to_owned(), endpoint, required: true, decode: false });
    driver::beat(&target, Writing::Always).await.unwrap();
    second.catch_up_with(first).await;
    let findings = judge(&target, &look(&target).await, None);
    let wrong = wrong(&findings);
    assert_eq!(ids(&wrong, Status::Failed), [""; 0], "{}", shown(&wrong));
    assert_eq!(as_a_replica(second, first).await, (ServerRole::Primary, Status::Failed), "the group's one primary");
    assert_eq!(as_a_replica(first, second).await, (ServerRole::Standby, Status::Ok));
    for id in ["server-writable", "replica-role", "replica-heartbeat", "replica-filters"] {
        assert!(ids(&findings, Status::Ok).contains(&id), "{id}: {}", shown(&findings));
    }
}

#[tokio::test]
async fn members_that_all_accept_writes_get_the_beats_in_the_addresss_order_and_each_may_be_anothers_replica() {
    let group = furnished(2).await;
    let (first, second) = (&group[0], &group[1]);
    first.share_writes().await;
    assert_eq!(second.number("SELECT @@super_read_only").await, 0);
    let url = address(Flavour::Mysql, &[second.port()]);
    let replica =
        format!("[[target.replica]]\nname = \"second\"\nurl = \"{url}\"\nrequired = true\n{}", plain_password());
    let beating = BeatingDaemon::configured_and_at(&naming(&[first, second], &replica), &here(first)).await;
    let asked = beats_asked_of(second);
    let lag = beating.daemon.lag_of("member", "orders", "second").await;
    note(&format!("lag {lag} s"));
    beating.beats(2, secs(20)).await;
    let (status, health) = beating.daemon.health().await;
    assert_eq!(status, 200, "another member that takes writes is no trouble: {health}");
    assert_eq!(as_a_replica(first, second).await, (ServerRole::Member, Status::Ok));
    // The other one takes over when the first leaves, and gets no beat before.
    assert_eq!(beats_asked_of(second), asked);
    first.leave().await;
    is_beaten_at(&beating, second).await;
    // Outside its group, and set to accept writes, it is no longer a member, although its group mode is unchanged.
    first.execute("SET GLOBAL super_read_only = OFF; SET GLOBAL read_only = OFF").await;
    assert_eq!(as_a_replica(second, first).await, (ServerRole::Primary, Status::Failed));
}

/// The role and the finding of a server that is configured as another one's replica.
async fn as_a_replica(source: &MysqlServer, replica: &MysqlServer) -> (ServerRole, Status) {
    let role = open(&driver::target(&replica.admin_url()), Purpose::Inspect, None, TIME).await.unwrap().server().role;
    let mut target = driver::target(&source.admin_url());
    let endpoint = Endpoint::parse(&replica.admin_url()).unwrap();
    target.replicas.push(Replica { name: "other".to_owned(), endpoint, required: true, decode: false });
    let findings = judge(&target, &look(&target).await, None);
    let finding = findings.iter().find(|finding| finding.id == "replica-role");
    (role, finding.unwrap_or_else(|| panic!("{}", shown(&findings))).status)
}
