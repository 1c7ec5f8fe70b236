//! The command line, as `main` parses it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use crate::check::report::{FailOn, Format};
use crate::config::nearest;
use crate::drivers::Drivers;
use crate::shard::Shard;

/// What `--version` prints behind the name: the version, and the databases that this build can write to.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let drivers = Drivers::built_in();
    let families: Vec<&str> = drivers.families().map(|(family, _)| family.as_str()).collect();
    format!("{}\ndrivers: {}", env!("CARGO_PKG_VERSION"), families.join(", "))
});

/// Printed if no source gives a target.
pub const WAYS_TO_START: &str = "\
heartbeatd updates one heartbeat row in each source database, so that CDC connectors stay alive on quiet databases.

No target was given. Ways to start:

  heartbeatd sqlite:heartbeat.db                      an embedded database, which heartbeatd creates
  heartbeatd postgres://user@host/database            a PostgreSQL primary
  heartbeatd mysql://user@host                        a MySQL or MariaDB source
  heartbeatd init postgres://user@host/database       look at the database, and write a configuration for it
  HEARTBEATD_URL=postgres://user@host/database heartbeatd
  heartbeatd -c heartbeatd.toml                       many targets; see: heartbeatd config example

Passwords: HEARTBEATD_PASSWORD or HEARTBEATD_PASSWORD_FILE, or `password` in the file.
More: heartbeatd --help
";

/// Keeps CDC connectors alive on quiet databases: one heartbeat row, updated every minute, on the primary.
#[derive(Debug, Parser)]
#[command(name = "heartbeatd", version, long_version = VERSION.as_str(), about, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// The command; without one the daemon runs.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The daemon's targets.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// Look at the configuration files at this interval, and reload when they have changed
    #[arg(long, value_name = "TIME", value_parser = parse_duration, env = "HEARTBEATD_WATCH_CONFIG")]
    pub watch_config: Option<Duration>,
    /// How to log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Where the targets come from: a file, or addresses, or `HEARTBEATD_URL`.
#[derive(Debug, Clone, Default, Args)]
pub struct SourceArgs {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", env = "HEARTBEATD_CONFIG", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Database addresses, instead of a file
    #[arg(value_name = "URL", hide_env_values = true)]
    pub urls: Vec<String>,
    /// Only this share of the targets, by name: 0/4 is the first of four
    #[arg(long, value_name = "INDEX/COUNT", env = "HEARTBEATD_SHARD")]
    pub shard: Option<Shard>,
}

/// How to log.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// Format of the log lines
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, env = "HEARTBEATD_LOG_FORMAT")]
    pub log_format: LogFormat,
    /// Lowest level to log: error, warn, info or debug; or tracing directives
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
    /// Create what is missing: schema, table, row, grants; on PostgreSQL also add the table to the publication
    Provision {
        /// Print the SQL and change nothing
        #[arg(long)]
        dry_run: bool,
        /// One target and its options.
        #[command(flatten)]
        selection: Selection,
    },
    /// Write one beat for each target and print the result
    Beat {
        /// One target and its options.
        #[command(flatten)]
        selection: Selection,
    },
    /// Check each target for what the connector needs; print what is wrong and what to do (short: heartbeatd --check)
    Check(CheckArgs),
    /// Look at a database, and write a configuration for it with the remedies that it needs; changes nothing there
    Init {
        /// The database's address
        #[arg(value_name = "URL")]
        url: String,
        /// A new file for the configuration; by default it is printed
        #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        output: Option<PathBuf>,
    },
    /// Check only the configuration; connect to no server (the same as check --offline)
    Validate {
        /// Exit with 1 if any finding is at this level or worse
        #[arg(long, value_enum, default_value_t = FailOn::Error)]
        fail_on: FailOn,
        /// The targets.
        #[command(flatten)]
        sources: SourceArgs,
    },
    /// Ask a running daemon for its state; exit with 0 if it answers 200
    Health {
        /// The daemon's status address: http://HOST:PORT, optionally with /health, /ready or /live; or only the path
        #[arg(value_name = "URL", value_hint = ValueHint::Url)]
        address: Option<String>,
        /// The daemon's configuration file, if its status address is not the default
        #[arg(short, long, value_name = "FILE", env = "HEARTBEATD_CONFIG", value_hint = ValueHint::FilePath)]
        config: Option<PathBuf>,
    },
    /// Show the targets of a running daemon in a table, worst first
    Status {
        /// Draw the table every two seconds, until Ctrl-C
        #[arg(short, long)]
        watch: bool,
        /// The daemon's status address, http://HOST:PORT
        #[arg(value_name = "URL", value_hint = ValueHint::Url)]
        address: Option<String>,
        /// The configuration file of the daemon, where its status address is not the default
        #[arg(short, long, value_name = "FILE", env = "HEARTBEATD_CONFIG", value_hint = ValueHint::FilePath)]
        config: Option<PathBuf>,
    },
    /// Explain a check, or list all checks
    Explain {
        /// The check's id
        #[arg(value_name = "ID")]
        id: Option<String>,
    },
    /// Print an example configuration, the current configuration, or its schema
    Config {
        /// What to print.
        #[command(subcommand)]
        show: ConfigCommand,
    },
    /// Print the completions for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page, or write the pages of all commands
    Man {
        /// An existing directory for the pages of all commands
        #[arg(value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
        directory: Option<PathBuf>,
    },
}

