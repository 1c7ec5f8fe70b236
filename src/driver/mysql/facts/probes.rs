//! Finds out what this session's user may do with statements that match no row; the server checks their privileges
//! anyway. A read-only server refuses before it checks privileges.

use serde::{Deserialize, Serialize};
use sqlx::mysql::MySqlConnection;

use super::question::ask;
use crate::driver::answer::Answer;
use crate::driver::mysql::identifier::table_of;
use crate::heartbeat::Failure;
use crate::target::HeartbeatTable;

/// What came of each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Probes {
    pub(crate) select: Answer<()>,
    pub(crate) update: Answer<()>,
    pub(crate) insert: Answer<()>,
}

/// Asks for each by itself.
///
/// # Errors
/// What ends the connection.
pub(super) async fn gather(connection: &mut MySqlConnection, heartbeat: &HeartbeatTable) -> Result<Probes, Failure> {
    let table = table_of(heartbeat);
    let row = heartbeat.row_number();
    // NULL, and not the old value: that would need SELECT as well.
    let update = format!("UPDATE {table} SET last_update = NULL WHERE 1 = 0");
    let insert = format!("INSERT INTO {table} (id) SELECT {row} FROM DUAL WHERE 1 = 0");
    Ok(Probes {
        select: probe(connection, format!("SELECT id, last_update FROM {table} WHERE 1 = 0")).await?,
        update: probe(connection, update).await?,
        insert: probe(connection, insert).await?,
    })
}

async fn probe(connection: &mut MySqlConnection, sql: String) -> Result<Answer<()>, Failure> {
    ask(connection, sql).await?.map(|_| Ok(()))
}
