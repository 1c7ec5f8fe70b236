//! The daemon: opens the status address, runs every target, reloads on SIGHUP, ends on SIGTERM or SIGINT.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::exit::FAILED;
use super::settings::{load, refuse};
use super::terminal;
use super::watch::Watch;
use crate::cli::SourceArgs;
use crate::config::{Purpose, Settings};
use crate::descriptors;
use crate::drivers::Drivers;
use crate::scheduler::fleet::{Changes, Fleet};
use crate::service_manager::ServiceManager;
use crate::status::board::Board;
use crate::status::dropped_lines::DroppedLines;
use crate::target::Target;
use crate::time::clock::{self, Clock, Instant};
use crate::{http, logging};

/// How long a reload may read the configuration. Each file and each search also has its own, shorter limit.
const RELOAD_LIMIT: Duration = Duration::from_secs(60);
const TOO_SLOW: &str = "reading the configuration took longer than 60 s: check its file system";
const LATE: &str = "the read that took too long has ended, and heartbeatd discarded its result: reload again";
const PANICKED: &str = "heartbeatd itself failed; please report it with the log line \"panic\"";
const STUCK: &str = "an earlier reload is still reading the configuration: this one starts when it has ended";

/// The signals the daemon listens to, and the changes of its files.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    files: Watch,
}

/// Runs until a signal ends it. Exit code 0 after a signal, 1 if it cannot start, 2 for a configuration that cannot be
/// used.
pub async fn run(sources: &SourceArgs, watch: Option<Duration>, dropped_lines: &DroppedLines) -> ExitCode {
    let settings = match load(sources, Purpose::Daemon) {
        Ok(settings) => settings,
        Err(error) => return refuse(&error),
    };
    match serve(sources, settings, watch, dropped_lines).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            terminal::error(&message);
            ExitCode::from(FAILED)
        }
    }
}

async fn serve(
    sources: &SourceArgs,
    mut settings: Settings,
    watch: Option<Duration>,
    dropped_lines: &DroppedLines,
) -> Result<(), String> {
    let files = Watch::start(watch).map_err(|error| format!("cannot watch the files: {error}"))?;
    files.look_at(&settings.files);
    let signals = Signals::listen(files).map_err(|error| format!("cannot listen to signals: {error}"))?;
    // Before the first beat: a daemon without a status page must not appear to run.
    let listener = http::bind(settings.http.listen).await.map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| format!("cannot tell the status address: {error}"))?;
    let board = Arc::new(Board::new(Clock::system()));
    board.process().dropped_lines = dropped_lines.clone();
    let mut fleet = Fleet::new(Arc::clone(&board), Drivers::built_in(), &settings.instance, fastrand::u64(..));
    log_warnings(&settings);
    let targets = std::mem::take(&mut settings.targets);
    warn_of_shortage(&targets);
    let count = targets.len();
    if let (0, Some(shard)) = (count, sources.shard) {
        tracing::warn!("no target belongs to shard {shard}");
    }
    fleet.apply(targets).map_err(|error| error.to_string())?;
    // Not before the board holds the targets: without targets, /health would report that all are healthy.
    let stop_http = CancellationToken::new();
    let server = tokio::spawn(http::serve(listener, Arc::clone(&board), stop_http.clone()));
    let manager = Arc::new(ServiceManager::from_environment());
    let informing = (Arc::clone(&manager), Arc::clone(&board));
    tokio::spawn(async move { informing.0.keep_informed(&informing.1).await });
    let version = env!("CARGO_PKG_VERSION");
    let shard = sources.shard.map(tracing::field::display);
    tracing::info!(version, targets = count, shard, status = %format_args!("http://{address}/"), "heartbeatd is running");
    let grace = attend(signals, sources, &mut settings, &mut fleet, &board, &manager).await;
    board.process().stopping = true;
    manager.stopping();
    tracing::info!(grace_s = grace.as_secs_f64(), "stopping");
    // The status server and the log also need time to end, and all must fit into the grace period.
    fleet.stop(grace.saturating_sub(http::DRAIN_LIMIT + logging::FLUSH_LIMIT)).await;
    stop_http.cancel();
    // The server has its own time limit; if it ends abruptly, that is not an error of the daemon.
    let _ = server.await;
    tracing::info!("stopped");
    Ok(())
}

