//! What the log says of a target: a line when its state changes, and at most one a minute while it stays bad. Called by
//! the target's loop after each try.

use std::time::Duration;

use super::board::TargetStatus;
use super::health::{self, State};
use crate::heartbeat::ErrorKind;
use crate::target::Target;
use crate::time::clock::Moment;

/// The shortest distance between two lines on the same trouble.
const REMINDER: Duration = Duration::from_secs(60);

/// What was told of one target.
#[derive(Debug)]
pub struct LogThrottle {
    name: String,
    driver: &'static str,
    told: Option<Told>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Told {
    at: Moment,
    trouble: Option<ErrorKind>,
    state: State,
    since: Option<Moment>,
}

impl LogThrottle {
    /// Nothing told so far.
    #[must_use]
    pub fn new(target: &Target) -> Self {
        Self { name: target.name.clone(), driver: target.driver(), told: None }
    }

    /// Tells what changed since the last line, or reminds of what stays bad.
    pub fn tell(&mut self, status: &TargetStatus, now: Moment) {
        let state = health::judge(status, now).state;
        let trouble = status.trouble.as_ref().map(|trouble| trouble.failure.kind());
        if !self.is_due(state, trouble, now) {
            return;
        }
        self.write(status, state, now);
        let since = status.trouble.as_ref().map(|trouble| trouble.since);
        self.told = Some(Told { at: now, trouble, state, since });
    }

    fn is_due(&self, state: State, trouble: Option<ErrorKind>, now: Moment) -> bool {
        let Some(told) = self.told else { return true };
        if told.trouble.is_none() && trouble.is_none() {
            return told.state != state;
        }
        // A trouble that changes its face is told at once; one that flickers between two faces is not told each time.
        let changed = (told.trouble, told.state) != (trouble, state);
        let minute_passed = now.age_of(told.at) >= REMINDER;
        minute_passed || changed && (trouble.is_none() || told.trouble.is_none() || told.state != state)
    }

    fn write(&self, status: &TargetStatus, state: State, now: Moment) {
        let (target, driver, state) = (self.name.as_str(), self.driver, state.as_str());
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
            None => match self.told.and_then(|told| told.since) {
                Some(since) => {
                    let failed_for_s = now.age_of(since).as_secs();
                    tracing::info!(target, driver, state, address, failed_for_s, "heartbeat is back");
                }
                None => tracing::info!(target, driver, state, address, "heartbeat"),
            },
        }
    }
}
