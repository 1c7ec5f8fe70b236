//! SQLite, the embedded default, with the compiled program: without any installation, and with its own faults.

use std::path::Path;
use std::time::Duration;

use heartbeatd::finding::Status;
use heartbeatd::remedy::Remedy;
use rustix::process::Signal;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Row};
use tokio::time::Instant;

use crate::bench::beating_daemon::{BeatingDaemon, failure, note, target};
use crate::bench::daemon::{Daemon, Ended};
use crate::bench::findings::{judge, look};
use crate::bench::place::Place;
use crate::bench::{eventually, heartbeatd, secs};

/// Schema faults are retried within 30 s at most, and usually much sooner.
const HEALS: Duration = secs(35);

/// A folder and the path of a database in it that does not exist yet.
fn new_file() -> (Place, String) {
    let place = Place::new("sqlite");
    let file = place.join("heartbeat.db").display().to_string();
    (place, file)
}

fn configuration(file: &str, more: &str) -> String {
    target("orders", &format!("sqlite:{file}"), more)
}

async fn open(file: &str) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true).busy_timeout(secs(5));
    SqliteConnection::connect_with(&options).await.unwrap()
}

async fn execute(file: &str, sql: &str) {
    let mut connection = open(file).await;
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    connection.close().await.unwrap();
}

async fn number(file: &str, sql: &str) -> i64 {
    let mut connection = open(file).await;
    let row = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    row.get(0)
}

/// Runs a command of the program on a configuration.
async fn run(command: &[&str], text: &str) -> Ended {
    let program = command.iter().fold(heartbeatd(), |program, word| program.arg(word));
    program.config(text).run().await
}

async fn provision(text: &str) {
    let ended = run(&["provision", "--target", "orders"], text).await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
}

/// A healthy daemon on a provisioned file.
async fn beating(text: &str) -> BeatingDaemon {
    provision(text).await;
    BeatingDaemon::configured(text).await
}

#[tokio::test]
async fn a_target_with_only_an_address_is_provisioned_and_becomes_healthy() {
    let (_place, file) = new_file();
    let daemon = heartbeatd().arg(&format!("sqlite:{file}")).start().await;
    eventually(secs(10), "/health 200", async || match daemon.health().await {
        (200, _) => Ok(()),
        (_, health) => Err(health.to_string()),
    })
    .await;
    assert_eq!(number(&file, "SELECT count(*) FROM streamkap_heartbeat WHERE id = 1").await, 1);
    let target = daemon.target("heartbeat.db").await;
    assert_eq!(target["last_beat"]["result"], "ok", "{target}");
}

#[tokio::test]
async fn deleted_file_is_created_again_with_provision_auto() {
    let (_place, file) = new_file();
    let beating = BeatingDaemon::configured(&configuration(&file, "provision = \"auto\"")).await;
    std::fs::remove_file(&file).unwrap();
    beating.beats(2, secs(5)).await;
    assert_eq!(number(&file, "SELECT count(*) FROM streamkap_heartbeat").await, 1);
    execute(&file, "DROP TABLE streamkap_heartbeat").await;
    beating.beats(2, secs(5)).await;
    execute(&file, "DELETE FROM streamkap_heartbeat").await;
    beating.beats(2, secs(5)).await;
    assert_eq!(beating.count("failed").await, 0, "mended within the tick; log:\n{}", beating.daemon.log());
}

#[tokio::test]
async fn deleted_file_is_reported_as_missing_file_and_heals_when_provisioned() {
    let (_place, file) = new_file();
    let text = configuration(&file, "");
    let beating = beating(&text).await;
    std::fs::remove_file(&file).unwrap();
    let reported = beating.fails_with(failure("connection", "missing_file", None)).await;
    reported.names(&["heartbeatd provision --target orders"]);
    assert!(reported.message.contains(&file), "{reported:?}");
    assert!(!Path::new(&file).exists(), "a beat creates nothing");
    provision(&text).await;
    // Not at the pace of a missing file, because a beat may have found the new file before its table existed.
    beating.recovers_within(HEALS).await;
}

