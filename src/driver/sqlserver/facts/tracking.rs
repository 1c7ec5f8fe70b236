//! Change data capture: the capture instances of the heartbeat table, how far the capture job has read, and the jobs
//! that run it.

use serde::{Deserialize, Serialize};

use super::questions::{Questions, text};
use super::table::name_literal;
use crate::driver::answer::Answer;
use crate::driver::sqlserver::identifier::literal;
use crate::driver::sqlserver::query;
use crate::heartbeat::Failure;
use crate::target::Target;

/// A capture instance of the heartbeat table. A table has at most two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::sqlserver) struct CaptureInstance {
    pub(in crate::driver::sqlserver) name: String,
    /// The role that may read its changes; `None` if only the grants on the table decide.
    pub(in crate::driver::sqlserver) role: Option<String>,
    /// The columns that it captures.
    pub(in crate::driver::sqlserver) columns: Vec<String>,
}

/// How far the capture job has read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::sqlserver) struct Captured {
    /// When the newest captured transaction of the database ended, in microseconds since 1970; `None` if no transaction
    /// was captured.
    pub(in crate::driver::sqlserver) until: Option<i64>,
}

/// An error of the capture job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::sqlserver) struct CdcError {
    pub(in crate::driver::sqlserver) number: i64,
    pub(in crate::driver::sqlserver) message: String,
    /// Microseconds since 1970.
    pub(in crate::driver::sqlserver) at: Option<i64>,
}

/// A row of `msdb.dbo.cdc_jobs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::sqlserver) struct CdcJob {
    /// `capture` or `cleanup`.
    pub(in crate::driver::sqlserver) kind: String,
    /// Whether SQL Server Agent has the job, and it is enabled.
    pub(in crate::driver::sqlserver) enabled: bool,
    /// How long the cleanup job keeps changes, in minutes.
    pub(in crate::driver::sqlserver) retention: i64,
}

/// A job of SQL Server Agent, for one of its steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::sqlserver) struct AgentJob {
    pub(in crate::driver::sqlserver) name: String,
    pub(in crate::driver::sqlserver) enabled: bool,
}

/// Minutes from the server's local time to UTC. Change data capture stores local times.
const TO_UTC: &str = "DATEDIFF(minute, GETDATE(), GETUTCDATE())";

/// Reads the capture instances of the heartbeat table.
///
/// # Errors
/// As [`Questions::ask`].
pub(super) async fn instances(
    ask: &mut Questions<'_>,
    target: &Target,
) -> Result<Answer<Vec<CaptureInstance>>, Failure> {
    let sql = format!(
        "SELECT CONVERT(nvarchar(128), t.capture_instance) AS instance, CONVERT(nvarchar(128), t.role_name) AS role_name, \
         CONVERT(nvarchar(128), c.column_name) AS captured FROM cdc.change_tables AS t \
         LEFT JOIN cdc.captured_columns AS c ON c.object_id = t.object_id \
         WHERE t.source_object_id = OBJECT_ID({}) ORDER BY t.capture_instance, c.column_ordinal;",
        name_literal(target)
    );
    let rows = ask
        .ask(&sql, |row| Ok((text(row, "instance")?, query::text(row, "role_name")?, query::text(row, "captured")?)))
        .await?;
    Ok(match rows {
        Answer::Refused(refusal) => Answer::Refused(refusal),
        Answer::Seen(rows) => {
            let mut instances: Vec<CaptureInstance> = Vec::new();
            for (name, role, column) in rows {
                if instances.last().is_none_or(|last| last.name != name) {
                    instances.push(CaptureInstance { name, role, columns: Vec::new() });
                }
                if let Some(last) = instances.last_mut() {
                    last.columns.extend(column);
                }
            }
            Answer::Seen(instances)
        }
    })
}

/// Reads how far the capture job has read.
///
/// # Errors
/// As [`Questions::ask_one`].
pub(super) async fn captured(ask: &mut Questions<'_>) -> Result<Answer<Captured>, Failure> {
    let sql = format!(
        "SELECT CAST(DATEADD(minute, {TO_UTC}, MAX(m.tran_end_time)) AS datetime2) AS captured \
         FROM cdc.lsn_time_mapping AS m;"
    );
    ask.ask_one(&sql, |row| Ok(Captured { until: query::time(row, "captured")?.map(|stamp| stamp.0) })).await
}

/// Counts the tracked tables of the database.
///
/// # Errors
/// As [`Questions::ask_one`].
pub(super) async fn tracked_tables(ask: &mut Questions<'_>) -> Result<Answer<i64>, Failure> {
    let sql = "SELECT CONVERT(bigint, COUNT(DISTINCT t.source_object_id)) AS tracked FROM cdc.change_tables AS t;";
    ask.ask_one(sql, |row| Ok(query::number(row, "tracked")?.unwrap_or_default())).await
}

