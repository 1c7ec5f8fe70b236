//! The only module that reads a clock. Every room that needs "now" gets a [`Clock`].
//!
//! There are two clocks. The monotonic one (tokio's, which tests pause) never jumps, and on Linux it stops while the
//! machine is suspended. The wall clock continues, and someone may set it. So an age is the larger of the two.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

pub use tokio::time::Instant;

/// A moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The monotonic clock.
    pub mono: Instant,
    /// The wall clock.
    pub wall: SystemTime,
}

/// Where "now" comes from; cheap to clone.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    /// Wall time that follows tokio's (paused) clock, plus an offset that a simulation may change.
    Simulated {
        origin: Moment,
        offset_micros: Arc<AtomicI64>,
    },
}

/// Sets the wall clock of a simulation.
#[derive(Debug, Clone)]
pub struct WallClock(Arc<AtomicI64>);

impl Clock {
    /// The machine's clocks.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock whose wall time starts at `wall` and follows tokio's clock: for simulations under a paused clock.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one door")]
    pub fn simulated(wall: SystemTime) -> (Self, WallClock) {
        let offset_micros = Arc::new(AtomicI64::new(0));
        let origin = Moment { mono: Instant::now(), wall };
        let clock = Self(Source::Simulated { origin, offset_micros: Arc::clone(&offset_micros) });
        (clock, WallClock(offset_micros))
    }

    /// Now, on both clocks.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one door")]
    pub fn now(&self) -> Moment {
        let mono = Instant::now();
        let wall = match &self.0 {
            Source::System => SystemTime::now(),
            Source::Simulated { origin, offset_micros } => {
                let wall = origin.wall + mono.duration_since(origin.mono);
                let offset = offset_micros.load(Ordering::Relaxed);
                let distance = Duration::from_micros(offset.unsigned_abs());
                if offset < 0 { wall - distance } else { wall + distance }
            }
        };
        Moment { mono, wall }
    }
}

impl WallClock {
    /// Sets the wall clock forward by this many seconds (or back, if negative).
    pub fn step(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }
}

impl Moment {
    /// How long ago `earlier` was: the larger of the monotonic and the wall-clock age.
    #[must_use]
    pub fn age_of(&self, earlier: Self) -> Duration {
        let mono = self.mono.saturating_duration_since(earlier.mono);
        mono.max(self.wall.duration_since(earlier.wall).unwrap_or_default())
    }

    /// The moment `later` after this one, on both clocks.
    #[must_use]
    pub fn plus(&self, later: Duration) -> Self {
        Self { mono: self.mono + later, wall: self.wall + later }
    }

    /// The wall clock in microseconds since 1970, as [`super::Stamp`] counts.
    #[must_use]
    pub fn wall_micros(&self) -> i64 {
        match self.wall.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
        }
    }

    /// The wall clock as RFC 3339 in UTC, to the millisecond.
    #[must_use]
    pub fn to_rfc3339(&self) -> String {
        to_rfc3339(self.wall)
    }
}

/// A time of the wall clock as RFC 3339 in UTC, to the millisecond.
#[must_use]
pub fn to_rfc3339(wall: SystemTime) -> String {
    chrono::DateTime::<chrono::Utc>::from(wall).to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// The system's monotonic clock in microseconds, as `CLOCK_MONOTONIC` counts, for service managers, which compare it
/// with their own.
#[must_use]
pub fn monotonic_micros() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec * 1_000_000 + time.tv_nsec / 1_000
}

/// Sleeps until a monotonic instant. Cancel-safe.
pub async fn sleep_until(instant: Instant) {
    tokio::time::sleep_until(instant).await;
}

/// Runs a future until it is done or the instant has come. Cancel-safe if the future is.
///
/// # Errors
/// [`Elapsed`](tokio::time::error::Elapsed) if the instant came first; the future is then dropped.
pub async fn timeout_at<F: Future>(instant: Instant, future: F) -> Result<F::Output, tokio::time::error::Elapsed> {
    tokio::time::timeout_at(instant, future).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_age_is_the_larger_of_both_clocks() {
        let (clock, wall) = Clock::simulated(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000));
        let start = clock.now();
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(clock.now().age_of(start), Duration::from_secs(10));
        wall.step(3_600);
        assert_eq!(clock.now().age_of(start), Duration::from_secs(3_610));
        wall.step(-7_200);
        assert_eq!(clock.now().age_of(start), Duration::from_secs(10));
    }
}
