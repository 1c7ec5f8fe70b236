//! The servers that this one replicates from, and what its filters exclude.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::mysql::MySqlConnection;

use super::question::{ask, by_name};
use super::server::ServerFacts;
use crate::driver::answer::Answer;
use crate::heartbeat::Failure;

/// One source. Error texts are not read, because they quote statements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Channel {
    /// Empty for the channel without a name.
    pub(crate) name: String,
    /// `host:port` of the source.
    pub(crate) source: String,
    /// Whether it is connected to the source: `Yes`, `No`, `Connecting`, `Preparing`.
    pub(crate) receiving: String,
    /// Whether it applies the changes that it received.
    pub(crate) applying: bool,
    /// The number of the error that stopped it from receiving; zero for none.
    pub(crate) receive_error: i64,
    pub(crate) apply_error: i64,
    /// In seconds; `None` if the server does not know.
    pub(crate) behind: Option<i64>,
    /// The filters that are not empty, by their names in lower case without `replicate_`.
    pub(crate) filters: BTreeMap<String, String>,
}

/// Reads every channel.
///
/// # Errors
/// A failure that ends the connection.
pub(super) async fn gather(
    connection: &mut MySqlConnection,
    server: &ServerFacts,
) -> Result<Answer<Vec<Channel>>, Failure> {
    let sql = if server.flavour.is_mariadb() {
        "SHOW ALL SLAVES STATUS"
    } else if server.variables.contains_key("log_replica_updates") {
        "SHOW REPLICA STATUS"
    } else {
        "SHOW SLAVE STATUS"
    };
    ask(connection, sql.to_owned()).await?.map(|rows| {
        let channels: Result<Vec<_>, Failure> = rows.iter().map(|row| Ok(Channel::of(&by_name(row)?))).collect();
        // The channels inside a replication group have no source.
        Ok(channels?.into_iter().filter(|channel| !channel.name.starts_with("group_replication_")).collect())
    })
}

impl Channel {
    /// Whether at least one of its threads runs.
    pub(crate) fn runs(&self) -> bool {
        self.applying || self.receiving != "No"
    }

    fn of(columns: &BTreeMap<String, String>) -> Self {
        // Each of these columns has an older name.
        let column = |names: [&str; 2]| names.iter().find_map(|name| columns.get(*name)).cloned();
        let number = |names: [&str; 2]| column(names).and_then(|text| text.parse::<i64>().ok());
        let text = |names: [&str; 2]| column(names).unwrap_or_default();
        let filters = columns.iter().filter(|(_, value)| !value.is_empty());
        let filters =
            filters.filter_map(|(name, value)| Some((name.strip_prefix("replicate_")?.to_owned(), value.clone())));
        Self {
            name: text(["channel_name", "connection_name"]),
            source: format!("{}:{}", text(["source_host", "master_host"]), text(["source_port", "master_port"])),
            receiving: text(["replica_io_running", "slave_io_running"]),
            applying: text(["replica_sql_running", "slave_sql_running"]) == "Yes",
            receive_error: number(["last_io_errno", "last_io_errno"]).unwrap_or(0),
            apply_error: number(["last_sql_errno", "last_sql_errno"]).unwrap_or(0),
            behind: number(["seconds_behind_source", "seconds_behind_master"]),
            filters: filters.filter(|(name, _)| name != "ignore_server_ids").collect(),
        }
    }
}
