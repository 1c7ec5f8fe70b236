//! Throw-away MongoDB servers: standalone, and in replica sets.

mod client;
mod replica_set;

use std::path::PathBuf;
use std::time::Duration;

use mongodb::bson::{Document, doc};
use rustix::process::Signal;
use tokio::sync::OnceCell;
use tokio::time::timeout;

pub(crate) use client::Admin;
pub(crate) use replica_set::ReplicaSet;

use super::place::{Place, server_command};
use super::ports;
use super::process::Process;
use super::programs;
use super::tls::CERTIFICATES;
use super::wait::{eventually, secs};

/// The administrator in the database `admin`, with all privileges, and its password.
pub(crate) const ADMIN: &str = "admin";
/// See [`ADMIN`].
pub(crate) const ADMIN_PASSWORD: &str = "admin-password";

const START_DEADLINE: Duration = secs(30);
/// The key with which the members of a set authenticate each other.
const KEY: &str = "heartbeatdTestsKeyOfTheReplicaSets";

/// Which MongoDB.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MongoVersion {
    #[default]
    Six,
    /// The oldest version still in use.
    FourFour,
}

/// One server; dropping it stops it and removes its folder.
#[derive(Debug)]
pub(crate) struct MongoServer {
    // Before `place`: the server ends before its folder is removed.
    process: Option<Process>,
    place: Place,
    port: u16,
    options: MongoOptions,
    admin: OnceCell<Admin>,
    anybody: OnceCell<Admin>,
}

/// The options of a server; see [`MongoServer::options`] and [`ReplicaSet::options`].
#[derive(Debug, Default, Clone)]
pub(crate) struct MongoOptions {
    version: MongoVersion,
    arguments: Vec<String>,
    set: Option<&'static str>,
}

impl MongoOptions {
    /// MongoDB 4.4 instead of 6.0.
    pub(crate) fn four_four(mut self) -> Self {
        self.version = MongoVersion::FourFour;
        self
    }

    /// Adds an option of the server's command line, e.g. `--oplogMinRetentionHours=50`; it overrides the bench's own.
    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Lets tests set fail points.
    pub(crate) fn fail_points(self) -> Self {
        self.argument("--setParameter=enableTestCommands=1")
    }

    fn member_of(mut self, set: &'static str) -> Self {
        self.set = Some(set);
        self
    }

    /// Starts a standalone server, with its administrator.
    pub(crate) async fn start(self) -> MongoServer {
        let server = self.start_bare().await;
        server.create_admin().await;
        server
    }

    /// Starts a server without users.
    async fn start_bare(self) -> MongoServer {
        let mut server = MongoServer::prepare(self);
        server.resume().await;
        server
    }
}

impl MongoServer {
    /// Options for a standalone server: users must log in; TLS is offered but not required.
    pub(crate) fn options() -> MongoOptions {
        MongoOptions::default()
    }

    fn prepare(options: MongoOptions) -> Self {
        let place = Place::new("mongo");
        place.write("key", KEY);
        place.write("ca.pem", &CERTIFICATES.authority);
        place.write("wrong-ca.pem", &CERTIFICATES.wrong_authority);
        place.write("server.pem", format!("{}{}", CERTIFICATES.server_key, CERTIFICATES.server));
        place.folder("data");
        let (admin, anybody) = Default::default();
        Self { process: None, place, port: ports::free(), options, admin, anybody }
    }

    // --- addresses and files

