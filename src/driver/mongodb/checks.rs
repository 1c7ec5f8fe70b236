//! Judges MongoDB's facts: one pure function per check, one file per subject. The driver's `judge` calls it.

mod collection;
mod connector;
mod deployment;
mod document;
mod evidence;
mod oplog;
mod replica;
#[cfg(test)]
pub(super) mod right;
mod server;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::LazyLock;

use super::facts::MongoFacts;
use super::identifier::namespace;
use crate::driver::evidence::{CheckGroup, SqlNames, checks_of, judge_chapters};
use crate::finding::{Case, Check, Finding};
use crate::target::Target;

/// In the order of the report.
const CHECK_GROUPS: &[CheckGroup<MongoFacts>] = &[
    (server::CHECKS, server::judge),
    (deployment::CHECKS, deployment::judge),
    (collection::CHECKS, collection::judge),
    (document::CHECKS, document::judge),
    (writer::CHECKS, writer::judge),
    (connector::CHECKS, connector::judge),
    (oplog::CHECKS, oplog::judge),
    (replica::CHECKS, replica::judge),
];

static CHECKS: LazyLock<Vec<Check>> = LazyLock::new(|| checks_of(CHECK_GROUPS));

/// All checks, in the order of the report.
pub(super) fn all() -> &'static [Check] {
    &CHECKS
}

/// Judges a case.
///
/// # Errors
/// When the facts are not MongoDB's.
pub(super) fn judge(case: &Case<'_>) -> Result<Vec<Finding>, serde_json::Error> {
    judge_chapters(case, CHECK_GROUPS, |target: &Target, facts: &MongoFacts| SqlNames {
        table: namespace(&target.heartbeat),
        user: facts.own.answer().map_or_else(String::new, |own| own.name.clone()),
        connector: target.connector.user.name.clone(),
    })
}
