//! The plan that creates what a source lacks, in idempotent steps. A driver makes it from what it finds; `provisioning`
//! applies it. The scripts are in `migrations/<database>/`.

pub mod columns;
pub mod existing_table;

use crate::heartbeat::{ErrorKind, Failure};
use crate::remedy::Remedy;
use crate::target::Target;

/// What is missing, in the order of its creation.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The steps; empty when nothing is missing.
    pub steps: Vec<Step>,
    /// What the plan leaves out, and why: a default role that does not exist, a publication of all tables …
    pub notices: Vec<String>,
    /// What no step can repair. It is reported; the other steps still run.
    pub failures: Vec<Failure>,
}

/// One statement, or a few that belong together: the printed script, and what runs if that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its effect in a few words: `create table "streamkap"."streamkap_heartbeat"`.
    pub title: String,
    /// The SQL, or the script of the database's own shell, as `--dry-run` prints it.
    pub script: String,
    /// What is run.
    pub run: Run,
}

/// How a step is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Run {
    /// The script, as one list of statements in one call.
    Script,
    /// A command of a database that takes documents instead of statements.
    Command {
        /// The database that receives it.
        database: String,
        /// The document, as JSON; the order of its fields matters.
        document: String,
    },
}

impl Step {
    /// A step that runs its script.
    #[must_use]
    pub fn script(title: String, script: String) -> Self {
        Self { title, script, run: Run::Script }
    }
}

impl Plan {
    /// Adds what no step can repair.
    pub fn fail(&mut self, kind: ErrorKind, message: String, remedy: Option<Remedy>) {
        let failure = Failure::new(kind, message);
        self.failures.push(match remedy {
            Some(remedy) => failure.with_remedy(remedy),
            None => failure,
        });
    }
}

/// The remedy for a missing object: the command that creates it for a target.
#[must_use]
pub fn command(target: &Target) -> Remedy {
    let command = format!("heartbeatd provision --target {}", shell_word(&target.name));
    Remedy::shell(command).note("with the same configuration or address")
}

/// The same command for use inside a sentence, without a comment after it.
#[must_use]
pub fn command_in_words(target: &Target) -> String {
    format!("heartbeatd provision --target {} (with the same configuration or address)", shell_word(&target.name))
}

/// A word, quoted for the shell where it needs it.
pub(crate) fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Fills a migration's named placeholders, `{schema}` and the like, and drops its comment lines (`--`, or `//`).
///
/// The driver's quoting function must have quoted the values.
#[must_use]
pub fn render(template: &str, values: &[(&str, &str)]) -> String {
    let mut sql = String::with_capacity(template.len());
    for line in template.lines().filter(|line| !["--", "//"].iter().any(|mark| line.trim_start().starts_with(mark))) {
        let mut rest = line;
        while let Some(start) = rest.find('{') {
            let (before, from_brace) = rest.split_at(start);
            sql.push_str(before);
            // One pass, so that a value which itself looks like a placeholder is never filled again.
            match from_brace.find('}').map(|end| (&from_brace[1..end], &from_brace[end + 1..])) {
                Some((name, after)) if values.iter().any(|(known, _)| *known == name) => {
                    sql.extend(values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value));
                    rest = after;
                }
                _ => {
                    sql.push('{');
                    rest = &from_brace[1..];
                }
            }
        }
        sql.push_str(rest);
        sql.push('\n');
    }
    sql.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_once_and_comments_dropped() {
        let sql = render(
            "-- why\nCREATE TABLE {schema}.{table} (x TEXT DEFAULT '{}');\n",
            &[("schema", "\"{table}\""), ("table", "\"t\"")],
        );
        assert_eq!(sql, "CREATE TABLE \"{table}\".\"t\" (x TEXT DEFAULT '{}');");
    }
}
