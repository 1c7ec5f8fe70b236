//! The seam between the program and a database: the [`Driver`] and [`Session`] traits. The scheduler beats through it,
//! the commands provision through it; only `driver/<name>/` names a database's crate, and no driver imports another.

use std::sync::Arc;

use async_trait::async_trait;

use self::rules::{ConnectorKey, Defaults, Judgement};
pub use self::server::{ServerInfo, ServerRole};
use self::timelines::Timelines;
use crate::database_url::{Family, UrlError};
use crate::descriptors;
use crate::finding::{Case, Check, Facts, Finding};
use crate::heartbeat::{ErrorKind, Failure, RowReport, Stamp, Writing};
use crate::plan::{Plan, Step};
use crate::remedy::Remedy;
use crate::secret::Secret;
use crate::target::{Endpoint, Target};
use crate::time::clock::Instant;

#[cfg(feature = "_server")]
mod answer;
#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
mod answer_limit;
#[cfg(feature = "_server")]
#[cfg_attr(not(any(feature = "mysql", feature = "postgres")), allow(dead_code, reason = "others need a part of it"))]
mod certificates;
#[cfg(feature = "_server")]
#[cfg_attr(not(any(feature = "mysql", feature = "postgres")), allow(dead_code, reason = "others need a part of it"))]
mod evidence;
#[cfg(feature = "_server")]
mod hosts;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod login_guard;
#[cfg(feature = "mongodb")]
pub mod mongodb;
#[cfg(feature = "mysql")]
pub mod mysql;
#[cfg(feature = "_server")]
#[cfg_attr(not(any(feature = "mysql", feature = "postgres")), allow(dead_code, reason = "others need a part of it"))]
mod network;
pub mod opening;
#[cfg(feature = "oracle")]
pub mod oracle;
#[cfg(feature = "_server")]
#[cfg_attr(not(any(feature = "mysql", feature = "postgres")), allow(dead_code, reason = "others need a part of it"))]
mod parameters;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod rules;
mod server;
#[cfg_attr(not(any(feature = "mysql", feature = "postgres")), allow(dead_code, reason = "others need a part of it"))]
mod shared_checks;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "sqlserver")]
pub mod sqlserver;
pub mod timelines;
#[cfg(any(feature = "mongodb", feature = "oracle"))]
mod worker;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Beating: of several hosts, the writable one; a read-only server is the failure `not_writable`.
    Beat,
    /// Looking at the server that is beaten: as `Beat`, without beating.
    Check,
    /// Looking: the first host that answers, whatever its role.
    Inspect,
    /// Creating objects: as `Beat`, and an embedded database may be created.
    Provision,
    /// Saying what `Provision` would create, and creating nothing: an embedded database that is missing counts as empty.
    Plan,
}

/// What a driver needs to connect.
#[derive(Debug, Clone, Copy)]
pub struct ConnectRequest<'a> {
    /// The target that the session will work for: its table, what its connector needs, and its time-out, which bounds each
    /// later call (for limits that are a session's own).
    pub target: &'a Arc<Target>,
    /// Where: the target's own server, a replica's, or its own as an administrator.
    pub endpoint: &'a Endpoint,
    /// The password, just read from its source.
    pub password: Option<&'a Secret>,
    /// What for.
    pub purpose: Purpose,
    /// How the session names itself to administrators.
    pub application_name: &'a str,
    /// The identity of the server known so far; another one is the failure `identity`.
    pub known_identity: Option<&'a str>,
    /// The newest timelines known so far: of several writable servers of one cluster, one that is behind is the failure
    /// `old_timeline`, except for looking at it.
    pub timelines: Option<&'a Timelines>,
    /// When the caller gives up. Drivers set server-side limits below it.
    pub deadline: Instant,
}

/// Facts that are not in the driver's shape.
#[derive(Debug, thiserror::Error)]
#[error("these facts cannot be read: {0}")]
pub struct FactsError(#[from] pub serde_json::Error);

/// The heartbeat row as seen without writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// `last_update`; `None` if it is NULL or there is no such row.
    pub value: Option<Stamp>,
    /// Rows with the configured id.
    pub rows: u64,
    /// The server's clock.
    pub server_time: Option<Stamp>,
    /// The server's role at this moment.
    pub role: ServerRole,
}

/// How far the connector has read, as its replication slot (or what stands for it) says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The slot.
    pub slot: String,
    /// Whether somebody reads from it now.
    pub active: bool,
    /// Up to where the connector has confirmed, in the database's own notation.
    pub confirmed: Option<String>,
    /// How much log it holds back.
    pub retained_bytes: Option<u64>,
}

