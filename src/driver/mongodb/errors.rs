//! The table of MongoDB's error codes and of network errors, each with its kind. All files of this folder use it.
//!
//! Codes: <https://www.mongodb.com/docs/manual/reference/error-codes/>, and those of compatible servers where named. It
//! uses codes, never text. `topology` judges the client's error that no server fits.

use std::error::Error as _;
use std::sync::Arc;

use mongodb::error::{Error, ErrorKind as Crate, WriteFailure};

use crate::driver::network::{kind_of_io, words_of_io};
use crate::heartbeat::{ErrorKind, Failure};

/// The collection or its database does not exist.
pub(super) const NAMESPACE_NOT_FOUND: i32 = 26;
/// It already exists.
pub(super) const NAMESPACE_EXISTS: i32 = 48;
/// A user or a password was refused.
const AUTHENTICATION_FAILED: i32 = 18;
/// Another document has that `_id`.
pub(super) const DUPLICATE_KEY: i32 = 11_000;

/// The answers of a server without updates by a pipeline, without `$$NOW`, or without expressions in `fields`.
pub(super) const NO_PIPELINE: &[i32] = &[
    2,      // BadValue
    9,      // FailedToParse
    14,     // TypeMismatch
    72,     // InvalidOptions
    115,    // CommandNotSupported
    168,    // InvalidPipelineOperator
    238,    // NotImplemented
    303,    // DocumentDB: a feature that is not supported
    17_276, // an undefined variable
    40_324, // an unknown stage
];

/// Temporary refusals: a later look may succeed.
pub(super) const PASSING: &[&str] = &["50", "24", "91", "189", "10107", "11600", "11602", "13435", "13436", "262"];

/// Kinds by code.
const KINDS: &[(i32, ErrorKind)] = &[
    (2, ErrorKind::Rejected),             // BadValue
    (6, ErrorKind::Network),              // HostUnreachable
    (7, ErrorKind::Network),              // HostNotFound
    (9, ErrorKind::Rejected),             // FailedToParse
    (11, ErrorKind::Auth),                // UserNotFound
    (13, ErrorKind::Privilege),           // Unauthorized
    (14, ErrorKind::Rejected),            // TypeMismatch
    (18, ErrorKind::Auth),                // AuthenticationFailed
    (20, ErrorKind::Rejected),            // IllegalOperation
    (24, ErrorKind::Lock),                // LockTimeout
    (26, ErrorKind::MissingTable),        // NamespaceNotFound
    (31, ErrorKind::Privilege),           // RoleNotFound
    (39, ErrorKind::Storage),             // FileStreamFailed
    (46, ErrorKind::Lock),                // LockBusy
    (50, ErrorKind::StatementTimeout),    // MaxTimeMSExpired
    (59, ErrorKind::Rejected),            // CommandNotFound
    (64, ErrorKind::Unconfirmed),         // WriteConcernFailed
    (72, ErrorKind::Rejected),            // InvalidOptions
    (73, ErrorKind::Settings),            // InvalidNamespace
    (79, ErrorKind::Settings),            // UnknownReplWriteConcern
    (89, ErrorKind::Network),             // NetworkTimeout
    (91, ErrorKind::Shutdown),            // ShutdownInProgress
    (100, ErrorKind::Unconfirmed),        // UnsatisfiableWriteConcern
    (112, ErrorKind::Conflict),           // WriteConflict
    (115, ErrorKind::Rejected),           // CommandNotSupported
    (121, ErrorKind::Rejected),           // DocumentValidationFailure
    (133, ErrorKind::NoPrimary),          // FailedToSatisfyReadPreference
    (134, ErrorKind::NoPrimary),          // ReadConcernMajorityNotAvailableYet
    (146, ErrorKind::Memory),             // ExceededMemoryLimit
    (166, ErrorKind::Rejected),           // CommandNotSupportedOnView
    (168, ErrorKind::Rejected),           // InvalidPipelineOperator
    (189, ErrorKind::NotWritable),        // PrimarySteppedDown
    (202, ErrorKind::Limit),              // NetworkInterfaceExceededTimeLimit
    (211, ErrorKind::Starting),           // KeyNotFound: a node that has no keys for cluster times yet
    (238, ErrorKind::Rejected),           // NotImplemented
    (262, ErrorKind::StatementTimeout),   // ExceededTimeLimit
    (290, ErrorKind::Limit),              // TransactionExceededLifetimeLimitSeconds
    (292, ErrorKind::Memory),             // QueryExceededMemoryLimitNoDiskUseAllowed
    (303, ErrorKind::Rejected),           // DocumentDB: a feature that is not supported
    (334, ErrorKind::AuthMethod),         // MechanismUnavailable
    (391, ErrorKind::Auth),               // ReauthenticationRequired
    (462, ErrorKind::TooManyConnections), // IngressRequestRateLimitExceeded
    (8_000, ErrorKind::Privilege),        // Atlas: refused by the service
    (9_001, ErrorKind::Network),          // SocketException
    (10_058, ErrorKind::NotWritable),     // LegacyNotPrimary
    (10_107, ErrorKind::NotWritable),     // NotWritablePrimary
    (11_000, ErrorKind::Conflict),        // DuplicateKey
    (11_600, ErrorKind::Shutdown),        // InterruptedAtShutdown
    (11_601, ErrorKind::Shutdown),        // Interrupted: an administrator ended the operation
    (11_602, ErrorKind::NotWritable),     // InterruptedDueToReplStateChange
    (13_297, ErrorKind::Settings),        // DatabaseDifferCase
    (13_435, ErrorKind::NotWritable),     // NotPrimaryNoSecondaryOk
    (13_436, ErrorKind::Starting),        // NotPrimaryOrSecondary: recovering
    (14_031, ErrorKind::DiskFull),        // OutOfDiskSpace
    (16_500, ErrorKind::Limit),           // Cosmos DB: too many request units
    (17_276, ErrorKind::Rejected),        // an undefined variable
    (17_280, ErrorKind::Limit),           // KeyTooLong
    (40_324, ErrorKind::Rejected),        // an unknown stage
    (40_573, ErrorKind::Rejected),        // change streams asked of a standalone
];

