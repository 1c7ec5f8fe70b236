//! Which accounts get which grants on MariaDB and MySQL. Privileges count wherever they come from. A role that is not
//! active after the login is reported and does not count. Hidden privileges are not reported as missing.

use heartbeatd::driver::Purpose;
use heartbeatd::heartbeat::{BeatOutcome, ErrorKind, Failure, Writing};
use heartbeatd::plan::Plan;
use heartbeatd::provisioning::{Applied, provision};
use heartbeatd::remedy::Remedy;
use heartbeatd::target::{Named, Target};

use crate::bench::driver::{at, beat, in_time, open_over, target};
use crate::bench::mysql_scene::TABLE;
use crate::bench::{Flavour, MysqlServer, mysql_client};

const PASSWORD: &str = "hb-password";
const ALL: &str = "SELECT, INSERT, UPDATE, DELETE";

/// A provisioned server whose accounts `hb` and `cdc` have lost their grants, and a target that names both.
async fn bare(flavour: Flavour) -> (MysqlServer, Target) {
    let server = MysqlServer::options().flavour(flavour).start().await;
    server
        .execute(&format!(
            "CREATE USER hb@'%' IDENTIFIED BY '{PASSWORD}'; CREATE USER cdc@'%' IDENTIFIED BY '{PASSWORD}'"
        ))
        .await;
    let mut target = target(&server.url("hb", PASSWORD));
    target.connector.user = Named::configured("cdc");
    let applied = applied(&server.admin_url(), &target).await;
    assert_eq!((applied.done.len(), applied.failed.len()), (5, 0), "{applied:?}");
    server
        .execute(&format!("REVOKE SELECT, INSERT, UPDATE ON {TABLE} FROM hb@'%'; REVOKE {ALL} ON {TABLE} FROM cdc@'%'"))
        .await;
    (server, target)
}

async fn applied(url: &str, target: &Target) -> Applied {
    let mut session = open_over(url, target, Purpose::Provision).await;
    provision(session.as_mut(), in_time()).await.unwrap()
}

/// The plan of a session at this address.
async fn planned(url: &str, target: &Target) -> Plan {
    // As the command does: this account's privileges are not the daemon's.
    let mut administered = target.clone();
    administered.provision_endpoint = Some(at(url, target).endpoint);
    let mut session = open_over(url, &administered, Purpose::Plan).await;
    session.plan(in_time()).await.unwrap()
}

fn titles(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|step| step.title.as_str()).collect()
}

/// The flavour's statement for the roles that are active after the login.
fn default_role(flavour: Flavour, role: &str, user: &str) -> String {
    let word = if flavour == Flavour::Mariadb { "FOR" } else { "TO" };
    format!("SET DEFAULT ROLE {role} {word} {user}@'%'")
}

#[tokio::test]
async fn a_privilege_above_the_table_is_not_granted_again() {
    for flavour in Flavour::ALL {
        let (server, target) = bare(flavour).await;
        for (grants, revokes) in [
            // Wildcards in the name of a schema, and a grant on the whole server.
            (format!("GRANT {ALL} ON `stream%`.* TO hb@'%'; GRANT {ALL} ON *.* TO cdc@'%'"), ""),
            (
                format!("GRANT ALL ON `streamka_`.* TO cdc@'%'; GRANT INSERT ON {TABLE} TO hb@'%'"),
                "REVOKE SELECT, INSERT, UPDATE, DELETE ON *.* FROM cdc@'%';
                 REVOKE INSERT ON `stream%`.* FROM hb@'%'",
            ),
        ] {
            server.execute(&grants).await;
            if !revokes.is_empty() {
                server.execute(revokes).await;
            }
            let plan = planned(&server.admin_url(), &target).await;
            assert!(plan.steps.is_empty() && plan.failures.is_empty(), "{flavour:?}: {grants}: {plan:?}");
        }
        let written = beat(&target, Writing::Always).await.unwrap().outcome;
        assert_eq!(written, BeatOutcome::Written);
        // If two patterns match, the server uses only the more exact one, and that one grants nothing.
        server
            .execute(
                "GRANT EXECUTE ON `streamkap`.* TO hb@'%'; REVOKE INSERT ON streamkap.streamkap_heartbeat FROM hb@'%'",
            )
            .await;
        let plan = planned(&server.admin_url(), &target).await;
        assert_eq!(
            titles(&plan),
            ["grant SELECT, INSERT, UPDATE on table `streamkap`.`streamkap_heartbeat` to `hb`@`%`"],
            "{flavour:?}"
        );
    }
}

