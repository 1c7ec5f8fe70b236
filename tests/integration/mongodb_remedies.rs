//! Every script of MongoDB's remedies is pasted into mongosh, on the server that it names and against its fault, and
//! the finding ends. A register names the test of each place that makes a script.

use heartbeatd::finding::{Finding, Inspection, Look, Status};
use heartbeatd::heartbeat::{BeatOutcome, ErrorKind, Failure, Writing};
use heartbeatd::remedy::Remedy;
use heartbeatd::target::{Endpoint, Named, Replica, Target};
use mongodb::bson::doc;
use serde_json::json;

use crate::bench::beating_daemon::PASSWORD;
use crate::bench::driver::{at, beat, failure_of, provision_over, target, with_drivers_remedy};
use crate::bench::findings::{judge, look, shown};
use crate::bench::mongodb::{ADMIN, ADMIN_PASSWORD, MongoServer, ReplicaSet};
use crate::bench::mongodb_scene::{COLLECTION, DATABASE, USER, lay_document};
use crate::bench::remedy_register::{Site, expect_complete};
use crate::bench::{Mongosh, eventually, secs};

/// A remedy's script as people see and paste it. It asks for a password at a terminal; the test writes one.
fn script(remedy: &Remedy) -> String {
    let script = remedy.script().unwrap_or_else(|| panic!("nothing to paste: {remedy}")).to_string();
    assert!(script.contains(" // on "), "it does not say where: {script}");
    script.replace("passwordPrompt()", &format!("'{PASSWORD}'"))
}

/// A set of one member that has only the administrator, with a shell.
struct Scene {
    set: ReplicaSet,
    shell: Mongosh,
    target: Target,
}

impl Scene {
    async fn start() -> Self {
        let set = ReplicaSet::with(1, MongoServer::options()).await;
        let shell = Mongosh::at(&set.url(ADMIN, ADMIN_PASSWORD, ""));
        lay_document(set.member(0)).await;
        let mut target = target(&set.url(USER, PASSWORD, ""));
        target.connector.user = Named::configured("cdc");
        Self { set, shell, target }
    }

    async fn paste(&mut self, remedy: &Remedy) -> String {
        // Twice: the second time loses nothing and is no error, except that a user is created only once.
        let printed = self.shell.paste(&script(remedy)).await;
        if !remedy.to_string().contains("createUser") {
            self.shell.paste(&script(remedy)).await;
        }
        printed
    }

    /// The finding of a check, as an administrator sees it.
    async fn finding(&self, id: &str) -> Finding {
        let admin = at(&self.set.url(ADMIN, ADMIN_PASSWORD, ""), &self.target);
        self.finding_of(&admin, id).await
    }

    async fn finding_of(&self, target: &Target, id: &str) -> Finding {
        let findings = judge(target, &look(target).await, None);
        findings.iter().find(|finding| finding.id == id).cloned().unwrap_or_else(|| panic!("{}", shown(&findings)))
    }

    /// The check fails, its remedy is pasted, and the check no longer fails.
    async fn is_mended(&mut self, id: &str) {
        let found = self.finding(id).await;
        assert_eq!(found.status, Status::Failed, "{found:?}");
        self.paste(&found.remedy.unwrap()).await;
        let found = self.finding(id).await;
        assert_eq!(found.status, Status::Ok, "{found:?}");
    }

    async fn beats(&self) {
        assert_eq!(beat(&self.target, Writing::Always).await.unwrap().outcome, BeatOutcome::Written);
    }
}

