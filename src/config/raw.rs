//! One `[[target]]` as serde reads it from a tree that `check` accepted: every key is optional, and this file judges
//! none.

use std::path::PathBuf;

use serde::Deserialize;

use super::duration::Span;
use crate::secret::{Secret, SecretSource};
use crate::target::RowId;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTarget {
    pub(super) name: Option<String>,
    pub(super) enabled: Option<bool>,
    pub(super) url: Option<String>,
    pub(super) password: Option<RawPassword>,
    pub(super) provision_url: Option<String>,
    pub(super) provision_password: Option<RawPassword>,
    pub(super) interval: Option<Span>,
    pub(super) cron: Option<String>,
    pub(super) timezone: Option<String>,
    pub(super) timeout: Option<Span>,
    pub(super) write: Option<String>,
    pub(super) provision: Option<String>,
    #[serde(default)]
    pub(super) heartbeat: RawHeartbeat,
    #[serde(default)]
    pub(super) connector: RawConnector,
    #[serde(default)]
    pub(super) replica: Vec<RawReplica>,
    #[serde(default)]
    pub(super) checks: RawChecks,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawChecks {
    #[serde(default)]
    pub(super) skip: Vec<RawSkip>,
    #[serde(default)]
    pub(super) thresholds: RawThresholds,
    pub(super) required: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSkip {
    pub(super) id: String,
    pub(super) reason: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawThresholds {
    pub(super) retained_wal_mib: Option<u64>,
    pub(super) long_transaction: Option<Span>,
    pub(super) replica_lag: Option<Span>,
    pub(super) role_expiry: Option<Span>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHeartbeat {
    pub(super) schema: Option<String>,
    pub(super) table: Option<String>,
    pub(super) row: Option<RowId>,
}

/// Without the drivers' own keys, which are read from the table itself.
#[derive(Default, Deserialize)]
pub(super) struct RawConnector {
    pub(super) user: Option<String>,
    pub(super) mode: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawReplica {
    pub(super) name: Option<String>,
    pub(super) url: Option<String>,
    pub(super) password: Option<RawPassword>,
    pub(super) required: Option<bool>,
    pub(super) decode: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum RawPassword {
    Literal(String),
    Source(RawSource),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawSource {
    File(PathBuf),
    Env(String),
    Credential(String),
    Command(Vec<String>),
}

impl From<RawPassword> for SecretSource {
    fn from(password: RawPassword) -> Self {
        match password {
            RawPassword::Literal(text) => Self::Literal(Secret::new(text)),
            RawPassword::Source(RawSource::File(path)) => Self::File(path),
            RawPassword::Source(RawSource::Env(name)) => Self::Env(name),
            RawPassword::Source(RawSource::Credential(name)) => Self::Credential(name),
            RawPassword::Source(RawSource::Command(words)) => Self::Command(words),
        }
    }
}
