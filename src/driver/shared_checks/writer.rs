//! What this session's own user may do.

use crate::finding::{Check, Rung, Severity};

const PROBE: &str = "none: heartbeatd tries the statement";
const MEASURED: &str = "measured: PostgreSQL checks privileges even if EXPLAIN does not run the statement, on a \
                        standby too; MySQL and MariaDB check them even if the statement matches no row";

/// SELECT.
pub(in crate::driver) const SELECT: Check = Check {
    id: "writer-select",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "this user may read the heartbeat row",
    meaning: "A beat finds its row by id. Without SELECT heartbeatd also cannot tell a missing row from one that it \
              may not write.",
    judged: "heartbeatd tries a SELECT of id and last_update that reads no row. Fails if the server denies it. \
             MongoDB: connectionStatus, by the server's rules for resources. Oracle: ALL_TAB_PRIVS and SESSION_PRIVS; the \
             owner needs no grant. SQL Server: HAS_PERMS_BY_NAME.",
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
    judged: "heartbeatd tries an UPDATE of last_update that changes no row. Fails if the server denies it. MongoDB: \
             connectionStatus, by the server's rules for resources. Oracle: ALL_TAB_PRIVS and SESSION_PRIVS; the owner \
             needs no grant. SQL Server: HAS_PERMS_BY_NAME.",
    privilege: PROBE,
    source: MEASURED,
};
/// INSERT.
pub(in crate::driver) const INSERT: Check = Check {
    id: "writer-insert",
    severity: Severity::Info,
    rung: Rung::Advice,
    title: "this user may create a deleted heartbeat row again",
    meaning: "With provision = \"auto\" heartbeatd creates the row again after it was deleted. That requires INSERT.",
    judged: "heartbeatd tries an INSERT that adds no row. Fails if the server denies it. Only with provision = \
             \"auto\".",
    privilege: PROBE,
    source: MEASURED,
};
/// The password's end.
pub(in crate::driver) const EXPIRY: Check = Check {
    id: "writer-expiry",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "this user's password does not expire soon",
    meaning: "Once the password has expired, beats continue on the open connection, but the server refuses the next \
              login.",
    judged: "PostgreSQL: pg_roles.rolvaliduntil. MySQL, MariaDB: the account's password lifetime, which applies to \
             passwords that the server stores. Compared with the server's clock: an error if it has expired, a warning \
             if it expires within the threshold role_expiry.",
    privilege: "PostgreSQL: read access to the catalogue, which every user has. MySQL, MariaDB: SELECT on mysql.*. \
                Oracle: USER_USERS, which every user may read",
    source: "https://www.postgresql.org/docs/current/sql-createrole.html, VALID UNTIL; \
             https://dev.mysql.com/doc/refman/8.4/en/password-management.html",
};