#[tokio::test]
async fn a_replaced_file_is_noticed_within_the_tick_and_one_that_is_not_a_database_is_reported() {
    let (place, file) = new_file();
    let text = configuration(&file, "");
    let beating = beating(&text).await;
    let other = place.join("other.db").display().to_string();
    provision(&configuration(&other, "")).await;
    execute(&other, "UPDATE streamkap_heartbeat SET last_update = '2020-01-01', text = 'other'").await;
    std::fs::rename(&other, &file).unwrap();
    beating.beats(2, secs(5)).await;
    let fresh = "SELECT count(*) FROM streamkap_heartbeat WHERE text = 'other' AND last_update > '2021'";
    assert_eq!(number(&file, fresh).await, 1, "the beat went into the new file");
    assert_eq!((beating.count("failed").await, beating.connects("lost").await), (0, 1));

    std::fs::rename(place.write("other.db", "this is a text and no database\n".repeat(100)), &file).unwrap();
    let expected = failure("connection", "protocol", Some("26"));
    beating.fails_with(expected).await.names(&[&file, "is no SQLite database"]);
}

#[tokio::test]
async fn dropped_table_is_reported_and_heals_when_provisioned() {
    let (_place, file) = new_file();
    let text = configuration(&file, "[target.heartbeat]\ntable = \"it's a pulse\"");
    let beating = beating(&text).await;
    execute(&file, "DROP TABLE \"it's a pulse\"").await;
    let reported = beating.fails_with(failure("schema", "missing_table", Some("1"))).await;
    reported.names(&["heartbeatd provision --target orders"]);
    provision(&text).await;
    beating.recovers_within(HEALS).await;
}

#[tokio::test]
async fn table_without_last_update_is_reported_as_missing_column_and_heals() {
    let (_place, file) = new_file();
    let beating = beating(&configuration(&file, "")).await;
    execute(&file, "ALTER TABLE streamkap_heartbeat RENAME COLUMN last_update TO touched").await;
    let reported = beating.fails_with(failure("schema", "missing_column", Some("1"))).await;
    reported.names(&["streamkap_heartbeat", "last_update"]);
    execute(&file, &reported.remedy).await;
    beating.recovers_within(HEALS).await;
}

#[tokio::test]
async fn a_row_of_another_id_is_adopted_only_if_configured_and_never_gets_a_second_beside_it() {
    let (_place, file) = new_file();
    let text = configuration(&file, "");
    let beating = beating(&text).await;
    execute(&file, "UPDATE streamkap_heartbeat SET id = 7").await;
    beating.fails_with(failure("schema", "missing_row", None)).await.names(&["heartbeatd provision --target orders"]);
    let ended = run(&["provision"], &text).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("holds row 7 and not row 1"), "{ended:?}");
    assert!(ended.stdout.contains("set row = 7 under [target.heartbeat] to adopt it"), "{ended:?}");
    assert_eq!(number(&file, "SELECT count(*) FROM streamkap_heartbeat").await, 1);
    beating.daemon.rewrite_config(&configuration(&file, "[target.heartbeat]\nrow = 7"));
    beating.daemon.signal(Signal::HUP);
    beating.recovers_within(secs(10)).await;
}

#[tokio::test]
async fn file_locked_by_another_program_is_reported_as_lock_and_heals_when_released() {
    let (_place, file) = new_file();
    let beating = beating(&configuration(&file, "")).await;
    let mut holder = open(&file).await;
    sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut holder).await.unwrap();
    beating.fails_with(failure("resource", "lock", Some("5"))).await.names(&[&format!("fuser {file}")]);
    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    beating.recovers_within(secs(5)).await;
}

