//! `heartbeatd check` as a pipeline and as a person at a terminal use it: the compiled program, its exit codes, its
//! report.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Instant;

use heartbeatd::check::registry;
use heartbeatd::drivers::Drivers;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::bench::daemon::{Ended, Heartbeatd};
use crate::bench::place::Place;
use crate::bench::{heartbeatd, ports, secs};

pub(crate) const TABLE: &str =
    "CREATE TABLE streamkap_heartbeat (id INTEGER PRIMARY KEY, text TEXT, last_update TEXT);";
pub(crate) const FRESH_ROW: &str =
    "INSERT INTO streamkap_heartbeat VALUES (1, '', strftime('%Y-%m-%d %H:%M:%f', 'now'));";
pub(crate) const STALE_ROW: &str = "INSERT INTO streamkap_heartbeat VALUES (1, '', '2020-02-02 02:02:02.000');";

/// A SQLite file made by these statements, in the program's working directory.
async fn with_file(program: Heartbeatd, name: &str, statements: &[&str]) -> Heartbeatd {
    make_file(&program.file(name, ""), statements).await;
    program
}

pub(crate) async fn make_file(path: &Path, statements: &[&str]) {
    let mut session = SqliteConnectOptions::new().filename(path).disable_statement_logging().connect().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statements.join(" "))).execute(&mut session).await.unwrap();
    session.close().await.unwrap();
}

/// The program with `right.db`, in which a check only finds fault with the journal mode.
async fn beside_a_right_file() -> Heartbeatd {
    with_file(heartbeatd(), "right.db", &[TABLE, FRESH_ROW]).await
}

async fn run(program: Heartbeatd, line: &str) -> Ended {
    line.split_whitespace().fold(program, Heartbeatd::arg).run().await
}

/// An address where no server listens.
fn unreachable() -> String {
    format!("postgres://hb:hunter2-secret@127.0.0.1:{}/orders", ports::free())
}

/// A server that accepts connections and never sends anything.
fn silent_server() -> (TcpListener, String) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = format!("postgres://hb@127.0.0.1:{}/orders", listener.local_addr().unwrap().port());
    (listener, address)
}

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

/// The finding of that id about the target of that name.
fn finding<'a>(report: &'a Value, target: &str, id: &str) -> &'a Value {
    let targets = report["targets"].as_array().unwrap();
    let target = targets.iter().find(|found| found["name"] == target).unwrap_or_else(|| panic!("{target}: {report:#}"));
    let findings = target["findings"].as_array().unwrap();
    findings.iter().find(|found| found["id"] == id).unwrap_or_else(|| panic!("{id}: {target:#}"))
}

#[tokio::test]
async fn a_healthy_target_is_exit_code_0_and_advice_does_not_change_it() {
    let ended = run(beside_a_right_file().await, "check --fail-on unknown sqlite:right.db").await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("verdict  the source side is healthy"), "{ended:?}");
    assert!(ended.stdout.contains("info     sqlite-journal-mode"), "{ended:?}");
    assert!(ended.stderr.is_empty(), "{ended:?}");
}

#[tokio::test]
async fn the_report_of_a_failing_file_reads_like_this() {
    let statements = [
        "CREATE TABLE streamkap_heartbeat (id INTEGER, text TEXT, last_update TEXT);",
        STALE_ROW,
        "INSERT INTO streamkap_heartbeat VALUES (2, '', NULL);",
    ];
    let program = with_file(heartbeatd(), "failing.db", &statements).await;
    program.file("empty.db", "");
    let config = "[[target]]\nname = \"failing\"\nurl = \"sqlite:failing.db\"\n\
                  [[target.checks.skip]]\nid = \"sqlite-journal-mode\"\nreason = \"a copy for tests\"\n\
                  [[target]]\nname = \"empty\"\nurl = \"sqlite:empty.db\"\n\
                  [[target]]\nname = \"missing\"\nurl = \"sqlite:missing.db\"\n";
    let ended = program.config(config).arg("--check").run().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    insta::with_settings!({ filters => [(r"observed \d+\w+( \d+\w+)? old", "observed [AGE] old")] }, {
        insta::assert_snapshot!("a_failing_report", ended.stdout);
    });
}

