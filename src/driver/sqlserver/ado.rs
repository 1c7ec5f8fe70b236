//! Parses connection strings of Microsoft's clients (`Server=tcp:host,1433;Database=…;User Id=…`). `family` calls it
//! for text that is not an address with a scheme.
//!
//! Grammar: <https://learn.microsoft.com/en-us/dotnet/api/system.data.common.dbconnectionstringbuilder>. A message
//! never repeats an unknown key, because it may be the part of a password after a `;`.

use std::net::Ipv6Addr;

use super::keys::{canonical, squash};
use super::parameters::refused_key;
use crate::database_url::{AddressParts, Host, UrlError};
use crate::driver::parameters::refused;
use crate::secret::Secret;

/// Synonyms of each key, in lower case and without spaces.
const SERVER: &[&str] = &["server", "datasource", "address", "addr", "networkaddress", "servername"];
const DATABASE: &[&str] = &["database", "initialcatalog", "databasename"];
const USER: &[&str] = &["userid", "uid", "user", "username"];
const PASSWORD: &[&str] = &["password", "pwd"];
const PORT: &[&str] = &["port", "portnumber"];
const INSTANCE: &str = "instancename";
const DRIVER: &str = "driver";
/// Keys that only ODBC has.
const OF_ODBC: &[&str] = &[DRIVER, "dsn", "filedsn"];

/// What Azure's portal writes in place of the password.
const PLACEHOLDERS: &[&str] = &["your_password", "your_password_here", "{your_password}", "{your_password_here}"];

/// Which clients write the string. They quote in different ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// .NET: a value may be in single or double quotes; a quote inside is doubled. Strings of other clients without a
    /// driver look the same, and may quote with braces.
    DotNet,
    /// ODBC and Java: a value may be in braces; a closing brace inside is doubled.
    Braces,
}

/// Whether the text is meant as a connection string: it has a key that names a server.
pub(super) fn is_meant(text: &str) -> bool {
    text.split(';').any(|pair| pair.split_once('=').is_some_and(|(key, _)| SERVER.contains(&squash(key).as_str())))
}

/// The text after `jdbc:sqlserver:`.
pub(super) fn behind_jdbc(text: &str) -> Option<&str> {
    const PREFIX: &str = "jdbc:sqlserver:";
    let text = text.trim();
    text.get(..PREFIX.len()).filter(|prefix| prefix.eq_ignore_ascii_case(PREFIX)).map(|prefix| &text[prefix.len()..])
}

/// Whether the text after a scheme has Java's form: `//host\INSTANCE:port;key=value`.
pub(super) fn of_java(rest: &str) -> bool {
    let Some((authority, properties)) = rest.split_once(';') else { return false };
    let is_key = |key: &str| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphabetic());
    !authority.contains(['@', '?']) && properties.split_once('=').is_some_and(|(key, _)| is_key(key.trim()))
}

/// Parses a connection string.
///
/// # Errors
/// The [`UrlError`] that fits, without the text that could not be parsed.
pub(super) fn parse(scheme: &str, text: &str) -> Result<AddressParts, UrlError> {
    let is_odbc = |pair: &str| pair.split_once('=').is_some_and(|(key, _)| OF_ODBC.contains(&squash(key).as_str()));
    let style = if text.split(';').any(is_odbc) { Style::Braces } else { Style::DotNet };
    let mut parts = AddressParts::of_server(scheme, "//")?;
    for (index, (key, value)) in pairs(text, style)?.into_iter().enumerate() {
        take(&mut parts, index + 1, &squash(&key), value)?;
    }
    Ok(parts)
}

/// Parses Java's form, from after the scheme.
///
/// # Errors
/// As [`parse`].
pub(super) fn parse_java(scheme: &str, rest: &str) -> Result<AddressParts, UrlError> {
    let (authority, properties) = rest.split_once(';').unwrap_or((rest, ""));
    let mut parts = AddressParts::of_server(scheme, authority)?;
    let (mut port, mut instance) = (None, None);
    for (index, (key, value)) in pairs(properties, Style::Braces)?.into_iter().enumerate() {
        let squashed = squash(&key);
        if PORT.contains(&squashed.as_str()) {
            port = Some(value);
        } else if squashed == INSTANCE {
            instance = Some(value);
        } else {
            take(&mut parts, index + 1, &squashed, value)?;
        }
    }
    for host in &mut parts.hosts {
        if let Some(port) = &port {
            host.port = Some(number_of(port, &host.name)?);
        }
        if let Some(instance) = &instance {
            host.instance = Host::named(&format!("{}\\{instance}", host.name))?.instance;
        }
    }
    Ok(parts)
}

