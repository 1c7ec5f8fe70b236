//! The report for people, by target: failures first, aligned, coloured where the terminal shows colours.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::groups::{self, FEW, Group};
use crate::check::report::{Report, TargetReport, counted, needs_attention, reading_order};
use crate::finding::{Finding, Severity, Status, Verdict};
use crate::plain_text;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DOUBTFUL: Style = AnsiColor::Yellow.on_default();
const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();

/// The start of the second column.
const INDENT: &str = "                   ";
/// The width at which a list of ids wraps.
const WIDTH: usize = 100;

/// The whole report; the writer strips the colours where they do not belong.
pub(super) fn render(report: &Report, quiet: bool) -> String {
    let mut out = String::new();
    if report.targets.len() > FEW {
        render_fleet(&mut out, report, quiet);
    } else {
        let shown = |target: &&TargetReport| !quiet || target.findings.iter().any(needs_attention);
        report.targets.iter().filter(shown).for_each(|target| render_target(&mut out, target, quiet));
    }
    let reported = |name: &&str| report.targets.iter().any(|target| target.name == *name);
    let unfinished = || report.unfinished.iter().map(String::as_str);
    render_unfinished(&mut out, "before", &unfinished().filter(|name| !reported(name)).collect::<Vec<_>>());
    render_unfinished(&mut out, "before the second look", &unfinished().filter(reported).collect::<Vec<_>>());
    line(&mut out, format_args!("{}", report.summary()));
    out
}

fn render_unfinished(out: &mut String, when: &str, names: &[&str]) {
    if !names.is_empty() {
        let names = plain_text::on_one_line(names.join(", "));
        line(out, format_args!("{DOUBTFUL}interrupted{DOUBTFUL:#} {when}: {names}"));
    }
}

fn render_target(out: &mut String, target: &TargetReport, quiet: bool) {
    // Saved facts hold text that others wrote.
    let (name, address) = (plain_text::one_line(&target.name), plain_text::one_line(&target.address));
    line(out, format_args!("{STRONG}{name}{STRONG:#}  {FAINT}{address}{FAINT:#}"));
    let mut findings: Vec<&Finding> =
        target.findings.iter().filter(|finding| !quiet || needs_attention(finding)).collect();
    findings.sort_by_key(|finding| reading_order(finding));
    for finding in findings.iter().filter(|finding| finding.status == Status::Failed) {
        render_problem(out, finding, "observed");
    }
    for (first, ids) in by_reason(&findings, Status::Unknown) {
        match ids[..] {
            [_] => render_problem(out, first, "because"),
            // An unreachable server leaves sixty of them: one reason is enough.
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
    render_verdict(out, &target.verdict, &target.verdict.text);
}

fn render_verdict(out: &mut String, verdict: &Verdict, text: &str) {
    let style = match verdict.rung {
        Some(_) => BAD,
        None => GOOD,
    };
    line(out, format_args!("  {style}verdict{style:#}  {text}"));
    line(out, format_args!("  next     {}\n", indented(&verdict.next, "           ")));
}

/// Many targets: a problem that several share appears once.
fn render_fleet(out: &mut String, report: &Report, quiet: bool) {
    line(out, format_args!("{STRONG}{}{STRONG:#}", counted(report.targets.len(), "target")));
    let shown = |finding: &Finding| match finding.status {
        Status::Failed | Status::Unknown => !quiet || needs_attention(finding),
        Status::Ok | Status::Skipped => false,
    };
    for group in groups::group(report, shown) {
        render_group(out, &group);
    }
    if !quiet {
        for (style, word, status) in [(GOOD, "ok", Status::Ok), (FAINT, "skipped", Status::Skipped)] {
            let count = report.targets.iter().map(|target| target.count(status)).sum::<usize>();
            if count > 0 {
                line(out, format_args!("  {style}{word:<7}{style:#}  {}", counted(count, "check")));
            }
        }
    }
    let mut verdicts: Vec<(&Verdict, Vec<&TargetReport>)> = Vec::new();
    for target in report.targets.iter().filter(|target| !quiet || target.findings.iter().any(needs_attention)) {
        match verdicts.iter_mut().find(|(known, _)| known.text == target.verdict.text) {
            Some((_, targets)) => targets.push(target),
            None => verdicts.push((&target.verdict, vec![target])),
        }
    }
    // The verdict of most targets first, healthy targets last.
    verdicts.sort_by_key(|(verdict, targets)| (verdict.rung.is_none(), std::cmp::Reverse(targets.len())));
    for (verdict, targets) in verdicts {
        let text = format!(
            "{}: {}  {FAINT}{}{FAINT:#}",
            counted(targets.len(), "target"),
            verdict.text,
            groups::names(&targets)
        );
        render_verdict(out, verdict, &text);
    }
}

fn render_group(out: &mut String, group: &Group<'_>) {
    let targets = format!("{}: {}", counted(group.targets.len(), "target"), groups::names(&group.targets));
    if group.first.status == Status::Unknown {
        render_ids(out, DOUBTFUL, "unknown", &group.ids, None);
    } else {
        let (style, word) = word_of(group.first);
        line(out, format_args!("  {style}{word:<7}{style:#}  {STRONG}{}{STRONG:#}", group.first.id));
    }
    line(out, format_args!("           {FAINT}{:<8}{FAINT:#} {targets}", "on"));
    if let Some(first) = group.targets.first().filter(|_| group.differ) {
        line(out, format_args!("           {FAINT}{:<8}{FAINT:#} {}", "shown as", plain_text::one_line(&first.name)));
    }
    render_details(out, group.first, if group.first.status == Status::Unknown { "because" } else { "observed" });
}

fn render_problem(out: &mut String, finding: &Finding, how: &str) {
    let (style, word) = word_of(finding);
    line(out, format_args!("  {style}{word:<7}{style:#}  {STRONG}{}{STRONG:#}  {}", finding.id, finding.subject));
    render_details(out, finding, how);
}

fn word_of(finding: &Finding) -> (Style, &'static str) {
    match (finding.status, finding.severity) {
        (Status::Unknown, _) => (DOUBTFUL, "unknown"),
        (_, Severity::Error) => (BAD, "error"),
        (_, Severity::Warning) => (DOUBTFUL, "warning"),
        (_, Severity::Info) => (FAINT, "info"),
    }
}

fn render_details(out: &mut String, finding: &Finding, word: &str) {
    let next = finding.next_step();
    let pairs = [(word, Some(&finding.observed)), ("expected", finding.expected.as_ref()), ("next", next.as_ref())];
    for (name, text) in pairs.into_iter().filter_map(|(name, text)| Some((name, text?))) {
        line(out, format_args!("           {FAINT}{name:<8}{FAINT:#} {}", indented(text, &format!("{INDENT} "))));
    }
}

/// The findings of a status, grouped by their text: the first finding of each group, and the ids of all.
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

/// Text of several lines, indented below its first line.
fn indented(text: &str, by: &str) -> String {
    text.trim_end().replace('\n', &format!("\n{by}"))
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}
