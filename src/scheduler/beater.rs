//! One target's loop: wait for the tick, write a beat, put the outcome on the board, wait for the next tick. The
//! `fleet` starts and ends it. It owns the target's `connection`, and shares only the board with other targets.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::connection::{BeatAnswer, Connection};
use super::replica::Acknowledged;
use super::row_tracker::RowTracker;
use crate::heartbeat::{BeatOutcome, Failure};
use crate::status::board::{Board, Cell, HistoryEntry, LastBeat, PastFailure, Trouble};
use crate::status::log_throttle::LogThrottle;
use crate::target::Target;
use crate::time::clock::{self, Clock, Moment};
use crate::time::ticks::Ticks;

/// The longest sleep before a loop checks the clocks. Within this time it notices that the machine was suspended or
/// that someone set the wall clock.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// If the wall clock advanced more than the sleep by more than this, someone set it or the machine was suspended.
const CLOCK_STEP: Duration = Duration::from_secs(5);

/// One target's loop.
pub struct Beater {
    target: Arc<Target>,
    board: Arc<Board>,
    cell: Arc<Cell>,
    clock: Clock,
    ticks: Ticks,
    backoff: Backoff,
    row_tracker: RowTracker,
    connection: Connection,
    log_throttle: LogThrottle,
    acknowledged: watch::Sender<Acknowledged>,
    good_connections: watch::Sender<u64>,
    /// Whether a connection was opened since the last successful beat.
    connected: bool,
}

/// When and why the loop acts next.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Next {
    /// At a tick of the schedule.
    Tick(Moment),
    /// At a retry after a failure. `from` is the last tick that was served or counted.
    Retry { at: Moment, from: Moment },
}

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waited {
    Due,
    Reloaded,
    Cancelled,
}

/// The parts of a beater.
pub struct Parts {
    /// The target.
    pub target: Arc<Target>,
    /// The board.
    pub board: Arc<Board>,
    /// The target's cell of the board.
    pub cell: Arc<Cell>,
    /// Its connection.
    pub connection: Connection,
    /// Its ticks.
    pub ticks: Ticks,
    /// Its waits after failures.
    pub backoff: Backoff,
    /// Sends acknowledged beats to the replica watchers.
    pub acknowledged: watch::Sender<Acknowledged>,
    /// Counts connections with a successful beat, for the inspector.
    pub good_connections: watch::Sender<u64>,
}

