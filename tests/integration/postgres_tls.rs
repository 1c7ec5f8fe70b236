//! How the daemon logs in: TLS with the tests' certificates, a client certificate, and a password. It reads files again
//! at every connect.

use heartbeatd::heartbeat::{ErrorKind, Writing};

use crate::bench::driver::{beat, failed, target};
use crate::bench::tls::{ClientPair, Files};
use crate::bench::{PostgresServer, eventually, heartbeat, heartbeatd, secs};

/// The host is named as in the certificate.
fn config(server: &PostgresServer, parameters: &str) -> String {
    let url = heartbeat::url(server.port(), parameters).replace("127.0.0.1", "localhost");
    format!("[[target]]\nname = \"orders\"\ninterval = \"1s\"\nurl = \"{url}\"\n")
}

async fn is_encrypted(server: &PostgresServer) -> bool {
    let sql = format!(
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = '{}'",
        heartbeat::USER
    );
    server.value(&sql).await.as_deref() == Some("t")
}

#[tokio::test]
async fn beats_over_verified_tls_cause_no_warning() {
    let server = PostgresServer::start().await;
    heartbeat::lay(&server).await;
    let parameters = format!("sslmode=verify-full&sslrootcert={}", server.ca_file().display());
    let daemon = heartbeatd().config(&config(&server, &parameters)).start().await;
    daemon.healthy_within(secs(10)).await;
    assert!(is_encrypted(&server).await);
    assert!(!daemon.log().contains("WARN"), "{}", daemon.log());
}

#[tokio::test]
async fn a_server_with_another_authoritys_certificate_is_a_tls_failure_and_gets_no_beat() {
    let server = PostgresServer::start().await;
    heartbeat::lay(&server).await;
    let parameters = format!("sslmode=verify-full&sslrootcert={}", server.wrong_ca_file().display());
    let daemon = heartbeatd().config(&config(&server, &parameters)).start().await;
    let reason = daemon.reason_within("tls", secs(10)).await;
    assert_eq!(reason["class"], "connection", "{reason}");
    assert!(reason["remedy"].is_string(), "{reason}");
    assert_eq!(daemon.health().await.0, 503);
    assert_eq!(heartbeat::last_update(&server).await, None);
}

#[tokio::test]
async fn encryption_without_verification_works_and_causes_a_warning_at_start() {
    let server = PostgresServer::start().await;
    heartbeat::lay(&server).await;
    let daemon = heartbeatd().config(&config(&server, "sslmode=require")).start().await;
    daemon.healthy_within(secs(10)).await;
    assert!(is_encrypted(&server).await);
    let log = daemon.log();
    let warning = log.lines().find(|line| line.contains("WARN")).unwrap_or_else(|| panic!("no warning: {log}"));
    assert!(warning.contains("sslmode=require") && warning.contains("verify-full"), "{warning}");
}

#[tokio::test]
async fn a_replaced_password_file_is_read_at_the_next_connect() {
    let server = PostgresServer::start().await;
    heartbeat::lay(&server).await;
    let url = format!("postgres://{}@127.0.0.1:{}/postgres", heartbeat::USER, server.port());
    let program = heartbeatd();
    program.file("password", &format!("{}\n", heartbeat::PASSWORD));
    let daemon = program
        .config(&format!(
            "[[target]]\nname = \"orders\"\ninterval = \"1s\"\nurl = \"{url}\"\npassword = {{ file = \"password\" }}\n"
        ))
        .start()
        .await;
    daemon.healthy_within(secs(10)).await;

    server.execute(&format!("ALTER ROLE {} PASSWORD 'rotated'", heartbeat::USER)).await;
    daemon.replace_file("password", "rotated\n");
    let terminate =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{}'", heartbeat::USER);
    server.execute(&terminate).await;
    let lost = [("target", "orders"), ("reason", "lost")];
    eventually(secs(10), "the lost connection to be replaced", async || {
        match daemon.count("heartbeatd_connects_total", &lost).await {
            1 => Ok(()),
            count => Err(format!("{count}; log:\n{}", daemon.log())),
        }
    })
    .await;
    daemon.more_beats("orders", "ok", 2, secs(20)).await;
    // The daemon found the connection dead and replaced it within the tick, so no beat failed.
    assert_eq!(daemon.beats("orders", "failed").await, 0, "{}", daemon.log());
    assert!(!daemon.log().contains("rotated") && !daemon.log().contains(heartbeat::PASSWORD), "{}", daemon.log());
}

/// A server that requires a certificate with this role's name.
async fn server_that_asks_for_a_certificate() -> PostgresServer {
    let server = PostgresServer::options().conf("ssl_ca_file = '../ca.pem'").start().await;
    heartbeat::lay(&server).await;
    let rules = std::fs::read_to_string(server.data().join("pg_hba.conf")).unwrap();
    let rule =
        format!("hostssl all {0} all scram-sha-256 clientcert=verify-full\nhost all {0} all reject\n", heartbeat::USER);
    std::fs::write(server.data().join("pg_hba.conf"), format!("{rule}{rules}")).unwrap();
    server.reload().await;
    server
}

fn with_certificate(server: &PostgresServer, files: &Files) -> String {
    format!(
        "sslmode=verify-full&sslrootcert={}&sslcert={}&sslkey={}",
        server.ca_file().display(),
        files.path("client.pem").display(),
        files.path("client.key").display()
    )
}

