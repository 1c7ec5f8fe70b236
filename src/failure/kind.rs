//! The one table of failure kinds: class, word, retry pace, and what becomes of the connection. `failure` re-exports
//! it; the scheduler decides by it, and the status page and the metrics use its words.

use std::fmt;
use std::time::Duration;

/// The four classes of failure, as the vendors' recovery pages sort them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorClass {
    /// The server is not reachable, refuses the login, or is not the one to write to.
    Connection,
    /// The heartbeat's table or row is missing, or has the wrong shape.
    Schema,
    /// A privilege is missing.
    Permission,
    /// The server lacks a resource (disk, memory, a free lock).
    Resource,
}

/// How fast heartbeatd retries. All but `Login` begin with short waits that double, with full jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// From 1 s to a minute, or to a period where that is shorter.
    Usual,
    /// From 1 s to 5 s: a failover is under way, and the new primary is near.
    Failover,
    /// A minute at least: servers lock accounts after a few refused passwords.
    Login,
    /// From 2 s to 30 s, for any period: a person is repairing it and watches.
    Mending,
}

/// What happens to a kept connection after this failure, within the same tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptSession {
    /// The beat failed but the connection is fine: nothing is tried before the next retry.
    Fails,
    /// The connection is dead or leads to the wrong server: the beat is tried on a new one.
    Replaced,
    /// The same beat is sent again at once, on any connection.
    TriedAgain,
}

/// Whether the server may have written a beat that failed in this way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It has not.
    NotWritten,
    /// It may have: no answer came, and the value found next may be heartbeatd's own.
    Unknown,
}

/// What one kind means for the program.
#[derive(Debug, Clone, Copy)]
struct Policy {
    word: &'static str,
    class: ErrorClass,
    pace: Pace,
    kept_session: KeptSession,
    provisioning_helps: bool,
    outcome: Outcome,
}

/// Each line gives a kind's word in logs, metrics and JSON, its class and its pace. The braces list what differs from
/// the default: the beat failed but the connection is fine, provisioning does not help, nothing was written.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident = $word:literal, $class:ident, $pace:ident
        $({ $($field:ident : $value:expr),+ })?;)+) => {
        /// The kind of a failure. Each belongs to one [`ErrorClass`]; see [`ErrorKind::class`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ErrorKind {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl ErrorKind {
            /// Every kind, in the order of the enum.
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            fn policy(self) -> Policy {
                match self {
                    $(Self::$kind => {
                        #[allow(unused_mut, reason = "most kinds are usual ones")]
                        let mut policy = Policy::usual($word, ErrorClass::$class, Pace::$pace);
                        $($(policy.$field = $value;)+)?
                        policy
                    })+
                }
            }
        }
    };
}

use KeptSession::{Replaced, TriedAgain};

