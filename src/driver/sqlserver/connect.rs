//! Opens a connection to the only host of an address, or to the writable one of several. Only the driver's `connect`
//! uses it.

use std::time::Duration;

use futures_util::future::BoxFuture;
use rustix::net::sockopt;
use tiberius::error::Error;
use tiberius::{AuthMethod, Config, SqlBrowser};
use tokio::net::TcpStream;
use tokio_util::compat::TokioAsyncWriteCompatExt;

use super::addresses;
use super::errors;
use super::identifier::{self, literal};
use super::lookalike::{PRODUCT, lookalike};
use super::parameters::{PORT, Parameters};
use super::query::{self, Expressions, Limits, SqlClient, Values};
use crate::database_url::Host;
use crate::driver::certificates::read_authorities;
use crate::driver::hosts::{self, Candidate, HostStyle};
use crate::driver::network::{close_limit, last_close_limit, name_or_network, prefixed};
use crate::driver::{ConnectRequest, Purpose, ServerInfo, ServerRole};
use crate::heartbeat::{ErrorKind, Failure};
use crate::plain_text::one_line;
use crate::secret::Secret;
use crate::target::HeartbeatTable;
use crate::time::clock::{self, Instant};

/// How messages speak of a server's hosts.
const HOST_STYLE: HostStyle = HostStyle {
    port: PORT,
    socket_is_file: true,
    standby: "is a secondary replica",
    read_only: "has the database in read-only mode",
};

/// Azure's gateways redirect to a node, and a listener redirects to a readable secondary. Each redirects once, so more
/// redirects would be a loop.
const REDIRECTS: usize = 3;
/// Shorter than the time after which Azure's gateways and most firewalls drop an idle connection.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// An open connection and what was learned at its login.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) client: SqlClient,
    pub(super) server: ServerInfo,
    /// The type of `last_update`; `None` without such a column.
    pub(super) column: Option<Column>,
    /// Whether the server answers [`ROLE`].
    pub(super) says_role: bool,
}

/// What was learned at a login.
struct Found {
    server: ServerInfo,
    column: Option<Column>,
    says_role: bool,
}

/// The type of `last_update`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Column {
    /// `datetime2` with this many decimal digits of a second.
    DateTime2(u8),
    /// `datetime`, whose values are 3⅓ ms apart.
    DateTime,
    /// `datetimeoffset` with this many decimal digits of a second.
    DateTimeOffset(u8),
    /// Not a time, or a time without seconds (`smalldatetime`): the type as the server names it.
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
    let parameters = Parameters::read(&request.endpoint.url)
        .map_err(|error| Failure::new(ErrorKind::Settings, error.to_string()).with_source(error))?;
    let config = &config(request, &parameters).await?;
    hosts::find(request, &HOST_STYLE, |host| Box::pin(open(request, config, host))).await
}

impl Candidate for Opened {
    fn role(&self) -> ServerRole {
        self.server.role
    }

    fn rank(&self) -> Option<u32> {
        None
    }

    fn close(self, limit: Instant) -> BoxFuture<'static, ()> {
        Box::pin(close(self.client, limit))
    }
}

/// Closes the connection, by `limit` at the latest.
async fn close(client: SqlClient, limit: Instant) {
    // No caller needs the failure: dropping the client closes the socket in any case.
    let _ = clock::timeout_at(limit, client.close()).await;
}

/// Closes a connection that needs no further call.
pub(super) async fn leave(client: SqlClient) {
    close(client, last_close_limit()).await;
}

/// Whether the database accepts writes, and whether a setting makes it read-only.
pub(super) const ROLE: [(&str, &str); 2] = [
    ("updateability", "CONVERT(nvarchar(20), DATABASEPROPERTYEX(DB_NAME(), N'Updateability'))"),
    ("read_only", "(SELECT CONVERT(int, d.is_read_only) FROM sys.databases AS d WHERE d.name = DB_NAME())"),
];

/// [`ROLE`] as expressions.
pub(super) fn role_expressions() -> Expressions {
    ROLE.map(|(name, expression)| (name, expression.to_owned())).to_vec()
}

