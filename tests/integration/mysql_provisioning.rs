//! Provisioning on MariaDB and MySQL creates what is missing and nothing else, by the command and by the driver.

use std::time::Duration;

use heartbeatd::driver::Purpose;
use heartbeatd::heartbeat::{BeatOutcome, ErrorKind, Failure, Writing};
use heartbeatd::provisioning::{Applied, provision};
use heartbeatd::remedy::Remedy;
use heartbeatd::target::{Endpoint, Named, Target};
use heartbeatd::time::clock::Clock;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::bench::daemon::Ended;
use crate::bench::driver::{beat, in_time, open_over, target};
use crate::bench::mysql::{ADMIN_PASSWORD, session};
use crate::bench::{Flavour, MysqlServer, heartbeatd, mysql_client};

const TABLE: &str = "streamkap.streamkap_heartbeat";
const PASSWORD: &str = "hb-password";

// --- through the command

#[tokio::test]
async fn twenty_that_provision_at_once_all_succeed_and_make_one_table() {
    crate::bench::mysql_scene::on_each(&Flavour::ALL, async |flavour| {
        let server = MysqlServer::options().flavour(flavour).conf("max_connections = 60").start().await;
        lay_accounts(&server).await;
        let ended = futures_util::future::join_all((0..20).map(|_| run(&server, &["provision"]))).await;
        for ended in ended {
            assert_eq!(ended.code, Some(0), "{flavour:?}: {}", ended.stdout);
        }
        assert_provisioned(&server).await;
    })
    .await;
}

/// The accounts that an administrator creates beforehand: provisioning creates none.
async fn lay_accounts(server: &MysqlServer) {
    server.execute(&format!("CREATE USER hb@'%' IDENTIFIED BY '{PASSWORD}'; CREATE USER streamkap_user@'%'")).await;
}

async fn run(server: &MysqlServer, arguments: &[&str]) -> Ended {
    let config = format!(
        "[[target]]\nname = \"orders\"\nurl = \"{}\"\nprovision_url = \"{}\"\n",
        server.url("hb", PASSWORD),
        server.admin_url()
    );
    let program = arguments.iter().fold(heartbeatd(), |program, argument| program.arg(argument));
    let ended = program.config(&config).run().await;
    for secret in [PASSWORD, ADMIN_PASSWORD] {
        assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret), "{ended:?}");
    }
    ended
}

/// The daemon's account can write the row and has no other privileges; the connector's has its own.
async fn assert_provisioned(server: &MysqlServer) {
    let beat = run(server, &["beat"]).await;
    assert_eq!(beat.code, Some(0), "{beat:?}");
    assert!(beat.stdout.starts_with("orders  ok ") && beat.stdout.contains("last_update 20"), "{beat:?}");
    for (user, wanted) in [("hb", "SELECT, INSERT, UPDATE"), ("streamkap_user", "SELECT, INSERT, UPDATE, DELETE")] {
        let grants = grants(server, &format!("{user}@'%'")).await;
        assert!(grants.len() == 2 && grants[0].starts_with("GRANT USAGE ON *.* TO "), "{grants:?}");
        assert!(
            grants[1].starts_with(&format!("GRANT {wanted} ON `streamkap`.`streamkap_heartbeat` TO ")),
            "{grants:?}"
        );
    }
    let rows = server.rows(&format!("SELECT id, text FROM {TABLE}")).await;
    assert_eq!(rows, [[Some("1".to_owned()), Some("test_heartbeat".to_owned())]]);
}

async fn grants(server: &MysqlServer, account: &str) -> Vec<String> {
    server.rows(&format!("SHOW GRANTS FOR {account}")).await.into_iter().map(|row| row[0].clone().unwrap()).collect()
}

