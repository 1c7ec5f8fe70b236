//! Running the checks of a target: look at every server at once, judge, and leave nothing unsaid. Every check always
//! runs; a failure never hides another; a server that is not reached is a finding, not the end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::configuration;
use super::registry::{CONNECT, REPLICA_CONNECT};
use crate::driver::opening::Opening;
use crate::driver::timelines::host_look;
use crate::driver::{self, Driver, Purpose, Session};
use crate::finding::{Case, Check, FailureRecord, Finding, Inspection, Look, ReplicaLook, Severity, Status};
use crate::heartbeat::{ErrorKind, Failure};
use crate::panics;
use crate::target::{Endpoint, Target};
use crate::time::clock::{self, Clock, Instant};

/// Looks at the source and at every replica, all at once, each within `timeout`.
///
/// Cancel-safe: connections are dropped with the future.
pub async fn inspect(
    target: &Target,
    driver: &Arc<dyn Driver>,
    application_name: &str,
    clock: &Clock,
    timeout: Duration,
) -> Inspection {
    let now = clock.now();
    let deadline = now.plus(timeout).mono;
    let look = |endpoint, purpose| look(target, endpoint, driver, application_name, purpose, deadline);
    let replicas = target.replicas.iter().map(async |replica| ReplicaLook {
        name: replica.name.clone(),
        look: look(&replica.endpoint, Purpose::Inspect).await,
    });
    let hosts = driver.hosts_with_timelines(&target.endpoint).into_iter();
    let hosts = hosts.map(async |(address, endpoint)| {
        let opening = opening(target, &endpoint, application_name, Purpose::Inspect, deadline);
        host_look(&address, &opening.look(driver).await)
    });
    let (source, replicas, hosts) =
        tokio::join!(look(&target.endpoint, Purpose::Check), join_all(replicas), join_all(hosts));
    Inspection { taken_at: now.wall_micros(), source, replicas, hosts }
}

fn opening<'a>(
    target: &'a Target,
    endpoint: &'a Endpoint,
    application_name: &'a str,
    purpose: Purpose,
    deadline: Instant,
) -> Opening<'a> {
    Opening {
        endpoint,
        purpose,
        table: &target.heartbeat,
        application_name,
        known_identity: None,
        timelines: None,
        deadline,
        timeout: target.timeout,
    }
}

async fn look(
    target: &Target,
    endpoint: &Endpoint,
    driver: &Arc<dyn Driver>,
    application_name: &str,
    purpose: Purpose,
    deadline: Instant,
) -> Look {
    let opening = opening(target, endpoint, application_name, purpose, deadline);
    let work = async {
        let mut session = open(&opening, driver).await?;
        let facts = session.inspect(target, deadline).await?;
        session.close().await;
        Ok(facts)
    };
    let late = || Failure::new(ErrorKind::Timeout, "the server did not answer the checks within the time-out");
    // A server whose answer makes the client library panic hides no other server's facts.
    let looked = clock::timeout_at(deadline, panics::caught(work)).await;
    match looked.unwrap_or_else(|_| Err(late())) {
        Ok(facts) => Look::Facts(facts),
        Err(failure) => {
            let target = Target { endpoint: endpoint.clone(), ..target.clone() };
            Look::Failure(FailureRecord::of(&driver::with_remedy(driver.as_ref(), failure, &target)))
        }
    }
}

/// The writable server of several hosts; where there is none, any that lets somebody look: its facts say why.
async fn open(opening: &Opening<'_>, driver: &Arc<dyn Driver>) -> Result<Box<dyn Session>, Failure> {
    match opening.open(driver).await {
        Err(failure)
            if matches!(failure.kind(), ErrorKind::NotWritable | ErrorKind::ReadOnlySetting | ErrorKind::Starting) =>
        {
            Opening { purpose: Purpose::Inspect, ..*opening }.open(driver).await
        }
        other => other,
    }
}

/// Judges an inspection: what the configuration tells, whether each server was reached, and the driver's checks, with
/// those left out by the target's configuration marked so. Pure.
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

/// The finding about a target whose facts make the judgement itself fail.
#[must_use]
pub fn could_not_judge(failure: &Failure) -> Finding {
    judge_connection(&CONNECT, Severity::Error, "source", &Look::Failure(FailureRecord::of(failure)))
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
            observed: format!("left out by configuration: {}", skip.reason),
            expected: None,
            remedy: None,
            ..finding
        },
        None => finding,
    }
}
