//! `check` on a real MongoDB: a healthy deployment has no findings, and each seeded fault is found.

use heartbeatd::finding::{Finding, Status};
use heartbeatd::heartbeat::Writing;
use heartbeatd::target::{Endpoint, Named, Replica, Target};
use mongodb::bson::{Document, doc};

use crate::bench::beating_daemon::PASSWORD;
use crate::bench::driver::{beat, target};
use crate::bench::findings::{ids, judge, look, shown, wrong};
use crate::bench::mongodb::{ADMIN, ADMIN_PASSWORD, Admin, MongoServer, ReplicaSet};
use crate::bench::mongodb_scene::{COLLECTION, DATABASE, USER, create_user, furnish, furnish_set, lay_document};
use crate::bench::{eventually, secs};

/// A healthy set, and a user who may see everything that is checked.
struct Stage {
    // Declared before the set, because it would fail if the set ended first.
    _connector: mongodb::change_stream::ChangeStream<mongodb::change_stream::event::ChangeStreamEvent<Document>>,
    set: ReplicaSet,
    target: Target,
}

impl Stage {
    async fn set() -> Self {
        let options = MongoServer::options().argument("--oplogMinRetentionHours=48");
        let set = ReplicaSet::with(3, options).await;
        furnish_set(&set).await;
        let primary = set.member(set.primary().await);
        let look_on = doc! { "resource": { "db": "admin", "collection": "" }, "actions": ["viewUser", "viewRole"] };
        primary.run("admin", doc! { "createRole": "checks", "privileges": [look_on], "roles": [] }).await;
        let roles = doc! { "grantRolesToUser": USER, "roles": [
            "checks", "clusterMonitor", { "role": "read", "db": "local" }, { "role": "read", "db": DATABASE },
        ] };
        primary.run("admin", roles).await;
        create_user(primary, "cdc", vec![doc! { "role": "readAnyDatabase", "db": "admin" }]).await;
        let connector = Admin::of(&set.url("cdc", PASSWORD, "")).await;
        let connector = connector.client().watch().await.unwrap();
        let mut target = target(&set.url(USER, PASSWORD, ""));
        target.connector.user = Named::configured("cdc");
        beat(&target, Writing::Always).await.unwrap();
        set.is_whole().await;
        Self { _connector: connector, set, target }
    }

    /// Inspects and judges.
    async fn findings(&self) -> Vec<Finding> {
        judge(&self.target, &look(&self.target).await, None)
    }

    /// Asserts that exactly these checks fail.
    async fn finds(&self, expected: &[&str]) {
        let findings = self.findings().await;
        assert_eq!(ids(&findings, Status::Failed), expected, "{}", shown(&wrong(&findings)));
        for finding in findings.iter().filter(|finding| finding.status == Status::Failed) {
            assert!(finding.remedy.is_some(), "{finding:?}");
        }
    }

    async fn run(&self, database: &str, command: Document) {
        self.set.run(database, command).await;
    }
}

#[tokio::test]
async fn a_healthy_deployment_passes_and_each_fault_in_it_is_found_by_itself() {
    let mut stage = Stage::set().await;
    let secondary = stage.set.secondaries().await[0];
    let address = stage.set.member(secondary).url(USER, PASSWORD);
    let endpoint = Endpoint::parse(&address).unwrap();
    stage.target.replicas.push(Replica { name: "copy".to_owned(), endpoint, required: true, decode: false });
    let findings = stage.findings().await;
    assert!(wrong(&findings).is_empty(), "{}", shown(&wrong(&findings)));

    let index = doc! { "key": { "last_update": 1 }, "name": "ttl", "expireAfterSeconds": 86_400 };
    stage.run(DATABASE, doc! { "createIndexes": COLLECTION, "indexes": [index] }).await;
    stage.finds(&["ttl-index"]).await;
    // The remedy of the finding, applied: the index remains, and deletes nothing.
    let forever = doc! { "name": "ttl", "expireAfterSeconds": 2_147_483_647 };
    stage.run(DATABASE, doc! { "collMod": COLLECTION, "index": forever }).await;
    stage.finds(&[]).await;

    for (validator, refuses) in [
        (doc! { "last_update": { "$type": "string" } }, true),
        (doc! { "$jsonSchema": { "required": ["owner"] } }, true),
        (doc! { "last_update": { "$type": "date" } }, false),
        (doc! {}, false),
    ] {
        stage.run(DATABASE, doc! { "collMod": COLLECTION, "validator": validator }).await;
        stage.finds(if refuses { &["validator"] } else { &[] }).await;
    }

    stage.run(DATABASE, doc! { "insert": COLLECTION, "documents": [{ "_id": 2 }] }).await;
    stage.finds(&["row-single"]).await;
    stage.run(DATABASE, doc! { "delete": COLLECTION, "deletes": [{ "q": { "_id": 2 }, "limit": 1 }] }).await;

    stage.run("admin", doc! { "revokeRolesFromUser": "cdc", "roles": ["readAnyDatabase"] }).await;
    stage.finds(&["connector-select", "connector-change-stream"]).await;
    stage.run("admin", doc! { "grantRolesToUser": "cdc", "roles": ["readAnyDatabase"] }).await;

    let noops = |on: bool| doc! { "setParameter": 1, "writePeriodicNoops": on };
    let answer = stage.set.member(stage.set.primary().await).admin().await.try_run("admin", noops(false)).await;
    if answer.is_ok() {
        stage.finds(&["periodic-noops"]).await;
        stage.run("admin", noops(true)).await;
    }

    stage.run("admin", doc! { "setFeatureCompatibilityVersion": "5.0" }).await;
    stage.finds(&["feature-compatibility"]).await;
    stage.run("admin", doc! { "setFeatureCompatibilityVersion": "6.0" }).await;

    stage.set.member_mut(secondary).kill().await;
    let replica = stage.findings().await;
    assert!(ids(&replica, Status::Unknown).contains(&"replica-heartbeat"), "{}", shown(&replica));
    stage.set.member_mut(secondary).resume().await;
    stage.set.is_whole().await;

    stage.run(DATABASE, doc! { "delete": COLLECTION, "deletes": [{ "q": {}, "limit": 0 }] }).await;
    stage.finds(&["row-exists"]).await;
    stage.run(DATABASE, doc! { "drop": COLLECTION }).await;
    stage.finds(&["table-exists"]).await;
    stage.run(DATABASE, doc! { "create": COLLECTION, "capped": true, "size": 4_096 }).await;
    let findings = stage.findings().await;
    assert!(ids(&findings, Status::Failed).contains(&"table-kind"), "{}", shown(&findings));
    stage.run(DATABASE, doc! { "drop": COLLECTION }).await;
    stage.run(DATABASE, doc! { "create": COLLECTION, "viewOn": "other", "pipeline": [] }).await;
    let findings = stage.findings().await;
    assert!(ids(&findings, Status::Failed).contains(&"table-kind"), "{}", shown(&findings));
}

