//! The rules of a configuration, each through [`load`] as `main` calls it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tempfile::TempDir;

use super::schema::{Key, Kind, ROOT};
use super::*;
use crate::database_url::UrlError;
use crate::driver::{ConnectRequest, Driver, Session};
use crate::heartbeat::{ErrorKind, Failure};
use crate::schedule::Schedule;
use crate::secret::{Secret, SecretSource};
use crate::target::{Endpoint, Named, WriteMode};

/// Knows no parameter but `sslmode`, and warns of `require`.
struct Strict;

#[async_trait]
impl Driver for Strict {
    fn validate(&self, endpoint: &Endpoint) -> Result<Vec<String>, UrlError> {
        if let Some((name, _)) = endpoint.url.parameters().iter().find(|(name, _)| name != "sslmode") {
            return Err(UrlError::Refused { name: name.clone(), reason: "not known".to_owned() });
        }
        let unverified = endpoint.url.parameter("sslmode") == Some("require");
        Ok(if unverified { vec!["encrypted and unverified".to_owned()] } else { Vec::new() })
    }

    async fn connect(&self, _: &ConnectRequest<'_>) -> Result<Box<dyn Session>, Failure> {
        Err(Failure::new(ErrorKind::Unknown, "never connects"))
    }

    fn remedy(&self, _: &Failure, _: &Target) -> Option<String> {
        None
    }
}

fn drivers() -> Drivers {
    Drivers::only(Arc::new(Strict))
}

