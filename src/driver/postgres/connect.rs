//! Opens a connection to the only host of an address, or to the writable one of several. Only the driver's `connect`
//! uses it.

use futures_util::future::BoxFuture;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Connection as _, Row};

use super::errors;
use super::identifier::{self, literal};
use super::login::PostgresLogin;
use super::parameters::{self, Parameters};
use super::query::{self, ServerLimits};
use crate::database_url::Host;
use crate::driver::certificates::{self, ClientFiles, read_authorities, read_key, read_own_certificate};
use crate::driver::hosts::{self, Candidate, HostStyle};
use crate::driver::login_guard::{self, LoginGuard};
use crate::driver::network::{close, name_or_network, prefixed};
use crate::driver::{ConnectRequest, Purpose, ServerInfo, ServerRole};
use crate::heartbeat::{ErrorKind, Failure};
use crate::plain_text::one_line;
use crate::target::Endpoint;
use crate::time::clock::Instant;

/// How messages speak of a server's hosts.
const HOST_STYLE: HostStyle = HostStyle {
    port: 5432,
    socket_is_file: false,
    standby: "is a standby",
    read_only: "is read-only by default_transaction_read_only",
};

/// An open connection and what was learned at its login.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: PgConnection,
    /// The guard that carries the connection, if the login could have gone without TLS.
    guard: Option<LoginGuard>,
    pub(super) server: ServerInfo,
    /// `None` without such a column.
    pub(super) column: Option<LastUpdate>,
    /// Whether this user may query the WAL position.
    pub(super) position: bool,
    /// Whether it is a session of `url`; otherwise it is one of `provision_url`.
    pub(super) over_url: bool,
}

/// How to log in to every host.
struct Login {
    options: PgConnectOptions,
    /// The client's certificate, if it has one.
    client: Option<ClientFiles>,
    /// Whether the login needs a guard: the password must not be sent in clear, but could be.
    guarded: bool,
}

/// The column `last_update`, as a beat needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LastUpdate {
    pub(super) column: Column,
    /// How many decimal digits of a second it keeps: 6, unless it was created with fewer.
    pub(super) digits: u8,
}

/// The decimal digits of a second in a column without a precision.
pub(super) const ALL_DIGITS: u8 = 6;

/// The type of `last_update`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Column {
    /// `timestamp`: written in UTC.
    WithoutZone,
    /// `timestamptz`.
    WithZone,
    /// Not a time: the type as the server writes it.
    Other(String),
}

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

    /// Each promotion increases the timeline.
    fn rank(&self) -> Option<u32> {
        self.server.timeline
    }

    fn close(self, limit: Instant) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            close(self.connection, limit).await;
            login_guard::finish(self.guard, limit).await;
        })
    }
}

/// Derives the server's role from two columns of [`probe_sql`].
pub(super) fn role_of(in_recovery: bool, read_only: bool) -> ServerRole {
    match (in_recovery, read_only) {
        (true, _) => ServerRole::Standby,
        (false, true) => ServerRole::ReadOnly,
        (false, false) => ServerRole::Primary,
    }
}

/// Each host of an address that names several: its name, and an address for it alone.
pub(super) fn each_host(endpoint: &Endpoint) -> Vec<(String, Endpoint)> {
    let by_itself = |host: &Host| {
        let endpoint = Endpoint { url: endpoint.url.with_host(host), ..endpoint.clone() };
        (HOST_STYLE.address(host), endpoint)
    };
    match endpoint.url.hosts() {
        [_] => Vec::new(),
        hosts => hosts.iter().map(by_itself).collect(),
    }
}

