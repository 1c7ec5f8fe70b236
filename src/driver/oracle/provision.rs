//! Plans what the database lacks, from the facts of the checks, with the steps of `migrations/oracle/`. The session's
//! `plan` and `apply` call it.
//!
//! Changes to the whole database (archiving, minimal supplemental logging) are notices with the statement. heartbeatd
//! never runs them, because they may require a restart and affect every other user of the database.

use super::connect::{Opened, limit_of};
use super::errors::{self, DUPLICATE_KEY, GRANT_TO_SELF, LOGGING_EXISTS, NAME_USED};
use super::facts::{self, OracleFacts, ROOT};
use super::family::common_user_of;
use super::identifier::{quote, quoted_table, stored};
use super::remedies::{archive, grant_on, mend, minimal_logging, new_user, no_effect};
use crate::driver::answer::Answer;
use crate::heartbeat::{ErrorKind, Failure};
use crate::plan::columns;
use crate::plan::existing_table::{ExistingTable, RowNeed, Rows};
use crate::plan::{Plan, Step, render};
use crate::remedy::Remedy;
use crate::target::{Named, Target};
use crate::time::clock::Instant;

const TABLE: &str = include_str!("../../../migrations/oracle/001_table.sql");
const ROW: &str = include_str!("../../../migrations/oracle/002_row.sql");
const GRANT: &str = include_str!("../../../migrations/oracle/003_grant_table.sql");
const LOGGING: &str = include_str!("../../../migrations/oracle/004_supplemental_logging.sql");

/// The privileges on the table for the user that beats; INSERT restores a deleted row.
const DAEMON: &[&str] = &["SELECT", "INSERT", "UPDATE"];
/// The privileges on the table for the connector's users.
const CONNECTOR: &[&str] = &["SELECT", "INSERT", "UPDATE", "DELETE"];

/// A target's names as the steps need them, and the plan in progress.
struct Planner<'a> {
    facts: &'a OracleFacts,
    target: &'a Target,
    table: String,
    plan: Plan,
}

/// Plans what is missing.
pub(super) fn plan(facts: &OracleFacts, target: &Target) -> Plan {
    let mut planner = Planner { facts, target, table: quoted_table(&target.heartbeat), plan: Plan::default() };
    if planner.is_in_place() {
        planner.objects();
        planner.users();
        planner.logging();
    }
    planner.plan
}

/// Runs one step, and checks its effect. An object that someone else created in the meantime is not a failure. A name
/// that belongs to another kind of object is a failure. So is a step that the server accepted and that had no effect.
///
/// # Errors
/// The server's error, classified; `conflict` if another row was inserted meanwhile; `rejected` without an effect.
pub(super) async fn apply(opened: &mut Opened, target: &Target, step: &Step, deadline: Instant) -> Result<(), Failure> {
    let statement = runnable(&step.script).to_owned();
    let call = opened.thread.call(
        move |place| match place {
            Some(session) => session.execute(&statement),
            None => Err(Failure::new(ErrorKind::Internal, "the session was closed before its last use")),
        },
        limit_of(deadline),
    );
    let refused = call.await.err();
    if let Some(failure) = &refused
        && !ALREADY_THERE.iter().any(|code| failure.code() == Some(&errors::shown(*code)))
    {
        return Err(match failure.kind() {
            ErrorKind::Privilege => failure.clone().with_remedy(
                "let an administrator do it: set provision_url, or hand them what heartbeatd provision --dry-run prints",
            ),
            _ => failure.clone(),
        });
    }
    let facts = facts::gather(opened, target, deadline).await?;
    match (effect(step, &facts, target), refused) {
        (Effect::Seen | Effect::Hidden, _) => Ok(()),
        (Effect::OtherRow, _) => Err(Failure::new(ErrorKind::Conflict, "another row was inserted at the same time")),
        (Effect::Missing, Some(failure)) => Err(failure),
        (Effect::Missing, None) => {
            let message = "the server accepted the step, but the step had no effect";
            Err(Failure::new(ErrorKind::Rejected, message).with_remedy(no_effect(&target.heartbeat)))
        }
    }
}

/// The server's errors for a step whose object already exists.
const ALREADY_THERE: [u32; 4] = [DUPLICATE_KEY, GRANT_TO_SELF, LOGGING_EXISTS, NAME_USED];

