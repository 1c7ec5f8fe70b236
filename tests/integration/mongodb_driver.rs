//! MongoDB's driver on a real server, called as the program calls it: what one beat writes, reports and refuses.

use std::time::Duration;

use heartbeatd::driver::{Purpose, ServerRole};
use heartbeatd::heartbeat::{BeatOutcome, ErrorKind, Writing};
use heartbeatd::target::Target;
use heartbeatd::time::Stamp;
use mongodb::bson::{Bson, DateTime, Document, doc};

use crate::bench::beating_daemon::PASSWORD;
use crate::bench::driver::{MINUTE, TIME, WHEN_STALE, beat, failed, failure, open, report, session, target};
use crate::bench::mongodb::{MongoServer, ReplicaSet};
use crate::bench::mongodb_scene::{
    COLLECTION, DATABASE, NAMESPACE, USER, create_user, furnish, furnish_set, insert_document, lay_document,
};
use crate::bench::secs;

fn of(server: &MongoServer) -> Target {
    target(&server.url(USER, PASSWORD))
}

async fn set_last_update(server: &MongoServer, value: impl Into<Bson>) {
    let update = doc! { "q": { "_id": 1 }, "u": { "$set": { "last_update": value.into() } } };
    server.run(DATABASE, doc! { "update": COLLECTION, "updates": [update] }).await;
}

async fn document(server: &MongoServer) -> Document {
    server.admin().await.find(DATABASE, COLLECTION, doc! { "_id": 1 }, doc! {}).await.remove(0)
}

fn millis(stamp: Option<Stamp>) -> i64 {
    stamp.unwrap().0 / 1_000
}

#[tokio::test]
async fn a_beat_writes_the_servers_clock_and_reports_the_value_before_it() {
    for options in [MongoServer::options(), MongoServer::options().four_four()] {
        let server = options.start().await;
        furnish(&server).await;
        let target = of(&server);
        let mut session = session(&target).await;
        assert_eq!(session.server().address, server.host());
        assert!(session.server().version.starts_with("MongoDB "), "{:?}", session.server());
        assert_eq!(session.server().role, ServerRole::Primary);

        let first = report(session.as_mut(), Writing::Always, TIME).await.unwrap();
        assert_eq!((first.seen, first.changed, first.previous, first.stale), (1, 1, None, true));
        assert_eq!(first.value, first.server_time);
        let stored = document(&server).await.get_datetime("last_update").unwrap().timestamp_millis();
        assert_eq!(millis(first.value), stored);
        let second = report(session.as_mut(), Writing::Always, TIME).await.unwrap();
        assert_eq!(second.previous, first.value);
        assert!(second.value > first.value, "{second:?}");

        // Fresh: nothing changes, and no write is reported.
        let fresh = report(session.as_mut(), WHEN_STALE, TIME).await.unwrap();
        assert_eq!((fresh.seen, fresh.changed, fresh.stale), (1, 0, false));
        assert_eq!((fresh.previous, fresh.value), (second.value, second.value));
        // Unchanged since the last look, or old: the beat writes.
        let unchanged = Writing::WhenStale { last_seen: second.value, period: MINUTE };
        assert_eq!(report(session.as_mut(), unchanged, TIME).await.unwrap().changed, 1);
        set_last_update(&server, DateTime::from_millis(DateTime::now().timestamp_millis() - 50_000)).await;
        assert_eq!(report(session.as_mut(), WHEN_STALE, TIME).await.unwrap().changed, 1);
        session.close().await;
    }
}

