//! How long the server keeps binary log files. A connector that is stopped for longer loses its position.

use super::evidence::Evidence;
use super::variables::{NO_LOG, has_log, set_global};
use crate::driver::mysql::errors::PASSING;
use std::time::Duration;

use crate::driver::answer::Answer;
use crate::driver::evidence::size;
use crate::driver::mysql::cloud::Provider;
use crate::driver::mysql::facts::{MysqlFacts, Retention, ServerFacts};
use crate::finding::{Check, Finding, Rung, Severity};
use crate::remedy::Remedy;
use crate::time::ticks::longest_period;
use crate::time::words;

const PRECEDENCE: &str = "On RDS and Aurora \"binlog retention hours\" of mysql.rds_configuration, else \
                          binlog_expire_logs_seconds, else expire_logs_days";

const RETENTION: Check = Check {
    id: "binlog-retention",
    severity: Severity::Error,
    rung: Rung::Position,
    title: "the server keeps the binary log long enough for a stopped connector",
    meaning: "If a connector is stopped for longer than the server keeps the binary log, it has lost its position, and \
              only a new snapshot brings what changed in between.",
    judged: "On RDS and Aurora \"binlog retention hours\" of mysql.rds_configuration, otherwise \
             binlog_expire_logs_seconds, otherwise expire_logs_days. An error below a day, a warning below three days \
             (the vendor's minimum), an advice below a week. Zero means forever.",
    privilege: "read access to the variables, which every user has; on RDS and Aurora SELECT on \
                mysql.rds_configuration",
    source: "vendor's set-up guides (at least three days); PeerDB and Datastream use the other bounds",
};
const INTERVAL: Check = Check {
    id: "retention-interval",
    severity: Severity::Error,
    rung: Rung::Position,
    title: "beats are much more frequent than the purge of binary logs",
    meaning: "A heartbeat keeps the connector's position recent. If the server purges files more often than heartbeatd \
              writes a beat, the position is lost between two beats.",
    judged: "The longest period of the schedule, compared with how long the server keeps the binary log. An error if \
             it is as long, a warning above a tenth.",
    privilege: "as for binlog-retention",
    source: "vendor page on heartbeats: the interval is shorter than the log's retention",
};
const SIZE: Check = Check {
    id: "binlog-size-limit",
    severity: Severity::Warning,
    rung: Rung::Position,
    title: "the server does not purge binary logs by size",
    meaning: "A size limit purges files however recent they are: a burst of writes may remove the connector's \
              position.",
    judged: "max_binlog_total_size, also called binlog_space_limit. Fails unless it is 0. MariaDB from 11.4, Percona \
             Server.",
    privilege: "read access to the variables, which every user has",
    source: "https://mariadb.com/kb/en/replication-and-binary-log-system-variables/#max_binlog_total_size",
};

pub(super) const CHECKS: &[Check] = &[RETENTION, INTERVAL, SIZE];

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
const LEAST: Duration = Duration::from_secs(DAY);
const VENDORS_LEAST: Duration = Duration::from_secs(3 * DAY);
const WEEK: Duration = Duration::from_secs(7 * DAY);

