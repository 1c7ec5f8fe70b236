//! Saved facts judged again: the corpus of cases in `tests/corpus/`, as a support ticket would bring them. `recorded-…`
//! came from a real server; `made-…` is what the bench cannot be brought to (other versions, flavours, refusals).

use std::path::{Path, PathBuf};

use heartbeatd::check::runner;
use heartbeatd::check::saved::SavedFacts;
use heartbeatd::drivers::Drivers;
use heartbeatd::finding::{Finding, Status};
use serde_json::Value;

const UNKNOWN_WITHOUT_SOURCE: &str = "every other check is unknown";

#[test]
fn every_case_of_the_corpus_is_judged_as_it_says() {
    let files = files();
    assert!(files.len() >= 10, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let case: Value = serde_json::from_str(&text).unwrap();
        let expected: Vec<&str> =
            case["expect"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
        assert!(case["about"].is_string(), "{} says what it is", file.display());
        assert_eq!(judged(&text), expected, "{}", file.display());
    }
}

/// What is failed or unknown, as `status severity id`.
fn judged(text: &str) -> Vec<String> {
    let saved = SavedFacts::parse(text).unwrap();
    let mut lines = Vec::new();
    for case in &saved.targets {
        let target = case.target.restore(&Drivers::built_in()).unwrap();
        let driver = Drivers::built_in().get(target.endpoint.url.family()).unwrap();
        let findings = runner::judge(&target, driver.as_ref(), &case.now, case.earlier.as_ref());
        let of = |status| findings.iter().filter(move |finding: &&Finding| finding.status == status);
        let line = |finding: &Finding| format!("{} {} {}", finding.status, finding.severity, finding.id);
        lines.extend(of(Status::Failed).map(line));
        if of(Status::Unknown).count() >= driver.checks().len() {
            lines.push(UNKNOWN_WITHOUT_SOURCE.to_owned());
        } else {
            lines.extend(of(Status::Unknown).map(line));
        }
    }
    lines
}

fn files() -> Vec<PathBuf> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let folders = std::fs::read_dir(corpus).unwrap().map(|folder| folder.unwrap().path());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|file| file.unwrap().path());
    let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|ending| ending == "json")).collect();
    files.sort();
    files
}
