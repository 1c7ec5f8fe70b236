//! Saved facts, judged again: the corpus of cases in `tests/corpus/`, as a support ticket would contain them.
//! `recorded-…` came from a real server; `made-…` is a state that the bench's servers cannot have (other versions,
//! flavours, refusals).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use heartbeatd::check::runner;
use heartbeatd::check::saved::{SavedCase, SavedFacts};
use heartbeatd::database_url::Family;
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

/// Every check of SQL Server must fail in some case, because the tests have no real SQL Server.
#[test]
fn every_check_of_sql_server_fails_in_a_case_of_the_corpus() {
    // Judged only if heartbeatd provisions by itself, which facts files do not say.
    const NOT_IN_FILES: &str = "writer-insert";
    let failed: BTreeSet<String> =
        findings_in("sqlserver").into_iter().filter(|finding| finding.status == Status::Failed).map(|f| f.id).collect();
    let checks = Drivers::built_in().get(Family::new("sqlserver")).unwrap().checks();
    let expected: BTreeSet<String> = checks.iter().map(|check| check.id.to_owned()).collect();
    let never: Vec<&String> = expected.difference(&failed).collect();
    assert_eq!(never, [NOT_IN_FILES]);
}

/// All findings in the cases of one folder.
pub(crate) fn findings_in(folder: &str) -> Vec<Finding> {
    let texts = files().into_iter().filter(|file| file.parent().unwrap().ends_with(folder));
    texts
        .flat_map(|file| findings(&std::fs::read_to_string(file).unwrap()))
        .flat_map(|(_, findings)| findings)
        .collect()
}

/// The findings of each target of a file, with the number of its driver's checks.
fn findings(text: &str) -> Vec<(usize, Vec<Finding>)> {
    let saved = SavedFacts::parse(text).unwrap();
    let judge = |case: &SavedCase| {
        let target = case.target.restore(&Drivers::built_in()).unwrap();
        let driver = Drivers::built_in().get(target.endpoint.url.family()).unwrap();
        (driver.checks().len(), runner::judge(&target, driver.as_ref(), &case.now, case.earlier.as_ref()))
    };
    saved.targets.iter().map(judge).collect()
}

/// Everything that failed or is unknown, as `status severity id`.
fn judged(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for (checks, findings) in findings(text) {
        let of = |status| findings.iter().filter(move |finding: &&Finding| finding.status == status);
        let line = |finding: &Finding| format!("{} {} {}", finding.status, finding.severity, finding.id);
        lines.extend(of(Status::Failed).map(line));
        if of(Status::Unknown).count() >= checks {
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
