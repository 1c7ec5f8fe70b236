//! Follows the page for DBAs of MongoDB: a test runs every block of its walkthrough, and a footnote names the other
//! blocks.

use std::collections::BTreeSet;

use mongodb::bson::Document;

use crate::bench::mongodb::{ADMIN, ADMIN_PASSWORD, Admin, ReplicaSet};
use crate::bench::mongosh;
use crate::bench::page::{Block, Commands, WALK, blocks, read, the_footnote_says_which_blocks_are_not_run};
use crate::bench::place::Place;

const PAGE: &str = "docs/databases/mongodb.md";
/// The step that starts the connector, which is not a command of the page.
const CONNECTOR_STARTS: &str = "### 7. The daemon and the connector start";
/// The content of heartbeatd's password file.
const PASSWORD: &str = "the-heartbeats-password";

/// The servers of the page, and the folder of the configuration.
struct Walk {
    // Both before the servers, because they would fail if the servers ended first.
    commands: Commands,
    connector: Option<mongodb::change_stream::ChangeStream<mongodb::change_stream::event::ChangeStreamEvent<Document>>>,
    set: ReplicaSet,
    folder: Place,
}

impl Walk {
    /// Everything that the page presupposes: an administrator, a replica set, the authority's certificate, passwords in
    /// files.
    async fn begin(page: &str) -> Self {
        let set = ReplicaSet::start().await;
        let folder = Place::new("etc");
        folder.write("ca.pem", std::fs::read(set.member(0).ca_file()).unwrap());
        folder.write("orders.password", PASSWORD);
        folder.write("admin.password", ADMIN_PASSWORD);
        Self { commands: Commands::of(page, "change-streams"), connector: None, set, folder }
    }

    /// The page's text with these servers instead of the example's.
    fn here(&self, text: &str) -> String {
        let mut text = text.replace("/etc/heartbeatd", self.folder.path().to_str().unwrap());
        for (name, member) in ["a", "b", "c"].into_iter().zip(self.set.members()) {
            text = text.replace(&format!("{name}.example.com:27017"), &member.host());
        }
        text
    }

    async fn run(&mut self, block: &Block) {
        if block.step == CONNECTOR_STARTS && self.connector.is_none() {
            self.start_connector().await;
        }
        match block.language.as_str() {
            "js" => drop(mongosh(&self.set.url(ADMIN, ADMIN_PASSWORD, ""), &self.here(&block.text)).await),
            "toml" => drop(self.folder.write("heartbeatd.toml", self.here(&block.text))),
            "sh" => {
                for line in block.text.lines() {
                    self.commands.run(&self.here(line)).await;
                }
            }
            other => panic!("the test has no rule to run {other:?}: {block:?}"),
        }
    }

    /// Reads every change as the connector's user, until the end of the walk.
    async fn start_connector(&mut self) {
        let connector = Admin::of(&self.set.url("streamkap_user", "the-connectors-password", "")).await;
        self.connector = Some(connector.client().watch().await.unwrap());
    }
}

#[tokio::test]
async fn following_the_page_leads_to_a_green_check() {
    let page = read(PAGE);
    let mut walk = Walk::begin(&page).await;
    let mut languages = BTreeSet::new();
    for block in blocks(&page).iter().filter(|block| block.section == WALK) {
        walk.run(block).await;
        languages.insert(block.language.clone());
    }
    assert_eq!(languages, ["js", "sh", "toml"].map(str::to_owned).into(), "a kind of block is not found");
    assert!(walk.commands.daemon.is_some() && walk.connector.is_some(), "the step {CONNECTOR_STARTS} is not found");
    walk.commands.ended_green(&page);
}

#[test]
fn the_footnote_says_which_blocks_no_test_runs() {
    the_footnote_says_which_blocks_are_not_run(&read(PAGE));
}