#[tokio::test]
async fn a_role_counts_if_it_is_active_after_the_login_and_is_reported_if_it_is_not() {
    for flavour in [Flavour::Mariadb, Flavour::Mysql] {
        let (server, target) = bare(flavour).await;
        server
            .execute(&format!(
                "CREATE ROLE beats; GRANT {ALL} ON {TABLE} TO beats; CREATE ROLE all_beats; GRANT beats TO all_beats;
                 GRANT beats TO hb@'%'; GRANT all_beats TO cdc@'%'; {}; {}",
                default_role(flavour, "beats", "hb"),
                default_role(flavour, "all_beats", "cdc"),
            ))
            .await;
        let plan = planned(&server.admin_url(), &target).await;
        assert!(plan.steps.is_empty() && plan.failures.is_empty() && plan.notices.is_empty(), "{flavour:?}: {plan:?}");

        server.execute(&default_role(flavour, "NONE", "hb")).await;
        let denied = beat(&target, Writing::Always).await.unwrap_err();
        assert_eq!(denied.kind(), ErrorKind::Privilege, "{flavour:?}: {denied}");
        let plan = planned(&server.admin_url(), &target).await;
        assert_eq!(
            titles(&plan),
            ["grant SELECT, INSERT, UPDATE on table `streamkap`.`streamkap_heartbeat` to `hb`@`%`"],
            "{flavour:?}"
        );
        let [notice] = plan.notices.as_slice() else { panic!("{flavour:?}: {plan:?}") };
        assert!(notice.contains("`beats`") && notice.contains("not active after its login"), "{flavour:?}: {notice}");
        // The end of the notice is the alternative.
        let (_, remedy) = notice.split_once(": ").unwrap();
        server.execute(remedy).await;
        let plan = planned(&server.admin_url(), &target).await;
        assert!(plan.steps.is_empty() && plan.notices.is_empty(), "{flavour:?}: {plan:?}");
    }
}

#[tokio::test]
async fn a_role_that_everyone_has_counts_although_no_grant_names_it() {
    let (server, target) = bare(Flavour::Mysql).await;
    server
        .execute(&format!("CREATE ROLE beats; GRANT {ALL} ON {TABLE} TO beats; SET GLOBAL mandatory_roles = 'beats'"))
        .await;
    for (setting, default) in [("OFF", "NONE"), ("OFF", "other"), ("ON", "NONE")] {
        server.set_global("activate_all_roles_on_login", setting).await;
        server.execute("CREATE ROLE IF NOT EXISTS other; GRANT other TO hb").await;
        server.execute(&default_role(Flavour::Mysql, default, "hb")).await;
        assert_eq!(beat(&target, Writing::Always).await.unwrap().outcome, BeatOutcome::Written, "{setting} {default}");
        let plan = planned(&server.admin_url(), &target).await;
        assert!(plan.steps.is_empty() && plan.failures.is_empty() && plan.notices.is_empty(), "{plan:?}");
    }
}

#[tokio::test]
async fn a_user_with_many_hosts_takes_no_longer_than_one_with_a_few_and_the_rest_is_counted() {
    for flavour in Flavour::ALL {
        let (server, target) = bare(flavour).await;
        let accounts: Vec<String> = (0..200).map(|host| format!("hb@'10.9.8.{host}'")).collect();
        server.execute(&format!("CREATE USER {}", accounts.join(", "))).await;
        let plan = planned(&server.admin_url(), &target).await;
        // Eight of the daemon's 201 accounts, in the order of their hosts, and the connector's one.
        assert_eq!((plan.steps.len(), plan.failures.len()), (8 + 1, 0), "{flavour:?}: {plan:?}");
        let [notice] = plan.notices.as_slice() else { panic!("{flavour:?}: {:?}", plan.notices) };
        assert!(notice.starts_with("193 more accounts are called `hb`"), "{flavour:?}: {notice}");
    }
}

