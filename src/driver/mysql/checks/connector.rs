//! The connector's accounts, one for each host from which it may connect.

use super::evidence::Evidence;
use super::writer::{bringing, expiry, has, idle_role, look_grant};
use crate::driver::mysql::errors::PASSING;
use crate::driver::mysql::facts::RoleFacts;
use crate::driver::mysql::grants::inquiry::IdleRole;
use crate::driver::mysql::grants::{GrantScope, Grants, Holding, unread};
use crate::driver::mysql::identifier::Account;
use crate::driver::shared_checks::connector;
use crate::finding::{Check, Finding, How, Rung, Severity, Status};
use crate::remedy::Remedy;
use crate::target::ConnectorMode;

/// The privilege to see accounts and their grants.
const ACCOUNTS: &str = "SELECT on mysql.*";

const ROLE: Check = connector::ROLE.requires(ACCOUNTS);
const SELECT: Check = connector::SELECT.requires(ACCOUNTS);
const INSERT: Check = connector::INSERT.requires(ACCOUNTS);
const UPDATE: Check = connector::UPDATE.requires(ACCOUNTS);
const DELETE: Check = connector::DELETE.requires(ACCOUNTS);
const LOGIN: Check = connector::LOGIN.how(How {
    judged: "Whether the account is locked. Fails if it is.",
    privilege: ACCOUNTS,
    source: "vendor's set-up guides, the connector's user",
});
const REPLICATION: Check = connector::REPLICATION.how(How {
    judged: "The account's grants. Fails if REPLICATION SLAVE is missing.",
    privilege: ACCOUNTS,
    source: "vendor's set-up guides, the connector's user",
});
const EXPIRY: Check = connector::EXPIRY.how(How {
    judged: "The account's password lifetime. Compared with the server's clock: an error if it has expired, a warning \
             if it expires within the threshold role_expiry.",
    privilege: ACCOUNTS,
    source: "vendor page on recovery: credentials unchanged",
});

const ROLES: Check = Check {
    id: "connector-roles",
    severity: Severity::Error,
    rung: Rung::Permission,
    title: "the roles that give the connector its privileges are active after its login",
    meaning: "A granted role has no effect until it is active: SHOW GRANTS lists it, but the server denies the \
              connector.",
    judged: "SHOW GRANTS with the account's default roles, and with each other role. Fails if a privilege is missing \
             that one of the other roles would give.",
    privilege: ACCOUNTS,
    source: "measured: with a role that is not a default role CURRENT_ROLE() is NONE, and its privileges are denied \
             (1142)",
};
const RELOAD: Check = Check {
    id: "connector-reload",
    severity: Severity::Warning,
    rung: Rung::Permission,
    title: "the connector's account may lock tables for a snapshot",
    meaning: "A snapshot begins with FLUSH TABLES WITH READ LOCK, or with LOCK TABLES if the server denies that. \
              Without either privilege the next snapshot fails.",
    judged: "SHOW GRANTS. Fails without any of RELOAD, FLUSH_TABLES, LOCK TABLES. LOCK TABLES on any one database is \
             enough, because heartbeatd does not know which databases the connector captures.",
    privilege: ACCOUNTS,
    source: "vendor's set-up guides, the connector's user",
};
const DATABASES: Check = Check {
    id: "connector-show-databases",
    severity: Severity::Info,
    rung: Rung::Permission,
    title: "the connector's account may list the databases",
    meaning: "Without SHOW DATABASES it sees only databases on which it has a privilege; with skip_show_database ON, \
              none.",
    judged: "SHOW GRANTS. Fails without SHOW DATABASES.",
    privilege: ACCOUNTS,
    source: "vendor's set-up guides, the connector's user",
};

pub(super) const CHECKS: &[Check] =
    &[ROLE, LOGIN, ROLES, REPLICATION, RELOAD, DATABASES, EXPIRY, SELECT, INSERT, UPDATE, DELETE];

/// One privilege that an account needs.
#[derive(Debug, Clone)]
struct Need<'a> {
    /// The first is the one to grant; the others are as good.
    any_of: Vec<(&'static str, GrantScope<'a>)>,
    /// The columns of the table, if a grant on all of them is as good.
    columns: &'a [String],
}

