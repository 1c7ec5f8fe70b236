//! The command line, as `main` parses it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::check::report::FailOn;
use crate::commands::check::parse_duration;

/// What is printed when no target is given from any source.
pub const WAYS_TO_START: &str = "\
heartbeatd keeps a heartbeat row beating in each source database, so that CDC connectors never go stale.

No target was given. Ways to start:

  heartbeatd sqlite:heartbeat.db                      an embedded database, created here
  heartbeatd postgres://user@host/database            a PostgreSQL primary
  heartbeatd mysql://user@host                        a MySQL or MariaDB source
  HEARTBEATD_URL=postgres://user@host/database heartbeatd
  heartbeatd -c heartbeatd.toml                       many targets; see: heartbeatd config example

Passwords: HEARTBEATD_PASSWORD or HEARTBEATD_PASSWORD_FILE, or `password` in the file.
More: heartbeatd --help
";

/// Keeps CDC connectors alive on quiet databases: one heartbeat row, updated every minute, on the primary.
#[derive(Debug, Parser)]
#[command(name = "heartbeatd", version, about, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; without a command the daemon runs.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Where the targets are, for the daemon.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// How to log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Where the targets come from: a file, or addresses, or `HEARTBEATD_URL`.
#[derive(Debug, Clone, Default, Args)]
pub struct SourceArgs {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", env = "HEARTBEATD_CONFIG")]
    pub config: Option<PathBuf>,
    /// Database addresses, instead of a file
    #[arg(value_name = "URL", hide_env_values = true)]
    pub urls: Vec<String>,
}

/// How to log.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// How log lines are written
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, env = "HEARTBEATD_LOG_FORMAT")]
    pub log_format: LogFormat,
    /// What is logged: error, warn, info, debug, or tracing directives
    #[arg(long, global = true, value_name = "FILTER", default_value = "info", env = "HEARTBEATD_LOG")]
    pub log: String,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create what is missing: schema, table, row, grants, on PostgreSQL publication membership
    Provision {
        /// Print the SQL and change nothing
        #[arg(long)]
        dry_run: bool,
        /// One target and its options.
        #[command(flatten)]
        selection: Selection,
    },
    /// Beat once per target and say what came of it
    Beat {
        /// One target and its options.
        #[command(flatten)]
        selection: Selection,
    },
    /// Check every target as a connector needs it, and say what is wrong and what to do (short: heartbeatd --check)
    Check(CheckArgs),
    /// Say what a check means, or list all checks
    Explain {
        /// The check's id
        #[arg(value_name = "ID")]
        id: Option<String>,
    },
    /// Show the configuration: an example, what is in force, or the schema
    Config {
        /// Which of them.
        #[command(subcommand)]
        show: ConfigCommand,
    },
}

/// Targets for a single run.
#[derive(Debug, Args)]
pub struct Selection {
    /// Only the target of this name
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,
    /// Where the targets are.
    #[command(flatten)]
    pub sources: SourceArgs,
}

/// What to check, and how to tell.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// How the report is written
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub format: ReportFormat,
    /// From which level the exit code is 1; each includes the ones before it
    #[arg(long, value_enum, default_value_t = FailOn::Error)]
    pub fail_on: FailOn,
    /// Only these checks
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub only: Vec<String>,
    /// All but these checks
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub skip: Vec<String>,
    /// Only the target of this name
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,
    /// Judge the configuration alone; no server is asked
    #[arg(long, conflicts_with_all = ["wait", "save_facts", "from_facts"])]
    pub offline: bool,
    /// Look twice, this far apart, so that what moves can be judged
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub wait: Option<Duration>,
    /// How long each server may take to answer; by default the target's time-out
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub timeout: Option<Duration>,
    /// Write the report to a file
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Save what was gathered, to be judged again elsewhere; it holds no secret
    #[arg(long, value_name = "FILE")]
    pub save_facts: Option<PathBuf>,
    /// Judge saved facts; no server is asked
    #[arg(long, value_name = "FILE", conflicts_with_all = ["wait", "target", "config", "urls"])]
    pub from_facts: Option<PathBuf>,
    /// Where the targets are.
    #[command(flatten)]
    pub sources: SourceArgs,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people.
    Text,
    /// For programs; the schema is docs/check-report.schema.json.
    Json,
}

/// The configuration, in three forms.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print a file with every key, commented
    Example,
    /// Print the configuration in force, secrets redacted
    Show {
        /// Where the targets are.
        #[command(flatten)]
        sources: SourceArgs,
    },
    /// Print the JSON Schema of the file
    Schema,
}

/// The command line with `--check` in the place of the command it stands for.
#[must_use]
pub fn with_check_as_command(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.collect();
    // Options may stand before it, as in any command line; the command must come first.
    if let Some(position) = arguments.iter().position(|argument| argument == "--check") {
        arguments.remove(position);
        arguments.insert(arguments.len().min(1), OsString::from("check"));
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn urls_alone_run_the_daemon_and_commands_take_their_own() {
        let cli = Cli::parse_from(["heartbeatd", "sqlite:a.db", "postgres://u@h/d"]);
        assert!(cli.command.is_none());
        assert_eq!(cli.sources.urls.len(), 2);
        let cli = Cli::parse_from(["heartbeatd", "provision", "--dry-run", "sqlite:a.db"]);
        assert!(matches!(cli.command, Some(Command::Provision { dry_run: true, .. })));
    }

    #[test]
    fn the_short_form_of_check_is_the_command() {
        for line in [["--check", "-c", "x.toml"], ["-c", "x.toml", "--check"]] {
            let arguments = ["heartbeatd"].into_iter().chain(line).map(OsString::from);
            let cli = Cli::parse_from(with_check_as_command(arguments));
            let Some(Command::Check(args)) = cli.command else { panic!("{line:?}") };
            assert_eq!(args.sources.config, Some(PathBuf::from("x.toml")));
        }
    }
}
