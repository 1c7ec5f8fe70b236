//! Many targets on one replica set: their memory, sockets and processor time, and the program's end in time although
//! every member hangs.

use std::fmt::Write as _;

use mongodb::bson::{Document, doc};
use rustix::process::Signal;
use tokio::time::Instant;

use crate::bench::beating_daemon::plain_password;
use crate::bench::mongodb::{MongoServer, ReplicaSet};
use crate::bench::mongodb_scene::{DATABASE, USER, address, create_user};
use crate::bench::{eventually, fleet, heartbeatd, secs};

const TARGETS: usize = 100;

#[tokio::test]
async fn a_hundred_targets_beat_in_flat_memory_and_end_in_time_when_every_member_is_frozen() {
    let set = ReplicaSet::start().await;
    let primary = set.member(set.primary().await);
    for n in 0..TARGETS {
        let documents: Vec<Document> = vec![doc! { "_id": 1, "last_update": null }];
        primary.run(DATABASE, doc! { "insert": format!("heartbeat_{n}"), "documents": documents }).await;
    }
    create_user(primary, USER, vec![doc! { "role": "readWrite", "db": DATABASE }]).await;
    set.is_whole().await;
    let mut config = "[defaults]\ninterval = \"10s\"\ntimeout = \"30s\"\n[shutdown]\ngrace = \"5s\"\n".to_owned();
    for n in 0..TARGETS {
        let table = format!("heartbeat.table = \"heartbeat_{n}\"");
        writeln!(config, "[[target]]\nname = \"shop-{n}\"\nurl = \"{}\"\n{}{table}", address(&set), plain_password())
            .unwrap();
    }
    let mut daemon = heartbeatd().config(&config).start().await;
    let begin = Instant::now();
    daemon.healthy_within(secs(120)).await;
    eprintln!("{TARGETS} targets healthy after {:?}", begin.elapsed());
    // The checks run once soon after the first beats, on separate clients.
    for n in 0..TARGETS {
        daemon.checked(&format!("shop-{n}")).await;
    }
    eventually(secs(240), "the checks' clients to be closed", async || match daemon.open_files() {
        files if files < 8 * TARGETS => Ok(()),
        files => Err(format!("{files} files")),
    })
    .await;
    fleet::cost_in_flat_memory(&daemon, TARGETS, secs(30)).await;

    set.members().iter().for_each(MongoServer::freeze);
    let begin = Instant::now();
    let status = daemon.end(Signal::TERM, secs(9)).await;
    eprintln!("ended {:?} after SIGTERM, with every member frozen", begin.elapsed());
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
}
