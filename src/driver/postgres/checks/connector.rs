//! The connector's role.

use super::Scene;
use super::writer::expiry;
use crate::driver::postgres::facts::{Relation, RoleFacts};
use crate::driver::postgres::identifier::quote;
use crate::finding::{Check, Finding, Rung, Severity};
use crate::target::ConnectorMode;

const CATALOGUE: &str = "reading the catalogue, which every user may";
const GUIDE: &str = "vendor's set-up guide for PostgreSQL, the connector's user";
const HEARTBEATS: &str = "vendor page on heartbeats, grants on the heartbeat table";
const WRITES: &str = "A connector on a read-write connection updates the heartbeat row itself, and only logs it when it may \
                      not: the heartbeat is then missing without anybody noticing.";
const BY_MODE: &str = "has_table_privilege() by OID: fails if it is denied. Only with connector.mode = \"read-write\": one that is connected \
                       read-only never writes, and heartbeatd does.";

const ROLE: Check = Check {
    id: "connector-role",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the connector's role exists",
    meaning: "Without its role the connector cannot log in, and none of its grants can be looked at.",
    judged: "pg_roles: fails if a role that was configured does not exist; the default name may be absent.",
    privilege: CATALOGUE,
    source: GUIDE,
};
const LOGIN: Check = Check {
    id: "connector-login",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the connector's role may log in",
    meaning: "A role without LOGIN is refused before its password is looked at.",
    judged: "pg_roles.rolcanlogin: fails if it is false.",
    privilege: CATALOGUE,
    source: GUIDE,
};
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
const REPLICATION: Check = Check {
    id: "connector-replication",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the connector's role may replicate",
    meaning: "Reading a slot takes the REPLICATION attribute, or on managed servers membership in the role that stands for \
              it.",
    judged: "pg_roles.rolreplication, rolsuper, or membership in rds_replication, rds_superuser, rdsadmin or rdsrepladmin: \
             fails if it has none of them.",
    privilege: CATALOGUE,
    source: "vendor's set-up guide for PostgreSQL; the roles are those that Debezium accepts",
};
const EXPIRY: Check = Check {
    id: "connector-expiry",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the password of the connector's role does not run out soon",
    meaning: "On that day the connector's next login is refused.",
    judged: "pg_roles.rolvaliduntil against the server's clock: an error when past, a warning when nearer than the \
             threshold role_expiry.",
    privilege: CATALOGUE,
    source: "vendor page on recovery: credentials unchanged",
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
const SELECT: Check = Check {
    id: "connector-select",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the connector's role may read the heartbeat table",
    meaning: "Without SELECT the connector cannot take a snapshot of the table, and may stop at it.",
    judged: "has_table_privilege() by OID, or has_column_privilege() of every column: fails if a column is left.",
    privilege: CATALOGUE,
    source: HEARTBEATS,
};
const INSERT: Check = Check {
    id: "connector-insert",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the connector's role may insert into the heartbeat table",
    meaning: WRITES,
    judged: BY_MODE,
    privilege: CATALOGUE,
    source: HEARTBEATS,
};
const UPDATE: Check = Check {
    id: "connector-update",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the connector's role may update the heartbeat row",
    meaning: WRITES,
    judged: BY_MODE,
    privilege: CATALOGUE,
    source: HEARTBEATS,
};
const DELETE: Check = Check {
    id: "connector-delete",
    severity: Severity::Warning,
    rung: Rung::Permission,
    title: "the connector's role may delete from the heartbeat table",
    meaning: "The vendor's page asks for DELETE beside the other three; its own scripts leave it out, and no beat needs it.",
    judged: BY_MODE,
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
    let name = &scene.connector;
    super::with(&ROLE, name, &scene.facts.roles, |roles| match &roles.connector {
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
    let name = &scene.connector;
    if role.login {
        return LOGIN.ok(name, "LOGIN");
    }
    LOGIN.failed(name, "NOLOGIN").expected("LOGIN").remedy(format!("ALTER ROLE {name} LOGIN;"))
}

fn connect(scene: &Scene<'_>, role: &RoleFacts) -> Finding {
    let database = quote(&scene.facts.server.database);
    if role.connect {
        return CONNECT.ok(&scene.connector, format!("CONNECT on {database}"));
    }
    CONNECT
        .failed(&scene.connector, format!("no CONNECT on {database}"))
        .expected("CONNECT")
        .remedy(format!("GRANT CONNECT ON DATABASE {database} TO {};", scene.connector))
}

fn replication(scene: &Scene<'_>, role: &RoleFacts) -> Finding {
    let name = &scene.connector;
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
    let (name, schema) = (&scene.connector, quote(&scene.target.heartbeat.schema));
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
            check.skipped(&scene.connector, "connector.mode is read-only: heartbeatd writes, not it")
        }
        ConnectorMode::ReadWrite => scene.with_connector(check, |role| on_table(check, privilege, has(role), scene)),
    }
}

fn on_table(check: &Check, privilege: &str, has: Option<bool>, scene: &Scene<'_>) -> Finding {
    let (name, table) = (&scene.connector, &scene.table);
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
    let name = &scene.connector;
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
