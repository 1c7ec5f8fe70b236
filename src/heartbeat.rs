//! The vocabulary of one beat: what is asked of a database, what came of it, and what went wrong of which class.
//! Every room speaks it; it imports none of them.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A point in time as a database keeps it in `last_update`: microseconds since 1970-01-01 00:00 UTC, a value without a
/// zone read as UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub i64);

/// What this beat may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// Write whatever the row holds.
    Always,
    /// Write only if nobody else did: the database decides within the statement.
    WhenStale {
        /// The value found at this daemon's last look; a row that still holds it is stale.
        last_seen: Option<Stamp>,
        /// The period around this moment; a value older than three quarters of it is stale.
        period: Duration,
    },
    /// Look only.
    Never,
}

/// What makes a difference between `last_update` and the server's clock look like a whole zone offset, in microseconds:
/// a multiple of `step` up to `furthest`, give or take `tolerance`. A writer in another time zone is judged by change,
/// not by age; the rule is shared by all drivers, each words it in its SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZoneGuess {
    /// Zone offsets are multiples of a quarter of an hour.
    pub step: i64,
    /// Three quarters of a period, at most a minute.
    pub tolerance: i64,
    /// No zone is further from UTC than fourteen hours.
    pub furthest: i64,
}

/// What a driver found in the row, as the statement returned it; judged by [`judge`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowReport {
    /// Rows with the configured id that the statement could see.
    pub seen: u64,
    /// Rows that it changed.
    pub changed: u64,
    /// Whether the row called for a write (always true with [`Writing::Always`]).
    pub stale: bool,
    /// The value before the beat.
    pub previous: Option<Stamp>,
    /// The value after the beat; equal to `previous` if nothing was written.
    pub value: Option<Stamp>,
    /// The server's clock at the beat.
    pub server_time: Option<Stamp>,
    /// Where the change log stood, in the database's own notation (PostgreSQL: an LSN).
    pub position: Option<String>,
}

/// What came of a beat that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeatOutcome {
    /// An acknowledged commit changed exactly one row.
    Written,
    /// Somebody else had written within the period: nothing to do.
    Fresh,
    /// `write = "never"`: the row was read.
    Watched,
}

/// One beat that did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// What came of it.
    pub outcome: BeatOutcome,
    /// `last_update` as it stands now; `None` is SQL's NULL.
    pub value: Option<Stamp>,
    /// `last_update` as it was found.
    pub previous: Option<Stamp>,
    /// The server's clock at the beat.
    pub server_time: Option<Stamp>,
    /// Where the change log stood, in the database's own notation.
    pub position: Option<String>,
}

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

impl Stamp {
    /// Microseconds between two stamps, `self` minus `earlier`.
    #[must_use]
    pub fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The stamp as `2026-11-20T11:22:33.123456Z`, or its number where a calendar cannot show it.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        chrono::DateTime::from_timestamp_micros(self.0)
            .map_or_else(|| format!("{} µs", self.0), |time| time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true))
    }
}

impl ZoneGuess {
    /// The guess for a target of this period.
    #[must_use]
    pub fn for_period(period: Duration) -> Self {
        let tolerance = (period / 4 * 3).min(Duration::from_secs(60));
        Self {
            step: 15 * 60 * 1_000_000,
            tolerance: i64::try_from(tolerance.as_micros()).unwrap_or(60_000_000),
            furthest: 14 * 60 * 60 * 1_000_000,
        }
    }

    /// The zone offset that a value this far ahead of the server's clock hints at, if any.
    #[must_use]
    pub fn offset_of(&self, ahead_micros: i64) -> Option<Duration> {
        let distance = i64::try_from(ahead_micros.unsigned_abs()).ok()?;
        let offset = (distance + self.step / 2) / self.step * self.step;
        let fits = offset > 0 && offset <= self.furthest && (distance - offset).abs() <= self.tolerance;
        fits.then(|| Duration::from_micros(offset.unsigned_abs()))
    }
}

impl BeatOutcome {
    /// The word for `result` in metrics and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Written => "ok",
            Self::Fresh => "fresh",
            Self::Watched => "watched",
        }
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

impl ErrorKind {
    /// Every kind, in the order of the enum.
    pub const ALL: [Self; 34] = [
        Self::Name,
        Self::Refused,
        Self::Network,
        Self::Timeout,
        Self::Tls,
        Self::Auth,
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

/// Server text longer than this is cut: a log line or a page is no place for more.
const MESSAGE_CHARS: usize = 500;

impl Failure {
    /// A failure of this kind. The message is made fit for one line: control characters become spaces, what exceeds
    /// 500 characters is cut.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl AsRef<str>) -> Self {
        let mut text: String =
            message.as_ref().chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE_CHARS + 1).collect();
        if text.chars().count() > MESSAGE_CHARS {
            text = text.chars().take(MESSAGE_CHARS).chain("…".chars()).collect();
        }
        Self { kind, code: None, message: text, remedy: None, source: None }
    }

