//! `/metrics`. A scrape reads the board, so nothing is stale and a removed target leaves no series behind. Only this
//! module knows the names of metrics.
//!
//! It first copies the board's figures, with one short lock per target, and then writes them: `OpenMetrics` wants a
//! family's series together, and a thousand targets should not be locked a dozen times each.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::driver::Progress;
use crate::finding::{Severity, Status};
use crate::status::board::{Board, ConnectReason, Counters, TargetStatus};
use crate::status::health::{self, State};
use crate::status::histogram::{BOUNDS, Histogram};
use crate::target::Target;
use crate::time::clock::Moment;

/// Beats by result: `ok`, `failed`, `fresh`. Labels `target`, `driver`, `result`.
pub const BEATS: &str = "heartbeatd_beats_total";
/// Ticks that were due while a beat was in flight or a retry was waiting. Label `target`.
pub const TICKS_MISSED: &str = "heartbeatd_ticks_missed_total";
/// When the newest change of `last_update` was made or seen. Label `target`.
pub const LAST_BEAT: &str = "heartbeatd_last_beat_timestamp_seconds";
/// The duration of beats. Label `driver`.
pub const BEAT_DURATION: &str = "heartbeatd_beat_duration_seconds";
/// The delay between a tick and the start of its beat. Label `driver`.
pub const BEAT_LATENESS: &str = "heartbeatd_beat_lateness_seconds";
/// 1 if the target is healthy, else 0; no series while it is disabled. Label `target`.
pub const TARGET_HEALTHY: &str = "heartbeatd_target_healthy";
/// The number of a target's problems that do not turn it red: 0 if it has none. Label `target`.
pub const TARGET_PROBLEMS: &str = "heartbeatd_target_problems";
/// Failed tries. Labels `target`, `class`, `kind`.
pub const ERRORS: &str = "heartbeatd_errors_total";
/// Connections made. Labels `target`, `reason`.
pub const CONNECTS: &str = "heartbeatd_connects_total";
/// The server's clock minus ours. Label `target`.
pub const CLOCK_SKEW: &str = "heartbeatd_clock_skew_seconds";
/// From the acknowledgement of a beat until heartbeatd saw it on a replica. Labels `target`, `replica`.
pub const REPLICA_LAG: &str = "heartbeatd_replica_lag_seconds";
/// 1 for each check that failed in the last run. Labels `target`, `check`, `severity`.
pub const CHECK_FAILED: &str = "heartbeatd_check_failed";
/// How much log the connector's slot retains. Labels `target`, `slot`.
pub const SLOT_RETAINED: &str = "heartbeatd_slot_retained_bytes";
/// The age of the newest beat that the connector has confirmed, or a lower bound since the start. Label `target`.
pub const DELIVERY_LAG: &str = "heartbeatd_delivery_lag_seconds";
/// The age of the newest change that the database's capture job has copied (SQL Server). Label `target`.
pub const CAPTURE_LAG: &str = "heartbeatd_capture_lag_seconds";
/// 1 after a failed reload, until a reload succeeds.
pub const CONFIG_RELOAD_FAILED: &str = "heartbeatd_config_reload_failed";
/// Log lines that heartbeatd could not write, or not fast enough.
pub const LOG_LINES_DROPPED: &str = "heartbeatd_log_lines_dropped_total";
/// Always 1. Label `version`.
pub const BUILD_INFO: &str = "heartbeatd_build_info";

/// Every name, as a query uses it before the labels (histograms: before `_bucket`, `_sum`, `_count`).
pub const ALL: [&str; 18] = [
    BEATS,
    TICKS_MISSED,
    LAST_BEAT,
    BEAT_DURATION,
    BEAT_LATENESS,
    TARGET_HEALTHY,
    TARGET_PROBLEMS,
    ERRORS,
    CONNECTS,
    CLOCK_SKEW,
    REPLICA_LAG,
    CHECK_FAILED,
    SLOT_RETAINED,
    DELIVERY_LAG,
    CAPTURE_LAG,
    CONFIG_RELOAD_FAILED,
    LOG_LINES_DROPPED,
    BUILD_INFO,
];

/// The format of [`encode`]'s text.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A registry that holds only the board's collector.
pub(super) fn registry(board: Arc<Board>) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(BoardCollector(board)));
    registry
}

/// Scrapes the board.
pub(super) fn encode(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    text::encode(&mut text, registry)?;
    Ok(text)
}

#[derive(Debug)]
struct BoardCollector(Arc<Board>);

