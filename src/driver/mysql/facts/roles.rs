//! This session's account, and the connector's accounts, one for each host from which it may connect. Answers of SHOW
//! GRANTS are parsed and not kept. Passwords and their hashes are never read.

use serde::{Deserialize, Serialize};
use sqlx::mysql::{MySqlConnection, MySqlRow};

use super::question::{ask, by_name};
use super::server::ServerFacts;
use crate::driver::answer::{Answer, Refusal};
use crate::driver::mysql::error_codes;
use crate::driver::mysql::grants::inquiry::{Found, IdleRole, Inquiry, MOST_HOSTS};
use crate::driver::mysql::grants::{Grants, RoleName, is_zero};
use crate::driver::mysql::identifier::{Account, literal};
use crate::heartbeat::Failure;
use crate::target::Target;

/// The accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RolesFacts {
    /// This session's account.
    pub(crate) own: RoleFacts,
    /// The connector's accounts; empty if no account has that name.
    pub(crate) connector: Answer<Vec<RoleFacts>>,
    /// How many of the connector's accounts were not read: see [`MOST_HOSTS`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) connector_left_out: usize,
}

/// One account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RoleFacts {
    #[serde(flatten)]
    pub(crate) account: Account,
    #[serde(rename = "account")]
    pub(crate) login: Answer<LoginFacts>,
    /// Includes the roles that are active, in this session or after a login.
    pub(crate) grants: Answer<Grants>,
    /// The roles that are active.
    pub(crate) active: Vec<RoleName>,
    /// Roles that the account has but that are not active.
    pub(crate) idle: Vec<IdleRole>,
}

/// How an account logs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LoginFacts {
    /// `None` if the server cannot lock accounts, or hides the lock.
    pub(crate) locked: Option<bool>,
    /// Whether its password is marked as expired.
    pub(crate) expired: bool,
    /// When its password expires, in microseconds since 1970; `None` for never.
    pub(crate) valid_until: Option<i64>,
    /// The authentication plugin: `caching_sha2_password`.
    pub(crate) plugin: String,
    /// The TLS that it requires: nothing, `ANY`, `X509`, `SPECIFIED`.
    pub(crate) tls: String,
}

/// Looks up the accounts.
///
/// # Errors
/// A failure that ends the connection.
pub(super) async fn gather(
    connection: &mut MySqlConnection,
    target: &Target,
    server: &ServerFacts,
) -> Result<RolesFacts, Failure> {
    let (own, name) = (&server.account, &target.connector.user.name);
    let condition = format!("{} OR {}", is(&own.user, Some(&own.host)), named(name));
    let accounts = accounts(connection, server, &condition).await?;
    let mut inquiry = Inquiry::of(connection, &server.variables);
    let Found { grants, active, idle } = inquiry.own().await?;
    let login = match &accounts {
        Answer::Seen(accounts) => match accounts.iter().find(|(account, _)| account == own) {
            Some((_, login)) => Answer::Seen(login.clone()),
            None => Answer::Refused(hidden()),
        },
        Answer::Refused(refusal) => Answer::Refused(refusal.clone()),
    };
    let own = RoleFacts { account: own.clone(), login, grants, active, idle };
    let mut left_out = 0;
    let connector = match accounts {
        // An account may always read its own grants.
        Answer::Refused(_) if own.account.is_called(name) => Answer::Seen(vec![own.clone()]),
        Answer::Refused(refusal) => Answer::Refused(refusal),
        Answer::Seen(mut accounts) => {
            accounts.retain(|(account, _)| account.is_called(name));
            left_out = accounts.len().saturating_sub(MOST_HOSTS);
            let mut found = Vec::new();
            for (account, login) in accounts.into_iter().take(MOST_HOSTS) {
                let Found { grants, active, idle } = inquiry.account(&account).await?;
                found.push(RoleFacts { account, login: Answer::Seen(login), grants, active, idle });
            }
            Answer::Seen(found)
        }
    };
    Ok(RolesFacts { own, connector, connector_left_out: left_out })
}

