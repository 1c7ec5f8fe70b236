//! The events that name the heartbeat table. The facts do not contain their bodies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::mysql::MySqlConnection;

use super::question::{ask, by_name};
use super::statements::{Use, use_of};
use crate::driver::answer::Answer;
use crate::driver::mysql::identifier::{literal, quote};
use crate::heartbeat::Failure;
use crate::target::HeartbeatTable;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) schema: String,
    pub(crate) name: String,
    /// The account that it runs as.
    pub(crate) definer: String,
    /// `ENABLED`, `DISABLED`, `SLAVESIDE_DISABLED` or `REPLICA_SIDE_DISABLED`.
    pub(crate) status: String,
    /// `1 MINUTE`; `None` for one that runs once.
    pub(crate) every: Option<String>,
    /// The same in seconds; `None` for months and years.
    pub(crate) every_seconds: Option<i64>,
    /// When it ran last, in microseconds since 1970.
    pub(crate) last_run: Option<i64>,
    /// Whether it updates the table; otherwise it only names it.
    pub(crate) updates: bool,
    /// The row that it updates, if it says `id = N`.
    pub(crate) row: Option<i64>,
}

/// Reads the events.
///
/// # Errors
/// A failure that ends the connection.
pub(super) async fn gather(
    connection: &mut MySqlConnection,
    heartbeat: &HeartbeatTable,
) -> Result<Answer<Vec<Event>>, Failure> {
    // Without this privilege the catalogue shows no event and reports no error. A condition that is never true would
    // skip the privilege check.
    let probe = format!("SHOW EVENTS FROM {} LIKE ''", quote(&heartbeat.schema));
    if let Answer::Refused(refusal) = ask(connection, probe).await? {
        return Ok(Answer::Refused(refusal));
    }
    // Times are in the event's own time zone. The server knows a zone by name only if its time zone tables are filled.
    let sql = format!(
        "SELECT EVENT_SCHEMA AS place, EVENT_NAME AS name, DEFINER AS definer, STATUS AS status, \
         INTERVAL_VALUE AS interval_value, INTERVAL_FIELD AS interval_field, \
         CAST(UNIX_TIMESTAMP(CONVERT_TZ(LAST_EXECUTED, TIME_ZONE, '+00:00')) AS SIGNED) AS last_run, \
         EVENT_DEFINITION AS body FROM information_schema.EVENTS WHERE LOCATE({}, LOWER(EVENT_DEFINITION)) > 0",
        literal(&heartbeat.table.to_lowercase())
    );
    ask(connection, sql).await?.map(|rows| rows.iter().map(|row| Ok(Event::of(&by_name(row)?, heartbeat))).collect())
}

impl Event {
    /// Reads an event from its row of the catalogue.
    fn of(columns: &BTreeMap<String, String>, heartbeat: &HeartbeatTable) -> Self {
        let text = |name: &str| columns.get(name).cloned().unwrap_or_default();
        let every = columns.get("interval_value").zip(columns.get("interval_field"));
        let last_run = columns.get("last_run").and_then(|seconds| seconds.parse::<i64>().ok());
        let (updates, row) = match use_of(&text("body"), &text("place"), heartbeat) {
            Use::Updates(row) => (true, row),
            Use::Names => (false, None),
        };
        Self {
            schema: text("place"),
            name: text("name"),
            definer: text("definer"),
            status: text("status"),
            every_seconds: every.and_then(|(value, field)| seconds(value, field)),
            every: every.map(|(value, field)| format!("{value} {field}")),
            last_run: last_run.map(|seconds| seconds.saturating_mul(1_000_000)),
            updates,
            row,
        }
    }
}

/// Converts an interval of one unit to seconds.
fn seconds(value: &str, field: &str) -> Option<i64> {
    let unit = match field {
        "SECOND" => 1,
        "MINUTE" => 60,
        "HOUR" => 3_600,
        "DAY" => 86_400,
        "WEEK" => 604_800,
        _ => return None,
    };
    value.parse::<i64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_of_one_unit_has_a_length() {
        assert_eq!(seconds("5", "MINUTE"), Some(300));
        assert_eq!(seconds("'1:30'", "MINUTE_SECOND"), None);
        assert_eq!(seconds("1", "MONTH"), None);
    }
}
