//! Gathers the facts for the checks: one snapshot of the catalogue, and the probes of this user's privileges. The
//! session's `inspect` calls it; `checks` judges the facts.
//!
//! The facts contain no secret: no password, no text of a statement or of a scheduled command.

mod activity;
mod probes;
mod publication;
mod roles;
mod row;
mod scheduler;
mod server;
mod slots;
mod snapshot;
mod table;
mod wal;

use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnection;

pub(super) use activity::{ActivityFacts, Transaction};
pub(super) use probes::Probes;
pub(super) use publication::{HoldingPublication, PublicationFacts};
pub(super) use roles::{RoleFacts, RolesFacts};
pub(super) use row::RowFacts;
pub(super) use scheduler::{Job, LastRun};
pub(super) use server::ServerFacts;
pub(super) use slots::{PhysicalSlot, SlotFacts, SlotsFacts};
pub(super) use table::{Relation, TableFacts};
pub(super) use wal::{Position, WalFacts};

use self::snapshot::Snapshot;
use super::family::slot_of;
use crate::driver::answer::Answer;
use crate::heartbeat::Failure;
use crate::target::Target;
use crate::time::clock::Instant;

/// All facts that the PostgreSQL checks judge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PostgresFacts {
    /// `host:port`.
    pub(super) address: String,
    pub(super) server: ServerFacts,
    pub(super) table: Answer<TableFacts>,
    /// `None` if there is no table with a column `id` to read from.
    pub(super) row: Option<Answer<RowFacts>>,
    pub(super) roles: Answer<RolesFacts>,
    pub(super) publication: Answer<PublicationFacts>,
    pub(super) slots: Answer<SlotsFacts>,
    pub(super) wal: Answer<WalFacts>,
    pub(super) activity: Answer<ActivityFacts>,
    /// The pg_cron jobs that name the table; `None` if pg_cron is not installed in this database.
    pub(super) jobs: Option<Answer<Vec<Job>>>,
    /// Their last runs.
    pub(super) runs: Option<Answer<Vec<LastRun>>>,
    /// What this session's user may do.
    pub(super) probes: Probes,
}

/// Gathers the facts, with at most eleven messages and three probes.
///
/// # Errors
/// The server's error, classified, if it answers no query at all.
pub(super) async fn gather(
    connection: &mut PgConnection,
    address: &str,
    target: &Target,
    deadline: Instant,
) -> Result<PostgresFacts, Failure> {
    // The probes come first, each by itself: a refusal would end the snapshot's transaction.
    let probes = probes::gather(connection, &target.heartbeat, deadline).await?;
    let (mut snapshot, server) = Snapshot::open(connection, &server::sql(), deadline).await?;
    let table: Answer<TableFacts> = snapshot.ask(table::sql(&target.heartbeat)).await?;
    let roles = snapshot.ask(roles::sql(target)).await?;
    let publication: Answer<PublicationFacts> = snapshot.ask(publication::sql(target)).await?;
    let slots = snapshot.ask(slots::sql(&slot_of(target).name)).await?;
    let wal = snapshot.ask(wal::SQL.to_owned()).await?;
    let activity: Answer<ActivityFacts> = snapshot.ask(activity::SQL.to_owned()).await?;
    let relation = table.answer().and_then(|facts| facts.table.as_ref());
    let filter = publication.answer().and_then(PublicationFacts::row_filter);
    let row = match relation.and_then(|relation| row::sql(&target.heartbeat, relation, filter)) {
        Some(sql) => Some(snapshot.ask(sql).await?),
        None => None,
    };
    let (mut jobs, mut runs) = (None, None);
    if activity.answer().is_some_and(|activity| activity.cron.is_some()) {
        let seen: Answer<Vec<Job>> = snapshot.ask(scheduler::jobs_sql(&target.heartbeat)).await?;
        if let Some(sql) = seen.answer().and_then(|jobs| scheduler::runs_sql(jobs)) {
            runs = Some(snapshot.ask(sql).await?);
        }
        jobs = Some(seen);
    }
    snapshot.close().await?;
    let address = address.to_owned();
    Ok(PostgresFacts { address, server, table, row, roles, publication, slots, wal, activity, jobs, runs, probes })
}
