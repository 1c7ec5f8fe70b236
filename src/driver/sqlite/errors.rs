//! The table of SQLite's result codes, each with its kind. The driver classifies every error here.
//!
//! Codes: <https://www.sqlite.org/rescode.html>. The low byte is the primary code. Code 1 means a missing table or a
//! missing column, so the driver reads the catalogue to see which.

use sqlx::sqlite::SqliteConnection;

use super::columns;
use crate::heartbeat::{ErrorKind, Failure};
use crate::plan::columns as judged;
use crate::target::HeartbeatTable;

const ERROR: u32 = 1;
const PERM: u32 = 3;
const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const NOMEM: u32 = 7;
const READONLY: u32 = 8;
const INTERRUPT: u32 = 9;
const IOERR: u32 = 10;
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const CANTOPEN: u32 = 14;
const PROTOCOL: u32 = 15;
const SCHEMA: u32 = 17;
const TOOBIG: u32 = 18;
const CONSTRAINT: u32 = 19;
const MISMATCH: u32 = 20;
const NOLFS: u32 = 22;
const AUTH: u32 = 23;
const NOTADB: u32 = 26;

/// The kind of a result code, plain or extended.
pub(super) fn kind_of(code: u32) -> ErrorKind {
    match code & 0xff {
        // The catalogue decides.
        ERROR => ErrorKind::Unknown,
        PERM | READONLY | AUTH => ErrorKind::Privilege,
        // PROTOCOL: the locking protocol of WAL.
        BUSY | LOCKED | PROTOCOL => ErrorKind::Lock,
        NOMEM => ErrorKind::Memory,
        INTERRUPT => ErrorKind::StatementTimeout,
        IOERR | CORRUPT | NOLFS => ErrorKind::Storage,
        FULL => ErrorKind::DiskFull,
        CANTOPEN => ErrorKind::MissingFile,
        // The schema changed under the statement.
        SCHEMA => ErrorKind::Conflict,
        TOOBIG => ErrorKind::Limit,
        CONSTRAINT => ErrorKind::Rejected,
        MISMATCH => ErrorKind::ColumnType,
        NOTADB => ErrorKind::Protocol,
        _ => ErrorKind::Unknown,
    }
}

/// Classifies an error; `kind` overrules the table where the caller knows more.
pub(super) fn classify(error: sqlx::Error, kind: Option<ErrorKind>) -> Failure {
    let code = code_of(&error);
    let by_code = match (&error, code) {
        (_, Some(code)) => kind_of(code),
        (sqlx::Error::Io(_), None) => ErrorKind::Storage,
        // More rows than `message` reads.
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

/// Classifies an error of a statement on the heartbeat table. For code 1, and if SQLite rejects a value, the catalogue
/// shows what is missing or wrong.
pub(super) async fn classify_with_catalog(
    error: sqlx::Error,
    connection: &mut SqliteConnection,
    table: &HeartbeatTable,
) -> Failure {
    let failure = classify(error, None);
    if !failure
        .code()
        .and_then(|code| code.parse::<u32>().ok())
        .is_some_and(|code| [ERROR, CONSTRAINT, MISMATCH].contains(&(code & 0xff)))
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

/// Every primary result code, with SQLite's name for it.
#[cfg(test)]
pub(super) const CODES: &[(&str, u32)] = &[
    ("ERROR", 1),
    ("INTERNAL", 2),
    ("PERM", 3),
    ("ABORT", 4),
    ("BUSY", 5),
    ("LOCKED", 6),
    ("NOMEM", 7),
    ("READONLY", 8),
    ("INTERRUPT", 9),
    ("IOERR", 10),
    ("CORRUPT", 11),
    ("NOTFOUND", 12),
    ("FULL", 13),
    ("CANTOPEN", 14),
    ("PROTOCOL", 15),
    ("EMPTY", 16),
    ("SCHEMA", 17),
    ("TOOBIG", 18),
    ("CONSTRAINT", 19),
    ("MISMATCH", 20),
    ("MISUSE", 21),
    ("NOLFS", 22),
    ("AUTH", 23),
    ("FORMAT", 24),
    ("RANGE", 25),
    ("NOTADB", 26),
    ("NOTICE", 27),
    ("WARNING", 28),
];

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
