//! Tests the bench's MariaDB and MySQL servers: the properties that the scenarios rely on.

use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::mysql::MySqlSslMode;
use tokio::time::{Instant, timeout};

use crate::bench::mysql::session::{execute, plain, rows};
use crate::bench::mysql::{ADMIN, ADMIN_PASSWORD};
use crate::bench::{Flavour, MysqlServer, mysql_client};

const TABLE: &str = "CREATE DATABASE hb; CREATE TABLE hb.t (id int PRIMARY KEY, v int); INSERT INTO hb.t VALUES (1, 0)";

#[tokio::test]
async fn mariadb_has_all_that_the_scenarios_need() {
    a_server_is_all_that_the_scenarios_need(Flavour::Mariadb).await;
}

#[tokio::test]
async fn mysql_has_all_that_the_scenarios_need() {
    a_server_is_all_that_the_scenarios_need(Flavour::Mysql).await;
}

#[tokio::test]
async fn mysql_57_has_all_that_the_scenarios_need() {
    a_server_is_all_that_the_scenarios_need(Flavour::Mysql57).await;
}

#[tokio::test]
async fn a_mariadb_replica_follows_and_takes_over() {
    a_replica_follows_and_takes_over(Flavour::Mariadb).await;
}

#[tokio::test]
async fn a_mysql_replica_follows_and_takes_over() {
    a_replica_follows_and_takes_over(Flavour::Mysql).await;
}

async fn a_server_is_all_that_the_scenarios_need(flavour: Flavour) {
    let mut server = MysqlServer::options().flavour(flavour).general_log().start().await;
    server.execute(TABLE).await;

    // Its log of statements.
    server.execute("CREATE USER beat IDENTIFIED BY 'secret'; GRANT ALL ON hb.* TO beat").await;
    let mut session = server.connect_as("beat", "secret").await.unwrap();
    execute(&mut session, "UPDATE hb.t\nSET v = 1").await;
    assert_eq!(server.statements_of("beat"), ["UPDATE hb.t\nSET v = 1"]);
    let statements = server.statements();
    // MySQL logs all statements of one message, then the rest again.
    assert!(statements.iter().any(|statement| statement.starts_with("CREATE DATABASE hb")), "{statements:#?}");
    assert!(server.connect_as("beat", "wrong").await.is_err());

    // In its binary log, an update to the same value changes nothing.
    assert_eq!(server.update_rows_events("hb", "t").await, 1);
    execute(&mut session, "UPDATE hb.t SET v = 1").await;
    assert_eq!(server.update_rows_events("hb", "t").await, 1);
    execute(&mut session, "UPDATE hb.t SET v = 2").await;
    assert_eq!(server.update_rows_events("hb", "t").await, 2);
    assert_eq!(server.update_rows_events("hb", "other").await, 0);

    // A power cut: no commit is lost, and the log continues in another file.
    server.kill().await;
    assert!(rows(&mut session, "SELECT 1").await.is_err());
    server.resume().await;
    assert_eq!(server.number("SELECT v FROM hb.t").await, 2);
    server.execute("UPDATE hb.t SET v = 3").await;
    assert_eq!(server.update_rows_events("hb", "t").await, 3);

    // The command-line client.
    let printed = mysql_client(&server, "SELECT v AS three\nFROM hb.t;\n".to_owned()).await;
    assert!(printed.contains("| three |"), "{printed}");
}

async fn a_replica_follows_and_takes_over(flavour: Flavour) {
    let begin = Instant::now();
    let mut primary = MysqlServer::options().flavour(flavour).start().await;
    let (started, begin) = (begin.elapsed(), Instant::now());
    let mut replica = primary.replica().await;
    eprintln!("a primary was ready after {started:?}, its replica {:?} later", begin.elapsed());

    primary.execute(TABLE).await;
    replica.catch_up_with(&primary).await;
    assert_eq!(replica.number("SELECT v FROM hb.t").await, 0);
    assert_eq!(replica.number("SELECT @@global.read_only").await, 1);

    // A restarted replica continues by itself, and is still a replica.
    replica.restart().await;
    primary.execute("UPDATE hb.t SET v = 1").await;
    replica.catch_up_with(&primary).await;
    assert_eq!(replica.number("SELECT v + 10 * @@global.read_only FROM hb.t").await, 11);

    primary.stop().await;
    replica.promote().await;
    replica.execute("UPDATE hb.t SET v = 2").await;
    primary.resume().await;
    primary.follow(&replica).await;
    primary.catch_up_with(&replica).await;
    assert_eq!(primary.number("SELECT v + 10 * @@global.read_only FROM hb.t").await, 12);
    assert_eq!(replica.number("SELECT @@global.read_only").await, 0);
    assert!(replica.replication_status().await.is_empty());
}

#[tokio::test]
async fn the_certificates_of_all_servers_are_good_for_their_own_authority_only() {
    for flavour in Flavour::ALL {
        let server = MysqlServer::options().flavour(flavour).start().await;
        let login = plain(server.port(), ADMIN, ADMIN_PASSWORD).host("localhost");
        let login = |ca| login.clone().ssl_mode(MySqlSslMode::VerifyIdentity).ssl_ca(ca);
        let mut session = login(server.ca_file()).connect().await.unwrap();
        let encrypted = rows(&mut session, "SHOW SESSION STATUS LIKE 'Ssl_version'").await.unwrap();
        let version = encrypted[0][1].as_deref();
        let newest = if flavour == Flavour::Mysql57 { "TLSv1.2" } else { "TLSv1.3" };
        assert_eq!(version, Some(newest), "{flavour:?}");
        assert!(login(server.wrong_ca_file()).connect().await.is_err(), "{flavour:?}");
    }
}

#[tokio::test]
async fn a_frozen_mariadb_keeps_its_connections_and_the_system_time_zone_can_be_another() {
    let server = MysqlServer::options().system_time_zone("Asia/Kolkata").start().await;
    let mut session = server.connect().await;
    server.freeze();
    {
        let mut query = std::pin::pin!(rows(&mut session, "SELECT TIMEDIFF(NOW(), UTC_TIMESTAMP())"));
        assert!(timeout(Duration::from_millis(300), &mut query).await.is_err());
        server.thaw();
        assert_eq!(query.await.unwrap(), [[Some("05:30:00".to_owned())]]);
    }
    server.set_global("lock_wait_timeout", "7").await;
    assert_eq!(server.value("SELECT @@lock_wait_timeout").await.as_deref(), Some("7"));
    // Dropped while frozen: it must still end.
    server.freeze();
}