#[tokio::test]
async fn a_value_always_changes_and_one_far_ahead_is_replaced() {
    let server = MongoServer::options().start().await;
    furnish(&server).await;
    let target = of(&server);
    let mut session = session(&target).await;
    // A little ahead of the server's clock: a millisecond is added, so that the value changes.
    let ahead = DateTime::from_millis(DateTime::now().timestamp_millis() + 3_000);
    set_last_update(&server, ahead).await;
    let followed = report(session.as_mut(), Writing::Always, TIME).await.unwrap();
    assert_eq!(millis(followed.value), ahead.timestamp_millis() + 1);
    assert_eq!(document(&server).await.get_datetime("last_update").unwrap().timestamp_millis(), millis(followed.value));
    // Far ahead: the writer's clock was wrong.
    set_last_update(&server, DateTime::from_millis(DateTime::now().timestamp_millis() + 3_600_000)).await;
    let back = report(session.as_mut(), Writing::Always, TIME).await.unwrap();
    assert_eq!(back.value, back.server_time);
    // Not a date: stale in every mode, and replaced.
    for odd in [Bson::from("yesterday"), Bson::from(17), Bson::from(doc! {}), Bson::Null] {
        set_last_update(&server, odd.clone()).await;
        let replaced = report(session.as_mut(), WHEN_STALE, TIME).await.unwrap();
        assert_eq!((replaced.changed, replaced.previous), (1, None), "{odd}");
        assert!(document(&server).await.get_datetime("last_update").is_ok(), "{odd}");
    }
    // A whole time zone away: only changes count.
    let elsewhere = DateTime::from_millis(DateTime::now().timestamp_millis() - 2 * 3_600_000);
    set_last_update(&server, elsewhere).await;
    let left = report(session.as_mut(), WHEN_STALE, TIME).await.unwrap();
    assert_eq!((left.changed, left.stale), (0, false));
}

#[tokio::test]
async fn everything_missing_or_refused_has_its_kind_and_a_next_step() {
    let server = MongoServer::options().start().await;
    furnish(&server).await;
    let target = of(&server);
    assert_eq!(beat(&target, Writing::Always).await.unwrap().outcome, BeatOutcome::Written);

    server.run(DATABASE, doc! { "delete": COLLECTION, "deletes": [{ "q": {}, "limit": 0 }] }).await;
    let row = failed(&target).await;
    assert_eq!(row.kind, ErrorKind::MissingRow);
    assert!(row.remedy.contains("heartbeatd provision --target orders"), "{row:?}");
    server.run(DATABASE, doc! { "drop": COLLECTION }).await;
    assert_eq!(failure(&target).await, ErrorKind::MissingTable);

    lay_document(&server).await;
    let validator = doc! { "last_update": { "$type": "string" } };
    server.run(DATABASE, doc! { "collMod": COLLECTION, "validator": validator }).await;
    let refused = failed(&target).await;
    assert_eq!((refused.kind, refused.code.as_deref()), (ErrorKind::Rejected, Some("121")));
    server.run(DATABASE, doc! { "collMod": COLLECTION, "validator": {} }).await;

    server.run(DATABASE, doc! { "updateRole": "beats", "privileges": [] }).await;
    let denied = failed(&target).await;
    assert_eq!((denied.kind, denied.code.as_deref()), (ErrorKind::Privilege, Some("13")));
    assert!(denied.remedy.contains("grantRolesToUser(\"beat\""), "{denied:?}");

    let wrong = crate::bench::driver::target(&server.url(USER, "wrong"));
    let refused = failed(&wrong).await;
    assert_eq!((refused.kind, refused.code.as_deref()), (ErrorKind::Auth, Some("18")));
    assert!(!format!("{refused:?}").contains("wrong@"), "{refused:?}");
    let nobody = crate::bench::driver::target(&format!("mongodb://{}/?directConnection=true", server.host()));
    assert_eq!(failed(&nobody).await.kind, ErrorKind::Privilege);
}

