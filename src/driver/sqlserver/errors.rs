//! SQL Server's error numbers and the network's errors, each with its kind: the one table. Used by every file beside it.
//!
//! Numbers: <https://learn.microsoft.com/en-us/sql/relational-databases/errors-events/database-engine-events-and-errors>, and
//! Azure's: <https://learn.microsoft.com/en-us/azure/azure-sql/database/troubleshoot-common-errors-issues>. By number and never
//! by text, which is translated.

use tiberius::error::Error;

use crate::driver::network::{kind_of_io, words_of_io};
use crate::heartbeat::{ErrorKind, Failure};

/// "Invalid object name": a table is missing, or hidden.
pub(super) const INVALID_OBJECT: u32 = 208;
/// "There is already an object named … in the database."
pub(super) const OBJECT_EXISTS: u32 = 2714;
/// A capture instance of that name exists already.
pub(super) const CAPTURE_INSTANCE_EXISTS: u32 = 22_926;
/// "Login failed."
pub(super) const LOGIN_FAILED: u32 = 18_456;
/// "Cannot open database requested by the login."
pub(super) const CANNOT_OPEN: u32 = 4060;
/// "The transaction log for the database is full."
pub(super) const LOG_FULL: u32 = 9002;
/// Azure: the database has reached its size quota.
pub(super) const SIZE_QUOTA: u32 = 40_544;
/// "Login failed because the account is currently locked out."
pub(super) const ACCOUNT_LOCKED: u32 = 18_486;
/// "Login failed: the account is disabled."
pub(super) const ACCOUNT_DISABLED: u32 = 18_470;
/// "Login failed: the password of the account has expired."
pub(super) const PASSWORD_EXPIRED: u32 = 18_487;
/// "Login failed: the password of the account must be changed."
pub(super) const MUST_CHANGE: u32 = 18_488;
/// Azure: "Cannot open server requested by the login."
pub(super) const UNKNOWN_SERVER: u32 = 40_532;
/// Azure: the client's address is not allowed by a firewall rule.
pub(super) const NO_FIREWALL_RULE: u32 = 40_615;
/// Azure: the client's virtual network is not allowed by a rule.
pub(super) const NO_NETWORK_RULE: u32 = 40_914;
/// "The server principal is not able to access the database": the login has no user in it.
pub(super) const NO_ACCESS: u32 = 916;
/// "The view or function is not updatable."
pub(super) const VIEW_NOT_UPDATABLE: u32 = 4406;
/// "Transaction was deadlocked and has been chosen as the deadlock victim."
const DEADLOCK: u32 = 1205;
/// "Lock request time out period exceeded."
const LOCK_TIMEOUT: u32 = 1222;
/// Azure: "The service is currently busy."
const SERVICE_BUSY: u32 = 40_501;
/// Azure: not enough resources to process the request; too many create or update operations; too many operations.
const NO_RESOURCES: [u32; 3] = [49_918, 49_919, 49_920];
/// The capture job could not update the metadata of change data capture.
pub(super) const CAPTURE_METADATA: [u32; 3] = [22_830, 22_831, 22_832];
/// "Cannot execute as the database principal": the database has no owner that the server knows.
pub(super) const NO_OWNER: u32 = 15_517;
/// Babelfish's number for nearly every error of its own: `beat` asks its catalogue what is wrong.
const BABELFISH: u32 = 33_557_097;

/// What the server refuses only now; another look may be answered.
pub(super) const PASSING: &[&str] = &["1205", "1222", "40501", "49918", "49919", "49920"];

