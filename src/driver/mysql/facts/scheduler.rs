//! The events that name the heartbeat table. Their bodies stay on the server.

use serde::{Deserialize, Serialize};
use sqlx::mysql::MySqlConnection;

use super::question::{ask, ask_json};
use crate::driver::gathered::Gathered;
use crate::driver::mysql::identifier::{literal, quote};
use crate::heartbeat::Failure;
use crate::target::HeartbeatTable;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) schema: String,
    pub(crate) name: String,
    /// As whom it runs.
    pub(crate) definer: String,
    /// `ENABLED`, `DISABLED`, `SLAVESIDE_DISABLED` or `REPLICA_SIDE_DISABLED`.
    pub(crate) status: String,
    /// `1 MINUTE`; `None` for one that runs once.
    pub(crate) every: Option<String>,
    /// The same in seconds, where it is no months or years.
    pub(crate) every_seconds: Option<i64>,
    /// When it ran last, in microseconds since 1970.
    pub(crate) last_run: Option<i64>,
    /// The row it names, where it says `id = N`.
    pub(crate) row: Option<i64>,
}

/// Asks for the events.
///
/// # Errors
/// What ends the connection.
pub(super) async fn gather(
    connection: &mut MySqlConnection,
    heartbeat: &HeartbeatTable,
) -> Result<Gathered<Vec<Event>>, Failure> {
    // To whom this is refused, the catalogue shows no event, without a word. A condition that is never true would not be
    // asked about.
    let probe = format!("SHOW EVENTS FROM {} LIKE ''", quote(&heartbeat.schema));
    if let Gathered::Refused(refusal) = ask(connection, probe).await? {
        return Ok(Gathered::Refused(refusal));
    }
    // Times are those of the event's own zone; one with a name is known only where the server's tables of zones are filled.
    let sql = format!(
        "SELECT JSON_OBJECT('schema', EVENT_SCHEMA, 'name', EVENT_NAME, 'definer', DEFINER, 'status', STATUS, \
         'interval_value', INTERVAL_VALUE, 'interval_field', INTERVAL_FIELD, \
         'last_run', UNIX_TIMESTAMP(CONVERT_TZ(LAST_EXECUTED, TIME_ZONE, '+00:00')) * 1000000, \
         'body', EVENT_DEFINITION) FROM information_schema.EVENTS WHERE LOCATE({}, LOWER(EVENT_DEFINITION)) > 0",
        literal(&heartbeat.table.to_lowercase())
    );
    let answer: Gathered<Vec<Told>> = ask_json(connection, sql).await?;
    answer.map(|events| Ok(events.into_iter().map(Event::of).collect()))
}

/// An event as the catalogue tells it.
#[derive(Deserialize)]
struct Told {
    schema: String,
    name: String,
    definer: String,
    status: String,
    interval_value: Option<String>,
    interval_field: Option<String>,
    last_run: Option<f64>,
    body: String,
}

impl Event {
    fn of(told: Told) -> Self {
        let every = told.interval_value.zip(told.interval_field);
        #[allow(clippy::cast_possible_truncation, reason = "a time in whole seconds, far below what the type holds")]
        let last_run = told.last_run.map(|time| time as i64);
        Self {
            schema: told.schema,
            name: told.name,
            definer: told.definer,
            status: told.status,
            every_seconds: every.as_ref().and_then(|(value, field)| seconds(value, field)),
            every: every.map(|(value, field)| format!("{value} {field}")),
            last_run,
            row: row_of(&told.body),
        }
    }
}

/// An interval of one unit in seconds.
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

/// The row that a statement names: `id = 1`, also `` `id`='1' ``.
fn row_of(body: &str) -> Option<i64> {
    let body = body.to_ascii_lowercase();
    body.match_indices("id").find_map(|(place, word)| {
        if body[..place].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == '$') {
            return None;
        }
        let rest = &body[place + word.len()..];
        let rest = rest.strip_prefix('`').unwrap_or(rest).trim_start().strip_prefix('=')?.trim_start();
        let rest = rest.strip_prefix('\'').unwrap_or(rest);
        let digits = rest.find(|c: char| !c.is_ascii_digit()).map_or(rest, |end| &rest[..end]);
        digits.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_of_an_event_is_read_from_its_condition() {
        for (body, row) in [
            ("UPDATE streamkap_heartbeat SET last_update = NOW() WHERE id = 1", Some(1)),
            ("update h set last_update=now() where h.`id`='17'", Some(17)),
            ("UPDATE h SET paid = 5, last_update = NOW()", None),
            ("UPDATE h SET last_update = NOW() WHERE valid=3 AND id=4", Some(4)),
            ("UPDATE h SET last_update = NOW() WHERE id = @row", None),
            ("", None),
        ] {
            assert_eq!(row_of(body), row, "{body}");
        }
    }

    #[test]
    fn an_interval_of_one_unit_has_a_length() {
        assert_eq!(seconds("5", "MINUTE"), Some(300));
        assert_eq!(seconds("'1:30'", "MINUTE_SECOND"), None);
        assert_eq!(seconds("1", "MONTH"), None);
    }
}
