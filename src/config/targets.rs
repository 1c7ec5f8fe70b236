//! Makes targets from checked tables: fills in defaults, parses addresses, and applies the rules that connect several
//! keys or several targets.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::check::{join, one_line};
use super::document::{Data, Node};
use super::error::{Origin, Problems, quoted};
use super::files::TargetTable;
use super::layers;
use super::raw::{RawChecks, RawConnector, RawHeartbeat, RawPassword, RawReplica, RawTarget};
use super::schema::CONNECTOR;
use crate::check::registry;
use crate::driver::Driver;
use crate::driver::rules::{Defaults, Judgement, Remark};
use crate::drivers::Drivers;
use crate::secret::SecretSource;
use crate::target::{
    Checks, Connector, ConnectorMode, DEFAULT_INTERVAL, Endpoint, HeartbeatTable, Named, Need, ProvisionMode, Replica,
    SkippedCheck, Target, Thresholds, WriteMode,
};
use crate::time::schedule::{CronSchedule, Schedule, ScheduleError};

/// The names in use, and their places.
type Names = BTreeMap<String, Origin>;

/// Makes the targets of one configuration.
pub(super) struct Builder<'a> {
    pub(super) defaults: &'a layers::Defaults,
    /// The built-in default of `provision`.
    pub(super) provision: ProvisionMode,
    pub(super) drivers: &'a Drivers,
    pub(super) problems: &'a mut Problems,
    pub(super) warnings: &'a mut Vec<String>,
}