/// Kinds by number.
pub(super) const KINDS: &[(u32, ErrorKind)] = &[
    (102, ErrorKind::Internal),      // Incorrect syntax near
    (156, ErrorKind::Internal),      // Incorrect syntax near the keyword
    (206, ErrorKind::ColumnType),    // Operand type clash
    (207, ErrorKind::MissingColumn), // Invalid column name
    (INVALID_OBJECT, ErrorKind::MissingTable),
    (220, ErrorKind::ColumnType),      // Arithmetic overflow for data type
    (229, ErrorKind::Privilege),       // The permission was denied on the object
    (230, ErrorKind::Privilege),       // The permission was denied on the column
    (233, ErrorKind::Network),         // The client was unable to establish a connection
    (241, ErrorKind::ColumnType),      // Conversion failed when converting date and/or time
    (242, ErrorKind::ColumnType),      // The conversion resulted in an out-of-range value
    (245, ErrorKind::ColumnType),      // Conversion failed
    (257, ErrorKind::ColumnType),      // Implicit conversion is not allowed
    (262, ErrorKind::Privilege),       // Permission denied in database
    (271, ErrorKind::ColumnType),      // The column cannot be modified: it is computed
    (272, ErrorKind::ColumnType),      // Cannot update a timestamp column
    (297, ErrorKind::Privilege),       // The user does not have permission to perform this action
    (300, ErrorKind::Privilege),       // Permission was denied on object 'server'
    (515, ErrorKind::Rejected),        // Cannot insert the value NULL
    (517, ErrorKind::ColumnType),      // Adding a value to a column caused an overflow
    (529, ErrorKind::ColumnType),      // Explicit conversion is not allowed
    (547, ErrorKind::Rejected),        // The statement conflicted with a constraint
    (596, ErrorKind::Shutdown),        // The session is in the kill state
    (601, ErrorKind::Conflict),        // Could not continue scan due to data movement
    (615, ErrorKind::MissingDatabase), // Could not find database
    (617, ErrorKind::Conflict),        // A descriptor was not found
    (665, ErrorKind::Storage),         // A file system limitation
    (669, ErrorKind::Conflict),        // A row object is inconsistent
    (701, ErrorKind::Memory),          // There is insufficient system memory
    (802, ErrorKind::Memory),          // There is insufficient memory in the buffer pool
    (823, ErrorKind::Storage),         // The operating system returned an error on a page
    (824, ErrorKind::Storage),         // A logical consistency-based I/O error
    (825, ErrorKind::Storage),         // A read succeeded after failing
    (832, ErrorKind::Storage),         // A page that should have been constant has changed
    (844, ErrorKind::Storage),         // Time-out while waiting for a buffer latch
    (845, ErrorKind::Storage),         // Time-out while waiting for a buffer latch
    (904, ErrorKind::Starting),        // The database cannot be autostarted
    (905, ErrorKind::Limit),           // The database needs another edition
    (911, ErrorKind::MissingDatabase), // The database does not exist
    (913, ErrorKind::MissingDatabase), // Could not find database ID
    (NO_ACCESS, ErrorKind::Privilege),
    (921, ErrorKind::Starting),           // The database has not been recovered yet
    (922, ErrorKind::Starting),           // The database is being recovered
    (924, ErrorKind::TooManyConnections), // The database is in single-user mode
    (926, ErrorKind::Storage),            // The database is marked SUSPECT
    (927, ErrorKind::Starting),           // The database is in the middle of a restore
    (941, ErrorKind::Starting),           // The database is not started
    (942, ErrorKind::Starting),           // The database is offline
    (945, ErrorKind::Storage),            // The database cannot be opened: inaccessible files
    (954, ErrorKind::NotWritable),        // The database acts as a mirror
    (976, ErrorKind::NotWritable),        // A secondary that is not readable
    (978, ErrorKind::NotWritable),        // A secondary that takes read-only intent alone
    (979, ErrorKind::NotWritable),        // Likewise
    (982, ErrorKind::NotWritable),        // No read-only replica
    (983, ErrorKind::NotWritable),        // The replica is neither primary nor secondary now
    (988, ErrorKind::NotWritable),        // The replica lacks a quorum
    (1101, ErrorKind::DiskFull),          // Could not allocate a new page
    (1105, ErrorKind::DiskFull),          // Could not allocate space in a filegroup
    (1132, ErrorKind::DiskFull),          // The elastic pool has reached its storage limit
    (1204, ErrorKind::Limit),             // Out of locks
    (DEADLOCK, ErrorKind::Conflict),
    (LOCK_TIMEOUT, ErrorKind::Lock),
    (2601, ErrorKind::Conflict), // A duplicate key in a unique index
    (2627, ErrorKind::Conflict), // A duplicate key of a constraint
    (2628, ErrorKind::Rejected), // Data would be truncated
    (OBJECT_EXISTS, ErrorKind::Conflict),
    (2760, ErrorKind::MissingSchema), // The schema does not exist, or no permission to use it
    (2812, ErrorKind::Rejected),      // Could not find stored procedure
    (3414, ErrorKind::Storage),       // Recovery failed
    (3701, ErrorKind::Rejected),      // Cannot drop: missing, or no permission
    (3906, ErrorKind::NotWritable),   // The database is read-only
    (3908, ErrorKind::Storage),       // Could not run BEGIN TRANSACTION: emergency mode
    (3960, ErrorKind::Conflict),      // Snapshot isolation: update conflict
    (CANNOT_OPEN, ErrorKind::MissingDatabase),
    (4221, ErrorKind::NotWritable), // A secondary waits for versions after a failover
    (VIEW_NOT_UPDATABLE, ErrorKind::Rejected),
    (4711, ErrorKind::Rejected),     // Cannot truncate: CDC
    (4902, ErrorKind::MissingTable), // Cannot find the object
    (5901, ErrorKind::Storage),      // A recovery unit failed
    (6005, ErrorKind::Shutdown),     // SHUTDOWN is in progress
    (7395, ErrorKind::Settings),     // A nested transaction is not offered
    (8114, ErrorKind::ColumnType),   // Error converting data type
    (8115, ErrorKind::ColumnType),   // Arithmetic overflow converting an expression
    (8117, ErrorKind::ColumnType),   // The operand's data type is invalid for the operator
    (8152, ErrorKind::Rejected),     // Data would be truncated
    (8645, ErrorKind::Memory),       // Time-out while waiting for memory
    (8651, ErrorKind::Memory),       // The minimum query memory is not available
    (8902, ErrorKind::Memory),       // A memory allocation error
    (9001, ErrorKind::Storage),      // The log is not available
    (LOG_FULL, ErrorKind::DiskFull),
    (10_053, ErrorKind::Network),   // A transport-level error
    (10_054, ErrorKind::Network),   // Likewise
    (10_060, ErrorKind::Network),   // Likewise
    (10_928, ErrorKind::Throttled), // Azure: a resource limit of the database
    (10_929, ErrorKind::Throttled), // Azure: the server is too busy
    (10_936, ErrorKind::Throttled), // Azure: a limit of the elastic pool
    (15_247, ErrorKind::Privilege), // The user does not have permission to perform this action
    (NO_OWNER, ErrorKind::Privilege),
    (16_929, ErrorKind::Rejected),           // The cursor is READ ONLY
    (17_142, ErrorKind::Starting),           // The service is paused
    (17_187, ErrorKind::Starting),           // Not ready to accept new connections
    (17_809, ErrorKind::TooManyConnections), // The maximum number of connections is reached
    (17_830, ErrorKind::Network),            // A network error while a connection was established
    (18_401, ErrorKind::Starting),           // Login failed: script upgrade mode
    (18_451, ErrorKind::Starting),           // Login failed: only administrators at this time
    (18_452, ErrorKind::Auth),               // Login failed: an untrusted domain
    (LOGIN_FAILED, ErrorKind::Auth),
    (18_461, ErrorKind::TooManyConnections), // Login failed: single-user mode
    (ACCOUNT_DISABLED, ErrorKind::Auth),
    (ACCOUNT_LOCKED, ErrorKind::Auth),
    (PASSWORD_EXPIRED, ErrorKind::Auth),
    (MUST_CHANGE, ErrorKind::Auth),
    (18_807, ErrorKind::Rejected), // Cannot find an object ID for the replication system table
    (21_050, ErrorKind::Privilege), // Only sysadmin or db_owner
    (CAPTURE_METADATA[0], ErrorKind::Rejected),
    (CAPTURE_METADATA[1], ErrorKind::Rejected),
    (CAPTURE_METADATA[2], ErrorKind::Rejected),
    (22_901, ErrorKind::Rejected),  // The database is not enabled for CDC
    (22_904, ErrorKind::Privilege), // The caller is not authorised for CDC
    (22_911, ErrorKind::Rejected),  // The capture instance cannot be found
    (CAPTURE_INSTANCE_EXISTS, ErrorKind::Conflict),
    (22_931, ErrorKind::Rejected), // The source table does not exist
    (40_197, ErrorKind::Shutdown), // Azure: the service failed over, or reconfigures
    (SERVICE_BUSY, ErrorKind::Throttled),
    (UNKNOWN_SERVER, ErrorKind::Auth),
    (SIZE_QUOTA, ErrorKind::DiskFull),
    (40_549, ErrorKind::Limit),    // Azure: a long transaction was ended
    (40_550, ErrorKind::Limit),    // Azure: too many locks
    (40_551, ErrorKind::Limit),    // Azure: too much of tempdb
    (40_552, ErrorKind::Limit),    // Azure: too much of the log
    (40_553, ErrorKind::Memory),   // Azure: too much memory
    (40_613, ErrorKind::Starting), // Azure: the database is not available now (paused, or failing over)
    (NO_FIREWALL_RULE, ErrorKind::Auth),
    (NO_NETWORK_RULE, ErrorKind::Auth),
    (41_614, ErrorKind::Starting), // Fabric: the partition is changing
    (41_839, ErrorKind::Conflict), // Too many commit dependencies
    (NO_RESOURCES[0], ErrorKind::Throttled),
    (NO_RESOURCES[1], ErrorKind::Throttled),
    (NO_RESOURCES[2], ErrorKind::Throttled),
    (BABELFISH, ErrorKind::Unknown),
];

