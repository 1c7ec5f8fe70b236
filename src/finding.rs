//! The vocabulary of checks: what can be asked of a source (a [`Check`]), what was gathered (an [`Inspection`]), and
//! what it means (a [`Finding`]). Drivers judge in it, `check` runs and reports it; it imports neither.

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
    /// Worth knowing.
    Info,
    /// It will hurt some day.
    Warning,
    /// Heartbeats are not made, not tracked, or not delivered.
    Error,
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it must be.
    Ok,
    /// Not as it must be.
    Failed,
    /// Does not apply here, or was left out by configuration; the finding says which.
    Skipped,
    /// Could not be told; the finding says why, and what it takes.
    Unknown,
}

/// The rungs of the recovery decision tree, in the order in which they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rung {
    /// Is the right server reached?
    Connection,
    /// Is the table as it must be?
    Schema,
    /// May heartbeatd and the connector do what they must?
    Permission,
    /// Does the server have what it needs?
    Resource,
    /// Is the row beaten?
    Beating,
    /// Does the beat get into what the connector reads?
    Tracking,
    /// Does the connector move?
    Movement,
    /// Is the connector's position safe?
    Position,
    /// Everything else: advice.
    Advice,
}

/// One thing that can be asked of a source. The registry of all of them is `check::registry`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// Stable, in kebab-case: what users skip and look up.
    pub id: &'static str,
    /// The worst it can be; a finding may be milder.
    pub severity: Severity,
    /// Where it stands in the decision tree.
    pub rung: Rung,
    /// A sentence that is true when all is well: "the publication lists the heartbeat table".
    pub title: &'static str,
    /// Why it matters: what goes wrong otherwise.
    pub meaning: &'static str,
    /// From which facts it is judged, and when it fails.
    pub judged: &'static str,
    /// The least privilege that lets it be answered.
    pub privilege: &'static str,
    /// The vendor page, catalogue or measurement it rests on.
    pub source: &'static str,
}

/// What a check found about one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check.
    pub id: String,
    /// How bad it is.
    pub severity: Severity,
    /// What came of it.
    pub status: Status,
    /// What it is about: an object's name, and the endpoint where it is not the source.
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

/// What a driver gathered from one server, in its own shape: typed inside the driver, plain JSON at the seam, so that
/// what is judged is always exactly what a saved file holds. Never holds a secret.
pub type Facts = serde_json::Value;

/// One look at all servers of a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inspection {
    /// When, by the clock here, in microseconds since 1970.
    pub taken_at: i64,
    /// The server that is beaten.
    pub source: Look,
    /// The servers the connector reads from, by name.
    #[serde(default)]
    pub replicas: Vec<ReplicaLook>,
    /// Each host of the source's address by itself, where there are several and the database tells their age.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostLook>,
}

/// What one server gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// Its facts.
    Facts(Facts),
    /// Why there are none.
    Failure(FailureRecord),
}

/// One host's look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostLook {
    /// `host:port`.
    pub address: String,
    /// What is there.
    pub found: Found,
}

/// What was found at a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// A server.
    Server {
        /// Whether it takes writes.
        writable: bool,
        /// What tells its database cluster from another one.
        identity: Option<String>,
        /// What tells this running server from another one of that cluster.
        instance: Option<String>,
        /// Of a primary, how many promotions its cluster has gone through.
        timeline: Option<u32>,
    },
    /// Why nothing is known.
    Failure(FailureRecord),
}

/// One replica's look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplicaLook {
    /// The replica's name.
    pub name: String,
    /// What it gave.
    pub look: Look,
}

/// A failure in a form that can be kept.
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

/// A failure as a saved file holds it: the remedy as text, which every version reads, and whole where it can be run.
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

/// Everything a driver judges from: the target's expectations, the newest inspection, and an earlier one where two looks
/// were taken (what moves cannot be judged from one).
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// What is expected.
    pub target: &'a Target,
    /// The newest look.
    pub now: &'a Inspection,
    /// A look some time before.
    pub earlier: Option<&'a Inspection>,
}

/// The one line at the end of a target's report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The rung at which something is wrong; `None` when the source side is healthy.
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
    /// All is well with `subject`.
    #[must_use]
    pub fn ok(&self, subject: impl Into<String>, observed: impl Into<String>) -> Finding {
        self.finding(Status::Ok, self.severity, subject, observed)
    }

    /// The check failed; add what is expected and the remedy.
    #[must_use]
    pub fn failed(&self, subject: impl Into<String>, observed: impl Into<String>) -> Finding {
        self.finding(Status::Failed, self.severity, subject, observed)
    }

    /// The check failed, and it is only as bad as this (never worse than the check's own severity).
    #[must_use]
    pub fn failed_as(&self, severity: Severity, subject: impl Into<String>, observed: impl Into<String>) -> Finding {
        self.finding(Status::Failed, severity.min(self.severity), subject, observed)
    }

    /// The check does not apply; `why` completes "skipped:".
    #[must_use]
    pub fn skipped(&self, subject: impl Into<String>, why: impl Into<String>) -> Finding {
        self.finding(Status::Skipped, self.severity, subject, why)
    }

    /// It could not be told; `why` completes "could not check:", and names the grant it takes.
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
    /// Says what should be.
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

    /// Says what to do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<Remedy>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// A remedy beside the other keys of a finding.
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
