//! The report on all targets, and which findings count for the exit code. `commands::check` makes it, `formats` writes
//! it.

use super::registry::Entry;
use super::verdict;
use crate::finding::{Finding, Severity, Status, Verdict};

/// All targets' reports.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// One per target, in the order of the configuration.
    pub targets: Vec<TargetReport>,
    /// The names of targets that an interrupt left unfinished. A target whose first of two looks ended still has a
    /// report.
    pub unfinished: Vec<String>,
    /// When the check began, in RFC 3339.
    pub taken_at: String,
    /// The level that decides the exit code.
    pub fail_on: FailOn,
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
    /// Its line in the configuration, if that file is below the working directory.
    pub location: Option<Location>,
    /// Every finding.
    pub findings: Vec<Finding>,
    /// The verdict.
    pub verdict: Verdict,
}

/// A line of a file, in the form that repository hosts use for lookups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The path from the working directory, with slashes.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs; the schema is docs/check-report.schema.json.
    Json,
    /// For the test reports of CI servers.
    Junit,
    /// For code scanning.
    Sarif,
    /// Annotations of GitHub Actions.
    Github,
    /// For step summaries and merge requests.
    Markdown,
}

/// What the exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// No finding at or above the level: exit code 0.
    Passed,
    /// At least one: exit code 1.
    Failed,
    /// Not every target was looked at: exit code 130.
    Interrupted,
}

/// The level from which on the exit code is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum FailOn {
    /// A failed check of severity error.
    Error,
    /// Also a failed check of severity warning.
    Warning,
    /// Also a check that could not run.
    Unknown,
}

impl FailOn {
    /// Whether a finding turns the exit code to 1.
    #[must_use]
    pub fn counts(self, finding: &Finding) -> bool {
        match finding.status {
            Status::Failed => match finding.severity {
                Severity::Error => true,
                Severity::Warning => self >= Self::Warning,
                Severity::Info => false,
            },
            Status::Unknown => self == Self::Unknown,
            Status::Ok | Status::Skipped => false,
        }
    }
}

impl TargetReport {
    /// Keeps the findings that `keep` accepts, and recomputes the verdict from them.
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
        Self { name: name.to_owned(), driver, address, location: None, findings, verdict }
    }

    /// Sets where the target was configured.
    #[must_use]
    pub fn located(mut self, location: Option<Location>) -> Self {
        self.location = location;
        self
    }

    /// How many findings have this status.
    #[must_use]
    pub fn count(&self, status: Status) -> usize {
        self.findings.iter().filter(|finding| finding.status == status).count()
    }

    /// How many failed checks have this severity.
    #[must_use]
    pub fn failed(&self, severity: Severity) -> usize {
        let failed = |finding: &&Finding| finding.status == Status::Failed && finding.severity == severity;
        self.findings.iter().filter(failed).count()
    }
}

impl Report {
    /// What the exit code says.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        if !self.unfinished.is_empty() {
            return Outcome::Interrupted;
        }
        if self.failing().next().is_some() { Outcome::Failed } else { Outcome::Passed }
    }

    /// The targets with a finding at or above the level.
    pub(in crate::check) fn failing(&self) -> impl Iterator<Item = &TargetReport> {
        self.targets.iter().filter(|target| target.findings.iter().any(|finding| self.fail_on.counts(finding)))
    }

    /// One line that agrees with the exit code and gives the numbers.
    #[must_use]
    pub fn summary(&self) -> String {
        let sum = |of: &dyn Fn(&TargetReport) -> usize| self.targets.iter().map(of).sum::<usize>();
        let failed = |severity| sum(&|target: &TargetReport| target.failed(severity));
        let targets = match self.outcome() {
            Outcome::Passed => format!("passed: {}", counted(self.targets.len(), "target")),
            Outcome::Failed => {
                format!(
                    "failed: {} of {}",
                    grouped_digits(self.failing().count()),
                    counted(self.targets.len(), "target")
                )
            }
            Outcome::Interrupted => {
                let reported = |name: &&String| self.targets.iter().any(|target| target.name == **name);
                let all = self.targets.len() + self.unfinished.iter().filter(|name| !reported(name)).count();
                format!("interrupted: {} of {} finished", all - self.unfinished.len(), counted(all, "target"))
            }
        };
        let level = match self.fail_on {
            FailOn::Error => "fails on errors",
            FailOn::Warning => "fails on errors and warnings",
            FailOn::Unknown => "fails on errors, warnings and unknown",
        };
        format!(
            "{targets}; {}, {}, {} info, {} unknown ({level})",
            counted(failed(Severity::Error), "error"),
            counted(failed(Severity::Warning), "warning"),
            grouped_digits(failed(Severity::Info)),
            grouped_digits(sum(&|target: &TargetReport| target.count(Status::Unknown)))
        )
    }
}

impl Format {
    /// The word on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Junit => "junit",
            Self::Sarif => "sarif",
            Self::Github => "github",
            Self::Markdown => "markdown",
        }
    }
}

/// The path of a check's page, from the top of the project.
#[must_use]
pub fn documentation(id: &str) -> String {
    format!("docs/checks/{id}.md")
}

/// The order of findings: failed ones first, errors before warnings, then those that could not run.
pub(in crate::check) fn reading_order(finding: &Finding) -> (u8, std::cmp::Reverse<Severity>) {
    let by_status = match finding.status {
        Status::Failed => 0,
        Status::Unknown => 1,
        Status::Ok => 2,
        Status::Skipped => 3,
    };
    (by_status, std::cmp::Reverse(finding.severity))
}

/// Whether the finding needs attention. A quiet report keeps only those that do.
pub(in crate::check) fn needs_attention(finding: &Finding) -> bool {
    match finding.status {
        Status::Failed => finding.severity > Severity::Info,
        Status::Unknown => true,
        Status::Ok | Status::Skipped => false,
    }
}

/// A number with its noun.
pub(in crate::check) fn counted(number: usize, noun: &str) -> String {
    if number == 1 { format!("{number} {noun}") } else { format!("{} {noun}s", grouped_digits(number)) }
}

/// A number with its thousands separated.
pub(in crate::check) fn grouped_digits(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
