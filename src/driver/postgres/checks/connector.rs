//! The connector's role.

use super::scene::{Scene, with};
use super::writer::expiry;
use crate::driver::postgres::facts::{Relation, RoleFacts};
use crate::driver::postgres::identifier::quote;
use crate::driver::shared_checks::connector::{DELETE, EXPIRY, INSERT, LOGIN, REPLICATION, ROLE, SELECT, UPDATE};
use crate::finding::{Check, Finding, Rung, Severity};
use crate::target::ConnectorMode;

const CATALOGUE: &str = "reading the catalogue, which every user may";
const GUIDE: &str = "vendor's set-up guide for PostgreSQL, the connector's user";
const HEARTBEATS: &str = "vendor page on heartbeats, grants on the heartbeat table";

const CONNECT: Check = Check {
    id: "connector-connect",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the connector's role may connect to this database",
    meaning: "CONNECT is everybody's by default, and is often revoked.",
    judged: "has_database_privilege() for the database of the address: fails if CONNECT is denied.",
    privilege: CATALOGUE,
    source: GUIDE,
};
const USAGE: Check = Check {
    id: "connector-usage",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the connector's role may use the heartbeat's schema",
    meaning: "Without USAGE on the schema the grants on the table are worth nothing.",
    judged: "has_schema_privilege() by OID: fails if USAGE is denied.",
    privilege: CATALOGUE,
    source: HEARTBEATS,
};
const SEQUENCE: Check = Check {
    id: "connector-sequence",
    severity: Severity::Info,
    rung: Rung::Permission,
    title: "the connector's role may use the sequence of id",
    meaning: "The vendor's grants leave the sequence out: an insert without an id is refused without it. Updates do not \
              need it.",
    judged: "has_sequence_privilege() by OID: fails if USAGE is denied. Only with connector.mode = \"read-write\".",
    privilege: CATALOGUE,
    source: "measured: an insert by a non-owner fails with SQLSTATE 42501 on the sequence",
};

pub(super) const CHECKS: &[Check] =
    &[ROLE, LOGIN, CONNECT, REPLICATION, EXPIRY, USAGE, SELECT, INSERT, UPDATE, DELETE, SEQUENCE];

pub(super) fn judge(scene: &Scene<'_>) -> Vec<Finding> {
    vec![
        role(scene),
        scene.with_connector(&LOGIN, |role| login(scene, role)),
        scene.with_connector(&CONNECT, |role| connect(scene, role)),
        scene.with_connector(&REPLICATION, |role| replication(scene, role)),
        scene.with_connector(&EXPIRY, |role| expiry(&EXPIRY, role, scene)),
        scene.with_connector(&USAGE, |role| usage(scene, role)),
        scene.with_connector(&SELECT, |role| on_table(&SELECT, "SELECT", role.select, scene)),
        written(&INSERT, "INSERT", scene, |role| role.insert),
        written(&UPDATE, "UPDATE", scene, |role| role.update),
        written(&DELETE, "DELETE", scene, |role| role.delete),
        sequence(scene),
    ]
}

fn role(scene: &Scene<'_>) -> Finding {
    let named = &scene.target.connector.user;
    let name = &scene.names.connector;
    with(&ROLE, name, &scene.facts.roles, |roles| match &roles.connector {
        Some(_) => ROLE.ok(name, "it exists"),
        None if named.configured => ROLE
            .failed(name, "there is no such role")
            .remedy(format!("CREATE ROLE {name} LOGIN REPLICATION; -- then in psql: \\password {name}")),
        None => {
            ROLE.skipped(name, "no role has the default name: say under [target.connector] which user it logs in as")
        }
    })
}

fn login(scene: &Scene<'_>, role: &RoleFacts) -> Finding {
    let name = &scene.names.connector;
    if role.login {
        return LOGIN.ok(name, "LOGIN");
    }
    LOGIN.failed(name, "NOLOGIN").expected("LOGIN").remedy(format!("ALTER ROLE {name} LOGIN;"))
}

