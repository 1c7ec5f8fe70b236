//! The binary log: its position, and the databases that the server does not log.

use serde::{Deserialize, Serialize};
use sqlx::mysql::MySqlConnection;

use super::question::{ask, ask_for_number, by_name};
use super::server::ServerFacts;
use crate::driver::answer::Answer;
use crate::driver::mysql::error_codes;
use crate::heartbeat::Failure;

/// The binary log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BinlogFacts {
    /// `file:position`; `None` if there is no binary log.
    pub(crate) position: Option<String>,
    /// The only databases that are logged, as the server lists them; empty for all.
    pub(crate) do_db: String,
    /// The databases that are not logged.
    pub(crate) ignore_db: String,
}

/// The retention in `mysql.rds_configuration`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Retention {
    /// In hours; `None` for "as soon as possible".
    pub(crate) hours: Option<i64>,
}

/// Reads the position of the binary log.
///
/// # Errors
/// A failure that ends the connection.
pub(super) async fn gather(
    connection: &mut MySqlConnection,
    server: &ServerFacts,
) -> Result<Answer<BinlogFacts>, Failure> {
    let old = "SHOW MASTER STATUS";
    let answer = if server.variables.contains_key("log_replica_updates") {
        // Some versions know both names of the variable, but only the old statement.
        match ask(connection, "SHOW BINARY LOG STATUS".to_owned()).await? {
            Answer::Refused(refusal) if refusal.code == error_codes::ER_PARSE_ERROR => {
                ask(connection, old.to_owned()).await?
            }
            answer => answer,
        }
    } else {
        ask(connection, old.to_owned()).await?
    };
    answer.map(|rows| {
        let columns = rows.first().map(by_name).transpose()?.unwrap_or_default();
        let column = |name: &str| columns.get(name).cloned().unwrap_or_default();
        let position = columns.get("file").map(|file| format!("{file}:{}", column("position")));
        Ok(BinlogFacts { position, do_db: column("binlog_do_db"), ignore_db: column("binlog_ignore_db") })
    })
}

/// Reads the retention of the managed flavours, which no variable shows.
///
/// # Errors
/// A failure that ends the connection.
pub(super) async fn retention(connection: &mut MySqlConnection) -> Result<Answer<Retention>, Failure> {
    let sql = "SELECT value FROM mysql.rds_configuration WHERE name = 'binlog retention hours'";
    ask_for_number(connection, sql.to_owned()).await?.map(|hours| Ok(Retention { hours }))
}
