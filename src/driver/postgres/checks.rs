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

use super::facts::{Gathered, PostgresFacts, Relation, RoleFacts, RowFacts, TableFacts};
use super::identifier::{literal, quote};
use crate::finding::{Case, Check, FailureRecord, Finding, Inspection, Look};
use crate::provisioning;
use crate::target::Target;

/// What can be judged of a case: the checks of one file, and the function that judges them in their order.
type Chapter = (&'static [Check], fn(&Scene<'_>) -> Vec<Finding>);

/// In the order of the report.
const CHAPTERS: &[Chapter] = &[
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

static CHECKS: LazyLock<Vec<Check>> =
    LazyLock::new(|| CHAPTERS.iter().flat_map(|(checks, _)| checks.iter().copied()).collect());

/// All checks, in the order of the report.
pub(super) fn all() -> &'static [Check] {
    &CHECKS
}

/// Judges a case.
///
/// # Errors
/// When the facts are not PostgreSQL's.
pub(super) fn judge(case: &Case<'_>) -> Result<Vec<Finding>, serde_json::Error> {
    let Some(scene) = Scene::read(case)? else { return Ok(Vec::new()) };
    Ok(CHAPTERS.iter().flat_map(|(_, judge)| judge(&scene)).collect())
}

/// A case with its facts read, and the names that remedies are written with.
struct Scene<'a> {
    case: &'a Case<'a>,
    target: &'a Target,
    facts: PostgresFacts,
    /// The facts of the look before.
    earlier: Option<PostgresFacts>,
    replicas: Vec<Place<'a>>,
    /// The heartbeat table, quoted.
    table: String,
    /// The user of the session, quoted.
    user: String,
    /// The connector's role, quoted.
    connector: String,
}

/// One replica.
struct Place<'a> {
    name: &'a str,
    facts: Result<PostgresFacts, &'a FailureRecord>,
    earlier: Option<PostgresFacts>,
}

impl<'a> Scene<'a> {
    /// `None` for a source that gave no facts.
    fn read(case: &'a Case<'a>) -> Result<Option<Self>, serde_json::Error> {
        let Look::Facts(facts) = &case.now.source else { return Ok(None) };
        let facts: PostgresFacts = serde_json::from_value(facts.clone())?;
        let target = case.target;
        let mut replicas = Vec::new();
        for replica in &case.now.replicas {
            let facts = match &replica.look {
                Look::Facts(facts) => Ok(serde_json::from_value(facts.clone())?),
                Look::Failure(failure) => Err(failure),
            };
            let earlier = case.earlier.and_then(|earlier| look_at_replica(earlier, &replica.name));
            replicas.push(Place { name: &replica.name, facts, earlier: read_earlier(earlier)? });
        }
        Ok(Some(Self {
            case,
            target,
            earlier: read_earlier(case.earlier.map(|earlier| &earlier.source))?,
            replicas,
            table: format!("{}.{}", quote(&target.heartbeat.schema), quote(&target.heartbeat.table)),
            user: quote(&facts.server.user),
            connector: quote(&target.connector.user.name),
            facts,
        }))
    }

    /// The table, if it is known to exist.
    fn relation(&self) -> Option<&Relation> {
        relation_of(&self.facts)
    }

    /// The command that creates what is missing.
    fn provision(&self) -> String {
        provisioning::command(self.target)
    }

    /// Judges what is known of the table, or says why it is not.
    fn with_table(&self, check: &Check, judge: impl FnOnce(&Relation) -> Finding) -> Finding {
        with(check, &self.table, &self.facts.table, |facts: &TableFacts| match &facts.table {
            Some(relation) => judge(relation),
            None => check.skipped(&self.table, "there is no such table"),
        })
    }

    /// Judges what is known of the rows, or says why it is not.
    fn with_rows(&self, check: &Check, judge: impl FnOnce(&RowFacts, &Relation) -> Finding) -> Finding {
        self.with_table(check, |relation| match &self.facts.row {
            Some(rows) => with(check, &self.table, rows, |rows| judge(rows, relation)),
            None => check.skipped(&self.table, "the table has no column id"),
        })
    }

    /// Judges the connector's role, or says why it cannot be.
    fn with_connector(&self, check: &Check, judge: impl FnOnce(&RoleFacts) -> Finding) -> Finding {
        with(check, &self.connector, &self.facts.roles, |roles| match &roles.connector {
            Some(role) => judge(role),
            None => check.skipped(&self.connector, "there is no such role"),
        })
    }

    /// Microseconds between the two looks.
    fn between_looks(&self) -> Option<i64> {
        self.case.earlier.map(|earlier| self.case.now.taken_at - earlier.taken_at)
    }
}

fn relation_of(facts: &PostgresFacts) -> Option<&Relation> {
    facts.table.answer()?.table.as_ref()
}

fn look_at_replica<'a>(inspection: &'a Inspection, name: &str) -> Option<&'a Look> {
    inspection.replicas.iter().find(|replica| replica.name == name).map(|replica| &replica.look)
}

fn read_earlier(look: Option<&Look>) -> Result<Option<PostgresFacts>, serde_json::Error> {
    match look {
        Some(Look::Facts(facts)) => serde_json::from_value(facts.clone()).map(Some),
        _ => Ok(None),
    }
}

/// Judges an answer; what the server would not say is unknown, with what it takes.
fn with<T>(check: &Check, subject: &str, gathered: &Gathered<T>, judge: impl FnOnce(&T) -> Finding) -> Finding {
    match gathered.seen() {
        Ok(answer) => judge(answer),
        Err(refusal) => check.unknown(subject, refusal.unless(check.privilege)),
    }
}

/// The reason for which a check of movement is left out of a single look.
const ONE_LOOK: &str = "one look: use --wait, or the daemon";

/// A size for people.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut shown = bytes as f64 / 1024.0;
    let mut unit = 0;
    while shown >= 1024.0 && unit + 1 < UNITS.len() {
        shown /= 1024.0;
        unit += 1;
    }
    if shown >= 100.0 { format!("{shown:.0} {}", UNITS[unit]) } else { format!("{shown:.1} {}", UNITS[unit]) }
}

/// `ALTER SYSTEM` as it is pasted, with what makes it take effect.
fn alter_system(setting: &str, value: &str, restart: bool) -> String {
    let then = if restart { "-- then restart the server" } else { "SELECT pg_reload_conf();" };
    format!("ALTER SYSTEM SET {setting} = {}; {then}", literal(value))
}
