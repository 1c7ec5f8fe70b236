//! The heartbeat document.

use super::evidence::Evidence;
use crate::driver::answer::Answer;
use crate::driver::mongodb::facts::{MongoFacts, RowFacts};
use crate::driver::mongodb::identifier::id_literal;
use crate::driver::shared_checks::row::{self, moves};
use crate::driver::shared_checks::{self, freshness};
use crate::finding::{Check, Finding, Rung, Severity};

/// The privilege to see the documents.
const FIND: &str = "find on the heartbeat's collection";

const ROW: Check = shared_checks::ROW.requires(FIND);
const SINGLE: Check = shared_checks::SINGLE.requires(FIND);
const FRESH: Check = shared_checks::FRESH.requires(FIND);
const MOVES: Check = row::MOVES.requires(FIND);

const DATED: Check = Check {
    id: "last-update-date",
    severity: Severity::Warning,
    rung: Rung::Schema,
    title: "last_update is a date",
    meaning: "heartbeatd replaces any value there with a date. A string or a number comes from another writer, and \
              heartbeatd cannot compare it with a time.",
    judged: "The type of the field. Fails if it exists and is neither a date nor null.",
    privilege: FIND,
    source: "measured: an update by a pipeline replaces a string with a date",
};

pub(super) const CHECKS: &[Check] = &[ROW, SINGLE, DATED, FRESH, MOVES];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    vec![
        evidence.with_rows(&ROW, |rows| exists(evidence, rows)),
        evidence.with_rows(&SINGLE, |rows| single(evidence, rows)),
        evidence.with_rows(&DATED, |rows| dated(evidence, rows)),
        evidence.with_rows(&FRESH, |rows| fresh(evidence, rows)),
        evidence.with_rows(&MOVES, |rows| moves(evidence, rows.last_update, earlier(evidence))),
    ]
}

fn exists(evidence: &Evidence<'_>, rows: &RowFacts) -> Finding {
    let (name, wanted) = (&evidence.names.table, id_literal(&evidence.target.heartbeat));
    if rows.found {
        return ROW.ok(name, format!("_id {wanted}"));
    }
    let (observed, remedy) = match &rows.other {
        Some(other) => (
            format!("there is _id {other} and not {wanted}"),
            format!(
                "set row under [target.heartbeat] to the _id of the heartbeat, or create it: {}",
                evidence.provision_in_words()
            ),
        ),
        None => ("the collection is empty".to_owned(), format!("create it: {}", evidence.provision_in_words())),
    };
    ROW.failed(name, observed).expected(format!("_id {wanted}")).remedy(remedy)
}

fn single(evidence: &Evidence<'_>, rows: &RowFacts) -> Finding {
    let (name, count) = (&evidence.names.table, rows.count);
    if count <= 1 {
        return SINGLE.ok(name, format!("{count}"));
    }
    if !rows.found {
        return SINGLE.skipped(name, "the configured document is not among them, which comes first");
    }
    let more = if count > 1_000 { " or more" } else { "" };
    SINGLE
        .failed(name, format!("{}{more} documents", count.min(1_000)))
        .expected("one document")
        .remedy("find out who inserts documents: a heartbeat updates one; remove the others only if no one needs them")
}

fn dated(evidence: &Evidence<'_>, rows: &RowFacts) -> Finding {
    let name = &evidence.names.table;
    match rows.last_update_type.as_deref() {
        _ if !rows.found => DATED.skipped(name, "there is no such document"),
        None | Some("null") => DATED.ok(name, "not written yet"),
        Some("date") => DATED.ok(name, "a date"),
        Some(other) => DATED
            .failed(name, format!("of the type {other}"))
            .expected("a date")
            .remedy("start heartbeatd on this target, and stop the other writer or let it write a date"),
    }
}

fn fresh(evidence: &Evidence<'_>, rows: &RowFacts) -> Finding {
    if !rows.found {
        return FRESH.skipped(&evidence.names.table, "there is no such document");
    }
    let age = rows.last_update.map(|last_update| evidence.facts.server.time.saturating_sub(last_update));
    freshness::judge(&FRESH, &evidence.names.table, age, evidence.case)
}

fn earlier(evidence: &Evidence<'_>) -> Option<Option<i64>> {
    evidence.earlier.as_ref().and_then(rows_of).map(|rows| rows.last_update)
}

/// The documents, if this user may see them.
pub(super) fn rows_of(facts: &MongoFacts) -> Option<&RowFacts> {
    Answer::answer(&facts.row)
}
