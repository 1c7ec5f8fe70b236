//! Decides what the log says of the checks: a line when their problems change. The inspector calls it.

use super::board::Checked;
use crate::target::Target;

/// Writes a line if the checks find other problems than before. A written heartbeat does not show that the connector
/// receives it; only the checks do.
pub fn log_change(target: &Target, before: Option<&Checked>, after: &Checked) {
    let same = match before {
        Some(before) => before.problems == after.problems,
        None => after.problems.is_empty(),
    };
    if same {
        return;
    }
    let (target, driver) = (target.name.as_str(), target.driver());
    if after.problems.is_empty() {
        tracing::info!(target, driver, "the checks find no problem any more");
        return;
    }
    let checks: Vec<&str> = after.problems.iter().map(String::as_str).collect();
    tracing::warn!(
        target,
        driver,
        problems = checks.len(),
        checks = checks.join(", "),
        verdict = after.verdict.text,
        next = after.verdict.next,
        "heartbeat, with problems"
    );
}
