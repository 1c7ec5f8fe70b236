//! Recognises servers that a provider manages by their variables, and knows where the provider sets what an option file
//! sets elsewhere. `facts` and the remedies of `checks` use it. All of it comes from the providers' documentation; none
//! of it was run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::remedy::Remedy;

/// The provider that manages a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Provider {
    /// Amazon RDS: <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithParamGroups.html>
    Rds,
    /// Amazon Aurora, which keeps the settings for all instances of a cluster apart:
    /// <https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/USER_LogAccess.MySQL.BinaryFormat.html>
    Aurora,
    /// Google Cloud SQL: <https://cloud.google.com/sql/docs/mysql/flags>
    CloudSql,
    /// Azure Database for MySQL: <https://learn.microsoft.com/azure/mysql/flexible-server/concepts-server-parameters>
    Azure,
}

/// Prefixes of variables that only one provider's servers have. Not `rds_`, because Alibaba's AliSQL has such
/// variables, too: `rds_sql_max_iops`.
const PREFIXES: &[(&str, Provider)] = &[
    ("aurora_", Provider::Aurora),
    ("cloudsql_", Provider::CloudSql),
    ("azure_", Provider::Azure),
    ("aad_auth_", Provider::Azure),
];
/// The folder of the server's programs on RDS and Aurora.
const RDS_FOLDER: &str = "/rdsdbbin";

impl Provider {
    /// A condition for SHOW VARIABLES that finds what [`Self::of`] reads.
    pub(super) fn variables_sql() -> String {
        let begin = |(prefix, _): &(&str, Provider)| format!("LEFT(Variable_name, {}) = '{prefix}'", prefix.len());
        let prefixes: Vec<String> = PREFIXES.iter().map(begin).collect();
        format!("Variable_name = 'basedir' OR {}", prefixes.join(" OR "))
    }

    /// Recognises the provider by the server's variables.
    pub(super) fn of(variables: &BTreeMap<String, String>) -> Option<Self> {
        let has = |prefix: &str| variables.keys().any(|name| name.starts_with(prefix));
        let named = PREFIXES.iter().find(|(prefix, _)| has(prefix)).map(|(_, managed)| *managed);
        let is_amazons = || variables.get("basedir").is_some_and(|folder| folder.starts_with(RDS_FOLDER));
        named.or_else(|| is_amazons().then_some(Self::Rds))
    }

    /// Whether Amazon manages it. These servers keep the retention of the binary log in a table.
    pub(super) fn is_amazons(self) -> bool {
        matches!(self, Self::Rds | Self::Aurora)
    }

    /// How to set a value.
    pub(super) fn set(self, values: &str) -> String {
        match self {
            Self::Rds => format!("set {values} in the parameter group"),
            Self::Aurora => format!("set {values} in the cluster parameter group"),
            Self::CloudSql => format!("set {values} among the instance's database flags"),
            Self::Azure => format!("set {values} among the server parameters"),
        }
    }

    /// As [`Self::set`], for a value that takes effect when the server starts.
    pub(super) fn set_at_start(self, values: &str) -> String {
        match self {
            Self::Rds | Self::Aurora => format!("{}, and reboot the instance", self.set(values)),
            Self::CloudSql => format!("{}, which restarts it", self.set(values)),
            Self::Azure => format!("{}, and restart the server", self.set(values)),
        }
    }

    /// How to set a replication filter on a replica; the value is a list.
    pub(super) fn set_filter(self, filter: &str, value: &str) -> String {
        let name = match self {
            Self::Rds | Self::Aurora => format!("replicate_{filter}").replace('_', "-"),
            Self::CloudSql | Self::Azure => format!("replicate_{filter}"),
        };
        self.set(&format!("{name} = {value}"))
    }

    /// How to end a session.
    pub(super) fn kill(self, id: &str) -> String {
        match self {
            Self::Rds | Self::Aurora => format!("CALL mysql.rds_kill({id});"),
            Self::Azure => format!("CALL mysql.az_kill({id});"),
            Self::CloudSql => format!("KILL {id};"),
        }
    }

    /// How to switch on the binary log.
    pub(super) fn log_binary(self) -> &'static str {
        match self {
            Self::Rds => "switch automated backups on: without them the instance has no binary log",
            Self::Aurora => {
                "set binlog_format = ROW in the cluster parameter group, and reboot the writer: until then there is none"
            }
            Self::CloudSql => "switch point-in-time recovery on (binary logging), which requires automated backups",
            Self::Azure => "ask Azure: its servers have a binary log that cannot be switched off",
        }
    }

    /// How to start replication on a replica, where the customer's administrator may not run START REPLICA.
    pub(super) fn start_replication(self) -> Remedy {
        match self {
            Self::Rds | Self::Aurora => Remedy::sql("CALL mysql.rds_start_replication;"),
            Self::CloudSql => Remedy::advice(
                "enable replication on the replica's page (gcloud sql instances patch REPLICA \
                 --enable-database-replication)",
            ),
            Self::Azure => Remedy::sql("CALL mysql.az_replication_start;"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Option<Provider> {
        Provider::of(&variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_provider_is_recognised_by_variables_that_no_other_has() {
        assert_eq!(of(&[("basedir", "/rdsdbbin/mysql-8.0.40.R1/")]), Some(Provider::Rds));
        assert_eq!(of(&[("basedir", "/rdsdbbin/oscar-8.0/"), ("aurora_version", "3.08.0")]), Some(Provider::Aurora));
        assert_eq!(of(&[("basedir", "/usr/"), ("aurora_lab_mode", "OFF")]), Some(Provider::Aurora));
        assert_eq!(of(&[("basedir", "/usr/"), ("cloudsql_iam_authentication", "ON")]), Some(Provider::CloudSql));
        assert_eq!(of(&[("basedir", "/usr/"), ("aad_auth_only", "OFF")]), Some(Provider::Azure));
        assert_eq!(of(&[("basedir", "/usr/")]), None);
        // Alibaba's AliSQL has variables that begin as Amazon's do.
        assert_eq!(
            of(&[("basedir", "/u01/mysql/"), ("rds_sql_max_iops", "0"), ("rds_audit_max_sql_size", "8192")]),
            None
        );
    }

    #[test]
    fn aurora_has_a_binary_log_once_its_cluster_has_a_binlog_format() {
        assert!(Provider::Aurora.log_binary().starts_with("set binlog_format = ROW in the cluster parameter group"));
        assert!(Provider::Rds.log_binary().contains("automated backups"));
    }
}
