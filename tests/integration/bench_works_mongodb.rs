//! Tests the bench's MongoDB servers: the properties that the scenarios rely on.

use std::time::Duration;

use futures_util::StreamExt;
use mongodb::bson::{Document, doc};
use mongodb::error::ErrorKind;
use tokio::time::{Instant, timeout};

use crate::bench::mongodb::{ADMIN, Admin, MongoOptions, MongoServer, ReplicaSet};
use crate::bench::{eventually, secs};

#[tokio::test]
async fn a_server_by_itself_asks_for_a_password_and_survives_a_power_cut() {
    for options in [MongoServer::options(), MongoServer::options().four_four()] {
        let begin = Instant::now();
        let mut server = options.start().await;
        let build = server.run("admin", doc! { "buildInfo": 1 }).await;
        eprintln!("MongoDB {} was ready after {:?}", build.get_str("version").unwrap(), begin.elapsed());

        server.run("hb", doc! { "insert": "t", "documents": [{ "_id": 1 }], "writeConcern": { "j": true } }).await;
        let wrong = Admin::of(&server.url(ADMIN, "wrong")).await;
        let refused = wrong.try_run("hb", doc! { "find": "t" }).await.unwrap_err();
        assert!(matches!(*refused.kind, ErrorKind::Authentication { .. }), "{refused}");

        server.kill().await;
        server.resume().await;
        assert_eq!(server.admin().await.find("hb", "t", doc! {}, doc! {}).await, [doc! { "_id": 1 }]);
        server.stop().await;
    }
}

#[tokio::test]
async fn a_replica_set_follows_its_primary_and_elects_another() {
    a_set_follows_its_primary_and_elects_another(MongoServer::options()).await;
}

#[tokio::test]
async fn a_replica_set_of_the_oldest_version_follows_its_primary_and_elects_another() {
    a_set_follows_its_primary_and_elects_another(MongoServer::options().four_four()).await;
}

async fn a_set_follows_its_primary_and_elects_another(options: MongoOptions) {
    let begin = Instant::now();
    let mut set = ReplicaSet::with(3, options).await;
    eprintln!("three members were ready after {:?}", begin.elapsed());
    set.run("hb", doc! { "insert": "t", "documents": [{ "_id": 1, "v": 0 }], "writeConcern": { "w": 3 } }).await;

    // A change stream and the oplog show an update, and nothing if nothing changes.
    let admin = set.admin().await;
    let collection = admin.client().database("hb").collection::<Document>("t");
    let mut changes = collection.watch().await.unwrap();
    let update = |v: i32| doc! { "update": "t", "updates": [{ "q": { "_id": 1 }, "u": { "$set": { "v": v } } }] };
    for v in [1, 1, 2] {
        set.run("hb", update(v)).await;
    }
    for _ in 0..2 {
        timeout(secs(5), changes.next()).await.unwrap().unwrap().unwrap();
    }
    assert_eq!(set.updates("hb.t").await.len(), 2);

    // The primary is asked to step down, killed, frozen: each time another member takes over.
    let second = set.step_down(5).await;
    set.run("hb", update(3)).await;
    set.member_mut(second).kill().await;
    let third = set.primary().await;
    assert_ne!(third, second);
    set.member_mut(second).resume().await;
    set.is_whole().await;
    set.member(third).freeze();
    let begin = Instant::now();
    eventually(secs(20), "another primary beside the frozen one", async || {
        for number in (0..3).filter(|number| *number != third) {
            if set.member(number).is_primary().await {
                return Ok(());
            }
        }
        Err("none")
    })
    .await;
    eprintln!("another primary after {:?}", begin.elapsed());
    set.member(third).thaw();
    set.is_whole().await;
    // Dropped while frozen: it must still end.
    set.member(third).freeze();
}

#[tokio::test]
async fn the_certificate_of_a_server_is_good_for_its_own_authority_only() {
    let server = MongoServer::options().start().await;
    let url = |ca: &std::path::Path| format!("{}&tls=true&tlsCAFile={}", server.admin_url(), ca.display());
    Admin::of(&url(&server.ca_file())).await.run("admin", doc! { "ping": 1 }).await;
    let wrong = Admin::of(&url(&server.wrong_ca_file())).await.try_run("admin", doc! { "ping": 1 }).await;
    assert!(matches!(*wrong.unwrap_err().kind, ErrorKind::ServerSelection { .. }));
}

#[tokio::test]
async fn a_fail_point_makes_a_command_fail_once() {
    let server = MongoServer::options().fail_points().start().await;
    let data = doc! { "failCommands": ["ping"], "errorCode": 9 };
    server.run("admin", doc! { "configureFailPoint": "failCommand", "mode": { "times": 1 }, "data": data }).await;
    let admin = server.admin().await;
    let failed = admin.try_run("admin", doc! { "ping": 1 }).await.unwrap_err();
    assert!(matches!(*failed.kind, ErrorKind::Command(ref error) if error.code == 9), "{failed}");
    admin.run("admin", doc! { "ping": 1 }).await;
    // A query to a frozen server ends by itself.
    server.freeze();
    let begin = Instant::now();
    assert!(timeout(Duration::from_millis(500), admin.client().list_database_names()).await.is_err());
    assert!(begin.elapsed() < secs(2));
}
