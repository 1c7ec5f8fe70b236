//! The privileges of this session's user.

use super::evidence::{Evidence, with};
use std::time::Duration;

use crate::driver::answer::Answer;
use crate::driver::mysql::error_codes;
use crate::driver::mysql::errors::{PASSING, READ_ONLY};
use crate::driver::mysql::facts::{LoginFacts, RoleFacts};
use crate::driver::mysql::grants::inquiry::{IdleRole, activation};
use crate::driver::mysql::grants::{GrantScope, Grants, Holding, unread};
use crate::driver::mysql::identifier::account;
use crate::driver::shared_checks::writer::{self, INSERT, SELECT, UPDATE};
use crate::finding::{Check, Finding, How, Rung, Severity};
use crate::remedy::Remedy;
use crate::target::{ProvisionMode, WriteMode};
use crate::time::words;

const EXPIRY: Check = writer::EXPIRY.how(How {
    judged: "The account's password lifetime, which applies to passwords that the server stores. Compared with the \
             server's clock: an error if it has expired, a warning if it expires within the threshold role_expiry.",
    privilege: "SELECT on mysql.*",
    source: "https://dev.mysql.com/doc/refman/8.4/en/password-management.html",
});

const ROLES: Check = Check {
    id: "writer-roles",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the roles that give this user its privileges are active",
    meaning: "A granted role has no effect until it is active: SHOW GRANTS lists it, but the server denies the beat.",
    judged: "The probes, and SHOW GRANTS with each inactive role. Fails if the server denies a privilege that such a \
             role would give.",
    privilege: "none: every user may read its own roles",
    source: "measured: with a role that is not a default role CURRENT_ROLE() is NONE, and its privileges are denied \
             (1142)",
};
const OBEYS: Check = Check {
    id: "writer-read-only",
    severity: Severity::Info,
    rung: Rung::Advice,
    title: "read_only applies to this user",
    meaning: "An account that can write in spite of read_only can write on a replica, which then differs from its \
              source. heartbeatd's statement checks read_only before it writes; an account without the privilege \
              cannot write there at all.",
    judged: "SHOW GRANTS. Fails if it has SUPER, CONNECTION_ADMIN (MySQL) or READ ONLY ADMIN (MariaDB).",
    privilege: "none: every user may read its own grants",
    source: "measured: an account with SUPER can write on a server that is read_only, and gets no error",
};

pub(super) const CHECKS: &[Check] = &[SELECT, UPDATE, INSERT, ROLES, OBEYS, EXPIRY];

/// The errors for a missing privilege. The object may be missing instead.
pub(super) const DENIED: &[&str] = &[
    error_codes::ER_DBACCESS_DENIED_ERROR,
    error_codes::ER_TABLEACCESS_DENIED_ERROR,
    error_codes::ER_COLUMNACCESS_DENIED_ERROR,
];

/// The plugins that log in with a password that the server keeps. Only these have password lifetimes.
const PASSWORDS: &[&str] = &[
    "caching_sha2_password",
    "sha256_password",
    "mysql_native_password",
    "mysql_old_password",
    "ed25519",
    "parsec",
    // Old servers show mysql_native_password as an empty string.
    "",
];

/// The result of a probe.
enum Probed<'a> {
    Granted(String),
    /// With the server's message, or the account's grants.
    Denied(String),
    /// Denied, but this inactive role would bring the privilege.
    Idle(&'a IdleRole),
    /// Another check comes first.
    Later(&'static str),
    Unknown(String),
}

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let probes = &evidence.facts.probes;
    let select = probed(evidence, "SELECT", &["id", "last_update"], &probes.select);
    let update = match evidence.target.write {
        WriteMode::Never => Probed::Later("write is never: heartbeatd only watches"),
        WriteMode::Always | WriteMode::WhenStale => probed(evidence, "UPDATE", &["last_update"], &probes.update),
    };
    let insert = match evidence.target.provision {
        ProvisionMode::Never => Probed::Later("provision is \"never\": heartbeatd does not insert a missing row"),
        ProvisionMode::Auto => probed(evidence, "INSERT", &["id"], &probes.insert),
    };
    let roles = roles(evidence, &[("SELECT", &select), ("UPDATE", &update), ("INSERT", &insert)]);
    vec![
        finding(&SELECT, "SELECT", select, evidence),
        finding(&UPDATE, "UPDATE", update, evidence),
        finding(&INSERT, "INSERT", insert, evidence),
        roles,
        obeys(evidence),
        expiry(&EXPIRY, &evidence.facts.roles.own, evidence),
    ]
}

