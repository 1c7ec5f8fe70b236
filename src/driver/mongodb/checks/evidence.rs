//! What the checks of this folder judge: MongoDB's facts.

use crate::driver::answer::Answer;
use crate::driver::evidence;
use crate::driver::mongodb::errors::PASSING;
use crate::driver::mongodb::facts::{CollectionFacts, MongoFacts, RowFacts};
use crate::finding::{Check, Finding};

/// A case with MongoDB's facts.
pub(super) type Evidence<'a> = evidence::Evidence<'a, MongoFacts>;
/// One replica.
pub(super) type ReplicaEvidence<'a> = evidence::ReplicaEvidence<'a, MongoFacts>;

/// The privilege to see the state of the server.
pub(super) const MONITOR: &str = "the role clusterMonitor on the database admin";
/// The privilege to see the heartbeat's collection.
pub(super) const DATA: &str = "the role read on the heartbeat's database";
/// The privilege to see other users.
pub(super) const USERS: &str = "a custom role with the action viewUser on the database admin";

impl Evidence<'_> {
    /// Judges the collection, or says why that is not possible.
    pub(super) fn with_collection(&self, check: &Check, judge: impl FnOnce(&CollectionFacts) -> Finding) -> Finding {
        let name = &self.names.table;
        with(check, name, &self.facts.collection, DATA, |collection| match collection {
            Some(collection) => judge(collection),
            None => check.skipped(name, "there is no such collection"),
        })
    }

    /// Judges the documents, or says why that is not possible.
    pub(super) fn with_rows(&self, check: &Check, judge: impl FnOnce(&RowFacts) -> Finding) -> Finding {
        let name = &self.names.table;
        if matches!(&self.facts.collection, Answer::Seen(None)) {
            return check.skipped(name, "there is no such collection");
        }
        with(check, name, &self.facts.row, DATA, judge)
    }
}

/// Judges an answer by this database's codes: [`Answer::judge`].
pub(super) fn with<T>(
    check: &Check,
    subject: &str,
    gathered: &Answer<T>,
    privilege: &str,
    judge: impl FnOnce(&T) -> Finding,
) -> Finding {
    gathered.judge(check, subject, privilege, PASSING, judge)
}
