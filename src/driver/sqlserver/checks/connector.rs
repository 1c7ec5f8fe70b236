//! The connector's user, the role that holds its grants, and the role that gates its change data.

use super::evidence::{DEFINITION, Evidence};
use crate::driver::answer::Answer;
use crate::driver::shared_checks::connector;
use crate::driver::sqlserver::facts::{CaptureInstance, Principals};
use crate::driver::sqlserver::family::{capture_instance_of, role_of};
use crate::driver::sqlserver::identifier::quote;
use crate::driver::sqlserver::remedies;
use crate::finding::{Check, Finding, Rung, Severity};
use crate::target::ConnectorMode;

const ROLE: Check = connector::ROLE.requires(DEFINITION);
const SELECT: Check = connector::SELECT.requires(DEFINITION);
const INSERT: Check = connector::INSERT.requires(DEFINITION);
const UPDATE: Check = connector::UPDATE.requires(DEFINITION);
const DELETE: Check = connector::DELETE.requires(DEFINITION);

const MEMBER: Check = Check {
    id: "connector-membership",
    severity: Severity::Warning,
    rung: Rung::Permission,
    title: "the connector's user is a member of its role",
    meaning: "The vendor's set-up guide grants all privileges to the role streamkap_role. A user outside the role has \
              none of them.",
    judged: "sys.database_role_members, also by way of another role: fails if the user is not in it. Skipped where the role \
             does not exist and none is configured.",
    privilege: DEFINITION,
    source: "vendor page on heartbeats: verify that streamkap_role has the required grants",
};
const GATE: Check = Check {
    id: "capture-gating-role",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the connector's user may read the changes of the heartbeat table",
    meaning: "If a capture instance has a gating role, only members of the role can read its changes. Others read \
              none, and get no error.",
    judged: "cdc.change_tables.role_name: fails if the capture instance has a role that the connector's user is not in. \
             Members of db_owner need none.",
    privilege: "SELECT on the schema cdc, and VIEW DEFINITION on the database",
    source: "https://learn.microsoft.com/en-us/sql/relational-databases/system-stored-procedures/\
             sys-sp-cdc-enable-table-transact-sql, @role_name",
};

pub(super) const CHECKS: &[Check] = &[ROLE, MEMBER, SELECT, INSERT, UPDATE, DELETE, GATE];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    vec![
        role(evidence),
        member(evidence),
        with_connector(evidence, &SELECT, |found| granted(evidence, &SELECT, "SELECT", found)),
        written(evidence, &INSERT, "INSERT"),
        written(evidence, &UPDATE, "UPDATE"),
        written(evidence, &DELETE, "DELETE"),
        gate(evidence),
    ]
}

fn role(evidence: &Evidence<'_>) -> Finding {
    let (named, name) = (&evidence.target.connector.user, &evidence.names.connector);
    evidence.with_principals(&ROLE, name, |found| match found.has(&named.name) {
        true => ROLE.ok(name, "it exists"),
        false if named.configured => {
            ROLE.failed(name, "the database has no such user").remedy(remedies::create_user(evidence.target, name))
        }
        false => {
            ROLE.skipped(name, "no user has the default name: say under [target.connector] which user it logs in as")
        }
    })
}

fn member(evidence: &Evidence<'_>) -> Finding {
    let (role, user) = (role_of(evidence.target), &evidence.target.connector.user.name);
    let quoted = quote(&role.name);
    with_connector(evidence, &MEMBER, |found| {
        if found.is_member(user, &role.name) {
            return MEMBER.ok(&evidence.names.connector, format!("member of {quoted}"));
        }
        if !found.has(&role.name) && !role.configured {
            return MEMBER.skipped(&evidence.names.connector, format!("the database has no role {quoted}"));
        }
        MEMBER
            .failed(&evidence.names.connector, format!("no member of {quoted}"))
            .expected(format!("member of {quoted}"))
            .remedy(evidence.as_owner(format!("ALTER ROLE {quoted} ADD MEMBER {};", evidence.names.connector)))
    })
}

fn written(evidence: &Evidence<'_>, check: &Check, privilege: &'static str) -> Finding {
    match evidence.target.connector.mode {
        ConnectorMode::ReadOnly => {
            check.skipped(&evidence.names.connector, "connector.mode is read-only: heartbeatd writes, not it")
        }
        ConnectorMode::ReadWrite => with_connector(evidence, check, |found| granted(evidence, check, privilege, found)),
    }
}

fn granted(evidence: &Evidence<'_>, check: &Check, privilege: &'static str, found: &Principals) -> Finding {
    let (name, table) = (&evidence.names.connector, &evidence.names.table);
    let rights = found.rights_of(&evidence.target.connector.user.name);
    if rights.held.contains(privilege) {
        return check.ok(name, format!("{privilege} on {table}"));
    }
    let (observed, remedy) = match rights.denied.iter().find(|(denied, _)| *denied == privilege) {
        Some((_, by)) => (
            format!("{privilege} on {table} is denied to {}, which wins over every grant", quote(by)),
            remedies::revoke(evidence.target, privilege, by, name),
        ),
        None => {
            let role = role_of(evidence.target);
            let grantee = if found.has(&role.name) { quote(&role.name) } else { name.clone() };
            let grant = format!("GRANT {privilege} ON OBJECT::{table} TO {grantee};");
            (format!("no {privilege} on {table}"), evidence.as_owner(grant))
        }
    };
    check.failed(name, observed).expected(privilege).remedy(remedy)
}

fn with_connector(evidence: &Evidence<'_>, check: &Check, judge: impl FnOnce(&Principals) -> Finding) -> Finding {
    let name = &evidence.names.connector;
    evidence.with_principals(check, name, |found| match found.has(&evidence.target.connector.user.name) {
        true => judge(found),
        false => check.skipped(name, "the database has no such user"),
    })
}

fn gate(evidence: &Evidence<'_>) -> Finding {
    let name = &evidence.names.connector;
    let Some(Answer::Seen(instances)) = &evidence.facts.instances else {
        return GATE.skipped(name, "the capture instances are not known, which comes first");
    };
    let Some(instance) = instance_of(evidence, instances) else {
        return GATE.skipped(name, "there is no capture instance, which comes first");
    };
    let Some(role) = &instance.role else { return GATE.ok(name, "no gating role") };
    with_connector(evidence, &GATE, |found| {
        let user = &evidence.target.connector.user.name;
        if found.is_member(user, role) || found.is_member(user, "db_owner") {
            return GATE.ok(name, format!("member of {}", quote(role)));
        }
        let role = quote(role);
        GATE.failed(name, format!("no member of {role}, which gates {}", instance.name))
            .expected(format!("member of {role}"))
            .remedy(evidence.as_owner(format!("ALTER ROLE {role} ADD MEMBER {name};")))
    })
}

/// The capture instance that the connector reads: the configured one, else the newest.
pub(super) fn instance_of<'a>(
    evidence: &Evidence<'_>,
    instances: &'a [CaptureInstance],
) -> Option<&'a CaptureInstance> {
    let wanted = capture_instance_of(evidence.target);
    match wanted.configured {
        true => instances.iter().find(|instance| instance.name.eq_ignore_ascii_case(&wanted.name)),
        false => instances.first(),
    }
}