/// One database family.
///
/// Called from many tasks at once; holds no state of a target.
#[async_trait]
pub trait Driver: Send + Sync + 'static {
    /// The family, by its name.
    fn family(&self) -> Family;

    /// The schemes of its addresses, in small letters.
    fn schemes(&self) -> &'static [&'static str];

    /// Takes apart what stands behind the scheme (one of [`Driver::schemes`]) and its colon.
    ///
    /// # Errors
    /// Whatever of [`UrlError`] fits, never with the address itself; parameters are for [`Driver::validate`].
    fn parse(&self, scheme: &str, rest: &str) -> Result<Endpoint, UrlError>;

    /// Takes apart what has no scheme: a connection string as this database's own clients write it. `None` for what is not
    /// meant as one.
    fn parse_connection_string(&self, _text: &str) -> Option<Result<Endpoint, UrlError>> {
        None
    }

    /// What holds where a configuration says nothing.
    fn defaults(&self) -> Defaults {
        Defaults::default()
    }

    /// What `[target.connector]` takes beside `user` and `mode`.
    fn connector_keys(&self) -> &'static [ConnectorKey] {
        &[]
    }

    /// Judges a whole target without connecting: addresses, names, schedule. Called when a configuration is loaded, and by
    /// `check --offline`.
    fn validate(&self, target: &Target) -> Judgement;

    /// Opens a session. Name look-up, network, TLS, login and the look at the server's role all lie within
    /// `request.deadline`, which the caller enforces by dropping the future: that must leave nothing behind.
    ///
    /// # Errors
    /// A classified [`Failure`], without a remedy.
    async fn connect(&self, request: &ConnectRequest<'_>) -> Result<Box<dyn Session>, Failure>;

    /// The hosts of an address that names several, each with its address and by itself; none where servers do not tell
    /// which of two primaries is the newer one, so that looking would tell nothing.
    fn hosts_with_timelines(&self, _endpoint: &Endpoint) -> Vec<(String, Endpoint)> {
        Vec::new()
    }

    /// The exact next step for a failure of this target, where the driver knows one; what runs on the failed server runs on the
    /// source.
    fn remedy(&self, failure: &Failure, target: &Target) -> Option<Remedy>;

    /// What begins a comment in the scripts that are printed.
    fn comment(&self) -> &'static str {
        "--"
    }

    /// Whether this family keeps the connector's position, so that [`Session::delivery`] is worth a connection.
    fn knows_delivery(&self) -> bool {
        false
    }

    /// Whether a confirmed position has reached another one, both in the database's own notation.
    fn passes(&self, _confirmed: &str, _position: &str) -> bool {
        false
    }

    /// What this driver can check, in the order of the report. Every id is its own across drivers, or means the same.
    fn checks(&self) -> &'static [Check];

    /// Judges a case whose source gave facts: pure, and one finding at least for every check of [`Driver::checks`].
    ///
    /// # Errors
    /// When the facts are not in this driver's shape (a file of a later version, or one that was damaged).
    fn judge(&self, case: &Case<'_>) -> Result<Vec<Finding>, FactsError>;
}

/// One kept connection, of the target that it was opened for.
///
/// Used by one task, one call at a time. After an error that it does not survive, or when a call's future was dropped
/// before its end, the session is in an unknown state and must be dropped, never used again (nothing here is cancel-safe).
#[async_trait]
pub trait Session: Send {
    /// What is known of the server that answered last.
    fn server(&self) -> &ServerInfo;

    /// Whether the session is of use after a call that failed in this way: a client that knows all servers of a target
    /// follows them by itself.
    fn survives(&self, _failure: ErrorKind) -> bool {
        false
    }

    /// Whether a call can begin. One that survived a call which did not end in time may still be in it: then it is closed,
    /// and another one opened.
    fn is_ready(&self) -> bool {
        true
    }

    /// One beat: one statement, one round trip, the database's clock. Bounded on the server a little below `deadline`.
    ///
    /// # Errors
    /// A classified [`Failure`], without a remedy.
    async fn beat(&mut self, writing: Writing, deadline: Instant) -> Result<RowReport, Failure>;

    /// Looks at the row and at the server's role.
    ///
    /// # Errors
    /// A classified [`Failure`], without a remedy.
    async fn observe(&mut self, deadline: Instant) -> Result<Observation, Failure>;

    /// Gathers what the checks are judged from: in one consistent snapshot where the database has one, in a dozen round
    /// trips at most (two dozen where the catalogue cannot be joined) besides the probes of privileges; changes nothing
    /// and never holds a secret.
    ///
    /// What this user may not see is part of the facts ("not visible"), never an error.
    ///
    /// # Errors
    /// A classified [`Failure`], without a remedy, when the server cannot be asked at all.
    async fn inspect(&mut self, deadline: Instant) -> Result<Facts, Failure>;

    /// Reads the connector's position; `None` where this server has none of it.
    ///
    /// # Errors
    /// A classified [`Failure`], without a remedy.
    async fn delivery(&mut self, _deadline: Instant) -> Result<Option<Delivery>, Failure> {
        Ok(None)
    }

    /// Gathers what exists and says what is missing for the target; changes nothing. Bounded on the server below
    /// `deadline`.
    ///
    /// # Errors
    /// A classified [`Failure`], without a remedy.
    async fn plan(&mut self, deadline: Instant) -> Result<Plan, Failure>;

    /// Applies one step of a plan. Each step is idempotent by itself. Bounded on the server below `deadline`: DDL that
    /// nobody waits for any more must not queue for locks.
    ///
    /// # Errors
    /// A classified [`Failure`], without a remedy.
    async fn apply(&mut self, step: &Step, deadline: Instant) -> Result<(), Failure>;

    /// Says good-bye, within half a second.
    async fn close(self: Box<Self>);
}

/// A failure with the exact next step: its own, where it carries one, else the driver's for this target.
#[must_use]
pub fn with_remedy(driver: &dyn Driver, failure: Failure, target: &Target) -> Failure {
    if failure.remedy().is_some() {
        return failure;
    }
    if descriptors::is_shortage(&failure) {
        return failure.with_remedy(descriptors::REMEDY);
    }
    match driver.remedy(&failure, target) {
        Some(remedy) => failure.with_remedy(remedy),
        None => failure,
    }
}

/// A driver's typed facts in the form of the seam.
fn write_down(facts: &impl serde::Serialize) -> Result<Facts, Failure> {
    serde_json::to_value(facts)
        .map_err(|error| Failure::new(ErrorKind::Internal, "the facts cannot be written down").with_source(error))
}
