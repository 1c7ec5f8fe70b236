//! What PostgreSQL's facts mean: one pure function per check, in a file per subject. Called by the driver's `judge`.

mod activity;
mod archive;
mod connector;
mod native;
mod publication;
mod replica;
mod row;
mod server;
mod settings;
mod slot;
mod table;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::LazyLock;

use super::errors::PASSING;
use super::facts::{PostgresFacts, Relation, RoleFacts, RowFacts, TableFacts};
use super::identifier::{literal, quote};
use crate::driver::gathered::Gathered;
use crate::driver::scene::{self, Chapter, Names};
use crate::finding::{Case, Check, Finding};
use crate::target::Target;

/// A case with PostgreSQL's facts.
type Scene<'a> = scene::Scene<'a, PostgresFacts>;
/// One replica.
type Place<'a> = scene::Place<'a, PostgresFacts>;

/// In the order of the report.
const CHAPTERS: &[Chapter<PostgresFacts>] = &[
    (server::CHECKS, server::judge),
    (table::CHECKS, table::judge),
    (row::CHECKS, row::judge),
    (writer::CHECKS, writer::judge),
    (connector::CHECKS, connector::judge),
    (settings::CHECKS, settings::judge),
    (publication::CHECKS, publication::judge),
    (slot::CHECKS, slot::judge),
    (replica::CHECKS, replica::judge),
    (activity::CHECKS, activity::judge),
    (archive::CHECKS, archive::judge),
    (native::CHECKS, native::judge),
];

static CHECKS: LazyLock<Vec<Check>> = LazyLock::new(|| scene::checks_of(CHAPTERS));

/// All checks, in the order of the report.
pub(super) fn all() -> &'static [Check] {
    &CHECKS
}

/// Judges a case.
///
/// # Errors
/// When the facts are not PostgreSQL's.
pub(super) fn judge(case: &Case<'_>) -> Result<Vec<Finding>, serde_json::Error> {
    scene::judge(case, CHAPTERS, |target: &Target, facts: &PostgresFacts| Names {
        table: format!("{}.{}", quote(&target.heartbeat.schema), quote(&target.heartbeat.table)),
        user: quote(&facts.server.user),
        connector: quote(&target.connector.user.name),
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
            None => check.skipped(name, "there is no such table"),
        })
    }

    /// Judges what is known of the rows, or says why it is not.
    fn with_rows(&self, check: &Check, judge: impl FnOnce(&RowFacts, &Relation) -> Finding) -> Finding {
        self.with_table(check, |relation| match &self.facts.row {
            Some(rows) => with(check, &self.names.table, rows, |rows| judge(rows, relation)),
            None => check.skipped(&self.names.table, "the table has no column id"),
        })
    }

    /// Judges the connector's role, or says why it cannot be.
    fn with_connector(&self, check: &Check, judge: impl FnOnce(&RoleFacts) -> Finding) -> Finding {
        let name = &self.names.connector;
        with(check, name, &self.facts.roles, |roles| match &roles.connector {
            Some(role) => judge(role),
            None => check.skipped(name, "there is no such role"),
        })
    }
}

fn relation_of(facts: &PostgresFacts) -> Option<&Relation> {
    facts.table.answer()?.table.as_ref()
}

/// Judges an answer; what the server would not say is unknown, with what it takes.
fn with<T>(check: &Check, subject: &str, gathered: &Gathered<T>, judge: impl FnOnce(&T) -> Finding) -> Finding {
    match gathered.seen() {
        Ok(answer) => judge(answer),
        Err(refusal) => check.unknown(subject, refusal.unless(takes(check), PASSING)),
    }
}

/// What it takes to check something here; what several databases check says so of each of them.
fn takes(check: &Check) -> &'static str {
    match check.id {
        "long-transactions" => "GRANT pg_monitor TO this user, to see the sessions of other users",
        "native-scheduler" => {
            "USAGE on the schema cron, and being the owner of the job or a superuser: others see no row, and no error"
        }
        id if id.starts_with("connector-") || matches!(id, "schema-exists" | "table-kind" | "writer-expiry") => {
            CATALOGUE
        }
        "replica-role" | "replica-decode" => "a login on the replica",
        "server-writable" => "a login",
        _ => check.privilege,
    }
}

const CATALOGUE: &str = "reading the catalogue, which every user may";

/// `ALTER SYSTEM` as it is pasted, with what makes it take effect.
fn alter_system(setting: &str, value: &str, restart: bool) -> String {
    let then = if restart { "-- then restart the server" } else { "SELECT pg_reload_conf();" };
    format!("ALTER SYSTEM SET {setting} = {}; {then}", literal(value))
}
