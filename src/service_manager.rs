//! Reports to the service manager that started this program: ready, reloading, stopping, one status line, and that its
//! loops run. The protocol is systemd's (`sd_notify(3)`). It sends nothing if the service manager did not ask.
//! `commands::run` calls it.
//!
//! Nothing here waits for the service manager. A message that its socket does not accept is sent again at the next
//! look.

use std::ffi::OsStr;
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::status::board::Board;
use crate::status::health::{self, State};
use crate::time::clock::{self, Moment, monotonic_micros};

/// How often to look for something to report.
const LOOK: Duration = Duration::from_secs(1);
/// The first round counts as over after this time, even if a target still waits: a time-out may be an hour, and systemd
/// ends a service that is not ready within 90 s (`DefaultTimeoutStartSec=`).
const FIRST_ROUND: Duration = Duration::from_secs(60);
/// `systemctl status` shows the status on one line.
const LONGEST_STATUS: usize = 200;

/// The connection to the service manager.
#[derive(Debug)]
pub struct ServiceManager {
    channel: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
    progress: Mutex<Progress>,
    changed: Notify,
}

/// What was reported, and what to report next.
#[derive(Debug, Default)]
struct Progress {
    first_round_over: bool,
    reloading: bool,
    stopping: bool,
    ready_reported: bool,
}

impl ServiceManager {
    /// Reads the environment: `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    #[must_use]
    pub fn from_environment() -> Self {
        let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return Self::new(None, None) };
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| ours && *micros > 0).map(Duration::from_micros);
        match Self::at(&socket, watchdog) {
            Ok(manager) => manager,
            Err(error) => {
                let socket = socket.to_string_lossy();
                tracing::warn!("cannot tell the service manager anything: NOTIFY_SOCKET={socket}: {error}");
                Self::new(None, None)
            }
        }
    }

    /// A service manager that listens at `socket` (a path, or `@` and an abstract name), and expects a sign of life
    /// within each `watchdog`.
    ///
    /// # Errors
    /// If this is not the address of a socket, or no file descriptor is left for one.
    pub fn at(socket: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let channel = UnixDatagram::unbound()?;
        channel.set_nonblocking(true)?;
        Ok(Self::new(Some((channel, address(socket)?)), watchdog))
    }

    fn new(channel: Option<(UnixDatagram, SocketAddr)>, watchdog: Option<Duration>) -> Self {
        Self { channel, watchdog, progress: Mutex::default(), changed: Notify::new() }
    }

    /// Reports what the board shows until [`stopping`](Self::stopping): the end of the first round, the status whenever
    /// it changes, and a sign of life while `/live` is 200.
    ///
    /// Cancel-safe.
    pub async fn keep_informed(&self, board: &Board) {
        if self.channel.is_none() {
            return;
        }
        let clock = board.clock();
        let mut reported = Reported::default();
        while !self.progress().stopping {
            let now = clock.now();
            self.report(board, now, &mut reported);
            let pause = self.watchdog.map_or(LOOK, |watchdog| LOOK.min(watchdog / 4));
            // Both results lead to another look.
            let _ = clock::timeout_at(now.mono + pause, self.changed.notified()).await;
        }
    }

    /// A reload begins.
    pub fn reloading(&self) {
        self.progress().reloading = true;
        self.progress().ready_reported = false;
        // In one datagram: only then does systemd take the time for that of this reload.
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_micros()));
    }

    /// The reload is over, with any result.
    pub fn reloaded(&self) {
        self.progress().reloading = false;
        self.changed.notify_one();
    }

    /// The program ends.
    pub fn stopping(&self) {
        self.progress().stopping = true;
        self.send("STOPPING=1\nSTATUS=stopping");
        self.changed.notify_one();
    }

    fn report(&self, board: &Board, now: Moment, reported: &mut Reported) {
        let mut lines = Vec::new();
        let ready = self.is_newly_ready(board, now);
        if ready {
            lines.push("READY=1".to_owned());
        }
        let status = status(board, now);
        if status != reported.status {
            lines.push(format!("STATUS={status}"));
        }
        let alive = self.is_sign_of_life_due(reported.alive, now) && health::stuck_loop(board, now).is_none();
        if alive {
            lines.push("WATCHDOG=1".to_owned());
        }
        if lines.is_empty() || !self.send(&lines.join("\n")) {
            return;
        }
        reported.status = status;
        if alive {
            reported.alive = Some(now);
        }
        if ready {
            self.progress().ready_reported = true;
        }
    }

    /// A third of the allowed time, so that a late sign of life does not count as a death.
    fn is_sign_of_life_due(&self, last: Option<Moment>, now: Moment) -> bool {
        self.watchdog.is_some_and(|watchdog| last.is_none_or(|last| now.age_of(last) >= watchdog / 3))
    }

    /// Whether to report now that the program is ready.
    fn is_newly_ready(&self, board: &Board, now: Moment) -> bool {
        let over = health::is_ready(board) || now.age_of(board.started()) >= FIRST_ROUND;
        let mut progress = self.progress();
        progress.first_round_over |= over;
        progress.first_round_over && !progress.reloading && !progress.ready_reported
    }

    /// Whether the service manager accepted it.
    fn send(&self, message: &str) -> bool {
        let Some((socket, address)) = &self.channel else { return true };
        socket.send_to_addr(message.as_bytes(), address).is_ok()
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was reported to the service manager.
#[derive(Debug, Default)]
struct Reported {
    status: String,
    alive: Option<Moment>,
}

fn address(socket: &OsStr) -> io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = socket.as_encoded_bytes().strip_prefix(b"@") {
        return <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name);
    }
    SocketAddr::from_pathname(socket)
}

/// The state of the targets, in one line.
fn status(board: &Board, now: Moment) -> String {
    let (mut beating, mut others) = (0, Vec::new());
    for cell in board.cells() {
        let status = cell.lock();
        match health::judge(&status, now).state {
            State::Disabled => {}
            State::Healthy => beating += 1,
            State::Starting | State::Unhealthy => others.push(status.target.name.clone()),
        }
    }
    let mut line = format!("{beating} of {} targets beating", beating + others.len());
    if let Some(stuck) = health::stuck_loop(board, now) {
        line.push_str(&format!("; the loop of {stuck} does not run"));
    }
    if board.process().reload_error.is_some() {
        line.push_str("; the last reload failed, see the log");
    }
    if !others.is_empty() {
        line.push_str(&format!("; not beating: {}", others.join(", ")));
    }
    match line.char_indices().nth(LONGEST_STATUS) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None => line,
    }
}
