//! The parameters of a PostgreSQL address. heartbeatd uses or maps each of libpq's keys, or refuses it by name with the
//! reason. `connect` reads them, and the driver's `validate` when a configuration is loaded.

use std::path::PathBuf;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::database_url::{DatabaseUrl, UrlError};
use crate::driver::certificates::ClientFiles;
use crate::driver::parameters::{self, Keys, Rule, refused};

/// The settings in the parameters of an address.
#[derive(Debug, Clone)]
pub(super) struct Parameters {
    pub(super) ssl_mode: PgSslMode,
    /// Certificates that are trusted in addition to the system's.
    pub(super) root_cert: Option<PathBuf>,
    /// The client's certificate and key.
    pub(super) client_cert: Option<ClientFiles>,
    pub(super) application_name: Option<String>,
    /// Whether the password may be sent in clear, without TLS, to a server that requests it.
    pub(super) clear_text_allowed: bool,
    /// A warning about this address.
    pub(super) warnings: Vec<String>,
}

const KEEPALIVE: &str = "not offered: the beat itself keeps the connection alive, and its timeout finds a dead one";
const CHANNEL: &str = "not offered by this client: take it out, and use sslmode=verify-full";
const IN_ADDRESS: &str = "belongs in the address itself: postgres://user@host:port/database";
const GSS: &str = "GSSAPI is not offered by this client";
const SECRET: &str = "a secret does not belong in parameters: use the setting password";
const TLS_VERSION: &str = "TLS 1.2 and 1.3 are what this client speaks";
const REVOCATION: &str = "revocation lists are not offered by this client";
const SERVICE: &str = "only the address counts here: write its settings out";
const OAUTH: &str = "OAuth is not offered by this client";

/// heartbeatd's own key: libpq's `require_auth=password` would also refuse every better method.
const CLEAR_TEXT: &str = "allow_cleartext_password";

/// libpq's keys up to PostgreSQL 18, and [`CLEAR_TEXT`].
const RULES: &[(&str, Rule)] = &[
    (CLEAR_TEXT, Rule::Honoured),
    ("application_name", Rule::Honoured),
    ("channel_binding", Rule::Only(&["disable", "prefer"], CHANNEL)),
    ("client_encoding", Rule::Only(&["UTF8", "utf8", "UTF-8", "utf-8"], "UTF8 is what this client speaks")),
    ("connect_timeout", Rule::Refused("use the setting timeout, which covers connecting")),
    ("dbname", Rule::Refused(IN_ADDRESS)),
    ("fallback_application_name", Rule::Refused("use application_name")),
    ("gssdelegation", Rule::Only(&["0"], GSS)),
    ("gssencmode", Rule::Only(&["disable", "prefer"], GSS)),
    ("gsslib", Rule::Refused(GSS)),
    ("host", Rule::Refused(IN_ADDRESS)),
    ("hostaddr", Rule::Refused("write the IP address as the host; verify-full then compares it with the certificate")),
    ("keepalives", Rule::Refused(KEEPALIVE)),
    ("keepalives_count", Rule::Refused(KEEPALIVE)),
    ("keepalives_idle", Rule::Refused(KEEPALIVE)),
    ("keepalives_interval", Rule::Refused(KEEPALIVE)),
    ("krbsrvname", Rule::Refused(GSS)),
    ("load_balance_hosts", Rule::Only(&["disable"], "all hosts are asked at once, and the writable one is used")),
    ("max_protocol_version", Rule::Only(&["3.0", "latest"], "protocol 3.0 is what this client speaks")),
    ("min_protocol_version", Rule::Only(&["3.0"], "protocol 3.0 is what this client speaks")),
    ("oauth_client_id", Rule::Refused(OAUTH)),
    ("oauth_client_secret", Rule::Refused(SECRET)),
    ("oauth_issuer", Rule::Refused(OAUTH)),
    ("oauth_scope", Rule::Refused(OAUTH)),
    (
        "options",
        Rule::Refused("poolers refuse start-up options: use ALTER ROLE … SET …; time limits are set with each beat"),
    ),
    ("passfile", Rule::Refused("use the setting password = { file = \"…\" }")),
    ("password", Rule::Refused(SECRET)),
    ("port", Rule::Refused(IN_ADDRESS)),
    ("replication", Rule::Only(&["0", "false", "no", "off"], "a heartbeat needs an ordinary connection")),
    ("require_auth", Rule::Refused("not offered by this client: the server's pg_hba.conf decides")),
    ("requirepeer", Rule::Refused("not offered by this client: guard the socket's directory")),
    ("requiressl", Rule::Refused("use sslmode=require")),
    ("scram_client_key", Rule::Refused(SECRET)),
    ("scram_server_key", Rule::Refused(SECRET)),
    ("service", Rule::Refused(SERVICE)),
    ("servicefile", Rule::Refused(SERVICE)),
    ("ssl_max_protocol_version", Rule::Only(&["TLSv1.3"], TLS_VERSION)),
    ("ssl_min_protocol_version", Rule::Only(&["TLSv1", "TLSv1.1", "TLSv1.2"], TLS_VERSION)),
    ("sslcert", Rule::Honoured),
    ("sslcertmode", Rule::Only(&["allow"], "a client certificate is sent when sslcert and sslkey are given")),
    ("sslcompression", Rule::Only(&["0"], "compression under TLS is unsafe and not offered")),
    ("sslcrl", Rule::Refused(REVOCATION)),
    ("sslcrldir", Rule::Refused(REVOCATION)),
    ("sslkey", Rule::Honoured),
    ("sslkeylogfile", Rule::Refused("the keys of a connection are not written out")),
    ("sslmode", Rule::Honoured),
    ("sslnegotiation", Rule::Only(&["postgres"], "this client asks the server before it starts TLS")),
    ("sslpassword", Rule::Refused("keys with a pass phrase are not offered: use one without, readable by heartbeatd")),
    ("sslrootcert", Rule::Honoured),
    ("sslsni", Rule::Only(&["1"], "the host's name is always sent")),
    (
        "target_session_attrs",
        Rule::Only(
            &["read-write", "primary", "any"],
            "beats go to the writable host, and checks to any: only read-write, primary and any fit",
        ),
    ),
    ("tcp_user_timeout", Rule::Refused(KEEPALIVE)),
    ("user", Rule::Refused(IN_ADDRESS)),
];