#[tokio::test]
async fn a_missing_table_is_exit_code_1() {
    let program = heartbeatd();
    program.file("empty.db", "");
    let ended = run(program, "check sqlite:empty.db").await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("error    table-exists"), "{ended:?}");
    assert!(ended.stdout.contains("heartbeatd provision --target empty.db"), "{ended:?}");
}

#[tokio::test]
async fn a_warning_fails_only_if_asked_to() {
    for (line, code) in [("check sqlite:stale.db", 0), ("check --fail-on warning sqlite:stale.db", 1)] {
        let program = with_file(heartbeatd(), "stale.db", &[TABLE, STALE_ROW]).await;
        let ended = run(program, line).await;
        assert_eq!(ended.code, Some(code), "{line}: {ended:?}");
        assert!(ended.stdout.contains("warning  row-fresh"), "{ended:?}");
        assert!(ended.stdout.contains("verdict  no one is updating the heartbeat row"), "{ended:?}");
    }
}

#[tokio::test]
async fn an_unknown_result_fails_only_if_asked_to() {
    for (level, code) in [("error", 0), ("warning", 0), ("unknown", 1)] {
        // If the server cannot be reached, this check is unknown.
        let ended = run(heartbeatd(), &format!("check --only row-exists --fail-on {level} {}", unreachable())).await;
        assert_eq!(ended.code, Some(code), "{level}: {ended:?}");
        assert!(ended.stdout.contains("unknown  row-exists"), "{ended:?}");
    }
}

#[tokio::test]
async fn an_invalid_command_is_exit_code_2_and_nothing_is_checked() {
    let lines = [
        ("check --only row-exist sqlite:right.db", "did you mean row-exists?"),
        ("check --skip row-exist sqlite:right.db", "did you mean row-exists?"),
        ("check", "No target was given"),
        ("check --from-facts missing.json", "cannot read missing.json"),
        ("check --from-facts heartbeatd.toml", "not a facts file"),
        ("check -c heartbeatd.toml sqlite:right.db", "use only one of them"),
        ("check --target orders sqlite:right.db", "there is no target \"orders\""),
        ("check --timeout forever sqlite:right.db", "expected a duration"),
        ("check --offline --wait 1s sqlite:right.db", "cannot be used with"),
        ("check --format yaml sqlite:right.db", "expected one of text, json, junit, sarif, github, markdown"),
        ("check --format junit= sqlite:right.db", "the file name after \"=\" is missing"),
        ("check --format text --format junit sqlite:right.db", "only one report can go to standard output"),
        ("check --format json=a.json --output b.json sqlite:right.db", "--output is for a --format that names no file"),
        ("check --format json=a --format junit=a sqlite:right.db", "two reports would go to a"),
        ("check --format text --format junit=a --output a sqlite:right.db", "two reports would go to a"),
    ];
    for (line, said) in lines {
        let program = beside_a_right_file().await;
        program.file("heartbeatd.toml", "[[target]]\nurl = \"sqlite:right.db\"\n");
        let ended = run(program, line).await;
        assert_eq!(ended.code, Some(2), "{line}: {ended:?}");
        assert!(ended.stderr.contains(said), "{line}: {ended:?}");
        assert!(ended.stdout.is_empty(), "{line}: {ended:?}");
    }
}

#[tokio::test]
async fn the_command_and_its_short_form_may_be_anywhere() {
    for line in [
        "-c heartbeatd.toml check",
        "--config heartbeatd.toml --log debug check --skip row-single",
        "sqlite:right.db check",
        "--check sqlite:right.db",
        "sqlite:right.db --check",
        "--format json --check sqlite:right.db",
        "--log debug sqlite:right.db --check --skip row-single",
    ] {
        let program = beside_a_right_file().await;
        program.file("heartbeatd.toml", "[[target]]\nurl = \"sqlite:right.db\"\n");
        let ended = run(program, line).await;
        assert_eq!(ended.code, Some(0), "{line}: {ended:?}");
        assert!(ended.stdout.contains("the source side is healthy"), "{line}: {ended:?}");
    }
}

