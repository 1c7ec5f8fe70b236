//! Logs messages of libraries that `--log` names, under our own message. They are shortened, because they often contain
//! text from a server.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use crate::plain_text::{MAX_CHARS, one_line};

/// The target of the lines that come from libraries.
pub(super) const TARGET: &str = "heartbeatd::libraries";

/// Replaces the events of libraries with events of our own.
pub(super) struct Libraries;

impl<S: Subscriber> Layer<S> for Libraries {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if metadata.target() == "heartbeatd" || metadata.target().starts_with("heartbeatd::") {
            return true;
        }
        let mut said = Said::default();
        event.record(&mut said);
        say(*metadata.level(), metadata.target(), &one_line(&said.0));
        false
    }
}

fn say(level: Level, library: &str, text: &str) {
    match level {
        Level::ERROR => tracing::error!(target: TARGET, library, text, "a library says"),
        Level::WARN => tracing::warn!(target: TARGET, library, text, "a library says"),
        Level::INFO => tracing::info!(target: TARGET, library, text, "a library says"),
        Level::DEBUG => tracing::debug!(target: TARGET, library, text, "a library says"),
        Level::TRACE => tracing::trace!(target: TARGET, library, text, "a library says"),
    }
}

/// An event's message and fields, up to the length that is shown, because a server may have sent megabytes.
#[derive(Default)]
struct Said(String);

impl Write for Said {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // A character has at most four bytes; one more character makes the cut visible.
        let room = (4 * (MAX_CHARS + 1)).saturating_sub(self.0.len());
        let cut = text.floor_char_boundary(room);
        self.0.push_str(&text[..cut]);
        if cut == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let separator = if self.0.is_empty() { "" } else { " " };
        // An error means that no room is left.
        let _ = match field.name() {
            "message" => write!(self, "{separator}{value:?}"),
            name => write!(self, "{separator}{name}={value:?}"),
        };
    }
}
