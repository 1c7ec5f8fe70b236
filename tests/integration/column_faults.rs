//! Tables whose columns prevent a beat, on every database. Beat, check and plan report the same fault. The remedy is
//! pasted, ends the finding and loses no value.

use std::collections::BTreeSet;

use heartbeatd::driver::Purpose;
use heartbeatd::finding::{Finding, Status};
use heartbeatd::heartbeat::{BeatOutcome, ErrorKind, Failure, Writing};
use heartbeatd::provisioning::provision;
use heartbeatd::remedy::Remedy;
use heartbeatd::target::Target;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Row};

use crate::bench::driver::{TIME, at, beat, failure_of, in_time, open, open_over, target};
use crate::bench::findings::{judge, look, shown, statements};
use crate::bench::mysql_scene::on_each;
use crate::bench::place::Place;
use crate::bench::{Flavour, MysqlServer, PostgresServer};

const TABLE: &str = "streamkap.streamkap_heartbeat";

async fn columns_finding(target: &Target) -> Finding {
    let findings = judge(target, &look(target).await, None);
    let found = findings.iter().find(|finding| finding.id == "table-columns");
    found.cloned().unwrap_or_else(|| panic!("{}", shown(&findings)))
}

async fn plan_failures(target: &Target) -> Vec<Failure> {
    let mut session = open(target, Purpose::Plan, None, TIME).await.unwrap();
    let plan = session.plan(in_time()).await.unwrap();
    assert!(plan.steps.iter().all(|step| !step.title.contains("row")), "{:?}", plan.steps);
    plan.failures
}

/// The one remedy of the check and of the plan for this fault.
async fn agreed_remedy(target: &Target, admin: &Target, says: &str) -> Remedy {
    let finding = columns_finding(target).await;
    assert_eq!(finding.status, Status::Failed, "{finding:?}");
    assert!(finding.observed.contains(says), "{}", finding.observed);
    let planned = plan_failures(admin).await;
    let [planned] = planned.as_slice() else { panic!("{says}: {planned:?}") };
    assert!(planned.message().contains(says), "{planned}");
    assert_eq!(planned.remedy(), finding.remedy.as_ref(), "{says}");
    finding.remedy.unwrap()
}

/// Asserts that beat, check and plan agree, and returns their remedy.
async fn remedy_of_all_three(target: &Target, admin: &Target, says: &str) -> Remedy {
    let failed = failure_of(target).await;
    assert!(matches!(failed.kind(), ErrorKind::ColumnType | ErrorKind::MissingColumn), "{says}: {failed:?}");
    assert!(failed.message().contains(says), "{failed}");
    let agreed = agreed_remedy(target, admin, says).await;
    assert_eq!(failed.remedy(), Some(&agreed), "{says}");
    agreed
}

async fn ends(target: &Target, says: &str) {
    let finding = columns_finding(target).await;
    assert_eq!(finding.status, Status::Ok, "{says}: {finding:?}");
    let outcome = beat(target, Writing::Always).await.map(|beat| beat.outcome);
    assert!(matches!(outcome, Ok(BeatOutcome::Written)), "{says}: {outcome:?}");
}

/// A table's columns on PostgreSQL, its rows, and the text of the finding.
const POSTGRES: &[(&str, &str, &str)] = &[
    ("id text PRIMARY KEY, text text, last_update timestamp", "'1', 'x', '2020-01-01'", "id is of type text"),
    ("id varchar(40), text text, last_update timestamp", "'one', 'x', '2020-01-01'", "id is of type character varying"),
    (
        "id uuid PRIMARY KEY, text text, last_update timestamp",
        "'8c5ad9d2-0f1c-4f2b-9d38-1f2e3d4c5b6a', 'x', '2020-01-01'",
        "id is of type uuid",
    ),
    (
        "id int PRIMARY KEY, text text, last_update text NOT NULL DEFAULT now()::text",
        "1, 'x', '2020-01-01 00:00:00.123456+02'",
        "last_update is of type text",
    ),
    ("id int PRIMARY KEY, text text, last_update text", "1, 'x', 'now'", "last_update is of type text"),
    (
        "id int PRIMARY KEY, text timestamp, last_update timestamp GENERATED ALWAYS AS (text) STORED",
        "1, '2020-01-01', DEFAULT",
        "last_update is a generated column",
    ),
    ("id int PRIMARY KEY, text text, touched timestamp", "1, 'x', '2020-01-01'", "without last_update"),
    ("number int PRIMARY KEY, text text, last_update timestamp", "7, 'x', '2020-01-01'", "without id"),
];