#[tokio::test]
async fn each_script_for_mongosh_is_pasted_against_its_fault_and_ends_it() {
    let mut scene = Scene::start().await;

    // The user, then its role, as the plan and the failed beat name them.
    let planned = provision_over(&scene.set.url(ADMIN, ADMIN_PASSWORD, ""), &scene.target).await;
    assert_eq!(planned.failed.len(), 2, "beat and cdc: {planned:?}");
    scene.paste(planned.failed[0].1.remedy().unwrap()).await;
    let refused = failure_of(&scene.target).await;
    assert_eq!(refused.kind(), ErrorKind::Privilege, "{refused}");
    scene.paste(refused.remedy().unwrap()).await;
    scene.beats().await;

    // The privileges that the role lacks, as the check reports them to the user, who sees neither roles nor users.
    for (action, check) in [("find", "writer-select"), ("update", "writer-update")] {
        let resource = doc! { "db": DATABASE, "collection": COLLECTION };
        let lost = doc! { "revokePrivilegesFromRole": "heartbeatd_writer", "privileges": [
            { "resource": resource, "actions": [action] },
        ] };
        scene.set.run(DATABASE, lost).await;
        let found = scene.finding_of(&scene.target, check).await;
        assert_eq!(found.status, Status::Failed, "{found:?}");
        scene.paste(&found.remedy.unwrap()).await;
        let found = scene.finding_of(&scene.target, check).await;
        assert_eq!(found.status, Status::Ok, "{found:?}");
    }
    // The same without the role.
    scene.set.run(DATABASE, doc! { "dropRole": "heartbeatd_writer" }).await;
    let found = scene.finding_of(&scene.target, "writer-update").await;
    scene.paste(&found.remedy.unwrap()).await;
    scene.paste(&scene.finding_of(&scene.target, "writer-select").await.remedy.unwrap()).await;
    scene.beats().await;

    // The connector's user, and its role.
    scene.is_mended("connector-role").await;
    for check in ["connector-select", "connector-change-stream"] {
        scene.set.run("admin", doc! { "revokeRolesFromUser": "cdc", "roles": ["readAnyDatabase"] }).await;
        scene.is_mended(check).await;
    }

    // The password.
    scene.set.run("admin", doc! { "updateUser": USER, "pwd": "another-secret" }).await;
    let refused = failure_of(&scene.target).await;
    assert_eq!(refused.kind(), ErrorKind::Auth, "{refused}");
    scene.paste(refused.remedy().unwrap()).await;
    scene.beats().await;

    // The collection. The script only shows the validator, because only people know its purpose.
    let index = doc! { "key": { "last_update": 1 }, "name": "t't\"l", "expireAfterSeconds": 86_400 };
    scene.set.run(DATABASE, doc! { "createIndexes": COLLECTION, "indexes": [index] }).await;
    scene.is_mended("ttl-index").await;
    let validator = doc! { "last_update": { "$type": "string" } };
    scene.set.run(DATABASE, doc! { "collMod": COLLECTION, "validator": validator }).await;
    let refused = failure_of(&scene.target).await;
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Rejected, Some("121")), "{refused}");
    let found = scene.finding("validator").await;
    for remedy in [refused.remedy().unwrap(), &found.remedy.unwrap()] {
        let printed = scene.paste(remedy).await;
        assert!(printed.contains("'$type': 'string'"), "{printed}");
    }
    scene.set.run(DATABASE, doc! { "collMod": COLLECTION, "validator": {} }).await;

    // The server.
    scene.set.run("admin", doc! { "setFeatureCompatibilityVersion": "5.0" }).await;
    scene.is_mended("feature-compatibility").await;
    scene.is_mended("oplog-retention").await;
}

