//! The parameters of a SQL Server address: the keys of Microsoft's connection strings. heartbeatd honours a key,
//! accepts it because it does the same anyway, or refuses it by name with the reason. `connect` reads them, and the
//! driver's `validate` reads them when a configuration is loaded.

use std::path::PathBuf;

use tiberius::EncryptionLevel;

use super::keys::{KEYS, WITHOUT_EFFECT, squash};
use crate::database_url::{DatabaseUrl, Host, UrlError};
use crate::driver::parameters::refused;
use crate::driver::shared_checks::server::is_local;

/// The port of an address without one.
pub(super) const PORT: u16 = 1433;

/// The parameters of an address, parsed.
#[derive(Debug, Clone)]
pub(super) struct Parameters {
    pub(super) encryption: EncryptionLevel,
    /// Whether any certificate of a server is accepted.
    pub(super) any_certificate: bool,
    /// Authorities to trust besides the system's.
    pub(super) ca_file: Option<PathBuf>,
    /// The name that the server's certificate must contain, if it is not the host's.
    pub(super) certificate_name: Option<String>,
    /// Whether the secret is an access token instead of a password.
    pub(super) token: bool,
    /// Whether a listener may lead to a readable secondary.
    pub(super) read_only: bool,
    pub(super) application_name: Option<String>,
    /// The machine name that the server shows for this client, if it is not the machine's own.
    pub(super) workstation: Option<String>,
    /// Warnings about values that may be a mistake.
    pub(super) warnings: Vec<String>,
}

/// A refused key of a connection string, named by its position.
pub(super) fn refused_key(number: usize, reason: &str) -> UrlError {
    refused(&format!("number {number}"), reason)
}

impl Parameters {
    /// Reads and judges the parameters, alone and together with the rest of the address.
    ///
    /// # Errors
    /// The first parameter that heartbeatd cannot honour, by name, with the reason and without its value.
    pub(super) fn read(url: &DatabaseUrl) -> Result<Self, UrlError> {
        KEYS.judge(url, None)?;
        let text = |name| url.parameter(name).map(str::to_owned);
        let mut parameters = Self {
            encryption: encryption(url)?,
            any_certificate: switch(url, "TrustServerCertificate")?,
            ca_file: url.parameter("CaFile").map(PathBuf::from),
            certificate_name: certificate_name(url)?,
            token: token(url)?,
            read_only: intent(url)?,
            application_name: text("ApplicationName"),
            workstation: text("WorkstationID"),
            warnings: Vec::new(),
        };
        if url.hosts().iter().any(Host::is_socket) {
            return Err(refused("host", "SQL Server has no sockets in the file system: name a host"));
        }
        if url.user().is_none() && !parameters.token {
            return Err(refused("user", "the address names no user: write mssql://user@host/database"));
        }
        if url.database().is_empty() {
            return Err(refused("database", "the address names no database: write mssql://user@host/database"));
        }
        parameters.judge_trust(url)?;
        let idle = WITHOUT_EFFECT.iter().filter(|(key, _)| url.parameter(key).is_some());
        parameters.warnings.extend(idle.map(|(key, reason)| format!("{key}: has no effect, {reason}")));
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
            return Err(refused("Encrypt", "disable uses no certificate: take out the parameters about certificates"));
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
            self.warnings.push("Encrypt=disable: anyone on the network path can read the password".to_owned());
        }
        Ok(())
    }
}

fn encryption(url: &DatabaseUrl) -> Result<EncryptionLevel, UrlError> {
    match url.parameter("Encrypt") {
        Some("strict") => Ok(EncryptionLevel::Strict),
        None | Some("mandatory" | "true") => Ok(EncryptionLevel::Required),
        // Only the login is encrypted. The certificate is verified.
        Some("optional" | "false") => Ok(EncryptionLevel::Off),
        Some("disable") => Ok(EncryptionLevel::NotSupported),
        Some(_) => Err(refused("Encrypt", ENCRYPT)),
    }
}

/// The name that the certificate must contain. Azure's portal writes a wildcard that includes the host's name, so it
/// changes nothing.
fn certificate_name(url: &DatabaseUrl) -> Result<Option<String>, UrlError> {
    let Some(name) = url.parameter("HostNameInCertificate") else { return Ok(None) };
    let Some(domain) = name.strip_prefix('*') else { return Ok(Some(name.to_owned())) };
    let is_in_domain = |host: &Host| {
        let (host, domain) = (host.name.to_ascii_lowercase(), domain.to_ascii_lowercase());
        host.strip_suffix(&domain).is_some_and(|label| !label.is_empty() && !label.contains('.'))
    };
    match domain.starts_with('.') && url.hosts().iter().all(is_in_domain) {
        true => Ok(None),
        false => Err(refused("HostNameInCertificate", "expected one name, or a wildcard that matches the host")),
    }
}

fn token(url: &DatabaseUrl) -> Result<bool, UrlError> {
    match url.parameter("Authentication").map(squash).as_deref() {
        None | Some("sqlpassword" | "notspecified") => Ok(false),
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
        Some(_) => Err(refused(name, super::keys::BOOLEAN)),
    }
}

const ENCRYPT: &str = "expected strict, mandatory, optional or disable";

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
        let mut free = vec!["ApplicationName", "CaFile", "HostNameInCertificate", "WorkstationID"];
        free.extend(WITHOUT_EFFECT.iter().map(|(key, _)| *key));
        trial::keep_to_the_rules(&KEYS, &free, |query| with(query).map(drop));
    }

    #[test]
    fn a_password_is_sent_in_clear_only_if_the_address_says_so() {
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
    fn an_authority_and_trust_in_any_certificate_exclude_each_other() {
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
    fn a_wildcard_of_azures_portal_means_the_host() {
        let named = |host: &str, name: &str| {
            let parameters = read(&format!("mssql://hb@{host}/orders?HostNameInCertificate={name}"));
            parameters.map(|parameters| parameters.certificate_name)
        };
        assert_eq!(named("Orders.database.windows.net", "*.database.windows.net"), Ok(None));
        assert_eq!(named("db", "db.example"), Ok(Some("db.example".to_owned())));
        for host in ["db.example", "a.b.database.windows.net", "database.windows.net"] {
            assert!(named(host, "*.database.windows.net").unwrap_err().contains("HostNameInCertificate"), "{host}");
        }
    }

    #[test]
    fn a_repeated_key_is_refused_in_every_spelling() {
        assert!(with("Encrypt=strict&encrypt=disable").unwrap_err().contains("twice"));
    }
}