/// The effect of a step that was run.
#[derive(Debug, PartialEq, Eq)]
enum Effect {
    Seen,
    /// Hidden from this user.
    Hidden,
    Missing,
    /// The table contains a row, but not the row of this step.
    OtherRow,
}

fn effect(step: &Step, facts: &OracleFacts, target: &Target) -> Effect {
    let of = |seen: Option<bool>| match seen {
        None => Effect::Hidden,
        Some(true) => Effect::Seen,
        Some(false) => Effect::Missing,
    };
    // A step that had its effect is not planned again.
    let is_planned = || plan(facts, target).steps.iter().any(|planned| planned.title == step.title);
    match step.script.split_whitespace().next().unwrap_or_default() {
        "CREATE" => of(facts.objects.answer().map(|_| facts.own_object(&target.heartbeat) == Some("TABLE"))),
        "BEGIN" => match facts.row.answer() {
            Some(rows) if rows.found == 0 && rows.other.is_some() => Effect::OtherRow,
            rows => of(rows.map(|rows| rows.found > 0)),
        },
        "GRANT" => of(facts.grants.answer().map(|_| !is_planned())),
        _ => of(facts.log_groups.answer().map(|_| !is_planned())),
    }
}

/// The statement as the server accepts it. In SQL*Plus a semicolon ends a statement and a slash ends a block.
pub(super) fn runnable(script: &str) -> &str {
    let script = script.trim_end();
    match script.strip_suffix("\n/") {
        Some(block) => block,
        None => script.strip_suffix(';').unwrap_or(script),
    }
}

