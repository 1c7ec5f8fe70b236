//! What other sessions do to the server.

use super::BY_DRIVER;
use crate::finding::{Check, Rung, Severity};

/// Transactions that were forgotten.
pub(in crate::driver) const LONG: Check = Check {
    id: "long-transactions",
    severity: Severity::Warning,
    rung: Rung::Resource,
    title: "no transaction has been open for a long time",
    meaning: "A forgotten transaction keeps the server from cleaning up: log and old versions of rows accumulate, and \
              the connector receives the transaction's changes only when it commits.",
    judged: BY_DRIVER,
    privilege: BY_DRIVER,
    source: BY_DRIVER,
};
