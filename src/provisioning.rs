//! Creates what is missing at a source: opens a session as an administrator, gets a plan from the driver and applies it
//! step by step. `commands::provision` and (with `provision = "auto"`) `scheduler::connection` call it.

use std::time::Duration;

use crate::driver::opening::{Known, TargetContext};
use crate::driver::timelines::Timelines;
use crate::driver::{Purpose, Session, SessionAccount};
use crate::heartbeat::{ErrorClass, ErrorKind, Failure};
use crate::plan::{Plan, Step};
use crate::target::Target;
use crate::time::clock::{self, Clock, Instant};

/// The result of applying a plan.
#[derive(Debug, Default)]
pub struct Applied {
    /// Titles of the steps that ran, and whose effect was seen or could not be looked at.
    pub done: Vec<String>,
    /// Steps that failed, and failures of the plan itself, which no step can repair (without a step).
    pub failed: Vec<(Option<Step>, Failure)>,
    /// The plan's notices.
    pub notices: Vec<String>,
}

impl Applied {
    /// Whether a failure only follows from an earlier failed step: the object that the step was to create is missing.
    fn explains(&self, failure: &Failure) -> bool {
        let missing = matches!(failure.kind(), ErrorKind::MissingSchema | ErrorKind::MissingTable);
        missing && self.failed.iter().any(|(step, _)| step.is_some())
    }

    /// What was done and is planned again had no effect: a server may accept a statement and keep nothing of it.
    fn look_again(&mut self, plan: Option<Plan>) {
        for step in plan.map(|plan| plan.steps).unwrap_or_default() {
            if !self.done.contains(&step.title) {
                continue;
            }
            self.done.retain(|title| *title != step.title);
            let failure = Failure::new(
                ErrorKind::Rejected,
                "the server accepted the step, and what it is to make is still missing",
            );
            let remedy = "find what undoes it: a trigger, a rule or a policy of the table, its storage engine, or another program";
            self.failed.push((Some(step), failure.with_remedy(remedy)));
        }
    }

    /// The failure that prevents a beat: the first failed step, otherwise what no step can repair.
    #[must_use]
    pub fn obstacle(&self) -> Option<&Failure> {
        let step = self.failed.iter().find(|(step, _)| step.is_some());
        step.or(self.failed.first()).map(|(_, failure)| failure)
    }
}

/// How often to plan again while others create the same objects.
const TRIES: u32 = 10;
/// The longest pause before the first of these tries, in milliseconds; it grows by the same amount with each try.
const PAUSE_MS: u64 = 50;

/// Connects as the administrator of a target (`provision_url`, or its own address) and creates what is missing; never
/// on a former primary that `timelines` knows.
///
/// # Errors
/// When connecting or planning fails; failed steps are part of the result.
pub async fn provision_target(
    context: &TargetContext,
    timelines: Option<&Timelines>,
    deadline: Instant,
) -> Result<Applied, Failure> {
    let (mut session, notice) = open_for_provisioning(context, Purpose::Provision, timelines, deadline).await?;
    let worded = |failure| with_administrators_remedy(context, failure);
    let mut applied = provision(session.as_mut(), deadline).await.map_err(worded)?;
    session.close().await;
    applied.notices.splice(0..0, notice);
    for (_, failure) in &mut applied.failed {
        *failure = with_administrators_remedy(context, failure.clone());
    }
    Ok(applied)
}

/// The next step for a failure of the administrator's session: it names the user and the password of `provision_url`.
fn with_administrators_remedy(context: &TargetContext, failure: Failure) -> Failure {
    let target = &context.target;
    let Some(endpoint) = &target.provision_endpoint else { return failure };
    if failure.remedy().is_some() {
        return failure;
    }
    let administrator = Target { endpoint: endpoint.clone(), ..(**target).clone() };
    match context.driver.remedy(&failure, &administrator) {
        Some(remedy) if failure.class() == ErrorClass::Connection => failure.with_remedy(remedy.about("provision_url")),
        Some(remedy) => failure.with_remedy(remedy),
        None => failure,
    }
}

/// Opens the session for provisioning (`Purpose::Provision`) or its dry run (`Purpose::Plan`). Also returns a notice if
/// heartbeatd could not find out which account gets the grants.
///
/// # Errors
/// As [`TargetContext::open`], with a remedy if the failure concerns `provision_url`.
pub async fn open_for_provisioning(
    context: &TargetContext,
    purpose: Purpose,
    timelines: Option<&Timelines>,
    deadline: Instant,
) -> Result<(Box<dyn Session>, Option<String>), Failure> {
    let target = &context.target;
    let endpoint = target.provision_endpoint.as_ref().unwrap_or(&target.endpoint);
    let (beats_as, notice) = match endpoint != &target.endpoint && context.driver.maps_accounts() {
        true => match account_of_beats(context, deadline).await {
            Ok(account) => (account, None),
            Err(failure) => (
                None,
                Some(format!(
                    "cannot check which account a session of url works as, so that grants go to the user in url: {failure}"
                )),
            ),
        },
        false => (None, None),
    };
    let known = Known { identity: None, timelines, beats_as: beats_as.as_ref() };
    match context.open(endpoint, purpose, known, deadline).await {
        Ok(session) => Ok((session, notice)),
        Err(failure) => Err(with_administrators_remedy(context, failure)),
    }
}

/// The account of a session at the target's own address, which only such a session knows. The query gets a part of the
/// time, because provisioning also works without it.
async fn account_of_beats(context: &TargetContext, deadline: Instant) -> Result<Option<SessionAccount>, Failure> {
    let now = Clock::system().now().mono;
    let deadline = now + deadline.saturating_duration_since(now) / 3;
    let mut session = context.open(&context.target.endpoint, Purpose::Inspect, Known::default(), deadline).await?;
    let account = session.account(deadline).await;
    session.close().await;
    account
}

/// Plans and creates what is missing for the session's target. A failed step does not stop later steps. A later step
/// that needs the missing object becomes a notice, because its failure would say nothing new. If a step fails because
/// another program creates the same object at the same time (`conflict`), this plans again for what is still missing.
/// At the end it plans once more: a step that ran and is still in the plan had no effect, and is a failure.
///
/// Not cancel-safe: drop the session with the future.
///
/// # Errors
/// When planning itself fails. Failed steps are part of [`Applied`].
pub async fn provision(session: &mut dyn Session, deadline: Instant) -> Result<Applied, Failure> {
    let mut applied = Applied::default();
    for attempt in 1.. {
        let plan = session.plan(deadline).await?;
        applied.notices = plan.notices;
        applied.failed = plan.failures.into_iter().map(|failure| (None, failure)).collect();
        for step in plan.steps {
            match session.apply(&step, deadline).await {
                Ok(()) => applied.done.push(step.title),
                Err(failure) if applied.explains(&failure) => {
                    applied.notices.push(format!("skipped, because a step before it failed: {}", step.title));
                }
                Err(failure) => applied.failed.push((Some(step), failure)),
            }
        }
        let raced =
            applied.failed.iter().any(|(step, failure)| step.is_some() && failure.kind() == ErrorKind::Conflict);
        // A random pause, so that programs that raced each other do not meet again.
        let again =
            Clock::system().now().mono + Duration::from_millis(fastrand::u64(1..=PAUSE_MS * u64::from(attempt)));
        if !raced || attempt == TRIES || again >= deadline {
            break;
        }
        clock::sleep_until(again).await;
    }
    if !applied.done.is_empty() && !session.looks_at_effects() {
        applied.look_again(session.plan(deadline).await.ok());
    }
    Ok(applied)
}
