//! The table of SQL Server's error numbers and of network errors, each with its kind. All files of this folder use it.
//! It uses numbers, never text, because messages are translated.

use tiberius::error::Error;

use super::error_codes as codes;
use crate::driver::network::{kind_of_io, words_of_io};
use crate::heartbeat::{ErrorKind, Failure};

/// Refusals that may pass, so a later inspection may succeed: a deadlock, a wait for a lock, or a busy server.
pub(super) const PASSING: &[&str] = &["1205", "1222", "40501", "49918", "49919", "49920"];

/// Kinds by number.
pub(super) const KINDS: &[(u32, ErrorKind)] = &[
    (codes::SYNTAX, ErrorKind::Internal),
    (codes::SYNTAX_AT_KEYWORD, ErrorKind::Internal),
    (codes::OPERAND_TYPE_CLASH, ErrorKind::ColumnType),
    (codes::INVALID_COLUMN, ErrorKind::MissingColumn),
    (codes::INVALID_OBJECT, ErrorKind::MissingTable),
    (codes::ARITHMETIC_OVERFLOW, ErrorKind::ColumnType),
    (codes::OBJECT_DENIED, ErrorKind::Privilege),
    (codes::COLUMN_DENIED, ErrorKind::Privilege),
    (codes::CONNECTION_NOT_ESTABLISHED, ErrorKind::Network),
    (codes::TIME_CONVERSION, ErrorKind::ColumnType),
    (codes::TIME_OUT_OF_RANGE, ErrorKind::ColumnType),
    (codes::CONVERSION, ErrorKind::ColumnType),
    (codes::NO_IMPLICIT_CONVERSION, ErrorKind::ColumnType),
    (codes::DATABASE_DENIED, ErrorKind::Privilege),
    (codes::COMPUTED_COLUMN, ErrorKind::ColumnType),
    (codes::ROWVERSION_COLUMN, ErrorKind::ColumnType),
    (codes::ACTION_DENIED, ErrorKind::Privilege),
    (codes::SERVER_DENIED, ErrorKind::Privilege),
    (codes::NULL_REFUSED, ErrorKind::Rejected),
    (codes::COLUMN_OVERFLOW, ErrorKind::ColumnType),
    (codes::NO_EXPLICIT_CONVERSION, ErrorKind::ColumnType),
    (codes::CONSTRAINT, ErrorKind::Rejected),
    (codes::SESSION_KILLED, ErrorKind::Shutdown),
    (codes::DATA_MOVED, ErrorKind::Conflict),
    (codes::DATABASE_NOT_FOUND, ErrorKind::MissingDatabase),
    (codes::DESCRIPTOR_NOT_FOUND, ErrorKind::Conflict),
    (codes::FILE_SYSTEM_LIMIT, ErrorKind::Storage),
    (codes::ROW_INCONSISTENT, ErrorKind::Conflict),
    (codes::NO_SYSTEM_MEMORY, ErrorKind::Memory),
    (codes::NO_BUFFER_MEMORY, ErrorKind::Memory),
    (codes::PAGE_IO, ErrorKind::Storage),
    (codes::PAGE_INCONSISTENT, ErrorKind::Storage),
    (codes::READ_RETRIED, ErrorKind::Storage),
    (codes::PAGE_CHANGED, ErrorKind::Storage),
    (codes::BUFFER_LATCH_WAIT, ErrorKind::Storage),
    (codes::BUFFER_LATCH_TIMEOUT, ErrorKind::Storage),
    (codes::NO_AUTOSTART, ErrorKind::Starting),
    (codes::EDITION_LIMIT, ErrorKind::Limit),
    (codes::DATABASE_MISSING, ErrorKind::MissingDatabase),
    (codes::DATABASE_ID_MISSING, ErrorKind::MissingDatabase),
    (codes::NO_ACCESS, ErrorKind::Privilege),
    (codes::NOT_RECOVERED, ErrorKind::Starting),
    (codes::RECOVERING, ErrorKind::Starting),
    (codes::DATABASE_SINGLE_USER, ErrorKind::TooManyConnections),
    (codes::SUSPECT, ErrorKind::Storage),
    (codes::RESTORING, ErrorKind::Starting),
    (codes::NOT_STARTED, ErrorKind::Starting),
    (codes::OFFLINE, ErrorKind::Starting),
    (codes::FILES_INACCESSIBLE, ErrorKind::Storage),
    (codes::MIRROR, ErrorKind::NotWritable),
    (codes::SECONDARY_NOT_READABLE, ErrorKind::NotWritable),
    (codes::SECONDARY_READ_INTENT_ONLY, ErrorKind::NotWritable),
    (codes::SECONDARY_READ_INTENT_REQUIRED, ErrorKind::NotWritable),
    (codes::NO_READABLE_REPLICA, ErrorKind::NotWritable),
    (codes::REPLICA_RESOLVING, ErrorKind::NotWritable),
    (codes::REPLICA_WITHOUT_QUORUM, ErrorKind::NotWritable),
    (codes::NO_NEW_PAGE, ErrorKind::DiskFull),
    (codes::FILEGROUP_FULL, ErrorKind::DiskFull),
    (codes::POOL_FULL, ErrorKind::DiskFull),
    (codes::OUT_OF_LOCKS, ErrorKind::Limit),
    (codes::DEADLOCK, ErrorKind::Conflict),
    (codes::LOCK_TIMEOUT, ErrorKind::Lock),
    (codes::DUPLICATE_IN_INDEX, ErrorKind::Conflict),
    (codes::DUPLICATE_KEY, ErrorKind::Conflict),
    (codes::TRUNCATION_NAMED, ErrorKind::Rejected),
    (codes::OBJECT_EXISTS, ErrorKind::Conflict),
    (codes::SCHEMA_MISSING_OR_HIDDEN, ErrorKind::MissingSchema),
    (codes::PROCEDURE_MISSING, ErrorKind::Rejected),
    (codes::RECOVERY_FAILED, ErrorKind::Storage),
    (codes::ENDED_IN_TRIGGER, ErrorKind::Rejected),
    (codes::RAISED_IN_TRIGGER, ErrorKind::Rejected),
    (codes::CANNOT_DROP, ErrorKind::Rejected),
    (codes::DATABASE_READ_ONLY, ErrorKind::NotWritable),
    (codes::EMERGENCY_MODE, ErrorKind::Storage),
    (codes::SNAPSHOT_CONFLICT, ErrorKind::Conflict),
    (codes::CANNOT_OPEN, ErrorKind::MissingDatabase),
    (codes::SECONDARY_AWAITS_VERSIONS, ErrorKind::NotWritable),
    (codes::VIEW_NOT_UPDATABLE, ErrorKind::Rejected),
    (codes::CANNOT_TRUNCATE_CAPTURED, ErrorKind::Rejected),
    (codes::OBJECT_NOT_FOUND, ErrorKind::MissingTable),
    (codes::RECOVERY_UNIT_FAILED, ErrorKind::Storage),
    (codes::SHUTDOWN, ErrorKind::Shutdown),
    (codes::NO_NESTED_TRANSACTION, ErrorKind::Settings),
    (codes::TYPE_CONVERSION, ErrorKind::ColumnType),
    (codes::EXPRESSION_OVERFLOW, ErrorKind::ColumnType),
    (codes::OPERAND_TYPE_INVALID, ErrorKind::ColumnType),
    (codes::TRUNCATION, ErrorKind::Rejected),
    (codes::MEMORY_TIMEOUT, ErrorKind::Memory),
    (codes::MINIMUM_MEMORY, ErrorKind::Memory),
    (codes::MEMORY_ALLOCATION, ErrorKind::Memory),
    (codes::LOG_UNAVAILABLE, ErrorKind::Storage),
    (codes::LOG_FULL, ErrorKind::DiskFull),
    (codes::CONNECTION_ABORTED, ErrorKind::Network),
    (codes::CONNECTION_RESET, ErrorKind::Network),
    (codes::CONNECTION_TIMED_OUT, ErrorKind::Network),
    (codes::NOT_IN_MEMORY, ErrorKind::Rejected),
    (codes::DATABASE_RESOURCE_LIMIT, ErrorKind::Throttled),
    (codes::SERVER_TOO_BUSY, ErrorKind::Throttled),
    (codes::POOL_RESOURCE_LIMIT, ErrorKind::Throttled),
    (codes::PERMISSION_MISSING, ErrorKind::Privilege),
    (codes::NO_OWNER, ErrorKind::Privilege),
    (codes::CURSOR_READ_ONLY, ErrorKind::Rejected),
    (codes::SERVICE_PAUSED, ErrorKind::Starting),
    (codes::NOT_READY, ErrorKind::Starting),
    (codes::CONNECTIONS_EXHAUSTED, ErrorKind::TooManyConnections),
    (codes::NETWORK_AT_LOGIN, ErrorKind::Network),
    (codes::SCRIPT_UPGRADE, ErrorKind::Starting),
    (codes::ADMINISTRATORS_ONLY, ErrorKind::Starting),
    (codes::UNTRUSTED_DOMAIN, ErrorKind::Auth),
    (codes::LOGIN_FAILED, ErrorKind::Auth),
    (codes::SERVER_SINGLE_USER, ErrorKind::TooManyConnections),
    (codes::ACCOUNT_DISABLED, ErrorKind::Auth),
    (codes::ACCOUNT_LOCKED, ErrorKind::Auth),
    (codes::PASSWORD_EXPIRED, ErrorKind::Auth),
    (codes::MUST_CHANGE, ErrorKind::Auth),
    (codes::REPLICATION_TABLE_MISSING, ErrorKind::Rejected),
    (codes::DB_OWNER_ONLY, ErrorKind::Privilege),
    (codes::CAPTURE_METADATA[0], ErrorKind::Rejected),
    (codes::CAPTURE_METADATA[1], ErrorKind::Rejected),
    (codes::CAPTURE_METADATA[2], ErrorKind::Rejected),
    (codes::CDC_DISABLED, ErrorKind::Rejected),
    (codes::CDC_NOT_AUTHORISED, ErrorKind::Privilege),
    (codes::CAPTURE_INSTANCE_MISSING, ErrorKind::Rejected),
    (codes::CAPTURE_INSTANCE_EXISTS, ErrorKind::Conflict),
    (codes::SOURCE_TABLE_MISSING, ErrorKind::Rejected),
    (codes::SERVICE_FAILED_OVER, ErrorKind::Shutdown),
    (codes::SERVICE_BUSY, ErrorKind::Throttled),
    (codes::UNKNOWN_SERVER, ErrorKind::Auth),
    (codes::SIZE_QUOTA, ErrorKind::DiskFull),
    (codes::LONG_TRANSACTION_ENDED, ErrorKind::Limit),
    (codes::TOO_MANY_LOCKS, ErrorKind::Limit),
    (codes::TOO_MUCH_TEMPDB, ErrorKind::Limit),
    (codes::TOO_MUCH_LOG, ErrorKind::Limit),
    (codes::TOO_MUCH_MEMORY, ErrorKind::Memory),
    (codes::DATABASE_UNAVAILABLE, ErrorKind::Starting),
    (codes::NO_FIREWALL_RULE, ErrorKind::Auth),
    (codes::NO_NETWORK_RULE, ErrorKind::Auth),
    (codes::PARTITION_CHANGING, ErrorKind::Starting),
    (codes::COMMIT_DEPENDENCIES, ErrorKind::Conflict),
    (codes::NO_RESOURCES[0], ErrorKind::Throttled),
    (codes::NO_RESOURCES[1], ErrorKind::Throttled),
    (codes::NO_RESOURCES[2], ErrorKind::Throttled),
    (codes::BABELFISH, ErrorKind::Unknown),
];

