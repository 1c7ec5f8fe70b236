//! Decides what the log says of a target: a line when its state changes, and at most one a minute while a problem
//! lasts. The target's loop calls it after each try.

use std::time::Duration;

use super::board::TargetStatus;
use super::health::{self, Health, State};
use crate::heartbeat::ErrorKind;
use crate::target::Target;
use crate::time::clock::Moment;

/// The shortest time between two lines about the same problem.
const REMINDER: Duration = Duration::from_secs(60);

/// What the log said of one target.
#[derive(Debug)]
pub struct LogThrottle {
    name: String,
    driver: &'static str,
    last_line: Option<LastLine>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct LastLine {
    at: Moment,
    trouble: Option<ErrorKind>,
    state: State,
    since: Option<Moment>,
}

impl LogThrottle {
    /// The log has said nothing of this target.
    #[must_use]
    pub fn new(target: &Target) -> Self {
        Self { name: target.name.clone(), driver: target.driver(), last_line: None }
    }

    /// Logs what changed since the last line, or reminds of a lasting problem.
    pub fn log_change(&mut self, status: &TargetStatus, now: Moment) {
        let health = health::judge(status, now);
        let state = health.state;
        let trouble = status.trouble.as_ref().map(|trouble| trouble.failure.kind());
        if !self.is_due(state, trouble, now) {
            return;
        }
        self.write(status, &health, now);
        let since = status.trouble.as_ref().map(|trouble| trouble.since);
        self.last_line = Some(LastLine { at: now, trouble, state, since });
    }

    fn is_due(&self, state: State, trouble: Option<ErrorKind>, now: Moment) -> bool {
        let Some(last_line) = self.last_line else { return true };
        if last_line.trouble.is_none() && trouble.is_none() {
            return last_line.state != state;
        }
        // A different problem is logged at once; a target that alternates between two problems is not logged each time.
        let changed = (last_line.trouble, last_line.state) != (trouble, state);
        let minute_passed = now.age_of(last_line.at) >= REMINDER;
        minute_passed || changed && (trouble.is_none() || last_line.trouble.is_none() || last_line.state != state)
    }

    fn write(&self, status: &TargetStatus, health: &Health, now: Moment) {
        let (target, driver, state) = (self.name.as_str(), self.driver, health.state.as_str());
        let address = status.server.as_ref().map_or("", |server| server.address.as_str());
        match &status.trouble {
            Some(trouble) => {
                let failure = &trouble.failure;
                tracing::warn!(
                    target,
                    driver,
                    state,
                    class = failure.class().as_str(),
                    kind = failure.kind().as_str(),
                    code = failure.code(),
                    error = failure.message(),
                    remedy = failure.remedy().map(tracing::field::display),
                    attempts = trouble.attempts,
                    failing_for_s = now.age_of(trouble.since).as_secs(),
                    "no heartbeat"
                );
            }
            // Red although beats are written: a replica or a check is the reason.
            None if health.state == State::Unhealthy => {
                let reason = health.reasons.first();
                tracing::warn!(
                    target,
                    driver,
                    state,
                    kind = reason.map(|reason| reason.kind),
                    code = reason.and_then(|reason| reason.code.as_deref()),
                    replica = reason.and_then(|reason| reason.replica.as_deref()),
                    error = reason.map(|reason| reason.message.as_str()),
                    remedy = reason.and_then(|reason| reason.remedy.as_ref()).map(tracing::field::display),
                    "unhealthy"
                );
            }
            None => match self.last_line.and_then(|last_line| last_line.since) {
                Some(since) => {
                    let failed_for_s = now.age_of(since).as_secs();
                    tracing::info!(target, driver, state, address, failed_for_s, "heartbeat is back");
                }
                None => tracing::info!(target, driver, state, address, "heartbeat"),
            },
        }
    }
}
