//! The table of Oracle's error numbers and of network errors, each with its kind. All files of this folder use it.
//!
//! Codes: <https://docs.oracle.com/en/error-help/db/>. It uses codes, never text, because messages are translated. One
//! error may carry several codes.

use std::io;

use crate::driver::network::{kind_of_io, words_of_io};
use crate::heartbeat::{ErrorKind, Failure};

/// Refusals that may pass, so a later inspection may succeed: NOWAIT found a lock, a deadlock, a cancelled operation, a
/// timeout for an object's lock, a transaction that cannot be serialized, a WAIT that timed out.
pub(super) const PASSING: &[&str] = &["ORA-00054", "ORA-00060", "ORA-01013", "ORA-04021", "ORA-08177", "ORA-30006"];

/// "Lock held by in-doubt distributed transaction": the transaction is prepared and has no session.
pub(super) const IN_DOUBT: u32 = 1_591;
/// "Unique constraint violated": the row exists.
pub(super) const DUPLICATE_KEY: u32 = 1;
/// "Archiver error": no archived log can be written.
pub(super) const ARCHIVER_ERROR: u32 = 257;
/// "Invalid identifier": a column is missing.
pub(super) const INVALID_IDENTIFIER: u32 = 904;
/// "Table or view does not exist": it is missing or hidden.
pub(super) const NO_TABLE: u32 = 942;
/// "Name is already used by an existing object."
pub(super) const NAME_USED: u32 = 955;
/// "User lacks CREATE SESSION privilege; logon denied."
pub(super) const NO_CREATE_SESSION: u32 = 1045;
/// "Space quota exceeded for tablespace."
pub(super) const QUOTA_EXCEEDED: u32 = 1536;
/// "You may not GRANT/REVOKE privileges to/from yourself."
pub(super) const GRANT_TO_SELF: u32 = 1749;
/// "No privileges on tablespace": the table's owner has no quota there.
pub(super) const NO_QUOTA: u32 = 1950;
/// "Exceeded simultaneous SESSIONS_PER_USER limit."
pub(super) const SESSIONS_PER_USER: u32 = 2391;
/// "Could not resolve the connect identifier": an alias is not in `tnsnames.ora`.
pub(super) const NO_ALIAS: u32 = 12_154;
/// "Listener does not currently know of SID given in connect descriptor."
pub(super) const NO_SID: u32 = 12_505;
/// "Listener does not currently know of service requested in connect descriptor."
pub(super) const NO_SERVICE: u32 = 12_514;
/// "Encryption or crypto-checksumming parameters incompatible."
pub(super) const NATIVE_ENCRYPTION: u32 = 12_660;
/// "Limit exceeded for recovery files."
pub(super) const RECOVERY_AREA_FULL: u32 = 19_809;
/// "The recovery area is … % used": a warning that may be the last of several codes.
pub(super) const RECOVERY_AREA_WARNING: u32 = 19_815;
/// "The account is locked."
pub(super) const ACCOUNT_LOCKED: u32 = 28_000;
/// "The password has expired."
pub(super) const PASSWORD_EXPIRED: u32 = 28_001;
/// "Connection as SYS should be as SYSDBA or SYSOPER."
pub(super) const SYS_AS_SYSDBA: u32 = 28_009;
/// "Failed to execute policy function."
pub(super) const POLICY_FUNCTION: u32 = 28_112;
/// "Policy with check option violation."
pub(super) const POLICY_CHECK: u32 = 28_115;
/// "Specified supplemental log attribute exists."
pub(super) const LOGGING_EXISTS: u32 = 32_588;

