//! Judges SQL Server's facts: one pure function per check, one file per subject. The driver's `judge` calls it.

mod connector;
mod evidence;
mod jobs;
mod replica;
#[cfg(test)]
pub(super) mod right;
mod row;
mod server;
mod table;
#[cfg(test)]
mod tests;
mod tracking;
mod writer;

use std::sync::LazyLock;

use super::facts::SqlServerFacts;
use super::identifier::quote;
use crate::driver::evidence::{CheckGroup, SqlNames, checks_of, judge_chapters};
use crate::finding::{Case, Check, Finding};
use crate::target::Target;

/// In the order of the report.
const CHECK_GROUPS: &[CheckGroup<SqlServerFacts>] = &[
    (server::CHECKS, server::judge),
    (table::CHECKS, table::judge),
    (row::CHECKS, row::judge),
    (writer::CHECKS, writer::judge),
    (connector::CHECKS, connector::judge),
    (tracking::CHECKS, tracking::judge),
    (jobs::CHECKS, jobs::judge),
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
/// The facts are not SQL Server's.
pub(super) fn judge(case: &Case<'_>) -> Result<Vec<Finding>, serde_json::Error> {
    judge_chapters(case, CHECK_GROUPS, |target: &Target, facts: &SqlServerFacts| SqlNames {
        table: format!("{}.{}", quote(&target.heartbeat.schema), quote(&target.heartbeat.table)),
        user: quote(&facts.server.user),
        connector: quote(&target.connector.user.name),
    })
}
