//! The reports of `heartbeatd check` for pipelines: a foreign program reads each of them, several are written at once,
//! and no report is red if the exit code is green.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::bench::daemon::{Ended, Heartbeatd};
use crate::bench::place::Place;
use crate::bench::{heartbeatd, ports, programs};
use crate::check_command::{FRESH_ROW, STALE_ROW, TABLE, make_file};
use crate::documentation::validate;

/// A healthy file, one with a stale row, an empty one, and a server that does not exist, with the result that a report
/// shows for each.
async fn four_targets() -> Heartbeatd {
    let program = heartbeatd();
    make_file(&program.file("right.db", ""), &[TABLE, FRESH_ROW]).await;
    make_file(&program.file("stale.db", ""), &[TABLE, STALE_ROW]).await;
    program.file("empty.db", "");
    let config = format!(
        "[[target]]\nname = \"right\"\nurl = \"sqlite:right.db\"\n\n[[target]]\nname = \"stale\"\nurl = \"sqlite:stale.db\"\n\n\
         [[target]]\nname = \"e<m>pty & \\\"co\\\"\"\nurl = \"sqlite:empty.db\"\n\n\
         [[target]]\nname = \"away\"\nurl = \"postgres://hb:hunter2-secret@127.0.0.1:{}/orders\"\n",
        ports::free()
    );
    program.config(&config)
}

/// What a foreign program found in a report.
fn read(kind: &str, report: &Path) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/check_reports/read.py");
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", programs::python_tools()).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.arg(script).arg(kind).arg(report).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The complaints of SARIF's own validator about a report: its schema, its rules, and those of GitHub's code scanning.
fn complaints(report: &Path) -> Vec<String> {
    let multitool = programs::sarif_multitool();
    let read = |path: &Path| serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).unwrap();
    let schema = validate(read(&multitool.join("sarif-2.1.0.json")), &read(report));
    let out = report.with_extension("judged");
    let mut command = Command::new(multitool.join("Sarif.Multitool"));
    // It contains its own runtime, which requires a library of locales unless a variable turns that off.
    command
        .env("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "1")
        .env("DOTNET_BUNDLE_EXTRACT_BASE_DIR", out.with_extension("net"));
    command
        .args(["validate", "--rule-kind", "Sarif;Ghas", "--log", "ForceOverwrite", "--output"])
        .arg(&out)
        .arg(report);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let judged = read(&out);
    let results = judged["runs"][0]["results"].as_array().unwrap_or_else(|| panic!("{judged:#}")).clone();
    let rule = |result: Value| result["ruleId"].as_str().unwrap().to_owned();
    // heartbeatd has no address on the web to name here.
    let rules = results.into_iter().map(rule).filter(|rule| rule != "SARIF2005");
    schema.err().into_iter().chain(rules).collect()
}

async fn run(program: Heartbeatd, line: &str) -> Ended {
    line.split_whitespace().fold(program, Heartbeatd::arg).run().await
}

#[tokio::test]
async fn several_reports_of_one_run_are_each_read_by_another_program() {
    let place = Place::new("reports");
    let at = |name: &str| place.join(name);
    let line = format!(
        "--check --format text --format junit={} --format sarif={} --format json={} --format markdown={} --format github={}",
        at("junit.xml").display(),
        at("report.sarif").display(),
        at("report.json").display(),
        at("report.md").display(),
        at("annotations").display(),
    );
    let ended = run(four_targets().await, &line).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("failed: 2 of 4 targets; 2 errors, 1 warning"), "{ended:?}");

    let cases = read("junit", &at("junit.xml"));
    let of = |suite: &str, name: &str| {
        let found = cases.iter().find(|case| case["suite"] == suite && case["class"] == suite && case["name"] == name);
        let case = found.unwrap_or_else(|| panic!("{suite} {name}: {cases:?}"));
        (case["result"].as_str().unwrap().to_owned(), case["text"].as_str().unwrap().to_owned())
    };
    assert_eq!(of("right", "row-fresh").0, "passed");
    assert_eq!(of("away", "connect").0, "failure");
    assert_eq!(of("away", "row-fresh").0, "skipped");
    assert!(of("away", "row-fresh").1.contains("could not check: the source was not reached"), "{cases:?}");
    let (result, text) = of("e<m>pty & \"co\"", "table-exists");
    assert!(result == "failure" && text.contains("heartbeatd provision --target"), "{text}");
    // A warning does not fail here: the case reports it and is green.
    let (result, text) = of("stale", "row-fresh");
    assert!(result == "passed" && text.contains("warning: ") && text.contains("expected: younger than"), "{text}");

    assert_eq!(complaints(&at("report.sarif")), Vec::<String>::new());
    let results = read("sarif", &at("report.sarif"));
    let line = |target: &str, id: &str| {
        let about = |result: &&Value| result["Description"].as_str().unwrap().starts_with(&format!("{target}: "));
        let result = results.iter().filter(about).find(|result| result["Code"] == id);
        let result = result.unwrap_or_else(|| panic!("{target} {id}: {results:?}"));
        (result["Severity"].as_str().unwrap(), result["Location"].as_str().unwrap(), result["Line"].as_u64().unwrap())
    };
    assert_eq!(line("stale", "row-fresh"), ("warning", "heartbeatd.toml", 5));
    assert_eq!(line("away", "connect"), ("error", "heartbeatd.toml", 13));

    let annotations = std::fs::read_to_string(at("annotations")).unwrap();
    assert!(
        annotations.contains("::error file=heartbeatd.toml,line=13,title=connect::away: source: "),
        "{annotations}"
    );
    assert!(annotations.contains("::warning file=heartbeatd.toml,line=5,title=row-fresh::stale: "), "{annotations}");
    let markdown = std::fs::read_to_string(at("report.md")).unwrap();
    assert!(markdown.starts_with("## heartbeatd check: failed\n"), "{markdown}");
    let json: Value = serde_json::from_str(&std::fs::read_to_string(at("report.json")).unwrap()).unwrap();
    assert_eq!(json["targets"].as_array().unwrap().len(), 4);
    for name in ["junit.xml", "report.sarif", "report.json", "report.md", "annotations"] {
        assert!(!std::fs::read_to_string(at(name)).unwrap().contains("hunter2"), "{name} holds the password");
    }
}

