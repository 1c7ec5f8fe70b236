//! The table of keys. `check` compares a configuration with it, `environment` derives its variables from it, and
//! [`json`] prints it as a JSON Schema. No other key exists.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::duration::DurationLimits;
use crate::driver::rules::NeedKind;
use crate::drivers::Drivers;
use crate::target::{ConnectorMode, ProvisionMode, WriteMode};
use crate::time::schedule::{LONGEST_INTERVAL, SHORTEST_INTERVAL};

/// One key of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
    pub(super) default: Option<&'static str>,
    pub(super) required: bool,
}

/// The kind of a key's value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Text on one line, not empty.
    Text,
    /// The name of a database object: the drivers quote it.
    Identifier,
    /// A database's address.
    Url,
    /// A password, or `{ file | env | credential | command }`.
    Password,
    /// `true` or `false`.
    Boolean,
    /// A whole number above zero.
    Whole,
    /// A whole number above zero, or text: the id of a row.
    RowId,
    /// `"1m"`, or whole seconds.
    Duration(DurationLimits),
    /// One of a few words.
    Word(&'static [&'static str]),
    /// `address:port`.
    Listen,
    /// A cron expression.
    Cron,
    /// The name of a time zone.
    Timezone,
    /// Patterns of file names.
    Patterns,
    /// Names of database objects.
    Identifiers,
    /// A table.
    Table(&'static [Key]),
    /// A list of tables.
    Tables(&'static [Key]),
    /// `[target.connector]`: [`CONNECTOR`], and the drivers' additions.
    Connector,
}

/// The keys of `[target.connector]`: those of every family, and each driver's own.
#[derive(Debug, Clone)]
pub(super) struct ConnectorKeys(Vec<Key>);

impl Key {
    const fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { name, kind, help, default: None, required: false }
    }

    const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    const fn required(self) -> Self {
        Self { required: true, ..self }
    }
}

impl Kind {
    /// The keys below, if it is a table or a list of them.
    pub(super) fn keys(self) -> Option<&'static [Key]> {
        match self {
            Self::Table(keys) | Self::Tables(keys) => Some(keys),
            Self::Connector => Some(CONNECTOR),
            _ => None,
        }
    }
}

/// The two ways to set a schedule: a table may hold only one.
pub(super) const INTERVAL: &str = "interval";
/// The other one.
pub(super) const CRON: &str = "cron";

const INTERVAL_KEY: Key = Key::new(
    INTERVAL,
    Kind::Duration(DurationLimits { shortest: SHORTEST_INTERVAL, longest: LONGEST_INTERVAL }),
    "Time between two beats. Conflicts with cron.",
);
const CRON_KEY: Key = Key::new(
    CRON,
    Kind::Cron,
    "When to write beats: a cron expression of five or six fields. Conflicts with interval.",
);
const TIMEZONE: Key = Key::new("timezone", Kind::Timezone, "Time zone of cron, by its IANA name.");
const TIMEOUT: Key = Key::new(
    "timeout",
    Kind::Duration(DurationLimits { shortest: Duration::from_millis(100), longest: Duration::from_secs(3600) }),
    "Deadline of one beat, including the connection.",
);
const WRITE: Key = Key::new(
    "write",
    Kind::Word(WriteMode::WORDS),
    "Who writes: always this daemon; this daemon when the row is stale; never (watch only). Built-in default: always, or \
     when-stale for a connector in mode read-write.",
);
const PROVISION: Key = Key::new(
    "provision",
    Kind::Word(ProvisionMode::WORDS),
    "Whether the daemon creates missing objects. Built-in default: never; auto for addresses on the daemon's command line.",
);

/// A configuration file.
pub(super) const ROOT: &[Key] = &[
    Key::new("include", Kind::Patterns, "More files with [[target]] tables: patterns, relative to this file."),
    Key::new("instance", Kind::Text, "The name of this daemon in databases. Built-in default: the host's name."),
    Key::new("defaults", Kind::Table(DEFAULTS), "Defaults for all targets."),
    Key::new("http", Kind::Table(HTTP), "The status listener."),
    Key::new("shutdown", Kind::Table(SHUTDOWN), "The shutdown of the daemon."),
    TARGETS,
];

