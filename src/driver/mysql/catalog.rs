//! What exists of the heartbeat's objects, as the catalogue tells it: facts for `provision`, which judges them.
//!
//! The catalogue shows only what this session's account has some privilege on, and the privileges of others only to who
//! may read the system's own tables.

use sqlx::mysql::MySqlConnection;

use super::connect::settings_sql;
use super::identifier::{Account, literal, table_of};
use super::message::{self, Limits};
use super::parameters::user_of;
use crate::heartbeat::{ErrorKind, Failure};
use crate::provisioning::Rows;
use crate::scheduler::clock::Instant;
use crate::target::{HeartbeatTable, Target};

/// What exists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Facts {
    /// The account of this session.
    pub(super) own: Account,
    /// Whether what this session does goes to the binary log, and so to the replicas.
    pub(super) logged: bool,
    pub(super) schema: bool,
    pub(super) table: Option<TableFacts>,
    /// Whether this session sees every account of the server.
    pub(super) sees_accounts: bool,
    /// Those of the accounts in question that it sees.
    pub(super) accounts: Vec<AccountFacts>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct TableFacts {
    pub(super) columns: Vec<String>,
    /// The type of `last_update`.
    pub(super) last_update: Option<String>,
    pub(super) rows: Rows,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct AccountFacts {
    pub(super) account: Account,
    /// Of SELECT, INSERT, UPDATE and DELETE on the table. Of another account than this session's, those that it was
    /// granted itself, and not those that a role of its brings.
    pub(super) on_table: Vec<String>,
}

/// Looks at what exists.
///
/// # Errors
/// What the server says, classified.
pub(super) async fn gather(
    connection: &mut MySqlConnection,
    target: &Target,
    deadline: Instant,
) -> Result<Facts, Failure> {
    message::execute(connection, settings_sql(Limits::step(deadline))).await?;
    let objects = message::send_for_row(connection, objects_sql(&target.heartbeat)).await?;
    let has = |column: &str| Ok::<_, Failure>(message::number(&objects, column)?.unwrap_or_default() > 0);
    let own = Account::read(&message::text(&objects, "account")?.unwrap_or_default());
    let (logged, schema) = (has("logged")?, has("known_schemas")?);
    let table = if has("known_tables")? { Some(table(connection, &target.heartbeat).await?) } else { None };
    let (sees_accounts, names) = accounts(connection, target, &own).await?;
    let mut accounts = granted(connection, &target.heartbeat, names).await?;
    for facts in accounts.iter_mut().filter(|facts| facts.account == own) {
        facts.on_table = effective(connection, &target.heartbeat).await?;
    }
    Ok(Facts { own, logged, schema, table, sees_accounts, accounts })
}

async fn table(connection: &mut MySqlConnection, heartbeat: &HeartbeatTable) -> Result<TableFacts, Failure> {
    let mut facts = TableFacts::default();
    for row in message::send(connection, columns_sql(heartbeat)).await? {
        let name = message::text(&row, 0)?.unwrap_or_default().to_ascii_lowercase();
        if name == "last_update" {
            facts.last_update = message::text(&row, 1)?;
        }
        facts.columns.push(name);
    }
    if facts.columns.iter().any(|column| column == "id") {
        match message::send(connection, rows_sql(heartbeat)).await {
            Ok(rows) => {
                let ids = rows.iter().filter_map(|row| message::number(row, 0).transpose());
                facts.rows = Rows::Ids(ids.collect::<Result<_, _>>()?);
            }
            Err(failure) if failure.kind() == ErrorKind::Privilege => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(facts)
}

/// The accounts in question, and whether this session would see every one.
async fn accounts(
    connection: &mut MySqlConnection,
    target: &Target,
    own: &Account,
) -> Result<(bool, Vec<Account>), Failure> {
    match message::send(connection, accounts_sql(target)).await {
        Ok(rows) => {
            let accounts = rows.iter().map(|row| {
                let [user, host] = [message::text(row, 0)?, message::text(row, 1)?].map(Option::unwrap_or_default);
                Ok(Account { user, host })
            });
            Ok((true, accounts.collect::<Result<_, Failure>>()?))
        }
        Err(failure) if failure.kind() == ErrorKind::Privilege => Ok((false, vec![own.clone()])),
        Err(failure) => Err(failure),
    }
}

/// What each account was granted itself: on everything, on the schema, on the table.
async fn granted(
    connection: &mut MySqlConnection,
    heartbeat: &HeartbeatTable,
    accounts: Vec<Account>,
) -> Result<Vec<AccountFacts>, Failure> {
    let mut facts: Vec<AccountFacts> =
        accounts.into_iter().map(|account| AccountFacts { account, ..AccountFacts::default() }).collect();
    if facts.is_empty() {
        return Ok(facts);
    }
    for row in message::send(connection, grants_sql(heartbeat, &facts)).await? {
        let grantee = message::text(&row, 0)?.unwrap_or_default();
        let privilege = message::text(&row, 1)?.unwrap_or_default();
        // The catalogue compares names without their case.
        for facts in facts.iter_mut().filter(|facts| self::grantee(&facts.account) == grantee) {
            if !facts.on_table.contains(&privilege) {
                facts.on_table.push(privilege.clone());
            }
        }
    }
    Ok(facts)
}

/// What this session may do with the table, whatever it comes from: the server is asked how it would do it, and so asks
/// for the privileges. It does that first: of a table that does not exist it says so only to who may use it.
async fn effective(connection: &mut MySqlConnection, heartbeat: &HeartbeatTable) -> Result<Vec<String>, Failure> {
    let mut privileges = Vec::new();
    for (privilege, sql) in probes_sql(heartbeat) {
        match message::send(connection, sql).await {
            Err(failure) if failure.code().is_none() => return Err(failure),
            Err(failure) if failure.kind() == ErrorKind::Privilege => {}
            _ => privileges.push(privilege.to_owned()),
        }
    }
    Ok(privileges)
}

/// As the catalogue writes an account: a quote inside stays as it is.
fn grantee(account: &Account) -> String {
    format!("'{}'@'{}'", account.user, account.host)
}

/// One row on session, schema and table.
fn objects_sql(heartbeat: &HeartbeatTable) -> String {
    let (schema, table) = (literal(&heartbeat.schema), literal(&heartbeat.table));
    format!(
        "SELECT CURRENT_USER() AS account, @@session.sql_log_bin AS logged, \
         (SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {schema}) AS known_schemas, \
         (SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = {schema} AND TABLE_NAME = {table}) AS known_tables"
    )
}

fn columns_sql(heartbeat: &HeartbeatTable) -> String {
    format!(
        "SELECT COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} \
         AND COLUMN_NAME IN ('id', 'text', 'last_update')",
        literal(&heartbeat.schema),
        literal(&heartbeat.table)
    )
}

/// The accounts of the daemon's user and of the connector's, which may be written with its host. A role of MariaDB's is
/// one without a host.
fn accounts_sql(target: &Target) -> String {
    let connector = &target.connector.user.name;
    let names = [user_of(&target.endpoint.url), connector.clone(), Account::read(connector).user];
    let names: Vec<String> = names.iter().map(|name| literal(name)).collect();
    format!("SELECT User, Host FROM mysql.user WHERE User IN ({}) AND Host <> '' ORDER BY User, Host", names.join(", "))
}

/// One row for each privilege. A name with `_` in it may be written with `\_` in a grant on a schema, where `_` alone
/// stands for any character.
fn grants_sql(heartbeat: &HeartbeatTable, accounts: &[AccountFacts]) -> String {
    let HeartbeatTable { schema, table, .. } = heartbeat;
    let grantees: Vec<String> = accounts.iter().map(|facts| literal(&grantee(&facts.account))).collect();
    let escaped = schema.replace('\\', "\\\\").replace('_', "\\_").replace('%', "\\%");
    let of = |view: &str, more: &str| {
        format!(
            "SELECT GRANTEE, PRIVILEGE_TYPE FROM information_schema.{view} WHERE GRANTEE IN ({}){more}",
            grantees.join(", ")
        )
    };
    [
        of("USER_PRIVILEGES", ""),
        of("SCHEMA_PRIVILEGES", &format!(" AND TABLE_SCHEMA IN ({}, {})", literal(schema), literal(&escaped))),
        of("TABLE_PRIVILEGES", &format!(" AND TABLE_SCHEMA = {} AND TABLE_NAME = {}", literal(schema), literal(table))),
    ]
    .join(" UNION ALL ")
}

/// Each privilege with a statement that needs it. Explained, never run.
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

/// The ids of the first two rows, the configured one first.
fn rows_sql(heartbeat: &HeartbeatTable) -> String {
    let row = heartbeat.row;
    format!("SELECT id FROM {} WHERE id IS NOT NULL ORDER BY id <> {row}, id LIMIT 2", table_of(heartbeat))
}
