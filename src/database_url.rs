//! Database addresses: what the addresses of all databases share, and the grammar from which each driver builds its own.
//! `driver` parses them; for every other room an address is plain data.
//!
//! Not the `url` crate: it refuses several hosts in one address, and it would show the password.

mod grammar;
#[cfg(test)]
mod tests;

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

pub use self::grammar::{AddressParts, split_scheme};

/// A database family, by the name of its driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Family(&'static str);

/// An address without its password: safe to show.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DatabaseUrl {
    family: Family,
    /// As written, in lower case.
    scheme: String,
    user: Option<String>,
    hosts: Vec<Host>,
    database: String,
    parameters: Vec<(String, String)>,
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

/// Why an address is refused. Never quotes the address itself, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// There is no `scheme:` at all.
    #[error(
        "not a database address: expected one like postgres://user@host/database or sqlite:heartbeat.db; write the key=value \
         strings and DSNs of other programs as such an address"
    )]
    NoScheme,
    /// No driver in this build has this scheme.
    #[error("unknown database scheme \"{scheme}\": known are {known}{}", meant(.nearest))]
    UnknownScheme {
        /// The scheme.
        scheme: String,
        /// A known scheme that may be meant.
        nearest: Option<&'static str>,
        /// The schemes of this build, as a list in words.
        known: String,
    },
    /// This build has no driver of that name.
    #[error("this build has no {0} driver: it was compiled without the feature of that name")]
    NotBuilt(&'static str),
    /// A required host is missing.
    #[error("the address has no host: expected {0}://user@host/database")]
    NoHost(String),
    /// No file name.
    #[error("the address has no file: expected sqlite:path/to/file.db")]
    NoFile,
    /// An instance after a host, for a database without instances.
    #[error("the host \"{0}\" is followed by \\ and an instance, which these addresses do not have")]
    Instance(String),
    /// A port that is not a number from 1 to 65535.
    #[error("the port of host \"{0}\" is not a number from 1 to 65535")]
    Port(String),
    /// `%` without two hexadecimal digits, or bytes that are not UTF-8, or a NUL.
    #[error("the {0} is not valid percent-encoded text")]
    Encoding(&'static str),
    /// A parameter that has no value, or that appears twice.
    #[error("the parameter \"{0}\" has no value, or is given twice")]
    Parameter(String),
    /// A parameter that the driver does not accept.
    #[error("parameter \"{name}\": {reason}")]
    Refused {
        /// Its name.
        name: String,
        /// Why, and what to write instead.
        reason: String,
    },
    /// A form that another client of this database uses, and what to write instead.
    #[error("{0}")]
    Instead(&'static str),
    /// Several faults of the parameters at once.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Several(Vec<Self>),
    /// A `[` without `]`, more than one `@` before the host, an `@` after it, or an invalid host name.
    #[error(
        "the host part cannot be read: write an IPv6 address in brackets, and @ : / ? in a password or a parameter are written %40 \
         %3A %2F %3F"
    )]
    Authority,
}

fn meant(nearest: &Option<&'static str>) -> String {
    nearest.map_or(String::new(), |scheme| format!("; did you mean {scheme}:?"))
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