#[tokio::test]
async fn if_no_server_answers_the_cause_is_reported() {
    let server = MongoServer::options().start().await;
    furnish(&server).await;
    let timeout = secs(4);
    let open_at = async |address: String| {
        let target = target(&address);
        let failure = open(&target, Purpose::Beat, None, timeout).await.err().expect("it cannot be opened");
        (failure.kind(), failure.message().to_owned())
    };
    let closed = crate::bench::ports::free();
    let (kind, message) = open_at(format!("mongodb://127.0.0.1:{closed}/")).await;
    assert_eq!(kind, ErrorKind::Refused, "{message}");
    assert!(message.contains(&format!("127.0.0.1:{closed}")), "{message}");
    let (kind, message) = open_at("mongodb://no-such-host.invalid/".to_owned()).await;
    assert_eq!(kind, ErrorKind::Name, "{message}");
    let (kind, message) = open_at("mongodb+srv://no-such-host.invalid/".to_owned()).await;
    assert_eq!(kind, ErrorKind::Name, "{message}");
    let host = server.host();
    let (kind, message) =
        open_at(format!("mongodb://{host}/?tls=true&tlsCAFile={}", server.wrong_ca_file().display())).await;
    assert_eq!(kind, ErrorKind::Tls, "{message}");
    let (kind, message) = open_at(format!("mongodb://{host}/?replicaSet=rs0")).await;
    assert_eq!(kind, ErrorKind::NoPrimary, "{message}");
}

#[tokio::test]
async fn a_fresh_document_gives_no_entry_in_the_oplog_and_a_written_one_gives_one() {
    let set = ReplicaSet::with(1, MongoServer::options()).await;
    furnish_set(&set).await;
    let target = target(&set.url(USER, PASSWORD, ""));
    let mut session = session(&target).await;
    assert!(session.server().identity.is_none(), "hidden from the user who beats");
    for (writing, changes) in [(Writing::Always, 1), (WHEN_STALE, 0), (Writing::Never, 0), (Writing::Always, 1)] {
        let before = set.updates(NAMESPACE).await.len();
        let report = report(session.as_mut(), writing, TIME).await.unwrap();
        assert_eq!((report.seen, report.changed), (1, changes), "{writing:?}");
        assert_eq!(set.updates(NAMESPACE).await.len() - before, usize::try_from(changes).unwrap(), "{writing:?}");
    }
    // A user who may read the set's configuration recognises the set.
    let admin = crate::bench::driver::target(&set.url("admin", "admin-password", ""));
    let known = open(&admin, Purpose::Check, None, TIME).await.unwrap().server().identity.clone().unwrap();
    let other = ReplicaSet::with(1, MongoServer::options()).await;
    let moved = crate::bench::driver::target(&other.url("admin", "admin-password", ""));
    let failure = open(&moved, Purpose::Check, Some(&known), TIME).await.err().unwrap();
    assert_eq!(failure.kind(), ErrorKind::Identity);
}

#[tokio::test]
async fn a_secondary_is_inspected_and_never_written() {
    let set = ReplicaSet::start().await;
    furnish_set(&set).await;
    let secondary = set.member(set.secondaries().await[0]);
    let direct = target(&secondary.url(USER, PASSWORD));
    let failure = open(&direct, Purpose::Beat, None, TIME).await.err().unwrap();
    assert_eq!(failure.kind(), ErrorKind::NotWritable, "{failure}");
    let whole = target(&set.url(USER, PASSWORD, ""));
    let written = beat(&whole, Writing::Always).await.unwrap();
    set.is_whole().await;
    let mut session = open(&direct, Purpose::Inspect, None, TIME).await.unwrap();
    assert_eq!(session.server().role, ServerRole::Standby);
    let seen = session.observe(crate::bench::driver::in_time()).await.unwrap();
    assert_eq!((seen.rows, seen.value, seen.role), (1, written.value, ServerRole::Standby));
    assert!(seen.server_time.is_some());
}

