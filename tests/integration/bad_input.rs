//! Bad configurations and hostile names. A bad configuration gets a clear error that says where, exit code 2, no panic,
//! and nothing is written. Odd but legal names are provisioned and written.

use std::fmt::Write as _;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::bench::beating_daemon::{PASSWORD, furnish, plain_password};
use crate::bench::daemon::{Ended, Heartbeatd};
use crate::bench::place::Place;
use crate::bench::{PostgresServer, heartbeatd};

/// Asserts that a configuration was refused for these reasons.
fn is_refused(ended: &Ended, complaints: &[&str]) {
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(ended.stdout, "", "nothing was done");
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    for complaint in complaints {
        assert!(ended.stderr.contains(complaint), "{complaint:?} is not in:\n{}", ended.stderr);
    }
    let lines = ended.stderr.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(lines, complaints.len(), "each mistake once:\n{}", ended.stderr);
}

/// Runs daemon, `beat` and `provision` on a file of these bytes; each must refuse it.
async fn file_is_refused(bytes: &[u8], complaints: &[&str]) {
    let place = Place::new("bad");
    let file = place.write("bad.toml", bytes).display().to_string();
    for command in [None, Some("beat"), Some("provision")] {
        let program = command.into_iter().fold(heartbeatd(), Heartbeatd::arg);
        is_refused(&program.arg("-c").arg(&file).run().await, complaints);
    }
}

#[tokio::test]
async fn a_file_that_is_not_utf_8_is_refused_with_line_and_offset() {
    file_is_refused(
        b"[[target]]\nurl = \"sqlite:a.db\"\nname = \"\xff\"\n",
        &["bad.toml:3: not UTF-8: invalid byte at offset 39"],
    )
    .await;
}

#[tokio::test]
async fn truncated_toml_is_refused_with_line_and_column_and_repeats_no_secret() {
    let text = format!("[[target]]\nurl = \"sqlite:a.db\"\npassword = \"{PASSWORD}");
    let place = Place::new("bad");
    let file = place.write("bad.toml", text).display().to_string();
    let ended = heartbeatd().arg("-c").arg(&file).run().await;
    is_refused(&ended, &["bad.toml:3:27: not TOML: "]);
    assert!(!ended.stderr.contains(PASSWORD), "{}", ended.stderr);
}

#[tokio::test]
async fn sql_in_the_name_of_a_schema_is_refused_and_the_table_stays() {
    let server = PostgresServer::start().await;
    furnish(&server).await;
    for (key, name, character) in [
        ("schema", r#"x\"; drop table streamkap.streamkap_heartbeat; --"#, '"'),
        ("table", "x; drop table streamkap.streamkap_heartbeat", ';'),
    ] {
        let text = format!(
            "[[target]]\nurl = \"{}\"\nprovision = \"auto\"\n[target.heartbeat]\n{key} = \"{name}\"\n",
            server.admin_url()
        );
        let complaint =
            format!("bad.toml:5: target[0].heartbeat.{key}: not a name: it contains the character {character}");
        file_is_refused(text.as_bytes(), &[&complaint]).await;
    }
    let untouched = "SELECT count(*) FROM streamkap.streamkap_heartbeat WHERE last_update = '2020-01-01'";
    assert_eq!(server.number(untouched).await, 1);
}

#[tokio::test]
async fn an_address_without_a_host_is_refused_wherever_it_is_written() {
    const COMPLAINT: &str = "the address has no host: expected postgres://user@host/database";
    for address in ["postgres://", "postgres:///orders", "postgres://hb:hunter2-secret@/orders"] {
        let ended = heartbeatd().arg(address).run().await;
        is_refused(&ended, &[&format!("address 1 on the command line: {COMPLAINT}")]);
        assert!(!ended.stderr.contains(PASSWORD), "{}", ended.stderr);
        is_refused(&heartbeatd().env("HEARTBEATD_URL", address).run().await, &[COMPLAINT]);
        let text = format!("[[target]]\nurl = \"{address}\"\n");
        file_is_refused(text.as_bytes(), &[&format!("bad.toml:2: target[0].url: {COMPLAINT}")]).await;
    }
}

#[tokio::test]
async fn an_interval_of_zero_is_refused() {
    const COMPLAINT: &str = "too short: expected 1s to 1day";
    let text = b"[[target]]\nurl = \"sqlite:a.db\"\ninterval = \"0s\"\n";
    file_is_refused(text, &[&format!("bad.toml:3: target[0].interval: {COMPLAINT}")]).await;
    let ended = heartbeatd().arg("sqlite:a.db").env("HEARTBEATD_INTERVAL", "0s").run().await;
    is_refused(&ended, &[&format!("HEARTBEATD_INTERVAL: {COMPLAINT}")]);
}

#[tokio::test]
async fn one_bad_target_of_a_thousand_is_named_by_its_line_and_none_is_touched() {
    let place = Place::new("databases");
    let mut text = "[defaults]\nprovision = \"auto\"\n".to_owned();
    for number in 0..1_000 {
        let key = if number == 617 { "intervall" } else { "interval" };
        let file = place.join(format!("{number}.db"));
        write!(text, "[[target]]\nurl = \"sqlite:{}\"\n{key} = \"1m\"\n", file.display()).unwrap();
    }
    let line = 2 + 617 * 3 + 3;
    let complaint = format!("bad.toml:{line}: target[617].intervall: unknown key, did you mean \"interval\"?");
    file_is_refused(text.as_bytes(), &[&complaint]).await;
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "nothing was written");
}

