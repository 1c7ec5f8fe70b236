//! Accounts that cannot log in although the password is right, and limits of the server, each with its kind and number.

use heartbeatd::heartbeat::{BeatOutcome, ErrorKind, Writing};
use heartbeatd::remedy::Remedy;
use sqlx::Connection;

use super::{TABLE, lay, provisioned};
use crate::bench::driver::{at, beat, failed, provision_over, target};
use crate::bench::mysql_scene::on_each;
use crate::bench::{Flavour, MysqlServer};

#[tokio::test]
async fn an_account_with_sha256_password_can_log_in_over_tls_and_without_tls_the_reason_is_reported() {
    on_each(&[Flavour::Mysql57, Flavour::Mysql], async |flavour| {
        let (server, target) = provisioned(flavour).await;
        for sql in [
            "CREATE USER old@'%' IDENTIFIED WITH sha256_password BY 'old-password'",
            &format!("GRANT SELECT, UPDATE ON {TABLE} TO old@'%'"),
        ] {
            server.execute(sql).await;
        }
        let over_tls = at(&format!("{}/?ssl-mode=required", server.url("old", "old-password")), &target);
        assert_eq!(beat(&over_tls, Writing::Always).await.unwrap().outcome, BeatOutcome::Written);
        let wrong = failed(&at(&server.url("old", "wrong"), &target)).await;
        assert_eq!((wrong.kind, wrong.code.as_deref()), (ErrorKind::Auth, Some("1045")), "{wrong:?}");
        // A cache of passwords does not help here: this login never works without TLS, not even the second time.
        let clear = at(&format!("{}/?ssl-mode=disabled", server.url("old", "old-password")), &target);
        for _ in 0..2 {
            let refused = failed(&clear).await;
            assert_eq!(refused.kind, ErrorKind::Tls, "{refused:?}");
            assert!(refused.message.contains("through TLS only"), "{refused:?}");
            assert!(refused.remedy.starts_with("set ssl-mode=verify_identity"), "{refused:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_expired_password_is_reported_wherever_the_server_says_so() {
    on_each(&Flavour::ALL, async |flavour| {
        let (server, target) = provisioned(flavour).await;
        server.execute("ALTER USER hb@'%' PASSWORD EXPIRE").await;
        // At the login; or at the first statement, if the server lets such accounts log in to change the password.
        for (at_once, code) in [("ON", "1862"), ("OFF", "1820")] {
            // MySQL reads the setting only at its start, and this client does not ask to be let in.
            let mariadb = flavour == Flavour::Mariadb;
            if mariadb {
                server.set_global("disconnect_on_expired_password", at_once).await;
            }
            let refused = failed(&target).await;
            let expected = if mariadb { code } else { "1862" };
            assert_eq!((refused.kind, refused.code.as_deref()), (ErrorKind::Auth, Some(expected)), "{refused:?}");
            assert!(refused.remedy.contains("ALTER USER `hb`@`%` IDENTIFIED BY <password>;"), "{refused:?}");
            assert!(refused.remedy.contains("PASSWORD EXPIRE NEVER"), "{refused:?}");
        }
        server.execute("ALTER USER hb@'%' IDENTIFIED BY 'hb-password'").await;
        beat(&target, Writing::Always).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_locked_account_is_reported_with_the_statement_that_unlocks_it() {
    on_each(&Flavour::ALL, async |flavour| {
        let (server, target) = provisioned(flavour).await;
        server.execute("ALTER USER hb@'%' ACCOUNT LOCK").await;
        let refused = failed(&target).await;
        let code = if flavour == Flavour::Mariadb { "4151" } else { "3118" };
        assert_eq!((refused.kind, refused.code.as_deref()), (ErrorKind::Auth, Some(code)), "{refused:?}");
        server.execute(&refused.script).await;
        beat(&target, Writing::Always).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_account_at_its_limit_is_reported_with_the_statement_that_lifts_it() {
    on_each(&Flavour::ALL, async |flavour| {
        let (server, target) = provisioned(flavour).await;
        for limit in
            ["MAX_USER_CONNECTIONS 1", "MAX_QUERIES_PER_HOUR 3", "MAX_UPDATES_PER_HOUR 1", "MAX_CONNECTIONS_PER_HOUR 1"]
        {
            server.execute(&format!("ALTER USER hb@'%' WITH {limit}")).await;
            // This limit applies from now on, whatever sessions of the account still exist (MySQL 5.7).
            server.execute("FLUSH PRIVILEGES").await;
            let holder = server.connect_as("hb", "hb-password").await.unwrap();
            if limit.starts_with("MAX_UPDATES") {
                beat(&target, Writing::Always).await.unwrap();
            }
            let refused = failed(&target).await;
            assert_eq!(
                (refused.kind, refused.code.as_deref()),
                (ErrorKind::Limit, Some("1226")),
                "{limit}: {refused:?}"
            );
            let lift = &refused.script;
            server.execute(lift).await;
            for _ in 0..2 {
                beat(&target, Writing::Always).await.unwrap_or_else(|error| panic!("{limit}, {lift}: {error}"));
            }
            holder.close().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn an_account_at_the_servers_limit_for_all_accounts_is_reported() {
    on_each(&Flavour::ALL, async |flavour| {
        // MariaDB can change a limit, but not add one that was absent at the start.
        let server = MysqlServer::options().flavour(flavour).conf("max_user_connections = 20").start().await;
        lay(&server).await;
        let target = target(&server.url("hb", "hb-password"));
        server.set_global("max_user_connections", "1").await;
        let holder = server.connect_as("hb", "hb-password").await.unwrap();
        let refused = failed(&target).await;
        assert_eq!(
            (refused.kind, refused.code.as_deref()),
            (ErrorKind::TooManyConnections, Some("1203")),
            "{refused:?}"
        );
        assert!(refused.remedy.contains("raise max_user_connections"), "{refused:?}");
        server.execute(&refused.script).await;
        holder.close().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_missing_privilege_is_granted_to_the_account_that_the_server_takes_the_login_for() {
    on_each(&Flavour::ALL, async |flavour| {
        let (server, target) = provisioned(flavour).await;
        let paste = async |script: &str| server.execute(&script.replace("<password>", "'hb-password'")).await;
        // The account without a name has a more exact host, so the server prefers it.
        for host in ["localhost", "127.0.0.1"] {
            server.execute(&format!("CREATE USER ''@'{host}' IDENTIFIED BY 'hb-password'")).await;
        }
        let refused = failed(&target).await;
        assert_eq!(refused.kind, ErrorKind::Privilege, "{refused:?}");
        let created =
            refused.script.strip_prefix("CREATE USER ").and_then(|rest| rest.split(' ').next()).unwrap().to_owned();
        assert!(created.starts_with("`hb`@`") && created != "`hb`@`%`", "no one else gets anything: {refused:?}");
        // Provisioning also asks a session of url, and reports the same.
        let applied = provision_over(&server.admin_url(), &target).await;
        let [(None, failure)] = applied.failed.as_slice() else { panic!("{applied:?}") };
        assert_eq!(failure.remedy().and_then(Remedy::script).unwrap().text(), refused.script, "{failure}");
        assert_eq!(applied.done, [""; 0]);
        paste(&refused.script).await;
        // A grant on the table to the user from any host may also apply to this account. If it does not, it is granted
        // next.
        if beat(&target, Writing::Always).await.is_err() {
            let refused = failed(&target).await;
            assert!(refused.script.ends_with(&format!("TO {created};")), "{refused:?}");
            paste(&refused.script).await;
        }
        beat(&target, Writing::Always).await.unwrap();
        // Now two accounts match the login, and the session has one of them.
        server.execute(&format!("REVOKE UPDATE ON {TABLE} FROM hb@'%'")).await;
        let applied = provision_over(&server.admin_url(), &target).await;
        assert!(applied.done.iter().all(|title| title.ends_with(&format!("to {created}"))), "{applied:?}");
        assert!(applied.failed.is_empty(), "{applied:?}");
        let told = applied.notices.iter().any(|notice| notice.contains(&created) && notice.contains("`hb`@`%`"));
        assert!(told, "{applied:?}");
        beat(&target, Writing::Always).await.unwrap();
        // If no session can be asked, the plan says so.
        let refused = at(&server.url("hb", "wrong"), &target);
        let applied = provision_over(&server.admin_url(), &refused).await;
        assert!(applied.notices[0].starts_with("cannot check which account"), "{applied:?}");
    })
    .await;
}

#[tokio::test]
async fn a_proxy_user_is_granted_what_it_lacks_by_the_name_that_the_server_maps_it_to() {
    let (server, target) = provisioned(Flavour::Mysql57).await;
    server
        .execute(
            "SET GLOBAL check_proxy_users = ON; SET GLOBAL mysql_native_password_proxy_users = ON; CREATE USER app ACCOUNT LOCK; \
             ALTER USER hb@'%' IDENTIFIED WITH mysql_native_password BY 'hb-password'; \
             INSERT INTO mysql.proxies_priv (Host, User, Proxied_host, Proxied_user, With_grant, Grantor) \
             VALUES ('%', 'hb', '%', 'app', 0, ''); FLUSH PRIVILEGES",
        )
        .await;
    let refused = failed(&target).await;
    assert_eq!(refused.kind, ErrorKind::Privilege, "{refused:?}");
    assert!(refused.remedy.contains("the account that the server maps this login to"), "{refused:?}");
    assert!(refused.script.ends_with("TO `app`@`%`;"), "{refused:?}");
    server.execute(&refused.script).await;
    beat(&target, Writing::Always).await.unwrap();
    // Provisioning also asks a session of url.
    server.execute(&format!("REVOKE SELECT, INSERT, UPDATE ON {TABLE} FROM app")).await;
    let applied = provision_over(&server.admin_url(), &target).await;
    assert!(applied.failed.is_empty(), "{applied:?}");
    assert!(applied.done.len() == 1 && applied.done[0].ends_with("to `app`@`%`"), "{applied:?}");
    beat(&target, Writing::Always).await.unwrap();
}

#[tokio::test]
async fn a_server_in_offline_mode_is_reported_with_its_remedy() {
    on_each(&[Flavour::Mysql57, Flavour::Mysql], async |flavour| {
        let (server, target) = provisioned(flavour).await;
        server.set_global("offline_mode", "ON").await;
        let refused = failed(&target).await;
        assert_eq!((refused.kind, refused.code.as_deref()), (ErrorKind::Starting, Some("3032")), "{refused:?}");
        server.execute(&refused.script).await;
        beat(&target, Writing::Always).await.unwrap();
    })
    .await;
}