/// An included file.
pub(super) const INCLUDED: &[Key] = &[TARGETS];

/// `[defaults]`.
const DEFAULTS: &[Key] = &[INTERVAL_KEY.or("1m"), CRON_KEY, TIMEZONE.or("UTC"), TIMEOUT.or("10s"), WRITE, PROVISION];

const HTTP: &[Key] =
    &[Key::new("listen", Kind::Listen, "Address and port of the status listener.").or("127.0.0.1:2328")];

const SHUTDOWN: &[Key] = &[Key::new(
    "grace",
    Kind::Duration(DurationLimits { shortest: Duration::ZERO, longest: Duration::from_secs(300) }),
    "Time for running beats to finish at shutdown.",
)
.or("5s")];

const TARGETS: Key = Key::new("target", Kind::Tables(TARGET), "A database with a heartbeat.");

/// `[[target]]`.
pub(super) const TARGET: &[Key] = &[
    Key::new("name", Kind::Text, "Unique name. Built-in default: host/database."),
    Key::new("enabled", Kind::Boolean, "If false, heartbeatd lists the target and does nothing with it.").or("true"),
    Key::new("url", Kind::Url, "Address of the database. Separate several hosts with commas.").required(),
    Key::new("password", Kind::Password, "Password for url. heartbeatd reads the source at every connect."),
    Key::new("provision_url", Kind::Url, "An administrator's address, used only to provision."),
    Key::new("provision_password", Kind::Password, "Password for provision_url."),
    INTERVAL_KEY,
    CRON_KEY,
    TIMEZONE,
    TIMEOUT,
    WRITE,
    PROVISION,
    Key::new("heartbeat", Kind::Table(HEARTBEAT), "The heartbeat table."),
    Key::new("connector", Kind::Connector, "What the CDC connector uses."),
    Key::new("replica", Kind::Tables(REPLICA), "A replica that the connector reads from."),
    Key::new("checks", Kind::Table(CHECKS), "How the target is checked."),
];

const HEARTBEAT: &[Key] = &[
    Key::new("schema", Kind::Identifier, "Schema of the table.").or("streamkap"),
    Key::new("table", Kind::Identifier, "The table.").or("streamkap_heartbeat"),
    Key::new("row", Kind::RowId, "Value of the column id.").or("1"),
];

/// The keys of `[target.connector]` that every family has.
pub(super) const CONNECTOR: &[Key] = &[
    Key::new("user", Kind::Identifier, "User that the connector logs in as.").or("streamkap_user"),
    Key::new("mode", Kind::Word(ConnectorMode::WORDS), "Whether the connector writes the heartbeat row itself.")
        .or("read-only"),
];

const REPLICA: &[Key] = &[
    Key::new("name", Kind::Text, "Unique within the target. Built-in default: host/database."),
    Key::new("url", Kind::Url, "Address of the replica. Default user: the target's.").required(),
    Key::new("password", Kind::Password, "Built-in default: the target's, for the same user."),
    Key::new("required", Kind::Boolean, "Whether /health is red if the heartbeat does not arrive here.").or("false"),
    Key::new("decode", Kind::Boolean, "Whether the connector decodes on this replica; the checks test that it can.")
        .or("false"),
];

const CHECKS: &[Key] = &[
    Key::new("skip", Kind::Tables(SKIP), "Checks to skip."),
    Key::new("thresholds", Kind::Table(THRESHOLDS), "Thresholds of warnings."),
    Key::new("required", Kind::Boolean, "Whether /health is red if a check of severity error fails.").or("false"),
];

const SKIP: &[Key] = &[
    Key::new("id", Kind::Text, "The check's id, as heartbeatd explain lists it.").required(),
    Key::new("reason", Kind::Text, "The reason, which every report shows.").required(),
];

const THRESHOLDS: &[Key] = &[
    Key::new("retained_wal_mib", Kind::Whole, "PostgreSQL: WAL that the slot retains, in MiB.").or("10240"),
    Key::new("long_transaction", Kind::Duration(THRESHOLD), "Age of an open transaction.").or("30m"),
    Key::new("replica_lag", Kind::Duration(THRESHOLD), "How far behind a replica may be.").or("1m"),
    Key::new("role_expiry", Kind::Duration(THRESHOLD), "Time before a role's password expires.").or("14d"),
];

