//! The page for DBAs, done as it is written: every block of its walk is run, and every other one says that it is not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::bench::daemon::{Daemon, Ended, Heartbeatd};
use crate::bench::place::{Place, server_command};
use crate::bench::process::Process;
use crate::bench::programs::{self, Major};
use crate::bench::{PostgresServer, eventually, heartbeatd, postgres, psql, secs};

const PAGE: &str = "docs/databases/postgresql.md";
/// The section whose blocks are run.
const WALK: &str = "## From nothing to a green check";
/// The step in which the connector is started, which is no command of the page.
const CONNECTOR_STARTS: &str = "### 9. The daemon and the connector start";
/// What the paragraph before a block says if nobody runs it.
const NOT_RUN: &str = "not run by a test";
/// What the walk puts into heartbeatd's password file.
const PASSWORD: &str = "the-heartbeats-password";

/// A fenced block of the page.
#[derive(Debug)]
struct Block {
    /// Its `## ` heading.
    section: String,
    /// The heading nearest above it, of whatever level.
    step: String,
    /// The paragraph or block that ends before it.
    before: String,
    language: String,
    text: String,
}

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).unwrap()
}

/// The walk's section of the page.
fn walk_section(page: &str) -> &str {
    let (_, walk) = page.split_once(WALK).expect("the walk's heading");
    walk.split_once("\n## ").expect("the heading after it").0
}

fn blocks(page: &str) -> Vec<Block> {
    assert!(!page.contains("~~~"), "another kind of fence");
    let (mut section, mut step, mut before) = (String::new(), String::new(), String::new());
    let mut blocks: Vec<Block> = Vec::new();
    let mut paragraph_ended = true;
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            let text: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "```").collect();
            blocks.push(Block {
                section: section.clone(),
                step: step.clone(),
                before: std::mem::take(&mut before),
                language: language.to_owned(),
                text: text.join("\n"),
            });
        } else if line.starts_with('#') {
            if line.starts_with("## ") {
                line.clone_into(&mut section);
            }
            line.clone_into(&mut step);
            before.clear();
        } else if line.is_empty() {
            paragraph_ended = true;
        } else {
            if std::mem::take(&mut paragraph_ended) {
                before.clear();
            }
            before.push_str(line);
            before.push(' ');
        }
    }
    blocks
}

/// The server that the page speaks of, and the folder of the configuration.
struct Walk {
    // Both before the server: they would start to fail when that ends.
    daemon: Option<Daemon>,
    connector: Option<Process>,
    server: PostgresServer,
    folder: Place,
    /// What a check may name, as the page says, with its status.
    named: BTreeMap<String, String>,
    last_check: Option<(Ended, BTreeMap<String, String>)>,
}

impl Walk {
    /// What the page takes for given: a superuser, a database with a table, the authority's certificate, passwords in files.
    async fn begin(page: &str) -> Self {
        let server = PostgresServer::start().await;
        server.execute("CREATE DATABASE orders").await;
        psql(&server, "orders", "CREATE TABLE public.orders (id int PRIMARY KEY);".to_owned()).await;
        let folder = Place::new("etc");
        folder.write("ca.pem", std::fs::read(server.ca_file()).unwrap());
        folder.write("orders.password", PASSWORD);
        folder.write("admin.password", postgres::ADMIN_PASSWORD);
        Self { daemon: None, connector: None, server, folder, named: named(page), last_check: None }
    }

    /// The page's text with this server in the place of the example's.
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
                    self.command(line).await;
                }
            }
            other => panic!("nobody knows how to run {other:?}: {block:?}"),
        }
    }

    async fn command(&mut self, line: &str) {
        let here = self.here(line);
        let mut words = here.split_whitespace();
        assert_eq!(words.next(), Some("heartbeatd"), "the walk runs heartbeatd alone: {line}");
        let arguments: Vec<&str> = words.collect();
        assert!(!line.contains(['\'', '"', '\\', '|', '$', '#']), "no shell is there to read it: {line}");
        if arguments[0] == "-c" {
            let daemon = program(&arguments).start().await;
            daemon.healthy_within(secs(20)).await;
            self.daemon = Some(daemon);
            return;
        }
        let ended = program(&arguments).run().await;
        assert_eq!(ended.code, Some(0), "{line}\n{}{}", ended.stdout, ended.stderr);
        if !arguments.iter().any(|argument| ["check", "--check"].contains(argument)) {
            return;
        }
        let left = left(&[&arguments[..], &["--format", "json"]].concat()).await;
        let beyond: Vec<_> = left.iter().filter(|(id, status)| self.named.get(*id) != Some(status)).collect();
        assert!(beyond.is_empty(), "{line}: the page does not name {beyond:?}\n{}", ended.stdout);
        self.last_check = Some((ended, left));
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

fn program(arguments: &[&str]) -> Heartbeatd {
    arguments.iter().fold(heartbeatd(), |program, argument| program.arg(argument))
}

/// What a check finds failed or unknown; nothing may be failed as an error.
async fn left(arguments: &[&str]) -> BTreeMap<String, String> {
    let ended = program(arguments).run().await;
    let report: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    let findings = report["targets"][0]["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["id"] == "slot-exists" && finding["status"] == "ok"), "{report:#}");
    let wrong = findings.iter().filter(|finding| ["failed", "unknown"].contains(&finding["status"].as_str().unwrap()));
    let told = wrong.map(|finding| {
        let (status, severity) = (finding["status"].as_str().unwrap(), finding["severity"].as_str().unwrap());
        assert!((status, severity) != ("failed", "error"), "{finding:#}");
        let status = if status == "failed" { format!("failed, a {severity}") } else { status.to_owned() };
        (finding["id"].as_str().unwrap().to_owned(), status)
    });
    told.collect()
}

/// The checks in the page's table of what may be left, with their status.
fn named(page: &str) -> BTreeMap<String, String> {
    let rows = walk_section(page).lines().filter(|line| line.starts_with("| [`"));
    let named: BTreeMap<_, _> = rows
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            (cells[1].split('`').nth(1).unwrap().to_owned(), cells[2].to_owned())
        })
        .collect();
    assert!(!named.is_empty(), "the table is not found");
    named
}

#[tokio::test]
async fn who_does_what_the_page_says_arrives_at_a_green_check() {
    let page = page();
    let mut walk = Walk::begin(&page).await;
    let mut languages = BTreeSet::new();
    for block in blocks(&page).iter().filter(|block| block.section == WALK) {
        walk.run(block).await;
        languages.insert(block.language.clone());
    }
    assert_eq!(languages, ["sh", "sql", "toml"].map(str::to_owned).into(), "a kind of block is not found");
    assert!(walk.daemon.is_some() && walk.connector.is_some(), "the step {CONNECTOR_STARTS} is not found");
    let (ended, left) = walk.last_check.expect("the walk ends with a check");
    assert!(left.is_empty(), "{left:?}");
    let verdict = ended.stdout.lines().find_map(|line| line.trim().strip_prefix("verdict")).unwrap().trim();
    assert!(walk_section(&page).contains(&format!("\"{verdict}\"")), "the page tells another verdict than {verdict:?}");
}

#[test]
fn every_block_that_is_not_run_says_so() {
    let silent: Vec<Block> =
        blocks(&page()).into_iter().filter(|block| block.section != WALK && !block.before.contains(NOT_RUN)).collect();
    assert!(silent.is_empty(), "{silent:#?}");
}
