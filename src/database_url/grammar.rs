//! The grammar of addresses: takes the text apart, decodes it, and refuses what cannot be an address. Each driver's
//! `parse` calls it and then judges the parts by its own rules.

use percent_encoding::percent_decode_str;

use super::address::{DatabaseUrl, Family, Host};
use super::error::UrlError;
use crate::secret::Secret;

/// A parsed address that was not judged yet: a driver's `parse` turns it into a [`DatabaseUrl`].
#[derive(Debug)]
pub struct AddressParts {
    scheme: String,
    /// The user, if one is given.
    pub user: Option<String>,
    /// The password, likewise.
    pub password: Option<Secret>,
    /// The hosts, in order.
    pub hosts: Vec<Host>,
    /// What follows the hosts: a database, or a file.
    pub database: String,
    /// The parameters, decoded, in order.
    pub parameters: Vec<(String, String)>,
}

/// The scheme of an address, in lower case, and what follows its colon.
///
/// # Errors
/// [`UrlError::NoScheme`].
pub fn split_scheme(text: &str) -> Result<(String, &str), UrlError> {
    let (scheme, rest) = text.trim().split_once(':').ok_or(UrlError::NoScheme)?;
    if scheme.is_empty() || !scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')) {
        return Err(UrlError::NoScheme);
    }
    Ok((scheme.to_ascii_lowercase(), rest))
}

impl AddressParts {
    /// Parses what follows the scheme of a file's address: `path?name=value`.
    ///
    /// # Errors
    /// Any [`UrlError`].
    pub fn of_file(scheme: &str, rest: &str) -> Result<Self, UrlError> {
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = path.strip_prefix("//").unwrap_or(path);
        let database = decode(path, "file name")?;
        if database.is_empty() {
            return Err(UrlError::NoFile);
        }
        let parameters = parse_parameters(query)?;
        let scheme = scheme.to_owned();
        Ok(Self { scheme, user: None, password: None, hosts: Vec::new(), database, parameters })
    }

    /// Parses what follows the scheme of a server's address: `//user:password@host:port,host/database?name=value`. The
    /// host may still be missing.
    ///
    /// # Errors
    /// Any [`UrlError`].
    pub fn of_server(scheme: &str, rest: &str) -> Result<Self, UrlError> {
        let rest = rest.strip_prefix("//").ok_or_else(|| UrlError::NoHost(scheme.to_owned()))?;
        // A password with an unescaped / or ? would be read as a database or a parameter, and shown.
        if let (Some(end), Some(at)) = (rest.find(['/', '?']), rest.rfind('@'))
            && at > end
        {
            return Err(UrlError::Authority);
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user_part, host_part) = match authority.rsplit_once('@') {
            Some((user, _)) if user.contains('@') => return Err(UrlError::Authority),
            Some((user, hosts)) => (Some(user), hosts),
            None => (None, authority),
        };
        let user_part = user_part.map(|part| part.split_once(':').map_or((part, None), |(u, p)| (u, Some(p))));
        let (user, password) = match user_part {
            Some((user, password)) => (
                Some(decode(user, "user")?).filter(|user| !user.is_empty()),
                password.map(|password| decode(password, "password").map(Secret::new)).transpose()?,
            ),
            None => (None, None),
        };
        let password = password.filter(|password| !password.expose().is_empty());
        let (parameters, hosts) = (parse_parameters(query)?, parse_hosts(host_part)?);
        let database = decode(database, "database name")?;
        Ok(Self { scheme: scheme.to_owned(), user, password, hosts, database, parameters })
    }

    /// As in libpq: `?host=/run/postgresql` gives a host that does not fit before the path, and `port` its port.
    ///
    /// # Errors
    /// [`UrlError::Port`].
    pub fn with_host_parameters(mut self) -> Result<Self, UrlError> {
        if self.hosts.is_empty()
            && let Some(value) = self.take("host")
        {
            self.hosts = value.split(',').filter(|name| !name.is_empty()).map(Host::named).collect::<Result<_, _>>()?;
            if let Some(value) = self.take("port") {
                let port = value.parse().ok().filter(|port| *port != 0).ok_or_else(|| UrlError::Port(value.clone()))?;
                self.hosts.iter_mut().for_each(|host| host.port = Some(port));
            }
        }
        Ok(self)
    }

