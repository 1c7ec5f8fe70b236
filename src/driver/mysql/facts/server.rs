//! The server and its variables.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::mysql::MySqlConnection;

use crate::driver::mysql::cloud::Provider;
use crate::driver::mysql::flavour::{self, Flavour};
use crate::driver::mysql::group_replication;
use crate::driver::mysql::identifier::Account;
use crate::driver::mysql::name_case::{self, NameCase};
use crate::driver::mysql::query;
use crate::heartbeat::Failure;

/// The server as this session sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServerFacts {
    /// As the server writes it: `10.11.6-MariaDB-1-log`, `9.1.0`.
    pub(crate) version: String,
    #[serde(rename = "mariadb")]
    pub(crate) flavour: Flavour,
    /// The provider that manages it, if one does: its variables are then set elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) managed: Option<Provider>,
    /// The account that the server uses for this session.
    #[serde(flatten)]
    pub(crate) account: Account,
    /// The database of this session.
    pub(crate) database: Option<String>,
    /// The server's clock, in microseconds since 1970.
    pub(crate) time: i64,
    /// Whether this session is encrypted (behind a proxy: the proxy's).
    pub(crate) encrypted: bool,
    /// Whether the writes of this session go to the binary log.
    pub(crate) session_binlog: bool,
    /// Whether a setting makes this session's transactions read-only.
    pub(crate) session_read_only: bool,
    /// Whether a server that is configured for group replication is a working member of its group; `None` if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) group_member: Option<bool>,
    /// A digest of the transactions in the binary log; `None` if the server does not record them.
    pub(crate) transactions: Option<String>,
    /// The variables that the checks use, by name. A missing one is unknown to this server.
    pub(crate) variables: BTreeMap<String, String>,
    /// The status values that the checks use, by name.
    pub(crate) status: BTreeMap<String, String>,
}

const VARIABLES: &[&str] = &[
    "activate_all_roles_on_login",
    "activate_mandatory_roles",
    "binlog_expire_logs_auto_purge",
    "binlog_expire_logs_seconds",
    "binlog_format",
    "binlog_row_image",
    "binlog_row_metadata",
    "binlog_row_value_options",
    "binlog_space_limit",
    "enforce_gtid_consistency",
    "event_scheduler",
    "expire_logs_days",
    group_replication::NAME,
    group_replication::SINGLE_PRIMARY,
    "gtid_mode",
    flavour::VARIABLE,
    "innodb_read_only",
    "log_bin",
    "log_bin_compress",
    "log_replica_updates",
    "log_slave_updates",
    name_case::VARIABLE,
    "mandatory_roles",
    "max_binlog_total_size",
    "partial_revokes",
    "persisted_globals_load",
    "read_only",
    "server_id",
    "slave_connections_needed_for_purge",
    "super_read_only",
    "transaction_read_only",
    "tx_read_only",
    "version",
    "wsrep_gtid_mode",
    "wsrep_on",
    "wsrep_provider",
    "wsrep_reject_queries",
];
const STATUS: &[&str] = &[
    "Ssl_cipher",
    "wsrep_cluster_size",
    "wsrep_cluster_status",
    "wsrep_connected",
    "wsrep_local_state_comment",
    "wsrep_ready",
];

/// Reads the variables, the status values, and the state of this session.
///
/// # Errors
/// The server's error, classified.
pub(super) async fn gather(connection: &mut MySqlConnection) -> Result<ServerFacts, Failure> {
    let variables = query::show(connection, "GLOBAL VARIABLES", VARIABLES).await?;
    let mut status = query::show(connection, "SESSION STATUS", STATUS).await?;
    let encrypted = status.remove("ssl_cipher").is_some_and(|cipher| !cipher.is_empty());
    let flavour = Flavour::of(&variables);
    let provider = format!("SHOW GLOBAL VARIABLES WHERE {}", Provider::variables_sql());
    // Only the names matter: the values are private.
    let managed = Provider::of(&query::pairs(&query::send(connection, provider).await?)?);
    let group_member = match group_replication::is_configured(&variables) {
        true => group_replication::is_a_working_member(connection).await?,
        false => None,
    };
    let transactions = if flavour.is_mariadb() {
        "@@global.gtid_binlog_pos"
    } else if variables.contains_key("gtid_mode") {
        "SHA2(@@global.gtid_executed, 256)"
    } else {
        "NULL"
    };
    let read_only = ["transaction_read_only", "tx_read_only"].into_iter().find(|name| variables.contains_key(*name));
    let read_only = read_only.map_or("0".to_owned(), |name| format!("@@session.{name}"));
    let sql = format!(
        "SELECT CURRENT_USER() AS account, DATABASE() AS name, \
         CAST(@@session.timestamp * 1000000 AS SIGNED) AS time, @@session.sql_log_bin AS logged, \
         {read_only} AS read_only, {transactions} AS transactions"
    );
    let row = query::send_for_row(connection, sql).await?;
    Ok(ServerFacts {
        version: variables.get("version").cloned().unwrap_or_default(),
        flavour,
        managed,
        account: Account::read(&query::text(&row, "account")?.unwrap_or_default()),
        database: query::text(&row, "name")?,
        time: query::number(&row, "time")?.unwrap_or_default(),
        encrypted,
        session_binlog: query::number(&row, "logged")? != Some(0),
        session_read_only: query::number(&row, "read_only")? == Some(1),
        group_member,
        transactions: query::text(&row, "transactions")?,
        variables,
        status,
    })
}

impl ServerFacts {
    /// Major, minor and patch: 10, 11, 6.
    pub(crate) fn numbers(&self) -> (u32, u32, u32) {
        // MariaDB writes this prefix for old replicas, which could not read its version.
        let version = self.version.strip_prefix("5.5.5-").unwrap_or(&self.version);
        let mut numbers =
            version.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse::<u32>().ok()).take(3);
        let mut next = || numbers.next().unwrap_or(0);
        (next(), next(), next())
    }

    /// How it compares the names of schemas and tables.
    pub(crate) fn naming(&self) -> NameCase {
        NameCase::of(&self.variables)
    }

    /// A variable's value.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Whether a variable is on. Servers use different words for it.
    pub(crate) fn is_on(&self, name: &str) -> Option<bool> {
        self.variable(name).map(|value| !matches!(value, "OFF" | "0" | "NO"))
    }

    /// A variable that is a number.
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        self.variable(name)?.parse().ok()
    }
}
