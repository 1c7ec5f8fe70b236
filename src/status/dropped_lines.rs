//! How many log lines could not be written; counted by `logging`, read by the metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing_appender::non_blocking::ErrorCounter;

/// Counts the log lines that were dropped since the start. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct DroppedLines {
    unwritten: Arc<AtomicU64>,
    overflowed: Option<ErrorCounter>,
}

impl DroppedLines {
    /// Counts what overflowed the queue, too.
    #[must_use]
    pub fn with_overflow(self, overflowed: ErrorCounter) -> Self {
        Self { overflowed: Some(overflowed), ..self }
    }

    /// One more line could not be written.
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