/// Applies one pair. Its key is squashed.
fn take(parts: &mut AddressParts, number: usize, key: &str, value: String) -> Result<(), UrlError> {
    let is = |keys: &[&str]| keys.contains(&key);
    if is(SERVER) {
        if !parts.hosts.is_empty() {
            return Err(UrlError::Parameter("Server".to_owned()));
        }
        parts.hosts = vec![host(&value)?];
    } else if is(DATABASE) {
        parts.database = value;
    } else if is(USER) {
        parts.user = Some(value).filter(|user| !user.is_empty());
    } else if is(PASSWORD) {
        if PLACEHOLDERS.contains(&value.as_str()) {
            return Err(refused(
                "Password",
                "is still the portal's placeholder: take it out, and use the setting password",
            ));
        }
        parts.password = Some(value).filter(|password| !password.is_empty()).map(Secret::new);
    } else if key == DRIVER {
        let driver = value.to_ascii_lowercase();
        if !["sql server", "tds"].iter().any(|name| driver.contains(name)) {
            return Err(refused("Driver", "not a driver of SQL Server: take it out if this is one"));
        }
    } else {
        let name = canonical(key).ok_or_else(|| {
            refused_key(number, "not a key of SQL Server's connection strings; a value with ; in it is quoted")
        })?;
        if value.is_empty() || parts.parameters.iter().any(|(known, _)| known == name) {
            return Err(UrlError::Parameter(name.to_owned()));
        }
        parts.parameters.push((name.to_owned(), value));
    }
    Ok(())
}

/// Splits the text into pairs of key and value.
fn pairs(text: &str, style: Style) -> Result<Vec<(String, String)>, UrlError> {
    let (mut pairs, mut rest) = (Vec::new(), text.trim());
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(';') {
            rest = after.trim_start();
            continue;
        }
        let number = pairs.len() + 1;
        let (key, after) = rest.split_once('=').ok_or_else(|| refused_key(number, "has no = after it"))?;
        if key.contains(';') {
            return Err(refused_key(number, "has no = after it"));
        }
        let after = after.trim_start();
        // In .NET a password may begin with a brace. The key of such a password is rarely PWD.
        let braces = style == Style::Braces || squash(key) != "password";
        let (value, after) = match after.chars().next() {
            Some(quote @ ('"' | '\'')) if style == Style::DotNet => quoted(&after[1..], quote),
            Some('{') if braces => quoted(&after[1..], '}'),
            _ => {
                let end = after.find(';').unwrap_or(after.len());
                Some((after[..end].trim_end().to_owned(), &after[end..]))
            }
        }
        .ok_or_else(|| refused_key(number, "has a value whose quote does not end"))?;
        let after = after.trim_start();
        if !after.is_empty() && !after.starts_with(';') {
            return Err(refused_key(number, "has text after the quote that ends its value"));
        }
        pairs.push((key.trim().to_owned(), value));
        rest = after;
    }
    Ok(pairs)
}

/// The text up to the quote that ends it, and the rest. A doubled quote is part of the text.
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

