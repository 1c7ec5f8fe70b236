//! The tests' own sessions with a PostgreSQL server or a pooler, separate from the program's.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use tokio::time::timeout;

use super::wait::secs;

/// How long a query of the tests may take, so that a frozen server fails the test instead of hanging it.
pub(super) const QUERY_DEADLINE: Duration = secs(10);

/// Runs statements in a session.
pub(crate) async fn execute(session: &mut PgConnection, sql: &str) {
    rows(session, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Runs statements in a session; the rows as text.
pub(crate) async fn rows(session: &mut PgConnection, sql: &str) -> Result<Vec<Vec<Option<String>>>, sqlx::Error> {
    let query = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(session);
    let rows = timeout(QUERY_DEADLINE, query).await.unwrap_or_else(|_| panic!("{sql}: no answer"))?;
    // In the simple protocol every type arrives as text.
    let text = |row: &PgRow| (0..row.len()).map(|column| row.try_get_unchecked(column)).collect();
    rows.iter().map(text).collect()
}

/// A session in the database `postgres` with the server on that port of 127.0.0.1, without TLS and startup options.
pub(crate) async fn connect(port: u16, user: &str, password: &str) -> Result<PgConnection, sqlx::Error> {
    connect_to("postgres", port, user, password).await
}

/// As [`connect`], in another database.
pub(crate) async fn connect_to(
    database: &str,
    port: u16,
    user: &str,
    password: &str,
) -> Result<PgConnection, sqlx::Error> {
    let options = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .username(user)
        .password(password)
        .database(database)
        .application_name("bench")
        .ssl_mode(PgSslMode::Disable)
        .extra_float_digits(None)
        .disable_statement_logging();
    timeout(QUERY_DEADLINE, options.connect()).await.unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut))
}
