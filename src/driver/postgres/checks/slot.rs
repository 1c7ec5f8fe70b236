//! The connector's slot: its position, and whether it advances.

mod found;

use std::time::Duration;

use self::found::{Found, Part, create, find};
use super::evidence::{Evidence, alter_system, with};
use crate::driver::evidence::{ONE_LOOK, size};
use crate::driver::postgres::errors::PASSING;
use crate::driver::postgres::facts::PostgresFacts;
use crate::driver::postgres::family::slot_of;
use crate::driver::postgres::identifier::{literal, quote};
use crate::finding::{Check, Finding, Rung, Severity};
use crate::remedy::Remedy;
use crate::time::ticks::longest_period;
use crate::time::words;

const VIEW: &str = "read access to pg_replication_slots, which every user has";

const EXISTS: Check = Check {
    id: "slot-exists",
    severity: Severity::Error,
    rung: Rung::Position,
    title: "the connector's replication slot exists",
    meaning: "Slots disappear with a failover before PostgreSQL 17, an upgrade or a restore. Without its slot the \
              connector has lost its position, and only a new snapshot brings what changed in between.",
    judged: "pg_replication_slots of the source and of each replica. Fails if the slot that you configured is on none \
             of them. The default name may be absent.",
    privilege: VIEW,
    source: "vendor page on recovery: the slot still exists after maintenance",
};
const DATABASE: Check = Check {
    id: "slot-database",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "the slot belongs to the heartbeat's database",
    meaning: "A slot contains only the changes of its own database. Beats in another database never advance it.",
    judged: "pg_replication_slots.database, compared with current_database(). Fails if they differ.",
    privilege: VIEW,
    source: "https://www.postgresql.org/docs/current/view-pg-replication-slots.html",
};
const PLUGIN: Check = Check {
    id: "slot-plugin",
    severity: Severity::Warning,
    rung: Rung::Tracking,
    title: "the slot's plugin is pgoutput",
    meaning: "The connector requires pgoutput. Another plugin does not support publications.",
    judged: "pg_replication_slots.plugin. Fails unless it is pgoutput.",
    privilege: VIEW,
    source: "vendor's set-up guide for PostgreSQL",
};
const ACTIVE: Check = Check {
    id: "slot-active",
    severity: Severity::Warning,
    rung: Rung::Movement,
    title: "the connector is connected to its slot",
    meaning: "A slot without a reader retains the WAL of the whole server until the disk is full or the slot is lost.",
    judged: "pg_replication_slots.active. Fails if no one reads the slot, unless a restart explains it: inactive_since \
             (PostgreSQL 17) less than two periods ago, or a reader in the look before.",
    privilege: VIEW,
    source: "vendor page on recovery: the source connector is stopped or paused",
};
const MOVES: Check = Check {
    id: "slot-moves",
    severity: Severity::Warning,
    rung: Rung::Movement,
    title: "the slot advances past the beats",
    meaning: "If the connector never confirms beats, the server frees no WAL. The connector is stuck or does not \
              receive them.",
    judged: "confirmed_flush_lsn in two looks. Fails if it did not change although the row changed and two periods lie \
             between them.",
    privilege: VIEW,
    source: "measured: a beat counts as confirmed when confirmed_flush_lsn passes a position read after its commit",
};
const STATUS: Check = Check {
    id: "slot-wal-status",
    severity: Severity::Error,
    rung: Rung::Position,
    title: "the server still has the WAL that the slot needs, and its copies are intact",
    meaning: "A lost slot can never be read again: the connector needs a new slot and a new snapshot. An unreserved \
              slot is lost at the next checkpoint. If the copy on a standby is lost, or a slot of the same name \
              prevents the copy, the connector has no position after a failover.",
    judged: "wal_status, conflicting and invalidation_reason, on each server separately. An error if the slot that the \
             connector reads is lost or invalidated, a warning if it is unreserved. A warning for a copy or a slot of \
             the same name on another server. The connector reads the active slot; if none is active, that of a \
             replica with decode = true, otherwise that of the source. From PostgreSQL 13.",
    privilege: VIEW,
    source: "https://www.postgresql.org/docs/current/view-pg-replication-slots.html",
};
const RETAINED: Check = Check {
    id: "slot-retained-wal",
    severity: Severity::Warning,
    rung: Rung::Position,
    title: "the slot retains little WAL",
    meaning: "Retained WAL fills the server's disk, and then the database stops.",
    judged: "The server's position minus restart_lsn. Fails above the threshold retained_wal_mib.",
    privilege: "EXECUTE on pg_current_wal_lsn, which every user has by default",
    source: "vendor page on heartbeats: some databases keep their log until the consumer advances",
};

