//! An address as plain data, and how it is shown. `grammar` builds it.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// A database family, by the name of its driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Family(&'static str);

/// An address without its password: safe to show.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DatabaseUrl {
    pub(super) family: Family,
    /// As written, in lower case.
    pub(super) scheme: String,
    pub(super) user: Option<String>,
    pub(super) hosts: Vec<Host>,
    pub(super) database: String,
    pub(super) parameters: Vec<(String, String)>,
}

/// One host of an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host {
    /// A name, an address, or (starting with `/`) a socket: its directory for PostgreSQL, its file for MySQL.
    pub name: String,
    /// The port, if the address gives one.
    pub port: Option<u16>,
    /// The instance, for databases that have instances: `host\INSTANCE`.
    pub instance: Option<String>,
}

impl Family {
    /// The family whose driver has this name.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The family's name: the `driver` label, the cargo feature, and the word in the documentation.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl DatabaseUrl {
    /// The family of the scheme.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// The scheme as written, in lower case: it may say more than the family.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The user, if one is given.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The same address with this user, if the address names none.
    #[must_use]
    pub fn with_default_user(mut self, user: Option<&str>) -> Self {
        if self.user.is_none() {
            self.user = user.map(str::to_owned);
        }
        self
    }

    /// The hosts, in order. Empty if the database is a file.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The same address with only this host.
    #[must_use]
    pub fn with_host(&self, host: &Host) -> Self {
        Self { hosts: vec![host.clone()], ..self.clone() }
    }

    /// The database or the file; may be empty.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The parameters, decoded, in order.
    #[must_use]
    pub fn parameters(&self) -> &[(String, String)] {
        &self.parameters
    }

    /// One parameter's value.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The default name of a target: `host/database`, or the file's name.
    #[must_use]
    pub fn default_name(&self) -> String {
        if self.hosts.is_empty() {
            let file = self.database.rsplit('/').next().unwrap_or(&self.database);
            return file.to_owned();
        }
        let host = self.hosts.first().map_or("", |host| host.name.as_str());
        if self.database.is_empty() { host.to_owned() } else { format!("{host}/{}", self.database) }
    }
}

/// The characters that RFC 3986 never requires to be encoded.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The characters that stay readable in a path or a parameter.
const SHOWN: &AsciiSet = &UNRESERVED.remove(b'/').remove(b':');

/// The address without its password. It shows the parameters' values, because none of ours is secret.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.scheme)?;
        if !self.hosts.is_empty() {
            f.write_str("//")?;
            if let Some(user) = &self.user {
                write!(f, "{}@", utf8_percent_encode(user, UNRESERVED))?;
            }
            for (index, host) in self.hosts.iter().enumerate() {
                f.write_str(if index > 0 { "," } else { "" })?;
                match (host.name.contains(':'), host.is_socket()) {
                    (true, false) => write!(f, "[{}]", host.name)?,
                    (_, true) => write!(f, "{}", utf8_percent_encode(&host.name, UNRESERVED))?,
                    _ => f.write_str(&host.name)?,
                }
                if let Some(instance) = &host.instance {
                    write!(f, "\\{}", utf8_percent_encode(instance, UNRESERVED))?;
                }
                if let Some(port) = host.port {
                    write!(f, ":{port}")?;
                }
            }
            f.write_str("/")?;
        }
        if self.hosts.is_empty() && self.database.starts_with("//") {
            // What precedes a file's name is not part of it.
            f.write_str("//")?;
        }
        write!(f, "{}", utf8_percent_encode(&self.database, SHOWN))?;
        for (index, (name, value)) in self.parameters.iter().enumerate() {
            let mark = if index == 0 { '?' } else { '&' };
            write!(f, "{mark}{}={}", utf8_percent_encode(name, SHOWN), utf8_percent_encode(value, SHOWN))?;
        }
        Ok(())
    }
}
