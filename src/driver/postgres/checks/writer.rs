//! The privileges of this session's user.

use super::evidence::{CATALOGUE, Evidence, with};
use std::time::Duration;

use crate::driver::answer::Answer;
use crate::driver::postgres::errors::{
    DATATYPE_MISMATCH, GENERATED_ALWAYS, INSUFFICIENT_PRIVILEGE, INVALID_COLUMN_REFERENCE, INVALID_SCHEMA_NAME,
    OBJECT_NOT_IN_PREREQUISITE_STATE, PASSING, UNDEFINED_COLUMN, UNDEFINED_TABLE, WRONG_OBJECT_TYPE,
};
use crate::driver::postgres::facts::RoleFacts;
use crate::driver::postgres::identifier::quote;
use crate::driver::shared_checks::writer::{self, INSERT, SELECT, UPDATE};
use crate::finding::{Check, Finding, How, Rung, Severity};
use crate::remedy::Remedy;
use crate::target::{ProvisionMode, WriteMode};
use crate::time::words;

const EXPIRY: Check = writer::EXPIRY.how(How {
    judged: "pg_roles.rolvaliduntil. Compared with the server's clock: an error if it has expired, a warning if it \
             expires within the threshold role_expiry.",
    privilege: CATALOGUE,
    source: "https://www.postgresql.org/docs/current/sql-createrole.html, VALID UNTIL",
});

const USAGE: Check = Check {
    id: "schema-usage",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "this user may use the heartbeat's schema",
    meaning: "Without USAGE on the schema the grants on the table have no effect.",
    judged: "has_schema_privilege() by OID, for this session's user. Fails if USAGE is denied.",
    privilege: CATALOGUE,
    source: "vendor page on heartbeats, troubleshooting: USAGE on the schema",
};

pub(super) const CHECKS: &[Check] = &[USAGE, SELECT, UPDATE, INSERT, EXPIRY];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let probes = &evidence.facts.probes;
    let update = match evidence.target.write {
        WriteMode::Never => UPDATE.skipped(&evidence.names.table, "write is never: heartbeatd only watches"),
        WriteMode::Always | WriteMode::WhenStale => probed(&UPDATE, "UPDATE", &probes.update, evidence),
    };
    let insert = match evidence.target.provision {
        ProvisionMode::Never => {
            INSERT.skipped(&evidence.names.table, "provision is \"never\": heartbeatd does not insert a missing row")
        }
        ProvisionMode::Auto => probed(&INSERT, "INSERT", &probes.insert, evidence),
    };
    let own = with(&EXPIRY, &evidence.names.user, &evidence.facts.roles, |roles| match &roles.own {
        Some(role) => expiry(&EXPIRY, role, evidence),
        None => EXPIRY.unknown(
            &evidence.names.user,
            "this user is not in pg_roles; requires a user that is a role of the server",
        ),
    });
    vec![usage(evidence), probed(&SELECT, "SELECT", &probes.select, evidence), update, insert, own]
}

fn usage(evidence: &Evidence<'_>) -> Finding {
    let schema = quote(&evidence.target.heartbeat.schema);
    with(&USAGE, &schema, &evidence.facts.table, |facts| match &facts.schema {
        None => USAGE.skipped(&schema, "there is no such schema"),
        Some(found) if found.usage => USAGE.ok(&schema, format!("granted to {}", evidence.names.user)),
        Some(_) => USAGE
            .failed(&schema, format!("not granted to {}", evidence.names.user))
            .expected("USAGE")
            .remedy(Remedy::sql(format!("GRANT USAGE ON SCHEMA {schema} TO {};", evidence.names.user))),
    })
}

fn probed(check: &Check, privilege: &str, probe: &Answer<()>, evidence: &Evidence<'_>) -> Finding {
    let (table, user) = (&evidence.names.table, &evidence.names.user);
    let Err(refusal) = probe.seen() else { return check.ok(table, format!("granted to {user}")) };
    let schema = evidence.facts.table.answer().and_then(|facts| facts.schema.as_ref());
    match refusal.code.as_str() {
        INSUFFICIENT_PRIVILEGE if schema.is_some_and(|schema| !schema.usage) => {
            check.skipped(table, "the schema may not be used, which comes first")
        }
        INSUFFICIENT_PRIVILEGE => check
            .failed(table, refusal.to_string())
            .expected(format!("{privilege} for {user}"))
            .remedy(Remedy::sql(format!("GRANT {privilege} ON TABLE {table} TO {user};"))),
        UNDEFINED_TABLE | INVALID_SCHEMA_NAME => check.skipped(table, "there is no such table"),
        UNDEFINED_COLUMN | WRONG_OBJECT_TYPE | GENERATED_ALWAYS | DATATYPE_MISMATCH => {
            check.skipped(table, "the table has another fault, which comes first")
        }
        // The server checks privileges before it checks what a publication requires of an update.
        OBJECT_NOT_IN_PREREQUISITE_STATE | INVALID_COLUMN_REFERENCE => {
            check.ok(table, format!("granted to {user}; it is refused all the same: {refusal}"))
        }
        _ => check.unknown(table, refusal.unless(&format!("GRANT {privilege} ON TABLE {table} TO {user};"), PASSING)),
    }
}

/// Judges when a role's password expires.
pub(super) fn expiry(check: &Check, role: &RoleFacts, evidence: &Evidence<'_>) -> Finding {
    let name = quote(&role.name);
    let Some(until) = role.valid_until else { return check.ok(&name, "it never expires") };
    let left = until.saturating_sub(evidence.facts.server.time);
    let span = Duration::from_micros(left.unsigned_abs());
    let threshold = evidence.target.checks.thresholds.role_expiry;
    let failed = if left <= 0 {
        check.failed(&name, format!("it expired {} ago", words(span)))
    } else if span < threshold {
        check.failed_as(Severity::Warning, &name, format!("it expires in {}", words(span)))
    } else {
        return check.ok(&name, format!("it expires in {}", words(span)));
    };
    failed.expected(format!("more than {} left", words(threshold))).remedy(
        Remedy::sql(format!("ALTER ROLE {name} VALID UNTIL 'infinity';")).note("or set a new password with a new date"),
    )
}
