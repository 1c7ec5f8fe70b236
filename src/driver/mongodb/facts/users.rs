//! Users and roles, their privileges on the heartbeat's collection, and the owners of open change streams.

use mongodb::bson::{Document, doc};
use serde::{Deserialize, Serialize};

use super::questions::{Questions, count, documents};
use crate::driver::answer::Answer;
use crate::heartbeat::Failure;
use crate::target::HeartbeatTable;

/// The privileges on the heartbeat's collection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::mongodb) struct Rights {
    pub(in crate::driver::mongodb) find: bool,
    pub(in crate::driver::mongodb) update: bool,
    pub(in crate::driver::mongodb) insert: bool,
    pub(in crate::driver::mongodb) change_stream: bool,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::mongodb) struct UserFacts {
    pub(in crate::driver::mongodb) name: String,
    /// The database that it is defined in.
    pub(in crate::driver::mongodb) database: String,
    pub(in crate::driver::mongodb) rights: Rights,
}

/// This session's user; without a name if the server requires no login.
///
/// # Errors
/// As [`Questions::ask`].
pub(super) async fn own(ask: &mut Questions<'_>, table: &HeartbeatTable) -> Result<Answer<UserFacts>, Failure> {
    let answer = ask.ask("admin", doc! { "connectionStatus": 1, "showPrivileges": true }).await?;
    Ok(answer.make(|answer| {
        let info = answer.get_document("authInfo").ok();
        let privileges = documents(info, "authenticatedUserPrivileges");
        match documents(info, "authenticatedUsers").first() {
            Some(user) => UserFacts {
                name: user.get_str("user").unwrap_or_default().to_owned(),
                database: user.get_str("db").unwrap_or_default().to_owned(),
                rights: rights(&privileges, table),
            },
            // No user is logged in, but the server answers: it requires no login and allows everything.
            None => UserFacts { name: String::new(), database: String::new(), rights: Rights::ALL },
        }
    }))
}

/// A user by name; `None` if there is no such user.
///
/// # Errors
/// As [`Questions::ask`].
pub(super) async fn user(
    ask: &mut Questions<'_>,
    name: &str,
    database: &str,
    table: &HeartbeatTable,
) -> Result<Answer<Option<UserFacts>>, Failure> {
    if name.is_empty() {
        return Ok(Answer::Seen(None));
    }
    let command = doc! { "usersInfo": { "user": name, "db": database }, "showPrivileges": true };
    Ok(ask.ask("admin", command).await?.make(|answer| {
        documents(Some(&answer), "users").first().map(|user| UserFacts {
            name: name.to_owned(),
            database: database.to_owned(),
            rights: rights(&documents(Some(user), "inheritedPrivileges"), table),
        })
    }))
}

/// The privileges of a role in the heartbeat's database; `None` if there is no such role.
///
/// # Errors
/// As [`Questions::ask`].
pub(super) async fn role(
    ask: &mut Questions<'_>,
    name: &str,
    table: &HeartbeatTable,
) -> Result<Answer<Option<Rights>>, Failure> {
    let command = doc! { "rolesInfo": { "role": name, "db": &table.schema }, "showPrivileges": true };
    Ok(ask.ask("admin", command).await?.make(|answer| {
        let roles = documents(Some(&answer), "roles");
        roles.first().map(|role| rights(&documents(Some(role), "inheritedPrivileges"), table))
    }))
}

/// How many change streams are open on this server.
///
/// # Errors
/// As [`Questions::ask`].
pub(super) async fn readers(ask: &mut Questions<'_>) -> Result<Answer<u64>, Failure> {
    let command = doc! {
        "aggregate": 1,
        "pipeline": [
            { "$currentOp": { "allUsers": true, "idleCursors": true } },
            { "$match": { "cursor.originatingCommand.pipeline.0.$changeStream": { "$exists": true } } },
            { "$count": "n" },
        ],
        "cursor": {},
    };
    Ok(ask.ask("admin", command).await?.make(|answer| {
        let counted = documents(answer.get_document("cursor").ok(), "firstBatch");
        counted.first().and_then(|counted| count(counted, "n")).unwrap_or_default()
    }))
}

impl Rights {
    const ALL: Self = Self { find: true, update: true, insert: true, change_stream: true };
}

/// The privileges that apply to the heartbeat's collection, by the server's own rules of resources:
/// <https://www.mongodb.com/docs/manual/reference/resource-document/>. An empty name covers every name that the server
/// does not reserve for itself.
fn rights(privileges: &[Document], table: &HeartbeatTable) -> Rights {
    let mut rights = Rights::default();
    for privilege in privileges {
        let Ok(resource) = privilege.get_document("resource") else { continue };
        let Ok(actions) = privilege.get_array("actions") else { continue };
        if !covers(resource, table) {
            continue;
        }
        for action in actions.iter().filter_map(mongodb::bson::Bson::as_str) {
            match action {
                "find" => rights.find = true,
                "update" => rights.update = true,
                "insert" => rights.insert = true,
                "changeStream" => rights.change_stream = true,
                "anyAction" => rights = Rights::ALL,
                _ => {}
            }
        }
    }
    rights
}

fn covers(resource: &Document, table: &HeartbeatTable) -> bool {
    if resource.get_bool("anyResource").unwrap_or(false) {
        return true;
    }
    let (Ok(database), Ok(collection)) = (resource.get_str("db"), resource.get_str("collection")) else { return false };
    (database.is_empty() || database == table.schema) && (collection.is_empty() || collection == table.table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(resource: Document, action: &str) -> bool {
        rights(&[doc! { "resource": resource, "actions": [action] }], &HeartbeatTable::default()).find
    }

    #[test]
    fn a_privilege_covers_the_collection_by_the_servers_own_rules() {
        for (resource, covered) in [
            (doc! { "db": "streamkap", "collection": "streamkap_heartbeat" }, true),
            (doc! { "db": "streamkap", "collection": "" }, true),
            (doc! { "db": "", "collection": "streamkap_heartbeat" }, true),
            (doc! { "db": "", "collection": "" }, true),
            (doc! { "anyResource": true }, true),
            (doc! { "db": "streamkap", "collection": "other" }, false),
            (doc! { "db": "other", "collection": "" }, false),
            (doc! { "cluster": true }, false),
            (doc! { "system_buckets": "streamkap_heartbeat", "db": "streamkap" }, false),
        ] {
            assert_eq!(allowed(resource.clone(), "find"), covered, "{resource}");
        }
        assert!(!allowed(doc! { "db": "", "collection": "" }, "update"));
        assert!(allowed(doc! { "anyResource": true }, "anyAction"));
    }
}