pub(super) const CHECKS: &[Check] = &[EXISTS, DATABASE, PLUGIN, ACTIVE, MOVES, STATUS, RETAINED];

const COPY: &str = "a copy that the standby keeps for a failover: the primary's is read";
const LEFTOVER: &str = "the connector reads the slot on another server: see slot-wal-status";

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let found = find(evidence);
    if found.is_empty() {
        let name = quote(&slot_of(evidence.target).name);
        let rest = CHECKS[1..].iter().map(|check| check.skipped(&name, "the slot was not found"));
        return std::iter::once(missing(evidence)).chain(rest).collect();
    }
    let nowhere = found.iter().all(|found| found.part == Part::Copy).then(|| missing(evidence));
    let each = found.iter().flat_map(|slot| match slot.part {
        Part::Leftover => leftover(evidence, slot, &found),
        Part::Copy => copy(evidence, slot, &found),
        Part::Read => vec![
            EXISTS.ok(&slot.subject, "it exists"),
            database(slot),
            plugin(slot),
            active(evidence, slot),
            moves(evidence, slot),
            status(evidence, slot),
            retained(evidence, slot),
        ],
    });
    nowhere.into_iter().chain(each).collect()
}

/// Whether the connector's slot is on that replica.
pub(super) fn is_read_on(evidence: &Evidence<'_>, replica: &str) -> bool {
    find(evidence).iter().any(|found| found.part == Part::Read && found.replica == Some(replica))
}

/// Describes the slot that the connector reads, if that slot is sound.
fn read_elsewhere(all: &[Found<'_>]) -> Option<String> {
    let sound = all.iter().find(|other| other.part == Part::Read && other.end().is_none())?;
    Some(format!("the connector's slot {} is sound", sound.server()))
}

/// The consequence for the connector if a replica's slot has lost its position.
fn after_a_failover(found: &Found<'_>, all: &[Found<'_>]) -> String {
    let replica = found.replica.unwrap_or_default();
    let lost = format!("after a failover to {replica} the connector would need a new snapshot");
    read_elsewhere(all).map_or_else(|| lost.clone(), |sound| format!("{sound}; {lost}"))
}

