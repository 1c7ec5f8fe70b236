//! The board: the only state that the scheduler writes and HTTP reads. Each target has its own lock, held for a few
//! field accesses and never across an await, so a scrape neither waits for a database nor delays a beat.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use super::dropped_lines::DroppedLines;
use super::histogram::Histogram;
use crate::driver::{Progress, ServerInfo, ServerRole};
use crate::finding::{Finding, Status, Verdict};
use crate::heartbeat::{BeatOutcome, ErrorClass, ErrorKind, Failure, Stamp};
use crate::target::Target;
use crate::time::clock::{Clock, Moment};

/// How many past tries a target keeps. Memory grows with targets, never with time (I10).
pub const HISTORY: usize = 60;

/// The states of all targets, and the figures by driver.
#[derive(Debug)]
pub struct Board {
    clock: Clock,
    started: Moment,
    targets: RwLock<BTreeMap<String, Arc<Cell>>>,
    drivers: Mutex<BTreeMap<&'static str, DriverFigures>>,
    process: Mutex<Process>,
}

/// One target's state behind its own lock.
#[derive(Debug)]
pub struct Cell(Mutex<TargetStatus>);

/// The figures by driver. Histograms have no target label, because with a thousand targets the metrics would be
/// megabytes.
#[derive(Debug, Clone, Default)]
pub struct DriverFigures {
    /// Duration of each finished try, in seconds.
    pub duration: Histogram,
    /// Seconds between a tick and the start of its beat.
    pub lateness: Histogram,
}

/// The state of the program as a whole.
#[derive(Debug, Clone, Default)]
pub struct Process {
    /// The last failed reload, and why it failed; a successful reload clears it.
    pub reload_error: Option<(Moment, String)>,
    /// The program is shutting down.
    pub stopping: bool,
    /// Lost log lines.
    pub dropped_lines: DroppedLines,
}

/// The state of one target.
#[derive(Debug, Clone)]
pub struct TargetStatus {
    /// Its configuration.
    pub target: Arc<Target>,
    /// When this process started it.
    pub started: Moment,
    /// Whether it was tried.
    pub tried: bool,
    /// The newest change of `last_update` that this process wrote or saw.
    pub newest_change: Option<Change>,
    /// The age of the newest change (before the first one: of the start) at which the second scheduled tick plus
    /// `timeout` has passed.
    pub overdue_after: Duration,
    /// The last beat that did not fail.
    pub last_beat: Option<LastBeat>,
    /// When the next beat or try is due.
    pub next_due: Option<Moment>,
    /// What is wrong now.
    pub trouble: Option<Trouble>,
    /// The server that answered last.
    pub server: Option<Arc<ServerInfo>>,
    /// Server clock minus ours, in seconds, at the last beat.
    pub clock_skew: Option<f64>,
    /// Notices by a stable key: another writer, a clock that jumped …
    pub notices: BTreeMap<&'static str, Notice>,
    /// The newest beats and failures, oldest first.
    pub history: VecDeque<HistoryEntry>,
    /// Replicas by name.
    pub replicas: BTreeMap<String, ReplicaStatus>,
    /// What the checks found last.
    pub checked: Option<Checked>,
    /// How far the connector, or the job that captures changes for it, has read; `None` if no server shows it.
    pub progress: Option<ProgressStatus>,
    /// The counters.
    pub counters: Counters,
    /// When the target's loop must wake up at the latest.
    pub wake_up: Option<Moment>,
}

/// What the checks found.
#[derive(Debug, Clone)]
pub struct Checked {
    /// When.
    pub at: Moment,
    /// The failed and the unknown checks. A vector would keep the memory of those that passed: 27 KiB per target.
    pub findings: Box<[Finding]>,
    /// How many checks passed.
    pub ok: usize,
    /// How many did not apply.
    pub skipped: usize,
    /// The verdict.
    pub verdict: Verdict,
    /// The checks among the failed ones that are a problem although beats are written.
    pub problems: BTreeSet<String>,
}

impl Checked {
    /// Keeps failed and unknown findings and counts the others, so that a target needs little memory.
    #[must_use]
    pub fn new(at: Moment, findings: Vec<Finding>, verdict: Verdict, problems: BTreeSet<String>) -> Self {
        let count = |status| findings.iter().filter(|finding| finding.status == status).count();
        let (ok, skipped) = (count(Status::Ok), count(Status::Skipped));
        let needs_attention = |finding: &Finding| matches!(finding.status, Status::Failed | Status::Unknown);
        Self { at, ok, skipped, verdict, problems, findings: findings.into_iter().filter(needs_attention).collect() }
    }
}

