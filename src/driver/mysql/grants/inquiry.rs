//! Sends SHOW GRANTS for this session and for other accounts, including their roles. `facts` and `catalog` use it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::mysql::MySqlConnection;

use super::{Grants, Patterns, RoleName};
use crate::driver::answer::Answer;
use crate::driver::mysql::facts::question::{ask, by_name};
use crate::driver::mysql::flavour::{self, Flavour};
use crate::driver::mysql::identifier::{Account, account, literal, quote};
use crate::driver::mysql::name_case::{self, NameCase};
use crate::driver::mysql::query;
use crate::heartbeat::Failure;

/// The most hosts of a user that are read: each takes 3 to 11 queries.
pub(crate) const MOST_HOSTS: usize = 8;
/// The most inactive roles of an account that are read.
const MOST: usize = 8;
/// The variable with the roles that MySQL grants to every account, without a line in SHOW GRANTS.
const MANDATORY: &str = "mandatory_roles";
/// The variable that makes those roles active from the login on, regardless of default roles: MySQL from 9.5, ON by
/// default. On servers without it they are inactive like any other role.
/// <https://docs.oracle.com/cd/E17952_01/mysql-9.5-en/added-deprecated-removed.html>
pub(crate) const ACTIVATE_MANDATORY: &str = "activate_mandatory_roles";
/// The variables that [`Inquiry::of`] needs.
pub(crate) const VARIABLES: &[&str] = &[
    flavour::VARIABLE,
    "partial_revokes",
    "activate_all_roles_on_login",
    ACTIVATE_MANDATORY,
    MANDATORY,
    name_case::VARIABLE,
];

/// An inactive role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IdleRole {
    pub(crate) role: RoleName,
    /// The privileges that it would bring.
    pub(crate) grants: Answer<Grants>,
}

/// The connection and the server's settings for SHOW GRANTS.
pub(crate) struct Inquiry<'a> {
    connection: &'a mut MySqlConnection,
    flavour: Flavour,
    patterns: Patterns,
    naming: NameCase,
    /// See [`MANDATORY`].
    mandatory: Vec<RoleName>,
    /// See [`ACTIVATE_MANDATORY`].
    mandatory_are_active: bool,
    /// Whether every role is active from the login on.
    all_roles: bool,
}

/// The grants of an account.
pub(crate) struct Found {
    /// Includes the roles that are active, in this session or after a login.
    pub(crate) grants: Answer<Grants>,
    /// The roles that are active.
    pub(crate) active: Vec<RoleName>,
    /// Roles that the account has but that are not active.
    pub(crate) idle: Vec<IdleRole>,
}

impl Found {
    fn refused(grants: Answer<Grants>) -> Self {
        Self { grants, active: Vec::new(), idle: Vec::new() }
    }
}

impl<'a> Inquiry<'a> {
    /// For queries through this connection, to a server with these variables.
    pub(crate) fn of(connection: &'a mut MySqlConnection, variables: &BTreeMap<String, String>) -> Self {
        let is_on = |name: &str| variables.get(name).is_some_and(|value| !matches!(value.as_str(), "OFF" | "0"));
        Self {
            connection,
            flavour: Flavour::of(variables),
            patterns: if is_on("partial_revokes") { Patterns::Literal } else { Patterns::Wild },
            naming: NameCase::of(variables),
            mandatory: mandatory(variables.get(MANDATORY).map_or("", String::as_str)),
            mandatory_are_active: is_on(ACTIVATE_MANDATORY),
            all_roles: is_on("activate_all_roles_on_login"),
        }
    }

    /// What this session may do, and what its inactive roles would bring.
    ///
    /// # Errors
    /// A failure that ends the connection.
    pub(crate) async fn own(&mut self) -> Result<Found, Failure> {
        let grants = match self.show("").await? {
            Answer::Seen(grants) => self.with_mandatory(grants),
            refused => return Ok(Found::refused(refused)),
        };
        let active = if grants.roles.is_empty() { Vec::new() } else { self.current_roles().await? };
        let mut idle = Vec::new();
        for role in idle_of(&grants, &active) {
            let shown = match self.flavour.is_mariadb() {
                true => self.show_taken_on(&role, active.first()).await?,
                false => self.show(&format!("FOR CURRENT_USER() USING {}", role.quoted())).await?,
            };
            idle.push(IdleRole { role, grants: shown });
        }
        Ok(Found { grants: Answer::Seen(grants), active, idle })
    }

    /// What an account may do after its login, and what its inactive roles would bring.
    ///
    /// # Errors
    /// A failure that ends the connection.
    pub(crate) async fn account(&mut self, account: &Account) -> Result<Found, Failure> {
        let name = account.quoted();
        let mut grants = match self.show(&format!("FOR {name}")).await? {
            Answer::Seen(grants) => self.with_mandatory(grants),
            refused => return Ok(Found::refused(refused)),
        };
        let active = if grants.roles.is_empty() {
            Vec::new()
        } else {
            match self.default_roles(&grants, account).await? {
                Answer::Seen(roles) => roles,
                Answer::Refused(refusal) => return Ok(Found::refused(Answer::Refused(refusal))),
            }
        };
        if self.flavour.is_mariadb() {
            for role in &active {
                match self.show(&format!("FOR {}", role.quoted())).await? {
                    Answer::Seen(role) => grants.add(role),
                    refused => return Ok(Found::refused(refused)),
                }
            }
            // Older versions have no PUBLIC.
            if let Answer::Seen(everybody) = self.show("FOR PUBLIC").await? {
                grants.add(everybody);
            }
        } else if !active.is_empty() {
            match self.show(&format!("FOR {name} USING {}", list(&active))).await? {
                Answer::Seen(with_roles) => grants = self.with_mandatory(with_roles),
                refused => return Ok(Found::refused(refused)),
            }
        }
        let mut idle = Vec::new();
        for role in idle_of(&grants, &active) {
            let of = match self.flavour.is_mariadb() {
                true => format!("FOR {}", role.quoted()),
                false => format!("FOR {name} USING {}", role.quoted()),
            };
            let shown = self.show(&of).await?;
            idle.push(IdleRole { role, grants: shown });
        }
        Ok(Found { grants: Answer::Seen(grants), active, idle })
    }

