//! The connector's role: what it is, and what it may do.

use crate::finding::{Check, Rung, Severity};

/// Where the grants are looked up.
const GRANTS: &str = "PostgreSQL: read access to the catalogue, which every user has. MySQL, MariaDB: SELECT on \
                      mysql.*. MongoDB: the action viewUser on the database admin. Oracle: SELECT_CATALOG_ROLE. SQL \
                      Server: VIEW DEFINITION on the database";
const GUIDE: &str = "vendor's set-up guides, the connector's user";
const HEARTBEATS: &str = "vendor page on heartbeats, grants on the heartbeat table";
const WRITES: &str = "A connector on a read-write connection updates the heartbeat row itself. If it lacks the \
                      privilege, it only writes a line to its log, so the missing heartbeat is easy to overlook.";
const BY_MODE: &str = "From its grants. Fails if the privilege is missing. Only with connector.mode = \"read-write\": \
                       with a read-only connection the connector never writes, and heartbeatd does.";

/// That it exists.
pub(in crate::driver) const ROLE: Check = Check {
    id: "connector-role",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the connector's role exists",
    meaning: "Without its role the connector cannot log in, and heartbeatd cannot check its grants.",
    judged: "From the list of roles or accounts. Fails if the role that you configured does not exist. The default \
             name may be absent.",
    privilege: GRANTS,
    source: GUIDE,
};
/// That it may log in.
pub(in crate::driver) const LOGIN: Check = Check {
    id: "connector-login",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the connector's role may log in",
    meaning: "The server refuses a role without LOGIN, or a locked account, before it checks the password.",
    judged: "PostgreSQL: pg_roles.rolcanlogin. MySQL, MariaDB: whether the account is locked. Oracle: DBA_USERS.ACCOUNT_STATUS. Fails if the role may \
             not log in.",
    privilege: GRANTS,
    source: GUIDE,
};
/// That it may replicate.
pub(in crate::driver) const REPLICATION: Check = Check {
    id: "connector-replication",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the connector's role may replicate",
    meaning: "To read the log, the connector needs REPLICATION on PostgreSQL (on managed servers membership in a role \
              that replaces it), REPLICATION SLAVE on MySQL and MariaDB.",
    judged: "PostgreSQL: pg_roles.rolreplication, rolsuper, or membership in rds_replication, rds_superuser, rdsadmin \
             or rdsrepladmin. MySQL, MariaDB: its grants. Fails if it has none of them.",
    privilege: GRANTS,
    source: "vendor's set-up guides, the connector's user; Debezium accepts the same roles",
};
/// The password's end.
pub(in crate::driver) const EXPIRY: Check = Check {
    id: "connector-expiry",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the password of the connector's role does not expire soon",
    meaning: "Once the password has expired, the server refuses the connector's next login.",
    judged: "PostgreSQL: pg_roles.rolvaliduntil. MySQL, MariaDB: the account's password lifetime. Oracle: \
             DBA_USERS.EXPIRY_DATE and the days of grace. Compared with the \
             server's clock: an error if it has expired, a warning if it expires within the threshold role_expiry.",
    privilege: GRANTS,
    source: "vendor page on recovery: credentials unchanged",
};
/// SELECT.
pub(in crate::driver) const SELECT: Check = Check {
    id: "connector-select",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the connector's role may read the heartbeat table",
    meaning: "Without SELECT the connector cannot take a snapshot of the table, and may stop there.",
    judged: "From its grants on the table or on each column. Fails if it may not read every column.",
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
    meaning: "The vendor's page asks for DELETE together with the other three privileges. The vendor's scripts leave \
              it out, and no beat needs it.",
    judged: BY_MODE,
    privilege: GRANTS,
    source: HEARTBEATS,
};