#[tokio::test]
async fn a_server_without_pipelines_is_written_with_its_current_date() {
    let server = MongoServer::options().fail_points().start().await;
    furnish(&server).await;
    let target = of(&server);
    let mut session = session(&target).await;
    let data = doc! { "failCommands": ["findAndModify"], "errorCode": 9 };
    server.run("admin", doc! { "configureFailPoint": "failCommand", "mode": { "times": 1 }, "data": data }).await;
    let first = report(session.as_mut(), Writing::Always, TIME).await.unwrap();
    assert_eq!((first.seen, first.changed, first.previous), (1, 1, None));
    assert!(first.value.is_some());
    // From now on there is no attempt with a pipeline: the fail point is used up, and a pipeline would report the
    // previous value.
    let second = report(session.as_mut(), Writing::Always, TIME).await.unwrap();
    assert_eq!((second.changed, second.previous), (1, None));
    // Another writer is recognised by the value of the last look.
    let fresh = Writing::WhenStale { last_seen: first.value, period: MINUTE };
    assert_eq!(report(session.as_mut(), fresh, TIME).await.unwrap().changed, 0);
    let stale = Writing::WhenStale { last_seen: second.value, period: MINUTE };
    let written = report(session.as_mut(), stale, TIME).await.unwrap();
    assert_eq!((written.changed, written.previous), (1, second.value));
    server.run(DATABASE, doc! { "delete": COLLECTION, "deletes": [{ "q": {}, "limit": 0 }] }).await;
    assert_eq!(report(session.as_mut(), Writing::Always, TIME).await.unwrap().seen, 0);
    insert_document(&server).await;
}

#[tokio::test]
async fn a_beat_that_the_majority_does_not_acknowledge_is_unconfirmed_and_no_second_one_is_sent_beside_it() {
    let set = ReplicaSet::start().await;
    furnish_set(&set).await;
    let target = target(&set.url(USER, PASSWORD, ""));
    let mut session = session(&target).await;
    report(session.as_mut(), Writing::Always, TIME).await.unwrap();
    let primary = set.member(set.primary().await);
    for number in set.secondaries().await {
        set.member(number).freeze();
    }
    let failure = report(session.as_mut(), Writing::Always, secs(4)).await.unwrap_err();
    assert_eq!((failure.kind(), failure.code()), (ErrorKind::Unconfirmed, Some("64")), "{failure}");
    assert!(session.survives(failure.kind()) && session.is_ready());
    // The server no longer answers: the call is late, and the session is not ready while the call lasts.
    primary.freeze();
    let failure = report(session.as_mut(), Writing::Always, Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::Timeout, "{failure}");
    assert!(session.survives(failure.kind()) && !session.is_ready());
    session.close().await;
    set.members().iter().for_each(MongoServer::thaw);
}

#[tokio::test]
async fn a_user_of_another_database_and_one_with_a_certificate_can_log_in() {
    let server = MongoServer::options().start().await;
    furnish(&server).await;
    let roles = vec![doc! { "role": "beats", "db": DATABASE }];
    server.run("own", doc! { "createUser": "local", "pwd": PASSWORD, "roles": roles.clone() }).await;
    for further in ["own?directConnection=true", "?directConnection=true&authSource=own"] {
        let there = target(&format!("mongodb://local:{PASSWORD}@{}/{further}", server.host()));
        assert_eq!(beat(&there, Writing::Always).await.unwrap().outcome, BeatOutcome::Written, "{further}");
    }
    create_user(&server, "old", roles.clone()).await;
    let old = target(&format!("mongodb://old:{PASSWORD}@{}/?authMechanism=SCRAM-SHA-1", server.host()));
    assert_eq!(beat(&old, Writing::Always).await.unwrap().outcome, BeatOutcome::Written);

    let pair = crate::bench::tls::ClientPair::of("beat-by-certificate");
    let files = crate::bench::tls::Files::new();
    let file = files.put("client.pem", &format!("{}{}", pair.key, pair.certificate));
    server.run("$external", doc! { "createUser": "CN=beat-by-certificate", "roles": roles }).await;
    let by_certificate = target(&format!(
        "mongodb://{}/?authMechanism=MONGODB-X509&tls=true&tlsCAFile={}&tlsCertificateKeyFile={}",
        server.host(),
        server.ca_file().display(),
        file.display()
    ));
    assert_eq!(beat(&by_certificate, Writing::Always).await.unwrap().outcome, BeatOutcome::Written);
}
