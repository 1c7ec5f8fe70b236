//! What other sessions do to the server.

use crate::finding::{Check, Rung, Severity};

/// Transactions that were forgotten.
pub(in crate::driver) const LONG: Check = Check {
    id: "long-transactions",
    severity: Severity::Warning,
    rung: Rung::Resource,
    title: "no transaction has been open for long",
    meaning: "A transaction that was forgotten keeps the server from cleaning up behind it. PostgreSQL: a slot restarts from \
              before the oldest one, so that it holds back WAL on the whole server, and vacuum too. MySQL, MariaDB: old \
              versions of rows pile up, DDL waits, and its changes reach the connector in one piece at its commit.",
    judged: "PostgreSQL: pg_stat_activity.xact_start and pg_prepared_xacts; unknown while sessions of other users are \
             hidden. MySQL, MariaDB: information_schema.INNODB_TRX. Fails above the threshold long_transaction.",
    privilege: "PostgreSQL: GRANT pg_monitor; MySQL, MariaDB: PROCESS; to see the sessions of other users",
    source: "the threshold is that of Estuary's check",
};
