//! Runs the checks of a target: inspects all servers at once, then judges. Every check gets a finding, no failure hides
//! another one, and an unreachable server is a finding, not the end of the check.

use std::time::Duration;

use futures_util::future::join_all;

use super::configuration;
use super::registry::{CONNECT, REPLICA_CONNECT};
use crate::driver::opening::{Known, TargetContext};
use crate::driver::timelines::host_look;
use crate::driver::{Driver, Purpose, Session};
use crate::finding::{Case, Check, Facts, FailureRecord, Finding, Inspection, Look, ReplicaLook, Severity, Status};
use crate::heartbeat::{ErrorKind, Failure};
use crate::panics;
use crate::plain_text;
use crate::target::{Endpoint, Target};
use crate::time::clock::{self, Clock, Instant};

/// Inspects the source and every replica, all at once, each within `timeout`.
///
/// Cancel-safe: connections are dropped with the future.
pub async fn inspect(context: &TargetContext, clock: &Clock, timeout: Duration) -> Inspection {
    let target = &context.target;
    let now = clock.now();
    let deadline = now.plus(timeout).mono;
    let source = async {
        let look = look(context, &target.endpoint, Purpose::Check, deadline).await;
        recorded(look, |failure| context.with_remedy(failure))
    };
    let replicas = target.replicas.iter().map(async |replica| {
        let look = look(context, &replica.endpoint, Purpose::Inspect, deadline).await;
        let look = recorded(look, |failure| context.with_remedy_at(replica, failure));
        ReplicaLook { name: replica.name.clone(), look }
    });
    let hosts = context.driver.hosts_with_timelines(&target.endpoint).into_iter();
    let hosts = hosts.map(async |(address, endpoint)| {
        host_look(&address, &context.look(&endpoint, Known::default(), deadline).await)
    });
    let (source, replicas, hosts) = tokio::join!(source, join_all(replicas), join_all(hosts));
    Inspection { taken_at: now.wall_micros(), source, replicas, hosts }
}

async fn look(
    context: &TargetContext,
    endpoint: &Endpoint,
    purpose: Purpose,
    deadline: Instant,
) -> Result<Facts, Failure> {
    let work = async {
        let mut session = open(context, endpoint, purpose, deadline).await?;
        let facts = session.inspect(deadline).await?;
        session.close().await;
        Ok(facts)
    };
    let late = || Failure::new(ErrorKind::Timeout, "the server did not answer the checks within the time-out");
    // If one server's answer makes the client library panic, the facts of the other servers remain.
    let looked = clock::timeout_at(deadline, panics::caught(work)).await;
    looked.unwrap_or_else(|_| Err(late()))
}

fn recorded(looked: Result<Facts, Failure>, with_remedy: impl Fn(Failure) -> Failure) -> Look {
    match looked {
        Ok(facts) => Look::Facts(facts),
        Err(failure) => Look::Failure(FailureRecord::of(&with_remedy(failure))),
    }
}

/// Opens the writable server of several hosts. If none is writable, opens any server that allows the login; its facts
/// say why.
async fn open(
    context: &TargetContext,
    endpoint: &Endpoint,
    purpose: Purpose,
    deadline: Instant,
) -> Result<Box<dyn Session>, Failure> {
    match context.open(endpoint, purpose, Known::default(), deadline).await {
        Err(failure)
            if matches!(failure.kind(), ErrorKind::NotWritable | ErrorKind::ReadOnlySetting | ErrorKind::Starting) =>
        {
            context.open(endpoint, Purpose::Inspect, Known::default(), deadline).await
        }
        other => other,
    }
}

/// Judges an inspection: the configuration, whether each server was reachable, and the driver's checks. Checks that the
/// target's configuration skips are marked. Pure.
#[must_use]
pub fn judge(target: &Target, driver: &dyn Driver, now: &Inspection, earlier: Option<&Inspection>) -> Vec<Finding> {
    let mut findings = configuration::judge(target, now.taken_at);
    findings.push(judge_connection(&CONNECT, Severity::Error, "source", &now.source));
    findings.extend(now.replicas.iter().map(|replica| {
        let required = target.replicas.iter().any(|known| known.name == replica.name && known.required);
        let severity = if required { Severity::Error } else { Severity::Warning };
        judge_connection(&REPLICA_CONNECT, severity, &format!("replica {}", replica.name), &replica.look)
    }));
    let judged = match &now.source {
        Look::Facts(_) => driver.judge(&Case { target, now, earlier }).map_err(|error| error.to_string()),
        Look::Failure(_) => Err("the source was not reached".to_owned()),
    };
    let (judged, why) = match judged {
        Ok(judged) => (judged, String::new()),
        Err(why) => (Vec::new(), why),
    };
    for check in driver.checks() {
        let own = judged.iter().filter(|finding| finding.id == check.id);
        let before = findings.len();
        findings.extend(own.cloned());
        if findings.len() == before {
            findings.push(check.unknown("source", why.as_str()));
        }
    }
    findings.into_iter().map(|finding| leave_out(finding, target)).collect()
}

/// As [`judge`], for a command: if judging one target panics, the panic becomes that target's finding, and the other
/// targets go on.
#[must_use]
pub fn judge_or_say_why(
    target: &Target,
    driver: &dyn Driver,
    now: &Inspection,
    earlier: Option<&Inspection>,
) -> Vec<Finding> {
    panics::caught_now(|| judge(target, driver, now, earlier)).unwrap_or_else(|failure| {
        vec![judge_connection(&CONNECT, Severity::Error, "source", &Look::Failure(FailureRecord::of(&failure)))]
    })
}

fn judge_connection(check: &Check, severity: Severity, subject: &str, look: &Look) -> Finding {
    let failure = match look {
        Look::Facts(_) => return check.ok(subject, "reached"),
        Look::Failure(failure) => failure,
    };
    let code = failure.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
    let observed = format!("{}{code} [{}, {}]", failure.message, failure.class, failure.kind);
    let finding = check.failed_as(severity, subject, observed);
    match &failure.remedy {
        Some(remedy) => finding.remedy(remedy),
        None => finding,
    }
}

fn leave_out(finding: Finding, target: &Target) -> Finding {
    match target.checks.skip.iter().find(|skip| skip.id == finding.id) {
        Some(skip) => Finding {
            status: Status::Skipped,
            observed: plain_text::on_one_line(format!("left out by configuration: {}", skip.reason)),
            expected: None,
            remedy: None,
            ..finding
        },
        None => finding,
    }
}