impl Builder<'_> {
    /// Makes every target that is valid, with its place. The mistakes of the others become problems.
    pub(super) fn build(mut self, places: &[TargetTable]) -> (Vec<Target>, BTreeMap<String, Origin>) {
        let mut names = Names::new();
        let made = places.iter().filter_map(|place| Some((self.target(place, &mut names)?, &place.node.origin)));
        made.map(|(target, origin)| (target.clone(), (target.name, origin.clone()))).unzip()
    }

    /// Judges all parts before it rejects the target.
    fn target(&mut self, place: &TargetTable, names: &mut Names) -> Option<Target> {
        let Ok(raw) = RawTarget::deserialize(config::Value::from(&place.node)) else {
            // Without serde's error, which could quote a value.
            self.problem(
                place,
                "",
                "cannot be read although its keys and types are right: please report this bug of heartbeatd",
            );
            return None;
        };
        let schedule = self.schedule(place, &raw);
        let endpoint = self.endpoint(place, ("url", "password"), raw.url, raw.password, None);
        let name = self.name(place, raw.name, endpoint.as_ref(), names, "two targets");
        if raw.provision_url.is_none() && raw.provision_password.is_some() {
            self.problem(place, "provision_password", "requires provision_url");
        }
        let keys = ("provision_url", "provision_password");
        let provision_endpoint = self.endpoint(place, keys, raw.provision_url, raw.provision_password, None);
        if let Some(provision) = &provision_endpoint {
            self.same_family(place, "provision_url", provision, endpoint.as_ref());
        }
        let replicas = self.replicas(place, raw.replica, endpoint.as_ref());
        let driver = endpoint.as_ref().and_then(|endpoint| self.drivers.get(endpoint.url.family()).ok());
        let defaults = driver.as_ref().map_or_else(Defaults::default, |driver| driver.defaults());
        let connector = self.connector(place, raw.connector, &defaults, driver.as_deref());
        let write = raw.write.as_ref().or(self.defaults.write.as_ref()).and_then(|word| WriteMode::from_word(word));
        let built_in_write = match connector.mode {
            ConnectorMode::ReadOnly => WriteMode::Always,
            ConnectorMode::ReadWrite => WriteMode::WhenStale,
        };
        self.skipped_checks(place);
        let provision = raw.provision.as_ref().or(self.defaults.provision.as_ref());
        // The failed parts were reported. Placeholders for them let the driver judge the rest.
        let whole = name.is_some() && schedule.is_some();
        let (numbers, replicas) = replicas.into_iter().unzip::<_, _, Vec<usize>, _>();
        let target = Target {
            name: name.unwrap_or_default(),
            enabled: raw.enabled.unwrap_or(true),
            endpoint: endpoint?,
            provision_endpoint,
            schedule: schedule.unwrap_or(Schedule::Interval(DEFAULT_INTERVAL)),
            timeout: raw.timeout.unwrap_or(self.defaults.timeout).0,
            write: write.unwrap_or(built_in_write),
            provision: provision.and_then(|word| ProvisionMode::from_word(word)).unwrap_or(self.provision),
            heartbeat: heartbeat(raw.heartbeat, defaults.heartbeat),
            connector,
            replicas,
            checks: checks(raw.checks),
        };
        if let Some(driver) = driver {
            self.judge(place, &target, &numbers, driver.as_ref());
        }
        whole.then_some(target)
    }

    /// Reports the judgement of the driver. `numbers` are the numbers of the replicas in the configuration.
    fn judge(&mut self, place: &TargetTable, target: &Target, numbers: &[usize], driver: &dyn Driver) {
        let Judgement { complaints, warnings } = driver.validate(target);
        for Remark { key, text } in complaints {
            let key = match replica_of(&key) {
                Some((index, rest)) => format!("replica[{}]{rest}", numbers.get(index).copied().unwrap_or(index)),
                None => key,
            };
            let origin = node_at(&place.node, &key).map_or(&place.node.origin, |node| &node.origin);
            let path = if place.path.is_empty() { key } else { format!("{}.{key}", place.path) };
            self.problems.push(origin, path, text);
        }
        for Remark { key, text } in warnings {
            let about = match (replica_of(&key).and_then(|(index, _)| target.replicas.get(index)), key.as_str()) {
                (Some(replica), _) => format!("{}: replica {}", target.name, replica.name),
                (None, "url") => target.name.clone(),
                (None, key) => format!("{}: {key}", target.name),
            };
            self.warnings.push(format!("{about}: {text}"));
        }
    }

    /// What the connector needs. A key without effect for the target's family is a mistake; otherwise heartbeatd would
    /// ignore it silently.
    fn connector(
        &mut self,
        place: &TargetTable,
        raw: RawConnector,
        defaults: &Defaults,
        driver: Option<&dyn Driver>,
    ) -> Connector {
        let mode = raw.mode.and_then(|word| ConnectorMode::from_word(&word)).unwrap_or(defaults.connector_mode);
        let user = raw.user.map_or(Named::default_name(defaults.connector_user), Named::configured);
        let mut connector = Connector { user, mode, needs: BTreeMap::new() };
        let entries = place.node.get("connector").map(Node::entries).unwrap_or_default();
        for (key, node) in entries.iter().filter(|(key, _)| CONNECTOR.iter().all(|shared| shared.name != key)) {
            match driver {
                Some(driver) if driver.connector_keys().iter().all(|own| own.name != key) => {
                    let path = join(&join(&place.path, "connector"), key);
                    let others = self
                        .drivers
                        .families()
                        .filter(|(_, other)| other.connector_keys().iter().any(|of| of.name == key));
                    let others: Vec<_> = others.map(|(family, _)| family.as_str()).collect();
                    let complaint =
                        format!("has no effect for {}, only for {}: remove it", driver.family(), others.join(", "));
                    self.problems.push(&node.origin, path, complaint);
                }
                _ => connector.needs.extend(need(node).map(|need| (key.clone(), need))),
            }
        }
        connector
    }

    /// A target's own interval or cron replaces that of the defaults, even if one is an interval and the other a cron.
    fn schedule(&mut self, place: &TargetTable, raw: &RawTarget) -> Option<Schedule> {
        let (interval, cron) = match (raw.interval, &raw.cron) {
            // `check` reported it.
            (Some(_), Some(_)) => return None,
            (None, None) => (self.defaults.interval, self.defaults.cron.clone()),
            own => (own.0, own.1.clone()),
        };
        let Some(cron) = cron else {
            if raw.timezone.is_some() {
                self.problem(place, "timezone", "requires cron");
                return None;
            }
            return interval.map(|interval| Schedule::Interval(interval.0));
        };
        let timezone = raw.timezone.as_ref().unwrap_or(&self.defaults.timezone);
        match CronSchedule::parse(&cron, timezone) {
            Ok(cron) => Some(Schedule::Cron(Box::new(cron))),
            Err(error) => {
                let key = if matches!(error, ScheduleError::Timezone(_)) { "timezone" } else { "cron" };
                self.problem(place, key, error.to_string());
                None
            }
        }
    }

    fn endpoint(
        &mut self,
        place: &TargetTable,
        (url_key, password_key): (&str, &str),
        url: Option<String>,
        password: Option<RawPassword>,
        fallback: Option<&Endpoint>,
    ) -> Option<Endpoint> {
        // `check` reported a missing address.
        let mut endpoint = match self.drivers.endpoint(&url?) {
            Ok(endpoint) => endpoint,
            Err(error) => {
                self.problem(place, url_key, error.to_string());
                return None;
            }
        };
        if let Some(password) = password {
            if endpoint.password.is_some() {
                self.problem(place, password_key, format!("{url_key} contains a password too: keep one of them"));
                return None;
            }
            endpoint.password = Some(SecretSource::from(password));
        }
        if let Some(fallback) = fallback {
            endpoint.url = endpoint.url.with_default_user(fallback.url.user());
            // Another user's password would only cause a failed login, which counts against that user.
            if endpoint.password.is_none() && endpoint.url.user() == fallback.url.user() {
                endpoint.password = fallback.password.clone();
            }
        }
        Some(endpoint)
    }

    /// The configured name, or one made from the address; unique among `names`.
    fn name(
        &mut self,
        place: &TargetTable,
        given: Option<String>,
        endpoint: Option<&Endpoint>,
        names: &mut Names,
        whose: &str,
    ) -> Option<String> {
        let (key, name, hint) = match given {
            Some(name) => ("name", name, ""),
            None => ("url", endpoint?.url.default_name(), ": set name"),
        };
        let judged = if name.trim().is_empty() { Err("is empty".to_owned()) } else { one_line(&name) };
        if let Err(fault) = judged {
            self.problem(place, key, format!("the name made of it {fault}{hint}"));
            return None;
        }
        if let Some(first) = names.get(&name) {
            let name = quoted(&name);
            let complaint = format!("{name} is the name of {whose}; the first is at {first}{hint}");
            self.problem(place, key, complaint);
            return None;
        }
        let origin = place.node.get(key).map_or(&place.node.origin, |node| &node.origin);
        names.insert(name.clone(), origin.clone());
        Some(name)
    }

    fn replicas(
        &mut self,
        place: &TargetTable,
        raws: Vec<RawReplica>,
        primary: Option<&Endpoint>,
    ) -> Vec<(usize, Replica)> {
        let nodes = place.node.get("replica").map(Node::items).unwrap_or_default();
        let mut names = Names::new();
        let mut replicas = Vec::new();
        for (index, (raw, node)) in raws.into_iter().zip(nodes).enumerate() {
            let place = TargetTable { path: format!("{}[{index}]", join(&place.path, "replica")), node: node.clone() };
            let replica = self.replica(&place, raw, primary, &mut names);
            replicas.extend(replica.map(|replica| (index, replica)));
        }
        replicas
    }

    fn replica(
        &mut self,
        place: &TargetTable,
        raw: RawReplica,
        primary: Option<&Endpoint>,
        names: &mut Names,
    ) -> Option<Replica> {
        let endpoint = self.endpoint(place, ("url", "password"), raw.url, raw.password, primary);
        let name = self.name(place, raw.name, endpoint.as_ref(), names, "two replicas of this target");
        let (name, endpoint) = (name?, endpoint?);
        self.same_family(place, "url", &endpoint, primary);
        Some(Replica { name, endpoint, required: raw.required.unwrap_or(false), decode: raw.decode.unwrap_or(false) })
    }

    fn same_family(&mut self, place: &TargetTable, key: &str, endpoint: &Endpoint, primary: Option<&Endpoint>) {
        let family = endpoint.url.family();
        let Some(other) = primary.map(|primary| primary.url.family()).filter(|other| *other != family) else { return };
        self.problem(place, key, format!("leads to {family}, the target's url to {other}"));
    }

    /// An unknown id is a mistake; otherwise it would silently skip nothing.
    fn skipped_checks(&mut self, place: &TargetTable) {
        let skips = place.node.get("checks").and_then(|checks| checks.get("skip")).map(Node::items).unwrap_or_default();
        for (index, skip) in skips.iter().enumerate() {
            let Some(Node { origin, data: Data::Text(id) }) = skip.get("id") else { continue };
            if let Err(complaint) = registry::find(self.drivers, id) {
                let path = join(&place.path, "checks");
                self.problems.push(origin, format!("{path}.skip[{index}].id"), complaint);
            }
        }
    }

    /// A problem with a key of a table, at the place of the key if it has one.
    fn problem(&mut self, place: &TargetTable, key: &str, message: impl Into<String>) {
        let origin = place.node.get(key).map_or(&place.node.origin, |node| &node.origin);
        let path = if key.is_empty() { place.path.clone() } else { join(&place.path, key) };
        self.problems.push(origin, path, message);
    }
}

