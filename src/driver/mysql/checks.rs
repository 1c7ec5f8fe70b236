//! What MySQL's and MariaDB's facts mean: one pure function per check, in a file per subject. Called by the driver's
//! `judge`.

mod connector;
mod row;
mod server;
mod table;
mod writer;

use std::sync::LazyLock;

use super::errors::PASSING;
use super::facts::{MysqlFacts, Relation, RoleFacts, RowFacts, TableFacts};
use super::identifier::{account, quote};
use crate::driver::gathered::Gathered;
use crate::driver::scene::{self, Chapter, Names};
use crate::finding::{Case, Check, Finding};
use crate::target::Target;

/// A case with MySQL's facts.
type Scene<'a> = scene::Scene<'a, MysqlFacts>;
/// One replica.
type Place<'a> = scene::Place<'a, MysqlFacts>;

/// In the order of the report.
const CHAPTERS: &[Chapter<MysqlFacts>] = &[
    (server::CHECKS, server::judge),
    (table::CHECKS, table::judge),
    (row::CHECKS, row::judge),
    (writer::CHECKS, writer::judge),
    (connector::CHECKS, connector::judge),
];

static CHECKS: LazyLock<Vec<Check>> = LazyLock::new(|| scene::checks_of(CHAPTERS));

/// All checks, in the order of the report.
pub(super) fn all() -> &'static [Check] {
    &CHECKS
}

/// Judges a case.
///
/// # Errors
/// When the facts are not MySQL's.
pub(super) fn judge(case: &Case<'_>) -> Result<Vec<Finding>, serde_json::Error> {
    scene::judge(case, CHAPTERS, |target: &Target, facts: &MysqlFacts| {
        let connector = facts.roles.answer().and_then(|roles| roles.connector.as_ref());
        Names {
            table: format!("{}.{}", quote(&target.heartbeat.schema), quote(&target.heartbeat.table)),
            user: account(&facts.server.user, &facts.server.host),
            connector: match connector {
                Some(role) => account(&role.user, &role.host),
                None => quote(&target.connector.user.name),
            },
        }
    })
}

impl Scene<'_> {
    /// The table, if it is known to exist.
    fn relation(&self) -> Option<&Relation> {
        relation_of(&self.facts)
    }

    /// Judges what is known of the table, or says why it is not.
    fn with_table(&self, check: &Check, judge: impl FnOnce(&Relation) -> Finding) -> Finding {
        let name = &self.names.table;
        with(check, name, &self.facts.table, |facts: &TableFacts| match &facts.table {
            Some(relation) => judge(relation),
            None => check.skipped(name, "there is no such table, or it is hidden"),
        })
    }

    /// Judges what is known of the rows, or says why it is not.
    fn with_rows(&self, check: &Check, judge: impl FnOnce(&RowFacts, &Relation) -> Finding) -> Finding {
        self.with_table(check, |relation| match &self.facts.row {
            Some(rows) => with(check, &self.names.table, rows, |rows| judge(rows, relation)),
            None => check.skipped(&self.names.table, "the table has no column id"),
        })
    }

    /// Judges the connector's account, or says why it cannot be.
    fn with_connector(&self, check: &Check, judge: impl FnOnce(&RoleFacts) -> Finding) -> Finding {
        let name = &self.names.connector;
        with(check, name, &self.facts.roles, |roles| match &roles.connector {
            Some(role) => judge(role),
            None => check.skipped(name, "there is no such account"),
        })
    }
}

fn relation_of(facts: &MysqlFacts) -> Option<&Relation> {
    facts.table.answer()?.table.as_ref()
}

/// Judges an answer; what the server would not say is unknown, with what it takes.
fn with<T>(check: &Check, subject: &str, gathered: &Gathered<T>, judge: impl FnOnce(&T) -> Finding) -> Finding {
    scene::with(check, subject, gathered, PASSING, judge)
}
