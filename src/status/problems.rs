//! What the log says of the checks: a line when the problems that they find change. Called by the inspector.

use super::board::Checked;
use crate::target::Target;

/// Writes a line if the checks find other problems than they did before. A heartbeat that is written is no sign that the
/// connector gets it, and nothing but the checks knows.
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
