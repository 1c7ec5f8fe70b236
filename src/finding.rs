//! The types that drivers and `check` share: a question about a source (a [`Check`]), the gathered facts (an
//! [`Inspection`]) and the result (a [`Finding`]). Drivers judge with them, `check` runs and reports; this imports
//! neither.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use crate::heartbeat::Failure;
use crate::plain_text;
use crate::remedy::{Remedy, RemedyDocument};
use crate::target::Target;

/// How bad it is if the check fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing fails.
    Info,
    /// Works today, and may fail later.
    Warning,
    /// The heartbeat is not written, or the connector does not receive it.
    Error,
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The check passed.
    Ok,
    /// The check failed.
    Failed,
    /// The check does not apply here, or the configuration skips it; the finding says which.
    Skipped,
    /// The check could not run; the finding says why, and what it requires.
    Unknown,
}

/// The rungs of the recovery decision tree, in the order of the questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rung {
    /// Is the right server reached?
    Connection,
    /// Do the heartbeat table and its row exist, with the right shape?
    Schema,
    /// Do heartbeatd and the connector have the privileges they need?
    Permission,
    /// Does the server have the resources it needs?
    Resource,
    /// Is the row updated?
    Beating,
    /// Does the connector's log or publication contain the beat?
    Tracking,
    /// Does the connector advance?
    Movement,
    /// Is the connector's position safe?
    Position,
    /// Everything else: advice.
    Advice,
}

/// One question about a source. `check::registry` lists them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// Stable, in kebab-case. Users skip a check, and look it up, by this id.
    pub id: &'static str,
    /// The worst severity of its findings.
    pub severity: Severity,
    /// Its rung in the decision tree.
    pub rung: Rung,
    /// A sentence that is true when the check passes: "the publication lists the heartbeat table".
    pub title: &'static str,
    /// Why it matters: what goes wrong otherwise.
    pub meaning: &'static str,
    /// The facts it is judged from, and when it fails.
    pub judged: &'static str,
    /// The least privilege it requires.
    pub privilege: &'static str,
    /// The vendor page, catalogue or measurement behind it.
    pub source: &'static str,
}

/// How one database answers a check that several share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct How {
    /// The facts it is judged from, and when it fails.
    pub judged: &'static str,
    /// The least privilege it requires.
    pub privilege: &'static str,
    /// The vendor page, catalogue or measurement behind it.
    pub source: &'static str,
}

/// What a check found about one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check.
    pub id: String,
    /// Its severity.
    pub severity: Severity,
    /// Its result.
    pub status: Status,
    /// The object's name, and the server's name if it is not the source.
    pub subject: String,
    /// What was seen; for `skipped` and `unknown`, the reason.
    pub observed: String,
    /// What it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What to do about it.
    #[serde(flatten, serialize_with = "as_document")]
    pub remedy: Option<Remedy>,
}

/// The facts that a driver gathered from one server: typed inside the driver, JSON outside it, so that a saved file
/// holds exactly what is judged. Never holds a secret.
pub type Facts = serde_json::Value;

/// One look at all servers of a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inspection {
    /// When, by this machine's clock, in microseconds since 1970.
    pub taken_at: i64,
    /// The server that heartbeatd writes to.
    pub source: Look,
    /// The servers the connector reads from, by name.
    #[serde(default)]
    pub replicas: Vec<ReplicaLook>,
    /// Each host of the source's address, where it names several and the database shows which primary is newer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostLook>,
}

/// The facts of one server, or why there are none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// Its facts.
    Facts(Facts),
    /// Why there are no facts.
    Failure(FailureRecord),
}

/// One host's look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostLook {
    /// `host:port`.
    pub address: String,
    /// The server there, or why it is unknown.
    pub found: Found,
}

/// The server found at a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// A server.
    Server {
        /// Whether it accepts writes.
        writable: bool,
        /// Identifies its database cluster.
        identity: Option<String>,
        /// Identifies this running server within its cluster.
        instance: Option<String>,
        /// On a primary, the number of promotions of its cluster.
        timeline: Option<u32>,
    },
    /// Why nothing is known about it.
    Failure(FailureRecord),
}

/// One replica's look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplicaLook {
    /// The replica's name.
    pub name: String,
    /// Its facts, or why there are none.
    pub look: Look,
}

/// A failure as data, to keep in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "KeptFailure", into = "KeptFailure")]
pub struct FailureRecord {
    /// Its class.
    pub class: String,
    /// Its kind.
    pub kind: String,
    /// The database's own code.
    pub code: Option<String>,
    /// What happened.
    pub message: String,
    /// The next step.
    pub remedy: Option<Remedy>,
}

