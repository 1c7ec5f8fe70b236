//! The heartbeat document.

use super::scene::Scene;
use crate::driver::gathered::Gathered;
use crate::driver::mongodb::facts::{MongoFacts, RowFacts};
use crate::driver::mongodb::identifier::id_literal;
use crate::driver::shared_checks::row::{MOVES, moves};
use crate::driver::shared_checks::{FRESH, ROW, SINGLE, freshness};
use crate::finding::{Check, Finding, Rung, Severity};

const DATED: Check = Check {
    id: "last-update-date",
    severity: Severity::Warning,
    rung: Rung::Schema,
    title: "last_update is a date",
    meaning: "heartbeatd writes a date over whatever stands there. A string or a number comes from another writer, and is \
              no time to compare with.",
    judged: "The type of the field: fails if it is there and neither a date nor null.",
    privilege: "MongoDB: find on the heartbeat's collection",
    source: "measured: an update by a pipeline replaces a string by a date",
};

pub(super) const CHECKS: &[Check] = &[ROW, SINGLE, DATED, FRESH, MOVES];

pub(super) fn judge(scene: &Scene<'_>) -> Vec<Finding> {
    vec![
        scene.with_rows(&ROW, |rows| exists(scene, rows)),
        scene.with_rows(&SINGLE, |rows| single(scene, rows)),
        scene.with_rows(&DATED, |rows| dated(scene, rows)),
        scene.with_rows(&FRESH, |rows| fresh(scene, rows)),
        scene.with_rows(&MOVES, |rows| moves(scene, rows.last_update, earlier(scene))),
    ]
}

fn exists(scene: &Scene<'_>, rows: &RowFacts) -> Finding {
    let (name, wanted) = (&scene.names.table, id_literal(&scene.target.heartbeat));
    if rows.found {
        return ROW.ok(name, format!("_id {wanted}"));
    }
    let (observed, remedy) = match &rows.other {
        Some(other) => (
            format!("there is _id {other} and not {wanted}"),
            format!(
                "set row under [target.heartbeat] to the _id of the heartbeat, or create it: {}",
                scene.provision()
            ),
        ),
        None => ("the collection is empty".to_owned(), format!("create it: {}", scene.provision())),
    };
    ROW.failed(name, observed).expected(format!("_id {wanted}")).remedy(remedy)
}

fn single(scene: &Scene<'_>, rows: &RowFacts) -> Finding {
    let (name, count) = (&scene.names.table, rows.count);
    if count <= 1 {
        return SINGLE.ok(name, format!("{count}"));
    }
    if !rows.found {
        return SINGLE.skipped(name, "the configured document is not among them, which comes first");
    }
    let more = if count > 1_000 { " or more" } else { "" };
    SINGLE.failed(name, format!("{}{more} documents", count.min(1_000))).expected("one document").remedy(
        "find out who inserts: a heartbeat updates one document; the others may be removed when nobody needs them",
    )
}

fn dated(scene: &Scene<'_>, rows: &RowFacts) -> Finding {
    let name = &scene.names.table;
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

fn fresh(scene: &Scene<'_>, rows: &RowFacts) -> Finding {
    if !rows.found {
        return FRESH.skipped(&scene.names.table, "there is no such document");
    }
    let age = rows.last_update.map(|last_update| scene.facts.server.time.saturating_sub(last_update));
    freshness::judge(&FRESH, &scene.names.table, age, scene.case)
}

fn earlier(scene: &Scene<'_>) -> Option<Option<i64>> {
    scene.earlier.as_ref().and_then(rows_of).map(|rows| rows.last_update)
}

/// The documents, if they were seen.
pub(super) fn rows_of(facts: &MongoFacts) -> Option<&RowFacts> {
    Gathered::answer(&facts.row)
}
