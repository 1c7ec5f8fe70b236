//! Follows the pages for people who run heartbeatd: a test runs every block of commands, and a comment in a page's
//! source names the headings whose blocks it does not run.

use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::bench::daemon::{Ended, Heartbeatd};
use crate::bench::page::{Block, blocks, headings_not_run, read};
use crate::bench::place::Place;
use crate::bench::{Daemon, MysqlServer, PostgresServer, eventually, heartbeatd, psql, secs};

/// Read in this order: the later ones use the configuration of the first.
const PAGES: [&str; 3] = ["README.md", "docs/ci.md", "docs/operations.md"];
/// The password of heartbeatd's account on every server, which its password files and programs contain.
const PASSWORD: &str = "the-heartbeats-password";

/// The servers of the pages, the folder `/etc/heartbeatd`, and the working directory of the commands.
struct Walk {
    // Before the servers, because it would fail if they ended first.
    daemon: Option<Daemon>,
    folder: Place,
    standby: PostgresServer,
    primary: PostgresServer,
    shop: MysqlServer,
    /// The commands that were run, so that the end of the test can check that none is missing.
    ran: Vec<String>,
}

impl Walk {
    /// Everything that the pages presuppose: servers with an account that may create its table, authorities, passwords.
    async fn begin() -> Self {
        let (primary, shop) = tokio::join!(PostgresServer::start(), MysqlServer::options().mariadb().start());
        for database in ["orders", "billing"] {
            primary.execute(&format!("CREATE DATABASE {database}")).await;
        }
        let account = format!(
            "CREATE ROLE heartbeat LOGIN PASSWORD '{PASSWORD}' IN ROLE pg_monitor;
             GRANT CREATE ON DATABASE orders, billing TO heartbeat;"
        );
        psql(&primary, "postgres", account).await;
        shop.execute(&format!("CREATE USER heartbeat IDENTIFIED BY '{PASSWORD}'")).await;
        shop.execute("GRANT ALL ON *.* TO heartbeat WITH GRANT OPTION").await;
        let standby = primary.standby().await;
        let folder = Place::new("etc");
        for (name, file) in [("ca.pem", primary.ca_file()), ("shop-ca.pem", shop.ca_file())] {
            folder.write(name, std::fs::read(file).unwrap());
        }
        for name in ["heartbeat-password", "orders.password", "shop.password"] {
            folder.write(name, PASSWORD);
        }
        let program = folder.write("read-secret", format!("#!/bin/sh\n[ \"$1\" = billing ] && echo {PASSWORD}\n"));
        std::fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Self { daemon: None, folder, standby, primary, shop, ran: Vec::new() }
    }

    /// The page's text with these servers and this folder instead of the example's.
    fn here(&self, text: &str) -> String {
        let folder = self.folder.path().to_str().unwrap();
        let (primary, standby) = (self.primary.port(), self.standby.port());
        [
            ("@orders-a,orders-b/", format!("@localhost:{primary},localhost:{standby}/")),
            ("@shop-a,shop-b/", format!("@localhost:{}/", self.shop.port())),
            ("billing.example/", format!("localhost:{primary}/")),
            ("billing-replica.example/", format!("localhost:{standby}/")),
            ("primary.db.svc/", format!("localhost:{primary}/")),
            ("replica.db.svc/", format!("localhost:{standby}/")),
            // This machine does not trust the bench's authorities.
            ("sslmode=verify-full\"", format!("sslmode=verify-full&sslrootcert={folder}/ca.pem\"")),
            ("ssl-mode=verify_identity", format!("ssl-mode=verify_identity&ssl-ca={folder}/shop-ca.pem")),
            ("/etc/heartbeatd", folder.to_owned()),
            ("/run/secrets", folder.to_owned()),
            ("/usr/local/bin", folder.to_owned()),
            // The shortest wait in which a row with beats has changed.
            ("--wait 2m", "--wait 2s".to_owned()),
            ("-c heartbeatd.toml", format!("-c {folder}/heartbeatd.toml")),
            ("junit=heartbeatd.xml", format!("junit={folder}/heartbeatd.xml")),
        ]
        .iter()
        .fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
    }

    async fn run(&mut self, block: &Block) {
        match block.language.as_str() {
            "toml" => drop(self.folder.write("heartbeatd.toml", self.here(&block.text))),
            "sh" => {
                let lines: Vec<&str> = block.text.lines().map(|line| line.split(" #").next().unwrap().trim()).collect();
                if lines.iter().all(|line| line.starts_with("HEARTBEATD_")) {
                    return self.run_by_environment(&lines).await;
                }
                for line in lines {
                    self.run_line(line).await;
                }
            }
            "yaml" => {
                for line in block.text.lines().filter_map(|line| line.trim().strip_prefix("- ")) {
                    self.run_line(line).await;
                }
            }
            // The output of a command.
            "" => assert!(!block.text.starts_with("heartbeatd "), "commands without a language: {block:?}"),
            other => panic!("the test has no rule to run {other:?}: {block:?}"),
        }
    }

