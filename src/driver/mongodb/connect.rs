//! Opens a client to the servers of an address, or to the one host of several that answers. Only the driver's `connect`
//! uses it.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::BoxFuture;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use mongodb::options::{
    ClientOptions, ConnectionString, Credential, HostInfo, ServerAddress, ServerMonitoringMode, Tls, TlsOptions,
};

use super::client::{Limits, MongoClient};
use super::errors;
use super::identifier;
use super::parameters::{PORT, Parameters};
use crate::database_url::Host;
use crate::driver::certificates::{read_authorities, read_key, read_own_certificate};
use crate::driver::hosts::{self, Candidate, HostStyle};
use crate::driver::network::prefixed;
use crate::driver::{ConnectRequest, Purpose, ServerInfo, ServerRole};
use crate::heartbeat::{ErrorKind, Failure};
use crate::plain_text::one_line;
use crate::secret::Secret;
use crate::time::clock::{self, Instant};

/// The words of messages about a server's hosts.
const HOST_STYLE: HostStyle =
    HostStyle { port: PORT, socket_is_file: true, standby: "is a secondary", read_only: "takes no writes" };

/// The longest time in which a monitor connects to a server; at most half of the target's time-out.
const CONNECT: Duration = Duration::from_secs(2);
/// The longest time for which a command waits for a suitable server; at most three quarters of the target's time-out.
const SELECTION: Duration = Duration::from_secs(3);

/// An open client and what was learned of its server.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) client: MongoClient,
    pub(super) server: ServerInfo,
    /// Whether the server supports an update by a pipeline; the first beat finds out.
    pub(super) pipeline: bool,
}

/// Opens a client for the purpose of the request.
///
/// To beat, to check and to create, the client knows all servers of the address and follows their primary. To inspect,
/// it knows only the host that answers first, in any role.
///
/// # Errors
/// A classified failure.
pub(super) async fn connect(request: &ConnectRequest<'_>) -> Result<Opened, Failure> {
    if let Some((_, problem)) = identifier::problem(&request.target.heartbeat) {
        return Err(Failure::new(ErrorKind::Settings, problem));
    }
    let url = &request.endpoint.url;
    let parameters = Parameters::read(url)
        .map_err(|error| Failure::new(ErrorKind::Settings, error.to_string()).with_source(error))?;
    let options = options(request, &parameters).await?;
    if request.purpose == Purpose::Inspect && !parameters.from_dns {
        let options = &options;
        return hosts::find(request, &HOST_STYLE, |host| Box::pin(open_one(request, options, host))).await;
    }
    // The name of a DNS record is not a host: whether it resolves does not show whether the servers do.
    let hosts = if parameters.from_dns { &[] } else { url.hosts() };
    let opened = open(request, options, hosts, parameters.direct).await?;
    if opened.server.role.takes_writes() || request.purpose == Purpose::Inspect {
        return Ok(opened);
    }
    let message = format!("{} {}", opened.server.address, HOST_STYLE.standby);
    opened.client.close().await;
    Err(Failure::new(ErrorKind::NotWritable, message))
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
            let _ = clock::timeout_at(limit, self.client.close()).await;
        })
    }
}

/// Opens one host alone.
async fn open_one(request: &ConnectRequest<'_>, options: &ClientOptions, host: &Host) -> Result<Opened, Failure> {
    let mut options = options.clone();
    options.hosts = vec![address(host)];
    options.direct_connection = Some(true);
    let opened = open(request, options, std::slice::from_ref(host), true).await;
    let name = HOST_STYLE.address(host);
    // The message about a silent server already begins with its name.
    opened.map_err(|failure| if failure.message().starts_with(&name) { failure } else { prefixed(&name, failure) })
}

/// Makes a client and reads the server's state, in three commands.
async fn open(
    request: &ConnectRequest<'_>,
    options: ClientOptions,
    hosts: &[Host],
    direct: bool,
) -> Result<Opened, Failure> {
    let mut client = MongoClient::new(options, hosts)?;
    let limit = Limits::until(request.deadline).client;
    // With only one server, its own role decides; otherwise the client looks for the primary.
    let anywhere = direct || request.purpose == Purpose::Inspect;
    let hello = doc! { "hello": 1 };
    let hello =
        if anywhere { client.ask("admin", hello, limit).await } else { client.run("admin", hello, limit).await };
    let (role, me) = read_hello(&hello?);
    let address = me
        .or_else(|| client.writable().map(|(address, _)| address))
        .or_else(|| hosts.first().map(|host| HOST_STYLE.address(host)));
    let mut server = ServerInfo {
        address: address.unwrap_or_default(),
        version: version(&mut client, limit).await?,
        identity: None,
        instance: None,
        timeline: None,
        role,
    };
    server.identity = identity(&mut client, limit).await?;
    if let (Some(known), Some(found)) = (request.known_identity, &server.identity)
        && known != found
    {
        let message =
            format!("{} is another replica set ({found}) than the one known so far ({known})", server.address);
        client.close().await;
        return Err(Failure::new(ErrorKind::Identity, message));
    }
    Ok(Opened { client, server, pipeline: true })
}

