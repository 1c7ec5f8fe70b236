//! The parameters of a MySQL or MariaDB address. heartbeatd uses those of the servers' own clients, and refuses those
//! of other connectors by name, with the reason. `connect` reads them, and the driver's `validate` when a configuration
//! is loaded.

use std::path::PathBuf;

use sqlx::mysql::MySqlSslMode;

use crate::database_url::{DatabaseUrl, Host, UrlError};
use crate::driver::certificates::ClientFiles;
use crate::driver::parameters::{self, Keys, Rule, refused};

/// The settings in the parameters of an address.
#[derive(Debug, Clone)]
pub(super) struct Parameters {
    pub(super) ssl_mode: MySqlSslMode,
    /// Certificates that are trusted in addition to the system's.
    pub(super) root_cert: Option<PathBuf>,
    /// The client's certificate and key.
    pub(super) client_cert: Option<ClientFiles>,
    /// Whether the password may be sent in clear, with or without TLS, to a server that requests it.
    pub(super) clear_text_allowed: bool,
    /// A warning about this address.
    pub(super) warnings: Vec<String>,
}

const MODE: &str = "write ssl-mode=verify_identity (or disabled, preferred, required, verify_ca)";
const TIMEOUT: &str = "use the setting timeout, which covers connecting and the beat";
const IN_ADDRESS: &str = "belongs in the address itself: mysql://user@host:port/database";
const SECRET: &str = "a secret does not belong in parameters: use the setting password";
const CHARSET: &str = "utf8mb4 is what this client speaks";
const ZONE: &str = "not needed: every session sets its zone to UTC by itself";
const FILES: &str = "name one file of certificates, which is what this client reads: ssl-ca=FILE";
const REVOCATION: &str = "revocation lists are not offered by this client";
const TLS_VERSION: &str = "TLS 1.2 and 1.3 are what this client speaks";
const RSA: &str = "this client sends no password by RSA: write ssl-mode=verify_identity";
const POOL: &str = "not needed: one connection is kept, and nothing is prepared on it";
const HOSTS: &str = "all hosts are asked at once, and the writable one is used";

/// The key of the servers' own clients.
const CLEAR_TEXT: &str = "enable-cleartext-plugin";

/// The keys of the servers' own clients, and the other connectors' names for them.
const RULES: &[(&str, Rule)] = &[
    ("allowPublicKeyRetrieval", Rule::Only(&["false"], RSA)),
    ("charset", Rule::Only(&["utf8mb4", "utf8"], CHARSET)),
    ("compression", Rule::Refused("not offered by this client: a beat is a few hundred bytes")),
    ("connect-timeout", Rule::Refused(TIMEOUT)),
    ("connectTimeout", Rule::Refused(TIMEOUT)),
    ("database", Rule::Refused(IN_ADDRESS)),
    ("default-character-set", Rule::Only(&["utf8mb4", "utf8"], CHARSET)),
    (CLEAR_TEXT, Rule::Honoured),
    ("get-server-public-key", Rule::Only(&["false", "0"], RSA)),
    ("host", Rule::Refused(IN_ADDRESS)),
    ("init-command", Rule::Refused("a session says nothing but the heartbeat's own statements")),
    ("loc", Rule::Refused(ZONE)),
    ("loadBalance", Rule::Refused(HOSTS)),
    ("parseTime", Rule::Refused(ZONE)),
    ("password", Rule::Refused(SECRET)),
    ("port", Rule::Refused(IN_ADDRESS)),
    ("protocol", Rule::Only(&["tcp", "socket"], "a host is reached by TCP, a path by a socket")),
    ("server-public-key-path", Rule::Refused(RSA)),
    ("serverTimezone", Rule::Refused(ZONE)),
    (
        "socket",
        Rule::Refused(
            "goes with no host but localhost, and no port: mysql://user@localhost/?socket=/run/mysqld/mysqld.sock",
        ),
    ),
    ("socketTimeout", Rule::Refused(TIMEOUT)),
    ("ssl-ca", Rule::Honoured),
    ("ssl-capath", Rule::Refused(FILES)),
    ("ssl-cert", Rule::Honoured),
    ("ssl-crl", Rule::Refused(REVOCATION)),
    ("ssl-crlpath", Rule::Refused(REVOCATION)),
    ("ssl-key", Rule::Honoured),
    ("ssl-mode", Rule::Honoured),
    ("ssl-verify-server-cert", Rule::Refused(MODE)),
    ("sslMode", Rule::Refused(MODE)),
    ("sslmode", Rule::Refused(MODE)),
    ("sslrootcert", Rule::Refused("write ssl-ca=FILE")),
    ("statement-cache-capacity", Rule::Refused(POOL)),
    ("time_zone", Rule::Refused(ZONE)),
    ("timezone", Rule::Refused(ZONE)),
    ("tls", Rule::Refused(MODE)),
    ("tls-version", Rule::Only(&["TLSv1.2", "TLSv1.3", "TLSv1.2,TLSv1.3"], TLS_VERSION)),
    ("useSSL", Rule::Refused(MODE)),
    ("user", Rule::Refused(IN_ADDRESS)),
    ("verifyServerCertificate", Rule::Refused(MODE)),
];

