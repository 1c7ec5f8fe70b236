//! One query whose refusal is an answer. The files of this folder and `grants` use it.

use std::collections::BTreeMap;

use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{Column, Row};

use crate::driver::answer::{Answer, Refusal};
use crate::driver::mysql::query;
use crate::heartbeat::{ErrorKind, Failure};

/// Asks for rows.
///
/// # Errors
/// What ends the connection. Whatever else the server says is an answer: refused.
pub(in crate::driver::mysql) async fn ask(
    connection: &mut MySqlConnection,
    sql: String,
) -> Result<Answer<Vec<MySqlRow>>, Failure> {
    match query::send(connection, sql).await {
        Ok(rows) => Ok(Answer::Seen(rows)),
        Err(failure) => refused(failure).map(Answer::Refused),
    }
}

/// A row by the names of its columns in small letters, for answers whose columns differ between versions.
///
/// # Errors
/// As [`query::text`].
pub(in crate::driver::mysql) fn by_name(row: &MySqlRow) -> Result<BTreeMap<String, String>, Failure> {
    let mut columns = BTreeMap::new();
    for (place, column) in row.columns().iter().enumerate() {
        if let Some(text) = query::text(row, place)? {
            columns.insert(column.name().to_ascii_lowercase(), text);
        }
    }
    Ok(columns)
}

/// A refusal, if the failure is one that leaves the connection as it is.
///
/// # Errors
/// The failure, if it is not.
pub(super) fn refused(failure: Failure) -> Result<Refusal, Failure> {
    let lost = matches!(failure.kind(), ErrorKind::Shutdown | ErrorKind::Network);
    match failure.code() {
        Some(code) if !lost => Ok(Refusal { code: code.to_owned(), message: failure.message().to_owned() }),
        _ => Err(failure),
    }
}
