//! Parses `SHOW GRANTS`: `facts` and `catalog` read the server's lines with it, `checks` asks it.
//!
//! It reads nothing after an account's name, because some servers write the password's hash there.

pub(super) mod inquiry;
mod reader;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::like::Pattern;
use super::name_case::NameCase;
pub(super) use reader::RoleName;
use reader::{On, Privilege};

/// The privileges of one account (or role), of the roles that are active with it, and of everybody.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Grants {
    granted: Vec<Grant>,
    /// What is taken away again from the privileges on the whole server, database by database.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    revoked: Vec<Grant>,
    /// The roles that the account itself has, active or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) roles: Vec<RoleName>,
    /// Those that are active from the login on, where the server tells it here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) default_roles: Vec<RoleName>,
    /// What `_` and `%` mean in the name of a database.
    patterns: Patterns,
    /// Whether the server takes names of databases and tables for the same that differ in their case alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    ignores_case: bool,
    /// How many lines could not be read.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) unread: usize,
}

/// What `_` and `%` mean in the name of a database that privileges are granted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Patterns {
    /// Any character, and any characters; a backslash before them takes that away.
    #[default]
    Wild,
    /// Themselves: MySQL with `partial_revokes`.
    Literal,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Grant {
    /// Which of the accounts and roles in the answer it is for, by number: their privileges are looked up apart.
    grantee: usize,
    on: On,
    privileges: Vec<Privilege>,
}

/// What a privilege is wanted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GrantScope<'a> {
    /// All of it.
    Server,
    /// All of any database.
    AnyDatabase,
    /// All of a table: database, table.
    Table(&'a str, &'a str),
    /// One column: database, table, column.
    Column(&'a str, &'a str, &'a str),
}

/// Whether a privilege is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holding {
    /// It is.
    Yes,
    /// Of the table it is there for these columns only.
    Columns(Vec<String>),
    /// It is not.
    No,
    /// It was not found, and this many lines could not be read.
    Unknown(usize),
}

/// Every privilege that can be granted there, but for GRANT OPTION.
const ALL: &[&str] = &["ALL PRIVILEGES", "ALL"];

/// Names of one privilege: the one that is written here, and the others that servers have for it.
const ALIASES: &[(&str, &[&str])] = &[
    ("REPLICATION CLIENT", &["BINLOG MONITOR"]),
    ("REPLICATION SLAVE", &["REPLICATION REPLICA"]),
    ("SLAVE MONITOR", &["REPLICA MONITOR"]),
];

impl Grants {
    /// Reads the answer to `SHOW GRANTS`, line by line.
    pub(super) fn read<S: AsRef<str>>(lines: impl IntoIterator<Item = S>, patterns: Patterns) -> Self {
        let mut grants = Self { patterns, ..Self::default() };
        let mut grantees = Vec::new();
        for line in lines {
            match reader::line(line.as_ref()) {
                Some(line) => grants.take(line, &mut grantees),
                None => grants.unread += 1,
            }
        }
        grants
    }

    /// The same on a server with this way of names.
    fn named(self, naming: NameCase) -> Self {
        Self { ignores_case: naming.ignores_case(), ..self }
    }

    fn take(&mut self, line: reader::Line, grantees: &mut Vec<RoleName>) {
        let mut number = |grantee: RoleName| {
            grantees.iter().position(|known| *known == grantee).unwrap_or_else(|| {
                grantees.push(grantee);
                grantees.len() - 1
            })
        };
        match line {
            reader::Line::Granted { privileges, on, to } => {
                self.granted.push(Grant { grantee: number(to), on, privileges });
            }
            reader::Line::Revoked { privileges, on, from } => {
                self.revoked.push(Grant { grantee: number(from), on, privileges });
            }
            // The roles of an active role are written out, too; the account's own lines come first.
            reader::Line::Roles { roles, to } => {
                if number(to) == 0 {
                    self.roles.extend(roles);
                }
            }
            reader::Line::DefaultRoles(roles) => self.default_roles.extend(roles),
        }
    }

    /// Adds what another answer says of somebody whose privileges come on top: of a role that is active, of everybody.
    pub(super) fn add(&mut self, other: Self) {
        let lines = |grants: &Self| grants.granted.iter().chain(&grants.revoked).map(|line| line.grantee + 1).max();
        let first = lines(self).unwrap_or(0);
        let renumbered = |line: Grant| Grant { grantee: line.grantee + first, ..line };
        self.granted.extend(other.granted.into_iter().map(renumbered));
        self.revoked.extend(other.revoked.into_iter().map(renumbered));
        self.unread += other.unread;
    }