/// Parses `tcp:host\INSTANCE,port`.
fn host(text: &str) -> Result<Host, UrlError> {
    let is_address = |text: &str| text.split(',').next().is_some_and(|name| name.trim().parse::<Ipv6Addr>().is_ok());
    let (protocol, name) = match text.split_once(':') {
        Some((protocol, name)) if protocol.chars().all(|c| c.is_ascii_alphabetic()) && !is_address(text) => {
            (protocol, name)
        }
        _ => ("tcp", text),
    };
    if !protocol.eq_ignore_ascii_case("tcp") {
        return Err(refused("Server", "only TCP is supported: write tcp:host,port"));
    }
    let (name, port) = match name.rsplit_once(',') {
        Some((name, port)) => (name.trim(), Some(port.trim())),
        None => (name.trim(), None),
    };
    let (name, instance) = name.split_once('\\').map_or((name, None), |(name, instance)| (name, Some(instance)));
    if name.to_ascii_lowercase().starts_with("(localdb)") {
        return Err(refused("Server", "a local database of Windows is not offered: name a server"));
    }
    let name = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(name) => name,
        None if matches!(name.to_ascii_lowercase().as_str(), "." | "(local)") => "localhost",
        None => name,
    };
    if name.starts_with(['(', '/']) {
        return Err(UrlError::Authority);
    }
    let host = match instance {
        Some(instance) => Host::named(&format!("{name}\\{instance}"))?,
        None => Host::named(name)?,
    };
    let port = port.map(|port| number_of(port, &host.name)).transpose()?;
    Ok(Host { port, ..host })
}

