//! The documents of `/targets` and `/targets/{name}`: the configuration, what happened, and what comes next.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::health::TargetHealth;
use super::summary::{Summary, summaries};
use crate::driver::{Progress, ServerInfo};
use crate::finding::{Finding, Verdict};
use crate::heartbeat::Stamp;
use crate::remedy::RemedyDocument;
use crate::status::board::{
    Board, Checked, ConnectReason, Counters, HistoryEntry, LastBeat, ProgressStatus, ReplicaStatus, TargetStatus,
    Trouble,
};
use crate::target::{Replica, RowId, Target};
use crate::time::clock::{self, Moment};

/// `/targets`.
#[derive(Debug, Serialize)]
pub(super) struct TargetList {
    targets: Vec<ListedTarget>,
}

#[derive(Debug, Serialize)]
struct ListedTarget {
    #[serde(flatten)]
    health: TargetHealth,
    url: String,
    schedule: String,
    last_beat: Option<BeatDocument>,
    next_beat: Option<String>,
}

/// `/targets/{name}`.
#[derive(Debug, Serialize)]
pub(super) struct TargetDocument {
    #[serde(flatten)]
    health: TargetHealth,
    /// Whether this program made the newest change.
    newest_change_is_ours: Option<bool>,
    overdue_after_seconds: f64,
    configuration: Configuration,
    last_beat: Option<BeatDocument>,
    next_beat: Option<String>,
    error: Option<ErrorDocument>,
    server: Option<ServerDocument>,
    clock_skew_seconds: Option<f64>,
    notices: BTreeMap<&'static str, NoticeDocument>,
    counters: CountersDocument,
    replicas: Vec<ReplicaDocument>,
    /// How far the connector has read.
    delivery: Option<DeliveryDocument>,
    /// How far the capture job has read. It does not show how far the connector is.
    captured: Option<CapturedDocument>,
    checks: Option<ChecksDocument>,
    history: Vec<HistoryDocument>,
}

#[derive(Debug, Serialize)]
struct Configuration {
    enabled: bool,
    url: String,
    schedule: String,
    timeout_seconds: f64,
    write: &'static str,
    provision: &'static str,
    schema: String,
    table: String,
    row: RowId,
}

#[derive(Debug, Serialize)]
struct BeatDocument {
    at: String,
    result: &'static str,
    duration_seconds: f64,
    lateness_seconds: f64,
    value: Option<String>,
    position: Option<String>,
}

#[derive(Debug, Serialize)]
struct ErrorDocument {
    class: &'static str,
    kind: &'static str,
    code: Option<String>,
    message: String,
    #[serde(flatten)]
    remedy: RemedyDocument,
    since: String,
    attempts: u64,
}

#[derive(Debug, Serialize)]
struct ServerDocument {
    address: String,
    version: String,
    identity: Option<String>,
    role: &'static str,
}

#[derive(Debug, Serialize)]
struct NoticeDocument {
    message: String,
    since: String,
}

#[derive(Debug, Serialize)]
struct CountersDocument {
    ok: u64,
    failed: u64,
    fresh: u64,
    ticks_missed: u64,
    errors: Vec<ErrorCount>,
    connects: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Serialize)]
struct ErrorCount {
    class: &'static str,
    kind: &'static str,
    count: u64,
}

#[derive(Debug, Serialize)]
struct ReplicaDocument {
    name: String,
    required: bool,
    url: String,
    value: Option<String>,
    seen_at: Option<String>,
    lag_seconds: Option<f64>,
    role: Option<&'static str>,
    server: Option<ServerDocument>,
    error: Option<ErrorDocument>,
}

#[derive(Debug, Serialize)]
struct DeliveryDocument {
    slot: String,
    active: bool,
    retained_bytes: Option<u64>,
    /// When the newest confirmed beat was acknowledged.
    confirmed_beat: Option<String>,
    /// Absent while another writer makes the changes.
    lag_seconds: Option<f64>,
    seen_at: String,
}

#[derive(Debug, Serialize)]
struct CapturedDocument {
    /// When the newest captured change was made; absent before the first one.
    until: Option<String>,
    lag_seconds: Option<f64>,
    seen_at: String,
}

