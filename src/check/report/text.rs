//! The report for people: by target, what failed first, aligned, coloured where the terminal shows colours.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::{Report, TargetReport, reading_order};
use crate::finding::{Finding, Severity, Status};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DOUBTFUL: Style = AnsiColor::Yellow.on_default();
const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();

/// Where the second column begins.
const INDENT: &str = "                   ";
/// How wide a list of ids may get.
const WIDTH: usize = 100;

/// The whole report; its colours are stripped by the writer where they do not belong.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    for target in &report.targets {
        render_target(&mut out, target);
    }
    if !report.unfinished.is_empty() {
        line(&mut out, format_args!("{DOUBTFUL}interrupted{DOUBTFUL:#} before: {}", report.unfinished.join(", ")));
    }
    line(&mut out, format_args!("{}", summary(report)));
    out
}

fn render_target(out: &mut String, target: &TargetReport) {
    line(out, format_args!("{STRONG}{}{STRONG:#}  {FAINT}{}{FAINT:#}", target.name, target.address));
    let mut findings: Vec<&Finding> = target.findings.iter().collect();
    findings.sort_by_key(|finding| reading_order(finding));
    for finding in &findings {
        match finding.status {
            Status::Failed => render_problem(out, finding, "observed"),
            Status::Unknown => render_problem(out, finding, "because"),
            Status::Ok | Status::Skipped => {}
        }
    }
    render_ids(out, GOOD, "ok", findings.iter().filter(|finding| finding.status == Status::Ok));
    render_ids(out, FAINT, "skipped", findings.iter().filter(|finding| finding.status == Status::Skipped));
    let style = match target.verdict.rung {
        Some(_) => BAD,
        None => GOOD,
    };
    line(out, format_args!("  {style}verdict{style:#}  {}", target.verdict.text));
    line(out, format_args!("  next     {}\n", indented(&target.verdict.next, "           ")));
}

fn render_problem(out: &mut String, finding: &Finding, word: &str) {
    let (style, first) = match (finding.status, finding.severity) {
        (Status::Unknown, _) => (DOUBTFUL, "unknown"),
        (_, Severity::Error) => (BAD, "error"),
        (_, Severity::Warning) => (DOUBTFUL, "warning"),
        (_, Severity::Info) => (FAINT, "info"),
    };
    line(out, format_args!("  {style}{first:<7}{style:#}  {STRONG}{}{STRONG:#}  {}", finding.id, finding.subject));
    let pairs =
        [(word, Some(&finding.observed)), ("expected", finding.expected.as_ref()), ("next", finding.remedy.as_ref())];
    for (name, text) in pairs.into_iter().filter_map(|(name, text)| Some((name, text?))) {
        line(out, format_args!("           {FAINT}{name:<8}{FAINT:#} {}", indented(text, &format!("{INDENT} "))));
    }
}

fn render_ids<'a>(out: &mut String, style: Style, word: &str, findings: impl Iterator<Item = &'a &'a Finding>) {
    let mut ids: Vec<&str> = findings.map(|finding| finding.id.as_str()).collect();
    ids.dedup();
    if ids.is_empty() {
        return;
    }
    let mut lines = vec![String::new()];
    for id in ids {
        let full = lines.last().is_some_and(|line| !line.is_empty() && line.len() + id.len() > WIDTH);
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(if line.is_empty() { "" } else { ", " });
            line.push_str(id);
        }
    }
    line(out, format_args!("  {style}{word:<7}{style:#}  {}", lines.join(",\n           ")));
}

fn summary(report: &Report) -> String {
    let all = || report.targets.iter().flat_map(|target| &target.findings);
    let failed = |severity| all().filter(|f| f.status == Status::Failed && f.severity == severity).count();
    let unknown = all().filter(|finding| finding.status == Status::Unknown).count();
    let healthy = report.targets.iter().filter(|target| target.verdict.rung.is_none()).count();
    format!(
        "{healthy} of {} healthy: {} failed as error, {} as warning, {} as info; {unknown} unknown",
        count(report.targets.len(), "target"),
        failed(Severity::Error),
        failed(Severity::Warning),
        failed(Severity::Info)
    )
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("{number} {noun}") } else { format!("{number} {noun}s") }
}

/// Text of several lines under its first.
fn indented(text: &str, by: &str) -> String {
    text.trim_end().replace('\n', &format!("\n{by}"))
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}
