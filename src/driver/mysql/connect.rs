//! Opens a connection to the only host of an address, or to the writable one of several. Only the driver's `connect`
//! uses it.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{ConnectOptions, Connection as _};

use super::errors;
use super::flavour::{self, Flavour};
use super::galera::{self, Node};
use super::group_replication;
use super::identifier::{self, literal};
use super::login::MysqlLogin;
use super::parameters::{self, Parameters};
use super::query::{self, ServerLimits, SessionLimits};
use crate::database_url::Host;
use crate::driver::certificates::{ClientFiles, read_authorities, read_key, read_own_certificate};
use crate::driver::hosts::{self, Candidate, HostStyle};
use crate::driver::login_guard::{self, LoginGuard};
use crate::driver::network::{close, name_or_network, prefixed};
use crate::driver::{ConnectRequest, Purpose, ServerInfo, ServerRole};
use crate::heartbeat::{ErrorKind, Failure, Stamp};
use crate::plain_text::one_line;
use crate::target::HeartbeatTable;
use crate::time::clock::Instant;

/// How messages speak of a server's hosts.
const HOST_STYLE: HostStyle = HostStyle {
    port: 3306,
    socket_is_file: true,
    standby: "is read-only (read_only), as replicas are",
    read_only: "is read-only by transaction_read_only",
};

/// An open connection and what was learned at its login.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: MySqlConnection,
    /// The guard that carries the connection, if the login could have gone without TLS.
    guard: Option<LoginGuard>,
    pub(super) server: ServerInfo,
    /// The type of `last_update`, as the server writes it; `None` without such a column.
    pub(super) last_update_type: Option<String>,
    pub(super) capabilities: Capabilities,
    /// The name of this program in its statements, for administrators.
    pub(super) application_name: String,
    /// For a node of a Galera cluster, whether it is in sync.
    in_sync: Option<bool>,
    /// What this session's last beat left in the row. Needed if a trigger hides what the next beat did.
    pub(super) last_look: Option<LastLook>,
    /// How long the server may work on a statement of this session.
    pub(super) limits: SessionLimits,
}

/// How to log in to every host.
struct Login {
    options: MySqlConnectOptions,
    /// The client's certificate, if it has one.
    client: Option<ClientFiles>,
    /// Set if the login needs a guard: the password must not be sent in clear, but could be. Holds whether the client
    /// uses TLS if the server offers it.
    guarded: Option<MysqlLogin>,
}

/// What the previous beat left in the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LastLook {
    pub(super) value: Option<Stamp>,
    /// Whether that beat found an older value than the beat before it had left.
    pub(super) fell_back: bool,
}

/// What this server can do. Its variables decide, never its version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Capabilities {
    pub(super) flavour: Flavour,
    /// Whether it is configured for group replication.
    group: bool,
    /// Whether all members of its group accept writes.
    multi_primary: bool,
    /// Those of [`GUARDS`] that this server has.
    guards: Vec<&'static str>,
    /// The session's variable for read-only transactions; it has had two names.
    transaction_read_only: Option<&'static str>,
    /// The server's part in a Galera cluster.
    pub(super) node: Node,
}

/// Each forbids writes while it is ON. The first applies to ordinary users, the others to all; the last is ON on a
/// reader of Aurora, or if the server was started so.
pub(super) const GUARDS: &[&str] = &["read_only", "super_read_only", "innodb_read_only"];
const TRANSACTION_READ_ONLY: &[&str] = &["transaction_read_only", "tx_read_only"];

/// Opens a connection for the purpose of the request.
///
/// # Errors
/// A classified failure. For several hosts it names them all.
pub(super) async fn connect(request: &ConnectRequest<'_>) -> Result<Opened, Failure> {
    for (what, name) in [("schema", &request.target.heartbeat.schema), ("table", &request.target.heartbeat.table)] {
        if let Some(problem) = identifier::problem(name) {
            return Err(Failure::new(ErrorKind::Settings, format!("the name of the heartbeat's {what} {problem}")));
        }
    }
    let login = options(request).await?;
    hosts::find(request, &HOST_STYLE, |host| Box::pin(open(request, &login, host))).await
}

