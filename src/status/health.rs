//! Judges a target's state: pure functions from the board's facts to a verdict. `/health`, the metrics and the log
//! call them.

use std::time::Duration;

use super::board::{Board, Notice, ReplicaStatus, SPLIT_BRAIN, TargetStatus, Trouble};
use crate::driver::ServerRole;
use crate::driver::timelines::SPLIT_BRAIN_REMEDY;
use crate::finding::{Finding, Severity, Status};
use crate::heartbeat::ErrorClass;
use crate::remedy::Remedy;
use crate::target::WriteMode;
use crate::time::clock::Moment;

/// A loop that overslept its own wake-up by more than this is stuck.
pub const OVERSLEPT: Duration = Duration::from_secs(30);

/// The verdict on one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Disabled by the configuration.
    Disabled,
    /// No change of `last_update` yet, and not overdue.
    Starting,
    /// The newest change is recent enough.
    Healthy,
    /// The second scheduled tick after the newest change has passed, and the time-out too; or a required replica does
    /// not receive the beat.
    Unhealthy,
}

/// A target's verdict and its reasons.
#[derive(Debug, Clone)]
pub struct Health {
    /// The verdict.
    pub state: State,
    /// The reasons, worst first, including those that do not turn it red.
    pub reasons: Vec<Reason>,
}

/// One reason.
#[derive(Debug, Clone)]
pub struct Reason {
    /// The class of the failure; `None` if no server reported one (a beat that is only overdue).
    pub class: Option<ErrorClass>,
    /// The kind, or a word for a reason other than a failure (`overdue`, `replica_not_receiving` …).
    pub kind: &'static str,
    /// The database's own code.
    pub code: Option<String>,
    /// What happened.
    pub message: String,
    /// The exact next step.
    pub remedy: Option<Remedy>,
    /// Since when.
    pub since: Moment,
    /// The replica this is about.
    pub replica: Option<String>,
}

impl Health {
    /// The number of problems of a target whose heartbeat is written. Zero in every other state.
    #[must_use]
    pub fn problems(&self) -> usize {
        if self.state == State::Healthy { self.reasons.len() } else { 0 }
    }
}

impl State {
    /// The word in JSON and on the page.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }

    /// Whether `/health` may answer 200 with a target in this state.
    #[must_use]
    pub fn is_fine(self) -> bool {
        matches!(self, Self::Disabled | Self::Healthy)
    }
}

/// Judges one target (I8).
#[must_use]
pub fn judge(status: &TargetStatus, now: Moment) -> Health {
    if !status.target.enabled {
        return Health { state: State::Disabled, reasons: Vec::new() };
    }
    let anchor = status.newest_change.map_or(status.started, |change| change.at);
    let overdue = now.age_of(anchor) > status.overdue_after;
    let mut reasons: Vec<Reason> = status.trouble.iter().map(|trouble| Reason::of(trouble, None)).collect();
    if overdue && reasons.is_empty() {
        reasons.push(overdue_reason(status, anchor));
    }
    let mut required_missing = false;
    for (name, replica) in &status.replicas {
        if let Some(reason) = judge_replica(status, name, replica, now) {
            // A replica that cannot be inspected gets as much time as the source: one failed look turns nothing red.
            let patience = replica.trouble.is_some() && now.age_of(reason.since) <= status.overdue_after;
            required_missing |= replica.required && !patience;
            reasons.push(reason);
        }
    }
    reasons.extend(status.notices.get(SPLIT_BRAIN).map(Reason::of_split_brain));
    if let Some(checked) = &status.checked {
        let is_problem =
            |finding: &&Finding| finding.status == Status::Failed && checked.problems.contains(&finding.id);
        for finding in checked.findings.iter().filter(is_problem) {
            required_missing |= status.target.checks.required && finding.severity == Severity::Error;
            reasons.push(Reason::of_check(finding, checked.at));
        }
    }
    let state = match (overdue || required_missing, status.newest_change) {
        (true, _) => State::Unhealthy,
        (false, None) => State::Starting,
        (false, Some(_)) => State::Healthy,
    };
    Health { state, reasons }
}

