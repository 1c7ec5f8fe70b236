//! Sets up a healthy source and a connector that reads its slot, and inspects the source.

use std::time::Duration;

use heartbeatd::driver::Purpose;
use heartbeatd::finding::Finding;
use heartbeatd::provisioning::provision;
use heartbeatd::remedy::{Remedy, Script};
use heartbeatd::target::{ConnectorMode, Endpoint, Named, Target};
use rustix::process::Signal;

use crate::bench::driver::{in_time, open_over};
pub(super) use crate::bench::findings::{ids, judge, look, shown, statements, wrong};
use crate::bench::place::server_command;
use crate::bench::postgres::PostgresOptions;
use crate::bench::process::Process;
use crate::bench::seeded_faults::{self, naming_the_table};
use crate::bench::session::execute;
use crate::bench::{PostgresServer, eventually, programs, secs};

pub(super) const TABLE: &str = "streamkap.streamkap_heartbeat";
/// A beat as heartbeatd writes it.
pub(super) const BEAT: &str =
    "UPDATE streamkap.streamkap_heartbeat SET last_update = clock_timestamp() AT TIME ZONE 'UTC' WHERE id = 1";
const TIME: Duration = secs(10);

/// A server, and the target that is checked on it.
pub(super) struct Stage {
    // Declared before the server, because it would fail if the server ended first.
    reader: Option<Process>,
    pub(super) server: PostgresServer,
    pub(super) target: Target,
    /// How remedies are pasted.
    pub(super) how: Paste,
}

/// A server's options, with every setting as the checks require it.
pub(super) fn options() -> PostgresOptions {
    PostgresServer::options()
        .conf("max_slot_wal_keep_size = 2GB")
        .conf("wal_sender_timeout = 0")
        .conf("archive_mode = on")
        .conf("archive_command = 'true'")
}

impl Stage {
    /// A healthy source: role `hb` for heartbeatd, which may also see others' sessions; role `cdc`, publication `pub`
    /// and slot `cdc_slot` for the connector, which is connected.
    pub(super) async fn set() -> Self {
        Self::on(options().start().await).await
    }

    /// As [`set`](Self::set), on this server.
    pub(super) async fn on(server: PostgresServer) -> Self {
        server
            .execute("CREATE ROLE hb LOGIN PASSWORD 'hb'; CREATE ROLE cdc LOGIN REPLICATION; GRANT pg_monitor TO hb")
            .await;
        server.execute("CREATE TABLE other (id int PRIMARY KEY); CREATE PUBLICATION pub FOR TABLE other").await;
        // The connector reads another publication here, because a broken one would end it.
        server.execute("CREATE PUBLICATION reader FOR TABLE other").await;
        server.execute("SELECT pg_create_logical_replication_slot('cdc_slot', 'pgoutput')").await;
        let mut target = Target::new("orders", Endpoint::parse(&server.url("hb", "hb")).unwrap());
        target.connector.user = Named::configured("cdc");
        target.connector.set_name("publication", "pub");
        target.connector.set_name("slot", "cdc_slot");
        target.connector.mode = ConnectorMode::ReadWrite;
        let mut stage = Self { reader: None, server, target, how: Paste::StatementByStatement };
        stage.provision().await;
        stage.server.execute(BEAT).await;
        stage.connect_reader().await;
        stage
    }

    /// The target as the superuser sees it.
    pub(super) fn as_admin(&self) -> Target {
        Target { endpoint: Endpoint::parse(&self.server.admin_url()).unwrap(), ..self.target.clone() }
    }

    /// Provisions as the superuser, for `hb`.
    pub(super) async fn provision(&self) {
        let mut session = open_over(&self.server.admin_url(), &self.target, Purpose::Provision).await;
        let applied = provision(session.as_mut(), in_time()).await.unwrap();
        assert!(applied.failed.is_empty(), "{:?}", applied.failed);
    }

