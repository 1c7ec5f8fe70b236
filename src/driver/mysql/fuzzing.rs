//! Gives fuzzing access to the readers of servers' answers. The targets of `fuzz/` and the tests that replay their
//! corpora call it. It is not part of the program's interface.
#![allow(missing_docs, reason = "one line each, for tests alone")]

use std::collections::BTreeMap;

use super::flavour::Flavour;
use super::grants::{GrantScope, Grants, Patterns, RoleName};
use super::name_case::NameCase;
use super::replication_filters::{self, Filters};
use super::{errors, facts, identifier};
use crate::heartbeat::Failure;
use crate::target::HeartbeatTable;

/// An answer to `SHOW GRANTS`, as it was parsed.
#[derive(Debug, PartialEq, Eq)]
pub struct ReadGrants {
    /// How many lines were not parsed.
    pub unread: usize,
    /// The grants as they are saved.
    pub saved: serde_json::Value,
    /// Whether privileges are granted, one answer for each question.
    pub answers: Vec<String>,
}

/// Parses the lines of `SHOW GRANTS`, saves the grants, reads them back, and queries them.
///
/// # Errors
/// The saved grants cannot be read back.
pub fn grants(lines: &[&str], heartbeat: &HeartbeatTable) -> Result<ReadGrants, serde_json::Error> {
    let grants = Grants::read(lines, Patterns::Wild);
    let saved = serde_json::to_value(&grants)?;
    let again: Grants = serde_json::from_value(saved.clone())?;
    let table = GrantScope::Table(&heartbeat.schema, &heartbeat.table);
    let column = GrantScope::Column(&heartbeat.schema, &heartbeat.table, "id");
    let questions = [
        ("UPDATE", table),
        ("SELECT", column),
        ("REPLICATION SLAVE", GrantScope::Server),
        ("LOCK TABLES", GrantScope::AnyDatabase),
    ];
    let answers = questions.map(|(privilege, place)| format!("{:?}", again.allows(privilege, place)));
    Ok(ReadGrants { unread: grants.unread, saved, answers: answers.into() })
}

/// Parses a list of roles and writes each as SQL does.
#[must_use]
pub fn roles(list: &str) -> Vec<String> {
    RoleName::list(list).iter().map(RoleName::quoted).collect()
}

/// The filter that excludes the table, and the change that includes it; `lists` are those of a replica.
#[must_use]
pub fn left_out(lists: &BTreeMap<String, String>, heartbeat: &HeartbeatTable) -> Option<(&'static str, String)> {
    let filters = Filters::of(lists, NameCase::default());
    let filter = filters.left_out(heartbeat)?;
    Some((filter, filters.let_in(filter, heartbeat, Flavour::MySql, "REPLICA", "").to_string()))
}

/// What an event's body does with the table.
#[must_use]
pub fn event(body: &str, heartbeat: &HeartbeatTable) -> String {
    format!("{:?}", facts::use_of(body, &heartbeat.schema, heartbeat))
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
pub fn plain_literal(text: &str) -> String {
    replication_filters::text(text)
}

#[must_use]
pub fn comment(text: &str) -> String {
    identifier::comment(text)
}

#[must_use]
pub fn failure(error: sqlx::Error) -> Failure {
    errors::classify_login(error, None)
}