/// The kind of an error number.
pub(super) fn kind_of(number: u32) -> ErrorKind {
    match KINDS.iter().find(|(known, _)| *known == number) {
        Some((_, kind)) => *kind,
        None if number >= codes::RAISED => ErrorKind::Rejected,
        None => ErrorKind::Unknown,
    }
}

/// Classifies an error of an open connection.
pub(super) fn classify(error: Error) -> Failure {
    let (kind, message) = match &error {
        Error::Server(token) => (kind_of(token.code()), token.message().to_owned()),
        Error::Io { kind, message } => of_network(*kind, message),
        Error::Tls(words) => (ErrorKind::Tls, words_of_tls(words)),
        Error::Protocol(_)
        | Error::Encoding(_)
        | Error::Conversion(_)
        | Error::Utf8
        | Error::Utf16
        | Error::ParseInt(_) => (ErrorKind::Protocol, "not the answer of a SQL Server".to_owned()),
        Error::Routing { .. } => {
            (ErrorKind::Protocol, "the server redirects to another server again and again".to_owned())
        }
        _ => (ErrorKind::Internal, "the client failed in an unforeseen way".to_owned()),
    };
    let code = error.code();
    let failure = Failure::new(kind, message).with_source(error);
    match code {
        Some(code) => failure.with_code(code.to_string()),
        None => failure,
    }
}