fn sources() -> Sources {
    Sources { file: None, urls: Vec::new(), environment: Vec::new(), purpose: Purpose::Daemon }
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn with_environment(pairs: &[(&str, &str)]) -> Result<Settings, LoadError> {
    load(&Sources { environment: variables(pairs), ..sources() }, &drivers())
}

/// A directory with files; the first is the main one.
fn directory(files: &[(&str, &[u8])]) -> (TempDir, PathBuf) {
    let directory = TempDir::new().unwrap();
    for (name, content) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let main = directory.path().join(files[0].0);
    (directory, main)
}

fn load_file_with(path: &Path, environment: &[(&str, &str)]) -> Result<Settings, LoadError> {
    load(&Sources { file: Some(path.to_owned()), environment: variables(environment), ..sources() }, &drivers())
}

fn load_text(text: &str) -> Result<Settings, LoadError> {
    let (_directory, main) = directory(&[("heartbeatd.toml", text.as_bytes())]);
    load_file_with(&main, &[])
}

/// The one target of a text.
fn target(text: &str) -> Target {
    load_text(text).unwrap().targets.remove(0)
}

/// The complaint, with the directory cut off.
fn complaint(files: &[(&str, &[u8])]) -> String {
    let (directory, main) = directory(files);
    let text = load_file_with(&main, &[]).unwrap_err().to_string();
    text.replace(&format!("{}/", directory.path().display()), "")
}

/// What is wrong with the lines of a target that has an address.
fn target_complaint(lines: &str) -> String {
    let text = format!("[[target]]\nurl = \"postgres://hb@h/orders\"\n{lines}\n");
    complaint(&[("f.toml", text.as_bytes())])
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_file_line_and_key() {
    let main = br#"include = ["more/*.toml", 7]
intervall = "1m"

[defaults]
interval = "0s"
cron = "* * * * *"
timeout = 1.5
write = "allways"

[http]
listen = "localhost:2328"

[[target]]
name = "orders"
password = "hunter2"

[[target]]
name = "orders"
url = "postgres://u:hunter2@h/a"
password = { flie = "/run/secrets/a" }
interval = 60
timezone = "Mars/Phobos"

[[target]]
name = "orders"
url = "postgres://u:hunter2@h/b?colour=red"
enabled = "yes"
interval = "30s"
cron = "*/5 * * * *"

[target.heartbeat]
schema = "\"; drop table"
row = 0

[target.connectors]
user = "x"

[[target.replica]]
url = "sqlite:copy.db"

[[target.replica]]
url = "postgres://u:hunter2@/b"

[shutdown]
grace = "1h"
"#;
    let more = b"[http]\nlisten = \"127.0.0.1:1\"\n[[target]]\nurl = \"oracle://u:hunter2@h/x\"\n";
    let text = complaint(&[("f.toml", main), ("more/a.toml", more)]);
    assert!(!text.contains("hunter2"), "{text}");
    insta::assert_snapshot!(text, @r#"
    f.toml:1: include[1]: expected a pattern, found a whole number
    f.toml:2: intervall: unknown key, did you mean "defaults.interval"?
    f.toml:5: defaults.interval: too short: expected 1s to 1day
    f.toml:6: defaults.cron: excludes interval: keep one of them
    f.toml:7: defaults.timeout: expected a duration like "1m", or whole seconds, found a fraction
    f.toml:8: defaults.write: expected always, when-stale or never, did you mean "always"?
    f.toml:11: http.listen: expected an address and a port like "127.0.0.1:2328" or "[::]:2328", found "localhost:2328"
    f.toml:13: target[0].url: missing
    f.toml:18: target[1].name: "orders" is the name of two targets, of which the first stands at f.toml:14
    f.toml:20: target[1].password: unknown source of a password, did you mean "file"?
    f.toml:22: target[1].timezone: unknown time zone "Mars/Phobos": expected a name like UTC or Europe/Berlin
    f.toml:25: target[2].name: "orders" is the name of two targets, of which the first stands at f.toml:14
    f.toml:26: target[2].url: parameter "colour": not known
    f.toml:27: target[2].enabled: expected true or false, found a string
    f.toml:29: target[2].cron: excludes interval: keep one of them
    f.toml:32: target[2].heartbeat.schema: not a name: holds the character " (write the bare name, it is quoted where needed)
    f.toml:33: target[2].heartbeat.row: expected a whole number of at least 1
    f.toml:35: target[2].connectors: unknown key, did you mean "connector"?
    f.toml:39: target[2].replica[0].url: leads to sqlite, the target's url to postgres
    f.toml:42: target[2].replica[1].url: the address has no host: expected postgres://user@host/database
    f.toml:45: shutdown.grace: too long: expected 0s to 5m
    more/a.toml:1: http: belongs in the main file: an included file holds only [[target]]
    more/a.toml:4: target[0].url: unknown database scheme "oracle": known are postgres, postgresql and sqlite
    "#);
}

#[test]
fn no_source_is_no_target_and_two_sources_are_a_contradiction() {
    assert_eq!(load(&sources(), &drivers()), Err(LoadError::NoTargets));
    assert_eq!(with_environment(&[("HEARTBEATD_HTTP__LISTEN", "[::]:1"), ("HOME", "/")]), Err(LoadError::NoTargets));
    let (url, file) = (vec!["sqlite:a.db".to_owned()], Some(PathBuf::from("f.toml")));
    let environment = variables(&[("HEARTBEATD_URL", "sqlite:a.db")]);
    for contradiction in [
        Sources { urls: url.clone(), file: file.clone(), ..sources() },
        Sources { urls: url, environment: environment.clone(), ..sources() },
        Sources { file, environment, ..sources() },
    ] {
        assert!(matches!(load(&contradiction, &drivers()), Err(LoadError::Usage(_))), "{contradiction:?}");
    }
}

#[test]
fn an_address_alone_is_a_target_with_every_default() {
    let urls = vec!["postgres://hb:hunter2@db-1/orders".to_owned(), "sqlite:/var/lib/hb.db".to_owned()];
    let settings = load(&Sources { urls, ..sources() }, &drivers()).unwrap();
    let mut expected = Target::new("db-1/orders", Endpoint::parse("postgres://hb:hunter2@db-1/orders").unwrap());
    expected.provision = ProvisionMode::Auto;
    assert_eq!(settings.targets[0], expected);
    assert_eq!(settings.targets[1].name, "hb.db");
    assert_eq!(settings.http.listen.to_string(), "127.0.0.1:2328");
    assert_eq!(settings.shutdown.grace, Duration::from_secs(5));
    assert!(!settings.instance.is_empty());
    assert_eq!(settings.warnings, [""; 0]);
}

#[test]
fn provision_is_auto_only_for_addresses_of_the_daemon_unless_something_is_said() {
    let provision = |urls: &[&str], purpose, environment: &[(&str, &str)]| {
        let urls = urls.iter().map(|url| (*url).to_owned()).collect();
        let sources = Sources { urls, purpose, environment: variables(environment), file: None };
        load(&sources, &drivers()).unwrap().targets[0].provision
    };
    let (url, by_variable) = (["sqlite:a.db"], ("HEARTBEATD_URL", "sqlite:a.db"));
    assert_eq!(provision(&url, Purpose::Daemon, &[]), ProvisionMode::Auto);
    assert_eq!(provision(&url, Purpose::Command, &[]), ProvisionMode::Never);
    assert_eq!(provision(&[], Purpose::Daemon, &[by_variable]), ProvisionMode::Never);
    let auto = ("HEARTBEATD_PROVISION", "auto");
    assert_eq!(provision(&[], Purpose::Daemon, &[by_variable, auto]), ProvisionMode::Auto);
    for never in ["HEARTBEATD_PROVISION", "HEARTBEATD_DEFAULTS__PROVISION"] {
        assert_eq!(provision(&url, Purpose::Daemon, &[(never, "never")]), ProvisionMode::Never);
    }
    assert_eq!(target("[[target]]\nurl = \"sqlite:a.db\"").provision, ProvisionMode::Never);
}

#[test]
fn a_target_overrides_the_defaults_and_its_schedule_displaces_theirs() {
    let defaults = "[defaults]\ncron = \"*/2 * * * *\"\ntimezone = \"Europe/Berlin\"\ntimeout = 3\nwrite = \"never\"\n";
    let with = |lines: &str| target(&format!("{defaults}[[target]]\nurl = \"sqlite:a.db\"\n{lines}"));
    let inherited = with("");
    assert_eq!(inherited.schedule.to_string(), "cron */2 * * * * Europe/Berlin");
    assert_eq!((inherited.timeout, inherited.write), (Duration::from_secs(3), WriteMode::Never));
    assert_eq!(with("interval = \"1m 30s\"").schedule, Schedule::Interval(Duration::from_secs(90)));
    assert_eq!(with("timezone = \"UTC\"").schedule.to_string(), "cron */2 * * * * UTC");
    assert_eq!(with("cron = \"0 0 * * * *\"").schedule.to_string(), "cron 0 0 * * * * Europe/Berlin");
    assert_eq!(with("write = \"always\"").write, WriteMode::Always);
}

#[test]
fn a_connector_that_writes_makes_when_stale_the_default_and_no_more() {
    let with = |lines: &str| target(&format!("{lines}[target.connector]\nmode = \"read-write\"\n")).write;
    assert_eq!(with("[[target]]\nurl = \"sqlite:a.db\"\n"), WriteMode::WhenStale);
    assert_eq!(with("[[target]]\nurl = \"sqlite:a.db\"\nwrite = \"always\"\n"), WriteMode::Always);
    assert_eq!(with("[defaults]\nwrite = \"never\"\n[[target]]\nurl = \"sqlite:a.db\"\n"), WriteMode::Never);
}

#[test]
fn durations_are_text_with_a_unit_or_whole_seconds_within_reason() {
    assert_eq!(target("[[target]]\nurl = \"sqlite:a.db\"\ntimeout = \"100ms\"").timeout, Duration::from_millis(100));
    assert_eq!(target("[[target]]\nurl = \"sqlite:a.db\"\ntimeout = 60").timeout, Duration::from_secs(60));
    for (lines, expected) in [
        ("interval = \"0s\"", "interval: too short: expected 1s to 1day"),
        ("interval = 0", "interval: too short: expected 1s to 1day"),
        ("interval = \"900ms\"", "interval: too short: expected 1s to 1day"),
        ("interval = \"25h\"", "interval: too long: expected 1s to 1day"),
        ("timeout = \"2h\"", "timeout: too long: expected 100ms to 1h"),
        ("timeout = -1", "timeout: expected a duration like \"1m\", or whole seconds, found a negative number"),
        ("timeout = \"60\"", "timeout: expected a duration like \"1m\", or whole seconds, found \"60\""),
        ("timeout = 1.5", "timeout: expected a duration like \"1m\", or whole seconds, found a fraction"),
    ] {
        assert_eq!(target_complaint(lines), format!("f.toml:3: target[0].{expected}"));
    }
}

#[test]
fn interval_and_cron_exclude_each_other_where_they_stand_together() {
    assert_eq!(
        target_complaint("interval = \"1m\"\ncron = \"* * * * *\""),
        "f.toml:4: target[0].cron: excludes interval: keep one of them"
    );
    assert_eq!(
        target_complaint("[defaults]\ninterval = \"1m\"\ncron = \"* * * * *\""),
        "f.toml:5: defaults.cron: excludes interval: keep one of them"
    );
    assert_eq!(target_complaint("timezone = \"UTC\""), "f.toml:3: target[0].timezone: has no meaning without cron");
    assert!(
        target_complaint("cron = \"0 0 30 2 *\"").ends_with("target[0].cron: this cron expression never comes due")
    );
}

#[test]
fn a_password_has_one_source_and_its_text_stays_text() {
    let password = |lines: &str| target(&format!("[[target]]\nurl = \"postgres://u@h/d\"\n{lines}")).endpoint.password;
    assert_eq!(password(""), None);
    assert_eq!(password("password = \"0123\""), Some(SecretSource::Literal(Secret::new("0123"))));
    assert_eq!(password("password = { file = \"/s\" }"), Some(SecretSource::File("/s".into())));
    assert_eq!(password("password.env = \"P\""), Some(SecretSource::Env("P".into())));
    assert_eq!(
        password("password = { command = [\"vault\", \"\"] }"),
        Some(SecretSource::Command(vec!["vault".into(), String::new()]))
    );
    for (lines, expected) in [
        ("password = \"\"", "found an empty string"),
        ("password = 7", "found a whole number"),
        ("password = {}", "found a table with 0 keys"),
        ("password = { file = \"/s\", env = \"P\" }", "found a table with 2 keys"),
        ("password = { command = \"vault\" }", "command: expected a list of a program and its arguments"),
        ("password = { command = [] }", "command: expected a list of a program and its arguments"),
        ("password = { flie = \"/s\" }", "unknown source of a password, did you mean \"file\"?"),
        ("provision_password = \"x\"", "has no meaning without provision_url"),
    ] {
        let complaint = target_complaint(lines);
        assert!(complaint.starts_with("f.toml:3: ") && complaint.ends_with(expected), "{complaint}");
    }
    let twice = complaint(&[("f.toml", b"[[target]]\nurl = \"postgres://u:hunter2@h/d\"\npassword = \"x\"\n")]);
    assert_eq!(twice, "f.toml:3: target[0].password: url holds a password too: keep one of them");
}

#[test]
fn replicas_borrow_user_and_password_but_never_for_another_user() {
    let replicas = target(
        "[[target]]\nurl = \"postgres://hb@a/d\"\npassword = \"x\"\n\
         [[target.replica]]\nurl = \"postgres://b/d\"\n\
         [[target.replica]]\nname = \"c\"\nrequired = true\nurl = \"postgres://other@c/d\"\n\
         [[target.replica]]\nname = \"d\"\nurl = \"postgres://hb:own@d/d\"\n",
    )
    .replicas;
    let literal = |text: &str| Some(SecretSource::Literal(Secret::new(text)));
    assert_eq!(replicas[0].name, "b/d");
    assert_eq!((replicas[0].endpoint.url.user(), &replicas[0].endpoint.password), (Some("hb"), &literal("x")));
    assert_eq!((replicas[1].required, &replicas[1].endpoint.password), (true, &None));
    assert_eq!(replicas[2].endpoint.password, literal("own"));
    let same = "[[target.replica]]\nurl = \"postgres://b/d\"\n".repeat(2);
    assert_eq!(
        target_complaint(&same).replace(char::is_whitespace, " ").split(", of").next(),
        Some("f.toml:6: target[0].replica[1].url: \"b/d\" is the name of two replicas of this target")
    );
}

#[test]
fn names_of_objects_are_refused_when_they_cannot_be_meant() {
    for (lines, expected) in [
        ("schema = '\"; drop table'", "not a name: holds the character \""),
        ("table = \"a;b\"", "not a name: holds the character ;"),
        ("schema = \"a\\u0000b\"", "not a name: holds a control character"),
        ("table = \"a\\nb\"", "not a name: holds a control character"),
        ("schema = \"\"", "expected a name, found an empty string"),
    ] {
        let complaint = target_complaint(&format!("[target.heartbeat]\n{lines}"));
        assert!(complaint.contains(expected) && complaint.lines().count() == 1, "{complaint}");
    }
    let long = format!("[target.connector]\nslot = \"{}\"", "s".repeat(64));
    assert!(target_complaint(&long).starts_with("f.toml:4: target[0].connector.slot: longer than 63 bytes"));
    let odd = target("[[target]]\nurl = \"postgres://h/d\"\n[target.connector]\nuser = \"Größe 'x'\"\n").connector;
    assert_eq!(odd.user, Named::configured("Größe 'x'"));
    assert_eq!(odd.slot, Named::default_name("streamkap_pgoutput_slot"));
}

#[test]
fn addresses_are_judged_by_their_driver_and_warnings_carry_the_name() {
    let settings = load_text(
        "[[target]]\nname = \"orders\"\nurl = \"postgres://h/d?sslmode=require\"\n\
         [[target.replica]]\nname = \"r\"\nurl = \"postgres://i/d?sslmode=require\"\n",
    );
    assert_eq!(
        settings.unwrap().warnings,
        ["orders: encrypted and unverified", "orders: replica r: encrypted and unverified"]
    );
    assert_eq!(
        complaint(&[("f.toml", b"[[target]]\nurl = \"postgres://u:hunter2@h/d?colour=red\"\n")]),
        "f.toml:2: target[0].url: parameter \"colour\": not known"
    );
    let missing = Sources { urls: vec!["postgres://u:hunter2@h/d".into()], ..sources() };
    let error = load(&missing, &Drivers::only(Arc::new(Strict))).map(|settings| settings.targets.len());
    assert_eq!(error, Ok(1));
}

#[test]
fn an_address_that_cannot_be_read_is_told_by_its_number() {
    let urls = vec!["sqlite:a.db".into(), "postgres://u:hunter2@/d".into(), "sqlite:b/a.db".into()];
    let error = load(&Sources { urls, ..sources() }, &drivers()).unwrap_err().to_string();
    assert_eq!(
        error,
        "address 2 on the command line: the address has no host: expected postgres://user@host/database\n\
         address 3 on the command line: \"a.db\" is the name of two targets, of which the first stands at \
         address 1 on the command line: set name"
    );
}

#[test]
fn includes_are_found_beside_the_file_in_order_each_once_and_without_the_file_itself() {
    let one = |name: &str| format!("[[target]]\nname = \"{name}\"\nurl = \"sqlite:a.db\"\n").into_bytes();
    let (directory, main) = directory(&[
        ("[x]/main.toml", b"include = [\"targets.d/*.toml\", \"targets.d/b*\", \"*.toml\", \"none/*.toml\"]\n"),
        ("[x]/targets.d/b.toml", &one("b")),
        ("[x]/targets.d/a.toml", &one("a")),
        ("[x]/targets.d/.#hidden.toml", b"not TOML at all"),
        ("[x]/last.toml", &one("last")),
    ]);
    let settings = load_file_with(&main, &[]).unwrap();
    let names: Vec<_> = settings.targets.iter().map(|target| target.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "last"]);
    let place = format!("{}/[x]/main.toml:1", directory.path().display());
    assert_eq!(settings.warnings, [format!("{place}: include[3]: no file matches")]);
}

#[test]
fn an_included_file_holds_targets_only_and_shares_their_names() {
    let target: &[u8] = b"[[target]]\nname = \"orders\"\nurl = \"sqlite:a.db\"\n";
    let mut other = b"include = [\"x\"]\n".to_vec();
    other.extend(target);
    let main = [b"include = [\"d/*\"]\n", target].concat();
    assert_eq!(
        complaint(&[("f.toml", &main), ("d/a.toml", &other)]),
        "d/a.toml:1: include: belongs in the main file: an included file holds only [[target]]\n\
         d/a.toml:3: target[0].name: \"orders\" is the name of two targets, of which the first stands at f.toml:3"
    );
}

#[test]
fn a_file_without_targets_or_that_cannot_be_read_is_an_error_of_its_own() {
    assert_eq!(
        complaint(&[("f.toml", b"[http]\nlisten = \"[::]:1\"\n")]),
        "f.toml:1: no target: neither this file nor an included one holds a [[target]]"
    );
    let directory = TempDir::new().unwrap();
    for path in [directory.path().join("absent.toml"), directory.path().to_owned()] {
        let error = load_file_with(&path, &[]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}: cannot be read: ", path.display())), "{error}");
    }
    assert_eq!(
        complaint(&[("f.toml", b"[target]\nurl = \"sqlite:a.db\"\n")]),
        "f.toml:1: target: expected a list of tables, found one table: write [[target]], not [target]"
    );
}

#[test]
fn one_bad_target_among_a_thousand_is_the_one_that_is_named() {
    let mut text = String::new();
    for number in 0..1_000 {
        let interval = if number == 617 { "0s" } else { "1m" };
        text += &format!("[[target]]\nname = \"t{number}\"\nurl = \"postgres://h/d\"\ninterval = \"{interval}\"\n");
    }
    assert_eq!(
        complaint(&[("f.toml", text.as_bytes())]),
        "f.toml:2472: target[617].interval: too short: expected 1s to 1day"
    );
}

#[test]
fn a_sidecar_is_told_everything_by_variables() {
    let settings = with_environment(&[
        ("HEARTBEATD_URL", "postgres://hb@h/d"),
        ("HEARTBEATD_NAME", "orders"),
        ("HEARTBEATD_PASSWORD", "0123"),
        ("HEARTBEATD_PROVISION_URL", "postgres://admin@h/d"),
        ("HEARTBEATD_CRON", "*/5 * * * *"),
        ("HEARTBEATD_TIMEZONE", "Europe/Berlin"),
        ("HEARTBEATD_TIMEOUT", "7"),
        ("HEARTBEATD_WRITE", "when-stale"),
        ("HEARTBEATD_PROVISION", "auto"),
        ("HEARTBEATD_SCHEMA", "2024"),
        ("HEARTBEATD_TABLE", "true"),
        ("HEARTBEATD_ROW", "3"),
        ("HEARTBEATD_CONNECTOR_USER", "cdc"),
        ("HEARTBEATD_CONNECTOR_MODE", "read-write"),
        ("HEARTBEATD_PUBLICATION", "pub"),
        ("HEARTBEATD_SLOT", "slot"),
        ("HEARTBEATD_REPLICA_URL", "postgres://r/d"),
        ("HEARTBEATD_HTTP__LISTEN", "0.0.0.0:2328"),
        ("HEARTBEATD_SHUTDOWN__GRACE", "0s"),
        ("HEARTBEATD_INSTANCE", "pod-1"),
        ("HEARTBEATD_CONFIG", ""),
        ("HEARTBEATD_LOG", "debug"),
        ("HEARTBEATD_PORT_2328_TCP", "tcp://10.0.0.1:2328"),
        ("HEARTBEATD_SERVICE_HOST", "10.0.0.1"),
    ]);
    let settings = settings.unwrap();
    assert_eq!(settings.http.listen.to_string(), "0.0.0.0:2328");
    assert_eq!((settings.shutdown.grace, settings.instance.as_str()), (Duration::ZERO, "pod-1"));
    insta::assert_snapshot!(show(&settings), @r#"
    instance = "pod-1"

    [http]
    listen = "0.0.0.0:2328"

    [shutdown]
    grace = "0s"

    [[target]]
    name = "orders"
    enabled = true
    url = "postgres://hb@h/d"
    password = { env = "HEARTBEATD_PASSWORD" }
    provision_url = "postgres://admin@h/d"
    cron = "*/5 * * * *"
    timezone = "Europe/Berlin"
    timeout = "7s"
    write = "when-stale"
    provision = "auto"

    [target.heartbeat]
    schema = "2024"
    table = "true"
    row = 3

    [target.connector]
    user = "cdc"
    publication = "pub"
    slot = "slot"
    mode = "read-write"

    [[target.replica]]
    name = "r/d"
    url = "postgres://hb@r/d"
    password = { env = "HEARTBEATD_PASSWORD" }
    required = false
    "#);
}

#[test]
fn variables_beside_one_address_describe_its_target() {
    let urls = vec!["sqlite:a.db".to_owned()];
    let environment = variables(&[("HEARTBEATD_NAME", "demo"), ("HEARTBEATD_PASSWORD_FILE", "/s")]);
    let settings = load(&Sources { urls, environment, ..sources() }, &drivers()).unwrap();
    assert_eq!(settings.targets[0].name, "demo");
    assert_eq!(settings.targets[0].endpoint.password, Some(SecretSource::File("/s".into())));
}

#[test]
fn variables_override_the_file_and_the_schedule_as_one_setting() {
    let (_directory, main) = directory(&[(
        "f.toml",
        b"[defaults]\ninterval = \"2m\"\ntimeout = \"3s\"\n[http]\nlisten = \"[::1]:1\"\n[[target]]\nurl = \"sqlite:a.db\"\n",
    )]);
    let settings = load_file_with(
        &main,
        &[("HEARTBEATD_DEFAULTS__CRON", "* * * * *"), ("HEARTBEATD_HTTP__LISTEN", "127.0.0.1:9")],
    );
    let settings = settings.unwrap();
    assert_eq!(settings.targets[0].schedule.to_string(), "cron * * * * * UTC");
    assert_eq!(settings.targets[0].timeout, Duration::from_secs(3));
    assert_eq!(settings.http.listen.to_string(), "127.0.0.1:9");
}

#[test]
fn variables_that_are_wrong_are_told_by_name_and_never_by_a_secret_value() {
    let error = with_environment(&[
        ("HEARTBEATD_URL", "postgres://u:hunter2@/d"),
        ("HEARTBEATD_PASSWORD", "hunter2"),
        ("HEARTBEATD_PASSWORD_FILE", "/s"),
        ("HEARTBEATD_PASSWROD", "hunter2"),
        ("HEARTBEATD_COLOUR", "red"),
        ("HEARTBEATD_INTERVAL", "0"),
        ("HEARTBEATD_ROW", "one"),
        ("HEARTBEATD_NAME", ""),
        ("HEARTBEATD_HTTP__LISTEN", "2328"),
        ("HEARTBEATD_DEFAULTS__INTERVAL", "1m"),
        ("HEARTBEATD_DEFAULTS__CRON", "* * * * *"),
    ]);
    let error = error.unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
    insta::assert_snapshot!(error, @r#"
    HEARTBEATD_COLOUR: unknown variable: see the end of `heartbeatd config example` for those there are
    HEARTBEATD_DEFAULTS__CRON: excludes interval: keep one of them
    HEARTBEATD_HTTP__LISTEN: expected an address and a port like "127.0.0.1:2328" or "[::]:2328", found "2328"
    HEARTBEATD_INTERVAL: too short: expected 1s to 1day
    HEARTBEATD_NAME: set and empty: unset it, or give it a value
    HEARTBEATD_PASSWORD: set beside HEARTBEATD_PASSWORD_FILE: keep one
    HEARTBEATD_PASSWROD: unknown variable, did you mean HEARTBEATD_PASSWORD?
    HEARTBEATD_ROW: expected a whole number of at least 1, found a string
    HEARTBEATD_URL: the address has no host: expected postgres://user@host/database
    "#);
}

#[test]
fn shorthands_without_a_single_target_are_errors_that_say_so() {
    let (_directory, main) = directory(&[("f.toml", b"[[target]]\nurl = \"sqlite:a.db\"\n")]);
    let error = load_file_with(&main, &[("HEARTBEATD_INTERVAL", "5s"), ("HEARTBEATD_SLOT", "s")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "HEARTBEATD_INTERVAL: describes the single target of an address, and the targets stand in a file: say it \
         there (HEARTBEATD_DEFAULTS__INTERVAL sets it for all)\n\
         HEARTBEATD_SLOT: describes the single target of an address, and the targets stand in a file: say it there"
    );
    let error = with_environment(&[("HEARTBEATD_SLOT", "s")]).unwrap_err();
    assert!(error.to_string().starts_with("HEARTBEATD_SLOT: describes the single target of HEARTBEATD_URL"), "{error}");
}

#[test]
fn a_file_may_take_passwords_from_variables_that_look_like_ours() {
    let text = b"[[target]]\nurl = \"postgres://u@h/d\"\npassword = { env = \"HEARTBEATD_ORDERS_PASSWORD\" }\n";
    let (_directory, main) = directory(&[("f.toml", text)]);
    assert!(load_file_with(&main, &[("HEARTBEATD_ORDERS_PASSWORD", "x")]).is_ok());
}

/// The paths of all keys, as the sections of a file spell them.
fn paths(keys: &[Key], below: &str, found: &mut BTreeSet<String>) {
    for key in keys {
        let path = if below.is_empty() { key.name.to_owned() } else { format!("{below}.{}", key.name) };
        if let Kind::Table(keys) | Kind::Tables(keys) = key.kind {
            paths(keys, &path, found);
        } else {
            found.insert(path);
        }
    }
}

#[test]
fn the_example_shows_every_key_and_every_variable_and_is_right() {
    let mut expected = BTreeSet::new();
    paths(ROOT, "", &mut expected);
    let (mut section, mut shown) = (String::new(), BTreeSet::new());
    for line in EXAMPLE.lines() {
        if let Some(header) = line.strip_prefix('[') {
            section = format!("{}.", header.trim_start_matches('[').split(']').next().unwrap());
        } else if let Some((key, _)) = line.trim_start_matches('#').split_once(" = ")
            && !key.contains(' ')
        {
            shown.insert(format!("{section}{key}"));
        }
    }
    assert_eq!(shown, expected);
    let variables = environment::scalars().into_iter().map(|(name, _)| name);
    for name in variables.chain(environment::SHORTHANDS.iter().map(|(name, _)| (*name).to_owned())) {
        let name = format!("{PREFIX}{name}");
        let whole = |text: &str| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == name);
        assert!(whole(EXAMPLE), "{name} is not in the example");
    }
    let settings = load_text(EXAMPLE).unwrap();
    assert_eq!(settings.warnings, [""; 0]);
    assert_eq!(load_text(include_str!("../../config/demo.toml")).unwrap().targets[0].name, "demo");
}

#[test]
fn what_the_example_says_is_the_default() {
    let bare = target("[[target]]\nurl = \"postgres://heartbeat@primary-a/orders\"\n");
    let settings = load_text(EXAMPLE).unwrap();
    let example = &settings.targets[0];
    assert_eq!((example.enabled, &example.schedule, example.timeout), (bare.enabled, &bare.schedule, bare.timeout));
    assert_eq!((example.write, example.provision, &example.heartbeat), (bare.write, bare.provision, &bare.heartbeat));
    assert_eq!(example.connector.user.name, bare.connector.user.name);
    assert_eq!(example.connector.publication.name, bare.connector.publication.name);
    assert_eq!(example.connector.slot.name, bare.connector.slot.name);
    assert_eq!(example.connector.mode, bare.connector.mode);
}

#[test]
fn what_is_shown_can_be_loaded_again_and_holds_no_secret() {
    let text = EXAMPLE
        .replace("file = \"/run/secrets/orders-admin\"", "command = [\"vault\", \"--token=hunter2\"]")
        .replace("password = { file = \"/run/secrets/orders\" }              #", "password = \"hunter2\" #")
        .replace("interval = \"1m\"\n", "cron = \"*/5 * * * *\"\ntimezone = \"Europe/Berlin\"\n");
    let settings = load_text(&text).unwrap();
    let shown = show(&settings);
    assert!(!shown.contains("hunter2"), "{shown}");
    let again = load_text(&shown).unwrap();
    assert_eq!(show(&again), shown);
    insta::assert_snapshot!(shown.split_once("[http]").unwrap().1, @r#"

    listen = "127.0.0.1:2328"

    [shutdown]
    grace = "5s"

    [[target]]
    name = "orders"
    enabled = true
    url = "postgres://heartbeat@primary-a,primary-b/orders?sslmode=verify-full"
    password = { file = "/run/secrets/orders" }
    provision_url = "postgres://admin@primary-a/orders?sslmode=verify-full"
    provision_password = { command = ["vault", "[redacted]"] }
    cron = "*/5 * * * *"
    timezone = "Europe/Berlin"
    timeout = "10s"
    write = "always"
    provision = "never"

    [target.heartbeat]
    schema = "streamkap"
    table = "streamkap_heartbeat"
    row = 1

    [target.connector]
    user = "streamkap_user"
    publication = "streamkap_pub"
    slot = "streamkap_pgoutput_slot"
    mode = "read-only"

    [[target.replica]]
    name = "replica-1"
    url = "postgres://heartbeat@replica-1/orders?sslmode=verify-full"
    password = "[redacted]"
    required = false
    "#);
}

#[test]
fn a_built_in_name_is_shown_as_a_default() {
    let settings = load_text("instance = \"i\"\n[[target]]\nurl = \"sqlite:a.db\"\n").unwrap();
    assert!(show(&settings).contains("slot = \"streamkap_pgoutput_slot\"  # default\n"));
}

#[test]
fn the_json_schema_holds_every_key() {
    let schema = schema();
    let mut expected = BTreeSet::new();
    paths(ROOT, "", &mut expected);
    for path in expected {
        let mut at = &schema;
        for name in path.split('.') {
            at = at.get("items").unwrap_or(at);
            assert_eq!(at["additionalProperties"], false, "{path}");
            at = &at["properties"][name];
        }
        assert!(at["description"].is_string(), "{path}");
    }
    assert_eq!(schema["properties"]["target"]["items"]["required"], serde_json::json!(["url"]));
    assert_eq!(schema["properties"]["http"]["properties"]["listen"]["default"], "127.0.0.1:2328");
}

mod any_bytes {
    use proptest::prelude::*;

    use super::*;

    /// Passwords at every place that takes one.
    fn valid() -> Vec<u8> {
        let text = EXAMPLE
            .replace("file = \"/run/secrets/orders-admin\"", "command = [\"vault\", \"--token=hunter2\"]")
            .replace("{ file = \"/run/secrets/orders\" }", "\"hunter2\"")
            .replace("postgres://replica-1/", "postgres://u:other-hunter2@replica-1/")
            .replace("password = \"hunter2\"              #", "#");
        text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n").into_bytes()
    }

    fn load_bytes(bytes: &[u8]) -> Result<Settings, LoadError> {
        let (_directory, main) = directory(&[("f.toml", bytes)]);
        load_file_with(&main, &[])
    }

    #[test]
    fn the_file_to_mutate_is_right_as_it_stands() {
        assert_eq!(load_bytes(&valid()).map(|settings| settings.targets.len()), Ok(1));
    }

    proptest! {
        #[test]
        fn are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(load_bytes(&bytes).is_err());
        }

        #[test]
        fn in_a_valid_file_never_make_it_leak_a_password(
            at in any::<prop::sample::Index>(),
            length in 0usize..3,
            put in prop::collection::vec(any::<u8>(), 0..3),
        ) {
            let mut bytes = valid();
            let start = at.index(bytes.len());
            let end = (start + length).min(bytes.len());
            bytes.splice(start..end, put);
            let told = match load_bytes(&bytes) {
                Ok(settings) => format!("{settings:?} {}", show(&settings)),
                Err(error) => format!("{error:?} {error}"),
            };
            prop_assert!(!told.contains("hunter2"), "{}", told);
        }

        #[test]
        fn cut_off_from_a_valid_file_never_make_it_leak_a_password(at in any::<prop::sample::Index>()) {
            let bytes = valid();
            let told = match load_bytes(&bytes[..at.index(bytes.len())]) {
                Ok(settings) => format!("{settings:?} {}", show(&settings)),
                Err(error) => format!("{error:?} {error}"),
            };
            prop_assert!(!told.contains("hunter2"), "{}", told);
        }
    }
}
