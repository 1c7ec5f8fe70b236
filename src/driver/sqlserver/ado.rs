//! Connection strings as Microsoft's clients write them (`Server=tcp:host,1433;Database=…;User Id=…`), taken apart. Called
//! by `family` for what is no address with a scheme.
//!
//! Grammar: <https://learn.microsoft.com/en-us/dotnet/api/system.data.common.dbconnectionstringbuilder>. A key that is not
//! known is never repeated: it may be the part of a password behind a `;`.

use super::parameters::{canonical, refused_key, squash};
use crate::database_url::{AddressParts, Host, UrlError};
use crate::secret::Secret;

/// Keys for the same thing, without spaces and in small letters.
const SERVER: &[&str] = &["server", "datasource", "address", "addr", "networkaddress"];
const DATABASE: &[&str] = &["database", "initialcatalog"];
const USER: &[&str] = &["userid", "uid", "user", "username"];
const PASSWORD: &[&str] = &["password", "pwd"];

/// Whether the text is meant as a connection string: it names a server by one of the keys for it.
pub(super) fn is_meant(text: &str) -> bool {
    text.split(';').any(|pair| pair.split_once('=').is_some_and(|(key, _)| SERVER.contains(&squash(key).as_str())))
}

/// Takes a connection string apart.
///
/// # Errors
/// Whatever of [`UrlError`] fits, never with what it could not read.
pub(super) fn parse(scheme: &str, text: &str) -> Result<AddressParts, UrlError> {
    let mut parts = AddressParts::of_server(scheme, "//")?;
    for (index, (key, value)) in pairs(text)?.into_iter().enumerate() {
        let squashed = squash(&key);
        let is = |keys: &[&str]| keys.contains(&squashed.as_str());
        if is(SERVER) {
            parts.hosts = vec![host(&value)?];
        } else if is(DATABASE) {
            parts.database = value;
        } else if is(USER) {
            parts.user = Some(value).filter(|user| !user.is_empty());
        } else if is(PASSWORD) {
            parts.password = Some(value).filter(|password| !password.is_empty()).map(Secret::new);
        } else {
            let name = canonical(&squashed).ok_or_else(|| {
                refused_key(index + 1, "not a key of SQL Server's connection strings; a value with ; in it is quoted")
            })?;
            if value.is_empty() || parts.parameters.iter().any(|(known, _)| known == name) {
                return Err(UrlError::Parameter(name.to_owned()));
            }
            parts.parameters.push((name.to_owned(), value));
        }
    }
    Ok(parts)
}

/// The pairs. A value may be in quotes, single or double, with a quote inside doubled, or (ODBC) in braces.
fn pairs(text: &str) -> Result<Vec<(String, String)>, UrlError> {
    let (mut pairs, mut rest) = (Vec::new(), text.trim());
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(';') {
            rest = after.trim_start();
            continue;
        }
        let number = pairs.len() + 1;
        let (key, after) = rest.split_once('=').ok_or_else(|| refused_key(number, "has no = behind it"))?;
        if key.contains(';') {
            return Err(refused_key(number, "has no = behind it"));
        }
        let after = after.trim_start();
        let (value, after) = match after.chars().next() {
            Some(quote @ ('"' | '\'')) => quoted(&after[1..], quote),
            Some('{') => quoted(&after[1..], '}'),
            _ => {
                let end = after.find(';').unwrap_or(after.len());
                Some((after[..end].trim_end().to_owned(), &after[end..]))
            }
        }
        .ok_or_else(|| refused_key(number, "has a value whose quote does not end"))?;
        let after = after.trim_start();
        if !after.is_empty() && !after.starts_with(';') {
            return Err(refused_key(number, "has something behind the quote that ends its value"));
        }
        pairs.push((key.trim().to_owned(), value));
        rest = after;
    }
    Ok(pairs)
}

/// The text up to the quote that ends it, and what follows. A doubled one is part of the text.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let (mut value, mut rest) = (String::new(), text);
    loop {
        let (before, after) = rest.split_once(quote)?;
        value.push_str(before);
        match after.strip_prefix(quote) {
            Some(after) => {
                value.push(quote);
                rest = after;
            }
            None => return Some((value, after)),
        }
    }
}

