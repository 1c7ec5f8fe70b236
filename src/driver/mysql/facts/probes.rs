//! Finds out what this session's user may do. The statements match no row, but the server checks their privileges. A
//! read-only server refuses before it checks privileges.

use serde::{Deserialize, Serialize};
use sqlx::mysql::MySqlConnection;

use super::question::ask;
use crate::driver::answer::{Answer, Refusal};
use crate::driver::mysql::error_codes::ER_LOCK_WAIT_TIMEOUT;
use crate::driver::mysql::errors::WAITED;
use crate::driver::mysql::identifier::table_of;
use crate::heartbeat::Failure;
use crate::target::HeartbeatTable;

/// The outcome of each probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Probes {
    pub(crate) select: Answer<()>,
    pub(crate) update: Answer<()>,
    pub(crate) insert: Answer<()>,
}

/// Runs each probe by itself.
///
/// # Errors
/// A failure that ends the connection.
pub(super) async fn gather(connection: &mut MySqlConnection, heartbeat: &HeartbeatTable) -> Result<Probes, Failure> {
    let table = table_of(heartbeat);
    let row = heartbeat.row_number();
    // NULL instead of the old value, because the old value would also need SELECT.
    let update = format!("UPDATE {table} SET last_update = NULL WHERE 1 = 0");
    let insert = format!("INSERT INTO {table} (id) SELECT {row} FROM DUAL WHERE 1 = 0");
    let select = probe(connection, format!("SELECT id, last_update FROM {table} WHERE 1 = 0")).await?;
    let update = match locked(&select) {
        Some(refusal) => Answer::Refused(refusal.clone()),
        None => probe(connection, update).await?,
    };
    let insert = match locked(&update) {
        Some(refusal) => Answer::Refused(refusal.clone()),
        None => probe(connection, insert).await?,
    };
    Ok(Probes { select, update, insert })
}

impl Probes {
    /// The refusal of the read, if another session has locked the table: every further read would wait as long.
    pub(super) fn locked(&self) -> Option<&Refusal> {
        locked(&self.select)
    }
}

fn locked(answer: &Answer<()>) -> Option<&Refusal> {
    answer.seen().err().filter(|refusal| WAITED.contains(&refusal.code.as_str()))
}

async fn probe(connection: &mut MySqlConnection, sql: String) -> Result<Answer<()>, Failure> {
    let mut answer = ask(connection, sql).await?.map(|_| Ok(()))?;
    if let Answer::Refused(refusal) = &mut answer
        && WAITED.contains(&refusal.code.as_str())
    {
        // The time limit of a statement ends more than waits for a lock.
        let busy = if refusal.code == ER_LOCK_WAIT_TIMEOUT { "" } else { ", or the server is too busy" };
        refusal.message = format!("the table is locked{busy}: {}", refusal.message);
    }
    Ok(answer)
}