#[tokio::test]
async fn each_script_that_only_shows_something_shows_it() {
    let mut scene = Scene::start().await;
    let host = scene.set.member(0).host();
    for kind in [ErrorKind::NoPrimary, ErrorKind::Unconfirmed] {
        let failure = with_drivers_remedy(&scene.target, Failure::new(kind, "x"));
        let printed = scene.paste(failure.remedy().unwrap()).await;
        assert!(printed.contains(&host) && printed.contains("PRIMARY"), "{printed}");
    }
    // Operations that have run for seconds are listed: here, a sleep.
    let admin = scene.set.admin().await;
    let sleep = doc! { "find": COLLECTION, "filter": { "$where": "sleep(20000) || true" } };
    let running = tokio::spawn(async move { admin.try_run(DATABASE, sleep).await });
    let failure = with_drivers_remedy(&scene.target, Failure::new(ErrorKind::Lock, "x"));
    eventually(secs(15), "the operation to be shown", async || {
        let printed = scene.shell.paste(&script(failure.remedy().unwrap())).await;
        if printed.contains("sleep(20000)") { Ok(()) } else { Err(printed) }
    })
    .await;
    running.abort();

    // A replica that lags, from changed facts: its row is an hour old.
    let admin = at(&scene.set.url(ADMIN, ADMIN_PASSWORD, ""), &scene.target);
    beat(&admin, Writing::Always).await.unwrap();
    let endpoint = Endpoint::parse(&scene.set.member(0).admin_url()).unwrap();
    let replica = Replica { name: "copy".to_owned(), endpoint, required: true, decode: false };
    let with_replica = Target { replicas: vec![replica], ..admin };
    let mut now: Inspection = look(&with_replica).await;
    let Look::Facts(facts) = &mut now.replicas[0].look else { panic!("{now:?}") };
    let written = facts.pointer_mut("/row/seen/last_update").unwrap();
    *written = json!(written.as_i64().unwrap() - 3_600_000_000);
    let findings = judge(&with_replica, &now, None);
    let behind = findings.iter().find(|finding| finding.id == "replica-heartbeat").unwrap();
    assert_eq!(behind.status, Status::Failed, "{behind:?}");
    scene.paste(behind.remedy.as_ref().unwrap()).await;
}

#[tokio::test]
async fn a_server_by_itself_becomes_a_set_of_one_by_its_remedy() {
    let mut alone = MongoServer::options().start().await;
    lay_document(&alone).await;
    let admin = target(&alone.admin_url());
    let streams = async || {
        let findings = judge(&admin, &look(&admin).await, None);
        findings.into_iter().find(|finding| finding.id == "change-streams").unwrap()
    };
    let found = streams().await;
    assert_eq!(found.status, Status::Failed, "{found:?}");
    // First the advice, then the script.
    alone.restart_for_set().await;
    Mongosh::at(&alone.admin_url()).paste(&script(found.remedy.as_ref().unwrap())).await;
    eventually(secs(20), "the set's primary", async || {
        if alone.is_primary().await { Ok(()) } else { Err("it is not the primary yet") }
    })
    .await;
    let found = streams().await;
    assert_eq!(found.status, Status::Ok, "{found:?}");
    assert_eq!(beat(&admin, Writing::Always).await.unwrap().outcome, BeatOutcome::Written);
}

const EACH: &str = "each_script_for_mongosh_is_pasted_against_its_fault_and_ends_it";
const SHOWN: &str = "each_script_that_only_shows_something_shows_it";
const ALONE: &str = "a_server_by_itself_becomes_a_set_of_one_by_its_remedy";
/// The scripts of `heartbeatd provision`, which run on heartbeatd's machine.
const PROVISIONED: &str = "dropped_collection_deleted_document_and_revoked_role_each_have_a_remedy_that_heals";

/// The functions that make something to paste.
const MAKERS: &[&str] = &["Remedy::mongosh(", "on_primary(", "let_user_beat(", "Remedy::shell(", "plan::command("];

/// Where they are called: the file, how often, and the tests that paste the result.
const SITES: &[Site] = &[
    ("checks/collection.rs", 2, &[EACH], ""),
    ("checks/connector.rs", 2, &[EACH], ""),
    ("checks/deployment.rs", 1, &[ALONE], ""),
    ("checks/oplog.rs", 1, &[EACH], ""),
    ("checks/replica.rs", 1, &[SHOWN], ""),
    ("checks/server.rs", 1, &[EACH], ""),
    ("checks/writer.rs", 1, &[EACH], ""),
    ("provision.rs", 1, &[EACH], ""),
    ("remedies.rs", 10, &[EACH, SHOWN, PROVISIONED], ""),
];

#[test]
fn every_place_that_makes_something_to_paste_names_the_tests_that_paste_it() {
    expect_complete("mongodb", SITES, |code| {
        let lines = code.lines().filter(|line| !line.contains("fn ") && !line.trim_start().starts_with("use "));
        lines.map(|line| MAKERS.iter().map(|maker| line.matches(maker).count()).sum::<usize>()).sum()
    });
}
