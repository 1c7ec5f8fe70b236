//! Recognizes connection strings of Oracle's other clients (SQL*Plus, JDBC, `tnsnames.ora`) and says what to write here
//! instead. `family` calls it. A message never repeats the string, because it may contain a password.

use crate::database_url::UrlError;

const EASY_CONNECT: &str = "write oracle://user@host:1521/service, and the password as a setting of its own";
const SQLPLUS: &str = "this is the form of SQL*Plus (user/password@host): write oracle://user@host:1521/service, and the \
                       password as a setting of its own";
const TCPS: &str = "write oracle://user@host:2484/service?protocol=tcps";
const DESCRIPTOR: &str = "write the descriptor as a parameter, after a user and a name of your choice: \
                          oracle://user@orders?descriptor=(DESCRIPTION=...)";
const SID: &str = "host:port:SID is a form of JDBC: write oracle://user@host:1521/?sid=SID";
const ALIAS: &str = "write oracle://user@alias?tns_admin=/folder/of/tnsnames.ora";
const OCI: &str = "jdbc:oracle:oci is JDBC for Oracle's client in C: write oracle://user@host:1521/service?client=oci, or \
                   without client=oci for the client that heartbeatd brings along";
const SERVER: &str = "Easy Connect's /service:server/instance is written with parameters: \
                      /service?server=dedicated&instance_name=instance";

/// Removes Easy Connect's own `//` before the host from the text after the scheme: `//user@//host:1521/service`.
pub(super) fn without_slashes(rest: &str) -> String {
    rest.replacen("@//", "@", 1)
}

/// The fault of an address that contains a form of another client after the scheme.
pub(super) fn fault(rest: &str) -> Option<UrlError> {
    let address = rest.split('?').next().unwrap_or_default();
    let place = address.rsplit_once('@').map_or(address.trim_start_matches('/'), |(_, place)| place);
    if is_descriptor(place) {
        return Some(UrlError::Instead(DESCRIPTOR));
    }
    let (hosts, service) = place.split_once('/').unwrap_or((place, ""));
    let last = hosts.rsplit(',').next().unwrap_or_default();
    if !last.contains('[') && last.matches(':').count() == 2 && ends_in_port_and_sid(last) {
        return Some(UrlError::Instead(SID));
    }
    service.contains([':', '/']).then_some(UrlError::Instead(SERVER))
}

/// What to write instead of a text that is a connection string of one of Oracle's clients.
pub(super) fn instead(text: &str) -> Option<UrlError> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    if let Some(jdbc) = lower.strip_prefix("jdbc:oracle:") {
        return Some(UrlError::Instead(of_jdbc(jdbc)));
    }
    if is_descriptor(text) {
        return Some(UrlError::Instead(DESCRIPTOR));
    }
    if lower.starts_with("tcps://") {
        return Some(UrlError::Instead(TCPS));
    }
    if lower.starts_with("tcp://") {
        return Some(UrlError::Instead(EASY_CONNECT));
    }
    if is_easy_connect(text) {
        return Some(UrlError::Instead(EASY_CONNECT));
    }
    // user/password@host: a slash before the only @, and no other mark of another database's form.
    let (account, place) = text.rsplit_once('@')?;
    let (user, password) = account.split_once('/')?;
    let is_user = !user.is_empty() && user.chars().all(|c| c.is_ascii_alphanumeric() || "_$#".contains(c));
    if !is_user || password.starts_with('/') || place.is_empty() {
        return None;
    }
    Some(UrlError::Instead(if is_descriptor(place) { DESCRIPTOR } else { SQLPLUS }))
}

/// What to write instead of `thin:@…`, which is given in lower case.
fn of_jdbc(rest: &str) -> &'static str {
    let (driver, place) = rest.split_once('@').unwrap_or((rest, ""));
    let place = place.split('?').next().unwrap_or_default();
    if driver.starts_with("oci") {
        return OCI;
    }
    if is_descriptor(place) {
        return DESCRIPTOR;
    }
    if place.starts_with("tcps:") {
        return TCPS;
    }
    let place = place.trim_start_matches("tcp:").trim_start_matches('/');
    match place {
        _ if ends_in_port_and_sid(place) => SID,
        _ if !place.is_empty() && !place.contains([':', '/']) => ALIAS,
        _ => EASY_CONNECT,
    }
}

