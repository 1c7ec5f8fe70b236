//! Foreign judges. Another client from Oracle judges the double. Two parsers for Oracle's SQL and PL/SQL judge the
//! statements of the driver.
//!
//! No judge here is a database. The statements come from the driver's snapshots, so each is judged exactly as it is
//! sent.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::bench::oracle::{OracleDouble, PASSWORD, SERVICE, USER};
use crate::bench::programs;

/// The content of one of the driver's snapshots.
fn snapshot(name: &str) -> String {
    let folder = if name.starts_with("checks__") { "checks/snapshots" } else { "snapshots" };
    let file = format!("src/driver/oracle/{folder}/heartbeatd__driver__oracle__{name}.snap");
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).expect(&file);
    text.splitn(3, "---\n").nth(2).unwrap().trim_end().to_owned()
}

fn beat() -> String {
    snapshot("beat__tests__the_beat_is_one_block_that_returns_what_it_saw_and_what_it_changed")
}

/// Runs a program on this input, and returns its output.
fn run(command: &mut Command, input: &str) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn bench_file(name: &str) -> String {
    format!("{}/tests/integration/bench/oracle/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A judge's result for each statement.
fn judged(command: &mut Command, statements: &[String]) -> Vec<Vec<String>> {
    let input: String = statements.iter().map(|statement| format!("{}\n", Value::from(statement.as_str()))).collect();
    let answers = run(command, &input);
    answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn python(script: &str) -> Command {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", programs::oracle_tools()).arg(bench_file(script));
    command
}

fn plsql() -> Command {
    let mut command = Command::new("node");
    command.env("NODE_PATH", programs::plsql_parser()).arg(bench_file("blocks.js"));
    command
}

/// The statements of a plan as SQL*Plus reads them, without comments and terminators.
fn steps(script: &str) -> Vec<String> {
    let lines = script.lines().filter(|line| !line.starts_with("--") && *line != "/");
    let (mut steps, mut step): (Vec<String>, String) = (Vec::new(), String::new());
    for line in lines {
        step.push_str(line);
        step.push('\n');
        let in_block = step.starts_with("BEGIN");
        if if in_block { line == "END;" } else { line.ends_with(';') } {
            let end = if in_block { step.trim_end() } else { step.trim_end().trim_end_matches(';') };
            steps.push(end.to_owned());
            step.clear();
        }
    }
    steps
}

#[test]
fn oracles_client_for_python_runs_the_same_block_against_the_double_and_reads_the_row() {
    let double = OracleDouble::start();
    let port = double.port().to_string();
    let printed = run(python("second_client.py").args([&port, USER, PASSWORD, SERVICE]), &beat());
    let seen: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((&seen["thin"], &seen["refused"]), (&true.into(), &"ORA-01017".into()), "{seen}");
    let look = |place: usize, name: &str| seen["looks"][place][name].clone();
    assert_eq!((look(0, "seen"), look(0, "changed"), look(0, "previous")), (1.into(), 1.into(), Value::Null), "{seen}");
    assert_eq!((look(1, "changed"), look(1, "previous")), (1.into(), look(0, "value")), "{seen}");
    assert_eq!((look(2, "changed"), look(2, "previous")), (0.into(), look(1, "value")), "{seen}");
    assert_eq!(double.state().rows[0].1, look(1, "value").as_i64());
    assert_eq!(double.state().commits, 2);
}

#[test]
fn every_query_and_every_change_parses_as_oracles_sql() {
    let mut statements: Vec<String> =
        snapshot("facts__tests__every_question_is_listed_for_the_foreign_parser").lines().map(str::to_owned).collect();
    // The statements within the beat's block, as they reach the server.
    for part in beat().split('\'').filter(|part| part.starts_with("SELECT ") || part.starts_with("UPDATE ")) {
        // The parser supports named values, not numbered ones.
        statements.push(part.replace(":1", ":row_id").replace(":2", ":written"));
    }
    let plan = snapshot("provision__tests__everything_that_is_missing_in_a_pluggable_database_is_created_in_order");
    statements.extend(steps(&plan).into_iter().filter(|step| !step.starts_with("BEGIN")));
    let answers = judged(&mut python("queries.py"), &statements);
    assert_eq!(answers.len(), statements.len());
    for (statement, kinds) in statements.iter().zip(&answers) {
        // The parser does not know supplemental logging, and treats it as an unknown command.
        let expected: &[&str] = match statement {
            _ if statement.contains("SUPPLEMENTAL LOG DATA") => &["Command"],
            _ => &["Select", "Union", "Update", "Create", "Grant"],
        };
        assert!(kinds.len() == 1 && expected.contains(&kinds[0].as_str()), "{statement}: {kinds:?}");
    }
}

/// The scripts for people: of failures, of findings, and of plans. `lsnrctl` is a program and not SQL.
fn scripts_of_remedies() -> Vec<String> {
    let all = [
        snapshot("remedies__tests__every_script_is_listed_for_the_foreign_parser"),
        snapshot("checks__tests__every_script_of_a_finding_is_listed_for_the_foreign_parser"),
    ];
    let lines = all.iter().flat_map(|snapshot| snapshot.lines()).filter(|line| !line.starts_with("lsnrctl "));
    lines.map(str::to_owned).collect()
}

#[test]
fn every_script_of_a_remedy_parses_and_a_placeholder_for_a_password_is_refused() {
    let scripts = scripts_of_remedies();
    assert!(scripts.len() > 40, "{scripts:#?}");
    // SQL*Plus runs EXEC as a block of one call.
    let blocks = scripts.iter().map(|script| match script.strip_prefix("EXEC ") {
        Some(call) => format!("BEGIN {call} END;"),
        None => script.clone(),
    });
    let as_pasted: Vec<String> = blocks.collect();
    let filled: Vec<String> = as_pasted.iter().map(|script| script.replace("<password>", "\"secret\"")).collect();
    for (script, faults) in filled.iter().zip(judged(&mut plsql(), &filled)) {
        assert_eq!(faults, [""; 0], "{script}");
    }
    for (script, faults) in as_pasted.iter().zip(judged(&mut plsql(), &as_pasted)) {
        assert_eq!(script.contains("<password>"), !faults.is_empty(), "{script}: {faults:?}");
    }
    let queries: Vec<String> = scripts.iter().filter(|script| script.starts_with("SELECT ")).cloned().collect();
    for (query, kinds) in queries.iter().zip(judged(&mut python("queries.py"), &queries)) {
        assert_eq!(kinds, ["Select"], "{query}");
    }
}

#[test]
fn every_block_parses_as_plsql() {
    let plan = snapshot("provision__tests__everything_that_is_missing_in_a_pluggable_database_is_created_in_order");
    let mut blocks = vec![
        beat(),
        snapshot("connect__tests__the_first_query_reads_each_view_that_may_be_hidden_separately"),
        snapshot("facts__tests__every_question_is_listed_for_the_foreign_parser-2"),
    ];
    let others = steps(&plan).into_iter().filter(|step| step.starts_with("BEGIN") || step.contains("SUPPLEMENTAL"));
    blocks.extend(others.map(|step| format!("{};", step.trim_end_matches(';'))));
    assert_eq!(blocks.len(), 5);
    // Oracle accepts these two words in either order; the grammar knows only one.
    let blocks: Vec<String> =
        blocks.iter().map(|block| block.replace("WRITE IMMEDIATE WAIT", "WRITE WAIT IMMEDIATE")).collect();
    for (block, faults) in blocks.iter().zip(judged(&mut plsql(), &blocks)) {
        assert_eq!(faults, [""; 0], "{block}");
    }
    // Proof that the parser refuses a broken block.
    let broken = blocks[0].replace("END IF;", "END;");
    assert_ne!(judged(&mut plsql(), &[broken])[0], [""; 0]);
}
