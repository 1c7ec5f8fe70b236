//! The users: the one that writes the heartbeat row, the connector's user and, in a multitenant database, its common
//! user.

use std::time::Duration;

use super::evidence::{Evidence, with};
use crate::driver::oracle::errors::PASSING;
use crate::driver::oracle::facts::AccountFacts;
use crate::driver::oracle::family::common_user_of;
use crate::driver::oracle::identifier::{quote, stored};
use crate::driver::oracle::remedies::{as_sysdba, grant_on, new_password, new_user, unlock};
use crate::driver::shared_checks::{connector, writer};
use crate::finding::{Check, Finding, How, Rung, Severity};
use crate::target::{ConnectorMode, Named, ProvisionMode, WriteMode};
use crate::time::words;

const LOGMINER: Check = Check {
    id: "connector-logminer",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the connector's user may read the redo log",
    meaning: "A connector reads changes by LogMiner, which requires privileges of its own; in a multitenant database the \
              common user needs them, in all containers.",
    judged: "DBA_SYS_PRIVS and DBA_ROLE_PRIVS, direct grants only: fails if LOGMINING, or SELECT ANY TRANSACTION, or both \
             of EXECUTE_CATALOG_ROLE and SELECT_CATALOG_ROLE are missing. A connector that uses XStream or OpenLogReplicator \
             needs others: leave the check out there.",
    privilege: "SELECT_CATALOG_ROLE",
    source: "Debezium's documentation of its connector for Oracle, creating users for the connector",
};

/// The catalogue views that show the accounts and grants of other users.
const OTHERS: &str = "SELECT_CATALOG_ROLE";

/// Requirements for reading the grants on the table.
const GRANTS: &str = "SELECT_CATALOG_ROLE, or a login as the table's owner";

const BY_GRANTS: How = How {
    judged: "ALL_TAB_PRIVS and SESSION_PRIVS; the owner needs no grant. Fails if the privilege is missing. READ \
             instead of SELECT is enough only if heartbeatd does not write.",
    privilege: "none",
    source: "Oracle's documentation of ALL_TAB_PRIVS and SESSION_PRIVS",
};
const OWN_EXPIRY: How = How {
    judged: "USER_USERS.EXPIRY_DATE and the days of grace. An error if the password has expired, a warning if it expires \
             within the threshold role_expiry.",
    privilege: "none: every user may read USER_USERS",
    source: "Oracle's documentation of USER_USERS and of password expiry",
};
const LOGIN: How = How {
    judged: "DBA_USERS.ACCOUNT_STATUS. Fails if the user may not log in.",
    privilege: OTHERS,
    source: "vendor's set-up guides, the connector's user",
};
const EXPIRY: How = How {
    judged: "DBA_USERS.EXPIRY_DATE and the days of grace. An error if the password has expired, a warning if it expires \
             within the threshold role_expiry.",
    privilege: OTHERS,
    source: "vendor page on recovery: credentials unchanged",
};

pub(super) const CHECKS: &[Check] = &[
    writer::SELECT.how(BY_GRANTS),
    writer::UPDATE.how(BY_GRANTS),
    writer::INSERT.how(BY_GRANTS),
    writer::EXPIRY.how(OWN_EXPIRY),
    connector::ROLE.requires(OTHERS),
    connector::LOGIN.how(LOGIN),
    connector::EXPIRY.how(EXPIRY),
    connector::SELECT.requires(GRANTS),
    connector::INSERT.requires(GRANTS),
    connector::UPDATE.requires(GRANTS),
    connector::DELETE.requires(GRANTS),
    LOGMINER,
];

/// The privileges that LogMiner requires.
const MINING: [&str; 4] = ["LOGMINING", "SELECT ANY TRANSACTION", "SELECT_CATALOG_ROLE", "EXECUTE_CATALOG_ROLE"];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = own(evidence);
    let mut users = vec![evidence.target.connector.user.clone()];
    if evidence.facts.context.multitenant {
        users.push(common_user_of(evidence.target));
    }
    for user in &users {
        findings.extend(of_connector(evidence, user));
    }
    findings
}

