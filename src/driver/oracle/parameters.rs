//! The parameters of an address: those of Easy Connect Plus that heartbeatd supports, and all others, refused by name
//! with the reason. `family` reads them to judge a target; `connect` reads them to log in.

use crate::database_url::{DatabaseUrl, UrlError};
use crate::driver::parameters::{Keys, Rule, refused};

/// The port of an address without one.
pub(super) const PORT: u16 = 1521;

/// The client library that connects to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Library {
    /// Oracle's client in Rust, part of this program.
    #[default]
    Thin,
    /// Oracle's client libraries for C, which must be installed.
    #[cfg(feature = "oracle-oci")]
    Oci,
}

impl Library {
    /// Whether it is Oracle's client in C, which has its own configuration files.
    pub(super) fn is_oci(self) -> bool {
        match self {
            Self::Thin => false,
            #[cfg(feature = "oracle-oci")]
            Self::Oci => true,
        }
    }
}

/// How the address names the server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Place {
    /// Hosts, each with this service or SID.
    #[default]
    Hosts,
    /// An alias of `tnsnames.ora`.
    Alias(String),
    /// A whole descriptor.
    Descriptor(String),
}

/// The parameters of an address, parsed.
#[derive(Debug, Clone)]
pub(super) struct Parameters {
    pub(super) library: Library,
    pub(super) place: Place,
    /// Whether connections are encrypted with TLS.
    pub(super) tls: bool,
    pub(super) wallet: Option<String>,
    /// The folder of `tnsnames.ora`.
    pub(super) tns_admin: Option<String>,
    pub(super) sid: Option<String>,
    pub(super) instance: Option<String>,
    pub(super) server: Option<String>,
    /// Warnings about values that may be a mistake.
    pub(super) warnings: Vec<String>,
}

const TIMES: &str = "the target's timeout bounds every connection and call: take it out";
const RETRIES: &str = "heartbeatd has its own rules for retries: take it out";
const HOSTS: &str = "all hosts of the address are asked at once, and the one that takes writes is used: take it out";
const POOL: &str = "heartbeatd keeps one session for each purpose: take it out";
const PROXY: &str = "connections through a proxy are not supported: let the proxy listen on a port of its own";
const NAMES: &str = "the name of the host is always compared with the server's certificate: take it out";
const SECRET: &str =
    "an encrypted wallet is not opened: write ewallet.pem without a password, readable by heartbeatd alone";
const OF_PROCESS: &str = "is not read with client=oci, whose libraries have one folder for the whole process: set the \
                          variable TNS_ADMIN for heartbeatd";
const WALLET_OF_PROCESS: &str = "is not read with client=oci: name the wallet in sqlnet.ora (WALLET_LOCATION), in the folder \
                                 that the variable TNS_ADMIN names";
const WALLET: &str = "write wallet_location=FOLDER, with ewallet.pem in the folder";
const SERVICE: &str = "the service is written after the hosts: oracle://user@host:1521/service";
const ENCRYPTION: &str = "use TLS for encryption: protocol=tcps";

const RULES: &[(&str, Rule)] = &[
    ("client", Rule::Honoured),
    ("connect_timeout", Rule::Refused(TIMES)),
    ("descriptor", Rule::Honoured),
    ("encryption_client", Rule::Refused(ENCRYPTION)),
    ("expire_time", Rule::Refused("the period of beats notices a dead connection: take it out")),
    ("failover", Rule::Refused(HOSTS)),
    ("https_proxy", Rule::Refused(PROXY)),
    ("https_proxy_port", Rule::Refused(PROXY)),
    ("instance_name", Rule::Honoured),
    ("load_balance", Rule::Refused(HOSTS)),
    ("mode", Rule::Refused("heartbeatd logs in as an ordinary user: take it out")),
    ("my_wallet_directory", Rule::Refused(WALLET)),
    ("pool_boundary", Rule::Refused(POOL)),
    ("pool_connection_class", Rule::Refused(POOL)),
    ("pool_purity", Rule::Refused(POOL)),
    ("protocol", Rule::Honoured),
    ("retry_count", Rule::Refused(RETRIES)),
    ("retry_delay", Rule::Refused(RETRIES)),
    ("sdu", Rule::Refused("no message is large enough to need it: take it out")),
    ("server", Rule::Honoured),
    ("service_name", Rule::Refused(SERVICE)),
    ("sid", Rule::Honoured),
    ("source_route", Rule::Refused(PROXY)),
    ("ssl_server_cert_dn", Rule::Refused(NAMES)),
    ("ssl_server_dn_match", Rule::Only(SAME, NAMES)),
    ("tns_admin", Rule::Honoured),
    ("transport_connect_timeout", Rule::Refused(TIMES)),
    ("wallet_location", Rule::Honoured),
    ("wallet_password", Rule::Refused(SECRET)),
];

