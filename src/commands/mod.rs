//! The commands, one file each. `main` calls them.

pub mod beat;
pub mod check;
pub mod completions;
pub mod configuration;
pub mod exit;
pub mod explain;
pub mod health;
pub mod init;
pub mod man;
pub mod provision;
mod reports;
pub mod run;
mod settings;
pub mod status;
mod status_client;
pub mod terminal;
mod watch;

use std::process::ExitCode;

use self::exit::USAGE;
use self::settings::{load, refuse};
use crate::cli::{CheckArgs, Cli, Command, SourceArgs};
use crate::config::{Purpose, Settings};
use crate::status::dropped_lines::DroppedLines;
use crate::target::Target;

/// Runs the command. Exit code: 0 done, 1 failed, 2 usage or configuration.
pub async fn dispatch(cli: Cli, dropped_lines: &DroppedLines) -> ExitCode {
    if let Some((word, near)) = cli.mistyped_command() {
        terminal::error(&format!("\"{word}\" is neither a command nor an address: did you mean \"{near}\"?"));
        return ExitCode::from(USAGE);
    }
    match cli.command {
        None => run::run(&cli.sources, cli.watch_config, dropped_lines).await,
        Some(Command::Provision { dry_run, selection }) => {
            with_targets(&selection.sources, selection.target.as_deref(), async |settings, targets| {
                provision::provision(&settings, &targets, dry_run).await
            })
            .await
        }
        Some(Command::Beat { selection }) => {
            with_targets(&selection.sources, selection.target.as_deref(), async |settings, targets| {
                beat::beat(&settings, targets).await
            })
            .await
        }
        Some(Command::Check(args)) => check::check(&args).await,
        Some(Command::Validate { fail_on, sources }) => check::check(&CheckArgs::offline(fail_on, sources)).await,
        Some(Command::Init { url, output }) => init::init(&url, output.as_deref()).await,
        Some(Command::Health { address, config }) => health::health(address.as_deref(), config).await,
        Some(Command::Status { address, config, watch }) => status::status(address.as_deref(), config, watch).await,
        Some(Command::Explain { id }) => explain::explain(id.as_deref()),
        Some(Command::Config { show }) => configuration::print(&show),
        Some(Command::Completions { shell }) => completions::print(shell),
        Some(Command::Man { directory }) => man::pages(directory.as_deref()),
    }
}

/// Loads the configuration for a command and selects its targets: the enabled ones, or the named one.
async fn with_targets(
    sources: &SourceArgs,
    name: Option<&str>,
    command: impl AsyncFnOnce(Settings, Vec<Target>) -> ExitCode,
) -> ExitCode {
    let settings = match load(sources, Purpose::Command) {
        Ok(settings) => settings,
        Err(error) => return refuse(&error),
    };
    terminal::warnings(&settings.warnings);
    let targets: Vec<Target> = match name {
        Some(name) => settings.targets.iter().filter(|target| target.name == name).cloned().collect(),
        None => settings.targets.iter().filter(|target| target.enabled).cloned().collect(),
    };
    match (name, targets.is_empty()) {
        (Some(name), true) => {
            let known: Vec<_> = settings.targets.iter().map(|target| target.name.as_str()).collect();
            terminal::error(&format!("there is no target \"{name}\"; there are: {}", known.join(", ")));
            ExitCode::from(USAGE)
        }
        _ => command(settings, targets).await,
    }
}
