//! Throw-away PostgreSQL servers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use sqlx::postgres::PgConnection;
use tokio::sync::OnceCell;

use super::place::{Place, server_command};
use super::process::{Process, run};
use super::programs::Major;
use super::session::{QUERY_DEADLINE, connect, connect_to, execute, rows};
use super::tls::CERTIFICATES;
use super::wait::{eventually, secs};
use super::{ports, programs};

/// The superuser and its password.
pub(crate) const ADMIN: &str = "admin";
/// See [`ADMIN`].
pub(crate) const ADMIN_PASSWORD: &str = "admin-password";

const START_DEADLINE: Duration = secs(30);

const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
wal_level = logical
max_wal_senders = 10
max_replication_slots = 10
wal_keep_size = 64MB
hot_standby = on
track_commit_timestamp = on
ssl = on
logging_collector = off
log_line_prefix = '%m [%p] app=%a user=%u '
log_checkpoints = off
# Nothing here outlives the test: no need to wait for a disk.
fsync = off
full_page_writes = off
shared_buffers = 16MB
# Not in /dev/shm, where a killed server would leave its segments behind.
dynamic_shared_memory_type = mmap
";

/// One PostgreSQL server; dropping it stops it and removes its folder.
#[derive(Debug)]
pub(crate) struct PostgresServer {
    // Before `place`: the server ends before its folder is removed.
    process: Option<Process>,
    place: Place,
    port: u16,
    major: Major,
}

/// The options of a server; see [`PostgresServer::options`].
#[derive(Debug, Default, Clone)]
pub(crate) struct PostgresOptions {
    lines: String,
    own_identity: bool,
    major: Major,
}

impl PostgresOptions {
    /// Adds a line to postgresql.conf, e.g. `ssl = off`; it overrides the bench's own settings.
    pub(crate) fn conf(mut self, line: &str) -> Self {
        self.lines.push_str(line);
        self.lines.push('\n');
        self
    }

    /// Logs every statement (see [`PostgresServer::log`]).
    pub(crate) fn log_statements(self) -> Self {
        self.conf("log_statement = all")
    }

    /// Adds pg_cron, whose jobs run in the database `postgres`.
    pub(crate) fn pg_cron(self) -> Self {
        programs::require_pg_cron();
        self.conf("shared_preload_libraries = 'pg_cron'")
            .conf("cron.database_name = 'postgres'")
            // Otherwise it uses a TCP connection without a password.
            .conf("cron.use_background_workers = on")
            .conf("max_worker_processes = 20")
    }

    /// Uses a separate system identifier. By default all servers of one test process share one, because they are copies
    /// of one prepared folder.
    pub(crate) fn own_identity(mut self) -> Self {
        self.own_identity = true;
        self
    }

    /// PostgreSQL 17 instead of 15.
    pub(crate) fn seventeen(mut self) -> Self {
        self.major = Major::Seventeen;
        self
    }

    /// Prepares and starts the server; returns when it accepts connections.
    pub(crate) async fn start(self) -> PostgresServer {
        let place = Place::new("postgres");
        let data = place.join("data");
        if self.own_identity {
            initdb(self.major, &place, &data).await;
        } else {
            static FIFTEEN: OnceCell<Place> = OnceCell::const_new();
            static SEVENTEEN: OnceCell<Place> = OnceCell::const_new();
            let template = match self.major {
                Major::Fifteen => &FIFTEEN,
                Major::Seventeen => &SEVENTEEN,
            };
            let template = template
                .get_or_init(async || {
                    let template = Place::new("template");
                    initdb(self.major, &template, &template.join("data")).await;
                    template
                })
                .await;
            let mut copy = server_command("cp");
            copy.arg("-r").arg(template.join("data")).arg(&data);
            run(copy).await;
        }
        place.write("data/server.crt", &CERTIFICATES.server);
        place.write("data/server.key", &CERTIFICATES.server_key);
        place.write("data/bench.conf", format!("{SETTINGS}\n{}", self.lines));
        append(&data.join("postgresql.conf"), "include 'bench.conf'\n");
        let mut server = PostgresServer::new(place, self.major);
        server.resume().await;
        server
    }
}

impl PostgresServer {
    /// A primary with the bench's settings: TLS with the tests' certificate, SCRAM on TCP, logical WAL.
    pub(crate) async fn start() -> Self {
        Self::options().start().await
    }

