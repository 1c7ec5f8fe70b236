//! `heartbeatd provision` on a real MongoDB: the printed script works in mongosh, running it again changes nothing, and
//! existing objects are not changed.

use mongodb::bson::{Document, doc};

use crate::bench::beating_daemon::{PASSWORD, plain_password};
use crate::bench::daemon::Ended;
use crate::bench::mongodb::{ADMIN, ADMIN_PASSWORD, MongoServer, ReplicaSet};
use crate::bench::mongodb_scene::{COLLECTION, DATABASE, USER, create_user};
use crate::bench::{eventually, heartbeatd, mongosh, secs};

fn configuration(set: &ReplicaSet) -> String {
    let address = set.url(USER, PASSWORD, "").replace(&format!(":{PASSWORD}@"), "@");
    format!(
        "[[target]]\nname = \"orders\"\nurl = \"{address}\"\n{}provision_url = \"{}\"\n\
         [target.connector]\nuser = \"cdc\"\n",
        plain_password(),
        set.url(ADMIN, ADMIN_PASSWORD, "")
    )
}

async fn run(set: &ReplicaSet, arguments: &[&str]) -> Ended {
    let program = arguments.iter().fold(heartbeatd(), |program, argument| program.arg(argument));
    let ended = program.config(&configuration(set)).run().await;
    for secret in [PASSWORD, ADMIN_PASSWORD] {
        assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret), "{ended:?}");
    }
    ended
}

/// A set with the two users, which have no privileges.
async fn set_with_users() -> ReplicaSet {
    let set = ReplicaSet::with(1, MongoServer::options()).await;
    create_user(set.member(0), USER, Vec::new()).await;
    create_user(set.member(0), "cdc", Vec::new()).await;
    set
}

async fn roles(set: &ReplicaSet) -> Vec<Document> {
    set.member(0).admin().await.find("admin", "system.roles", doc! {}, doc! { "_id": 1 }).await
}

async fn documents(set: &ReplicaSet) -> Vec<Document> {
    set.member(0).admin().await.find(DATABASE, COLLECTION, doc! {}, doc! {}).await
}

#[tokio::test]
async fn a_dry_run_prints_a_script_for_mongosh_that_runs_and_creates_nothing_by_itself() {
    let set = set_with_users().await;
    let printed = run(&set, &["provision", "--dry-run"]).await;
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(documents(&set).await.is_empty() && roles(&set).await.is_empty(), "{printed:?}");
    assert!(printed.stdout.starts_with("// orders: mongodb://"), "{}", printed.stdout);

    mongosh(&set.url(ADMIN, ADMIN_PASSWORD, ""), &printed.stdout).await;
    let beat = run(&set, &["beat"]).await;
    assert_eq!(beat.code, Some(0), "{beat:?}");
    let again = run(&set, &["provision", "--dry-run"]).await;
    assert!(again.stdout.contains("// nothing is missing"), "{}", again.stdout);
}

#[tokio::test]
async fn missing_objects_are_created_once_and_existing_ones_are_left_alone() {
    let set = set_with_users().await;
    let made = run(&set, &["provision"]).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    assert_eq!(run(&set, &["beat"]).await.code, Some(0));
    let (roles_before, documents_before) = (roles(&set).await, documents(&set).await);
    assert_eq!(roles_before.len(), 2, "{roles_before:?}");
    assert!(documents_before[0].get_datetime("last_update").is_ok(), "{documents_before:?}");
    let again = run(&set, &["provision"]).await;
    assert!(again.code == Some(0) && again.stdout.contains("nothing is missing"), "{again:?}");
    assert_eq!((roles(&set).await, documents(&set).await), (roles_before, documents_before));

    // A role that lost a privilege gets it again, and keeps its additional ones.
    let role = doc! { "resource": { "db": DATABASE, "collection": "other" }, "actions": ["find"] };
    set.run(DATABASE, doc! { "updateRole": "heartbeatd_writer", "privileges": [role] }).await;
    assert_eq!(run(&set, &["beat"]).await.code, Some(1));
    assert_eq!(run(&set, &["provision"]).await.code, Some(0));
    assert_eq!(run(&set, &["beat"]).await.code, Some(0));
    let privileges =
        roles(&set).await.iter().find(|role| role.get_str("role").unwrap() == "heartbeatd_writer").cloned();
    assert_eq!(privileges.unwrap().get_array("privileges").unwrap().len(), 2);
}

#[tokio::test]
async fn faults_that_no_step_can_repair_are_reported_and_nothing_is_converted() {
    let set = ReplicaSet::with(1, MongoServer::options()).await;
    set.run(DATABASE, doc! { "create": COLLECTION, "capped": true, "size": 4_096 }).await;
    let refused = run(&set, &["provision"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let told = format!("{}{}", refused.stdout, refused.stderr);
    assert!(told.contains("not an ordinary collection: capped"), "{told}");
    assert!(told.contains("createUser({user: \"beat\", pwd: passwordPrompt()"), "{told}");
    set.run(DATABASE, doc! { "drop": COLLECTION }).await;
    set.run(DATABASE, doc! { "insert": COLLECTION, "documents": [{ "_id": "theirs" }] }).await;
    let refused = run(&set, &["provision"]).await;
    assert!(format!("{}{}", refused.stdout, refused.stderr).contains("other documents"), "{refused:?}");
    assert_eq!(documents(&set).await, [doc! { "_id": "theirs" }]);
}

/// The `_id` is text here, which only MongoDB allows.
#[tokio::test]
async fn a_daemon_that_provisions_by_itself_brings_a_deleted_document_and_collection_back() {
    let set = set_with_users().await;
    let text = configuration(&set)
        .replace("[target.connector]", "provision = \"auto\"\ninterval = \"1s\"\n[target.connector]");
    let daemon = heartbeatd().config(&format!("{text}[target.heartbeat]\nrow = \"the heart\"\n")).start().await;
    daemon.healthy_within(secs(15)).await;
    let ours = async || {
        let found = documents(&set).await;
        let dated = found.first().is_some_and(|found| {
            found.get_str("_id").is_ok_and(|id| id == "the heart") && found.get_datetime("last_update").is_ok()
        });
        if dated && found.len() == 1 { Ok(()) } else { Err(format!("{found:?}")) }
    };
    eventually(secs(5), "the document", &ours).await;
    set.run(DATABASE, doc! { "delete": COLLECTION, "deletes": [{ "q": {}, "limit": 0 }] }).await;
    eventually(secs(20), "the document again", &ours).await;
    set.run(DATABASE, doc! { "drop": COLLECTION }).await;
    eventually(secs(80), "the collection again", &ours).await;
    daemon.healthy_within(secs(35)).await;
}