const KEYS: Keys = Keys { of: "MySQL", rules: RULES };

impl Parameters {
    /// Reads and judges the parameters, and their meaning together with the hosts.
    ///
    /// # Errors
    /// The first parameter that heartbeatd cannot apply, by name, with the reason; never its value.
    pub(super) fn read(url: &DatabaseUrl) -> Result<Self, UrlError> {
        let without_user = refused("user", "the address has no user: write mysql://user@host/database");
        KEYS.judge(url, url.user().is_none().then_some(without_user))?;
        let mut warnings = Vec::new();
        let (ssl_mode, root_cert) = read_tls(url, &mut warnings)?;
        let client_cert = parameters::client_certificate(url, "ssl-cert", "ssl-key")?;
        if client_cert.is_some() && matches!(ssl_mode, MySqlSslMode::Disabled) {
            warnings.push("ssl-cert: shown to no server with ssl-mode=disabled".to_owned());
        }
        let clear_text_allowed = parameters::switch(url, CLEAR_TEXT)?;
        if clear_text_allowed && matches!(ssl_mode, MySqlSslMode::Disabled | MySqlSslMode::Preferred) {
            warnings.push(format!("{CLEAR_TEXT}: without TLS anyone on the network path can read the password"));
        }
        Ok(Self { ssl_mode, root_cert, client_cert, clear_text_allowed, warnings })
    }
}

/// The user of an address. [`Parameters::read`] has checked that there is one.
pub(super) fn user_of(url: &DatabaseUrl) -> String {
    url.user().unwrap_or_default().to_owned()
}

