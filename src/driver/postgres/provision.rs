//! What the database lacks: a plan from the facts of `catalog`, the steps from `migrations/postgres/`. Called by the
//! session's `plan` and `apply`.

use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::catalog::{Facts, Rows};
use super::connect::Column;
use super::identifier::{literal, problem, quote, sequence_of_id};
use super::message::{self, Limits};
use super::parameters::user_of;
use crate::heartbeat::{ErrorKind, Failure};
use crate::provisioning::{Plan, Step, render};
use crate::target::{Named, Target};

const SCHEMA: &str = include_str!("../../../migrations/postgres/001_schema.sql");
const TABLE: &str = include_str!("../../../migrations/postgres/002_table.sql");
const ROW: &str = include_str!("../../../migrations/postgres/003_row.sql");
const SEQUENCE: &str = include_str!("../../../migrations/postgres/004_sequence.sql");
const GRANT_SCHEMA: &str = include_str!("../../../migrations/postgres/005_grant_schema.sql");
const GRANT_TABLE: &str = include_str!("../../../migrations/postgres/006_grant_table.sql");
const GRANT_SEQUENCE: &str = include_str!("../../../migrations/postgres/007_grant_sequence.sql");
const PUBLICATION: &str = include_str!("../../../migrations/postgres/008_publication.sql");

/// Time for one message: DDL that waits for a lock makes everybody else wait behind it.
pub(super) const STEP_TIME: Duration = Duration::from_secs(10);
/// What the role that beats needs on the table: INSERT to bring a deleted row back.
const DAEMON: &[&str] = &["SELECT", "INSERT", "UPDATE"];
/// What the connector's role needs on it.
const CONNECTOR: &[&str] = &["SELECT", "INSERT", "UPDATE", "DELETE"];

/// The names of a target as the steps need them, and the plan as it grows.
struct Planner<'a> {
    facts: &'a Facts,
    target: &'a Target,
    schema: String,
    table: String,
    row: String,
    plan: Plan,
}

/// Says what is missing.
pub(super) fn plan(facts: &Facts, target: &Target) -> Plan {
    let heartbeat = &target.heartbeat;
    let mut planner = Planner {
        facts,
        target,
        schema: quote(&heartbeat.schema),
        table: format!("{}.{}", quote(&heartbeat.schema), quote(&heartbeat.table)),
        row: heartbeat.row.to_string(),
        plan: Plan::default(),
    };
    planner.objects();
    let daemon = Named::configured(user_of(&target.endpoint.url));
    let connector = &target.connector.user;
    if daemon.name == connector.name {
        planner.role(&daemon, CONNECTOR, true);
    } else {
        planner.role(&daemon, DAEMON, false);
        planner.role(connector, CONNECTOR, true);
    }
    planner.publication();
    planner.plan
}

/// Runs one step. What is there already, because somebody was quicker, is no failure.
///
/// # Errors
/// What the server says, classified; `privilege` for a grant that took no effect.
pub(super) async fn apply(connection: &mut PgConnection, step: &Step) -> Result<(), Failure> {
    let sql = format!("{} {}", Limits::within(STEP_TIME).sql(), step.sql);
    match message::send(connection, sql).await {
        Ok(rows) if rows.iter().any(|row| matches!(row.try_get("granted"), Ok(false))) => Err(Failure::new(
            ErrorKind::Privilege,
            "the server accepted the grant and granted nothing: only the owner, or who was given the right to, may",
        )),
        Ok(_) => Ok(()),
        Err(failure) if matches!(failure.code(), Some("42710" | "42P06" | "42P07")) => Ok(()),
        Err(failure) => Err(failure),
    }
}

