//! The daemon: binds its status page, looks after every target, reloads on SIGHUP, ends on SIGTERM or SIGINT.

use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit::FAILED;
use super::settings::{load, refuse};
use super::terminal;
use crate::cli::SourceArgs;
use crate::config::{Purpose, Settings};
use crate::drivers::Drivers;
use crate::scheduler::fleet::Fleet;
use crate::status::board::Board;
use crate::status::dropped_lines::DroppedLines;
use crate::time::clock::Clock;
use crate::{http, logging, panics};

/// The signals the daemon listens to.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

/// Runs until told to end; exit code 0 on a signal, 1 if it cannot start, 2 for a configuration that cannot be used.
pub async fn run(sources: &SourceArgs, dropped_lines: &DroppedLines) -> ExitCode {
    let settings = match load(sources, Purpose::Daemon) {
        Ok(settings) => settings,
        Err(error) => return refuse(&error),
    };
    match serve(sources, settings, dropped_lines).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            terminal::error(&message);
            ExitCode::from(FAILED)
        }
    }
}

async fn serve(sources: &SourceArgs, mut settings: Settings, dropped_lines: &DroppedLines) -> Result<(), String> {
    let signals = Signals::listen().map_err(|error| format!("cannot listen to signals: {error}"))?;
    // Before any beat: a daemon that nobody can watch must not look as if it ran.
    let listener = http::bind(settings.http.listen).await.map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| format!("cannot tell the status address: {error}"))?;
    let board = Arc::new(Board::new(Clock::system()));
    board.process().dropped_lines = dropped_lines.clone();
    let stop_http = CancellationToken::new();
    let server = tokio::spawn(http::serve(listener, Arc::clone(&board), stop_http.clone()));
    let mut fleet = Fleet::new(Arc::clone(&board), Drivers::built_in(), &settings.instance, fastrand::u64(..));
    log_warnings(&settings);
    let targets = std::mem::take(&mut settings.targets);
    let count = targets.len();
    fleet.apply(targets).map_err(|error| error.to_string())?;
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(version, targets = count, status = %format_args!("http://{address}/"), "heartbeatd is running");
    let grace = attend(signals, sources, &mut settings, &mut fleet, &board).await;
    board.process().stopping = true;
    tracing::info!(grace_s = grace.as_secs_f64(), "stopping");
    // The status server and the log have their own time to end, and all must fit.
    fleet.stop(grace.saturating_sub(http::DRAIN_LIMIT + logging::FLUSH_LIMIT)).await;
    stop_http.cancel();
    // The server ends by its own limit; an abrupt end of it is no failure of ours.
    let _ = server.await;
    tracing::info!("stopped");
    Ok(())
}

/// Attends to signals until one asks to end; gives the grace period then in force.
async fn attend(
    mut signals: Signals,
    sources: &SourceArgs,
    settings: &mut Settings,
    fleet: &mut Fleet,
    board: &Board,
) -> std::time::Duration {
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return settings.shutdown.grace,
            _ = signals.interrupt.recv() => return settings.shutdown.grace,
            _ = signals.hangup.recv() => reload(sources, settings, fleet, board),
        }
    }
}

/// Takes over the configuration as it stands now; a broken one changes nothing and says why.
fn reload(sources: &SourceArgs, settings: &mut Settings, fleet: &mut Fleet, board: &Board) {
    // A fault of ours while it is read must not end the beats.
    let failed = |_| "heartbeatd itself failed; please report it with the log line \"panic\"".to_owned();
    let loaded = panics::caught_now(|| load(sources, Purpose::Daemon)).map_err(failed);
    let loaded = loaded.and_then(|loaded| loaded.map_err(|error| error.to_string()));
    let applied = loaded.and_then(|mut fresh| {
        log_warnings(&fresh);
        if fresh.http.listen != settings.http.listen || fresh.instance != settings.instance {
            tracing::warn!("a changed http.listen or instance takes effect at the next start");
        }
        // What is in force stays written down, so that the next reload tells of it again.
        fresh.http.listen = settings.http.listen;
        fresh.instance.clone_from(&settings.instance);
        let targets = std::mem::take(&mut fresh.targets);
        let changes = fleet.apply(targets).map_err(|error| error.to_string())?;
        *settings = fresh;
        Ok(changes)
    });
    match applied {
        Ok(changes) => {
            board.process().reload_error = None;
            tracing::info!(
                added = changes.added,
                changed = changes.changed,
                removed = changes.removed,
                unchanged = changes.unchanged,
                "configuration reloaded"
            );
        }
        Err(error) => {
            tracing::error!(error, "configuration not reloaded: the one before stays in force");
            board.process().reload_error = Some((board.clock().now(), error));
        }
    }
}

fn log_warnings(settings: &Settings) {
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}
