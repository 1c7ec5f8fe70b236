//! The mistakes in a configuration, with their places. Every part of `config` collects them; `main` shows them.

use std::fmt;
use std::sync::Arc;

use super::schema::{ConnectorKeys, Key, Kind};

/// Where a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The program itself.
    BuiltIn,
    /// A configuration file.
    File {
        /// The path, as given or as an include found it.
        file: Arc<str>,
        /// The line, from 1; 0 is the file as a whole.
        line: usize,
        /// The column, from 1, where it is more precise than the line; else 0.
        column: usize,
    },
    /// An environment variable.
    Variable(String),
    /// The number of the address on the command line, from 1.
    CommandLine(usize),
}

/// One mistake. It never contains a password: only the name of the key, and the value if its type may be quoted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub origin: Origin,
    /// The key, as in `target[2].interval`; may be empty.
    pub path: String,
    /// What, in plain words.
    pub message: String,
}

/// Why there are no settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadError {
    /// No source names a target; the caller shows a help text.
    NoTargets,
    /// The sources contradict each other.
    Usage(String),
    /// All mistakes, ordered by place.
    Problems(Vec<Problem>),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built-in default"),
            Self::File { file, line: 0, .. } => f.write_str(file),
            Self::File { file, line, column: 0 } => write!(f, "{file}:{line}"),
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Variable(name) => f.write_str(name),
            Self::CommandLine(number) => write!(f, "address {number} on the command line"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        // The name of a variable, or the address, already identifies the key.
        if matches!(self.origin, Origin::File { .. }) && !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTargets => f.write_str("no target: give an address, a configuration file, or HEARTBEATD_URL"),
            Self::Usage(message) => f.write_str(message),
            Self::Problems(problems) => {
                for (index, problem) in problems.iter().enumerate() {
                    f.write_str(if index > 0 { "\n" } else { "" })?;
                    write!(f, "{problem}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for LoadError {}

/// The problems found so far; the search does not stop at the first.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn push(&mut self, origin: &Origin, path: impl Into<String>, message: impl Into<String>) {
        // One line each, even if a file or an address contains line breaks.
        let message = message.into().replace(char::is_control, " ");
        self.0.push(Problem { origin: origin.clone(), path: path.into(), message });
    }

    /// The settings, if there is no problem.
    pub(super) fn or<T>(self, settings: T) -> Result<T, LoadError> {
        if self.0.is_empty() { Ok(settings) } else { Err(self.into()) }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Problems> for LoadError {
    fn from(Problems(mut problems): Problems) -> Self {
        problems.sort();
        Self::Problems(problems)
    }
}

/// Says `unknown key` and suggests the nearest key, in the same table or in a table below it.
pub(super) fn unknown_key(name: &str, keys: &[Key], connector: &ConnectorKeys) -> String {
    let below = keys.iter().filter(|key| !matches!(key.kind, Kind::Tables(_)));
    let below = below.filter_map(|key| Some((key.name, connector.below(key.kind)?)));
    let below = below.map(|(table, keys)| Some(format!("{table}.{}", nearest(name, keys.iter().map(|key| key.name))?)));
    let here = nearest(name, keys.iter().map(|key| key.name)).map(str::to_owned);
    match std::iter::once(here).chain(below).flatten().next() {
        Some(near) => format!("unknown key, did you mean \"{near}\"?"),
        None => format!("unknown key, expected {}", one_of(keys.iter().map(|key| key.name))),
    }
}

/// The word that differs only a little from `wrong`, as after a typing mistake.
#[must_use]
pub fn nearest<'a>(wrong: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |word: &str| word.to_ascii_lowercase().replace('-', "_");
    // The cost of the distance is the product of both lengths, and no typing mistake makes a word this long.
    let wrong = Some(plain(wrong)).filter(|wrong| wrong.len() <= 64)?;
    words
        .map(|word| (strsim::damerau_levenshtein(&wrong, &plain(word)), word))
        .filter(|(distance, word)| *distance <= (word.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// `a`, `a or b`, `a, b or c`.
pub(super) fn one_of<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// Text of a file for a message: quoted, on one line, and not too long.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST {
        return format!("{text:?}");
    }
    format!("{:?} …", text.chars().take(LONGEST).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_typing_mistake_gets_a_suggestion() {
        let words = ["interval", "timeout", "url", "cron"];
        for (wrong, near) in [
            ("intervall", Some("interval")),
            ("Interval", Some("interval")),
            ("tiemout", Some("timeout")),
            ("ulr", Some("url")),
            ("period", None),
            ("dsn", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, words.into_iter()), near, "{wrong}");
        }
    }

    #[test]
    fn a_problem_names_file_line_and_key() {
        let origin = Origin::File { file: "heartbeatd.toml".into(), line: 31, column: 0 };
        let mut problems = Problems::default();
        problems.push(&origin, "target[2].intervall", "unknown key, did you mean \"interval\"?");
        problems.push(&Origin::Variable("HEARTBEATD_ROW".into()), "row", "too small");
        let error = problems.or(()).unwrap_err().to_string();
        assert_eq!(
            error,
            "heartbeatd.toml:31: target[2].intervall: unknown key, did you mean \"interval\"?\nHEARTBEATD_ROW: too small"
        );
    }
}
