//! MongoDB's own shell, for what a person would paste into it.

use tempfile::TempDir;
use tokio::time::timeout;

use super::place::server_command;
use super::programs;
use super::wait::secs;

/// It starts slowly on a busy machine.
const DEADLINE: std::time::Duration = secs(60);

/// Runs a script at this address; what it printed. A command that the server refuses fails the test.
pub(crate) async fn mongosh(url: &str, script: &str) -> String {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("script.js");
    std::fs::write(&file, script).unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let mut command = server_command(programs::mongosh());
    command.args([url, "--quiet", "--norc", "--file"]).arg(&file).env("HOME", folder.path());
    let output = tokio::process::Command::from(command).kill_on_drop(true).output();
    let output = timeout(DEADLINE, output).await.unwrap_or_else(|_| panic!("mongosh did not end:\n{script}")).unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{script}\n{printed}{}", String::from_utf8_lossy(&output.stderr));
    printed
}
