//! Throw-away MariaDB and MySQL servers.

mod binlog;
mod client;
mod flavour;
mod galera;
mod group;
mod log;
mod replication;
pub(crate) mod session;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use sqlx::Connection;
use sqlx::mysql::MySqlConnection;

pub(crate) use client::mysql_client;
pub(crate) use flavour::Flavour;
pub(crate) use galera::Galera;

use super::place::{Place, server_command};
use super::ports;
use super::process::{Process, run};
use super::tls::CERTIFICATES;
use super::wait::{eventually, secs};
use session::{connect, rows};

/// The user with all privileges, from every host and over the socket, and its password. Replicas log in as this user
/// too.
pub(crate) const ADMIN: &str = "admin";
/// See [`ADMIN`].
pub(crate) const ADMIN_PASSWORD: &str = "admin-password";

const START_DEADLINE: Duration = secs(30);

const SETTINGS: &str = "
bind_address = 127.0.0.1
log_bin = binlog
binlog_row_image = FULL
max_connections = 100
table_open_cache = 200
performance_schema = OFF
# What is written survives the end of the process, and nothing here outlives the test: no need to wait for a disk.
sync_binlog = 0
innodb_flush_log_at_trx_commit = 2
";

/// One server; dropping it stops it and removes its folder.
#[derive(Debug)]
pub(crate) struct MysqlServer {
    // Before `place`: the server ends before its folder is removed.
    process: Option<Process>,
    place: Place,
    port: u16,
    options: MysqlOptions,
}

/// The options of a server; see [`MysqlServer::options`].
#[derive(Debug, Default, Clone)]
pub(crate) struct MysqlOptions {
    flavour: Flavour,
    lines: String,
    general_log: bool,
    time_zone: Option<String>,
    lower_case_names: bool,
}

impl MysqlOptions {
    /// Debian's MariaDB: the default.
    pub(crate) fn mariadb(self) -> Self {
        self.flavour(Flavour::Mariadb)
    }

    /// MySQL 9 instead of MariaDB.
    pub(crate) fn mysql(self) -> Self {
        self.flavour(Flavour::Mysql)
    }

    /// MySQL 5.7 instead of MariaDB.
    pub(crate) fn mysql57(self) -> Self {
        self.flavour(Flavour::Mysql57)
    }

    /// Chooses the server.
    pub(crate) fn flavour(mut self, flavour: Flavour) -> Self {
        self.flavour = flavour;
        self
    }

    /// Adds a line to the option file's `[mysqld]`, e.g. `skip_ssl`; it overrides the bench's own settings.
    pub(crate) fn conf(mut self, line: &str) -> Self {
        self.lines.push_str(line);
        self.lines.push('\n');
        self
    }

    /// Logs every statement to a file (see [`MysqlServer::statements`]).
    pub(crate) fn general_log(mut self) -> Self {
        self.general_log = true;
        self
    }

    /// Sets the host's time zone as the server sees it, by name: the meaning of `time_zone = SYSTEM`, the default. The
    /// server's own tables of zone names are empty: `conf("default_time_zone = '+02:00'")` accepts only offsets.
    pub(crate) fn system_time_zone(mut self, name: &str) -> Self {
        self.time_zone = Some(name.to_owned());
        self
    }

    /// Keeps names of schemas and tables in lower case and compares them without case: `lower_case_table_names = 1`.
    pub(crate) fn lower_case_names(mut self) -> Self {
        self.lower_case_names = true;
        self.conf("lower_case_table_names = 1")
    }

    /// Prepares and starts the server; returns when it accepts connections.
    pub(crate) async fn start(self) -> MysqlServer {
        let mut server = MysqlServer::prepare(self).await;
        server.resume().await;
        server
    }
}

impl MysqlServer {
    /// A MariaDB with the bench's settings: TLS with the tests' certificate, a binary log of rows, GTIDs.
    pub(crate) async fn start() -> Self {
        Self::options().start().await
    }

    /// Options for a server with other settings.
    pub(crate) fn options() -> MysqlOptions {
        MysqlOptions::default()
    }

    async fn prepare(options: MysqlOptions) -> Self {
        let template = options.flavour.template(options.lower_case_names).await;
        Self::prepare_from(&template, options).await
    }

    /// Prepares a server with a copy of this data folder.
    async fn prepare_from(template: &Path, options: MysqlOptions) -> Self {
        let place = Place::new(options.flavour.name());
        let data = place.join("data");
        let mut copy = server_command("cp");
        copy.arg("-r").arg(template).arg(&data);
        run(copy).await;
        for (name, content) in [
            ("ca.pem", &CERTIFICATES.authority),
            ("wrong-ca.pem", &CERTIFICATES.wrong_authority),
            ("server.crt", &CERTIFICATES.server),
            ("server.key", &CERTIFICATES.server_key),
        ] {
            place.write(name, content);
        }
        let server = Self { process: None, place, port: ports::free(), options };
        server.place.write("server.cnf", server.settings());
        server.write_role(false);
        server
    }

    fn settings(&self) -> String {
        let Self { port, options, place, .. } = self;
        let home = place.path().display();
        let general_log = if options.general_log { "ON" } else { "OFF" };
        format!(
            "[mysqld]\n{disk}\n{SETTINGS}\n{flavour}
            server_id = {port}
            port = {port}
            report_host = 127.0.0.1
            report_port = {port}
            socket = {home}/server.sock
            datadir = {home}/data
            tmpdir = {home}
            pid_file = {home}/server.pid
            general_log = {general_log}
            general_log_file = {home}/general.log
            ssl_ca = {home}/ca.pem
            ssl_cert = {home}/server.crt
            ssl_key = {home}/server.key
            !include {home}/role.cnf
            [mysqld]
            {lines}",
            disk = options.flavour.disk_settings(),
            flavour = options.flavour.settings(),
            lines = options.lines,
        )
        .replace("            ", "")
    }

