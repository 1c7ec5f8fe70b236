//! Plans what the database lacks, from the facts of the checks, with the steps of `migrations/sqlserver/`. The
//! session's `plan` and `apply` call it.

use super::columns::{faults, mend};
use super::error_codes::{CAPTURE_INSTANCE_EXISTS, OBJECT_EXISTS};
use super::facts::{self, AZURE_DATABASE, COLUMNS, Effect, Principals, RowFacts, SqlServerFacts, TableFacts};
use super::family::{FILEGROUP, enables_cdc, role_of};
use super::identifier::{literal, problem, quote};
use super::query::{self, Limits, SqlClient};
use super::remedies::{ORDINARY_TABLE, as_owner, create_user, revoke};
use crate::driver::SessionAccount;
use crate::driver::answer::Answer;
use crate::heartbeat::{ErrorKind, Failure};
use crate::plan::existing_table::{ExistingTable, RowNeed, Rows};
use crate::plan::{Plan, Step, render};
use crate::remedy::Remedy;
use crate::target::{Named, Target};
use crate::time::clock::Instant;

const SCHEMA: &str = include_str!("../../../migrations/sqlserver/001_schema.sql");
const TABLE: &str = include_str!("../../../migrations/sqlserver/002_table.sql");
const ROW: &str = include_str!("../../../migrations/sqlserver/003_row.sql");
const ROW_IDENTITY: &str = include_str!("../../../migrations/sqlserver/004_row_identity.sql");
const ROLE: &str = include_str!("../../../migrations/sqlserver/005_role.sql");
const MEMBER: &str = include_str!("../../../migrations/sqlserver/006_member.sql");
const GRANT: &str = include_str!("../../../migrations/sqlserver/007_grant.sql");
const CDC_DATABASE: &str = include_str!("../../../migrations/sqlserver/008_cdc_database.sql");
const CDC_DATABASE_RDS: &str = include_str!("../../../migrations/sqlserver/009_cdc_database_rds.sql");
const CDC_TABLE: &str = include_str!("../../../migrations/sqlserver/010_cdc_table.sql");

/// The privileges on the table for the user that beats; INSERT restores a deleted row.
const DAEMON: &[&str] = &["SELECT", "INSERT", "UPDATE"];
/// The privileges on the table for the connector.
const CONNECTOR: &[&str] = &["SELECT", "INSERT", "UPDATE", "DELETE"];

/// A target's names as the steps need them, and the plan in progress.
struct Planner<'a> {
    facts: &'a SqlServerFacts,
    target: &'a Target,
    /// The user that beats, if a session of `url` was asked for it.
    beats_as: Option<&'a SessionAccount>,
    schema: String,
    table: String,
    row: String,
    plan: Plan,
}

/// Plans what is missing.
pub(super) fn plan(facts: &SqlServerFacts, target: &Target, beats_as: Option<&SessionAccount>) -> Plan {
    let heartbeat = &target.heartbeat;
    let mut planner = Planner {
        facts,
        target,
        beats_as,
        schema: quote(&heartbeat.schema),
        table: format!("{}.{}", quote(&heartbeat.schema), quote(&heartbeat.table)),
        row: heartbeat.row_number().to_string(),
        plan: Plan::default(),
    };
    if let Some(database) = beats_as.and_then(|account| account.database.as_ref())
        && !database.eq_ignore_ascii_case(&facts.server.database)
    {
        let (theirs, ours) = (quote(database), quote(&facts.server.database));
        let message = format!("a session of url works in the database {theirs}, and provision_url leads to {ours}");
        let remedy = Remedy::advice(format!("write the database {database} into provision_url"));
        planner.plan.fail(ErrorKind::Settings, message, Some(remedy));
        return planner.plan;
    }
    if planner.objects() {
        planner.principals();
        planner.tracking();
    }
    planner.plan
}

