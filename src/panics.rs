//! Turns a panic (a bug in heartbeatd or in a database's client library) into a failure. Called where the work on one
//! target or one server is separate from the others.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

use crate::heartbeat::{ErrorKind, Failure};

/// Runs the work; a panic within it becomes a failure of kind `internal`.
///
/// After a panic, do not use what the work borrowed: it may be in any state.
///
/// # Errors
/// The work's own, or `internal`.
pub async fn caught<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| Err(as_failure()))
}

/// As [`caught`], for work that does not wait.
///
/// # Errors
/// `internal`.
pub fn caught_now<T>(work: impl FnOnce() -> T) -> Result<T, Failure> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).map_err(|_| as_failure())
}

/// The failure. The panic's text may quote anything, so only the log contains it.
#[must_use]
pub fn as_failure() -> Failure {
    Failure::new(
        ErrorKind::Internal,
        "heartbeatd or its client library failed (a panic); a malformed answer of the server can be the cause",
    )
    .with_remedy(
        "check that the address leads to the database it is meant for, and report the fault with the log line \"panic\"",
    )
}