/// The kind of each code, with words for a code that comes without text. In the order of the codes.
pub(super) const KINDS: &[(u32, &str, ErrorKind)] = &[
    (DUPLICATE_KEY, "unique constraint violated", ErrorKind::Rejected),
    (18, "maximum number of sessions exceeded", ErrorKind::TooManyConnections),
    (20, "maximum number of processes exceeded", ErrorKind::TooManyConnections),
    (28, "the session has been killed", ErrorKind::Shutdown),
    (40, "active time limit exceeded", ErrorKind::StatementTimeout),
    (54, "resource busy", ErrorKind::Lock),
    (60, "deadlock", ErrorKind::Conflict),
    (ARCHIVER_ERROR, "the archiver cannot write; the database waits for it", ErrorKind::DiskFull),
    (376, "a file cannot be read at this time", ErrorKind::Storage),
    (603, "the server ended the session after a fatal error", ErrorKind::Network),
    (INVALID_IDENTIFIER, "invalid identifier", ErrorKind::MissingColumn),
    (932, "inconsistent data types", ErrorKind::ColumnType),
    (NO_TABLE, "table or view does not exist", ErrorKind::MissingTable),
    (NAME_USED, "the name is already used by an object", ErrorKind::Rejected),
    (1005, "null password given", ErrorKind::Auth),
    (1012, "not logged on", ErrorKind::Shutdown),
    (1013, "the operation was cancelled", ErrorKind::StatementTimeout),
    (1017, "invalid user name or password", ErrorKind::Auth),
    (1031, "insufficient privileges", ErrorKind::Privilege),
    (1033, "the instance is starting or shutting down", ErrorKind::Starting),
    (1034, "the instance is not available", ErrorKind::Shutdown),
    (1035, "only for users with RESTRICTED SESSION", ErrorKind::Starting),
    (NO_CREATE_SESSION, "the user lacks CREATE SESSION", ErrorKind::Privilege),
    (1089, "immediate shutdown in progress", ErrorKind::Shutdown),
    (1090, "shutdown in progress", ErrorKind::Shutdown),
    (1092, "the instance was ended", ErrorKind::Shutdown),
    (1109, "the database is not open", ErrorKind::Starting),
    (1114, "a block cannot be written to its file", ErrorKind::Storage),
    (1219, "the database is not open", ErrorKind::Starting),
    (1400, "NULL cannot be inserted", ErrorKind::Rejected),
    (1403, "no data found", ErrorKind::MissingRow),
    (1422, "more than one row", ErrorKind::DuplicateRows),
    (1456, "the transaction is read-only", ErrorKind::NotWritable),
    (QUOTA_EXCEEDED, "the space quota is exceeded", ErrorKind::DiskFull),
    (1578, "a data block is corrupted", ErrorKind::Storage),
    (IN_DOUBT, "the row is locked by a distributed transaction in doubt", ErrorKind::Lock),
    (1652, "a temporary segment cannot be extended", ErrorKind::DiskFull),
    (1653, "the table cannot be extended", ErrorKind::DiskFull),
    (1654, "an index cannot be extended", ErrorKind::DiskFull),
    (1720, "the grant option is missing", ErrorKind::Privilege),
    (1722, "invalid number", ErrorKind::ColumnType),
    (1747, "invalid column specification", ErrorKind::MissingColumn),
    (GRANT_TO_SELF, "privileges cannot be granted to oneself", ErrorKind::Rejected),
    (1917, "the user or role does not exist", ErrorKind::Rejected),
    (1918, "the user does not exist", ErrorKind::Rejected),
    (NO_QUOTA, "no quota on the tablespace", ErrorKind::Privilege),
    (2049, "time-out: waiting for a lock", ErrorKind::Lock),
    (2289, "the sequence does not exist", ErrorKind::Rejected),
    (2290, "a check constraint is violated", ErrorKind::Rejected),
    (SESSIONS_PER_USER, "the user's limit of sessions is exceeded", ErrorKind::TooManyConnections),
    (2396, "the session was idle for too long", ErrorKind::Shutdown),
    (2399, "the session was open for too long", ErrorKind::Shutdown),
    (3113, "end of file on the communication channel", ErrorKind::Network),
    (3114, "not connected", ErrorKind::Network),
    (3135, "the connection was lost", ErrorKind::Network),
    (4021, "time-out while waiting to lock an object", ErrorKind::Lock),
    (4030, "out of process memory", ErrorKind::Memory),
    (4031, "out of shared memory", ErrorKind::Memory),
    (4068, "the state of packages has been discarded", ErrorKind::Conflict),
    (4088, "a trigger failed", ErrorKind::Rejected),
    (4091, "a trigger's table is changing", ErrorKind::Rejected),
    (4098, "a trigger is invalid", ErrorKind::Rejected),
    (6502, "a value does not fit", ErrorKind::ColumnType),
    // If a block does not compile, only the text contains the true code. The beat's statements are dynamic for that
    // reason.
    (6512, "at a line of a block", ErrorKind::Internal),
    (6550, "the block does not compile", ErrorKind::Internal),
    (8177, "the transaction cannot be serialized", ErrorKind::Conflict),
    (NO_ALIAS, "the alias cannot be resolved", ErrorKind::Settings),
    (12_170, "time-out while connecting", ErrorKind::Timeout),
    (NO_SID, "the listener knows no such SID", ErrorKind::MissingDatabase),
    (NO_SERVICE, "the listener knows no such service", ErrorKind::MissingDatabase),
    (12_516, "the listener has no handler for it", ErrorKind::TooManyConnections),
    (12_518, "the listener cannot hand the connection over", ErrorKind::TooManyConnections),
    (12_519, "the listener has no handler for it", ErrorKind::TooManyConnections),
    (12_520, "the listener has no handler for this type of server", ErrorKind::TooManyConnections),
    (12_526, "the listener's instances are in restricted mode", ErrorKind::Starting),
    (12_528, "the listener's instances are blocked", ErrorKind::Starting),
    (12_535, "the operation timed out", ErrorKind::Timeout),
    (12_537, "the connection was closed", ErrorKind::Network),
    (12_541, "no listener", ErrorKind::Refused),
    (12_543, "the host cannot be reached", ErrorKind::Network),
    (12_545, "the host does not exist", ErrorKind::Name),
    (12_547, "lost contact", ErrorKind::Network),
    (NATIVE_ENCRYPTION, "encryption or checksum parameters do not match", ErrorKind::AuthMethod),
    (12_899, "a value is too large for its column", ErrorKind::Rejected),
    (16_000, "the database is open read-only", ErrorKind::NotWritable),
    (16_456, "the standby is being switched over", ErrorKind::NotWritable),
    (RECOVERY_AREA_FULL, "the limit of the recovery area is exceeded", ErrorKind::DiskFull),
    (RECOVERY_AREA_WARNING, "the recovery area is nearly full", ErrorKind::DiskFull),
    (25_402, "the transaction must be rolled back", ErrorKind::Network),
    (25_408, "the call cannot be replayed safely", ErrorKind::Network),
    (27_072, "input or output of a file failed", ErrorKind::Storage),
    (27_101, "the instance is not running", ErrorKind::Shutdown),
    (ACCOUNT_LOCKED, "the account is locked", ErrorKind::Auth),
    (PASSWORD_EXPIRED, "the password has expired", ErrorKind::Auth),
    // A warning at a login that succeeds. The checks of accounts report it.
    (28_002, "the password expires soon", ErrorKind::Auth),
    (SYS_AS_SYSDBA, "SYS must connect as SYSDBA", ErrorKind::Auth),
    (28_040, "no authentication protocol in common", ErrorKind::AuthMethod),
    (POLICY_FUNCTION, "a policy's function failed", ErrorKind::Privilege),
    (POLICY_CHECK, "a policy forbids the change", ErrorKind::Rejected),
    (28_759, "the wallet cannot be opened", ErrorKind::Tls),
    (28_860, "TLS failed", ErrorKind::Tls),
    (29_024, "the certificate was refused", ErrorKind::Tls),
    (30_006, "the row is locked, and the wait is over", ErrorKind::Lock),
    (30_036, "the undo tablespace cannot be extended", ErrorKind::DiskFull),
    (30_657, "the table is external, so it cannot be updated", ErrorKind::Rejected),
    (LOGGING_EXISTS, "the supplemental logging exists", ErrorKind::Rejected),
    (41_900, "a privilege is missing", ErrorKind::Privilege),
    (65_048, "not in the pluggable database", ErrorKind::Rejected),
    (65_096, "no name for a common user", ErrorKind::Rejected),
];

