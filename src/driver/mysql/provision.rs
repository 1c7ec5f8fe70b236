//! What the database lacks: a plan from the facts of `catalog`, the steps from `migrations/mysql/`, for MySQL and MariaDB
//! alike. Called by the session's `plan` and `apply`.

use sqlx::mysql::MySqlConnection;

use super::catalog::{Account, AccountFacts, Facts, Rows};
use super::connect::{Column, settings_sql};
use super::identifier::{account, problem, quote};
use super::message::{self, Limits};
use super::parameters::user_of;
use crate::heartbeat::{ErrorKind, Failure};
use crate::provisioning::{Plan, Step, render};
use crate::scheduler::clock::Instant;
use crate::target::{Named, Target};

const SCHEMA: &str = include_str!("../../../migrations/mysql/001_schema.sql");
const TABLE: &str = include_str!("../../../migrations/mysql/002_table.sql");
const ROW: &str = include_str!("../../../migrations/mysql/003_row.sql");
const ROW_ZERO: &str = include_str!("../../../migrations/mysql/003_row_zero.sql");
const GRANT_TABLE: &str = include_str!("../../../migrations/mysql/004_grant_table.sql");

/// What the account that beats needs on the table: INSERT to bring a deleted row back.
const DAEMON: &[&str] = &["SELECT", "INSERT", "UPDATE"];
/// What the connector's accounts need on it.
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
    if !facts.logged {
        let message = "this session's sql_log_bin is off: what it makes would not reach the replicas, and stop them";
        planner.fail(ErrorKind::Settings, message.to_owned(), None);
        return planner.plan;
    }
    planner.objects();
    let daemon = Named::configured(user_of(&target.endpoint.url));
    let connector = &target.connector.user;
    if daemon.name == connector.name {
        planner.accounts(&daemon, CONNECTOR, None);
    } else {
        // Without an administrator's way in this session is the daemon's, and so is its account, of several one.
        let own = target.provision_endpoint.is_none() && facts.own.user == daemon.name;
        planner.accounts(&daemon, DAEMON, own.then_some(&facts.own));
        planner.accounts(connector, CONNECTOR, None);
    }
    planner.plan
}

/// Runs one step. What is there already, because somebody was quicker, is no failure.
///
/// # Errors
/// What the server says, classified.
pub(super) async fn apply(connection: &mut MySqlConnection, step: &Step, deadline: Instant) -> Result<(), Failure> {
    message::execute(connection, settings_sql(Limits::step(deadline))).await?;
    let failure = match message::send(connection, step.sql.clone()).await {
        Ok(_) => return Ok(()),
        Err(failure) if matches!(failure.code(), Some("1007" | "1050" | "1062")) => return Ok(()),
        Err(failure) => failure,
    };
    // The privileges for a beat, which the driver's remedy names, would not help here.
    Err(match failure.kind() {
        ErrorKind::Privilege => failure.with_remedy(
            "let an administrator do it: set provision_url, or hand them what heartbeatd provision --dry-run prints",
        ),
        _ => failure,
    })
}