fn read_tls(url: &DatabaseUrl, warnings: &mut Vec<String>) -> Result<(MySqlSslMode, Option<PathBuf>), UrlError> {
    let roots = url.parameter("ssl-ca");
    let word = url.parameter("ssl-mode").map(|word| word.to_ascii_lowercase().replace('-', "_"));
    let mode = match word.as_deref() {
        None | Some("preferred") => MySqlSslMode::Preferred,
        Some("disabled") => MySqlSslMode::Disabled,
        Some("required") => MySqlSslMode::Required,
        Some("verify_ca") => MySqlSslMode::VerifyCa,
        Some("verify_identity") => MySqlSslMode::VerifyIdentity,
        Some(_) => {
            return Err(refused("ssl-mode", "expected disabled, preferred, required, verify_ca or verify_identity"));
        }
    };
    let verifies = matches!(mode, MySqlSslMode::VerifyCa | MySqlSslMode::VerifyIdentity);
    if verifies && url.hosts().iter().any(Host::is_socket) {
        return Err(refused("ssl-mode", "a socket has no host to verify: leave ssl-mode out, or name a host"));
    }
    match mode {
        MySqlSslMode::Required => warnings.push(
            "ssl-mode=required: encrypted and unverified, so anyone on the network path can answer as the server; use \
             verify_identity"
                .to_owned(),
        ),
        MySqlSslMode::VerifyCa => warnings.push(
            "ssl-mode=verify_ca: every certificate of a trusted authority is taken, whatever its name, and the \
             system's authorities are trusted too; use verify_identity"
                .to_owned(),
        ),
        MySqlSslMode::Preferred | MySqlSslMode::Disabled if roots.is_some() => {
            warnings.push("ssl-ca: ignored without ssl-mode=verify_identity or verify_ca".to_owned());
        }
        _ => {}
    }
    Ok((mode, roots.filter(|_| verifies).map(PathBuf::from)))
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
        read(&format!("mysql://hb@db.example:3306/orders?{parameters}"))
    }

    #[test]
    fn every_key_keeps_to_the_rules() {
        keep_to_the_rules(&KEYS, &["ssl-ca"], |parameters| {
            with(parameters).map(|_| ()).map_err(|error| error.to_string())
        });
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_one() {
        insta::assert_snapshot!(with("ssl_mode=required").unwrap_err(), @r#"parameter "ssl_mode": not a parameter of MySQL addresses, did you mean "ssl-mode"?"#);
        insta::assert_snapshot!(with("pool_size=3").unwrap_err(), @r#"parameter "pool_size": remove it: heartbeatd keeps one connection"#);
    }

    #[test]
    fn the_modes_of_tls_are_those_of_the_servers_own_clients() {
        for (parameters, mode, root, warnings) in [
            ("", MySqlSslMode::Preferred, false, 0),
            ("ssl-mode=DISABLED", MySqlSslMode::Disabled, false, 0),
            ("ssl-mode=required", MySqlSslMode::Required, false, 1),
            ("ssl-mode=verify-ca", MySqlSslMode::VerifyCa, false, 1),
            ("ssl-mode=verify_identity", MySqlSslMode::VerifyIdentity, false, 0),
            ("ssl-mode=VERIFY_IDENTITY&ssl-ca=/ca.pem", MySqlSslMode::VerifyIdentity, true, 0),
            ("ssl-ca=/ca.pem", MySqlSslMode::Preferred, false, 1),
        ] {
            let found = with(parameters).unwrap();
            assert_eq!(format!("{:?}", found.ssl_mode), format!("{mode:?}"), "{parameters}");
            assert_eq!(found.root_cert.is_some(), root, "{parameters}");
            assert_eq!(found.warnings.len(), warnings, "{parameters}: {:?}", found.warnings);
        }
        for parameters in ["ssl-mode=always", "ssl-cert=/c.pem", "ssl-key=/k.pem"] {
            assert!(with(parameters).is_err(), "{parameters}");
        }
    }

    #[test]
    fn a_clear_text_password_needs_its_own_parameter_and_gets_a_warning() {
        for (parameters, allowed, warnings) in [
            ("ssl-mode=disabled", false, 0),
            ("enable-cleartext-plugin=false", false, 0),
            ("enable-cleartext-plugin=1", true, 1),
            ("enable-cleartext-plugin=1&ssl-mode=verify_identity", true, 0),
        ] {
            let found = with(parameters).unwrap();
            assert_eq!((found.clear_text_allowed, found.warnings.len()), (allowed, warnings), "{parameters}");
        }
    }

    #[test]
    fn a_socket_is_a_host_and_cannot_be_verified() {
        for address in ["mysql://hb@localhost/orders?socket=/run/s.sock", "mysql://hb@%2Frun%2Fs.sock/orders"] {
            let url = Endpoint::parse(address).unwrap().url;
            assert_eq!(url.hosts()[0].name, "/run/s.sock");
            assert!(read(address).is_ok());
        }
        assert!(read("mysql://hb@%2Frun%2Fs.sock/?ssl-mode=verify_identity").is_err());
        for remote in ["mysql://hb@db/?socket=/run/s.sock", "mysql://hb@localhost:3306/?socket=/run/s.sock"] {
            assert!(read(remote).is_err(), "{remote}");
        }
    }

    #[test]
    fn an_address_without_a_user_is_refused() {
        assert!(read("mysql://db/orders").is_err());
    }
}