#[tokio::test]
async fn on_postgresql_the_repair_of_one_column_loses_no_value_of_another() {
    let server = PostgresServer::start().await;
    server.execute("CREATE ROLE hb LOGIN PASSWORD 'hb'; CREATE SCHEMA streamkap").await;
    server.execute("GRANT USAGE ON SCHEMA streamkap TO hb").await;
    let target = target(&server.url("hb", "hb"));
    let admin = at(&server.admin_url(), &target);
    for (columns, row, says) in POSTGRES {
        server.execute(&format!("DROP TABLE IF EXISTS {TABLE}")).await;
        server.execute(&format!("CREATE TABLE {TABLE} ({columns})")).await;
        server.execute(&format!("INSERT INTO {TABLE} VALUES ({row})")).await;
        server.execute(&format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {TABLE} TO hb, admin")).await;
        let values = format!("SELECT value FROM {TABLE} AS t, jsonb_each_text(to_jsonb(t))");
        let values = async || server.rows(&values).await.into_iter().flatten().collect::<BTreeSet<_>>();
        let before = values().await;
        let remedy = remedy_of_all_three(&target, &admin, says).await;
        for statement in statements(&remedy) {
            server.execute(&statement).await;
        }
        let after = values().await;
        assert!(before.is_subset(&after), "{says}: {before:?} {after:?}");
        ends(&target, says).await;
        let kept = values().await;
        // The beat writes the right column, and not the one that was set aside.
        if remedy.to_string().contains("\"last_update_old\"") {
            assert!(before.is_subset(&kept), "{says}: {before:?} {kept:?}");
        }
    }
}

/// The same for MySQL and MariaDB.
const MYSQL: &[(&str, &str, &str)] = &[
    (
        "id VARCHAR(40) PRIMARY KEY, text TEXT, last_update TIMESTAMP NULL",
        "('1', 'x', '2020-01-01'), ('abc', 'y', '2020-01-01')",
        "id is of type varchar",
    ),
    (
        "id CHAR(36) PRIMARY KEY, text TEXT, last_update TIMESTAMP NULL",
        "('8c5ad9d2-0f1c-4f2b-9d38-1f2e3d4c5b6a', 'x', '2020-01-01')",
        "id is of type char",
    ),
    (
        "id INT PRIMARY KEY, text TEXT, last_update VARCHAR(40) DEFAULT 'x'",
        "(1, 'x', 'now')",
        "last_update is of type varchar",
    ),
    (
        "id INT PRIMARY KEY, text DATETIME, last_update DATETIME GENERATED ALWAYS AS (text) STORED",
        "(1, '2020-01-01', DEFAULT)",
        "last_update is a generated column",
    ),
];

#[tokio::test]
async fn on_mysql_and_mariadb_the_repair_of_one_column_loses_no_value_of_another() {
    on_each(&Flavour::ALL, async |flavour| {
        let server = MysqlServer::options().flavour(flavour).start().await;
        server.execute("CREATE USER hb@'%' IDENTIFIED BY 'hb'; CREATE DATABASE streamkap").await;
        let target = target(&server.url("hb", "hb"));
        let admin = at(&server.admin_url(), &target);
        for (columns, rows, says) in MYSQL {
            server.execute(&format!("DROP TABLE IF EXISTS {TABLE}, streamkap.not_the_heartbeat")).await;
            server.execute(&format!("CREATE TABLE {TABLE} ({columns})")).await;
            server.execute(&format!("INSERT INTO {TABLE} VALUES {rows}")).await;
            server.execute(&format!("GRANT SELECT, INSERT, UPDATE ON {TABLE} TO hb@'%'")).await;
            let before = server.rows(&format!("SELECT * FROM {TABLE}")).await;
            let remedy = remedy_of_all_three(&target, &admin, says).await;
            assert!(remedy.to_string().contains("heartbeatd provision"), "{remedy}");
            for statement in statements(&remedy) {
                server.execute(&statement).await;
            }
            let mut session = open_over(&server.admin_url(), &target, Purpose::Provision).await;
            let applied = provision(session.as_mut(), in_time()).await.unwrap();
            assert!(applied.failed.is_empty(), "{flavour:?} {says}: {:?}", applied.failed);
            ends(&target, says).await;
            assert_eq!(server.rows("SELECT * FROM streamkap.not_the_heartbeat").await, before, "{flavour:?} {says}");
        }
    })
    .await;
}

/// The same for SQLite, where a beat that does not find its row does not know of other rows.
const SQLITE: &[(&str, &str, &str)] = &[
    ("id TEXT PRIMARY KEY, text TEXT, last_update TEXT", "'8c5ad9d2-0f1c', 'x', '2020-01-01'", "id is of type TEXT"),
    (
        "id INTEGER PRIMARY KEY, text TEXT, last_update TEXT GENERATED ALWAYS AS (text) STORED",
        "1, '2020-01-01'",
        "last_update is a generated column",
    ),
    ("id INTEGER PRIMARY KEY, text TEXT, last_update INTEGER", "1, 'x', 1577836800", "last_update is of type INTEGER"),
    ("number INTEGER PRIMARY KEY, text TEXT, last_update TEXT", "1, 'x', '2020-01-01'", "without id"),
];

#[tokio::test]
async fn on_sqlite_the_repair_of_one_column_loses_no_value_of_another() {
    let place = Place::new("sqlite");
    for (index, (columns, row, says)) in SQLITE.iter().enumerate() {
        let file = place.join(format!("{index}.db"));
        let mut connection = {
            let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
            SqliteConnection::connect_with(&options).await.unwrap()
        };
        let strict = if says.contains("INTEGER") { "STRICT" } else { "" };
        let names = if columns.contains("GENERATED") { "(id, text)" } else { "" };
        for sql in [
            format!("CREATE TABLE streamkap_heartbeat ({columns}) {strict}"),
            format!("INSERT INTO streamkap_heartbeat {names} VALUES ({row})"),
        ] {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        }
        let target = target(&format!("sqlite:{}", file.display()));
        let remedy = if says.starts_with("id is") {
            agreed_remedy(&target, &target, says).await
        } else {
            remedy_of_all_three(&target, &target, says).await
        };
        let before = values(&mut connection).await;
        for statement in statements(&remedy) {
            sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
        }
        let after = values(&mut connection).await;
        assert!(before.is_subset(&after), "{says}: {before:?} {after:?}");
        ends(&target, says).await;
    }
}

/// Every value in the table.
async fn values(connection: &mut SqliteConnection) -> BTreeSet<String> {
    let rows = sqlx::raw_sql("SELECT * FROM streamkap_heartbeat").fetch_all(connection).await.unwrap();
    let text = |row: &sqlx::sqlite::SqliteRow, index| match row.try_get::<Option<String>, _>(index) {
        Ok(text) => text,
        Err(_) => row.try_get::<Option<i64>, _>(index).unwrap().map(|number| number.to_string()),
    };
    rows.iter().flat_map(|row| (0..row.len()).filter_map(move |index| text(row, index))).collect()
}
