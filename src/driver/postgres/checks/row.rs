//! The heartbeat row.

use super::evidence::{CATALOGUE, Evidence};
use crate::driver::answer::Answer;
use crate::driver::postgres::facts::{PostgresFacts, Relation, RowFacts};
use crate::driver::postgres::remedies::policy;
use crate::driver::shared_checks::freshness;
use crate::driver::shared_checks::row::{self, MOVES};
use crate::driver::shared_checks::{FRESH, ROW, SINGLE};
use crate::finding::{Check, Finding, Rung, Severity};
use crate::remedy::{Remedy, Script};

const SECURITY: Check = Check {
    id: "row-level-security",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "row-level security does not hide the heartbeat row",
    meaning: "Row-level security hides rows without an error: the UPDATE succeeds and changes nothing.",
    judged: "row_security_active() for this user, and pg_policy. Fails if row-level security applies to this user and \
             no policy allows both SELECT and UPDATE. Unknown if policies have conditions.",
    privilege: CATALOGUE,
    source: "measured: an UPDATE of a hidden row reports zero rows and no error",
};

pub(super) const CHECKS: &[Check] = &[ROW, SINGLE, FRESH, MOVES, SECURITY];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    vec![
        evidence.with_rows(&ROW, |rows, relation| exists(evidence, rows, relation)),
        evidence.with_rows(&SINGLE, |rows, relation| single(evidence, rows, relation)),
        evidence.with_rows(&FRESH, |rows, relation| fresh(evidence, rows, relation)),
        evidence.with_rows(&MOVES, |rows, _| moves(evidence, rows)),
        evidence.with_table(&SECURITY, |relation| security(evidence, relation)),
    ]
}

fn hidden(evidence: &Evidence<'_>) -> String {
    format!(
        "row-level security may hide rows from {user}; requires CREATE POLICY heartbeatd ON {} TO {user} USING (true);",
        evidence.names.table,
        user = evidence.names.user
    )
}

fn exists(evidence: &Evidence<'_>, rows: &RowFacts, relation: &Relation) -> Finding {
    let (name, wanted) = (&evidence.names.table, evidence.target.heartbeat.row_number());
    match rows.ids.first() {
        Some(id) if *id == wanted => ROW.ok(name, format!("row {id}")),
        _ if relation.row_security_active => ROW.unknown(name, hidden(evidence)),
        Some(id) => ROW
            .failed(name, format!("there is row {id} and not row {wanted}"))
            .expected(format!("row {wanted}"))
            .remedy(format!("set row = {id} under [target.heartbeat]")),
        None => ROW
            .failed(name, if rows.count == 0 { "the table is empty" } else { "no row has an id" })
            .expected(format!("row {wanted}"))
            .remedy(evidence.provision()),
    }
}

fn single(evidence: &Evidence<'_>, rows: &RowFacts, relation: &Relation) -> Finding {
    let (name, wanted) = (&evidence.names.table, evidence.target.heartbeat.row_number());
    match rows.count {
        0..=1 if relation.row_security_active => SINGLE.unknown(name, hidden(evidence)),
        count @ 0..=1 => SINGLE.ok(name, format!("{count}")),
        // Keeping a row that does not exist would empty the table.
        _ if rows.ids.first() != Some(&wanted) => {
            SINGLE.skipped(name, format!("row {wanted} is not among them, which comes first"))
        }
        count => SINGLE
            .failed(name, format!("{count}{} rows", if count >= 1000 { " or more" } else { "" }))
            .expected("one row")
            .remedy(
                Remedy::advice("find out who inserts, and whether anyone needs these rows, before you take one away")
                    .then_run(Remedy::sql(format!("SELECT * FROM {name} WHERE id <> {wanted};"))),
            ),
    }
}

fn fresh(evidence: &Evidence<'_>, rows: &RowFacts, relation: &Relation) -> Finding {
    if !relation.is_dated() {
        return FRESH.skipped(&evidence.names.table, "the table has no last_update that holds a time");
    }
    if rows.ids.first() != Some(&evidence.target.heartbeat.row_number()) {
        return FRESH.skipped(&evidence.names.table, "there is no such row, or it is hidden");
    }
    let age = rows.last_update.map(|last_update| evidence.facts.server.time.saturating_sub(last_update));
    freshness::judge(&FRESH, &evidence.names.table, age, evidence.case)
}

fn moves(evidence: &Evidence<'_>, now: &RowFacts) -> Finding {
    let earlier = evidence.earlier.as_ref().and_then(rows_of).map(|rows| rows.last_update);
    row::moves(evidence, now.last_update, earlier)
}

fn rows_of(facts: &PostgresFacts) -> Option<&RowFacts> {
    facts.row.as_ref().and_then(Answer::answer)
}

fn security(evidence: &Evidence<'_>, relation: &Relation) -> Finding {
    let (name, user) = (&evidence.names.table, &evidence.names.user);
    if !relation.row_security_active {
        let why = if relation.row_security { "it is on, and does not hold for this user" } else { "it is off" };
        return SECURITY.ok(name, why);
    }
    let policies = || relation.policies.iter().filter(|policy| policy.applies);
    let allowed = |command: &str| {
        let meant = |given: &str| given == command || given == "*";
        let permits =
            policies().filter(|policy| policy.permissive && meant(&policy.command)).map(|p| p.every_row).max();
        let restricted = policies().any(|policy| !policy.permissive && meant(&policy.command) && !policy.every_row);
        (permits, restricted)
    };
    let remedy = policy(&evidence.target.heartbeat, &evidence.facts.server.user, "");
    for (command, word) in [("r", "SELECT"), ("w", "UPDATE")] {
        match allowed(command) {
            (None, _) => {
                let observed = format!("it is on, and no policy lets {user} through for {word}");
                return SECURITY.failed(name, observed).expected("a policy for SELECT and UPDATE").remedy(remedy);
            }
            (Some(true), false) => {}
            _ => {
                let why = format!("the policies for {word} have conditions: a beat tells whether the row fits them");
                let required = remedy.script().map_or("", Script::text);
                return SECURITY.unknown(name, format!("{why}; or it requires {required}"));
            }
        }
    }
    SECURITY.ok(name, format!("it is on, and policies let {user} see and update every row"))
}