/// Targets for a single run.
#[derive(Debug, Args)]
pub struct Selection {
    /// Only the target with this name
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,
    /// The targets.
    #[command(flatten)]
    pub sources: SourceArgs,
}

/// What to check, and how to report it.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Format of the report: text, json, junit, sarif, github or markdown. Repeat it for several reports and give
    /// the others a file: --format text --format junit=report.xml
    #[arg(long, value_name = "FORMAT[=FILE]", value_parser = parse_report, default_value = "text")]
    pub format: Vec<ReportArg>,
    /// In text and Markdown, print only what needs attention
    #[arg(short, long)]
    pub quiet: bool,
    /// Exit with 1 if any finding is at this level or worse
    #[arg(long, value_enum, default_value_t = FailOn::Error)]
    pub fail_on: FailOn,
    /// Run only these checks
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Skip these checks
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub skip: Vec<String>,
    /// Only the target with this name
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,
    /// Check only the configuration; connect to no server
    #[arg(long, conflicts_with_all = ["wait", "save_facts", "from_facts"])]
    pub offline: bool,
    /// Read each server twice, this far apart, to check whether the row and the connector advance
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub wait: Option<Duration>,
    /// Time that each server has to answer; default: the target's time-out
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub timeout: Option<Duration>,
    /// Write the report to this file; with several formats, the one that names no file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Save what the check read, to check it again elsewhere; the file contains no password
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub save_facts: Option<PathBuf>,
    /// Check saved facts ("-": standard input); connect to no server
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["wait", "target", "config", "urls"])]
    pub from_facts: Option<PathBuf>,
    /// The targets.
    #[command(flatten)]
    pub sources: SourceArgs,
}

impl CheckArgs {
    /// Checks only the configuration, and reports as text.
    #[must_use]
    pub fn offline(fail_on: FailOn, sources: SourceArgs) -> Self {
        Self {
            format: vec![ReportArg { format: Format::Text, file: None }],
            quiet: false,
            fail_on,
            only: Vec::new(),
            skip: Vec::new(),
            target: None,
            offline: true,
            wait: None,
            timeout: None,
            output: None,
            save_facts: None,
            from_facts: None,
            sources,
        }
    }
}

/// One report: its format, and its file. Without a file it goes to standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportArg {
    /// How it is written.
    pub format: Format,
    /// Where it goes.
    pub file: Option<PathBuf>,
}

/// The configuration, in three forms.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print a file with every key and comments
    Example,
    /// Print the current configuration without passwords
    Show {
        /// The targets.
        #[command(flatten)]
        sources: SourceArgs,
    },
    /// Print the JSON Schema of the file
    Schema,
}

impl Cli {
    /// A word in place of an address that can only be a mistyped command, and the nearest command.
    #[must_use]
    pub fn mistyped_command(&self) -> Option<(&str, String)> {
        let word = self.sources.urls.first().filter(|_| self.command.is_none())?;
        // Every address has a scheme. A path may be a SQLite file without its scheme.
        if word.contains([':', '/', '.']) {
            return None;
        }
        let mut cli = Self::command();
        cli.build();
        let near = nearest(word, cli.get_subcommands().map(clap::Command::get_name))?;
        Some((word, near.to_owned()))
    }
}

