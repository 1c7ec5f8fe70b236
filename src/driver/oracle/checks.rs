//! Judges Oracle's facts: one pure function per check, one file per subject. The driver's `judge` calls it.

mod accounts;
mod evidence;
mod logging;
mod native;
mod replica;
#[cfg(test)]
pub(super) mod right;
mod server;
mod table;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use super::facts::OracleFacts;
use super::identifier::{quote, quoted_table};
use crate::driver::evidence::{CheckGroup, SqlNames, checks_of, judge_chapters};
use crate::finding::{Case, Check, Finding};
use crate::target::Target;

/// In the order of the report.
const CHECK_GROUPS: &[CheckGroup<OracleFacts>] = &[
    (server::CHECKS, server::judge),
    (table::CHECKS, table::judge),
    (accounts::CHECKS, accounts::judge),
    (logging::CHECKS, logging::judge),
    (native::CHECKS, native::judge),
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
/// The facts are not Oracle's.
pub(super) fn judge(case: &Case<'_>) -> Result<Vec<Finding>, serde_json::Error> {
    judge_chapters(case, CHECK_GROUPS, |target: &Target, facts: &OracleFacts| SqlNames {
        table: quoted_table(&target.heartbeat),
        user: quote(&facts.context.user),
        connector: quote(&target.connector.user.name),
    })
}
