//! What this session's own user may do.

use std::time::Duration;

use super::{Scene, with};
use crate::driver::postgres::facts::{Gathered, RoleFacts};
use crate::driver::postgres::identifier::quote;
use crate::finding::{Check, Finding, Rung, Severity};
use crate::freshness::words;
use crate::target::{ProvisionMode, WriteMode};

const PROBE: &str = "none: the probe finds out";
const MEASURED: &str = "measured: EXPLAIN checks the privileges of a statement that it does not run, on a standby too";

const USAGE: Check = Check {
    id: "schema-usage",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "this user may use the heartbeat's schema",
    meaning: "Without USAGE on the schema the grants on the table are worth nothing.",
    judged: "has_schema_privilege() by OID, for this session's user.",
    privilege: "reading the catalogue, which every user may",
    source: "vendor page on heartbeats, troubleshooting: USAGE on the schema",
};
const SELECT: Check = Check {
    id: "writer-select",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "this user may read the heartbeat row",
    meaning: "A beat finds its row by id, and tells a row that is missing from one that cannot be written.",
    judged: "EXPLAIN SELECT of id and last_update: fails when the server denies it.",
    privilege: PROBE,
    source: MEASURED,
};
const UPDATE: Check = Check {
    id: "writer-update",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "this user may update last_update",
    meaning: "This update is the beat.",
    judged: "EXPLAIN UPDATE of last_update: fails when the server denies it.",
    privilege: PROBE,
    source: MEASURED,
};
const INSERT: Check = Check {
    id: "writer-insert",
    severity: Severity::Info,
    rung: Rung::Advice,
    title: "this user may bring a deleted heartbeat row back",
    meaning: "With provision = \"auto\" heartbeatd makes the row anew when it was deleted; that takes INSERT.",
    judged: "EXPLAIN INSERT: fails when the server denies it. Only with provision = \"auto\".",
    privilege: PROBE,
    source: MEASURED,
};
const EXPIRY: Check = Check {
    id: "writer-expiry",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "this user's password does not run out soon",
    meaning: "On that day the open connection beats on, and the next login is refused.",
    judged: "pg_roles.rolvaliduntil against the server's clock: an error when past, a warning when nearer than the \
             threshold role_expiry.",
    privilege: "reading the catalogue, which every user may",
    source: "https://www.postgresql.org/docs/current/sql-createrole.html, VALID UNTIL",
};

pub(super) const CHECKS: &[Check] = &[USAGE, SELECT, UPDATE, INSERT, EXPIRY];

pub(super) fn judge(scene: &Scene<'_>) -> Vec<Finding> {
    let probes = &scene.facts.probes;
    let update = match scene.target.write {
        WriteMode::Never => UPDATE.skipped(&scene.table, "write is never: heartbeatd only watches"),
        WriteMode::Always | WriteMode::WhenStale => probed(&UPDATE, "UPDATE", &probes.update, scene),
    };
    let insert = match scene.target.provision {
        ProvisionMode::Never => INSERT.skipped(&scene.table, "provision is never: the row is not brought back unasked"),
        ProvisionMode::Auto => probed(&INSERT, "INSERT", &probes.insert, scene),
    };
    let own = with(&EXPIRY, &scene.user, &scene.facts.roles, |roles| match &roles.own {
        Some(role) => expiry(&EXPIRY, role, scene),
        None => {
            EXPIRY.unknown(&scene.user, "this user is not in pg_roles; it takes a user that is a role of the server")
        }
    });
    vec![usage(scene), probed(&SELECT, "SELECT", &probes.select, scene), update, insert, own]
}

fn usage(scene: &Scene<'_>) -> Finding {
    let schema = quote(&scene.target.heartbeat.schema);
    with(&USAGE, &schema, &scene.facts.table, |facts| match &facts.schema {
        None => USAGE.skipped(&schema, "there is no such schema"),
        Some(found) if found.usage => USAGE.ok(&schema, format!("granted to {}", scene.user)),
        Some(_) => USAGE
            .failed(&schema, format!("not granted to {}", scene.user))
            .expected("USAGE")
            .remedy(format!("GRANT USAGE ON SCHEMA {schema} TO {};", scene.user)),
    })
}

fn probed(check: &Check, privilege: &str, probe: &Gathered<()>, scene: &Scene<'_>) -> Finding {
    let (table, user) = (&scene.table, &scene.user);
    let Err(refusal) = probe.seen() else { return check.ok(table, format!("granted to {user}")) };
    let schema = scene.facts.table.answer().and_then(|facts| facts.schema.as_ref());
    match refusal.code.as_str() {
        "42501" if schema.is_some_and(|schema| !schema.usage) => {
            check.skipped(table, "the schema may not be used, which comes first")
        }
        "42501" => check
            .failed(table, refusal.to_string())
            .expected(format!("{privilege} for {user}"))
            .remedy(format!("GRANT {privilege} ON TABLE {table} TO {user};")),
        "42P01" | "3F000" => check.skipped(table, "there is no such table"),
        "42703" | "42809" | "428C9" | "42804" => {
            check.skipped(table, "the table is not as it must be, which comes first")
        }
        // The privileges are checked before what a publication asks of an update.
        "55000" | "42P10" => check.ok(table, format!("granted to {user}; it is refused all the same: {refusal}")),
        _ => check.unknown(table, refusal.unless(&format!("GRANT {privilege} ON TABLE {table} TO {user};"))),
    }
}

/// When a role's password runs out.
pub(super) fn expiry(check: &Check, role: &RoleFacts, scene: &Scene<'_>) -> Finding {
    let name = quote(&role.name);
    let Some(until) = role.valid_until else { return check.ok(&name, "it never does") };
    let left = until.saturating_sub(scene.facts.server.time);
    let span = Duration::from_micros(left.unsigned_abs());
    let threshold = scene.target.checks.thresholds.role_expiry;
    let failed = if left <= 0 {
        check.failed(&name, format!("it ran out {} ago", words(span)))
    } else if span < threshold {
        check.failed_as(Severity::Warning, &name, format!("it runs out in {}", words(span)))
    } else {
        return check.ok(&name, format!("it runs out in {}", words(span)));
    };
    failed
        .expected(format!("more than {} left", words(threshold)))
        .remedy(format!("ALTER ROLE {name} VALID UNTIL 'infinity'; -- or a new password with a new date"))
}
