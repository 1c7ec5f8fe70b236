//! Database addresses: what all databases share, and the helpers with which each driver parses its own. `driver` uses
//! them; for every other room an address is plain data.
//!
//! Not the `url` crate: it refuses several hosts in one address, and it would show the password.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::secret::Secret;

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
    #[error("the parameter \"{0}\" has no value, or stands twice")]
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
        "the host part cannot be read: an IPv6 address stands in brackets, and @ : / ? in a password or a parameter are written %40 \
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The grammar of a server with everything that any driver accepts, and that of a file.
    fn parse(text: &str) -> Result<(DatabaseUrl, Option<Secret>), UrlError> {
        let (scheme, rest) = split_scheme(text)?;
        if scheme == "file" {
            return Ok((AddressParts::of_file(&scheme, rest)?.into_file(Family::new("file")), None));
        }
        AddressParts::of_server(&scheme, rest)?.with_host_parameters()?.into_server(Family::new("server"))
    }

    fn shown(text: &str) -> String {
        parse(text).map_or_else(|error| format!("error: {error}"), |(url, _)| url.to_string())
    }

    #[test]
    fn an_address_is_taken_apart_and_shown_without_its_password() {
        let (url, password) = parse("postgresql://hb:p%40ss@a:5433,[::1]:5434,c/orders?sslmode=verify-full").unwrap();
        assert_eq!(url.user(), Some("hb"));
        assert_eq!(password.unwrap().expose(), "p@ss");
        assert_eq!(url.hosts().len(), 3);
        assert_eq!(url.hosts()[1], Host { port: Some(5434), ..Host::named("::1").unwrap() });
        assert_eq!(url.parameter("sslmode"), Some("verify-full"));
        assert_eq!(url.to_string(), "postgresql://hb@a:5433,[::1]:5434,c/orders?sslmode=verify-full");
        assert_eq!(url.default_name(), "a/orders");
    }

    #[test]
    fn a_host_may_have_an_instance_that_only_some_databases_take() {
        for text in ["server://sa@db\\ONE:1433,b/x", "server://sa@db%5CONE:1433,b/x"] {
            let (url, _) = parse(text).unwrap();
            let host = Host { port: Some(1433), ..Host::named("db\\ONE").unwrap() };
            assert_eq!((host.name.as_str(), host.instance.as_deref()), ("db", Some("ONE")));
            assert_eq!((&url.hosts()[0], url.hosts()[1].instance.as_deref()), (&host, None));
            assert_eq!(url.to_string(), "server://sa@db\\ONE:1433,b/x");
            let (scheme, rest) = split_scheme(text).unwrap();
            let refused = AddressParts::of_server(&scheme, rest).unwrap().without_instances();
            assert_eq!(refused.unwrap_err(), UrlError::Instance("db".to_owned()));
        }
    }

    #[test]
    fn a_scheme_is_kept_as_it_is_written() {
        let (url, _) = parse("MongoDB+SRV://hb@cluster.example/").unwrap();
        assert_eq!((url.scheme(), url.family().as_str()), ("mongodb+srv", "server"));
        assert_eq!(url.to_string(), "mongodb+srv://hb@cluster.example/");
    }

    #[test]
    fn sockets_are_hosts_that_start_with_a_slash() {
        for text in ["postgres://hb@%2Frun%2Fpostgresql/orders", "postgres://hb@/orders?host=/run/postgresql"] {
            let (url, _) = parse(text).unwrap();
            assert!(url.hosts()[0].is_socket(), "{text}");
            assert_eq!(url.to_string(), "postgres://hb@%2Frun%2Fpostgresql/orders");
        }
    }

    #[test]
    fn what_cannot_be_an_address_says_why_and_never_repeats_it() {
        for text in [
            "",
            "orders",
            "postgres://",
            "postgres:///orders",
            "postgres://u:hunter2@/orders",
            "postgres://u:hunter2@h:0/orders",
            "postgres://u:hunter2@h:99999/orders",
            "postgres://u:hunter2@x@h/orders",
            "postgres://u:1/hunter2@h/orders",
            "postgres://u:1?hunter2@h/orders",
            "postgres://u:x@y/hunter2@h/orders",
            "postgres://u:hunter2%zz@h/orders",
            "postgres://u:hunter2%00@h/orders",
            "postgres://h/orders?sslmode",
            "postgres://h/orders?a=1&a=2",
            "postgres://[::1/orders",
            "file:",
        ] {
            let message = shown(text);
            assert!(message.starts_with("error: "), "{text} was taken as {message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn what_is_shown_is_the_same_address() {
        for text in [
            "file:////srv/hb.db",
            "postgres:///orders?host=/run/my%20sockets",
            "postgres://[fe80::1%eth0]/orders",
            "postgres:///orders?host=::1",
            "postgres:///orders?host=a\\B",
        ] {
            let (url, _) = parse(text).unwrap();
            assert_eq!(parse(&url.to_string()).unwrap().0, url, "{text}: {url}");
        }
    }

    #[test]
    fn a_host_is_a_name_an_address_or_a_socket() {
        for text in [
            "postgres://a%2Cb/orders",
            "postgres://a%2Fb/orders",
            "postgres://a%40b/orders",
            "postgres://a%3Fb/orders",
            "postgres://a%2541/orders",
            "postgres://[::1]]/orders",
            "postgres://[::1\\ONE]/orders",
            "postgres://a\\/orders",
            "postgres://\\ONE/orders",
            "postgres://a\\ONE\\TWO/orders",
            "postgres:///orders?host=a%40b",
            "postgres:///orders?host=a%20b",
        ] {
            assert!(shown(text).starts_with("error: the host part cannot be read"), "{text}: {}", shown(text));
        }
    }

    #[test]
    fn a_file_takes_the_usual_spellings() {
        for (text, file) in [
            ("file:heartbeat.db", "heartbeat.db"),
            ("file://heartbeat.db", "heartbeat.db"),
            ("file:///var/lib/hb.db", "/var/lib/hb.db"),
            ("file:/var/lib/hb.db?mode=ro", "/var/lib/hb.db"),
        ] {
            assert_eq!(parse(text).unwrap().0.database(), file);
        }
        assert_eq!(parse("file:/var/lib/hb.db").unwrap().0.default_name(), "hb.db");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_refused_or_survives_being_shown_and_read_again(text in "(postgres|file):(//)?[ -~]{0,60}") {
            if let Ok((url, _)) = parse(&text) {
                let (again, password) = parse(&url.to_string()).unwrap();
                proptest::prop_assert_eq!(again, url);
                proptest::prop_assert!(password.is_none());
            }
        }
    }
}
