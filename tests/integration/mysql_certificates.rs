//! Clients' certificates on MariaDB and MySQL. The right one can log in. Every other state is reported with the file
//! and the next step. A certificate that is replaced on disk is used at the next connection.

use heartbeatd::heartbeat::{BeatOutcome, ErrorKind, Writing};
use heartbeatd::target::Target;

use crate::bench::beating_daemon::{BeatingDaemon, PASSWORD, ROLE, patient, plain_password};
use crate::bench::driver::{beat, failed, target};
use crate::bench::mysql_scene::{end_sessions, furnish, on_each};
use crate::bench::tls::{AUTHORITY, ClientPair, Files};
use crate::bench::{Flavour, MysqlServer, eventually, secs};

/// The address of a verified server, with these additional parameters.
fn address(server: &MysqlServer, parameters: &str) -> String {
    let (scheme, port, ca) = (server.flavour().scheme(), server.port(), server.ca_file());
    format!("{scheme}://{ROLE}@localhost:{port}/?ssl-mode=verify_identity&ssl-ca={}{parameters}", ca.display())
}

fn with_password(url: &str) -> Target {
    target(&url.replace(&format!("{ROLE}@"), &format!("{ROLE}:{PASSWORD}@")))
}

/// The parameters for the folder's `client.pem` and `client.key`.
fn client(files: &Files) -> String {
    format!("&ssl-cert={}&ssl-key={}", files.path("client.pem").display(), files.path("client.key").display())
}

/// The server counts each failed login against this machine, and at a hundred it blocks the machine (1129).
const FAILED_LOGINS: &str = "max_connect_errors = 100000";

async fn server_that_asks_for(flavour: Flavour, clause: &str) -> MysqlServer {
    let options = MysqlServer::options().flavour(flavour);
    let server = options.conf(FAILED_LOGINS).start().await;
    furnish(&server).await;
    server.execute(&format!("ALTER USER {ROLE} REQUIRE {clause}")).await;
    server
}

#[tokio::test]
async fn an_account_that_requires_a_certificate_accepts_it_and_without_one_the_requirement_is_named() {
    on_each(&Flavour::ALL, async |flavour| {
        let server = server_that_asks_for(flavour, "X509").await;
        let files = Files::new();
        files.put_pair(&ClientPair::of("heartbeat"));
        let bare = with_password(&address(&server, ""));
        let right = with_password(&address(&server, &client(&files)));
        let unencrypted = target(&format!("{}/?ssl-mode=disabled{}", server.url(ROLE, PASSWORD), client(&files)));
        let (issuer, subject) = (format!("ISSUER '/CN={AUTHORITY}'"), "SUBJECT '/CN=heartbeat'");
        for clause in ["X509", &issuer, subject, &format!("{subject} AND {issuer}")] {
            server.execute(&format!("ALTER USER {ROLE} REQUIRE {clause}")).await;
            assert_eq!(beat(&right, Writing::Always).await.unwrap().outcome, BeatOutcome::Written, "{clause}");
            let failed = failed(&bare).await;
            assert_eq!((failed.kind, failed.code.as_deref()), (ErrorKind::Auth, Some("1045")), "{clause}");
            assert!(failed.remedy.contains("REQUIRE X509, SUBJECT or ISSUER without a certificate"), "{failed:?}");
            // MySQL 9 would not send its password without TLS, with any certificate.
            if flavour != Flavour::Mysql {
                let failed = self::failed(&unencrypted).await;
                assert_eq!((failed.kind, failed.code.as_deref()), (ErrorKind::Auth, Some("1045")), "{clause}");
            }
        }
        // The authority is the right one, but the name is not.
        files.put_pair(&ClientPair::of("somebody"));
        let failed = failed(&right).await;
        assert_eq!((failed.kind, failed.code.as_deref()), (ErrorKind::Auth, Some("1045")));
        assert!(failed.remedy.contains("REQUIRE SUBJECT or ISSUER with another certificate than"), "{failed:?}");
        assert!(failed.remedy.contains(&files.path("client.pem").display().to_string()), "{failed:?}");
    })
    .await;
}

#[tokio::test]
async fn a_certificate_that_the_server_refuses_is_named_with_the_reason() {
    on_each(&Flavour::ALL, async |flavour| {
        let server = server_that_asks_for(flavour, "X509").await;
        let files = Files::new();
        let target = with_password(&address(&server, &client(&files)));
        for (pair, reason) in [
            (ClientPair::of_the_wrong_authority("heartbeat"), "authority"),
            (ClientPair::expired("heartbeat"), "run out"),
        ] {
            files.put_pair(&pair);
            eventually(secs(20), format!("{reason} to be reported"), async || {
                let failed = failed(&target).await;
                let named = failed.message.contains(&files.path("client.pem").display().to_string());
                assert!(named && failed.remedy.contains("ssl_ca and ssl_capath"), "{failed:?}");
                // If the refusal was lost with the connection, the remedy suspects the certificate.
                match failed.kind {
                    ErrorKind::Tls if failed.message.contains(reason) => Ok(()),
                    ErrorKind::Network => Err(failed.message),
                    _ => panic!("{reason}: {failed:?}"),
                }
            })
            .await;
        }
        files.put_pair(&ClientPair::of("heartbeat"));
        beat(&target, Writing::Always).await.unwrap();
    })
    .await;
}