/// Reads the errors of the capture job.
///
/// # Errors
/// As [`Questions::ask`].
pub(super) async fn errors(ask: &mut Questions<'_>) -> Result<Answer<Vec<CdcError>>, Failure> {
    let sql = format!(
        "SELECT TOP (5) CONVERT(bigint, e.error_number) AS number, CONVERT(nvarchar(512), e.error_message) AS message, \
         CAST(DATEADD(minute, {TO_UTC}, e.entry_time) AS datetime2) AS at_ FROM sys.dm_cdc_errors AS e \
         ORDER BY e.entry_time DESC;"
    );
    ask.ask(&sql, |row| {
        Ok(CdcError {
            number: query::number(row, "number")?.unwrap_or_default(),
            message: text(row, "message")?,
            at: query::time(row, "at_")?.map(|stamp| stamp.0),
        })
    })
    .await
}

/// Reads the capture job and the cleanup job of this database.
///
/// # Errors
/// As [`Questions::ask`].
pub(super) async fn jobs(ask: &mut Questions<'_>) -> Result<Answer<Vec<CdcJob>>, Failure> {
    let sql = "SELECT CONVERT(nvarchar(20), c.job_type) AS kind, CONVERT(bigint, c.retention) AS retention, \
               CONVERT(int, j.enabled) AS enabled FROM msdb.dbo.cdc_jobs AS c \
               LEFT JOIN msdb.dbo.sysjobs AS j ON j.job_id = c.job_id WHERE c.database_id = DB_ID();";
    ask.ask(sql, |row| {
        Ok(CdcJob {
            kind: text(row, "kind")?,
            enabled: query::flag(row, "enabled")?,
            retention: query::number(row, "retention")?.unwrap_or_default(),
        })
    })
    .await
}

/// Whether the capture job runs now, if it is configured to run continuously.
///
/// # Errors
/// As [`Questions::ask`].
pub(super) async fn capture_runs(ask: &mut Questions<'_>) -> Result<Answer<Option<bool>>, Failure> {
    let sql = "SELECT CONVERT(int, c.continuous) AS continuous_, (SELECT COUNT(*) FROM msdb.dbo.sysjobactivity AS a \
               WHERE a.job_id = c.job_id AND a.session_id = (SELECT MAX(s.session_id) FROM msdb.dbo.syssessions AS s) \
               AND a.start_execution_date IS NOT NULL AND a.stop_execution_date IS NULL) AS running \
               FROM msdb.dbo.cdc_jobs AS c WHERE c.database_id = DB_ID() AND c.job_type = N'capture';";
    let runs = |row: &tiberius::Row| Ok((query::flag(row, "continuous_")?, query::flag(row, "running")?));
    Ok(match ask.ask(sql, runs).await? {
        Answer::Seen(found) => Answer::Seen(found.first().filter(|(continuous, _)| *continuous).map(|(_, runs)| *runs)),
        Answer::Refused(refusal) => Answer::Refused(refusal),
    })
}

/// Reads the state that SQL Server Agent reports.
///
/// # Errors
/// As [`Questions::ask`].
pub(super) async fn agent(ask: &mut Questions<'_>) -> Result<Answer<Option<String>>, Failure> {
    let sql = "SELECT TOP (1) CONVERT(nvarchar(60), s.status_desc) AS status FROM sys.dm_server_services AS s \
               WHERE s.servicename LIKE N'SQL Server Agent%';";
    Ok(match ask.ask(sql, |row| text(row, "status")).await? {
        Answer::Seen(mut found) => Answer::Seen(found.pop()),
        Answer::Refused(refusal) => Answer::Refused(refusal),
    })
}

/// Reads the jobs of SQL Server Agent that name the heartbeat table.
///
/// # Errors
/// As [`Questions::ask`].
pub(super) async fn agent_jobs(ask: &mut Questions<'_>, target: &Target) -> Result<Answer<Vec<AgentJob>>, Failure> {
    let sql = format!(
        "SELECT TOP (20) CONVERT(nvarchar(128), j.name) AS name, CONVERT(int, j.enabled) AS enabled \
         FROM msdb.dbo.sysjobs AS j WHERE EXISTS (SELECT 1 FROM msdb.dbo.sysjobsteps AS s \
         WHERE s.job_id = j.job_id AND CHARINDEX({}, s.command) > 0) ORDER BY j.name;",
        literal(&target.heartbeat.table)
    );
    ask.ask(&sql, |row| Ok(AgentJob { name: text(row, "name")?, enabled: query::flag(row, "enabled")? })).await
}
