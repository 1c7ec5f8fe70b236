//! Where log lines go and how they look; `main` sets it up once.
//!
//! A queue takes the lines, and a separate thread writes them to standard error. If the sink fails, blocks or is slow,
//! lines are lost and counted, but the code that logs never waits or fails.

mod filter;
mod libraries;
mod panics;
mod sink;

use std::io::IsTerminal;
use std::sync::mpsc;
use std::time::Duration;

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use self::libraries::Libraries;
use self::sink::Lines;
use crate::cli::{LogArgs, LogFormat};
use crate::status::dropped_lines::DroppedLines;

/// How many lines may wait for a slow sink: enough for the first lines of thousands of targets, and some megabytes.
const QUEUE: usize = 8_192;

/// How long the end of the program waits for the lines that are still queued.
pub const FLUSH_LIMIT: Duration = Duration::from_millis(500);

/// The running log. End it with [`Log::end`].
#[derive(Debug)]
pub struct Log {
    worker: WorkerGuard,
    dropped: DroppedLines,
}

/// Sends log lines to standard error: coloured on a terminal, plain elsewhere, or as JSON.
///
/// # Errors
/// A sentence about a filter that cannot be read.
pub fn start(args: &LogArgs) -> Result<Log, String> {
    let filter = filter::parse(&args.log).map_err(|error| format!("--log {}: {error}", args.log))?;
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let dropped = DroppedLines::default();
    let (lines, worker) = queue(Lines::new(rustix::stdio::stderr(), dropped.clone()), QUEUE);
    let dropped = dropped.with_overflow(lines.error_counter());
    let layers = tracing_subscriber::registry().with(filter).with(Libraries);
    // Counts an event that cannot be written: by default, subscribers report it on standard error, and panic if that
    // fails too.
    let format = tracing_subscriber::fmt::layer().with_writer(lines).with_target(false).log_internal_errors(false);
    let started = match args.log_format {
        LogFormat::Text => layers.with(format.with_ansi(colour)).try_init(),
        LogFormat::Json => layers.with(format.json().flatten_event(true).with_current_span(false)).try_init(),
    };
    started.map_err(|error| format!("the log cannot be set up: {error}"))?;
    panics::log();
    Ok(Log { worker, dropped })
}

fn queue(sink: impl std::io::Write + Send + 'static, length: usize) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default().lossy(true).buffered_lines_limit(length).thread_name("log").finish(sink)
}

impl Log {
    /// The lines that could not be written.
    #[must_use]
    pub fn dropped_lines(&self) -> DroppedLines {
        self.dropped.clone()
    }

    /// Writes the lines that are still queued, for at most [`FLUSH_LIMIT`].
    pub fn end(self) {
        let (done, ended) = mpsc::channel::<()>();
        let Self { worker, .. } = self;
        // In a separate thread: if the sink blocks, the library waits for its worker longer than our limit, and it may
        // then print, which may block too.
        let flush = std::thread::Builder::new().name("log-end".to_owned()).spawn(move || {
            drop(worker);
            drop(done);
        });
        if flush.is_ok() {
            // The end and the limit have the same effect here.
            let _ = ended.recv_timeout(FLUSH_LIMIT);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A sink that accepts nothing until its sender is dropped.
    struct Blocked(mpsc::Receiver<()>);

    impl Write for Blocked {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.recv();
            Ok(line.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_blocked_sink_never_delays_a_log_call_and_lost_lines_are_counted() {
        let (blocked, sink) = mpsc::channel();
        let (mut lines, worker) = queue(Blocked(sink), 10);
        let log = Log { worker, dropped: DroppedLines::default().with_overflow(lines.error_counter()) };
        // If the worker was quick, the sink holds one more line than the queue does.
        for _ in 0..100 {
            lines.write_all(b"line\n").unwrap();
        }
        let dropped = log.dropped_lines().count();
        assert!((89..=90).contains(&dropped), "{dropped}");
        // Returns although the sink still blocks.
        log.end();
        drop(blocked);
    }
}
