//! PgBouncer in transaction mode: the pooler that keeps no session state and refuses most startup parameters.

use std::fmt::Write as _;

use rustix::process::Signal;

use super::place::{Place, server_command};
use super::postgres::{ADMIN, ADMIN_PASSWORD, PostgresServer};
use super::process::Process;
use super::session::connect;
use super::wait::{eventually, secs};
use super::{ports, programs};

/// One PgBouncer; dropping it ends it.
#[derive(Debug)]
pub(crate) struct PgBouncer {
    // Before `place`: the program ends before its folder is removed.
    process: Process,
    place: Place,
    port: u16,
}

impl PgBouncer {
    /// A pooler in front of `server` that knows the superuser and these users with their passwords. At most two server
    /// connections per user, so that clients share them.
    pub(crate) async fn start(server: &PostgresServer, users: &[(&str, &str)]) -> Self {
        Self::start_with(server, users, "").await
    }

    /// As [`start`](Self::start), with additional lines of configuration after the bench's own.
    pub(crate) async fn start_with(server: &PostgresServer, users: &[(&str, &str)], lines: &str) -> Self {
        let place = Place::new("pgbouncer");
        let port = ports::free();
        let mut passwords = String::new();
        for (user, password) in [(ADMIN, ADMIN_PASSWORD)].iter().chain(users) {
            writeln!(passwords, "\"{user}\" \"{password}\"").unwrap();
        }
        let auth_file = place.write("users.txt", passwords);
        let settings = format!(
            "[databases]
            * = host=127.0.0.1 port={server_port}
            [pgbouncer]
            listen_addr = 127.0.0.1
            listen_port = {port}
            unix_socket_dir =
            pool_mode = transaction
            auth_type = scram-sha-256
            auth_file = {auth_file}
            admin_users = {ADMIN}
            default_pool_size = 2
            server_login_retry = 1
            {lines}
            ",
            server_port = server.port(),
            auth_file = auth_file.display(),
        );
        let mut command = server_command(programs::pgbouncer());
        command.arg(place.write("pgbouncer.ini", settings.replace("            ", "")));
        let name = format!("PgBouncer on port {port}");
        let mut process = Process::start(&name, command, place.path(), &place.join("pgbouncer.log"), Signal::TERM);
        eventually(secs(20), format!("{name} to start"), async || {
            process.expect_running();
            connect(port, ADMIN, ADMIN_PASSWORD).await.map(|_| ())
        })
        .await;
        Self { process, place, port }
    }

    /// Its port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The address of the database `postgres` through the pooler.
    pub(crate) fn url(&self, user: &str, password: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/postgres", self.port)
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.place.join("pgbouncer.log")).unwrap()).into_owned()
    }

    /// Stops all its threads.
    pub(crate) fn freeze(&self) {
        self.process.freeze();
    }

    /// Resumes it.
    pub(crate) fn thaw(&self) {
        self.process.thaw();
    }
}
