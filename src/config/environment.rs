//! The environment as settings: the scalars of a configuration file by section and key, and the variables that describe
//! one whole target (for a sidecar). Both become trees with positions for `check`, like a file.

use std::collections::BTreeSet;

use super::document::{Data, Node};
use super::error::{LoadError, Origin, Problems, nearest};
use super::schema::{Key, Kind, ROOT, TARGET};
use crate::drivers::Drivers;

/// The prefix of all heartbeatd variables.
pub(super) const PREFIX: &str = "HEARTBEATD_";
/// The variable that names the single target.
pub(super) const URL: &str = "HEARTBEATD_URL";

/// The command line reads these itself.
const COMMAND_LINE: &[&str] = &["CONFIG", "LOG", "LOG_FORMAT", "SHARD", "WATCH_CONFIG"];

/// The variables of the single target: the name after the prefix, and the key that it sets. Drivers add their
/// connectors' keys.
const SHORTHANDS: &[(&str, &[&str])] = &[
    ("URL", &["url"]),
    ("NAME", &["name"]),
    // The variable's name, not its value: the value is read at connect, like every password.
    ("PASSWORD", &["password", "env"]),
    ("PASSWORD_FILE", &["password", "file"]),
    ("PROVISION_URL", &["provision_url"]),
    ("INTERVAL", &["interval"]),
    ("CRON", &["cron"]),
    ("TIMEZONE", &["timezone"]),
    ("TIMEOUT", &["timeout"]),
    ("WRITE", &["write"]),
    ("PROVISION", &["provision"]),
    ("SCHEMA", &["heartbeat", "schema"]),
    ("TABLE", &["heartbeat", "table"]),
    ("ROW", &["heartbeat", "row"]),
    ("CONNECTOR_USER", &["connector", "user"]),
    ("CONNECTOR_MODE", &["connector", "mode"]),
    ("REPLICA_URL", &["replica", "url"]),
];

/// The settings in the environment.
pub(super) struct Environment {
    /// The scalars, shaped like a file.
    pub(super) globals: Node,
    /// The single target, shaped like one `[[target]]`; empty if no shorthand is set.
    pub(super) target: Node,
    /// The shorthands that are set.
    pub(super) shorthands: Vec<String>,
}

impl Environment {
    /// Whether `HEARTBEATD_URL` is set.
    pub(super) fn has_url(&self) -> bool {
        self.shorthands.iter().any(|name| name == URL)
    }
}

/// This process's variables with our prefix, for [`super::Sources`].
///
/// # Errors
/// A usage error for one that is not UTF-8.
pub fn process_environment() -> Result<Vec<(String, String)>, LoadError> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok().filter(|name| name.starts_with(PREFIX))?, value)))
        .map(|(name, value)| match value.into_string() {
            Ok(value) => Ok((name, value)),
            Err(_) => Err(LoadError::Usage(format!("{name}: the value is not UTF-8"))),
        })
        .collect()
}

/// Sorts the variables; `borrowed` are those from which the files read passwords, under any name.
pub(super) fn read(
    variables: &[(String, String)],
    borrowed: &BTreeSet<String>,
    drivers: &Drivers,
    problems: &mut Problems,
) -> Environment {
    let shorthands = shorthands(drivers);
    let empty = || Node::table(Origin::BuiltIn);
    let mut environment = Environment { globals: empty(), target: empty(), shorthands: Vec::new() };
    for (name, value) in variables {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        if COMMAND_LINE.contains(&rest) || is_injected(rest) || borrowed.contains(name) {
            continue;
        }
        let origin = Origin::Variable(name.clone());
        let (tree, keys, path) = if let Some(path) = scalar(rest) {
            (&mut environment.globals, ROOT, path)
        } else if let Some((_, path)) = shorthands.iter().find(|(word, _)| *word == rest) {
            environment.shorthands.push(name.clone());
            (&mut environment.target, TARGET, path.clone())
        } else {
            problems.push(&origin, "", unknown(rest, &shorthands));
            continue;
        };
        if value.trim().is_empty() {
            problems.push(&origin, "", "set but empty: unset it, or give it a value");
            continue;
        }
        let value = if path.last() == Some(&"env") { name } else { value };
        plant(tree, keys, &path, &origin, value);
    }
    if environment.target.get("password").is_some_and(|password| password.entries().len() > 1) {
        let origin = Origin::Variable(format!("{PREFIX}PASSWORD"));
        problems.push(&origin, "", format!("conflicts with {PREFIX}PASSWORD_FILE: keep one of them"));
        environment.target.take("password");
    }
    environment
}

/// The variables of the scalars, with their paths.
pub(super) fn scalars() -> Vec<(String, Vec<&'static str>)> {
    let scalar = |key: &&Key| key.kind.keys().is_none() && !matches!(key.kind, Kind::Patterns);
    let mut scalars: Vec<_> = ROOT.iter().filter(scalar).map(|key| (key.name.to_uppercase(), vec![key.name])).collect();
    for section in ROOT {
        let Kind::Table(keys) = section.kind else { continue };
        scalars.extend(keys.iter().filter(scalar).map(|key| {
            (format!("{}__{}", section.name.to_uppercase(), key.name.to_uppercase()), vec![section.name, key.name])
        }));
    }
    scalars
}

