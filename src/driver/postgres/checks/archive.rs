//! The cost of beats in the WAL archive.

use super::evidence::{Evidence, alter_system};
use std::time::Duration;

use crate::driver::evidence::size;
use crate::finding::{Check, Finding, Rung, Severity};
use crate::remedy::Remedy;
use crate::time::ticks::longest_period;
use crate::time::words;

const ARCHIVE: Check = Check {
    id: "archive-timeout",
    severity: Severity::Warning,
    rung: Rung::Advice,
    title: "beats do not fill the WAL archive",
    meaning: "archive_timeout closes a segment only if something was written. On an idle server each beat may add a \
              whole segment to the archive.",
    judged: "86,400 s divided by the longer of archive_timeout and the period, times wal_segment_size. Fails above 1 \
             GiB a day.",
    privilege: "read access to pg_settings, which every user has",
    source: "measured: one segment of 16 MiB for each beat at archive_timeout = 60, no segment without beats",
};

pub(super) const CHECKS: &[Check] = &[ARCHIVE];

const DAY: u64 = 86_400;
const GIB: u64 = 1 << 30;

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let period = longest_period(&evidence.target.schedule, evidence.case.now.taken_at);
    vec![archive(evidence, period)]
}

fn archive(evidence: &Evidence<'_>, period: Duration) -> Finding {
    let server = &evidence.facts.server;
    let subject = "archive_timeout";
    match server.setting("archive_mode") {
        None => {
            return ARCHIVE
                .unknown(subject, "the server does not show archive_mode; requires GRANT pg_read_all_settings");
        }
        Some("off") => return ARCHIVE.skipped(subject, "nothing is archived"),
        Some(_) => {}
    }
    let (Some(timeout), Some(segment)) = (server.duration(subject), server.bytes("wal_segment_size")) else {
        return ARCHIVE.unknown(subject, "the server does not show it; requires GRANT pg_read_all_settings");
    };
    if timeout.is_zero() {
        return ARCHIVE.ok(subject, "off: segments are archived when they are full");
    }
    let segments = DAY / timeout.max(period).as_secs().max(1);
    let a_day = segments.saturating_mul(segment.unsigned_abs());
    let observed = format!("{}: up to {segments} segments, {} a day, by beats alone", words(timeout), size(a_day));
    if a_day <= GIB {
        return ARCHIVE.ok(subject, observed);
    }
    let enough = DAY * segment.unsigned_abs() / GIB;
    let remedy = if server.provider.is_some() {
        "lengthen the interval of this target's beats, if the size of the backups matters: the provider sets archive_timeout"
            .into()
    } else {
        Remedy::advice("compress the archive: a segment with one beat is nearly all zeros").or_run(
            alter_system(server, subject, &format!("{}s", enough.max(1)), false)
                .note("if you can afford to lose that much after the loss of the server"),
        )
    };
    ARCHIVE.failed(subject, observed).expected("at most 1 GiB a day").remedy(remedy)
}