/// Classifies an error of a login. Problems with encryption appear as several kinds of error.
pub(super) fn classify_login(error: Error) -> Failure {
    let message = match &error {
        // This error concerns the machine's trust store, not a file of the target.
        Error::Io { kind: std::io::ErrorKind::NotFound, message } => format!("this machine's certificates: {message}"),
        Error::Protocol(words) if words.contains("encryption level") => {
            "the server offers no encryption, and the address demands it (Encrypt)".to_owned()
        }
        _ => return classify(error),
    };
    Failure::new(ErrorKind::Tls, message).with_source(error)
}

fn of_network(kind: std::io::ErrorKind, message: &str) -> (ErrorKind, String) {
    // This is how the client reports that the server closed the connection.
    if kind == std::io::ErrorKind::UnexpectedEof {
        return (ErrorKind::Network, words_of_io(&kind.into()));
    }
    let error = std::io::Error::new(kind, message.to_owned());
    (kind_of_io(&error), words_of_io(&error))
}

/// Removes the client's advice to programmers.
fn words_of_tls(words: &str) -> String {
    let (said, _) = words.split_once(" To connect anyway").unwrap_or((words, ""));
    said.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written a second time on purpose, to find a mistaken change of the table.
    const EXPECTED: &[(ErrorKind, &[u32])] = &[
        (ErrorKind::Auth, &[18_452, 18_456, 18_470, 18_486, 18_487, 18_488, 40_532, 40_615, 40_914]),
        (ErrorKind::MissingDatabase, &[615, 911, 913, 4060]),
        (ErrorKind::Network, &[233, 10_053, 10_054, 10_060, 17_830]),
        (ErrorKind::Starting, &[904, 921, 922, 927, 941, 942, 17_142, 17_187, 18_401, 18_451, 40_613, 41_614]),
        (ErrorKind::Shutdown, &[596, 6005, 40_197]),
        (ErrorKind::NotWritable, &[954, 976, 978, 979, 982, 983, 988, 3906, 4221]),
        (ErrorKind::TooManyConnections, &[924, 17_809, 18_461]),
        (ErrorKind::Settings, &[7395]),
        (ErrorKind::MissingSchema, &[2760]),
        (ErrorKind::MissingTable, &[208, 4902]),
        (ErrorKind::MissingColumn, &[207]),
        (ErrorKind::ColumnType, &[206, 220, 241, 242, 245, 257, 271, 272, 517, 529, 8114, 8115, 8117]),
        (
            ErrorKind::Rejected,
            &[
                515,
                547,
                2628,
                2812,
                3609,
                3616,
                3701,
                4406,
                4711,
                8152,
                10_794,
                16_929,
                18_807,
                22_830,
                22_831,
                22_832,
                22_901,
                22_911,
                22_931,
                50_000,
                50_001,
                2_147_483_647,
            ],
        ),
        (ErrorKind::Privilege, &[229, 230, 262, 297, 300, 916, 15_247, 15_517, 21_050, 22_904]),
        (ErrorKind::DiskFull, &[1101, 1105, 1132, 9002, 40_544]),
        (ErrorKind::Memory, &[701, 802, 8645, 8651, 8902, 40_553]),
        (ErrorKind::Lock, &[1222]),
        (ErrorKind::Conflict, &[601, 617, 669, 1205, 2601, 2627, 2714, 3960, 22_926, 41_839]),
        (ErrorKind::Limit, &[905, 1204, 40_549, 40_550, 40_551, 40_552]),
        (ErrorKind::Storage, &[665, 823, 824, 825, 832, 844, 845, 926, 945, 3414, 3908, 5901, 9001]),
        (ErrorKind::Throttled, &[10_928, 10_929, 10_936, 40_501, 49_918, 49_919, 49_920]),
        (ErrorKind::Internal, &[102, 156]),
        (ErrorKind::Unknown, &[0, 1, 49_999, codes::BABELFISH]),
    ];

    #[test]
    fn every_number_has_its_kind() {
        for (kind, numbers) in EXPECTED {
            for number in *numbers {
                assert_eq!(kind_of(*number), *kind, "{number}");
            }
        }
    }

    #[test]
    fn every_line_of_the_table_is_expected_once() {
        let expected: Vec<u32> = EXPECTED.iter().flat_map(|(_, numbers)| numbers.iter().copied()).collect();
        for (number, _) in KINDS {
            assert_eq!(expected.iter().filter(|known| *known == number).count(), 1, "{number}");
        }
        let known: std::collections::BTreeSet<u32> = KINDS.iter().map(|(number, _)| *number).collect();
        assert_eq!(known.len(), KINDS.len(), "a number is in the table twice");
    }

    #[test]
    fn only_a_lock_a_deadlock_or_a_busy_service_passes_by_itself() {
        let passing =
            [codes::DEADLOCK, codes::LOCK_TIMEOUT, codes::SERVICE_BUSY].into_iter().chain(codes::NO_RESOURCES);
        assert_eq!(passing.map(|number| number.to_string()).collect::<Vec<_>>(), PASSING);
    }

    #[test]
    fn errors_of_the_client_have_their_kinds_and_lose_its_advice() {
        let tls = Error::Tls("rejected: UnknownIssuer. To connect anyway you can: trust_cert()".to_owned());
        let failure = classify_login(tls);
        assert_eq!((failure.kind(), failure.message()), (ErrorKind::Tls, "rejected: UnknownIssuer"));
        let io = |kind| Error::Io { kind, message: "x".to_owned() };
        assert_eq!(classify_login(io(std::io::ErrorKind::NotFound)).kind(), ErrorKind::Tls);
        assert_eq!(classify(io(std::io::ErrorKind::ConnectionRefused)).kind(), ErrorKind::Refused);
        assert_eq!(classify(io(std::io::ErrorKind::UnexpectedEof)).message(), "the server closed the connection");
        let refused = Error::Protocol("Server does not allow the requested encryption level.".into());
        assert_eq!(classify_login(refused).kind(), ErrorKind::Tls);
        assert_eq!(classify(Error::Utf8).kind(), ErrorKind::Protocol);
    }
}
