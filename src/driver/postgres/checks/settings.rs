//! The server's settings for logical decoding.

use super::evidence::{Evidence, alter_system, with};
use std::time::Duration;

use crate::driver::evidence::size;
use crate::driver::postgres::cloud::Provider;
use crate::driver::postgres::facts::{ServerFacts, SlotFacts};
use crate::finding::{Check, Finding, Rung, Severity};
use crate::time::words;

const SETTINGS: &str = "read access to pg_settings, which every user has";

const WAL_LEVEL: Check = Check {
    id: "wal-level",
    severity: Severity::Error,
    rung: Rung::Resource,
    title: "the WAL contains what logical decoding needs",
    meaning: "With another wal_level the server has no logical slots, so the connector cannot read changes.",
    judged: "wal_level. Fails unless it is logical; says so if the new value only needs a restart.",
    privilege: SETTINGS,
    source: "https://www.postgresql.org/docs/current/logicaldecoding-example.html",
};
const SLOTS: Check = Check {
    id: "slots-free",
    severity: Severity::Warning,
    rung: Rung::Resource,
    title: "the connector has a slot, or one is free for it",
    meaning: "If all of max_replication_slots are in use, a dropped slot cannot be created again.",
    judged: "pg_replication_slots, including physical slots, compared with max_replication_slots. Fails if none is \
             free and the connector's slot does not exist.",
    privilege: SETTINGS,
    source: "https://www.postgresql.org/docs/current/runtime-config-replication.html",
};
const SENDERS: Check = Check {
    id: "senders-free",
    severity: Severity::Warning,
    rung: Rung::Resource,
    title: "a WAL sender is free for the connector",
    meaning: "Each connector and each standby uses one of max_wal_senders. If none is free, the connector cannot \
              reconnect.",
    judged: "pg_stat_replication, compared with max_wal_senders. Fails if none is free and the connector is not \
             connected.",
    privilege: SETTINGS,
    source: "https://www.postgresql.org/docs/current/runtime-config-replication.html",
};
const KEEP_SIZE: Check = Check {
    id: "max-slot-wal-keep-size",
    severity: Severity::Error,
    rung: Rung::Advice,
    title: "slots can retain WAL, but cannot fill the disk",
    meaning: "Without a limit a stopped connector fills the disk and the database stops. With a small limit the \
              connector loses its position at the first pause.",
    judged: "max_slot_wal_keep_size. An error at 0, a warning without a limit (-1) or below 1 GiB. From PostgreSQL 13.",
    privilege: SETTINGS,
    source: "https://www.postgresql.org/docs/current/runtime-config-replication.html; supabase/etl uses the same \
             bounds",
};
const IDLE: Check = Check {
    id: "idle-slot-timeout",
    severity: Severity::Warning,
    rung: Rung::Advice,
    title: "the server does not invalidate an idle slot soon",
    meaning: "A connector that is stopped for longer than this loses its position and needs a new snapshot.",
    judged: "idle_replication_slot_timeout. Fails below a day, unless it is off. From PostgreSQL 18.",
    privilege: SETTINGS,
    source: "https://www.postgresql.org/docs/current/runtime-config-replication.html",
};
const SENDER_TIMEOUT: Check = Check {
    id: "wal-sender-timeout",
    severity: Severity::Info,
    rung: Rung::Advice,
    title: "the server does not disconnect a busy connector soon",
    meaning: "A connector that processes a large transaction answers late, and the server then closes its connection.",
    judged: "wal_sender_timeout. Fails below ten minutes, unless it is off.",
    privilege: SETTINGS,
    source: "vendor's set-up guide for RDS (0); Google Datastream (0, or ten minutes and more)",
};

pub(super) const CHECKS: &[Check] = &[WAL_LEVEL, SLOTS, SENDERS, KEEP_SIZE, IDLE, SENDER_TIMEOUT];

/// One day. A connector that is down over a weekend is another matter.
const LEAST_IDLE: Duration = Duration::from_secs(86_400);
const LEAST_PATIENCE: Duration = Duration::from_secs(600);
const GIB: i64 = 1 << 30;

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let server = &evidence.facts.server;
    vec![wal_level(server), slots(evidence), senders(evidence), keep_size(server), idle(server), sender_timeout(server)]
}

fn hidden(check: &Check, setting: &str) -> Finding {
    check.unknown(setting, "the server does not show it; requires GRANT pg_read_all_settings to this user")
}

