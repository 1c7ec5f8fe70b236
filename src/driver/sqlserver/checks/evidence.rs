//! What the checks of this folder judge: SQL Server's facts about the table, its rows, users and grants, or why they
//! are unknown.

use crate::driver::answer::Answer;
use crate::driver::evidence;
use crate::driver::sqlserver::errors::PASSING;
use crate::driver::sqlserver::facts::{Principals, RowFacts, SqlServerFacts, TableFacts};
use crate::driver::sqlserver::remedies;
use crate::finding::{Check, Finding, Status};
use crate::remedy::Remedy;

/// A case with SQL Server's facts.
pub(super) type Evidence<'a> = evidence::Evidence<'a, SqlServerFacts>;
/// One replica.
pub(super) type ReplicaEvidence<'a> = evidence::ReplicaEvidence<'a, SqlServerFacts>;

/// The requirement for reading the catalogue.
pub(super) const CATALOGUE: &str = "a login with a user in the database";
/// The requirement for reading the heartbeat's rows.
pub(super) const DATA: &str = "SELECT on the heartbeat table";
/// The requirement for reading other users' grants.
pub(super) const DEFINITION: &str = "VIEW DEFINITION on the database";

impl Evidence<'_> {
    /// A script that a member of db_owner runs in the heartbeat's database.
    pub(super) fn as_owner(&self, script: impl Into<String>) -> Remedy {
        remedies::as_owner(self.target, script)
    }

    /// Judges the table, or says why it is unknown.
    pub(super) fn with_table(&self, check: &Check, judge: impl FnOnce(&TableFacts) -> Finding) -> Finding {
        let name = &self.names.table;
        with(check, name, &self.facts.table, CATALOGUE, |table| match table.kind.as_deref() {
            Some("USER_TABLE") => judge(table),
            Some(_) => check.skipped(name, "it is not a table, which comes first"),
            None => check.skipped(name, "there is no such table, or it is hidden"),
        })
    }

    /// Judges a part of the table, or says why it is unknown.
    pub(super) fn with_part(&self, check: &Check, part: &str, judge: impl FnOnce(&TableFacts) -> Finding) -> Finding {
        self.with_table(check, |table| match table.refused.get(part) {
            Some(refusal) => check.unknown(&self.names.table, refusal.unless(CATALOGUE, PASSING)),
            None => judge(table),
        })
    }

    /// Judges the rows, or says why they are unknown.
    pub(super) fn with_rows(&self, check: &Check, judge: impl FnOnce(&RowFacts) -> Finding) -> Finding {
        self.with_table(check, |_| with(check, &self.names.table, &self.facts.row, DATA, judge))
    }

    /// Judges users and grants. If those of others are hidden, a missing one is unknown, not failed.
    pub(super) fn with_principals(
        &self,
        check: &Check,
        subject: &str,
        judge: impl FnOnce(&Principals) -> Finding,
    ) -> Finding {
        with(check, subject, &self.facts.principals, DEFINITION, |principals| {
            let found = judge(principals);
            if found.status != Status::Failed {
                return found;
            }
            match &principals.unlisted {
                Some(refusal) => check.unknown(subject, refusal.unless(DEFINITION, PASSING)),
                None if !principals.sees_all => check.unknown(
                    subject,
                    format!("{}, as far as {} sees; requires {DEFINITION}", found.observed, self.names.user),
                ),
                None => found,
            }
        })
    }
}

/// Judges an answer by this database's error codes: [`Answer::judge`].
pub(super) fn with<T>(
    check: &Check,
    subject: &str,
    gathered: &Answer<T>,
    privilege: &str,
    judge: impl FnOnce(&T) -> Finding,
) -> Finding {
    gathered.judge(check, subject, privilege, PASSING, judge)
}
