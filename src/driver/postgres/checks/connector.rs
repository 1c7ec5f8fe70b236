//! The connector's role.

use super::evidence::{CATALOGUE, Evidence, with};
use super::writer::expiry;
use crate::driver::postgres::cloud::Provider;
use crate::driver::postgres::facts::{Relation, RoleFacts};
use crate::driver::postgres::identifier::quote;
use crate::driver::shared_checks::connector;
use crate::finding::{Check, Finding, How, Rung, Severity};
use crate::remedy::Remedy;
use crate::target::ConnectorMode;

const ROLE: Check = connector::ROLE.requires(CATALOGUE);
const SELECT: Check = connector::SELECT.requires(CATALOGUE);
const INSERT: Check = connector::INSERT.requires(CATALOGUE);
const UPDATE: Check = connector::UPDATE.requires(CATALOGUE);
const DELETE: Check = connector::DELETE.requires(CATALOGUE);
const LOGIN: Check = connector::LOGIN.how(How {
    judged: "pg_roles.rolcanlogin. Fails if the role may not log in.",
    privilege: CATALOGUE,
    source: "vendor's set-up guides, the connector's user",
});
const REPLICATION: Check = connector::REPLICATION.how(How {
    judged: "pg_roles.rolreplication, rolsuper, or membership in rds_replication, rds_superuser, rdsadmin or \
             rdsrepladmin. Fails if it has none of them.",
    privilege: CATALOGUE,
    source: "vendor's set-up guides, the connector's user; Debezium accepts the same roles",
});
const EXPIRY: Check = connector::EXPIRY.how(How {
    judged: "pg_roles.rolvaliduntil. Compared with the server's clock: an error if it has expired, a warning if it \
             expires within the threshold role_expiry.",
    privilege: CATALOGUE,
    source: "vendor page on recovery: credentials unchanged",
});

const GUIDE: &str = "vendor's set-up guide for PostgreSQL, the connector's user";
const HEARTBEATS: &str = "vendor page on heartbeats, grants on the heartbeat table";

const CONNECT: Check = Check {
    id: "connector-connect",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the connector's role may connect to this database",
    meaning: "Every role has CONNECT by default, but administrators often revoke it.",
    judged: "has_database_privilege() for the database of the address. Fails if CONNECT is denied.",
    privilege: CATALOGUE,
    source: GUIDE,
};
const USAGE: Check = Check {
    id: "connector-usage",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the connector's role may use the heartbeat's schema",
    meaning: "Without USAGE on the schema the grants on the table have no effect.",
    judged: "has_schema_privilege() by OID. Fails if USAGE is denied.",
    privilege: CATALOGUE,
    source: HEARTBEATS,
};
const SEQUENCE: Check = Check {
    id: "connector-sequence",
    severity: Severity::Info,
    rung: Rung::Permission,
    title: "the connector's role may use the sequence of id",
    meaning: "The vendor's grants leave the sequence out. Without it the server refuses an INSERT without an id. \
              Updates do not need it.",
    judged: "has_sequence_privilege() by OID. Fails if USAGE is denied. Only with connector.mode = \"read-write\".",
    privilege: CATALOGUE,
    source: "measured: an insert by a non-owner fails with SQLSTATE 42501 on the sequence",
};

pub(super) const CHECKS: &[Check] =
    &[ROLE, LOGIN, CONNECT, REPLICATION, EXPIRY, USAGE, SELECT, INSERT, UPDATE, DELETE, SEQUENCE];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    vec![
        role(evidence),
        evidence.with_connector(&LOGIN, |role| login(evidence, role)),
        evidence.with_connector(&CONNECT, |role| connect(evidence, role)),
        evidence.with_connector(&REPLICATION, |role| replication(evidence, role)),
        evidence.with_connector(&EXPIRY, |role| expiry(&EXPIRY, role, evidence)),
        evidence.with_connector(&USAGE, |role| usage(evidence, role)),
        evidence.with_connector(&SELECT, |role| on_table(&SELECT, "SELECT", role.select, evidence)),
        written(&INSERT, "INSERT", evidence, |role| role.insert),
        written(&UPDATE, "UPDATE", evidence, |role| role.update),
        written(&DELETE, "DELETE", evidence, |role| role.delete),
        sequence(evidence),
    ]
}

fn role(evidence: &Evidence<'_>) -> Finding {
    let named = &evidence.target.connector.user;
    let name = &evidence.names.connector;
    with(&ROLE, name, &evidence.facts.roles, |roles| match &roles.connector {
        Some(_) => ROLE.ok(name, "it exists"),
        None if named.configured => ROLE.failed(name, "there is no such role").remedy(
            Remedy::sql(format!("CREATE ROLE {name} LOGIN REPLICATION;"))
                .note(format!("then give it a password in psql: \\password {name}")),
        ),
        None => {
            ROLE.skipped(name, "no role has the default name: say under [target.connector] which user it logs in as")
        }
    })
}

