//! `heartbeatd init URL`: inspects a database and writes a configuration for it. Comments in the file list what
//! prevents a heartbeat, and the remedies. It changes nothing in the database.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use super::exit::{FAILED, USAGE};
use super::settings::{load, refuse};
use super::terminal;
use crate::check::report::{FailOn, Format, Report, TargetReport};
use crate::check::{formats, registry, runner};
use crate::cli::SourceArgs;
use crate::config::{self, Purpose};
use crate::driver::opening::{TargetContext, application_name};
use crate::drivers::Drivers;
use crate::finding::{Inspection, Look};
use crate::secret::SecretSource;
use crate::target::Target;
use crate::time::clock::{Clock, Moment};

/// What the file contains besides the target: the defaults that people change first.
const COMMENTED: &str = "\
interval = \"1m\"            # time between two heartbeats
#provision_url = \"…\"       # an administrator's way in, for `heartbeatd provision` only

#[target.heartbeat]        # the names that your connector's documentation gives the heartbeat table
#schema = \"streamkap\"
#table = \"streamkap_heartbeat\"

#[[target.replica]]        # a server that the connector reads from: the heartbeat must arrive there
#url = \"…\"
";

/// Inspects the database, writes the file, prints the result. Exit code 0 if the database was reached, 1 if not; the
/// file is written either way.
pub async fn init(url: &str, output: Option<&Path>) -> ExitCode {
    let sources = SourceArgs { config: None, urls: vec![url.to_owned()], shard: None };
    let settings = match load(&sources, Purpose::Command) {
        Ok(settings) => settings,
        Err(error) => return refuse(&error),
    };
    terminal::warnings(&settings.warnings);
    // One address gives one target.
    let Some(target) = settings.targets.into_iter().next() else { return ExitCode::from(USAGE) };
    let drivers = Drivers::built_in();
    let driver = match drivers.get(target.endpoint.url.family()) {
        Ok(driver) => driver,
        Err(error) => {
            terminal::error(&error.to_string());
            return ExitCode::from(USAGE);
        }
    };
    let clock = Clock::system();
    let now = clock.now();
    let timeout = target.timeout;
    let target = Arc::new(target);
    let application_name = application_name(&settings.instance);
    let context = TargetContext { target: Arc::clone(&target), driver: Arc::clone(&driver), application_name };
    let seen = runner::inspect(&context, &clock, timeout).await;
    let findings = runner::judge_or_say_why(&target, driver.as_ref(), &seen, None);
    let entries = registry::entries(&drivers);
    let address = target.endpoint.url.to_string();
    let report = Report {
        targets: vec![TargetReport::new(&target.name, target.driver(), address, findings, &entries, |_| true)],
        unfinished: Vec::new(),
        taken_at: now.to_rfc3339(),
        fail_on: FailOn::Error,
    };
    let text = written(&target, &formats::render(&report, Format::Text, &entries, true), now);
    if let Err(message) = write(&text, output) {
        terminal::error(&message);
        return ExitCode::from(FAILED);
    }
    match reached(&seen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            terminal::error(&format!("the database was not checked: {message}"));
            ExitCode::from(FAILED)
        }
    }
}

fn reached(seen: &Inspection) -> Result<(), &str> {
    match &seen.source {
        Look::Facts(_) => Ok(()),
        Look::Failure(failure) => Err(&failure.message),
    }
}

/// The file's text. It leaves out the password of the address.
fn written(target: &Target, report: &str, now: Moment) -> String {
    let url = config::quote(&target.endpoint.url.to_string());
    let mut text = format!(
        "#:schema heartbeatd.schema.json\n\
         # Written by `heartbeatd init` on {}. Every key: heartbeatd config example\n\
         # Next: heartbeatd check -c FILE, then heartbeatd -c FILE\n#\n\
         # What was seen:\n#\n",
        now.to_rfc3339()
    );
    for line in anstream::adapter::strip_str(report).to_string().trim_end().lines() {
        text.push_str(format!("#   {line}").trim_end());
        text.push('\n');
    }
    let name = config::quote(&target.name);
    _ = write!(text, "\n[[target]]\nname = {name}\nurl = {url}\n");
    text.push_str(&match &target.endpoint.password {
        Some(SecretSource::Literal(_)) => {
            "# Write the password into this file, readable by the user that runs heartbeatd: it is read at every connect.\n\
             password = { file = \"/etc/heartbeatd/password\" }\n"
                .to_owned()
        }
        Some(source) => format!("password = {}\n", config::shown(source)),
        None => "#password = { file = \"/etc/heartbeatd/password\" }\n".to_owned(),
    });
    text + COMMENTED
}

/// Writes a new file, or to standard output.
fn write(text: &str, output: Option<&Path>) -> Result<(), String> {
    let Some(file) = output else {
        terminal::plain(text);
        return Ok(());
    };
    // An existing file may be a configuration that a person wrote.
    let mut options = std::fs::File::options();
    let written = options.write(true).create_new(true).open(file).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| format!("cannot write {}: {error}", file.display()))
}
