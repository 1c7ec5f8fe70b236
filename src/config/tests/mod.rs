//! The rules of a configuration, each through [`load`], as `main` calls it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tempfile::TempDir;

use super::schema::{ConnectorKeys, Key, ROOT};
use super::*;
use crate::database_url::{Family, UrlError};
use crate::driver::postgres::Postgres;
use crate::driver::rules::{ConnectorKey, Judgement};
use crate::driver::{ConnectRequest, Driver, FactsError, Session};
use crate::finding::{Case, Check, Finding, Rung, Severity};
use crate::heartbeat::{ErrorKind, Failure};
use crate::remedy::Remedy;
use crate::secret::{Secret, SecretSource};
use crate::target::{Endpoint, Named, Target, WriteMode};
use crate::time::schedule::Schedule;

mod any_bytes;
mod documents;
mod environment;
mod files;
mod targets;

/// PostgreSQL, except for its addresses' parameters: knows only `sslmode`, and warns of `require`.
struct Strict;

#[async_trait]
impl Driver for Strict {
    fn family(&self) -> Family {
        Postgres.family()
    }

    fn schemes(&self) -> &'static [&'static str] {
        Postgres.schemes()
    }

    fn parse(&self, scheme: &str, rest: &str) -> Result<Endpoint, UrlError> {
        Postgres.parse(scheme, rest)
    }

    fn connector_keys(&self) -> &'static [ConnectorKey] {
        Postgres.connector_keys()
    }

    fn validate(&self, target: &Target) -> Judgement {
        let mut judgement = Postgres.validate(target);
        judgement.complaints.retain(|remark| !remark.key.ends_with("url"));
        judgement.warnings.clear();
        judgement.endpoints(target, |endpoint| {
            if let Some((name, _)) = endpoint.url.parameters().iter().find(|(name, _)| name != "sslmode") {
                return Err(UrlError::Refused { name: name.clone(), reason: "not known".to_owned() });
            }
            let unverified = endpoint.url.parameter("sslmode") == Some("require");
            Ok(if unverified { vec!["encrypted and unverified".to_owned()] } else { Vec::new() })
        });
        judgement
    }

    async fn connect(&self, _: &ConnectRequest<'_>) -> Result<Box<dyn Session>, Failure> {
        Err(Failure::new(ErrorKind::Unknown, "never connects"))
    }

    fn remedy(&self, _: &Failure, _: &Target) -> Option<Remedy> {
        None
    }

    fn checks(&self) -> &'static [Check] {
        &[Check {
            id: "slot-active",
            severity: Severity::Error,
            rung: Rung::Tracking,
            title: "",
            meaning: "",
            judged: "",
            privilege: "",
            source: "",
        }]
    }

    fn judge(&self, _: &Case<'_>) -> Result<Vec<Finding>, FactsError> {
        Ok(Vec::new())
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

/// The example with every key switched on that works with the others: an administrator, names, a password, a replica, a
/// skipped check.
fn switched_on() -> String {
    let together = [
        "[[target.",
        "decode = ",
        "id = ",
        "name = ",
        "password = { file",
        "provision_",
        "publication = ",
        "reason = ",
        "required = ",
        "slot = ",
        "url = ",
        "user = ",
    ];
    let lines = EXAMPLE.lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if together.iter().any(|start| rest.starts_with(start)) => rest,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
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

/// The problem with the lines of a target that has an address.
fn target_complaint(lines: &str) -> String {
    let text = format!("[[target]]\nurl = \"postgres://hb@h/orders\"\n{lines}\n");
    complaint(&[("f.toml", text.as_bytes())])
}

#[test]
fn all_mistakes_are_reported_at_once_with_file_line_and_key() {
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
    let more = b"[http]\nlisten = \"127.0.0.1:1\"\n[[target]]\nurl = \"db2://u:hunter2@h/x\"\n";
    let text = complaint(&[("f.toml", main), ("more/a.toml", more)]);
    assert!(!text.contains("hunter2"), "{text}");
    insta::assert_snapshot!(text, @r#"
    f.toml:1: include[1]: expected a pattern, found a whole number
    f.toml:2: intervall: unknown key, did you mean "defaults.interval"?
    f.toml:5: defaults.interval: too short: expected 1s to 1day
    f.toml:6: defaults.cron: conflicts with interval: keep one of them
    f.toml:7: defaults.timeout: expected a duration like "1m", or whole seconds, found a fraction
    f.toml:8: defaults.write: expected always, when-stale or never, did you mean "always"?
    f.toml:11: http.listen: expected an address and a port like "127.0.0.1:2328" or "[::]:2328", found "localhost:2328"
    f.toml:13: target[0].url: missing
    f.toml:18: target[1].name: "orders" is the name of two targets; the first is at f.toml:14
    f.toml:20: target[1].password: unknown source of a password, did you mean "file"?
    f.toml:22: target[1].timezone: unknown time zone "Mars/Phobos": expected a name like UTC or Europe/Berlin
    f.toml:25: target[2].name: "orders" is the name of two targets; the first is at f.toml:14
    f.toml:26: target[2].url: parameter "colour": not known
    f.toml:27: target[2].enabled: expected true or false, found a string
    f.toml:29: target[2].cron: conflicts with interval: keep one of them
    f.toml:32: target[2].heartbeat.schema: not a name: it contains the character " (write the name without quotes)
    f.toml:33: target[2].heartbeat.row: expected a whole number of at least 1
    f.toml:35: target[2].connectors: unknown key, did you mean "connector"?
    f.toml:39: target[2].replica[0].url: leads to sqlite, the target's url to postgres
    f.toml:42: target[2].replica[1].url: the address has no host: expected postgres://user@host/database
    f.toml:45: shutdown.grace: too long: expected 0s to 5m
    more/a.toml:1: http: belongs in the main file: an included file may contain only [[target]]
    more/a.toml:4: target[0].url: unknown database scheme "db2": known are mongodb, mongodb+srv, mysql, mariadb, oracle, postgres, postgresql, sqlite, mssql and sqlserver
    "#);
}

#[test]
fn without_a_source_there_is_no_target_and_two_sources_are_refused() {
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
fn an_unreadable_address_is_reported_by_its_number() {
    let urls = vec!["sqlite:a.db".into(), "postgres://u:hunter2@/d".into(), "sqlite:b/a.db".into()];
    let error = load(&Sources { urls, ..sources() }, &drivers()).unwrap_err().to_string();
    assert_eq!(
        error,
        "address 2 on the command line: the address has no host: expected postgres://user@host/database\n\
         address 3 on the command line: \"a.db\" is the name of two targets; the first is at \
         address 1 on the command line: set name"
    );
}
