//! One query, for which a refusal is an answer. The files of this folder and `grants` use it.

use std::collections::BTreeMap;

use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{Column, Row};

use crate::driver::answer::{Answer, Refusal};
use crate::driver::mysql::query;
use crate::heartbeat::{ErrorKind, Failure};

/// Sends a query and returns its rows.
///
/// # Errors
/// A failure that ends the connection. Any other error of the server is an answer: refused.
pub(in crate::driver::mysql) async fn ask(
    connection: &mut MySqlConnection,
    sql: String,
) -> Result<Answer<Vec<MySqlRow>>, Failure> {
    match query::send(connection, sql).await {
        Ok(rows) => Ok(Answer::Seen(rows)),
        Err(failure) => refused(failure).map(Answer::Refused),
    }
}

/// As [`ask`], for a query whose answer is one number, or nothing.
///
/// # Errors
/// As [`ask`].
pub(super) async fn ask_for_number(
    connection: &mut MySqlConnection,
    sql: String,
) -> Result<Answer<Option<i64>>, Failure> {
    ask(connection, sql).await?.map(|rows| Ok(rows.first().map(|row| query::number(row, 0)).transpose()?.flatten()))
}

/// A row's values by column name in lower case, because the columns differ between versions.
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

/// A refusal, if the connection survives the failure.
///
/// # Errors
/// The failure, if the connection does not survive it.
pub(super) fn refused(failure: Failure) -> Result<Refusal, Failure> {
    let lost = matches!(failure.kind(), ErrorKind::Shutdown | ErrorKind::Network);
    match failure.code() {
        Some(code) if !lost => Ok(Refusal { code: code.to_owned(), message: failure.message().to_owned() }),
        _ => Err(failure),
    }
}
