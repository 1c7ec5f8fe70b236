//! `heartbeatd config example|show|schema`.

use std::process::ExitCode;

use super::settings::{load, refuse};
use super::terminal;
use crate::cli::ConfigCommand;
use crate::config::{self, Purpose};
use crate::drivers::Drivers;

/// Prints the configuration in the form asked for.
#[must_use]
pub fn print(show: &ConfigCommand) -> ExitCode {
    match show {
        ConfigCommand::Example => terminal::plain(config::EXAMPLE),
        ConfigCommand::Schema => terminal::plain(&format!("{:#}", config::schema(&Drivers::built_in()))),
        ConfigCommand::Show { sources } => match load(sources, Purpose::Daemon) {
            Ok(settings) => {
                terminal::warnings(&settings.warnings);
                terminal::plain(&config::show(&settings, &Drivers::built_in()));
            }
            Err(error) => return refuse(&error),
        },
    }
    ExitCode::SUCCESS
}
