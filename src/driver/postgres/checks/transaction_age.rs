//! How close the server is to the end of its transaction IDs, and which slot keeps vacuum from preventing that.

use super::evidence::{Evidence, with};
use crate::driver::postgres::facts::SlotsFacts;
use crate::driver::postgres::identifier::quote;
use crate::finding::{Check, Finding, Rung, Severity};
use crate::remedy::Remedy;

const AGE: Check = Check {
    id: "transaction-age",
    severity: Severity::Error,
    rung: Rung::Resource,
    title: "the oldest transaction is far from the end of the transaction IDs",
    meaning: "At an age of 2.1 billion transactions the server refuses every write. Vacuum prevents that, but not past the \
              rows that a replication slot holds: a slot that is not read grows old, and the whole server with it.",
    judged: "age(datfrozenxid) of each database, and age(xmin) and age(catalog_xmin) of each slot. A warning from 500 \
             million transactions, an error from 1.6 billion, where vacuum leaves everything else undone.",
    privilege: "read access to pg_database and pg_replication_slots, which every user has",
    source: "https://www.postgresql.org/docs/current/routine-vacuuming.html#VACUUM-FOR-WRAPAROUND; 1.6 billion is the \
             default of vacuum_failsafe_age",
};

pub(super) const CHECKS: &[Check] = &[AGE];

const OLD: i64 = 500_000_000;
const NEAR_THE_END: i64 = 1_600_000_000;

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    vec![with(&AGE, "this server", &evidence.facts.slots, age)]
}

fn age(facts: &SlotsFacts) -> Finding {
    let subject = "this server";
    let Some(database) = facts.databases.first() else { return AGE.unknown(subject, "the facts hold no database") };
    let slot = facts.oldest.first();
    let oldest = database.age.max(slot.map_or(0, |slot| slot.age));
    let of_database = format!("the oldest transaction of database {} is {} old", database.name, millions(database.age));
    let observed = match slot {
        Some(slot) => format!("{of_database}; the slot {} holds rows that are {} old", slot.name, millions(slot.age)),
        None => of_database,
    };
    let severity = match oldest {
        ..OLD => return AGE.ok(subject, observed),
        OLD..NEAR_THE_END => Severity::Warning,
        _ => Severity::Error,
    };
    let remedy = match slot.filter(|slot| slot.age >= OLD) {
        Some(slot) => Remedy::advice(format!(
            "find out what reads the slot {} ({}), and let it read on, because nothing is cleaned up past it; then run \
             VACUUM (FREEZE) in the database {}",
            quote(&slot.name),
            if slot.active { "it is being read" } else { "it is not read" },
            quote(&database.name)
        ))
        .then_run(
            Remedy::sql(
                "SELECT slot_name, slot_type, active, age(xmin), age(catalog_xmin) FROM pg_replication_slots;",
            )
            .note("shows whether the ages fall"),
        ),
        None => Remedy::advice(format!(
            "run VACUUM (FREEZE) in the database {}; if the age stays, find what holds it",
            quote(&database.name)
        ))
        .then_run(Remedy::sql(
            "SELECT pid::text AS holder, state, age(backend_xmin) FROM pg_stat_activity UNION ALL SELECT gid, 'prepared', \
             age(transaction) FROM pg_prepared_xacts ORDER BY 3 DESC NULLS LAST;",
        )),
    };
    AGE.failed_as(severity, subject, observed).expected("less than 500 million transactions").remedy(remedy)
}

fn millions(age: i64) -> String {
    format!("{} million transactions", age / 1_000_000)
}
