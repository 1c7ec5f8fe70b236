//! Plans what the database lacks, from the facts of `catalog`, with the steps of `migrations/postgres/`. The session's
//! `plan` and `apply` call it.

use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::catalog::Facts;
use super::columns::mend;
use super::connect::Column;
use super::errors::{DUPLICATE_OBJECT, DUPLICATE_SCHEMA, DUPLICATE_TABLE, INTERNAL_ERROR, UNIQUE_VIOLATION};
use super::family::publication_of;
use super::identifier::{literal, problem, quote, sequence_of_id};
use super::query::{self, ServerLimits};
use crate::heartbeat::{ErrorKind, Failure};
use crate::plan::columns;
use crate::plan::existing_table::{ExistingTable, RowNeed};
use crate::plan::{Plan, Step, render};
use crate::remedy::Remedy;
use crate::target::{Named, Target};
use crate::time::clock::Instant;

const SCHEMA: &str = include_str!("../../../migrations/postgres/001_schema.sql");
const TABLE: &str = include_str!("../../../migrations/postgres/002_table.sql");
const ROW: &str = include_str!("../../../migrations/postgres/003_row.sql");
const SEQUENCE: &str = include_str!("../../../migrations/postgres/004_sequence.sql");
const GRANT_SCHEMA: &str = include_str!("../../../migrations/postgres/005_grant_schema.sql");
const GRANT_TABLE: &str = include_str!("../../../migrations/postgres/006_grant_table.sql");
const GRANT_SEQUENCE: &str = include_str!("../../../migrations/postgres/007_grant_sequence.sql");
const PUBLICATION: &str = include_str!("../../../migrations/postgres/008_publication.sql");

/// The privileges on the table for the role that beats; INSERT restores a deleted row.
const DAEMON: &[&str] = &["SELECT", "INSERT", "UPDATE"];
/// The privileges on the table for the connector's role.
const CONNECTOR: &[&str] = &["SELECT", "INSERT", "UPDATE", "DELETE"];

/// A target's names as the steps need them, and the plan in progress.
struct Planner<'a> {
    facts: &'a Facts,
    target: &'a Target,
    schema: String,
    table: String,
    row: String,
    plan: Plan,
}

