//! Plans what the database lacks, from the facts of `catalog`, with the steps of `migrations/mysql/`, for MySQL and
//! MariaDB. The session's `plan` and `apply` call it.

use sqlx::mysql::MySqlConnection;

use super::catalog::{AccountFacts, Facts, beats, connects};
use super::columns::{judged, mend};
use super::connect::settings_sql;
use super::error_codes;
use super::grants::inquiry::MOST_HOSTS;
use super::identifier::{Account, problem, quote, table_of};
use super::parameters::user_of;
use super::query::{self, ServerLimits};
use super::remedies::for_the_sessions_account;
use crate::heartbeat::{ErrorKind, Failure};
use crate::plan::columns;
use crate::plan::existing_table::{ExistingTable, RowNeed};
use crate::plan::{Plan, Step, render};
use crate::remedy::Remedy;
use crate::target::{HeartbeatTable, Named, Target};
use crate::time::clock::Instant;

const SCHEMA: &str = include_str!("../../../migrations/mysql/001_schema.sql");
const TABLE: &str = include_str!("../../../migrations/mysql/002_table.sql");
const ROW: &str = include_str!("../../../migrations/mysql/003_row.sql");
const GRANT_TABLE: &str = include_str!("../../../migrations/mysql/004_grant_table.sql");

/// The privileges on the table for the account that beats; INSERT restores a deleted row.
const DAEMON: &[&str] = &["SELECT", "INSERT", "UPDATE"];
/// The privileges on the table for the connector's accounts.
const CONNECTOR: &[&str] = &["SELECT", "INSERT", "UPDATE", "DELETE"];

/// A target's names as the steps need them, and the plan in progress.
struct Planner<'a> {
    facts: &'a Facts,
    target: &'a Target,
    schema: String,
    table: String,
    row: String,
    plan: Plan,
}

/// Plans what is missing.
pub(super) fn plan(facts: &Facts, target: &Target) -> Plan {
    let heartbeat = &target.heartbeat;
    let mut planner = Planner {
        facts,
        target,
        schema: quote(&heartbeat.schema),
        table: table_of(heartbeat),
        row: heartbeat.row_number().to_string(),
        plan: Plan::default(),
    };
    if !facts.logged {
        let message = "this session's sql_log_bin is off: what it makes would not reach the replicas, and stop them";
        planner.plan.fail(ErrorKind::Settings, message.to_owned(), None);
        return planner.plan;
    }
    planner.objects();
    planner.daemon();
    planner.connector();
    planner.note_other_hosts();
    planner.note_left_out();
    planner.plan
}

/// Statements that create the schema, the table and the row if they are missing, to run by hand on a replica. The row
/// has no time, because no beat of it has arrived.
pub(super) fn by_hand(heartbeat: &HeartbeatTable) -> [String; 3] {
    let (schema, row) = (quote(&heartbeat.schema), heartbeat.row_number().to_string());
    let table = table_of(heartbeat);
    let values = [("schema", schema.as_str()), ("table", &table), ("row", &row), ("now", "NULL")];
    [SCHEMA, TABLE, ROW]
        .map(|template| render(template, &values).lines().map(str::trim_start).collect::<Vec<_>>().join(" "))
}

/// Runs one step. An object that someone else created in the meantime is not a failure.
///
/// # Errors
/// The server's error, classified.
pub(super) async fn apply(connection: &mut MySqlConnection, step: &Step, deadline: Instant) -> Result<(), Failure> {
    query::execute(connection, settings_sql(ServerLimits::step(deadline))).await?;
    let failure = match query::send(connection, step.script.clone()).await {
        Ok(_) => return Ok(()),
        Err(failure)
            if matches!(
                failure.code(),
                Some(error_codes::ER_DB_CREATE_EXISTS | error_codes::ER_TABLE_EXISTS_ERROR | error_codes::ER_DUP_ENTRY)
            ) =>
        {
            return Ok(());
        }
        Err(failure) => failure,
    };
    // The driver's remedy names the privileges for a beat, which would not help here.
    Err(match failure.kind() {
        ErrorKind::Privilege => failure.with_remedy(
            "let an administrator do it: set provision_url, or hand them what heartbeatd provision --dry-run prints",
        ),
        _ => failure,
    })
}

