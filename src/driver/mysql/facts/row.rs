//! The heartbeat row.

use serde::{Deserialize, Serialize};
use sqlx::mysql::MySqlConnection;

use super::table::Relation;
use crate::driver::gathered::Gathered;
use crate::heartbeat::Failure;
use crate::target::HeartbeatTable;

/// The rows of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RowFacts {
    /// `last_update` of the configured one, in microseconds since 1970.
    pub(crate) last_update: Option<i64>,
}

/// Reads the rows; `None` where there is no `id` to look for.
///
/// # Errors
/// What ends the connection.
pub(super) async fn gather(
    _connection: &mut MySqlConnection,
    _heartbeat: &HeartbeatTable,
    _relation: &Relation,
) -> Result<Option<Gathered<RowFacts>>, Failure> {
    Ok(None)
}
