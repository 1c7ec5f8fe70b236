//! Reads from the catalogue which of the heartbeat's objects exist. `provision` judges these facts.
//!
//! The catalogue shows only objects on which this session's account has some privilege, and other accounts' privileges
//! only to accounts that may read the system tables.

use std::collections::BTreeMap;

use sqlx::mysql::MySqlConnection;

use super::connect::settings_sql;
use super::errors;
use super::facts::table::find;
use super::facts::{Relation, TableFacts};
use super::flavour::Flavour;
use super::grants::inquiry::{self, Found, Inquiry, MOST_HOSTS, activation};
use super::grants::{GrantScope, Grants, Holding, unread};
use super::identifier::{Account, literal, table_of};
use super::parameters::user_of;
use super::query::{self, ServerLimits};
use crate::driver::answer::Answer;
use crate::heartbeat::{ErrorKind, Failure};
use crate::plan::existing_table::Rows;
use crate::target::{HeartbeatTable, Target};
use crate::time::clock::Instant;

/// The account that beats, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BeatsAs {
    /// This session's account: its address is `url`.
    Own,
    /// A session of `url` has this account.
    Session(Account),
    /// Only the user in `url` is known, and that user may have several accounts.
    Login,
}

/// What exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// The account of this session.
    pub(super) own: Account,
    /// The account of a session of `url`, if it is known.
    pub(super) writer: Option<Account>,
    /// The other accounts of the user in `url`, if a session of `url` showed which one it has.
    pub(super) other_hosts: Vec<Account>,
    /// Whether this session's changes go to the binary log, and so to the replicas.
    pub(super) logged: bool,
    pub(super) table: TableFacts,
    pub(super) rows: Rows,
    /// Whether this session sees every account of the server.
    pub(super) sees_accounts: bool,
    /// The accounts of the daemon and of the connector that it sees.
    pub(super) accounts: Vec<AccountFacts>,
    /// How many of these accounts were not read, by user: see [`MOST_HOSTS`].
    pub(super) left_out: BTreeMap<String, usize>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct AccountFacts {
    pub(super) account: Account,
    /// The privileges that it has on the table, out of SELECT, INSERT, UPDATE and DELETE. They may come from a grant on
    /// the table, on schemas or on the server, or from a role that is active after its login.
    pub(super) on_table: Vec<&'static str>,
    /// Why it may have more privileges, if that is unknown.
    pub(super) unknown: Option<String>,
    /// Its roles that would bring some of them, but are not active after its login.
    pub(super) idle: Vec<IdleFacts>,
}

/// A role that is granted to an account but is not active.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct IdleFacts {
    /// The role as SQL writes it.
    pub(super) role: String,
    /// The privileges that it would bring on the table.
    pub(super) brings: Vec<&'static str>,
    /// The statement that makes it active.
    pub(super) activation: String,
}

/// The privileges on the table that accounts may need.
const PRIVILEGES: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];

/// Reads what exists.
///
/// # Errors
/// The server's error, classified.
pub(super) async fn gather(
    connection: &mut MySqlConnection,
    target: &Target,
    beats_as: &BeatsAs,
    deadline: Instant,
) -> Result<Facts, Failure> {
    query::execute(connection, settings_sql(ServerLimits::step(deadline))).await?;
    let session = "SELECT CURRENT_USER() AS account, @@session.sql_log_bin AS logged".to_owned();
    let session = query::send_for_row(connection, session).await?;
    let own = Account::read(&query::text(&session, "account")?.unwrap_or_default());
    let logged = query::number(&session, "logged")? != Some(0);
    let table = match find(connection, &target.heartbeat).await? {
        Answer::Seen(table) => table,
        Answer::Refused(refusal) => return Err(errors::failure_of(refusal)),
    };
    let rows = rows(connection, &target.heartbeat, &table).await?;
    let writer = match beats_as {
        BeatsAs::Own => Some(own.clone()),
        BeatsAs::Session(account) => Some(account.clone()),
        BeatsAs::Login => None,
    };
    let (sees_accounts, names) = accounts(connection, target, &own, writer.as_ref()).await?;
    let user = user_of(&target.endpoint.url);
    let other_hosts = match beats_as {
        BeatsAs::Session(known) => {
            let is_other = |account: &&Account| account.user == user && *account != known && !connects(account, target);
            names.iter().filter(is_other).take(MOST_HOSTS).cloned().collect()
        }
        BeatsAs::Own | BeatsAs::Login => Vec::new(),
    };
    let is_in_question = |account: &Account| beats(account, target, writer.as_ref()) || connects(account, target);
    let names = names.into_iter().filter(is_in_question);
    let (names, left_out) = within_reach(names, &own);
    let accounts = granted(connection, &target.heartbeat, &own, names).await?;
    Ok(Facts { own, writer, other_hosts, logged, table, rows, sees_accounts, accounts, left_out })
}

