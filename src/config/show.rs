//! The effective configuration as a complete file, for `heartbeatd config show`. Not written with `toml`, because its
//! writer sorts keys and would spread a password's source over several lines.

use std::fmt::Write;

use super::duration::to_text;
use super::settings::Settings;
use crate::driver::rules::NeedKind;
use crate::drivers::Drivers;
use crate::secret::SecretSource;
use crate::target::{Endpoint, Named, RowId, Target};
use crate::time::schedule::Schedule;

/// Writes the settings; passwords by their source, or `[redacted]`.
#[must_use]
pub fn show(settings: &Settings, drivers: &Drivers) -> String {
    let mut out = String::new();
    pair(&mut out, "instance", &quote(&settings.instance));
    header(&mut out, "[http]");
    pair(&mut out, "listen", &quote(&settings.http.listen.to_string()));
    header(&mut out, "[shutdown]");
    pair(&mut out, "grace", &quote(&to_text(settings.shutdown.grace)));
    settings.targets.iter().for_each(|target| show_target(&mut out, target, drivers));
    out
}

fn show_target(out: &mut String, target: &Target, drivers: &Drivers) {
    header(out, "[[target]]");
    pair(out, "name", &quote(&target.name));
    pair(out, "enabled", &target.enabled.to_string());
    show_endpoint(out, "", &target.endpoint);
    if let Some(endpoint) = &target.provision_endpoint {
        show_endpoint(out, "provision_", endpoint);
    }
    match &target.schedule {
        Schedule::Interval(interval) => pair(out, "interval", &quote(&to_text(*interval))),
        Schedule::Cron(cron) => {
            pair(out, "cron", &quote(cron.expression()));
            pair(out, "timezone", &quote(cron.timezone().name()));
        }
    }
    pair(out, "timeout", &quote(&to_text(target.timeout)));
    pair(out, "write", &quote(target.write.as_str()));
    pair(out, "provision", &quote(target.provision.as_str()));
    header(out, "[target.heartbeat]");
    pair(out, "schema", &quote(&target.heartbeat.schema));
    pair(out, "table", &quote(&target.heartbeat.table));
    pair(
        out,
        "row",
        &match &target.heartbeat.row {
            RowId::Number(number) => number.to_string(),
            RowId::Text(text) => quote(text),
        },
    );
    header(out, "[target.connector]");
    pair(out, "user", &named(&target.connector.user));
    let driver = drivers.get(target.endpoint.url.family());
    for key in driver.iter().flat_map(|driver| driver.connector_keys()) {
        match key.kind {
            NeedKind::Name if key.named(target).name.is_empty() => {}
            NeedKind::Name => pair(out, key.name, &named(&key.named(target))),
            NeedKind::Names => pair(out, key.name, &list(key.listed(target))),
            NeedKind::Switch => pair(out, key.name, &key.is_on(target).to_string()),
        }
    }
    pair(out, "mode", &quote(target.connector.mode.as_str()));
    for replica in &target.replicas {
        header(out, "[[target.replica]]");
        pair(out, "name", &quote(&replica.name));
        show_endpoint(out, "", &replica.endpoint);
        pair(out, "required", &replica.required.to_string());
        pair(out, "decode", &replica.decode.to_string());
    }
    header(out, "[target.checks]");
    pair(out, "required", &target.checks.required.to_string());
    for skip in &target.checks.skip {
        header(out, "[[target.checks.skip]]");
        pair(out, "id", &quote(&skip.id));
        pair(out, "reason", &quote(&skip.reason));
    }
    let thresholds = &target.checks.thresholds;
    header(out, "[target.checks.thresholds]");
    pair(out, "retained_wal_mib", &thresholds.retained_wal_mib.to_string());
    pair(out, "long_transaction", &quote(&to_text(thresholds.long_transaction)));
    pair(out, "replica_lag", &quote(&to_text(thresholds.replica_lag)));
    pair(out, "role_expiry", &quote(&to_text(thresholds.role_expiry)));
}

fn show_endpoint(out: &mut String, prefix: &str, endpoint: &Endpoint) {
    pair(out, &format!("{prefix}url"), &quote(&endpoint.url.to_string()));
    if let Some(source) = &endpoint.password {
        pair(out, &format!("{prefix}password"), &shown(source));
    }
}

/// A source as a file writes it, without a secret.
#[must_use]
pub fn shown(source: &SecretSource) -> String {
    match source {
        SecretSource::Literal(_) => quote(&source.to_string()),
        SecretSource::File(path) => format!("{{ file = {} }}", quote(&path.display().to_string())),
        SecretSource::Env(name) => format!("{{ env = {} }}", quote(name)),
        SecretSource::Credential(name) => format!("{{ credential = {} }}", quote(name)),
        SecretSource::Command(words) => format!("{{ command = [{}] }}", command(words)),
    }
}

/// Distinguishes a default name, whose object may be missing, from a configured one, whose object must exist.
fn named(named: &Named) -> String {
    format!("{}{}", quote(&named.name), if named.configured { "" } else { "  # default" })
}

fn list(names: &[String]) -> String {
    format!("[{}]", names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", "))
}

/// Only the program's name, because an argument may be a token.
fn command(words: &[String]) -> String {
    let shown = words.iter().enumerate().map(|(index, word)| quote(if index == 0 { word } else { "[redacted]" }));
    shown.collect::<Vec<_>>().join(", ")
}

fn header(out: &mut String, header: &str) {
    _ = writeln!(out, "\n{header}");
}

fn pair(out: &mut String, key: &str, value: &str) {
    _ = writeln!(out, "{key} = {value}");
}

/// A TOML string: JSON's escapes are valid in TOML, but TOML also requires an escape for DEL.
#[must_use]
pub fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}