kinds! {
    // --- connection
    /// The host name does not resolve.
    Name = "name", Connection, Usual;
    /// The server's machine answers, but no server listens on the port.
    Refused = "refused", Connection, Usual;
    /// No route, no answer from the network, or a lost connection.
    Network = "network", Connection, Usual { kept_session: Replaced, outcome: Outcome::Unknown };
    /// No answer within the deadline.
    Timeout = "timeout", Connection, Usual { outcome: Outcome::Unknown };
    /// The certificate, the protocol version or the encryption was refused.
    Tls = "tls", Connection, Usual;
    /// The server refused the user or the password, or no rule allows this client.
    Auth = "auth", Connection, Login;
    /// The server requires a login method that heartbeatd does not support.
    AuthMethod = "auth_method", Connection, Login;
    /// The database's client library is not installed.
    ClientLibrary = "client_library", Connection, Login;
    /// The password's source cannot be read.
    SecretSource = "secret_source", Connection, Usual;
    /// The server has no database of that name.
    MissingDatabase = "missing_database", Connection, Usual;
    /// The file of an embedded database does not exist.
    MissingFile = "missing_file", Connection, Usual { provisioning_helps: true };
    /// Every connection that the server allows is in use.
    TooManyConnections = "too_many_connections", Connection, Usual;
    /// The server is starting up or recovering.
    Starting = "starting", Connection, Failover { kept_session: Replaced };
    /// The server is shutting down, or an administrator ended the session.
    Shutdown = "shutdown", Connection, Failover { kept_session: Replaced, outcome: Outcome::Unknown };
    /// The server is a standby, or none of the hosts is writable.
    NotWritable = "not_writable", Connection, Failover { kept_session: Replaced };
    /// The server is a primary, but a newer one of the same database cluster is known: a failover replaced it.
    OldTimeline = "old_timeline", Connection, Failover;
    /// A primary whose transactions are read-only by a setting.
    ReadOnlySetting = "read_only_setting", Connection, Usual;
    /// No member of the replica set accepts writes: an election is under way, or the majority is lost.
    NoPrimary = "no_primary", Connection, Failover;
    /// The server has the write, but the majority of its replica set has not acknowledged it.
    Unconfirmed = "unconfirmed", Connection, Usual { outcome: Outcome::Unknown };
    /// Another server answers under this name.
    Identity = "identity", Connection, Usual;
    /// The answer is not this database's protocol.
    Protocol = "protocol", Connection, Usual { outcome: Outcome::Unknown };
    /// The server refuses a setting of the connection.
    Settings = "settings", Connection, Usual;
    // --- schema
    /// The schema does not exist, or is not visible.
    MissingSchema = "missing_schema", Schema, Mending { provisioning_helps: true };
    /// The table does not exist, or is not visible.
    MissingTable = "missing_table", Schema, Mending { provisioning_helps: true };
    /// A column does not exist.
    MissingColumn = "missing_column", Schema, Mending;
    /// A column's type cannot hold a time.
    ColumnType = "column_type", Schema, Mending;
    /// The table has no row of that id, or none that is visible.
    MissingRow = "missing_row", Schema, Mending { provisioning_helps: true };
    /// Several rows carry the id.
    DuplicateRows = "duplicate_rows", Schema, Mending;
    /// The row is visible and the statement succeeds, but nothing changes: row-level security or a trigger.
    RowNotUpdatable = "row_not_updatable", Schema, Mending;
    /// The database refuses the change (constraint, trigger, publication without replica identity).
    Rejected = "rejected", Schema, Mending;
    // --- permission
    /// A privilege is missing.
    Privilege = "privilege", Permission, Mending;
    // --- resource
    /// No space is left where the database writes.
    DiskFull = "disk_full", Resource, Usual;
    /// The server ran out of memory.
    Memory = "memory", Resource, Usual;
    /// Another session holds the row or the table.
    Lock = "lock", Resource, Usual;
    /// The server ended the statement at its time limit.
    StatementTimeout = "statement_timeout", Resource, Usual;
    /// A deadlock or a serialization failure: retry the statement.
    Conflict = "conflict", Resource, Usual { kept_session: TriedAgain };
    /// A limit of the server other than those above.
    Limit = "limit", Resource, Usual;
    /// A cloud service refuses the request for now, or the database has used up its share.
    Throttled = "throttled", Resource, Usual;
    /// The server's storage fails.
    Storage = "storage", Resource, Usual;
    // --- either
    /// A code that heartbeatd does not know.
    Unknown = "unknown", Resource, Usual;
    /// A bug in heartbeatd.
    Internal = "internal", Resource, Usual { outcome: Outcome::Unknown };
}

impl Policy {
    fn usual(word: &'static str, class: ErrorClass, pace: Pace) -> Self {
        Self {
            word,
            class,
            pace,
            kept_session: KeptSession::Fails,
            provisioning_helps: false,
            outcome: Outcome::NotWritten,
        }
    }
}

impl ErrorKind {
    /// The class this kind belongs to.
    #[must_use]
    pub fn class(self) -> ErrorClass {
        self.policy().class
    }

    /// The kind's name in logs, metrics and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.policy().word
    }

    /// How fast it is retried.
    #[must_use]
    pub fn pace(self) -> Pace {
        self.policy().pace
    }

    /// What happens to a kept connection.
    #[must_use]
    pub fn kept_session(self) -> KeptSession {
        self.policy().kept_session
    }

    /// Whether `heartbeatd provision` creates what is missing.
    #[must_use]
    pub fn provisioning_helps(self) -> bool {
        self.policy().provisioning_helps
    }

    /// Whether the server may have written a beat that failed in this way.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        self.policy().outcome
    }
}

impl Pace {
    /// The longest first wait and the longest later wait; for [`Pace::Login`] the shortest and the longest wait.
    #[must_use]
    pub fn limits(self) -> (Duration, Duration) {
        let seconds = Duration::from_secs;
        match self {
            Self::Usual => (seconds(1), seconds(60)),
            Self::Failover => (seconds(1), seconds(5)),
            Self::Login => (seconds(60), seconds(75)),
            Self::Mending => (seconds(2), seconds(30)),
        }
    }

    /// Whether a shorter period shortens the longest wait.
    #[must_use]
    pub fn within_period(self) -> bool {
        matches!(self, Self::Usual | Self::Failover)
    }
}

impl ErrorClass {
    /// The class's name in logs, metrics and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Schema => "schema",
            Self::Permission => "permission",
            Self::Resource => "resource",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written a second time on purpose, so that a mistake in the table differs from it.
    #[test]
    fn kinds_differ_in_their_words_and_in_what_the_program_does() {
        let table: Vec<String> = ErrorKind::ALL
            .iter()
            .map(|kind| {
                let mut row = format!("{kind} {} {:?}", kind.class(), kind.pace());
                if kind.kept_session() != KeptSession::Fails {
                    row.push_str(&format!(" {:?}", kind.kept_session()));
                }
                if kind.provisioning_helps() {
                    row.push_str(" provisioning helps");
                }
                if kind.outcome() == Outcome::Unknown {
                    row.push_str(" may be written");
                }
                row
            })
            .collect();
        insta::assert_snapshot!(table.join("\n"));
        let words: std::collections::BTreeSet<_> = ErrorKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(words.len(), ErrorKind::ALL.len(), "two kinds share a word");
    }
}