impl Planner<'_> {
    fn step(&mut self, title: String, template: &str, more: &[(&str, &str)]) {
        let table = self.table.clone();
        let mut values = vec![("table", table.as_str())];
        values.extend_from_slice(more);
        self.plan.steps.push(Step::script(title, render(template, &values)));
    }

    /// Whether the session is in the container where the table belongs.
    fn is_in_place(&mut self) -> bool {
        if self.facts.context.container != ROOT {
            return true;
        }
        let remedy = "write the service of the pluggable database into the address, after the host".to_owned();
        let message =
            format!("the session is in {ROOT}, where no heartbeat belongs: connectors read pluggable databases");
        self.plan.fail(ErrorKind::Settings, message, Some(remedy.into()));
        false
    }

    fn exists(&self, user: &str) -> bool {
        self.facts.users.answer().is_none_or(|users| users.iter().any(|known| known == user))
    }

    /// Owner, table and row.
    fn objects(&mut self) {
        let owner = stored(&self.target.heartbeat.schema);
        if !self.exists(&owner) {
            let message = format!("the user {}, whose schema the heartbeat table is in, does not exist", quote(&owner));
            return self.plan.fail(ErrorKind::MissingSchema, message, Some(new_user(&owner, true)));
        }
        match self.facts.own_object(&self.target.heartbeat) {
            None => {
                self.step(format!("create table {}", self.table), TABLE, &[]);
                self.insert(false);
            }
            Some("TABLE") => self.existing(),
            Some(kind) => {
                let message = format!("{} is not a table: {}", self.table, kind.to_lowercase());
                let remedy = "name another table under [target.heartbeat]".to_owned();
                self.plan.fail(ErrorKind::Rejected, message, Some(remedy.into()));
            }
        }
    }

    fn existing(&mut self) {
        let columns = self.facts.columns.answer().map(Vec::as_slice).unwrap_or_default();
        let row = self.target.heartbeat.row_number();
        let rows = match &self.facts.row {
            Answer::Seen(rows) if rows.found > 0 => Rows::Ids(vec![row]),
            Answer::Seen(rows) => Rows::Ids(rows.other.into_iter().collect()),
            Answer::Refused(_) => Rows::Hidden,
        };
        let faults = columns::judge(columns, rows.are_none());
        let (mend, user) = (mend(&self.table, &faults), quote(&self.facts.context.user));
        let remedy = Remedy::advice("set provision_url to the owner").or_run(grant_on("SELECT", &self.table, &user));
        let standing =
            ExistingTable { name: &self.table, faults: &faults, mend: &mend, rows: &rows, seen_by: (&user, &remedy) };
        if standing.judge(row, &mut self.plan) == RowNeed::Insert {
            let zoned = columns.iter().any(|column| column.name == "last_update" && column.kind.contains("TIME ZONE"));
            self.insert(zoned);
        }
    }

    fn insert(&mut self, with_zone: bool) {
        let row = self.target.heartbeat.row_number().to_string();
        let now = if with_zone { "SYSTIMESTAMP" } else { "SYS_EXTRACT_UTC(SYSTIMESTAMP)" };
        self.step(format!("insert row {row} into {}", self.table), ROW, &[("row", &row), ("now", now)]);
    }

    /// The user that beats, the connector's user and, in a multitenant database, its common user.
    fn users(&mut self) {
        let connector = &self.target.connector.user;
        let common = common_user_of(self.target);
        if let Some(user) = self.target.endpoint.url.user() {
            let same = [&connector.name, &common.name].iter().any(|name| stored(name) == stored(user));
            if !same {
                self.user(&Named::configured(user), DAEMON);
            }
        }
        self.user(connector, CONNECTOR);
        if self.facts.context.multitenant {
            self.user(&common, CONNECTOR);
        }
    }

    fn user(&mut self, user: &Named, wanted: &[&str]) {
        let (name, quoted) = (stored(&user.name), quote(&user.name));
        // An owner has all privileges on its table. The catalogue does not list them.
        if name == stored(&self.target.heartbeat.schema) {
            return;
        }
        if !self.exists(&name) {
            if user.configured {
                let message = format!("the user {quoted} does not exist");
                return self.plan.fail(ErrorKind::Privilege, message, Some(new_user(&user.name, false)));
            }
            let notice = format!("the user {quoted} does not exist: nothing is granted to it");
            return self.plan.notices.push(notice);
        }
        let grants = self.facts.grants.answer().map(Vec::as_slice).unwrap_or_default();
        let has = |privilege: &str| grants.iter().any(|grant| grant.grantee == name && grant.privilege == privilege);
        let missing: Vec<&str> = wanted.iter().copied().filter(|privilege| !has(privilege)).collect();
        if missing.is_empty() {
            return;
        }
        let privileges = missing.join(", ");
        let title = format!("grant {privileges} on {} to {quoted}", self.table);
        self.step(title, GRANT, &[("privileges", &privileges), ("user", &quoted)]);
    }

    /// Supplemental logging of the table; and notices for settings of the whole database.
    fn logging(&mut self) {
        let database = self.facts.database.answer();
        let everything = database.is_some_and(|database| database.all_columns)
            || self.facts.pdb_logging.answer().is_some_and(|pdb| pdb.as_ref().is_some_and(|pdb| pdb.all_columns));
        let groups = self.facts.log_groups.answer().map(Vec::as_slice).unwrap_or_default();
        let own = groups.iter().any(|group| group.kind == "ALL COLUMN LOGGING" && group.always);
        if !everything && !own {
            self.step(format!("log all columns of {}", self.table), LOGGING, &[]);
        }
        match database {
            None => self.plan.notices.push(
                "this user may not see whether the database archives its logs and logs what connectors need".to_owned(),
            ),
            Some(database) => {
                if database.log_mode != "ARCHIVELOG" {
                    self.plan.notices.push(format!("the database does not archive its logs: {}", archive(self.target)));
                }
                if database.minimal_logging == "NO" {
                    self.plan
                        .notices
                        .push(format!("minimal supplemental logging is off: {}", minimal_logging(self.target)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::driver::oracle::checks::right::right;
    use crate::driver::oracle::family;
    use crate::target::Endpoint;

    fn target() -> Target {
        let mut target = Target::new("orders", Endpoint::parse("oracle://hb@db.example/pdb1").unwrap());
        target.heartbeat = family::defaults().heartbeat;
        target.connector.user = Named::default_name("STREAMKAP_USER");
        target
    }

    fn nothing_there() -> Value {
        let mut facts = right();
        for part in ["objects", "columns", "primary_key", "log_groups", "grants"] {
            facts[part] = json!({ "seen": [] });
        }
        facts["row"] = json!({ "refused": { "code": "ORA-00942", "message": "table or view does not exist" } });
        facts
    }

    /// The output of `--dry-run` for a plan, without its first lines.
    fn script(facts: Value) -> String {
        let plan = plan(&serde_json::from_value(facts).unwrap(), &target());
        let steps = plan.steps.iter().map(|step| format!("-- {}\n{}\n", step.title, step.script));
        let notices = plan.notices.iter().map(|notice| format!("-- notice: {notice}\n"));
        let failures = plan
            .failures
            .iter()
            .map(|f| format!("-- failed: {f}; {}\n", f.remedy().map(ToString::to_string).unwrap_or_default()));
        steps.chain(notices).chain(failures).collect()
    }

    #[test]
    fn a_complete_database_needs_no_steps() {
        assert_eq!(script(right()), "");
    }

    #[test]
    fn everything_that_is_missing_in_a_pluggable_database_is_created_in_order() {
        insta::assert_snapshot!(script(nothing_there()));
    }

    #[test]
    fn a_single_tenant_database_has_no_common_user_and_changes_of_the_whole_database_are_notices() {
        let mut facts = nothing_there();
        facts["context"]["multitenant"] = json!(false);
        facts["context"]["container"] = json!("ORCL");
        facts["users"] = json!({ "seen": ["STREAMKAP_USER", "HB"] });
        facts["database"]["seen"]["log_mode"] = json!("NOARCHIVELOG");
        facts["database"]["seen"]["minimal_logging"] = json!("NO");
        insta::assert_snapshot!(script(facts));
    }

    #[test]
    fn nothing_is_created_in_the_root_container() {
        let mut facts = nothing_there();
        facts["context"]["container"] = json!(ROOT);
        let plan = plan(&serde_json::from_value(facts).unwrap(), &target());
        assert!(plan.steps.is_empty() && plan.failures.len() == 1, "{plan:?}");
    }

    #[test]
    fn a_step_without_effect_is_distinguished_from_one_whose_effect_is_hidden() {
        let facts = |facts: Value| serde_json::from_value(facts).unwrap();
        let steps = plan(&facts(nothing_there()), &target()).steps;
        let (missing, done) = (facts(nothing_there()), facts(right()));
        let refused = json!({ "refused": { "code": "ORA-00942", "message": "table or view does not exist" } });
        for (step, part) in steps.iter().zip(["objects", "row", "grants", "grants", "log_groups"]) {
            let expected = if part == "row" { Effect::Hidden } else { Effect::Missing };
            assert_eq!(effect(step, &missing, &target()), expected, "{}", step.title);
            assert_eq!(effect(step, &done, &target()), Effect::Seen, "{}", step.title);
            let mut hidden = right();
            hidden[part] = refused.clone();
            assert_eq!(effect(step, &facts(hidden), &target()), Effect::Hidden, "{}", step.title);
        }
        let mut other = right();
        other["row"] = json!({ "seen": { "count": 1, "found": 0, "last_update": null, "other": 7 } });
        assert_eq!(effect(&steps[1], &facts(other), &target()), Effect::OtherRow);
        let mut empty = right();
        empty["row"] = json!({ "seen": { "count": 0, "found": 0, "last_update": null, "other": null } });
        assert_eq!(effect(&steps[1], &facts(empty), &target()), Effect::Missing);
    }

    #[test]
    fn a_step_runs_without_the_terminator_for_sqlplus() {
        assert_eq!(runnable("GRANT x;\n"), "GRANT x");
        assert_eq!(runnable("BEGIN\n  x;\nEND;\n/"), "BEGIN\n  x;\nEND;");
    }

    #[test]
    fn no_step_can_destroy_anything() {
        for template in [TABLE, ROW, GRANT, LOGGING] {
            for word in ["DROP", "DELETE ", "TRUNCATE", "REVOKE", "MODIFY", "RENAME", "REPLACE"] {
                assert!(!render(template, &[]).to_uppercase().contains(word), "{word}: {template}");
            }
        }
    }

    #[test]
    fn hidden_privileges_are_granted_again_and_a_view_with_the_tables_name_is_reported() {
        let mut facts = right();
        facts["grants"] = json!({ "refused": { "code": "ORA-00942", "message": "hidden" } });
        assert!(script(facts).contains("GRANT SELECT, INSERT, UPDATE, DELETE ON"));
        let mut facts = right();
        facts["objects"] = json!({ "seen": [{ "owner": "STREAMKAP_USER", "kind": "VIEW" }] });
        assert!(script(facts).contains("is not a table: view"));
    }
}
