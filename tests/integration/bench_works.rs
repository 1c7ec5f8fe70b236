//! Tests the bench itself: the properties that the scenarios rely on.

use std::time::Duration;

use sqlx::Connection;
use tokio::time::{Instant, timeout};

use crate::bench::metrics::Metrics;
use crate::bench::postgres::{ADMIN, ADMIN_PASSWORD};
use crate::bench::session::{connect, execute, rows};
use crate::bench::{PgBouncer, PostgresServer, Proxy, Toxic, eventually, heartbeatd, ports, secs};

#[tokio::test]
async fn a_standby_streams_from_its_primary_and_takes_over() {
    let begin = Instant::now();
    let mut primary = PostgresServer::start().await;
    let (started, begin) = (begin.elapsed(), Instant::now());
    let mut standby = primary.standby().await;
    eprintln!("a primary was ready after {started:?}, its standby {:?} later", begin.elapsed());

    primary.execute("CREATE TABLE t (id int); INSERT INTO t VALUES (7)").await;
    standby.catch_up_with(&primary).await;
    assert_eq!(standby.number("SELECT id FROM t").await, 7);
    assert_eq!(standby.value("SELECT pg_is_in_recovery()").await.as_deref(), Some("t"));

    primary.stop().await;
    standby.promote().await;
    primary.follow(&standby).await;
    standby.execute("INSERT INTO t VALUES (8)").await;
    primary.catch_up_with(&standby).await;
    assert_eq!(primary.number("SELECT max(id) FROM t").await, 8);

    standby.demote().await;
    assert_eq!(standby.value("SELECT pg_is_in_recovery()").await.as_deref(), Some("t"));
}

#[tokio::test]
async fn a_killed_server_comes_back_on_its_port_and_a_set_setting_stays() {
    let mut server = PostgresServer::options().log_statements().start().await;
    server.set("work_mem", "'5MB'").await;
    let mut session = server.connect().await;
    server.kill().await;
    assert!(rows(&mut session, "SELECT 1").await.is_err());
    server.resume().await;
    assert_eq!(server.value("SHOW work_mem").await.as_deref(), Some("5MB"));
    assert!(server.log().contains("statement: SHOW work_mem"));
}

#[tokio::test]
async fn a_frozen_server_keeps_its_connections_and_answers_when_thawed() {
    let server = PostgresServer::start().await;
    let mut session = server.connect().await;
    server.freeze();
    {
        let mut query = std::pin::pin!(rows(&mut session, "SELECT 1"));
        assert!(timeout(Duration::from_millis(300), &mut query).await.is_err());
        server.thaw();
        assert_eq!(query.await.unwrap(), [[Some("1".to_owned())]]);
    }
    // Dropped while frozen: it must still end.
    server.freeze();
}

#[tokio::test]
async fn a_separate_server_has_its_own_identity_and_can_have_pg_cron() {
    let one = PostgresServer::start().await;
    let other = PostgresServer::options().own_identity().pg_cron().start().await;
    let identity = "SELECT system_identifier FROM pg_control_system()";
    assert_ne!(one.value(identity).await, other.value(identity).await);
    other.execute("CREATE EXTENSION pg_cron").await;
    assert_eq!(other.number("SELECT cron.schedule('* * * * *', 'SELECT 1')").await, 1);
}

