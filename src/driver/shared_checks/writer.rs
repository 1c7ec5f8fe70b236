//! What this session's own user may do.

use super::BY_DRIVER;
use crate::finding::{Check, Rung, Severity};

const TRIED: &str = "none: heartbeatd tries the statement";
const MEASURED: &str = "measured: the server checks privileges even if the statement changes no row";

/// SELECT.
pub(in crate::driver) const SELECT: Check = Check {
    id: "writer-select",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "this user may read the heartbeat row",
    meaning: "A beat finds its row by id. Without SELECT heartbeatd also cannot tell a missing row from one that it \
              may not write.",
    judged: "heartbeatd tries a SELECT of id and last_update that reads no row. Fails if the server denies it.",
    privilege: TRIED,
    source: MEASURED,
};
/// UPDATE.
pub(in crate::driver) const UPDATE: Check = Check {
    id: "writer-update",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "this user may update last_update",
    meaning: "This update is the beat.",
    judged: "heartbeatd tries an UPDATE of last_update that changes no row. Fails if the server denies it.",
    privilege: TRIED,
    source: MEASURED,
};
/// INSERT.
pub(in crate::driver) const INSERT: Check = Check {
    id: "writer-insert",
    severity: Severity::Info,
    rung: Rung::Advice,
    title: "this user may create a deleted heartbeat row again",
    meaning: "With provision = \"auto\" heartbeatd creates the row again after it was deleted. That requires INSERT.",
    judged: "heartbeatd tries an INSERT that adds no row. Fails if the server denies it.",
    privilege: TRIED,
    source: MEASURED,
};
/// When its password expires.
pub(in crate::driver) const EXPIRY: Check = Check {
    id: "writer-expiry",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "this user's password does not expire soon",
    meaning: "Once the password has expired, beats continue on the open connection, but the server refuses the next \
              login.",
    judged: BY_DRIVER,
    privilege: BY_DRIVER,
    source: BY_DRIVER,
};