/// Whether the text is `host:1521/service`. The port must be one that Oracle's listeners use and other databases do
/// not.
fn is_easy_connect(text: &str) -> bool {
    let Some((host, rest)) = text.split_once(':') else { return false };
    let Some((port, service)) = rest.split_once('/') else { return false };
    !host.contains(['/', '@']) && ["1521", "1522", "1526", "2484"].contains(&port) && !service.is_empty()
}

fn is_descriptor(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with('(') && text.to_ascii_lowercase().contains("description")
}

/// Whether a host ends in `:1521:ORCL`.
fn ends_in_port_and_sid(host: &str) -> bool {
    let mut parts = host.rsplit(':');
    let (sid, port) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    !sid.is_empty() && !sid.contains('/') && !port.is_empty() && port.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Endpoint;

    #[test]
    fn a_connection_string_of_another_client_is_answered_with_what_to_write_here_and_never_repeated() {
        for (pasted, expected) in [
            ("jdbc:oracle:thin:@//hunter2:1521/svc", EASY_CONNECT),
            ("jdbc:oracle:thin:@hunter2:1521/svc", EASY_CONNECT),
            ("jdbc:oracle:thin:hb/hunter2@//host/svc", EASY_CONNECT),
            ("jdbc:oracle:thin:@hunter2:1521:ORCL", SID),
            ("jdbc:oracle:thin:@tcps://hunter2:2484/svc?wallet_location=/x", TCPS),
            ("jdbc:oracle:thin:@tcp://hunter2:1521/svc", EASY_CONNECT),
            ("jdbc:oracle:thin:@hunter2_high?TNS_ADMIN=/x", ALIAS),
            ("jdbc:oracle:thin:@(DESCRIPTION=(ADDRESS=(HOST=hunter2)))", DESCRIPTOR),
            ("jdbc:oracle:oci:@hunter2", OCI),
            ("(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=hunter2)(PORT=1521)))", DESCRIPTOR),
            ("( description = (ADDRESS = (HOST = hunter2)))", DESCRIPTOR),
            ("hb/hunter2@//host:1521/svc", SQLPLUS),
            ("hb/hunter2@host/svc", SQLPLUS),
            ("hb/hunter2@orders", SQLPLUS),
            ("tcps://hunter2:2484/svc", TCPS),
            ("hunter2.example:1521/svc", EASY_CONNECT),
            ("oracle://hb@host:1521:hunter2", SID),
            ("oracle://hb:x@host:1521:hunter2", SID),
            ("oracle://hb:hunter2@(DESCRIPTION=(ADDRESS=(HOST=h)))", DESCRIPTOR),
            ("oracle://hb@host/hunter2:dedicated", SERVER),
            ("oracle://hb@host/hunter2:dedicated/i1", SERVER),
            ("oracle://hb@host/hunter2/i1", SERVER),
        ] {
            let message = Endpoint::parse(pasted).unwrap_err().to_string();
            assert_eq!(message, expected, "{pasted}");
        }
    }

    #[test]
    fn easy_connects_own_slashes_are_accepted_and_other_databases_forms_are_left_alone() {
        let endpoint = Endpoint::parse("oracle://hb:x@//a:1521,b/svc?protocol=tcps").unwrap();
        assert_eq!(
            endpoint.url.to_string(),
            Endpoint::parse("oracle://hb@a:1521,b/svc?protocol=tcps").unwrap().url.to_string()
        );
        Endpoint::parse("oracle://hb@[::1]:1521/svc").unwrap();
        for other in [
            "hb:p/w@tcp(host:3306)/db",
            "host=/run user=hb@x",
            "postgres://hb@h/db",
            "/path/a@b",
            "a@b",
            "db:5432/orders",
        ] {
            assert_eq!(instead(other), None, "{other}");
        }
    }
}
