//! Writers inside the database: events that update the same table.

use super::evidence::Evidence;
use super::variables::{set_at_start, set_global};
use crate::driver::mysql::errors::PASSING;
use std::time::Duration;

use super::cluster::is_node;
use crate::driver::mysql::facts::Event;
use crate::driver::mysql::identifier::quote;
use crate::driver::shared_checks::server;
use crate::finding::{Check, Finding, How, Severity};
use crate::remedy::Remedy;
use crate::target::WriteMode;
use crate::time::words;

const NATIVE: Check = server::NATIVE.how(How {
    judged: "information_schema.EVENTS and event_scheduler.",
    privilege: "EVENT on the heartbeat's schema; other users see no row and no error",
    source: "vendor page on heartbeats, the event scheduler; measured: it hides events from other users without an \
             error; an event on a replica stays disabled when the replica becomes the source; of Galera's nodes only \
             one runs an event",
});

pub(super) const CHECKS: &[Check] = &[NATIVE];

const SUBJECT: &str = "event scheduler";

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let events = match evidence.facts.events.seen() {
        Ok(events) => events,
        Err(refusal) => {
            let schema = quote(&granted_name(evidence));
            let grant = format!("GRANT EVENT ON {schema}.* TO {};", evidence.names.user);
            return vec![NATIVE.unknown(SUBJECT, refusal.unless(&grant, PASSING))];
        }
    };
    if events.is_empty() {
        return vec![NATIVE.ok(SUBJECT, "no event that this user may see names the heartbeat table")];
    }
    events.iter().map(|event| judge_event(evidence, event)).collect()
}

/// The schema's name in a GRANT: `_` and `%` are wildcards there, unless `partial_revokes` is on.
fn granted_name(evidence: &Evidence<'_>) -> String {
    let schema = &evidence.target.heartbeat.schema;
    if evidence.facts.server.is_on("partial_revokes") == Some(true) {
        return schema.clone();
    }
    let escaped = |c: char| if matches!(c, '_' | '%' | '\\') { vec!['\\', c] } else { vec![c] };
    schema.chars().flat_map(escaped).collect()
}

/// Why an event does not update the row, and the remedy.
struct Fault {
    observed: String,
    mend: Remedy,
}

fn judge_event(evidence: &Evidence<'_>, event: &Event) -> Finding {
    let name = format!("{}.{}", quote(&event.schema), quote(&event.name));
    let subject = format!("event {name}");
    let wanted = evidence.target.heartbeat.row_number();
    let disable = format!("ALTER EVENT {name} DISABLE;");
    let every = event.every.as_ref().map_or("once".to_owned(), |every| format!("every {every}"));
    if !event.updates {
        return NATIVE.ok(subject, "it names the table, and does not update it");
    }
    if let Some(row) = event.row.filter(|row| *row != wanted) {
        let observed = format!("it updates row {row}, and the heartbeat is row {wanted}");
        if event.status == "DISABLED" {
            return NATIVE.ok(subject, format!("{observed}; it is switched off"));
        }
        return NATIVE
            .failed(subject, observed)
            .expected(format!("row {wanted}"))
            .remedy(Remedy::sql(disable).note(format!("or let it update row {wanted}; it may do more than that")));
    }
    if !matches!(event.status.as_str(), "ENABLED" | "DISABLED") && is_node(&evidence.facts.server) {
        return on_another_node(evidence, event, &subject, &disable);
    }
    let watching = evidence.target.write == WriteMode::Never;
    if let Some(Fault { observed, mend }) = fault(evidence, event, &name) {
        // A disabled event does not matter if no one relies on it.
        if !watching && event.status == "DISABLED" {
            return NATIVE.ok(subject, observed);
        }
        // If heartbeatd writes as well, it covers for the event.
        let severity = if watching { Severity::Warning } else { Severity::Info };
        let remedy = if watching { mend } else { Remedy::sql(disable) };
        return NATIVE.failed_as(severity, subject, observed).expected("an event that runs, or none").remedy(remedy);
    }
    match evidence.target.write {
        WriteMode::Always => {
            NATIVE.failed(subject, format!("it beats as well ({every})")).expected("one writer").remedy(
                Remedy::sql(disable)
                    .note("or set write = \"when-stale\", so that heartbeatd writes only if the event does not"),
            )
        }
        WriteMode::WhenStale => NATIVE.ok(subject, format!("it beats ({every}), and heartbeatd covers for it")),
        WriteMode::Never => NATIVE.ok(subject, format!("it beats ({every})")),
    }
}

/// In a Galera cluster one node runs an event: the node on which it was last enabled. All others show it as disabled.
/// Disabling it on any node stops it everywhere.
fn on_another_node(evidence: &Evidence<'_>, event: &Event, subject: &str, disable: &str) -> Finding {
    let status = &event.status;
    let observed = format!("{status}: it runs on the node on which it was enabled last, if that is still there");
    match evidence.target.write {
        WriteMode::Always => NATIVE
            .failed_as(Severity::Info, subject, observed)
            .expected("one writer")
            .remedy(Remedy::sql(disable).note("any node will do; or set write = \"when-stale\"")),
        WriteMode::WhenStale => NATIVE.ok(subject, format!("{observed}; heartbeatd covers for it")),
        WriteMode::Never => NATIVE.unknown(subject, format!("{observed}; requires a look at each node")),
    }
}

/// Why an event does not update the row.
fn fault(evidence: &Evidence<'_>, event: &Event, name: &str) -> Option<Fault> {
    let server = &evidence.facts.server;
    let enable = format!("ALTER EVENT {name} ENABLE;");
    let observed = match event.status.as_str() {
        "ENABLED" => None,
        "DISABLED" => Some("it is switched off".to_owned()),
        status => {
            Some(format!("{status}: it was made on another server, and stayed off when this one became the primary"))
        }
    };
    if let Some(observed) = observed {
        return Some(Fault { observed, mend: Remedy::sql(enable) });
    }
    match server.variable("event_scheduler") {
        Some("OFF") => {
            let mend = set_global(server, "event_scheduler", "ON");
            return Some(Fault { observed: "it never runs: event_scheduler is OFF".to_owned(), mend });
        }
        Some("DISABLED") => {
            let mend = set_at_start(server, "event_scheduler", "event_scheduler = ON");
            return Some(Fault { observed: "it never runs: event_scheduler is DISABLED".to_owned(), mend });
        }
        _ => {}
    }
    let (last, every) = (event.last_run?, event.every_seconds?);
    let idle = Duration::from_micros(server.time.saturating_sub(last).try_into().ok()?);
    let limit = Duration::from_secs(every.try_into().ok()?) * 2 + evidence.target.timeout;
    (idle > limit).then(|| Fault {
        observed: format!("it last ran {} ago, and says every {}", words(idle), event.every.as_deref().unwrap_or("")),
        mend: Remedy::advice("look for its name in the server's error log").then_run(Remedy::sql(enable)),
    })
}
