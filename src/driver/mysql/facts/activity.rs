//! Counts the sessions and reads how old their transactions are, never their statements. Also counts the tables.

use serde::{Deserialize, Serialize};
use sqlx::mysql::{MySqlConnection, MySqlRow};

use super::question::{ask, ask_for_number};
use crate::driver::answer::Answer;
use crate::driver::mysql::query;
use crate::heartbeat::Failure;
use crate::time::clock::{Clock, Instant};

/// The sessions of a server, read by an account that may see all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ActivityFacts {
    /// The users whose sessions read the binary log.
    pub(crate) readers: Vec<String>,
    /// The oldest open transactions.
    pub(crate) transactions: Vec<Transaction>,
}

/// One open transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transaction {
    /// The session's number; zero for a prepared XA transaction whose session has ended.
    pub(crate) session: i64,
    pub(crate) user: Option<String>,
    /// In microseconds.
    pub(crate) age: i64,
}

/// Reads the sessions. The first query fails for a user to whom the second would show only that user's own sessions.
///
/// # Errors
/// A failure that ends the connection.
pub(super) async fn gather(connection: &mut MySqlConnection) -> Result<Answer<ActivityFacts>, Failure> {
    // This time is in the machine's time zone, not in the session's.
    let sql = "SELECT t.trx_mysql_thread_id AS session, p.USER AS user, \
               TIMESTAMPDIFF(MICROSECOND, CONVERT_TZ(t.trx_started, 'SYSTEM', '+00:00'), UTC_TIMESTAMP()) AS age \
               FROM information_schema.INNODB_TRX t \
               LEFT JOIN information_schema.PROCESSLIST p ON p.ID = t.trx_mysql_thread_id \
               WHERE t.trx_mysql_thread_id <> CONNECTION_ID() ORDER BY t.trx_started LIMIT 3";
    let transactions = match ask(connection, sql.to_owned()).await? {
        Answer::Seen(rows) => rows.iter().map(Transaction::of).collect::<Result<_, _>>()?,
        Answer::Refused(refusal) => return Ok(Answer::Refused(refusal)),
    };
    let sql = "SELECT USER AS user FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'";
    ask(connection, sql.to_owned()).await?.map(|rows| {
        let readers = rows.iter().map(|row| Ok(query::text(row, "user")?.unwrap_or_default()));
        Ok(ActivityFacts { readers: readers.collect::<Result<_, Failure>>()?, transactions })
    })
}

impl Transaction {
    fn of(row: &MySqlRow) -> Result<Self, Failure> {
        Ok(Self {
            session: query::number(row, "session")?.unwrap_or_default(),
            user: query::text(row, "user")?,
            age: query::number(row, "age")?.unwrap_or_default(),
        })
    }
}

/// Counts the tables that this user can see, without the server's own. With very many tables the query is slow, so it
/// gets only a part of the time that is left.
///
/// # Errors
/// A failure that ends the connection.
pub(super) async fn tables(connection: &mut MySqlConnection, deadline: Instant) -> Result<Answer<i64>, Failure> {
    let share = deadline.saturating_duration_since(Clock::system().now().mono) / 3;
    // Each flavour reads the other one's limit as a comment.
    let sql = format!(
        "/*M!100101 SET STATEMENT max_statement_time = {}.{:03} FOR */ SELECT /*+ MAX_EXECUTION_TIME({}) */ \
         COUNT(*) FROM information_schema.TABLES WHERE TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') \
         AND TABLE_SCHEMA NOT IN ('mysql', 'sys', 'performance_schema', 'information_schema')",
        share.as_secs(),
        share.subsec_millis().max(1),
        share.as_millis().max(1)
    );
    ask_for_number(connection, sql).await?.map(|count| Ok(count.unwrap_or_default()))
}
