//! A target: its database, table, schedule, and what its connector needs. Plain data; `config` makes it, every room
//! reads it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::database_url::DatabaseUrl;
use crate::secret::{Secret, SecretSource};
use crate::time::schedule::Schedule;

/// The default of `timeout`.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// The default of `interval`, as the vendors' pages recommend.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);

/// One database with a heartbeat.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Unique; the label of every metric and the last part of its page's path.
    pub name: String,
    /// If false, heartbeatd lists the target and does nothing with it.
    pub enabled: bool,
    /// The address to write beats to, with its user.
    pub endpoint: Endpoint,
    /// An administrator's address, used only to provision.
    pub provision_endpoint: Option<Endpoint>,
    /// When beats are due.
    pub schedule: Schedule,
    /// The deadline of one beat, including the connection and reading secrets.
    pub timeout: Duration,
    /// Whether this daemon writes.
    pub write: WriteMode,
    /// Whether the daemon creates missing objects.
    pub provision: ProvisionMode,
    /// Which table and row.
    pub heartbeat: HeartbeatTable,
    /// What the CDC connector uses.
    pub connector: Connector,
    /// Servers the connector reads from; the heartbeat must arrive there.
    pub replicas: Vec<Replica>,
    /// How `check` treats it.
    pub checks: Checks,
}

/// A database's address and the source of the password for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The address, without a password.
    pub url: DatabaseUrl,
    /// The password's source; `None` if the database needs none.
    pub password: Option<SecretSource>,
}

/// Whether this daemon writes the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteMode {
    /// At every tick.
    Always,
    /// Only if no one else did.
    WhenStale,
    /// Only watch.
    Never,
}

/// Whether the daemon creates missing objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProvisionMode {
    /// Only by `heartbeatd provision`.
    Never,
    /// At start, and when the table or the row disappears.
    Auto,
}

/// The heartbeat's table and row; defaults are the vendor's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeartbeatTable {
    /// Schema, or its equivalent; without effect if the database has none.
    pub schema: String,
    /// Table.
    pub table: String,
    /// Value of the column `id`.
    pub row: RowId,
}

/// The id of the heartbeat's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RowId {
    /// A whole number, for SQL databases.
    Number(i64),
    /// Text, for databases whose ids may be text.
    Text(String),
}

/// A name that is either the vendor's default or configured. A missing default is a notice, a missing configured name
/// an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: String,
    /// Whether it is configured.
    pub configured: bool,
}

/// What the CDC connector needs at the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connector {
    /// The role it logs in as.
    pub user: Named,
    /// Whether it writes the heartbeat itself.
    pub mode: ConnectorMode,
    /// Other configured names, by key. The family's driver knows the keys and their defaults.
    pub needs: BTreeMap<String, Need>,
}

/// The configured value of a further key of the connector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Need {
    /// The name of one object.
    Name(String),
    /// The names of any number.
    Names(Vec<String>),
    /// Whether something is on.
    Switch(bool),
}

/// The connector's access to the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectorMode {
    /// It cannot write; heartbeatd does.
    ReadOnly,
    /// It writes the row itself: `write` defaults to `when-stale`.
    ReadWrite,
}

/// A server the connector reads from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Unique within the target.
    pub name: String,
    /// Its address; user and password default to the target's.
    pub endpoint: Endpoint,
    /// Whether `/health` is red if the heartbeat does not arrive.
    pub required: bool,
    /// Whether the connector decodes there; the checks test that it can.
    pub decode: bool,
}

/// How a target is checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checks {
    /// Checks that are left out.
    pub skip: Vec<SkippedCheck>,
    /// Where a warning begins.
    pub thresholds: Thresholds,
    /// Whether a failed check of severity error turns `/health` red.
    pub required: bool,
}

/// A check to skip, and the reason, which every report shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedCheck {
    /// Its id.
    pub id: String,
    /// Why.
    pub reason: String,
}

/// Where a warning begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thresholds {
    /// WAL that the slot retains, in MiB.
    pub retained_wal_mib: u64,
    /// Age of an open transaction.
    pub long_transaction: Duration,
    /// How far behind a replica may be.
    pub replica_lag: Duration,
    /// Time before a role's password expires.
    pub role_expiry: Duration,
}

impl Default for Thresholds {
    /// 10 GiB; 30 minutes (as Estuary's check); a minute; a fortnight.
    fn default() -> Self {
        Self {
            retained_wal_mib: 10 * 1024,
            long_transaction: Duration::from_secs(30 * 60),
            replica_lag: Duration::from_secs(60),
            role_expiry: Duration::from_secs(14 * 86_400),
        }
    }
}

impl Default for HeartbeatTable {
    fn default() -> Self {
        Self { schema: "streamkap".to_owned(), table: "streamkap_heartbeat".to_owned(), row: RowId::Number(1) }
    }
}

impl Default for Connector {
    fn default() -> Self {
        Self { user: Named::default_name("streamkap_user"), mode: ConnectorMode::ReadOnly, needs: BTreeMap::new() }
    }
}

impl Connector {
    /// Configures the name of one object.
    pub fn set_name(&mut self, key: &str, name: impl Into<String>) {
        self.needs.insert(key.to_owned(), Need::Name(name.into()));
    }
}

impl HeartbeatTable {
    /// The row for a column `id` of whole numbers. For text it is 0, which no configuration can name; drivers of such
    /// databases refuse text.
    #[must_use]
    pub fn row_number(&self) -> i64 {
        self.row.number().unwrap_or_default()
    }
}

impl RowId {
    /// The whole number, if it is one.
    #[must_use]
    pub fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(_) => None,
        }
    }
}

impl From<i64> for RowId {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl Named {
    /// A built-in default.
    #[must_use]
    pub fn default_name(name: &str) -> Self {
        Self { name: name.to_owned(), configured: false }
    }

    /// A configured name.
    #[must_use]
    pub fn configured(name: impl Into<String>) -> Self {
        Self { name: name.into(), configured: true }
    }
}

impl Target {
    /// A target with every default, like one from a URL on the command line.
    #[must_use]
    pub fn new(name: impl Into<String>, endpoint: Endpoint) -> Self {
        Self {
            name: name.into(),
            enabled: true,
            endpoint,
            provision_endpoint: None,
            schedule: Schedule::Interval(DEFAULT_INTERVAL),
            timeout: DEFAULT_TIMEOUT,
            write: WriteMode::Always,
            provision: ProvisionMode::Never,
            heartbeat: HeartbeatTable::default(),
            connector: Connector::default(),
            replicas: Vec::new(),
            checks: Checks::default(),
        }
    }

    /// The `driver` label: the URL's family.
    #[must_use]
    pub fn driver(&self) -> &'static str {
        self.endpoint.url.family().as_str()
    }
}

impl Endpoint {
    /// An endpoint from an address; a password written in it becomes its literal source.
    #[must_use]
    pub fn new(url: DatabaseUrl, password: Option<Secret>) -> Self {
        Self { url, password: password.map(SecretSource::Literal) }
    }
}

macro_rules! words {
    ($type:ty { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl $type {
            /// The words a configuration may use, in the order of the variants.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word in configuration and output.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The variant of a word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words!(WriteMode { Always => "always", WhenStale => "when-stale", Never => "never" });
words!(ProvisionMode { Never => "never", Auto => "auto" });
words!(ConnectorMode { ReadOnly => "read-only", ReadWrite => "read-write" });