/// The same on MySQL before 9.5, which has no setting for it.
#[tokio::test]
async fn a_role_that_everyone_has_and_no_login_activates_does_not_count() {
    let (server, target) = bare(Flavour::Mysql).await;
    server
        .execute(&format!("CREATE ROLE beats; GRANT {ALL} ON {TABLE} TO beats; SET GLOBAL mandatory_roles = 'beats'"))
        .await;
    server.set_global("activate_mandatory_roles", "OFF").await;
    let denied = beat(&target, Writing::Always).await.unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::Privilege, "{denied}");
    let plan = planned(&server.admin_url(), &target).await;
    assert_eq!(plan.steps.len(), 2, "{plan:?}");
    assert_eq!(plan.notices.len(), 2, "{plan:?}");
    for notice in &plan.notices {
        assert!(notice.contains("`beats`@`%`") && notice.contains("not active after its login"), "{notice}");
        // The end of the notice is the alternative.
        server.execute(notice.split_once(": ").unwrap().1).await;
    }
    let plan = planned(&server.admin_url(), &target).await;
    assert!(plan.steps.is_empty() && plan.failures.is_empty() && plan.notices.is_empty(), "{plan:?}");
    assert_eq!(beat(&target, Writing::Always).await.unwrap().outcome, BeatOutcome::Written);
    // Also if every role is a mandatory one.
    server.execute(&default_role(Flavour::Mysql, "NONE", "hb")).await;
    server.set_global("activate_all_roles_on_login", "ON").await;
    assert_eq!(beat(&target, Writing::Always).await.unwrap().outcome, BeatOutcome::Written);
    assert!(planned(&server.admin_url(), &target).await.steps.is_empty());
}

#[tokio::test]
async fn a_user_who_may_not_grant_finds_nothing_missing_if_nothing_is() {
    for flavour in Flavour::ALL {
        let (server, target) = bare(flavour).await;
        server
            .execute(&format!(
                "GRANT {ALL} ON *.* TO hb@'%'; GRANT {ALL} ON `stream%`.* TO cdc@'%';
                 CREATE USER looker@'%' IDENTIFIED BY '{PASSWORD}';
                 GRANT SELECT ON mysql.* TO looker@'%'; GRANT SELECT ON {TABLE} TO looker@'%'"
            ))
            .await;
        let plan = planned(&server.url("looker", PASSWORD), &target).await;
        assert!(plan.steps.is_empty() && plan.failures.is_empty() && plan.notices.is_empty(), "{flavour:?}: {plan:?}");
    }
}

#[tokio::test]
async fn grants_that_are_not_shown_are_not_taken_for_missing() {
    for flavour in Flavour::ALL {
        let (server, mut target) = bare(flavour).await;
        // MySQL shows it the grants, but not which roles are active.
        if flavour == Flavour::Mysql {
            server.execute("CREATE ROLE beats; GRANT beats TO hb@'%', cdc@'%'").await;
        }
        // It sees that accounts exist, but not all of their privileges.
        server
            .execute(&format!(
                "CREATE USER half@'%' IDENTIFIED BY '{PASSWORD}'; GRANT SELECT ON mysql.user TO half@'%';
                 GRANT ALL ON streamkap.* TO half@'%' WITH GRANT OPTION; GRANT CREATE ON *.* TO half@'%'"
            ))
            .await;
        let url = server.url("half", PASSWORD);
        let plan = planned(&url, &target).await;
        assert!(plan.steps.is_empty(), "{flavour:?}: {plan:?}");
        assert_eq!(plan.failures.iter().map(Failure::kind).collect::<Vec<_>>(), [ErrorKind::Privilege; 2], "{plan:?}");
        for failure in &plan.failures {
            assert!(failure.message().contains("is not shown to `half`@`%`"), "{flavour:?}: {failure}");
            assert!(
                failure.remedy().unwrap().to_string().contains("GRANT SELECT ON `mysql`.* TO `half`@`%`;"),
                "{failure:?}"
            );
        }
        // No account has a grant on a table that does not exist yet.
        target.heartbeat.schema = "other".to_owned();
        assert_eq!(planned(&url, &target).await.steps.len(), 5, "{flavour:?}");

        target.heartbeat.schema = "streamkap".to_owned();
        let remedy = plan.failures[0].remedy().unwrap().to_string();
        let shown = remedy.split_inclusive(';').find(|part| part.contains("GRANT SELECT ON `mysql`")).unwrap();
        server.execute(&shown[shown.find("GRANT").unwrap()..]).await;
        assert_eq!(planned(&url, &target).await.steps.len(), 2, "{flavour:?}");
        for failure in &plan.failures {
            let grant = failure.remedy().and_then(Remedy::script).unwrap();
            mysql_client(&server, format!("{grant}\n")).await;
        }
        assert_eq!(planned(&url, &target).await.steps.len(), 0, "{flavour:?}");
    }
}
