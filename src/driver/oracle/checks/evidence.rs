//! What the checks of this folder judge: Oracle's facts about the table and its rows, or why they are unknown.

use crate::driver::answer::Answer;
use crate::driver::evidence;
use crate::driver::oracle::errors::{INVALID_IDENTIFIER, PASSING, shown};
use crate::driver::oracle::facts::{OracleFacts, ROOT, RowFacts};
use crate::finding::{Check, Finding};

/// A case with Oracle's facts.
pub(super) type Evidence<'a> = evidence::Evidence<'a, OracleFacts>;
/// One replica.
pub(super) type ReplicaEvidence<'a> = evidence::ReplicaEvidence<'a, OracleFacts>;

impl Evidence<'_> {
    /// The grant that makes the catalogue views of the database readable.
    pub(super) fn catalogue(&self) -> String {
        format!("GRANT SELECT_CATALOG_ROLE TO {};", self.names.user)
    }

    /// Whether the table is known to exist.
    pub(super) fn has_table(&self) -> bool {
        self.facts.own_object(&self.target.heartbeat) == Some("TABLE")
    }

    /// Why the table cannot be judged, if another check already reports that.
    pub(super) fn no_table(&self) -> Option<&'static str> {
        if self.facts.objects.answer().is_none() || self.facts.own_object(&self.target.heartbeat).is_some() {
            return None;
        }
        Some(match self.is_in_root() {
            true => "the session is in the root container, which comes first",
            false => "there is no such table, or it is hidden",
        })
    }

    /// Whether the session is in the root, where no heartbeat table belongs.
    pub(super) fn is_in_root(&self) -> bool {
        self.facts.context.container == ROOT
    }

    /// Judges the rows, or says why they are unknown.
    pub(super) fn with_rows(&self, check: &Check, judge: impl FnOnce(&RowFacts) -> Finding) -> Finding {
        let (name, user) = (&self.names.table, &self.names.user);
        if let Some(why) = self.no_table() {
            return check.skipped(name, why);
        }
        match &self.facts.row {
            Answer::Refused(refusal) if refusal.code == shown(INVALID_IDENTIFIER) => {
                check.skipped(name, "a column is missing, which comes first")
            }
            answer => with(check, name, answer, &format!("GRANT SELECT ON {name} TO {user};"), judge),
        }
    }
}

/// Judges an answer by this database's error codes: [`Answer::judge`].
pub(super) fn with<T>(
    check: &Check,
    subject: &str,
    answer: &Answer<T>,
    privilege: &str,
    judge: impl FnOnce(&T) -> Finding,
) -> Finding {
    answer.judge(check, subject, privilege, PASSING, judge)
}