impl Planner<'_> {
    fn step(&mut self, title: String, template: &str, more: &[(&str, &str)]) {
        // `has_schema_privilege` takes the bare name, what becomes a `regclass` the quoted one.
        let (schema_text, table_text) = (literal(&self.target.heartbeat.schema), literal(&self.table));
        let mut values = vec![
            ("schema", self.schema.as_str()),
            ("table", self.table.as_str()),
            ("row", self.row.as_str()),
            ("schema_text", schema_text.as_str()),
            ("table_text", table_text.as_str()),
        ];
        values.extend_from_slice(more);
        self.plan.steps.push(Step { title, sql: render(template, &values) });
    }

    fn fail(&mut self, kind: ErrorKind, message: String, remedy: Option<String>) {
        let failure = Failure::new(kind, message);
        self.plan.failures.push(match remedy {
            Some(remedy) => failure.with_remedy(remedy),
            None => failure,
        });
    }

    /// Schema, table, row, sequence.
    fn objects(&mut self) {
        let (facts, table) = (self.facts, self.table.clone());
        if !facts.schema {
            self.step(format!("create schema {}", self.schema), SCHEMA, &[]);
        }
        let Some(found) = &facts.table else {
            self.step(format!("create table {table}"), TABLE, &[]);
            return self.insert(&Column::WithoutZone);
        };
        let mut whole = true;
        let empty = matches!(&found.rows, Rows::Ids(ids) if ids.is_empty());
        for wanted in ["id", "last_update", "text"] {
            // Only a new row needs its text.
            if !found.columns.iter().any(|column| column == wanted) && (wanted != "text" || empty) {
                self.fail(ErrorKind::MissingColumn, format!("the table {table} has no column {wanted}"), None);
                whole = false;
            }
        }
        if let Some(Column::Other(name)) = &found.last_update {
            let message = format!("the column last_update of {table} is of type {name}, which holds no time");
            self.fail(ErrorKind::ColumnType, message, None);
            whole = false;
        }
        let row = self.target.heartbeat.row;
        match &found.rows {
            Rows::Ids(ids) => match ids.first() {
                None if whole => self.insert(found.last_update.as_ref().unwrap_or(&Column::WithoutZone)),
                Some(id) if *id != row => self.fail(
                    ErrorKind::MissingRow,
                    format!("the table {table} holds row {id} and not row {row}: set heartbeat.row = {id} to adopt it"),
                    Some(format!("set row = {id} under [target.heartbeat]; a second row is never made")),
                ),
                Some(_) if found.sequence_behind => self.advance(),
                _ => {}
            },
            Rows::Hidden if whole => {
                let message = format!(
                    "{} cannot see the rows of {table}, so that none is made: whether row {row} exists is unknown",
                    self.facts.user
                );
                let remedy = format!("GRANT SELECT ON TABLE {table} TO {}; or give provision_url", quote(&facts.user));
                self.fail(ErrorKind::Privilege, message, Some(remedy));
            }
            Rows::Hidden => {}
        }
    }

    fn insert(&mut self, column: &Column) {
        // The row is new at this moment on every clock, whatever the zone of the session that runs this.
        let now = match column {
            Column::WithZone => "clock_timestamp()",
            _ => "clock_timestamp() AT TIME ZONE 'UTC'",
        };
        let title = format!("insert row {} into {}", self.row, self.table);
        self.step(title, ROW, &[("now", now)]);
        let has_sequence = self.facts.table.as_ref().is_none_or(|table| table.sequence_behind);
        if has_sequence {
            self.advance();
        }
    }

    fn advance(&mut self) {
        self.step(format!("advance the sequence of {}.id past {}", self.table, self.row), SEQUENCE, &[]);
    }

    /// What a role lacks.
    fn role(&mut self, role: &Named, wanted: &[&str], sequence: bool) {
        let Some(found) = self.facts.roles.iter().find(|found| found.name == role.name) else {
            return self.no_role(role);
        };
        let (quoted, text) = (quote(&role.name), literal(&role.name));
        let names = [("role", quoted.as_str()), ("role_text", text.as_str())];
        let will_own_schema = found.owns_what_we_make && !self.facts.schema;
        if !found.uses_schema && !will_own_schema {
            self.step(format!("grant USAGE on schema {} to {quoted}", self.schema), GRANT_SCHEMA, &names);
        }
        if self.facts.table.is_none() && found.owns_what_we_make {
            return;
        }
        let missing: Vec<&str> =
            wanted.iter().copied().filter(|wanted| !found.on_table.iter().any(|has| has == wanted)).collect();
        if !missing.is_empty() {
            let privileges = missing.join(", ");
            let title = format!("grant {privileges} on table {} to {quoted}", self.table);
            self.step(title, GRANT_TABLE, &[names[0], names[1], ("privileges", &privileges)]);
        }
        let sequence_name = match &self.facts.table {
            Some(table) => table.sequence.clone(),
            None => Some(format!("{}.{}", self.schema, quote(&sequence_of_id(&self.target.heartbeat.table)))),
        };
        if let Some(name) = sequence_name
            && sequence
            && !found.uses_sequence
        {
            let name_text = literal(&name);
            let title = format!("grant USAGE on sequence {name} to {quoted}");
            self.step(title, GRANT_SEQUENCE, &[names[0], names[1], ("sequence", &name), ("sequence_text", &name_text)]);
        }
    }

    fn no_role(&mut self, role: &Named) {
        let name = quote(&role.name);
        if let Some(problem) = problem(&role.name) {
            self.fail(ErrorKind::Settings, format!("the name of a role {problem}"), None);
        } else if role.configured {
            let remedy = format!("CREATE ROLE {name} LOGIN PASSWORD '…';");
            self.fail(ErrorKind::Privilege, format!("the role {name} does not exist"), Some(remedy));
        } else {
            self.plan.notices.push(format!("the role {name} does not exist: nothing is granted to it"));
        }
    }

    fn publication(&mut self) {
        let Named { name, configured } = &self.target.connector.publication;
        let quoted = quote(name);
        match &self.facts.publication {
            Some(found) if found.holds_table => {}
            Some(_) => {
                let title = format!("add {} to publication {quoted}", self.table);
                self.step(title, PUBLICATION, &[("publication", &quoted)]);
            }
            None if *configured => {
                let remedy = format!("CREATE PUBLICATION {quoted} FOR TABLE {};", self.table);
                self.fail(ErrorKind::Rejected, format!("the publication {quoted} does not exist"), Some(remedy));
            }
            None => self.plan.notices.push(format!("the publication {quoted} does not exist: nothing is added to it")),
        }
    }
}
