//! The start of the scenarios on MariaDB and MySQL: the heartbeat's table, the account for beats, a daemon's
//! configuration. Also what a server shows of that account's sessions.

use futures_util::FutureExt;
use futures_util::future::join_all;
use sqlx::Connection;
use sqlx::mysql::MySqlConnection;

use super::beating_daemon::{BeatingDaemon, PASSWORD, ROLE, TARGET, plain_password, target};
use super::mysql::session::{gone, records, rows};
use super::mysql::{Flavour, MysqlServer};
use super::wait::{eventually, secs};

/// The heartbeat's table.
pub(crate) const TABLE: &str = "streamkap.streamkap_heartbeat";

/// The start of the beat in a log of statements.
pub(crate) const BEAT: &str = "UPDATE /* heartbeatd:";

/// Runs a scenario on the two current servers, both at the same time.
pub(crate) async fn on_both(scenario: impl AsyncFn(Flavour)) {
    on_each(&[Flavour::Mariadb, Flavour::Mysql], scenario).await;
}

/// Runs a scenario on each of these servers, all at the same time. A failure names its server.
pub(crate) async fn on_each(flavours: &[Flavour], scenario: impl AsyncFn(Flavour)) {
    let scenario = &scenario;
    join_all(flavours.iter().map(|flavour| async move {
        if let Err(panic) = std::panic::AssertUnwindSafe(scenario(*flavour)).catch_unwind().await {
            eprintln!("the scenario failed on {flavour:?}");
            std::panic::resume_unwind(panic);
        }
    }))
    .await;
}

/// Creates account, schema, table, row and grants, as an administrator would by hand.
pub(crate) async fn furnish(server: &MysqlServer) {
    server.execute(&format!("CREATE USER {ROLE} IDENTIFIED BY '{PASSWORD}'")).await;
    server.execute(&furniture("streamkap")).await;
}

/// The SQL for schema, table (as the vendor defines it), row and grants.
pub(crate) fn furniture(schema: &str) -> String {
    format!(
        "CREATE DATABASE {schema};
         CREATE TABLE {schema}.streamkap_heartbeat
           (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, text TEXT, last_update TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
         INSERT INTO {schema}.streamkap_heartbeat (text, last_update) VALUES ('test_heartbeat', '2020-01-01');
         GRANT SELECT, INSERT, UPDATE ON {schema}.streamkap_heartbeat TO {ROLE}"
    )
}

/// The address of servers of one flavour at these ports, without a password.
pub(crate) fn address(flavour: Flavour, ports: &[u16]) -> String {
    let hosts: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    format!("{}://{ROLE}@{}/", flavour.scheme(), hosts.join(","))
}

/// The configuration of the one target at these ports.
pub(crate) fn configuration(flavour: Flavour, ports: &[u16], more: &str) -> String {
    target(TARGET, &address(flavour, ports), &format!("{}{more}", plain_password()))
}

/// The daemon of a furnished server, once it is healthy.
pub(crate) async fn healthy_daemon_of(server: &MysqlServer) -> BeatingDaemon {
    furnish(server).await;
    BeatingDaemon::configured(&configuration(server.flavour(), &[server.port()], "")).await
}

/// The numbers of the daemon's sessions on a server.
pub(crate) async fn sessions(server: &MysqlServer) -> Vec<String> {
    let mut session = server.connect().await;
    let ids = sessions_seen_by(&mut session).await;
    session.close().await.unwrap();
    ids
}

async fn sessions_seen_by(session: &mut MySqlConnection) -> Vec<String> {
    let processes = records(session, "SHOW PROCESSLIST").await.unwrap().into_iter();
    processes
        .filter(|process| process["User"].as_deref() == Some(ROLE))
        .filter_map(|process| process["Id"].clone())
        .collect()
}

/// Ends every session of the daemon, as an administrator would.
pub(crate) async fn end_sessions(server: &MysqlServer) {
    let mut session = server.connect().await;
    end_sessions_through(&mut session).await;
    session.close().await.unwrap();
}

/// As [`end_sessions`], in an existing session of an administrator.
pub(crate) async fn end_sessions_through(session: &mut MySqlConnection) {
    for id in sessions_seen_by(session).await {
        // It may have ended by itself.
        let _ = rows(session, &format!("KILL {id}")).await;
        gone(session, &id).await;
    }
}

/// Asserts that no queue of stuck sessions is left.
pub(crate) async fn has_no_queue(server: &MysqlServer) {
    // A replaced session may take a moment to end.
    eventually(secs(5), "at most one session of the daemon", async || match sessions(server).await {
        few if few.len() <= 1 => Ok(()),
        more => Err(format!("{more:?}")),
    })
    .await;
}

/// How many beats the server received, according to its general log.
pub(crate) fn beats_asked_of(server: &MysqlServer) -> usize {
    server.statements_of(ROLE).iter().filter(|statement| statement.starts_with(BEAT)).count()
}

/// How many beats the server's binary log contains.
pub(crate) async fn beats_logged_by(server: &MysqlServer) -> u64 {
    u64::try_from(server.update_rows_events("streamkap", "streamkap_heartbeat").await).unwrap()
}

/// What the server has written to its binary log, or replicated: its set of GTIDs.
pub(crate) async fn position(server: &MysqlServer) -> String {
    let question = match server.flavour() {
        Flavour::Mariadb => "SELECT @@gtid_binlog_pos",
        Flavour::Mysql | Flavour::Mysql57 => "SELECT @@gtid_executed",
    };
    server.value(question).await.unwrap()
}

/// The value in the heartbeat's row, in seconds since 1970.
pub(crate) async fn last_update(server: &MysqlServer) -> Option<String> {
    server.value(&format!("SELECT UNIX_TIMESTAMP(last_update) FROM {TABLE}")).await
}