/// How long files are kept.
enum Kept {
    Forever(&'static str),
    /// For this time, by the setting of this name.
    For(Duration, &'static str),
    /// RDS without the setting.
    AsShortAsPossible,
}

/// The setting of the managed flavours, in `mysql.rds_configuration`.
const HOURS: &str = "binlog retention hours";

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let server = &evidence.facts.server;
    if !has_log(server) {
        return CHECKS.iter().map(|check| check.skipped("log_bin", NO_LOG)).collect();
    }
    match kept(&evidence.facts) {
        Ok(kept) => vec![retention(server, &kept), interval(evidence, &kept), limit(server)],
        Err(why) => vec![RETENTION.unknown(HOURS, &why), INTERVAL.unknown(HOURS, &why), limit(server)],
    }
}

/// How long files are kept, or why that is unknown.
fn kept(facts: &MysqlFacts) -> Result<Kept, String> {
    let server = &facts.server;
    match &facts.retention {
        Answer::Seen(Retention { hours: None }) => return Ok(Kept::AsShortAsPossible),
        Answer::Seen(Retention { hours: Some(hours) }) => {
            let hours = u64::try_from(*hours).unwrap_or(0);
            return Ok(Kept::For(Duration::from_secs(hours.saturating_mul(HOUR)), HOURS));
        }
        Answer::Refused(refusal) if server.managed.is_some_and(Provider::is_amazons) => {
            let user = server.account.quoted();
            return Err(refusal.unless(&format!("GRANT SELECT ON mysql.rds_configuration TO {user};"), PASSING));
        }
        // Servers that Amazon does not manage have no such table.
        Answer::Refused(_) => {}
    }
    if server.is_on("binlog_expire_logs_auto_purge") == Some(false) {
        return Ok(Kept::Forever("binlog_expire_logs_auto_purge is OFF"));
    }
    let settings = [("binlog_expire_logs_seconds", 1), ("expire_logs_days", DAY)];
    let known: Vec<_> =
        settings.into_iter().filter_map(|(name, unit)| Some((name, server.number(name)?, unit))).collect();
    if known.is_empty() {
        return Err(format!("the server shows none of the settings: {PRECEDENCE}; requires a look at its option file"));
    }
    #[allow(clippy::cast_precision_loss, reason = "seconds of a day")]
    let length = |(name, number, unit): &(&'static str, f64, u64)| {
        Duration::try_from_secs_f64(number * *unit as f64).ok().filter(|time| !time.is_zero()).map(|time| (time, *name))
    };
    Ok(match known.iter().find_map(length) {
        Some((time, name)) => Kept::For(time, name),
        None => Kept::Forever("the settings are 0"),
    })
}

fn retention(server: &ServerFacts, kept: &Kept) -> Finding {
    let (time, name) = match kept {
        Kept::Forever(why) => return RETENTION.ok(server.flavour.as_str(), format!("nothing is purged by age: {why}")),
        Kept::For(time, name) => (*time, *name),
        Kept::AsShortAsPossible => (Duration::ZERO, HOURS),
    };
    let severity = if time < LEAST {
        Severity::Error
    } else if time < VENDORS_LEAST {
        Severity::Warning
    } else if time < WEEK {
        Severity::Info
    } else {
        return RETENTION.ok(name, words(time));
    };
    let observed = if matches!(kept, Kept::AsShortAsPossible) {
        "not set: files are purged as soon as possible".to_owned()
    } else {
        words(time)
    };
    let remedy = match name {
        HOURS => Remedy::sql("CALL mysql.rds_set_configuration('binlog retention hours', 168);"),
        "expire_logs_days" => set_global(server, name, "7"),
        _ => set_global(server, name, "604800"),
    };
    RETENTION.failed_as(severity, name, observed).expected("three days at the least, better a week").remedy(remedy)
}

fn interval(evidence: &Evidence<'_>, kept: &Kept) -> Finding {
    let subject = &evidence.target.name;
    let period = longest_period(&evidence.target.schedule, evidence.case.now.taken_at);
    let time = match kept {
        Kept::For(time, _) if !time.is_zero() => *time,
        Kept::For(..) | Kept::AsShortAsPossible => {
            return INTERVAL.skipped(subject, "the binary log is kept for no time at all, which comes first");
        }
        Kept::Forever(_) => return INTERVAL.ok(subject, "nothing is purged by age"),
    };
    let observed = format!("a beat each {}, the binary log is kept for {}", words(period), words(time));
    let severity = if period >= time {
        Severity::Error
    } else if period > time / 10 {
        Severity::Warning
    } else {
        return INTERVAL.ok(subject, observed);
    };
    INTERVAL
        .failed_as(severity, subject, observed)
        .expected(format!("a beat each {} or more often", words(time / 10)))
        .remedy("shorten the target's interval: interval = \"1m\"")
}

fn limit(server: &ServerFacts) -> Finding {
    let names = ["max_binlog_total_size", "binlog_space_limit"];
    let Some(name) = names.into_iter().find(|name| server.variables.contains_key(*name)) else {
        return SIZE.skipped(names[0], "this server has no such variable");
    };
    match server.variable(name).and_then(|bytes| bytes.parse::<u64>().ok()) {
        Some(0) => SIZE.ok(name, "no limit"),
        Some(bytes) => SIZE
            .failed(name, format!("files are purged beyond {}, however young", size(bytes)))
            .expected("0")
            .remedy(set_global(server, name, "0")),
        None => SIZE.unknown(name, "the server's value is not a number; requires a look at its option file"),
    }
}