    /// Its port on 127.0.0.1 (the certificate also covers `localhost`).
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:PORT`, which is also its name in its set.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The address of this server alone for a user of `admin`.
    pub(crate) fn url(&self, user: &str, password: &str) -> String {
        format!("mongodb://{user}:{password}@{}/?directConnection=true", self.host())
    }

    /// The administrator's address.
    pub(crate) fn admin_url(&self) -> String {
        self.url(ADMIN, ADMIN_PASSWORD)
    }

    /// The certificate of the authority that signed the server's.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.place.join("ca.pem")
    }

    /// The certificate of an authority that did not sign the server's.
    pub(crate) fn wrong_ca_file(&self) -> PathBuf {
        self.place.join("wrong-ca.pem")
    }

    /// Its log so far: one JSON document per line.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.place.join("server.log")).unwrap()).into_owned()
    }

    // --- queries and commands

    /// An administrator's client of this server alone.
    pub(crate) async fn admin(&self) -> &Admin {
        self.admin.get_or_init(async || Admin::of(&self.admin_url()).await).await
    }

    /// A client of this server alone that does not log in.
    async fn anybody(&self) -> &Admin {
        let address = format!("mongodb://{}/?directConnection=true", self.host());
        self.anybody.get_or_init(async || Admin::of(&address).await).await
    }

    /// Runs a command on a database as the administrator; returns its answer.
    pub(crate) async fn run(&self, database: &str, command: Document) -> Document {
        self.admin().await.run(database, command).await
    }

    /// The server's answer to `hello`, without a login, if it answers at once.
    pub(crate) async fn hello(&self) -> Result<Document, String> {
        let question = async { self.anybody().await.try_run("admin", doc! { "hello": 1 }).await };
        let answer = timeout(secs(1), question).await.map_err(|_| "no answer".to_owned())?;
        answer.map_err(|error| error.to_string())
    }

    /// Whether it accepts writes.
    pub(crate) async fn is_primary(&self) -> bool {
        self.process.is_some()
            && self.hello().await.is_ok_and(|hello| hello.get_bool("isWritablePrimary").unwrap_or(false))
    }

    /// Creates the administrator, which MongoDB allows from the same machine while there are no users.
    async fn create_admin(&self) {
        let user =
            doc! { "createUser": ADMIN, "pwd": ADMIN_PASSWORD, "roles": ["root"], "mechanisms": ["SCRAM-SHA-256"] };
        self.anybody().await.run("admin", user).await;
    }

    // --- stops and faults

    /// A clean end.
    pub(crate) async fn stop(&mut self) {
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

    /// Restarts a standalone server with the name of a replica set in its configuration; the set still has to be
    /// initiated.
    pub(crate) async fn restart_for_set(&mut self) {
        self.stop().await;
        self.options.set = Some(replica_set::SET);
        self.resume().await;
    }

    /// Starts it again after [`stop`](Self::stop) or [`kill`](Self::kill), on the same port.
    pub(crate) async fn resume(&mut self) {
        assert!(self.process.is_none(), "the server is running");
        let name = format!("mongod on port {}", self.port);
        // If dropped, it may leave its files, which are removed anyway.
        let mut process =
            Process::start(&name, self.command(), self.place.path(), &self.place.join("server.log"), Signal::KILL);
        eventually(START_DEADLINE, format!("{name} to start"), async || {
            process.expect_running();
            self.hello().await
        })
        .await;
        self.process = Some(process);
    }

    fn command(&self) -> std::process::Command {
        let Self { port, options, place, .. } = self;
        let mut command = server_command(programs::mongod(options.version));
        let path = |name: &str| place.join(name).display().to_string();
        command.args([
            format!("--dbpath={}", path("data")),
            format!("--port={port}"),
            "--bind_ip=127.0.0.1".to_owned(),
        ]);
        command.args(["--nounixsocket", "--oplogSize=64", "--wiredTigerCacheSizeGB=0.25", "--tlsMode=preferTLS"]);
        command
            .args(["--tlsAllowConnectionsWithoutCertificates", "--setParameter=diagnosticDataCollectionEnabled=false"]);
        command.args([
            format!("--tlsCertificateKeyFile={}", path("server.pem")),
            format!("--tlsCAFile={}", path("ca.pem")),
        ]);
        if options.version != MongoVersion::FourFour {
            // Otherwise a primary that is asked to end waits up to fifteen seconds for an election.
            command.arg("--setParameter=shutdownTimeoutMillisForSignaledShutdown=100");
        }
        match options.set {
            Some(set) => command.arg(format!("--replSet={set}")).arg(format!("--keyFile={}", path("key"))),
            None => command.arg("--auth"),
        };
        command.args(&options.arguments);
        command
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
