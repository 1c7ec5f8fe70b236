//! The seam between the program and a database: the [`Driver`] and [`Session`] traits. The scheduler writes beats
//! through it, the commands provision and check through it. Only `driver/<name>/` names a database's crate, and no
//! driver imports another one.

use std::sync::Arc;

use async_trait::async_trait;

pub use self::progress::{Progress, SlotProgress};
use self::rules::{ConnectorKey, Defaults, Judgement};
pub use self::server::{ServerInfo, ServerRole, SessionAccount};
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
mod progress;
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
    /// To write beats. Chooses the writable host; a read-only server is the failure `not_writable`.
    Beat,
    /// To inspect the server that heartbeatd writes to: chosen as for `Beat`, but nothing is written.
    Check,
    /// To inspect a server: the first host that answers, in any role.
    Inspect,
    /// To create objects: chosen as for `Beat`; an embedded database may be created.
    Provision,
    /// To print what `Provision` would create. Creates nothing; a missing embedded database counts as empty.
    Plan,
}

/// What a driver needs to connect.
#[derive(Debug, Clone, Copy)]
pub struct ConnectRequest<'a> {
    /// The target of the session: its table, what its connector needs, and its time-out. The driver derives from the
    /// time-out the limits that last for the whole session.
    pub target: &'a Arc<Target>,
    /// The address: the target's own, a replica's, or the administrator's.
    pub endpoint: &'a Endpoint,
    /// The password, just read from its source.
    pub password: Option<&'a Secret>,
    /// What the connection is for.
    pub purpose: Purpose,
    /// The application name that administrators see.
    pub application_name: &'a str,
    /// The server identity seen so far. A server with another identity is the failure `identity`.
    pub known_identity: Option<&'a str>,
    /// The newest timelines seen so far. A writable server on an older timeline of its cluster is the failure
    /// `old_timeline`, unless the session only inspects it.
    pub timelines: Option<&'a Timelines>,
    /// For a session that provisions over another address than the target's own: the account of a session at the
    /// target's address, if it is known. Grants name this account.
    pub beats_as: Option<&'a SessionAccount>,
    /// When the caller gives up. Drivers set the server-side limits below it.
    pub deadline: Instant,
}

/// The facts do not have the driver's shape.
#[derive(Debug, thiserror::Error)]
#[error("these facts cannot be read: {0}")]
pub struct FactsError(#[from] pub serde_json::Error);

/// The heartbeat row, read without writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// `last_update`; `None` if it is NULL or there is no such row.
    pub value: Option<Stamp>,
    /// The number of rows with the configured id.
    pub rows: u64,
    /// The server's clock.
    pub server_time: Option<Stamp>,
    /// The server's role at this moment.
    pub role: ServerRole,
}

/// One database family.
///
/// Called from many tasks at once. Holds no state of a target.
#[async_trait]
pub trait Driver: Send + Sync + 'static {
    /// The family, by its name.
    fn family(&self) -> Family;

    /// The schemes of its addresses, in lower case.
    fn schemes(&self) -> &'static [&'static str];

    /// Parses the part of an address after the scheme (one of [`Driver::schemes`]) and its colon.
    ///
    /// # Errors
    /// A [`UrlError`], which never holds the address itself. [`Driver::validate`] judges the parameters.
    fn parse(&self, scheme: &str, rest: &str) -> Result<Endpoint, UrlError>;

    /// Parses a connection string without a scheme, as this database's own clients write it. `None` if the text is not
    /// such a string.
    fn parse_connection_string(&self, _text: &str) -> Option<Result<Endpoint, UrlError>> {
        None
    }

    /// The defaults for keys that a configuration leaves out.
    fn defaults(&self) -> Defaults {
        Defaults::default()
    }

    /// The keys that `[target.connector]` accepts besides `user` and `mode`.
    fn connector_keys(&self) -> &'static [ConnectorKey] {
        &[]
    }

    /// Judges a whole target without connecting: addresses, names, schedule. Called when a configuration is loaded,
    /// and by `check --offline`.
    fn validate(&self, target: &Target) -> Judgement;

    /// Opens a session. Name resolution, network, TLS, login and the query for the server's role all end before
    /// `request.deadline`. The caller enforces it by dropping the future, which must leave nothing behind.
    ///
    /// # Errors
    /// A classified [`Failure`], without a remedy.
    async fn connect(&self, request: &ConnectRequest<'_>) -> Result<Box<dyn Session>, Failure>;

    /// The hosts of an address that names several, each as a separate address. Empty where servers cannot show which of
    /// two primaries is newer, because looking at each host would show nothing.
    fn hosts_with_timelines(&self, _endpoint: &Endpoint) -> Vec<(String, Endpoint)> {
        Vec::new()
    }

    /// The exact next step for a failure of this target, where the driver knows one. A script for the failed server
    /// names the source; callers move it to the replica that failed.
    fn remedy(&self, failure: &Failure, target: &Target) -> Option<Remedy>;

    /// Whether a session's account may differ from the user in the address, so that a plan over another address must
    /// ask for [`Session::account`] first.
    fn maps_accounts(&self) -> bool {
        false
    }

    /// The characters that begin a comment in printed scripts.
    fn comment(&self) -> &'static str {
        "--"
    }

    /// Whether servers of this family show how far the log was read, so that it pays to ask [`Session::progress`].
    fn shows_progress(&self) -> bool {
        false
    }

    /// Whether a confirmed position is at or after another one, both in the database's own notation.
    fn passes(&self, _confirmed: &str, _position: &str) -> bool {
        false
    }

    /// The checks of this driver, in the order of the report. Two drivers share an id only for checks that mean the
    /// same.
    fn checks(&self) -> &'static [Check];

    /// Judges a case whose source gave facts. Pure; returns at least one finding for each check of [`Driver::checks`].
    ///
    /// # Errors
    /// When the facts do not have this driver's shape: the file is of a later version, or damaged.
    fn judge(&self, case: &Case<'_>) -> Result<Vec<Finding>, FactsError>;
}

