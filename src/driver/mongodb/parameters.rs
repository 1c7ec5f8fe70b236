//! The parameters of a MongoDB address: heartbeatd uses or maps each key of a connection string, or refuses it by name
//! with the reason. `connect` reads them, and the driver's `validate` when a configuration is loaded.

use std::path::PathBuf;

use mongodb::options::AuthMechanism;

use crate::database_url::{DatabaseUrl, UrlError};
use crate::driver::parameters::{Keys, Rule, refused};
use crate::driver::shared_checks::server::is_local;

/// The scheme of addresses whose hosts come from DNS.
pub(super) const FROM_DNS: &str = "mongodb+srv";
/// The port of an address without one.
pub(super) const PORT: u16 = 27_017;

/// What the parameters of an address ask for.
#[derive(Debug, Clone)]
pub(super) struct Parameters {
    /// Whether the hosts come from DNS (`mongodb+srv`).
    pub(super) from_dns: bool,
    /// The replica set that the servers must belong to.
    pub(super) replica_set: Option<String>,
    /// Whether to use only this host, in any role, and no other member of its set.
    pub(super) direct: bool,
    /// The database in which the user is defined.
    pub(super) auth_source: Option<String>,
    pub(super) mechanism: Option<AuthMechanism>,
    /// Whether to use TLS; `None` if the address does not say.
    pub(super) tls: Option<bool>,
    /// Whether to accept any certificate of a server.
    pub(super) any_certificate: bool,
    /// The authorities to trust instead of the system's.
    pub(super) ca_file: Option<PathBuf>,
    /// The client's certificate with its key.
    pub(super) client_file: Option<PathBuf>,
    pub(super) app_name: Option<String>,
    /// A warning about this address.
    pub(super) warnings: Vec<String>,
}

const TIMES: &str = "the target's setting timeout bounds connecting and each beat: take it out";
const POOL: &str = "heartbeatd keeps one connection that writes: take it out";
const COMPRESSION: &str = "a beat is half a kilobyte, and nothing is compressed: take it out";
const READS: &str = "heartbeatd reads and writes the heartbeat on the primary";
const CONCERN: &str = "a beat counts when the majority has it, which is what change streams deliver: write w=majority, or \
                       take it out";
const RETRIES: &str = "only true and false are values of it; heartbeatd repeats a beat that failed by itself";
const MECHANISM: &str =
    "SCRAM-SHA-1, SCRAM-SHA-256 and MONGODB-X509 are the ways of logging in that this client speaks";
const BOOLEAN: &str = "only true and false are values of it";
const NAMES: &str = "the name in the server's certificate is always compared: use the name that it contains";
const REVOCATION: &str = "this client asks no server for revocations: take it out";
const SECRET: &str = "a secret does not belong in an address: use a key without a pass phrase, readable by heartbeatd \
                      alone";
const BALANCER: &str = "change streams and elections are not followed through a load balancer: name the servers";
const PROXY: &str = "connections through a proxy are not offered";
const BOTH: &[&str] = &["true", "false"];

