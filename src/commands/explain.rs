//! `heartbeatd explain [ID]`: explains a check, or lists all.

use std::process::ExitCode;

use super::exit::USAGE;
use super::terminal;
use crate::check::registry;
use crate::drivers::Drivers;

/// Prints the page of a check, or a line for each.
#[must_use]
pub fn explain(id: Option<&str>) -> ExitCode {
    let drivers = Drivers::built_in();
    let Some(id) = id else {
        let entries = registry::entries(&drivers);
        let width = entries.iter().map(|entry| entry.check.id.len()).max().unwrap_or(0);
        for entry in &entries {
            let check = &entry.check;
            terminal::plain(&format!("{:<width$}  {:<7}  {}", check.id, check.severity.as_str(), check.title));
        }
        return ExitCode::SUCCESS;
    };
    match registry::find(&drivers, id) {
        Ok(entry) => {
            terminal::plain(&registry::page(&entry));
            ExitCode::SUCCESS
        }
        Err(message) => {
            terminal::error(&message);
            ExitCode::from(USAGE)
        }
    }
}
