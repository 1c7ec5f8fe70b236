//! Opens a session on the host that fits, and reads what a beat must know of its server. Only the driver's `connect`
//! uses it.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::call_thread::CallThread;
use super::client::{Bind, Block, Client, Login, Values};
use super::identifier::{literal, stored};
use super::parameters::{Library, PORT, Parameters, Place};
use super::remedies::client_failed;
use super::thin;
use crate::database_url::{DatabaseUrl, Host};
use crate::driver::hosts::{self, Candidate, HostStyle};
use crate::driver::network::{name_or_network, prefixed};
use crate::driver::{ConnectRequest, Purpose, ServerInfo, ServerRole};
use crate::heartbeat::{ErrorKind, Failure};
use crate::plain_text::one_line;
use crate::secret::Secret;
use crate::time::clock::{self, Clock, Instant};

/// How messages speak of a server's hosts.
const HOST_STYLE: HostStyle =
    HostStyle { port: PORT, socket_is_file: false, standby: "is a standby", read_only: "is open read-only" };

/// An open session and what was learned at its login.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) thread: CallThread,
    pub(super) server: ServerInfo,
    /// The type of `last_update`; `None` if the column does not exist, or is hidden from this user.
    pub(super) column: Option<Column>,
    /// Whether this user may query the position in the redo log.
    pub(super) position: bool,
}

/// The type of `last_update`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Column {
    /// A time without a zone, written in UTC.
    WithoutZone,
    /// A time with a zone, its own or the session's.
    WithZone,
    /// Not a time: the type as the catalogue names it.
    Other(String),
}

/// The limit of a call: shortly before the deadline, so that its failure is classified before the caller gives up.
pub(super) fn limit_of(deadline: Instant) -> Instant {
    let left = deadline.saturating_duration_since(Clock::system().now().mono);
    deadline - (left / 10).min(Duration::from_millis(100))
}

/// Opens the session that fits the request.
///
/// # Errors
/// A classified failure. For several hosts it names them all.
pub(super) async fn connect(request: &ConnectRequest<'_>) -> Result<Opened, Failure> {
    let url = &request.endpoint.url;
    let parameters = Parameters::read(url)
        .map_err(|error| Failure::new(ErrorKind::Settings, error.to_string()).with_source(error))?;
    let parameters = &parameters;
    match &parameters.place {
        Place::Hosts => {
            hosts::find(request, &HOST_STYLE, |host| {
                Box::pin(async move {
                    let (address, port) = (HOST_STYLE.address(host), HOST_STYLE.port(host));
                    let descriptor = descriptor(parameters, url, host, port, request.target.timeout);
                    let addresses = addresses_of(host, port).await;
                    match open(request, parameters, descriptor, &address, addresses).await {
                        Ok(opened) => Ok(opened),
                        Err(failure) => Err(prefixed(&address, name_or_network(host, port, failure).await)),
                    }
                })
            })
            .await
        }
        Place::Alias(alias) => one(request, parameters, alias.clone(), alias).await,
        Place::Descriptor(descriptor) => one(request, parameters, descriptor.clone(), &url.default_name()).await,
    }
}

impl Candidate for Opened {
    fn role(&self) -> ServerRole {
        self.server.role
    }

    fn rank(&self) -> Option<u32> {
        None
    }

    fn close(self, limit: Instant) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let _ = clock::timeout_at(limit, self.thread.close()).await;
        })
    }
}

/// Opens an alias or a descriptor. The client itself looks up its addresses.
async fn one(
    request: &ConnectRequest<'_>,
    parameters: &Parameters,
    place: String,
    shown: &str,
) -> Result<Opened, Failure> {
    let opened = open(request, parameters, place, shown, 1).await.map_err(|failure| prefixed(shown, failure))?;
    if opened.server.role.takes_writes() || request.purpose == Purpose::Inspect {
        return Ok(opened);
    }
    let message = format!("{shown} {}", HOST_STYLE.standby);
    opened.thread.close().await;
    Err(Failure::new(ErrorKind::NotWritable, message))
}

/// How many addresses a host's name has: a SCAN name has three. The client tries one after the other. Each gets a share
/// of the time, because one silent address would otherwise use all of it.
async fn addresses_of(host: &Host, port: u16) -> u32 {
    match tokio::net::lookup_host((host.name.as_str(), port)).await {
        Ok(addresses) => u32::try_from(addresses.count().max(1)).unwrap_or(u32::MAX),
        // The client reports a name that does not resolve.
        Err(_) => 1,
    }
}

