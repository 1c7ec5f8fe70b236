//! Gathers the facts for the checks: variables, the catalogue, and the probes of this user's privileges. The session's
//! `inspect` calls it; `checks` judges the facts.
//!
//! The facts contain no secret: no password or its hash, no text of a statement or of an event's body.

mod activity;
mod binlog;
mod probes;
pub(super) mod question;
mod replication;
mod roles;
mod row;
mod scheduler;
mod server;
mod statements;
pub(super) mod table;

use serde::{Deserialize, Serialize};
use sqlx::mysql::MySqlConnection;

pub(super) use activity::ActivityFacts;
pub(super) use binlog::{BinlogFacts, Retention};
pub(super) use probes::Probes;
pub(super) use replication::Channel;
pub(super) use roles::{LoginFacts, RoleFacts, RolesFacts};
pub(super) use row::RowFacts;
pub(super) use scheduler::Event;
pub(super) use server::ServerFacts;
pub(super) use statements::use_of;
pub(super) use table::{Relation, TableFacts};

use super::connect::settings_sql;
use super::query::{self, ServerLimits};
use crate::driver::answer::Answer;
use crate::heartbeat::Failure;
use crate::target::Target;
use crate::time::clock::Instant;

/// All facts that the MySQL checks judge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct MysqlFacts {
    /// `host:port`.
    pub(super) address: String,
    pub(super) server: ServerFacts,
    pub(super) table: Answer<TableFacts>,
    /// `None` if there is no table with a column `id` to read from.
    pub(super) row: Option<Answer<RowFacts>>,
    /// `last_update` of the configured row, read again after the position of the binary log; `row` is read before it.
    /// If the value changes between this read and the `row` of a later inspection, a beat lies between the two
    /// positions.
    pub(super) last_update_again: Option<i64>,
    pub(super) roles: RolesFacts,
    pub(super) binlog: Answer<BinlogFacts>,
    /// How long a managed server keeps the files of the binary log.
    pub(super) retention: Answer<Retention>,
    /// The servers that this one replicates from, one for each channel.
    pub(super) replication: Answer<Vec<Channel>>,
    pub(super) activity: Answer<ActivityFacts>,
    /// The events that name the table.
    pub(super) events: Answer<Vec<Event>>,
    /// The number of tables that this user can see.
    pub(super) tables: Answer<i64>,
    /// What this session's user may do.
    pub(super) probes: Probes,
}

impl MysqlFacts {
    /// The table, if it is known to exist.
    pub(super) fn relation(&self) -> Option<&Relation> {
        self.table.answer()?.table.as_ref()
    }

    /// The rows, if they are known.
    pub(super) fn rows(&self) -> Option<&RowFacts> {
        self.row.as_ref()?.answer()
    }
}

/// Gathers the facts: about twenty queries, the probes, and a few queries for each account of the connector. These
/// servers have no snapshot of their catalogue, and few of its tables can be joined.
///
/// # Errors
/// The server's error, classified, if it answers no query at all.
pub(super) async fn gather(
    connection: &mut MySqlConnection,
    address: &str,
    target: &Target,
    deadline: Instant,
) -> Result<MysqlFacts, Failure> {
    // A lock on one table must not cost the other answers.
    query::execute(connection, settings_sql(ServerLimits::share(deadline, 4))).await?;
    let probes = probes::gather(connection, &target.heartbeat).await?;
    let table = table::gather(connection, &target.heartbeat).await?;
    let relation = table.answer().and_then(|facts: &TableFacts| facts.table.as_ref());
    let row = match (relation, probes.locked()) {
        (Some(relation), Some(refusal)) if relation.is_numbered() => Some(Answer::Refused(refusal.clone())),
        (Some(relation), _) => row::gather(connection, &target.heartbeat, relation).await?,
        (None, _) => None,
    };
    let server = server::gather(connection).await?;
    let roles = roles::gather(connection, target, &server).await?;
    let binlog = binlog::gather(connection, &server).await?;
    let retention = binlog::retention(connection).await?;
    let replication = replication::gather(connection, &server).await?;
    let last_update_again = match relation {
        Some(relation) if row.as_ref().and_then(Answer::answer).is_some() => {
            row::last_update(connection, &target.heartbeat, relation).await?
        }
        _ => None,
    };
    let activity = activity::gather(connection).await?;
    let events = scheduler::gather(connection, &target.heartbeat).await?;
    let tables = activity::tables(connection, deadline).await?;
    let address = address.to_owned();
    Ok(MysqlFacts {
        address,
        server,
        table,
        row,
        last_update_again,
        roles,
        binlog,
        retention,
        replication,
        activity,
        events,
        tables,
        probes,
    })
}