/// The keys of connection strings up to MongoDB 8:
/// <https://www.mongodb.com/docs/manual/reference/connection-string-options/>.
const RULES: &[(&str, Rule)] = &[
    ("appName", Rule::Honoured),
    ("authMechanism", Rule::Honoured),
    ("authMechanismProperties", Rule::Refused(MECHANISM)),
    ("authSource", Rule::Honoured),
    ("compressors", Rule::Refused(COMPRESSION)),
    ("connectTimeoutMS", Rule::Refused(TIMES)),
    ("directConnection", Rule::Honoured),
    ("heartbeatFrequencyMS", Rule::Refused(TIMES)),
    ("journal", Rule::Refused(CONCERN)),
    ("loadBalanced", Rule::Only(&["false"], BALANCER)),
    ("localThresholdMS", Rule::Refused(READS)),
    ("maxConnecting", Rule::Refused(POOL)),
    ("maxIdleTimeMS", Rule::Refused(POOL)),
    ("maxPoolSize", Rule::Refused(POOL)),
    ("maxStalenessSeconds", Rule::Refused(READS)),
    ("minPoolSize", Rule::Refused(POOL)),
    ("proxyHost", Rule::Refused(PROXY)),
    ("proxyPassword", Rule::Refused(PROXY)),
    ("proxyPort", Rule::Refused(PROXY)),
    ("proxyUsername", Rule::Refused(PROXY)),
    ("readConcernLevel", Rule::Only(&["majority"], CONCERN)),
    ("readPreference", Rule::Only(&["primary"], READS)),
    ("readPreferenceTags", Rule::Refused(READS)),
    ("replicaSet", Rule::Honoured),
    ("retryReads", Rule::Only(BOTH, RETRIES)),
    ("retryWrites", Rule::Only(BOTH, RETRIES)),
    (
        "serverMonitoringMode",
        Rule::Only(&["auto", "stream"], "a primary that hangs is found only by the stream of its state"),
    ),
    ("serverSelectionTimeoutMS", Rule::Refused(TIMES)),
    ("serverSelectionTryOnce", Rule::Refused(TIMES)),
    ("socketTimeoutMS", Rule::Refused(TIMES)),
    ("srvMaxHosts", Rule::Refused("all hosts of the record are worked with: take it out")),
    ("srvServiceName", Rule::Only(&["mongodb"], "the record of the service mongodb is the one that is looked up")),
    ("ssl", Rule::Honoured),
    ("timeoutMS", Rule::Refused(TIMES)),
    ("tls", Rule::Honoured),
    ("tlsAllowInvalidCertificates", Rule::Honoured),
    ("tlsAllowInvalidHostnames", Rule::Only(&["false"], NAMES)),
    ("tlsCAFile", Rule::Honoured),
    ("tlsCertificateKeyFile", Rule::Honoured),
    ("tlsCertificateKeyFilePassword", Rule::Refused(SECRET)),
    ("tlsDisableCertificateRevocationCheck", Rule::Only(&["true"], REVOCATION)),
    ("tlsDisableOCSPEndpointCheck", Rule::Only(&["true"], REVOCATION)),
    ("tlsInsecure", Rule::Honoured),
    ("uuidRepresentation", Rule::Refused("no UUID is read or written: take it out")),
    ("w", Rule::Only(&["majority"], CONCERN)),
    ("waitQueueTimeoutMS", Rule::Refused(TIMES)),
    ("wTimeoutMS", Rule::Refused(TIMES)),
    ("wtimeoutMS", Rule::Refused(TIMES)),
    ("zlibCompressionLevel", Rule::Refused(COMPRESSION)),
];

const KEYS: Keys = Keys { of: "MongoDB", rules: RULES };

impl Parameters {
    /// Reads and judges the parameters, and what they mean together with the hosts.
    ///
    /// # Errors
    /// The first parameter that heartbeatd cannot honour, by name, with the reason; never its value.
    pub(super) fn read(url: &DatabaseUrl) -> Result<Self, UrlError> {
        KEYS.judge(url, None)?;
        let from_dns = url.scheme() == FROM_DNS;
        let direct = flag(url, "directConnection")?.unwrap_or(false);
        let text = |name| url.parameter(name).map(str::to_owned);
        check_hosts(url, from_dns, direct)?;
        let mechanism = mechanism(url)?;
        let tls = read_tls(url)?;
        let (insecure, invalid) = (flag(url, "tlsInsecure")?, flag(url, "tlsAllowInvalidCertificates")?);
        let client_file = url.parameter("tlsCertificateKeyFile").map(PathBuf::from);
        if matches!(mechanism, Some(AuthMechanism::MongoDbX509)) && client_file.is_none() {
            return Err(refused("authMechanism", "MONGODB-X509 needs tlsCertificateKeyFile beside it"));
        }
        let mut parameters = Self {
            from_dns,
            replica_set: text("replicaSet"),
            direct,
            auth_source: text("authSource"),
            mechanism,
            tls,
            any_certificate: insecure == Some(true) || invalid == Some(true),
            ca_file: url.parameter("tlsCAFile").map(PathBuf::from),
            client_file,
            app_name: text("appName"),
            warnings: Vec::new(),
        };
        if parameters.uses_tls() && parameters.any_certificate {
            let name = if insecure == Some(true) { "tlsInsecure" } else { "tlsAllowInvalidCertificates" };
            parameters.warnings.push(format!("{name}: encrypted, but any server that answers is trusted"));
        } else if !parameters.uses_tls() && !is_local(url) {
            parameters.warnings.push("the connection is not encrypted: add tls=true".to_owned());
        }
        Ok(parameters)
    }

    /// Whether connections are encrypted.
    pub(super) fn uses_tls(&self) -> bool {
        // As in every MongoDB client: a file for TLS, or hosts from DNS, turn TLS on.
        self.tls.unwrap_or(self.from_dns || self.ca_file.is_some() || self.client_file.is_some())
    }
}

