//! The table of PostgreSQL's SQLSTATEs and of network errors, each with its kind. All files of this folder use it.
//!
//! Codes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>. It uses codes, never text, because messages
//! are translated. If one code has several causes (25006), `beat` asks the server which one it is.

use sqlx::postgres::PgDatabaseError;

use super::pooler;
use crate::driver::network::{kind_of_io, words_of_io};
use crate::heartbeat::{ErrorKind, Failure};

/// `protocol_violation`: a pooler sends it for everything that it refuses itself.
pub(super) const PROTOCOL_VIOLATION: &str = "08P01";
/// `feature_not_supported`
pub(super) const FEATURE_NOT_SUPPORTED: &str = "0A000";
/// `unique_violation`
pub(super) const UNIQUE_VIOLATION: &str = "23505";
/// `check_violation`: a constraint, or a row without a partition.
pub(super) const CHECK_VIOLATION: &str = "23514";
/// `read_only_sql_transaction`
pub(super) const READ_ONLY_SQL_TRANSACTION: &str = "25006";
/// `invalid_password`
pub(super) const INVALID_PASSWORD: &str = "28P01";
/// `invalid_schema_name`
pub(super) const INVALID_SCHEMA_NAME: &str = "3F000";
/// `insufficient_privilege`
pub(super) const INSUFFICIENT_PRIVILEGE: &str = "42501";
/// `undefined_column`
pub(super) const UNDEFINED_COLUMN: &str = "42703";
/// `duplicate_object`
pub(super) const DUPLICATE_OBJECT: &str = "42710";
/// `datatype_mismatch`
pub(super) const DATATYPE_MISMATCH: &str = "42804";
/// `wrong_object_type`
pub(super) const WRONG_OBJECT_TYPE: &str = "42809";
/// `undefined_function`: also an unknown operator for these types.
pub(super) const UNDEFINED_FUNCTION: &str = "42883";
/// `generated_always`
pub(super) const GENERATED_ALWAYS: &str = "428C9";
/// `undefined_table`: also a table in a schema that does not exist.
pub(super) const UNDEFINED_TABLE: &str = "42P01";
/// `duplicate_schema`
pub(super) const DUPLICATE_SCHEMA: &str = "42P06";
/// `duplicate_table`
pub(super) const DUPLICATE_TABLE: &str = "42P07";
/// `invalid_column_reference`: a publication's row filter or column list does not fit the replica identity.
pub(super) const INVALID_COLUMN_REFERENCE: &str = "42P10";
/// `program_limit_exceeded`
pub(super) const PROGRAM_LIMIT_EXCEEDED: &str = "54000";
/// `object_not_in_prerequisite_state`
pub(super) const OBJECT_NOT_IN_PREREQUISITE_STATE: &str = "55000";
/// `lock_not_available`
pub(super) const LOCK_NOT_AVAILABLE: &str = "55P03";
/// `query_canceled`
pub(super) const QUERY_CANCELED: &str = "57014";
/// `cannot_connect_now`
pub(super) const CANNOT_CONNECT_NOW: &str = "57P03";
/// `internal_error`
pub(super) const INTERNAL_ERROR: &str = "XX000";

/// Refusals that may pass: another session holds a lock, or the server is too busy. A later inspection may succeed.
pub(super) const PASSING: &[&str] = &[LOCK_NOT_AVAILABLE, QUERY_CANCELED];

