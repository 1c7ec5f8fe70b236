//! `heartbeatd provision` and `heartbeatd beat` on a real PostgreSQL.

use crate::bench::daemon::Ended;
use crate::bench::{PostgresServer, heartbeat, heartbeatd, psql};

/// Objects that exist before: the connector's role, and a publication that lists its tables.
async fn lay_connector(server: &PostgresServer) {
    heartbeat::create_user(server).await;
    server
        .execute(
            "CREATE ROLE streamkap_user LOGIN REPLICATION;
             CREATE TABLE orders (id int PRIMARY KEY);
             CREATE PUBLICATION streamkap_pub FOR TABLE orders",
        )
        .await;
}

fn config(server: &PostgresServer) -> String {
    format!(
        "[[target]]\nname = \"orders\"\nurl = \"{}\"\nprovision_url = \"{}\"\n",
        heartbeat::url(server.port(), ""),
        server.admin_url()
    )
}

async fn run(server: &PostgresServer, arguments: &[&str]) -> Ended {
    let program = arguments.iter().fold(heartbeatd(), |program, argument| program.arg(argument));
    let ended = program.config(&config(server)).run().await;
    for secret in [heartbeat::PASSWORD, crate::bench::postgres::ADMIN_PASSWORD] {
        assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret), "{ended:?}");
    }
    ended
}

/// Every object that provisioning creates, with the transaction that created it. Equal only if nothing was changed.
async fn objects(server: &PostgresServer) -> Vec<Vec<Option<String>>> {
    let sql = format!(
        "SELECT 'relation', oid::regclass, xmin, relacl FROM pg_class WHERE relnamespace = 'streamkap'::regnamespace
         UNION ALL SELECT 'schema', nspname, xmin, nspacl FROM pg_namespace WHERE nspname = 'streamkap'
         UNION ALL SELECT 'member', prrelid::regclass, xmin, NULL FROM pg_publication_rel
         UNION ALL SELECT 'sequence', last_value::text, NULL, NULL FROM {table}_id_seq
         UNION ALL SELECT 'row', id::text, xmin, NULL FROM {table} ORDER BY 1, 2",
        table = heartbeat::TABLE
    );
    server
        .rows(
            &sql.replace("oid::regclass", "oid::regclass::text")
                .replace("prrelid::regclass", "prrelid::regclass::text"),
        )
        .await
}

/// The daemon's user can write the row, the connector's can read and insert, and the publication contains the table.
async fn assert_provisioned(server: &PostgresServer) {
    let beat = run(server, &["beat"]).await;
    assert_eq!(beat.code, Some(0), "{beat:?}");
    assert!(beat.stdout.starts_with("orders  ok ") && beat.stdout.contains("last_update 20"), "{beat:?}");
    let insert = format!(
        "SET ROLE streamkap_user; INSERT INTO {} (text) VALUES ('the connector') RETURNING id",
        heartbeat::TABLE
    );
    assert_eq!(server.number(&insert).await, 2);
    server.execute(&format!("DELETE FROM {} WHERE id = 2", heartbeat::TABLE)).await;
    let members = "SELECT string_agg(tablename, ', ' ORDER BY tablename) FROM pg_publication_tables";
    assert_eq!(server.value(members).await.as_deref(), Some("orders, streamkap_heartbeat"));
}

#[tokio::test]
async fn an_administrator_provisions_a_fresh_server_and_a_second_time_changes_nothing() {
    let server = PostgresServer::start().await;
    lay_connector(&server).await;
    let missing = run(&server, &["beat"]).await;
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.stdout.contains("schema, missing_") && missing.stdout.contains("next: "), "{missing:?}");

    let first = run(&server, &["provision"]).await;
    assert_eq!(first.code, Some(0), "{first:?}");
    assert_provisioned(&server).await;

    let before = objects(&server).await;
    let second = run(&server, &["provision"]).await;
    assert_eq!((second.code, second.stdout.as_str()), (Some(0), "orders  ok       nothing is missing\n"), "{second:?}");
    assert_eq!(objects(&server).await, before);
}

#[tokio::test]
async fn the_dry_run_changes_nothing_and_its_script_does_the_same_in_psql() {
    let server = PostgresServer::start().await;
    lay_connector(&server).await;
    let script = run(&server, &["provision", "--dry-run"]).await;
    assert_eq!(script.code, Some(0), "{script:?}");
    assert_eq!(server.value("SELECT to_regnamespace('streamkap')").await, None);

    psql(&server, "postgres", script.stdout).await;
    assert_provisioned(&server).await;
    let again = run(&server, &["provision", "--dry-run"]).await;
    assert!(again.stdout.contains("-- nothing is missing"), "{again:?}");
}

#[tokio::test]
async fn twenty_that_provision_at_once_all_succeed_and_make_one_table() {
    let server = PostgresServer::options().conf("max_connections = 60").start().await;
    lay_connector(&server).await;
    let ended = futures_util::future::join_all((0..20).map(|_| run(&server, &["provision"]))).await;
    for ended in ended {
        assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    }
    assert_provisioned(&server).await;
    let again = run(&server, &["provision"]).await;
    assert_eq!(again.stdout, "orders  ok       nothing is missing\n", "{again:?}");
}

#[tokio::test]
async fn a_refused_provision_url_is_reported_with_its_own_user_and_password() {
    let server = PostgresServer::start().await;
    lay_connector(&server).await;
    let url = heartbeat::url(server.port(), "");
    let config = format!(
        "[[target]]\nname = \"orders\"\nurl = \"{url}\"\nprovision = \"auto\"\nprovision_password = {{ env = \"ADMIN_SECRET\" }}\n\
         provision_url = \"postgres://boss@127.0.0.1:{}/postgres\"\n",
        server.port()
    );
    server.execute("CREATE ROLE boss LOGIN SUPERUSER PASSWORD 'right'").await;
    let told = |text: &str| {
        let its_own =
            text.contains("provision_url: ") && text.contains("\\password \"boss\"") && text.contains("ADMIN_SECRET");
        assert!(its_own && !text.contains(&format!("ALTER ROLE \"{}\"", heartbeat::USER)), "{text}");
    };
    let refused = heartbeatd().arg("provision").config(&config).env("ADMIN_SECRET", "wrong").run().await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    told(&refused.stdout);
    let daemon = heartbeatd().config(&config).env("ADMIN_SECRET", "wrong").start().await;
    crate::bench::eventually(crate::bench::secs(20), "the page to tell", async || {
        let last = daemon.target("orders").await["error"].to_string();
        if last.contains("boss") { Ok(last) } else { Err(last) }
    })
    .await;
    told(&daemon.target("orders").await["error"].to_string().replace("\\\"", "\""));
    told(&daemon.log().replace("\\\"", "\""));
}
