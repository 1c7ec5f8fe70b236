//! What went wrong, of which class, and the exact next step: the one error type that reaches people. Part of the
//! vocabulary of `heartbeat`, which gives it on; of this crate it imports `plain_text`.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::plain_text;

/// The four classes of trouble, as the vendors' recovery pages sort them: each has its own next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorClass {
    /// The server is not reached, not let in, or is not the one to write on.
    Connection,
    /// The heartbeat's table or row is not as it must be.
    Schema,
    /// A privilege is missing.
    Permission,
    /// The server lacks something (disk, memory, a free lock).
    Resource,
}

/// What exactly is wrong. Each kind belongs to one [`ErrorClass`]; see [`ErrorKind::class`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorKind {
    // --- connection
    /// The host name does not resolve.
    Name,
    /// The server's machine answers, nobody listens on the port.
    Refused,
    /// No route, no answer from the network, or a connection lost midway.
    Network,
    /// No answer within the deadline.
    Timeout,
    /// Certificate, protocol version, or encryption refused.
    Tls,
    /// User or password refused, or no rule lets this client in.
    Auth,
    /// The server asks for a way of logging in that this program does not speak.
    AuthMethod,
    /// The password's source cannot be read.
    SecretSource,
    /// The server has no database of that name.
    MissingDatabase,
    /// Every connection the server allows is taken.
    TooManyConnections,
    /// The server is starting up or recovering.
    Starting,
    /// The server is shutting down, or an administrator ended the session.
    Shutdown,
    /// The server is a standby, or none of the hosts is writable.
    NotWritable,
    /// A primary whose transactions are read-only by a setting.
    ReadOnlySetting,
    /// Another server than before answers under this name.
    Identity,
    /// Something that is not this database's protocol.
    Protocol,
    /// A setting of the connection is refused.
    Settings,
    // --- schema
    /// The schema does not exist, or is not visible.
    MissingSchema,
    /// The table does not exist, or is not visible.
    MissingTable,
    /// A column does not exist.
    MissingColumn,
    /// A column's type cannot hold a time.
    ColumnType,
    /// The table has no row of that id, or none that is visible.
    MissingRow,
    /// Several rows carry the id.
    DuplicateRows,
    /// The row is seen, the statement succeeds, and nothing changes: row-level security or a trigger.
    RowNotUpdatable,
    /// The database refuses the change (constraint, trigger, publication without replica identity).
    Rejected,
    // --- permission
    /// A privilege is missing.
    Privilege,
    // --- resource
    /// No space left where the database writes.
    DiskFull,
    /// The server ran out of memory.
    Memory,
    /// Another session holds the row or the table.
    Lock,
    /// The server ended the statement at its time limit.
    StatementTimeout,
    /// A deadlock or a serialization failure: to be tried again.
    Conflict,
    /// A limit of the server other than those above.
    Limit,
    /// The server's storage fails.
    Storage,
    // --- either
    /// A code this program does not know.
    Unknown,
    /// A fault in this program.
    Internal,
}

/// What went wrong with one target, ready to be shown: kind, the database's own code, a message, the next step.
///
/// Holds no secret: drivers build the message from the server's text or their own words, never from a URL.
#[derive(Debug, Clone)]
pub struct Failure {
    kind: ErrorKind,
    code: Option<String>,
    message: String,
    remedy: Option<String>,
    source: Option<Arc<dyn Error + Send + Sync>>,
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

impl ErrorKind {
    /// Every kind, in the order of the enum.
    pub const ALL: [Self; 35] = [
        Self::Name,
        Self::Refused,
        Self::Network,
        Self::Timeout,
        Self::Tls,
        Self::Auth,
        Self::AuthMethod,
        Self::SecretSource,
        Self::MissingDatabase,
        Self::TooManyConnections,
        Self::Starting,
        Self::Shutdown,
        Self::NotWritable,
        Self::ReadOnlySetting,
        Self::Identity,
        Self::Protocol,
        Self::Settings,
        Self::MissingSchema,
        Self::MissingTable,
        Self::MissingColumn,
        Self::ColumnType,
        Self::MissingRow,
        Self::DuplicateRows,
        Self::RowNotUpdatable,
        Self::Rejected,
        Self::Privilege,
        Self::DiskFull,
        Self::Memory,
        Self::Lock,
        Self::StatementTimeout,
        Self::Conflict,
        Self::Limit,
        Self::Storage,
        Self::Unknown,
        Self::Internal,
    ];