/// Connects to one host and reads its state: two messages, three on a primary.
async fn open(request: &ConnectRequest<'_>, login: &Login, host: &Host) -> Result<Opened, Failure> {
    let (address, port) = (HOST_STYLE.address(host), HOST_STYLE.port(host));
    let (mut connection, guard) = match log_in(login, host, port).await {
        Ok(logged_in) => logged_in,
        Err(failure) => return Err(prefixed(&address, name_or_network(host, port, failure).await)),
    };
    let limits = ServerLimits::until(request.deadline);
    let mut opened = look_around(&mut connection, request, limits).await.map_err(|e| prefixed(&address, e))?;
    opened.0.address.clone_from(&address);
    let (mut server, column, position) = opened;
    server.identity = ask_hidden(&mut connection, limits, IDENTITY).await?;
    if let (Some(known), Some(found)) = (request.known_identity, &server.identity)
        && known != found
    {
        let message = format!("{address} is another database cluster ({found}) than the one known so far ({known})");
        return Err(Failure::new(ErrorKind::Identity, message));
    }
    if server.role == ServerRole::Primary {
        let hexadecimal = ask_hidden(&mut connection, limits, TIMELINE).await?;
        server.timeline = hexadecimal.and_then(|digits| u32::from_str_radix(&digits, 16).ok());
    }
    // An inspection may read a server on an old timeline.
    if request.purpose != Purpose::Inspect
        && let (Some(own), Some(newest)) = (server.timeline, request.timelines.and_then(|it| it.newer_than(&server)))
    {
        let message = format!(
            "{address} takes writes on timeline {own}, and timeline {newest} of the same database cluster is known: \
             another server was promoted in its place"
        );
        return Err(Failure::new(ErrorKind::OldTimeline, message));
    }
    let over_url = request.endpoint == &request.target.endpoint;
    Ok(Opened { connection, guard, server, column, position, over_url })
}

/// Logs in to one host. A socket gets no TLS; a connection whose TLS is not certain gets a guard.
async fn log_in(login: &Login, host: &Host, port: u16) -> Result<(PgConnection, Option<LoginGuard>), Failure> {
    let Login { options, client, guarded } = login;
    if host.is_socket() {
        let options = options.clone().socket(&host.name).port(port).ssl_mode(PgSslMode::Disable);
        return options.connect().await.map(|connection| (connection, None)).map_err(errors::classify_login);
    }
    let mut options = options.clone().host(&host.name).port(port);
    let mut guard = None;
    if *guarded {
        // sqlx expects this file name for a socket in a folder.
        let file = format!(".s.PGSQL.{port}");
        let opened = LoginGuard::connect(&host.name, port, &file, PostgresLogin).await;
        let opened = guard.insert(opened.map_err(|error| errors::classify(error.into()))?);
        options = options.socket(opened.folder());
    }
    match options.connect().await {
        Ok(connection) => Ok((connection, guard)),
        Err(error) => Err(guard.as_ref().and_then(LoginGuard::refusal).unwrap_or_else(|| {
            certificates::failure_of(error, client.as_ref()).unwrap_or_else(errors::classify_login)
        })),
    }
}

/// Identifies the cluster.
const IDENTITY: &str = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()";
/// The timeline, which each promotion increases. The name of a WAL segment starts with it. The segment is that of the
/// current write position, because the control file of a newly promoted server has the old timeline until its first
/// checkpoint.
const TIMELINE: &str = "SELECT substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8)";

/// Reads something that managed flavours hide; a refusal leaves it unknown. It needs a message of its own, because its
/// error would discard the rest of the message.
async fn ask_hidden(
    connection: &mut PgConnection,
    limits: ServerLimits,
    question: &str,
) -> Result<Option<String>, Failure> {
    match query::send_for_row(connection, format!("{} {question}", limits.sql())).await {
        Ok(row) => row.try_get(0).map_err(errors::classify),
        // An error without a code does not come from the server: the connection is lost.
        Err(failure) if failure.code().is_none() => Err(failure),
        Err(failure) if matches!(failure.kind(), ErrorKind::Shutdown | ErrorKind::Starting) => Err(failure),
        Err(_) => Ok(None),
    }
}

async fn look_around(
    connection: &mut PgConnection,
    request: &ConnectRequest<'_>,
    limits: ServerLimits,
) -> Result<(ServerInfo, Option<LastUpdate>, bool), Failure> {
    let sql =
        format!("{} {}", limits.sql(), probe_sql(&request.target.heartbeat.schema, &request.target.heartbeat.table));
    let row = query::send_for_row(connection, sql).await?;
    let read = || -> Result<_, sqlx::Error> {
        let version: String = row.try_get("version")?;
        let server = ServerInfo {
            address: String::new(),
            version: one_line(&format!("PostgreSQL {version}")),
            identity: None,
            instance: Some(row.try_get::<i64, _>("started")?.to_string()),
            timeline: None,
            role: role_of(row.try_get("in_recovery")?, row.try_get("read_only")?),
        };
        let column = row.try_get::<Option<String>, _>("column_type")?.map(|name| LastUpdate::from_type(&name));
        Ok((server, column, row.try_get::<Option<bool>, _>("position")?.unwrap_or(false)))
    };
    read().map_err(errors::classify)
}

