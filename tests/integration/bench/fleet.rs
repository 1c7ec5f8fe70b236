//! Measures what a daemon with many beating targets costs: memory, open files, processor time. The tests of fleets use
//! it.

use std::time::Duration;

use tokio::time::Instant;

use super::daemon::Daemon;
use super::wait::{secs, steadily};

/// The cost of a fleet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Resident memory at the end.
    pub(crate) rss_kib: u64,
    pub(crate) open_files: usize,
}

/// Measures a daemon with beating targets, and prints the figures. `/health` must always be 200, no beat may fail, and
/// neither memory nor open files may grow.
pub(crate) async fn cost_in_flat_memory(daemon: &Daemon, targets: usize, span: Duration) -> Cost {
    is_healthy_for(daemon, secs(10)).await;
    let (before, files, cpu) = (daemon.rss_kib(), daemon.open_files(), daemon.cpu());
    let begin = Instant::now();
    is_healthy_for(daemon, span).await;
    let (after, used) = (daemon.rss_kib(), daemon.cpu() - cpu);
    eprintln!(
        "{targets} targets: RSS {before} KiB, {} s later {after} KiB, {files} files open, {:.1} ms of processor time a second",
        span.as_secs(),
        used.as_secs_f64() * 1_000.0 / begin.elapsed().as_secs_f64()
    );
    assert!(after < before + before / 10, "{before} KiB, then {after} KiB");
    // One look may meet a few requests that have not ended.
    daemon.open_files_fall_to(files + 4).await;
    let failed = daemon.metrics().await.sum("heartbeatd_beats_total", &[("result", "failed")]);
    assert!(failed < 0.5, "{}", daemon.log());
    Cost { rss_kib: after, open_files: files }
}

async fn is_healthy_for(daemon: &Daemon, span: Duration) {
    steadily(span, "/health 200", async || match daemon.health().await {
        (200, _) => Ok(()),
        (status, health) => Err(format!("{status}: {health}")),
    })
    .await;
}