    /// The class this kind belongs to.
    #[must_use]
    pub fn class(self) -> ErrorClass {
        match self {
            Self::Name
            | Self::Refused
            | Self::Network
            | Self::Timeout
            | Self::Tls
            | Self::Auth
            | Self::AuthMethod
            | Self::SecretSource
            | Self::MissingDatabase
            | Self::TooManyConnections
            | Self::Starting
            | Self::Shutdown
            | Self::NotWritable
            | Self::ReadOnlySetting
            | Self::Identity
            | Self::Protocol
            | Self::Settings => ErrorClass::Connection,
            Self::MissingSchema
            | Self::MissingTable
            | Self::MissingColumn
            | Self::ColumnType
            | Self::MissingRow
            | Self::DuplicateRows
            | Self::RowNotUpdatable
            | Self::Rejected => ErrorClass::Schema,
            Self::Privilege => ErrorClass::Permission,
            Self::DiskFull
            | Self::Memory
            | Self::Lock
            | Self::StatementTimeout
            | Self::Conflict
            | Self::Limit
            | Self::Storage
            | Self::Unknown
            | Self::Internal => ErrorClass::Resource,
        }
    }

    /// The kind's name in logs, metrics and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Refused => "refused",
            Self::Network => "network",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Auth => "auth",
            Self::AuthMethod => "auth_method",
            Self::SecretSource => "secret_source",
            Self::MissingDatabase => "missing_database",
            Self::TooManyConnections => "too_many_connections",
            Self::Starting => "starting",
            Self::Shutdown => "shutdown",
            Self::NotWritable => "not_writable",
            Self::ReadOnlySetting => "read_only_setting",
            Self::Identity => "identity",
            Self::Protocol => "protocol",
            Self::Settings => "settings",
            Self::MissingSchema => "missing_schema",
            Self::MissingTable => "missing_table",
            Self::MissingColumn => "missing_column",
            Self::ColumnType => "column_type",
            Self::MissingRow => "missing_row",
            Self::DuplicateRows => "duplicate_rows",
            Self::RowNotUpdatable => "row_not_updatable",
            Self::Rejected => "rejected",
            Self::Privilege => "privilege",
            Self::DiskFull => "disk_full",
            Self::Memory => "memory",
            Self::Lock => "lock",
            Self::StatementTimeout => "statement_timeout",
            Self::Conflict => "conflict",
            Self::Limit => "limit",
            Self::Storage => "storage",
            Self::Unknown => "unknown",
            Self::Internal => "internal",
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

impl Failure {
    /// A failure of this kind. The message is made fit for one line, see [`plain_text::one_line`].
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl AsRef<str>) -> Self {
        let message = plain_text::one_line(message.as_ref());
        Self { kind, code: None, message, remedy: None, source: None }
    }

    /// Adds the database's own code, e.g. a SQLSTATE.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(plain_text::one_line(&code.into()));
        self
    }

    /// Adds the exact next step.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(plain_text::with_line_breaks(remedy.into()));
        self
    }

    /// Keeps the error this one comes from.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Replaces the kind, where a caller knows more than the code said.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// What exactly is wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The class of the kind.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        self.kind.class()
    }

    /// The database's own code.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// What happened, one line.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The exact next step, if one is known.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        self.remedy.as_deref()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.code {
            Some(code) => write!(f, " ({code})"),
            None => Ok(()),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_text_is_cut_wherever_it_enters() {
        let hostile = format!("a\nb\u{1b}[31m\u{202e}{}", "x".repeat(2_000));
        let failure = Failure::new(ErrorKind::Unknown, &hostile).with_code("1\n2").with_remedy("SELECT 1;\n\u{202e}");
        assert!(failure.message().starts_with("a b [31m\u{fffd}x"));
        assert_eq!(failure.message().chars().count(), plain_text::MAX_CHARS + 1);
        assert_eq!((failure.code(), failure.remedy()), (Some("1 2"), Some("SELECT 1;\n\u{fffd}")));
    }

    #[test]
    fn every_kind_is_listed_once_and_named_apart() {
        let names: std::collections::BTreeSet<_> = ErrorKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(names.len(), ErrorKind::ALL.len());
    }
}