/// The first query after a login. It compares names as text and joins by OIDs, because looking up a table by its
/// qualified name requires a privilege on its schema.
fn probe_sql(schema: &str, table: &str) -> String {
    format!(
        "SELECT pg_catalog.pg_is_in_recovery() AS in_recovery, \
         pg_catalog.current_setting('transaction_read_only') = 'on' AS read_only, \
         pg_catalog.current_setting('server_version') AS version, \
         (extract(epoch FROM pg_catalog.pg_postmaster_start_time()) * 1000000)::bigint AS started, \
         ({}) AS column_type, \
         (SELECT pg_catalog.has_function_privilege(p.oid, 'EXECUTE') FROM pg_catalog.pg_proc p \
         WHERE p.proname = 'pg_current_wal_insert_lsn' AND p.pronargs = 0 \
         AND p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace) AS position",
        column_type_sql(schema, table)
    )
}

/// The type of `last_update` with its precision (for a domain, the base type); no row without such a column.
pub(super) fn column_type_sql(schema: &str, table: &str) -> String {
    format!(
        "SELECT CASE t.typtype WHEN 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) \
         ELSE pg_catalog.format_type(t.oid, a.atttypmod) END \
         FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
         WHERE n.nspname = {} AND c.relname = {} AND a.attname = 'last_update' \
         AND a.attnum > 0 AND NOT a.attisdropped",
        literal(schema),
        literal(table)
    )
}

impl LastUpdate {
    /// Parses the name that `format_type` returns: `timestamp(0) without time zone`.
    pub(super) fn from_type(name: &str) -> Self {
        let parts = name.split_once('(').and_then(|(before, rest)| Some((before, rest.split_once(')')?)));
        let Some((before, (digits, after))) = parts else {
            return Self { column: Column::from_type(name.to_owned()), digits: ALL_DIGITS };
        };
        Self { column: Column::from_type(format!("{before}{after}")), digits: digits.parse().unwrap_or(ALL_DIGITS) }
    }
}

impl Column {
    /// Parses the name that `format_type` returns.
    pub(super) fn from_type(name: String) -> Self {
        match name.as_str() {
            "timestamp without time zone" => Self::WithoutZone,
            "timestamp with time zone" => Self::WithZone,
            _ => Self::Other(name),
        }
    }
}

/// Sets every field itself. sqlx fills `PGOPTIONS`, `PGSSLCERT` and `PGSSLKEY` from the environment, and these cannot
/// be cleared here. So `main` makes sure that no `PG*` variable is set.
///
/// Returns the options for every host, and the client's certificate if it has one.
async fn options(request: &ConnectRequest<'_>) -> Result<Login, Failure> {
    let url = &request.endpoint.url;
    let parameters = Parameters::read(url)
        .map_err(|error| Failure::new(ErrorKind::Settings, error.to_string()).with_source(error))?;
    let name = parameters.application_name.as_deref().unwrap_or(request.application_name);
    let mut options = PgConnectOptions::new_without_pgpass()
        .username(&parameters::user_of(url))
        // sqlx also sends an empty password if there is none.
        .password(request.password.map_or("", crate::secret::Secret::expose))
        .database(&parameters::database_of(url))
        .application_name(identifier::application_name(name))
        .ssl_mode(parameters.ssl_mode)
        .ssl_root_cert_from_pem(Vec::new())
        .statement_cache_capacity(0)
        // PgBouncer refuses a connection that sets it.
        .extra_float_digits(None)
        .disable_statement_logging();
    if let Some(path) = &parameters.root_cert {
        options = options.ssl_root_cert_from_pem(read_authorities("sslrootcert", path).await?);
    }
    if let Some(files) = &parameters.client_cert {
        options = options
            .ssl_client_cert_from_pem(read_own_certificate("sslcert", &files.certificate).await?)
            .ssl_client_key_from_pem(read_key("sslkey", &files.key).await?);
    }
    let client = parameters.client_cert.filter(|_| !matches!(parameters.ssl_mode, PgSslMode::Disable));
    let certain = !matches!(parameters.ssl_mode, PgSslMode::Disable | PgSslMode::Prefer);
    let guarded = request.password.is_some() && !certain && !parameters.clear_text_allowed;
    Ok(Login { options, client, guarded })
}
