//! Loads the settings of a command from what the command line and the environment name, or refuses them. Every command
//! uses it.

use std::process::ExitCode;

use super::exit::USAGE;
use super::terminal;
use crate::cli::SourceArgs;
use crate::config::{self, LoadError, Purpose, Settings, Sources};
use crate::drivers::Drivers;

/// Loads the whole configuration from what the command line and the environment name, and keeps the targets of this
/// shard.
pub(super) fn load(sources: &SourceArgs, purpose: Purpose) -> Result<Settings, LoadError> {
    let shard = sources.shard;
    let sources = Sources {
        file: sources.config.clone(),
        urls: sources.urls.clone(),
        environment: config::process_environment()?,
        purpose,
    };
    let mut settings = config::load(&sources, &Drivers::built_in())?;
    if let Some(shard) = shard {
        settings.targets.retain(|target| shard.owns(&target.name));
    }
    Ok(settings)
}

pub(super) fn refuse(error: &LoadError) -> ExitCode {
    match error {
        LoadError::NoTargets => terminal::help(crate::cli::WAYS_TO_START),
        other => terminal::error(&other.to_string()),
    }
    ExitCode::from(USAGE)
}