const DN_MATCH: &str = "ssl_server_dn_match";
/// Values that request what the client does anyway.
const SAME: &[&str] = &["on", "yes", "true"];

/// Keys of a descriptor that the client in Rust does not read, in lower case.
const IN_DESCRIPTORS: &[(&str, &str)] = &[
    ("my_wallet_directory", "is not read by the client thin: write wallet_location=FOLDER as a parameter beside it"),
    ("wallet_location", "is not read by the client thin: write wallet_location=FOLDER as a parameter beside it"),
    ("ssl_server_cert_dn", "is not read by the client thin, which compares the host's name with the certificate"),
    (DN_MATCH, "is not read by the client thin: the host's name is always compared with the certificate"),
];

const KEYS: Keys = Keys { of: "Oracle", rules: RULES };

/// Collects the faults, so that one message names them all.
#[derive(Default)]
struct Faults(Vec<UrlError>);

impl Faults {
    fn add(&mut self, name: &str, reason: &str) {
        self.0.push(refused(name, reason));
    }

    /// The value, or its default if it is a fault.
    fn or_default<T: Default>(&mut self, value: Result<T, UrlError>) -> T {
        value.unwrap_or_else(|fault| {
            self.0.push(fault);
            T::default()
        })
    }
}

impl Parameters {
    /// Reads and judges the parameters, alone and together with the hosts.
    ///
    /// # Errors
    /// Each parameter that heartbeatd cannot honour, by name, with the reason and without its value. One error names
    /// all faults.
    pub(super) fn read(url: &DatabaseUrl) -> Result<Self, UrlError> {
        let mut faults = Faults::default();
        let text = |name| url.parameter(name).map(str::to_owned);
        let library = faults.or_default(library(url));
        let (sid, instance) =
            (faults.or_default(plain_word(url, "sid")), faults.or_default(plain_word(url, "instance_name")));
        let server = faults.or_default(plain_word(url, "server"));
        if server.as_deref().is_some_and(|server| !["dedicated", "shared", "pooled"].contains(&server)) {
            faults.add("server", "expected dedicated, shared or pooled");
        }
        let place = faults.or_default(place(url));
        judge_together(url, &place, library, &mut faults);
        let over_tls = match url.parameter("protocol") {
            None | Some("tcp") => false,
            Some("tcps") => true,
            Some(_) => {
                faults.add("protocol", "expected tcp or tcps");
                true
            }
        };
        let tls = match &place {
            Place::Descriptor(descriptor) => value_in(descriptor, "protocol").is_some_and(|word| word == "tcps"),
            _ => over_tls,
        };
        let wallet = text("wallet_location");
        if place == Place::Hosts && wallet.is_some() && !tls {
            faults.add("wallet_location", "has an effect only with TLS: add protocol=tcps");
        }
        let fault = match faults.0.len() {
            0 | 1 => faults.0.pop(),
            _ => Some(UrlError::Several(faults.0)),
        };
        KEYS.judge(url, fault)?;
        let mut parameters = Self {
            library,
            place,
            tls,
            wallet,
            tns_admin: text("tns_admin"),
            sid,
            instance,
            server,
            warnings: Vec::new(),
        };
        if parameters.place == Place::Hosts && !tls && !crate::driver::shared_checks::server::is_local(url) {
            parameters.warnings.push("the connection is not encrypted: add protocol=tcps".to_owned());
        }
        Ok(parameters)
    }
}

fn library(url: &DatabaseUrl) -> Result<Library, UrlError> {
    match url.parameter("client") {
        None | Some("thin") => Ok(Library::Thin),
        #[cfg(feature = "oracle-oci")]
        Some("oci") => Ok(Library::Oci),
        #[cfg(not(feature = "oracle-oci"))]
        Some("oci") => Err(refused("client", "this build has no client \"oci\": it was compiled without oracle-oci")),
        Some(_) => Err(refused("client", "expected thin or oci")),
    }
}