/// How far the log was read.
#[derive(Debug, Clone)]
pub struct ProgressStatus {
    /// What the server showed.
    pub progress: Progress,
    /// When the newest beat that the slot has confirmed was acknowledged; `None` if it has confirmed none of this
    /// process's beats yet.
    pub confirmed_beat: Option<Moment>,
    /// Since when this process watches. Without a confirmed beat the lag is at least this long.
    pub since: Moment,
    /// When the server was asked.
    pub seen_at: Moment,
}

/// A change of `last_update`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// When, on our clocks.
    pub at: Moment,
    /// Whether this process made it.
    pub ours: bool,
}

/// The notice that several servers accept writes for one database cluster.
pub const SPLIT_BRAIN: &str = "split_brain";

/// A beat that did not fail.
#[derive(Debug, Clone)]
pub struct LastBeat {
    /// When it was acknowledged.
    pub at: Moment,
    /// The result.
    pub outcome: BeatOutcome,
    /// How long it took, including the connection if one was needed.
    pub duration: Duration,
    /// How late it started.
    pub lateness: Duration,
    /// `last_update` after the beat.
    pub value: Option<Stamp>,
    /// The position of the change log.
    pub position: Option<String>,
}

/// What is wrong with a target now.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// The newest failure.
    pub failure: Failure,
    /// Since when tries fail.
    pub since: Moment,
    /// Failed tries in a row.
    pub attempts: u64,
}

/// A notice.
#[derive(Debug, Clone)]
pub struct Notice {
    /// In plain words.
    pub message: String,
    /// Since when.
    pub since: Moment,
}

/// One line of a target's history.
#[derive(Debug, Clone)]
pub struct HistoryEntry {
    /// When it ended. Not a `Moment`, which takes twice the room: every target keeps [`HISTORY`] of these.
    pub at: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// How it ended.
    pub result: Result<BeatOutcome, PastFailure>,
}

/// A failure in a target's history.
#[derive(Debug, Clone)]
pub struct PastFailure {
    /// Its kind.
    pub kind: ErrorKind,
    /// Its message.
    pub message: Box<str>,
}

/// The state of one replica.
#[derive(Debug, Clone)]
pub struct ReplicaStatus {
    /// Whether a problem here turns the target red.
    pub required: bool,
    /// `last_update` on this replica.
    pub value: Option<Stamp>,
    /// When it was seen.
    pub seen_at: Option<Moment>,
    /// The time from the acknowledgement of a beat on the primary until heartbeatd saw it here, on our clock. Absent
    /// while another process writes.
    pub lag: Option<Duration>,
    /// Since when a beat is missing here: the acknowledgement of the oldest missing beat, set when it was first missed.
    pub behind_since: Option<Moment>,
    /// The server's role. If it is a primary, the replica's address is wrong.
    pub role: Option<ServerRole>,
    /// The server that answered.
    pub server: Option<ServerInfo>,
    /// What is wrong now.
    pub trouble: Option<Trouble>,
}

/// The counters of one target since it was added.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    /// Beats that wrote.
    pub ok: u64,
    /// Tries that failed.
    pub failed: u64,
    /// Beats that found the row fresh (or only watched).
    pub fresh: u64,
    /// Ticks that were due but not served.
    pub ticks_missed: u64,
    /// Failed tries by class and kind.
    pub errors: BTreeMap<(ErrorClass, ErrorKind), u64>,
    /// Connections opened, by reason.
    pub connects: BTreeMap<ConnectReason, u64>,
}

/// Why a connection was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConnectReason {
    /// The first of this target.
    Start,
    /// The open one was dead.
    Lost,
    /// After a failure.
    Retry,
}

impl ConnectReason {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::Start, Self::Lost, Self::Retry];

    /// The word in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Lost => "lost",
            Self::Retry => "retry",
        }
    }
}