#[tokio::test]
async fn all_mistakes_are_reported_at_once_in_the_order_of_the_file() {
    let text = r#"
[[target]]
url = "postgres:///orders"
intervall = "1m"
timeout = 0
[[target]]
url = "db2://x/y"
write = "sometimes"
[[target]]
url = "sqlite:a.db"
name = "twice"
[[target]]
url = "sqlite:b.db"
name = "twice"
[http]
listen = "localhost"
[shutdwon]
"#;
    let complaints = [
        "bad.toml:3: target[0].url: the address has no host",
        "bad.toml:4: target[0].intervall: unknown key, did you mean \"interval\"?",
        "bad.toml:5: target[0].timeout: too short: expected 100ms to 1h",
        "bad.toml:7: target[1].url: unknown database scheme \"db2\"",
        "bad.toml:8: target[1].write: expected always, when-stale or never, found \"sometimes\"",
        "bad.toml:14: target[3].name: \"twice\" is the name of two targets",
        "bad.toml:16: http.listen: expected an address and a port like \"127.0.0.1:2328\"",
        "bad.toml:17: shutdwon: unknown key, did you mean \"shutdown\"?",
    ];
    file_is_refused(text.as_bytes(), &complaints).await;
    let place = Place::new("bad");
    let file = place.write("bad.toml", text).display().to_string();
    let stderr = heartbeatd().arg("-c").arg(&file).run().await.stderr;
    let places: Vec<usize> = complaints.iter().map(|complaint| stderr.find(complaint).unwrap()).collect();
    assert!(places.is_sorted(), "{stderr}");
}

#[tokio::test]
async fn a_check_that_does_not_exist_is_refused_wherever_the_file_is_read() {
    let text = "[[target]]\nurl = \"sqlite:a.db\"\n[[target.checks.skip]]\nid = \"row-frsh\"\nreason = \"x\"\n";
    let complaint = "bad.toml:4: target[0].checks.skip[0].id: there is no check \"row-frsh\", did you mean row-fresh?";
    file_is_refused(text.as_bytes(), &[complaint]).await;
    let place = Place::new("bad");
    let file = place.write("bad.toml", text).display().to_string();
    for command in [&["check", "--offline"][..], &["config", "show"]] {
        let program = command.iter().fold(heartbeatd(), |program, word| program.arg(word));
        is_refused(&program.arg("-c").arg(&file).run().await, &[complaint]);
    }
}

#[tokio::test]
async fn unknown_variables_and_several_sources_are_refused() {
    let place = Place::new("databases");
    let address = format!("sqlite:{}", place.join("a.db").display());
    let text = format!("[[target]]\nurl = \"{address}\"\nprovision = \"auto\"\n");
    let unknown = heartbeatd().arg(&address).env("HEARTBEATD_URI", "x").run().await;
    is_refused(&unknown, &["HEARTBEATD_URI: unknown variable, did you mean HEARTBEATD_URL?"]);
    let both = heartbeatd().arg(&address).env("HEARTBEATD_URL", &address).run().await;
    is_refused(&both, &["both addresses on the command line and HEARTBEATD_URL: use only one of them"]);
    let both = heartbeatd().arg(&address).config(&text).run().await;
    is_refused(&both, &["both a configuration file and addresses on the command line: use only one of them"]);
    let both = heartbeatd().env("HEARTBEATD_URL", &address).config(&text).run().await;
    is_refused(&both, &["both a configuration file and HEARTBEATD_URL: use only one of them"]);
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "nothing was written");
}

