//! What this session's own user may do.

use crate::finding::{Check, Rung, Severity};

const PROBE: &str = "none: the probe finds out";
const MEASURED: &str = "measured: PostgreSQL checks the privileges of a statement that EXPLAIN does not run, on a standby \
                        too; MySQL and MariaDB those of a statement that matches no row";

/// SELECT.
pub(in crate::driver) const SELECT: Check = Check {
    id: "writer-select",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "this user may read the heartbeat row",
    meaning: "A beat finds its row by id, and tells a row that is missing from one that cannot be written.",
    judged: "A SELECT of id and last_update is tried without reading a row: fails when the server denies it. MongoDB: \
             connectionStatus, by the server's rules of resources.",
    privilege: PROBE,
    source: MEASURED,
};
/// UPDATE.
pub(in crate::driver) const UPDATE: Check = Check {
    id: "writer-update",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "this user may update last_update",
    meaning: "This update is the beat.",
    judged: "An UPDATE of last_update is tried without changing a row: fails when the server denies it. MongoDB: \
             connectionStatus, by the server's rules of resources.",
    privilege: PROBE,
    source: MEASURED,
};
/// INSERT.
pub(in crate::driver) const INSERT: Check = Check {
    id: "writer-insert",
    severity: Severity::Info,
    rung: Rung::Advice,
    title: "this user may bring a deleted heartbeat row back",
    meaning: "With provision = \"auto\" heartbeatd makes the row anew when it was deleted; that takes INSERT.",
    judged: "An INSERT is tried without adding a row: fails when the server denies it. Only with provision = \"auto\".",
    privilege: PROBE,
    source: MEASURED,
};
/// The password's end.
pub(in crate::driver) const EXPIRY: Check = Check {
    id: "writer-expiry",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "this user's password does not run out soon",
    meaning: "On that day the open connection beats on, and the next login is refused.",
    judged: "PostgreSQL: pg_roles.rolvaliduntil; MySQL, MariaDB: the account's password lifetime, which \
             holds for passwords that the server keeps; against the server's clock: an error when past, a warning when nearer than the threshold role_expiry.",
    privilege: "PostgreSQL: reading the catalogue, which every user may. MySQL, MariaDB: SELECT on mysql.*",
    source: "https://www.postgresql.org/docs/current/sql-createrole.html, VALID UNTIL; \
             https://dev.mysql.com/doc/refman/8.4/en/password-management.html",
};
