//! The report for people: by target, what failed first, aligned, coloured where the terminal shows colours.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::{Report, TargetReport, reading_order};
use crate::finding::{Finding, Severity, Status};
use crate::plain_text;

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
    // Of facts in a file these are another's words.
    let (name, address) = (plain_text::one_line(&target.name), plain_text::one_line(&target.address));
    line(out, format_args!("{STRONG}{name}{STRONG:#}  {FAINT}{address}{FAINT:#}"));
    let mut findings: Vec<&Finding> = target.findings.iter().collect();
    findings.sort_by_key(|finding| reading_order(finding));
    for finding in findings.iter().filter(|finding| finding.status == Status::Failed) {
        render_problem(out, finding, "observed");
    }
    for (first, ids) in by_reason(&findings, Status::Unknown) {
        match ids[..] {
            [_] => render_problem(out, first, "because"),
            // A server that is not reached leaves sixty of them: one reason is enough.
            _ => {
                render_ids(out, DOUBTFUL, "unknown", &ids, None);
                render_details(out, first, "because");
            }
        }
    }
    let ok = findings.iter().filter(|finding| finding.status == Status::Ok).map(|finding| finding.id.as_str());
    let mut ok: Vec<&str> = ok.collect();
    ok.dedup();
    if !ok.is_empty() {
        render_ids(out, GOOD, "ok", &ok, None);
    }
    for (first, ids) in by_reason(&findings, Status::Skipped) {
        render_ids(out, FAINT, "skipped", &ids, Some(&first.observed));
    }
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
    render_details(out, finding, word);
}

fn render_details(out: &mut String, finding: &Finding, word: &str) {
    let pairs =
        [(word, Some(&finding.observed)), ("expected", finding.expected.as_ref()), ("next", finding.remedy.as_ref())];
    for (name, text) in pairs.into_iter().filter_map(|(name, text)| Some((name, text?))) {
        line(out, format_args!("           {FAINT}{name:<8}{FAINT:#} {}", indented(text, &format!("{INDENT} "))));
    }
}

/// The findings of a status, those with the same to say together: the first of them, and the ids of all.
fn by_reason<'a>(findings: &[&'a Finding], status: Status) -> Vec<(&'a Finding, Vec<&'a str>)> {
    let mut groups: Vec<(&Finding, Vec<&str>)> = Vec::new();
    for &finding in findings.iter().filter(|finding| finding.status == status) {
        let said = |other: &Finding| {
            (&other.observed, &other.expected, &other.remedy) == (&finding.observed, &finding.expected, &finding.remedy)
        };
        match groups.iter_mut().find(|(first, _)| said(first)) {
            Some((_, ids)) if ids.contains(&finding.id.as_str()) => {}
            Some((_, ids)) => ids.push(&finding.id),
            None => groups.push((finding, vec![&finding.id])),
        }
    }
    groups
}

fn render_ids(out: &mut String, style: Style, word: &str, ids: &[&str], why: Option<&str>) {
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
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    line(out, format_args!("  {style}{word:<7}{style:#}  {}{FAINT}{why}{FAINT:#}", lines.join(",\n           ")));
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