const THRESHOLD: DurationLimits =
    DurationLimits { shortest: Duration::from_secs(1), longest: Duration::from_secs(366 * 86_400) };

impl ConnectorKeys {
    /// The keys with these drivers; the mode is the last of them.
    pub(super) fn of(drivers: &Drivers) -> Self {
        let mut keys = CONNECTOR.to_vec();
        for own in drivers.families().flat_map(|(_, driver)| driver.connector_keys()) {
            let kind = match own.kind {
                NeedKind::Name => Kind::Identifier,
                NeedKind::Names => Kind::Identifiers,
                NeedKind::Switch => Kind::Boolean,
            };
            if keys.iter().all(|key| key.name != own.name) {
                let key = Key { default: own.default, ..Key::new(own.name, kind, own.help) };
                keys.insert(keys.len() - 1, key);
            }
        }
        Self(keys)
    }

    /// The keys below, if it is a table or a list of them.
    pub(super) fn below(&self, kind: Kind) -> Option<&[Key]> {
        match kind {
            Kind::Connector => Some(&self.0),
            kind => kind.keys(),
        }
    }
}

/// The JSON Schema of a configuration file.
pub(super) fn json(drivers: &Drivers) -> Value {
    let mut schema = table(ROOT, &ConnectorKeys::of(drivers));
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!("heartbeatd configuration"));
    Value::Object(schema)
}

fn table(keys: &[Key], connector: &ConnectorKeys) -> Map<String, Value> {
    let properties: Map<_, _> =
        keys.iter().map(|key| (key.name.to_owned(), Value::Object(property(key, connector)))).collect();
    let required: Vec<_> = keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let mut schema = object(json!({ "type": "object", "properties": properties, "additionalProperties": false }));
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    if keys.iter().any(|key| key.name == CRON) {
        schema.insert("not".to_owned(), json!({ "required": [INTERVAL, CRON] }));
    }
    schema
}

fn property(key: &Key, connector: &ConnectorKeys) -> Map<String, Value> {
    let mut schema = value(key.kind, connector);
    schema.insert("description".to_owned(), json!(key.help));
    let default = key.default.map(|text| match key.kind {
        Kind::Boolean | Kind::Whole | Kind::RowId => serde_json::from_str(text).unwrap_or(json!(text)),
        _ => json!(text),
    });
    schema.extend(default.map(|default| ("default".to_owned(), default)));
    schema
}

fn value(kind: Kind, connector: &ConnectorKeys) -> Map<String, Value> {
    let text = json!({ "type": "string", "minLength": 1 });
    let identifier = json!({ "type": "string", "pattern": r#"^[^\u0000-\u001f\u007f-\u009f";]+$"# });
    object(match kind {
        Kind::Text | Kind::Url | Kind::Cron | Kind::Timezone => text,
        Kind::Identifier => identifier,
        Kind::Identifiers => json!({ "type": "array", "items": identifier }),
        Kind::Password => json!({ "oneOf": [
            text,
            source("file", &text),
            source("env", &text),
            source("credential", &json!({ "type": "string", "pattern": "^[^/]+$" })),
            source("command", &json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 })),
        ] }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Whole => json!({ "type": "integer", "minimum": 1 }),
        Kind::RowId => json!({ "type": ["integer", "string"], "minimum": 1, "minLength": 1 }),
        Kind::Duration(limits) => json!({
            "type": ["string", "integer"],
            "minLength": 2,
            "minimum": limits.shortest.as_millis().div_ceil(1000),
            "maximum": limits.longest.as_secs(),
        }),
        Kind::Word(words) => json!({ "enum": words }),
        Kind::Listen => json!({ "type": "string", "pattern": ":[0-9]+$" }),
        Kind::Patterns => json!({ "type": "array", "items": text }),
        Kind::Table(keys) => return table(keys, connector),
        Kind::Tables(keys) => json!({ "type": "array", "items": table(keys, connector) }),
        Kind::Connector => return table(&connector.0, connector),
    })
}

fn source(name: &str, value: &Value) -> Value {
    json!({ "type": "object", "properties": { name: value }, "required": [name], "additionalProperties": false })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
