//! The rules of a database family for its targets: the defaults, the connector's keys, and the faults of a configured
//! target. Each driver states them in its `family`; `config` and `check --offline` ask for them.

use std::time::Duration;

use crate::database_url::UrlError;
use crate::target::{ConnectorMode, Endpoint, HeartbeatTable, Named, Need, Target, WriteMode};
use crate::time::schedule::Schedule;

/// The defaults for keys that a configuration leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// The heartbeat's table and row.
    pub heartbeat: HeartbeatTable,
    /// The user name of the connector.
    pub connector_user: &'static str,
    /// Whether the connector writes the heartbeat itself.
    pub connector_mode: ConnectorMode,
}

/// A key of `[target.connector]` that this family adds to `user` and `mode`. Where two families have a key of the same
/// name, its value has the same kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectorKey {
    /// Its name.
    pub name: &'static str,
    /// The kind of its value.
    pub kind: NeedKind,
    /// The default name, where there is one.
    pub default: Option<&'static str>,
    /// Its description in the JSON Schema.
    pub help: &'static str,
    /// The environment variable that sets it for a single target, without heartbeatd's prefix.
    pub variable: Option<&'static str>,
}

/// The kind of a connector key's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeedKind {
    /// One object's name.
    Name,
    /// A list of names.
    Names,
    /// `true` or `false`.
    Switch,
}

/// A driver's judgement of a configured target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Errors: the target cannot be used.
    pub complaints: Vec<Remark>,
    /// Warnings: the target works, but probably not as intended.
    pub warnings: Vec<Remark>,
}

/// An error or a warning about one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The key's path in the target's table: `url`, `replica[0].url`, `heartbeat.schema`.
    pub key: String,
    /// The message.
    pub text: String,
}

impl Default for Defaults {
    /// The vendor's names.
    fn default() -> Self {
        Self {
            heartbeat: HeartbeatTable::default(),
            connector_user: "streamkap_user",
            connector_mode: ConnectorMode::ReadOnly,
        }
    }
}

impl ConnectorKey {
    /// A key for the name of one object.
    #[must_use]
    pub const fn name(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: NeedKind::Name, default: None, help, variable: None }
    }

    /// A key for the names of several objects.
    #[must_use]
    pub const fn names(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: NeedKind::Names, default: None, help, variable: None }
    }

    /// A switch; off if it is not configured.
    #[must_use]
    pub const fn switch(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: NeedKind::Switch, default: None, help, variable: None }
    }

    /// Adds a default name.
    #[must_use]
    pub const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    /// Adds an environment variable for a single target.
    #[must_use]
    pub const fn variable(self, variable: &'static str) -> Self {
        Self { variable: Some(variable), ..self }
    }

    /// The name that a target uses: the configured one, else the default; empty without either.
    #[must_use]
    pub fn named(&self, target: &Target) -> Named {
        match target.connector.needs.get(self.name) {
            Some(Need::Name(name)) => Named::configured(name),
            _ => Named::default_name(self.default.unwrap_or_default()),
        }
    }

    /// The list of names that a target uses.
    #[must_use]
    pub fn listed<'a>(&self, target: &'a Target) -> &'a [String] {
        match target.connector.needs.get(self.name) {
            Some(Need::Names(names)) => names,
            _ => &[],
        }
    }

    /// Whether a target turns it on.
    #[must_use]
    pub fn is_on(&self, target: &Target) -> bool {
        target.connector.needs.get(self.name) == Some(&Need::Switch(true))
    }
}

impl Judgement {
    /// Adds an error.
    pub fn complain(&mut self, key: impl Into<String>, text: impl Into<String>) {
        self.complaints.push(Remark { key: key.into(), text: text.into() });
    }

    /// Adds errors and warnings for each of the target's addresses.
    pub fn endpoints(&mut self, target: &Target, judge: impl Fn(&Endpoint) -> Result<Vec<String>, UrlError>) {
        let provision = target.provision_endpoint.iter().map(|endpoint| ("provision_url".to_owned(), endpoint));
        let replicas = target.replicas.iter().enumerate();
        let replicas = replicas.map(|(index, replica)| (format!("replica[{index}].url"), &replica.endpoint));
        let family = target.endpoint.url.family();
        for (key, endpoint) in std::iter::once(("url".to_owned(), &target.endpoint)).chain(provision).chain(replicas) {
            // Another family's address is a separate fault, and this driver does not judge it.
            if endpoint.url.family() != family {
                continue;
            }
            match judge(endpoint) {
                Ok(warnings) => {
                    self.warnings.extend(warnings.into_iter().map(|text| Remark { key: key.clone(), text }));
                }
                Err(error) => self.complain(key, error.to_string()),
            }
        }
    }

    /// Requires an integer `row`: the column `id` of this database holds integers.
    pub fn whole_number_row(&mut self, target: &Target) {
        if target.heartbeat.row.number().is_none() {
            self.complain("heartbeat.row", "expected a whole number of at least 1, found a string");
        }
    }

    /// For a database that can distinguish two writers only if their values are this far apart.
    pub fn apart_by(&mut self, target: &Target, shortest: Duration) {
        if target.write != WriteMode::WhenStale || target.schedule.shortest_gap() >= shortest {
            return;
        }
        let key = if matches!(target.schedule, Schedule::Cron(_)) { "cron" } else { "interval" };
        let (shortest, family) = (shortest.as_secs(), target.driver());
        self.complain(
            key,
            format!(
                "write = \"when-stale\" needs {shortest} s or more between two beats of {family}, where two writers \
                 are distinguished by whole seconds"
            ),
        );
    }
}
