//! Making what is missing at a source: opens a session as an administrator, asks the driver for a plan and applies it step
//! by step. Used by `commands::provision` and (with `provision = "auto"`) by the scheduler's `link`.

use std::sync::Arc;

use crate::driver::opening::Opening;
use crate::driver::timelines::Timelines;
use crate::driver::{Driver, Purpose, Session};
use crate::heartbeat::Failure;
use crate::plan::Step;
use crate::target::Target;
use crate::time::clock::Instant;

/// What came of applying a plan.
#[derive(Debug, Default)]
pub struct Applied {
    /// Titles of the steps that ran.
    pub done: Vec<String>,
    /// Steps that failed, each with its title, and what the plan itself could not mend (title empty).
    pub failed: Vec<(Option<Step>, Failure)>,
    /// The plan's notices.
    pub notices: Vec<String>,
}

impl Applied {
    /// The failure that stands in the way of a beat: the first step that failed, or else what no step can mend.
    #[must_use]
    pub fn obstacle(&self) -> Option<&Failure> {
        let step = self.failed.iter().find(|(step, _)| step.is_some());
        step.or(self.failed.first()).map(|(_, failure)| failure)
    }
}

/// Connects as the administrator of a target (`provision_url`, or its own address) and creates what is missing; never on a
/// former primary, as far as `timelines` tells.
///
/// # Errors
/// When connecting or planning fails; failed steps are part of the result.
pub async fn provision_target(
    driver: &Arc<dyn Driver>,
    target: &Target,
    application_name: &str,
    timelines: Option<&Timelines>,
    deadline: Instant,
) -> Result<Applied, Failure> {
    let purpose = Purpose::Provision;
    let mut session = open_for_provisioning(driver, target, application_name, purpose, timelines, deadline).await?;
    let applied = provision(session.as_mut(), target, deadline).await?;
    session.close().await;
    Ok(applied)
}

/// Opens the session that provisioning (`Purpose::Provision`) or its dry run (`Purpose::Plan`) works on.
///
/// # Errors
/// As [`Opening::open`].
pub async fn open_for_provisioning(
    driver: &Arc<dyn Driver>,
    target: &Target,
    application_name: &str,
    purpose: Purpose,
    timelines: Option<&Timelines>,
    deadline: Instant,
) -> Result<Box<dyn Session>, Failure> {
    let opening = Opening {
        endpoint: target.provision_endpoint.as_ref().unwrap_or(&target.endpoint),
        purpose,
        table: &target.heartbeat,
        application_name,
        known_identity: None,
        timelines,
        deadline,
        timeout: target.timeout,
    };
    opening.open(driver).await
}

/// Plans and applies what is missing for a target. A failed step never stops the later ones that can be made.
///
/// Not cancel-safe: drop the session with the future.
///
/// # Errors
/// When planning itself fails. Failed steps are part of [`Applied`].
pub async fn provision(session: &mut dyn Session, target: &Target, deadline: Instant) -> Result<Applied, Failure> {
    let plan = session.plan(target, deadline).await?;
    let mut applied = Applied { notices: plan.notices, ..Applied::default() };
    applied.failed.extend(plan.failures.into_iter().map(|failure| (None, failure)));
    for step in plan.steps {
        match session.apply(&step, deadline).await {
            Ok(()) => applied.done.push(step.title),
            Err(failure) => applied.failed.push((Some(step), failure)),
        }
    }
    Ok(applied)
}
