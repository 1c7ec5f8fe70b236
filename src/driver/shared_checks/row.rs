//! The schema, and whether the row moves.

use std::time::Duration;

use super::super::evidence::{Evidence, ONE_LOOK};
use super::BY_DRIVER;
use crate::finding::{Check, Finding, Rung, Severity};
use crate::time::ticks::longest_period;
use crate::time::words;

/// The schema.
pub(in crate::driver) const SCHEMA: Check = Check {
    id: "schema-exists",
    severity: Severity::Error,
    rung: Rung::Schema,
    title: "the heartbeat's schema exists",
    meaning: "Without its schema the heartbeat table cannot exist.",
    judged: BY_DRIVER,
    privilege: BY_DRIVER,
    source: BY_DRIVER,
};
/// The kind of the table.
pub(in crate::driver) const KIND: Check = Check {
    id: "table-kind",
    severity: Severity::Error,
    rung: Rung::Schema,
    title: "the heartbeat table is an ordinary table",
    meaning: "A view, a foreign table or a materialized view stores no rows itself. It cannot be published, and its \
              changes are not in the log.",
    judged: BY_DRIVER,
    privilege: BY_DRIVER,
    source: BY_DRIVER,
};
/// Whether the row changes.
pub(in crate::driver) const MOVES: Check = Check {
    id: "row-moves",
    severity: Severity::Warning,
    rung: Rung::Beating,
    title: "last_update changes between two looks",
    meaning: "If no one updates the row, the connector receives no changes. This check works even if a writer in \
              another time zone makes every age look wrong.",
    judged: "last_update in two looks. Fails if it did not change although more than a period and the time-out lie \
             between them.",
    privilege: "SELECT on the heartbeat table; if the database has schemas, USAGE on its schema",
    source: "vendor page on heartbeats, troubleshooting: the row exists and last_update does not move",
};

/// Judges whether `last_update` changed. `earlier` is the value of the previous look, if that look saw the row.
pub(in crate::driver) fn moves<F>(
    evidence: &Evidence<'_, F>,
    now: Option<i64>,
    earlier: Option<Option<i64>>,
) -> Finding {
    let name = &evidence.names.table;
    let (Some(earlier), Some(between)) = (earlier, evidence.between_looks()) else {
        return MOVES.skipped(name, ONE_LOOK);
    };
    if now != earlier {
        return MOVES.ok(name, "it changed between the two looks");
    }
    let enough = longest_period(&evidence.target.schedule, evidence.case.now.taken_at) + evidence.target.timeout;
    let between = Duration::from_micros(between.unsigned_abs());
    if between <= enough {
        let why = format!("{} lie between the two looks, less than a period", words(between));
        return MOVES.skipped(name, why);
    }
    MOVES
        .failed(name, format!("it did not change in {}", words(between)))
        .expected("a change in every period")
        .remedy("start heartbeatd on this target, or look at its /health")
}