    /// Starts the connector and waits until the server shows that it reads its slot.
    pub(super) async fn connect_reader(&mut self) {
        let mut command = server_command(programs::postgres(programs::Major::Fifteen, "pg_recvlogical"));
        command.arg("--host").arg(self.server.socket_folder()).args(["--port", &self.server.port().to_string()]);
        command.args(["--username", crate::bench::postgres::ADMIN, "--dbname", "postgres", "--slot", "cdc_slot"]);
        command.args(["--start", "--file", "/dev/null", "--status-interval", "1", "--fsync-interval", "1"]);
        command.args(["--option", "proto_version=1", "--option", "publication_names=reader"]);
        let log = self.server.socket_folder().join("reader.log");
        self.reader = Some(Process::start("pg_recvlogical", command, self.server.socket_folder(), &log, Signal::INT));
        self.slot_is("t").await;
    }

    /// Ends the connector and waits until the server no longer shows it.
    pub(super) async fn disconnect_reader(&mut self) {
        if let Some(mut reader) = self.reader.take() {
            reader.end(Signal::INT, TIME).await;
        }
        self.slot_is("f").await;
    }

    /// The connector's process, which a test can freeze.
    pub(super) fn reader(&self) -> &Process {
        self.reader.as_ref().unwrap()
    }

    async fn slot_is(&self, active: &str) {
        eventually(TIME, format!("the slot's active to be {active}"), async || {
            let sql = "SELECT active FROM pg_replication_slots WHERE slot_name = 'cdc_slot'";
            let now = self.server.value(sql).await;
            if now.as_deref() == Some(active) { Ok(()) } else { Err(format!("{now:?}")) }
        })
        .await;
    }

    /// Inspects and judges.
    pub(super) async fn findings(&self, target: &Target) -> Vec<Finding> {
        judge(target, &look(target).await, None)
    }

    /// Waits until nothing fails and nothing is unknown.
    pub(super) async fn all_is_well(&self, target: &Target, after: &str) {
        seeded_faults::all_is_well(self, target, after).await;
    }

    /// Pastes a remedy as a superuser would.
    pub(super) async fn paste(&self, remedy: &Remedy) {
        paste_on(&self.server, remedy, self.how).await;
    }
}

impl seeded_faults::Stage for Stage {
    fn target(&self) -> &Target {
        &self.target
    }

    /// Runs them one by one, because some are refused inside a transaction. New settings take effect.
    async fn run(&self, sql: &str) {
        let statements: Vec<&str> = if sql.contains("$$") { vec![sql] } else { sql.split("; ").collect() };
        for statement in statements.into_iter().filter(|statement| !statement.is_empty()) {
            self.server.execute(&naming_the_table(statement, TABLE)).await;
        }
        if sql.starts_with("ALTER SYSTEM") {
            self.server.execute("SELECT pg_reload_conf()").await;
        }
    }

    async fn paste(&self, remedy: &Remedy) {
        if remedy.to_string().starts_with("heartbeatd provision") {
            return self.provision().await;
        }
        self.paste(remedy).await;
    }

    async fn wrong(&self, target: &Target) -> Vec<Finding> {
        wrong(&self.findings(target).await)
    }

    async fn beat(&self) {
        self.server.execute(BEAT).await;
    }
}

/// How a remedy is pasted: statement by statement like `psql`, or all at once like some other tools.
#[derive(Debug, Clone, Copy)]
pub(super) enum Paste {
    StatementByStatement,
    AsOneMessage,
}

/// Pastes a remedy into a server as a superuser would, and then follows its note.
pub(super) async fn paste_on(server: &PostgresServer, remedy: &Remedy, how: Paste) {
    let mut session = server.connect().await;
    match how {
        Paste::AsOneMessage => execute(&mut session, remedy.script().unwrap().text()).await,
        Paste::StatementByStatement => {
            for statement in statements(remedy) {
                execute(&mut session, &statement).await;
            }
        }
    }
    let note = remedy.script().and_then(Script::note).unwrap_or_default();
    if note.contains("SELECT pg_reload_conf()") {
        execute(&mut session, "SELECT pg_reload_conf()").await;
    }
}
