//! Finds out what this session's user may do by letting the server plan it: `EXPLAIN` checks the privileges and changes
//! nothing, even on a standby and in a read-only session.

use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnection;

use super::snapshot::refused;
use crate::driver::answer::Answer;
use crate::driver::postgres::identifier::quote;
use crate::driver::postgres::query::{self, ServerLimits};
use crate::heartbeat::Failure;
use crate::target::HeartbeatTable;
use crate::time::clock::Instant;

/// The outcome of each probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Probes {
    pub(crate) select: Answer<()>,
    pub(crate) update: Answer<()>,
    pub(crate) insert: Answer<()>,
}

/// Runs each probe by itself, because an error would end the transaction of the others.
///
/// # Errors
/// A failure that ends the connection.
pub(super) async fn gather(
    connection: &mut PgConnection,
    heartbeat: &HeartbeatTable,
    deadline: Instant,
) -> Result<Probes, Failure> {
    let table = format!("{}.{}", quote(&heartbeat.schema), quote(&heartbeat.table));
    let row = heartbeat.row_number();
    // NULL instead of the old value, because the old value would also need SELECT.
    let update = format!("EXPLAIN UPDATE {table} SET last_update = NULL WHERE false");
    let insert = format!("EXPLAIN INSERT INTO {table} (id) OVERRIDING SYSTEM VALUE SELECT {row} WHERE false");
    Ok(Probes {
        select: probe(connection, deadline, format!("EXPLAIN SELECT id, last_update FROM {table}")).await?,
        update: probe(connection, deadline, update).await?,
        insert: probe(connection, deadline, insert).await?,
    })
}

async fn probe(connection: &mut PgConnection, deadline: Instant, sql: String) -> Result<Answer<()>, Failure> {
    match query::send(connection, format!("{} {sql}", ServerLimits::share(deadline, 4).sql())).await {
        Ok(_) => Ok(Answer::Seen(())),
        Err(failure) => refused(failure).map(Answer::Refused),
    }
}
