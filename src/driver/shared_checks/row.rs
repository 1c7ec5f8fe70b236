//! The schema, and whether the row moves.

use std::time::Duration;

use super::super::evidence::{Evidence, ONE_LOOK};
use crate::finding::{Check, Finding, Rung, Severity};
use crate::time::ticks::longest_period;
use crate::time::words;

/// The schema.
pub(in crate::driver) const SCHEMA: Check = Check {
    id: "schema-exists",
    severity: Severity::Error,
    rung: Rung::Schema,
    title: "the heartbeat's schema exists",
    meaning: "Without the schema (in MySQL and MariaDB: the database) there is no heartbeat table.",
    judged: "From the catalogue: fails if there is no schema of the configured name. PostgreSQL: pg_namespace, which hides \
             nothing (information_schema.schemata hides schemas without privileges). MySQL, MariaDB: what this user has \
             no privilege on is hidden, and told as missing or hidden.",
    privilege: "PostgreSQL: reading the catalogue, which every user may. MySQL, MariaDB: any privilege on the schema",
    source: "vendor page on heartbeats, troubleshooting: the schema streamkap exists",
};
/// What the table is.
pub(in crate::driver) const KIND: Check = Check {
    id: "table-kind",
    severity: Severity::Error,
    rung: Rung::Schema,
    title: "the heartbeat table is an ordinary table",
    meaning: "A view, a foreign or a materialized table has no rows of its own: nothing of it is published, or in the log.",
    judged: "PostgreSQL: pg_class.relkind: fails unless it is r (ordinary) or p (partitioned). MySQL, MariaDB: \
             information_schema.TABLES.TABLE_TYPE: fails unless it is BASE TABLE or SYSTEM VERSIONED. MongoDB: listCollections: \
             fails for a view, a time series or a capped collection.",
    privilege: "PostgreSQL: reading the catalogue, which every user may. MySQL, MariaDB: any privilege on the table. \
                MongoDB: the role read on the heartbeat's database",
    source: "https://www.postgresql.org/docs/current/sql-createpublication.html; \
             https://dev.mysql.com/doc/refman/8.4/en/binary-log-formats.html",
};
/// That the row changes.
pub(in crate::driver) const MOVES: Check = Check {
    id: "row-moves",
    severity: Severity::Warning,
    rung: Rung::Beating,
    title: "last_update changes from one look to the next",
    meaning: "A row that nobody updates keeps nothing alive. Change tells it even where a writer in another time zone makes \
              every age look wrong.",
    judged: "last_update in two looks: fails when it is the same although more than a period and the time-out lie between.",
    privilege: "SELECT on the heartbeat table, and USAGE on its schema where the database has that",
    source: "vendor page on heartbeats, troubleshooting: the row exists and last_update does not move",
};

/// Judges whether `last_update` changed. `earlier` is that of the look before, where there was one and it saw the row.
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