/// Every object that provisioning creates.
async fn objects(server: &MysqlServer) -> Vec<Vec<Option<String>>> {
    let mut objects = server.rows(&format!("SHOW CREATE TABLE {TABLE}")).await;
    objects.extend(server.rows("SHOW CREATE DATABASE streamkap").await);
    objects.extend(server.rows(&format!("SELECT * FROM {TABLE}")).await);
    objects.extend(server.rows("SHOW GRANTS FOR hb@'%'").await);
    objects.extend(server.rows("SHOW GRANTS FOR streamkap_user@'%'").await);
    objects
}

async fn an_administrator_provisions_a_fresh_server(flavour: Flavour) {
    let server = MysqlServer::options().flavour(flavour).start().await;
    lay_accounts(&server).await;
    // Without a privilege on a table, these servers do not say whether it exists.
    let missing = run(&server, &["beat"]).await;
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.stdout.contains("(1142)  [permission, privilege]"), "{missing:?}");
    assert!(missing.stdout.contains("next: ") && missing.stdout.contains("heartbeatd provision"), "{missing:?}");

    let first = run(&server, &["provision"]).await;
    assert_eq!(first.code, Some(0), "{first:?}");
    assert_provisioned(&server).await;

    let before = objects(&server).await;
    let second = run(&server, &["provision"]).await;
    assert_eq!((second.code, second.stdout.as_str()), (Some(0), "orders  ok       nothing is missing\n"), "{second:?}");
    assert_eq!(objects(&server).await, before);
}

#[tokio::test]
async fn an_administrator_provisions_a_fresh_mariadb_and_a_second_time_changes_nothing() {
    an_administrator_provisions_a_fresh_server(Flavour::Mariadb).await;
}

#[tokio::test]
async fn an_administrator_provisions_a_fresh_mysql_and_a_second_time_changes_nothing() {
    an_administrator_provisions_a_fresh_server(Flavour::Mysql).await;
}

#[tokio::test]
async fn an_administrator_provisions_a_fresh_mysql_57_and_a_second_time_changes_nothing() {
    an_administrator_provisions_a_fresh_server(Flavour::Mysql57).await;
}

async fn the_dry_run_is_a_script(flavour: Flavour) {
    // In another time zone, as in some administrators' sessions.
    let server = MysqlServer::options().flavour(flavour).conf("default_time_zone = '+05:45'").start().await;
    lay_accounts(&server).await;
    let script = run(&server, &["provision", "--dry-run"]).await;
    assert_eq!(script.code, Some(0), "{script:?}");
    assert_eq!(server.value("SHOW DATABASES LIKE 'streamkap'").await, None);

    mysql_client(&server, script.stdout.clone()).await;
    assert!(age(&server).await < 30);
    assert_provisioned(&server).await;
    let again = run(&server, &["provision", "--dry-run"]).await;
    assert!(again.stdout.contains("-- nothing is missing"), "{again:?}");
    // Each statement can be run again.
    mysql_client(&server, script.stdout).await;
    assert_provisioned(&server).await;

    // A `datetime` has no zone, and is written in UTC.
    server.execute(&format!("DELETE FROM {TABLE}; ALTER TABLE {TABLE} MODIFY last_update datetime")).await;
    mysql_client(&server, run(&server, &["provision", "--dry-run"]).await.stdout).await;
    let age = server.number(&format!("SELECT TIMESTAMPDIFF(SECOND, last_update, UTC_TIMESTAMP()) FROM {TABLE}")).await;
    assert!((0..30).contains(&age), "{age}");
    assert_provisioned(&server).await;
}

async fn age(server: &MysqlServer) -> i64 {
    server.number(&format!("SELECT UNIX_TIMESTAMP() - UNIX_TIMESTAMP(last_update) FROM {TABLE}")).await.abs()
}

#[tokio::test]
async fn the_dry_run_changes_nothing_and_its_script_does_the_same_in_mariadbs_client() {
    the_dry_run_is_a_script(Flavour::Mariadb).await;
}

#[tokio::test]
async fn the_dry_runs_script_does_the_same_on_mysql() {
    the_dry_run_is_a_script(Flavour::Mysql).await;
}