/// Handles signals until one ends the program. Returns the current grace period.
async fn attend(
    mut signals: Signals,
    sources: &SourceArgs,
    settings: &mut Settings,
    fleet: &mut Fleet,
    board: &Board,
    manager: &ServiceManager,
) -> Duration {
    let mut reloading: Option<Reload> = None;
    // Signals during a reload cause one more reload, because the first may have read older files.
    let mut again = false;
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return settings.shutdown.grace,
            _ = signals.interrupt.recv() => return settings.shutdown.grace,
            () = reload_asked(&mut signals.hangup, &mut signals.files) => {
                manager.reloading();
                match &mut reloading {
                    None => reloading = Some(Reload::start(sources, board)),
                    Some(stuck) => {
                        again = true;
                        if stuck.given_up {
                            settle(Err(STUCK.to_owned()), board);
                            manager.reloaded();
                        }
                    }
                }
            }
            loaded = ended(&mut reloading) => {
                match loaded {
                    Some(loaded) => {
                        let applied = loaded.and_then(|fresh| take_over(fresh, settings, fleet));
                        // Before the log's line: its reader may change a new file at once, and that file must already
                        // be watched.
                        signals.files.look_at(&settings.files);
                        settle(applied, board);
                    }
                    None => settle(Err(TOO_SLOW.to_owned()), board),
                }
                manager.reloaded();
                if reloading.is_none() && std::mem::take(&mut again) {
                    reloading = Some(Reload::start(sources, board));
                }
            }
        }
    }
}

/// Waits until a reload is requested: by the signal, or by a changed file. Cancel-safe.
async fn reload_asked(hangup: &mut Signal, files: &mut Watch) {
    tokio::select! {
        _ = hangup.recv() => {}
        () = files.changed() => tracing::info!("a file of the configuration has changed"),
    }
}

/// A separate thread reads the configuration, so that the daemon handles signals even while a file does not answer.
struct Reload {
    loaded: oneshot::Receiver<Result<Settings, String>>,
    deadline: Instant,
    given_up: bool,
}

impl Reload {
    fn start(sources: &SourceArgs, board: &Board) -> Self {
        let (send, loaded) = oneshot::channel();
        let sources = sources.clone();
        let read = move || drop(send.send(load(&sources, Purpose::Daemon).map_err(|error| error.to_string())));
        // If there is no thread, or it panicked, the sender is gone: the read ends without settings.
        let _ = std::thread::Builder::new().name("reload".to_owned()).spawn(read);
        Self { loaded, deadline: board.clock().now().plus(RELOAD_LIMIT).mono, given_up: false }
    }
}

/// The result of the current reload; `None` once, when the reload is abandoned. After that, this waits until the thread
/// ends and drops its result, because the log already said that the earlier configuration stays in force.
///
/// Cancel-safe.
async fn ended(reloading: &mut Option<Reload>) -> Option<Result<Settings, String>> {
    let Some(reload) = reloading else { return std::future::pending().await };
    let loaded = if reload.given_up {
        let _ = (&mut reload.loaded).await;
        Err(LATE.to_owned())
    } else {
        match clock::timeout_at(reload.deadline, &mut reload.loaded).await {
            Ok(loaded) => loaded.unwrap_or_else(|_| Err(PANICKED.to_owned())),
            Err(_) => {
                reload.given_up = true;
                return None;
            }
        }
    };
    *reloading = None;
    Some(loaded)
}

/// Applies the settings.
fn take_over(mut fresh: Settings, settings: &mut Settings, fleet: &mut Fleet) -> Result<Changes, String> {
    log_warnings(&fresh);
    if fresh.http.listen != settings.http.listen || fresh.instance != settings.instance {
        tracing::warn!("a changed http.listen or instance takes effect at the next start");
    }
    // Keeps the current value, so that the next reload reports the difference again.
    fresh.http.listen = settings.http.listen;
    fresh.instance.clone_from(&settings.instance);
    let targets = std::mem::take(&mut fresh.targets);
    warn_of_shortage(&targets);
    let changes = fleet.apply(targets).map_err(|error| error.to_string())?;
    *settings = fresh;
    Ok(changes)
}

/// Logs the result of a reload. A failed reload changed nothing.
fn settle(applied: Result<Changes, String>, board: &Board) {
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
            // Before the log's line: its reader may ask for the metric at once.
            board.process().reload_error = Some((board.clock().now(), error.clone()));
            tracing::error!(error, "configuration not reloaded: the earlier one stays in force");
        }
    }
}

fn warn_of_shortage(targets: &[Target]) {
    let enabled = || targets.iter().filter(|target| target.enabled);
    let replicas = enabled().map(|target| target.replicas.len()).sum();
    if let Some(shortage) = descriptors::shortage_for(enabled().count(), replicas) {
        tracing::warn!("{shortage}");
    }
}

fn log_warnings(settings: &Settings) {
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
}

impl Signals {
    fn listen(files: Watch) -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            files,
        })
    }
}
