//! The connector's role: what it is, and what it may do.

use super::BY_DRIVER;
use crate::finding::{Check, Rung, Severity};

const GUIDE: &str = "vendor's set-up guides, the connector's user";
const HEARTBEATS: &str = "vendor page on heartbeats, grants on the heartbeat table";
const WRITES: &str = "A connector on a read-write connection updates the heartbeat row itself. If it lacks the \
                      privilege, it only writes a line to its log, so the missing heartbeat is easy to overlook.";
const BY_MODE: &str = "From its grants. Fails if the privilege is missing. Only with connector.mode = \"read-write\": \
                       with a read-only connection the connector never writes, and heartbeatd does.";

/// Whether it exists.
pub(in crate::driver) const ROLE: Check = Check {
    id: "connector-role",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the connector's role exists",
    meaning: "Without its role the connector cannot log in, and heartbeatd cannot check its grants.",
    judged: "From the list of roles or accounts. Fails if the role that you configured does not exist. The default \
             name may be absent.",
    privilege: BY_DRIVER,
    source: GUIDE,
};
/// Whether it may log in.
pub(in crate::driver) const LOGIN: Check = Check {
    id: "connector-login",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the connector's role may log in",
    meaning: "The server refuses a role without LOGIN, or a locked account, before it checks the password.",
    judged: BY_DRIVER,
    privilege: BY_DRIVER,
    source: BY_DRIVER,
};
/// Whether it may replicate.
pub(in crate::driver) const REPLICATION: Check = Check {
    id: "connector-replication",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the connector's role may replicate",
    meaning: "To read the log, the connector needs the server's replication privilege. Managed servers replace it by \
              membership in a role.",
    judged: BY_DRIVER,
    privilege: BY_DRIVER,
    source: BY_DRIVER,
};
/// When its password expires.
pub(in crate::driver) const EXPIRY: Check = Check {
    id: "connector-expiry",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the password of the connector's role does not expire soon",
    meaning: "Once the password has expired, the server refuses the connector's next login.",
    judged: BY_DRIVER,
    privilege: BY_DRIVER,
    source: BY_DRIVER,
};
/// SELECT.
pub(in crate::driver) const SELECT: Check = Check {
    id: "connector-select",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the connector's role may read the heartbeat table",
    meaning: "Without SELECT the connector cannot take a snapshot of the table, and may stop there.",
    judged: "From its grants on the table or on each column. Fails if it may not read every column.",
    privilege: BY_DRIVER,
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
    privilege: BY_DRIVER,
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
    privilege: BY_DRIVER,
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
    privilege: BY_DRIVER,
    source: HEARTBEATS,
};
