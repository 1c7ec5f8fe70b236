//! Users: this session's user, the connector's users, their privileges, and jobs that write the same table.

use serde::{Deserialize, Serialize};

use super::questions::{Questions, column, joined, list, number};
use crate::driver::answer::Answer;
use crate::driver::oracle::identifier::{literal, stored};
use crate::heartbeat::Failure;
use crate::target::HeartbeatTable;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::oracle) struct AccountFacts {
    pub(in crate::driver::oracle) name: String,
    /// OPEN, LOCKED, EXPIRED(GRACE) …
    pub(in crate::driver::oracle) status: String,
    /// How many seconds remain until its password expires; `None` if it does not expire.
    pub(in crate::driver::oracle) expires_in: Option<i64>,
}

/// A privilege or role that a user or role has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::oracle) struct Grant {
    pub(in crate::driver::oracle) grantee: String,
    pub(in crate::driver::oracle) privilege: String,
}

/// The seconds until a password expires.
const EXPIRES_IN: &str = "TO_CHAR(ROUND((EXPIRY_DATE - SYSDATE) * 86400))";

fn own_privileges_sql(table: &HeartbeatTable) -> String {
    format!(
        "SELECT PRIVILEGE FROM ALL_TAB_PRIVS WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} AND (GRANTEE IN \
         (SYS_CONTEXT('USERENV', 'SESSION_USER'), 'PUBLIC') OR GRANTEE IN (SELECT ROLE FROM SESSION_ROLES)) UNION SELECT \
         PRIVILEGE FROM SESSION_PRIVS WHERE PRIVILEGE IN ('READ ANY TABLE', 'SELECT ANY TABLE', 'UPDATE ANY TABLE', \
         'INSERT ANY TABLE')",
        literal(&stored(&table.schema)),
        literal(&stored(&table.table))
    )
}

fn own_account_sql() -> String {
    format!("SELECT {} FROM USER_USERS", joined(&["USERNAME", "ACCOUNT_STATUS", EXPIRES_IN]))
}

fn users_sql(names: &[&str]) -> String {
    format!("SELECT USERNAME FROM ALL_USERS WHERE USERNAME IN ({})", list(names))
}

fn accounts_sql(names: &[&str]) -> String {
    let columns = joined(&["USERNAME", "ACCOUNT_STATUS", EXPIRES_IN]);
    format!("SELECT {columns} FROM DBA_USERS WHERE USERNAME IN ({})", list(names))
}

/// All grants on the table: from the catalogue, or as the owner sees its own.
fn grants_sql(table: &HeartbeatTable, of_own: bool) -> String {
    let (view, owner) = if of_own { ("ALL_TAB_PRIVS", "TABLE_SCHEMA") } else { ("DBA_TAB_PRIVS", "OWNER") };
    format!(
        "SELECT {} FROM {view} WHERE {owner} = {} AND TABLE_NAME = {}",
        joined(&["GRANTEE", "PRIVILEGE"]),
        literal(&stored(&table.schema)),
        literal(&stored(&table.table))
    )
}

fn system_privileges_sql(names: &[&str]) -> String {
    let names = list(names);
    format!(
        "SELECT {} FROM DBA_SYS_PRIVS WHERE GRANTEE IN ({names}) UNION SELECT {} FROM DBA_ROLE_PRIVS WHERE GRANTEE IN \
         ({names})",
        joined(&["GRANTEE", "PRIVILEGE"]),
        joined(&["GRANTEE", "GRANTED_ROLE"])
    )
}

fn jobs_sql(table: &HeartbeatTable) -> String {
    // `_` matches any character, so a job that names another table may match. The finding quotes the job, and the
    // reader can see it.
    let pattern = literal(&format!("%{}%", stored(&table.table).to_uppercase()));
    format!(
        "SELECT {} FROM ALL_SCHEDULER_JOBS WHERE UPPER(JOB_ACTION) LIKE {pattern} AND ROWNUM <= 20",
        joined(&["OWNER || '.' || JOB_NAME", "CASE WHEN ENABLED = 'TRUE' THEN STATE ELSE 'DISABLED' END"])
    )
}

/// The privileges of this session's user: on the table, and on any table.
pub(super) async fn own_privileges(
    ask: &mut Questions<'_>,
    table: &HeartbeatTable,
) -> Result<Answer<Vec<String>>, Failure> {
    let answer = ask.ask(&own_privileges_sql(table)).await?;
    Ok(answer.make(|lines| lines.iter().filter_map(|line| column(line, 0)).collect()))
}

pub(super) async fn own_account(ask: &mut Questions<'_>) -> Result<Answer<AccountFacts>, Failure> {
    let answer = ask.ask(&own_account_sql()).await?;
    Ok(answer.make(|lines| account(&lines.into_iter().next().unwrap_or_default())))
}

pub(super) async fn users(ask: &mut Questions<'_>, names: &[&str]) -> Result<Answer<Vec<String>>, Failure> {
    let answer = ask.ask(&users_sql(names)).await?;
    Ok(answer.make(|lines| lines.iter().filter_map(|line| column(line, 0)).collect()))
}

pub(super) async fn accounts(ask: &mut Questions<'_>, names: &[&str]) -> Result<Answer<Vec<AccountFacts>>, Failure> {
    let answer = ask.ask(&accounts_sql(names)).await?;
    Ok(answer.make(|lines| lines.iter().map(|line| account(line)).collect()))
}

/// All grants on the table; `user` is this session's user.
pub(super) async fn grants(
    ask: &mut Questions<'_>,
    table: &HeartbeatTable,
    user: &str,
) -> Result<Answer<Vec<Grant>>, Failure> {
    Ok(ask.ask(&grants_sql(table, stored(&table.schema) == user)).await?.make(|lines| read_grants(&lines)))
}

pub(super) async fn system_privileges(ask: &mut Questions<'_>, names: &[&str]) -> Result<Answer<Vec<Grant>>, Failure> {
    Ok(ask.ask(&system_privileges_sql(names)).await?.make(|lines| read_grants(&lines)))
}

pub(super) async fn jobs(
    ask: &mut Questions<'_>,
    table: &HeartbeatTable,
) -> Result<Answer<Vec<(String, String)>>, Failure> {
    let job = |line: &Vec<String>| Some((column(line, 0)?, column(line, 1).unwrap_or_default()));
    Ok(ask.ask(&jobs_sql(table)).await?.make(|lines| lines.iter().filter_map(job).collect()))
}

fn account(line: &[String]) -> AccountFacts {
    AccountFacts {
        name: column(line, 0).unwrap_or_default(),
        status: column(line, 1).unwrap_or_default(),
        expires_in: number(line, 2),
    }
}

fn read_grants(lines: &[Vec<String>]) -> Vec<Grant> {
    let grant = |line: &Vec<String>| Some(Grant { grantee: column(line, 0)?, privilege: column(line, 1)? });
    lines.iter().filter_map(grant).collect()
}

#[cfg(test)]
pub(super) fn statements(table: &HeartbeatTable, users: &[&str]) -> Vec<String> {
    vec![
        own_privileges_sql(table),
        own_account_sql(),
        users_sql(users),
        accounts_sql(users),
        grants_sql(table, false),
        grants_sql(table, true),
        system_privileges_sql(users),
        jobs_sql(table),
    ]
}
