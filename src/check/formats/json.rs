//! The report for programs. `docs/check-report.schema.json` is its schema; `format` increases with each change that
//! breaks readers.

use serde::Serialize;
use serde_json::{Value, json};

use crate::check::report::{Report, documentation};
use crate::finding::{Finding, Severity, Status, Verdict};

/// The format of the report.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    heartbeatd: &'static str,
    taken_at: &'a str,
    targets: Vec<Target<'a>>,
    unfinished: &'a [String],
    summary: Value,
}

#[derive(Serialize)]
struct Target<'a> {
    name: &'a str,
    driver: &'a str,
    address: &'a str,
    verdict: &'a Verdict,
    findings: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(flatten)]
    finding: &'a Finding,
    documentation: String,
}

/// The whole report, indented.
pub(super) fn render(report: &Report) -> String {
    let all = || report.targets.iter().flat_map(|target| &target.findings);
    let count = |status, severity| all().filter(|f| f.status == status && f.severity == severity).count();
    let of = |status| all().filter(|finding| finding.status == status).count();
    let document = Document {
        format: FORMAT,
        heartbeatd: env!("CARGO_PKG_VERSION"),
        taken_at: &report.taken_at,
        targets: report
            .targets
            .iter()
            .map(|target| Target {
                name: &target.name,
                driver: target.driver,
                address: &target.address,
                verdict: &target.verdict,
                findings: target
                    .findings
                    .iter()
                    .map(|finding| Entry { finding, documentation: documentation(&finding.id) })
                    .collect(),
            })
            .collect(),
        unfinished: &report.unfinished,
        summary: json!({
            "failed": {
                "error": count(Status::Failed, Severity::Error),
                "warning": count(Status::Failed, Severity::Warning),
                "info": count(Status::Failed, Severity::Info),
            },
            "unknown": of(Status::Unknown),
            "ok": of(Status::Ok),
            "skipped": of(Status::Skipped),
        }),
    };
    // Strings, numbers and maps with text keys: serde_json cannot refuse them.
    serde_json::to_string_pretty(&document).unwrap_or_default()
}