impl Planner<'_> {
    fn step(&mut self, title: String, template: &str, more: &[(&str, &str)]) {
        let mut values =
            vec![("schema", self.schema.as_str()), ("table", self.table.as_str()), ("row", self.row.as_str())];
        values.extend_from_slice(more);
        self.plan.steps.push(Step::script(title, render(template, &values)));
    }

    /// Schema, table, row.
    fn objects(&mut self) {
        let (facts, table) = (self.facts, self.table.clone());
        if !facts.table.schema {
            self.step(format!("create schema {}", self.schema), SCHEMA, &[]);
        }
        let Some(found) = &facts.table.table else {
            self.step(format!("create table {table}"), TABLE, &[]);
            return self.insert("timestamp");
        };
        let faults = columns::judge(&judged(&found.columns), facts.rows.are_none());
        let mend = mend(&self.target.heartbeat, !found.primary_key.is_empty(), &faults);
        let user = facts.own.quoted();
        let grant = Remedy::sql(format!("GRANT SELECT ON TABLE {table} TO {user};"));
        let remedy = Remedy::advice("set provision_url to an administrator's address").or_run(grant);
        let existing =
            ExistingTable { name: &table, faults: &faults, mend: &mend, rows: &facts.rows, seen_by: (&user, &remedy) };
        match existing.judge(self.target.heartbeat.row_number(), &mut self.plan) {
            RowNeed::Insert => {
                self.insert(found.column("last_update").map_or("", |column| &column.kind));
            }
            RowNeed::Nothing | RowNeed::Obstructed => {}
        }
    }

    fn insert(&mut self, column_type: &str) {
        // The row must be as new as this moment on every clock, in any session time zone. A timestamp is stored in UTC,
        // a datetime as it is written.
        let now = match column_type.to_ascii_lowercase().as_str() {
            "datetime" => "UTC_TIMESTAMP()",
            _ => "CURRENT_TIMESTAMP()",
        };
        self.step(format!("insert row {} into {}", self.row, self.table), ROW, &[("now", now)]);
    }

    /// Grants what the accounts that beat lack. An account that is also the connector's is left to the connector, which
    /// needs more.
    fn daemon(&mut self) {
        let (target, facts) = (self.target, self.facts);
        let (user, connector) = (user_of(&target.endpoint.url), &target.connector.user.name);
        let is = |account: &Account| beats(account, target, facts.writer.as_ref());
        if let Some(writer) = facts.writer.as_ref().filter(|writer| writer.user.is_empty()) {
            // Anyone can use it from that host, so a grant to it is a grant to everyone.
            let message = format!("a session of url works as the account without a name, {}", writer.quoted());
            self.plan.fail(ErrorKind::Privilege, message, Some(for_the_sessions_account(target, writer)));
        } else if facts.accounts.iter().any(|found| is(&found.account)) {
            self.grant(DAEMON, true, |account| is(account) && !connects(account, target));
        } else if user != *connector {
            self.no_account(&Account { user: user.clone(), host: String::new() }, true);
        }
    }

    fn connector(&mut self) {
        let Named { name, configured } = &self.target.connector.user;
        let configured = *configured || *name == user_of(&self.target.endpoint.url);
        let target = self.target;
        let is = |account: &Account| connects(account, target);
        if self.facts.accounts.iter().any(|found| is(&found.account)) {
            self.grant(CONNECTOR, configured, is);
        } else {
            self.no_account(&Account::read(name), configured);
        }
    }

    /// Grants what the accounts that `is` accepts lack of the wanted privileges.
    fn grant(&mut self, wanted: &[&str], configured: bool, is: impl Fn(&Account) -> bool) {
        let facts = self.facts;
        for found in facts.accounts.iter().filter(|found| is(&found.account)) {
            let lacks = |privilege: &&str| !found.on_table.contains(privilege);
            let missing: Vec<&str> = wanted.iter().copied().filter(lacks).collect();
            if missing.is_empty() {
                continue;
            }
            let (privileges, quoted) = (missing.join(", "), found.account.quoted());
            self.note_idle_roles(found, &missing);
            match &found.unknown {
                // No account has privileges on a table that does not exist yet.
                Some(why) if facts.table.table.is_some() => self.hidden(&quoted, &privileges, why, configured),
                _ => {
                    let title = format!("grant {privileges} on table {} to {quoted}", self.table);
                    self.step(title, GRANT_TABLE, &[("account", &quoted), ("privileges", &privileges)]);
                }
            }
        }
    }

    /// A granted role gives no privileges until it is active.
    fn note_idle_roles(&mut self, found: &AccountFacts, missing: &[&str]) {
        for idle in &found.idle {
            let brings: Vec<&str> = idle.brings.iter().copied().filter(|word| missing.contains(word)).collect();
            if !brings.is_empty() {
                let (account, brings, role) = (found.account.quoted(), brings.join(", "), &idle.role);
                self.plan.notices.push(format!(
                    "{account} has {brings} by the role {role} only, which is not active after its login and so does not \
                     count: {}",
                    idle.activation
                ));
            }
        }
    }

    /// Which account a login matches depends on the machine that it comes from.
    fn note_other_hosts(&mut self) {
        let others: Vec<String> = self.facts.other_hosts.iter().map(Account::quoted).collect();
        if let (Some(writer), false) = (&self.facts.writer, others.is_empty()) {
            let (writer, others) = (writer.quoted(), others.join(", "));
            self.plan.notices.push(format!(
                "a session of url works as {writer} from this machine, and only that account is granted what it lacks; if \
                 heartbeatd is to run where its login matches {others}, run heartbeatd provision there"
            ));
        }
    }

    fn note_left_out(&mut self) {
        for (user, count) in &self.facts.left_out {
            let user = quote(user);
            self.plan.notices.push(format!(
                "{count} more accounts are called {user}: of a user's hosts {MOST_HOSTS} are looked at, and nothing is \
                 granted to the others"
            ));
        }
    }

    /// A hidden privilege may exist, so it is never granted on a guess.
    fn hidden(&mut self, account: &str, privileges: &str, why: &str, configured: bool) {
        let (table, own) = (&self.table, self.facts.own.quoted());
        let message = format!("whether {account} has {privileges} on {table} is not shown to {own}: {why}");
        if configured {
            let remedy = Remedy::sql(format!("GRANT {privileges} ON TABLE {table} TO {account};"))
                .note(format!("or let heartbeatd see what is granted: GRANT SELECT ON `mysql`.* TO {own};"));
            self.plan.fail(ErrorKind::Privilege, message, Some(remedy));
        } else {
            self.plan.notices.push(format!("{message}; nothing is granted to it"));
        }
    }

    fn no_account(&mut self, account: &Account, configured: bool) {
        let (quoted, own) = (account.quoted(), self.facts.own.quoted());
        let (what, remedy) = if self.facts.sees_accounts {
            let account = account.clone().created().quoted();
            let remedy = Remedy::sql(format!("CREATE USER {account} IDENTIFIED BY <password>;"));
            (format!("no account is called {quoted}"), remedy)
        } else {
            let remedy = "set provision_url to the address of an administrator with SELECT on mysql.user".into();
            (format!("whether an account is called {quoted} is not shown to {own}"), remedy)
        };
        if let Some(problem) = problem(&account.user) {
            self.plan.fail(ErrorKind::Settings, format!("the name of an account {problem}"), None);
        } else if configured {
            self.plan.fail(ErrorKind::Privilege, format!("{what}, so that nothing is granted to it"), Some(remedy));
        } else {
            self.plan.notices.push(format!("{what}: nothing is granted to it"));
        }
    }
}

#[cfg(test)]
mod tests;