/// The kind of an error number.
pub(super) fn kind_of(number: u32) -> ErrorKind {
    KINDS.iter().find(|(known, _)| *known == number).map_or(ErrorKind::Unknown, |(_, kind)| *kind)
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
        Error::Routing { .. } => (ErrorKind::Protocol, "the server leads on to another one again and again".to_owned()),
        _ => (ErrorKind::Internal, "the client failed in an unforeseen way".to_owned()),
    };
    let code = error.code();
    let failure = Failure::new(kind, message).with_source(error);
    match code {
        Some(code) => failure.with_code(code.to_string()),
        None => failure,
    }
}

/// Classifies an error of a login: what is wrong with encryption comes in several shapes.
pub(super) fn classify_login(error: Error) -> Failure {
    let message = match &error {
        // Of no file: the trust store of this machine.
        Error::Io { kind: std::io::ErrorKind::NotFound, message } => format!("this machine's certificates: {message}"),
        Error::Protocol(words) if words.contains("encryption level") => {
            "the server offers no encryption, and the address demands it (Encrypt)".to_owned()
        }
        _ => return classify(error),
    };
    Failure::new(ErrorKind::Tls, message).with_source(error)
}

fn of_network(kind: std::io::ErrorKind, message: &str) -> (ErrorKind, String) {
    // The client's words for a connection that the server closed.
    if kind == std::io::ErrorKind::UnexpectedEof {
        return (ErrorKind::Network, words_of_io(&kind.into()));
    }
    let error = std::io::Error::new(kind, message.to_owned());
    (kind_of_io(&error), words_of_io(&error))
}

/// The client goes on with advice for programmers.
fn words_of_tls(words: &str) -> String {
    let (said, _) = words.split_once(" To connect anyway").unwrap_or((words, ""));
    said.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written out a second time on purpose: a row of the table that changes by mistake differs from it.
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
                515, 547, 2628, 2812, 3701, 4406, 4711, 8152, 16_929, 18_807, 22_830, 22_831, 22_832, 22_901, 22_911,
                22_931,
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
        (ErrorKind::Unknown, &[0, 1, 50_000, BABELFISH]),
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
    fn what_passes_by_itself_is_a_lock_a_deadlock_or_a_service_without_room() {
        let passing = [DEADLOCK, LOCK_TIMEOUT, SERVICE_BUSY].into_iter().chain(NO_RESOURCES);
        assert_eq!(passing.map(|number| number.to_string()).collect::<Vec<_>>(), PASSING);
    }

    #[test]
    fn errors_of_the_client_have_their_kinds_and_none_of_its_advice() {
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
