//! The connector's role: what it is, and what it may do.

use crate::finding::{Check, Rung, Severity};

/// Where the grants are looked up.
const GRANTS: &str = "PostgreSQL: reading the catalogue, which every user may. MySQL, MariaDB: SELECT on mysql.*. MongoDB: \
                      the action viewUser on the database admin";
const GUIDE: &str = "vendor's set-up guides, the connector's user";
const HEARTBEATS: &str = "vendor page on heartbeats, grants on the heartbeat table";
const WRITES: &str = "A connector on a read-write connection updates the heartbeat row itself, and only logs it when it may \
                      not: the heartbeat is then missing without anybody noticing.";
const BY_MODE: &str = "From its grants: fails if the privilege is missing. Only with connector.mode = \"read-write\": one that is \
                       connected read-only never writes, and heartbeatd does.";

/// That it exists.
pub(in crate::driver) const ROLE: Check = Check {
    id: "connector-role",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the connector's role exists",
    meaning: "Without its role the connector cannot log in, and none of its grants can be looked at.",
    judged: "From the list of roles or accounts: fails if one that was configured does not exist; the default name may be \
             absent.",
    privilege: GRANTS,
    source: GUIDE,
};
/// That it may log in.
pub(in crate::driver) const LOGIN: Check = Check {
    id: "connector-login",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the connector's role may log in",
    meaning: "A role without LOGIN, or an account that is locked, is refused before its password is looked at.",
    judged: "PostgreSQL: pg_roles.rolcanlogin; MySQL, MariaDB: the account's lock. Fails if it may not.",
    privilege: GRANTS,
    source: GUIDE,
};
/// That it may replicate.
pub(in crate::driver) const REPLICATION: Check = Check {
    id: "connector-replication",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the connector's role may replicate",
    meaning: "Reading the log takes a privilege of its own: REPLICATION in PostgreSQL (on managed servers membership in the \
              role that stands for it), REPLICATION SLAVE in MySQL and MariaDB.",
    judged: "PostgreSQL: pg_roles.rolreplication, rolsuper, or membership in rds_replication, rds_superuser, rdsadmin or \
             rdsrepladmin. MySQL, MariaDB: its grants. Fails if it has none of them.",
    privilege: GRANTS,
    source: "vendor's set-up guides, the connector's user; the roles are those that Debezium accepts",
};
/// The password's end.
pub(in crate::driver) const EXPIRY: Check = Check {
    id: "connector-expiry",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the password of the connector's role does not run out soon",
    meaning: "On that day the connector's next login is refused.",
    judged: "PostgreSQL: pg_roles.rolvaliduntil; MySQL, MariaDB: the account's password lifetime; against the server's \
             clock: an error when past, a warning when nearer than the threshold role_expiry.",
    privilege: GRANTS,
    source: "vendor page on recovery: credentials unchanged",
};
/// SELECT.
pub(in crate::driver) const SELECT: Check = Check {
    id: "connector-select",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the connector's role may read the heartbeat table",
    meaning: "Without SELECT the connector cannot take a snapshot of the table, and may stop at it.",
    judged: "From its grants on the table, or on every column: fails if a column is left.",
    privilege: GRANTS,
    source: HEARTBEATS,
};
/// INSERT.
pub(in crate::driver) const INSERT: Check = Check {
    id: "connector-insert",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the connector's role may insert into the heartbeat table",
    meaning: WRITES,
    judged: BY_MODE,
    privilege: GRANTS,
    source: HEARTBEATS,
};
/// UPDATE.
pub(in crate::driver) const UPDATE: Check = Check {
    id: "connector-update",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the connector's role may update the heartbeat row",
    meaning: WRITES,
    judged: BY_MODE,
    privilege: GRANTS,
    source: HEARTBEATS,
};
/// DELETE.
pub(in crate::driver) const DELETE: Check = Check {
    id: "connector-delete",
    severity: Severity::Warning,
    rung: Rung::Permission,
    title: "the connector's role may delete from the heartbeat table",
    meaning: "The vendor's page asks for DELETE beside the other three; its own scripts leave it out, and no beat needs it.",
    judged: BY_MODE,
    privilege: GRANTS,
    source: HEARTBEATS,
};