fn overdue_reason(status: &TargetStatus, since: Moment) -> Reason {
    let message = match (status.target.write, status.newest_change) {
        (WriteMode::Never, _) => "last_update has not changed for more than two ticks".to_owned(),
        (_, None) => "no beat has succeeded since the start".to_owned(),
        (_, Some(_)) => "no beat has succeeded for more than two ticks".to_owned(),
    };
    let remedy = (status.target.write == WriteMode::Never)
        .then(|| "start the writer that this target relies on, or set write = \"when-stale\"".into());
    Reason { class: None, kind: "overdue", code: None, message, remedy, since, replica: None }
}

fn judge_replica(status: &TargetStatus, name: &str, replica: &ReplicaStatus, now: Moment) -> Option<Reason> {
    if let Some(trouble) = &replica.trouble {
        return Some(Reason::of(trouble, Some(name)));
    }
    let reason = |kind, message: String, remedy: &str, since| Reason {
        class: None,
        kind,
        code: None,
        message,
        remedy: Some(remedy.into()),
        since,
        replica: Some(name.to_owned()),
    };
    if replica.role == Some(ServerRole::Primary) {
        return Some(reason(
            "not_a_replica",
            format!("replica \"{name}\" is not a standby: its address leads to a primary"),
            "give the replica's own address, or take the entry out",
            status.started,
        ));
    }
    match replica.lag {
        Some(lag) if lag > status.overdue_after => Some(reason(
            "replica_not_receiving",
            format!("the heartbeat has not arrived at replica \"{name}\" for {} s", lag.as_secs()),
            "look at the replica's replication: on PostgreSQL, pg_stat_replication on the primary and \
             pg_stat_wal_receiver on the replica",
            replica.behind_since.unwrap_or(now),
        )),
        _ => None,
    }
}

impl Reason {
    fn of_check(finding: &Finding, at: Moment) -> Self {
        Self {
            class: None,
            kind: "check_failed",
            code: Some(finding.id.clone()),
            message: format!("{}: {}", finding.subject, finding.observed),
            remedy: finding.remedy.clone(),
            since: at,
            replica: None,
        }
    }

    fn of_split_brain(notice: &Notice) -> Self {
        Self {
            class: None,
            kind: SPLIT_BRAIN,
            code: None,
            message: notice.message.clone(),
            remedy: Some(SPLIT_BRAIN_REMEDY.into()),
            since: notice.since,
            replica: None,
        }
    }

    fn of(trouble: &Trouble, replica: Option<&str>) -> Self {
        Self {
            class: Some(trouble.failure.class()),
            kind: trouble.failure.kind().as_str(),
            code: trouble.failure.code().map(str::to_owned),
            message: trouble.failure.message().to_owned(),
            remedy: trouble.failure.remedy().cloned(),
            since: trouble.since,
            replica: replica.map(str::to_owned),
        }
    }
}

/// The name of the first target whose loop has overslept its wake-up by more than [`OVERSLEPT`]; `None` if all loops
/// run.
#[must_use]
pub fn stuck_loop(board: &Board, now: Moment) -> Option<String> {
    let overslept = |wake_up: Moment| now.mono.saturating_duration_since(wake_up.mono) > OVERSLEPT;
    board.cells().iter().find_map(|cell| {
        let status = cell.lock();
        status.wake_up.filter(|at| overslept(*at)).map(|_| format!("target {}", status.target.name))
    })
}

/// Whether every enabled target was tried at least once.
#[must_use]
pub fn is_ready(board: &Board) -> bool {
    board.cells().iter().all(|cell| {
        let status = cell.lock();
        status.tried || !status.target.enabled
    })
}
