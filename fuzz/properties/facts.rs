//! Saved facts judged again: arbitrary files, and the corpus of cases with edits that keep it readable.

use std::path::Path;
use std::sync::OnceLock;

use heartbeatd::check::registry::Entry;
use heartbeatd::check::report::{FailOn, Format, Report, TargetReport};
use heartbeatd::check::saved::SavedFacts;
use heartbeatd::check::{formats, registry, runner};
use heartbeatd::drivers::Drivers;
use heartbeatd::finding::{Finding, Status};
use serde_json::Value;

/// A file is refused in one sentence, or judged with a finding for each check.
pub fn facts(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    judge(text);
}

/// The first byte chooses a case of the corpus; the rest of the input replaces values in it. The result still has the
/// form of facts, so the input reaches the judges and not only the reader of the file.
pub fn facts_edited(data: &[u8]) {
    let Some((first, mut edits)) = data.split_first() else { return };
    let cases = cases();
    let mut case = cases[usize::from(*first) % cases.len()].clone();
    while let [high, low, how, rest @ ..] = edits {
        let length = usize::from(*how >> 3).min(rest.len());
        let (material, rest) = rest.split_at(length);
        let mut number = usize::from(u16::from_be_bytes([*high, *low])) % count(&case);
        edit(&mut case, &mut number, *how & 7, material);
        edits = rest;
    }
    judge(&case.to_string());
}

fn judge(file: &str) {
    let saved = match SavedFacts::parse(file) {
        Ok(saved) => saved,
        Err(error) => return must_be_plain(&error),
    };
    let written = serde_json::to_string(&saved).expect("facts can be written");
    assert_eq!(SavedFacts::parse(&written).as_ref(), Ok(&saved));
    let drivers = Drivers::built_in();
    let entries = registry::entries(&drivers);
    for case in &saved.targets {
        let target = match case.target.restore(&drivers) {
            Ok(target) => target,
            Err(error) => return must_be_plain(&error),
        };
        let Ok(driver) = drivers.get(target.endpoint.url.family()) else { continue };
        let findings = runner::judge(&target, driver.as_ref(), &case.now, case.earlier.as_ref());
        for check in driver.checks() {
            assert!(findings.iter().any(|finding| finding.id == check.id), "no finding of {}", check.id);
        }
        for finding in &findings {
            assert!(entries.iter().any(|entry| entry.check.id == finding.id), "no check {}", finding.id);
            must_say_why(finding);
        }
        assert_eq!(runner::judge(&target, driver.as_ref(), &case.now, case.earlier.as_ref()), findings);
        let address = target.endpoint.url.to_string();
        let report = TargetReport::new(&target.name, "any", address, findings, &entries, |_| true);
        let report = Report {
            targets: vec![report],
            unfinished: Vec::new(),
            taken_at: "2026-01-01T00:00:00Z".to_owned(),
            fail_on: FailOn::Error,
        };
        render(&report, &entries);
    }
}

fn must_say_why(finding: &Finding) {
    // The observed text may be the server's own word, and that word may be empty.
    let silent = finding.observed.trim().is_empty() && finding.expected.is_none() && finding.status != Status::Ok;
    assert!(!silent, "{} is {} and says nothing", finding.id, finding.status);
}

/// A report in every format: text for people does not control their terminal, text for programs is JSON, and each line
/// that GitHub takes for a command is ours.
fn render(report: &Report, entries: &[Entry]) {
    let of = |format| formats::render(report, format, entries, false);
    without_styles(&of(Format::Text)).lines().for_each(must_be_plain);
    of(Format::Markdown).lines().for_each(must_be_plain);
    for (format, member) in [(Format::Json, "targets"), (Format::Sarif, "runs")] {
        assert!(serde_json::from_str::<Value>(&of(format)).is_ok_and(|value| value[member].is_array()));
    }
    assert!(of(Format::Junit).trim_end().ends_with("</testsuites>"));
    let annotations = of(Format::Github);
    let ours = ["::error ", "::warning ", "::notice ", "passed: ", "failed: "];
    assert!(annotations.lines().all(|line| ours.iter().any(|start| line.starts_with(start))), "{annotations}");
}

/// The text neither controls a terminal nor changes the reading order.
fn must_be_plain(text: &str) {
    let reorders = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let foreign = text.chars().find(|c| c.is_control() || reorders(*c));
    assert!(foreign.is_none(), "{foreign:?} in {text:?}");
}

/// The text without the colours that the report adds.
fn without_styles(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let style = part.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(part.len());
        match part[style..].strip_prefix('m') {
            Some(rest) => plain.push_str(rest),
            None => plain.push_str(&format!("\u{1b}[{part}")),
        }
    }
    plain
}

/// The files of `tests/corpus/`, in order.
fn cases() -> &'static [Value] {
    static CASES: OnceLock<Vec<Value>> = OnceLock::new();
    CASES.get_or_init(|| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let corpus = [here.join("tests/corpus"), here.join("../tests/corpus")].into_iter().find(|path| path.is_dir());
        let list = |path: &Path| std::fs::read_dir(path).expect("a folder").map(|entry| entry.expect("a file").path());
        let mut files: Vec<_> = list(&corpus.expect("tests/corpus")).flat_map(|folder| list(&folder)).collect();
        files.sort();
        let read = |path| std::fs::read_to_string(path).expect("a file of the corpus");
        files.into_iter().map(|path| serde_json::from_str(&read(path)).expect("a case in JSON")).collect()
    })
}

/// How many values there are, nested ones included.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

/// Edits the value with this number, counted in the order of the file. Mostly to another value of its type.
fn edit(value: &mut Value, number: &mut usize, how: u8, material: &[u8]) -> bool {
    if *number == 0 {
        let text = || String::from_utf8_lossy(material).into_owned();
        let integer = || material.iter().fold(0_i64, |sum, byte| sum << 8 | i64::from(*byte));
        match (how, &mut *value) {
            (0, _) => *value = Value::Null,
            (1, Value::Array(items)) => _ = items.pop(),
            (2, Value::Array(items)) => items.extend(items.first().cloned()),
            (1, Value::Object(members)) => {
                let name = members.keys().nth(material.first().map_or(0, |byte| usize::from(*byte))).cloned();
                name.and_then(|name| members.remove(&name));
            }
            (_, Value::Object(members)) => _ = members.insert(text(), Value::from(integer())),
            (_, Value::Array(items)) => items.push(Value::from(text())),
            (1, Value::Number(_)) => *value = Value::from(i64::MAX),
            (2, Value::Number(_)) => *value = Value::from(i64::MIN),
            (_, Value::Number(_)) => *value = Value::from(integer()),
            (_, Value::Bool(word)) => *word = !*word,
            (1, Value::String(word)) => *word = format!("{word}{}", text()),
            (2, Value::String(word)) => *word = integer().to_string(),
            (3, Value::Null) => *value = Value::from(integer()),
            (4, Value::Null) => *value = Value::from(true),
            (_, Value::String(_) | Value::Null) => *value = Value::from(text()),
        }
        return true;
    }
    *number -= 1;
    match value {
        Value::Array(items) => items.iter_mut().any(|item| edit(item, number, how, material)),
        Value::Object(members) => members.values_mut().any(|member| edit(member, number, how, material)),
        _ => false,
    }
}