/// Derives the role from the answers to [`ROLE`]. A server without an answer counts as a primary: if it accepts no
/// writes, it refuses them itself.
pub(super) fn role_of(updateability: Option<&str>, read_only: bool) -> ServerRole {
    match updateability {
        _ if read_only => ServerRole::ReadOnly,
        None | Some("READ_WRITE") => ServerRole::Primary,
        Some(_) => ServerRole::Standby,
    }
}

/// Connects to one host, at the one of its addresses that fits.
async fn open(request: &ConnectRequest<'_>, config: &Config, host: &Host) -> Result<Opened, Failure> {
    let address = HOST_STYLE.address(host);
    let connections = match addresses::connections(host).await {
        Ok(connections) => connections,
        Err(failure) => return Err(prefixed(&address, name_or_network(host, HOST_STYLE.port(host), failure).await)),
    };
    let enter = |stream| -> BoxFuture<'_, _> { Box::pin(enter(request, config, host, &address, stream)) };
    let fits = |opened: &Opened| request.purpose == Purpose::Inspect || opened.server.role.takes_writes();
    let opened = addresses::enter_first_fitting(connections, enter, fits, request.deadline).await;
    opened.map_err(|failure| prefixed(&address, failure))
}

/// Logs in on a socket and reads the server's state, in one batch.
async fn enter(
    request: &ConnectRequest<'_>,
    config: &Config,
    host: &Host,
    address: &str,
    stream: TcpStream,
) -> Result<Opened, Failure> {
    let mut client = log_in(config, &host.name, stream).await?;
    let Found { mut server, column, says_role } = look_around(&mut client, request).await?;
    address.clone_into(&mut server.address);
    if let (Some(known), Some(found)) = (request.known_identity, &server.identity)
        && known != found
    {
        let message = format!("the server has another database ({found}) than the one known so far ({known})");
        close(client, close_limit(request.deadline)).await;
        return Err(Failure::new(ErrorKind::Identity, message));
    }
    Ok(Opened { client, server, column, says_role })
}

/// Logs in to a host, and follows its redirects to other hosts.
async fn log_in(config: &Config, host: &str, mut stream: TcpStream) -> Result<SqlClient, Failure> {
    let mut config = config.clone();
    config.host(host);
    for _ in 0..REDIRECTS {
        set_options(&stream).map_err(|error| errors::classify(error.into()))?;
        // Boxed because the future is large and exists only during a login.
        match Box::pin(SqlClient::connect(config.clone(), stream.compat_write())).await {
            Ok(client) => return Ok(client),
            Err(Error::Routing { host, port }) => {
                // An availability group names a replica that is a named instance by `host\INSTANCE` and its port.
                config.host(host.split('\\').next().unwrap_or_default());
                config.port(port);
                stream = TcpStream::connect_named(&config).await.map_err(errors::classify)?;
            }
            Err(error) => return Err(errors::classify_login(error)),
        }
    }
    Err(Failure::new(ErrorKind::Protocol, "the server redirects to another server again and again"))
}

/// Sets TCP_NODELAY, so that a batch is sent at once, and a keepalive.
fn set_options(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    // If the operating system refuses these options, the connection only lacks a keepalive.
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, KEEPALIVE);
    Ok(())
}

async fn look_around(client: &mut SqlClient, request: &ConnectRequest<'_>) -> Result<Found, Failure> {
    let mut expressions: Expressions = vec![
        ("version", "CONVERT(nvarchar(128), SERVERPROPERTY(N'ProductVersion'))".to_owned()),
        ("edition", "CONVERT(nvarchar(128), SERVERPROPERTY(N'Edition'))".to_owned()),
        ("babelfish", "CONVERT(int, SERVERPROPERTY(N'Babelfish'))".to_owned()),
        ("product", PRODUCT.to_owned()),
        (
            "identity_",
            "(SELECT CONVERT(nvarchar(36), d.service_broker_guid) FROM sys.databases AS d WHERE d.name = DB_NAME())"
                .to_owned(),
        ),
        (
            "started",
            "(SELECT CONVERT(nvarchar(30), d.create_date, 126) FROM sys.databases AS d WHERE d.name = N'tempdb')"
                .to_owned(),
        ),
    ];
    expressions.extend(role_expressions());
    expressions.extend(column_expressions(&request.target.heartbeat));
    let limits = Limits::until(request.deadline);
    let found = query::values(client, &expressions, limits).await?;
    let of = |name| found.text(name).map(Option::unwrap_or_default);
    let lookalike = lookalike(found.flag("babelfish")?, &of("product")?);
    let name = lookalike.unwrap_or_else(|| "SQL Server".to_owned());
    let server = ServerInfo {
        address: String::new(),
        version: one_line(format!("{name} {} {}", of("version")?, of("edition")?).trim_end()),
        // A database without Service Broker has zeros here.
        identity: found.text("identity_")?.filter(|guid| !guid.starts_with("00000000-")).map(|guid| one_line(&guid)),
        instance: found.text("started")?.map(|started| one_line(&started)),
        timeline: None,
        role: role_of(found.text("updateability")?.as_deref(), found.flag("read_only")?),
    };
    let column = match found.refusal("column_type") {
        None => Column::read(&found)?,
        Some(_) => find_column(client, &request.target.heartbeat, limits).await?,
    };
    Ok(Found { server, column, says_role: ROLE.iter().all(|(name, _)| found.refusal(name).is_none()) })
}

