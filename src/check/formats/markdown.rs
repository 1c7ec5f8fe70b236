//! The report as Markdown, for step summaries and merge requests: a table of the targets, then what is wrong, each
//! problem of several targets once.

use std::fmt::Write as _;

use super::groups::{self, Group};
use crate::check::report::{Outcome, Report, TargetReport, counted, grouped_digits, needs_attention};
use crate::finding::{Finding, Severity, Status};
use crate::plain_text;

/// GitHub refuses a summary of more than 1 MiB. People read less than half of that.
const MOST_BYTES: usize = 512 * 1024;
/// The most rows of the table; the findings of the other targets follow below it.
const MOST_ROWS: usize = 100;

/// The whole report.
pub(super) fn render(report: &Report, quiet: bool) -> String {
    let title = match report.outcome() {
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::Interrupted => "interrupted",
    };
    let mut out = format!("## heartbeatd check: {title}\n\n{}\n", report.summary());
    table(&mut out, report, quiet);
    if !report.unfinished.is_empty() {
        let names: Vec<String> = report.unfinished.iter().map(|name| escaped(name)).collect();
        let _ = writeln!(out, "\n**Interrupted before their checks were done:** {}", names.join(", "));
    }
    let shown = |finding: &Finding| match finding.status {
        Status::Failed | Status::Unknown => !quiet || needs_attention(finding),
        Status::Ok | Status::Skipped => false,
    };
    let groups = groups::group(report, shown);
    for (index, group) in groups.iter().enumerate() {
        let mut paragraph = String::new();
        describe(&mut paragraph, group);
        if out.len() + paragraph.len() > MOST_BYTES {
            let _ = writeln!(
                out,
                "\nCut here: {} more. The other formats hold all.",
                counted(groups.len() - index, "finding")
            );
            break;
        }
        out.push_str(&paragraph);
    }
    out
}

fn table(out: &mut String, report: &Report, quiet: bool) {
    let mut targets: Vec<&TargetReport> = report.targets.iter().collect();
    let failed = |target: &TargetReport, severity| target.failed(severity);
    // A stable sort keeps equal targets in the order of the configuration.
    targets.sort_by_key(|target| {
        std::cmp::Reverse((
            failed(target, Severity::Error),
            failed(target, Severity::Warning),
            target.count(Status::Unknown),
        ))
    });
    let all = targets.len();
    targets.retain(|target| !quiet || target.findings.iter().any(needs_attention));
    let healthy = all - targets.len();
    let further = targets.len().saturating_sub(MOST_ROWS);
    targets.truncate(MOST_ROWS);
    if !targets.is_empty() {
        out.push_str("\n| Target | Database | Verdict | Errors | Warnings | Unknown |\n|---|---|---|---:|---:|---:|\n");
    }
    for target in targets {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} |",
            escaped(&target.name),
            target.driver,
            escaped(&target.verdict.text),
            failed(target, Severity::Error),
            failed(target, Severity::Warning),
            target.count(Status::Unknown),
        );
    }
    if further > 0 {
        let _ = writeln!(out, "\n… and {} more targets, none worse than these.", grouped_digits(further));
    }
    if healthy > 0 {
        let _ = writeln!(out, "\nNothing to do on {}.", counted(healthy, "other target"));
    }
}

fn describe(out: &mut String, group: &Group<'_>) {
    let finding = group.first;
    let ids: Vec<String> = group.ids.iter().map(|id| format!("`{}`", id.replace('`', ""))).collect();
    let word = if finding.status == Status::Unknown { "unknown" } else { finding.severity.as_str() };
    let _ = writeln!(out, "\n### {word}: {}\n", ids.join(", "));
    let on = match group.targets[..] {
        [_] => format!("on {}", escaped(&groups::names(&group.targets))),
        _ => format!("on {}: {}", counted(group.targets.len(), "target"), escaped(&groups::names(&group.targets))),
    };
    let shown = match group.targets.first() {
        Some(first) if group.differ => format!(", shown as on {}", escaped(&first.name)),
        _ => String::new(),
    };
    let _ = writeln!(out, "- {on}{shown}");
    if finding.status == Status::Failed && !finding.subject.is_empty() {
        let _ = writeln!(out, "- subject: {}", escaped(&finding.subject));
    }
    let word = if finding.status == Status::Unknown { "could not check, because" } else { "observed" };
    let _ = writeln!(out, "- {word}: {}", escaped(&finding.observed));
    if let Some(expected) = &finding.expected {
        let _ = writeln!(out, "- expected: {}", escaped(expected));
    }
    if let Some(remedy) = finding.next_step() {
        let _ = writeln!(out, "- next:\n\n{}", fenced(remedy.trim_end()));
    }
}

/// Text without meaning to Markdown, to a table, or as a mention on the host.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in plain_text::on_one_line(text.to_owned()).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // The comment keeps the host from notifying a user of that name.
            '@' => out.push_str("@<!-- -->"),
            // No Markdown mark begins or ends with these between words, and they are frequent.
            '.' | ',' | '-' | ';' | '\'' | '"' | '(' | ')' | '/' | '=' | '%' | '?' | '+' | '$' => out.push(c),
            c if c.is_ascii_punctuation() => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

/// Text to copy, in a fence that the text cannot close.
fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat((longest + 1).max(3));
    format!("{fence}\n{text}\n{fence}")
}