#[tokio::test]
async fn the_dry_runs_script_does_the_same_on_mysql_57() {
    the_dry_run_is_a_script(Flavour::Mysql57).await;
}

// --- through the driver

fn daemon(server: &MysqlServer) -> Target {
    target(&server.url("hb", PASSWORD))
}

/// The result of provisioning `target` over the address.
async fn applied(url: &str, target: &Target) -> Applied {
    let mut session = open_over(url, target, Purpose::Provision).await;
    provision(session.as_mut(), in_time()).await.unwrap()
}

/// How many steps the administrator ran; none may fail.
async fn provision_as_admin(server: &MysqlServer, target: &Target) -> usize {
    let applied = applied(&server.admin_url(), target).await;
    assert!(applied.failed.is_empty(), "{:?}", applied.failed);
    applied.done.len()
}

/// A server with the heartbeat's objects and its accounts.
async fn provisioned(flavour: Flavour) -> (MysqlServer, Target) {
    let server = MysqlServer::options().flavour(flavour).start().await;
    lay_accounts(&server).await;
    let target = daemon(&server);
    assert_eq!(provision_as_admin(&server, &target).await, 5);
    (server, target)
}

async fn outcome(target: &Target) -> Result<BeatOutcome, Failure> {
    beat(target, Writing::Always).await.map(|beat| beat.outcome)
}

fn kinds(applied: &Applied) -> Vec<ErrorKind> {
    applied.failed.iter().map(|(_, failure)| failure.kind()).collect()
}

#[tokio::test]
async fn the_row_has_its_id_whatever_the_server_counts_by_and_the_vendors_own_insert_still_works() {
    for flavour in Flavour::ALL {
        let options = MysqlServer::options().flavour(flavour);
        let server = options.conf("auto_increment_offset = 2").conf("auto_increment_increment = 3").start().await;
        lay_accounts(&server).await;
        provision_as_admin(&server, &daemon(&server)).await;
        server.execute(&format!("INSERT INTO {TABLE} (text) VALUES ('the connector')")).await;
        assert_eq!(server.number(&format!("SELECT MIN(id) FROM {TABLE}")).await, 1, "{flavour:?}");
        assert_eq!(server.number(&format!("SELECT COUNT(*) FROM {TABLE}")).await, 2, "{flavour:?}");
    }
}

#[tokio::test]
async fn provisioning_never_makes_a_second_row_nor_one_beside_what_it_cannot_see() {
    for flavour in Flavour::ALL {
        let (server, target) = provisioned(flavour).await;
        let mut other_row = target.clone();
        other_row.heartbeat.row = 5.into();
        // It may insert but not select.
        server.execute(&format!("CREATE USER blind@'%' IDENTIFIED BY 'b'; GRANT INSERT ON {TABLE} TO blind@'%'")).await;
        let mut blind = target.clone();
        blind.endpoint = Endpoint::parse(&server.url("blind", "b")).unwrap();
        for (target, url, kind) in [
            (&other_row, server.admin_url(), ErrorKind::MissingRow),
            (&blind, server.url("blind", "b"), ErrorKind::Privilege),
        ] {
            let mut session = open_over(&url, target, Purpose::Provision).await;
            let plan = session.plan(in_time()).await.unwrap();
            assert!(plan.steps.iter().all(|step| !step.script.contains("INSERT INTO")), "{:?}", plan.steps);
            assert_eq!(plan.failures.iter().map(Failure::kind).collect::<Vec<_>>(), [kind], "{flavour:?}");
            if let Some(script) = plan.failures[0].remedy().and_then(Remedy::script) {
                server.execute(&script.to_string()).await;
            }
        }
        assert_eq!(server.number(&format!("SELECT COUNT(*) FROM {TABLE}")).await, 1);

        // Adopted, if the configuration asks for it.
        server.execute(&format!("UPDATE {TABLE} SET id = 5")).await;
        assert_eq!(provision_as_admin(&server, &other_row).await, 0);
        assert_eq!(outcome(&other_row).await.unwrap(), BeatOutcome::Written);
    }
}