/// The content of a file is shown nowhere.
const SECRET: &str = "c2VjcmV0LXNlY3JldA";

#[tokio::test]
async fn a_file_that_cannot_be_used_is_named_with_the_reason() {
    on_each(&Flavour::ALL, async |flavour| {
        let server = server_that_asks_for(flavour, "X509").await;
        let files = Files::new();
        let right = ClientPair::of("heartbeat");
        let target = with_password(&address(&server, &client(&files)));
        let garbled_key = format!("-----BEGIN PRIVATE KEY-----\n{SECRET}\n");
        let locked_key = right.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let strange_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let another = ClientPair::of("heartbeat");
        for (certificate, key, words) in [
            (None, Some(right.key.as_str()), "cannot read the file of ssl-cert"),
            (Some(right.certificate.as_str()), None, "cannot read the file of ssl-key"),
            (Some("nothing of the kind"), Some(&right.key), "holds no certificate"),
            (Some(broken), Some(&right.key), "holds a certificate that cannot be read"),
            (Some(&right.certificate), Some("nothing of the kind"), "holds no private key"),
            (Some(&right.certificate), Some(&garbled_key), "holds no private key"),
            (Some(&right.certificate), Some(&locked_key), "without a pass phrase"),
            (Some(&right.certificate), Some(strange_key), "cannot be used: failed to parse private key"),
            (Some(&right.certificate), Some(&another.key), "do not go together"),
        ] {
            for (name, content) in [("client.pem", certificate), ("client.key", key)] {
                let _ = std::fs::remove_file(files.path(name));
                if let Some(content) = content {
                    files.put(name, content);
                }
            }
            let failed = failed(&target).await;
            assert_eq!((failed.kind, failed.code.as_deref()), (ErrorKind::Tls, None), "{words}: {failed:?}");
            assert!(failed.message.contains(words), "{words}: {failed:?}");
            let is_of_the_key = ["ssl-key", "private key", "pass phrase"].iter().any(|part| words.contains(part));
            let file = files.path(if is_of_the_key { "client.key" } else { "client.pem" });
            assert!(failed.message.contains(&file.display().to_string()), "{words}: {failed:?}");
            assert!(failed.remedy.starts_with("correct what the message names"), "{failed:?}");
            assert!(!format!("{failed:?}").contains(SECRET), "{failed:?}");
        }
        // A folder exists, but cannot be read as a file, not even by root.
        files.put_pair(&right);
        std::fs::remove_file(files.path("client.key")).unwrap();
        std::fs::create_dir(files.path("client.key")).unwrap();
        assert!(failed(&target).await.message.contains("cannot read the file of ssl-key"));
        let ca = files.put("ca.pem", "nothing of the kind");
        let url = format!("mysql://{ROLE}:{PASSWORD}@localhost:{}/?ssl-mode=verify_ca", server.port());
        let failed = failed(&crate::bench::driver::target(&format!("{url}&ssl-ca={}", ca.display()))).await;
        assert!(failed.message.contains("the file of ssl-ca") && failed.message.contains("holds no certificate"));
    })
    .await;
}

#[tokio::test]
async fn exchanged_certificate_is_used_at_the_next_connection_without_a_restart() {
    on_each(&Flavour::ALL, async |flavour| {
        let server = server_that_asks_for(flavour, "SUBJECT '/CN=first'").await;
        let files = Files::new();
        files.put_pair(&ClientPair::of("first"));
        let url = address(&server, &client(&files));
        let text = patient(&crate::bench::beating_daemon::target("orders", &url, &plain_password()));
        let beating = BeatingDaemon::configured(&text).await;
        server.execute(&format!("ALTER USER {ROLE} REQUIRE SUBJECT '/CN=second'")).await;
        files.put_pair(&ClientPair::of("second"));
        beating.replaces_its_connection_within_the_tick(async || end_sessions(&server).await).await;
        beating.beats(2, secs(20)).await;
        assert_eq!(beating.count("failed").await, 0, "log:\n{}", beating.daemon.log());
        let log = beating.daemon.log();
        assert!(!log.contains(PASSWORD) && !log.contains("PRIVATE KEY"), "{log}");
    })
    .await;
}