/// The codes that a trigger or procedure raises itself.
const RAISED: std::ops::RangeInclusive<u32> = 20_000..=20_999;

/// The kind of a code.
pub(super) fn kind_of(code: u32) -> ErrorKind {
    if RAISED.contains(&code) {
        return ErrorKind::Rejected;
    }
    KINDS.iter().find(|(known, ..)| *known == code).map_or(ErrorKind::Unknown, |(.., kind)| *kind)
}

/// A code in Oracle's form: ORA-00942.
pub(super) fn shown(code: u32) -> String {
    format!("ORA-{code:05}")
}

/// The code of a failure, if the server or the listener sent one.
pub(super) fn code_of(failure: &Failure) -> Option<u32> {
    failure.code()?.strip_prefix("ORA-")?.parse().ok()
}

/// Codes that say only where an error happened: a recursive statement, a trigger, a block. The next line says what it was.
const WRAPPERS: [u32; 3] = [604, 4088, 6550];

/// A failure from the server's code and text. The code belongs to the first of several lines. If that line only says
/// where the error happened, the next line is used.
pub(super) fn of_server(code: u32, text: &str) -> Failure {
    let mut lines = text.lines().map(str::trim);
    let (first, second) = (lines.next().unwrap_or_default(), lines.next());
    let own = first.split_once(": ").filter(|(prefix, _)| *prefix == shown(code)).map_or(first, |(_, words)| words);
    let message = if own.is_empty() { known_words(code) } else { own };
    let message = match second {
        Some(cause) if WRAPPERS.contains(&code) => format!("{message}; {cause}"),
        _ => message.to_owned(),
    };
    Failure::new(kind_of(code), message).with_code(shown(code))
}

