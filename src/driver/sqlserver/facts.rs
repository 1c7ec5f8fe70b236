//! What is looked at for the checks and for a plan: a batch for each question. Called by the session's `inspect` and
//! `plan`; judged by `checks` and `provision`.
//!
//! Nothing here is a secret: no address, no password, no content of a row but the heartbeat's time. Each answer is bounded,
//! whatever the server holds.

mod principals;
mod questions;
mod server;
mod table;
mod tracking;

use serde::{Deserialize, Serialize};

pub(super) use principals::Principals;
pub(super) use server::{AZURE_DATABASE, DatabaseFacts, ServerFacts};
pub(super) use table::{COLUMNS, ColumnFacts, KEY, OwnRights, RowFacts, TRACKED, TRIGGERS, TableFacts};
pub(super) use tracking::{AgentJob, CaptureInstance, Captured, CdcError, CdcJob};

use self::questions::Questions;
use super::connect::Opened;
use super::query::{Limits, SqlClient};
use crate::driver::answer::Answer;
use crate::heartbeat::Failure;
use crate::target::Target;
use crate::time::clock::Instant;

/// Everything a SQL Server check is judged from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SqlServerFacts {
    /// `host:port`.
    pub(super) address: String,
    pub(super) server: ServerFacts,
    pub(super) database: Answer<DatabaseFacts>,
    pub(super) table: Answer<TableFacts>,
    pub(super) row: Answer<RowFacts>,
    /// What this session's user may do on the table.
    pub(super) own: Answer<OwnRights>,
    /// Users, roles and grants, as far as this user sees them.
    pub(super) principals: Answer<Principals>,
    /// The capture instances of the heartbeat table; not asked for where CDC is off.
    pub(super) instances: Option<Answer<Vec<CaptureInstance>>>,
    /// The newest transaction that the capture job has read; likewise.
    pub(super) captured: Option<Answer<Captured>>,
    /// How many tables of the database are tracked; likewise, and `None` in facts of an earlier version.
    #[serde(default)]
    pub(super) tracked_tables: Option<Answer<i64>>,
    /// What the capture job has stumbled over, the newest first; likewise.
    pub(super) cdc_errors: Option<Answer<Vec<CdcError>>>,
    /// The capture and the cleanup job of this database; likewise, and `None` in Azure SQL Database, which has none.
    pub(super) cdc_jobs: Option<Answer<Vec<CdcJob>>>,
    /// Whether the capture job runs now, of one that is to run without a pause; likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) capture_runs: Option<Answer<Option<bool>>>,
    /// What SQL Server Agent says of itself (`Running`); `None` in Azure SQL Database.
    pub(super) agent: Option<Answer<Option<String>>>,
    /// Jobs of the Agent whose steps name the heartbeat table; likewise.
    pub(super) agent_jobs: Option<Answer<Vec<AgentJob>>>,
    /// Whether this server holds the primary replica; `None` where there is no availability group.
    pub(super) primary_replica: Option<Answer<Option<bool>>>,
}

/// How far the capture job has read.
///
/// # Errors
/// A failure that did not come from the server.
pub(super) async fn captured(client: &mut SqlClient, limits: Limits) -> Result<Answer<Captured>, Failure> {
    tracking::captured(&mut Questions::of(client, limits)).await
}

/// The heartbeat table.
///
/// # Errors
/// A failure that did not come from the server.
pub(super) async fn table(
    client: &mut SqlClient,
    target: &Target,
    limits: Limits,
) -> Result<Answer<TableFacts>, Failure> {
    table::table(&mut Questions::of(client, limits), target).await
}

/// Whether a script of provisioning had its effect; `None` where this user may not see it.
///
/// # Errors
/// A failure that did not come from the server.
pub(super) async fn has_effect(
    client: &mut SqlClient,
    target: &Target,
    effect: Effect<'_>,
    limits: Limits,
) -> Result<Option<bool>, Failure> {
    let mut ask = Questions::of(client, limits);
    Ok(match effect {
        Effect::Schema => table::outline(&mut ask, target).await?.answer().map(|table| table.schema),
        Effect::Table => table::outline(&mut ask, target).await?.answer().map(|table| table.kind.is_some()),
        Effect::TrackedTable => {
            let table = table::outline(&mut ask, target).await?;
            let shown = table.answer().filter(|table| !table.refused.contains_key(TRACKED));
            shown.map(|table| table.tracked)
        }
        Effect::Row => table::row(&mut ask, target, None).await?.answer().map(|rows| rows.count > 0),
        Effect::TrackedDatabase => server::database(&mut ask).await?.answer().map(|database| database.cdc),
        Effect::Principals(is_there) => {
            let principals = principals::principals(&mut ask, target).await?;
            principals.answer().filter(|found| found.sees_all && found.unlisted.is_none()).map(is_there)
        }
    })
}

/// What a step of provisioning makes.
pub(super) enum Effect<'a> {
    Schema,
    Table,
    Row,
    /// A role, a member of it, or a grant.
    Principals(&'a (dyn Fn(&Principals) -> bool + Send + Sync)),
    TrackedDatabase,
    TrackedTable,
}

/// Gathers the facts, in eighteen batches; a lookalike that refuses one is asked in smaller ones.
///
/// # Errors
/// What the server says, classified, when it cannot be asked at all.
pub(super) async fn gather(opened: &mut Opened, target: &Target, deadline: Instant) -> Result<SqlServerFacts, Failure> {
    let address = opened.server.address.clone();
    let mut ask = Questions::of(&mut opened.client, Limits::until(deadline));
    let server = server::server(&mut ask).await?;
    let database = server::database(&mut ask).await?;
    let has_cdc = database.answer().is_some_and(|database| database.cdc);
    let has_agent = server.engine_edition != AZURE_DATABASE && server.lookalike().is_none();
    let table = table::table(&mut ask, target).await?;
    Ok(SqlServerFacts {
        address,
        row: table::row(&mut ask, target, table.answer()).await?,
        own: table::own(&mut ask, target).await?,
        principals: principals::principals(&mut ask, target).await?,
        instances: if has_cdc { Some(tracking::instances(&mut ask, target).await?) } else { None },
        captured: if has_cdc { Some(tracking::captured(&mut ask).await?) } else { None },
        tracked_tables: if has_cdc { Some(tracking::tracked_tables(&mut ask).await?) } else { None },
        cdc_errors: if has_cdc { Some(tracking::errors(&mut ask).await?) } else { None },
        cdc_jobs: if has_cdc && has_agent { Some(tracking::jobs(&mut ask).await?) } else { None },
        capture_runs: if has_cdc && has_agent { Some(tracking::capture_runs(&mut ask).await?) } else { None },
        agent: if has_agent { Some(tracking::agent(&mut ask).await?) } else { None },
        agent_jobs: if has_agent { Some(tracking::agent_jobs(&mut ask, target).await?) } else { None },
        primary_replica: if server.availability_groups { Some(server::primary_replica(&mut ask).await?) } else { None },
        table,
        server,
        database,
    })
}