const KEYS: Keys = Keys { of: "PostgreSQL", rules: RULES };

impl Parameters {
    /// Reads and judges the parameters, and their meaning together with the hosts.
    ///
    /// # Errors
    /// The first parameter that heartbeatd cannot apply, by name, with the reason; never its value.
    pub(super) fn read(url: &DatabaseUrl) -> Result<Self, UrlError> {
        KEYS.judge(url, None)?;
        if url.user().is_none() && default_user().is_none() {
            return Err(refused("user", "this process's user has no name: write postgres://user@host/database"));
        }
        let mut warnings = Vec::new();
        if url.user().is_none() {
            warnings.push(
                "the address names no user: heartbeatd logs in as the user that it runs as; write postgres://user@host/database"
                    .to_owned(),
            );
        }
        let (ssl_mode, root_cert) = read_tls(url, &mut warnings)?;
        let client_cert = parameters::client_certificate(url, "sslcert", "sslkey")?;
        if client_cert.is_some() && matches!(ssl_mode, PgSslMode::Disable) {
            warnings.push("sslcert: shown to no server with sslmode=disable".to_owned());
        }
        let application_name = url.parameter("application_name").map(str::to_owned);
        let clear_text_allowed = parameters::switch(url, CLEAR_TEXT)?;
        if clear_text_allowed && matches!(ssl_mode, PgSslMode::Disable | PgSslMode::Prefer) {
            warnings.push(format!("{CLEAR_TEXT}: without TLS anyone on the network path can read the password"));
        }
        Ok(Self { ssl_mode, root_cert, client_cert, application_name, clear_text_allowed, warnings })
    }
}

/// The user for an address without one: the operating system's user, as in libpq.
pub(super) fn default_user() -> Option<String> {
    let options = PgConnectOptions::new_without_pgpass();
    // sqlx's name if the operating system has none.
    Some(options.get_username().to_owned()).filter(|user| user != "unknown")
}

/// The user of an address. [`Parameters::read`] has checked that there is one.
pub(super) fn user_of(url: &DatabaseUrl) -> String {
    url.user().map(str::to_owned).or_else(default_user).unwrap_or_default()
}

/// The database of an address. Without one it has the user's name, as in libpq.
pub(super) fn database_of(url: &DatabaseUrl) -> String {
    if url.database().is_empty() { user_of(url) } else { url.database().to_owned() }
}