/// The kind of a code.
pub(super) fn kind_of(code: i32) -> ErrorKind {
    KINDS.iter().find(|(known, _)| *known == code).map_or(ErrorKind::Unknown, |(_, kind)| *kind)
}

/// Classifies an error of the client. The error's own text may contain a whole answer or command, so the message is the
/// server's or heartbeatd's own. For the same reason only the operating system's error is kept as a source.
pub(super) fn classify(error: &Error) -> Failure {
    let code = code_of(error);
    let (kind, message) = match &*error.kind {
        Crate::Command(command) => (kind_of(command.code), command.message.clone()),
        Crate::Write(WriteFailure::WriteConcernError(concern)) => (ErrorKind::Unconfirmed, concern.message.clone()),
        Crate::Write(WriteFailure::WriteError(write)) => (kind_of(write.code), write.message.clone()),
        Crate::Authentication { .. } => of_login(error, code),
        Crate::Io(io) => (kind_of_io(io), words_of_io(io)),
        Crate::ConnectionPoolCleared { .. } => {
            (ErrorKind::Network, "the connections to the server were lost while the command waited for one".to_owned())
        }
        Crate::DnsResolve { message, .. } => (ErrorKind::Name, format!("the host name does not resolve: {message}")),
        Crate::InvalidTlsConfig { .. } => {
            (ErrorKind::Tls, "the files of certificates or keys cannot be used together".to_owned())
        }
        Crate::IncompatibleServer { message, .. } => (ErrorKind::Protocol, message.clone()),
        Crate::InvalidArgument { message, .. } => (ErrorKind::Settings, message.clone()),
        Crate::InvalidResponse { .. } | Crate::Bson(_) => {
            (ErrorKind::Protocol, "not the answer of a MongoDB server".to_owned())
        }
        Crate::SessionsNotSupported => (ErrorKind::Protocol, "the server does not support sessions".to_owned()),
        Crate::ServerSelection { .. } => (ErrorKind::NoPrimary, "no server takes writes".to_owned()),
        Crate::Shutdown => (ErrorKind::Internal, "the client was closed before its last use".to_owned()),
        _ => (ErrorKind::Internal, "the client failed in an unforeseen way".to_owned()),
    };
    let mut failure = Failure::new(kind, message);
    if let Crate::Io(io) = &*error.kind {
        failure = failure.with_source(Arc::clone(io));
    }
    match code {
        Some(code) => failure.with_code(code.to_string()),
        None => failure,
    }
}

/// The server's code, even if the client keeps it in a source.
pub(super) fn code_of(error: &Error) -> Option<i32> {
    let own = match &*error.kind {
        Crate::Command(command) => Some(command.code),
        Crate::Write(WriteFailure::WriteConcernError(concern)) => Some(concern.code),
        Crate::Write(WriteFailure::WriteError(write)) => Some(write.code),
        _ => None,
    };
    own.or_else(|| source_of(error).and_then(code_of))
}