#[tokio::test]
async fn a_file_opened_read_only_is_reported_and_can_be_watched() {
    let (_place, file) = new_file();
    provision(&configuration(&file, "")).await;
    let read_only = |more: &str| target("orders", &format!("sqlite:{file}?mode=ro"), more);
    let before =
        number(&file, "SELECT CAST(unixepoch(last_update, 'subsec') * 1000 AS INTEGER) FROM streamkap_heartbeat").await;
    let beating = BeatingDaemon { daemon: heartbeatd().config(&read_only("")).start().await };
    let expected = failure("connection", "read_only_setting", None);
    beating.reports(expected).await.names(&["remove mode=ro from the address", "write = \"never\""]);
    let watching = BeatingDaemon { daemon: heartbeatd().config(&read_only("write = \"never\"")).start().await };
    eventually(secs(5), "the row to be watched", async || match watching.count("fresh").await {
        0 => Err("no look yet"),
        _ => Ok(()),
    })
    .await;
    let after =
        number(&file, "SELECT CAST(unixepoch(last_update, 'subsec') * 1000 AS INTEGER) FROM streamkap_heartbeat").await;
    assert_eq!(before, after, "neither wrote");
}

#[tokio::test]
async fn beat_prints_its_result_and_answers_with_its_exit_code() {
    let (_place, file) = new_file();
    let address = format!("sqlite:{file}");
    let missing = heartbeatd().arg("beat").arg(&address).run().await;
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.stdout.contains("failed") && missing.stdout.contains("missing_file"), "{missing:?}");
    assert!(missing.stdout.contains("next: "), "{missing:?}");
    assert!(!Path::new(&file).exists(), "a beat creates nothing");
    let provisioned = heartbeatd().arg("provision").arg(&address).run().await;
    assert_eq!(provisioned.code, Some(0), "{provisioned:?}");
    let beaten = heartbeatd().arg("beat").arg(&address).run().await;
    assert_eq!(beaten.code, Some(0), "{beaten:?}");
    assert!(beaten.stdout.contains("ok") && beaten.stdout.contains(&file), "{beaten:?}");
}

#[tokio::test]
async fn a_dry_run_prints_sql_that_runs_and_creates_nothing() {
    let (_place, file) = new_file();
    let address = format!("sqlite:{file}");
    let dry = heartbeatd().arg("provision").arg("--dry-run").arg(&address).run().await;
    assert_eq!(dry.code, Some(0), "{dry:?}");
    assert!(!Path::new(&file).exists(), "a dry run creates nothing");
    execute(&file, &dry.stdout).await;
    let beaten = heartbeatd().arg("beat").arg(&address).run().await;
    assert_eq!(beaten.code, Some(0), "{beaten:?}");
    let again = heartbeatd().arg("provision").arg(&address).run().await;
    assert!(again.stdout.contains("nothing is missing"), "{again:?}");
}

#[tokio::test]
async fn twenty_that_provision_at_once_all_succeed_and_make_one_row() {
    for journal in ["delete", "wal"] {
        let (_place, file) = new_file();
        execute(&file, &format!("PRAGMA journal_mode = {journal}; CREATE TABLE other (x)")).await;
        let text = configuration(&file, "");
        let ended = futures_util::future::join_all((0..20).map(|_| run(&["provision"], &text))).await;
        for ended in ended {
            assert_eq!(ended.code, Some(0), "{journal}: {}", ended.stdout);
        }
        assert_eq!(number(&file, "SELECT count(*) FROM streamkap_heartbeat").await, 1);
    }
}

/// Words that SQLite's date functions read as the current time, and text that is not a date.
const NO_DATES: &[&str] =
    &["'now'", "'NOW'", "'subsec'", "'subsecond'", "CAST('now' AS BLOB)", "'current_timestamp'", "''", "2461374.5"];