impl Opened {
    /// Gives back what a kept connection does not need after a beat: sqlx begins with room for 8 KiB to write, a beat
    /// needs a tenth of it, and the next one is as long.
    pub(super) fn give_back_buffers(&mut self) {
        self.connection.shrink_buffers();
    }
}

impl Candidate for Opened {
    fn role(&self) -> ServerRole {
        self.server.role
    }

    /// Nothing on these servers shows which of two primaries is newer. In a Galera cluster, a node that sends its data
    /// to another may delay every commit until it is done.
    fn rank(&self) -> Option<u32> {
        self.in_sync.map(u32::from)
    }

    fn close(self, limit: Instant) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            close(self.connection, limit).await;
            login_guard::finish(self.guard, limit).await;
        })
    }
}

/// Connects to one host and reads its state: three messages after the login, four on a node of a Galera cluster or a
/// member of a replication group.
async fn open(request: &ConnectRequest<'_>, login: &Login, host: &Host) -> Result<Opened, Failure> {
    let (address, port) = (HOST_STYLE.address(host), HOST_STYLE.port(host));
    let (connection, guard) = match log_in(login, host, port).await {
        Ok(logged_in) => logged_in,
        Err(failure) => return Err(prefixed(&address, name_or_network(host, port, failure).await)),
    };
    look_around(connection, guard, request, &address).await.map_err(|failure| prefixed(&address, failure))
}

/// Logs in to one host, with a guard if TLS is not certain. A client certificate may be needed over a socket, too,
/// because the client library requests TLS there as well.
async fn log_in(login: &Login, host: &Host, port: u16) -> Result<(MySqlConnection, Option<LoginGuard>), Failure> {
    let Login { options, client, guarded } = login;
    let classify = |error| errors::classify_login(error, client.as_ref());
    let mut options = options.clone();
    let mut guard = None;
    match guarded {
        _ if host.is_socket() => options = options.socket(&host.name),
        None => options = options.host(&host.name).port(port),
        Some(login) => {
            let opened = LoginGuard::connect(&host.name, port, "mysql", *login).await;
            let opened = guard.insert(opened.map_err(|error| classify(error.into()))?);
            options = options.host(&host.name).socket(opened.folder().join("mysql"));
        }
    }
    match options.connect().await {
        Ok(connection) => Ok((connection, guard)),
        Err(error) => Err(guard.as_ref().and_then(LoginGuard::refusal).unwrap_or_else(|| classify(error))),
    }
}

async fn look_around(
    mut connection: MySqlConnection,
    guard: Option<LoginGuard>,
    request: &ConnectRequest<'_>,
    address: &str,
) -> Result<Opened, Failure> {
    let limits = SessionLimits::until(request.deadline, request.target.timeout);
    query::execute(&mut connection, settings_sql(limits.limits())).await?;
    let own = [flavour::VARIABLE, group_replication::NAME, group_replication::SINGLE_PRIMARY, "version"];
    let names = [GUARDS, TRANSACTION_READ_ONLY, galera::VARIABLES, &own].concat();
    let variables = query::show(&mut connection, "GLOBAL VARIABLES", &names).await?;
    let mut capabilities = Capabilities::of(&variables);
    // An inspection may read a node that refuses everything else: it shows its state.
    let in_sync = match capabilities.node.has_library() && request.purpose != Purpose::Inspect {
        true => capabilities.node.must_be_in_its_cluster(&mut connection).await?,
        false => None,
    };
    let sql =
        format!("SELECT {}, ({}) AS column_type", capabilities.role_sql(), column_type_sql(&request.target.heartbeat));
    let row = query::send_for_row(&mut connection, sql).await?;
    if capabilities.group && capabilities.role_of(&row)?.takes_writes() {
        match group_replication::is_a_working_member(&mut connection).await? {
            Some(false) if request.purpose != Purpose::Inspect => return Err(group_replication::no_working_member()),
            // For an inspection, a server outside its group is just a server that accepts writes.
            Some(false) => capabilities.multi_primary = false,
            Some(true) | None => {}
        }
    }
    let flavour = capabilities.flavour.as_str();
    let server = ServerInfo {
        address: address.to_owned(),
        version: one_line(&format!("{flavour} {}", variables.get("version").map_or("", String::as_str))),
        // Every server of a replication has its own identity, and none survives a failover.
        identity: None,
        instance: None,
        timeline: None,
        role: capabilities.role_of(&row)?,
    };
    let last_update_type = query::text(&row, "column_type")?;
    let application_name = identifier::comment(request.application_name);
    let last_look = None;
    Ok(Opened {
        connection,
        guard,
        server,
        last_update_type,
        capabilities,
        application_name,
        in_sync,
        last_look,
        limits,
    })
}

