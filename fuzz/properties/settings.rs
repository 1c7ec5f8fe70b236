//! Configuration: a file, and environment variables.

use std::path::Path;

use heartbeatd::config::{self, LoadError, Purpose, Settings, Sources};
use heartbeatd::drivers::Drivers;
use toml::{Table, Value};

use super::PASSWORD;
use super::addresses::has_password;

/// A refused file does not repeat its passwords; an accepted one is shown so that it loads the same again.
pub fn configuration(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let table = text.trim_start_matches('\u{feff}').parse::<Table>();
    // A pattern could read any file of the machine, and those files are not part of the input.
    if table.as_ref().is_ok_and(|table| table.contains_key("include")) {
        return;
    }
    // If a text is not TOML, heartbeatd may show none of it.
    let secret = table.map_or(true, |table| text.matches(PASSWORD).count() == secrets(&table));
    let file = temporary_file();
    let result = load_file(file.path(), data);
    assert!(!secret || !shown(&result).contains(PASSWORD), "{}", shown(&result));
    let Ok(settings) = result else { return };
    let first = config::show(&settings, &Drivers::built_in());
    let again = load_file(file.path(), first.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{first}"));
    // A default of the first run is written out in the second.
    assert_eq!(config::show(&again, &Drivers::built_in()), first.replace("  # default", ""));
}

/// Variables are refused or accepted without showing a password. One a line, `NAME=value`, names without the prefix.
pub fn variables(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let pairs: Vec<(String, String)> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (format!("HEARTBEATD_{name}"), value.to_owned()))
        .collect();
    let mut secrets = 0;
    for (name, value) in &pairs {
        let is_secret = match name.as_str() {
            "HEARTBEATD_PASSWORD" | "HEARTBEATD_PROVISION_PASSWORD" => true,
            "HEARTBEATD_URL" | "HEARTBEATD_PROVISION_URL" => has_password(value),
            _ => false,
        };
        secrets += usize::from(is_secret) * value.matches(PASSWORD).count();
    }
    let sources = Sources { file: None, urls: Vec::new(), environment: pairs, purpose: Purpose::Daemon };
    let result = config::load(&sources, &Drivers::built_in());
    if text.matches(PASSWORD).count() == secrets {
        assert!(!shown(&result).contains(PASSWORD), "{}", shown(&result));
    }
}

/// In memory where possible: the test writes thousands of files a second.
fn temporary_file() -> tempfile::NamedTempFile {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::NamedTempFile::new_in(folder).expect("a temporary file")
}

fn load_file(path: &Path, content: &[u8]) -> Result<Settings, LoadError> {
    std::fs::write(path, content).expect("the temporary file can be written");
    let sources =
        Sources { file: Some(path.to_owned()), urls: Vec::new(), environment: Vec::new(), purpose: Purpose::Command };
    config::load(&sources, &Drivers::built_in())
}

/// Everything that a program could print of the result.
fn shown(result: &Result<Settings, LoadError>) -> String {
    match result {
        Ok(settings) => format!("{settings:?} {}", config::show(settings, &Drivers::built_in())),
        Err(error) => format!("{error:?} {error}"),
    }
}

/// How often the file contains the password as a password.
fn secrets(table: &Table) -> usize {
    let of = |(key, value): (&String, &Value)| match (key.as_str(), value) {
        ("password" | "provision_password", Value::String(text)) => text.matches(PASSWORD).count(),
        ("url" | "provision_url", Value::String(text)) => usize::from(has_password(text)),
        ("password" | "provision_password", Value::Table(source)) => match source.get("command") {
            Some(Value::Array(words)) => {
                let arguments = words.iter().skip(1).filter_map(Value::as_str);
                arguments.map(|word| word.matches(PASSWORD).count()).sum()
            }
            _ => 0,
        },
        ("target" | "replica", Value::Array(tables)) => tables.iter().filter_map(Value::as_table).map(secrets).sum(),
        _ => 0,
    };
    table.iter().map(of).sum()
}
