//! Recognises servers that a provider manages, by what only its servers have, and knows where the provider sets what
//! `ALTER SYSTEM` sets elsewhere. `facts` and the remedies of `checks` use it. All of it comes from the providers'
//! documentation; none of it was run.

use serde::{Deserialize, Serialize};

use crate::remedy::Remedy;

/// The provider that manages a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Provider {
    /// Amazon RDS: <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Parameters.html>
    Rds,
    /// Amazon Aurora, which keeps the settings for all instances of a cluster apart:
    /// <https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/AuroraPostgreSQL.Reference.ParameterGroups.html>
    Aurora,
    /// Google Cloud SQL: <https://cloud.google.com/sql/docs/postgres/flags>
    CloudSql,
    /// Azure Database for PostgreSQL:
    /// <https://learn.microsoft.com/azure/postgresql/flexible-server/concepts-server-parameters>
    Azure,
}

/// The provider's name, or NULL. Each provider gives its customers a role of its own instead of a superuser. Amazon's
/// JDBC driver separates Aurora from RDS by the same extension.
pub(super) const SQL: &str = "SELECT CASE rolname WHEN 'rds_superuser' THEN \
    CASE WHEN current_setting('rds.extensions', true) LIKE '%aurora_stat_utils%' THEN 'aurora' ELSE 'rds' END \
    WHEN 'cloudsqlsuperuser' THEN 'cloud_sql' ELSE 'azure' END FROM pg_roles \
    WHERE rolname IN ('rds_superuser', 'cloudsqlsuperuser', 'azure_pg_admin') ORDER BY rolname LIMIT 1";

impl Provider {
    /// How to set a setting; `restart` if it takes effect when the server starts.
    pub(super) fn set(self, setting: &str, value: &str, restart: bool) -> Remedy {
        let (setting, value) = match (self, setting) {
            (Self::Rds | Self::Aurora, "wal_level") => ("rds.logical_replication", "1".to_owned()),
            (Self::CloudSql, "wal_level") => ("cloudsql.logical_decoding", "on".to_owned()),
            _ => (setting, in_base_unit(value)),
        };
        let (place, then) = match self {
            Self::Rds => ("in the parameter group", ", and reboot the instance"),
            Self::Aurora => ("in the cluster parameter group", ", and reboot the instances"),
            Self::CloudSql => ("among the instance's database flags", ", which restarts it"),
            Self::Azure => ("among the server parameters", ", and restart the server"),
        };
        Remedy::advice(format!("set {setting} = {value} {place}{}", if restart { then } else { "" }))
    }

    /// Whether Amazon manages it: there, replication is a role and not an attribute.
    pub(super) fn is_amazons(self) -> bool {
        matches!(self, Self::Rds | Self::Aurora)
    }
}

/// A value in the form that providers expect: a number in the setting's own unit, which is MB for sizes of WAL, ms or s
/// for times.
fn in_base_unit(value: &str) -> String {
    let times = |unit: &str, factor: u64| Some(value.strip_suffix(unit)?.parse::<u64>().ok()?.saturating_mul(factor));
    let number = times("GB", 1024).or_else(|| times("min", 60_000)).or_else(|| times("s", 1));
    number.map_or_else(|| value.to_owned(), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_set_where_the_provider_has_it_and_in_its_own_unit() {
        let set =
            |provider: Provider, setting: &str, value: &str, restart| provider.set(setting, value, restart).to_string();
        assert_eq!(
            set(Provider::Rds, "max_slot_wal_keep_size", "50GB", false),
            "set max_slot_wal_keep_size = 51200 in the parameter group"
        );
        assert_eq!(
            set(Provider::Aurora, "wal_level", "logical", true),
            "set rds.logical_replication = 1 in the cluster parameter group, and reboot the instances"
        );
        assert_eq!(
            set(Provider::CloudSql, "wal_level", "logical", true),
            "set cloudsql.logical_decoding = on among the instance's database flags, which restarts it"
        );
        assert_eq!(
            set(Provider::Azure, "wal_sender_timeout", "10min", false),
            "set wal_sender_timeout = 600000 among the server parameters"
        );
    }
}