/// Judges parameters that depend on one another or on the hosts.
fn judge_together(url: &DatabaseUrl, place: &Place, library: Library, faults: &mut Faults) {
    match place {
        Place::Hosts => {
            if url.parameter("tns_admin").is_some() {
                faults.add("tns_admin", "is only for an alias of tnsnames.ora: oracle://user@alias");
            }
            if !url.database().chars().all(is_plain) {
                faults.add("service", "the service after the host contains a character that no service name has");
            }
            if !url.hosts().iter().all(|host| host.name.chars().all(is_plain)) {
                faults.add("host", "a host's name contains a character that no host name has");
            }
        }
        Place::Alias(_) | Place::Descriptor(_) => {
            for key in ["protocol", "sid", "instance_name", "server"] {
                if url.parameter(key).is_some() {
                    faults.add(key, "comes from tnsnames.ora or the descriptor: write it there");
                }
            }
        }
    }
    if let Place::Descriptor(descriptor) = place
        && !library.is_oci()
    {
        for (key, why) in IN_DESCRIPTORS {
            if value_in(descriptor, key).is_some_and(|value| !(*key == DN_MATCH && SAME.contains(&value.as_str()))) {
                faults.add("descriptor", &format!("{} in it {why}", key.to_uppercase()));
            }
        }
    }
    if library.is_oci() {
        // The libraries have one configuration for the whole process. They read it before the first login.
        for (key, why) in [("tns_admin", OF_PROCESS), ("wallet_location", WALLET_OF_PROCESS)] {
            if url.parameter(key).is_some() {
                faults.add(key, why);
            }
        }
    }
}

fn place(url: &DatabaseUrl) -> Result<Place, UrlError> {
    let (named, has_sid) = (!url.database().is_empty(), url.parameter("sid").is_some());
    // `service_name` is refused by its own name, with where the service goes: that it is missing there is no second fault.
    let is_misplaced = url.parameter("service_name").is_some();
    if let Some(descriptor) = url.parameter("descriptor") {
        return match named {
            true => Err(refused("descriptor", "names the service itself: take /service out of the address")),
            false => Ok(Place::Descriptor(descriptor.to_owned())),
        };
    }
    match url.hosts() {
        _ if named && has_sid => Err(refused("sid", "is only for an address without /service")),
        _ if named || has_sid || is_misplaced => Ok(Place::Hosts),
        [alias] if alias.port.is_none() => Ok(Place::Alias(alias.name.clone())),
        _ => Err(refused("service", "the address names no service: write /service after the hosts, or sid=SID")),
    }
}

/// A descriptor's first value for a key, in lower case. `key` must be in lower case.
fn value_in(descriptor: &str, key: &str) -> Option<String> {
    let lower = descriptor.to_ascii_lowercase();
    lower.split('(').find_map(|node| {
        let (name, value) = node.split_once('=')?;
        (name.trim() == key).then(|| value.split(')').next().unwrap_or_default().trim().to_owned())
    })
}

/// A value that is written into a descriptor.
fn plain_word(url: &DatabaseUrl, name: &str) -> Result<Option<String>, UrlError> {
    match url.parameter(name) {
        Some(word) if !word.chars().all(is_plain) => Err(refused(name, "contains a character that no such name has")),
        word => Ok(word.map(str::to_owned)),
    }
}

