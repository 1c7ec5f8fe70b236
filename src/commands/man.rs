//! `heartbeatd man [DIRECTORY]`: the manual pages, from the same declarations as `--help`.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;

use super::exit::FAILED;
use super::terminal;
use crate::cli::Cli;

/// Prints the program's page, or writes the page of each command into a directory.
#[must_use]
pub fn pages(directory: Option<&Path>) -> ExitCode {
    // The page of "help" would only repeat the others.
    let cli = Cli::command().disable_help_subcommand(true);
    let (done, place) = match directory {
        None => (print(cli), "the page".to_owned()),
        Some(directory) => (clap_mangen::generate_to(cli, directory), format!("into {}", directory.display())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::error(&format!("cannot write {place}: {error}"));
            ExitCode::from(FAILED)
        }
    }
}

fn print(cli: clap::Command) -> io::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(cli).render(&mut page)?;
    terminal::plain(&String::from_utf8_lossy(&page));
    Ok(())
}
