//! Judges MySQL's and MariaDB's facts: one pure function per check, one file per subject. The driver's `judge` calls
//! it.

mod activity;
mod binlog;
mod cluster;
mod connector;
mod evidence;
mod native;
mod replica;
mod retention;
mod row;
mod server;
mod settings;
mod table;
#[cfg(test)]
mod tests;
mod variables;
mod writer;

use std::sync::LazyLock;

use super::facts::MysqlFacts;
use super::identifier::{Account, table_of};
use crate::driver::evidence::{CheckGroup, SqlNames, checks_of, judge_chapters};
use crate::finding::{Case, Check, Finding};
use crate::target::Target;

/// In the order of the report.
const CHECK_GROUPS: &[CheckGroup<MysqlFacts>] = &[
    (server::CHECKS, server::judge),
    (table::CHECKS, table::judge),
    (row::CHECKS, row::judge),
    (writer::CHECKS, writer::judge),
    (connector::CHECKS, connector::judge),
    (settings::CHECKS, settings::judge),
    (binlog::CHECKS, binlog::judge),
    (retention::CHECKS, retention::judge),
    (cluster::CHECKS, cluster::judge),
    (replica::CHECKS, replica::judge),
    (activity::CHECKS, activity::judge),
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
/// The facts are not MySQL's.
pub(super) fn judge(case: &Case<'_>) -> Result<Vec<Finding>, serde_json::Error> {
    judge_chapters(case, CHECK_GROUPS, |target: &Target, facts: &MysqlFacts| {
        let connector = facts.roles.connector.answer().and_then(|accounts| accounts.first());
        SqlNames {
            table: table_of(&target.heartbeat),
            user: facts.server.account.quoted(),
            connector: match connector {
                Some(role) => role.account.quoted(),
                None => Account::read(&target.connector.user.name).quoted(),
            },
        }
    })
}