impl Planner<'_> {
    fn step(&mut self, title: String, template: &str, more: &[(&str, &str)]) {
        let mut values =
            vec![("schema", self.schema.as_str()), ("table", self.table.as_str()), ("row", self.row.as_str())];
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

    /// Schema, table, row.
    fn objects(&mut self) {
        let (facts, table) = (self.facts, self.table.clone());
        if !facts.schema {
            self.step(format!("create schema {}", self.schema), SCHEMA, &[]);
        }
        let Some(found) = &facts.table else {
            self.step(format!("create table {table}"), TABLE, &[]);
            return self.insert("timestamp");
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
        if let Some(Column::Other(name)) = found.last_update.clone().map(Column::from_type) {
            let message = format!("the column last_update of {table} is of type {name}, which holds no time");
            self.fail(ErrorKind::ColumnType, message, None);
            whole = false;
        }
        let row = self.target.heartbeat.row;
        match &found.rows {
            Rows::Ids(ids) => match ids.first() {
                None if whole => self.insert(found.last_update.as_deref().unwrap_or_default()),
                Some(id) if *id != row => self.fail(
                    ErrorKind::MissingRow,
                    format!("the table {table} holds row {id} and not row {row}: set heartbeat.row = {id} to adopt it"),
                    Some(format!("set row = {id} under [target.heartbeat]; a second row is never made")),
                ),
                _ => {}
            },
            Rows::Hidden if whole => {
                let name = facts.own.quoted();
                let message = format!(
                    "{name} cannot see the rows of {table}, so that none is made: whether row {row} exists is unknown"
                );
                let remedy =
                    format!("set provision_url to an administrator; or GRANT SELECT ON TABLE {table} TO {name};");
                self.fail(ErrorKind::Privilege, message, Some(remedy));
            }
            Rows::Hidden => {}
        }
    }

    fn insert(&mut self, column_type: &str) {
        // The row is new at this moment on every clock, whatever the zone of the session that runs this: a timestamp is
        // kept in UTC, a datetime as it is written.
        let now = match column_type.to_ascii_lowercase().as_str() {
            "datetime" => "UTC_TIMESTAMP()",
            _ => "CURRENT_TIMESTAMP()",
        };
        let template = if self.target.heartbeat.row == 0 { [ROW_ZERO, ROW].concat() } else { ROW.to_owned() };
        self.step(format!("insert row {} into {}", self.row, self.table), &template, &[("now", now)]);
    }

    /// What the accounts of a name lack; or `only` that one of them.
    fn accounts(&mut self, name: &Named, wanted: &[&str], only: Option<&Account>) {
        let found: Vec<&AccountFacts> = self
            .facts
            .named(&name.name)
            .into_iter()
            .filter(|found| only.is_none_or(|only| found.account == *only))
            .collect();
        if found.is_empty() {
            return self.no_account(name);
        }
        for found in found {
            let missing: Vec<&str> =
                wanted.iter().copied().filter(|wanted| !found.on_table.iter().any(|has| has == wanted)).collect();
            if !missing.is_empty() {
                let (privileges, quoted) = (missing.join(", "), found.account.quoted());
                let title = format!("grant {privileges} on table {} to {quoted}", self.table);
                self.step(title, GRANT_TABLE, &[("account", &quoted), ("privileges", &privileges)]);
            }
        }
    }

    fn no_account(&mut self, name: &Named) {
        let (quoted, own) = (quote(&name.name), self.facts.own.quoted());
        let (what, remedy) = if self.facts.sees_accounts {
            let remedy = format!("CREATE USER {} IDENTIFIED BY <password>;", created(&name.name).quoted());
            (format!("no account is called {quoted}"), remedy)
        } else {
            let remedy =
                "set provision_url to an administrator, who sees the accounts (SELECT on mysql.user)".to_owned();
            (format!("whether an account is called {quoted} is not shown to {own}"), remedy)
        };
        if let Some(problem) = problem(&name.name) {
            self.fail(ErrorKind::Settings, format!("the name of an account {problem}"), None);
        } else if name.configured {
            self.fail(ErrorKind::Privilege, format!("{what}, so that nothing is granted to it"), Some(remedy));
        } else {
            self.plan.notices.push(format!("{what}: nothing is granted to it"));
        }
    }
}

impl Facts {
    /// The accounts that a configuration means: all of that user, or the one `user@host`.
    fn named(&self, name: &str) -> Vec<&AccountFacts> {
        let by = |same: &dyn Fn(&Account) -> bool| -> Vec<&AccountFacts> {
            self.accounts.iter().filter(|facts| same(&facts.account)).collect()
        };
        let of_user = by(&|account| account.user == name);
        if of_user.is_empty() { by(&|account| *account == Account::read(name)) } else { of_user }
    }
}

impl Account {
    fn quoted(&self) -> String {
        account(&self.user, &self.host)
    }
}

/// The account that a name without a host would be created as.
fn created(name: &str) -> Account {
    let account = Account::read(name);
    if account.host.is_empty() { Account { host: "%".to_owned(), ..account } } else { account }
}

#[cfg(test)]
mod tests {
    use super::super::catalog::TableFacts;
    use super::*;
    use crate::target::Endpoint;

    fn target() -> Target {
        Target::new("orders", Endpoint::parse("mysql://hb@db.example/").unwrap())
    }

    fn found(name: &str) -> AccountFacts {
        AccountFacts { account: Account::read(name), ..AccountFacts::default() }
    }

    fn satisfied(name: &str) -> AccountFacts {
        AccountFacts { on_table: CONNECTOR.iter().map(|&word| word.to_owned()).collect(), ..found(name) }
    }

    /// Everything is there.
    fn complete() -> Facts {
        Facts {
            own: Account::read("admin@%"),
            logged: true,
            schema: true,
            table: Some(TableFacts {
                columns: ["id", "text", "last_update"].map(str::to_owned).to_vec(),
                last_update: Some("timestamp".to_owned()),
                rows: Rows::Ids(vec![1]),
            }),
            sees_accounts: true,
            accounts: vec![satisfied("hb@%"), satisfied("streamkap_user@%")],
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
    fn what_is_complete_needs_nothing() {
        let plan = plan(&complete(), &target());
        assert!(plan.steps.is_empty() && plan.failures.is_empty() && plan.notices.is_empty(), "{plan:?}");
    }

    #[test]
    fn an_empty_server_gets_everything_in_order() {
        let accounts = vec![found("hb@10.%"), found("hb@localhost"), found("streamkap_user@%")];
        let facts = Facts { schema: false, table: None, accounts, ..complete() };
        insta::assert_snapshot!(titles(&plan(&facts, &target())).join("\n"), @"
        create schema `streamkap`
        create table `streamkap`.`streamkap_heartbeat`
        insert row 1 into `streamkap`.`streamkap_heartbeat`
        grant SELECT, INSERT, UPDATE on table `streamkap`.`streamkap_heartbeat` to `hb`@`10.%`
        grant SELECT, INSERT, UPDATE on table `streamkap`.`streamkap_heartbeat` to `hb`@`localhost`
        grant SELECT, INSERT, UPDATE, DELETE on table `streamkap`.`streamkap_heartbeat` to `streamkap_user`@`%`
        ");
    }

    #[test]
    fn only_missing_privileges_are_granted() {
        let mut facts = complete();
        facts.accounts[1].on_table.retain(|word| word != "DELETE");
        let plan = plan(&facts, &target());
        insta::assert_snapshot!(plan.steps[0].sql, @"GRANT DELETE ON TABLE `streamkap`.`streamkap_heartbeat` TO `streamkap_user`@`%`;");
        assert_eq!(plan.steps.len(), 1);
    }

    #[test]
    fn the_daemons_own_session_speaks_for_its_own_account_only() {
        let mut facts = complete();
        facts.own = Account::read("hb@10.%");
        facts.accounts = vec![found("hb@%"), satisfied("hb@10.%"), satisfied("streamkap_user@%")];
        assert_eq!(plan(&facts, &target()).steps.len(), 0);
        let mut administered = target();
        administered.provision_endpoint = Some(Endpoint::parse("mysql://hb@localhost/").unwrap());
        assert_eq!(plan(&facts, &administered).steps.len(), 1);
    }

    #[test]
    fn a_connector_may_be_named_with_its_host() {
        let mut facts = complete();
        facts.accounts = vec![satisfied("hb@%"), found("cdc@10.%"), found("cdc@localhost")];
        let mut target = target();
        target.connector.user = Named::configured("cdc@10.%");
        let plan = plan(&facts, &target);
        assert_eq!(plan.steps.len(), 1, "{plan:?}");
        assert!(plan.steps[0].title.ends_with("to `cdc`@`10.%`"), "{plan:?}");
    }

    #[test]
    fn a_default_name_that_does_not_exist_is_a_notice_and_a_configured_one_a_failure() {
        for sees_accounts in [true, false] {
            let facts = Facts { sees_accounts, accounts: vec![satisfied("hb@%")], ..complete() };
            let lenient = plan(&facts, &target());
            assert_eq!((lenient.notices.len(), lenient.failures.len()), (1, 0));
            let mut strict = target();
            strict.connector.user = Named::configured("cdc");
            let strict = plan(&facts, &strict);
            assert_eq!(kinds(&strict), [ErrorKind::Privilege]);
            let remedy = strict.failures[0].remedy().unwrap();
            assert_eq!(remedy.contains("CREATE USER `cdc`@`%` IDENTIFIED BY <password>;"), sees_accounts, "{remedy}");
        }
    }

    #[test]
    fn another_row_is_never_joined_by_a_second_one() {
        let plan = plan(&with_table(|table| table.rows = Rows::Ids(vec![7])), &target());
        assert_eq!((kinds(&plan), plan.steps.len()), (vec![ErrorKind::MissingRow], 0));
        assert!(plan.failures[0].message().contains("set heartbeat.row = 7"), "{}", plan.failures[0]);
    }

    #[test]
    fn rows_that_cannot_be_seen_are_unknown_and_none_is_made() {
        let plan = plan(&with_table(|table| table.rows = Rows::Hidden), &target());
        assert_eq!((kinds(&plan), plan.steps.len()), (vec![ErrorKind::Privilege], 0));
    }

    #[test]
    fn a_deleted_row_comes_back_on_the_columns_own_clock() {
        let facts = with_table(|table| {
            table.rows = Rows::Ids(Vec::new());
            table.last_update = Some("datetime".to_owned());
        });
        insta::assert_snapshot!(plan(&facts, &target()).steps[0].sql, @"
        INSERT INTO `streamkap`.`streamkap_heartbeat` (id, text, last_update)
        SELECT 1, 'test_heartbeat', UTC_TIMESTAMP() FROM DUAL
        WHERE NOT EXISTS (SELECT 1 FROM `streamkap`.`streamkap_heartbeat`);
        ");
    }

    #[test]
    fn row_zero_is_no_request_for_the_next_number() {
        let mut target = target();
        target.heartbeat.row = 0;
        let plan = plan(&with_table(|table| table.rows = Rows::Ids(Vec::new())), &target);
        assert!(plan.steps[0].sql.starts_with("SET SESSION sql_mode = "), "{plan:?}");
    }

    #[test]
    fn a_table_of_another_shape_gets_no_row_and_says_what_it_lacks() {
        let facts = with_table(|table| {
            table.rows = Rows::Ids(Vec::new());
            table.columns = vec!["id".to_owned(), "last_update".to_owned()];
            table.last_update = Some("text".to_owned());
        });
        let plan = plan(&facts, &target());
        assert_eq!((kinds(&plan), plan.steps.len()), (vec![ErrorKind::MissingColumn, ErrorKind::ColumnType], 0));
    }

    #[test]
    fn nothing_is_made_that_the_replicas_would_not_get() {
        let plan = plan(&Facts { logged: false, schema: false, table: None, ..complete() }, &target());
        assert_eq!((kinds(&plan), plan.steps.len()), (vec![ErrorKind::Settings], 0));
    }

    #[test]
    fn no_step_can_destroy_anything() {
        for template in [SCHEMA, TABLE, ROW, ROW_ZERO, GRANT_TABLE] {
            let sql = render(template, &[]).to_ascii_uppercase();
            for word in ["DROP", "TRUNCATE", "DELETE", "REVOKE"] {
                assert!(!sql.contains(word), "{sql}");
            }
        }
    }
}