/// Logs in and reads the server's state. `addresses` is how many the client may have to try.
async fn open(
    request: &ConnectRequest<'_>,
    parameters: &Parameters,
    place: String,
    address: &str,
    addresses: u32,
) -> Result<Opened, Failure> {
    let limit = limit_of(request.deadline);
    let (user, password) = match (request.endpoint.url.user(), request.password) {
        (Some(user), Some(password)) => (user, password.expose()),
        // External authentication: a Kerberos ticket, or the credentials in a wallet.
        (None, None) if parameters.library.is_oci() => ("", ""),
        _ => {
            let message = "a login requires a user and a password, and one of them is missing";
            return Err(Failure::new(ErrorKind::Auth, message));
        }
    };
    let login = Login {
        library: parameters.library,
        place,
        tns_admin: parameters.tns_admin.clone(),
        wallet: parameters.wallet.clone(),
        tls: parameters.tls,
        may_be_tls: parameters.tls || matches!(parameters.place, Place::Alias(_)),
        user: user.to_owned(),
        password: Secret::new(password),
        name: request.application_name.to_owned(),
        within: limit.saturating_duration_since(Clock::system().now().mono),
        addresses,
    };
    let mut thread = CallThread::start(&format!("{} {:?} {address}", request.target.name, request.purpose))?;
    let look = look(&stored(&request.target.heartbeat.schema), &stored(&request.target.heartbeat.table));
    let looked = thread.call(
        move |place| {
            let session = place.insert(log_in(&login)?);
            let version = session.version();
            session.run(&look).map(|answer| (version, answer))
        },
        limit,
    );
    let (version, answer) = looked.await.map_err(|failure| match (failure.kind(), failure.code()) {
        (ErrorKind::Internal, None) => client_failed(request.target),
        _ => failure,
    })?;
    let (server, column, position) = read_look(&answer, &version, address)?;
    if let (Some(known), Some(found)) = (request.known_identity, &server.identity)
        && known != found
    {
        let message = format!("this is another database ({found}) than the one known so far ({known})");
        return Err(Failure::new(ErrorKind::Identity, message));
    }
    Ok(Opened { thread, server, column, position })
}

/// Logs in with the library that the address names.
fn log_in(login: &Login) -> Result<Box<dyn Client>, Failure> {
    match login.library {
        Library::Thin => thin::open(login),
        #[cfg(feature = "oracle-oci")]
        Library::Oci => super::oci::open(login),
    }
}

/// The descriptor of one host. The address's parameters were checked before, so no value can contain a parenthesis.
///
/// The client in Rust compares the host's name with the certificate. The client in C does so only if the descriptor
/// requires it. Its own limit for a connection is a minute, so the descriptor also sets a shorter one.
fn descriptor(parameters: &Parameters, url: &DatabaseUrl, host: &Host, port: u16, timeout: Duration) -> String {
    let protocol = if parameters.tls { "tcps" } else { "tcp" };
    let service = match &parameters.sid {
        Some(sid) => format!("(SID={sid})"),
        None => format!("(SERVICE_NAME={})", url.database()),
    };
    let optional = |key: &str, value: &Option<String>| value.as_ref().map_or(String::new(), |v| format!("({key}={v})"));
    let (instance, server) = (optional("INSTANCE_NAME", &parameters.instance), optional("SERVER", &parameters.server));
    let (mut limits, mut security) = (String::new(), "");
    if parameters.library.is_oci() {
        let seconds = timeout.as_secs().max(1);
        limits = format!("(CONNECT_TIMEOUT={seconds})(TRANSPORT_CONNECT_TIMEOUT={seconds})");
        security = if parameters.tls { "(SECURITY=(SSL_SERVER_DN_MATCH=yes))" } else { "" };
    }
    // Otherwise the client would wait after a failed attempt even if there is no second one.
    format!(
        "(DESCRIPTION=(RETRY_DELAY=0){limits}(ADDRESS=(PROTOCOL={protocol})(HOST={})(PORT={port}))\
         (CONNECT_DATA={service}{instance}{server}){security})",
        host.name
    )
}

/// The first query after a login. It reads the catalogue's views by dynamic statements. A static statement would fail
/// the whole block if one of the views is hidden.
fn look(schema: &str, table: &str) -> Block {
    let sql = format!(
        "DECLARE\n  column_type VARCHAR2(128);\n  position VARCHAR2(40);\n\
         BEGIN\n  \
         :role := SYS_CONTEXT('USERENV', 'DATABASE_ROLE');\n  \
         :identity := NVL(SYS_CONTEXT('USERENV', 'CDB_NAME'), SYS_CONTEXT('USERENV', 'DB_NAME')) || '/' || \
         SYS_CONTEXT('USERENV', 'CON_NAME');\n  \
         :instance := SYS_CONTEXT('USERENV', 'INSTANCE_NAME') || '@' || SYS_CONTEXT('USERENV', 'SERVER_HOST');\n  \
         BEGIN\n    EXECUTE IMMEDIATE {} INTO column_type;\n  \
         EXCEPTION WHEN NO_DATA_FOUND THEN column_type := NULL;\n  END;\n  \
         BEGIN\n    EXECUTE IMMEDIATE 'SELECT TO_CHAR(CURRENT_SCN) FROM V$DATABASE' INTO position;\n  \
         EXCEPTION WHEN OTHERS THEN position := NULL;\n  END;\n  \
         :column_type := column_type;\n  \
         :position := position;\n\
         END;",
        literal(&column_type_sql(schema, table)),
    );
    let text = Bind::TextOut;
    let names = ["role", "identity", "instance", "column_type", "position"];
    Block { sql, binds: names.into_iter().map(|name| (name, text.clone())).collect() }
}

