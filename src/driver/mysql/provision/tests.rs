//! What is planned for what exists.

use std::collections::BTreeMap;

use super::super::catalog::IdleFacts;
use super::super::columns::ColumnFacts;
use super::super::facts::{Relation, TableFacts};
use super::*;
use crate::plan::existing_table::Rows;
use crate::remedy::Remedy;
use crate::target::Endpoint;

fn target() -> Target {
    Target::new("orders", Endpoint::parse("mysql://hb@db.example/").unwrap())
}

fn found(name: &str) -> AccountFacts {
    AccountFacts { account: Account::read(name), ..AccountFacts::default() }
}

fn satisfied(name: &str) -> AccountFacts {
    AccountFacts { on_table: CONNECTOR.to_vec(), ..found(name) }
}

/// The schema, and in it a table with `last_update` of this type.
fn table(last_update: &str) -> TableFacts {
    let columns = [("id", "int"), ("text", "text"), ("last_update", last_update)].map(|(name, kind)| ColumnFacts {
        name: name.to_owned(),
        kind: kind.to_owned(),
        generated: false,
        unversioned: false,
    });
    let relation = Relation {
        kind: "BASE TABLE".to_owned(),
        engine: Some("InnoDB".to_owned()),
        columns: columns.to_vec(),
        primary_key: vec!["id".to_owned()],
        unique_id: true,
    };
    TableFacts { schema: true, table: Some(relation), elsewhere: Vec::new() }
}

fn no_table(schema: bool) -> TableFacts {
    TableFacts { schema, table: None, elsewhere: Vec::new() }
}

