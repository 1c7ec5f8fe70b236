//! The command-line client, for scripts that a DBA would paste.

use std::io::Write as _;
use std::process::Stdio;

use super::super::place::server_command;
use super::super::programs;
use super::super::wait::secs;
use super::{ADMIN, ADMIN_PASSWORD, MysqlServer};

/// Runs a script as the administrator with MariaDB's client (on any server), over the socket; its first error fails the
/// test. Returns its output, with results as tables.
pub(crate) async fn mysql_client(server: &MysqlServer, script: String) -> String {
    let mut command = server_command(programs::mariadb("mariadb"));
    command.args(["--no-defaults", "--table", "--default-character-set=utf8mb4"]);
    command.arg(format!("--socket={}", server.socket().display()));
    command.args([format!("--user={ADMIN}"), format!("--password={ADMIN_PASSWORD}")]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        (child.wait_with_output().unwrap(), script)
    });
    let (output, script) = tokio::time::timeout(secs(20), run).await.expect("the client ends").unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !errors.contains("ERROR"), "{errors}\n{script}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
