//! `heartbeatd completions SHELL`: what the shell needs to complete this program's command line.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::terminal;
use crate::cli::Cli;

/// Prints the script.
#[must_use]
pub fn print(shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "heartbeatd", &mut script);
    terminal::plain(&String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}