/// The ids of the first two rows, the configured one first.
async fn rows(
    connection: &mut MySqlConnection,
    heartbeat: &HeartbeatTable,
    table: &TableFacts,
) -> Result<Rows, Failure> {
    if !table.table.as_ref().is_some_and(Relation::is_numbered) {
        return Ok(Rows::Hidden);
    }
    let (name, row) = (table_of(heartbeat), heartbeat.row_number());
    let sql = format!("SELECT id FROM {name} WHERE id IS NOT NULL ORDER BY id <> {row}, id LIMIT 2");
    match query::send(connection, sql).await {
        Ok(rows) => {
            let ids = rows.iter().filter_map(|row| query::number(row, 0).transpose());
            Ok(Rows::Ids(ids.collect::<Result<_, _>>()?))
        }
        Err(failure) if failure.kind() == ErrorKind::Privilege => Ok(Rows::Hidden),
        Err(failure) => Err(failure),
    }
}

/// The accounts of the daemon and of the connector, and whether this session sees every account.
async fn accounts(
    connection: &mut MySqlConnection,
    target: &Target,
    own: &Account,
    writer: Option<&Account>,
) -> Result<(bool, Vec<Account>), Failure> {
    match query::send(connection, accounts_sql(target, writer)).await {
        Ok(rows) => {
            let accounts = rows.iter().map(|row| {
                let [user, host] = [query::text(row, 0)?, query::text(row, 1)?].map(Option::unwrap_or_default);
                Ok(Account { user, host })
            });
            Ok((true, accounts.collect::<Result<_, Failure>>()?))
        }
        Err(failure) if failure.kind() == ErrorKind::Privilege => {
            let others = writer.filter(|writer| *writer != own).cloned();
            Ok((false, std::iter::once(own.clone()).chain(others).collect()))
        }
        Err(failure) => Err(failure),
    }
}

/// Whether an account is the daemon's. It is the account of a session of `url`; if that is unknown, every account with
/// the user's name.
pub(super) fn beats(account: &Account, target: &Target, writer: Option<&Account>) -> bool {
    match writer {
        Some(writer) => account == writer,
        None => account.user == user_of(&target.endpoint.url),
    }
}

/// Whether an account is the connector's.
pub(super) fn connects(account: &Account, target: &Target) -> bool {
    account.is_called(&target.connector.user.name)
}

/// The accounts to read, this session's included, and the number of accounts left out, by user.
fn within_reach(accounts: impl Iterator<Item = Account>, own: &Account) -> (Vec<Account>, BTreeMap<String, usize>) {
    let (mut kept, mut left_out) = (Vec::<Account>::new(), BTreeMap::new());
    for account in accounts {
        let hosts = kept.iter().filter(|other| other.user == account.user).count();
        if hosts < MOST_HOSTS || account == *own {
            kept.push(account);
        } else {
            *left_out.entry(account.user).or_default() += 1;
        }
    }
    (kept, left_out)
}

/// Reads the privileges of each account on the table.
async fn granted(
    connection: &mut MySqlConnection,
    heartbeat: &HeartbeatTable,
    own: &Account,
    accounts: Vec<Account>,
) -> Result<Vec<AccountFacts>, Failure> {
    if accounts.is_empty() {
        return Ok(Vec::new());
    }
    let variables = query::show(connection, "GLOBAL VARIABLES", inquiry::VARIABLES).await?;
    let place = GrantScope::Table(&heartbeat.schema, &heartbeat.table);
    let mut all = Vec::new();
    for account in accounts {
        let is_own = account == *own;
        let mut inquiry = Inquiry::of(connection, &variables);
        let found = if is_own { inquiry.own().await? } else { inquiry.account(&account).await? };
        let mut facts = judged(account, &found, place, Flavour::of(&variables));
        if is_own {
            // The server's own answer is the most reliable, and also covers a table that does not exist yet.
            facts.on_table = effective(connection, heartbeat).await?;
            facts.unknown = None;
        }
        all.push(facts);
    }
    Ok(all)
}