fn read_tls(url: &DatabaseUrl, warnings: &mut Vec<String>) -> Result<(PgSslMode, Option<PathBuf>), UrlError> {
    let roots = url.parameter("sslrootcert");
    // As in libpq: "system" is not a file, and requires verification.
    let system = roots == Some("system");
    let mode = match url.parameter("sslmode") {
        None if system => PgSslMode::VerifyFull,
        None | Some("prefer") => PgSslMode::Prefer,
        Some("disable") => PgSslMode::Disable,
        // As in libpq: with a root certificate, `require` verifies the chain.
        Some("require") if roots.is_some() => PgSslMode::VerifyCa,
        Some("require") => PgSslMode::Require,
        Some("verify-ca") => PgSslMode::VerifyCa,
        Some("verify-full") => PgSslMode::VerifyFull,
        Some("allow") => {
            return Err(refused("sslmode", "allow never encrypts with this client: use prefer, or verify-full"));
        }
        Some(_) => return Err(refused("sslmode", "expected disable, prefer, require, verify-ca or verify-full")),
    };
    let verifies = matches!(mode, PgSslMode::VerifyCa | PgSslMode::VerifyFull);
    if system && !matches!(mode, PgSslMode::VerifyFull) {
        return Err(refused("sslrootcert", "system goes with sslmode=verify-full only"));
    }
    if verifies && url.hosts().iter().any(crate::database_url::Host::is_socket) {
        return Err(refused("sslmode", "a socket has no TLS to verify: leave sslmode out, or name a host"));
    }
    match mode {
        PgSslMode::Require => warnings.push(
            "sslmode=require: encrypted and unverified, so anyone on the network path can answer as the server; use \
             verify-full"
                .to_owned(),
        ),
        PgSslMode::VerifyCa => warnings.push(
            "sslmode=verify-ca: every certificate of a trusted authority is taken, whatever its name, and the \
             system's authorities are trusted too; use verify-full"
                .to_owned(),
        ),
        PgSslMode::Prefer | PgSslMode::Disable if roots.is_some() => {
            warnings.push("sslrootcert: ignored without sslmode=verify-full or verify-ca".to_owned());
        }
        _ => {}
    }
    Ok((mode, roots.filter(|_| verifies && !system).map(PathBuf::from)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::parameters::trial::keep_to_the_rules;
    use crate::target::Endpoint;

    fn read(address: &str) -> Result<Parameters, UrlError> {
        Parameters::read(&Endpoint::parse(address).unwrap().url)
    }

    fn with(parameters: &str) -> Result<Parameters, UrlError> {
        read(&format!("postgres://hb@db.example/orders?{parameters}"))
    }

    #[test]
    fn every_key_keeps_to_the_rules() {
        keep_to_the_rules(&KEYS, &["application_name", "sslrootcert"], |parameters| {
            with(parameters).map(|_| ()).map_err(|error| error.to_string())
        });
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_one() {
        insta::assert_snapshot!(with("sslmod=require").unwrap_err(), @r#"parameter "sslmod": not a parameter of PostgreSQL addresses, did you mean "sslmode"?"#);
        insta::assert_snapshot!(with("pool_size=3").unwrap_err(), @r#"parameter "pool_size": remove it: heartbeatd keeps one connection"#);
    }

    #[test]
    fn the_modes_of_tls_are_those_of_libpq() {
        for (parameters, mode, root, warnings) in [
            ("", PgSslMode::Prefer, false, 0),
            ("sslmode=disable", PgSslMode::Disable, false, 0),
            ("sslmode=require", PgSslMode::Require, false, 1),
            ("sslmode=require&sslrootcert=/ca.pem", PgSslMode::VerifyCa, true, 1),
            ("sslmode=verify-ca", PgSslMode::VerifyCa, false, 1),
            ("sslmode=verify-full", PgSslMode::VerifyFull, false, 0),
            ("sslmode=verify-full&sslrootcert=/ca.pem", PgSslMode::VerifyFull, true, 0),
            ("sslrootcert=system", PgSslMode::VerifyFull, false, 0),
            ("sslmode=prefer&sslrootcert=/ca.pem", PgSslMode::Prefer, false, 1),
        ] {
            let found = with(parameters).unwrap();
            assert_eq!(format!("{:?}", found.ssl_mode), format!("{mode:?}"), "{parameters}");
            assert_eq!(found.root_cert.is_some(), root, "{parameters}");
            assert_eq!(found.warnings.len(), warnings, "{parameters}: {:?}", found.warnings);
        }
        for parameters in ["sslmode=allow", "sslmode=always", "sslmode=require&sslrootcert=system", "sslcert=/c.pem"] {
            assert!(with(parameters).is_err(), "{parameters}");
        }
    }

    #[test]
    fn a_clear_text_password_needs_its_own_parameter_and_gets_a_warning() {
        for (parameters, allowed, warnings) in [
            ("sslmode=disable", false, 0),
            ("allow_cleartext_password=0", false, 0),
            ("allow_cleartext_password=1", true, 1),
            ("allow_cleartext_password=1&sslmode=verify-full", true, 0),
        ] {
            let found = with(parameters).unwrap();
            assert_eq!((found.clear_text_allowed, found.warnings.len()), (allowed, warnings), "{parameters}");
        }
    }

    #[test]
    fn a_socket_cannot_be_verified() {
        assert!(read("postgres://hb@%2Frun%2Fpostgresql/orders?sslmode=verify-full").is_err());
        assert!(read("postgres://hb@%2Frun%2Fpostgresql/orders").is_ok());
    }
}
