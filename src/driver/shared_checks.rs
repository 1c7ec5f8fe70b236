//! The checks that several databases have, under one id and in words that fit each: the drivers judge them from their own
//! facts. In this file those that every database has, on the heartbeat's table and row; beside it, those of servers.

#[cfg(feature = "_server")]
pub(super) mod activity;
#[cfg(feature = "_server")]
pub(super) mod connector;
pub(super) mod freshness;
#[cfg(feature = "_server")]
pub(super) mod replica;
#[cfg(feature = "_server")]
pub(super) mod row;
#[cfg(feature = "_server")]
pub(super) mod server;
#[cfg(feature = "_server")]
pub(super) mod writer;

use crate::finding::{Check, Rung, Severity};

/// The table.
pub(in crate::driver) const TABLE: Check = Check {
    id: "table-exists",
    severity: Severity::Error,
    rung: Rung::Schema,
    title: "the heartbeat table exists",
    meaning: "Without the table there is nothing to update, and nothing for the connector to read.",
    judged: "From the catalogue: fails if there is no table of the configured name.",
    privilege: "reading the catalogue, which every user may",
    source: "vendor page on heartbeats, section on the heartbeat table",
};
/// Its columns.
pub(in crate::driver) const COLUMNS: Check = Check {
    id: "table-columns",
    severity: Severity::Error,
    rung: Rung::Schema,
    title: "the heartbeat table has the columns that a beat uses",
    meaning: "A beat finds its row by id and writes last_update; without them each beat fails.",
    judged: "From the catalogue: fails if id or last_update is missing, or last_update cannot hold a time.",
    privilege: "reading the catalogue, which every user may",
    source: "vendor page on heartbeats, section on the heartbeat table",
};
/// Its primary key.
pub(in crate::driver) const PRIMARY_KEY: Check = Check {
    id: "table-primary-key",
    severity: Severity::Warning,
    rung: Rung::Schema,
    title: "id is the primary key of the heartbeat table",
    meaning: "Without it several rows may carry the id, and a beat that changes two rows counts as failed.",
    judged: "From the catalogue: fails if the primary key is another one, or missing.",
    privilege: "reading the catalogue, which every user may",
    source: "vendor page on heartbeats, section on the heartbeat table",
};
/// The row.
pub(in crate::driver) const ROW: Check = Check {
    id: "row-exists",
    severity: Severity::Error,
    rung: Rung::Schema,
    title: "the heartbeat row exists",
    meaning: "An update of a row that is not there succeeds and changes nothing: no beat, and no error either.",
    judged: "By reading the table: fails if no row has the configured id.",
    privilege: "SELECT on the heartbeat table",
    source: "measured: UPDATE of a missing row reports zero rows and no error on every database",
};
/// No other row.
pub(in crate::driver) const SINGLE: Check = Check {
    id: "row-single",
    severity: Severity::Warning,
    rung: Rung::Schema,
    title: "the heartbeat table holds one row",
    meaning: "A table that grows is no heartbeat: somebody inserts instead of updating.",
    judged: "By counting: fails above one. Skipped where the configured row is not among them.",
    privilege: "SELECT on the heartbeat table",
    source: "vendor page on heartbeats, section on the heartbeat table",
};
/// Its age.
pub(in crate::driver) const FRESH: Check = Check {
    id: "row-fresh",
    severity: Severity::Warning,
    rung: Rung::Beating,
    title: "last_update is recent",
    meaning: "A row that nobody updates keeps nothing alive.",
    judged: "last_update against the server's own clock: fails when it is older than two periods and the time-out, lies \
             in the future, or was never written. A value a whole time-zone offset away is told as a writer in another zone.",
    privilege: "SELECT on the heartbeat table",
    source: "vendor page on heartbeats, section on verification",
};
