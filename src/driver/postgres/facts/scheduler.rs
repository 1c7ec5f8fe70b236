//! The pg_cron jobs that name the heartbeat table. The facts do not contain their commands.

use serde::{Deserialize, Serialize};

use crate::driver::postgres::identifier::literal;
use crate::target::HeartbeatTable;

/// One job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) id: i64,
    pub(crate) name: Option<String>,
    pub(crate) schedule: String,
    pub(crate) active: bool,
    /// The database it runs in.
    pub(crate) database: String,
    /// The row that it names, if it says `id = N`.
    pub(crate) row: Option<i64>,
}

/// The newest run of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastRun {
    pub(crate) job: i64,
    pub(crate) status: Option<String>,
    /// The server's answer, clipped.
    pub(crate) message: Option<String>,
    /// Microseconds since 1970.
    pub(crate) started_at: Option<i64>,
}

/// The row that a command names: `id = 1`, also `"id"='1'`.
const ROW_OF_COMMAND: &str = r#"(?i)\mid"?\s*=\s*'?([0-9]+)"#;

/// A JSON array of [`Job`]s.
pub(super) fn jobs_sql(heartbeat: &HeartbeatTable) -> String {
    // Read as JSON, because jobs have names only from pg_cron 1.3 on.
    format!(
        "SELECT (SELECT coalesce(jsonb_agg(jsonb_build_object('id', j.jobid, 'name', to_jsonb(j) ->> 'jobname', \
         'schedule', j.schedule, 'active', j.active, 'database', j.database, \
         'row', left(substring(j.command FROM {}), 18)::bigint)), '[]') FROM cron.job j \
         WHERE position(lower({}) IN lower(j.command)) > 0)::text",
        literal(ROW_OF_COMMAND),
        literal(&heartbeat.table)
    )
}

/// A JSON array of [`LastRun`]s; `None` if there are no jobs.
pub(super) fn runs_sql(jobs: &[Job]) -> Option<String> {
    let ids: Vec<String> = jobs.iter().map(|job| job.id.to_string()).collect();
    // Reads from the newest run backwards, by the primary key, because no process clears this table.
    let list = ids.join(", ");
    (!ids.is_empty()).then(|| {
        format!(
            "SELECT (SELECT coalesce(jsonb_agg(to_jsonb(r)), '[]') FROM unnest(ARRAY[{list}]::bigint[]) AS j(job) \
             CROSS JOIN LATERAL (SELECT j.job, d.status, left(d.return_message, 300) AS message, \
             (extract(epoch FROM d.start_time) * 1000000)::bigint AS started_at \
             FROM cron.job_run_details d WHERE d.jobid = j.job ORDER BY d.runid DESC LIMIT 1) AS r)::text"
        )
    })
}
