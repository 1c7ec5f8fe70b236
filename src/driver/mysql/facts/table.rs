//! The heartbeat table as the catalogue has it.

use serde::{Deserialize, Serialize};
use sqlx::mysql::MySqlConnection;

use crate::driver::gathered::Gathered;
use crate::heartbeat::Failure;
use crate::target::HeartbeatTable;

/// The table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TableFacts {
    /// `None` where there is no table of that name, or it is hidden.
    pub(crate) table: Option<Relation>,
}

/// The table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Relation {}

/// Looks the table up.
///
/// # Errors
/// What ends the connection.
pub(super) async fn gather(
    _connection: &mut MySqlConnection,
    _heartbeat: &HeartbeatTable,
) -> Result<Gathered<TableFacts>, Failure> {
    Ok(Gathered::Seen(TableFacts { table: None }))
}