fn number_of(port: &str, host: &str) -> Result<u16, UrlError> {
    port.parse().ok().filter(|port| *port != 0).ok_or_else(|| UrlError::Port(host.to_owned()))
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
    fn the_string_of_azures_portal_is_accepted_as_pasted() {
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
            ("::1,1433", r#"Host { name: "::1", port: Some(1433), instance: None }"#),
            (".\\SQLEXPRESS", r#"Host { name: "localhost", port: None, instance: Some("SQLEXPRESS") }"#),
            ("(LOCAL)\\A,1435", r#"Host { name: "localhost", port: Some(1435), instance: Some("A") }"#),
        ] {
            assert!(shown(&format!("Data Source={text};UID=hb;PWD={{a}}}}b}}")).starts_with(expected), "{text}");
        }
        assert_eq!(shown("Server=np:\\\\db\\pipe"), "parameter \"Server\": only TCP is supported: write tcp:host,port");
        assert_eq!(
            shown("Server=(localdb)\\MSSQLLocalDB"),
            "parameter \"Server\": a local database of Windows is not offered: name a server"
        );
        assert!(shown("Server=a;Data Source=b").contains("twice"));
        assert_eq!(shown("Server=db,70000"), "the port of host \"db\" is not a number from 1 to 65535");
    }

    #[test]
    fn odbcs_strings_are_accepted_and_quote_with_braces() {
        insta::assert_snapshot!(shown(
            "Driver={ODBC Driver 18 for SQL Server};Server=tcp:orders.database.windows.net,1433;Database=orders;Uid=hb;\
             Pwd={se;c}}ret};Encrypt=yes;TrustServerCertificate=no;Connection Timeout=30;"
        ), @r#"Host { name: "orders.database.windows.net", port: Some(1433), instance: None } Some("hb") Some("se;c}ret") orders [("Encrypt", "yes"), ("TrustServerCertificate", "no"), ("ConnectTimeout", "30")]"#);
        // In ODBC a quote is part of the value, and in .NET a brace is.
        assert!(shown("Driver=FreeTDS;Server=db;PWD='a'").contains("Some(\"'a'\")"));
        assert!(shown("Server=db;Password={a}").contains("Some(\"{a}\")"));
        assert!(shown("Driver={PostgreSQL Unicode};Server=db").contains("\"Driver\": not a driver of SQL Server"));
    }

    #[test]
    fn javas_form_is_accepted_with_or_without_its_first_word() {
        let java = |text: &str| {
            let rest = behind_jdbc(text).unwrap_or_else(|| text.split_once(':').unwrap().1);
            assert!(of_java(rest), "{text}");
            let parts = parse_java("mssql", rest).unwrap();
            format!("{:?} {:?} {} {:?}", parts.hosts, parts.user, parts.database, parts.parameters)
        };
        insta::assert_snapshot!(java(
            "jdbc:sqlserver://orders.database.windows.net:1433;database=orders;user=hb@orders;password={se;cret};encrypt=true;\
             trustServerCertificate=false;hostNameInCertificate=*.database.windows.net;loginTimeout=30;"
        ), @r#"[Host { name: "orders.database.windows.net", port: Some(1433), instance: None }] Some("hb@orders") orders [("Encrypt", "true"), ("TrustServerCertificate", "false"), ("HostNameInCertificate", "*.database.windows.net"), ("ConnectTimeout", "30")]"#);
        insta::assert_snapshot!(java("sqlserver://db\\PROD;databaseName=orders;portNumber=1435"), @r#"[Host { name: "db", port: Some(1435), instance: Some("PROD") }] None orders []"#);
        insta::assert_snapshot!(java("jdbc:SQLServer://;serverName=db;instanceName=PROD;databaseName=orders"), @r#"[Host { name: "db", port: None, instance: Some("PROD") }] None orders []"#);
        for address in ["//hb:a;b@db/orders", "//db/orders?ApplicationName=a;b", "//db/orders"] {
            assert!(!of_java(address), "{address}");
        }
    }

    #[test]
    fn the_portals_placeholder_is_not_taken_for_a_password() {
        for text in ["Server=db;Password={your_password};", "Driver=FreeTDS;Server=db;Pwd={your_password_here};"] {
            assert!(shown(text).contains("still the portal's placeholder"), "{text}");
        }
    }

    /// The keys of Microsoft.Data.SqlClient and their synonyms.
    #[test]
    fn every_key_of_microsofts_documentation_is_known() {
        const SQL_CLIENT: &str = "addr,address,app,application intent,applicationintent,application name,attachdbfilename,\
             attestation protocol,authentication,clientcertificate,clientkey,clientkeypassword,column encryption setting,\
             columnencryption,command timeout,connect retry count,connectretrycount,connect retry interval,\
             connectretryinterval,connect timeout,connecttimeout,connection lifetime,connection reset,connection timeout,\
             context connection,current language,data source,database,driver,enclave attestation url,encrypt,enlist,\
             extended properties,failover partner,failoverpartner,failover partner spn,failoverpartnerspn,\
             host name in certificate,hostnameincertificate,initial catalog,initial file name,integrated security,\
             ip address preference,ipaddresspreference,language,load balance timeout,max pool size,min pool size,\
             multi subnet failover,multisubnetfailover,multiple active result sets,multipleactiveresultsets,net,network,\
             network address,network library,packet size,packetsize,password,persist security info,persistsecurityinfo,\
             pool blocking period,poolblockingperiod,pooling,pwd,replication,server,server certificate,servercertificate,\
             server spn,serverspn,timeout,transaction binding,transparent network ip resolution,trust server certificate,\
             trusted_connection,trustservercertificate,type system version,uid,user,user id,user instance,workstation id,\
             workstationid,wsid,asynchronous processing,async";
        const ODBC: &str = "AnsiNPW,APP,AttachDBFileName,AutoTranslate,ConcatNullYieldsNull,Description,DSN,Failover_Partner,\
             FailoverPartnerSPN,FileDSN,GetDataExtensions,KeepAlive,KeepAliveInterval,KeystoreAuthentication,\
             KeystorePrincipalId,KeystoreSecret,LongAsMax,MARS_Connection,QueryLog_On,QueryLogFile,QueryLogTime,QuotedId,\
             Regional,RetryExec,SaveFile,StatsLog_On,StatsLogFile,UseFMTONLY";
        const JAVA: &str = "accessToken,authenticationScheme,cancelQueryTimeout,databaseName,disableStatementPooling,domain,\
             jaasConfigurationName,lastUpdateCount,lockTimeout,loginTimeout,queryTimeout,realm,responseBuffering,selectMethod,\
             sendStringParametersAsUnicode,sendTimeAsDatetime,serverName,serverNameAsACE,socketTimeout,\
             statementPoolingCacheSize,trustStore,trustStorePassword,trustStoreType,useBulkCopyForBatchInsert,userName,\
             xopenStates";
        for key in [SQL_CLIENT, ODBC, JAVA].iter().flat_map(|list| list.split(',')) {
            let squashed = squash(key);
            let own = [SERVER, DATABASE, USER, PASSWORD].iter().any(|keys| keys.contains(&squashed.as_str()));
            assert!(own || squashed == DRIVER || canonical(&squashed).is_some(), "{key}");
        }
    }

    /// An unquoted password ends at its first `;`, and the rest would be read as a key.
    #[test]
    fn an_unreadable_part_is_named_by_its_number_and_never_repeated() {
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
