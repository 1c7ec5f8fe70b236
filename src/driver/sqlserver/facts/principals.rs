//! Users, roles, memberships and grants, and the privileges on the heartbeat table that follow from them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::questions::{Questions, text};
use super::table::name_literal;
use crate::driver::answer::{Answer, Refusal};
use crate::driver::sqlserver::identifier::literal;
use crate::driver::sqlserver::query;
use crate::heartbeat::Failure;
use crate::target::Target;

/// The database's users and roles, as far as this session's user sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::sqlserver) struct Principals {
    /// Whether it also sees those of others. If so, what is not listed does not exist.
    pub(in crate::driver::sqlserver) sees_all: bool,
    pub(in crate::driver::sqlserver) names: Vec<String>,
    /// Member and role.
    pub(in crate::driver::sqlserver) members: Vec<(String, String)>,
    /// Grants on the heartbeat table, its schema or the whole database.
    pub(in crate::driver::sqlserver) grants: Vec<Grant>,
    /// Why members or grants are unknown, if the server does not list them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::driver::sqlserver) unlisted: Option<Refusal>,
}

/// A row of `sys.database_permissions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::sqlserver) struct Grant {
    pub(in crate::driver::sqlserver) grantee: String,
    /// `SELECT`, `CONTROL`, …
    pub(in crate::driver::sqlserver) permission: String,
    pub(in crate::driver::sqlserver) denied: bool,
    /// Whether the grant is for one column only.
    pub(in crate::driver::sqlserver) column: bool,
}

/// The privileges of a user or role on the heartbeat table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::driver::sqlserver) struct Rights {
    /// The privileges it has, of SELECT, INSERT, UPDATE and DELETE.
    pub(in crate::driver::sqlserver) held: BTreeSet<&'static str>,
    /// The privileges that a DENY takes away, each with the user or role that was denied it.
    pub(in crate::driver::sqlserver) denied: Vec<(&'static str, String)>,
}

/// The privileges that a connector uses on the table.
const PRIVILEGES: &[&str] = &["SELECT", "INSERT", "UPDATE", "DELETE"];
/// Every user is a member of this role.
const PUBLIC: &str = "public";

/// Reads users, roles and grants. Each list has a maximum length, and the connector's and the writer's entries come
/// first.
///
/// # Errors
/// As [`Questions::ask`].
pub(super) async fn principals(ask: &mut Questions<'_>, target: &Target) -> Result<Answer<Principals>, Failure> {
    let (schema, name) = (literal(&target.heartbeat.schema), name_literal(target));
    let sql = "SELECT HAS_PERMS_BY_NAME(NULL, N'DATABASE', N'VIEW DEFINITION') AS sees_all;";
    let sees_all = ask.ask_one(sql, |row| query::flag(row, "sees_all")).await?.answer().copied().unwrap_or_default();
    let sql =
        "SELECT TOP (10000) CONVERT(nvarchar(128), p.name) AS name FROM sys.database_principals AS p ORDER BY p.name;";
    let names = match ask.ask(sql, |row| text(row, "name")).await? {
        Answer::Seen(names) => names,
        Answer::Refused(refusal) => return Ok(Answer::Refused(refusal)),
    };
    let sql = "SELECT TOP (10000) CONVERT(nvarchar(128), USER_NAME(m.member_principal_id)) AS member, \
               CONVERT(nvarchar(128), USER_NAME(m.role_principal_id)) AS role_name FROM sys.database_role_members AS m;";
    let members = ask.ask(sql, |row| Ok((text(row, "member")?, text(row, "role_name")?))).await?;
    let sql = format!(
        "SELECT TOP (10000) CONVERT(nvarchar(128), USER_NAME(g.grantee_principal_id)) AS grantee, \
         CONVERT(nvarchar(128), g.permission_name) AS permission, CASE WHEN g.state = 'D' THEN 1 ELSE 0 END AS denied, \
         CASE WHEN g.class = 1 AND g.minor_id <> 0 THEN 1 ELSE 0 END AS on_column FROM sys.database_permissions AS g \
         WHERE g.class = 0 OR g.class = 1 AND g.major_id = OBJECT_ID({name}) OR g.class = 3 AND g.major_id = SCHEMA_ID({schema});"
    );
    let grants = ask
        .ask(&sql, |row| {
            Ok(Grant {
                grantee: text(row, "grantee")?,
                permission: text(row, "permission")?.trim_end().to_owned(),
                denied: query::flag(row, "denied")?,
                column: query::flag(row, "on_column")?,
            })
        })
        .await?;
    let unlisted = match (&members, &grants) {
        (Answer::Refused(refusal), _) | (_, Answer::Refused(refusal)) => Some(refusal.clone()),
        // Every connected user holds CONNECT, so an empty view is a lookalike's.
        (_, Answer::Seen(grants)) if grants.is_empty() => Some(Refusal {
            code: "sys.database_permissions".to_owned(),
            message: "the server lists no permission at all".to_owned(),
        }),
        _ => None,
    };
    let (members, grants) = (listed(members), listed(grants));
    Ok(Answer::Seen(Principals { sees_all, names, members, grants, unlisted }))
}