/// What an account lacks.
enum Lack<'a> {
    Nothing,
    /// The missing needs, by number, and the columns that are granted.
    These(Vec<usize>, Vec<String>),
    /// As [`Lack::These`], with an inactive role that would bring one of them.
    Idle(usize, &'a IdleRole),
    Unknown(String),
}

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let (schema, table) = (evidence.target.heartbeat.schema.as_str(), evidence.target.heartbeat.table.as_str());
    let columns: Vec<String> = evidence.relation().iter().flat_map(|r| &r.columns).map(|c| c.name.clone()).collect();
    let needs = Needs { schema, table, columns: &columns };
    let replication = [needs.on_server("REPLICATION SLAVE"), needs.on_server("REPLICATION CLIENT")];
    let reload = [Needs::lock()];
    let databases = [needs.on_server("SHOW DATABASES")];
    let select = [needs.on_table("SELECT")];
    let (insert, update, delete) = ([needs.on_table("INSERT")], [needs.update()], [needs.on_table("DELETE")]);
    let mut all: Vec<_> = replication.iter().chain(&select).cloned().collect();
    if evidence.target.connector.mode == ConnectorMode::ReadWrite {
        all.extend(insert.iter().chain(&update).cloned());
    }
    let mut findings = role(evidence);
    findings.extend(each(evidence, &LOGIN, |account| login(account, evidence)));
    findings.extend(each(evidence, &ROLES, |account| roles(account, &all, evidence)));
    findings
        .extend(each(evidence, &REPLICATION, |account| granted(&REPLICATION, account, &replication, "*.*", evidence)));
    findings.extend(each(evidence, &RELOAD, |account| granted(&RELOAD, account, &reload, "*.*", evidence)));
    findings.extend(each(evidence, &DATABASES, |account| granted(&DATABASES, account, &databases, "*.*", evidence)));
    findings.extend(each(evidence, &EXPIRY, |account| expiry(&EXPIRY, account, evidence)));
    findings.extend(each(evidence, &SELECT, |account| on_heartbeat(&SELECT, account, &select, evidence)));
    for (check, need) in [(&INSERT, &insert), (&UPDATE, &update), (&DELETE, &delete)] {
        findings.extend(written(check, need, evidence));
    }
    findings
}

/// Judges each of the connector's accounts, or says why it cannot be judged. The connector's account is unknown if
/// there are several, so it is enough that one of them has the privileges.
fn each(evidence: &Evidence<'_>, check: &Check, judge: impl Fn(&RoleFacts) -> Finding) -> Vec<Finding> {
    let name = &evidence.names.connector;
    let accounts = match evidence.facts.roles.connector.seen() {
        Err(_) => return vec![check.skipped(name, "its accounts cannot be looked at, which comes first")],
        Ok(accounts) if accounts.is_empty() => return vec![check.skipped(name, "there is no such account")],
        Ok(accounts) => accounts,
    };
    let mut findings: Vec<_> = accounts.iter().map(judge).collect();
    if findings.iter().any(|finding| finding.status == Status::Ok) {
        for finding in &mut findings {
            finding.severity = if finding.status == Status::Failed { Severity::Info } else { finding.severity };
        }
    }
    findings
}

fn role(evidence: &Evidence<'_>) -> Vec<Finding> {
    let named = &evidence.target.connector.user;
    let name = &evidence.names.connector;
    let accounts = match evidence.facts.roles.connector.seen() {
        Err(refusal) => {
            return vec![ROLE.unknown(name, refusal.unless(&look_grant(evidence), PASSING))];
        }
        Ok(accounts) => accounts,
    };
    if !accounts.is_empty() {
        let exists = |found: &RoleFacts| ROLE.ok(found.account.quoted(), "it exists");
        let left_out = match evidence.facts.roles.connector_left_out {
            0 => None,
            count => Some(ROLE.unknown(
                name,
                format!("{count} more accounts have this name and were not read: name the connector's as user@host"),
            )),
        };
        return accounts.iter().map(exists).chain(left_out).collect();
    }
    if !named.configured {
        let why = "no account has the default name: say under [target.connector] which user it logs in as";
        return vec![ROLE.skipped(name, why)];
    }
    let name = Account::read(&named.name).created().quoted();
    // Without a lock, anyone could use an account that has no password.
    let remedy = Remedy::sql(format!("CREATE USER {name} ACCOUNT LOCK;"))
        .note("then give it a password (ALTER USER … IDENTIFIED BY …), and unlock it (ACCOUNT UNLOCK)");
    vec![ROLE.failed(&name, "there is no such account").remedy(remedy)]
}