/// `tcp:host\INSTANCE,port`.
fn host(text: &str) -> Result<Host, UrlError> {
    let (protocol, name) = match text.split_once(':') {
        Some((protocol, name)) if protocol.chars().all(|c| c.is_ascii_alphabetic()) => (protocol, name),
        _ => ("tcp", text),
    };
    if !protocol.eq_ignore_ascii_case("tcp") {
        return Err(UrlError::Refused {
            name: "Server".to_owned(),
            reason: "only TCP is spoken: write tcp:host,port".to_owned(),
        });
    }
    let (name, port) = match name.rsplit_once(',') {
        Some((name, port)) => (name.trim(), Some(port.trim())),
        None => (name.trim(), None),
    };
    let name = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(name) => name,
        None if matches!(name, "." | "(local)") => "localhost",
        None => name,
    };
    if name.starts_with(['(', '/', '\\']) {
        return Err(UrlError::Authority);
    }
    let host = Host::named(name)?;
    let port = match port {
        Some(port) => {
            let number = port.parse().ok().filter(|port| *port != 0);
            Some(number.ok_or_else(|| UrlError::Port(host.name.clone()))?)
        }
        None => None,
    };
    Ok(Host { port, ..host })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        assert!(is_meant(text), "{text}");
        match parse("mssql", text) {
            Ok(parts) => {
                let hosts: Vec<String> = parts.hosts.iter().map(|host| format!("{host:?}")).collect();
                let password = parts.password.map(|secret| secret.expose().to_owned());
                format!("{} {:?} {:?} {} {:?}", hosts.join(","), parts.user, password, parts.database, parts.parameters)
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_string_of_azures_portal_is_taken_as_it_is_pasted() {
        insta::assert_snapshot!(shown(
            "Server=tcp:orders.database.windows.net,1433;Initial Catalog=orders;Persist Security Info=False;User ID=hb;\
             Password=\"se;c\"\"ret=\";MultipleActiveResultSets=False;Encrypt=True;TrustServerCertificate=False;\
             Connection Timeout=30;"
        ), @r#"Host { name: "orders.database.windows.net", port: Some(1433), instance: None } Some("hb") Some("se;c\"ret=") orders [("PersistSecurityInfo", "False"), ("MultipleActiveResultSets", "False"), ("Encrypt", "True"), ("TrustServerCertificate", "False"), ("ConnectTimeout", "30")]"#);
    }

    #[test]
    fn servers_have_instances_ports_and_local_names() {
        for (text, expected) in [
            ("db\\PROD", r#"Host { name: "db", port: None, instance: Some("PROD") }"#),
            ("tcp:db , 14330", r#"Host { name: "db", port: Some(14330), instance: None }"#),
            ("(local)", r#"Host { name: "localhost", port: None, instance: None }"#),
            ("tcp:[::1],1433", r#"Host { name: "::1", port: Some(1433), instance: None }"#),
        ] {
            assert!(shown(&format!("Data Source={text};UID=hb;PWD={{a}}}}b}}")).starts_with(expected), "{text}");
        }
        assert_eq!(shown("Server=np:\\\\db\\pipe"), "parameter \"Server\": only TCP is spoken: write tcp:host,port");
        assert_eq!(shown("Server=db,70000"), "the port of host \"db\" is not a number from 1 to 65535");
    }

    /// A password with a `;` that is not quoted ends there, and its rest would be read as a key.
    #[test]
    fn what_cannot_be_read_is_counted_and_never_repeated() {
        for text in [
            "Server=db;Password=a;hunter2=x",
            "Server=db;Password=a;hunter2",
            "Server=db;Password=\"hunter2",
            "Server=db;Password='a'hunter2;",
        ] {
            let message = shown(text);
            assert!(message.starts_with("parameter \"number ") && !message.contains("hunter2"), "{message}");
        }
        assert!(!is_meant("postgres://hb@h/x?Server=y") && !is_meant("Server"));
    }
}