    /// Adds the database's own code, e.g. a SQLSTATE.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Adds the exact next step.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
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

/// Says what a row report means (I6: `Written` only when exactly one row changed to another value).
///
/// `stale_before` tells that the previous beat already found the row seen, stale and unchanged: twice running and with
/// the same value, it is not a race with another writer but a row that cannot be updated.
///
/// # Errors
/// `missing_row`, `duplicate_rows` or `row_not_updatable`; without a remedy, which only the driver can word.
pub fn judge(report: &RowReport, writing: Writing, stale_before: bool) -> Result<Beat, Failure> {
    let beat = |outcome| Beat {
        outcome,
        value: report.value,
        previous: report.previous,
        server_time: report.server_time,
        position: report.position.clone(),
    };
    match (report.seen, report.changed) {
        (0, _) => Err(Failure::new(
            ErrorKind::MissingRow,
            "the heartbeat table holds no row with the configured id, or none that this user can see",
        )),
        (2.., _) | (_, 2..) => {
            Err(Failure::new(ErrorKind::DuplicateRows, "several rows of the heartbeat table carry the configured id"))
        }
        (1, 1) if report.value == report.previous => Err(Failure::new(
            ErrorKind::RowNotUpdatable,
            "the update was accepted and last_update still holds its old value",
        )),
        (1, 1) => Ok(beat(BeatOutcome::Written)),
        (1, 0) => match writing {
            Writing::Never => Ok(beat(BeatOutcome::Watched)),
            // Lost to another writer since the last look, however often: then the value is another one than then.
            Writing::WhenStale { last_seen, .. } if !report.stale || !stale_before || report.previous != last_seen => {
                Ok(beat(BeatOutcome::Fresh))
            }
            Writing::Always | Writing::WhenStale { .. } => Err(Failure::new(
                ErrorKind::RowNotUpdatable,
                "the heartbeat row is visible, the update succeeds, and no row changes",
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(seen: u64, changed: u64, stale: bool) -> RowReport {
        let value = if changed > 0 { 2 } else { 1 };
        RowReport { seen, changed, stale, previous: Some(Stamp(1)), value: Some(Stamp(value)), ..RowReport::default() }
    }

    const WHEN_STALE: Writing = Writing::WhenStale { last_seen: Some(Stamp(1)), period: Duration::from_secs(60) };

    #[test]
    fn zero_rows_are_never_success() {
        for writing in [Writing::Always, WHEN_STALE, Writing::Never] {
            let failure = judge(&report(0, 0, true), writing, false).unwrap_err();
            assert_eq!(failure.kind(), ErrorKind::MissingRow);
        }
    }

    #[test]
    fn a_row_seen_and_not_changed_is_not_updatable() {
        let failure = judge(&report(1, 0, true), Writing::Always, false).unwrap_err();
        assert_eq!(failure.kind(), ErrorKind::RowNotUpdatable);
    }

    #[test]
    fn a_stale_row_lost_to_another_writer_once_is_fresh_and_twice_running_a_failure() {
        assert_eq!(judge(&report(1, 0, true), WHEN_STALE, false).unwrap().outcome, BeatOutcome::Fresh);
        assert_eq!(judge(&report(1, 0, true), WHEN_STALE, true).unwrap_err().kind(), ErrorKind::RowNotUpdatable);
        assert_eq!(judge(&report(1, 0, false), WHEN_STALE, true).unwrap().outcome, BeatOutcome::Fresh);
    }

    #[test]
    fn a_stale_row_that_somebody_changed_between_the_looks_was_lost_to_that_writer() {
        let seen_another = Writing::WhenStale { last_seen: Some(Stamp(0)), period: Duration::from_secs(60) };
        assert_eq!(judge(&report(1, 0, true), seen_another, true).unwrap().outcome, BeatOutcome::Fresh);
    }

    #[test]
    fn an_update_that_changes_no_value_is_a_failure() {
        let mut unchanged = report(1, 1, true);
        unchanged.value = unchanged.previous;
        assert_eq!(judge(&unchanged, Writing::Always, false).unwrap_err().kind(), ErrorKind::RowNotUpdatable);
    }

    #[test]
    fn several_rows_of_one_id_are_a_schema_fault() {
        assert_eq!(judge(&report(2, 2, true), Writing::Always, false).unwrap_err().class(), ErrorClass::Schema);
    }

    #[test]
    fn server_text_fits_one_line_and_is_cut() {
        let failure = Failure::new(ErrorKind::Unknown, format!("a\nb\u{1b}[31m{}", "x".repeat(2_000)));
        assert!(failure.message().starts_with("a b [31mx"));
        assert_eq!(failure.message().chars().count(), MESSAGE_CHARS + 1);
    }

    #[test]
    fn every_kind_is_listed_once_and_named_apart() {
        let names: std::collections::BTreeSet<_> = ErrorKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(names.len(), ErrorKind::ALL.len());
    }
}