fn listed<T>(answer: Answer<Vec<T>>) -> Vec<T> {
    match answer {
        Answer::Seen(found) => found,
        Answer::Refused(_) => Vec::new(),
    }
}

impl Principals {
    /// Whether a user or role of this name exists.
    pub(in crate::driver::sqlserver) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    /// Whether a user is a member of a role, directly or through another role.
    pub(in crate::driver::sqlserver) fn is_member(&self, user: &str, role: &str) -> bool {
        self.roles_of(user).iter().any(|known| known.eq_ignore_ascii_case(role))
    }

    /// The privileges of a user or role on the table: its own grants and those of its roles, on the table, its schema
    /// and the database. A DENY at any of these takes precedence, except for db_owner.
    pub(in crate::driver::sqlserver) fn rights_of(&self, name: &str) -> Rights {
        let mut holders = self.roles_of(name);
        holders.extend([name.to_owned(), PUBLIC.to_owned()]);
        let is_in = |role: &str| holders.iter().any(|holder| holder.eq_ignore_ascii_case(role));
        if is_in("db_owner") || name.eq_ignore_ascii_case("dbo") {
            return Rights { held: PRIVILEGES.iter().copied().collect(), denied: Vec::new() };
        }
        let mut rights = Rights::default();
        for privilege in PRIVILEGES {
            let reads = *privilege == "SELECT";
            let by_role = is_in(if reads { "db_datareader" } else { "db_datawriter" });
            let fits = |grant: &&Grant| {
                !grant.column
                    && (grant.permission == *privilege || grant.permission == "CONTROL")
                    && holders.iter().any(|holder| holder.eq_ignore_ascii_case(&grant.grantee))
            };
            if by_role || self.grants.iter().filter(fits).any(|grant| !grant.denied) {
                rights.held.insert(privilege);
            }
            let denying = if reads { "db_denydatareader" } else { "db_denydatawriter" };
            let denied = self.grants.iter().filter(fits).find(|grant| grant.denied).map(|grant| grant.grantee.clone());
            if let Some(denied) = denied.or_else(|| is_in(denying).then(|| denying.to_owned())) {
                rights.held.remove(privilege);
                rights.denied.push((privilege, denied));
            }
        }
        rights
    }

    fn roles_of(&self, name: &str) -> BTreeSet<String> {
        let mut roles = BTreeSet::new();
        let mut open = vec![name.to_owned()];
        while let Some(member) = open.pop() {
            for (_, role) in self.members.iter().filter(|(known, _)| known.eq_ignore_ascii_case(&member)) {
                if roles.insert(role.clone()) {
                    open.push(role.clone());
                }
            }
        }
        roles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(grantee: &str, permission: &str, denied: bool) -> Grant {
        Grant { grantee: grantee.to_owned(), permission: permission.to_owned(), denied, column: false }
    }

    fn principals(members: &[(&str, &str)], grants: Vec<Grant>) -> Principals {
        let members = members.iter().map(|(member, role)| ((*member).to_owned(), (*role).to_owned())).collect();
        Principals { members, grants, ..Principals::default() }
    }

    #[test]
    fn grants_of_a_role_in_a_role_count() {
        let found = principals(&[("cdc", "inner"), ("inner", "outer")], vec![grant("outer", "UPDATE", false)]);
        assert!(found.rights_of("CDC").held.contains("UPDATE") && found.is_member("cdc", "outer"));
        assert!(found.rights_of("other").held.is_empty());
    }

    #[test]
    fn a_deny_wins_everywhere_except_against_the_owner() {
        let grants = vec![grant("cdc", "SELECT", false), grant("public", "SELECT", true)];
        let rights = principals(&[], grants.clone()).rights_of("cdc");
        assert_eq!((rights.held.len(), rights.denied), (0, vec![("SELECT", "public".to_owned())]));
        assert!(principals(&[("cdc", "db_owner")], grants).rights_of("cdc").held.contains("SELECT"));
        let fixed = principals(&[("cdc", "db_datawriter"), ("cdc", "db_denydatawriter")], Vec::new());
        assert!(fixed.rights_of("cdc").held.is_empty());
    }

    #[test]
    fn a_grant_on_one_column_is_not_a_grant_on_the_table() {
        let column = Grant { column: true, ..grant("cdc", "SELECT", false) };
        assert!(principals(&[], vec![column]).rights_of("cdc").held.is_empty());
        assert_eq!(principals(&[], vec![grant("cdc", "CONTROL", false)]).rights_of("cdc").held.len(), 4);
    }
}
