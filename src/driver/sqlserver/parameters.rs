//! The parameters of a SQL Server address: the keys of Microsoft's connection strings, each honoured, taken for what is done
//! anyway, or refused by name with the reason. Read by `connect`, and by the driver's `validate` when a configuration is
//! loaded.

use std::path::PathBuf;

use tiberius::EncryptionLevel;

use crate::database_url::{DatabaseUrl, UrlError};
use crate::driver::parameters::{Keys, Rule, refused};
use crate::driver::shared_checks::server::is_local;

/// The port of an address without one.
pub(super) const PORT: u16 = 1433;

/// What the parameters of an address ask for.
#[derive(Debug, Clone)]
pub(super) struct Parameters {
    pub(super) encryption: EncryptionLevel,
    /// Whether any certificate of a server will do.
    pub(super) any_certificate: bool,
    /// Authorities to trust besides the system's.
    pub(super) ca_file: Option<PathBuf>,
    /// The name that the server's certificate must be for, where it is not the host's.
    pub(super) certificate_name: Option<String>,
    /// Whether the secret is an access token instead of a password.
    pub(super) token: bool,
    /// Whether a listener may lead to a readable secondary.
    pub(super) read_only: bool,
    pub(super) application_name: Option<String>,
    /// What somebody should know about this address.
    pub(super) warnings: Vec<String>,
}

const IN_ADDRESS: &str = "belongs into the address itself: mssql://user@host:port/database";
const SECRET: &str = "a secret does not belong into parameters: use the setting password";
const POOL: &str = "heartbeatd keeps one connection for each target: take it out";
const TIMES: &str = "the target's setting timeout bounds connecting and each beat: take it out";
const AGAIN: &str = "heartbeatd connects again by itself: take it out";
const WINDOWS: &str = "Windows and Kerberos logins are not offered: use a SQL login, or Authentication=AccessToken";
const ONLY_FALSE: &str = "only false is offered";
const BOOLEAN: &str = "only true and false are values of it";
const LOCAL: &str = "a local database of Windows is not offered: name a server";
const ENCRYPT: &str = "expected strict, mandatory, optional or disable";
const FALSE: &[&str] = &["false"];
const BOTH: &[&str] = &["true", "false"];

/// The keys of Microsoft.Data.SqlClient 6, and `CaFile`:
/// <https://learn.microsoft.com/en-us/dotnet/api/microsoft.data.sqlclient.sqlconnection.connectionstring>.
const RULES: &[(&str, Rule)] = &[
    ("ApplicationIntent", Rule::Honoured),
    ("ApplicationName", Rule::Honoured),
    ("AttachDBFilename", Rule::Refused(LOCAL)),
    ("Authentication", Rule::Honoured),
    ("CaFile", Rule::Honoured),
    ("ColumnEncryptionSetting", Rule::Only(&["disabled"], "the heartbeat's columns are not encrypted")),
    ("CommandTimeout", Rule::Refused(TIMES)),
    ("ConnectRetryCount", Rule::Refused(AGAIN)),
    ("ConnectRetryInterval", Rule::Refused(AGAIN)),
    ("ConnectTimeout", Rule::Honoured),
    ("ConnectionLifetime", Rule::Refused(POOL)),
    ("ContextConnection", Rule::Only(FALSE, ONLY_FALSE)),
    ("CurrentLanguage", Rule::Refused("nothing that heartbeatd sends depends on it: take it out")),
    ("Database", Rule::Refused(IN_ADDRESS)),
    ("Driver", Rule::Refused("this client is no ODBC driver: take it out")),
    ("Encrypt", Rule::Honoured),
    ("Enlist", Rule::Only(BOTH, BOOLEAN)),
    ("FailoverPartner", Rule::Refused("name both servers: mssql://user@first,second/database")),
    ("HostNameInCertificate", Rule::Honoured),
    ("IntegratedSecurity", Rule::Only(FALSE, WINDOWS)),
    ("LoadBalanceTimeout", Rule::Refused(POOL)),
    ("MaxPoolSize", Rule::Refused(POOL)),
    ("MinPoolSize", Rule::Refused(POOL)),
    ("MultiSubnetFailover", Rule::Only(BOTH, "all addresses of a name are tried at once, whatever it says")),
    ("MultipleActiveResultSets", Rule::Only(FALSE, ONLY_FALSE)),
    ("NetworkLibrary", Rule::Only(&["dbmssocn"], "only TCP is spoken")),
    ("PacketSize", Rule::Refused("a beat is one packet: take it out")),
    ("Password", Rule::Refused(SECRET)),
    ("PersistSecurityInfo", Rule::Only(BOTH, BOOLEAN)),
    ("PoolBlockingPeriod", Rule::Refused(POOL)),
    ("Pooling", Rule::Only(BOTH, BOOLEAN)),
    ("Replication", Rule::Only(FALSE, ONLY_FALSE)),
    ("Server", Rule::Refused(IN_ADDRESS)),
    (
        "ServerCertificate",
        Rule::Refused("use CaFile with the authority's certificate, or the server's own if it signed itself"),
    ),
    ("ServerSPN", Rule::Refused(WINDOWS)),
    ("TransactionBinding", Rule::Refused("a beat is a transaction by itself: take it out")),
    ("TransparentNetworkIPResolution", Rule::Only(BOTH, BOOLEAN)),
    ("TrustServerCertificate", Rule::Honoured),
    ("TypeSystemVersion", Rule::Refused("nothing that heartbeatd reads depends on it: take it out")),
    ("User", Rule::Refused(IN_ADDRESS)),
    ("UserInstance", Rule::Only(FALSE, LOCAL)),
    ("WorkstationID", Rule::Refused("sessions are named by ApplicationName: take it out")),
];

