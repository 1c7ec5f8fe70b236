//! One read-only transaction that shows the state of one moment, and that survives refused queries.

use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::postgres::PgConnection;

use crate::driver::answer::{Answer, Refusal};
use crate::driver::postgres::errors;
use crate::driver::postgres::query::{self, ServerLimits};
use crate::heartbeat::{ErrorKind, Failure};
use crate::time::clock::Instant;

/// An open snapshot.
pub(super) struct Snapshot<'a> {
    connection: &'a mut PgConnection,
    deadline: Instant,
}

impl<'a> Snapshot<'a> {
    /// Opens the transaction with its first query, which must succeed.
    ///
    /// # Errors
    /// The server's error, classified.
    pub(super) async fn open<T: DeserializeOwned>(
        connection: &'a mut PgConnection,
        first: &str,
        deadline: Instant,
    ) -> Result<(Self, T), Failure> {
        let limits = ServerLimits::until(deadline).sql();
        // Queries name the catalogue's tables without a schema. The user's own search path must not hide them.
        let sql = format!(
            "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL search_path = pg_catalog, pg_temp; \
             {limits} {first}; SAVEPOINT look"
        );
        let answer = read(connection, sql).await?;
        let answer = serde_json::from_str(&answer).map_err(|error| {
            Failure::new(ErrorKind::Protocol, "not the answer that was asked for").with_source(error)
        })?;
        Ok((Self { connection, deadline }, answer))
    }

    /// Reads one JSON value.
    ///
    /// # Errors
    /// A failure that ends the connection. Any other error of the server is an answer: refused.
    pub(super) async fn ask<T: DeserializeOwned>(&mut self, sql: String) -> Result<Answer<T>, Failure> {
        let limits = ServerLimits::share(self.deadline, 2).sql();
        // The rollback to the savepoint clears the error state that a refusal left on the transaction.
        match read(self.connection, format!("ROLLBACK TO SAVEPOINT look; {limits} {sql}")).await {
            Ok(answer) => Ok(match serde_json::from_str(&answer) {
                Ok(answer) => Answer::Seen(answer),
                Err(error) => Answer::Refused(Refusal {
                    code: "-".to_owned(),
                    message: format!("not the answer that was asked for: {error}"),
                }),
            }),
            Err(failure) => refused(failure).map(Answer::Refused),
        }
    }

    /// Ends the transaction.
    ///
    /// # Errors
    /// The server's error, classified.
    pub(super) async fn close(self) -> Result<(), Failure> {
        query::send(self.connection, "ROLLBACK".to_owned()).await.map(|_| ())
    }
}

/// A refusal, if the connection survives the failure.
///
/// # Errors
/// The failure, if the connection does not survive it.
pub(super) fn refused(failure: Failure) -> Result<Refusal, Failure> {
    let lost = matches!(
        failure.kind(),
        ErrorKind::Shutdown | ErrorKind::Starting | ErrorKind::Network | ErrorKind::MissingDatabase
    );
    match failure.code() {
        Some(code) if !lost => Ok(Refusal { code: code.to_owned(), message: failure.message().to_owned() }),
        _ => Err(failure),
    }
}

async fn read(connection: &mut PgConnection, sql: String) -> Result<String, Failure> {
    let row = query::send_for_row(connection, sql).await?;
    row.try_get::<Option<String>, _>(0).map(|text| text.unwrap_or_else(|| "null".to_owned())).map_err(errors::classify)
}