/// The condition for one account, or for a user from any host.
fn is(user: &str, host: Option<&str>) -> String {
    let host = host.map_or(String::new(), |host| format!(" AND u.Host = {}", literal(host)));
    format!("(u.User = {}{host})", literal(user))
}

/// The condition for an account by its name: `user` or `user@host`. A user may contain an @.
fn named(name: &str) -> String {
    let Account { user, host } = Account::read(name);
    let with_host = if host.is_empty() { String::new() } else { format!(" OR {}", is(&user, Some(&host))) };
    format!("{}{with_host}", is(name, None))
}

/// The refusal that the server gives without the right to look; here for an account that is not in the list of
/// accounts.
fn hidden() -> Refusal {
    Refusal {
        code: error_codes::ER_NONEXISTING_GRANT.to_owned(),
        message: "this session's account is not in mysql.user".to_owned(),
    }
}

/// Reads the accounts that match a condition.
async fn accounts(
    connection: &mut MySqlConnection,
    server: &ServerFacts,
    condition: &str,
) -> Result<Answer<Vec<(Account, LoginFacts)>>, Failure> {
    let common = "u.User AS user, u.Host AS host, u.plugin AS plugin, u.ssl_type AS tls, u.password_expired AS expired";
    let lifetime = "IF(lifetime >= 0, lifetime, @@global.default_password_lifetime)";
    // Only the first query reads what later versions added.
    let of_mariadb = "JSON_VALUE(g.Priv, '$.account_locked') AS locked, \
                   JSON_VALUE(g.Priv, '$.password_last_changed') AS changed, \
                   JSON_VALUE(g.Priv, '$.password_lifetime') AS lifetime \
                   FROM mysql.user u JOIN mysql.global_priv g ON g.User = u.User AND g.Host = u.Host \
                   WHERE u.is_role <> 'Y' AND";
    let of_mysql = "u.account_locked AS locked, UNIX_TIMESTAMP(u.password_last_changed) AS changed, \
                 u.password_lifetime AS lifetime FROM mysql.user u WHERE";
    let detailed = if server.flavour.is_mariadb() { of_mariadb } else { of_mysql };
    let detailed = format!(
        "SELECT a.*, {lifetime} AS days FROM (SELECT {common}, {detailed} ({condition})) AS a ORDER BY user, host"
    );
    let plain = format!("SELECT {common} FROM mysql.user u WHERE {condition} ORDER BY user, host");
    let rows = match ask(connection, detailed).await? {
        Answer::Refused(refusal) if NOT_THERE.contains(&refusal.code.as_str()) => ask(connection, plain).await?,
        answer => answer,
    };
    rows.map(|rows| rows.iter().map(read_account).collect())
}

/// The errors of an older server that lacks a column, the table, a variable or a function.
const NOT_THERE: &[&str] = &[
    error_codes::ER_BAD_FIELD_ERROR,
    error_codes::ER_NO_SUCH_TABLE,
    error_codes::ER_UNKNOWN_SYSTEM_VARIABLE,
    error_codes::ER_SP_DOES_NOT_EXIST,
];

fn read_account(row: &MySqlRow) -> Result<(Account, LoginFacts), Failure> {
    let row = by_name(row)?;
    let text = |name: &str| row.get(name).cloned().unwrap_or_default();
    let number = |name: &str| row.get(name).and_then(|value| value.parse::<i64>().ok());
    let valid_until = match (number("changed"), number("days")) {
        (Some(changed), Some(days)) if days > 0 => Some((changed + days * 86_400).saturating_mul(1_000_000)),
        _ => None,
    };
    let login = LoginFacts {
        // MariaDB omits what is not set.
        locked: row.contains_key("days").then(|| matches!(text("locked").as_str(), "Y" | "1" | "true")),
        expired: text("expired") == "Y",
        valid_until,
        plugin: text("plugin"),
        tls: text("tls"),
    };
    Ok((Account { user: text("user"), host: text("host") }, login))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_its_literal() {
        let sql = named("o'b`@' OR 1=1 -- ");
        assert_eq!(sql, "(u.User = 'o''b`@'' OR 1=1 -- ') OR (u.User = 'o''b`' AND u.Host = ''' OR 1=1 -- ')");
    }
}