#[tokio::test]
async fn only_and_skip_choose_checks() {
    let ended =
        run(beside_a_right_file().await, "check --format json --only row-exists,row-fresh sqlite:right.db").await;
    let ids = |report: &Value| -> Vec<String> {
        let findings = report["targets"][0]["findings"].as_array().unwrap();
        findings.iter().map(|finding| finding["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&json(&ended)), ["row-exists", "row-fresh"]);
    let ended = run(beside_a_right_file().await, "check --format json --skip row-fresh sqlite:right.db").await;
    let ids = ids(&json(&ended));
    assert!(ids.len() > 2 && !ids.contains(&"row-fresh".to_owned()), "{ids:?}");
}

#[tokio::test]
async fn a_check_left_out_by_the_configuration_says_so_with_its_reason() {
    let config = "[[target]]\nname = \"stale\"\nurl = \"sqlite:stale.db\"\n\
                  [[target.checks.skip]]\nid = \"row-fresh\"\nreason = \"paused until the migration is over\"\n";
    let program = with_file(heartbeatd(), "stale.db", &[TABLE, STALE_ROW]).await.config(config);
    let ended = run(program, "--check --fail-on warning --format json").await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report = json(&ended);
    let finding = finding(&report, "stale", "row-fresh");
    assert_eq!(finding["status"], "skipped");
    assert_eq!(finding["observed"], "left out by configuration: paused until the migration is over");
}

#[tokio::test]
async fn a_check_that_the_configuration_misspells_is_reported_with_the_nearest_one() {
    let config = "[[target]]\nurl = \"sqlite:right.db\"\n[[target.checks.skip]]\nid = \"row-frsh\"\nreason = \"x\"\n";
    let ended = run(heartbeatd().config(config), "--check").await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("row-fresh"), "{ended:?}");
}

#[tokio::test]
async fn offline_judges_the_configuration_and_asks_no_server() {
    let (server, address) = silent_server();
    server.set_nonblocking(true).unwrap();
    let address = format!("{address}?sslmode=require");
    let ended = run(heartbeatd(), &format!("check --offline --fail-on warning {address}")).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("sslmode=require"), "{ended:?}");
    assert!(ended.stdout.contains("most were skipped"), "{ended:?}");
    assert_eq!(server.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "no connection was made");
}

#[tokio::test]
async fn saved_facts_are_judged_as_the_servers_were_and_hold_no_password() {
    let config = format!(
        "[[target]]\nname = \"stale\"\nurl = \"sqlite:stale.db\"\n[[target]]\nname = \"orders\"\nurl = \"{}\"\n",
        unreachable()
    );
    let program = with_file(heartbeatd(), "stale.db", &[TABLE, STALE_ROW]).await.config(&config);
    let place = Place::new("facts");
    let facts = place.join("facts.json");
    let seen = run(program, &format!("--check --format json --save-facts {}", facts.display())).await;
    assert_eq!(seen.code, Some(1), "{seen:?}");
    let text = std::fs::read_to_string(&facts).unwrap();
    assert!(text.contains("connection refused") && !text.contains("hunter2"), "{text}");
    // Elsewhere, and later: neither the file nor the server is read again.
    let judged = run(heartbeatd(), &format!("check --format json --from-facts {}", facts.display())).await;
    assert_eq!(judged.code, Some(1), "{judged:?}");
    assert_eq!(json(&judged)["targets"], json(&seen)["targets"]);
}

#[tokio::test]
async fn an_unreachable_target_is_a_finding_and_the_others_are_reported() {
    let config = format!(
        "[[target]]\nname = \"away\"\nurl = \"{}\"\n[[target]]\nname = \"right\"\nurl = \"sqlite:right.db\"\n",
        unreachable()
    );
    let ended = run(beside_a_right_file().await.config(&config), "--check --format json").await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = json(&ended);
    assert_eq!(finding(&report, "away", "connect")["status"], "failed");
    assert_eq!(finding(&report, "away", "row-exists")["status"], "unknown");
    assert_eq!(finding(&report, "right", "connect")["status"], "ok");
    assert_eq!(finding(&report, "right", "row-fresh")["status"], "ok");
    assert!(!format!("{ended:?}").contains("hunter2"), "{ended:?}");
}

#[tokio::test]
async fn five_of_thirty_servers_that_hang_cost_one_time_out() {
    let mut config = String::new();
    let program = heartbeatd();
    for number in 0..25 {
        make_file(&program.file(&format!("{number}.db"), ""), &[TABLE, FRESH_ROW]).await;
        config += &format!("[[target]]\nurl = \"sqlite:{number}.db\"\n");
    }
    let (servers, addresses): (Vec<_>, Vec<_>) = (0..5).map(|_| silent_server()).unzip();
    for (number, address) in addresses.iter().enumerate() {
        config += &format!("[[target]]\nname = \"silent-{number}\"\nurl = \"{address}\"\n");
    }
    let started = Instant::now();
    let ended = run(program.config(&config), "--check --timeout 6s --format json").await;
    let taken = started.elapsed();
    drop(servers);
    assert!((secs(6)..secs(12)).contains(&taken), "{taken:?}");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = json(&ended);
    for number in 0..5 {
        let finding = finding(&report, &format!("silent-{number}"), "connect");
        assert!(finding["observed"].as_str().unwrap().contains("[connection, timeout]"), "{finding:#}");
    }
    for number in 0..25 {
        assert_eq!(finding(&report, &format!("{number}.db"), "connect")["status"], "ok");
    }
}

#[tokio::test]
async fn ctrl_c_prints_what_is_known_and_exits_130() {
    let (_server, address) = silent_server();
    let config = format!(
        "[[target]]\nname = \"silent\"\nurl = \"{address}\"\n[[target]]\nname = \"right\"\nurl = \"sqlite:right.db\"\n"
    );
    let program = beside_a_right_file().await.config(&config).arg("--check").arg("--timeout").arg("1h");
    let started = Instant::now();
    let ended = program.run_and_interrupt("checked 1 of 2 targets").await;
    assert!(started.elapsed() < secs(15), "{:?}", started.elapsed());
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert!(ended.stdout.contains("right  sqlite:"), "{ended:?}");
    assert!(ended.stdout.contains("interrupted before: silent"), "{ended:?}");
}

#[tokio::test]
async fn ctrl_c_between_two_looks_prints_the_first() {
    let config = "[[target]]\nname = \"stale\"\nurl = \"sqlite:stale.db\"\n[[target]]\nurl = \"sqlite:missing.db\"\n";
    let program = with_file(heartbeatd(), "stale.db", &[TABLE, STALE_ROW]).await.config(config);
    let program = program.arg("--check").arg("--wait").arg("1h");
    let ended = program.run_and_interrupt("checked 0 of 2 targets, looked at 2 once").await;
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert!(ended.stdout.contains("warning  row-fresh"), "{ended:?}");
    assert!(ended.stdout.contains("error    connect"), "{ended:?}");
    assert!(ended.stdout.contains("interrupted before the second look: stale, missing.db"), "{ended:?}");
    assert!(ended.stdout.contains("interrupted: 0 of 2 targets finished; 1 error"), "{ended:?}");
}

#[tokio::test]
async fn a_report_in_a_file_has_no_colour_where_the_terminal_would() {
    let coloured = run(beside_a_right_file().await.env("CLICOLOR_FORCE", "1"), "check sqlite:right.db").await;
    assert!(coloured.stdout.contains("\u{1b}["), "{coloured:?}");
    let program = beside_a_right_file().await.env("CLICOLOR_FORCE", "1");
    let place = Place::new("report");
    let file = place.join("report.txt");
    let ended = run(program, &format!("check --output {} sqlite:right.db", file.display())).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{ended:?}");
    let report = std::fs::read_to_string(file).unwrap();
    assert!(report.contains("the source side is healthy") && !report.contains('\u{1b}'), "{report}");
}

#[tokio::test]
async fn every_check_explains_itself() {
    let listed = run(heartbeatd(), "explain").await;
    for entry in registry::entries(&Drivers::built_in()) {
        let id = entry.check.id;
        let ended = run(heartbeatd(), &format!("explain {id}")).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(ended.stdout.trim_end(), registry::page(&entry).trim_end());
        assert!(listed.stdout.lines().any(|line| line.split_whitespace().next() == Some(id)), "{id} is not listed");
    }
    let ended = run(heartbeatd(), "explain row-exist").await;
    assert_eq!((ended.code, ended.stderr.contains("did you mean row-exists?")), (Some(2), true), "{ended:?}");
}
