//! What a family says of its targets: what holds where the configuration says nothing, the keys that its connectors have,
//! and what is wrong with a target. Worded by each driver in its `family`, asked by `config` and by `check --offline`.

use std::time::Duration;

use crate::database_url::UrlError;
use crate::target::{ConnectorMode, Endpoint, HeartbeatTable, Named, Need, Target, WriteMode};
use crate::time::schedule::Schedule;

/// What holds where a configuration says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// The heartbeat's table and row.
    pub heartbeat: HeartbeatTable,
    /// The user that the connector logs in as.
    pub connector_user: &'static str,
    /// Whether the connector writes the heartbeat itself.
    pub connector_mode: ConnectorMode,
}

/// A key of `[target.connector]` that this family's targets have beside `user` and `mode`. Two families that have a key of
/// one name mean the same kind of value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectorKey {
    /// Its name.
    pub name: &'static str,
    /// What its value is.
    pub kind: NeedKind,
    /// The name that holds where none is configured.
    pub default: Option<&'static str>,
    /// What it is, in a few words for the JSON Schema.
    pub help: &'static str,
    /// The variable that sets it for a single target, without our prefix.
    pub variable: Option<&'static str>,
}

/// What the value of a connector's key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeedKind {
    /// The name of one object.
    Name,
    /// The names of any number.
    Names,
    /// `true` or `false`.
    Switch,
}

/// What a driver says of a target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Why the target cannot be used.
    pub complaints: Vec<Remark>,
    /// What may not be meant.
    pub warnings: Vec<Remark>,
}

/// Something said of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The key, as it stands in the target's table: `url`, `replica[0].url`, `heartbeat.schema`.
    pub key: String,
    /// What is said.
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

    /// A key for the names of any number of objects.
    #[must_use]
    pub const fn names(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: NeedKind::Names, default: None, help, variable: None }
    }

    /// A key that is on or off; off where it is not configured.
    #[must_use]
    pub const fn switch(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: NeedKind::Switch, default: None, help, variable: None }
    }

    /// The same with a name that holds where none is configured.
    #[must_use]
    pub const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    /// The same with a variable for a single target.
    #[must_use]
    pub const fn variable(self, variable: &'static str) -> Self {
        Self { variable: Some(variable), ..self }
    }

    /// The name that a target has for it: configured, or the default; empty where there is neither.
    #[must_use]
    pub fn named(&self, target: &Target) -> Named {
        match target.connector.needs.get(self.name) {
            Some(Need::Name(name)) => Named::configured(name),
            _ => Named::default_name(self.default.unwrap_or_default()),
        }
    }

    /// The names that a target has for it.
    #[must_use]
    pub fn listed<'a>(&self, target: &'a Target) -> &'a [String] {
        match target.connector.needs.get(self.name) {
            Some(Need::Names(names)) => names,
            _ => &[],
        }
    }

    /// Whether a target has it switched on.
    #[must_use]
    pub fn is_on(&self, target: &Target) -> bool {
        target.connector.needs.get(self.name) == Some(&Need::Switch(true))
    }
}

impl Judgement {
    /// Adds why the target cannot be used.
    pub fn complain(&mut self, key: impl Into<String>, text: impl Into<String>) {
        self.complaints.push(Remark { key: key.into(), text: text.into() });
    }

    /// Adds what is said of each of the target's addresses.
    pub fn endpoints(&mut self, target: &Target, judge: impl Fn(&Endpoint) -> Result<Vec<String>, UrlError>) {
        let provision = target.provision_endpoint.iter().map(|endpoint| ("provision_url".to_owned(), endpoint));
        let replicas = target.replicas.iter().enumerate();
        let replicas = replicas.map(|(index, replica)| (format!("replica[{index}].url"), &replica.endpoint));
        let family = target.endpoint.url.family();
        for (key, endpoint) in std::iter::once(("url".to_owned(), &target.endpoint)).chain(provision).chain(replicas) {
            // Another family's address is a fault of its own, and not for this driver to judge.
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

    /// For a database whose column `id` holds whole numbers.
    pub fn whole_number_row(&mut self, target: &Target) {
        if target.heartbeat.row.number().is_none() {
            self.complain("heartbeat.row", "expected a whole number of at least 1, found a string");
        }
    }

    /// For a database that tells two writers apart only by values so far apart.
    pub fn apart_by(&mut self, target: &Target, shortest: Duration) {
        if target.write != WriteMode::WhenStale || target.schedule.shortest_gap() >= shortest {
            return;
        }
        let key = if matches!(target.schedule, Schedule::Cron(_)) { "cron" } else { "interval" };
        let (shortest, family) = (shortest.as_secs(), target.driver());
        self.complain(
            key,
            format!(
                "write = \"when-stale\" needs {shortest} s or more between two beats of {family}, where two writers are \
                 told apart by whole seconds"
            ),
        );
    }
}