    // --- addresses and files

    /// Which server it is.
    pub(crate) fn flavour(&self) -> Flavour {
        self.options.flavour
    }

    /// Its port on 127.0.0.1 (the certificate also covers `localhost`).
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The address for this user: `mariadb://` or `mysql://`, without a database.
    pub(crate) fn url(&self, user: &str, password: &str) -> String {
        format!("{}://{user}:{password}@127.0.0.1:{}", self.options.flavour.scheme(), self.port)
    }

    /// The administrator's address.
    pub(crate) fn admin_url(&self) -> String {
        self.url(ADMIN, ADMIN_PASSWORD)
    }

    /// Its Unix socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.place.join("server.sock")
    }

    /// The certificate of the authority that signed the server's.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.place.join("ca.pem")
    }

    /// The certificate of an authority that did not sign the server's.
    pub(crate) fn wrong_ca_file(&self) -> PathBuf {
        self.place.join("wrong-ca.pem")
    }

    /// Its data folder, which also holds the binary logs.
    pub(crate) fn data(&self) -> PathBuf {
        self.place.join("data")
    }

    /// The file it logs errors to.
    pub(crate) fn log_file(&self) -> PathBuf {
        self.place.join("server.log")
    }

    /// Its error log so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log_file()).unwrap()).into_owned()
    }

    // --- queries and commands

    /// An administrator's session, e.g. to hold a lock in.
    pub(crate) async fn connect(&self) -> MySqlConnection {
        self.connect_as(ADMIN, ADMIN_PASSWORD).await.unwrap_or_else(|error| panic!("cannot connect: {error}"))
    }

    /// A session of any user without a database; with TLS only if the login requires it (MySQL 9).
    pub(crate) async fn connect_as(&self, user: &str, password: &str) -> Result<MySqlConnection, sqlx::Error> {
        connect(self.options.flavour, self.port, user, password).await
    }

    /// Runs statements as the administrator.
    pub(crate) async fn execute(&self, sql: &str) {
        self.rows(sql).await;
    }

    /// The rows of a query, every column as the server writes it out.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let mut session = self.connect().await;
        let answer = rows(&mut session, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        // Closed properly, because a session that just ends is logged as aborted.
        session.close().await.unwrap();
        answer
    }

    /// The one value of a query, as the server writes it out; `None` for NULL or no row.
    pub(crate) async fn value(&self, sql: &str) -> Option<String> {
        self.rows(sql).await.into_iter().next().and_then(|row| row.into_iter().next()).flatten()
    }

    /// The one number of a query.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let value = self.value(sql).await.unwrap_or_else(|| panic!("{sql}: no value"));
        value.parse().unwrap_or_else(|_| panic!("{sql}: {value} is not a whole number"))
    }

    /// Sets a global variable until the server ends; `value` as SQL, quotes included. Open sessions may keep their own
    /// value.
    pub(crate) async fn set_global(&self, name: &str, value: &str) {
        self.execute(&format!("SET GLOBAL {name} = {value}")).await;
    }

    // --- stops and faults

    /// A clean shutdown. It does not wait until replicas have received everything: see
    /// [`catch_up_with`](Self::catch_up_with).
    pub(crate) async fn stop(&mut self) {
        if self.process.is_some() {
            self.dismiss_replicas().await;
        }
        if let Some(mut process) = self.process.take() {
            process.end(Signal::TERM, START_DEADLINE).await;
        }
    }

    /// A power cut: the process is killed at once.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await;
        }
    }

    /// Starts it again after [`stop`](Self::stop) or [`kill`](Self::kill), on the same port.
    pub(crate) async fn resume(&mut self) {
        self.resume_with(&[]).await;
    }

    async fn resume_with(&mut self, arguments: &[&str]) {
        assert!(self.process.is_none(), "the server is running");
        let flavour = self.options.flavour;
        let mut command = server_command(flavour.server_program());
        command.arg(defaults_file(&self.place.join("server.cnf"))).args(arguments);
        if let Some(zone) = &self.options.time_zone {
            command.env("TZ", zone);
        }
        let name = format!("{flavour:?} on port {}", self.port);
        // If dropped, it may leave its files, which are removed anyway.
        let mut process = Process::start(&name, command, self.place.path(), &self.log_file(), Signal::KILL);
        eventually(START_DEADLINE, format!("{name} to start"), async || {
            process.expect_running();
            connect(flavour, self.port, ADMIN, ADMIN_PASSWORD).await.map(|_| ())
        })
        .await;
        self.process = Some(process);
    }

    /// [`stop`](Self::stop), then [`resume`](Self::resume).
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.resume().await;
    }

    /// Stops all its threads: connections stay open, no answer comes.
    pub(crate) fn freeze(&self) {
        self.running().freeze();
    }

    /// Resumes a frozen server.
    pub(crate) fn thaw(&self) {
        self.running().thaw();
    }

    fn running(&self) -> &Process {
        self.process.as_ref().expect("the server is stopped")
    }
}

/// The option that names the only file to read options from; it must be a program's first.
fn defaults_file(path: &Path) -> String {
    format!("--defaults-file={}", path.display())
}
