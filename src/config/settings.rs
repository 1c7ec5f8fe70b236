//! The result of a configuration. `load` makes it, `show` prints it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::error::Origin;
use super::layers::Http;
use crate::target::Target;

/// The whole configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The targets; names are unique. Empty only if a shard has none.
    pub targets: Vec<Target>,
    /// Where each target comes from, by name. Not part of the target: moving a target to another line does not change
    /// it.
    pub origins: BTreeMap<String, Origin>,
    /// The status listener.
    pub http: Http,
    /// The end of the daemon.
    pub shutdown: Shutdown,
    /// The name of this daemon in databases.
    pub instance: String,
    /// The files that were read and the folders that were searched; `run` watches them.
    pub files: Vec<PathBuf>,
    /// Warnings.
    pub warnings: Vec<String>,
}

/// The end of the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shutdown {
    /// Time for running beats to finish.
    pub grace: Duration,
}