/// The queries for the type of `last_update`, in a table or a view, as two expressions. They return NULL if the column
/// does not exist.
fn column_expressions(table: &HeartbeatTable) -> Expressions {
    let of = |what: &str| {
        format!(
            "(SELECT TOP (1) {what} FROM sys.columns AS c JOIN sys.objects AS o ON o.object_id = c.object_id \
             JOIN sys.schemas AS s ON s.schema_id = o.schema_id \
             WHERE s.name = {} AND o.name = {} AND c.name = N'last_update')",
            literal(&table.schema),
            literal(&table.table)
        )
    };
    vec![
        ("column_type", of("CONVERT(nvarchar(128), TYPE_NAME(c.system_type_id))")),
        ("column_scale", of("CONVERT(int, c.scale)")),
    ]
}

/// The type of `last_update`; `None` without such a column. A server without SQL Server's catalogue is queried by the
/// views of the SQL standard. If it lacks those, too, the vendor's type is assumed.
///
/// # Errors
/// A failure that did not come from the server.
pub(super) async fn find_column(
    client: &mut SqlClient,
    table: &HeartbeatTable,
    limits: Limits,
) -> Result<Option<Column>, Failure> {
    let refused = match query::values(client, &column_expressions(table), limits).await {
        Ok(found) if found.refusal("column_type").is_none() => return Column::read(&found),
        Ok(_) => None,
        Err(failure) => Some(failure),
    };
    if let Some(failure) = refused.filter(|failure| query::refusal(failure).is_none()) {
        return Err(failure);
    }
    let of = |what: &str| {
        format!(
            "(SELECT MAX({what}) FROM INFORMATION_SCHEMA.COLUMNS AS c WHERE c.TABLE_SCHEMA = {} AND c.TABLE_NAME = {} \
             AND c.COLUMN_NAME = N'last_update')",
            literal(&table.schema),
            literal(&table.table)
        )
    };
    let expressions =
        vec![("column_type", of("c.DATA_TYPE")), ("column_scale", of("CONVERT(int, c.DATETIME_PRECISION)"))];
    match query::values(client, &expressions, limits).await {
        Ok(found) if found.refusal("column_type").is_none() => Column::read(&found),
        Err(failure) if query::refusal(&failure).is_none() => Err(failure),
        _ => Ok(Some(Column::DateTime2(7))),
    }
}

impl Column {
    fn read(found: &Values) -> Result<Option<Self>, Failure> {
        let scale = u8::try_from(found.number("column_scale")?.unwrap_or(7)).unwrap_or(7);
        Ok(found.text("column_type")?.map(|name| Self::from_type(name.trim(), scale)))
    }