    /// Options for a primary with other settings.
    pub(crate) fn options() -> PostgresOptions {
        PostgresOptions::default()
    }

    /// A hot standby that streams from this server, through a separate slot.
    pub(crate) async fn standby(&self) -> Self {
        let standby = Self::new(Place::new("postgres"), self.major);
        let mut copy = server_command(programs::postgres(self.major, "pg_basebackup"));
        copy.arg("--host").arg(self.place.path()).args(["--port", &self.port.to_string(), "--username", ADMIN]);
        copy.arg("--pgdata").arg(standby.data());
        copy.args(["--wal-method=stream", "--checkpoint=fast", "--no-sync", "--write-recovery-conf"]);
        copy.args(["--create-slot", "--slot", &format!("standby_{}", standby.port)]);
        run(copy).await;
        let mut standby = standby;
        standby.resume().await;
        standby
    }

    fn new(place: Place, major: Major) -> Self {
        for (name, content) in [("ca.pem", &CERTIFICATES.authority), ("wrong-ca.pem", &CERTIFICATES.wrong_authority)] {
            place.write(name, content);
        }
        Self { process: None, place, port: ports::free(), major }
    }

    // --- addresses and files

    /// Its port on 127.0.0.1 (the certificate also covers `localhost`).
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The address of the database `postgres` for this user.
    pub(crate) fn url(&self, user: &str, password: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/postgres", self.port)
    }

    /// The superuser's address.
    pub(crate) fn admin_url(&self) -> String {
        self.url(ADMIN, ADMIN_PASSWORD)
    }

    /// The folder of its Unix socket, which trusts every local user.
    pub(crate) fn socket_folder(&self) -> &Path {
        self.place.path()
    }

