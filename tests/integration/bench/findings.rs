//! Inspects servers and judges the result, for the tests of every database's checks.

use heartbeatd::check::runner;
use heartbeatd::drivers::Drivers;
use heartbeatd::finding::{Case, Finding, Inspection, Look, Status};
use heartbeatd::remedy::{Remedy, Script};
use heartbeatd::target::Target;
use heartbeatd::time::clock::Clock;

use super::driver::context;
use super::wait::secs;

/// One look at all servers of a target.
pub(crate) async fn look(target: &Target) -> Inspection {
    let inspection = runner::inspect(&context(target), &Clock::system(), secs(10)).await;
    assert!(matches!(inspection.source, Look::Facts(_)), "{:?}", inspection.source);
    inspection
}

/// Judges an inspection; every check must have a finding.
pub(crate) fn judge(target: &Target, now: &Inspection, earlier: Option<&Inspection>) -> Vec<Finding> {
    let drivers = Drivers::built_in();
    let driver = drivers.get(target.endpoint.url.family()).unwrap();
    let findings = driver.judge(&Case { target, now, earlier }).unwrap();
    for check in driver.checks() {
        assert!(findings.iter().any(|finding| finding.id == check.id), "nothing on {}", check.id);
    }
    for finding in &findings {
        assert!(driver.checks().iter().any(|check| check.id == finding.id), "{} is not in the list", finding.id);
    }
    findings
}

/// The failed and unknown findings.
pub(crate) fn wrong(findings: &[Finding]) -> Vec<Finding> {
    let wrong = findings.iter().filter(|finding| matches!(finding.status, Status::Failed | Status::Unknown));
    wrong.cloned().collect()
}

/// The statements that a person pastes from a remedy, in order.
pub(crate) fn statements(remedy: &Remedy) -> Vec<String> {
    let text = remedy.to_string();
    let script = remedy.script().map_or_else(|| text.split(" -- ").next().unwrap_or_default(), Script::text);
    let statements = script.split_inclusive(';').map(str::trim).filter(|statement| !statement.is_empty());
    statements
        .inspect(|statement| assert!(statement.ends_with(';'), "no whole statement: {statement}, of {script}"))
        .map(str::to_owned)
        .collect()
}

/// The ids of findings of a status, each once.
pub(crate) fn ids(findings: &[Finding], status: Status) -> Vec<&str> {
    let mut ids: Vec<&str> =
        findings.iter().filter(|finding| finding.status == status).map(|finding| finding.id.as_str()).collect();
    ids.dedup();
    ids
}

/// Findings for a failed test's message.
pub(crate) fn shown(findings: &[Finding]) -> String {
    let lines = findings.iter().map(|finding| {
        format!("{} {}: {}: {} | {:?}", finding.status, finding.id, finding.subject, finding.observed, finding.remedy)
    });
    lines.collect::<Vec<_>>().join("\n")
}