#[tokio::test]
async fn the_servers_certificate_is_good_for_its_own_authority_only() {
    let server = PostgresServer::start().await;
    let options = |ca: std::path::PathBuf| {
        sqlx::postgres::PgConnectOptions::new_without_pgpass()
            .host("localhost")
            .port(server.port())
            .username(ADMIN)
            .password(ADMIN_PASSWORD)
            .database("postgres")
            .ssl_mode(sqlx::postgres::PgSslMode::VerifyFull)
            .ssl_root_cert(ca)
    };
    let mut session = sqlx::PgConnection::connect_with(&options(server.ca_file())).await.unwrap();
    let encrypted = rows(&mut session, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").await.unwrap();
    assert_eq!(encrypted, [[Some("t".to_owned())]]);
    assert!(sqlx::PgConnection::connect_with(&options(server.wrong_ca_file())).await.is_err());
}

#[tokio::test]
async fn pgbouncer_shares_server_connections_between_transactions() {
    let server = PostgresServer::start().await;
    server.execute("CREATE ROLE beat LOGIN PASSWORD 'secret'").await;
    let bouncer = PgBouncer::start(&server, &[("beat", "secret")]).await;
    let mut backends = Vec::new();
    let mut sessions = Vec::new();
    for _ in 0..3 {
        let mut session = connect(bouncer.port(), "beat", "secret").await.unwrap();
        backends.push(rows(&mut session, "SELECT pg_backend_pid()").await.unwrap());
        sessions.push(session);
    }
    assert!(backends.iter().all(|backend| *backend == backends[0]), "{backends:?}");
    assert!(connect(bouncer.port(), "beat", "wrong").await.is_err());
}

#[tokio::test]
async fn the_proxy_counts_one_query_and_one_round_trip_for_a_simple_query() {
    let server = PostgresServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let mut session = connect(proxy.port(), ADMIN, ADMIN_PASSWORD).await.unwrap();
    let before = proxy.total();
    assert_eq!((before.count("startup"), before.count("Q"), before.encrypted), (1, 0, false));
    execute(&mut session, "SET LOCAL lock_timeout = '1s'; SELECT 1").await;
    let after = proxy.total();
    assert_eq!((after.count("Q"), after.bursts - before.bursts), (1, 1));
    sqlx::query("SELECT 1").execute(&mut session).await.unwrap();
    let extended = proxy.total();
    assert_eq!((extended.count("P"), extended.count("Q")), (1, 1));
    assert_eq!(extended.bursts - after.bursts, 2, "an extended query's first run takes two round trips");
    session.close().await.unwrap();
    eventually(secs(5), "the connection to be gone", async || match proxy.open_connections() {
        0 => Ok(()),
        open => Err(format!("{open} open")),
    })
    .await;
    assert_eq!(proxy.total().count("X"), 1);
}

#[tokio::test]
async fn the_proxy_spoils_the_network_in_every_way_it_promises() {
    let server = PostgresServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let login = || connect(proxy.port(), ADMIN, ADMIN_PASSWORD);
    let mut session = login().await.unwrap();

    proxy.set(Toxic::Latency(Duration::from_millis(100))).await;
    let begin = Instant::now();
    execute(&mut session, "SELECT 1").await;
    assert!(begin.elapsed() >= Duration::from_millis(200), "{:?}", begin.elapsed());

    proxy.set(Toxic::Clean).await;
    execute(&mut session, "CREATE TABLE t (id int)").await;
    for toxic in [Toxic::BlackHole, Toxic::AnswersHeld] {
        proxy.set(toxic).await;
        let mut write = std::pin::pin!(rows(&mut session, "INSERT INTO t VALUES (1) RETURNING 2"));
        assert!(timeout(Duration::from_millis(300), &mut write).await.is_err(), "{toxic:?}");
        // The first is held before it arrives; the second arrives together with the first, which was released.
        let arrived = if toxic == Toxic::BlackHole { 0 } else { 2 };
        assert_eq!(server.number("SELECT count(*) FROM t").await, arrived);
        proxy.set(Toxic::Clean).await;
        assert_eq!(write.await.unwrap(), [[Some("2".to_owned())]]);
    }

    proxy.set(Toxic::Refuse).await;
    let refused = tokio::net::TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    execute(&mut session, "SELECT 1").await;

    proxy.set(Toxic::Clean).await;
    proxy.reset().await;
    let error = rows(&mut session, "SELECT 1").await.unwrap_err();
    assert!(matches!(error, sqlx::Error::Io(_)), "{error:?}");

    let mut session = login().await.unwrap();
    proxy.half_close();
    let error = rows(&mut session, "SELECT 1").await.unwrap_err();
    assert!(matches!(error, sqlx::Error::Io(_)), "{error:?}");
}

#[tokio::test]
async fn a_free_port_is_given_once_and_lies_below_the_outgoing_range() {
    let (one, other) = (ports::free(), ports::free());
    assert_ne!(one, other);
    assert!(one < 32_768 && other < 32_768);
}

#[tokio::test]
async fn the_program_runs_to_its_end() {
    assert_eq!(heartbeatd().arg("--help").run().await.code, Some(0));
}

#[tokio::test]
#[should_panic(expected = "waited 200ms for the moon; last seen: cheese")]
async fn a_wait_that_times_out_says_what_it_saw_last() {
    eventually(Duration::from_millis(200), "the moon", async || Err::<(), _>("cheese")).await;
}

#[test]
fn metrics_are_read_with_their_labels() {
    let metrics = Metrics::parse(
        "# TYPE beats counter\nbeats_total{target=\"a \\\"b\\\", c\",result=\"ok\"} 3\nbeats_total{target=\"d\"} 1.5\n\
         up 1 # {x=\"y\"} 2\n# EOF\n",
    );
    assert_eq!(metrics.value("beats_total", &[("target", "a \"b\", c")]), Some(3.0));
    assert_eq!(metrics.value("beats_total", &[("target", "e")]), None);
    assert!((metrics.sum("beats_total", &[]) - 4.5).abs() < f64::EPSILON);
    assert_eq!(metrics.value("up", &[]), Some(1.0));
    assert_eq!(metrics.values_of("beats_total", "target"), ["a \"b\", c", "d"]);
}

#[tokio::test]
async fn a_newer_postgres_runs_beside_the_systems_own() {
    let server = PostgresServer::options().seventeen().start().await;
    let version = server.value("SHOW server_version").await;
    assert!(version.as_deref().is_some_and(|version| version.starts_with("17.")), "{version:?}");
    let standby = server.standby().await;
    standby.catch_up_with(&server).await;
}