fn wal_level(server: &ServerFacts) -> Finding {
    let Some(level) = server.setting("wal_level") else { return hidden(&WAL_LEVEL, "wal_level") };
    if level == "logical" {
        return WAL_LEVEL.ok("wal_level", level);
    }
    let pending = server.settings.get("wal_level").is_some_and(|setting| setting.pending_restart);
    let observed = if pending { format!("{level}; another value waits for a restart") } else { level.to_owned() };
    let remedy = match (server.provider, server.setting("rds.logical_replication")) {
        (None, Some(_)) => Provider::Rds.set("wal_level", "logical", true),
        _ => alter_system(server, "wal_level", "logical", true),
    };
    WAL_LEVEL.failed("wal_level", observed).expected("logical").remedy(remedy)
}

fn named_slot<'a>(evidence: &'a Evidence<'_>) -> Option<&'a SlotFacts> {
    evidence.facts.slots.answer().and_then(|slots| slots.named.as_ref())
}

fn slots(evidence: &Evidence<'_>) -> Finding {
    let Some(most) = evidence.facts.server.number("max_replication_slots") else {
        return hidden(&SLOTS, "max_replication_slots");
    };
    with(&SLOTS, "max_replication_slots", &evidence.facts.slots, |slots| {
        let observed = format!("{} of {most} are taken", slots.in_use);
        if slots.in_use < most || slots.named.is_some() {
            return SLOTS.ok("max_replication_slots", observed);
        }
        SLOTS.failed("max_replication_slots", observed).expected("one free").remedy(alter_system(
            &evidence.facts.server,
            "max_replication_slots",
            &(most + 5).to_string(),
            true,
        ))
    })
}

fn senders(evidence: &Evidence<'_>) -> Finding {
    let Some(most) = evidence.facts.server.number("max_wal_senders") else {
        return hidden(&SENDERS, "max_wal_senders");
    };
    with(&SENDERS, "max_wal_senders", &evidence.facts.activity, |activity| {
        let observed = format!("{} of {most} are at work", activity.senders);
        if activity.senders < most || named_slot(evidence).is_some_and(|slot| slot.active) {
            return SENDERS.ok("max_wal_senders", observed);
        }
        let remedy = alter_system(&evidence.facts.server, "max_wal_senders", &(most + 5).to_string(), true);
        SENDERS.failed("max_wal_senders", observed).expected("one free").remedy(remedy)
    })
}

fn keep_size(server: &ServerFacts) -> Finding {
    let name = "max_slot_wal_keep_size";
    if server.major() < 13 {
        return KEEP_SIZE.skipped(name, "PostgreSQL has it from version 13 on");
    }
    let Some(bytes) = server.bytes(name) else { return hidden(&KEEP_SIZE, name) };
    let remedy = alter_system(server, name, "50GB", false);
    match bytes {
        ..0 => KEEP_SIZE
            .failed_as(Severity::Warning, name, "-1: a connector that stops fills the disk")
            .expected("a limit that the disk has room for")
            .remedy(remedy.note("or whatever the disk has room for")),
        0 => KEEP_SIZE
            .failed(name, "0: every slot is lost at the next checkpoint")
            .expected("1 GiB or more")
            .remedy(remedy),
        1..GIB => KEEP_SIZE
            .failed_as(Severity::Warning, name, size(bytes.unsigned_abs()))
            .expected("1 GiB or more")
            .remedy(remedy),
        _ => KEEP_SIZE.ok(name, size(bytes.unsigned_abs())),
    }
}

fn idle(server: &ServerFacts) -> Finding {
    let name = "idle_replication_slot_timeout";
    if server.major() < 18 {
        return IDLE.skipped(name, "PostgreSQL has it from version 18 on");
    }
    let Some(timeout) = server.duration(name) else { return hidden(&IDLE, name) };
    if timeout.is_zero() {
        return IDLE.ok(name, "off");
    }
    if timeout >= LEAST_IDLE {
        return IDLE.ok(name, words(timeout));
    }
    IDLE.failed(name, words(timeout)).expected("off, or a day and more").remedy(alter_system(server, name, "0", false))
}

fn sender_timeout(server: &ServerFacts) -> Finding {
    let name = "wal_sender_timeout";
    let Some(timeout) = server.duration(name) else { return hidden(&SENDER_TIMEOUT, name) };
    if timeout.is_zero() {
        return SENDER_TIMEOUT.ok(name, "off");
    }
    if timeout >= LEAST_PATIENCE {
        return SENDER_TIMEOUT.ok(name, words(timeout));
    }
    SENDER_TIMEOUT
        .failed(name, words(timeout))
        .expected("off, or ten minutes and more")
        .remedy(alter_system(server, name, "10min", false))
}