/// Kinds by SQLSTATE; the longest prefix wins.
const KINDS: &[(&str, ErrorKind)] = &[
    ("08", ErrorKind::Network),
    (PROTOCOL_VIOLATION, ErrorKind::Protocol),
    ("0A", ErrorKind::Rejected),
    ("0L", ErrorKind::Privilege),
    ("0P", ErrorKind::Privilege),
    ("21", ErrorKind::Rejected),
    ("22", ErrorKind::Rejected),
    ("22003", ErrorKind::ColumnType),
    ("22007", ErrorKind::ColumnType),
    ("22008", ErrorKind::ColumnType),
    ("22018", ErrorKind::ColumnType),
    ("22P02", ErrorKind::ColumnType),
    ("22023", ErrorKind::Settings),
    ("23", ErrorKind::Rejected),
    ("25", ErrorKind::Internal),
    (READ_ONLY_SQL_TRANSACTION, ErrorKind::NotWritable),
    ("25P03", ErrorKind::Shutdown),
    ("25P04", ErrorKind::StatementTimeout),
    // A missing prepared statement: heartbeatd uses none, so a pooler mixed up its connections.
    ("26", ErrorKind::Conflict),
    ("27", ErrorKind::Rejected),
    ("28", ErrorKind::Auth),
    ("2F", ErrorKind::Rejected),
    ("38", ErrorKind::Rejected),
    ("39", ErrorKind::Rejected),
    ("3D000", ErrorKind::MissingDatabase),
    (INVALID_SCHEMA_NAME, ErrorKind::MissingSchema),
    ("40", ErrorKind::Conflict),
    ("40002", ErrorKind::Rejected),
    ("42", ErrorKind::Rejected),
    (INSUFFICIENT_PRIVILEGE, ErrorKind::Privilege),
    ("42601", ErrorKind::Internal),
    (UNDEFINED_COLUMN, ErrorKind::MissingColumn),
    (DATATYPE_MISMATCH, ErrorKind::ColumnType),
    ("42846", ErrorKind::ColumnType),
    // No operator or function for these types: the column `id` is not numeric.
    (UNDEFINED_FUNCTION, ErrorKind::ColumnType),
    (UNDEFINED_TABLE, ErrorKind::MissingTable),
    ("44000", ErrorKind::Rejected),
    ("53", ErrorKind::Limit),
    ("53100", ErrorKind::DiskFull),
    ("53200", ErrorKind::Memory),
    ("53300", ErrorKind::TooManyConnections),
    ("54", ErrorKind::Limit),
    ("55", ErrorKind::Rejected),
    ("55006", ErrorKind::Lock),
    ("55P02", ErrorKind::Settings),
    (LOCK_NOT_AVAILABLE, ErrorKind::Lock),
    ("57", ErrorKind::Shutdown),
    (QUERY_CANCELED, ErrorKind::StatementTimeout),
    (CANNOT_CONNECT_NOW, ErrorKind::Starting),
    ("57P04", ErrorKind::MissingDatabase),
    ("58", ErrorKind::Storage),
    ("72", ErrorKind::Conflict),
    ("F0", ErrorKind::Settings),
    // A function raised it: a trigger refuses the update.
    ("P0", ErrorKind::Rejected),
    ("XX001", ErrorKind::Storage),
    ("XX002", ErrorKind::Storage),
];

/// The codes whose DETAIL says more than the message. It names objects, and never contains a row's values.
const WITH_DETAIL: &[&str] =
    &[INVALID_COLUMN_REFERENCE, INSUFFICIENT_PRIVILEGE, OBJECT_NOT_IN_PREREQUISITE_STATE, CANNOT_CONNECT_NOW];

/// The SQLSTATE of an error, if the server sent it.
pub(super) fn code_of(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).map(std::borrow::Cow::into_owned)
}

/// Whether a failure means that the table has no partition for the row. A violated constraint has the same code, but
/// the server names the constraint.
pub(super) fn is_without_partition(failure: &Failure) -> bool {
    let error = std::error::Error::source(failure).and_then(|source| source.downcast_ref::<sqlx::Error>());
    let database = error.and_then(sqlx::Error::as_database_error);
    failure.code() == Some(CHECK_VIOLATION) && database.is_some_and(|error| error.constraint().is_none())
}

/// The server's message without the line of its source code. DETAIL is added only if it cannot quote a row.
fn words_of(error: &dyn sqlx::error::DatabaseError) -> String {
    let error_of_server = error.try_downcast_ref::<PgDatabaseError>();
    let detail = error_of_server.filter(|error| WITH_DETAIL.contains(&error.code())).and_then(PgDatabaseError::detail);
    match detail {
        Some(detail) => format!("{}: {detail}", error.message()),
        None => error.message().to_owned(),
    }
}