/// Other names of these keys, squashed.
const ALIASES: &[(&str, &str)] = &[
    ("app", "ApplicationName"),
    ("connectiontimeout", "ConnectTimeout"),
    ("mars", "MultipleActiveResultSets"),
    ("net", "NetworkLibrary"),
    ("network", "NetworkLibrary"),
    ("persistsecurity", "PersistSecurityInfo"),
    ("servercertificatename", "HostNameInCertificate"),
    ("timeout", "ConnectTimeout"),
    ("trustedconnection", "IntegratedSecurity"),
    ("wsid", "WorkstationID"),
];

const KEYS: Keys = Keys { of: "SQL Server", rules: RULES };

/// A key as it is compared: small letters, without spaces.
pub(super) fn squash(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, ' ' | '_' | '-')).flat_map(char::to_lowercase).collect()
}

/// The key that a squashed name means.
pub(super) fn canonical(squashed: &str) -> Option<&'static str> {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == squashed).map(|(_, key)| *key);
    alias.or_else(|| RULES.iter().map(|(key, _)| *key).find(|key| key.eq_ignore_ascii_case(squashed)))
}

/// A parameter under the key that it means, with one word for yes and one for no; what is not known stays as it is.
pub(super) fn normal(name: String, value: String) -> (String, String) {
    let Some(key) = canonical(&squash(&name)) else { return (name, value) };
    let has_words = RULES.iter().any(|(known, rule)| *known == key && matches!(rule, Rule::Only(..)));
    let value = match value.to_ascii_lowercase().as_str() {
        _ if !has_words && !["TrustServerCertificate", "Encrypt"].contains(&key) => value,
        "yes" | "1" => "true".to_owned(),
        "no" | "0" => "false".to_owned(),
        word => word.to_owned(),
    };
    (key.to_owned(), value)
}

/// A key of a connection string that is not taken, by its number.
pub(super) fn refused_key(number: usize, reason: &str) -> UrlError {
    refused(&format!("number {number}"), reason)
}

impl Parameters {
    /// Reads and judges the parameters, and what they mean together with the rest of the address.
    ///
    /// # Errors
    /// The first parameter that cannot be honoured, by name, with the reason; never its value.
    pub(super) fn read(url: &DatabaseUrl) -> Result<Self, UrlError> {
        KEYS.judge(url, None)?;
        let text = |name| url.parameter(name).map(str::to_owned);
        let mut parameters = Self {
            encryption: encryption(url)?,
            any_certificate: switch(url, "TrustServerCertificate")?,
            ca_file: url.parameter("CaFile").map(PathBuf::from),
            certificate_name: text("HostNameInCertificate"),
            token: token(url)?,
            read_only: intent(url)?,
            application_name: text("ApplicationName"),
            warnings: Vec::new(),
        };
        if url.hosts().iter().any(crate::database_url::Host::is_socket) {
            return Err(refused("host", "SQL Server has no sockets in the file system: name a host"));
        }
        if url.user().is_none() && !parameters.token {
            return Err(refused("user", "the address names no user: write mssql://user@host/database"));
        }
        if url.database().is_empty() {
            return Err(refused("database", "the address names no database: write mssql://user@host/database"));
        }
        parameters.judge_trust(url)?;
        if url.parameter("ConnectTimeout").is_some() {
            parameters
                .warnings
                .push("ConnectTimeout: has no effect, as the target's setting timeout bounds connecting".to_owned());
        }
        Ok(parameters)
    }

    fn judge_trust(&mut self, url: &DatabaseUrl) -> Result<(), UrlError> {
        let strict = self.encryption == EncryptionLevel::Strict;
        let none = self.encryption == EncryptionLevel::NotSupported;
        if self.any_certificate && self.ca_file.is_some() {
            return Err(refused("TrustServerCertificate", "accepts any certificate, so CaFile would have no effect"));
        }
        if self.any_certificate && strict {
            return Err(refused(
                "TrustServerCertificate",
                "is not for Encrypt=strict, which always verifies the certificate",
            ));
        }
        if none && (self.ca_file.is_some() || self.any_certificate || self.certificate_name.is_some()) {
            return Err(refused("Encrypt", "disable uses no certificate: take out what is said of certificates"));
        }
        if none && self.token {
            return Err(refused("Authentication", "an access token is only sent with encryption"));
        }
        let local = is_local(url);
        if self.any_certificate && !local {
            self.warnings.push(
                "TrustServerCertificate=true: encrypted, but heartbeatd trusts any server that answers; use CaFile=FILE"
                    .to_owned(),
            );
        }
        if none && !local {
            self.warnings.push("Encrypt=disable: everybody on the way can read the password".to_owned());
        }
        Ok(())
    }
}