#[tokio::test]
async fn every_account_of_a_user_gets_its_grants_or_only_the_account_that_is_named() {
    for flavour in Flavour::ALL {
        let (server, mut target) = provisioned(flavour).await;
        server
            .execute(
                "CREATE USER hb@'10.%'; CREATE USER HB@'10.%'; CREATE USER cdc@'10.%'; CREATE USER cdc@'localhost';
                 GRANT SELECT, UPDATE ON streamkap.* TO hb@'10.%'",
            )
            .await;
        target.connector.user = Named::configured("cdc@10.%");
        let mut done = applied(&server.admin_url(), &target).await.done;
        done.sort();
        insta::allow_duplicates! {
            insta::assert_snapshot!(done.join("\n"), @"
            grant INSERT on table `streamkap`.`streamkap_heartbeat` to `hb`@`10.%`
            grant SELECT, INSERT, UPDATE, DELETE on table `streamkap`.`streamkap_heartbeat` to `cdc`@`10.%`
            ");
        }
        assert_eq!(provision_as_admin(&server, &target).await, 0);
        assert_eq!(grants(&server, "cdc@localhost").await.len(), 1);
    }
}

#[tokio::test]
async fn an_account_that_does_not_exist_is_never_created() {
    for flavour in Flavour::ALL {
        let (server, mut target) = provisioned(flavour).await;
        // On servers where a grant can still create an account, this would allow it.
        if flavour != Flavour::Mysql {
            server.set_global("sql_mode", "''").await;
        }
        for (name, notices, failures) in
            [(Named::default_name("nobody"), 1, vec![]), (Named::configured("nobody"), 0, vec![ErrorKind::Privilege])]
        {
            target.connector.user = name;
            let applied = applied(&server.admin_url(), &target).await;
            assert_eq!((applied.notices.len(), kinds(&applied)), (notices, failures), "{applied:?}");
            // The server refuses the script if it is pasted unchanged, so no one can read a password in it.
            for (_, failure) in &applied.failed {
                let remedy = failure.remedy().unwrap().to_string();
                let refused = session::rows(&mut server.connect().await, &remedy).await.unwrap_err().to_string();
                assert!(refused.contains("1064") || refused.contains("syntax"), "{flavour:?}: {remedy}: {refused}");
                server.execute(&remedy.replace("<password>", "'Pasted-1'")).await;
                server.execute("DROP USER nobody").await;
            }
        }
        assert_eq!(server.number("SELECT COUNT(*) FROM mysql.user WHERE User = 'nobody'").await, 0);
    }
}

#[tokio::test]
async fn a_user_who_may_not_grant_is_reported_and_privileges_by_a_role_are_not_missing() {
    for flavour in [Flavour::Mariadb, Flavour::Mysql] {
        let (server, mut target) = provisioned(flavour).await;
        let role = match flavour {
            Flavour::Mariadb => "SET DEFAULT ROLE beats FOR role_hb@'%'",
            _ => "SET DEFAULT ROLE beats TO role_hb@'%'",
        };
        server
            .execute(&format!(
                "CREATE ROLE beats; GRANT SELECT, INSERT, UPDATE ON {TABLE} TO beats;
                 CREATE USER role_hb@'%' IDENTIFIED BY '{PASSWORD}'; GRANT beats TO role_hb@'%'; {role}"
            ))
            .await;
        let url = server.url("role_hb", PASSWORD);
        target.endpoint = Endpoint::parse(&url).unwrap();
        let by_role = applied(&url, &target).await;
        assert!(by_role.done.is_empty() && by_role.failed.is_empty(), "{by_role:?}");
        // The connector's account is hidden from it.
        assert_eq!(by_role.notices.len(), 1, "{by_role:?}");

        server.execute("REVOKE INSERT ON streamkap.streamkap_heartbeat FROM beats").await;
        let denied = applied(&url, &target).await;
        assert_eq!((denied.done.len(), kinds(&denied)), (0, vec![ErrorKind::Privilege]), "{flavour:?}: {denied:?}");
        assert!(denied.failed[0].1.remedy().unwrap().to_string().contains("provision_url"), "{denied:?}");
    }
}

#[tokio::test]
async fn nothing_is_created_on_a_read_only_server_although_the_administrator_could() {
    for flavour in Flavour::ALL {
        let server = MysqlServer::options().flavour(flavour).start().await;
        lay_accounts(&server).await;
        server.set_global("read_only", "1").await;
        let refused = run(&server, &["provision"]).await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stdout.contains("[connection, not_writable]"), "{refused:?}");
        assert_eq!(server.value("SHOW DATABASES LIKE 'streamkap'").await, None, "{flavour:?}");
    }
}