impl Beater {
    /// A loop that has not started.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts { target, board, cell, connection, ticks, backoff, acknowledged, good_connections } = parts;
        let clock = board.clock().clone();
        let log_throttle = LogThrottle::new(&target);
        Self {
            target,
            board,
            cell,
            clock,
            ticks,
            backoff,
            row_tracker: RowTracker::default(),
            connection,
            log_throttle,
            acknowledged,
            good_connections,
            connected: false,
        }
    }

    /// Writes beats until cancelled. A beat in flight may finish: it ends by its deadline, and the fleet aborts the
    /// task when the grace period is over.
    ///
    /// `first` is when the first beat is due. `reloaded` signals a reload of the configuration.
    pub async fn run(&mut self, first: Moment, cancelled: &CancellationToken, reloaded: &Notify) {
        let mut next = Next::Tick(first);
        loop {
            match self.wait(&mut next, cancelled, reloaded).await {
                // Boxed: a beat may need several times the memory of a target that waits for the next one.
                Waited::Due => next = Box::pin(self.beat(next)).await,
                Waited::Reloaded => next = self.reload(next),
                Waited::Cancelled => break,
            }
        }
        self.cell.lock().wake_up = None;
        self.connection.close().await;
    }

    async fn wait(&mut self, next: &mut Next, cancelled: &CancellationToken, reloaded: &Notify) -> Waited {
        loop {
            let now = self.clock.now();
            let due = next.moment();
            let wake = due.mono.min(now.mono + LONGEST_SLEEP);
            {
                let mut status = self.cell.lock();
                status.next_due = Some(due);
                status.wake_up = Some(now.plus(wake.saturating_duration_since(now.mono)));
            }
            if due.mono <= now.mono {
                return if cancelled.is_cancelled() { Waited::Cancelled } else { Waited::Due };
            }
            tokio::select! {
                biased;
                () = cancelled.cancelled() => return Waited::Cancelled,
                () = reloaded.notified() => return Waited::Reloaded,
                () = clock::sleep_until(wake) => {}
            }
            *next = self.after_sleep(*next, now, self.clock.now());
        }
    }

    /// An administrator reloaded, probably after a repair: a failing target tries now, and accepts the server that
    /// answers at its address.
    fn reload(&mut self, next: Next) -> Next {
        self.connection.forget_identity();
        match next {
            Next::Retry { from, .. } => {
                self.backoff.reset();
                Next::Retry { at: self.clock.now(), from }
            }
            tick @ Next::Tick(_) => tick,
        }
    }

    /// Checks the clocks after a sleep. Cron ticks follow a wall clock that was set, and after a suspend the beat is
    /// due at once instead of a period later.
    fn after_sleep(&self, next: Next, slept_from: Moment, now: Moment) -> Next {
        let slept = now.mono.saturating_duration_since(slept_from.mono);
        let ahead = now.wall.duration_since(slept_from.wall + slept).unwrap_or_default();
        let behind = (slept_from.wall + slept).duration_since(now.wall).unwrap_or_default();
        match next {
            Next::Tick(due) if self.ticks.follow_wall_clock() && (ahead > CLOCK_STEP || behind > CLOCK_STEP) => {
                if due.wall <= now.wall { Next::Tick(now) } else { Next::Tick(self.ticks.next_after(now, now)) }
            }
            Next::Tick(due) if ahead > CLOCK_STEP && due.wall <= now.wall => Next::Tick(now),
            other => other,
        }
    }

    /// One try, from reading the secret to the acknowledgement, and its consequences.
    async fn beat(&mut self, due: Next) -> Next {
        let asked = self.clock.now();
        let deadline = asked.plus(self.target.timeout);
        self.cell.lock().wake_up = Some(deadline);
        let writing = self.row_tracker.writing(self.target.write, self.ticks.period_at(asked));
        let before = self.connection.server().map(|server| server.address.clone());
        let result = self.connection.beat(writing, self.row_tracker.stale_before(), deadline.mono).await;
        if before.is_some() && before != self.connection.server().map(|server| server.address.clone()) {
            self.row_tracker.moved();
        }
        let now = self.clock.now();
        let lateness = match due {
            Next::Tick(tick) => Some(asked.mono.saturating_duration_since(tick.mono)),
            Next::Retry { .. } => None,
        };
        self.board.record(self.target.driver(), now.mono.saturating_duration_since(asked.mono), lateness);
        let next = match &result {
            Ok(_) => {
                self.backoff.reset();
                Next::Tick(self.ticks.next_after_beat(asked, now))
            }
            Err(failure) => {
                let wait = self.backoff.next(failure.kind(), self.ticks.period_at(now));
                Next::Retry { at: now.plus(wait), from: now }
            }
        };
        match result {
            Ok(answer) => {
                if answer.after_lost_answer {
                    self.row_tracker.lost_answer(deadline);
                }
                self.succeeded(&answer, asked, now, lateness.unwrap_or_default());
            }
            Err(failure) => self.failed(&failure, asked, deadline, now),
        }
        self.count(due, now, next.moment());
        if matches!(next, Next::Tick(_)) && std::mem::take(&mut self.connected) {
            self.good_connections.send_modify(|count| *count += 1);
        }
        self.log_throttle.log_change(&self.cell.lock(), now);
        next
    }

    fn succeeded(&mut self, answer: &BeatAnswer, asked: Moment, now: Moment, lateness: Duration) {
        let BeatAnswer { beat, report, .. } = answer;
        let news = self.row_tracker.take_in(beat, report, self.target.write, asked, now);
        let duration = now.mono.saturating_duration_since(asked.mono);
        let mut status = self.cell.lock();
        status.tried = true;
        status.trouble = None;
        match beat.outcome {
            BeatOutcome::Written => status.counters.ok += 1,
            BeatOutcome::Fresh | BeatOutcome::Watched => status.counters.fresh += 1,
        }
        if let Some(change) = news.change {
            status.overdue_after = self.ticks.overdue_after(change.at, self.target.timeout);
            status.newest_change = Some(change);
        }
        status.clock_skew = news.clock_skew;
        for (key, message) in self.row_tracker.notices(self.ticks.period_at(now), now) {
            status.notice(key, message, now);
        }
        status.last_beat = Some(LastBeat {
            at: now,
            outcome: beat.outcome,
            duration,
            lateness,
            value: beat.value,
            position: beat.position.clone(),
        });
        status.remember(HistoryEntry { at: now.wall, duration, result: Ok(beat.outcome) });
        drop(status);
        if let Some(value) = beat.value.filter(|_| beat.outcome == BeatOutcome::Written) {
            let position = beat.position.clone().map(String::into_boxed_str);
            self.acknowledged.send_modify(|acknowledged| acknowledged.push(value, now, position));
        }
    }

    fn failed(&mut self, failure: &Failure, asked: Moment, deadline: Moment, now: Moment) {
        self.row_tracker.failed(failure, deadline);
        let mut status = self.cell.lock();
        status.tried = true;
        status.counters.failed += 1;
        *status.counters.errors.entry((failure.class(), failure.kind())).or_default() += 1;
        status.trouble = Some(Trouble::after(status.trouble.as_ref(), failure.clone(), now));
        status.remember(HistoryEntry {
            at: now.wall,
            duration: now.mono.saturating_duration_since(asked.mono),
            result: Err(PastFailure { kind: failure.kind(), message: failure.to_string().into() }),
        });
    }

    /// Counts connections, and the ticks that are due while this beat is in flight or its retry waits.
    fn count(&mut self, due: Next, now: Moment, next: Moment) {
        let connects = self.connection.take_connects();
        self.connected |= !connects.is_empty();
        let served = match due {
            Next::Tick(tick) => tick,
            Next::Retry { from, .. } => from,
        };
        let mut status = self.cell.lock();
        status.counters.ticks_missed += self.ticks.count_between(served, now);
        status.server = self.connection.server().cloned();
        status.next_due = Some(next);
        for reason in connects {
            *status.counters.connects.entry(reason).or_default() += 1;
        }
    }
}

impl Next {
    fn moment(self) -> Moment {
        match self {
            Self::Tick(at) | Self::Retry { at, .. } => at,
        }
    }
}
