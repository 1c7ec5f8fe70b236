//! The documents of `/live`, `/ready` and `/health`, for orchestrators, load balancers and the people on call.

use serde::Serialize;

use super::summary::{Summary, overall, summaries};
use crate::remedy::RemedyDocument;
use crate::status::board::Board;
use crate::status::health::{self, Reason};
use crate::time::clock::Moment;

/// `/live`.
#[derive(Debug, Serialize)]
pub(super) struct Liveness {
    status: &'static str,
    /// The loop that is late.
    stuck: Option<String>,
}

/// `/ready`.
#[derive(Debug, Serialize)]
pub(super) struct Readiness {
    status: &'static str,
    /// Enabled targets that were not tried yet.
    waiting_for: Vec<String>,
}

/// `/health`.
#[derive(Debug, Serialize)]
pub(super) struct HealthDocument {
    status: &'static str,
    targets: Vec<TargetHealth>,
}

/// The state of one target: complete in `/health`, the first part elsewhere.
#[derive(Debug, Serialize)]
pub(super) struct TargetHealth {
    name: String,
    driver: &'static str,
    state: &'static str,
    /// How many problems the target has although it is healthy; the reasons name them.
    problems: usize,
    since: Option<String>,
    newest_change: Option<String>,
    reasons: Vec<ReasonDocument>,
}

#[derive(Debug, Serialize)]
struct ReasonDocument {
    class: Option<&'static str>,
    kind: &'static str,
    code: Option<String>,
    message: String,
    #[serde(flatten)]
    remedy: RemedyDocument,
    since: String,
    replica: Option<String>,
}

impl Liveness {
    pub(super) fn of(board: &Board, now: Moment) -> Self {
        let stuck = health::stuck_loop(board, now);
        Self { status: if stuck.is_none() { "alive" } else { "stuck" }, stuck }
    }

    pub(super) fn is_good(&self) -> bool {
        self.stuck.is_none()
    }
}

impl Readiness {
    pub(super) fn of(board: &Board) -> Self {
        // Releases the lock of the process before it takes the targets' locks.
        let stopping = board.process().stopping;
        let status = match (stopping, health::is_ready(board)) {
            (true, _) => "stopping",
            (false, true) => "ready",
            (false, false) => "starting",
        };
        let untried = board.cells().into_iter().filter_map(|cell| {
            let status = cell.lock();
            (status.target.enabled && !status.tried).then(|| status.target.name.clone())
        });
        Self { status, waiting_for: untried.collect() }
    }

    pub(super) fn is_good(&self) -> bool {
        self.status == "ready"
    }
}

impl HealthDocument {
    /// The document, and whether every enabled target is healthy.
    pub(super) fn of(board: &Board, now: Moment) -> (Self, bool) {
        let summaries = summaries(board, now);
        let overall = overall(&summaries);
        let targets = summaries.into_iter().map(TargetHealth::from).collect();
        (Self { status: overall.as_str(), targets }, overall.is_fine())
    }
}

impl From<Summary> for TargetHealth {
    fn from(summary: Summary) -> Self {
        Self {
            name: summary.target.name.clone(),
            driver: summary.target.driver(),
            state: summary.state().as_str(),
            problems: summary.health.problems(),
            since: summary.since.map(|at| at.to_rfc3339()),
            newest_change: summary.newest_change.map(|change| change.at.to_rfc3339()),
            reasons: summary.health.reasons.into_iter().map(ReasonDocument::from).collect(),
        }
    }
}

impl From<Reason> for ReasonDocument {
    fn from(reason: Reason) -> Self {
        Self {
            class: reason.class.map(crate::heartbeat::ErrorClass::as_str),
            kind: reason.kind,
            code: reason.code,
            message: reason.message,
            remedy: RemedyDocument::of(reason.remedy.as_ref()),
            since: reason.since.to_rfc3339(),
            replica: reason.replica,
        }
    }
}
