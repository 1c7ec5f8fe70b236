//! The events that name the heartbeat table. Their bodies stay on the server.

use serde::{Deserialize, Serialize};
use sqlx::mysql::MySqlConnection;

use super::question::{ask, ask_json};
use crate::driver::gathered::Gathered;
use crate::driver::mysql::identifier::{literal, quote};
use crate::heartbeat::Failure;
use crate::target::HeartbeatTable;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) schema: String,
    pub(crate) name: String,
    /// As whom it runs.
    pub(crate) definer: String,
    /// `ENABLED`, `DISABLED`, `SLAVESIDE_DISABLED` or `REPLICA_SIDE_DISABLED`.
    pub(crate) status: String,
    /// `1 MINUTE`; `None` for one that runs once.
    pub(crate) every: Option<String>,
    /// The same in seconds, where it is no months or years.
    pub(crate) every_seconds: Option<i64>,
    /// When it ran last, in seconds since 1970.
    pub(crate) last_run: Option<i64>,
    /// The row it names, where it says `id = N`.
    pub(crate) row: Option<i64>,
}

/// Asks for the events.
///
/// # Errors
/// What ends the connection.
pub(super) async fn gather(
    connection: &mut MySqlConnection,
    heartbeat: &HeartbeatTable,
) -> Result<Gathered<Vec<Event>>, Failure> {
    // To whom this is refused, the catalogue shows no event, without a word.
    let probe = format!("SHOW EVENTS FROM {} WHERE FALSE", quote(&heartbeat.schema));
    if let Gathered::Refused(refusal) = ask(connection, probe).await? {
        return Ok(Gathered::Refused(refusal));
    }
    let sql = format!(
        "SELECT JSON_OBJECT('schema', EVENT_SCHEMA, 'name', EVENT_NAME, 'definer', DEFINER, 'status', STATUS, \
         'every', CONCAT(INTERVAL_VALUE, ' ', INTERVAL_FIELD), 'every_seconds', NULL, 'last_run', \
         UNIX_TIMESTAMP(LAST_EXECUTED), 'row', NULL) FROM information_schema.EVENTS \
         WHERE LOCATE({}, EVENT_DEFINITION) > 0",
        literal(&heartbeat.table)
    );
    ask_json(connection, sql).await
}