/// The copied figures of one target.
struct Figures {
    target: Arc<Target>,
    state: State,
    problems: usize,
    newest_change: Option<Moment>,
    clock_skew: Option<f64>,
    counters: Counters,
    replica_lags: Vec<(String, Duration)>,
    failed_checks: BTreeSet<(String, Severity)>,
    slot: Option<(String, Option<u64>)>,
    delivery_lag: Option<Duration>,
    capture_lag: Option<Duration>,
}

impl Figures {
    fn of(status: &TargetStatus, now: Moment) -> Self {
        let health = health::judge(status, now);
        let lags = status.replicas.iter().filter_map(|(name, replica)| Some((name.clone(), replica.lag?)));
        let failed = status.checked.iter().flat_map(|checked| &checked.findings);
        let failed = failed.filter(|finding| finding.status == Status::Failed);
        Self {
            failed_checks: failed.map(|finding| (finding.id.clone(), finding.severity)).collect(),
            slot: status.progress.as_ref().and_then(|seen| match &seen.progress {
                Progress::Slot(slot) => Some((slot.name.clone(), slot.retained_bytes)),
                Progress::CaptureJob { .. } => None,
            }),
            delivery_lag: status.delivery_lag(now),
            capture_lag: status.capture_lag(now),
            target: Arc::clone(&status.target),
            state: health.state,
            problems: health.problems(),
            newest_change: status.newest_change.map(|change| change.at),
            clock_skew: status.clock_skew,
            counters: status.counters.clone(),
            replica_lags: lags.collect(),
        }
    }

    fn name(&self) -> &str {
        &self.target.name
    }
}

impl Collector for BoardCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let now = self.0.clock().now();
        let figures: Vec<Figures> = self.0.cells().iter().map(|cell| Figures::of(&cell.lock(), now)).collect();
        encode_counters(&mut encoder, &figures)?;
        encode_gauges(&mut encoder, &figures)?;
        encode_checks(&mut encoder, &figures)?;
        encode_histograms(&mut encoder, &self.0)?;
        encode_program(&mut encoder, &self.0)
    }
}

fn encode_counters(encoder: &mut DescriptorEncoder<'_>, all: &[Figures]) -> fmt::Result {
    let mut beats =
        counter(encoder, BEATS, "Beats by result: ok, failed, or fresh (another writer had updated the row).")?;
    for figures in all {
        let counters = &figures.counters;
        for (result, count) in [("ok", counters.ok), ("failed", counters.failed), ("fresh", counters.fresh)] {
            let labels = [("target", figures.name()), ("driver", figures.target.driver()), ("result", result)];
            count_up(&mut beats, &labels, count)?;
        }
    }
    let mut missed =
        counter(encoder, TICKS_MISSED, "Ticks that were due while a beat was in flight or a retry was waiting.")?;
    for figures in all {
        count_up(&mut missed, &[("target", figures.name())], figures.counters.ticks_missed)?;
    }
    let mut errors = counter(encoder, ERRORS, "Failed tries by class and kind.")?;
    for figures in all {
        for ((class, kind), count) in &figures.counters.errors {
            let labels = [("target", figures.name()), ("class", class.as_str()), ("kind", kind.as_str())];
            count_up(&mut errors, &labels, *count)?;
        }
    }
    let mut connects = counter(encoder, CONNECTS, "Connections opened: at start, to replace a lost one, for a retry.")?;
    for figures in all {
        for reason in ConnectReason::ALL {
            let count = figures.counters.connects.get(&reason).copied().unwrap_or_default();
            count_up(&mut connects, &[("target", figures.name()), ("reason", reason.as_str())], count)?;
        }
    }
    Ok(())
}