/// Moves the command to the front of the command line, because options of the daemon may come before it. `--check` counts
/// as a command. No address has the name of a command.
#[must_use]
pub fn with_command_first(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.collect();
    if let Some(position) = arguments.iter().position(|argument| argument == "--check") {
        arguments.remove(position);
        arguments.insert(arguments.len().min(1), OsString::from("check"));
        return arguments;
    }
    let mut cli = Cli::command();
    // Adds the commands that clap itself defines.
    cli.build();
    let Some((position, command)) = command_in(&arguments, 1, &cli, &cli) else { return arguments };
    let nested = command_in(&arguments, position + 1, command, &cli);
    // `help` ignores what comes before it; what it explains comes after it.
    if is_help(command) {
        arguments.drain(1..position);
        return arguments;
    }
    if let Some((nested, _)) = nested.filter(|(_, command)| is_help(command)) {
        arguments.drain(position + 1..nested);
        arguments.drain(1..position);
        return arguments;
    }
    // The later one first, so that the other keeps its place.
    let nested = nested.map(|(position, _)| arguments.remove(position));
    let command = arguments.remove(position);
    arguments.splice(1..1, [command].into_iter().chain(nested));
    arguments
}

/// Whether it is `help`, which clap adds to every list of commands.
fn is_help(command: &clap::Command) -> bool {
    command.get_name() == "help"
}

/// The first argument from `start` on that names a subcommand of `of`. An option's value does not count, nor does anything
/// after `--`.
fn command_in<'a>(
    arguments: &[OsString],
    start: usize,
    of: &'a clap::Command,
    root: &clap::Command,
) -> Option<(usize, &'a clap::Command)> {
    let mut rest = arguments.iter().enumerate().skip(start);
    while let Some((position, argument)) = rest.next() {
        // An argument that is not UTF-8 is a value or an option joined to its value.
        let Some(argument) = argument.to_str() else { continue };
        if argument == "--" {
            return None;
        }
        if takes_the_next(argument, root) {
            rest.next();
        } else if let Some(command) = of.get_subcommands().find(|command| command.get_name() == argument) {
            return Some((position, command));
        }
    }
    None
}

/// Whether the argument is an option whose value is the next argument.
fn takes_the_next(argument: &str, root: &clap::Command) -> bool {
    let commands = root.get_subcommands().flat_map(clap::Command::get_subcommands);
    let mut options =
        [root].into_iter().chain(root.get_subcommands()).chain(commands).flat_map(clap::Command::get_opts);
    let is_named = |option: &clap::Arg| match argument.strip_prefix("--") {
        Some(name) => option.get_long() == Some(name),
        None => argument
            .strip_prefix('-')
            .is_some_and(|name| option.get_short().is_some_and(|short| name == short.to_string())),
    };
    options.any(|option| option.get_action().takes_values() && is_named(option))
}

/// Parses a format, or a format and a file.
///
/// # Errors
/// A sentence, for clap.
fn parse_report(text: &str) -> Result<ReportArg, String> {
    let (word, file) = match text.split_once('=') {
        Some((_, "")) => return Err("the file name after \"=\" is missing".to_owned()),
        Some((word, file)) => (word, Some(PathBuf::from(file))),
        None => (text, None),
    };
    let format = Format::from_str(word, false).map_err(|_| {
        let words: Vec<_> = Format::value_variants().iter().map(|format| format.as_str()).collect();
        format!("expected one of {}", words.join(", "))
    })?;
    Ok(ReportArg { format, file })
}

