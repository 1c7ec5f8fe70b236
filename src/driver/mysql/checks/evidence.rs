//! What the checks of this folder judge: MySQL's facts about the table and its rows, or why they are unknown.

use crate::driver::answer::Answer;
use crate::driver::evidence;
use crate::driver::mysql::errors::PASSING;
use crate::driver::mysql::facts::{MysqlFacts, Relation, RowFacts, TableFacts};
use crate::finding::{Check, Finding};

/// A case with MySQL's facts.
pub(super) type Evidence<'a> = evidence::Evidence<'a, MysqlFacts>;
/// One replica.
pub(super) type ReplicaEvidence<'a> = evidence::ReplicaEvidence<'a, MysqlFacts>;

impl Evidence<'_> {
    /// The table, if it is known to exist.
    pub(super) fn relation(&self) -> Option<&Relation> {
        self.facts.relation()
    }

    /// Judges the table, or says why it is unknown.
    pub(super) fn with_table(&self, check: &Check, judge: impl FnOnce(&Relation) -> Finding) -> Finding {
        let name = &self.names.table;
        with(check, name, &self.facts.table, |facts: &TableFacts| match &facts.table {
            Some(relation) => judge(relation),
            None => check.skipped(name, "there is no such table, or it is hidden"),
        })
    }

    /// Judges the rows, or says why they are unknown.
    pub(super) fn with_rows(&self, check: &Check, judge: impl FnOnce(&RowFacts, &Relation) -> Finding) -> Finding {
        self.with_table(check, |relation| match &self.facts.row {
            Some(rows) => with(check, &self.names.table, rows, |rows| judge(rows, relation)),
            None => check.skipped(&self.names.table, "the table has no column id that holds a number"),
        })
    }

    /// As [`with`], for facts that one global privilege shows.
    pub(super) fn with_privilege<T>(
        &self,
        check: &Check,
        subject: &str,
        gathered: &Answer<T>,
        privilege: &str,
        judge: impl FnOnce(&T) -> Finding,
    ) -> Finding {
        gathered.judge(check, subject, &self.grant(privilege), PASSING, judge)
    }

    /// The grant of a global privilege to this session's user.
    pub(super) fn grant(&self, privilege: &str) -> String {
        format!("GRANT {privilege} ON *.* TO {};", self.names.user)
    }
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

/// The privilege to read the state of the binary log. Every version of both servers knows this old name.
pub(super) const CLIENT: &str = "REPLICATION CLIENT";
