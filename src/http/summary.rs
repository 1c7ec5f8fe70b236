//! What `/health`, `/targets` and the page show of each target: copied under its lock, then written without the lock.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::status::board::{Board, Change, LastBeat, Notice, TargetStatus};
use crate::status::health::{self, Health, Reason, State};
use crate::target::Target;
use crate::time::clock::Moment;

/// One target at one moment.
#[derive(Debug)]
pub(super) struct Summary {
    pub(super) target: Arc<Target>,
    pub(super) health: Health,
    /// When this state began, if the board knows.
    pub(super) since: Option<Moment>,
    pub(super) newest_change: Option<Change>,
    pub(super) last_beat: Option<LastBeat>,
    pub(super) next_due: Option<Moment>,
    pub(super) notices: BTreeMap<&'static str, Notice>,
}

/// All targets, by name.
pub(super) fn summaries(board: &Board, now: Moment) -> Vec<Summary> {
    board.cells().iter().map(|cell| Summary::of(&cell.lock(), now)).collect()
}

impl Summary {
    /// Copies what is shown of a target.
    pub(super) fn of(status: &TargetStatus, now: Moment) -> Self {
        let health = health::judge(status, now);
        Self {
            target: Arc::clone(&status.target),
            since: since(status, &health),
            newest_change: status.newest_change,
            last_beat: status.last_beat.clone(),
            next_due: status.next_due,
            notices: status.notices.clone(),
            health,
        }
    }

    pub(super) fn state(&self) -> State {
        self.health.state
    }
}

/// When a state began: for `starting` when the target began, for `unhealthy` when the oldest reason that may turn it
/// red began. The board does not record when a target became healthy.
fn since(status: &TargetStatus, health: &Health) -> Option<Moment> {
    let counts = |reason: &&Reason| match &reason.replica {
        Some(name) => status.replicas.get(name).is_some_and(|replica| replica.required),
        None => true,
    };
    match health.state {
        State::Starting => Some(status.started),
        State::Unhealthy => health.reasons.iter().filter(counts).map(|reason| reason.since).min_by_key(|at| at.wall),
        State::Disabled | State::Healthy => None,
    }
}

/// The state of several targets together: `healthy` only if each enabled target is.
pub(super) fn overall(summaries: &[Summary]) -> State {
    if summaries.iter().any(|summary| summary.state() == State::Unhealthy) {
        return State::Unhealthy;
    }
    if summaries.iter().all(|summary| summary.state().is_fine()) { State::Healthy } else { State::Starting }
}