fn login(evidence: &Evidence<'_>, role: &RoleFacts) -> Finding {
    let name = &evidence.names.connector;
    if role.login {
        return LOGIN.ok(name, "LOGIN");
    }
    LOGIN.failed(name, "NOLOGIN").expected("LOGIN").remedy(Remedy::sql(format!("ALTER ROLE {name} LOGIN;")))
}

fn connect(evidence: &Evidence<'_>, role: &RoleFacts) -> Finding {
    let database = quote(&evidence.facts.server.database);
    if role.connect {
        return CONNECT.ok(&evidence.names.connector, format!("CONNECT on {database}"));
    }
    CONNECT
        .failed(&evidence.names.connector, format!("no CONNECT on {database}"))
        .expected("CONNECT")
        .remedy(Remedy::sql(format!("GRANT CONNECT ON DATABASE {database} TO {};", evidence.names.connector)))
}

fn replication(evidence: &Evidence<'_>, role: &RoleFacts) -> Finding {
    let name = &evidence.names.connector;
    if role.superuser {
        return REPLICATION.ok(name, "a superuser");
    }
    if role.replication {
        return REPLICATION.ok(name, "REPLICATION");
    }
    if let Some(managed) = role.replication_roles.first() {
        return REPLICATION.ok(name, format!("member of {managed}"));
    }
    let server = &evidence.facts.server;
    let amazons =
        server.provider.is_some_and(Provider::is_amazons) || server.setting("rds.logical_replication").is_some();
    let remedy = if amazons {
        Remedy::sql(format!("GRANT rds_replication TO {name};"))
    } else {
        Remedy::sql(format!("ALTER ROLE {name} REPLICATION;"))
    };
    REPLICATION
        .failed(name, "NOREPLICATION, and in none of the roles that stand for it")
        .expected("REPLICATION")
        .remedy(remedy)
}

fn usage(evidence: &Evidence<'_>, role: &RoleFacts) -> Finding {
    let (name, schema) = (&evidence.names.connector, quote(&evidence.target.heartbeat.schema));
    match role.usage {
        None => USAGE.skipped(name, "there is no such schema"),
        Some(true) => USAGE.ok(name, format!("USAGE on {schema}")),
        Some(false) => USAGE
            .failed(name, format!("no USAGE on {schema}"))
            .expected("USAGE")
            .remedy(Remedy::sql(format!("GRANT USAGE ON SCHEMA {schema} TO {name};"))),
    }
}

fn written(
    check: &Check,
    privilege: &str,
    evidence: &Evidence<'_>,
    has: impl Fn(&RoleFacts) -> Option<bool>,
) -> Finding {
    match evidence.target.connector.mode {
        ConnectorMode::ReadOnly => {
            check.skipped(&evidence.names.connector, "connector.mode is read-only: heartbeatd writes, not it")
        }
        ConnectorMode::ReadWrite => {
            evidence.with_connector(check, |role| on_table(check, privilege, has(role), evidence))
        }
    }
}

fn on_table(check: &Check, privilege: &str, has: Option<bool>, evidence: &Evidence<'_>) -> Finding {
    let (name, table) = (&evidence.names.connector, &evidence.names.table);
    match has {
        None => check.skipped(name, "there is no such table"),
        Some(true) => check.ok(name, format!("{privilege} on {table}")),
        Some(false) => check
            .failed(name, format!("no {privilege} on {table}"))
            .expected(privilege)
            .remedy(Remedy::sql(format!("GRANT {privilege} ON TABLE {table} TO {name};"))),
    }
}

fn sequence(evidence: &Evidence<'_>) -> Finding {
    let name = &evidence.names.connector;
    let sequence = evidence.relation().and_then(|relation: &Relation| relation.sequence.as_deref());
    if evidence.target.connector.mode == ConnectorMode::ReadOnly {
        return SEQUENCE.skipped(name, "connector.mode is read-only: heartbeatd writes, not it");
    }
    evidence.with_connector(&SEQUENCE, |role| match (role.sequence, sequence) {
        (Some(true), Some(sequence)) => SEQUENCE.ok(name, format!("USAGE on {sequence}")),
        (Some(false), Some(sequence)) => SEQUENCE
            .failed(name, format!("no USAGE on {sequence}"))
            .expected("USAGE")
            .remedy(Remedy::sql(format!("GRANT USAGE ON SEQUENCE {sequence} TO {name};"))),
        _ => SEQUENCE.skipped(name, "id takes its values from no sequence"),
    })
}
