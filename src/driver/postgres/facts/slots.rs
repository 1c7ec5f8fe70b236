//! The replication slots of a server.

use serde::{Deserialize, Serialize};

use super::wal::Position;
use crate::driver::postgres::identifier::literal;

/// The connector's slot, and the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SlotsFacts {
    /// `None` if this server has no slot of that name.
    pub(crate) named: Option<SlotFacts>,
    /// The number of slots on this server, including physical ones.
    pub(crate) in_use: i64,
    /// Names of other logical slots of this database, at most twenty.
    pub(crate) others: Vec<String>,
    /// Every physical slot: logical slots can wait for the standbys that read them.
    #[serde(default)]
    pub(crate) physical: Vec<PhysicalSlot>,
    /// The slots that keep the oldest rows from vacuum, at most three.
    #[serde(default)]
    pub(crate) oldest: Vec<HoldingSlot>,
    /// The databases with the oldest transactions, at most three.
    #[serde(default)]
    pub(crate) databases: Vec<DatabaseAge>,
}

/// A slot that a standby reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PhysicalSlot {
    pub(crate) name: String,
    pub(crate) active: bool,
    /// `lost` if the server has removed the WAL that it needs; from PostgreSQL 13.
    #[serde(default)]
    pub(crate) wal_status: Option<String>,
}

/// A slot that keeps rows from vacuum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HoldingSlot {
    pub(crate) name: String,
    pub(crate) active: bool,
    /// The age of its oldest transaction, in transactions; the older of `xmin` and `catalog_xmin`.
    pub(crate) age: i64,
}

/// The age of a database's oldest transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DatabaseAge {
    pub(crate) name: String,
    /// `age(datfrozenxid)`, in transactions.
    pub(crate) age: i64,
}

/// A row of `pg_replication_slots`. A column that this version does not have is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SlotFacts {
    #[serde(default)]
    pub(crate) plugin: Option<String>,
    pub(crate) slot_type: String,
    #[serde(default)]
    pub(crate) database: Option<String>,
    pub(crate) active: bool,
    #[serde(default)]
    pub(crate) restart_lsn: Option<Position>,
    #[serde(default)]
    pub(crate) confirmed_flush_lsn: Option<Position>,
    /// `reserved`, `extended`, `unreserved` or `lost`; from PostgreSQL 13.
    #[serde(default)]
    pub(crate) wal_status: Option<String>,
    /// Bytes of WAL until the slot is lost.
    #[serde(default)]
    pub(crate) safe_wal_size: Option<i64>,
    /// From PostgreSQL 16.
    #[serde(default)]
    pub(crate) conflicting: Option<bool>,
    /// From PostgreSQL 17.
    #[serde(default)]
    pub(crate) invalidation_reason: Option<String>,
    /// Whether a standby keeps it in sync with the primary's slot by itself; from PostgreSQL 17.
    #[serde(default)]
    pub(crate) synced: Option<bool>,
    /// Whether standbys should keep a copy of it; from PostgreSQL 17.
    #[serde(default)]
    pub(crate) failover: Option<bool>,
    /// Whether it decodes prepared transactions; from PostgreSQL 14.
    #[serde(default)]
    pub(crate) two_phase: Option<bool>,
    /// Microseconds since 1970; from PostgreSQL 17.
    #[serde(default)]
    pub(crate) inactive_since_micros: Option<i64>,
}

impl SlotFacts {
    /// Whether it is a copy for a failover. No client reads it before that.
    pub(crate) fn is_copy(&self) -> bool {
        self.synced == Some(true)
    }
}

/// One JSON object, [`SlotsFacts`].
pub(super) fn sql(slot: &str) -> String {
    let slot = literal(slot);
    format!(
        "SELECT jsonb_build_object(\
         'named', (SELECT to_jsonb(s) || jsonb_build_object('inactive_since_micros', \
         (extract(epoch FROM (to_jsonb(s) ->> 'inactive_since')::timestamptz) * 1000000)::bigint) \
         FROM pg_replication_slots s WHERE s.slot_name = {slot}), \
         'in_use', (SELECT count(*) FROM pg_replication_slots), \
         'others', (SELECT coalesce(jsonb_agg(o.slot_name), '[]') FROM (SELECT s.slot_name FROM pg_replication_slots s \
         WHERE s.database = current_database() AND s.slot_name <> {slot} ORDER BY 1 LIMIT 20) AS o), \
         'physical', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', s.slot_name, 'active', s.active, \
         'wal_status', to_jsonb(s) ->> 'wal_status')), '[]') FROM pg_replication_slots s WHERE s.slot_type = 'physical'), \
         'oldest', (SELECT coalesce(jsonb_agg(to_jsonb(h)), '[]') FROM (SELECT s.slot_name AS name, s.active, \
         greatest(age(s.xmin), age(s.catalog_xmin))::bigint AS age FROM pg_replication_slots s \
         WHERE s.xmin IS NOT NULL OR s.catalog_xmin IS NOT NULL ORDER BY age DESC LIMIT 3) AS h), \
         'databases', (SELECT coalesce(jsonb_agg(to_jsonb(d)), '[]') FROM (SELECT d.datname AS name, \
         age(d.datfrozenxid)::bigint AS age FROM pg_database d ORDER BY age DESC LIMIT 3) AS d))::text"
    )
}