    /// Parses the server's name of a type.
    pub(super) fn from_type(name: &str, scale: u8) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "datetime2" => Self::DateTime2(scale),
            "datetime" => Self::DateTime,
            "datetimeoffset" => Self::DateTimeOffset(scale),
            _ => Self::Other(name.to_owned()),
        }
    }

    /// The type in T-SQL.
    pub(super) fn sql(&self) -> String {
        match self {
            Self::DateTime2(scale) => format!("datetime2({scale})"),
            Self::DateTime => "datetime".to_owned(),
            Self::DateTimeOffset(scale) => format!("datetimeoffset({scale})"),
            Self::Other(name) => name.clone(),
        }
    }

    /// Converts a value of this type to a `datetime2` in UTC. A type without an offset is taken for UTC.
    pub(super) fn utc(&self, value: &str) -> String {
        match self {
            Self::DateTimeOffset(_) => format!("CAST(SWITCHOFFSET({value}, '+00:00') AS datetime2)"),
            _ => format!("CAST({value} AS datetime2)"),
        }
    }

    /// The smallest step from one value to the next, as a unit and a count. A seventh digit is ignored, because
    /// heartbeatd counts microseconds.
    pub(super) fn step(&self) -> (&'static str, u32) {
        match self {
            Self::DateTime2(scale) | Self::DateTimeOffset(scale) => match scale {
                0 => ("second", 1),
                1..=3 => ("millisecond", 10_u32.pow(u32::from(3 - scale))),
                4..=6 => ("microsecond", 10_u32.pow(u32::from(6 - scale))),
                _ => ("microsecond", 1),
            },
            // Adding four milliseconds always reaches the next `datetime` value.
            Self::DateTime | Self::Other(_) => ("millisecond", 4),
        }
    }
}

/// Sets every field itself, so no part of the address reaches the crate's own parsers. The crate's timeouts are off: at
/// the deadline the caller drops the future, and with it the socket.
async fn config(request: &ConnectRequest<'_>, parameters: &Parameters) -> Result<Config, Failure> {
    let url = &request.endpoint.url;
    let mut config = Config::new();
    let name = parameters.application_name.as_deref().unwrap_or(request.application_name);
    config.application_name(identifier::application_name(name));
    if let Some(workstation) = &parameters.workstation {
        config.client_name(identifier::application_name(workstation));
    }
    config.database(url.database());
    let secret = request.password.map_or("", Secret::expose);
    config.authentication(match parameters.token {
        true => AuthMethod::aad_token(secret),
        false => AuthMethod::sql_server(url.user().unwrap_or_default(), secret),
    });
    config.encryption(parameters.encryption);
    config.readonly(parameters.read_only && request.purpose == Purpose::Inspect);
    config.multi_subnet_failover(true);
    config.handshake_timeout(None);
    config.command_timeout(None);
    config.lossy_utf16_decoding(true);
    if let Some(name) = &parameters.certificate_name {
        config.hostname_in_certificate(name);
    }
    // The crate panics if both are set. `Parameters::read` refuses that.
    if parameters.any_certificate {
        config.trust_cert();
    } else if let Some(path) = &parameters.ca_file {
        config.trust_cert_ca_bundle(read_authorities("CaFile", path).await?);
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_the_smallest_difference_of_the_type() {
        for (column, step) in [
            (Column::DateTime2(7), ("microsecond", 1)),
            (Column::DateTime2(6), ("microsecond", 1)),
            (Column::DateTime2(4), ("microsecond", 100)),
            (Column::DateTime2(3), ("millisecond", 1)),
            (Column::DateTime2(1), ("millisecond", 100)),
            (Column::DateTimeOffset(0), ("second", 1)),
            (Column::DateTime, ("millisecond", 4)),
        ] {
            assert_eq!(column.step(), step, "{column:?}");
        }
    }

    #[tokio::test]
    async fn a_batch_is_sent_at_once_and_a_connection_at_rest_is_kept_alive() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        assert!(!stream.nodelay().unwrap());
        set_options(&stream).unwrap();
        assert!(stream.nodelay().unwrap());
        assert!(sockopt::socket_keepalive(&stream).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), KEEPALIVE);
    }

    #[test]
    fn only_an_updatable_database_is_written() {
        assert_eq!(role_of(Some("READ_WRITE"), false), ServerRole::Primary);
        assert_eq!(role_of(Some("READ_ONLY"), true), ServerRole::ReadOnly);
        assert_eq!(role_of(Some("READ_ONLY"), false), ServerRole::Standby);
        // A server without an answer refuses a write itself.
        assert_eq!(role_of(None, false), ServerRole::Primary);
        assert_eq!(role_of(None, true), ServerRole::ReadOnly);
    }
}
