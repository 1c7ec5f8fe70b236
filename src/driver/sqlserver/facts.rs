//! Gathers the facts for the checks and for a plan, one batch per question. The session's `inspect` and `plan` call it;
//! `checks` and `provision` judge the facts.
//!
//! The facts contain no secret: no password, and of the rows only ids and the heartbeat's time. Each answer has a
//! maximum size.

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

/// All facts that the SQL Server checks judge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SqlServerFacts {
    /// `host:port`.
    pub(super) address: String,
    pub(super) server: ServerFacts,
    pub(super) database: Answer<DatabaseFacts>,
    pub(super) table: Answer<TableFacts>,
    pub(super) row: Answer<RowFacts>,
    /// The privileges of this session's user on the table.
    pub(super) own: Answer<OwnRights>,
    /// Users, roles and grants, as far as this user sees them.
    pub(super) principals: Answer<Principals>,
    /// The capture instances of the heartbeat table; `None` if CDC is off.
    pub(super) instances: Option<Answer<Vec<CaptureInstance>>>,
    /// The newest transaction that the capture job has read; `None` if CDC is off.
    pub(super) captured: Option<Answer<Captured>>,
    /// How many tables of the database are tracked; `None` if CDC is off, and in facts of an earlier version.
    #[serde(default)]
    pub(super) tracked_tables: Option<Answer<i64>>,
    /// The errors of the capture job, newest first; `None` if CDC is off.
    pub(super) cdc_errors: Option<Answer<Vec<CdcError>>>,
    /// The capture job and the cleanup job of this database; `None` if CDC is off, and in Azure SQL Database, which has
    /// no jobs.
    pub(super) cdc_jobs: Option<Answer<Vec<CdcJob>>>,
    /// Whether the capture job runs now, if it is configured to run continuously; `None` as for `cdc_jobs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) capture_runs: Option<Answer<Option<bool>>>,
    /// The state that SQL Server Agent reports (`Running`); `None` in Azure SQL Database.
    pub(super) agent: Option<Answer<Option<String>>>,
    /// Jobs of SQL Server Agent with a step that names the heartbeat table; `None` in Azure SQL Database.
    pub(super) agent_jobs: Option<Answer<Vec<AgentJob>>>,
    /// Whether this server holds the primary replica; `None` without availability groups.
    pub(super) primary_replica: Option<Answer<Option<bool>>>,
}

/// Reads how far the capture job has read.
///
/// # Errors
/// A failure that did not come from the server.
pub(super) async fn captured(client: &mut SqlClient, limits: Limits) -> Result<Answer<Captured>, Failure> {
    tracking::captured(&mut Questions::of(client, limits)).await
}

/// Reads the facts of the heartbeat table.
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

/// Whether a step of provisioning had its effect; `None` if the effect is hidden from this user.
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

/// What a step of provisioning creates.
pub(super) enum Effect<'a> {
    Schema,
    Table,
    Row,
    /// A role, a member of it, or a grant.
    Principals(&'a (dyn Fn(&Principals) -> bool + Send + Sync)),
    TrackedDatabase,
    TrackedTable,
}

/// Gathers the facts, in about twenty batches. If a lookalike refuses one of them, it is split into smaller ones.
///
/// # Errors
/// The server's error, classified, if the server cannot be queried at all.
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