/// The settings of this driver's sessions, regardless of the server's defaults. A pooler may lose any of them without
/// harm: without UTC, only the hour of a clock change is read wrongly, and the statement itself checks `autocommit`.
pub(super) fn settings_sql(limits: ServerLimits) -> String {
    format!("SET autocommit = 1, time_zone = '+00:00', {}, {}", meaning(), limits.settings())
}

/// The settings that change what this driver's statements mean.
///
/// - `sql_mode`: under ORACLE `%` is no operator, and under PAD_CHAR_TO_FULL_LENGTH no account has the name in the
///   query. Strict, so that a value that does not fit is an error. With NO_AUTO_CREATE_USER, which MySQL has until 5.7,
///   a GRANT does not create the account that it names.
/// - `character_set_…`, `collation_connection`: a server may ignore the client's choice at login. Every server has this
///   collation.
/// - `sql_select_limit`, `sql_big_selects`: a cut answer would look complete, and DEFAULT is the server's own value.
/// - `sql_safe_updates`: the column `id` may have no index.
/// - `sql_auto_is_null`: `id IS NULL` would find the last inserted row.
/// - `completion_type`: a COMMIT could open another transaction, or end the session.
/// - `show_gipk_in_create_table_and_information_schema` (MySQL from 8.0.30): the catalogue could hide a primary key
///   that the server generated, and adding another one would then fail.
fn meaning() -> &'static str {
    "sql_mode = CONCAT('STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', \
     IF(VERSION() LIKE '5.%', ',NO_AUTO_CREATE_USER', '') /*M!100107 , ',NO_AUTO_CREATE_USER' */), \
     character_set_client = utf8mb4, character_set_results = utf8mb4, collation_connection = utf8mb4_general_ci, \
     sql_select_limit = 18446744073709551615, sql_big_selects = 1, sql_safe_updates = 0, sql_auto_is_null = 0, \
     completion_type = 0 /*!80030 , show_gipk_in_create_table_and_information_schema = ON */"
}

/// The type of `last_update`; no row without such a column, or without any privilege on it.
pub(super) fn column_type_sql(table: &HeartbeatTable) -> String {
    format!(
        "SELECT DATA_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} \
         AND COLUMN_NAME = 'last_update'",
        literal(&table.schema),
        literal(&table.table)
    )
}

impl Capabilities {
    fn of(variables: &BTreeMap<String, String>) -> Self {
        let known = |name: &&&'static str| variables.contains_key(**name);
        let group = group_replication::is_configured(variables);
        Self {
            flavour: Flavour::of(variables),
            group,
            multi_primary: group && variables.get(group_replication::SINGLE_PRIMARY).is_some_and(|mode| mode == "OFF"),
            guards: GUARDS.iter().filter(known).copied().collect(),
            transaction_read_only: TRANSACTION_READ_ONLY.iter().find(known).copied(),
            node: Node::of(variables),
        }
    }

    /// SQL that is true on a writable server. The values are compared as text, because some servers write ON and OFF,
    /// others 1 and 0.
    pub(super) fn writable_sql(&self) -> String {
        let off = |name: &&str| format!("CONCAT(@@global.{name}) IN ('0', 'OFF')");
        let guards: Vec<_> = self.guards.iter().map(off).collect();
        if guards.is_empty() { "TRUE".to_owned() } else { guards.join(" AND ") }
    }

