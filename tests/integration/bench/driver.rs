//! Beats without the daemon: calls a driver of this build as its callers do. The address decides the family.

use std::sync::Arc;
use std::time::Duration;

use heartbeatd::driver::opening::{Known, TargetContext, application_name};
use heartbeatd::driver::{Driver, Purpose, Session, with_remedy};
use heartbeatd::drivers::Drivers;
use heartbeatd::heartbeat::{Beat, ErrorKind, Failure, RowReport, Writing, judge};
use heartbeatd::provisioning::{Applied, provision_target};
use heartbeatd::remedy::Remedy;
use heartbeatd::target::{Endpoint, Target};
use heartbeatd::time::clock::{self, Clock};

use super::wait::secs;

/// Longer than any call takes.
pub(crate) const TIME: Duration = secs(10);
/// The usual period.
pub(crate) const MINUTE: Duration = secs(60);
/// The mode of a second writer at its first look.
pub(crate) const WHEN_STALE: Writing = Writing::WhenStale { last_seen: None, period: MINUTE };

/// A target of this address.
pub(crate) fn target(url: &str) -> Target {
    Target::new("orders", Endpoint::parse(url).unwrap())
}

/// The same target at another address.
pub(crate) fn at(url: &str, like: &Target) -> Target {
    Target { endpoint: Endpoint::parse(url).unwrap(), ..like.clone() }
}

/// A target with its driver.
pub(crate) fn context(target: &Target) -> TargetContext {
    let application_name = application_name("test");
    TargetContext { target: Arc::new(target.clone()), driver: driver_of(target), application_name }
}

fn driver_of(target: &Target) -> Arc<dyn Driver> {
    Drivers::built_in().get(target.endpoint.url.family()).unwrap()
}

/// Opens a session.
pub(crate) async fn open(
    target: &Target,
    purpose: Purpose,
    known_identity: Option<&str>,
    time: Duration,
) -> Result<Box<dyn Session>, Failure> {
    open_with_left(target, purpose, known_identity, time, time).await
}

/// As [`open`], when only `left` remains of the target's time-out.
pub(crate) async fn open_with_left(
    target: &Target,
    purpose: Purpose,
    known_identity: Option<&str>,
    left: Duration,
    timeout: Duration,
) -> Result<Box<dyn Session>, Failure> {
    let context = context(&Target { timeout, ..target.clone() });
    let known = Known { identity: known_identity, ..Known::default() };
    context.open(&target.endpoint, purpose, known, Clock::system().now().mono + left).await
}

/// Opens a session for a target at another address, for example an administrator's.
pub(crate) async fn open_over(url: &str, target: &Target, purpose: Purpose) -> Box<dyn Session> {
    let (context, endpoint) = (context(target), Endpoint::parse(url).unwrap());
    context.open(&endpoint, purpose, Known::default(), in_time()).await.unwrap()
}

/// Provisions a target at an administrator's address, as the command does.
pub(crate) async fn provision_over(url: &str, target: &Target) -> Applied {
    let administered = Target { provision_endpoint: Some(Endpoint::parse(url).unwrap()), ..target.clone() };
    provision_target(&context(&administered), None, in_time()).await.unwrap()
}

/// A session for beats.
pub(crate) async fn session(target: &Target) -> Box<dyn Session> {
    open(target, Purpose::Beat, None, TIME).await.unwrap()
}

/// One beat within `time`, as the caller enforces it.
pub(crate) async fn report(session: &mut dyn Session, writing: Writing, time: Duration) -> Result<RowReport, Failure> {
    let deadline = Clock::system().now().mono + time;
    let beat = clock::timeout_at(deadline, session.beat(writing, deadline)).await;
    beat.unwrap_or_else(|_| Err(Failure::new(ErrorKind::Timeout, "the caller gave up")))
}

/// One beat on a separate connection, judged.
pub(crate) async fn beat(target: &Target, writing: Writing) -> Result<Beat, Failure> {
    let mut session = open(target, Purpose::Beat, None, TIME).await?;
    let report = report(session.as_mut(), writing, TIME).await?;
    judge(&report, writing, true)
}

/// The kind of a beat's failure; the failure must have a remedy.
pub(crate) async fn failure(target: &Target) -> ErrorKind {
    failure_of(target).await.kind()
}

/// As [`failure`], with the whole failure as people see it.
pub(crate) async fn failure_of(target: &Target) -> Failure {
    let failure = beat(target, Writing::Always).await.expect_err("the beat succeeds");
    let failure = with_drivers_remedy(target, failure);
    assert!(failure.remedy().is_some(), "no remedy for {failure}");
    failure
}

/// Adds the driver's remedy to a failure without one.
pub(crate) fn with_drivers_remedy(target: &Target, failure: Failure) -> Failure {
    with_remedy(driver_of(target).as_ref(), failure, target)
}

/// A deadline that no step exceeds.
pub(crate) fn in_time() -> clock::Instant {
    Clock::system().now().mono + secs(10)
}

/// A failed beat as people see it.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) kind: ErrorKind,
    pub(crate) code: Option<String>,
    pub(crate) message: String,
    pub(crate) remedy: String,
    /// What its remedy says to paste; empty for advice.
    pub(crate) script: String,
}

/// The failure of a beat on a separate connection; it must have a remedy.
pub(crate) async fn failed(target: &Target) -> Failed {
    let failure = failure_of(target).await;
    Failed {
        kind: failure.kind(),
        code: failure.code().map(str::to_owned),
        message: failure.message().to_owned(),
        remedy: failure.remedy().map(ToString::to_string).unwrap_or_default(),
        script: failure.remedy().and_then(Remedy::script).map(|script| script.text().to_owned()).unwrap_or_default(),
    }
}