#[tokio::test]
async fn a_word_that_means_the_present_time_never_counts_as_a_beat() {
    let (_place, file) = new_file();
    let address = format!("sqlite:{file}");
    provision(&configuration(&file, "")).await;
    for value in NO_DATES {
        execute(&file, &format!("UPDATE streamkap_heartbeat SET last_update = {value}")).await;
        let checked = heartbeatd().arg("check").arg(&address).run().await;
        assert!(checked.stdout.contains("never written"), "{value}: {checked:?}");
        let beaten = run(&["beat"], &configuration(&file, "write = \"when-stale\"")).await;
        assert!(beaten.code == Some(0) && beaten.stdout.contains("  ok "), "{value}: {beaten:?}");
        let dated = "SELECT last_update GLOB '20[0-9][0-9]-*' FROM streamkap_heartbeat";
        assert_eq!(number(&file, dated).await, 1, "{value}");
    }
}

async fn written(daemon: &Daemon) -> u64 {
    daemon.target("orders").await["counters"]["ok"].as_u64().unwrap()
}

#[tokio::test]
async fn two_daemons_share_one_file_with_when_stale_and_one_carries_on_alone() {
    const PERIOD: Duration = secs(2);
    let (_place, file) = new_file();
    let text = target("orders", &format!("sqlite:{file}"), "write = \"when-stale\"");
    let text = text.replace("interval = \"1s\"", "interval = \"2s\"");
    let (first, mut second) = (beating(&text).await, BeatingDaemon::configured(&text).await);
    let begin = (Instant::now(), written(&first.daemon).await + written(&second.daemon).await);
    let beats = eventually(secs(20), "five beats together", async || {
        let beats = written(&first.daemon).await + written(&second.daemon).await - begin.1;
        if beats >= 5 { Ok(beats) } else { Err(format!("{beats} beats")) }
    })
    .await;
    let periods = begin.0.elapsed().as_secs_f64() / PERIOD.as_secs_f64();
    note(&format!("{beats} beats in {periods:.1} periods by two daemons together"));
    // Two beats are three quarters of a period apart at least, and a busy machine may miss ticks.
    let missed = first.daemon.missed("orders").await + second.daemon.missed("orders").await;
    let most = 6.5 + f64::from(u32::try_from(missed).unwrap());
    assert!((3.0..=most).contains(&periods), "one beat a period: {beats} in {periods} periods, {missed} missed");
    for daemon in [&first.daemon, &second.daemon] {
        assert_eq!(daemon.health().await.0, 200, "both are healthy, whichever writes");
    }
    second.daemon.end(Signal::KILL, secs(5)).await;
    let (killed, before) = (Instant::now(), written(&first.daemon).await);
    let fresh = first.daemon.beats("orders", "fresh").await;
    eventually(secs(20), "the other to carry on", async || match written(&first.daemon).await - before {
        0 => Err("no beat"),
        _ => Ok(()),
    })
    .await;
    // It looks once a period, and the row is fresh at one of these looks at most, on a machine of any speed.
    assert!(
        first.daemon.beats("orders", "fresh").await <= fresh + 1,
        "it left the row alone for more than two periods"
    );
    note(&format!("the other carried on after {:?}", killed.elapsed()));
}

/// The driver's tests paste the scripts of failures; `column_faults` pastes those for columns.
#[tokio::test]
async fn each_script_of_a_check_is_pasted_and_ends_its_finding_or_shows_what_it_promises() {
    let (_place, file) = new_file();
    execute(
        &file,
        "CREATE TABLE streamkap_heartbeat (id INTEGER, text TEXT, last_update TEXT); \
         INSERT INTO streamkap_heartbeat VALUES (1, 'x', NULL), (2, 'other', NULL); PRAGMA journal_mode = DELETE;",
    )
    .await;
    let target = crate::bench::driver::target(&format!("sqlite:{file}"));
    let finding = async |id: &str| {
        let findings = judge(&target, &look(&target).await, None);
        findings.into_iter().find(|finding| finding.id == id).unwrap()
    };
    for (id, ends) in [("sqlite-journal-mode", true), ("table-primary-key", true), ("row-single", false)] {
        let found = finding(id).await;
        assert_eq!(found.status, Status::Failed, "{found:?}");
        execute(&file, found.remedy.as_ref().and_then(Remedy::script).unwrap().text()).await;
        assert_eq!(finding(id).await.status == Status::Ok, ends, "{id}");
    }
}