fn encode_gauges(encoder: &mut DescriptorEncoder<'_>, all: &[Figures]) -> fmt::Result {
    let mut last = gauge(encoder, LAST_BEAT, "Time of the newest change of last_update that heartbeatd made or saw.")?;
    for figures in all {
        if let Some(at) = figures.newest_change {
            #[allow(clippy::cast_precision_loss, reason = "microseconds of our age fit into 53 bits until 2255")]
            let seconds = at.wall_micros() as f64 / 1e6;
            last.encode_family(&[("target", figures.name())])?.encode_gauge(&seconds)?;
        }
    }
    let mut healthy = gauge(encoder, TARGET_HEALTHY, "1 if the target is healthy, else 0; absent if it is disabled.")?;
    for figures in all.iter().filter(|figures| figures.state != State::Disabled) {
        let value = i64::from(figures.state == State::Healthy);
        healthy.encode_family(&[("target", figures.name())])?.encode_gauge(&value)?;
    }
    let mut problems = gauge(encoder, TARGET_PROBLEMS, "What is wrong with a target although it is healthy.")?;
    for figures in all.iter().filter(|figures| figures.state != State::Disabled) {
        let count = i64::try_from(figures.problems).unwrap_or(i64::MAX);
        problems.encode_family(&[("target", figures.name())])?.encode_gauge(&count)?;
    }
    let mut skew = gauge(encoder, CLOCK_SKEW, "The server's clock minus heartbeatd's, at the last beat.")?;
    for figures in all {
        if let Some(seconds) = figures.clock_skew {
            skew.encode_family(&[("target", figures.name())])?.encode_gauge(&seconds)?;
        }
    }
    let mut lag =
        gauge(encoder, REPLICA_LAG, "Time from the acknowledgement of a beat until heartbeatd saw it on the replica.")?;
    for figures in all {
        for (replica, duration) in &figures.replica_lags {
            let labels = [("target", figures.name()), ("replica", replica.as_str())];
            lag.encode_family(&labels)?.encode_gauge(&duration.as_secs_f64())?;
        }
    }
    Ok(())
}

fn encode_checks(encoder: &mut DescriptorEncoder<'_>, all: &[Figures]) -> fmt::Result {
    let mut failed = gauge(encoder, CHECK_FAILED, "Checks that failed at the last look; the others have no series.")?;
    for figures in all {
        for (check, severity) in &figures.failed_checks {
            let labels = [("target", figures.name()), ("check", check.as_str()), ("severity", severity.as_str())];
            failed.encode_family(&labels)?.encode_gauge(&1_i64)?;
        }
    }
    let mut retained = gauge(encoder, SLOT_RETAINED, "Log that the connector's slot retains.")?;
    for figures in all {
        if let Some((slot, Some(bytes))) = &figures.slot {
            let bytes = i64::try_from(*bytes).unwrap_or(i64::MAX);
            retained.encode_family(&[("target", figures.name()), ("slot", slot.as_str())])?.encode_gauge(&bytes)?;
        }
    }
    let mut lag = gauge(encoder, DELIVERY_LAG, "Age of the newest beat that the connector has confirmed.")?;
    for figures in all {
        if let Some(age) = &figures.delivery_lag {
            lag.encode_family(&[("target", figures.name())])?.encode_gauge(&age.as_secs_f64())?;
        }
    }
    let mut lag = gauge(encoder, CAPTURE_LAG, "Age of the newest change that the database's capture job has copied.")?;
    for figures in all {
        if let Some(age) = &figures.capture_lag {
            lag.encode_family(&[("target", figures.name())])?.encode_gauge(&age.as_secs_f64())?;
        }
    }
    Ok(())
}

fn encode_histograms(encoder: &mut DescriptorEncoder<'_>, board: &Board) -> fmt::Result {
    let drivers = board.drivers();
    let mut duration =
        histogram(encoder, BEAT_DURATION, "Duration of beats, including the connection if one was needed.")?;
    for (driver, figures) in &drivers {
        encode_histogram(&mut duration, driver, &figures.duration)?;
    }
    let mut lateness = histogram(encoder, BEAT_LATENESS, "Time from a tick until its beat started.")?;
    for (driver, figures) in &drivers {
        encode_histogram(&mut lateness, driver, &figures.lateness)?;
    }
    Ok(())
}

fn encode_program(encoder: &mut DescriptorEncoder<'_>, board: &Board) -> fmt::Result {
    let (failed, dropped_lines) = {
        let process = board.process();
        (i64::from(process.reload_error.is_some()), process.dropped_lines.count())
    };
    gauge(encoder, CONFIG_RELOAD_FAILED, "1 if the last reload of the configuration failed.")?.encode_gauge(&failed)?;
    counter(encoder, LOG_LINES_DROPPED, "Log lines that heartbeatd could not write, or not fast enough.")?
        .encode_counter::<NoLabelSet, u64, f64>(&dropped_lines, None)?;
    let build = BUILD_INFO.trim_end_matches("_info");
    encoder
        .encode_descriptor(build, "The version of heartbeatd.", None, MetricType::Info)?
        .encode_info(&[("version", env!("CARGO_PKG_VERSION"))])
}