/// The user of this session.
fn own(evidence: &Evidence<'_>) -> Vec<Finding> {
    let table = &evidence.names.table;
    let update = match evidence.target.write {
        WriteMode::Never => writer::UPDATE.skipped(table, "write is never: heartbeatd only watches"),
        _ => privilege(&writer::UPDATE, "UPDATE", evidence),
    };
    let insert = match evidence.target.provision {
        ProvisionMode::Never => {
            writer::INSERT.skipped(table, "provision is \"never\": heartbeatd does not insert a missing row")
        }
        ProvisionMode::Auto => privilege(&writer::INSERT, "INSERT", evidence),
    };
    let expiry = with(&writer::EXPIRY, &evidence.names.user, &evidence.facts.own_account, "another look", |account| {
        expiry(&writer::EXPIRY, account, evidence)
    });
    vec![privilege(&writer::SELECT, "SELECT", evidence), update, insert, expiry]
}

fn privilege(check: &Check, wanted: &str, evidence: &Evidence<'_>) -> Finding {
    let (table, user) = (&evidence.names.table, &evidence.names.user);
    if stored(&evidence.target.heartbeat.schema) == evidence.facts.context.user {
        return check.ok(table, format!("{user} owns it"));
    }
    if let Some(why) = evidence.no_table() {
        return check.skipped(table, why);
    }
    with(check, table, &evidence.facts.own_privileges, &evidence.catalogue(), |privileges| {
        let has = |wanted: &str| {
            privileges.iter().any(|privilege| *privilege == wanted || *privilege == format!("{wanted} ANY TABLE"))
        };
        let reads = wanted == "SELECT" && has("READ");
        if has(wanted) || reads && evidence.target.write == WriteMode::Never {
            return check.ok(table, format!("granted to {user}"));
        }
        let but =
            if reads { ": only READ is, which does not allow the row's lock (SELECT ... FOR UPDATE)" } else { "" };
        check
            .failed(table, format!("{wanted} is not granted to {user}{but}"))
            .expected(wanted)
            .remedy(grant_on(wanted, table, user))
    })
}

/// One of the connector's users.
fn of_connector(evidence: &Evidence<'_>, user: &Named) -> Vec<Finding> {
    let (name, shown) = (stored(&user.name), quote(&user.name));
    let exists = evidence.facts.users.answer().map(|users| users.contains(&name));
    let mut findings = vec![match exists {
        None => {
            let refusal = evidence.facts.users.seen().err();
            let why = refusal.map(|refusal| refusal.unless("another look", PASSING)).unwrap_or_default();
            connector::ROLE.unknown(&shown, why)
        }
        Some(true) => connector::ROLE.ok(&shown, "it exists"),
        Some(false) if !user.configured => connector::ROLE.skipped(&shown, "the default user does not exist"),
        Some(false) => {
            connector::ROLE.failed(&shown, "there is no user of that name").remedy(new_user(&user.name, false))
        }
    }];
    let rest = [
        connector::LOGIN,
        connector::EXPIRY,
        connector::SELECT,
        connector::INSERT,
        connector::UPDATE,
        connector::DELETE,
        LOGMINER,
    ];
    if exists == Some(false) {
        findings.extend(rest.iter().map(|check| check.skipped(&shown, "the user does not exist, which comes first")));
        return findings;
    }
    findings.push(with_account(&connector::LOGIN, evidence, &name, |account| login(account, &user.name)));
    findings.push(with_account(&connector::EXPIRY, evidence, &name, |account| {
        expiry(&connector::EXPIRY, account, evidence)
    }));
    findings.push(granted(&connector::SELECT, "SELECT", evidence, &name));
    for (check, wanted) in
        [(&connector::INSERT, "INSERT"), (&connector::UPDATE, "UPDATE"), (&connector::DELETE, "DELETE")]
    {
        findings.push(match evidence.target.connector.mode {
            ConnectorMode::ReadOnly => check.skipped(&shown, "connector.mode is read-only: it never writes"),
            ConnectorMode::ReadWrite => granted(check, wanted, evidence, &name),
        });
    }
    findings.push(logminer(evidence, &name));
    findings
}