/// Classifies an error. The message stays the server's own: see [`words_of`].
pub(super) fn classify(error: sqlx::Error) -> Failure {
    let (kind, message) = match &error {
        sqlx::Error::Database(database) => {
            (database.code().map_or(ErrorKind::Unknown, |code| kind_of(&code)), words_of(&**database))
        }
        sqlx::Error::Io(io) => (kind_of_io(io), words_of_io(io)),
        sqlx::Error::Tls(tls) => (ErrorKind::Tls, tls.to_string()),
        sqlx::Error::Protocol(text) => (ErrorKind::Protocol, text.clone()),
        sqlx::Error::Configuration(text) => (ErrorKind::Settings, text.to_string()),
        sqlx::Error::RowNotFound
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_) => (ErrorKind::Protocol, format!("not the answer that was asked for: {error}")),
        other => (ErrorKind::Internal, other.to_string()),
    };
    let code = code_of(&error);
    let failure = Failure::new(kind, message).with_source(error);
    match code {
        Some(code) if code == PROTOCOL_VIOLATION => by_a_pooler(failure.with_code(code)),
        Some(code) => failure.with_code(code),
        None => failure,
    }
}

fn by_a_pooler(failure: Failure) -> Failure {
    match pooler::refusal(failure.message()) {
        Some((kind, remedy)) => failure.with_kind(kind).with_remedy(remedy),
        None => failure,
    }
}

/// The client's words when it could not read an error. Before the login is over, a server writes in the character set
/// of its own language.
const UNREADABLE: &str = "Postgres returned a non-UTF-8 string";

/// As [`classify`], for an error of the login. An error that the client could not read has lost its code. Most are a
/// refused password, after which a server may lock the account, so the error counts as a refused login.
pub(super) fn classify_login(error: sqlx::Error) -> Failure {
    match &error {
        sqlx::Error::Protocol(text) if text.contains(UNREADABLE) => {
            let message = "the server refused the login, in a language (lc_messages) and a character set that this program \
                           does not read; the reason is in the server's log";
            Failure::new(ErrorKind::Auth, message).with_source(error).with_remedy(
                "compare the user, the password and the database in the address with the server's; \
                 set lc_messages = 'C' in postgresql.conf to make the next refusal readable",
            )
        }
        _ => classify(error),
    }
}

/// The kind of a SQLSTATE.
pub(super) fn kind_of(code: &str) -> ErrorKind {
    let known = KINDS.iter().filter(|(prefix, _)| code.starts_with(prefix)).max_by_key(|(prefix, _)| prefix.len());
    known.map_or(ErrorKind::Unknown, |(_, kind)| *kind)
}

