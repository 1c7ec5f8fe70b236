//! How many log lines were lost. `logging` counts them, the metrics read them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing_appender::non_blocking::ErrorCounter;

/// Counts the log lines that were dropped since the start. Clones share the count.
#[derive(Debug, Clone, Default)]
pub struct DroppedLines {
    unwritten: Arc<AtomicU64>,
    overflowed: Option<ErrorCounter>,
}

impl DroppedLines {
    /// Also counts the lines that did not fit into the queue.
    #[must_use]
    pub fn with_overflow(self, overflowed: ErrorCounter) -> Self {
        Self { overflowed: Some(overflowed), ..self }
    }

    /// Counts one lost line.
    pub fn add_unwritten(&self) {
        self.unwritten.fetch_add(1, Ordering::Relaxed);
    }

    /// How many lines were dropped so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        let overflowed = self.overflowed.as_ref().map_or(0, ErrorCounter::dropped_lines);
        self.unwritten.load(Ordering::Relaxed) + u64::try_from(overflowed).unwrap_or(u64::MAX / 2)
    }
}