fn encode_histogram(family: &mut MetricEncoder<'_>, driver: &str, histogram: &Histogram) -> fmt::Result {
    let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(histogram.counts).collect();
    let labels = [("driver", driver)];
    let mut series = family.encode_family(&labels)?;
    series.encode_histogram::<NoLabelSet>(histogram.sum, histogram.count(), &buckets, None)
}

/// Opens a family of counters. `OpenMetrics` names the family without the `_total` that its series carry.
fn counter<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'static str,
    help: &str,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    encoder.encode_descriptor(name.trim_end_matches("_total"), help, None, MetricType::Counter)
}

fn gauge<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'static str,
    help: &str,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, MetricType::Gauge)
}

fn histogram<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'static str,
    help: &str,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, MetricType::Histogram)
}

fn count_up(family: &mut MetricEncoder<'_>, labels: &impl EncodeLabelSet, count: u64) -> fmt::Result {
    family.encode_family(labels)?.encode_counter::<NoLabelSet, u64, f64>(&count, None)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{add, beat, empty_board, full_board, serve};
    use super::*;

    fn scrape(board: &Arc<Board>) -> String {
        encode(&registry(Arc::clone(board))).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_scrape_matches_its_snapshot() {
        let served = serve(&full_board().await).await;
        let answer = served.get("/metrics").await;
        assert_eq!(answer.status, 200);
        assert!(answer.head.contains(&format!("content-type: {CONTENT_TYPE}")), "{}", answer.head);
        insta::assert_snapshot!("metrics", answer.body.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
    }

    #[tokio::test(start_paused = true)]
    async fn exactly_the_listed_metric_names_are_written() {
        let text = scrape(&full_board().await);
        let families: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        assert_eq!(families.len(), ALL.len(), "{families:?}");
        for name in ALL {
            let found = text.lines().any(|line| !line.starts_with('#') && line.starts_with(name));
            assert!(found, "{name} has no series in\n{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_target_starts_its_counters_at_zero_and_a_removed_one_takes_its_series_with_it() {
        let board = empty_board();
        let before = scrape(&board);
        beat(&add(&board, "orders", |_| {}), board.clock().now());
        let text = scrape(&board);
        for series in [
            "heartbeatd_beats_total{target=\"orders\",driver=\"postgres\",result=\"ok\"} 0",
            "heartbeatd_beats_total{target=\"orders\",driver=\"postgres\",result=\"failed\"} 0",
            "heartbeatd_beats_total{target=\"orders\",driver=\"postgres\",result=\"fresh\"} 0",
            "heartbeatd_ticks_missed_total{target=\"orders\"} 0",
            "heartbeatd_connects_total{target=\"orders\",reason=\"start\"} 0",
            "heartbeatd_connects_total{target=\"orders\",reason=\"lost\"} 0",
            "heartbeatd_connects_total{target=\"orders\",reason=\"retry\"} 0",
            "heartbeatd_target_healthy{target=\"orders\"} 1",
            "heartbeatd_last_beat_timestamp_seconds{target=\"orders\"} 1795173753.0",
        ] {
            assert!(text.lines().any(|line| line == series), "{series} is not in\n{text}");
        }
        board.remove("orders");
        assert_eq!(scrape(&board), before);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_unknown_or_disabled_has_no_series() {
        let board = empty_board();
        add(&board, "archive", |target| target.enabled = false);
        add(&board, "young", |_| {});
        let text = scrape(&board);
        assert!(!text.contains("heartbeatd_target_healthy{target=\"archive\"}"));
        assert!(text.contains("heartbeatd_target_healthy{target=\"young\"} 0"));
        for name in [LAST_BEAT, CLOCK_SKEW, REPLICA_LAG, ERRORS] {
            assert!(!text.contains(&format!("{name}{{")), "{name} in\n{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_hostile_name_stays_inside_its_label() {
        let board = empty_board();
        add(&board, "a\"} 1\nheartbeatd_forged 1\\", |_| {});
        let text = scrape(&board);
        assert!(
            text.contains("heartbeatd_ticks_missed_total{target=\"a\\\"} 1\\nheartbeatd_forged 1\\\\\"} 0\n"),
            "{text}"
        );
        assert!(!text.contains("\nheartbeatd_forged"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_reload_is_shown_until_one_succeeds() {
        let board = empty_board();
        let line = |value: u8| format!("{CONFIG_RELOAD_FAILED} {value}");
        assert!(scrape(&board).lines().any(|found| found == line(0)));
        board.process().reload_error = Some((board.clock().now(), "heartbeatd.toml:3: unknown key".to_owned()));
        assert!(scrape(&board).lines().any(|found| found == line(1)));
    }
}
