//! Tests of the shared grammar, with what any driver accepts.

use super::*;
use crate::secret::Secret;

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
fn a_host_may_have_an_instance_if_the_database_supports_that() {
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
fn an_invalid_address_is_refused_with_the_reason_and_never_repeated() {
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
fn a_shown_address_parses_to_the_same_address() {
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
fn a_file_address_has_the_usual_spellings() {
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
