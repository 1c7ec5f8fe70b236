//! Follows the page for DBAs of MySQL and MariaDB: a test runs every block of its walkthrough on both, and a footnote
//! names the other blocks.

use std::collections::BTreeSet;

use crate::bench::mysql::{ADMIN_PASSWORD, MysqlOptions};
use crate::bench::page::{Block, Commands, WALK, blocks, read, the_footnote_says_which_blocks_are_not_run};
use crate::bench::place::Place;
use crate::bench::{Flavour, MysqlServer, mysql_client};

const PAGE: &str = "docs/databases/mysql.md";
/// The step that starts the connector, which is not a command of the page.
const CONNECTOR_STARTS: &str = "### 9. The daemon and the connector start";
/// The content of heartbeatd's password file, also used for the connector.
const PASSWORD: &str = "the-heartbeats-password";
const CONNECTORS_PASSWORD: &str = "the-connectors-password";

/// The server of the page, and the folder of the configuration.
struct Walk {
    // Both before the server, because they would fail if the server ended first.
    commands: Commands,
    connector: Option<MysqlServer>,
    server: MysqlServer,
    folder: Place,
}

/// Whether a block of settings is for this server. The paragraph before the block says so.
fn is_for(block: &Block, flavour: Flavour) -> bool {
    let name = if flavour == Flavour::Mariadb { "On MariaDB:" } else { "On MySQL:" };
    block.before.trim_end().ends_with(name)
}

impl Walk {
    /// Everything that the page presupposes: a server with the page's settings, an administrator, something to capture,
    /// the authority's certificate, passwords in files.
    async fn begin(page: &str, flavour: Flavour) -> Self {
        let settings: Vec<Block> = blocks(page).into_iter().filter(|block| block.language == "ini").collect();
        let [settings] = &settings.iter().filter(|block| is_for(block, flavour)).collect::<Vec<_>>()[..] else {
            panic!("one block of settings for {flavour:?}: {settings:#?}")
        };
        let options = MysqlServer::options().flavour(flavour);
        let server = settings.text.lines().fold(options, MysqlOptions::conf).start().await;
        server.execute("CREATE DATABASE shop").await;
        server.execute("CREATE TABLE shop.orders (id INT PRIMARY KEY)").await;
        let folder = Place::new("etc");
        folder.write("ca.pem", std::fs::read(server.ca_file()).unwrap());
        folder.write("shop.password", PASSWORD);
        folder.write("admin.password", ADMIN_PASSWORD);
        Self { commands: Commands::of(page, "writer-update"), connector: None, server, folder }
    }

    /// The page's text with this server instead of the example's.
    fn here(&self, text: &str) -> String {
        text.replace("source.example.com:3306", &format!("localhost:{}", self.server.port()))
            .replace("/etc/heartbeatd", self.folder.path().to_str().unwrap())
    }

    async fn run(&mut self, block: &Block) {
        if block.step == CONNECTOR_STARTS && self.connector.is_none() {
            self.start_connector().await;
        }
        match block.language.as_str() {
            "sql" => drop(mysql_client(&self.server, self.here(&block.text)).await),
            "toml" => drop(self.folder.write("heartbeatd.toml", self.here(&block.text) + self.left_out())),
            "sh" => {
                for line in block.text.lines() {
                    self.commands.run(&self.here(line)).await;
                }
            }
            // The server was started with it.
            "ini" => {}
            other => panic!("the test has no rule to run {other:?}: {block:?}"),
        }
    }

    /// As the page says, the connector's vendor does not support Debian's old MariaDB.
    fn left_out(&self) -> &'static str {
        match self.server.flavour() {
            Flavour::Mariadb => {
                "\n[[target.checks.skip]]\nid = \"server-version\"\nreason = \"the test's own server\"\n"
            }
            Flavour::Mysql | Flavour::Mysql57 => "",
        }
    }

    /// Reads the binary log as the connector's account, until the end of the walk: a replica does the same.
    async fn start_connector(&mut self) {
        let reader = self.server.replica_with("server_id = 2").await;
        reader.follow_as(&self.server, "streamkap_user", CONNECTORS_PASSWORD).await;
        self.connector = Some(reader);
    }
}

async fn following_the_page_leads_to_a_green_check(flavour: Flavour) {
    let page = read(PAGE);
    let mut walk = Walk::begin(&page, flavour).await;
    let mut languages = BTreeSet::new();
    for block in blocks(&page).iter().filter(|block| block.section == WALK) {
        walk.run(block).await;
        languages.insert(block.language.clone());
    }
    assert_eq!(languages, ["ini", "sh", "sql", "toml"].map(str::to_owned).into(), "a kind of block is not found");
    assert!(walk.commands.daemon.is_some() && walk.connector.is_some(), "the step {CONNECTOR_STARTS} is not found");
    walk.commands.ended_green(&page);
    // The beats of the page's first command and of its daemon arrive where the connector reads.
    assert!(walk.server.update_rows_events("streamkap", "streamkap_heartbeat").await >= 2, "events in the binary log");
    walk.connector.as_ref().unwrap().catch_up_with(&walk.server).await;
}

#[tokio::test]
async fn following_the_page_on_mariadb_leads_to_a_green_check() {
    following_the_page_leads_to_a_green_check(Flavour::Mariadb).await;
}

#[tokio::test]
async fn following_the_page_on_mysql_leads_to_a_green_check() {
    following_the_page_leads_to_a_green_check(Flavour::Mysql).await;
}

#[test]
fn the_footnote_says_which_blocks_no_test_runs() {
    the_footnote_says_which_blocks_are_not_run(&read(PAGE));
}