    fn with_mandatory(&self, mut grants: Grants) -> Grants {
        add_missing(&mut grants.roles, &self.mandatory);
        grants
    }

    async fn show(&mut self, of: &str) -> Result<Answer<Grants>, Failure> {
        self.read(format!("SHOW GRANTS {of}").trim_end().to_owned()).await
    }

    async fn read(&mut self, sql: String) -> Result<Answer<Grants>, Failure> {
        let (patterns, naming) = (self.patterns, self.naming);
        ask(self.connection, sql).await?.map(|rows| {
            let lines: Result<Vec<_>, Failure> = rows.iter().map(|row| query::text(row, 0)).collect();
            Ok(Grants::read(lines?.into_iter().flatten(), patterns).named(naming))
        })
    }

    /// MariaDB shows a role's grants only to a session that has set the role. One message sets the role and sets it
    /// back, because a pooler may give the next message to another session.
    async fn show_taken_on(&mut self, role: &RoleName, active: Option<&RoleName>) -> Result<Answer<Grants>, Failure> {
        let back = format!("SET ROLE {}", active.map_or("NONE".to_owned(), RoleName::quoted));
        let sql = format!("SET ROLE {}; SHOW GRANTS FOR CURRENT_ROLE; {back}", role.quoted());
        let shown = self.read(sql).await?;
        if matches!(shown, Answer::Refused(_)) {
            query::execute(self.connection, back).await?;
        }
        Ok(shown)
    }

    /// The roles that are active in this session; empty if the server has no roles.
    async fn current_roles(&mut self) -> Result<Vec<RoleName>, Failure> {
        let Answer::Seen(rows) = ask(self.connection, "SELECT CURRENT_ROLE()".to_owned()).await? else {
            return Ok(Vec::new());
        };
        let text = rows.first().map(|row| query::text(row, 0)).transpose()?.flatten();
        Ok(match text.as_deref() {
            None | Some("NONE" | "") => Vec::new(),
            Some(role) if self.flavour.is_mariadb() => vec![RoleName { name: role.to_owned(), host: None }],
            Some(roles) => RoleName::list(roles),
        })
    }

    /// The roles of an account that are active after its login.
    async fn default_roles(&mut self, grants: &Grants, account: &Account) -> Result<Answer<Vec<RoleName>>, Failure> {
        if self.flavour.is_mariadb() {
            return Ok(Answer::Seen(grants.default_roles.clone()));
        }
        if self.all_roles {
            return Ok(Answer::Seen(grants.roles.clone()));
        }
        let sql = format!(
            "SELECT DEFAULT_ROLE_USER AS user, DEFAULT_ROLE_HOST AS host FROM mysql.default_roles \
             WHERE USER = {} AND HOST = {}",
            literal(&account.user),
            literal(&account.host)
        );
        ask(self.connection, sql).await?.map(|rows| {
            let mut roles = Vec::new();
            for row in &rows {
                let mut row = by_name(row)?;
                roles.extend(row.remove("user").map(|name| RoleName { name, host: row.remove("host") }));
            }
            roles.retain(|role| grants.roles.contains(role));
            if self.mandatory_are_active {
                add_missing(&mut roles, &self.mandatory);
            }
            Ok(roles)
        })
    }
}

fn add_missing(roles: &mut Vec<RoleName>, more: &[RoleName]) {
    for role in more {
        if !roles.contains(role) {
            roles.push(role.clone());
        }
    }
}

fn idle_of(grants: &Grants, active: &[RoleName]) -> Vec<RoleName> {
    grants.roles.iter().filter(|role| !active.contains(role)).take(MOST).cloned().collect()
}

impl RoleName {
    /// The role as SQL writes it.
    pub(crate) fn quoted(&self) -> String {
        match &self.host {
            Some(host) => account(&self.name, host),
            None => quote(&self.name),
        }
    }
}

fn list(roles: &[RoleName]) -> String {
    roles.iter().map(RoleName::quoted).collect::<Vec<_>>().join(", ")
}

/// The statement that makes an inactive role of an account active from its next login on.
pub(crate) fn activation(flavour: Flavour, name: &str, active: &[RoleName], idle: &RoleName) -> String {
    match active.first() {
        // In MariaDB, only one role is active at a time.
        Some(active) if flavour.is_mariadb() => format!("GRANT {} TO {};", idle.quoted(), active.quoted()),
        None if flavour.is_mariadb() => format!("SET DEFAULT ROLE {} FOR {name};", idle.quoted()),
        _ => {
            let roles: Vec<_> = active.iter().chain([idle]).cloned().collect();
            format!("SET DEFAULT ROLE {} TO {name};", list(&roles))
        }
    }
}

/// Reads a list of roles, whose hosts may be missing.
fn mandatory(list: &str) -> Vec<RoleName> {
    let whole = |role: RoleName| RoleName { host: role.host.or_else(|| Some("%".to_owned())), ..role };
    RoleName::list(list).into_iter().map(whole).collect()
}
