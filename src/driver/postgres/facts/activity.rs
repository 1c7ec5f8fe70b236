//! Counts the sessions and reads how old their transactions are, never their statements.

use serde::{Deserialize, Serialize};

/// The sessions of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ActivityFacts {
    /// The number of WAL senders.
    pub(crate) senders: i64,
    /// The number of WAL senders whose state this user may not see.
    pub(crate) senders_hidden: i64,
    /// The number of synchronous standbys that stream.
    pub(crate) synchronous: i64,
    /// The number of sessions whose commit waits for a standby at this moment.
    pub(crate) waiting_for_standby: i64,
    /// The number of sessions whose transaction's start this user may not see.
    pub(crate) sessions_hidden: i64,
    /// The oldest open transactions, including prepared ones.
    pub(crate) transactions: Vec<Transaction>,
    /// Whether pg_cron's launcher runs on this server; `None` if this user may not see it.
    pub(crate) cron_launcher: Option<bool>,
    /// pg_cron in this database.
    pub(crate) cron: Option<CronFacts>,
}

/// One open transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transaction {
    /// The process of its session; `None` for a prepared transaction.
    pub(crate) pid: Option<i64>,
    /// The name of a prepared transaction.
    pub(crate) prepared: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) application: Option<String>,
    /// In microseconds.
    pub(crate) age: i64,
}

/// pg_cron as it is installed in this database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CronFacts {
    pub(crate) version: String,
    /// Whether row-level security hides other users' jobs from this user.
    pub(crate) filtered: bool,
}

/// One JSON object, [`ActivityFacts`].
///
/// For a session that this user may not see into, state and type are empty, and this text replaces the statement.
pub(super) const SQL: &str = "SELECT jsonb_build_object(\
    'senders', (SELECT count(*) FROM pg_stat_replication), \
    'senders_hidden', (SELECT count(*) FROM pg_stat_replication WHERE state IS NULL), \
    'synchronous', (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum') \
    AND state = 'streaming'), \
    'waiting_for_standby', (SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'), \
    'sessions_hidden', (SELECT count(*) FROM pg_stat_activity a WHERE a.query = '<insufficient privilege>' \
    AND a.datid IS NOT NULL AND NOT EXISTS (SELECT FROM pg_stat_replication r WHERE r.pid = a.pid)), \
    'transactions', (SELECT coalesce(jsonb_agg(to_jsonb(t)), '[]') FROM (\
    SELECT a.pid, NULL::text AS prepared, a.usename AS user, a.application_name AS application, \
    (extract(epoch FROM clock_timestamp() - a.xact_start) * 1000000)::bigint AS age FROM pg_stat_activity a \
    WHERE a.xact_start IS NOT NULL AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid() \
    UNION ALL SELECT NULL, p.gid, p.owner, NULL, \
    (extract(epoch FROM clock_timestamp() - p.prepared) * 1000000)::bigint FROM pg_prepared_xacts p \
    ORDER BY age DESC LIMIT 3) AS t), \
    'cron_launcher', (SELECT CASE WHEN bool_or(a.backend_type = 'pg_cron launcher') THEN true \
    WHEN bool_or(a.backend_type IS NULL AND a.datid IS NULL) THEN NULL ELSE false END FROM pg_stat_activity a), \
    'cron', (SELECT jsonb_build_object('version', e.extversion, 'filtered', coalesce((SELECT row_security_active(c.oid) \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'cron' AND c.relname = 'job'), true)) \
    FROM pg_extension e WHERE e.extname = 'pg_cron'))::text";