/// A failure from a code without text.
pub(super) fn of_code(code: u32) -> Failure {
    of_server(code, "")
}

/// A failure of the network.
pub(super) fn of_io(error: io::Error) -> Failure {
    Failure::new(kind_of_io(&error), words_of_io(&error)).with_source(error)
}

fn known_words(code: u32) -> &'static str {
    KINDS.iter().find(|(known, ..)| *known == code).map_or("the server gives no text", |(_, words, _)| *words)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The codes of the project's error list and further codes that were seen. Written a second time on purpose, to
    /// check the table.
    const EXPECTED: &[(ErrorKind, &[u32])] = &[
        (ErrorKind::Name, &[12_545]),
        (ErrorKind::Refused, &[12_541]),
        (ErrorKind::Network, &[603, 3113, 3114, 3135, 12_537, 12_543, 12_547, 25_402, 25_408]),
        (ErrorKind::Timeout, &[12_170, 12_535]),
        (ErrorKind::Tls, &[28_759, 28_860, 29_024]),
        (ErrorKind::Auth, &[1005, 1017, 28_000, 28_001, 28_002, 28_009]),
        (ErrorKind::AuthMethod, &[12_660, 28_040]),
        (ErrorKind::MissingDatabase, &[12_505, 12_514]),
        (ErrorKind::TooManyConnections, &[18, 20, 2391, 12_516, 12_518, 12_519, 12_520]),
        (ErrorKind::Starting, &[1033, 1035, 1109, 1219, 12_526, 12_528]),
        (ErrorKind::Shutdown, &[28, 1012, 1034, 1089, 1090, 1092, 2396, 2399, 27_101]),
        (ErrorKind::NotWritable, &[1456, 16_000, 16_456]),
        (ErrorKind::Settings, &[12_154]),
        (ErrorKind::MissingTable, &[942]),
        (ErrorKind::MissingColumn, &[904, 1747]),
        (ErrorKind::ColumnType, &[932, 1722, 6502]),
        (ErrorKind::MissingRow, &[1403]),
        (ErrorKind::DuplicateRows, &[1422]),
        (
            ErrorKind::Rejected,
            &[
                1, 955, 1400, 1749, 1917, 1918, 2289, 2290, 4088, 4091, 4098, 12_899, 20_000, 20_999, 28_115, 30_657,
                32_588, 65_048, 65_096,
            ],
        ),
        (ErrorKind::Privilege, &[1031, 1045, 1720, 1950, 28_112, 41_900]),
        (ErrorKind::DiskFull, &[257, 1536, 1652, 1653, 1654, 19_809, 19_815, 30_036]),
        (ErrorKind::Memory, &[4030, 4031]),
        (ErrorKind::Lock, &[54, 1591, 2049, 4021, 30_006]),
        (ErrorKind::StatementTimeout, &[40, 1013]),
        (ErrorKind::Conflict, &[60, 4068, 8177]),
        (ErrorKind::Storage, &[376, 1114, 1578, 27_072]),
        (ErrorKind::Internal, &[6512, 6550]),
        (ErrorKind::Unknown, &[600, 7445, 99_999]),
    ];

    #[test]
    fn every_code_has_its_kind_and_every_line_of_the_table_is_expected() {
        let mut expected = 0;
        for (kind, codes) in EXPECTED {
            for code in *codes {
                assert_eq!(kind_of(*code), *kind, "{}", shown(*code));
                expected += usize::from(KINDS.iter().any(|(known, ..)| known == code));
            }
        }
        assert_eq!(expected, KINDS.len(), "a line of the table is not expected");
        assert!(KINDS.is_sorted_by_key(|(code, ..)| *code));
    }

    #[test]
    fn the_message_is_the_line_that_the_code_belongs_to() {
        let stack = "ORA-00942: table or view does not exist\nORA-06512: at line 14\nHelp: https://docs.oracle.com/\n";
        let failure = of_server(942, stack);
        assert_eq!((failure.message(), failure.code()), ("table or view does not exist", Some("ORA-00942")));
        assert_eq!(of_server(942, "ORA-00942: Tabelle existiert nicht").message(), "Tabelle existiert nicht");
        assert_eq!(of_code(12_541).message(), "no listener");
        let wrapped =
            "ORA-00604: error occurred at recursive SQL level 1\nORA-20001: not at night\nORA-06512: at line 2\n";
        let failure = of_server(604, wrapped);
        assert_eq!(failure.message(), "error occurred at recursive SQL level 1; ORA-20001: not at night");
        assert_eq!((failure.kind(), failure.code()), (ErrorKind::Unknown, Some("ORA-00604")));
    }
}