/// The query for the type of `last_update`. It returns no row if the column does not exist.
fn column_type_sql(schema: &str, table: &str) -> String {
    format!(
        "SELECT DATA_TYPE FROM ALL_TAB_COLUMNS WHERE OWNER = {} AND TABLE_NAME = {} AND COLUMN_NAME = 'LAST_UPDATE'",
        literal(schema),
        literal(table)
    )
}

fn read_look(answer: &Values, version: &str, address: &str) -> Result<(ServerInfo, Option<Column>, bool), Failure> {
    let server = ServerInfo {
        address: address.to_owned(),
        version: one_line(version),
        identity: answer.text(1)?.map(|identity| one_line(&identity)),
        instance: answer.text(2)?.map(|instance| one_line(&instance)),
        timeline: None,
        role: role_of(answer.text(0)?.as_deref()),
    };
    Ok((server, answer.text(3)?.map(Column::from_type), answer.text(4)?.is_some()))
}

/// The database's role in Data Guard. A snapshot standby accepts writes, and discards them later.
pub(super) fn role_of(word: Option<&str>) -> ServerRole {
    match word {
        Some("PRIMARY") | None => ServerRole::Primary,
        Some(_) => ServerRole::Standby,
    }
}

impl Column {
    /// Parses the catalogue's name of a type.
    pub(super) fn from_type(name: String) -> Self {
        if name == "DATE" {
            Self::WithoutZone
        } else if name.starts_with("TIMESTAMP") {
            if name.contains("TIME ZONE") { Self::WithZone } else { Self::WithoutZone }
        } else {
            Self::Other(name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_names_one_host_and_never_lets_the_client_wait_between_tries() {
        for (address, expected) in [
            (
                "oracle://hb@db1:1522/pdb1",
                "(DESCRIPTION=(RETRY_DELAY=0)(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1522))(CONNECT_DATA=(SERVICE_NAME=pdb1)))",
            ),
            (
                "oracle://hb@db1/?sid=ORCL&protocol=tcps&server=dedicated&instance_name=i1",
                "(DESCRIPTION=(RETRY_DELAY=0)(ADDRESS=(PROTOCOL=tcps)(HOST=db1)(PORT=1521))\
                 (CONNECT_DATA=(SID=ORCL)(INSTANCE_NAME=i1)(SERVER=dedicated)))",
            ),
        ] {
            let url = crate::target::Endpoint::parse(address).unwrap().url;
            let host = &url.hosts()[0];
            let parameters = Parameters::read(&url).unwrap();
            assert_eq!(descriptor(&parameters, &url, host, HOST_STYLE.port(host), Duration::from_secs(10)), expected);
        }
    }

    #[cfg(feature = "oracle-oci")]
    #[test]
    fn the_client_in_c_is_asked_to_give_up_in_time_and_to_compare_the_hosts_name() {
        let url = crate::target::Endpoint::parse("oracle://hb@db1/pdb1?client=oci&protocol=tcps").unwrap().url;
        let parameters = Parameters::read(&url).unwrap();
        assert_eq!(
            descriptor(&parameters, &url, &url.hosts()[0], PORT, Duration::from_millis(500)),
            "(DESCRIPTION=(RETRY_DELAY=0)(CONNECT_TIMEOUT=1)(TRANSPORT_CONNECT_TIMEOUT=1)(ADDRESS=(PROTOCOL=tcps)(HOST=db1)\
             (PORT=1521))(CONNECT_DATA=(SERVICE_NAME=pdb1))(SECURITY=(SSL_SERVER_DN_MATCH=yes)))"
        );
    }

    #[test]
    fn the_first_query_reads_each_view_that_may_be_hidden_separately() {
        let look = look("IT'S", "T");
        assert!(look.sql.contains("OWNER = ''IT''''S''"), "{}", look.sql);
        insta::assert_snapshot!(super::look("S", "T").sql);
    }

    #[test]
    fn types_that_hold_a_time_are_recognised_by_their_names() {
        for (name, column) in [
            ("TIMESTAMP(6)", Column::WithoutZone),
            ("DATE", Column::WithoutZone),
            ("TIMESTAMP(3) WITH TIME ZONE", Column::WithZone),
            ("TIMESTAMP(6) WITH LOCAL TIME ZONE", Column::WithZone),
            ("VARCHAR2", Column::Other("VARCHAR2".to_owned())),
        ] {
            assert_eq!(Column::from_type(name.to_owned()), column);
        }
    }
}
