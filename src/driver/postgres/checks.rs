//! Judges PostgreSQL's facts: one pure function per check, one file per subject. The driver's `judge` calls it.

mod activity;
mod archive;
mod connector;
mod evidence;
mod hosts;
mod native;
mod publication;
mod published_rows;
mod replica;
mod row;
mod server;
mod settings;
mod slot;
mod standby_slots;
mod table;
#[cfg(test)]
mod tests;
mod transaction_age;
mod writer;

use std::sync::LazyLock;

pub(super) use self::activity::standbys_wanted;
use super::facts::PostgresFacts;
use super::identifier::quote;
use crate::driver::evidence::{CheckGroup, SqlNames, checks_of, judge_chapters};
use crate::finding::{Case, Check, Finding};
use crate::target::Target;

/// In the order of the report.
const CHECK_GROUPS: &[CheckGroup<PostgresFacts>] = &[
    (server::CHECKS, server::judge),
    (hosts::CHECKS, hosts::judge),
    (table::CHECKS, table::judge),
    (row::CHECKS, row::judge),
    (writer::CHECKS, writer::judge),
    (connector::CHECKS, connector::judge),
    (settings::CHECKS, settings::judge),
    (publication::CHECKS, publication::judge),
    (published_rows::CHECKS, published_rows::judge),
    (slot::CHECKS, slot::judge),
    (standby_slots::CHECKS, standby_slots::judge),
    (replica::CHECKS, replica::judge),
    (activity::CHECKS, activity::judge),
    (transaction_age::CHECKS, transaction_age::judge),
    (archive::CHECKS, archive::judge),
    (native::CHECKS, native::judge),
];

static CHECKS: LazyLock<Vec<Check>> = LazyLock::new(|| checks_of(CHECK_GROUPS));

/// All checks, in the order of the report.
pub(super) fn all() -> &'static [Check] {
    &CHECKS
}

/// Judges a case.
///
/// # Errors
/// The facts are not PostgreSQL's.
pub(super) fn judge(case: &Case<'_>) -> Result<Vec<Finding>, serde_json::Error> {
    judge_chapters(case, CHECK_GROUPS, |target: &Target, facts: &PostgresFacts| SqlNames {
        table: format!("{}.{}", quote(&target.heartbeat.schema), quote(&target.heartbeat.table)),
        user: quote(&facts.server.user),
        connector: quote(&target.connector.user.name),
    })
}