    /// The certificate of the authority that signed the server's.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.place.join("ca.pem")
    }

    /// The certificate of an authority that did not sign the server's.
    pub(crate) fn wrong_ca_file(&self) -> PathBuf {
        self.place.join("wrong-ca.pem")
    }

    /// Its data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.place.join("data")
    }

    /// The file it logs to.
    pub(crate) fn log_file(&self) -> PathBuf {
        self.place.join("server.log")
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log_file()).unwrap()).into_owned()
    }

    // --- queries and commands

    /// A superuser's session, e.g. to hold a lock in.
    pub(crate) async fn connect(&self) -> PgConnection {
        self.connect_as(ADMIN, ADMIN_PASSWORD).await.unwrap_or_else(|error| panic!("cannot connect: {error}"))
    }

    /// A session of any user in the database `postgres`, without TLS.
    pub(crate) async fn connect_as(&self, user: &str, password: &str) -> Result<PgConnection, sqlx::Error> {
        connect(self.port, user, password).await
    }

    /// A superuser's session in another database.
    pub(crate) async fn connect_to(&self, database: &str) -> PgConnection {
        let connected = connect_to(database, self.port, ADMIN, ADMIN_PASSWORD).await;
        connected.unwrap_or_else(|error| panic!("cannot connect to {database}: {error}"))
    }

    /// Runs statements as the superuser (several in one string are one transaction).
    pub(crate) async fn execute(&self, sql: &str) {
        execute(&mut self.connect().await, sql).await;
    }

    /// The rows of a query, every column as PostgreSQL writes it out.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        rows(&mut self.connect().await, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The one value of a query, as PostgreSQL writes it out; `None` for NULL or no row.
    pub(crate) async fn value(&self, sql: &str) -> Option<String> {
        self.rows(sql).await.into_iter().next().and_then(|row| row.into_iter().next()).flatten()
    }

    /// The one number of a query.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let value = self.value(sql).await.unwrap_or_else(|| panic!("{sql}: no value"));
        value.parse().unwrap_or_else(|_| panic!("{sql}: {value} is not a whole number"))
    }

    /// Sets a server setting (`ALTER SYSTEM`) and waits until new sessions have it; `value` as SQL, quotes included.
    pub(crate) async fn set(&self, setting: &str, value: &str) {
        execute(&mut self.connect().await, &format!("ALTER SYSTEM SET {setting} = {value}")).await;
        self.reload().await;
    }

    /// Makes the server read its files again, and waits until new sessions see the result.
    pub(crate) async fn reload(&self) {
        let mut session = self.connect().await;
        let loaded = "SELECT pg_conf_load_time()";
        let before = rows(&mut session, loaded).await.unwrap();
        execute(&mut session, "SELECT pg_reload_conf()").await;
        eventually(QUERY_DEADLINE, "the configuration to be loaded", async || {
            let now = rows(&mut self.connect().await, loaded).await.map_err(|error| error.to_string())?;
            if now == before { Err("the old one is in force".to_owned()) } else { Ok(()) }
        })
        .await;
    }

    /// Waits until this standby has replayed everything that `primary` has written so far.
    pub(crate) async fn catch_up_with(&self, primary: &Self) {
        let goal = primary.value("SELECT pg_current_wal_lsn()").await.unwrap();
        eventually(secs(20), format!("the standby to replay up to {goal}"), async || {
            let row =
                self.rows(&format!("SELECT pg_last_wal_replay_lsn(), pg_last_wal_replay_lsn() >= '{goal}'")).await;
            if row[0][1].as_deref() == Some("t") { Ok(()) } else { Err(format!("it is at {:?}", row[0][0])) }
        })
        .await;
    }

    // --- stops and faults

    /// A clean, quick end (`fast`): sessions end with 57P01. A streaming standby receives everything first.
    pub(crate) async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.end(Signal::INT, START_DEADLINE).await;
        }
    }

    /// A power cut: all its processes are killed at once.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await;
        }
    }

    /// Starts it again after [`stop`](Self::stop) or [`kill`](Self::kill), on the same port.
    pub(crate) async fn resume(&mut self) {
        assert!(self.process.is_none(), "the server is running");
        let mut command = server_command(programs::postgres(self.major, "postgres"));
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        command.arg("-k").arg(self.place.path());
        let name = format!("PostgreSQL on port {}", self.port);
        let mut process = Process::start(&name, command, &self.data(), &self.log_file(), Signal::QUIT);
        eventually(START_DEADLINE, format!("{name} to start"), async || {
            process.expect_running();
            connect(self.port, ADMIN, ADMIN_PASSWORD).await.map(|_| ())
        })
        .await;
        self.process = Some(process);
    }

    /// [`stop`](Self::stop), then [`resume`](Self::resume).
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.resume().await;
    }

    /// Stops all its processes: connections stay open, no answer comes.
    pub(crate) fn freeze(&self) {
        self.running().freeze();
    }

    /// Resumes a frozen server.
    pub(crate) fn thaw(&self) {
        self.running().thaw();
    }

    /// Makes this standby the primary of a new timeline.
    pub(crate) async fn promote(&self) {
        self.execute("SELECT pg_promote(wait => true, wait_seconds => 20)").await;
        assert_eq!(self.value("SELECT pg_is_in_recovery()").await.as_deref(), Some("f"));
    }

    /// Restarts this primary as a standby without a server to stream from: read-only until [`promote`](Self::promote).
    pub(crate) async fn demote(&mut self) {
        self.stop().await;
        self.write_standby_settings("");
        self.resume().await;
    }

    /// Restarts this server as a standby of `primary`. A former primary can follow if it was stopped cleanly before
    /// `primary` was promoted.
    pub(crate) async fn follow(&mut self, primary: &Self) {
        self.stop().await;
        let host = primary.place.path().display();
        self.write_standby_settings(&format!("host={host} port={} user={ADMIN}", primary.port));
        self.resume().await;
    }

    fn write_standby_settings(&self, conninfo: &str) {
        self.place.write("data/standby.signal", "");
        // The last line wins; the slot of its earlier configuration belongs to another primary.
        let lines = format!("primary_conninfo = '{conninfo}'\nprimary_slot_name = ''\n");
        append(&self.data().join("postgresql.auto.conf"), &lines);
    }

    fn running(&self) -> &Process {
        self.process.as_ref().expect("the server is stopped")
    }
}

async fn initdb(major: Major, place: &Place, data: &Path) {
    let password = place.write("admin-password", ADMIN_PASSWORD);
    let mut command = server_command(programs::postgres(major, "initdb"));
    command.arg("--pgdata").arg(data).args(["--username", ADMIN]).arg("--pwfile").arg(password);
    command.args(["--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"]);
    command.args(["--no-sync", "--no-instructions"]);
    run(command).await;
}

fn append(path: &Path, lines: &str) {
    let mut text = std::fs::read_to_string(path).unwrap();
    text.push_str(lines);
    std::fs::write(path, text).unwrap();
}
