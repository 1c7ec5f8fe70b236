//! Sets up a healthy source and a connector that reads its binary log, and inspects the source.

use std::time::Duration;

use heartbeatd::finding::{Finding, Status};
use heartbeatd::remedy::Remedy;
use heartbeatd::target::{ConnectorMode, Endpoint, Named, Target};
use rustix::process::Signal;

use crate::bench::findings;
use crate::bench::findings::statements;
pub(super) use crate::bench::findings::{judge, look, shown};
use crate::bench::mysql::session::{execute, gone};
use crate::bench::mysql::{Flavour, MysqlOptions};
use crate::bench::place::server_command;
use crate::bench::process::Process;
use crate::bench::seeded_faults::{self, naming_the_table};
use crate::bench::{MysqlServer, eventually, programs, secs};

pub(super) const TABLE: &str = "streamkap.streamkap_heartbeat";
/// A beat, as far as it changes the row.
pub(super) const BEAT: &str = "UPDATE streamkap.streamkap_heartbeat SET last_update = CURRENT_TIMESTAMP WHERE id = 1";
const TIME: Duration = secs(10);

/// A server, and the target that is checked on it.
pub(super) struct Stage {
    // Declared before the server, because it would fail if the server ended first.
    reader: Option<Process>,
    pub(super) server: MysqlServer,
    pub(super) target: Target,
}

/// A server's options, with every setting as the checks require it.
pub(super) fn options(flavour: Flavour) -> MysqlOptions {
    let options = MysqlServer::options().flavour(flavour);
    match flavour {
        Flavour::Mariadb | Flavour::Mysql => options.conf("binlog_expire_logs_seconds = 2592000"),
        Flavour::Mysql57 => options.conf("expire_logs_days = 30"),
    }
}

impl Stage {
    /// A healthy source: user `hb` for heartbeatd, which may also see what the checks query; user `cdc` for the
    /// connector, which is connected.
    pub(super) async fn set(flavour: Flavour) -> Self {
        Self::on(options(flavour).start().await).await
    }

    /// As [`set`](Self::set), on this server.
    pub(super) async fn on(server: MysqlServer) -> Self {
        let mut stage = Self::unread(server).await;
        stage.connect_reader().await;
        stage
    }

    /// As [`on`](Self::on), without a connected connector.
    pub(super) async fn unread(server: MysqlServer) -> Self {
        for statement in [
            "CREATE DATABASE streamkap",
            "CREATE TABLE streamkap.streamkap_heartbeat (id INT AUTO_INCREMENT PRIMARY KEY, text TEXT, \
             last_update TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP)",
            "INSERT INTO streamkap.streamkap_heartbeat (id, text) VALUES (1, 'test_heartbeat')",
            "CREATE USER hb@'%' IDENTIFIED BY 'hb'",
            "GRANT SELECT, INSERT, UPDATE ON streamkap.streamkap_heartbeat TO hb@'%'",
            "GRANT EVENT ON streamkap.* TO hb@'%'",
            "GRANT SELECT ON mysql.* TO hb@'%'",
            "GRANT PROCESS, REPLICATION CLIENT, SHOW VIEW ON *.* TO hb@'%'",
            "CREATE USER cdc@'%' IDENTIFIED BY 'cdc'",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON streamkap.streamkap_heartbeat TO cdc@'%'",
            "GRANT REPLICATION SLAVE, REPLICATION CLIENT, RELOAD, SHOW DATABASES ON *.* TO cdc@'%'",
        ] {
            server.execute(statement).await;
        }
        if server.flavour() == Flavour::Mariadb {
            server.execute("GRANT SLAVE MONITOR ON *.* TO hb@'%'").await;
        }
        let mut target = Target::new("orders", Endpoint::parse(&server.url("hb", "hb")).unwrap());
        target.connector.user = Named::configured("cdc");
        target.connector.mode = ConnectorMode::ReadWrite;
        Self { reader: None, server, target }
    }

    /// The target as the administrator sees it.
    pub(super) fn as_admin(&self) -> Target {
        Target { endpoint: Endpoint::parse(&self.server.admin_url()).unwrap(), ..self.target.clone() }
    }