#[tokio::test]
async fn a_role_that_needs_a_certificate_works_with_the_right_one_and_the_fault_of_another_is_reported() {
    let server = server_that_asks_for_a_certificate().await;
    let files = Files::new();
    let address =
        |parameters: &str| target(&heartbeat::url(server.port(), parameters).replace("127.0.0.1", "localhost"));
    let target = address(&with_certificate(&server, &files));
    files.put_pair(&ClientPair::of(heartbeat::USER));
    beat(&target, Writing::Always).await.unwrap();

    let bare = failed(&address(&format!("sslmode=verify-full&sslrootcert={}", server.ca_file().display()))).await;
    assert_eq!((bare.kind, bare.code.as_deref()), (ErrorKind::Auth, Some("28000")), "{bare:?}");
    assert!(bare.remedy.contains("sslcert=FILE&sslkey=FILE"), "{bare:?}");
    // The authority is the right one, but the name is not.
    files.put_pair(&ClientPair::of("somebody"));
    let other = failed(&target).await;
    assert_eq!((other.kind, other.code.as_deref()), (ErrorKind::Auth, Some("28P01")), "{other:?}");
    assert!(
        other.remedy.contains(&format!("{} (CN) with the role's", files.path("client.pem").display())),
        "{other:?}"
    );

    for (pair, reason) in [
        (ClientPair::of_the_wrong_authority(heartbeat::USER), "authority"),
        (ClientPair::expired(heartbeat::USER), "run out"),
    ] {
        files.put_pair(&pair);
        eventually(secs(20), format!("{reason} to be reported"), async || {
            let failed = failed(&target).await;
            let named = failed.message.contains(&files.path("client.pem").display().to_string());
            assert!(named && failed.remedy.contains("SHOW ssl_ca_file;"), "{failed:?}");
            // If the refusal was lost with the connection, the remedy suspects the certificate.
            match failed.kind {
                ErrorKind::Tls if failed.message.contains(reason) => Ok(()),
                ErrorKind::Network => Err(failed.message),
                _ => panic!("{reason}: {failed:?}"),
            }
        })
        .await;
    }
    let right = ClientPair::of(heartbeat::USER);
    for (certificate, key, words) in [
        (&right.certificate, &ClientPair::of(heartbeat::USER).key, "do not go together"),
        (&"nothing of the kind".to_owned(), &right.key, "the file of sslcert"),
        (&right.certificate, &"nothing of the kind".to_owned(), "the file of sslkey"),
    ] {
        files.put("client.pem", certificate);
        files.put("client.key", key);
        let failed = failed(&target).await;
        assert_eq!(failed.kind, ErrorKind::Tls, "{failed:?}");
        assert!(
            failed.message.contains(words) && failed.remedy.starts_with("correct what the message names"),
            "{failed:?}"
        );
    }
}

#[tokio::test]
async fn exchanged_certificate_is_used_at_the_next_connection_without_a_restart() {
    let server = server_that_asks_for_a_certificate().await;
    let files = Files::new();
    files.put_pair(&ClientPair::of(heartbeat::USER));
    let daemon = heartbeatd().config(&config(&server, &with_certificate(&server, &files))).start().await;
    daemon.healthy_within(secs(10)).await;
    let serial = format!(
        "SELECT client_serial FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = '{}' LIMIT 1",
        heartbeat::USER
    );
    let first = server.value(&serial).await;
    assert!(first.is_some());
    files.put_pair(&ClientPair::of(heartbeat::USER));
    server
        .execute(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{}'",
            heartbeat::USER
        ))
        .await;
    eventually(secs(10), "a session with the new certificate", async || match server.value(&serial).await {
        Some(serial) if Some(&serial) != first.as_ref() => Ok(()),
        serial => Err(format!("{serial:?}; log:\n{}", daemon.log())),
    })
    .await;
    daemon.more_beats("orders", "ok", 2, secs(20)).await;
    assert_eq!(daemon.beats("orders", "failed").await, 0, "{}", daemon.log());
}

#[tokio::test]
async fn a_clear_text_password_goes_only_through_tls_or_with_its_own_parameter() {
    let server = PostgresServer::start().await;
    heartbeat::lay(&server).await;
    let rules = std::fs::read_to_string(server.data().join("pg_hba.conf")).unwrap();
    let ask_in_clear = format!("host all {} all password\n{rules}", heartbeat::USER);
    std::fs::write(server.data().join("pg_hba.conf"), ask_in_clear).unwrap();
    server.reload().await;
    let address = |parameters: &str| target(&heartbeat::url(server.port(), parameters));

    let refused = failed(&address("sslmode=disable")).await;
    assert_eq!((refused.kind, refused.code.as_deref()), (ErrorKind::AuthMethod, None), "{refused:?}");
    assert!(refused.message.contains("asks for the password in clear (method password)"), "{refused:?}");
    assert!(refused.remedy.contains("sslmode=verify-full") && refused.remedy.contains("allow_cleartext_password=1"));

    for parameters in ["", "sslmode=require", "sslmode=disable&allow_cleartext_password=1"] {
        let beat = beat(&address(parameters), Writing::Always).await;
        beat.unwrap_or_else(|error| panic!("{parameters}: {error}"));
    }

    // The same server without TLS: the preferred encryption is not available.
    server.execute("ALTER SYSTEM SET ssl = off").await;
    server.reload().await;
    eventually(secs(10), "the server to refuse TLS", async || match failed(&address("")).await {
        refused if refused.kind == ErrorKind::AuthMethod => Ok(()),
        refused => Err(format!("{refused:?}")),
    })
    .await;
}
