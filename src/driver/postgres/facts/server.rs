//! The server and its settings.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::driver::postgres::cloud::{self, Provider};

/// The server as this session sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServerFacts {
    /// As the server writes it.
    pub(crate) version: String,
    /// 150020 for 15.20.
    pub(crate) version_number: u32,
    /// Whether it is a standby.
    pub(crate) in_recovery: bool,
    /// The user of this session.
    pub(crate) user: String,
    /// The database of this session.
    pub(crate) database: String,
    /// The server's clock, in microseconds since 1970.
    pub(crate) time: i64,
    /// When it was started, in microseconds since 1970.
    pub(crate) started_at: i64,
    /// Whether this session is encrypted (behind a pooler: the pooler's).
    pub(crate) encrypted: Option<bool>,
    /// The settings that the checks use, by name. A missing one is unknown to this version, or hidden.
    pub(crate) settings: BTreeMap<String, Setting>,
    /// The provider that manages the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<Provider>,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Setting {
    pub(crate) setting: String,
    #[serde(default)]
    pub(crate) unit: Option<String>,
    /// The source of the value: `default`, `configuration file`, `user`, `database` …
    pub(crate) source: String,
    /// Whether another value will apply after a restart.
    #[serde(default)]
    pub(crate) pending_restart: bool,
}

pub(super) fn sql() -> String {
    format!(
        "SELECT jsonb_build_object(\
    'version', current_setting('server_version'), \
    'version_number', current_setting('server_version_num')::int, \
    'in_recovery', pg_is_in_recovery(), \
    'user', current_user, \
    'database', current_database(), \
    'time', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, \
    'started_at', (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint, \
    'encrypted', (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), \
    'settings', (SELECT coalesce(jsonb_object_agg(name, jsonb_build_object('setting', setting, 'unit', unit, \
    'source', source, 'pending_restart', pending_restart)), '{{}}') FROM pg_settings WHERE name IN (\
    'allow_alter_system', 'archive_mode', 'archive_timeout', 'cron.database_name', 'default_transaction_read_only', 'hot_standby_feedback', \
    'idle_replication_slot_timeout', 'max_replication_slots', 'max_slot_wal_keep_size', 'max_wal_senders', \
    'rds.logical_replication', 'synchronized_standby_slots', 'synchronous_commit', 'synchronous_standby_names', 'wal_level', 'wal_segment_size', \
    'wal_sender_timeout')), 'provider', ({provider}))::text",
        provider = cloud::SQL
    )
}

impl ServerFacts {
    /// 15 for 15.20.
    pub(crate) fn major(&self) -> u32 {
        self.version_number / 10_000
    }

    /// A setting's value.
    pub(crate) fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(|setting| setting.setting.as_str())
    }

    /// The value of a numeric setting.
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.setting(name)?.parse().ok()
    }

    /// The value of a size setting in bytes; negative means "no limit".
    pub(crate) fn bytes(&self, name: &str) -> Option<i64> {
        let setting = self.settings.get(name)?;
        let number: i64 = setting.setting.parse().ok()?;
        let unit = match setting.unit.as_deref()? {
            "B" => 1,
            "kB" => 1024,
            "8kB" => 8 * 1024,
            "MB" => 1024 * 1024,
            "16MB" => 16 * 1024 * 1024,
            "GB" => 1024 * 1024 * 1024,
            _ => return None,
        };
        Some(number.saturating_mul(unit))
    }

    /// The value of a time setting; zero means "off".
    pub(crate) fn duration(&self, name: &str) -> Option<Duration> {
        let setting = self.settings.get(name)?;
        let number: u64 = setting.setting.parse().ok()?;
        Some(match setting.unit.as_deref()? {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "min" => Duration::from_secs(number.saturating_mul(60)),
            _ => return None,
        })
    }
}
