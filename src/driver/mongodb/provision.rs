//! Plans what the deployment lacks, from the facts, with the steps of `migrations/mongodb/`. The session's `plan` and
//! `apply` call it.

use mongodb::bson::{Bson, Document};
use serde_json::json;

use super::client::Limits;
use super::connect::Opened;
use super::errors::{self, DUPLICATE_KEY, NAMESPACE_EXISTS};
use super::facts::{MongoFacts, Rights, UserFacts};
use super::identifier::{self, READER, WRITER, auth_database, id_literal, literal, namespace};
use super::remedies::on_primary;
use crate::driver::answer::Answer;
use crate::heartbeat::{ErrorKind, Failure};
use crate::plan::{Plan, Run, Step, render};
use crate::target::Target;
use crate::time::clock::Instant;

const COLLECTION: &str = include_str!("../../../migrations/mongodb/001_collection.js");
const DOCUMENT: &str = include_str!("../../../migrations/mongodb/002_document.js");
const ROLE: &str = include_str!("../../../migrations/mongodb/003_role.js");
const ROLE_PRIVILEGES: &str = include_str!("../../../migrations/mongodb/004_role_privileges.js");
const GRANT_ROLE: &str = include_str!("../../../migrations/mongodb/005_grant_role.js");

const WRITER_ACTIONS: &[&str] = &["find", "update"];
const READER_ACTIONS: &[&str] = &["find", "changeStream"];

/// A role exists already.
const ROLE_EXISTS: i32 = 51_002;

/// A role that a user must have.
struct Wanted<'a> {
    role: &'static str,
    actions: &'a [&'a str],
    /// Whether these privileges are enough.
    enough: fn(&Rights) -> bool,
    found_role: &'a Answer<Option<Rights>>,
}

/// The names of a target for the steps, and the plan under construction.
struct Planner<'a> {
    facts: &'a MongoFacts,
    target: &'a Target,
    plan: Plan,
}

/// Plans what is missing.
pub(super) fn plan(facts: &MongoFacts, target: &Target) -> Plan {
    let mut planner = Planner { facts, target, plan: Plan::default() };
    if planner.collection() {
        planner.document();
    }
    let writer = target.endpoint.url.user();
    if let Some(writer) = writer {
        let wanted = Wanted {
            role: WRITER,
            actions: WRITER_ACTIONS,
            enough: |rights| rights.find && rights.update,
            found_role: &facts.writer_role,
        };
        planner.user(writer, &auth_database(target), &facts.writer, &wanted, true);
    }
    let connector = &target.connector.user;
    if writer != Some(connector.name.as_str()) {
        let wanted = Wanted {
            role: READER,
            actions: READER_ACTIONS,
            enough: |rights| rights.find && rights.change_stream,
            found_role: &facts.reader_role,
        };
        planner.user(&connector.name, "admin", &facts.connector, &wanted, connector.configured);
    }
    planner.plan
}

/// Runs one step. If another program has created the object in the meantime, that is not a failure.
///
/// # Errors
/// The server's error, classified.
pub(super) async fn apply(opened: &mut Opened, step: &Step, deadline: Instant) -> Result<(), Failure> {
    let limits = Limits::until(deadline);
    let internal = |what: &str| Failure::new(ErrorKind::Internal, format!("the step cannot be run: {what}"));
    let Run::Command { database, document } = &step.run else { return Err(internal("it has no command")) };
    let mut command: Document = serde_json::from_str(document).map_err(|error| internal(&error.to_string()))?;
    let millis = i64::try_from(limits.server.as_millis()).unwrap_or(i64::MAX);
    command.insert("maxTimeMS", millis.min(i64::from(i32::MAX)));
    let answer = match opened.client.run(database, command, limits.client).await {
        Ok(answer) => answer,
        Err(failure) if failure.code().is_some_and(is_there_already) => return Ok(()),
        Err(failure) => return Err(with_the_administrator(failure)),
    };
    refused_within(&answer).map_or(Ok(()), Err)
}

fn is_there_already(code: &str) -> bool {
    [NAMESPACE_EXISTS, DUPLICATE_KEY, ROLE_EXISTS].iter().any(|known| known.to_string() == code)
}

/// Replaces the driver's remedy, because privileges for a beat would not help here.
fn with_the_administrator(failure: Failure) -> Failure {
    match failure.kind() {
        ErrorKind::Privilege => failure.with_remedy(
            "let an administrator do it: set provision_url, or hand them what heartbeatd provision --dry-run prints",
        ),
        _ => failure,
    }
}

/// What an answer with "ok" still refuses: a document, or the majority's acknowledgement.
fn refused_within(answer: &Document) -> Option<Failure> {
    let of_write = answer.get_array("writeErrors").ok().and_then(|errors| errors.first()).and_then(Bson::as_document);
    let (error, concern) = match of_write {
        Some(error) => (error, false),
        None => (answer.get_document("writeConcernError").ok()?, true),
    };
    let code = error.get_i32("code").unwrap_or_default();
    if !concern && is_there_already(&code.to_string()) {
        return None;
    }
    let kind = if concern { ErrorKind::Unconfirmed } else { errors::kind_of(code) };
    Some(Failure::new(kind, error.get_str("errmsg").unwrap_or_default()).with_code(code.to_string()))
}

