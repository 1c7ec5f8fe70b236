//! Logs a panic as a line with its place in the format of the log, instead of raw text between JSON lines.

use std::collections::BTreeMap;
use std::panic::PanicHookInfo;
use std::sync::Mutex;
use std::time::Duration;

use crate::plain_text::one_line;
use crate::time::clock::{Clock, Instant};

/// The shortest time between two lines about one place, because a server that makes the client panic does so at each
/// try.
const REMINDER: Duration = Duration::from_secs(60);

/// Replaces the hook that prints, because that one panics itself if standard error is gone.
pub(super) fn log() {
    let logged = Mutex::new(BTreeMap::new());
    std::panic::set_hook(Box::new(move |panic| write_line(panic, &logged)));
}

fn write_line(panic: &PanicHookInfo<'_>, logged: &Mutex<BTreeMap<String, Instant>>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let now = Clock::system().now().mono;
    // Never wait here: a panic may happen anywhere. The map has at most as many places as there are lines that can
    // panic.
    if let Ok(mut logged) = logged.try_lock() {
        if logged.get(&place).is_some_and(|before| now.saturating_duration_since(*before) < REMINDER) {
            return;
        }
        logged.insert(place.clone(), now);
    }
    let text = panic.payload().downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.payload().downcast_ref::<String>().map(String::as_str)).unwrap_or_default();
    tracing::error!(place, text = one_line(text), "panic");
}
