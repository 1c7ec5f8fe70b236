//! Which server gets the beats, and over which kind of connection.

use heartbeatd::database_url::Family;
use heartbeatd::driver::{Purpose, ServerRole};
use heartbeatd::drivers::Drivers;
use heartbeatd::heartbeat::{BeatOutcome, ErrorKind, Writing};
use heartbeatd::time::clock::Clock;

use super::{provisioned, several};
use crate::bench::driver::{TIME, at, beat, failure, open, report, session};
use crate::bench::{Flavour, secs};

#[tokio::test]
async fn a_replica_is_never_written_and_of_several_hosts_the_writable_one_takes_the_beats() {
    for flavour in [Flavour::Mariadb, Flavour::Mysql] {
        let (server, target) = provisioned(flavour).await;
        let replica = server.replica().await;
        replica.catch_up_with(&server).await;
        for url in [replica.url("hb", "hb-password"), replica.admin_url()] {
            let on_replica = at(&url, &target);
            assert_eq!(failure(&on_replica).await, ErrorKind::NotWritable, "{flavour:?}");
            let mut looking = open(&on_replica, Purpose::Inspect, None, TIME).await.unwrap();
            let deadline = Clock::system().now().mono + TIME;
            let seen = looking.observe(deadline).await.unwrap();
            assert_eq!((seen.role, seen.rows), (ServerRole::Standby, 1));
            let failed = report(looking.as_mut(), Writing::Always, TIME).await.unwrap_err();
            assert_eq!(failed.kind(), ErrorKind::NotWritable, "{flavour:?}: {failed}");
        }
        for order in [[&server, &replica], [&replica, &server]] {
            let target = several("hb", "hb-password", &order);
            assert!(session(&target).await.server().address.ends_with(&server.port().to_string()));
        }
        server.set_global("read_only", "1").await;
        replica.promote().await;
        for order in [[&server, &replica], [&replica, &server]] {
            let target = several("hb", "hb-password", &order);
            assert!(session(&target).await.server().address.ends_with(&replica.port().to_string()));
        }
    }
}

#[tokio::test]
async fn without_a_writable_host_every_host_is_named_before_the_caller_gives_up() {
    let (server, _) = provisioned(Flavour::Mariadb).await;
    let replica = server.replica().await;
    replica.catch_up_with(&server).await;
    let target = several("hb", "hb-password", &[&server, &replica]);
    server.freeze();
    let failure = open(&target, Purpose::Beat, None, secs(2)).await.map(|_| ()).unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::NotWritable, "{failure}");
    assert!(failure.message().contains("is read-only") && failure.message().contains("no answer"), "{failure}");
    server.thaw();
}

#[tokio::test]
async fn certificates_are_verified_as_asked() {
    for flavour in Flavour::ALL {
        let (server, target) = provisioned(flavour).await;
        let url = |host: &str, parameters: String| {
            at(&format!("mysql://hb:hb-password@{host}:{}/?{parameters}", server.port()), &target)
        };
        let (right, wrong) = (server.ca_file().display().to_string(), server.wrong_ca_file().display().to_string());
        for good in [
            url("127.0.0.1", "ssl-mode=required".to_owned()),
            url("localhost", format!("ssl-mode=verify_identity&ssl-ca={right}")),
            url("127.0.0.1", format!("ssl-mode=verify_ca&ssl-ca={right}")),
        ] {
            beat(&good, Writing::Always).await.unwrap();
        }
        for bad in [
            url("localhost", "ssl-mode=verify_identity".to_owned()),
            url("localhost", format!("ssl-mode=verify_identity&ssl-ca={wrong}")),
            url("127.0.0.1", format!("ssl-mode=verify_ca&ssl-ca={wrong}")),
            url("localhost", "ssl-mode=verify_identity&ssl-ca=/nonexistent.pem".to_owned()),
        ] {
            assert_eq!(failure(&bad).await, ErrorKind::Tls, "{flavour:?} {}", bad.endpoint.url);
        }
    }
}

