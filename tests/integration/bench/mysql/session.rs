//! The tests' own sessions with a MariaDB or MySQL server, separate from the program's.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlRow, MySqlSslMode};
use sqlx::{AssertSqlSafe, Column, ConnectOptions, Row};
use tokio::time::timeout;

use super::super::session::QUERY_DEADLINE;
use super::super::wait::eventually;
use super::Flavour;

/// Runs statements in a session.
pub(crate) async fn execute(session: &mut MySqlConnection, sql: &str) {
    rows(session, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Runs statements in a session; the rows as text.
pub(crate) async fn rows(session: &mut MySqlConnection, sql: &str) -> Result<Vec<Vec<Option<String>>>, sqlx::Error> {
    let rows = fetch(session, sql).await?;
    Ok(rows.iter().map(|row| (0..row.len()).map(|column| text(row, column)).collect()).collect())
}

/// Runs a statement in a session; the rows as text by the names of their columns.
pub(crate) async fn records(
    session: &mut MySqlConnection,
    sql: &str,
) -> Result<Vec<BTreeMap<String, Option<String>>>, sqlx::Error> {
    let rows = fetch(session, sql).await?;
    let record = |row: &MySqlRow| {
        row.columns().iter().map(|column| (column.name().to_owned(), text(row, column.ordinal()))).collect()
    };
    Ok(rows.iter().map(record).collect())
}

/// Waits, through this session, until the server has ended another one, which was killed. Meanwhile the test opens no
/// connection, nor does the daemon before its next tick: MySQL 5.7 closes the socket before the killed thread notices.
/// If a new connection gets the same descriptor, that thread waits on it for hours, with its transaction open. Measured
/// with 5.7.29 on a busy machine.
pub(crate) async fn gone(session: &mut MySqlConnection, killed: &str) {
    let sql = format!("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = {killed}");
    eventually(QUERY_DEADLINE, format!("session {killed} to be gone"), async || {
        let left = rows(session, &sql).await.unwrap().remove(0).remove(0).unwrap();
        if left == "0" { Ok(()) } else { Err(left) }
    })
    .await;
}

/// As [`execute`], for a slow statement.
pub(crate) async fn execute_within(session: &mut MySqlConnection, sql: &str, deadline: Duration) {
    let query = sqlx::raw_sql(AssertSqlSafe(sql)).execute(session);
    let answer = timeout(deadline, query).await.unwrap_or_else(|_| panic!("{sql}: no answer"));
    answer.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

async fn fetch(session: &mut MySqlConnection, sql: &str) -> Result<Vec<MySqlRow>, sqlx::Error> {
    let query = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(session);
    timeout(QUERY_DEADLINE, query).await.unwrap_or_else(|_| panic!("{sql}: no answer"))
}

/// In the text protocol every type arrives as text.
fn text(row: &MySqlRow, column: usize) -> Option<String> {
    let bytes: Option<Vec<u8>> = row.try_get_unchecked(column).unwrap();
    bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// A session with the server on that port of 127.0.0.1, without a database. It uses TLS only for MySQL 9, whose
/// password is not sent otherwise. It sets no session variables.
pub(crate) async fn connect(
    flavour: Flavour,
    port: u16,
    user: &str,
    password: &str,
) -> Result<MySqlConnection, sqlx::Error> {
    let tls = match flavour {
        Flavour::Mysql => MySqlSslMode::Required,
        Flavour::Mariadb | Flavour::Mysql57 => MySqlSslMode::Disabled,
    };
    let login = plain(port, user, password).ssl_mode(tls);
    timeout(QUERY_DEADLINE, login.connect()).await.unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut))
}

/// Options for a session without settings of its own, with sqlx's own choice of TLS.
pub(crate) fn plain(port: u16, user: &str, password: &str) -> MySqlConnectOptions {
    MySqlConnectOptions::new()
        .host("127.0.0.1")
        .port(port)
        .username(user)
        .password(password)
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(None)
        .set_names(false)
        .disable_statement_logging()
}
