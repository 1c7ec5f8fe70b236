//! Gives fuzzing access to the readers of servers' answers. The targets of `fuzz/` and the tests that replay their
//! corpora call it. It is not part of the program's interface.
#![allow(missing_docs, reason = "one line each, for tests alone")]

use super::{checks, errors, facts, identifier};
use crate::heartbeat::Failure;

/// A position in the WAL, read and written again.
#[must_use]
pub fn position(text: &str) -> Option<String> {
    facts::Position::parse(text).map(|position| position.to_string())
}

#[must_use]
pub fn standbys_wanted(names: &str) -> i64 {
    checks::standbys_wanted(names)
}

#[must_use]
pub fn identifier(name: &str) -> String {
    identifier::quote(name)
}

#[must_use]
pub fn literal(text: &str) -> String {
    identifier::literal(text)
}

#[must_use]
pub fn application_name(name: &str) -> &str {
    identifier::application_name(name)
}

#[must_use]
pub fn failure(error: sqlx::Error) -> Failure {
    errors::classify(error)
}
