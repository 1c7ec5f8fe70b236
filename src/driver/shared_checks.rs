//! The checks that several databases share, with one id and words for each database; the drivers judge them from their
//! own facts. This file holds those of every database, on the heartbeat's table and row; the files beside it hold those
//! of servers.

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

/// The placeholder for a text that each driver supplies, by [`Check::how`] or [`Check::requires`]. The registry's test
/// refuses a listed check that still holds it.
#[cfg(feature = "_server")]
const BY_DRIVER: &str = "";

/// The table.
pub(in crate::driver) const TABLE: Check = Check {
    id: "table-exists",
    severity: Severity::Error,
    rung: Rung::Schema,
    title: "the heartbeat table exists",
    meaning: "Without the table heartbeatd has nothing to update and the connector nothing to read.",
    judged: "From the catalogue. Fails if no table has the configured name.",
    privilege: "read access to the catalogue, which every user has",
    source: "vendor page on heartbeats, section on the heartbeat table",
};
/// Its columns.
pub(in crate::driver) const COLUMNS: Check = Check {
    id: "table-columns",
    severity: Severity::Error,
    rung: Rung::Schema,
    title: "the heartbeat table has the columns that a beat uses",
    meaning: "A beat finds its row by id and writes last_update. If a column is missing, every beat fails.",
    judged: "From the catalogue. Fails if id or last_update is missing, or if last_update cannot hold a time.",
    privilege: "read access to the catalogue, which every user has",
    source: "vendor page on heartbeats, section on the heartbeat table",
};
/// Its primary key.
pub(in crate::driver) const PRIMARY_KEY: Check = Check {
    id: "table-primary-key",
    severity: Severity::Warning,
    rung: Rung::Schema,
    title: "id is the primary key of the heartbeat table",
    meaning: "Without it several rows can have the same id. A beat that changes two rows counts as failed.",
    judged: "From the catalogue. Fails if the table has no primary key or another one, and id has no unique index of its \
             own.",
    privilege: "read access to the catalogue, which every user has",
    source: "vendor page on heartbeats, section on the heartbeat table",
};
/// The row.
pub(in crate::driver) const ROW: Check = Check {
    id: "row-exists",
    severity: Severity::Error,
    rung: Rung::Schema,
    title: "the heartbeat row exists",
    meaning: "An UPDATE of a missing row succeeds and changes nothing: there is no beat and no error.",
    judged: "From the table. Fails if no row has the configured id.",
    privilege: "SELECT on the heartbeat table",
    source: "measured: on every database an UPDATE of a missing row reports zero rows and no error",
};
/// No other row.
pub(in crate::driver) const SINGLE: Check = Check {
    id: "row-single",
    severity: Severity::Warning,
    rung: Rung::Schema,
    title: "the heartbeat table holds one row",
    meaning: "If the table grows, a writer inserts rows instead of updating the one row.",
    judged: "heartbeatd counts the rows. Fails if there is more than one. Skipped if the configured row is not among \
             them.",
    privilege: "SELECT on the heartbeat table",
    source: "vendor page on heartbeats, section on the heartbeat table",
};
/// Its age.
pub(in crate::driver) const FRESH: Check = Check {
    id: "row-fresh",
    severity: Severity::Warning,
    rung: Rung::Beating,
    title: "last_update is recent",
    meaning: "If no one updates the row, the connector receives no changes.",
    judged: "last_update, compared with the server's clock. Fails if it is older than two periods and the time-out, \
             lies in the future, or was never written. If the value is off by a whole time-zone offset, the finding \
             says that its writer is in another zone.",
    privilege: "SELECT on the heartbeat table",
    source: "vendor page on heartbeats, section on verification",
};