impl Planner<'_> {
    fn step(&mut self, title: String, database: &str, template: &str, more: &[(&str, &str)]) {
        let heartbeat = &self.target.heartbeat;
        let (schema, table) = (literal(&heartbeat.schema), literal(&heartbeat.table));
        let row = id_literal(heartbeat);
        let mut values = vec![("database", schema.as_str()), ("collection", table.as_str()), ("row", row.as_str())];
        values.extend_from_slice(more);
        let document = render(template, &values);
        let script = format!("db.getSiblingDB({}).runCommand({document})", literal(database));
        self.plan.steps.push(Step { title, script, run: Run::Command { database: database.to_owned(), document } });
    }

    /// Plans the collection. Returns whether a collection that can hold the document exists, or will exist.
    fn collection(&mut self) -> bool {
        let name = namespace(&self.target.heartbeat);
        if let Some((_, problem)) = identifier::problem(&self.target.heartbeat) {
            self.plan.fail(ErrorKind::Settings, problem, None);
            return false;
        }
        match &self.facts.collection {
            Answer::Seen(Some(found)) if found.kind != "collection" || found.capped => {
                let kind = if found.capped { "capped" } else { found.kind.as_str() };
                let remedy = "name another collection under [target.heartbeat]".to_owned();
                self.plan.fail(
                    ErrorKind::Rejected,
                    format!("{name} is not an ordinary collection: {kind}"),
                    Some(remedy.into()),
                );
                false
            }
            Answer::Seen(Some(_)) => true,
            Answer::Seen(None) => {
                let database = self.target.heartbeat.schema.clone();
                self.step(format!("create collection {}", literal(&name)), &database, COLLECTION, &[]);
                true
            }
            Answer::Refused(refusal) => {
                let remedy = "set provision_url to an administrator's address".to_owned();
                self.plan.fail(
                    ErrorKind::Privilege,
                    format!("whether {name} exists is hidden: {refusal}"),
                    Some(remedy.into()),
                );
                false
            }
        }
    }

    fn document(&mut self) {
        let heartbeat = &self.target.heartbeat;
        let (database, row) = (heartbeat.schema.clone(), id_literal(heartbeat));
        let name = literal(&namespace(heartbeat));
        match &self.facts.row {
            Answer::Seen(found) if found.found => {}
            Answer::Seen(found) if found.count > 0 => {
                let other = found.other.as_deref().unwrap_or("?");
                let message = format!("{name} holds other documents and none with _id {row}, one with {other}");
                let remedy = "set row under [target.heartbeat] to the _id of the heartbeat".to_owned();
                self.plan.fail(ErrorKind::MissingRow, message, Some(remedy.into()));
            }
            Answer::Seen(_) => self.step(format!("insert _id {row} into {name}"), &database, DOCUMENT, &[]),
            Answer::Refused(refusal) => {
                let remedy = "set provision_url to an administrator's address".to_owned();
                self.plan.fail(
                    ErrorKind::Privilege,
                    format!("the documents of {name} are hidden: {refusal}"),
                    Some(remedy.into()),
                );
            }
        }
    }

    /// Plans what a user lacks: the role, its privileges, or its grant.
    fn user(
        &mut self,
        name: &str,
        defined_in: &str,
        found: &Answer<Option<UserFacts>>,
        wanted: &Wanted<'_>,
        configured: bool,
    ) {
        let shown = literal(name);
        let user = match found {
            Answer::Seen(Some(user)) => user,
            Answer::Seen(None) if configured => {
                let remedy = on_primary(format!(
                    "db.getSiblingDB({}).createUser({{user: {shown}, pwd: passwordPrompt(), roles: []}})",
                    literal(defined_in)
                ));
                let message = format!("the user {shown} does not exist in the database {}", literal(defined_in));
                return self.plan.fail(ErrorKind::Privilege, message, Some(remedy));
            }
            Answer::Seen(None) => {
                let notice = format!("the user {shown} does not exist: no role is granted to it");
                return self.plan.notices.push(notice);
            }
            Answer::Refused(refusal) => {
                let notice = format!("what the user {shown} may do is hidden, and no role is granted: {refusal}");
                return self.plan.notices.push(notice);
            }
        };
        if (wanted.enough)(&user.rights) {
            return;
        }
        let database = self.target.heartbeat.schema.clone();
        let (role, actions) = (literal(wanted.role), json!(wanted.actions).to_string());
        let names = [("role", role.as_str()), ("actions", actions.as_str()), ("user", shown.as_str())];
        match wanted.found_role.answer() {
            Some(Some(rights)) if (wanted.enough)(rights) => {}
            Some(Some(_)) => {
                let title = format!(
                    "let the role {role} {} {}",
                    wanted.actions.join(" and "),
                    literal(&namespace(&self.target.heartbeat))
                );
                self.step(title, &database, ROLE_PRIVILEGES, &names);
            }
            Some(None) | None => {
                self.step(format!("create the role {role} in {}", literal(&database)), &database, ROLE, &names);
            }
        }
        self.step(format!("grant the role {role} to {shown}"), defined_in, GRANT_ROLE, &names);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::driver::mongodb::checks::right::right;
    use crate::target::{Endpoint, HeartbeatTable, Named};

    fn target() -> Target {
        let mut target = Target::new("orders", Endpoint::parse("mongodb://hb@db.example/?replicaSet=rs0").unwrap());
        target.connector.user = Named::configured("cdc");
        target
    }

    fn nothing_there() -> MongoFacts {
        let mut facts: Value = right();
        facts["collection"] = json!({ "seen": null });
        facts["row"] = json!({ "seen": { "count": 0, "found": false, "other": null, "last_update_type": null, "last_update": null } });
        for part in ["writer", "connector"] {
            facts[part]["seen"]["rights"] =
                json!({ "find": false, "update": false, "insert": false, "change_stream": false });
        }
        for part in ["writer_role", "reader_role"] {
            facts[part] = json!({ "seen": null });
        }
        serde_json::from_value(facts).unwrap()
    }

    #[test]
    fn a_complete_database_needs_no_steps() {
        let facts: MongoFacts = serde_json::from_value(right()).unwrap();
        let plan = plan(&facts, &target());
        assert!(plan.steps.is_empty() && plan.failures.is_empty() && plan.notices.is_empty(), "{plan:?}");
    }

    #[test]
    fn missing_objects_are_created_in_order() {
        let plan = plan(&nothing_there(), &target());
        let scripts: Vec<&str> = plan.steps.iter().map(|step| step.script.as_str()).collect();
        insta::assert_snapshot!(scripts.join("\n"), @r#"
        db.getSiblingDB("streamkap").runCommand({ "create": "streamkap_heartbeat", "writeConcern": { "w": "majority" } })
        db.getSiblingDB("streamkap").runCommand({ "insert": "streamkap_heartbeat", "documents": [{ "_id": 1, "text": "test_heartbeat", "last_update": null }], "writeConcern": { "w": "majority" } })
        db.getSiblingDB("streamkap").runCommand({ "createRole": "heartbeatd_writer", "privileges": [{ "resource": { "db": "streamkap", "collection": "streamkap_heartbeat" }, "actions": ["find","update"] }], "roles": [], "writeConcern": { "w": "majority" } })
        db.getSiblingDB("admin").runCommand({ "grantRolesToUser": "hb", "roles": [{ "role": "heartbeatd_writer", "db": "streamkap" }], "writeConcern": { "w": "majority" } })
        db.getSiblingDB("streamkap").runCommand({ "createRole": "heartbeatd_reader", "privileges": [{ "resource": { "db": "streamkap", "collection": "streamkap_heartbeat" }, "actions": ["find","changeStream"] }], "roles": [], "writeConcern": { "w": "majority" } })
        db.getSiblingDB("admin").runCommand({ "grantRolesToUser": "cdc", "roles": [{ "role": "heartbeatd_reader", "db": "streamkap" }], "writeConcern": { "w": "majority" } })
        "#);
        assert!(plan.failures.is_empty(), "{plan:?}");
    }

    #[test]
    fn no_step_can_destroy_anything() {
        for template in [COLLECTION, DOCUMENT, ROLE, ROLE_PRIVILEGES, GRANT_ROLE] {
            for word in ["drop", "delete", "remove", "revoke", "update", "convert", "rename"] {
                assert!(!template.to_lowercase().contains(&format!("\"{word}")), "{word}: {template}");
            }
        }
    }

    #[test]
    fn names_are_quoted_in_every_place() {
        let mut target = target();
        target.heartbeat = HeartbeatTable { table: "a\"})\nx{role}".to_owned(), ..HeartbeatTable::default() };
        let plan = plan(&nothing_there(), &target);
        let Run::Command { document, .. } = &plan.steps[0].run else { panic!("{plan:?}") };
        let made: Document = serde_json::from_str(document).unwrap();
        assert_eq!(made.get_str("create").unwrap(), "a\"})\nx{role}");
        assert!(plan.steps.iter().all(|step| !step.script.contains('\n') && !step.title.contains('\n')), "{plan:?}");
    }

    #[test]
    fn a_user_with_the_privileges_keeps_them() {
        let mut facts = nothing_there();
        facts.writer = Answer::Seen(Some(UserFacts {
            name: "hb".to_owned(),
            database: "admin".to_owned(),
            rights: Rights { find: true, update: true, ..Rights::default() },
        }));
        let plan = plan(&facts, &target());
        assert!(plan.steps.iter().all(|step| !step.script.contains(WRITER)), "{plan:?}");
    }

    #[test]
    fn a_view_is_never_taken_for_the_heartbeat() {
        let mut facts: Value = right();
        facts["collection"]["seen"]["kind"] = json!("view");
        let plan = plan(&serde_json::from_value(facts).unwrap(), &target());
        assert_eq!(plan.failures[0].kind(), ErrorKind::Rejected);
        assert!(plan.steps.is_empty(), "{plan:?}");
    }
}
