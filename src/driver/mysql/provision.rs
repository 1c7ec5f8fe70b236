//! What the database lacks: a plan from the facts of `catalog`, the steps from `migrations/`. Called by the session's
//! `plan` and `apply`.

use sqlx::mysql::MySqlConnection;

use super::catalog::Facts;
use super::message;
use crate::heartbeat::Failure;
use crate::provisioning::{Plan, Step};
use crate::scheduler::clock::Instant;
use crate::target::Target;

/// Says what is missing.
pub(super) fn plan(_facts: &Facts, _target: &Target) -> Plan {
    Plan::default()
}

/// Runs one step.
///
/// # Errors
/// What the server says, classified.
pub(super) async fn apply(connection: &mut MySqlConnection, step: &Step, _deadline: Instant) -> Result<(), Failure> {
    message::send(connection, step.sql.clone()).await.map(|_| ())
}