fn login(found: &RoleFacts, evidence: &Evidence<'_>) -> Finding {
    let name = found.account.quoted();
    let facts = match found.login.seen() {
        Ok(facts) => facts,
        Err(_) if name == evidence.names.user => return LOGIN.ok(name, "this session has logged in with it"),
        Err(refusal) => return LOGIN.unknown(name, refusal.unless(&look_grant(evidence), PASSING)),
    };
    match facts.locked {
        Some(true) => LOGIN
            .failed(&name, "it is locked")
            .expected("an account that is not locked")
            .remedy(Remedy::sql(format!("ALTER USER {name} ACCOUNT UNLOCK;"))),
        Some(false) => LOGIN.ok(name, format!("it is not locked; it logs in by {}", facts.plugin)),
        None => LOGIN.skipped(name, "this server cannot lock accounts"),
    }
}

/// The needs that an account does not meet.
fn lack<'a>(account: &'a RoleFacts, needs: &[Need<'_>], evidence: &Evidence<'_>) -> Lack<'a> {
    let grants = match account.grants.seen() {
        Ok(grants) => grants,
        Err(refusal) => return Lack::Unknown(refusal.unless(&look_grant(evidence), PASSING)),
    };
    let (mut missing, mut columns) = (Vec::new(), Vec::new());
    for (number, need) in needs.iter().enumerate() {
        match need.look(grants) {
            Holding::Yes => {}
            Holding::Unknown(lines) => return Lack::Unknown(unread(lines)),
            Holding::Columns(some) => {
                missing.push(number);
                columns.extend(some);
            }
            Holding::No => missing.push(number),
        }
    }
    let idle = |number: &usize| {
        let brings = bringing(account, |grants| needs[*number].look(grants) == Holding::Yes);
        brings.map(|idle| Lack::Idle(*number, idle))
    };
    if missing.is_empty() {
        return Lack::Nothing;
    }
    missing.iter().find_map(idle).unwrap_or(Lack::These(missing, columns))
}

/// Makes the needs.
struct Needs<'a> {
    schema: &'a str,
    table: &'a str,
    columns: &'a [String],
}

impl<'a> Needs<'a> {
    fn on_server(&self, privilege: &'static str) -> Need<'a> {
        Need { any_of: vec![(privilege, GrantScope::Server)], columns: &[] }
    }

    fn on_table(&self, privilege: &'static str) -> Need<'a> {
        Need { any_of: vec![(privilege, GrantScope::Table(self.schema, self.table))], columns: self.columns }
    }

    /// The column that a beat updates is enough.
    fn update(&self) -> Need<'a> {
        Need { any_of: vec![("UPDATE", GrantScope::Column(self.schema, self.table, "last_update"))], columns: &[] }
    }

    /// LOCK TABLES is for servers whose provider withholds RELOAD; it is then granted per database. Which databases are
    /// captured is not known here.
    fn lock() -> Need<'static> {
        let server = ["RELOAD", "FLUSH TABLES", "LOCK TABLES"].map(|privilege| (privilege, GrantScope::Server));
        let any_of = server.into_iter().chain([("LOCK TABLES", GrantScope::AnyDatabase)]).collect();
        Need { any_of, columns: &[] }
    }
}

impl Need<'_> {
    fn name(&self) -> &'static str {
        self.any_of.first().map_or("", |(privilege, _)| *privilege)
    }

    fn look(&self, grants: &Grants) -> Holding {
        let mut answer = Holding::No;
        for (privilege, place) in self.any_of.iter().rev() {
            answer = grants.allows(privilege, *place);
            if answer == Holding::Yes {
                return Holding::Yes;
            }
        }
        match (&answer, self.any_of.first()) {
            (Holding::Columns(_), Some((privilege, GrantScope::Table(schema, table)))) => {
                let mut places = self.columns.iter().map(|column| GrantScope::Column(schema, table, column));
                let all = !self.columns.is_empty() && places.all(|place| has(grants, privilege, place));
                if all { Holding::Yes } else { answer }
            }
            _ => answer,
        }
    }
}