/// Whether a character is allowed in a name that is written into a descriptor.
pub(super) fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._-$#:".contains(c)
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
        let together = |parameters: &str| match parameters.split_once('=') {
            Some(("sid", _)) => format!("oracle://h/?{parameters}"),
            Some(("tns_admin", _)) => format!("oracle://alias?{parameters}"),
            Some(("descriptor", _)) => format!("oracle://h?{parameters}"),
            Some(("wallet_location", _)) => format!("oracle://h/s?protocol=tcps&{parameters}"),
            _ => format!("oracle://h/s?{parameters}"),
        };
        let free = ["descriptor", "instance_name", "sid", "tns_admin", "wallet_location"];
        trial::keep_to_the_rules(&KEYS, &free, |parameters| read(&together(parameters)).map(|_| ()));
    }

    #[test]
    fn an_address_names_hosts_or_an_alias_or_a_descriptor() {
        for (address, place) in [
            ("oracle://hb@a,b:1522/pdb1", Place::Hosts),
            ("oracle://hb@a/?sid=ORCL", Place::Hosts),
            ("oracle://hb@orders_high", Place::Alias("orders_high".to_owned())),
            ("oracle://hb@orders?descriptor=(DESCRIPTION=x)", Place::Descriptor("(DESCRIPTION=x)".to_owned())),
        ] {
            assert_eq!(read(address).unwrap().place, place, "{address}");
        }
    }

    #[test]
    fn contradicting_parameters_are_refused() {
        for (address, named) in [
            ("oracle://a,b", "service"),
            ("oracle://a:1521", "service"),
            ("oracle://a/s)(X=1", "service"),
            ("oracle://a)(X=1/s", "host"),
            ("oracle://a/s?sid=x", "sid"),
            ("oracle://a/s?descriptor=(x)", "descriptor"),
            ("oracle://alias?protocol=tcps", "protocol"),
            ("oracle://a/s?tns_admin=/x", "tns_admin"),
            ("oracle://a/s?wallet_location=/x", "wallet_location"),
            ("oracle://a/s?protocol=http", "protocol"),
            ("oracle://a/s?client=fat", "client"),
            ("oracle://a/s?server=none", "server"),
            ("oracle://a/s?instance_name=x)(y", "instance_name"),
        ] {
            let message = read(address).unwrap_err();
            assert!(message.contains(&format!("\"{named}\"")), "{address}: {message}");
        }
    }

    #[test]
    fn keys_of_a_descriptor_that_the_client_does_not_read_are_refused_by_name() {
        let of = |more: &str| {
            let descriptor = format!(
                "(DESCRIPTION=(ADDRESS=(PROTOCOL = TCPS)(HOST=h)(PORT=2484))(CONNECT_DATA=(SERVICE_NAME=s)){more})"
            );
            read(&format!("oracle://orders?descriptor={descriptor}"))
        };
        assert!(of("").unwrap().tls);
        assert!(of("(SECURITY=(SSL_SERVER_DN_MATCH=Yes))").is_ok());
        for (more, named) in [
            ("(SECURITY=(MY_WALLET_DIRECTORY=/x))", "MY_WALLET_DIRECTORY"),
            ("(security = (wallet_location = /x))", "WALLET_LOCATION"),
            ("(SECURITY=(SSL_SERVER_CERT_DN=\"CN=x\"))", "SSL_SERVER_CERT_DN"),
            ("(SECURITY=(SSL_SERVER_DN_MATCH=no))", "SSL_SERVER_DN_MATCH"),
        ] {
            let message = of(more).unwrap_err();
            assert!(message.starts_with("parameter \"descriptor\": ") && message.contains(named), "{message}");
        }
    }

    #[test]
    fn all_faults_of_an_address_are_reported_at_once() {
        let message = read(
            "oracle://a/s?sid=x&protocol=http&client=fat&server=none&instance_name=x)(y&sdu=1&service_name=s&nonsense=1",
        )
        .unwrap_err();
        for named in ["sid", "protocol", "client", "server", "instance_name", "sdu", "service_name", "nonsense"] {
            assert!(message.contains(&format!("parameter \"{named}\": ")), "{named}: {message}");
        }
    }

    #[test]
    fn a_service_that_is_named_as_a_parameter_is_one_fault() {
        for address in ["oracle://a/?service_name=s", "oracle://a:1521?service_name=s", "oracle://a,b?service_name=s"] {
            let message = read(address).unwrap_err();
            assert!(message.starts_with("parameter \"service_name\": "), "{address}: {message}");
            assert!(!message.contains("parameter \"service\""), "{address}: {message}");
        }
    }

    #[cfg(feature = "oracle-oci")]
    #[test]
    fn what_the_client_in_c_reads_from_its_own_configuration_is_refused_by_name() {
        for (address, named) in [
            ("oracle://alias?client=oci&tns_admin=/x", "tns_admin"),
            ("oracle://a/s?client=oci&protocol=tcps&wallet_location=/x", "wallet_location"),
            ("oracle://alias?client=oci&wallet_location=/x", "wallet_location"),
        ] {
            let message = read(address).unwrap_err();
            assert!(message.contains(&format!("\"{named}\"")) && message.contains("TNS_ADMIN"), "{address}: {message}");
        }
        assert!(read("oracle://a/s?client=oci&protocol=tcps").unwrap().library.is_oci());
    }

    #[cfg(not(feature = "oracle-oci"))]
    #[test]
    fn a_build_without_the_client_in_c_says_so() {
        assert!(read("oracle://a/s?client=oci").unwrap_err().contains("compiled without oracle-oci"));
    }

    #[test]
    fn an_unencrypted_connection_gets_a_warning() {
        assert!(read("oracle://db.example/s").unwrap().warnings[0].contains("not encrypted"));
        assert!(read("oracle://db.example/s?protocol=tcps").unwrap().warnings.is_empty());
        assert!(read("oracle://localhost/s").unwrap().warnings.is_empty());
    }
}