/// Runs one step, and checks its effect. An object that someone else created in the meantime is not a failure.
///
/// # Errors
/// The server's error, classified; `rejected` without an effect.
pub(super) async fn apply(
    client: &mut SqlClient,
    target: &Target,
    step: &Step,
    deadline: Instant,
) -> Result<(), Failure> {
    let failure = match query::send(client, &step.script, Limits::step(deadline)).await {
        Ok(_) => return look_at_effect(client, target, step, deadline).await,
        Err(failure) => failure,
    };
    let exists = [OBJECT_EXISTS, CAPTURE_INSTANCE_EXISTS].map(|number| number.to_string());
    if failure.code().is_some_and(|code| exists.iter().any(|known| known == code)) {
        return Ok(());
    }
    // The driver's remedy names the privileges for a beat, which would not help here.
    Err(match failure.kind() {
        ErrorKind::Privilege => failure.with_remedy(
            "let a member of db_owner do it (CDC on the database: of sysadmin): set provision_url, or hand them what \
             heartbeatd provision --dry-run prints",
        ),
        _ => failure,
    })
}

async fn look_at_effect(
    client: &mut SqlClient,
    target: &Target,
    step: &Step,
    deadline: Instant,
) -> Result<(), Failure> {
    let is_there = |found: &Principals| is_made(step, found, target);
    let does = |word: &str| step.script.contains(word);
    let effect = if does("sp_cdc_enable_table") {
        Effect::TrackedTable
    } else if does("cdc_enable_db") {
        Effect::TrackedDatabase
    } else if does("INSERT INTO") {
        Effect::Row
    } else if does("CREATE TABLE") {
        Effect::Table
    } else if does("CREATE SCHEMA") {
        Effect::Schema
    } else {
        Effect::Principals(&is_there)
    };
    match facts::has_effect(client, target, effect, Limits::step(deadline)).await? {
        Some(true) | None => Ok(()),
        Some(false) => {
            let message = "the server accepted the step, but the step had no effect";
            let remedy =
                "look for a trigger on the database or the server that undoes it (sys.triggers, sys.server_triggers)";
            Err(Failure::new(ErrorKind::Rejected, message).with_remedy(remedy))
        }
    }
}

/// Whether the role, the membership or the grant of a step exists.
fn is_made(step: &Step, found: &Principals, target: &Target) -> bool {
    let (role, user) = (role_of(target).name, &target.connector.user.name);
    if step.script.contains("CREATE ROLE") {
        return found.has(&role);
    }
    if step.script.contains("ADD MEMBER") {
        return found.is_member(user, &role);
    }
    let names = found.names.iter().filter(|name| step.script.trim_end().ends_with(&format!(" TO {};", quote(name))));
    let (privileges, _) = step.script.split_once(" ON OBJECT::").unwrap_or_default();
    let privileges: Vec<&str> = privileges.trim_start_matches("GRANT ").split(", ").collect();
    names.map(|name| found.rights_of(name).held).all(|held| privileges.iter().all(|privilege| held.contains(privilege)))
}