    /// Starts the connector and waits until the server shows it as a reader.
    pub(super) async fn connect_reader(&mut self) {
        let mut command = match self.server.flavour() {
            // MariaDB's program cannot read from MySQL 9. MySQL's own program needs its own libraries.
            Flavour::Mysql => {
                let home = programs::mysql("mysql-9");
                let mut command = server_command(home.join("lib64/ld-linux-x86-64.so.2"));
                command.arg("--library-path").arg(home.join("lib/x86_64-linux-gnu")).arg(home.join("bin/mysqlbinlog"));
                command
            }
            Flavour::Mariadb | Flavour::Mysql57 => server_command(programs::mariadb("mariadb-binlog")),
        };
        let folder = self.server.socket().parent().unwrap().to_owned();
        command.args(["--no-defaults", "--read-from-remote-server", "--stop-never", "--raw"]);
        command.args(["--host=127.0.0.1", "--user=cdc", "--password=cdc"]);
        command.arg(format!("--port={}", self.server.port()));
        command.arg(format!("--result-file={}/read-", folder.display()));
        command.arg("binlog.000001");
        self.reader = Some(Process::start("the reader", command, &folder, &folder.join("reader.log"), Signal::TERM));
        eventually(TIME, "the reader of the binary log", async || {
            let now = self.readers().await;
            if now == 1 { Ok(()) } else { Err(format!("{now}")) }
        })
        .await;
    }

    /// Ends the connector and waits until the server no longer shows it.
    pub(super) async fn disconnect_reader(&mut self) {
        if let Some(mut reader) = self.reader.take() {
            reader.end(Signal::KILL, TIME).await;
        }
        eventually(TIME, "the reader of the binary log to be gone", async || {
            // The server notices it when it sends something, the second time at the latest.
            self.server.execute("UPDATE streamkap.streamkap_heartbeat SET text = UUID()").await;
            let now = self.readers().await;
            if now == 0 { Ok(()) } else { Err(format!("{now}")) }
        })
        .await;
    }

    async fn readers(&self) -> i64 {
        let sql =
            "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%' AND USER = 'cdc'";
        self.server.number(sql).await
    }

    /// Inspects and judges.
    pub(super) async fn findings(&self, target: &Target) -> Vec<Finding> {
        judge(target, &look(target).await, None)
    }

    /// Waits until nothing fails and nothing is unknown.
    pub(super) async fn all_is_well(&self, target: &Target, after: &str) {
        seeded_faults::all_is_well(self, target, after).await;
    }

    /// Pastes a remedy as an administrator would.
    pub(super) async fn paste(&self, remedy: &Remedy) {
        paste(&self.server, remedy).await;
    }
}

impl seeded_faults::Stage for Stage {
    fn target(&self) -> &Target {
        &self.target
    }

    fn flavour(&self) -> Option<Flavour> {
        Some(self.server.flavour())
    }

    /// Runs them one by one in one session.
    async fn run(&self, sql: &str) {
        let mut session = self.server.connect().await;
        for statement in sql.split("; ").filter(|statement| !statement.is_empty()) {
            execute(&mut session, &naming_the_table(statement, TABLE)).await;
        }
    }

    async fn paste(&self, remedy: &Remedy) {
        paste(&self.server, remedy).await;
    }

    async fn wrong(&self, target: &Target) -> Vec<Finding> {
        wrong(&self.findings(target).await)
    }

    async fn beat(&self) {
        self.server.execute(BEAT).await;
    }
}

/// Pastes a remedy into a server as an administrator would, statement by statement and as one message.
pub(super) async fn paste(server: &MysqlServer, remedy: &Remedy) {
    let (statements, mut session) = (statements(remedy), server.connect().await);
    for statement in &statements {
        execute(&mut session, statement).await;
        if let Some(killed) = statement.strip_prefix("KILL ") {
            gone(&mut session, killed.trim_end_matches(';')).await;
        }
    }
    if statements.len() > 1 {
        server.execute(&remedy.script().unwrap().to_string()).await;
    }
}

/// The failed and unknown findings, except for the version: the bench's servers are old on purpose.
pub(super) fn wrong(findings: &[Finding]) -> Vec<Finding> {
    findings::wrong(findings).into_iter().filter(|finding| finding.id != "server-version").collect()
}

/// The ids of the findings with this status, each once, except for the version.
pub(super) fn ids(findings: &[Finding], status: Status) -> Vec<&str> {
    findings::ids(findings, status).into_iter().filter(|id| *id != "server-version").collect()
}
