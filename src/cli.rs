//! The command line, as `main` parses it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// What is printed when no target is given from any source.
pub const WAYS_TO_START: &str = "\
heartbeatd keeps a heartbeat row beating in each source database, so that CDC connectors never go stale.

No target was given. Ways to start:

  heartbeatd sqlite:heartbeat.db                      an embedded database, created here
  heartbeatd postgres://user@host/database            a PostgreSQL primary
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
    /// Create what is missing: schema, table, row, grants, publication membership
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
}
