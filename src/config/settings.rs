//! What a configuration comes to. Made by `load`, shown by `show`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::error::Origin;
use super::layers::Http;
use crate::target::Target;

/// The whole configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What to beat; names are unique. Empty only where a shard has none.
    pub targets: Vec<Target>,
    /// Where each target comes from, by name. Not part of the target: one that moves to another line is not changed.
    pub origins: BTreeMap<String, Origin>,
    /// The status listener.
    pub http: Http,
    /// The end of the daemon.
    pub shutdown: Shutdown,
    /// How this daemon names itself to databases.
    pub instance: String,
    /// The files that were read, and the folders that were searched: what is to be watched.
    pub files: Vec<PathBuf>,
    /// What may not be meant, in plain words.
    pub warnings: Vec<String>,
}

/// The end of the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shutdown {
    /// How long running beats may take to end.
    pub grace: Duration,
}