    /// For a database without named instances.
    ///
    /// # Errors
    /// [`UrlError::Instance`].
    pub fn without_instances(self) -> Result<Self, UrlError> {
        match self.hosts.iter().find(|host| host.instance.is_some()) {
            Some(host) => Err(UrlError::Instance(host.name.clone())),
            None => Ok(self),
        }
    }

    /// Removes a parameter and returns its value.
    pub fn take(&mut self, name: &str) -> Option<String> {
        let position = self.parameters.iter().position(|(known, _)| known == name)?;
        Some(self.parameters.remove(position).1)
    }

    /// The address of a server, and its password.
    ///
    /// # Errors
    /// [`UrlError::NoHost`].
    pub fn into_server(self, family: Family) -> Result<(DatabaseUrl, Option<Secret>), UrlError> {
        if self.hosts.is_empty() {
            return Err(UrlError::NoHost(self.scheme));
        }
        Ok(self.into_url(family))
    }

    /// The address of a file; it has no password.
    #[must_use]
    pub fn into_file(self, family: Family) -> DatabaseUrl {
        self.into_url(family).0
    }

    fn into_url(self, family: Family) -> (DatabaseUrl, Option<Secret>) {
        let Self { scheme, user, password, hosts, database, parameters } = self;
        (DatabaseUrl { family, scheme, user, hosts, database, parameters }, password)
    }
}

impl Host {
    /// A host by its name, with or without an instance, or a socket by its path, decoded. A host name must not contain
    /// characters that have a meaning in an address.
    ///
    /// # Errors
    /// [`UrlError::Authority`].
    pub fn named(name: &str) -> Result<Self, UrlError> {
        let separates =
            |c: char| c.is_whitespace() || c.is_control() || matches!(c, ',' | '/' | '?' | '#' | '@' | '[' | ']');
        let (name, instance) = match name.split_once('\\').filter(|_| !name.starts_with('/')) {
            Some((name, instance)) => (name, Some(instance)),
            None => (name, None),
        };
        let is_address = name.contains(':');
        let is_name = !name.contains(separates) && (is_address || !name.contains('%'));
        let is_instance = |text: &str| {
            !text.is_empty() && !text.contains(separates) && !text.contains(['%', ':', '\\']) && !is_address
        };
        if name.is_empty() || !name.starts_with('/') && !is_name || !instance.is_none_or(is_instance) {
            return Err(UrlError::Authority);
        }
        Ok(Self { name: name.to_owned(), port: None, instance: instance.map(str::to_owned) })
    }

    /// Whether this is a socket.
    #[must_use]
    pub fn is_socket(&self) -> bool {
        self.name.starts_with('/')
    }
}

fn parse_hosts(text: &str) -> Result<Vec<Host>, UrlError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(',').map(parse_host).collect()
}

fn parse_host(text: &str) -> Result<Host, UrlError> {
    let (name, port) = if let Some(rest) = text.strip_prefix('[') {
        let (name, rest) = rest.split_once(']').ok_or(UrlError::Authority)?;
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port),
            None if rest.is_empty() => None,
            None => return Err(UrlError::Authority),
        };
        (name.to_owned(), port)
    } else {
        let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
        (decode(name, "host")?, port)
    };
    let host = Host::named(&name)?;
    let port = match port {
        Some(port) => Some(port.parse().ok().filter(|port| *port != 0).ok_or(UrlError::Port(name))?),
        None => None,
    };
    Ok(Host { port, ..host })
}

fn parse_parameters(query: &str) -> Result<Vec<(String, String)>, UrlError> {
    let mut parameters: Vec<(String, String)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name, "parameter name")?, decode(value, "parameter value")?);
        if value.is_empty() || parameters.iter().any(|(known, _)| *known == name) {
            return Err(UrlError::Parameter(name));
        }
        parameters.push((name, value));
    }
    Ok(parameters)
}

fn decode(text: &str, what: &'static str) -> Result<String, UrlError> {
    let bytes = text.as_bytes();
    for (index, byte) in bytes.iter().enumerate() {
        let digits = bytes.get(index + 1..index + 3);
        if *byte == b'%' && !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            return Err(UrlError::Encoding(what));
        }
    }
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) if !decoded.contains('\0') => Ok(decoded.into_owned()),
        _ => Err(UrlError::Encoding(what)),
    }
}
