//! The report as JUnit XML, for the test reports of CI servers: a suite for each target, a case for each check. Only
//! findings that count for the exit code are red.

use chrono::DateTime;
use quick_junit::{NonSuccessKind, Property, Report as Document, TestCase, TestCaseStatus, TestSuite};

use crate::check::report::{Report, TargetReport, documentation};
use crate::finding::{Finding, Severity, Status};

/// The whole report.
pub(super) fn render(report: &Report) -> String {
    let taken_at = DateTime::parse_from_rfc3339(&report.taken_at).ok();
    let mut document = Document::new("heartbeatd check");
    document.timestamp = taken_at;
    document.add_test_suites(report.targets.iter().map(|target| {
        let mut suite = suite_of(target, report);
        suite.timestamp = taken_at;
        suite
    }));
    let reported = |name: &&String| report.targets.iter().any(|target| target.name == **name);
    document.add_test_suites(report.unfinished.iter().filter(|name| !reported(name)).map(|name| {
        let mut suite = TestSuite::new(name.as_str());
        let mut case = TestCase::new("check", skipped("interrupted before this target was checked"));
        case.set_classname(name.as_str());
        suite.add_test_case(case);
        suite
    }));
    // Written to memory, which cannot fail.
    document.to_string().unwrap_or_default()
}

fn suite_of(target: &TargetReport, report: &Report) -> TestSuite {
    let mut suite = TestSuite::new(target.name.as_str());
    suite.add_properties([
        Property::new("driver", target.driver),
        Property::new("address", target.address.as_str()),
        Property::new("verdict", target.verdict.text.as_str()),
        Property::new("next", target.verdict.next.as_str()),
    ]);
    let mut ids: Vec<&str> = Vec::new();
    for finding in &target.findings {
        if !ids.contains(&finding.id.as_str()) {
            ids.push(&finding.id);
        }
    }
    suite.add_test_cases(ids.into_iter().map(|id| case_of(id, target, report)));
    suite
}

/// One check, with its findings about all subjects. The id alone is the name: readers compare runs by the name, and
/// GitLab reads only the first of two cases of the same name.
fn case_of(id: &str, target: &TargetReport, report: &Report) -> TestCase {
    let findings = || target.findings.iter().filter(|finding| finding.id == id);
    let counting: Vec<&Finding> = findings().filter(|finding| report.fail_on.counts(finding)).collect();
    let lesser = || findings().filter(|finding| !report.fail_on.counts(finding));
    let answered = findings().any(|finding| matches!(finding.status, Status::Ok | Status::Failed));
    let status = match counting.first() {
        Some(first) => {
            // "error" is JUnit's word for a case that could not run.
            let unknown = counting.iter().all(|finding| finding.status == Status::Unknown);
            let kind = if unknown { NonSuccessKind::Error } else { NonSuccessKind::Failure };
            let mut status = TestCaseStatus::non_success(kind);
            status.set_type(word(first)).set_message(headline(first));
            status.set_description(counting.iter().map(|finding| details(finding)).collect::<Vec<_>>().join("\n"));
            status
        }
        None if answered => TestCaseStatus::success(),
        None => skipped(&findings().map(headline).collect::<Vec<_>>().join("; ")),
    };
    let mut case = TestCase::new(id, status);
    case.set_classname(target.name.as_str());
    if let Some(location) = &target.location {
        case.extra.insert("file".into(), location.file.as_str().into());
        case.extra.insert("line".into(), location.line.to_string().into());
    }
    let notes: Vec<String> = lesser()
        .filter(|finding| answered && !matches!(finding.status, Status::Ok | Status::Skipped))
        .map(|finding| format!("{}: {}", word(finding), details(finding)))
        .collect();
    if !notes.is_empty() {
        case.set_system_out(notes.join("\n"));
    }
    case
}

fn skipped(reason: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    // Some readers show the attribute; GitLab shows the content.
    status.set_message(reason).set_description(reason);
    status
}

fn word(finding: &Finding) -> &'static str {
    match (finding.status, finding.severity) {
        (Status::Failed, Severity::Error) => "error",
        (Status::Failed, Severity::Warning) => "warning",
        (Status::Failed, Severity::Info) => "info",
        (status, _) => status.as_str(),
    }
}

fn headline(finding: &Finding) -> String {
    match finding.status {
        Status::Unknown => format!("{}: could not check: {}", finding.subject, finding.observed),
        _ => format!("{}: {}", finding.subject, finding.observed),
    }
}

fn details(finding: &Finding) -> String {
    let mut lines = headline(finding);
    for (name, text) in [("expected", finding.expected.clone()), ("next", finding.next_step())] {
        if let Some(text) = text {
            lines = format!("{lines}\n{name}: {}", text.trim_end());
        }
    }
    format!("{lines}\npage: {}\n", documentation(&finding.id))
}