/// One kept connection of one target.
///
/// Used by one task, one call at a time. No call is cancel-safe: after a call's future was dropped before its end, or
/// after an error that the session does not survive, its state is unknown and the session must be dropped.
#[async_trait]
pub trait Session: Send {
    /// The server that answered last.
    fn server(&self) -> &ServerInfo;

    /// Whether the session can be used after a call that failed in this way. A client that knows all servers of a
    /// target finds the new primary by itself.
    fn survives(&self, _failure: ErrorKind) -> bool {
        false
    }

    /// Whether a call can begin. A session that survived an unfinished call may still be in that call; the caller then
    /// closes it and opens another one.
    fn is_ready(&self) -> bool {
        true
    }

    /// Writes one beat: one statement, one round trip, the database's clock. The server's own limit lies just below
    /// `deadline`.
    ///
    /// # Errors
    /// A classified [`Failure`], without a remedy.
    async fn beat(&mut self, writing: Writing, deadline: Instant) -> Result<RowReport, Failure>;

    /// Reads the row and the server's role.
    ///
    /// # Errors
    /// A classified [`Failure`], without a remedy.
    async fn observe(&mut self, deadline: Instant) -> Result<Observation, Failure>;

    /// Gathers the facts for the checks, in one consistent snapshot where the database has one. At most a dozen round
    /// trips (two dozen where the catalogue cannot be joined), besides the probes of privileges. Changes nothing; the
    /// facts never hold a secret.
    ///
    /// What this user may not see is a fact ("not visible") and never an error.
    ///
    /// # Errors
    /// A classified [`Failure`], without a remedy, when the server answers no query at all.
    async fn inspect(&mut self, deadline: Instant) -> Result<Facts, Failure>;

    /// Reads how far the connector, or the job that captures changes for it, has read the log; `None` where this server
    /// does not show it.
    ///
    /// # Errors
    /// A classified [`Failure`], without a remedy.
    async fn progress(&mut self, _deadline: Instant) -> Result<Option<Progress>, Failure> {
        Ok(None)
    }

    /// The account of this session; `None` if it is the user in the address.
    ///
    /// # Errors
    /// A classified [`Failure`], without a remedy.
    async fn account(&mut self, _deadline: Instant) -> Result<Option<SessionAccount>, Failure> {
        Ok(None)
    }

    /// Plans the steps that create what the target lacks. Changes nothing. The server's own limit lies below
    /// `deadline`.
    ///
    /// # Errors
    /// A classified [`Failure`], without a remedy.
    async fn plan(&mut self, deadline: Instant) -> Result<Plan, Failure>;

    /// Applies one step of a plan. Each step is idempotent by itself. The server's own limit lies below `deadline`, so
    /// that DDL does not queue for locks after the caller has given up.
    ///
    /// # Errors
    /// A classified [`Failure`], without a remedy.
    async fn apply(&mut self, step: &Step, deadline: Instant) -> Result<(), Failure>;

    /// Whether [`Session::apply`] looks at what the step has made. Otherwise the plan is made again at the end.
    fn looks_at_effects(&self) -> bool {
        false
    }

    /// Closes the connection properly, within half a second.
    async fn close(self: Box<Self>);
}

/// Adds the exact next step to a failure: the failure's own one, else the driver's for this target.
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

/// A driver's typed facts as JSON, the form that leaves the driver.
fn write_down(facts: &impl serde::Serialize) -> Result<Facts, Failure> {
    serde_json::to_value(facts)
        .map_err(|error| Failure::new(ErrorKind::Internal, "the facts cannot be written down").with_source(error))
}
