//! The report as SARIF 2.1.0, for code scanning: a result for each finding that needs action, at the line of its target
//! in the configuration. A check that could not run is a notification, unless it counts for the exit code.

use std::collections::HashMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::check::registry::{self, Entry};
use crate::check::report::{Location, Outcome, Report, TargetReport, reading_order};
use crate::finding::{Finding, Severity, Status};
use crate::stable_hash::stable_hash;

/// A revision of the schema that does not change.
const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// The location of a target that no file below the working directory configures: GitHub refuses results without one.
const WITHOUT_A_FILE: &str = "heartbeatd.toml";
/// GitHub refuses a file with more results.
const MOST_RESULTS: usize = 25_000;
/// Characters that need no encoding in the path of a URI.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The whole report.
pub(super) fn render(report: &Report, entries: &[Entry]) -> String {
    let mut found: Vec<(&TargetReport, &Finding)> = report
        .targets
        .iter()
        .flat_map(|target| target.findings.iter().map(move |finding| (target, finding)))
        .filter(|(_, finding)| finding.status == Status::Failed || report.fail_on.counts(finding))
        .collect();
    found.sort_by_key(|(_, finding)| reading_order(finding));
    let left_out = found.len().saturating_sub(MOST_RESULTS);
    found.truncate(MOST_RESULTS);
    let rules = Rules::of(&found, entries);
    let mut seen = HashMap::new();
    let results: Vec<Value> =
        found.iter().map(|(target, finding)| result(target, finding, &rules, &mut seen)).collect();
    let (exit_code, successful) = match report.outcome() {
        Outcome::Passed => (0, true),
        Outcome::Failed => (1, true),
        Outcome::Interrupted => (130, false),
    };
    let run = json!({
        "tool": { "driver": {
            "name": "heartbeatd",
            "semanticVersion": env!("CARGO_PKG_VERSION"),
            "rules": rules.described,
        }},
        "invocations": [{
            "executionSuccessful": successful,
            "exitCode": exit_code,
            "startTimeUtc": report.taken_at,
            "toolExecutionNotifications": notifications(report, left_out),
        }],
        "columnKind": "unicodeCodePoints",
        "results": results,
    });
    let log = json!({ "$schema": SCHEMA, "version": "2.1.0", "runs": [run] });
    // Strings, numbers and maps with text keys: serde_json cannot refuse them.
    serde_json::to_string_pretty(&log).unwrap_or_default()
}

/// The checks of the results, and the index of each check.
struct Rules<'a> {
    described: Vec<Value>,
    index: HashMap<&'a str, usize>,
}

impl<'a> Rules<'a> {
    fn of(found: &[(&'a TargetReport, &'a Finding)], entries: &[Entry]) -> Self {
        let mut rules = Self { described: Vec::new(), index: HashMap::new() };
        for (_, finding) in found {
            if !rules.index.contains_key(finding.id.as_str()) {
                rules.index.insert(&finding.id, rules.described.len());
                let entry = entries.iter().find(|entry| entry.check.id == finding.id);
                rules.described.push(rule(&finding.id, entry));
            }
        }
        rules
    }
}

fn rule(id: &str, entry: Option<&Entry>) -> Value {
    // Saved facts may hold a check of another version.
    let Some(entry) = entry else { return json!({ "id": id }) };
    let page = registry::page(entry);
    json!({
        "id": id,
        "shortDescription": { "text": escaped(entry.check.title) },
        "fullDescription": { "text": escaped(entry.check.meaning) },
        "help": { "text": escaped(&page), "markdown": escaped(&page) },
        "defaultConfiguration": { "level": level(entry.check.severity) },
        "properties": { "tags": entry.families.iter().map(|family| family.as_str()).collect::<Vec<_>>() },
    })
}

fn result<'a>(
    target: &'a TargetReport,
    finding: &'a Finding,
    rules: &Rules<'_>,
    seen: &mut HashMap<(&'a str, &'a str, &'a str), usize>,
) -> Value {
    let nth = seen.entry((&target.name, &finding.id, &finding.subject)).or_default();
    *nth += 1;
    // Without the observed text: an age or a count changes from run to run, but the fault stays the same.
    let fingerprint = stable_hash([target.name.as_str(), &finding.id, &finding.subject].join("\0").as_bytes());
    let level = if finding.status == Status::Unknown { "warning" } else { level(finding.severity) };
    json!({
        "ruleId": finding.id,
        "ruleIndex": rules.index.get(finding.id.as_str()),
        "level": level,
        "message": { "text": escaped(&message(target, finding)) },
        "locations": [{
            "physicalLocation": physical(target.location.as_ref()),
            "logicalLocations": [{ "name": target.name, "kind": "resource" }],
        }],
        // The name that GitHub compares; without it, GitHub would hash the line of the file.
        "partialFingerprints": { "primaryLocationLineHash": format!("{fingerprint:016x}:{nth}") },
        "properties": { "target": target.name, "driver": target.driver, "address": target.address, "subject": finding.subject },
    })
}

fn physical(location: Option<&Location>) -> Value {
    let (file, line) = location.map_or((WITHOUT_A_FILE, 1), |location| (location.file.as_str(), location.line));
    json!({
        "artifactLocation": { "uri": utf8_percent_encode(file, PATH).to_string(), "uriBaseId": "%SRCROOT%" },
        "region": { "startLine": line.max(1) },
    })
}

fn message(target: &TargetReport, finding: &Finding) -> String {
    let could_not = if finding.status == Status::Unknown { "could not check: " } else { "" };
    let mut text = format!("{}: {}: {could_not}{}", target.name, finding.subject, finding.observed);
    for (name, detail) in [("Expected", finding.expected.clone()), ("Next", finding.next_step())] {
        if let Some(detail) = detail {
            text = format!("{text}\n{name}: {}", detail.trim_end());
        }
    }
    text
}

/// What kept checks from running, once for each target and reason, and what else the results leave out.
fn notifications(report: &Report, left_out: usize) -> Vec<Value> {
    let mut notifications = Vec::new();
    let mut push =
        |text: String| notifications.push(json!({ "level": "warning", "message": { "text": escaped(&text) } }));
    for target in &report.targets {
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        let unknown = |finding: &&Finding| finding.status == Status::Unknown && !report.fail_on.counts(finding);
        for finding in target.findings.iter().filter(unknown) {
            match reasons.iter_mut().find(|(reason, _)| *reason == finding.observed) {
                Some((_, ids)) => ids.push(&finding.id),
                None => reasons.push((&finding.observed, vec![&finding.id])),
            }
        }
        for (reason, ids) in reasons {
            push(format!("{}: could not check {}: {reason}", target.name, ids.join(", ")));
        }
    }
    for name in &report.unfinished {
        push(format!("{name}: interrupted before its checks were done"));
    }
    if left_out > 0 {
        push(format!("{left_out} further results are left out, none more severe than these"));
    }
    notifications
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

/// Escapes text for a message of SARIF: braces would be placeholders (section 3.11.5), and `[…](…)` a link.
fn escaped(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}").replace("](", "] (")
}
