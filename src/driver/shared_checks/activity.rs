//! What other sessions do to the server.

use crate::finding::{Check, Rung, Severity};

/// Transactions that were forgotten.
pub(in crate::driver) const LONG: Check = Check {
    id: "long-transactions",
    severity: Severity::Warning,
    rung: Rung::Resource,
    title: "no transaction has been open for a long time",
    meaning: "A forgotten transaction keeps the server from cleaning up. PostgreSQL: a slot restarts from before the \
              oldest transaction, so the whole server retains WAL, and vacuum cannot remove rows. MySQL, MariaDB: old \
              versions of rows accumulate, DDL waits, and the connector gets all its changes at once when it commits.",
    judged: "PostgreSQL: pg_stat_activity.xact_start and pg_prepared_xacts; unknown while the sessions of other users \
             are hidden. MySQL, MariaDB: information_schema.INNODB_TRX. Fails if a transaction is older than the \
             threshold long_transaction.",
    privilege: "to see the sessions of other users, PostgreSQL: pg_monitor; MySQL, MariaDB: PROCESS",
    source: "the threshold is the one that Estuary uses",
};
