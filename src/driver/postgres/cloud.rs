//! Servers that a provider manages: recognises the provider by what only its servers have, and knows where to set what
//! `ALTER SYSTEM` sets elsewhere. `facts` and the remedies of `checks` use it. All of it comes from the providers'
//! documentation; none was run.

use serde::{Deserialize, Serialize};

use crate::remedy::Remedy;

/// Who manages a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Provider {
    /// Amazon RDS: <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Parameters.html>
    Rds,
    /// Amazon Aurora, whose settings for all of a cluster's instances are kept apart:
    /// <https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/AuroraPostgreSQL.Reference.ParameterGroups.html>
    Aurora,
    /// Google Cloud SQL: <https://cloud.google.com/sql/docs/postgres/flags>
    CloudSql,
    /// Azure Database for PostgreSQL:
    /// <https://learn.microsoft.com/azure/postgresql/flexible-server/concepts-server-parameters>
    Azure,
}

/// The provider's word, or NULL: each gives its customers a role of its own in place of a superuser. Amazon's driver for
/// Java tells Aurora from RDS by the same extension.
pub(super) const SQL: &str = "SELECT CASE rolname WHEN 'rds_superuser' THEN \
    CASE WHEN current_setting('rds.extensions', true) LIKE '%aurora_stat_utils%' THEN 'aurora' ELSE 'rds' END \
    WHEN 'cloudsqlsuperuser' THEN 'cloud_sql' ELSE 'azure' END FROM pg_roles \
    WHERE rolname IN ('rds_superuser', 'cloudsqlsuperuser', 'azure_pg_admin') ORDER BY rolname LIMIT 1";

impl Provider {
    /// How a setting is set; `restart` for one that holds from a start of the server on.
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

    /// Whether it is one of Amazon's, where replication is a role and no attribute.
    pub(super) fn is_amazons(self) -> bool {
        matches!(self, Self::Rds | Self::Aurora)
    }
}

/// A value as these places want it: a number in the setting's own unit, which is MB for sizes of WAL, ms or s for times.
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
