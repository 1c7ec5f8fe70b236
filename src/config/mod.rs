//! Configuration: turns files, environment and command line into [`Settings`], or into a list of all mistakes. `main`
//! and `commands` call it at start, the daemon again at a reload.
//!
//! `document` and `environment` turn the sources into trees with positions, `check` compares them with the table of
//! keys in `schema`, `layers` merges them with the `config` crate, and `targets` makes the targets.

mod check;
mod document;
mod duration;
mod environment;
mod error;
mod files;
mod layers;
mod raw;
mod schema;
mod settings;
mod show;
mod targets;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;

pub use environment::process_environment;
pub use error::{LoadError, Origin, Problem, nearest};
pub use layers::Http;
pub use settings::{Settings, Shutdown};
pub use show::{quote, show, shown};

use crate::drivers::Drivers;
use crate::target::ProvisionMode;
use document::{Data, Node};
use environment::{Environment, PREFIX, URL};
use error::Problems;
use files::{Files, TargetTable};
use schema::ConnectorKeys;

/// An example file with every key, its default, and its purpose.
pub const EXAMPLE: &str = include_str!("../../config/heartbeatd.toml");

/// Who asks for the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The running daemon: for addresses on its command line, `provision` defaults to `auto`.
    Daemon,
    /// Any other command: `provision` defaults to `never`.
    Command,
}

/// Where settings come from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The configuration file, if one is given.
    pub file: Option<PathBuf>,
    /// The addresses on the command line.
    pub urls: Vec<String>,
    /// The environment, as [`process_environment`] gives it; names without our prefix are ignored.
    pub environment: Vec<(String, String)>,
    /// Who asks.
    pub purpose: Purpose,
}

/// Loads the settings; connects to no database.
///
/// # Errors
/// As [`LoadError`]: all mistakes at once.
pub fn load(sources: &Sources, drivers: &Drivers) -> Result<Settings, LoadError> {
    let mut problems = Problems::default();
    let mut warnings = Vec::new();
    one_source(sources)?;
    let connector = ConnectorKeys::of(drivers);
    let files = match &sources.file {
        Some(path) => files::read(path, &connector, &mut problems, &mut warnings),
        None => Files::none(),
    };
    let environment = environment::read(&sources.environment, &files.borrowed_variables(), drivers, &mut problems);
    let globals = check::check(environment.globals.clone(), schema::ROOT, &connector, "", &mut problems);
    let places = places(sources, files.targets, environment, &connector, &mut problems);
    if places.is_empty() && problems.is_empty() {
        return Err(LoadError::NoTargets);
    }
    let globals = match layers::lay(files.globals, globals) {
        Ok(globals) => globals,
        Err(error) => return Err(LoadError::Usage(format!("the settings cannot be merged: {error}"))),
    };
    let auto = sources.purpose == Purpose::Daemon && !sources.urls.is_empty();
    let builder = targets::Builder {
        defaults: &globals.defaults,
        provision: if auto { ProvisionMode::Auto } else { ProvisionMode::Never },
        drivers,
        problems: &mut problems,
        warnings: &mut warnings,
    };
    let (targets, origins) = builder.build(&places);
    problems.or(Settings {
        targets,
        origins,
        files: files.read,
        http: globals.http,
        shutdown: Shutdown { grace: globals.shutdown.grace.0 },
        instance: globals.instance.unwrap_or_else(node_name),
        warnings,
    })
}

/// The status address of a daemon with these sources. Mistakes in their targets do not matter here.
///
/// # Errors
/// If the configuration file cannot be read.
pub fn status_address(sources: &Sources, drivers: &Drivers) -> Result<SocketAddr, LoadError> {
    let mut problems = Problems::default();
    let connector = ConnectorKeys::of(drivers);
    let files = match &sources.file {
        Some(path) => files::read(path, &connector, &mut problems, &mut Vec::new()),
        None => Files::none(),
    };
    if sources.file.is_some() && files.globals.origin == Origin::BuiltIn {
        return Err(problems.into());
    }
    let environment = environment::read(&sources.environment, &files.borrowed_variables(), drivers, &mut problems);
    let globals = check::check(environment.globals, schema::ROOT, &connector, "", &mut problems);
    match layers::lay(files.globals, globals) {
        Ok(globals) => Ok(globals.http.listen),
        Err(error) => Err(LoadError::Usage(format!("the settings cannot be merged: {error}"))),
    }
}

/// The JSON Schema (draft 2020-12) of a configuration file.
#[must_use]
pub fn schema(drivers: &Drivers) -> serde_json::Value {
    schema::json(drivers)
}

/// Targets must come from one source only.
fn one_source(sources: &Sources) -> Result<(), LoadError> {
    let by_variable = sources.environment.iter().any(|(name, _)| name == URL);
    let usage = |message: &str| Err(LoadError::Usage(message.to_owned()));
    match (&sources.file, sources.urls.is_empty(), by_variable) {
        (Some(_), false, _) => {
            usage("both a configuration file and addresses on the command line: use only one of them")
        }
        (Some(_), _, true) => usage("both a configuration file and HEARTBEATD_URL: use only one of them"),
        (None, false, true) => usage("both addresses on the command line and HEARTBEATD_URL: use only one of them"),
        _ => Ok(()),
    }
}

/// The tables of all targets, from any source.
fn places(
    sources: &Sources,
    from_files: Vec<TargetTable>,
    environment: Environment,
    connector: &ConnectorKeys,
    problems: &mut Problems,
) -> Vec<TargetTable> {
    let mut tables: Vec<_> = sources.urls.iter().enumerate().map(|(index, url)| table_of(index + 1, url)).collect();
    match tables.as_mut_slice() {
        [] if environment.has_url() => {
            // If it is set but empty, that was reported.
            tables.extend(Some(environment.target).filter(|table| table.get("url").is_some()));
        }
        [table] => {
            // The command line gives the address, the variables everything else.
            if let (Data::Table(entries), Data::Table(further)) = (&mut table.data, environment.target.data) {
                entries.extend(further);
            }
        }
        _ => refuse_shorthands(&environment.shorthands, sources.file.is_some(), problems),
    }
    let tables = tables.into_iter().map(|table| check::check(table, schema::TARGET, connector, "", problems));
    let tables: Vec<_> = tables.map(|node| TargetTable { path: String::new(), node }).collect();
    from_files.into_iter().chain(tables).collect()
}

fn table_of(number: usize, url: &str) -> Node {
    let origin = Origin::CommandLine(number);
    let url = Node { origin: origin.clone(), data: Data::Text(url.to_owned()) };
    Node { origin, data: Data::Table(vec![("url".to_owned(), url)]) }
}

fn refuse_shorthands(names: &[String], with_file: bool, problems: &mut Problems) {
    for name in names {
        let rest = name.strip_prefix(PREFIX).unwrap_or(name);
        let hint = match environment::scalars().iter().find(|(scalar, _)| *scalar == format!("DEFAULTS__{rest}")) {
            Some((scalar, _)) => format!(" ({PREFIX}{scalar} sets it for all)"),
            None => String::new(),
        };
        let why = if with_file {
            format!(
                "describes the single target of an address, but the targets come from a file: set it in the file{hint}"
            )
        } else {
            format!("works only with HEARTBEATD_URL or one address on the command line{hint}")
        };
        problems.push(&Origin::Variable(name.clone()), "", why);
    }
}

fn node_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
