//! The checks that need only a target's configuration, for every database. `check --offline` runs only these.

use std::time::Duration;

use crate::driver::Driver;
use crate::driver::rules::Judgement;
use crate::finding::{Check, Finding, Rung, Severity};
use crate::target::Target;
use crate::time::ticks::longest_period;
use crate::time::words;

/// The longest interval that the vendor recommends for busy sources.
const LONGEST_ADVISED: Duration = Duration::from_secs(5 * 60);

/// The interval.
pub const INTERVAL: Check = Check {
    id: "heartbeat-interval",
    severity: Severity::Warning,
    rung: Rung::Advice,
    title: "the interval is at most five minutes",
    meaning: "With a longer interval the connector's position grows old between two beats. For a very quiet source the \
              vendor recommends one minute.",
    judged: "From the schedule alone. Fails if two ticks are more than five minutes apart.",
    privilege: "none: heartbeatd connects to no server",
    source: "vendor page on heartbeats, section on intervals",
};
/// The warnings about the addresses. Only used offline, because a server's answer says more.
pub const ADDRESS: Check = Check {
    id: "address",
    severity: Severity::Warning,
    rung: Rung::Advice,
    title: "the addresses cause no warning",
    meaning: "If an address asks for encryption without verification, an attacker in between can read the password.",
    judged: "With --offline, from the address alone. Fails for each warning of its driver. Online, the checks of the \
             connection say more.",
    privilege: "none: heartbeatd connects to no server",
    source: "libpq documentation, SSL support, table of sslmode values",
};

/// Both, in the order of the report.
pub const CHECKS: &[Check] = &[INTERVAL, ADDRESS];

/// Judges the configuration of a target. `taken_at` is the current time in microseconds since 1970; the period of a
/// cron schedule depends on it.
#[must_use]
pub fn judge(target: &Target, taken_at: i64) -> Vec<Finding> {
    vec![judge_interval(target, taken_at)]
}

/// Runs all checks that need no server.
#[must_use]
pub fn judge_offline(target: &Target, driver: &dyn Driver, taken_at: i64) -> Vec<Finding> {
    let mut findings = judge(target, taken_at);
    let Judgement { complaints, warnings } = driver.validate(target);
    let replicas = target.replicas.iter().enumerate();
    let replicas =
        replicas.map(|(index, replica)| (format!("replica[{index}].url"), format!("replica {}", replica.name)));
    for (key, subject) in std::iter::once(("url".to_owned(), "source".to_owned())).chain(replicas) {
        let said = complaints.iter().chain(&warnings).filter(|remark| remark.key == key);
        let failed: Vec<_> = said.map(|remark| ADDRESS.failed(subject.clone(), remark.text.clone())).collect();
        match failed.is_empty() {
            true => findings.push(ADDRESS.ok(subject, "no warning")),
            false => findings.extend(failed),
        }
    }
    findings
}

fn judge_interval(target: &Target, taken_at: i64) -> Finding {
    let period = longest_period(&target.schedule, taken_at);
    if period <= LONGEST_ADVISED {
        return INTERVAL.ok("schedule", target.schedule.to_string());
    }
    INTERVAL
        .failed("schedule", format!("{}: {} between two beats", target.schedule, words(period)))
        .expected(format!("at most {}", words(LONGEST_ADVISED)))
        .remedy("set interval = \"1m\"")
}
