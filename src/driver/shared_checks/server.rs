//! The checks of every server that gets beats.

use std::net::IpAddr;
use std::time::Duration;

use super::BY_DRIVER;
use crate::database_url::{DatabaseUrl, Host};
use crate::finding::{Case, Check, Finding, Rung, Severity};
use crate::time::words;

/// Whether it accepts writes.
pub(in crate::driver) const WRITABLE: Check = Check {
    id: "server-writable",
    severity: Severity::Error,
    rung: Rung::Connection,
    title: "the server is the primary and accepts writes",
    meaning: "heartbeatd cannot write a beat on a replica, or on a primary that a setting makes read-only. After a \
              failover the old address often leads to a replica.",
    judged: BY_DRIVER,
    privilege: BY_DRIVER,
    source: BY_DRIVER,
};
/// Its version.
pub(in crate::driver) const VERSION: Check = Check {
    id: "server-version",
    severity: Severity::Error,
    rung: Rung::Advice,
    title: "connectors support the server's version",
    meaning: "Connectors do not support every version of the server, and a version without updates keeps its faults.",
    judged: BY_DRIVER,
    privilege: BY_DRIVER,
    source: BY_DRIVER,
};
/// Its clock.
pub(in crate::driver) const CLOCK: Check = Check {
    id: "server-clock",
    severity: Severity::Warning,
    rung: Rung::Advice,
    title: "the clocks of the server and of this machine agree",
    meaning: "A beat contains the server's time. If a clock is wrong, every age in reports and alerts is wrong by the \
              same amount, and so are password expiry and certificates.",
    judged: "The server's clock, compared with this machine's. Fails if they differ by more than the time-out and five \
             seconds.",
    privilege: "a login",
    source: "measured: the value of a beat is the server's clock",
};
/// Whether another server could answer in its place.
pub(in crate::driver) const TLS: Check = Check {
    id: "tls-verified",
    severity: Severity::Warning,
    rung: Rung::Advice,
    title: "heartbeatd verifies the server's certificate",
    meaning: "Without verification an attacker on the network can answer as the server and read the password. By \
              default the connection may not even be encrypted.",
    judged: BY_DRIVER,
    privilege: BY_DRIVER,
    source: BY_DRIVER,
};
/// Writers inside the database.
pub(in crate::driver) const NATIVE: Check = Check {
    id: "native-scheduler",
    severity: Severity::Warning,
    rung: Rung::Advice,
    title: "no scheduled job of the database writes the row in addition to heartbeatd; if heartbeatd only watches, the \
            job works",
    meaning: "A job that also writes the row doubles the events. A job that fails, was disabled by a failover, or \
              updates another row looks like a heartbeat and is not one.",
    judged: BY_DRIVER,
    privilege: BY_DRIVER,
    source: BY_DRIVER,
};

/// Judges the server's clock, given in microseconds since 1970.
pub(in crate::driver) fn clock(subject: &str, server_time: i64, case: &Case<'_>) -> Finding {
    let ahead = server_time.saturating_sub(case.now.taken_at);
    let apart = Duration::from_micros(ahead.unsigned_abs());
    // The inspection itself takes part of the time-out.
    let limit = case.target.timeout + Duration::from_secs(5);
    let direction = if ahead < 0 { "behind" } else { "ahead of" };
    let observed = format!("the server's clock is {} {direction} the clock here", words(apart));
    if apart <= limit {
        return CLOCK.ok(subject, observed);
    }
    CLOCK.failed(subject, observed).expected(format!("at most {}", words(limit))).remedy(
        "compare both with a third clock, and let the wrong machine keep time by NTP (timedatectl, chronyc tracking)",
    )
}

/// Whether an address stays on this machine.
pub(in crate::driver) fn is_local(url: &DatabaseUrl) -> bool {
    url.hosts().iter().all(is_this_machine)
}

fn is_this_machine(host: &Host) -> bool {
    let name = host.name.trim_start_matches('[').trim_end_matches(']');
    host.is_socket() || name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
