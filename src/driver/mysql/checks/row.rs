//! The heartbeat row.

use super::evidence::Evidence;
use crate::driver::mysql::beat::AHEAD;
use crate::driver::mysql::facts::{MysqlFacts, Relation, RowFacts};
use crate::driver::shared_checks::freshness;
use crate::driver::shared_checks::row::{self, MOVES};
use crate::driver::shared_checks::{FRESH, ROW, SINGLE};
use crate::finding::{Check, Finding};
use crate::remedy::Remedy;

pub(super) const CHECKS: &[Check] = &[ROW, SINGLE, FRESH, MOVES];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    vec![
        evidence.with_rows(&ROW, |rows, _| exists(evidence, rows)),
        evidence.with_rows(&SINGLE, |rows, _| single(evidence, rows)),
        evidence.with_rows(&FRESH, |rows, relation| fresh(evidence, rows, relation)),
        evidence.with_rows(&MOVES, |rows, _| moves(evidence, rows)),
    ]
}

fn exists(evidence: &Evidence<'_>, rows: &RowFacts) -> Finding {
    let (name, wanted) = (&evidence.names.table, evidence.target.heartbeat.row_number());
    match rows.ids.first() {
        Some(id) if *id == wanted => ROW.ok(name, format!("row {id}")),
        Some(id) => ROW
            .failed(name, format!("there is row {id} and not row {wanted}"))
            .expected(format!("row {wanted}"))
            .remedy(format!("set row = {id} under [target.heartbeat]")),
        None => ROW
            .failed(name, if rows.count == 0 { "the table is empty" } else { "no row has an id" })
            .expected(format!("row {wanted}"))
            .remedy(evidence.provision()),
    }
}

fn single(evidence: &Evidence<'_>, rows: &RowFacts) -> Finding {
    let (name, wanted) = (&evidence.names.table, evidence.target.heartbeat.row_number());
    match rows.count {
        count @ 0..=1 => SINGLE.ok(name, format!("{count}")),
        // Keeping a row that does not exist would empty the table.
        _ if rows.ids.first() != Some(&wanted) => {
            SINGLE.skipped(name, format!("row {wanted} is not among them, which comes first"))
        }
        count => SINGLE
            .failed(name, format!("{count}{} rows", if count >= 1000 { " or more" } else { "" }))
            .expected("one row")
            .remedy(
                Remedy::advice("find out who inserts, and whether someone needs these rows, before one is deleted")
                    .then_run(Remedy::sql(format!("SELECT * FROM {name} WHERE id <> {wanted};"))),
            ),
    }
}

fn fresh(evidence: &Evidence<'_>, rows: &RowFacts, relation: &Relation) -> Finding {
    let name = &evidence.names.table;
    if !relation.is_dated() {
        return FRESH.skipped(name, "the table has no last_update that holds a time");
    }
    if rows.ids.first() != Some(&evidence.target.heartbeat.row_number()) {
        return FRESH.skipped(name, "there is no such row");
    }
    // A beat may write a time this far in the future, which then counts as now.
    let now = |age: &i64| (-AHEAD * 1_000_000..0).contains(age);
    let age = rows.last_update.map(|last_update| evidence.facts.server.time.saturating_sub(last_update));
    let age = age.map(|age| if now(&age) { 0 } else { age });
    freshness::judge(&FRESH, name, age, evidence.case)
}

fn moves(evidence: &Evidence<'_>, now: &RowFacts) -> Finding {
    let earlier = evidence.earlier.as_ref().and_then(MysqlFacts::rows).map(|rows| rows.last_update);
    row::moves(evidence, now.last_update, earlier)
}