fn probed<'a>(evidence: &'a Evidence<'_>, privilege: &str, columns: &[&str], probe: &Answer<()>) -> Probed<'a> {
    let user = &evidence.names.user;
    let own = &evidence.facts.roles.own;
    let Err(refusal) = probe.seen() else { return Probed::Granted(format!("granted to {user}")) };
    let places = || columns.iter().map(|column| column_of(evidence, column));
    let denied = |observed: String| match bringing(own, |grants| places().all(|place| has(grants, privilege, place))) {
        Some(idle) => Probed::Idle(idle),
        None => Probed::Denied(observed),
    };
    match refusal.code.as_str() {
        code if DENIED.contains(&code) => denied(refusal.to_string()),
        code if READ_ONLY.contains(&code) => {
            let Ok(grants) = own.grants.seen() else {
                return Probed::Unknown(format!("{refusal}; requires another look, at a server that is not read-only"));
            };
            match places().map(|place| grants.allows(privilege, place)).find(|answer| *answer != Holding::Yes) {
                None => Probed::Granted(format!("granted to {user} by SHOW GRANTS: the server is read-only")),
                Some(Holding::Unknown(lines)) => Probed::Unknown(format!("{refusal}; {}", unread(lines))),
                Some(_) => denied(format!("not granted to {user} by SHOW GRANTS: the server is read-only")),
            }
        }
        error_codes::ER_NO_SUCH_TABLE | error_codes::ER_BAD_DB_ERROR => Probed::Later("there is no such table"),
        error_codes::ER_BAD_FIELD_ERROR
        | error_codes::ER_NON_UPDATABLE_TABLE
        | error_codes::ER_NONUPDATEABLE_COLUMN
        | error_codes::ER_VIEW_INVALID
        | error_codes::ER_NO_DEFAULT_FOR_FIELD
        | error_codes::ER_NON_INSERTABLE_TABLE
        | error_codes::ER_WARNING_NON_DEFAULT_VALUE_FOR_GENERATED_COLUMN
        | error_codes::ER_NON_DEFAULT_VALUE_FOR_GENERATED_COLUMN
        | error_codes::ER_ILLEGAL_HA
        | error_codes::ER_OPEN_AS_READONLY => Probed::Later("the table has another fault, which comes first"),
        _ => Probed::Unknown(refusal.unless(&grant(privilege, evidence), PASSING)),
    }
}

fn column_of<'a>(evidence: &'a Evidence<'_>, column: &'a str) -> GrantScope<'a> {
    GrantScope::Column(&evidence.target.heartbeat.schema, &evidence.target.heartbeat.table, column)
}

fn grant(privilege: &str, evidence: &Evidence<'_>) -> String {
    format!("GRANT {privilege} ON {} TO {};", evidence.names.table, evidence.names.user)
}

fn finding(check: &Check, privilege: &str, probed: Probed<'_>, evidence: &Evidence<'_>) -> Finding {
    let (table, user) = (&evidence.names.table, &evidence.names.user);
    match probed {
        Probed::Granted(observed) => check.ok(table, observed),
        Probed::Later(why) => check.skipped(table, why),
        Probed::Unknown(why) => check.unknown(table, why),
        Probed::Idle(..) => check.skipped(table, "it comes with a role that is not active, which comes first"),
        Probed::Denied(observed) => {
            let grant = Remedy::sql(grant(privilege, evidence));
            let remedy = match evidence.relation() {
                Some(_) => grant,
                None => grant.note(format!(
                    "if the server says that there is no such table, run {}",
                    evidence.provision_in_words()
                )),
            };
            check.failed(table, observed).expected(format!("{privilege} for {user}")).remedy(remedy)
        }
    }
}

fn roles(evidence: &Evidence<'_>, probed: &[(&str, &Probed<'_>)]) -> Finding {
    let (user, own) = (&evidence.names.user, &evidence.facts.roles.own);
    let idle = probed.iter().find_map(|(privilege, probed)| match probed {
        Probed::Idle(idle) => Some((*privilege, *idle)),
        _ => None,
    });
    match idle {
        Some((privilege, idle)) => idle_role(&ROLES, privilege, idle, own, evidence),
        None if own.idle.is_empty() => ROLES.ok(user, "it has no other roles"),
        None => ROLES.ok(user, "its other roles would bring nothing that is missing"),
    }
}