    async fn run_line(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.ran.push(words[..2].join(" "));
        match words[..] {
            ["make", target] => self.make(target).await,
            ["heartbeatd", ..] => {
                let ended = self.heartbeatd(&self.here(line)).await;
                // Some of the connector's objects are missing, and a check says so.
                let checks = words[1] == "--check";
                assert!(ended.code == Some(0) || (checks && ended.code == Some(1)), "{line}\n{ended:?}");
                assert!(!checks || ended.stdout.contains("verdict"), "{line}\n{ended:?}");
                if line.contains("--format junit=") {
                    let report = std::fs::read_to_string(self.folder.path().join("heartbeatd.xml")).unwrap();
                    assert!(report.contains("<testsuite "), "{report}");
                }
            }
            ["systemctl", "reload", "heartbeatd"] => self.reload().await,
            _ => panic!("the test has no rule to run {line:?}"),
        }
    }

    async fn heartbeatd(&self, line: &str) -> Ended {
        assert!(!line.contains(['\'', '"', '\\', '|', '$']), "no shell is there to read it: {line}");
        line.split_whitespace().skip(1).fold(heartbeatd(), Heartbeatd::arg).run().await
    }

    /// The recipe exists. For `make run`, the test runs the program with the same arguments.
    async fn make(&self, target: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut make = Command::new("make");
        // Under another make, as in `make test`, it would print the directory that it enters.
        make.args(["--no-print-directory", "--dry-run", target]).env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
        let output = make.current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let recipe = String::from_utf8(output.stdout).unwrap();
        let Some((_, arguments)) = recipe.trim().split_once("run --locked -- ") else {
            return assert!(recipe.contains("test --locked"), "{recipe}");
        };
        let arguments = arguments.replace("config/", &format!("{}/config/", folder.display()));
        let daemon = arguments.split_whitespace().fold(heartbeatd(), Heartbeatd::arg).start().await;
        daemon.healthy_within(secs(15)).await;
        assert!(daemon.folder().join("heartbeat.db").exists());
    }

    /// A daemon configured only by these variables.
    async fn run_by_environment(&mut self, lines: &[&str]) {
        self.ran.push("the environment".to_owned());
        let provisioned = format!(
            "provision postgres://heartbeat:{PASSWORD}@localhost:{}/orders?sslmode=verify-full&sslrootcert={}/ca.pem",
            self.primary.port(),
            self.folder.path().display()
        );
        // The page says: "The table must exist."
        let ended = self.heartbeatd(&format!("heartbeatd {provisioned}")).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let variables: Vec<(String, String)> = lines
            .iter()
            .map(|line| {
                let (name, value) = line.split_once('=').unwrap();
                (name.to_owned(), self.here(value.trim_matches('\'')))
            })
            .collect();
        let with =
            |program: Heartbeatd| variables.iter().fold(program, |program, (name, value)| program.env(name, value));
        let shown = with(heartbeatd().arg("config").arg("show")).run().await;
        assert!(shown.stdout.contains("listen = \"0.0.0.0:2328\"") && shown.code == Some(0), "{shown:?}");
        // The bench gives it another address to listen at.
        let daemon = with(heartbeatd().env("HEARTBEATD_NAME", "orders").env("HEARTBEATD_INTERVAL", "1s")).start().await;
        daemon.healthy_within(secs(15)).await;
        let replica = daemon.target("orders").await["replicas"][0]["name"].as_str().unwrap().to_owned();
        daemon.replica_lag("orders", &replica).await;
    }

    /// As the unit does: first the file is validated, then the running daemon gets its signal.
    async fn reload(&mut self) {
        let file = self.folder.path().join("heartbeatd.toml");
        let daemon = heartbeatd().arg("-c").arg(file.to_str().unwrap()).start().await;
        daemon.healthy_within(secs(20)).await;
        let validated = heartbeatd().arg("validate").arg("-c").arg(file.to_str().unwrap()).run().await;
        assert_eq!(validated.code, Some(0), "{validated:?}");
        daemon.signal(Signal::HUP);
        eventually(secs(10), "the reload", async || match daemon.log() {
            log if log.contains("configuration reloaded") => Ok(()),
            log => Err(log),
        })
        .await;
        self.daemon = Some(daemon);
    }
}

#[tokio::test]
async fn every_block_of_the_pages_on_use_is_run_or_its_heading_is_listed_as_not_run() {
    let mut walk = Walk::begin().await;
    for page in PAGES {
        let text = read(page);
        let (blocks, not_run) = (blocks(&text), headings_not_run(&text));
        for heading in &not_run {
            assert!(blocks.iter().any(|block| block.heading() == *heading), "{page}: {heading:?} has no block");
        }
        for block in blocks.iter().filter(|block| !not_run.contains(block.heading())) {
            walk.run(block).await;
        }
    }
    assert_eq!(
        walk.ran,
        [
            "make run",
            "make test",
            "the environment",
            "heartbeatd config",
            "heartbeatd provision",
            "heartbeatd provision",
            "heartbeatd beat",
            "systemctl reload",
            "heartbeatd --check",
            "heartbeatd --check",
            "heartbeatd --check",
        ]
    );
}
