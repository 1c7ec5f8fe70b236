//! The report as annotations of GitHub Actions: a line for each problem, at the line of the configuration. The step's
//! summary is the report as Markdown, which `commands::check` appends to the file that GitHub names.

use std::fmt::Write as _;

use super::groups::{self, Group};
use crate::check::report::Report;
use crate::finding::{Severity, Status};

/// All annotations, the worst first, because GitHub shows ten errors and ten warnings of a step; then the summary.
pub(super) fn render(report: &Report) -> String {
    let mut out = String::new();
    for group in groups::group(report, |finding| matches!(finding.status, Status::Failed | Status::Unknown)) {
        annotate(&mut out, &group, report);
    }
    for name in &report.unfinished {
        let text = format!("{name}: interrupted before its checks were done");
        let _ = writeln!(out, "::warning title=heartbeatd::{}", data(&text));
    }
    let _ = writeln!(out, "{}", report.summary());
    out
}

fn annotate(out: &mut String, group: &Group<'_>, report: &Report) {
    let finding = group.first;
    let level = match finding.severity {
        _ if report.fail_on.counts(finding) => "error",
        Severity::Info => "notice",
        _ if finding.status == Status::Unknown => "notice",
        _ => "warning",
    };
    let location = group.targets.first().and_then(|target| target.location.as_ref());
    let place = location.map(|location| format!("file={},line={},", property(&location.file), location.line));
    let title = match group.ids[..] {
        [id] => id.to_owned(),
        _ => format!("{} checks", group.ids.len()),
    };
    let mut text = groups::names(&group.targets);
    if finding.status == Status::Unknown {
        let _ = write!(text, ": could not check {}: {}", group.ids.join(", "), finding.observed);
    } else {
        let _ = write!(text, ": {}: {}", finding.subject, finding.observed);
    }
    for (name, detail) in [("expected", finding.expected.clone()), ("next", finding.next_step())] {
        if let Some(detail) = detail {
            let _ = write!(text, "\n{name}: {}", detail.trim_end());
        }
    }
    let _ = writeln!(out, "::{level} {}title={}::{}", place.unwrap_or_default(), property(&title), data(&text));
}

/// Escapes text for the message of a workflow command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes text for a property of a workflow command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
