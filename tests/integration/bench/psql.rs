//! psql, for scripts that a DBA would paste.

use std::io::Write as _;
use std::process::Stdio;

use super::place::server_command;
use super::programs::Major;
use super::wait::secs;
use super::{PostgresServer, postgres, programs};

/// Runs a script as the superuser in a database, statement by statement; its first error fails the test.
pub(crate) async fn psql(server: &PostgresServer, database: &str, script: String) {
    let mut command = server_command(programs::postgres(Major::Fifteen, "psql"));
    command.args(["--no-psqlrc", "--set=ON_ERROR_STOP=1", "--quiet", "--dbname", database]);
    command.arg("--host").arg(server.socket_folder()).args(["--port", &server.port().to_string()]);
    command.args(["--username", postgres::ADMIN]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        (child.wait_with_output().unwrap(), script)
    });
    let (output, script) = tokio::time::timeout(secs(20), run).await.expect("psql ends").unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !errors.contains("ERROR"), "{errors}\n{script}");
}