#[tokio::test]
async fn an_account_that_must_encrypt_is_let_in_by_default_and_never_in_clear() {
    for flavour in Flavour::ALL {
        let (server, target) = provisioned(flavour).await;
        server.execute("ALTER USER hb@'%' REQUIRE SSL").await;
        beat(&target, Writing::Always).await.unwrap();
        let clear = at(&format!("{}/?ssl-mode=disabled", server.url("hb", "hb-password")), &target);
        // The server answers as it does to a wrong password.
        assert_eq!(failure(&clear).await, ErrorKind::Auth, "{flavour:?}");
    }
}

#[tokio::test]
async fn a_password_that_only_tls_may_carry_is_a_tls_failure_that_says_so() {
    let (server, target) = provisioned(Flavour::Mysql).await;
    // The server's cache of passwords is empty, so it requires the whole password.
    server.execute("FLUSH PRIVILEGES").await;
    let clear = at(&format!("{}/?ssl-mode=disabled", server.url("hb", "hb-password")), &target);
    let failed = beat(&clear, Writing::Always).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Tls, "{failed}");
    assert!(failed.message().contains("through TLS only"), "{failed}");
    beat(&target, Writing::Always).await.unwrap();
}

#[tokio::test]
async fn an_unsupported_login_method_is_named() {
    let (server, target) = provisioned(Flavour::Mariadb).await;
    server.execute("INSTALL SONAME 'auth_ed25519'").await;
    server.execute("CREATE USER modern@'%' IDENTIFIED VIA ed25519 USING PASSWORD('p')").await;
    let failed = beat(&at(&server.url("modern", "p"), &target), Writing::Always).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::AuthMethod, "{failed}");
    assert!(failed.message().contains("the plugin client_ed25519, which"), "{failed}");
    assert_eq!(failure(&at(&server.url("modern", "p"), &target)).await, ErrorKind::AuthMethod);
}

#[tokio::test]
async fn beats_work_over_a_socket_which_is_encrypted_if_the_password_requires_it() {
    for flavour in Flavour::ALL {
        let (server, target) = provisioned(flavour).await;
        server.execute("FLUSH PRIVILEGES").await;
        let socket = format!("mysql://hb:hb-password@localhost/?socket={}", server.socket().display());
        let beat = beat(&at(&socket, &target), Writing::Always).await.unwrap();
        assert_eq!(beat.outcome, BeatOutcome::Written, "{flavour:?}");
    }
}

/// The server reports it like a wrong password, so heartbeatd cannot distinguish the two. The remedy names both.
#[tokio::test]
async fn a_password_that_cannot_go_over_a_socket_without_tls_is_reported_as_refused_with_the_remedy() {
    let (server, target) = provisioned(Flavour::Mysql).await;
    server.execute("FLUSH PRIVILEGES").await;
    let clear = format!("mysql://hb:hb-password@localhost/?socket={}&ssl-mode=disabled", server.socket().display());
    let clear = at(&clear, &target);
    let failed = beat(&clear, Writing::Always).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Auth, "{failed}");
    let remedy = Drivers::built_in().get(Family::new("mysql")).unwrap().remedy(&failed, &clear).unwrap();
    assert!(remedy.to_string().contains("over a socket so is one with caching_sha2_password"), "{remedy}");
}

#[tokio::test]
async fn an_account_without_a_password_needs_none() {
    for flavour in Flavour::ALL {
        let (server, target) = provisioned(flavour).await;
        server.execute("CREATE USER open@'%'").await;
        server.execute(&format!("GRANT SELECT, UPDATE ON {} TO open@'%'", super::TABLE)).await;
        let url = format!("mysql://open@127.0.0.1:{}/", server.port());
        assert_eq!(beat(&at(&url, &target), Writing::Always).await.unwrap().outcome, BeatOutcome::Written);
    }
}
