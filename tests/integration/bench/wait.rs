//! Waits for a condition: polls until a deadline, so that no test sleeps for a guessed time.

use std::fmt::Display;
use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// The time between two looks.
const POLL: Duration = Duration::from_millis(50);

/// Polls until `look` returns `Ok`, and returns its value. After `deadline` the test fails with the awaited condition,
/// the caller's place, and the last `Err`: so let the error say what is there. If this machine stalls, so that a pause
/// between two looks takes longer than it should, the deadline is later by as much.
///
/// ```ignore
/// eventually(secs(10), "the target to be healthy", async || {
///     let target = daemon.target("orders").await?;
///     if target["state"] == "healthy" { Ok(()) } else { Err(target.to_string()) }
/// }).await;
/// ```
#[track_caller]
pub(crate) fn eventually<T, E: Display>(
    deadline: Duration,
    what: impl Display,
    mut look: impl AsyncFnMut() -> Result<T, E>,
) -> impl Future<Output = T> {
    let place = Location::caller();
    async move {
        let mut end = Instant::now() + deadline;
        let mut last_seen = "nothing: the first look never returned".to_owned();
        loop {
            match timeout_at(end, look()).await {
                Ok(Ok(value)) => return value,
                Ok(Err(seen)) => last_seen = seen.to_string(),
                Err(_) => break,
            }
            let pause = Instant::now();
            if pause + POLL > end {
                break;
            }
            sleep(POLL).await;
            end += pause.elapsed().saturating_sub(POLL);
        }
        panic!("{place}: waited {deadline:?} for {what}; last seen: {last_seen}");
    }
}

/// Asserts that `look` keeps returning `Ok` for the whole of `span`.
#[track_caller]
pub(crate) fn steadily<E: Display>(
    span: Duration,
    what: impl Display,
    mut look: impl AsyncFnMut() -> Result<(), E>,
) -> impl Future<Output = ()> {
    let place = Location::caller();
    async move {
        let end = Instant::now() + span;
        while Instant::now() < end {
            if let Err(seen) = look().await {
                panic!("{place}: {what} did not last {span:?}; seen: {seen}");
            }
            sleep(POLL).await;
        }
    }
}

/// This many seconds.
pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
