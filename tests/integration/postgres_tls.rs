//! How the daemon gets in: TLS with the tests' certificates, and a password that is read again at every connect.

use crate::bench::{PostgresServer, eventually, heartbeat, heartbeatd, secs};

/// By name, as the certificate has it.
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
async fn a_verified_server_is_beaten_over_tls_without_a_warning() {
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
async fn encryption_without_verification_works_and_is_warned_of_at_start() {
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
    daemon.more_beats("orders", "ok", 2, secs(5)).await;
    // Found dead and replaced within the tick: no failure.
    assert_eq!(daemon.beats("orders", "failed").await, 0, "{}", daemon.log());
    assert!(!daemon.log().contains("rotated") && !daemon.log().contains(heartbeat::PASSWORD), "{}", daemon.log());
}
