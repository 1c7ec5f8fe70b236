//! What is said of all targets: the report, and its forms for people (`text`) and for programs (`json`).

pub mod json;
pub mod text;

use super::registry::Entry;
use super::verdict;
use crate::finding::{Finding, Severity, Status, Verdict};

/// All targets' reports.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// One per target, in the order of the configuration.
    pub targets: Vec<TargetReport>,
    /// Targets that were not done when the check was interrupted, by name.
    pub unfinished: Vec<String>,
}

/// One target's report.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetReport {
    /// Its name.
    pub name: String,
    /// The `driver` label.
    pub driver: &'static str,
    /// Its address, without a password.
    pub address: String,
    /// Every finding.
    pub findings: Vec<Finding>,
    /// What comes first.
    pub verdict: Verdict,
}

/// The level from which the exit code is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum FailOn {
    /// A failed check of severity error.
    Error,
    /// Also one of severity warning.
    Warning,
    /// Also a check that could not be told.
    Unknown,
}

impl TargetReport {
    /// Keeps the findings that `keep` wants, and climbs the decision tree on them.
    #[must_use]
    pub fn new(
        name: &str,
        driver: &'static str,
        address: String,
        findings: Vec<Finding>,
        entries: &[Entry],
        keep: impl Fn(&str) -> bool,
    ) -> Self {
        let findings: Vec<_> = findings.into_iter().filter(|finding| keep(&finding.id)).collect();
        let verdict = verdict::climb(&findings, entries);
        Self { name: name.to_owned(), driver, address, findings, verdict }
    }

    /// How many findings have this status.
    #[must_use]
    pub fn count(&self, status: Status) -> usize {
        self.findings.iter().filter(|finding| finding.status == status).count()
    }
}

impl Report {
    /// Whether something is at or above the level.
    #[must_use]
    pub fn fails(&self, level: FailOn) -> bool {
        self.targets.iter().flat_map(|target| &target.findings).any(|finding| match finding.status {
            Status::Failed if finding.severity == Severity::Error => true,
            Status::Failed if finding.severity == Severity::Warning => level >= FailOn::Warning,
            Status::Unknown => level == FailOn::Unknown,
            _ => false,
        })
    }
}

/// Where a check's page is, from the top of the project.
#[must_use]
pub fn documentation(id: &str) -> String {
    format!("docs/checks/{id}.md")
}

/// The order in which findings are read: what failed first, errors before warnings, then what could not be told.
fn reading_order(finding: &Finding) -> (u8, std::cmp::Reverse<Severity>) {
    let by_status = match finding.status {
        Status::Failed => 0,
        Status::Unknown => 1,
        Status::Ok => 2,
        Status::Skipped => 3,
    };
    (by_status, std::cmp::Reverse(finding.severity))
}
