//! Facts in a file: `check --save-facts` writes them, and `--from-facts` judges them again elsewhere without a server.
//! The file contains the gathered facts and the expectations, but no secret: addresses have no passwords.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::drivers::Drivers;
use crate::finding::Inspection;
use crate::plain_text::one_line;
use crate::target::{
    Checks, Connector, ConnectorMode, HeartbeatTable, Named, Need, Replica, RowId, SkippedCheck, Target, Thresholds,
    WriteMode,
};
use crate::time::schedule::{CronSchedule, Schedule};

/// The format of the file. Later versions read earlier formats.
///
/// Format 2 keeps a connector's needs by key. In format 1 every target had the two needs of PostgreSQL.
pub const FORMAT: u32 = 2;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedFacts {
    /// [`FORMAT`].
    pub format: u32,
    /// The program that wrote it.
    pub heartbeatd: String,
    /// One entry per target.
    pub targets: Vec<SavedCase>,
}

/// One target's facts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedCase {
    /// What was expected.
    pub target: SavedTarget,
    /// The newest look.
    pub now: Inspection,
    /// A look some time before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Inspection>,
}

/// A target in a form that can be saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedTarget {
    name: String,
    url: String,
    schedule: SavedSchedule,
    timeout_ms: u64,
    write: String,
    schema: String,
    table: String,
    row: RowId,
    connector_user: SavedName,
    connector_mode: String,
    connector_needs: BTreeMap<String, Need>,
    replicas: Vec<SavedReplica>,
    skip: Vec<(String, String)>,
    retained_wal_mib: u64,
    long_transaction_s: u64,
    replica_lag_s: u64,
    role_expiry_s: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SavedSchedule {
    IntervalMs(u64),
    Cron { expression: String, timezone: String },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SavedName {
    name: String,
    configured: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SavedReplica {
    name: String,
    url: String,
    required: bool,
    decode: bool,
}

impl SavedFacts {
    /// A file of these cases.
    #[must_use]
    pub fn new(targets: Vec<SavedCase>) -> Self {
        Self { format: FORMAT, heartbeatd: env!("CARGO_PKG_VERSION").to_owned(), targets }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// A sentence, if the file contains no facts or those of a later version.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut value: serde_json::Value =
            serde_json::from_str(text).map_err(|error| one_line(&format!("this is not a facts file: {error}")))?;
        match value.get("format").and_then(serde_json::Value::as_u64) {
            Some(format) if format == u64::from(FORMAT) => {}
            Some(1) => take_over_from_1(&mut value),
            Some(format) => {
                return Err(format!(
                    "the facts have format {format}; this version of heartbeatd reads formats 1 to {FORMAT}"
                ));
            }
            None => return Err("this is not a facts file: it names no format".to_owned()),
        }
        serde_json::from_value(value).map_err(|error| one_line(&format!("cannot read this facts file: {error}")))
    }
}

/// Converts a file of format 1 to format 2. Format 1 also kept default names, which format 2 leaves to the driver.
fn take_over_from_1(file: &mut serde_json::Value) {
    file["format"] = FORMAT.into();
    let cases = file.get_mut("targets").and_then(serde_json::Value::as_array_mut);
    for target in cases.into_iter().flatten().filter_map(|case| case.get_mut("target")?.as_object_mut()) {
        let mut needs = serde_json::Map::new();
        for key in ["publication", "slot"] {
            let Some(mut saved) = target.remove(key) else { continue };
            if saved["configured"] == true {
                needs.insert(key.to_owned(), saved["name"].take());
            }
        }
        target.insert("connector_needs".to_owned(), needs.into());
    }
}

impl From<&Target> for SavedTarget {
    fn from(target: &Target) -> Self {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let name = |named: &Named| SavedName { name: named.name.clone(), configured: named.configured };
        let replica = |replica: &Replica| SavedReplica {
            name: replica.name.clone(),
            url: replica.endpoint.url.to_string(),
            required: replica.required,
            decode: replica.decode,
        };
        let Thresholds { retained_wal_mib, long_transaction, replica_lag, role_expiry } = &target.checks.thresholds;
        Self {
            name: target.name.clone(),
            url: target.endpoint.url.to_string(),
            schedule: match &target.schedule {
                Schedule::Interval(interval) => SavedSchedule::IntervalMs(millis(*interval)),
                Schedule::Cron(cron) => SavedSchedule::Cron {
                    expression: cron.expression().to_owned(),
                    timezone: cron.timezone().name().to_owned(),
                },
            },
            timeout_ms: millis(target.timeout),
            write: target.write.to_string(),
            schema: target.heartbeat.schema.clone(),
            table: target.heartbeat.table.clone(),
            row: target.heartbeat.row.clone(),
            connector_user: name(&target.connector.user),
            connector_mode: target.connector.mode.to_string(),
            connector_needs: target.connector.needs.clone(),
            replicas: target.replicas.iter().map(replica).collect(),
            skip: target.checks.skip.iter().map(|skip| (skip.id.clone(), skip.reason.clone())).collect(),
            retained_wal_mib: *retained_wal_mib,
            long_transaction_s: long_transaction.as_secs(),
            replica_lag_s: replica_lag.as_secs(),
            role_expiry_s: role_expiry.as_secs(),
        }
    }
}

impl SavedTarget {
    /// Rebuilds the target, as far as judging needs it.
    ///
    /// # Errors
    /// A sentence that names what cannot be read.
    pub fn restore(&self, drivers: &Drivers) -> Result<Target, String> {
        let of =
            |what: &str, error: &dyn std::fmt::Display| one_line(&format!("target \"{}\": {what}: {error}", self.name));
        let endpoint = |url: &str| drivers.endpoint(url).map_err(|error| of("url", &error));
        let named = |saved: &SavedName| Named { name: saved.name.clone(), configured: saved.configured };
        let schedule = match &self.schedule {
            SavedSchedule::IntervalMs(millis) if *millis > 0 => Schedule::Interval(Duration::from_millis(*millis)),
            SavedSchedule::IntervalMs(_) => return Err(of("schedule", &"zero")),
            SavedSchedule::Cron { expression, timezone } => {
                let cron = CronSchedule::parse(expression, timezone).map_err(|error| of("schedule", &error))?;
                Schedule::Cron(Box::new(cron))
            }
        };
        let replicas = self.replicas.iter().map(|replica| {
            Ok(Replica {
                name: replica.name.clone(),
                endpoint: endpoint(&replica.url)?,
                required: replica.required,
                decode: replica.decode,
            })
        });
        let skip = self.skip.iter().map(|(id, reason)| SkippedCheck { id: id.clone(), reason: reason.clone() });
        Ok(Target {
            schedule,
            timeout: Duration::from_millis(self.timeout_ms),
            write: WriteMode::from_word(&self.write).ok_or_else(|| of("write", &self.write))?,
            heartbeat: HeartbeatTable { schema: self.schema.clone(), table: self.table.clone(), row: self.row.clone() },
            connector: Connector {
                user: named(&self.connector_user),
                needs: self.connector_needs.clone(),
                mode: ConnectorMode::from_word(&self.connector_mode)
                    .ok_or_else(|| of("connector_mode", &self.connector_mode))?,
            },
            replicas: replicas.collect::<Result<_, String>>()?,
            checks: Checks {
                skip: skip.collect(),
                thresholds: Thresholds {
                    retained_wal_mib: self.retained_wal_mib,
                    long_transaction: Duration::from_secs(self.long_transaction_s),
                    replica_lag: Duration::from_secs(self.replica_lag_s),
                    role_expiry: Duration::from_secs(self.role_expiry_s),
                },
                required: false,
            },
            ..Target::new(&self.name, endpoint(&self.url)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Endpoint;

    #[test]
    fn a_target_survives_being_saved_without_its_password() {
        let mut target = Target::new("orders", Endpoint::parse("postgres://hb:hunter2@a,b:5433/orders").unwrap());
        target.connector.set_name("slot", "slot");
        target.checks.skip = vec![SkippedCheck { id: "row-fresh".to_owned(), reason: "paused".to_owned() }];
        target.schedule = Schedule::Cron(Box::new(CronSchedule::parse("*/5 * * * *", "Europe/Berlin").unwrap()));
        let text = serde_json::to_string(&SavedTarget::from(&target)).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        target.endpoint.password = None;
        assert_eq!(serde_json::from_str::<SavedTarget>(&text).unwrap().restore(&Drivers::built_in()).unwrap(), target);
    }

    #[test]
    fn a_file_of_format_1_is_read_and_its_default_names_do_not_count_as_configured() {
        let text = r#"{ "format": 1, "heartbeatd": "0.1.0", "targets": [{
            "target": {
                "name": "orders", "url": "postgres://hb@db.example/orders", "schedule": { "interval_ms": 60000 },
                "timeout_ms": 10000, "write": "always", "schema": "streamkap", "table": "streamkap_heartbeat", "row": 7,
                "connector_user": { "name": "cdc", "configured": true },
                "publication": { "name": "streamkap_pub", "configured": false },
                "slot": { "name": "cdc_slot", "configured": true },
                "connector_mode": "read-only", "replicas": [], "skip": [], "retained_wal_mib": 10240,
                "long_transaction_s": 1800, "replica_lag_s": 60, "role_expiry_s": 1209600
            },
            "now": { "taken_at": 0, "source": { "facts": null }, "replicas": [] }
        }]}"#;
        let read = SavedFacts::parse(text).unwrap();
        let target = read.targets[0].target.restore(&Drivers::built_in()).unwrap();
        assert_eq!(target.connector.needs, [("slot".to_owned(), Need::Name("cdc_slot".to_owned()))].into());
        assert_eq!((target.heartbeat.row.clone(), target.connector.user.name.as_str()), (RowId::Number(7), "cdc"));
        assert_eq!(SavedFacts::parse(&serde_json::to_string(&read).unwrap()).unwrap(), read);
    }

    #[test]
    fn text_of_a_file_never_controls_the_terminal() {
        let error = SavedFacts::parse("{\"format\": 1, \"targets\": \"\u{1b}]0;owned\u{7}\"}").unwrap_err();
        assert!(error.contains("facts") && !error.contains(char::is_control), "{error:?}");
    }

    #[test]
    fn a_file_without_facts_is_refused_with_the_reason() {
        for text in ["", "[]", "{}", "{\"format\": 3}", "{\"format\": 2}", "{\"format\": 1}"] {
            let error = SavedFacts::parse(text).unwrap_err();
            assert!(error.contains("facts"), "{error}");
        }
    }
}