fn with_account(
    check: &Check,
    evidence: &Evidence<'_>,
    name: &str,
    judge: impl FnOnce(&AccountFacts) -> Finding,
) -> Finding {
    let shown = quote(name);
    with(check, &shown, &evidence.facts.accounts, &evidence.catalogue(), |accounts| {
        match accounts.iter().find(|account| account.name == name) {
            Some(account) => judge(account),
            None => check.skipped(&shown, "the account is not listed"),
        }
    })
}

fn login(account: &AccountFacts, name: &str) -> Finding {
    let (status, shown) = (&account.status, quote(name));
    if status.contains("LOCKED") {
        return connector::LOGIN
            .failed(shown, format!("its account is {status}"))
            .expected("OPEN")
            .remedy(unlock(name));
    }
    connector::LOGIN.ok(shown, format!("its account is {status}"))
}

/// Judges when an account's password expires. In the grace period a login still succeeds, with a warning.
fn expiry(check: &Check, account: &AccountFacts, evidence: &Evidence<'_>) -> Finding {
    let name = quote(&account.name);
    let threshold = evidence.target.checks.thresholds.role_expiry;
    let expected = format!("more than {} left", words(threshold));
    let left = account.expires_in.map(|seconds| (seconds, Duration::from_secs(seconds.unsigned_abs())));
    let failed = match left {
        _ if account.status.contains("GRACE") => {
            check.failed_as(Severity::Warning, &name, format!("its account is {}", account.status))
        }
        Some((seconds, past)) if seconds <= 0 => check.failed(&name, format!("it expired {} ago", words(past))),
        _ if account.status.contains("EXPIRED") => check.failed(&name, format!("its account is {}", account.status)),
        None => return check.ok(&name, "it never expires"),
        Some((_, span)) if span < threshold => {
            check.failed_as(Severity::Warning, &name, format!("it expires in {}", words(span)))
        }
        Some((_, span)) => return check.ok(&name, format!("it expires in {}", words(span))),
    };
    failed.expected(expected).remedy(new_password(&account.name))
}

fn granted(check: &Check, wanted: &str, evidence: &Evidence<'_>, user: &str) -> Finding {
    let (table, shown) = (&evidence.names.table, quote(user));
    if stored(&evidence.target.heartbeat.schema) == user {
        return check.ok(&shown, "it owns the table");
    }
    if let Some(why) = evidence.no_table() {
        return check.skipped(&shown, why);
    }
    let any = format!("{wanted} ANY TABLE");
    let system = evidence.facts.system_privileges.answer();
    if system.is_some_and(|system| system.iter().any(|grant| grant.grantee == user && grant.privilege == any)) {
        return check.ok(&shown, any);
    }
    with(check, &shown, &evidence.facts.grants, &evidence.catalogue(), |grants| {
        let to_it = |grantee: &str| grantee == user || grantee == "PUBLIC";
        if grants.iter().any(|grant| to_it(&grant.grantee) && grant.privilege == wanted) {
            return check.ok(&shown, format!("{wanted} on {table}"));
        }
        check.failed(&shown, format!("no {wanted} on {table}")).expected(wanted).remedy(grant_on(wanted, table, &shown))
    })
}

fn logminer(evidence: &Evidence<'_>, user: &str) -> Finding {
    let shown = quote(user);
    // In a multitenant database the local user owns the table, and the common user reads the log.
    if evidence.facts.context.multitenant && stored(&common_user_of(evidence.target).name) != user {
        return LOGMINER.skipped(&shown, "in a multitenant database the common user reads the log");
    }
    with(&LOGMINER, &shown, &evidence.facts.system_privileges, &evidence.catalogue(), |granted| {
        let has = |wanted: &str| granted.iter().any(|grant| grant.grantee == user && grant.privilege == wanted);
        if has("DBA") {
            return LOGMINER.ok(&shown, "it has the role DBA");
        }
        let missing: Vec<&str> = MINING.into_iter().filter(|wanted| !has(wanted)).collect();
        if missing.is_empty() {
            return LOGMINER.ok(&shown, "it has what LogMiner requires");
        }
        let (missing, all) =
            (missing.join(", "), if evidence.facts.context.multitenant { " CONTAINER=ALL" } else { "" });
        LOGMINER
            .failed(&shown, format!("not granted: {missing}"))
            .expected(MINING.join(", "))
            .remedy(as_sysdba(format!("GRANT {missing} TO {shown}{all};")))
    })
}