/// Plans what is missing.
pub(super) fn plan(facts: &Facts, target: &Target) -> Plan {
    let heartbeat = &target.heartbeat;
    let mut planner = Planner {
        facts,
        target,
        schema: quote(&heartbeat.schema),
        table: format!("{}.{}", quote(&heartbeat.schema), quote(&heartbeat.table)),
        row: heartbeat.row_number().to_string(),
        plan: Plan::default(),
    };
    if let Some(database) = &facts.beats_in
        && *database != facts.database
    {
        let (theirs, ours) = (quote(database), quote(&facts.database));
        let message = format!("a session of url works in the database {theirs}, and provision_url leads to {ours}");
        let remedy = Remedy::advice(format!("end provision_url with the name of the database, /{database}"));
        planner.plan.fail(ErrorKind::Settings, message, Some(remedy));
        return planner.plan;
    }
    planner.objects();
    let daemon = Named::configured(&facts.beats_as);
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

/// Runs one step. An object that someone else created in the meantime is not a failure.
///
/// # Errors
/// The server's error, classified; `privilege` for a grant that had no effect.
pub(super) async fn apply(connection: &mut PgConnection, step: &Step, deadline: Instant) -> Result<(), Failure> {
    let sql = format!("{} {}", ServerLimits::step(deadline).sql(), step.script);
    let failure = match query::send(connection, sql).await {
        Ok(rows) if rows.iter().any(|row| matches!(row.try_get("granted"), Ok(false))) => Failure::new(
            ErrorKind::Privilege,
            "the server accepted the grant and granted nothing: only the owner, or who was given the right to, may",
        ),
        Ok(_) => return Ok(()),
        Err(failure) if matches!(failure.code(), Some(DUPLICATE_OBJECT | DUPLICATE_SCHEMA | DUPLICATE_TABLE)) => {
            return Ok(());
        }
        // The same conflict, a moment earlier: another session has just created this row of the catalogue, or is
        // changing it.
        Err(failure) if matches!(failure.code(), Some(UNIQUE_VIOLATION | INTERNAL_ERROR)) => {
            failure.with_kind(ErrorKind::Conflict)
        }
        Err(failure) => failure,
    };
    // The driver's remedy names the privileges for a beat, which would not help here.
    Err(match failure.kind() {
        ErrorKind::Rejected if !step.script.starts_with("INSERT") => failure.with_remedy(
            Remedy::advice("ask the owner of the event trigger that refuses it to let it pass, or to create this").then_run(
                Remedy::sql(
                    "SELECT evtname, evtevent, evtfoid::regproc FROM pg_event_trigger WHERE evtenabled <> 'D';",
                ),
            ),
        ),
        ErrorKind::Privilege => failure.with_remedy(
            "let the owner or a superuser do it: set provision_url, or hand them what heartbeatd provision --dry-run prints",
        ),
        _ => failure,
    })
}

impl Planner<'_> {
    fn step(&mut self, title: String, template: &str, more: &[(&str, &str)]) {
        // `has_schema_privilege` takes the bare name; a cast to `regclass` takes the quoted name.
        let (schema_text, table_text) = (literal(&self.target.heartbeat.schema), literal(&self.table));
        let mut values = vec![
            ("schema", self.schema.as_str()),
            ("table", self.table.as_str()),
            ("row", self.row.as_str()),
            ("schema_text", schema_text.as_str()),
            ("table_text", table_text.as_str()),
        ];
        values.extend_from_slice(more);
        self.plan.steps.push(Step::script(title, render(template, &values)));
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
        let faults = columns::judge(&found.columns, found.rows.are_none());
        let mend = mend(&table, &found.columns, &faults);
        let user = quote(&facts.user);
        let grant = Remedy::sql(format!("GRANT SELECT ON TABLE {table} TO {user};"));
        let remedy = Remedy::advice("set provision_url to the address of the table's owner").or_run(grant);
        let existing =
            ExistingTable { name: &table, faults: &faults, mend: &mend, rows: &found.rows, seen_by: (&user, &remedy) };
        match existing.judge(self.target.heartbeat.row_number(), &mut self.plan) {
            RowNeed::Insert => self.insert(&found.last_update().unwrap_or(Column::WithoutZone)),
            RowNeed::Nothing if found.sequence_behind => self.advance(),
            RowNeed::Nothing | RowNeed::Obstructed => {}
        }
    }

    fn insert(&mut self, column: &Column) {
        // The row must be as new as this moment on every clock, in any session time zone.
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

    /// Grants what a role lacks.
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
            self.plan.fail(ErrorKind::Settings, format!("the name of a role {problem}"), None);
        } else if role.configured {
            let remedy = Remedy::sql(format!("CREATE ROLE {name} LOGIN;"))
                .note(format!("then give it a password in psql: \\password {name}"));
            self.plan.fail(ErrorKind::Privilege, format!("the role {name} does not exist"), Some(remedy));
        } else {
            self.plan.notices.push(format!("the role {name} does not exist: nothing is granted to it"));
        }
    }

    fn publication(&mut self) {
        let Named { name, configured } = &publication_of(self.target);
        let quoted = quote(name);
        match &self.facts.publication {
            Some(found) if found.holds_table => {}
            Some(_) => {
                let title = format!("add {} to publication {quoted}", self.table);
                self.step(title, PUBLICATION, &[("publication", &quoted)]);
            }
            None if *configured => {
                let remedy = Remedy::sql(format!("CREATE PUBLICATION {quoted} FOR TABLE {};", self.table))
                    .note("with every table that the connector captures, separated by commas");
                self.plan.fail(ErrorKind::Rejected, format!("the publication {quoted} does not exist"), Some(remedy));
            }
            None => self.plan.notices.push(format!("the publication {quoted} does not exist: nothing is added to it")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalog::{PublicationFacts, RoleFacts, TableFacts};
    use super::*;
    use crate::plan::existing_table::Rows;
    use crate::target::Endpoint;

    fn target() -> Target {
        Target::new("orders", Endpoint::parse("postgres://hb@db.example/orders").unwrap())
    }

    fn role(name: &str) -> RoleFacts {
        RoleFacts { name: name.to_owned(), ..RoleFacts::default() }
    }

    fn satisfied(name: &str) -> RoleFacts {
        RoleFacts {
            uses_schema: true,
            on_table: CONNECTOR.iter().map(|&word| word.to_owned()).collect(),
            uses_sequence: true,
            ..role(name)
        }
    }

    fn columns(last_update: &str) -> Vec<columns::Column> {
        let all = [("id", "integer"), ("text", "text"), ("last_update", last_update)];
        all.map(|(name, kind)| super::super::columns::column(name, kind, false)).to_vec()
    }

    /// Everything exists.
    fn complete() -> Facts {
        Facts {
            user: "admin".to_owned(),
            database: "orders".to_owned(),
            beats_as: "hb".to_owned(),
            beats_in: Some("orders".to_owned()),
            schema: true,
            table: Some(TableFacts {
                columns: columns("timestamp without time zone"),
                rows: Rows::Ids(vec![1]),
                sequence: Some("streamkap.streamkap_heartbeat_id_seq".to_owned()),
                sequence_behind: false,
            }),
            roles: vec![satisfied("hb"), satisfied("streamkap_user")],
            publication: Some(PublicationFacts { holds_table: true }),
        }
    }

    fn with_table(change: impl FnOnce(&mut TableFacts)) -> Facts {
        let mut facts = complete();
        change(facts.table.as_mut().unwrap());
        facts
    }

    fn titles(plan: &Plan) -> Vec<&str> {
        plan.steps.iter().map(|step| step.title.as_str()).collect()
    }

    fn kinds(plan: &Plan) -> Vec<ErrorKind> {
        plan.failures.iter().map(Failure::kind).collect()
    }

    #[test]
    fn a_complete_database_needs_no_steps() {
        let plan = plan(&complete(), &target());
        assert!(plan.steps.is_empty() && plan.failures.is_empty() && plan.notices.is_empty(), "{plan:?}");
    }

    #[test]
    fn an_empty_database_gets_everything_in_order() {
        let facts = Facts {
            beats_as: "hb".to_owned(),
            roles: vec![role("hb"), role("streamkap_user")],
            publication: Some(PublicationFacts::default()),
            ..Facts::default()
        };
        insta::assert_snapshot!(titles(&plan(&facts, &target())).join("\n"), @r#"
        create schema "streamkap"
        create table "streamkap"."streamkap_heartbeat"
        insert row 1 into "streamkap"."streamkap_heartbeat"
        advance the sequence of "streamkap"."streamkap_heartbeat".id past 1
        grant USAGE on schema "streamkap" to "hb"
        grant SELECT, INSERT, UPDATE on table "streamkap"."streamkap_heartbeat" to "hb"
        grant USAGE on schema "streamkap" to "streamkap_user"
        grant SELECT, INSERT, UPDATE, DELETE on table "streamkap"."streamkap_heartbeat" to "streamkap_user"
        grant USAGE on sequence "streamkap"."streamkap_heartbeat_id_seq" to "streamkap_user"
        add "streamkap"."streamkap_heartbeat" to publication "streamkap_pub"
        "#);
    }

    #[test]
    fn the_creator_of_the_objects_needs_no_grant() {
        let own = RoleFacts { owns_what_we_make: true, ..role("hb") };
        let facts = Facts { beats_as: "hb".to_owned(), roles: vec![own], ..Facts::default() };
        let plan = plan(&facts, &target());
        assert!(titles(&plan).iter().all(|title| !title.starts_with("grant")), "{:?}", titles(&plan));
        assert_eq!(plan.notices.len(), 2, "{:?}", plan.notices);
    }

    #[test]
    fn only_missing_privileges_are_granted() {
        let mut facts = complete();
        facts.roles[1].on_table.retain(|word| word != "DELETE");
        let plan = plan(&facts, &target());
        insta::assert_snapshot!(plan.steps[0].script, @r#"
        GRANT DELETE ON TABLE "streamkap"."streamkap_heartbeat" TO "streamkap_user";
        SELECT bool_and(pg_catalog.has_table_privilege('streamkap_user', '"streamkap"."streamkap_heartbeat"', privilege)) AS granted
        FROM pg_catalog.unnest(pg_catalog.string_to_array('DELETE', ', ')) AS privilege;
        "#);
        assert_eq!(plan.steps.len(), 1);
    }

    #[test]
    fn a_default_name_that_does_not_exist_is_a_notice_and_a_configured_one_a_failure() {
        let facts = Facts { roles: vec![satisfied("hb")], publication: None, ..complete() };
        let lenient = plan(&facts, &target());
        assert_eq!((lenient.notices.len(), lenient.failures.len()), (2, 0));
        let mut strict = target();
        strict.connector.user = Named::configured("cdc");
        strict.connector.set_name("publication", "pub");
        let strict = plan(&facts, &strict);
        assert_eq!(kinds(&strict), [ErrorKind::Privilege, ErrorKind::Rejected]);
        assert!(strict.failures.iter().all(|failure| failure.remedy().is_some()));
    }

    #[test]
    fn a_second_row_is_never_inserted_beside_another_one() {
        let plan = plan(&with_table(|table| table.rows = Rows::Ids(vec![7])), &target());
        assert_eq!((kinds(&plan), plan.steps.len()), (vec![ErrorKind::MissingRow], 0));
        assert!(
            plan.failures[0].remedy().is_some_and(|remedy| remedy.to_string().contains("set row = 7")),
            "{}",
            plan.failures[0]
        );
    }

    #[test]
    fn rows_that_cannot_be_seen_are_unknown_and_none_is_inserted() {
        let plan = plan(&with_table(|table| table.rows = Rows::Hidden), &target());
        assert_eq!((kinds(&plan), plan.steps.len()), (vec![ErrorKind::Privilege], 0));
    }

    #[test]
    fn a_deleted_row_is_restored_with_the_columns_own_clock() {
        let facts = with_table(|table| {
            table.rows = Rows::Ids(Vec::new());
            table.columns = columns("timestamp with time zone");
        });
        insta::assert_snapshot!(plan(&facts, &target()).steps[0].script, @r#"
        INSERT INTO "streamkap"."streamkap_heartbeat" (id, text, last_update) OVERRIDING SYSTEM VALUE
        SELECT 1, 'test_heartbeat', clock_timestamp()
        WHERE NOT EXISTS (SELECT FROM "streamkap"."streamkap_heartbeat")
        ON CONFLICT DO NOTHING;
        "#);
    }

    #[test]
    fn a_table_with_other_columns_gets_no_row_and_its_faults_are_named() {
        let facts = with_table(|table| {
            table.rows = Rows::Ids(Vec::new());
            table.columns = columns("text");
            table.columns.remove(1);
        });
        let plan = plan(&facts, &target());
        assert_eq!((kinds(&plan), plan.steps.len()), (vec![ErrorKind::ColumnType], 0));
        let message = plan.failures[0].to_string();
        assert!(message.contains("last_update is of type text, which holds no time; without text"), "{message}");
    }

    #[test]
    fn a_sequence_that_lags_behind_its_column_is_advanced() {
        let plan = plan(&with_table(|table| table.sequence_behind = true), &target());
        insta::assert_snapshot!(titles(&plan).join("\n"), @r#"advance the sequence of "streamkap"."streamkap_heartbeat".id past 1"#);
    }

    #[test]
    fn no_step_can_destroy_anything() {
        for template in [SCHEMA, TABLE, ROW, SEQUENCE, GRANT_SCHEMA, GRANT_TABLE, GRANT_SEQUENCE, PUBLICATION] {
            let sql = render(template, &[]).to_ascii_uppercase();
            for word in ["DROP", "TRUNCATE", "DELETE", "REVOKE"] {
                assert!(!sql.contains(word), "{sql}");
            }
        }
    }
}