impl Board {
    /// An empty board.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let started = clock.now();
        Self { clock, started, targets: RwLock::default(), drivers: Mutex::default(), process: Mutex::default() }
    }

    /// The clock of the board's moments.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// When the program started.
    #[must_use]
    pub fn started(&self) -> Moment {
        self.started
    }

    /// Adds a target, or replaces it with a new configuration and empty state.
    pub fn insert(&self, target: Arc<Target>, overdue_after: Duration) -> Arc<Cell> {
        let name = target.name.clone();
        let status = TargetStatus::new(target, self.clock.now(), overdue_after);
        let cell = Arc::new(Cell(Mutex::new(status)));
        self.targets.write().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::clone(&cell));
        cell
    }

    /// Removes a target from the board, and its metrics with it.
    pub fn remove(&self, name: &str) {
        self.targets.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// The targets' cells, by name.
    #[must_use]
    pub fn cells(&self) -> Vec<Arc<Cell>> {
        self.targets.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// One target's cell.
    #[must_use]
    pub fn cell(&self, name: &str) -> Option<Arc<Cell>> {
        self.targets.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Adds to a driver's figures.
    pub fn record(&self, driver: &'static str, duration: Duration, lateness: Option<Duration>) {
        let mut drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        let figures = drivers.entry(driver).or_default();
        figures.duration.observe(duration.as_secs_f64());
        if let Some(lateness) = lateness {
            figures.lateness.observe(lateness.as_secs_f64());
        }
    }

    /// The figures of each driver that has written a beat.
    #[must_use]
    pub fn drivers(&self) -> BTreeMap<&'static str, DriverFigures> {
        self.drivers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The state of the program as a whole.
    pub fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cell {
    /// The state, to read or to change. Never hold it across an await.
    pub fn lock(&self) -> MutexGuard<'_, TargetStatus> {
        // A panic while the lock was held is reported elsewhere. The fields are still valid.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TargetStatus {
    fn new(target: Arc<Target>, now: Moment, overdue_after: Duration) -> Self {
        let replicas = target
            .replicas
            .iter()
            .map(|replica| (replica.name.clone(), ReplicaStatus::new(replica.required)))
            .collect();
        Self {
            target,
            started: now,
            tried: false,
            newest_change: None,
            overdue_after,
            last_beat: None,
            next_due: None,
            trouble: None,
            server: None,
            clock_skew: None,
            notices: BTreeMap::new(),
            history: VecDeque::new(),
            replicas,
            checked: None,
            progress: None,
            counters: Counters::default(),
            wake_up: None,
        }
    }

    /// Adds a line of history. Beyond [`HISTORY`] lines the oldest is removed.
    pub fn remember(&mut self, entry: HistoryEntry) {
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(entry);
    }

    /// Sets or clears a notice. Its `since` stays while the notice lasts.
    pub fn notice(&mut self, key: &'static str, message: Option<String>, now: Moment) {
        match message {
            Some(message) => {
                let notice = self.notices.entry(key).or_insert_with(|| Notice { message: String::new(), since: now });
                notice.message = message;
            }
            None => {
                self.notices.remove(key);
            }
        }
    }
}

impl TargetStatus {
    /// The age of the newest beat that the connector has confirmed, or a lower bound of it counted from the start.
    /// `None` without a slot, and while another writer makes the changes: its beats have no position here.
    #[must_use]
    pub fn delivery_lag(&self, now: Moment) -> Option<Duration> {
        let seen = self.progress.as_ref()?;
        let Progress::Slot(_) = seen.progress else { return None };
        let ours = self.newest_change.is_some_and(|change| change.ours);
        ours.then(|| now.age_of(seen.confirmed_beat.unwrap_or(seen.since)))
    }

    /// The age of the newest change that the capture job has copied, on the server's clock. `None` where no such job
    /// reads, or nothing was copied yet.
    #[must_use]
    pub fn capture_lag(&self, now: Moment) -> Option<Duration> {
        let Progress::CaptureJob { until } = self.progress.as_ref()?.progress else { return None };
        let age = i128::from(now.wall_micros()) - i128::from(until?.0);
        let on_servers_clock = age as f64 / 1e6 + self.clock_skew.unwrap_or(0.0);
        Some(Duration::try_from_secs_f64(on_servers_clock).unwrap_or_default())
    }
}

impl ReplicaStatus {
    fn new(required: bool) -> Self {
        Self {
            required,
            value: None,
            seen_at: None,
            lag: None,
            behind_since: None,
            role: None,
            server: None,
            trouble: None,
        }
    }
}

impl Trouble {
    /// The problem after one more failure: `since` stays, the count grows.
    #[must_use]
    pub fn after(previous: Option<&Self>, failure: Failure, now: Moment) -> Self {
        match previous {
            Some(previous) => Self { failure, since: previous.since, attempts: previous.attempts + 1 },
            None => Self { failure, since: now, attempts: 1 },
        }
    }
}