/// The client boxes its sources.
fn source_of(error: &Error) -> Option<&Error> {
    let source = error.source()?;
    source.downcast_ref::<Error>().or_else(|| source.downcast_ref::<Box<Error>>().map(AsRef::as_ref))
}

fn of_login(error: &Error, code: Option<i32>) -> (ErrorKind, String) {
    match code {
        Some(AUTHENTICATION_FAILED) => (ErrorKind::Auth, "the server refuses the user or the password".to_owned()),
        // By its code: a server that does not offer the mechanism answers "BadValue".
        Some(2 | 334) => (ErrorKind::AuthMethod, "the server does not offer this way of logging in".to_owned()),
        Some(code) if kind_of(code) != ErrorKind::Unknown => {
            let words = match source_of(error).map(|source| &*source.kind) {
                Some(Crate::Command(command)) => command.message.clone(),
                _ => "the login failed".to_owned(),
            };
            (kind_of(code), words)
        }
        _ => (ErrorKind::Auth, "the login failed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The codes of the project's error list and those seen in practice, each with its kind.
    const EXPECTED: &[(i32, ErrorKind)] = &[
        (2, ErrorKind::Rejected),
        (6, ErrorKind::Network),
        (7, ErrorKind::Network),
        (9, ErrorKind::Rejected),
        (11, ErrorKind::Auth),
        (13, ErrorKind::Privilege),
        (14, ErrorKind::Rejected),
        (18, ErrorKind::Auth),
        (20, ErrorKind::Rejected),
        (24, ErrorKind::Lock),
        (26, ErrorKind::MissingTable),
        (31, ErrorKind::Privilege),
        (39, ErrorKind::Storage),
        (46, ErrorKind::Lock),
        (50, ErrorKind::StatementTimeout),
        (59, ErrorKind::Rejected),
        (64, ErrorKind::Unconfirmed),
        (72, ErrorKind::Rejected),
        (73, ErrorKind::Settings),
        (79, ErrorKind::Settings),
        (89, ErrorKind::Network),
        (91, ErrorKind::Shutdown),
        (100, ErrorKind::Unconfirmed),
        (112, ErrorKind::Conflict),
        (115, ErrorKind::Rejected),
        (121, ErrorKind::Rejected),
        (133, ErrorKind::NoPrimary),
        (134, ErrorKind::NoPrimary),
        (146, ErrorKind::Memory),
        (166, ErrorKind::Rejected),
        (168, ErrorKind::Rejected),
        (189, ErrorKind::NotWritable),
        (202, ErrorKind::Limit),
        (211, ErrorKind::Starting),
        (238, ErrorKind::Rejected),
        (262, ErrorKind::StatementTimeout),
        (290, ErrorKind::Limit),
        (292, ErrorKind::Memory),
        (303, ErrorKind::Rejected),
        (334, ErrorKind::AuthMethod),
        (391, ErrorKind::Auth),
        (462, ErrorKind::TooManyConnections),
        (8_000, ErrorKind::Privilege),
        (9_001, ErrorKind::Network),
        (10_058, ErrorKind::NotWritable),
        (10_107, ErrorKind::NotWritable),
        (11_000, ErrorKind::Conflict),
        (11_600, ErrorKind::Shutdown),
        (11_601, ErrorKind::Shutdown),
        (11_602, ErrorKind::NotWritable),
        (13_297, ErrorKind::Settings),
        (13_435, ErrorKind::NotWritable),
        (13_436, ErrorKind::Starting),
        (14_031, ErrorKind::DiskFull),
        (16_500, ErrorKind::Limit),
        (17_276, ErrorKind::Rejected),
        (17_280, ErrorKind::Limit),
        (40_324, ErrorKind::Rejected),
        (40_573, ErrorKind::Rejected),
        (1, ErrorKind::Unknown),
        (-1, ErrorKind::Unknown),
        (999_999, ErrorKind::Unknown),
    ];

    #[test]
    fn every_code_has_its_kind() {
        for (code, kind) in EXPECTED {
            assert_eq!(kind_of(*code), *kind, "code {code}");
        }
    }

    #[test]
    fn every_line_of_the_table_has_one_expected_code() {
        for (code, kind) in KINDS {
            assert!(EXPECTED.contains(&(*code, *kind)), "{code} is not tested");
            assert_eq!(KINDS.iter().filter(|(other, _)| other == code).count(), 1, "{code}");
        }
    }

    #[test]
    fn the_clients_own_text_is_left_out() {
        let error = Error::from(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
        let failure = classify(&error);
        assert_eq!((failure.kind(), failure.message()), (ErrorKind::Refused, "connection refused"));
        assert!(failure.source().unwrap().is::<Arc<std::io::Error>>());
    }
}