fn encryption(url: &DatabaseUrl) -> Result<EncryptionLevel, UrlError> {
    match url.parameter("Encrypt") {
        Some("strict") => Ok(EncryptionLevel::Strict),
        None | Some("mandatory" | "true") => Ok(EncryptionLevel::Required),
        // The login alone is encrypted, and its certificate verified.
        Some("optional" | "false") => Ok(EncryptionLevel::Off),
        Some("disable") => Ok(EncryptionLevel::NotSupported),
        Some(_) => Err(refused("Encrypt", ENCRYPT)),
    }
}

fn token(url: &DatabaseUrl) -> Result<bool, UrlError> {
    match url.parameter("Authentication").map(squash).as_deref() {
        None | Some("sqlpassword") => Ok(false),
        Some("accesstoken" | "activedirectoryaccesstoken") => Ok(true),
        Some(_) => Err(refused(
            "Authentication",
            "expected SqlPassword, or AccessToken with the token as the setting password (a file or a command, read at \
             every login)",
        )),
    }
}

fn intent(url: &DatabaseUrl) -> Result<bool, UrlError> {
    match url.parameter("ApplicationIntent").map(squash).as_deref() {
        None | Some("readwrite") => Ok(false),
        Some("readonly") => Ok(true),
        Some(_) => Err(refused("ApplicationIntent", "expected ReadOnly or ReadWrite")),
    }
}

fn switch(url: &DatabaseUrl, name: &str) -> Result<bool, UrlError> {
    match url.parameter(name) {
        Some("true") => Ok(true),
        None | Some("false") => Ok(false),
        Some(_) => Err(refused(name, BOOLEAN)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::parameters::trial;
    use crate::target::Endpoint;

    fn read(address: &str) -> Result<Parameters, String> {
        let endpoint = Endpoint::parse(address).map_err(|error| error.to_string())?;
        Parameters::read(&endpoint.url).map_err(|error| error.to_string())
    }

    fn with(query: &str) -> Result<Parameters, String> {
        read(&format!("mssql://hb@db.example/orders?{query}"))
    }

    #[test]
    fn every_key_is_honoured_or_refused_by_name() {
        let free = ["ApplicationName", "CaFile", "ConnectTimeout", "HostNameInCertificate"];
        trial::keep_to_the_rules(&KEYS, &free, |query| with(query).map(drop));
    }

    #[test]
    fn a_password_travels_in_clear_only_where_that_was_written() {
        for (query, expected) in [
            ("", EncryptionLevel::Required),
            ("encrypt=Yes", EncryptionLevel::Required),
            ("Encrypt=Mandatory", EncryptionLevel::Required),
            ("Encrypt=Strict", EncryptionLevel::Strict),
            ("encrypt=no", EncryptionLevel::Off),
            ("Encrypt=optional", EncryptionLevel::Off),
            ("Encrypt=disable", EncryptionLevel::NotSupported),
        ] {
            assert_eq!(with(query).unwrap().encryption, expected, "{query}");
        }
        assert!(with("Encrypt=disable").unwrap().warnings[0].contains("read the password"));
    }

    #[test]
    fn trust_is_one_thing_or_the_other() {
        for query in [
            "TrustServerCertificate=true&CaFile=/ca.pem",
            "TrustServerCertificate=true&Encrypt=strict",
            "CaFile=/ca.pem&Encrypt=disable",
            "Authentication=AccessToken&Encrypt=disable",
        ] {
            assert!(with(query).is_err(), "{query}");
        }
        assert_eq!(with("trust server certificate=yes").unwrap().warnings.len(), 1);
        assert!(read("mssql://hb@localhost/orders?TrustServerCertificate=true").unwrap().warnings.is_empty());
    }

    #[test]
    fn an_access_token_needs_no_user_and_a_password_does() {
        assert!(read("mssql://db.example/orders?Authentication=AccessToken").unwrap().token);
        assert!(read("mssql://db.example/orders").unwrap_err().contains("names no user"));
        assert!(read("mssql://hb@db.example/").unwrap_err().contains("names no database"));
        assert!(with("Authentication=ActiveDirectoryPassword").unwrap_err().contains("AccessToken"));
        assert!(with("Integrated Security=SSPI").unwrap_err().contains("Kerberos"));
    }

    #[test]
    fn a_key_twice_is_refused_however_it_is_written() {
        assert!(with("Encrypt=strict&encrypt=disable").unwrap_err().contains("twice"));
    }
}