/// The server's role, and its own name in its replica set.
pub(super) fn read_hello(hello: &Document) -> (ServerRole, Option<String>) {
    let is = |name| hello.get_bool(name).unwrap_or(false);
    let role = if is("isWritablePrimary") || is("ismaster") { ServerRole::Primary } else { ServerRole::Standby };
    (role, hello.get_str("me").ok().map(one_line))
}

/// The server's version. Every user may ask for it.
///
/// # Errors
/// The server's error, classified.
pub(super) async fn version(client: &mut MongoClient, limit: Instant) -> Result<String, Failure> {
    let build = client.ask("admin", doc! { "buildInfo": 1 }, limit).await?;
    Ok(one_line(&format!("MongoDB {}", build.get_str("version").unwrap_or("of an unknown version"))))
}

/// The replica set's identity; hidden from a user without `replSetGetConfig`.
async fn identity(client: &mut MongoClient, limit: Instant) -> Result<Option<String>, Failure> {
    match client.ask("admin", doc! { "replSetGetConfig": 1 }, limit).await {
        Ok(answer) => {
            let settings = answer.get_document("config").and_then(|config| config.get_document("settings"));
            Ok(settings.and_then(|settings| settings.get_object_id("replicaSetId")).ok().map(ObjectId::to_hex))
        }
        // An error without a code did not come from the server: the connection is lost.
        Err(failure) if failure.code().is_none() => Err(failure),
        Err(_) => Ok(None),
    }
}

fn address(host: &Host) -> ServerAddress {
    if host.is_socket() {
        return ServerAddress::Unix { path: PathBuf::from(&host.name) };
    }
    ServerAddress::Tcp { host: host.name.clone(), port: host.port }
}

/// Sets every option by field, so that the crate's own parser reads nothing of the address. With `mongodb+srv`, DNS
/// supplies the hosts and the options of their TXT record.
async fn options(request: &ConnectRequest<'_>, parameters: &Parameters) -> Result<ClientOptions, Failure> {
    let url = &request.endpoint.url;
    let mut asked = ConnectionString::default();
    asked.host_info = match url.hosts() {
        [host] if parameters.from_dns => HostInfo::DnsRecord(host.name.clone()),
        hosts => HostInfo::HostIdentifiers(hosts.iter().map(address).collect()),
    };
    asked.credential = credential(request, parameters);
    asked.tls = Some(tls(parameters).await?);
    asked.replica_set.clone_from(&parameters.replica_set);
    // As in every MongoDB client: the database in which the user is defined, unless authSource or DNS names another
    // one.
    asked.default_database = Some(url.database()).filter(|database| !database.is_empty()).map(str::to_owned);
    let parsing = ClientOptions::parse(asked);
    let parsed = clock::timeout_at(Limits::until(request.deadline).client, parsing.into_future()).await;
    let late = || Failure::new(ErrorKind::Name, "looking up the hosts in DNS took longer than the time-out");
    let mut options = parsed.map_err(|_| late())?.map_err(|error| errors::classify(&error))?;
    options.app_name = Some(parameters.app_name.clone().unwrap_or_else(|| request.application_name.to_owned()));
    options.direct_connection = Some(parameters.direct);
    options.connect_timeout = Some(CONNECT.min(request.target.timeout / 2));
    options.server_selection_timeout = Some(SELECTION.min(request.target.timeout * 3 / 4));
    options.min_pool_size = Some(0);
    options.max_pool_size = Some(1);
    options.max_connecting = Some(1);
    // Only a beat's own decision may send a command twice.
    options.retry_reads = Some(false);
    options.retry_writes = Some(false);
    options.max_adaptive_retries = Some(0);
    // Only the stream of the members' states shows a primary that hangs, as the other members see it.
    options.server_monitoring_mode = Some(ServerMonitoringMode::Stream);
    Ok(options)
}

fn credential(request: &ConnectRequest<'_>, parameters: &Parameters) -> Option<Credential> {
    let url = &request.endpoint.url;
    let mechanism = parameters.mechanism.clone();
    if url.user().is_none() && mechanism.is_none() {
        return None;
    }
    let mut credential = Credential::default();
    credential.username = url.user().map(str::to_owned);
    credential.password = request.password.map(|password| Secret::expose(password).to_owned());
    credential.source.clone_from(&parameters.auth_source);
    credential.mechanism = mechanism;
    Some(credential)
}

/// Reads the files first, so that an error names the file.
async fn tls(parameters: &Parameters) -> Result<Tls, Failure> {
    if !parameters.uses_tls() {
        return Ok(Tls::Disabled);
    }
    if let Some(path) = &parameters.ca_file {
        read_authorities("tlsCAFile", path).await?;
    }
    if let Some(path) = &parameters.client_file {
        read_own_certificate("tlsCertificateKeyFile", path).await?;
        read_key("tlsCertificateKeyFile", path).await?;
    }
    let mut options = TlsOptions::default();
    options.ca_file_path = parameters.ca_file.clone().or_else(system_authorities);
    options.cert_key_file_path.clone_from(&parameters.client_file);
    options.allow_invalid_certificates = Some(parameters.any_certificate);
    Ok(Tls::Enabled(options))
}

/// The file of the authorities that this machine trusts. Without one the client trusts Mozilla's list, which it
/// contains.
fn system_authorities() -> Option<PathBuf> {
    openssl_probe::probe().cert_file
}
