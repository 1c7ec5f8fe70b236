//! Follows the page for DBAs of PostgreSQL: a test runs every block of its walkthrough, and a footnote names the other
//! blocks.

use std::collections::BTreeSet;

use rustix::process::Signal;

use crate::bench::page::{Block, Commands, WALK, blocks, read, the_footnote_says_which_blocks_are_not_run};
use crate::bench::place::{Place, server_command};
use crate::bench::process::Process;
use crate::bench::programs::{self, Major};
use crate::bench::{PostgresServer, eventually, postgres, psql, secs};

const PAGE: &str = "docs/databases/postgresql.md";
/// The step that starts the connector, which is not a command of the page.
const CONNECTOR_STARTS: &str = "### 9. The daemon and the connector start";
/// The content of heartbeatd's password file.
const PASSWORD: &str = "the-heartbeats-password";

/// The server of the page, and the folder of the configuration.
struct Walk {
    // Both before the server, because they would fail if the server ended first.
    commands: Commands,
    connector: Option<Process>,
    server: PostgresServer,
    folder: Place,
}

impl Walk {
    /// Everything that the page presupposes: a superuser, a database with a table, the authority's certificate,
    /// passwords in files.
    async fn begin(page: &str) -> Self {
        let server = PostgresServer::start().await;
        server.execute("CREATE DATABASE orders").await;
        psql(&server, "orders", "CREATE TABLE public.orders (id int PRIMARY KEY);".to_owned()).await;
        let folder = Place::new("etc");
        folder.write("ca.pem", std::fs::read(server.ca_file()).unwrap());
        folder.write("orders.password", PASSWORD);
        folder.write("admin.password", postgres::ADMIN_PASSWORD);
        Self { commands: Commands::of(page, "slot-exists"), connector: None, server, folder }
    }

    /// The page's text with this server instead of the example's.
    fn here(&self, text: &str) -> String {
        text.replace("primary.example.com:5432", &format!("localhost:{}", self.server.port()))
            .replace("/etc/heartbeatd", self.folder.path().to_str().unwrap())
    }

    async fn run(&mut self, block: &Block) {
        if block.step == CONNECTOR_STARTS && self.connector.is_none() {
            self.start_connector().await;
        }
        match block.language.as_str() {
            "sql" => psql(&self.server, "orders", self.here(&block.text)).await,
            "toml" => drop(self.folder.write("heartbeatd.toml", self.here(&block.text))),
            "sh" => {
                for line in block.text.lines() {
                    self.commands.run(&self.here(line)).await;
                }
            }
            other => panic!("the test has no rule to run {other:?}: {block:?}"),
        }
    }

    /// Reads the slot as the connector's role, until the end of the walk.
    async fn start_connector(&mut self) {
        let (server, folder) = (&self.server, self.server.socket_folder());
        let mut command = server_command(programs::postgres(Major::Fifteen, "pg_recvlogical"));
        command.arg("--host").arg(folder).args(["--port", &server.port().to_string()]);
        command.args(["--username", "streamkap_user", "--dbname", "orders", "--slot", "streamkap_pgoutput_slot"]);
        command.args(["--start", "--file", "/dev/null", "--status-interval", "1", "--fsync-interval", "1"]);
        command.args(["--option", "proto_version=1", "--option", "publication_names=streamkap_pub"]);
        let log = folder.join("connector.log");
        self.connector = Some(Process::start("pg_recvlogical", command, folder, &log, Signal::INT));
        eventually(secs(10), "the connector to read its slot", async || {
            match server.value("SELECT active FROM pg_replication_slots").await.as_deref() {
                Some("t") => Ok(()),
                active => Err(format!("{active:?}")),
            }
        })
        .await;
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
    assert_eq!(languages, ["sh", "sql", "toml"].map(str::to_owned).into(), "a kind of block is not found");
    assert!(walk.commands.daemon.is_some() && walk.connector.is_some(), "the step {CONNECTOR_STARTS} is not found");
    walk.commands.ended_green(&page);
}

#[test]
fn the_footnote_says_which_blocks_no_test_runs() {
    the_footnote_says_which_blocks_are_not_run(&read(PAGE));
}