    /// Two columns for [`Self::role_of`].
    pub(super) fn role_sql(&self) -> String {
        let read_only = self.transaction_read_only.map_or("0".to_owned(), |name| format!("@@session.{name}"));
        format!("{} AS writable, {read_only} AS transaction_read_only", self.writable_sql())
    }

    /// The server's role, from the columns of [`Self::role_sql`].
    pub(super) fn role_of(&self, row: &sqlx::mysql::MySqlRow) -> Result<ServerRole, Failure> {
        let writable = query::number(row, "writable")? == Some(1);
        let read_only = query::number(row, "transaction_read_only")? == Some(1);
        Ok(match (writable, read_only) {
            (false, _) => ServerRole::Standby,
            (true, true) => ServerRole::ReadOnly,
            (true, false) if self.node.is_on() || self.multi_primary => ServerRole::Member,
            (true, false) => ServerRole::Primary,
        })
    }
}

/// The options for every host, and the client's certificate if it has one.
async fn options(request: &ConnectRequest<'_>) -> Result<Login, Failure> {
    let url = &request.endpoint.url;
    let parameters = Parameters::read(url)
        .map_err(|error| Failure::new(ErrorKind::Settings, error.to_string()).with_source(error))?;
    let mut options = MySqlConnectOptions::new()
        .username(&parameters::user_of(url))
        .ssl_mode(parameters.ssl_mode)
        .enable_cleartext_plugin(parameters.clear_text_allowed)
        .statement_cache_capacity(0)
        // By default sqlx would send statements that poolers take for session state.
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(None)
        .set_names(false)
        .disable_statement_logging();
    // An account without a password refuses an empty one.
    if let Some(password) = request.password {
        options = options.password(password.expose());
    }
    if !url.database().is_empty() {
        options = options.database(url.database());
    }
    if let Some(path) = &parameters.root_cert {
        options = options.ssl_ca_from_pem(read_authorities("ssl-ca", path).await?);
    }
    if let Some(files) = &parameters.client_cert {
        options = options
            .ssl_client_cert_from_pem(read_own_certificate("ssl-cert", &files.certificate).await?)
            .ssl_client_key_from_pem(read_key("ssl-key", &files.key).await?);
    }
    let client = parameters.client_cert.filter(|_| !matches!(parameters.ssl_mode, MySqlSslMode::Disabled));
    let uncertain = match parameters.ssl_mode {
        MySqlSslMode::Disabled => Some(MysqlLogin { prefers_tls: false }),
        MySqlSslMode::Preferred => Some(MysqlLogin { prefers_tls: true }),
        _ => None,
    };
    let guarded = uncertain.filter(|_| request.password.is_some() && !parameters.clear_text_allowed);
    Ok(Login { options, client, guarded })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capabilities(names: &[&str]) -> Capabilities {
        Capabilities::of(&names.iter().map(|name| ((*name).to_owned(), String::new())).collect())
    }

    #[test]
    fn the_guard_asks_for_every_variable_that_the_server_has_and_for_no_other() {
        insta::assert_snapshot!(capabilities(&["read_only", "gtid_strict_mode", "tx_read_only"]).role_sql(), @"CONCAT(@@global.read_only) IN ('0', 'OFF') AS writable, @@session.tx_read_only AS transaction_read_only");
        insta::assert_snapshot!(capabilities(&["read_only", "super_read_only", "innodb_read_only", "transaction_read_only"]).role_sql(), @"CONCAT(@@global.read_only) IN ('0', 'OFF') AND CONCAT(@@global.super_read_only) IN ('0', 'OFF') AND CONCAT(@@global.innodb_read_only) IN ('0', 'OFF') AS writable, @@session.transaction_read_only AS transaction_read_only");
    }

    #[test]
    fn the_flavour_is_found_by_a_variable() {
        assert_eq!(capabilities(&["gtid_strict_mode"]).flavour, Flavour::MariaDb);
        assert_eq!(capabilities(&["super_read_only"]).flavour, Flavour::MySql);
    }
}