impl Planner<'_> {
    fn step(&mut self, title: String, template: &str, more: &[(&str, &str)]) {
        let (schema_text, table_text) = (literal(&self.target.heartbeat.schema), literal(&self.table));
        let name_text = literal(&self.target.heartbeat.table);
        let schema_inside = self.schema.replace('\'', "''");
        let mut values = vec![
            ("schema_inside", schema_inside.as_str()),
            ("schema_text", schema_text.as_str()),
            ("table", self.table.as_str()),
            ("table_text", table_text.as_str()),
            ("name_text", name_text.as_str()),
            ("row", self.row.as_str()),
        ];
        values.extend_from_slice(more);
        self.plan.steps.push(Step::script(title, render(template, &values)));
    }

    /// Plans schema, table and row. Returns whether the other steps can follow.
    fn objects(&mut self) -> bool {
        let table = match &self.facts.table {
            Answer::Seen(table) => table,
            Answer::Refused(refusal) => {
                self.plan.fail(ErrorKind::Privilege, format!("the catalogue cannot be read: {refusal}"), None);
                return false;
            }
        };
        if !table.schema {
            self.step(format!("create schema {}", self.schema), SCHEMA, &[]);
        }
        match table.kind.as_deref() {
            Some("USER_TABLE") => self.existing(table),
            Some(kind) => {
                let message = format!("{} is a {kind}, not an ordinary table", self.table);
                self.plan.fail(ErrorKind::Rejected, message, Some(ORDINARY_TABLE.into()));
                return false;
            }
            None => {
                self.step(format!("create table {}", self.table), TABLE, &[]);
                self.insert(ROW_IDENTITY);
            }
        }
        true
    }

    fn existing(&mut self, found: &TableFacts) {
        let table = self.table.clone();
        let rows = self.rows();
        // If the server hides the columns, the vendor's columns are assumed.
        let hidden = found.refused.contains_key(COLUMNS);
        let faults = if hidden { Vec::new() } else { faults(found, rows.are_none()) };
        let mend = mend(self.target, &table, found, &faults);
        let user = quote(&self.facts.server.user);
        let remedy = Remedy::advice("set provision_url to the address of a member of db_owner")
            .or_run(as_owner(self.target, format!("GRANT SELECT ON OBJECT::{table} TO {user};")));
        let existing =
            ExistingTable { name: &table, faults: &faults, mend: &mend, rows: &rows, seen_by: (&user, &remedy) };
        if existing.judge(self.target.heartbeat.row_number(), &mut self.plan) == RowNeed::Insert {
            let identity = hidden || found.column("id").is_some_and(|column| column.identity);
            self.insert(if identity { ROW_IDENTITY } else { ROW });
        }
    }

    fn rows(&self) -> Rows {
        let Answer::Seen(RowFacts { found, other, .. }) = &self.facts.row else { return Rows::Hidden };
        let own = (*found > 0).then(|| self.target.heartbeat.row_number());
        Rows::Ids(own.into_iter().chain(*other).collect())
    }

    fn insert(&mut self, template: &str) {
        self.step(format!("insert row {} into {}", self.row, self.table), template, &[]);
    }

    /// The connector's role and user, and the user that beats.
    fn principals(&mut self) {
        let principals = match &self.facts.principals {
            Answer::Seen(principals) => principals,
            Answer::Refused(refusal) => {
                let message = format!("users and roles cannot be read, so nothing is granted: {refusal}");
                return self.plan.notices.push(message);
            }
        };
        if let Some(refusal) = &principals.unlisted {
            self.plan.notices.push(format!("{refusal}: privileges that may already be granted are granted again"));
        }
        let (role, user) = (role_of(self.target), self.target.connector.user.clone());
        let has_user = principals.has(&user.name);
        if !has_user && user.configured {
            let name = quote(&user.name);
            let message = format!("the database has no user {name}");
            self.plan.fail(ErrorKind::Privilege, message, Some(create_user(self.target, &name)));
        } else if !has_user {
            let name = quote(&user.name);
            self.plan.notices.push(format!("the database has no user {name}: no role is given to it"));
        }
        if principals.has(&role.name) || role.configured || has_user {
            self.role(principals, &role);
            if has_user && !principals.is_member(&user.name, &role.name) {
                let (role, member) = (quote(&role.name), quote(&user.name));
                let title = format!("add {member} to role {role}");
                self.step(title, MEMBER, &[("role", &role), ("member", &member)]);
            }
        }
        let login = || self.target.endpoint.url.user().unwrap_or_default();
        let daemon = self.beats_as.map_or_else(login, |account| &account.user).to_owned();
        // The connector's own user has its privileges through the role.
        if daemon.is_empty() || has_user && daemon.eq_ignore_ascii_case(&user.name) {
            return;
        }
        if principals.has(&daemon) {
            self.grant(principals, &daemon, DAEMON);
        } else if self.target.provision_endpoint.is_some() {
            let name = quote(&daemon);
            let message = format!("the database has no user {name}, which has to write the heartbeat row");
            self.plan.fail(ErrorKind::Privilege, message, Some(create_user(self.target, &name)));
        }
        // Otherwise this session is the user that beats. It has another name in the database: an owner is dbo.
    }

    fn role(&mut self, principals: &Principals, role: &Named) {
        let quoted = quote(&role.name);
        if let Some(problem) = problem(&role.name) {
            return self.plan.fail(ErrorKind::Settings, format!("the name of the role {problem}"), None);
        }
        if !principals.has(&role.name) {
            let text = literal(&role.name);
            self.step(format!("create role {quoted}"), ROLE, &[("role", &quoted), ("role_text", &text)]);
        }
        self.grant(principals, &role.name, CONNECTOR);
    }

    fn grant(&mut self, principals: &Principals, grantee: &str, wanted: &[&str]) {
        let (rights, quoted) = (principals.rights_of(grantee), quote(grantee));
        for (privilege, by) in rights.denied.iter().filter(|(privilege, _)| wanted.contains(privilege)) {
            let remedy = revoke(self.target, privilege, by, &quoted);
            let (table, by) = (&self.table, quote(by));
            let message = format!("{privilege} on {table} is denied to {by}, which wins over every grant to {quoted}");
            self.plan.fail(ErrorKind::Privilege, message, Some(remedy));
        }
        let is_denied = |privilege: &str| rights.denied.iter().any(|(denied, _)| *denied == privilege);
        let is_held = |wanted: &str| {
            rights.held.contains(wanted) || principals.unlisted.is_some() && self.session_holds(grantee, wanted)
        };
        let missing: Vec<&str> =
            wanted.iter().copied().filter(|wanted| !is_held(wanted) && !is_denied(wanted)).collect();
        if !missing.is_empty() {
            let privileges = missing.join(", ");
            let title = format!("grant {privileges} on {} to {quoted}", self.table);
            self.step(title, GRANT, &[("privileges", &privileges), ("grantee", &quoted)]);
        }
    }

    /// Whether the grantee is this session's own user and, by the server's answer, has the privilege.
    fn session_holds(&self, grantee: &str, privilege: &str) -> bool {
        let Answer::Seen(own) = &self.facts.own else { return false };
        let held = match privilege {
            "SELECT" => own.select,
            "INSERT" => own.insert,
            "UPDATE" => own.update,
            _ => None,
        };
        grantee.eq_ignore_ascii_case(&self.facts.server.user) && held == Some(true)
    }

    /// Plans change data capture: for the table, and for the database only if the configuration asks for it.
    fn tracking(&mut self) {
        let server = &self.facts.server;
        let database = match &self.facts.database {
            Answer::Seen(database) => database,
            Answer::Refused(refusal) => {
                let message = format!("it is unknown whether change data capture is on: {refusal}");
                return self.plan.notices.push(message);
            }
        };
        if let Some(name) = server.lookalike().filter(|_| !database.cdc) {
            return self.plan.notices.push(format!("{name} has no change data capture"));
        }
        if !database.cdc && server.cdc_procedures == Some(false) {
            let message = "change data capture is off, and the server has no procedure that switches it on";
            return self.plan.notices.push(message.to_owned());
        }
        let name = quote(&server.database);
        if !database.cdc && !enables_cdc(self.target) {
            return self.plan.notices.push(format!(
                "change data capture is off in {name}: set enable_cdc = true under [target.connector] to have it switched \
                 on, and the heartbeat table tracked"
            ));
        }
        if !database.cdc {
            let text = literal(&server.database);
            let template = if server.rds { CDC_DATABASE_RDS } else { CDC_DATABASE };
            self.step(format!("enable change data capture in {name}"), template, &[("database_text", &text)]);
        }
        let tracked = self.facts.table.answer().is_some_and(|table| table.tracked);
        if tracked {
            return;
        }
        let role = role_of(self.target);
        let has_role = self.facts.principals.answer().is_some_and(|found| found.has(&role.name))
            || self.plan.steps.iter().any(|step| step.title == format!("create role {}", quote(&role.name)));
        let role = if has_role { literal(&role.name) } else { "NULL".to_owned() };
        let filegroup = match server.filegroup && server.engine_edition != AZURE_DATABASE {
            true => format!("\n    @filegroup_name = {},", literal(FILEGROUP)),
            false => String::new(),
        };
        let title = format!("track {} by change data capture", self.table);
        self.step(title, CDC_TABLE, &[("role_or_null", &role), ("filegroup", &filegroup)]);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::checks::right;
    use super::*;
    use crate::target::{Endpoint, Need};

    fn target() -> Target {
        Target::new("orders", Endpoint::parse("mssql://hb@db.example/orders").unwrap())
    }

    fn planned(facts: Value, target: &Target) -> Plan {
        plan(&serde_json::from_value(facts).unwrap(), target, None)
    }

    fn enabling() -> Target {
        let mut target = target();
        target.connector.needs.insert("enable_cdc".to_owned(), Need::Switch(true));
        target
    }

    /// A database that has only users, as its owner sees it.
    fn empty(facts: Value) -> Value {
        let mut facts = facts;
        facts["server"]["user"] = json!("dbo");
        facts["database"]["seen"]["cdc"] = json!(false);
        facts["table"]["seen"] =
            json!({"schema": false, "kind": null, "tracked": false, "instead_of": [], "columns": []});
        facts["row"] = json!({"refused": {"code": "208", "message": "Invalid object name"}});
        facts["principals"]["seen"] =
            json!({"sees_all": true, "names": ["dbo", "public", "hb", "streamkap_user"], "members": [], "grants": []});
        facts
    }

    fn script(plan: &Plan) -> String {
        assert!(plan.failures.is_empty(), "{plan:?}");
        let steps = plan.steps.iter().map(|step| format!("-- {}\n{}\n", step.title, step.script));
        let notices = plan.notices.iter().map(|notice| format!("-- {notice}\n"));
        notices.chain(steps).collect()
    }

    #[test]
    fn a_complete_database_needs_no_steps() {
        let mut facts = right::right();
        facts["principals"]["seen"]["names"] = json!(["dbo", "hb", "streamkap_user", "streamkap_role"]);
        facts["principals"]["seen"]["members"] = json!([["streamkap_user", "streamkap_role"]]);
        let plan = planned(facts, &target());
        assert!(plan.steps.is_empty() && plan.failures.is_empty() && plan.notices.is_empty(), "{plan:?}");
    }

    #[test]
    fn an_empty_database_gets_everything_in_order() {
        insta::assert_snapshot!("box", script(&planned(empty(right::right()), &enabling())));
    }

    #[test]
    fn amazon_and_azure_get_their_own_steps() {
        let mut rds = empty(right::right_rds());
        rds["server"]["filegroup"] = json!(true);
        insta::assert_snapshot!("rds", script(&planned(rds, &enabling())));
        insta::assert_snapshot!("azure", script(&planned(empty(right::right_azure()), &enabling())));
    }

    #[test]
    fn cdc_on_the_database_is_enabled_only_if_the_configuration_asks_for_it() {
        let plan = planned(empty(right::right()), &target());
        assert!(plan.steps.iter().all(|step| !step.script.contains("cdc")), "{plan:?}");
        assert!(plan.notices[0].contains("enable_cdc = true"), "{plan:?}");
    }

    #[test]
    fn no_step_can_destroy_anything() {
        for template in
            [SCHEMA, TABLE, ROW, ROW_IDENTITY, ROLE, MEMBER, GRANT, CDC_DATABASE, CDC_DATABASE_RDS, CDC_TABLE]
        {
            let words: Vec<String> = template.split(|c: char| !c.is_alphabetic()).map(str::to_uppercase).collect();
            for word in ["DROP", "TRUNCATE", "DELETE", "REVOKE", "DENY"] {
                assert!(words.iter().all(|found| found != word), "{word} in {template}");
            }
        }
    }

    #[test]
    fn names_are_quoted_everywhere() {
        let mut target = target();
        (target.heartbeat.schema, target.heartbeat.table) = ("a]'b".to_owned(), "; drop".to_owned());
        let script = script(&planned(empty(right::right()), &target));
        assert!(script.contains("EXEC (N'CREATE SCHEMA [a]]''b]')"), "{script}");
        assert!(script.contains("OBJECT_ID(N'[a]]''b].[; drop]') IS NULL"), "{script}");
    }

    #[test]
    fn no_step_grants_what_a_deny_takes_away() {
        let mut facts = right::right();
        let grants = facts.pointer_mut("/principals/seen/grants").unwrap().as_array_mut().unwrap();
        grants.push(json!({"grantee": "hb", "permission": "UPDATE", "denied": true, "column": false}));
        let plan = planned(facts, &target());
        assert!(plan.steps.is_empty());
        assert_eq!(plan.failures[0].kind(), ErrorKind::Privilege);
        assert!(plan.failures[0].remedy().unwrap().to_string().contains("REVOKE UPDATE"), "{plan:?}");
    }

    #[test]
    fn faults_that_no_step_can_repair_are_reported() {
        let mut view = right::right();
        view["table"]["seen"]["kind"] = json!("VIEW");
        assert_eq!(planned(view, &target()).failures[0].kind(), ErrorKind::Rejected);
        let mut other = right::right();
        other["row"]["seen"] = json!({"count": 1, "found": 0, "other": 7, "last_update": null});
        assert!(planned(other, &target()).failures[0].message().contains("holds row 7 and not row 1"));
        let mut absent = right::right();
        absent["principals"]["seen"]["names"] = json!(["dbo"]);
        let mut target = target();
        target.provision_endpoint = Some(Endpoint::parse("mssql://admin@db.example/orders").unwrap());
        let failures = planned(absent, &target).failures;
        assert!(failures[0].remedy().unwrap().to_string().contains("CREATE USER [hb] FOR LOGIN [hb]"), "{failures:?}");
    }
}