/// The index in a replica's key, and what follows it: `replica[1].url`.
fn replica_of(key: &str) -> Option<(usize, &str)> {
    let (index, rest) = key.strip_prefix("replica[")?.split_once(']')?;
    Some((index.parse().ok()?, rest))
}

/// The node of a driver's key: `heartbeat.schema`, `replica[0].url`.
fn node_at<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    key.split('.').try_fold(node, |node, part| match part.split_once('[') {
        None => node.get(part),
        Some((name, index)) => node.get(name)?.items().get(index.strip_suffix(']')?.parse::<usize>().ok()?),
    })
}

/// A value that `check` has accepted.
fn need(node: &Node) -> Option<Need> {
    let text = |node: &Node| match &node.data {
        Data::Text(text) => Some(text.clone()),
        _ => None,
    };
    match &node.data {
        Data::List(items) => Some(Need::Names(items.iter().filter_map(text).collect())),
        Data::Boolean(on) => Some(Need::Switch(*on)),
        _ => text(node).map(Need::Name),
    }
}

fn heartbeat(raw: RawHeartbeat, default: HeartbeatTable) -> HeartbeatTable {
    HeartbeatTable {
        schema: raw.schema.unwrap_or(default.schema),
        table: raw.table.unwrap_or(default.table),
        row: raw.row.unwrap_or(default.row),
    }
}

fn checks(raw: RawChecks) -> Checks {
    let default = Thresholds::default();
    let thresholds = Thresholds {
        retained_wal_mib: raw.thresholds.retained_wal_mib.unwrap_or(default.retained_wal_mib),
        long_transaction: raw.thresholds.long_transaction.map_or(default.long_transaction, |span| span.0),
        replica_lag: raw.thresholds.replica_lag.map_or(default.replica_lag, |span| span.0),
        role_expiry: raw.thresholds.role_expiry.map_or(default.role_expiry, |span| span.0),
    };
    let skip = raw.skip.into_iter().map(|skip| SkippedCheck { id: skip.id, reason: skip.reason }).collect();
    Checks { skip, thresholds, required: raw.required.unwrap_or(false) }
}