    /// Whether a privilege is there, on a place: `"UPDATE"`, `"REPLICATION SLAVE"`.
    pub(super) fn allows(&self, privilege: &str, place: GrantScope<'_>) -> Holding {
        let found = if self.ignores_case {
            // What such a server grants on it keeps in lower case.
            let lower = |name: &str| name.to_lowercase();
            match place {
                GrantScope::Table(database, table) => {
                    self.look(privilege, GrantScope::Table(&lower(database), &lower(table)))
                }
                GrantScope::Column(database, table, column) => {
                    self.look(privilege, GrantScope::Column(&lower(database), &lower(table), column))
                }
                GrantScope::Server | GrantScope::AnyDatabase => self.look(privilege, place),
            }
        } else {
            self.look(privilege, place)
        };
        match found {
            Holding::Yes => Holding::Yes,
            _ if self.unread > 0 => Holding::Unknown(self.unread),
            Holding::Columns(columns) if columns.is_empty() => Holding::No,
            answer => answer,
        }
    }

    /// Whether a privilege on all of the server is there, as one that hardly anybody needs.
    pub(super) fn holds(&self, privilege: &str) -> bool {
        self.allows(privilege, GrantScope::Server) == Holding::Yes
    }

    fn look(&self, privilege: &str, place: GrantScope<'_>) -> Holding {
        let mut columns = Vec::new();
        // Those there are: a saved file may number them as it likes.
        let grantees: BTreeSet<usize> = self.granted.iter().map(|grant| grant.grantee).collect();
        for grantee in grantees {
            let own = || self.granted.iter().filter(|grant| grant.grantee == grantee);
            if self.on_server(own(), grantee, privilege, place.database())
                || place.database().is_some_and(|database| self.on_database(own(), privilege, database))
                || place == GrantScope::AnyDatabase
                    && own().any(|grant| grant.is_on_a_database() && grant.has(privilege))
            {
                return Holding::Yes;
            }
            let (database, table) = match place {
                GrantScope::Table(database, table) | GrantScope::Column(database, table, _) => (database, table),
                GrantScope::Server | GrantScope::AnyDatabase => continue,
            };
            let here = own().filter(|grant| matches!(&grant.on, On::Table(d, t) if d == database && t == table));
            for found in here.flat_map(|grant| &grant.privileges).filter(|found| found.is(privilege)) {
                match place {
                    _ if found.columns.is_empty() => return Holding::Yes,
                    // Names of columns are the same in any case.
                    GrantScope::Column(_, _, wanted) if found.columns.iter().any(|c| same_column(c, wanted)) => {
                        return Holding::Yes;
                    }
                    _ => columns.extend(found.columns.iter().cloned()),
                }
            }
        }
        Holding::Columns(columns)
    }

    fn on_server<'a>(
        &self,
        own: impl Iterator<Item = &'a Grant>,
        grantee: usize,
        privilege: &str,
        database: Option<&str>,
    ) -> bool {
        let here = |grant: &&Grant| matches!(&grant.on, On::Database(name) if Some(name.as_str()) == database);
        let mut revoked = self.revoked.iter().filter(|revoked| revoked.grantee == grantee).filter(here);
        own.filter(|grant| grant.on == On::Server).any(|grant| grant.has(privilege))
            && !revoked.any(|revoked| revoked.has(privilege))
    }

    /// Of all lines that fit the name, the server looks at one only: the most exact.
    fn on_database<'a>(&self, own: impl Iterator<Item = &'a Grant>, privilege: &str, database: &str) -> bool {
        let fitting = own.filter_map(|grant| match &grant.on {
            On::Database(pattern) => self.patterns.fit(pattern, database).map(|exactness| (exactness, grant)),
            _ => None,
        });
        fitting.max_by_key(|(exactness, _)| *exactness).is_some_and(|(_, grant)| grant.has(privilege))
    }
}

impl Grant {
    fn is_on_a_database(&self) -> bool {
        matches!(self.on, On::Database(_))
    }

    fn has(&self, privilege: &str) -> bool {
        self.privileges.iter().any(|found| found.columns.is_empty() && found.is(privilege))
    }
}

impl Privilege {
    fn is(&self, wanted: &str) -> bool {
        let aliases = || ALIASES.iter().filter(|(name, _)| *name == wanted).flat_map(|(_, others)| *others);
        self.name == wanted || ALL.contains(&self.name.as_str()) || aliases().any(|alias| self.name == *alias)
    }
}

impl<'a> GrantScope<'a> {
    fn database(self) -> Option<&'a str> {
        match self {
            Self::Server | Self::AnyDatabase => None,
            Self::Table(database, _) | Self::Column(database, _, _) => Some(database),
        }
    }
}

impl Patterns {
    /// Whether a name fits a pattern, and how exact that is: the later the first wildcard, the more.
    fn fit(self, pattern: &str, name: &str) -> Option<usize> {
        if self == Self::Literal {
            return (pattern == name).then_some(usize::MAX);
        }
        let pattern = Pattern::new(pattern);
        pattern.fits(name).then_some(pattern.exactness())
    }
}

/// Why a missing privilege is not known to be missing.
pub(super) fn unread(lines: usize) -> String {
    format!("{lines} of the lines of SHOW GRANTS could not be read; requires a look at them")
}

/// Whether two names are one column's.
fn same_column(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}