fn scalar(rest: &str) -> Option<Vec<&'static str>> {
    scalars().into_iter().find(|(name, _)| name == rest).map(|(_, path)| path)
}

/// The variables that Kubernetes sets in every pod if the name of a Service starts with our prefix.
fn is_injected(rest: &str) -> bool {
    let rest = format!("_{rest}_");
    rest.contains("_SERVICE_") || rest.contains("_PORT_")
}

/// The variables of the single target with these drivers, and their paths.
pub(super) fn shorthands(drivers: &Drivers) -> Vec<(&'static str, Vec<&'static str>)> {
    let shared = SHORTHANDS.iter().map(|(word, path)| (*word, path.to_vec()));
    let own = drivers.families().flat_map(|(_, driver)| driver.connector_keys());
    let own = own.filter_map(|key| Some((key.variable?, vec!["connector", key.name])));
    shared.chain(own).collect()
}

fn unknown(rest: &str, shorthands: &[(&str, Vec<&str>)]) -> String {
    let scalars = scalars();
    let words = shorthands.iter().map(|(word, _)| *word).chain(scalars.iter().map(|(word, _)| word.as_str()));
    match nearest(rest, words.chain(COMMAND_LINE.iter().copied())) {
        Some(near) => format!("unknown variable, did you mean {PREFIX}{near}?"),
        None => "unknown variable: the end of `heartbeatd config example` lists all variables".to_owned(),
    }
}

/// Puts a value at its path. The kind of the key decides how to read the text.
fn plant(tree: &mut Node, keys: &'static [Key], path: &[&str], origin: &Origin, text: &str) {
    let (Data::Table(entries), Some((name, rest))) = (&mut tree.data, path.split_first()) else { return };
    let kind = keys.iter().find(|key| key.name == *name).map_or(Kind::Text, |key| key.kind);
    if rest.is_empty() {
        entries.push(((*name).to_owned(), Node { origin: origin.clone(), data: typed(kind, text) }));
        return;
    }
    let position = entries.iter().position(|(key, _)| key == name).unwrap_or(entries.len());
    if position == entries.len() {
        let table = Node::table(origin.clone());
        let node = match kind {
            Kind::Tables(_) => Node { origin: origin.clone(), data: Data::List(vec![table]) },
            _ => table,
        };
        entries.push(((*name).to_owned(), node));
    }
    let Some((_, node)) = entries.get_mut(position) else { return };
    let table = match &mut node.data {
        Data::List(items) => items.first_mut(),
        _ => Some(node),
    };
    if let Some(table) = table {
        plant(table, kind.keys().unwrap_or_default(), rest, origin, text);
    }
}

/// Converts text only for keys of another kind: a password `0123` is not a number.
fn typed(kind: Kind, text: &str) -> Data {
    let number = || text.parse().ok().map(Data::Integer);
    let data = match kind {
        Kind::Boolean => text.parse().ok().map(Data::Boolean),
        Kind::Whole | Kind::RowId | Kind::Duration(_) => number(),
        _ => None,
    };
    data.unwrap_or_else(|| Data::Text(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::ConnectorKeys;

    #[test]
    fn every_shorthand_leads_to_a_key() {
        let drivers = Drivers::built_in();
        let connector = ConnectorKeys::of(&drivers);
        for (word, path) in shorthands(&drivers) {
            let mut keys = Some(TARGET);
            for name in path {
                let Some(table) = keys else { panic!("{word}: {name} lies below no table") };
                let Some(key) = table.iter().find(|key| key.name == name) else { panic!("{word}: no key {name}") };
                keys = connector.below(key.kind);
                if matches!(key.kind, Kind::Password) {
                    break;
                }
            }
        }
    }

    #[test]
    fn every_scalar_key_of_the_sections_has_a_variable() {
        let names: Vec<_> = scalars().into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "INSTANCE",
                "DEFAULTS__INTERVAL",
                "DEFAULTS__CRON",
                "DEFAULTS__TIMEZONE",
                "DEFAULTS__TIMEOUT",
                "DEFAULTS__WRITE",
                "DEFAULTS__PROVISION",
                "HTTP__LISTEN",
                "SHUTDOWN__GRACE",
            ]
        );
    }

    #[test]
    fn variables_that_kubernetes_injects_are_ignored() {
        for rest in
            ["PORT", "PORT_2328_TCP_ADDR", "SERVICE_HOST", "SERVICE_PORT_HTTP", "METRICS_SERVICE_HOST", "X_PORT"]
        {
            assert!(is_injected(rest), "{rest}");
        }
        let ours = scalars().into_iter().map(|(name, _)| name);
        for rest in ours.chain(shorthands(&Drivers::built_in()).into_iter().map(|(word, _)| word.to_owned())) {
            assert!(!is_injected(&rest), "{rest}");
        }
    }
}