#[derive(Debug, Serialize)]
struct ChecksDocument {
    at: String,
    verdict: Verdict,
    ok: usize,
    skipped: usize,
    /// The failed and the unknown checks.
    findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct HistoryDocument {
    at: String,
    result: &'static str,
    duration_seconds: f64,
    kind: Option<&'static str>,
    message: Option<String>,
}

impl TargetList {
    pub(super) fn of(board: &Board, now: Moment) -> Self {
        Self { targets: summaries(board, now).into_iter().map(ListedTarget::from).collect() }
    }
}

impl From<Summary> for ListedTarget {
    fn from(summary: Summary) -> Self {
        Self {
            url: summary.target.endpoint.url.to_string(),
            schedule: summary.target.schedule.to_string(),
            last_beat: summary.last_beat.as_ref().map(BeatDocument::from),
            next_beat: time(summary.next_due),
            health: summary.into(),
        }
    }
}

impl TargetDocument {
    pub(super) fn of(status: &TargetStatus, now: Moment) -> Self {
        let notices = status.notices.iter().map(|(key, notice)| {
            (*key, NoticeDocument { message: notice.message.clone(), since: notice.since.to_rfc3339() })
        });
        let replicas = status
            .target
            .replicas
            .iter()
            .filter_map(|replica| Some(ReplicaDocument::of(replica, status.replicas.get(&replica.name)?)));
        Self {
            health: Summary::of(status, now).into(),
            newest_change_is_ours: status.newest_change.map(|change| change.ours),
            overdue_after_seconds: status.overdue_after.as_secs_f64(),
            configuration: Configuration::of(&status.target),
            last_beat: status.last_beat.as_ref().map(BeatDocument::from),
            next_beat: time(status.next_due),
            error: status.trouble.as_ref().map(ErrorDocument::from),
            server: status.server.as_deref().map(ServerDocument::from),
            clock_skew_seconds: status.clock_skew,
            notices: notices.collect(),
            counters: CountersDocument::from(&status.counters),
            replicas: replicas.collect(),
            delivery: status.progress.as_ref().and_then(|seen| DeliveryDocument::of(seen, status.delivery_lag(now))),
            captured: status.progress.as_ref().and_then(|seen| CapturedDocument::of(seen, status.capture_lag(now))),
            checks: status.checked.as_ref().map(ChecksDocument::from),
            history: status.history.iter().rev().map(HistoryDocument::from).collect(),
        }
    }
}

impl Configuration {
    fn of(target: &Target) -> Self {
        Self {
            enabled: target.enabled,
            // An address holds no password, so it shows none.
            url: target.endpoint.url.to_string(),
            schedule: target.schedule.to_string(),
            timeout_seconds: target.timeout.as_secs_f64(),
            write: target.write.as_str(),
            provision: target.provision.as_str(),
            schema: target.heartbeat.schema.clone(),
            table: target.heartbeat.table.clone(),
            row: target.heartbeat.row.clone(),
        }
    }
}

impl From<&LastBeat> for BeatDocument {
    fn from(beat: &LastBeat) -> Self {
        Self {
            at: beat.at.to_rfc3339(),
            result: beat.outcome.as_str(),
            duration_seconds: beat.duration.as_secs_f64(),
            lateness_seconds: beat.lateness.as_secs_f64(),
            value: beat.value.map(Stamp::to_rfc3339),
            position: beat.position.clone(),
        }
    }
}

impl From<&Trouble> for ErrorDocument {
    fn from(trouble: &Trouble) -> Self {
        let failure = &trouble.failure;
        Self {
            class: failure.class().as_str(),
            kind: failure.kind().as_str(),
            code: failure.code().map(str::to_owned),
            message: failure.message().to_owned(),
            remedy: RemedyDocument::of(failure.remedy()),
            since: trouble.since.to_rfc3339(),
            attempts: trouble.attempts,
        }
    }
}

impl From<&ServerInfo> for ServerDocument {
    fn from(server: &ServerInfo) -> Self {
        Self {
            address: server.address.clone(),
            version: server.version.clone(),
            identity: server.identity.clone(),
            role: server.role.as_str(),
        }
    }
}

impl From<&Counters> for CountersDocument {
    fn from(counters: &Counters) -> Self {
        let errors = counters.errors.iter().map(|((class, kind), count)| ErrorCount {
            class: class.as_str(),
            kind: kind.as_str(),
            count: *count,
        });
        let connects = ConnectReason::ALL
            .map(|reason| (reason.as_str(), counters.connects.get(&reason).copied().unwrap_or_default()));
        Self {
            ok: counters.ok,
            failed: counters.failed,
            fresh: counters.fresh,
            ticks_missed: counters.ticks_missed,
            errors: errors.collect(),
            connects: connects.into(),
        }
    }
}

impl ReplicaDocument {
    fn of(replica: &Replica, status: &ReplicaStatus) -> Self {
        Self {
            name: replica.name.clone(),
            required: replica.required,
            url: replica.endpoint.url.to_string(),
            value: status.value.map(Stamp::to_rfc3339),
            seen_at: time(status.seen_at),
            lag_seconds: status.lag.as_ref().map(Duration::as_secs_f64),
            role: status.role.map(crate::driver::ServerRole::as_str),
            server: status.server.as_ref().map(ServerDocument::from),
            error: status.trouble.as_ref().map(ErrorDocument::from),
        }
    }
}

impl DeliveryDocument {
    fn of(seen: &ProgressStatus, lag: Option<Duration>) -> Option<Self> {
        let Progress::Slot(slot) = &seen.progress else { return None };
        Some(Self {
            slot: slot.name.clone(),
            active: slot.active,
            retained_bytes: slot.retained_bytes,
            confirmed_beat: time(seen.confirmed_beat),
            lag_seconds: lag.as_ref().map(Duration::as_secs_f64),
            seen_at: seen.seen_at.to_rfc3339(),
        })
    }
}

impl CapturedDocument {
    fn of(seen: &ProgressStatus, lag: Option<Duration>) -> Option<Self> {
        let Progress::CaptureJob { until } = seen.progress else { return None };
        let until = until.map(Stamp::to_rfc3339);
        Some(Self { until, lag_seconds: lag.as_ref().map(Duration::as_secs_f64), seen_at: seen.seen_at.to_rfc3339() })
    }
}

impl From<&Checked> for ChecksDocument {
    fn from(checked: &Checked) -> Self {
        Self {
            at: checked.at.to_rfc3339(),
            verdict: checked.verdict.clone(),
            ok: checked.ok,
            skipped: checked.skipped,
            findings: checked.findings.to_vec(),
        }
    }
}

impl From<&HistoryEntry> for HistoryDocument {
    fn from(entry: &HistoryEntry) -> Self {
        let failure = entry.result.as_ref().err();
        Self {
            at: clock::to_rfc3339(entry.at),
            result: entry.result.as_ref().map_or("failed", |outcome| outcome.as_str()),
            duration_seconds: entry.duration.as_secs_f64(),
            kind: failure.map(|failure| failure.kind.as_str()),
            message: failure.map(|failure| failure.message.to_string()),
        }
    }
}

fn time(moment: Option<Moment>) -> Option<String> {
    moment.map(|at| at.to_rfc3339())
}