/// Everything exists.
fn complete() -> Facts {
    Facts {
        own: Account::read("admin@%"),
        writer: None,
        other_hosts: Vec::new(),
        logged: true,
        table: table("timestamp"),
        rows: Rows::Ids(vec![1]),
        sees_accounts: true,
        accounts: vec![satisfied("hb@%"), satisfied("streamkap_user@%")],
        left_out: BTreeMap::new(),
    }
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
fn an_empty_server_gets_everything_in_order() {
    let accounts = vec![found("hb@10.%"), found("hb@localhost"), found("streamkap_user@%")];
    let facts = Facts { table: no_table(false), accounts, ..complete() };
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
    facts.accounts[1].on_table.retain(|word| *word != "DELETE");
    let plan = plan(&facts, &target());
    insta::assert_snapshot!(plan.steps[0].script, @"GRANT DELETE ON TABLE `streamkap`.`streamkap_heartbeat` TO `streamkap_user`@`%`;");
    assert_eq!(plan.steps.len(), 1);
}

#[test]
fn an_inactive_role_that_would_help_is_named_and_does_not_count() {
    let mut facts = complete();
    let idle = |brings: &[&'static str]| IdleFacts {
        role: "`r`".to_owned(),
        brings: brings.to_vec(),
        activation: "SET DEFAULT ROLE `r` TO `hb`@`%`;".to_owned(),
    };
    facts.accounts[0].on_table.retain(|word| *word != "UPDATE");
    facts.accounts[0].idle = vec![idle(&["SELECT"]), idle(&["SELECT", "UPDATE"])];
    let plan = plan(&facts, &target());
    insta::assert_snapshot!(titles(&plan).join("\n"), @"grant UPDATE on table `streamkap`.`streamkap_heartbeat` to `hb`@`%`");
    insta::assert_snapshot!(plan.notices.join("\n"), @"`hb`@`%` has UPDATE by the role `r` only, which is not active after its login and so does not count: SET DEFAULT ROLE `r` TO `hb`@`%`;");
}

#[test]
fn nothing_is_granted_on_a_guess_except_on_a_new_table() {
    let mut facts = complete();
    facts.accounts = vec![found("hb@%"), found("streamkap_user@%")];
    for account in &mut facts.accounts {
        account.unknown = Some("SELECT denied (1142)".to_owned());
    }
    let hidden = plan(&facts, &target());
    // The connector's name is only the default.
    assert_eq!((hidden.steps.len(), kinds(&hidden), hidden.notices.len()), (0, vec![ErrorKind::Privilege], 1));
    facts.table = no_table(true);
    let new = plan(&facts, &target());
    assert_eq!((new.steps.len(), new.failures.len(), new.notices.len()), (4, 0, 0), "{new:?}");
    // What it certainly has is enough.
    facts = complete();
    facts.accounts[0].unknown = Some("one line could not be read".to_owned());
    assert!(plan(&facts, &target()).failures.is_empty());
}

#[test]
fn only_the_account_that_a_session_of_url_uses_gets_the_grant() {
    let mut facts = complete();
    facts.accounts = vec![found("hb@%"), satisfied("hb@10.%"), satisfied("streamkap_user@%")];
    assert_eq!(plan(&facts, &target()).steps.len(), 1);
    facts.writer = Some(Account::read("hb@10.%"));
    facts.other_hosts = vec![Account::read("hb@%")];
    let known = plan(&facts, &target());
    assert_eq!(known.steps.len(), 0);
    insta::assert_snapshot!(known.notices.join("\n"), @"a session of url works as `hb`@`10.%` from this machine, and only that account is granted what it lacks; if heartbeatd is to run where its login matches `hb`@`%`, run heartbeatd provision there");
}

#[test]
fn the_account_without_a_name_is_granted_nothing() {
    let mut facts = complete();
    facts.writer = Some(Account::read("@localhost"));
    facts.accounts.push(found("@localhost"));
    let plan = plan(&facts, &target());
    assert_eq!((plan.steps.len(), kinds(&plan)), (0, vec![ErrorKind::Privilege]));
    insta::assert_snapshot!(plan.failures[0].remedy().unwrap().to_string(), @"give `hb`@`localhost` an account of its own: the login matched the account without a name, which anyone may use from there; then run: CREATE USER `hb`@`localhost` IDENTIFIED BY <password>; -- on the source: then grant it what is missing");
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
fn an_account_that_is_named_with_its_host_is_recognised_and_created_with_it() {
    let facts = Facts { accounts: vec![satisfied("hb@%"), found("cdc@localhost")], ..complete() };
    let mut target = target();
    target.connector.user = Named::configured("cdc@LOCALHOST");
    assert!(titles(&plan(&facts, &target))[0].ends_with("to `cdc`@`localhost`"));
    let long = "10.123.123.0/255.255.255.255.and.more.than.sixty-four.characters.with.the.user";
    target.connector.user = Named::configured(format!("cdc@{long}"));
    let absent = plan(&facts, &target);
    let failure = &absent.failures[0];
    assert!(failure.message().starts_with(&format!("no account is called `cdc`@`{long}`,")), "{failure}");
    let remedy = Remedy::sql(format!("CREATE USER `cdc`@`{long}` IDENTIFIED BY <password>;"));
    assert_eq!(failure.remedy(), Some(&remedy));
}

#[test]
fn an_account_for_both_purposes_gets_the_privileges_once() {
    let facts = Facts { accounts: vec![found("hb@%"), found("hb@localhost")], ..complete() };
    for (name, privileges) in [("hb", ["DELETE", "DELETE"]), ("hb@%", ["UPDATE", "DELETE"])] {
        let mut target = target();
        target.connector.user = Named::configured(name);
        let plan = plan(&facts, &target);
        assert_eq!(plan.steps.len(), 2, "{plan:?}");
        for (title, last) in titles(&plan).iter().zip(privileges) {
            assert!(title.contains(&format!("{last} on table")), "{plan:?}");
        }
    }
}

#[test]
fn an_at_sign_in_the_addresss_user_is_part_of_its_name() {
    let mut target = target();
    target.endpoint = Endpoint::parse("mysql://hb%40home@db.example/").unwrap();
    let facts = Facts { accounts: vec![found("hb@home"), satisfied("streamkap_user@%")], ..complete() };
    let plan = plan(&facts, &target);
    assert_eq!((plan.steps.len(), kinds(&plan)), (0, vec![ErrorKind::Privilege]), "{plan:?}");
    assert!(plan.failures[0].message().contains("`hb@home`"), "{plan:?}");
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
        let remedy = strict.failures[0].remedy().unwrap().to_string();
        assert_eq!(remedy.contains("CREATE USER `cdc`@`%` IDENTIFIED BY <password>;"), sees_accounts, "{remedy}");
    }
}

#[test]
fn a_second_row_is_never_inserted_beside_another_one() {
    let plan = plan(&Facts { rows: Rows::Ids(vec![7]), ..complete() }, &target());
    assert_eq!((kinds(&plan), plan.steps.len()), (vec![ErrorKind::MissingRow], 0));
    assert!(
        plan.failures[0].remedy().is_some_and(|remedy| remedy.to_string().contains("set row = 7")),
        "{}",
        plan.failures[0]
    );
}

#[test]
fn rows_that_cannot_be_seen_are_unknown_and_none_is_inserted() {
    let plan = plan(&Facts { rows: Rows::Hidden, ..complete() }, &target());
    assert_eq!((kinds(&plan), plan.steps.len()), (vec![ErrorKind::Privilege], 0));
}

#[test]
fn a_deleted_row_is_restored_with_the_columns_own_clock() {
    let facts = Facts { table: table("datetime"), rows: Rows::Ids(Vec::new()), ..complete() };
    insta::assert_snapshot!(plan(&facts, &target()).steps[0].script, @"
    INSERT INTO `streamkap`.`streamkap_heartbeat` (id, text, last_update)
    SELECT 1, 'test_heartbeat', UTC_TIMESTAMP() FROM DUAL
    WHERE NOT EXISTS (SELECT 1 FROM `streamkap`.`streamkap_heartbeat`);
    ");
}

#[test]
fn a_table_with_other_columns_gets_no_row_and_its_faults_are_named() {
    let mut facts = Facts { table: table("text"), rows: Rows::Ids(Vec::new()), ..complete() };
    facts.table.table.as_mut().unwrap().columns.remove(1);
    let plan = plan(&facts, &target());
    assert_eq!((kinds(&plan), plan.steps.len()), (vec![ErrorKind::ColumnType], 0));
    let message = plan.failures[0].to_string();
    assert!(message.contains("last_update is of type text, which holds no time; without text"), "{message}");
}

#[test]
fn nothing_is_created_that_the_replicas_would_not_get() {
    let plan = plan(&Facts { logged: false, table: no_table(false), ..complete() }, &target());
    assert_eq!((kinds(&plan), plan.steps.len()), (vec![ErrorKind::Settings], 0));
}

#[test]
fn no_step_can_destroy_anything() {
    for template in [SCHEMA, TABLE, ROW, GRANT_TABLE] {
        let sql = render(template, &[]).to_ascii_uppercase();
        for word in ["DROP", "TRUNCATE", "DELETE", "REVOKE"] {
            assert!(!sql.contains(word), "{sql}");
        }
    }
}

#[test]
fn accounts_that_were_not_read_are_counted() {
    let left_out = BTreeMap::from([("hb".to_owned(), 12)]);
    let plan = plan(&Facts { left_out, ..complete() }, &target());
    insta::assert_snapshot!(plan.notices.join("\n"), @"12 more accounts are called `hb`: of a user's hosts 8 are looked at, and nothing is granted to the others");
}
