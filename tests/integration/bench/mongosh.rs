//! MongoDB's own shell, for scripts that a person would paste.

use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;

use super::place::server_command;
use super::programs;
use super::wait::secs;

/// mongosh starts slowly on a busy machine.
const DEADLINE: std::time::Duration = secs(60);

/// Runs a script at this address and returns its output. A command that the server refuses fails the test.
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

/// A shell that stays open, because it starts slowly: for a person who pastes several lines one after the other.
#[derive(Debug)]
pub(crate) struct Mongosh {
    // Killed when it is dropped, before its folder is removed.
    _child: Child,
    input: ChildStdin,
    printed: Lines<BufReader<ChildStdout>>,
    pasted: usize,
    _home: TempDir,
}

impl Mongosh {
    /// Opens a shell at this address.
    pub(crate) fn at(url: &str) -> Self {
        let home = TempDir::new().unwrap();
        std::fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let mut command = server_command(programs::mongosh());
        command.args([url, "--quiet", "--norc"]).env("HOME", home.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = tokio::process::Command::from(command).kill_on_drop(true).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { _child: child, input, printed: BufReader::new(output).lines(), pasted: 0, _home: home }
    }

    /// Pastes one line and returns its output. An error fails the test.
    pub(crate) async fn paste(&mut self, line: &str) -> String {
        assert!(!line.contains('\n'), "more than one line: {line}");
        self.pasted += 1;
        let end = format!("pasted {}.", self.pasted);
        self.input.write_all(format!("{line}\nprint('pasted ' + {} + '.')\n", self.pasted).as_bytes()).await.unwrap();
        let mut printed = String::new();
        let read = async {
            while let Some(line) = self.printed.next_line().await.unwrap() {
                if line.contains(&end) {
                    return;
                }
                printed.push_str(&line);
                printed.push('\n');
            }
            panic!("mongosh ended");
        };
        let ended = timeout(DEADLINE, read).await;
        assert!(ended.is_ok(), "mongosh did not end:\n{line}\n{printed}");
        assert!(!["Uncaught", "Error:", "Error["].iter().any(|word| printed.contains(word)), "{line}\n{printed}");
        printed
    }
}