/// Parses a duration as in the configuration: `2m`, or whole seconds.
///
/// # Errors
/// A sentence, for clap.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map(Duration::from_secs).ok();
    let duration = match seconds {
        Some(duration) => duration,
        None => humantime::parse_duration(text).map_err(|_| "expected a duration like 30s or 2m".to_owned())?,
    };
    let fits = (Duration::from_millis(100)..=Duration::from_secs(86_400)).contains(&duration);
    if fits { Ok(duration) } else { Err("expected a duration between 100ms and 24h".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn urls_without_a_command_run_the_daemon_and_a_command_has_its_own_urls() {
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
            let cli = Cli::parse_from(with_command_first(arguments));
            let Some(Command::Check(args)) = cli.command else { panic!("{line:?}") };
            assert_eq!(args.sources.config, Some(PathBuf::from("x.toml")));
        }
    }

    /// The command line as it is parsed.
    fn parsed(line: &str) -> Cli {
        let arguments = line.split(' ').map(OsString::from);
        Cli::try_parse_from(with_command_first(arguments)).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    #[test]
    fn a_command_may_come_anywhere() {
        for line in [
            "heartbeatd check -c x.toml",
            "heartbeatd -c x.toml check",
            "heartbeatd -cx.toml check",
            "heartbeatd --config x.toml check --offline",
            "heartbeatd --config=x.toml --log-format json check",
            "heartbeatd --log debug -c x.toml check --format json",
            "heartbeatd --target check -c x.toml check",
        ] {
            let cli = parsed(line);
            let Some(Command::Check(args)) = cli.command else { panic!("{line}: {cli:?}") };
            assert_eq!(args.sources.config, Some(PathBuf::from("x.toml")), "{line}");
            assert!(args.sources.urls.is_empty(), "{line}");
        }
        let is = |line: &str, wanted: fn(&Command) -> bool| {
            let cli = parsed(line);
            assert!(cli.command.as_ref().is_some_and(wanted), "{line}: {cli:?}");
        };
        is("heartbeatd -c x.toml provision --dry-run", |c| matches!(c, Command::Provision { dry_run: true, .. }));
        is("heartbeatd -c x.toml beat", |c| matches!(c, Command::Beat { .. }));
        is("heartbeatd --log info explain check", |c| matches!(c, Command::Explain { id: Some(id) } if id == "check"));
        is("heartbeatd -c x.toml config show", |c| matches!(c, Command::Config { show: ConfigCommand::Show { .. } }));
        is("heartbeatd config show -c x.toml", |c| matches!(c, Command::Config { show: ConfigCommand::Show { .. } }));
        is("heartbeatd explain help", |c| matches!(c, Command::Explain { id: Some(id) } if id == "help"));
        is(
            "heartbeatd sqlite:a.db check",
            |c| matches!(c, Command::Check(args) if args.sources.urls == ["sqlite:a.db"]),
        );
    }

    #[test]
    fn help_before_a_command_explains_that_command() {
        for line in [
            "help",
            "help check",
            "help config show",
            "config help show",
            "--log debug help check",
            "-c x.toml config help show",
        ] {
            let line = format!("heartbeatd {line}");
            let asked = Cli::try_parse_from(with_command_first(line.split(' ').map(OsString::from)));
            let kind = asked.map_err(|error| error.kind());
            assert!(matches!(kind, Err(clap::error::ErrorKind::DisplayHelp)), "{line}: {kind:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_name_that_is_not_utf8_hides_no_command() {
        use std::os::unix::ffi::OsStringExt;
        let file = OsString::from_vec(b"/etc/h\xe9.toml".to_vec());
        for option in ["-c", "--config"] {
            let line = ["heartbeatd".into(), option.into(), file.clone(), "check".into()];
            let cli = Cli::try_parse_from(with_command_first(line.into_iter())).unwrap();
            let Some(Command::Check(args)) = cli.command else { panic!("{option}: {cli:?}") };
            assert_eq!(args.sources.config, Some(PathBuf::from(&file)));
        }
        let mut joined = b"-c".to_vec();
        joined.extend_from_slice(file.as_encoded_bytes());
        let line = ["heartbeatd".into(), OsString::from_vec(joined), "check".into()];
        let cli = Cli::try_parse_from(with_command_first(line.into_iter())).unwrap();
        assert!(matches!(cli.command, Some(Command::Check(_))), "{cli:?}");
    }

    #[test]
    fn an_options_value_and_an_argument_after_two_dashes_are_not_commands() {
        for line in ["heartbeatd -c check", "heartbeatd --config check", "heartbeatd --config=check"] {
            let cli = parsed(line);
            assert!(cli.command.is_none(), "{line}: {cli:?}");
            assert_eq!(cli.sources.config, Some(PathBuf::from("check")), "{line}");
        }
        assert!(parsed("heartbeatd -- check").command.is_none());
    }
}
