//! Follows SQL Server's page for DBAs against the double: the commands up to a green check, and the script that
//! confirms the page's claims on a real server. No test runs the page's SQL for administrators, which the double cannot
//! run.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::Value;
use tokio::time::timeout;

use crate::bench::beating_daemon::PASSWORD;
use crate::bench::page::{Block, WALK, blocks, read};
use crate::bench::place::Place;
use crate::bench::tds::{Encryption, State, TdsServer, USER};
use crate::bench::tls::CERTIFICATES;
use crate::bench::{programs, secs};

const PAGE: &str = "docs/databases/sqlserver.md";
const CONFIRM: &str = "## Confirm it on your server";

/// The double, and a folder where the page's commands run.
struct Walk {
    server: TdsServer,
    folder: Place,
}

impl Walk {
    /// Everything that the page presupposes: a database, its users, the authority's certificate, passwords in files.
    async fn begin() -> Self {
        let server = TdsServer::options().encryption(Encryption::Wrapped).start().await;
        *server.state() = State { cdc: false, ..State::empty() };
        let folder = Place::new("etc");
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        folder.write("ca.pem", &CERTIFICATES.authority);
        folder.write("orders.password", PASSWORD);
        folder.write("admin.password", PASSWORD);
        let walk = Self { server, folder };
        walk.program("heartbeatd", &format!("exec {} \"$@\"", env!("CARGO_BIN_EXE_heartbeatd")));
        walk.program("sleep", "exec /bin/sleep 1");
        // Microsoft's client is not installed here. FreeTDS' client reads the same.
        let conf = walk.folder.write(
            "freetds.conf",
            format!(
                "[double]\nhost = localhost\nport = {}\ntds version = 7.4\nencryption = require\nca file = {}\n",
                walk.server.port(),
                walk.folder.path().join("ca.pem").display()
            ),
        );
        let reading = format!(
            "export FREETDSCONF={}\nprintf '%s\\nGO\\n' \"${{!#}}\" | {} -S double -U {USER} -P {PASSWORD} -D orders",
            conf.display(),
            programs::tsql().display()
        );
        walk.program("sqlcmd", &reading);
        walk
    }

    fn program(&self, name: &str, script: &str) {
        let file = self.folder.write(&format!("bin/{name}"), format!("#!/bin/bash\n{script}\n"));
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The page's text with the double instead of the example's server. The double knows only one login.
    fn here(&self, text: &str) -> String {
        text.replace("db.example.com:1433", &format!("localhost:{}", self.server.port()))
            .replace("//heartbeat@", &format!("//{USER}@"))
            .replace("//admin@", &format!("//{USER}@"))
            .replace("/etc/heartbeatd", self.folder.path().to_str().unwrap())
    }

    /// The output of a block's lines, one after the other. Each must succeed.
    async fn run(&self, block: &Block) -> String {
        let path = format!("{}:{}", self.folder.path().join("bin").display(), std::env::var("PATH").unwrap());
        let mut command = tokio::process::Command::new("bash");
        command.args(["-euo", "pipefail", "-c", &self.here(&block.text)]).current_dir(self.folder.path());
        command.env("PATH", path).stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(secs(120), command.output()).await.unwrap().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{}\n{out}{err}", block.text);
        assert!(!out.contains(PASSWORD) && !err.contains(PASSWORD), "{out}{err}");
        out.into_owned()
    }
}

#[tokio::test]
async fn following_the_page_leads_to_a_green_check_and_confirms_its_claims() {
    let (page, walk) = (read(PAGE), Walk::begin().await);
    let of = |section: &str, language: &str| -> Vec<Block> {
        let fits = |block: &Block| block.section == section && block.language == language;
        blocks(&page).into_iter().filter(fits).collect()
    };
    let [settings] = &of(WALK, "toml")[..] else { panic!("one block of settings") };
    walk.folder.write("heartbeatd.toml", walk.here(&settings.text));
    let [commands] = &of(WALK, "sh")[..] else { panic!("one block of commands") };
    let said = walk.run(commands).await;
    assert!(said.contains("the source side is healthy"), "{said}");

    let [more] = &of(CONFIRM, "toml")[..] else { panic!("one block of settings to confirm with") };
    walk.folder.write("confirm.toml", walk.here(&more.text));
    let [script] = &of(CONFIRM, "sh")[..] else { panic!("one script") };
    *walk.server.state() = State { cdc: false, ..State::empty() };
    let said = walk.run(script).await;
    let planned = std::fs::read_to_string(walk.folder.path().join("provision.sql")).unwrap();
    assert!(planned.contains("EXEC sys.sp_cdc_enable_table"), "{planned}");
    assert!(said.contains("nothing is missing"), "{said}");
    let is_beat = |line: &&str| line.contains(" ok ") && line.contains("last_update ");
    assert_eq!(said.lines().filter(is_beat).count(), 3, "three beats: {said}");
    let operation = |line: &str| line.split_once('\t').map(|(operation, _)| operation.to_owned());
    let operations: Vec<String> =
        said.lines().filter_map(operation).filter(|word| ["3", "4"].contains(&word.as_str())).collect();
    assert_eq!(operations, ["4", "3", "4", "3", "4", "3"], "before and after of each: {said}");
    let facts: Value =
        serde_json::from_str(&std::fs::read_to_string(walk.folder.path().join("facts.json")).unwrap()).unwrap();
    assert!(facts["targets"].is_array() && !facts.to_string().contains(PASSWORD), "{facts:#}");
}