#[tokio::test]
async fn no_source_at_all_prints_the_ways_to_start() {
    let ended = heartbeatd().run().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    for way in ["heartbeatd sqlite:heartbeat.db", "heartbeatd postgres://", "HEARTBEATD_URL=", "heartbeatd -c"] {
        assert!(ended.stderr.contains(way), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_reported_with_the_reason() {
    let place = Place::new("bad");
    for (path, reason) in [
        (place.join("absent.toml"), "cannot be read: No such file or directory"),
        (place.path().to_owned(), "cannot be read: it is a directory, not a regular file"),
    ] {
        let path = path.display().to_string();
        is_refused(&heartbeatd().arg("-c").arg(&path).run().await, &[&format!("{path}: {reason}")]);
    }
}

/// Names that PostgreSQL accepts although no one would choose them.
const NASTY: [&str; 14] = [
    "select",
    "two words",
    "Ünï cødé",
    "it's",
    r"back\slash",
    r"'\' --",
    "dotted.name",
    "{table}",
    "{row}{schema}",
    "$1 %s ?",
    "/* comment",
    "-- comment",
    "🫀",
    "a23456789-123456789-123456789-123456789-123456789-123456789-123",
];

#[tokio::test]
async fn schemas_tables_and_roles_with_odd_names_are_provisioned_and_written() {
    let server = PostgresServer::start().await;
    let role = r#"o'Brien "x" \ü"#;
    server.execute(&format!("CREATE ROLE \"{}\" LOGIN PASSWORD '{PASSWORD}'", role.replace('"', "\"\""))).await;
    let url = format!("postgres://o%27Brien%20%22x%22%20%5C%C3%BC@127.0.0.1:{}/postgres", server.port());
    let mut names: Vec<String> = NASTY.iter().map(|name| (*name).to_owned()).collect();
    // And as many names from a seeded generator, of everything that the configuration accepts.
    let mut runner = TestRunner::deterministic();
    let any_name = "[^\"; \\p{C}][^\";\\p{C}]{0,11}".prop_filter("fits into a name", |name: &String| name.len() <= 50);
    names.extend((0..26).map(|_| any_name.new_tree(&mut runner).unwrap().current()));
    let mut text = String::new();
    for (index, name) in names.iter().enumerate() {
        // The same name for the table, but never the same schema twice.
        let schema = if index < NASTY.len() { name.clone() } else { format!("{name}{index}") };
        let (schema, table) = (serde_json::to_string(&schema).unwrap(), serde_json::to_string(name).unwrap());
        write!(
            text,
            "[[target]]\nname = \"{index}\"\nurl = \"{url}\"\n{}provision_url = \"{}\"\n\
             [target.heartbeat]\nschema = {schema}\ntable = {table}\nrow = {}\n",
            plain_password(),
            server.admin_url(),
            index + 1,
        )
        .unwrap();
    }
    for (command, word) in [("provision", "done"), ("beat", "ok"), ("provision", "nothing is missing")] {
        let ended = heartbeatd().arg(command).config(&text).run().await;
        assert_eq!(ended.code, Some(0), "{command}:\n{}{}", ended.stdout, ended.stderr);
        assert!(ended.stdout.matches(word).count() >= names.len(), "{command}:\n{}", ended.stdout);
    }
    for (index, name) in names.iter().enumerate() {
        let schema = if index < NASTY.len() { name.clone() } else { format!("{name}{index}") };
        // The server quotes the name, from text in a dollar-quoted literal.
        let table = server.value(&format!("SELECT format('%I.%I', $n${schema}$n$, $n${name}$n$)")).await.unwrap();
        let beaten = format!("SELECT count(*) FROM {table} WHERE id = {} AND last_update > '2021-01-01'", index + 1);
        assert_eq!(server.number(&beaten).await, 1, "{table}");
    }
    let found = server.number("SELECT count(*) FROM pg_tables WHERE schemaname !~ '^(pg_|information_)'").await;
    assert_eq!(usize::try_from(found).unwrap(), names.len(), "no other table came to be");
}
