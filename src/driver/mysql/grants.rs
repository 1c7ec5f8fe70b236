//! Parses `SHOW GRANTS`. `facts` and `catalog` read the server's lines with it; `checks` queries the result.
//!
//! It reads nothing after an account's name, because some servers write the hash of the password there.

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

/// The privileges of one account or role, of its active roles, and of PUBLIC.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Grants {
    granted: Vec<Grant>,
    /// Privileges on the whole server that are revoked for single databases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    revoked: Vec<Grant>,
    /// The roles that the account itself has, active or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) roles: Vec<RoleName>,
    /// The roles that are active from the login on, if the server lists them in this answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) default_roles: Vec<RoleName>,
    /// What `_` and `%` mean in the name of a database.
    patterns: Patterns,
    /// Whether the server ignores the case in names of databases and tables.
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
    /// `_` is any character, `%` any text; a backslash before them makes them literal.
    #[default]
    Wild,
    /// They are literal: MySQL with `partial_revokes`.
    Literal,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Grant {
    /// The number of the account or role in this answer that the line is for: each has its own privileges.
    grantee: usize,
    on: On,
    privileges: Vec<Privilege>,
}

/// The object that a privilege is needed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GrantScope<'a> {
    /// The whole server.
    Server,
    /// The whole of any one database.
    AnyDatabase,
    /// A whole table: database, table.
    Table(&'a str, &'a str),
    /// One column: database, table, column.
    Column(&'a str, &'a str, &'a str),
}

/// The result of a search for a privilege.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holding {
    /// It is granted.
    Yes,
    /// It is granted for these columns of the table only.
    Columns(Vec<String>),
    /// It is not granted.
    No,
    /// It was not found, but this many lines could not be read.
    Unknown(usize),
}

/// Names for all privileges except GRANT OPTION.
const ALL: &[&str] = &["ALL PRIVILEGES", "ALL"];

/// The names of one privilege: the name in this code, and the other names that servers use.
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

    /// The same grants on a server that compares names like this.
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
            // SHOW GRANTS also lists the roles of an active role; the account's own lines come first.
            reader::Line::Roles { roles, to } => {
                if number(to) == 0 {
                    self.roles.extend(roles);
                }
            }
            reader::Line::DefaultRoles(roles) => self.default_roles.extend(roles),
        }
    }

    /// Adds the grants of an active role, or of PUBLIC.
    pub(super) fn add(&mut self, other: Self) {
        let lines = |grants: &Self| grants.granted.iter().chain(&grants.revoked).map(|line| line.grantee + 1).max();
        let first = lines(self).unwrap_or(0);
        let renumbered = |line: Grant| Grant { grantee: line.grantee + first, ..line };
        self.granted.extend(other.granted.into_iter().map(renumbered));
        self.revoked.extend(other.revoked.into_iter().map(renumbered));
        self.unread += other.unread;
    }

    /// Whether a privilege is granted on a place: `"UPDATE"`, `"REPLICATION SLAVE"`.
    pub(super) fn allows(&self, privilege: &str, place: GrantScope<'_>) -> Holding {
        // A server that ignores the case stores names in grants in lower case.
        let kept = |name: &str| if self.ignores_case { name.to_lowercase() } else { name.to_owned() };
        let found = match place {
            GrantScope::Table(database, table) => {
                self.look(privilege, GrantScope::Table(&kept(database), &kept(table)))
            }
            GrantScope::Column(database, table, column) => {
                self.look(privilege, GrantScope::Column(&kept(database), &kept(table), column))
            }
            GrantScope::Server | GrantScope::AnyDatabase => self.look(privilege, place),
        };
        match found {
            Holding::Yes => Holding::Yes,
            _ if self.unread > 0 => Holding::Unknown(self.unread),
            Holding::Columns(columns) if columns.is_empty() => Holding::No,
            answer => answer,
        }
    }

    /// Whether a privilege that few accounts need is granted on the whole server; unknown counts as no.
    pub(super) fn holds(&self, privilege: &str) -> bool {
        self.allows(privilege, GrantScope::Server) == Holding::Yes
    }

    fn look(&self, privilege: &str, place: GrantScope<'_>) -> Holding {
        let mut columns = Vec::new();
        // Only existing numbers: a saved file may contain any.
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
                    // Names of columns have no case.
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

    /// If the patterns of several lines match the name, the server uses only the most exact line.
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
    /// Whether a name matches a pattern, and how exact the pattern is: the later its first wildcard, the more exact.
    fn fit(self, pattern: &str, name: &str) -> Option<usize> {
        if self == Self::Literal {
            return (pattern == name).then_some(usize::MAX);
        }
        let pattern = Pattern::new(pattern);
        pattern.fits(name).then_some(pattern.exactness())
    }
}

/// Why a missing privilege may exist.
pub(super) fn unread(lines: usize) -> String {
    format!("{lines} of the lines of SHOW GRANTS could not be read; requires a look at them")
}

/// Whether two names mean the same column.
fn same_column(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
pub(super) fn is_zero(number: &usize) -> bool {
    *number == 0
}