fn roles(found: &RoleFacts, needs: &[Need<'_>], evidence: &Evidence<'_>) -> Finding {
    let name = found.account.quoted();
    match lack(found, needs, evidence) {
        Lack::Idle(number, idle) => idle_role(&ROLES, needs[number].name(), idle, found, evidence),
        Lack::Unknown(why) => ROLES.unknown(name, why),
        Lack::Nothing | Lack::These(..) if found.idle.is_empty() => ROLES.ok(name, "it has no other roles"),
        Lack::Nothing | Lack::These(..) => ROLES.ok(name, "its other roles would bring nothing that is missing"),
    }
}

/// Judges whether an account has all of its needs; they are granted on `on`.
fn granted(check: &Check, found: &RoleFacts, needs: &[Need<'_>], on: &str, evidence: &Evidence<'_>) -> Finding {
    let name = found.account.quoted();
    let listed = |numbers: &[usize]| numbers.iter().map(|n| needs[*n].name()).collect::<Vec<_>>().join(", ");
    let all: Vec<usize> = (0..needs.len()).collect();
    match lack(found, needs, evidence) {
        Lack::Nothing => check.ok(name, format!("{} on {on}", listed(&all))),
        Lack::Unknown(why) => check.unknown(name, why),
        Lack::Idle(..) => check.skipped(name, "it comes with a role that is not active, which comes first"),
        Lack::These(missing, columns) => {
            let missing = listed(&missing);
            let observed = if columns.is_empty() {
                format!("no {missing} on {on}")
            } else {
                format!("{missing} on {on} for these columns only: {}", columns.join(", "))
            };
            let remedy = Remedy::sql(format!("GRANT {missing} ON {on} TO {name};"));
            check.failed(&name, observed).expected(listed(&all)).remedy(remedy)
        }
    }
}

fn on_heartbeat(check: &Check, found: &RoleFacts, needs: &[Need<'_>], evidence: &Evidence<'_>) -> Finding {
    let finding = granted(check, found, needs, &evidence.names.table, evidence);
    if finding.status == Status::Failed && evidence.relation().is_none() {
        // A grant on a missing table is not possible.
        return check.skipped(finding.subject, "there is no such table, or it is hidden");
    }
    finding
}

fn written(check: &Check, needs: &[Need<'_>], evidence: &Evidence<'_>) -> Vec<Finding> {
    if evidence.target.connector.mode == ConnectorMode::ReadOnly {
        return vec![
            check.skipped(&evidence.names.connector, "connector.mode is read-only: heartbeatd writes, not it"),
        ];
    }
    each(evidence, check, |found| on_heartbeat(check, found, needs, evidence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::mysql::grants::Patterns;

    fn needs(columns: &[String]) -> Needs<'_> {
        Needs { schema: "streamkap", table: "streamkap_heartbeat", columns }
    }

    fn met(need: &Need<'_>, line: &str) -> bool {
        need.look(&Grants::read([line], Patterns::Wild)) == Holding::Yes
    }

    #[test]
    fn any_privilege_that_locks_tables_is_enough() {
        let lock = Needs::lock();
        for line in [
            "GRANT RELOAD ON *.* TO `cdc`@`%`",
            "GRANT FLUSH_TABLES ON *.* TO `cdc`@`%`",
            "GRANT LOCK TABLES ON *.* TO `cdc`@`%`",
            // A snapshot locks the captured tables, which are rarely in the heartbeat's own schema.
            "GRANT LOCK TABLES ON `shop`.* TO `cdc`@`%`",
            "GRANT ALL PRIVILEGES ON *.* TO `cdc`@`%`",
        ] {
            assert!(met(&lock, line), "{line}");
        }
        for line in ["GRANT SELECT ON *.* TO `cdc`@`%`", "GRANT SELECT ON `shop`.* TO `cdc`@`%`"] {
            assert!(!met(&lock, line), "{line}");
        }
    }

    #[test]
    fn a_grant_on_every_column_counts_as_one_on_the_table_if_the_columns_are_known() {
        let known = ["id".to_owned(), "last_update".to_owned()];
        let all = "GRANT SELECT (`id`, `last_update`) ON `streamkap`.`streamkap_heartbeat` TO `cdc`@`%`";
        let some = "GRANT SELECT (`id`) ON `streamkap`.`streamkap_heartbeat` TO `cdc`@`%`";
        assert!(met(&needs(&known).on_table("SELECT"), all));
        assert!(!met(&needs(&known).on_table("SELECT"), some));
        assert!(!met(&needs(&[]).on_table("SELECT"), all));
    }

    #[test]
    fn a_grant_on_the_beats_own_column_is_enough_for_the_update() {
        let update = needs(&[]).update();
        assert!(met(&update, "GRANT UPDATE (`last_update`) ON `streamkap`.`streamkap_heartbeat` TO `cdc`@`%`"));
        assert!(met(&update, "GRANT UPDATE ON `stream%`.* TO `cdc`@`%`"));
        assert!(!met(&update, "GRANT UPDATE (`text`) ON `streamkap`.`streamkap_heartbeat` TO `cdc`@`%`"));
    }
}
