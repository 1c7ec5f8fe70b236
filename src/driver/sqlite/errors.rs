//! The table of SQLite's result codes, each with its kind and its next step.
//!
//! Codes: <https://www.sqlite.org/rescode.html>. The low byte is the primary code. Code 1 means a missing table or a
//! missing column, so the driver reads the catalogue to see which.

use sqlx::sqlite::SqliteConnection;

use super::columns;
use crate::heartbeat::{ErrorKind, Failure};
use crate::plan::{self, columns as judged};
use crate::target::{HeartbeatTable, Target};

/// The kind of a primary result code.
pub(super) fn kind_of(code: u32) -> ErrorKind {
    match code & 0xff {
        // ERROR, UNKNOWN to this table: the catalogue decides.
        1 => ErrorKind::Unknown,
        // PERM, READONLY, AUTH
        3 | 8 | 23 => ErrorKind::Privilege,
        // BUSY, LOCKED, PROTOCOL (a locking protocol of WAL)
        5 | 6 | 15 => ErrorKind::Lock,
        // NOMEM
        7 => ErrorKind::Memory,
        // INTERRUPT
        9 => ErrorKind::StatementTimeout,
        // IOERR, CORRUPT, NOLFS
        10 | 11 | 22 => ErrorKind::Storage,
        // FULL
        13 => ErrorKind::DiskFull,
        // CANTOPEN
        14 => ErrorKind::MissingFile,
        // SCHEMA (changed under the statement)
        17 => ErrorKind::Conflict,
        // TOOBIG
        18 => ErrorKind::Limit,
        // CONSTRAINT
        19 => ErrorKind::Rejected,
        // MISMATCH
        20 => ErrorKind::ColumnType,
        // NOTADB
        26 => ErrorKind::Protocol,
        _ => ErrorKind::Unknown,
    }
}

/// Classifies an error; `kind` overrules the table where the caller knows more.
pub(super) fn classify(error: sqlx::Error, kind: Option<ErrorKind>) -> Failure {
    let code = code_of(&error);
    let by_code = match (&error, code) {
        (_, Some(code)) => kind_of(code),
        (sqlx::Error::Io(_), None) => ErrorKind::Storage,
        // More rows than are read: `message`.
        (sqlx::Error::Protocol(_), None) => ErrorKind::Limit,
        _ => ErrorKind::Internal,
    };
    let message = match &error {
        sqlx::Error::Database(database) => database.message().to_owned(),
        sqlx::Error::Protocol(text) => text.clone(),
        other => other.to_string(),
    };
    let failure = Failure::new(kind.unwrap_or(by_code), message).with_source(error);
    match code {
        Some(code) => failure.with_code(code.to_string()),
        None => failure,
    }
}

/// Classifies an error of a statement on the heartbeat table: of code 1, and where SQLite rejects a value, the catalogue says
/// what is missing or wrong.
pub(super) async fn classify_with_catalog(
    error: sqlx::Error,
    connection: &mut SqliteConnection,
    table: &HeartbeatTable,
) -> Failure {
    let failure = classify(error, None);
    // ERROR, CONSTRAINT, MISMATCH
    if !failure
        .code()
        .and_then(|code| code.parse::<u32>().ok())
        .is_some_and(|code| [1, 19, 20].contains(&(code & 0xff)))
    {
        return failure;
    }
    match columns::gather(connection, table).await {
        Ok(found) if found.is_empty() => failure.with_kind(ErrorKind::MissingTable),
        Ok(found) => {
            let faults = judged::judge(&found, false);
            let remedy = columns::mend(table, &found, &faults);
            judged::explain(failure, &faults, remedy)
        }
        Err(_) => failure,
    }
}

fn code_of(error: &sqlx::Error) -> Option<u32> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).and_then(|code| code.parse().ok())
}

/// The next step for each kind that SQLite can bring about.
pub(super) fn remedy(failure: &Failure, target: &Target) -> Option<String> {
    let file = target.endpoint.url.database();
    let table = &target.heartbeat.table;
    let provision = plan::command_in_words(target);
    Some(match failure.kind() {
        ErrorKind::MissingFile => format!("create the file with its table and row: {provision}"),
        ErrorKind::MissingTable => format!("create the table: {provision}"),
        ErrorKind::MissingRow => format!("create the row: {provision}"),
        ErrorKind::MissingColumn => format!(
            "the table {table} needs the columns id and last_update: the check table-columns says which one is wrong, and how \
             to mend it without losing a value"
        ),
        ErrorKind::Privilege => {
            format!("make {file} and its directory writable for the user that runs heartbeatd")
        }
        ErrorKind::ReadOnlySetting => "take mode=ro out of the address, or set write = \"never\"".to_owned(),
        ErrorKind::Lock => format!("another program holds {file} locked: end its transaction (fuser {file} names it)"),
        ErrorKind::DiskFull => format!("free space on the file system of {file}"),
        ErrorKind::Storage => format!("look at the disk under {file}, and run: PRAGMA integrity_check"),
        ErrorKind::Protocol => format!("{file} is no SQLite database: name another file"),
        ErrorKind::Rejected | ErrorKind::RowNotUpdatable => {
            format!("a constraint or trigger on {table} stops the update: take it off")
        }
        ErrorKind::DuplicateRows => format!("make id the primary key of {table}"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_code_has_its_kind() {
        let table = [
            (1, ErrorKind::Unknown),
            (2, ErrorKind::Unknown),
            (3, ErrorKind::Privilege),
            (4, ErrorKind::Unknown),
            (5, ErrorKind::Lock),
            (6, ErrorKind::Lock),
            (7, ErrorKind::Memory),
            (8, ErrorKind::Privilege),
            (9, ErrorKind::StatementTimeout),
            (10, ErrorKind::Storage),
            (11, ErrorKind::Storage),
            (12, ErrorKind::Unknown),
            (13, ErrorKind::DiskFull),
            (14, ErrorKind::MissingFile),
            (15, ErrorKind::Lock),
            (16, ErrorKind::Unknown),
            (17, ErrorKind::Conflict),
            (18, ErrorKind::Limit),
            (19, ErrorKind::Rejected),
            (20, ErrorKind::ColumnType),
            (21, ErrorKind::Unknown),
            (22, ErrorKind::Storage),
            (23, ErrorKind::Privilege),
            (24, ErrorKind::Unknown),
            (25, ErrorKind::Unknown),
            (26, ErrorKind::Protocol),
            (27, ErrorKind::Unknown),
            (28, ErrorKind::Unknown),
        ];
        for (code, kind) in table {
            assert_eq!(kind_of(code), kind, "code {code}");
            assert_eq!(kind_of(code | 0x300), kind, "an extended form of code {code}");
        }
    }
}