fn copy(evidence: &Evidence<'_>, found: &Found<'_>, all: &[Found<'_>]) -> Vec<Finding> {
    let subject = &found.subject;
    let status = match found.end() {
        None => STATUS.ok(subject, "a sound copy"),
        Some(end) => STATUS
            .failed_as(
                Severity::Warning,
                subject,
                format!("the standby's copy is {end}; {}", after_a_failover(found, all)),
            )
            .expected("a copy that a failover can go on from")
            .remedy(
                found
                    .there(alter_system(&found.facts.server, "max_slot_wal_keep_size", "50GB", false))
                    .note("the standby then makes the copy again by itself; do not drop it, the server refuses that"),
            ),
    };
    vec![
        EXISTS.ok(subject, "a copy that the standby keeps for a failover"),
        database(found),
        plugin(found),
        ACTIVE.skipped(subject, COPY),
        MOVES.skipped(subject, COPY),
        status,
        retained(evidence, found),
    ]
}

/// A slot of the connector's name that the connector does not read. No remedy here touches the connector's own slot.
fn leftover(evidence: &Evidence<'_>, found: &Found<'_>, all: &[Found<'_>]) -> Vec<Finding> {
    let subject = &found.subject;
    let keeps_a_copy_out = found.facts.server.in_recovery
        && all.iter().any(|other| other.part == Part::Read && other.slot.failover == Some(true));
    let read = read_elsewhere(all);
    let finding = |observed: String| {
        let finding = STATUS.failed_as(Severity::Warning, subject, observed);
        finding.expected("no slot of this name beside the connector's")
    };
    let status = match (found.end(), &read) {
        (Some(end), Some(_)) => {
            finding(format!("a slot that the connector does not read, {end}; {}", after_a_failover(found, all)))
                .remedy(found.drop_leftover(evidence))
        }
        (None, Some(_)) if keeps_a_copy_out => finding(format!(
            "a slot that the connector does not read, and that keeps the standby from copying the connector's; {}",
            after_a_failover(found, all)
        ))
        .remedy(found.drop_leftover(evidence)),
        (_, _) => {
            let observed = format!("a slot {} that no client reads: it retains WAL there", found.server());
            finding(observed).remedy(format!(
                "find out {} whether another program needs this slot; the connector reads another server's",
                found.server()
            ))
        }
    };
    let skipped = [&DATABASE, &PLUGIN, &ACTIVE, &MOVES].map(|check| check.skipped(subject, LEFTOVER));
    let exists = EXISTS.ok(subject, "a slot of that name, which the connector does not read");
    std::iter::once(exists).chain(skipped).chain([status, retained(evidence, found)]).collect()
}

fn missing(evidence: &Evidence<'_>) -> Finding {
    let slot = &slot_of(evidence.target);
    let name = quote(&slot.name);
    if let Err(refusal) = evidence.facts.slots.seen() {
        return EXISTS.unknown(&name, refusal.unless(EXISTS.privilege, PASSING));
    }
    if let Some(place) = evidence.replicas.iter().find(|place| place.facts.is_err()) {
        let why = format!("the source has none, and replica {} could not be looked at", place.name);
        return EXISTS.unknown(&name, why);
    }
    let others = evidence.facts.slots.answer().map_or(&[][..], |slots| slots.others.as_slice());
    let others = if others.is_empty() { String::new() } else { format!("; there is {}", others.join(", ")) };
    let foreign = evidence.facts.slots.answer().and_then(|slots| slots.named.as_ref()?.database.as_deref());
    if let (false, Some(database)) = (slot.configured, foreign) {
        let why = format!(
            "the slot of the default name belongs to the database {database}{others}: say under [target.connector] which \
             slot reads this database"
        );
        return EXISTS.skipped(&name, why);
    }
    if !slot.configured {
        let why = format!("none has the default name{others}: say under [target.connector] which one it reads");
        return EXISTS.skipped(&name, why);
    }
    EXISTS.failed(&name, format!("no server of this target has a slot of that name{others}")).remedy(create(evidence))
}

fn database(found: &Found<'_>) -> Finding {
    let wanted = &found.facts.server.database;
    match &found.slot.database {
        Some(database) if database == wanted => DATABASE.ok(&found.subject, database),
        Some(database) => DATABASE.failed(&found.subject, database).expected(wanted).remedy(
            Remedy::advice(format!(
                "make the database {database} a target of its own, or set slot under [target.connector] to one of {wanted}"
            ))
            .then_run(found.there(Remedy::sql(format!(
                "SELECT slot_name FROM pg_replication_slots WHERE database = {};",
                literal(wanted)
            )))),
        ),
        None => DATABASE
            .failed(&found.subject, format!("a {} slot, of no database", found.slot.slot_type))
            .expected(wanted)
            .remedy(
                Remedy::advice("set slot under [target.connector] to the connector's logical slot").then_run(
                    found.there(Remedy::sql(
                        "SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'logical';",
                    )),
                ),
            ),
    }
}

fn plugin(found: &Found<'_>) -> Finding {
    let wanted = &found.facts.server.database;
    match found.slot.plugin.as_deref() {
        Some("pgoutput") => PLUGIN.ok(&found.subject, "pgoutput"),
        Some(other) => PLUGIN.failed(&found.subject, other).expected("pgoutput").remedy(
            Remedy::advice("if the connector is to read the publication, give it a slot of its own").then_run(
                found
                    .there(Remedy::sql(
                        "SELECT pg_create_logical_replication_slot('streamkap_pgoutput_slot', 'pgoutput');",
                    ))
                    .note(format!("in the database {}", quote(wanted))),
            ),
        ),
        None => PLUGIN.skipped(&found.subject, "it is not a logical slot"),
    }
}

fn active(evidence: &Evidence<'_>, found: &Found<'_>) -> Finding {
    let (subject, slot) = (&found.subject, found.slot);
    if found.end().is_some() {
        return ACTIVE.skipped(subject, "the slot is at its end: see slot-wal-status");
    }
    if slot.active {
        return ACTIVE.ok(subject, "it is read");
    }
    if found.earlier.is_some_and(|earlier| earlier.active) {
        return ACTIVE.ok(subject, "it was read in the look before, and is not now: a restart of the connector");
    }
    let grace = longest_period(&evidence.target.schedule, evidence.case.now.taken_at) * 2;
    let since = slot
        .inactive_since_micros
        .map(|since| Duration::from_micros(found.facts.server.time.saturating_sub(since).unsigned_abs()));
    let observed = match since {
        Some(since) if since < grace => {
            return ACTIVE.ok(subject, format!("no client has read it for {}", words(since)));
        }
        Some(since) => format!("no client has read it for {}", words(since)),
        None => "no client reads it".to_owned(),
    };
    ACTIVE.failed(subject, observed).expected("a connector that reads it").remedy(format!(
        "start or resume the connector; if it is given up for good, drop the slot {} so that it holds no WAL back",
        found.server()
    ))
}

fn moves(evidence: &Evidence<'_>, found: &Found<'_>) -> Finding {
    let (subject, slot) = (&found.subject, found.slot);
    let (Some(earlier), Some(between)) = (found.earlier, evidence.between_looks()) else {
        return MOVES.skipped(subject, ONE_LOOK);
    };
    if found.end().is_some() || !slot.active {
        return MOVES.skipped(subject, "no client reads the slot");
    }
    let (Some(now), Some(before)) = (slot.confirmed_flush_lsn, earlier.confirmed_flush_lsn) else {
        return MOVES.skipped(subject, "it is not a logical slot");
    };
    if now > before {
        let step = size(now.since(before));
        return MOVES.ok(subject, format!("confirmed up to {now}, {step} further than in the look before"));
    }
    let row = |facts: &PostgresFacts| facts.row.as_ref().and_then(|row| row.answer()).and_then(|row| row.last_update);
    if row(&evidence.facts).is_none() || evidence.earlier.as_ref().and_then(row) == row(&evidence.facts) {
        return MOVES.skipped(subject, "no beat was seen between the two looks");
    }
    let between = Duration::from_micros(between.unsigned_abs());
    // A connector may wait a minute before it confirms what it has read.
    if between < longest_period(&evidence.target.schedule, evidence.case.now.taken_at) * 2 {
        return MOVES.skipped(subject, format!("{} lie between the two looks, less than two periods", words(between)));
    }
    MOVES
        .failed(subject, format!("confirmed up to {now}, the same as {} before", words(between)))
        .expected("a position that passes each beat")
        .remedy(
            "look at the connector's state and log: it is connected and confirms nothing; restart it if it is stuck",
        )
}

fn status(evidence: &Evidence<'_>, found: &Found<'_>) -> Finding {
    let (subject, slot) = (&found.subject, found.slot);
    if let Some(end) = found.end() {
        return STATUS.failed(subject, end).expected("reserved or extended").remedy(found.drop_and_create(evidence));
    }
    match slot.wal_status.as_deref() {
        Some("unreserved") => STATUS
            .failed_as(Severity::Warning, subject, "unreserved: it is lost at the next checkpoint")
            .expected("reserved or extended")
            .remedy(Remedy::advice("get the connector to read on at once").or_run(found.there(alter_system(
                &found.facts.server,
                "max_slot_wal_keep_size",
                "50GB",
                false,
            )))),
        Some(status) => {
            let room = slot.safe_wal_size.map_or(String::new(), |bytes| {
                format!(", {} more until it is lost", size(u64::try_from(bytes).unwrap_or(0)))
            });
            STATUS.ok(subject, format!("{status}{room}"))
        }
        None if found.facts.server.major() < 13 => STATUS.skipped(subject, "PostgreSQL has it from version 13 on"),
        None => STATUS.ok(subject, "it holds no WAL yet"),
    }
}

fn retained(evidence: &Evidence<'_>, found: &Found<'_>) -> Finding {
    let subject = &found.subject;
    let Some(restart) = found.slot.restart_lsn else {
        return RETAINED.skipped(subject, "it holds no WAL");
    };
    with(&RETAINED, subject, &found.facts.wal, |wal| {
        let Some(position) = wal.position else {
            return RETAINED.unknown(subject, format!("the server tells no position; requires {}", RETAINED.privilege));
        };
        let bytes = position.since(restart);
        let limit = evidence.target.checks.thresholds.retained_wal_mib.saturating_mul(1024 * 1024);
        if bytes <= limit {
            return RETAINED.ok(subject, size(bytes));
        }
        RETAINED.failed(subject, size(bytes)).expected(format!("at most {}", size(limit))).remedy(match found.part {
            Part::Leftover => format!(
                "follow the remedy of slot-wal-status, as the connector does not read this slot; watch the disk {}",
                found.server()
            )
            .into(),
            Part::Copy => format!(
                "get the connector to read on at the primary, whose slot this one follows; watch the disk {}",
                found.server()
            )
            .into(),
            Part::Read => Remedy::advice("get the connector to read on, and watch the disk meanwhile").then_run(
                found.there(Remedy::sql(
                    "SELECT slot_name, active, pg_size_pretty(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN \
                     pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn)) FROM pg_replication_slots;",
                )),
            ),
        })
    })
}
