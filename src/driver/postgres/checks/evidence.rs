//! What the checks of this folder judge: PostgreSQL's facts about the table, its rows and the connector's role, or why
//! they are unknown.

use crate::driver::answer::Answer;
use crate::driver::evidence;
use crate::driver::postgres::errors::PASSING;
use crate::driver::postgres::facts::{PostgresFacts, Relation, RoleFacts, RowFacts, ServerFacts, TableFacts};
use crate::driver::postgres::identifier::literal;
use crate::finding::{Check, Finding};
use crate::remedy::Remedy;

/// The privilege to read the catalogue.
pub(super) const CATALOGUE: &str = "read access to the catalogue, which every user has";

/// A case with PostgreSQL's facts.
pub(super) type Evidence<'a> = evidence::Evidence<'a, PostgresFacts>;
/// One replica.
pub(super) type ReplicaEvidence<'a> = evidence::ReplicaEvidence<'a, PostgresFacts>;

impl Evidence<'_> {
    /// The table, if it is known to exist.
    pub(super) fn relation(&self) -> Option<&Relation> {
        relation_of(&self.facts)
    }

    /// Judges the table, or says why it is unknown.
    pub(super) fn with_table(&self, check: &Check, judge: impl FnOnce(&Relation) -> Finding) -> Finding {
        let name = &self.names.table;
        with(check, name, &self.facts.table, |facts: &TableFacts| match &facts.table {
            Some(relation) => judge(relation),
            None => check.skipped(name, "there is no such table"),
        })
    }

    /// Judges the rows, or says why they are unknown.
    pub(super) fn with_rows(&self, check: &Check, judge: impl FnOnce(&RowFacts, &Relation) -> Finding) -> Finding {
        self.with_table(check, |relation| match &self.facts.row {
            Some(rows) => with(check, &self.names.table, rows, |rows| judge(rows, relation)),
            None => check.skipped(&self.names.table, "the table has no column id that holds a number"),
        })
    }

    /// Judges the connector's role, or says why it is unknown.
    pub(super) fn with_connector(&self, check: &Check, judge: impl FnOnce(&RoleFacts) -> Finding) -> Finding {
        let name = &self.names.connector;
        with(check, name, &self.facts.roles, |roles| match &roles.connector {
            Some(role) => judge(role),
            None => check.skipped(name, "there is no such role"),
        })
    }
}

pub(super) fn relation_of(facts: &PostgresFacts) -> Option<&Relation> {
    facts.table.answer()?.table.as_ref()
}

/// Judges an answer by this database's error codes: [`Answer::judge`].
pub(super) fn with<T>(
    check: &Check,
    subject: &str,
    gathered: &Answer<T>,
    judge: impl FnOnce(&T) -> Finding,
) -> Finding {
    gathered.judge(check, subject, check.privilege, PASSING, judge)
}

/// The remedy that sets a setting, with the step that makes it take effect. `ALTER SYSTEM` cannot run in a transaction,
/// so it is alone in its script: SQL that is pasted as one message runs as one transaction.
pub(super) fn alter_system(server: &ServerFacts, setting: &str, value: &str, restart: bool) -> Remedy {
    if let Some(provider) = server.provider {
        return provider.set(setting, value, restart);
    }
    if server.setting("allow_alter_system") == Some("off") {
        let then = if restart { ", and have the server restarted" } else { "" };
        return Remedy::advice(format!(
            "set {setting} = {} where the settings of this server are kept{then}: it refuses ALTER SYSTEM \
             (allow_alter_system = off), as operators on Kubernetes set it",
            literal(value)
        ));
    }
    let then = if restart { "then restart the server" } else { "then run SELECT pg_reload_conf(); on the same server" };
    Remedy::sql(format!("ALTER SYSTEM SET {setting} = {};", literal(value))).note(then)
}
