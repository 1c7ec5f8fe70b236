//! Durations in words, as messages show them.

use std::time::Duration;

/// A duration for people: two units are enough.
#[must_use]
pub fn words(duration: Duration) -> String {
    let whole = if duration >= Duration::from_secs(10) {
        Duration::from_secs(duration.as_secs())
    } else {
        Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    };
    humantime::format_duration(whole).to_string().split(' ').take(2).collect::<Vec<_>>().join(" ")
}