/// The finding that an inactive role would bring a privilege.
pub(super) fn idle_role(
    check: &Check,
    privilege: &str,
    idle: &IdleRole,
    of: &RoleFacts,
    evidence: &Evidence<'_>,
) -> Finding {
    let (name, role) = (of.account.quoted(), idle.role.quoted());
    let remedy = activation(evidence.facts.server.flavour, &name, &of.active, &idle.role);
    check
        .failed(&name, format!("{privilege} comes with the role {role}, which is not active"))
        .expected(format!("{role} as a default role"))
        .remedy(Remedy::sql(remedy).note("holds from the next login on"))
}

/// The first of an account's inactive roles whose grants suffice.
pub(super) fn bringing(account: &RoleFacts, would_do: impl Fn(&Grants) -> bool) -> Option<&IdleRole> {
    account.idle.iter().find(|idle| idle.grants.answer().is_some_and(&would_do))
}

pub(super) fn has(grants: &Grants, privilege: &str, place: GrantScope<'_>) -> bool {
    grants.allows(privilege, place) == Holding::Yes
}

fn obeys(evidence: &Evidence<'_>) -> Finding {
    let user = &evidence.names.user;
    let own = &evidence.facts.roles.own;
    let server = &evidence.facts.server;
    // ALL PRIVILEGES includes every privilege that the server knows; MySQL introduced the finer ones together with
    // roles.
    let strong: &[(&str, &str)] = match server.variable("activate_all_roles_on_login") {
        _ if server.flavour.is_mariadb() => &[("SUPER", "SUPER"), ("READ ONLY ADMIN", "READ ONLY ADMIN")],
        Some(_) => &[("SUPER", "SUPER"), ("CONNECTION ADMIN", "CONNECTION_ADMIN")],
        None => &[("SUPER", "SUPER")],
    };
    with(&OBEYS, user, &own.grants, |grants| {
        let held = strong.iter().filter(|(privilege, _)| grants.holds(privilege)).map(|(_, name)| *name);
        let held: Vec<_> = held.collect();
        if held.is_empty() {
            return OBEYS.ok(user, "it is");
        }
        OBEYS
            .failed(user, format!("it holds {}", held.join(", ")))
            .expected("an account that does the heartbeat and nothing else")
            .remedy(Remedy::sql(format!("CREATE USER {} IDENTIFIED BY <password>;", account("heartbeat", "%"))).note(
                format!(
                    "an account of its own for heartbeatd; then name it in url, and run {}",
                    evidence.provision_in_words()
                ),
            ))
    })
}

/// The grant that shows accounts and their grants.
pub(super) fn look_grant(evidence: &Evidence<'_>) -> String {
    format!("GRANT SELECT ON `mysql`.* TO {};", evidence.names.user)
}

/// Judges when an account's password expires.
pub(super) fn expiry(check: &Check, of: &RoleFacts, evidence: &Evidence<'_>) -> Finding {
    let name = of.account.quoted();
    match of.login.seen() {
        Ok(facts) => expires(check, &name, facts, evidence),
        Err(refusal) => check.unknown(name, refusal.unless(&look_grant(evidence), PASSING)),
    }
}

fn expires(check: &Check, name: &str, account: &LoginFacts, evidence: &Evidence<'_>) -> Finding {
    let remedy = Remedy::sql(format!("ALTER USER {name} PASSWORD EXPIRE NEVER;")).note("or set a new password");
    if account.expired {
        return check.failed(name, "it was declared expired").expected("a password that is valid").remedy(
            Remedy::sql(format!("ALTER USER {name} IDENTIFIED BY <password>;"))
                .note("a new password, or the old one again"),
        );
    }
    if !PASSWORDS.contains(&account.plugin.as_str()) {
        return check.ok(name, format!("it logs in by {}, and has no password that could run out", account.plugin));
    }
    let Some(until) = account.valid_until else { return check.ok(name, "it never expires") };
    let left = until.saturating_sub(evidence.facts.server.time);
    let span = Duration::from_micros(left.unsigned_abs());
    let threshold = evidence.target.checks.thresholds.role_expiry;
    let failed = if left <= 0 {
        check.failed(name, format!("it expired {} ago", words(span)))
    } else if span < threshold {
        check.failed_as(Severity::Warning, name, format!("it expires in {}", words(span)))
    } else {
        return check.ok(name, format!("it expires in {}", words(span)));
    };
    failed.expected(format!("more than {} left", words(threshold))).remedy(remedy)
}