fn connect(scene: &Scene<'_>, role: &RoleFacts) -> Finding {
    let database = quote(&scene.facts.server.database);
    if role.connect {
        return CONNECT.ok(&scene.names.connector, format!("CONNECT on {database}"));
    }
    CONNECT
        .failed(&scene.names.connector, format!("no CONNECT on {database}"))
        .expected("CONNECT")
        .remedy(format!("GRANT CONNECT ON DATABASE {database} TO {};", scene.names.connector))
}

fn replication(scene: &Scene<'_>, role: &RoleFacts) -> Finding {
    let name = &scene.names.connector;
    if role.superuser {
        return REPLICATION.ok(name, "a superuser");
    }
    if role.replication {
        return REPLICATION.ok(name, "REPLICATION");
    }
    if let Some(managed) = role.replication_roles.first() {
        return REPLICATION.ok(name, format!("member of {managed}"));
    }
    let remedy = if scene.facts.server.setting("rds.logical_replication").is_some() {
        format!("GRANT rds_replication TO {name};")
    } else {
        format!("ALTER ROLE {name} REPLICATION;")
    };
    REPLICATION
        .failed(name, "NOREPLICATION, and in none of the roles that stand for it")
        .expected("REPLICATION")
        .remedy(remedy)
}

fn usage(scene: &Scene<'_>, role: &RoleFacts) -> Finding {
    let (name, schema) = (&scene.names.connector, quote(&scene.target.heartbeat.schema));
    match role.usage {
        None => USAGE.skipped(name, "there is no such schema"),
        Some(true) => USAGE.ok(name, format!("USAGE on {schema}")),
        Some(false) => USAGE
            .failed(name, format!("no USAGE on {schema}"))
            .expected("USAGE")
            .remedy(format!("GRANT USAGE ON SCHEMA {schema} TO {name};")),
    }
}

fn written(check: &Check, privilege: &str, scene: &Scene<'_>, has: impl Fn(&RoleFacts) -> Option<bool>) -> Finding {
    match scene.target.connector.mode {
        ConnectorMode::ReadOnly => {
            check.skipped(&scene.names.connector, "connector.mode is read-only: heartbeatd writes, not it")
        }
        ConnectorMode::ReadWrite => scene.with_connector(check, |role| on_table(check, privilege, has(role), scene)),
    }
}

fn on_table(check: &Check, privilege: &str, has: Option<bool>, scene: &Scene<'_>) -> Finding {
    let (name, table) = (&scene.names.connector, &scene.names.table);
    match has {
        None => check.skipped(name, "there is no such table"),
        Some(true) => check.ok(name, format!("{privilege} on {table}")),
        Some(false) => check
            .failed(name, format!("no {privilege} on {table}"))
            .expected(privilege)
            .remedy(format!("GRANT {privilege} ON TABLE {table} TO {name};")),
    }
}

fn sequence(scene: &Scene<'_>) -> Finding {
    let name = &scene.names.connector;
    let sequence = scene.relation().and_then(|relation: &Relation| relation.sequence.as_deref());
    if scene.target.connector.mode == ConnectorMode::ReadOnly {
        return SEQUENCE.skipped(name, "connector.mode is read-only: heartbeatd writes, not it");
    }
    scene.with_connector(&SEQUENCE, |role| match (role.sequence, sequence) {
        (Some(true), Some(sequence)) => SEQUENCE.ok(name, format!("USAGE on {sequence}")),
        (Some(false), Some(sequence)) => SEQUENCE
            .failed(name, format!("no USAGE on {sequence}"))
            .expected("USAGE")
            .remedy(format!("GRANT USAGE ON SEQUENCE {sequence} TO {name};")),
        _ => SEQUENCE.skipped(name, "id takes its values from no sequence"),
    })
}