fn check_hosts(url: &DatabaseUrl, from_dns: bool, direct: bool) -> Result<(), UrlError> {
    match url.hosts() {
        [host] if from_dns && host.port.is_some() => {
            Err(refused("port", "the address mongodb+srv names a record in DNS, which has the ports: take it out"))
        }
        [_] if from_dns && direct => Err(refused("directConnection", "goes with one host, not with mongodb+srv")),
        [_, _, ..] if from_dns => Err(refused("host", "the address mongodb+srv names one record in DNS")),
        [_, _, ..] if direct => Err(refused("directConnection", "goes with one host only")),
        _ => Ok(()),
    }
}

fn mechanism(url: &DatabaseUrl) -> Result<Option<AuthMechanism>, UrlError> {
    Ok(Some(match url.parameter("authMechanism") {
        None => return Ok(None),
        Some("SCRAM-SHA-1") => AuthMechanism::ScramSha1,
        Some("SCRAM-SHA-256") => AuthMechanism::ScramSha256,
        Some("MONGODB-X509") => AuthMechanism::MongoDbX509,
        Some(_) => return Err(refused("authMechanism", MECHANISM)),
    }))
}

/// Whether the address turns TLS on, by the current name or the old one.
fn read_tls(url: &DatabaseUrl) -> Result<Option<bool>, UrlError> {
    let (tls, ssl) = (flag(url, "tls")?, flag(url, "ssl")?);
    if let (Some(tls), Some(ssl)) = (tls, ssl)
        && tls != ssl
    {
        return Err(refused("ssl", "is the old name of tls, and says something else here"));
    }
    let tls = tls.or(ssl);
    if tls == Some(false) {
        for name in ["tlsCAFile", "tlsCertificateKeyFile"] {
            if url.parameter(name).is_some() {
                return Err(refused(name, "is read for TLS, which tls=false switches off"));
            }
        }
    }
    Ok(tls)
}

fn flag(url: &DatabaseUrl, name: &str) -> Result<Option<bool>, UrlError> {
    match url.parameter(name) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(refused(name, BOOLEAN)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::parameters::trial;

    fn read(address: &str) -> Result<Parameters, String> {
        Parameters::read(&crate::target::Endpoint::parse(address).unwrap().url).map_err(|error| error.to_string())
    }

    #[test]
    fn every_key_is_honoured_or_refused_by_its_name() {
        let free = ["appName", "authSource", "replicaSet", "tlsCAFile", "tlsCertificateKeyFile"];
        trial::keep_to_the_rules(&KEYS, &free, |parameters| read(&format!("mongodb://h/?{parameters}")).map(|_| ()));
    }

    #[test]
    fn the_vendors_connection_strings_are_accepted() {
        let atlas = "mongodb+srv://hb:x@cluster0.ab1cd.mongodb.net/?retryWrites=true&w=majority&appName=Cluster0";
        let parameters = read(atlas).unwrap();
        assert!(parameters.from_dns && parameters.uses_tls() && parameters.warnings.is_empty(), "{parameters:?}");
        let own = read("mongodb://hb:x@a,b:27018/?replicaSet=rs0&tls=true&authSource=admin").unwrap();
        assert_eq!((own.replica_set.as_deref(), own.auth_source.as_deref()), (Some("rs0"), Some("admin")));
    }

    #[test]
    fn contradicting_parameters_are_refused() {
        for (address, named) in [
            ("mongodb+srv://a,b/", "host"),
            ("mongodb+srv://a:27017/", "port"),
            ("mongodb+srv://a/?directConnection=true", "directConnection"),
            ("mongodb://a,b/?directConnection=true", "directConnection"),
            ("mongodb://a/?tls=true&ssl=false", "ssl"),
            ("mongodb://a/?tls=false&tlsCAFile=/x", "tlsCAFile"),
            ("mongodb://a/?authMechanism=MONGODB-X509", "authMechanism"),
            ("mongodb://a/?w=1", "w"),
            ("mongodb://a/?replicaset=rs0", "replicaset"),
        ] {
            let message = read(address).unwrap_err();
            assert!(message.contains(&format!("\"{named}\"")), "{address}: {message}");
        }
    }

    #[test]
    fn a_connection_that_others_could_read_or_take_over_gets_a_warning() {
        for (address, word) in [
            ("mongodb://db.example/", "not encrypted"),
            ("mongodb://db.example/?tls=true&tlsAllowInvalidCertificates=true", "tlsAllowInvalidCertificates"),
            ("mongodb://db.example/?tls=true&tlsInsecure=true", "tlsInsecure"),
        ] {
            let warnings = read(address).unwrap().warnings;
            assert!(warnings.iter().any(|warning| warning.contains(word)), "{address}: {warnings:?}");
        }
        assert!(read("mongodb://localhost/").unwrap().warnings.is_empty());
    }
}