#[tokio::test]
async fn nothing_is_created_that_the_replicas_would_not_get() {
    let server = MysqlServer::options().conf("init_connect = 'SET sql_log_bin = 0'").start().await;
    server
        .execute(&format!(
            "CREATE USER hb@'%' IDENTIFIED BY '{PASSWORD}'; GRANT BINLOG ADMIN ON *.* TO hb@'%';
             GRANT ALL ON streamkap.* TO hb@'%'"
        ))
        .await;
    let applied = applied(&server.url("hb", PASSWORD), &daemon(&server)).await;
    assert_eq!((applied.done.len(), kinds(&applied)), (0, vec![ErrorKind::Settings]), "{applied:?}");
}

#[tokio::test]
async fn a_step_that_waits_for_a_lock_gives_up_on_the_server() {
    for flavour in Flavour::ALL {
        let (server, target) = provisioned(flavour).await;
        server.execute(&format!("DELETE FROM {TABLE}")).await;
        let mut session = open_over(&server.admin_url(), &target, Purpose::Provision).await;
        let plan = session.plan(in_time()).await.unwrap();
        let mut holder = server.connect().await;
        session::execute(&mut holder, &format!("BEGIN; SELECT * FROM {TABLE} FOR UPDATE")).await;
        // MySQL checks once a second which sessions have waited too long, so 2 s may become 3.
        let soon = Clock::system().now().mono + Duration::from_millis(3_500);
        let failure = session.apply(&plan.steps[0], soon).await.unwrap_err();
        assert!(Clock::system().now().mono < soon, "{flavour:?}: {failure}");
        // MariaDB's limit for the whole statement is only slightly longer.
        let ended = [ErrorKind::Lock, ErrorKind::StatementTimeout].contains(&failure.kind());
        assert!(ended, "{flavour:?}: {failure}");
        session::execute(&mut holder, "ROLLBACK").await;
        session.apply(&plan.steps[0], in_time()).await.unwrap();
    }
}

#[tokio::test]
async fn any_name_works_unchanged() {
    for flavour in Flavour::ALL {
        let (server, target) = provisioned(flavour).await;
        let mut runner = TestRunner::deterministic();
        let names = "[^\0\u{10000}-\u{10ffff}]{1,20}".prop_filter("no server takes it", |name: &String| {
            !name.ends_with(|c: char| c.is_ascii_whitespace() || c == '\x0b')
        });
        for _ in 0..16 {
            let mut target = target.clone();
            target.heartbeat.schema = names.new_tree(&mut runner).unwrap().current();
            target.heartbeat.table = names.new_tree(&mut runner).unwrap().current();
            provision_as_admin(&server, &target).await;
            assert_eq!(provision_as_admin(&server, &target).await, 0, "{:?}", target.heartbeat);
            let written = outcome(&target).await;
            assert!(matches!(written, Ok(BeatOutcome::Written)), "{flavour:?} {:?}: {written:?}", target.heartbeat);
        }
    }
}
