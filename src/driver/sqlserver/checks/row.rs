//! The heartbeat row.

use super::evidence::Evidence;
use crate::driver::answer::Answer;
use crate::driver::shared_checks::row::{MOVES, moves};
use crate::driver::shared_checks::{FRESH, ROW, SINGLE, freshness};
use crate::driver::sqlserver::facts::{RowFacts, SqlServerFacts};
use crate::finding::{Check, Finding};
use crate::remedy::Remedy;

pub(super) const CHECKS: &[Check] = &[ROW, SINGLE, FRESH, MOVES];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    vec![
        evidence.with_rows(&ROW, |rows| exists(evidence, rows)),
        evidence.with_rows(&SINGLE, |rows| single(evidence, rows)),
        evidence.with_rows(&FRESH, |rows| fresh(evidence, rows)),
        evidence.with_rows(&MOVES, |rows| moves(evidence, rows.last_update, earlier(evidence))),
    ]
}

fn exists(evidence: &Evidence<'_>, rows: &RowFacts) -> Finding {
    let (name, wanted) = (&evidence.names.table, evidence.target.heartbeat.row_number());
    if rows.found > 0 {
        return ROW.ok(name, format!("row {wanted}"));
    }
    let (observed, remedy) = match rows.other {
        Some(other) => (
            format!("there is row {other} and not {wanted}"),
            Remedy::advice(format!("set row = {other} under [target.heartbeat] to adopt it")),
        ),
        None => ("the table is empty".to_owned(), evidence.provision()),
    };
    ROW.failed(name, observed).expected(format!("row {wanted}")).remedy(remedy)
}

fn single(evidence: &Evidence<'_>, rows: &RowFacts) -> Finding {
    let (name, count) = (&evidence.names.table, rows.count);
    if count <= 1 {
        return SINGLE.ok(name, format!("{count}"));
    }
    if rows.found == 0 {
        return SINGLE.skipped(name, "the configured row is not among them, which comes first");
    }
    let more = if count > 1_000 { " or more" } else { "" };
    SINGLE
        .failed(name, format!("{}{more} rows", count.min(1_000)))
        .expected("one row")
        .remedy("find out who inserts: a heartbeat updates one row; delete the others if no program needs them")
}

fn fresh(evidence: &Evidence<'_>, rows: &RowFacts) -> Finding {
    if rows.found == 0 {
        return FRESH.skipped(&evidence.names.table, "there is no such row");
    }
    let age = rows.last_update.map(|last_update| evidence.facts.server.time.saturating_sub(last_update));
    freshness::judge(&FRESH, &evidence.names.table, age, evidence.case)
}

fn earlier(evidence: &Evidence<'_>) -> Option<Option<i64>> {
    evidence.earlier.as_ref().and_then(rows_of).map(|rows| rows.last_update)
}

/// The rows, if they were seen.
pub(super) fn rows_of(facts: &SqlServerFacts) -> Option<&RowFacts> {
    Answer::answer(&facts.row)
}