#[tokio::test]
async fn the_validator_of_sarif_sees_what_is_wrong() {
    let place = Place::new("reports");
    let (report, spoilt) = (place.join("report.sarif"), place.join("spoilt.sarif"));
    let line = format!("--check --format sarif={}", report.display());
    assert_eq!(run(four_targets().await, &line).await.code, Some(1));
    let good: Value = serde_json::from_str(&std::fs::read_to_string(&report).unwrap()).unwrap();
    // GitHub requires a location, and the schema requires a valid level.
    for (pointer, wrong) in
        [("/runs/0/results/0/locations", Value::Array(Vec::new())), ("/runs/0/results/0/level", "fatal".into())]
    {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = wrong;
        std::fs::write(&spoilt, bad.to_string()).unwrap();
        assert_ne!(complaints(&spoilt), Vec::<String>::new(), "{pointer}");
    }
}

#[tokio::test]
async fn no_report_is_red_where_the_exit_code_is_green() {
    for (level, code, red) in [("error", 0, 0), ("warning", 1, 1)] {
        let place = Place::new("reports");
        let junit = place.join("junit.xml");
        let line =
            format!("--check --target stale --fail-on {level} --format github --format junit={}", junit.display());
        let ended = run(four_targets().await, &line).await;
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert_eq!(ended.stdout.lines().filter(|line| line.starts_with("::error")).count(), red, "{ended:?}");
        let cases = read("junit", &junit);
        assert_eq!(cases.iter().filter(|case| case["result"] == "failure").count(), red, "{cases:?}");
        assert!(
            ended.stdout.contains(if red == 0 { "passed: 1 target" } else { "failed: 1 of 1 target" }),
            "{ended:?}"
        );
    }
}

#[tokio::test]
async fn the_step_summary_of_github_is_appended_to() {
    let place = Place::new("reports");
    let summary = place.write("summary.md", "before\n");
    let program = four_targets().await.env("GITHUB_STEP_SUMMARY", summary.to_str().unwrap());
    let ended = run(program, "--check --format github").await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let text = std::fs::read_to_string(&summary).unwrap();
    assert!(text.starts_with("before\n## heartbeatd check: failed\n") && text.contains("`table-exists`"), "{text}");
    // Another format is not written for GitHub.
    let program = four_targets().await.env("GITHUB_STEP_SUMMARY", summary.to_str().unwrap());
    run(program, "--check --format text").await;
    assert_eq!(std::fs::read_to_string(&summary).unwrap(), text);
    let program = four_targets().await.env("GITHUB_STEP_SUMMARY", "/nowhere/summary.md");
    let ended = run(program, "--check --format github").await;
    assert_eq!((ended.code, ended.stderr.contains("cannot write /nowhere/summary.md")), (Some(2), true), "{ended:?}");
}

#[tokio::test]
async fn a_configuration_outside_the_working_directory_is_no_place_in_the_repository() {
    let (place, reports) = (Place::new("etc"), Place::new("reports"));
    let config = place.write("heartbeatd.toml", "\n\n[[target]]\nurl = \"sqlite:missing.db\"\n");
    let sarif = reports.join("report.sarif");
    let line = format!("check -c {} --format github --format sarif={}", config.display(), sarif.display());
    let ended = run(heartbeatd(), &line).await;
    assert!(ended.stdout.starts_with("::error title=connect::missing.db: "), "{ended:?}");
    assert_eq!(read("sarif", &sarif)[0]["Location"], "heartbeatd.toml");
    assert_eq!(complaints(&sarif), Vec::<String>::new());
}