#[tokio::test]
async fn what_the_least_user_may_not_see_is_unknown_with_the_role_that_shows_it() {
    let set = ReplicaSet::with(1, MongoServer::options()).await;
    furnish_set(&set).await;
    let target = target(&set.url(USER, PASSWORD, ""));
    beat(&target, Writing::Always).await.unwrap();
    let findings = judge(&target, &look(&target).await, None);
    assert_eq!(ids(&findings, Status::Failed), [""; 0], "{}", shown(&wrong(&findings)));
    // An inspection takes at most two dozen commands, besides the client's own.
    set.run("admin", doc! { "profile": 0, "slowms": -1 }).await;
    let before = set.member(0).log().lines().count();
    look(&target).await;
    let of_client = ["{\"hello\"", "{\"isMaster\"", "{\"sasl", "{\"endSessions\""];
    let log = set.member(0).log();
    let asked = log.lines().skip(before).filter(|line| {
        line.contains("\"Slow query\"")
            && line.contains("\"appName\":\"heartbeatd:test\"")
            && !of_client.iter().any(|word| line.contains(word))
    });
    let asked = asked.count();
    assert!((12..=24).contains(&asked), "{asked} commands");
    let unknown: Vec<&Finding> = findings.iter().filter(|finding| finding.status == Status::Unknown).collect();
    assert!(unknown.len() >= 10, "{}", shown(&findings));
    for finding in unknown {
        assert!(finding.observed.contains("(13)") && finding.observed.contains("role"), "{finding:?}");
    }
    for known in ["change-streams", "server-writable", "row-exists", "row-fresh", "writer-select", "writer-update"] {
        assert!(findings.iter().any(|finding| finding.id == known && finding.status == Status::Ok), "{known}");
    }
}

#[tokio::test]
async fn a_server_by_itself_an_arbiter_and_a_short_oplog_are_found() {
    let alone = MongoServer::options().start().await;
    furnish(&alone).await;
    let admin = target(&alone.admin_url());
    let findings = judge(&admin, &look(&admin).await, None);
    assert!(ids(&findings, Status::Failed).contains(&"change-streams"), "{}", shown(&wrong(&findings)));

    // A majority of two members with data cannot lose one. An oplog that is far from full shows little.
    let arbiter = |number| {
        if number == 2 {
            doc! { "arbiterOnly": true }
        } else {
            doc! {}
        }
    };
    let set = ReplicaSet::of(3, MongoServer::options(), arbiter).await;
    lay_document(set.member(set.primary().await)).await;
    let hosts: Vec<String> = set.members().iter().map(MongoServer::host).collect();
    let admin = target(&format!("mongodb://{ADMIN}:{ADMIN_PASSWORD}@{}/?replicaSet=rs0", hosts.join(",")));
    beat(&admin, Writing::Always).await.unwrap();
    let findings = judge(&admin, &look(&admin).await, None);
    let failed: Vec<_> = findings.iter().filter(|finding| finding.status == Status::Failed).collect();
    let of = |id: &str| failed.iter().find(|finding| finding.id == id);
    assert!(of("arbiters").is_some(), "{}", shown(&findings));
    assert!(
        of("oplog-retention").is_some_and(|finding| finding.observed.contains("not full yet")),
        "{}",
        shown(&findings)
    );
}

#[tokio::test]
async fn the_oldest_version_is_checked_and_called_old() {
    let set = ReplicaSet::with(1, MongoServer::options().four_four()).await;
    lay_document(set.member(0)).await;
    let admin = target(&set.url(ADMIN, ADMIN_PASSWORD, ""));
    beat(&admin, Writing::Always).await.unwrap();
    let findings = eventually(secs(10), "a look at it", async || {
        let findings = judge(&admin, &look(&admin).await, None);
        if findings.is_empty() { Err("nothing") } else { Ok(findings) }
    })
    .await;
    assert_eq!(ids(&findings, Status::Unknown), [""; 0], "{}", shown(&wrong(&findings)));
    assert!(ids(&findings, Status::Failed).contains(&"server-version"), "{}", shown(&wrong(&findings)));
}
