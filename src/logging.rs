//! Where log lines go and how they look; set up once by `main`.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::cli::{LogArgs, LogFormat};

/// Sends log lines to standard error: coloured on a terminal, plain elsewhere, or as JSON.
///
/// # Errors
/// A filter that cannot be read, in words.
pub fn start(args: &LogArgs) -> Result<(), String> {
    let filter = EnvFilter::try_new(&args.log).map_err(|error| format!("--log {}: {error}", args.log))?;
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_span_events(FmtSpan::NONE)
        .with_target(false);
    match args.log_format {
        LogFormat::Text => lines.with_ansi(colour).init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).init(),
    }
    log_panics();
    Ok(())
}

/// A panic becomes a log line with its place, in the log's own format, and not raw text between JSON lines.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let text = panic.payload().downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.payload().downcast_ref::<String>().map(String::as_str));
        tracing::error!(place, text, "panic");
    }));
}