/// The SQLSTATEs of a kind, from a test's list.
#[cfg(test)]
pub(super) fn codes_of(kind: ErrorKind) -> Vec<&'static str> {
    tests::EXPECTED.iter().filter(|(_, expected)| *expected == kind).map(|(code, _)| *code).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The codes of the project's error list, further codes that were seen, and an invented code for each open class.
    pub(super) const EXPECTED: &[(&str, ErrorKind)] = &[
        ("08000", ErrorKind::Network),
        ("08001", ErrorKind::Network),
        ("08003", ErrorKind::Network),
        ("08004", ErrorKind::Network),
        ("08006", ErrorKind::Network),
        ("08P01", ErrorKind::Protocol),
        ("0A000", ErrorKind::Rejected),
        ("0LP01", ErrorKind::Privilege),
        ("0P000", ErrorKind::Privilege),
        ("21000", ErrorKind::Rejected),
        ("22000", ErrorKind::Rejected),
        ("22001", ErrorKind::Rejected),
        ("22003", ErrorKind::ColumnType),
        ("22007", ErrorKind::ColumnType),
        ("22008", ErrorKind::ColumnType),
        ("22018", ErrorKind::ColumnType),
        ("22023", ErrorKind::Settings),
        ("22P02", ErrorKind::ColumnType),
        ("23502", ErrorKind::Rejected),
        ("23505", ErrorKind::Rejected),
        ("23514", ErrorKind::Rejected),
        ("25006", ErrorKind::NotWritable),
        ("25P02", ErrorKind::Internal),
        ("25P03", ErrorKind::Shutdown),
        ("25P04", ErrorKind::StatementTimeout),
        ("26000", ErrorKind::Conflict),
        ("27000", ErrorKind::Rejected),
        ("28000", ErrorKind::Auth),
        ("28P01", ErrorKind::Auth),
        ("2F003", ErrorKind::Rejected),
        ("38000", ErrorKind::Rejected),
        ("39000", ErrorKind::Rejected),
        ("3D000", ErrorKind::MissingDatabase),
        ("3F000", ErrorKind::MissingSchema),
        ("40001", ErrorKind::Conflict),
        ("40002", ErrorKind::Rejected),
        ("40P01", ErrorKind::Conflict),
        ("42501", ErrorKind::Privilege),
        ("42601", ErrorKind::Internal),
        ("42703", ErrorKind::MissingColumn),
        ("42704", ErrorKind::Rejected),
        ("42710", ErrorKind::Rejected),
        ("42804", ErrorKind::ColumnType),
        ("42846", ErrorKind::ColumnType),
        ("42809", ErrorKind::Rejected),
        ("42883", ErrorKind::ColumnType),
        ("428C9", ErrorKind::Rejected),
        ("42P01", ErrorKind::MissingTable),
        ("42P10", ErrorKind::Rejected),
        ("44000", ErrorKind::Rejected),
        ("53000", ErrorKind::Limit),
        ("53100", ErrorKind::DiskFull),
        ("53200", ErrorKind::Memory),
        ("53300", ErrorKind::TooManyConnections),
        ("53400", ErrorKind::Limit),
        ("54000", ErrorKind::Limit),
        ("54001", ErrorKind::Limit),
        ("55000", ErrorKind::Rejected),
        ("55006", ErrorKind::Lock),
        ("55P02", ErrorKind::Settings),
        ("55P03", ErrorKind::Lock),
        ("57014", ErrorKind::StatementTimeout),
        ("57P01", ErrorKind::Shutdown),
        ("57P02", ErrorKind::Shutdown),
        ("57P03", ErrorKind::Starting),
        ("57P04", ErrorKind::MissingDatabase),
        ("57P05", ErrorKind::Shutdown),
        ("58000", ErrorKind::Storage),
        ("58030", ErrorKind::Storage),
        ("58P01", ErrorKind::Storage),
        ("72000", ErrorKind::Conflict),
        ("F0000", ErrorKind::Settings),
        ("P0001", ErrorKind::Rejected),
        ("XX000", ErrorKind::Unknown),
        ("XX001", ErrorKind::Storage),
        ("XX002", ErrorKind::Storage),
        ("01000", ErrorKind::Unknown),
        ("HV000", ErrorKind::Unknown),
        ("", ErrorKind::Unknown),
    ];

    #[test]
    fn every_sqlstate_has_its_kind() {
        for (code, kind) in EXPECTED {
            assert_eq!(kind_of(code), *kind, "SQLSTATE {code}");
        }
    }

    #[test]
    fn every_line_of_the_table_has_an_expected_code() {
        for (prefix, kind) in KINDS {
            assert!(
                EXPECTED.iter().any(|(code, expected)| code.starts_with(prefix) && expected == kind),
                "{prefix} is not tested"
            );
        }
    }

    #[test]
    fn errors_of_the_client_have_their_kinds() {
        assert_eq!(classify(sqlx::Error::Tls("no".into())).kind(), ErrorKind::Tls);
        assert_eq!(classify(sqlx::Error::Protocol("no".into())).kind(), ErrorKind::Protocol);
        assert_eq!(classify(sqlx::Error::RowNotFound).kind(), ErrorKind::Protocol);
        assert_eq!(classify(sqlx::Error::Configuration("no".into())).kind(), ErrorKind::Settings);
        assert_eq!(classify(sqlx::Error::WorkerCrashed).kind(), ErrorKind::Internal);
    }
}
