//! The daemon with a real PostgreSQL from start to end: its signals, its port, its environment.

use rustix::process::Signal;

use crate::bench::{PostgresServer, Proxy, eventually, heartbeat, heartbeatd, ports, secs};

fn config(port: u16) -> String {
    let url = heartbeat::url(port, "sslmode=disable");
    format!("[[target]]\nname = \"orders\"\ninterval = \"1s\"\nurl = \"{url}\"\n")
}

#[tokio::test]
async fn terminate_and_interrupt_end_the_daemon_cleanly_and_leave_no_session_behind() {
    let server = PostgresServer::start().await;
    heartbeat::lay(&server).await;
    for signal in [Signal::TERM, Signal::INT] {
        let proxy = Proxy::start(server.port()).await;
        // It does not use up its grace period, because no beat is in flight.
        let config = format!("{}[shutdown]\ngrace = \"30s\"\n", config(proxy.port()));
        let mut daemon = heartbeatd().config(&config).start().await;
        daemon.healthy_within(secs(10)).await;
        assert_eq!(daemon.end(signal, secs(10)).await.code(), Some(0), "{signal:?}: {}", daemon.log());
        let sessions = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{}'", heartbeat::USER);
        eventually(secs(20), "no session to be left", async || match server.number(&sessions).await {
            0 => Ok(()),
            left => Err(left),
        })
        .await;
        assert_eq!(proxy.total().count("X"), 1, "it says good-bye and does not just hang up");
    }
}

#[tokio::test]
async fn a_daemon_whose_port_is_taken_says_so_and_ends_before_any_beat() {
    let server = PostgresServer::start().await;
    heartbeat::lay(&server).await;
    let first = heartbeatd().arg("sqlite:heartbeat.db").start().await;
    let address = format!("127.0.0.1:{}", first.port());
    let second = heartbeatd().config(&config(server.port())).env("HEARTBEATD_HTTP__LISTEN", &address).run().await;
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    assert!(second.stderr.contains(&address) && second.stderr.contains("another program uses"), "{}", second.stderr);
    assert_eq!(heartbeat::last_update(&server).await, None);
}

/// Each of these variables would break the beat: the wrong server, user and database, an impossible certificate check,
/// and a session that cannot write.
#[tokio::test]
async fn variables_of_libpq_do_not_leak_into_the_beat() {
    let server = PostgresServer::start().await;
    heartbeat::lay(&server).await;
    let nobody = ports::free().to_string();
    let daemon = heartbeatd()
        // Without a TLS parameter. The address has precedence over variables for what it names.
        .config(&config(server.port()).replace("sslmode=disable", ""))
        .env("PGHOST", "127.0.0.2")
        .env("PGPORT", &nobody)
        .env("PGUSER", "nobody")
        .env("PGPASSWORD", "wrong")
        .env("PGDATABASE", "nowhere")
        .env("PGSSLMODE", "verify-full")
        .env("PGSSLROOTCERT", "/nowhere.pem")
        .env("PGSSLCERT", "/nowhere.pem")
        .env("PGSSLKEY", "/nowhere.pem")
        .env("PGOPTIONS", "-c default_transaction_read_only=on")
        .start()
        .await;
    daemon.more_beats("orders", "ok", 2, secs(10)).await;
    assert_eq!(daemon.beats("orders", "failed").await, 0, "{}", daemon.log());
}