/// A failure in a saved file: the remedy as text, which every version reads, and as data if it has a script.
#[derive(Serialize, Deserialize)]
struct KeptFailure {
    class: String,
    kind: String,
    code: Option<String>,
    message: String,
    remedy: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_step: Option<Remedy>,
}

/// Everything a driver judges from: the target's expectations, the newest inspection, and an earlier one if there is
/// one, because only two inspections show movement.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The expectations.
    pub target: &'a Target,
    /// The newest look.
    pub now: &'a Inspection,
    /// A look some time before.
    pub earlier: Option<&'a Inspection>,
}

/// The one line at the end of a target's report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The rung that failed; `None` when the source side is healthy.
    pub rung: Option<Rung>,
    /// What it means.
    pub text: String,
    /// What to do first.
    pub next: String,
}

impl Severity {
    /// The word in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

impl Status {
    /// The word in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Check {
    /// A shared check as one database answers it.
    #[must_use]
    pub const fn how(self, how: How) -> Self {
        Self { judged: how.judged, privilege: how.privilege, source: how.source, ..self }
    }

    /// A shared check with the privilege that one database requires for it.
    #[must_use]
    pub const fn requires(self, privilege: &'static str) -> Self {
        Self { privilege, ..self }
    }

    /// All is well with `subject`.
    #[must_use]
    pub fn ok(&self, subject: impl Into<String>, observed: impl Into<String>) -> Finding {
        self.finding(Status::Ok, self.severity, subject, observed)
    }

    /// The check failed. Add what is expected, and the remedy.
    #[must_use]
    pub fn failed(&self, subject: impl Into<String>, observed: impl Into<String>) -> Finding {
        self.finding(Status::Failed, self.severity, subject, observed)
    }

    /// The check failed with this severity, which is never worse than the check's own.
    #[must_use]
    pub fn failed_as(&self, severity: Severity, subject: impl Into<String>, observed: impl Into<String>) -> Finding {
        self.finding(Status::Failed, severity.min(self.severity), subject, observed)
    }

    /// The check does not apply; `why` completes "skipped:".
    #[must_use]
    pub fn skipped(&self, subject: impl Into<String>, why: impl Into<String>) -> Finding {
        self.finding(Status::Skipped, self.severity, subject, why)
    }

    /// The check could not run; `why` completes "could not check:" and names the required grant.
    #[must_use]
    pub fn unknown(&self, subject: impl Into<String>, why: impl Into<String>) -> Finding {
        self.finding(Status::Unknown, self.severity, subject, why)
    }

    fn finding(
        &self,
        status: Status,
        severity: Severity,
        subject: impl Into<String>,
        observed: impl Into<String>,
    ) -> Finding {
        Finding {
            id: self.id.to_owned(),
            severity,
            status,
            subject: plain_text::on_one_line(subject.into()),
            observed: plain_text::on_one_line(observed.into()),
            expected: None,
            remedy: None,
        }
    }
}

impl Finding {
    /// Adds what is expected.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(plain_text::on_one_line(expected.into()));
        self
    }

    /// The remedy as text.
    #[must_use]
    pub fn next_step(&self) -> Option<String> {
        self.remedy.as_ref().map(ToString::to_string)
    }

    /// Adds the remedy.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<Remedy>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// Writes a remedy among the other keys of a finding.
fn as_document<S: Serializer>(remedy: &Option<Remedy>, serializer: S) -> Result<S::Ok, S::Error> {
    remedy.as_ref().map(|remedy| RemedyDocument::of(Some(remedy))).serialize(serializer)
}

impl From<KeptFailure> for FailureRecord {
    fn from(kept: KeptFailure) -> Self {
        let KeptFailure { class, kind, code, message, remedy, next_step } = kept;
        Self { class, kind, code, message, remedy: next_step.or(remedy.map(Remedy::from)) }
    }
}

impl From<FailureRecord> for KeptFailure {
    fn from(record: FailureRecord) -> Self {
        let FailureRecord { class, kind, code, message, remedy } = record;
        let text = remedy.as_ref().map(ToString::to_string);
        Self { class, kind, code, message, remedy: text, next_step: remedy.filter(|remedy| !remedy.is_advice()) }
    }
}

impl FailureRecord {
    /// The record of a failure.
    #[must_use]
    pub fn of(failure: &Failure) -> Self {
        Self {
            class: failure.class().as_str().to_owned(),
            kind: failure.kind().as_str().to_owned(),
            code: failure.code().map(str::to_owned),
            message: failure.message().to_owned(),
            remedy: failure.remedy().cloned(),
        }
    }
}