/// The part of an account's grants that concerns the table.
fn judged(account: Account, found: &Found, place: GrantScope<'_>, flavour: Flavour) -> AccountFacts {
    let of = |grants: &Grants| -> Vec<&'static str> {
        PRIVILEGES.into_iter().filter(|privilege| grants.allows(privilege, place) == Holding::Yes).collect()
    };
    let (on_table, unknown) = match found.grants.seen() {
        Ok(grants) if grants.unread > 0 => (of(grants), Some(unread(grants.unread))),
        Ok(grants) => (of(grants), None),
        Err(refusal) => (Vec::new(), Some(refusal.to_string())),
    };
    let idle = found.idle.iter().map(|idle| IdleFacts {
        role: idle.role.quoted(),
        brings: idle.grants.answer().map(of).unwrap_or_default(),
        activation: activation(flavour, &account.quoted(), &found.active, &idle.role),
    });
    let idle = idle.filter(|idle| !idle.brings.is_empty()).collect();
    AccountFacts { account, on_table, unknown, idle }
}

/// The privileges of this session on the table, from any source. EXPLAIN makes the server check them first: only a user
/// with the privilege learns that a table does not exist.
async fn effective(connection: &mut MySqlConnection, heartbeat: &HeartbeatTable) -> Result<Vec<&'static str>, Failure> {
    let mut privileges = Vec::new();
    for (privilege, sql) in probes_sql(heartbeat) {
        match query::send(connection, sql).await {
            Err(failure) if failure.code().is_none() => return Err(failure),
            Err(failure) if failure.kind() == ErrorKind::Privilege => {}
            _ => privileges.push(privilege),
        }
    }
    Ok(privileges)
}

/// The accounts of the daemon's user and of the connector; the connector's name may contain the host. A role of MariaDB
/// is an account without a host.
fn accounts_sql(target: &Target, writer: Option<&Account>) -> String {
    let connector = &target.connector.user.name;
    let names = [user_of(&target.endpoint.url), connector.clone(), Account::read(connector).user];
    let writer = writer.map(|account| account.user.clone());
    let names: Vec<String> = names.iter().chain(&writer).map(|name| literal(name)).collect();
    format!("SELECT User, Host FROM mysql.user WHERE User IN ({}) AND Host <> '' ORDER BY User, Host", names.join(", "))
}

/// Each privilege with a statement that needs it. The statement is explained, never run.
fn probes_sql(heartbeat: &HeartbeatTable) -> [(&'static str, String); 4] {
    let table = table_of(heartbeat);
    [
        ("SELECT", format!("EXPLAIN SELECT id, last_update FROM {table} WHERE 1 = 0")),
        (
            "INSERT",
            format!("EXPLAIN INSERT INTO {table} (id, text, last_update) SELECT 1, '', NULL FROM DUAL WHERE 1 = 0"),
        ),
        ("UPDATE", format!("EXPLAIN UPDATE {table} SET last_update = NULL WHERE 1 = 0")),
        ("DELETE", format!("EXPLAIN DELETE FROM {table} WHERE 1 = 0")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_user_with_many_hosts_only_the_first_accounts_and_this_sessions_account_are_read() {
        let account = |user: &str, host: usize| Account { user: user.to_owned(), host: format!("10.0.0.{host}") };
        let own = account("hb", 150);
        let all = (0..200).map(|host| account("hb", host)).chain((0..3).map(|host| account("cdc", host)));
        let (kept, left_out) = within_reach(all, &own);
        assert_eq!(kept.len(), 8 + 1 + 3);
        assert!(kept.contains(&own) && kept.contains(&account("cdc", 2)), "{kept:?}");
        assert_eq!(left_out, BTreeMap::from([("hb".to_owned(), 191)]));
    }
}
