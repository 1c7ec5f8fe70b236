//! All targets: starts a loop for each, keeps the unchanged ones during a reload, starts a loop again that panicked,
//! and ends them within the grace period. `commands::run` and the simulation own it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::backoff::Backoff;
use super::beater::{Beater, Parts};
use super::connection::Connection;
use super::failover;
use super::inspector::Inspector;
use super::replica::{Acknowledged, Watcher};
use super::server_slots::ServerSlots;
use super::supervision::Supervision;
use crate::database_url::UrlError;
use crate::driver::Driver;
use crate::driver::opening::{TargetContext, application_name};
use crate::driver::timelines::Timelines;
use crate::drivers::Drivers;
use crate::heartbeat::{BeatOutcome, Failure};
use crate::status::board::{Board, Cell, Trouble};
use crate::target::Target;
use crate::time::clock::{self, Moment};
use crate::time::ticks::Ticks;

/// How much longer than its time-out the loop of a removed or changed target may run. The beat in flight ends by its
/// deadline, closing the connection takes at most half a second. A loop that has not ended by then is stuck, and the
/// fleet drops it.
const FAREWELL: Duration = Duration::from_secs(1);

/// The running targets.
pub struct Fleet {
    board: Arc<Board>,
    drivers: Drivers,
    application_name: Arc<str>,
    seed: u64,
    server_slots: ServerSlots,
    running: BTreeMap<String, Running>,
    /// Tasks of removed targets that have not ended yet. A target that comes back waits for its old task (I1).
    ending: BTreeMap<String, Loop>,
}

/// The task of a target's loop and of the earlier loops it waits for. Dropping it ends them all at once. If a beat was
/// in flight when the loop was asked to end, and was written, the task returns it.
type Loop = AbortOnDropHandle<Option<WrittenLate>>;

/// A beat that was written after its loop was asked to end. The next loop keeps its distance from it (I2).
struct WrittenLate {
    target: Arc<Target>,
    at: Moment,
}

/// One running target.
struct Running {
    target: Arc<Target>,
    cancelled: CancellationToken,
    reloaded: Arc<Notify>,
    task: Loop,
}

/// What a reload changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Added targets.
    pub added: usize,
    /// Targets whose configuration changed.
    pub changed: usize,
    /// Removed targets.
    pub removed: usize,
    /// Unchanged targets.
    pub unchanged: usize,
}

/// What one target's tasks need. They share it, because each future that holds it holds it for as long as the target
/// runs.
struct Tending {
    context: TargetContext,
    board: Arc<Board>,
    cell: Arc<Cell>,
    drivers: Drivers,
    seed: u64,
    server_slots: ServerSlots,
    /// Until the process ends or the target changes.
    timelines: Timelines,
    first: Moment,
    cancelled: CancellationToken,
    reloaded: Arc<Notify>,
}

impl Fleet {
    /// A fleet without targets. With the same `seed` a simulation has the same jitter.
    #[must_use]
    pub fn new(board: Arc<Board>, drivers: Drivers, instance: &str, seed: u64) -> Self {
        Self {
            board,
            drivers,
            application_name: application_name(instance),
            seed,
            server_slots: ServerSlots::default(),
            running: BTreeMap::new(),
            ending: BTreeMap::new(),
        }
    }

    /// Runs exactly these targets. Unchanged ones keep their connection, phase and state. An unchanged target that
    /// fails tries again at once, and accepts the server that answers then.
    ///
    /// # Errors
    /// If this build lacks a target's driver. Nothing has changed then.
    pub fn apply(&mut self, targets: Vec<Target>) -> Result<Changes, UrlError> {
        let alone = targets.iter().filter(|target| target.enabled).count() == 1;
        let drivers: Vec<_> =
            targets.iter().map(|target| self.drivers.get(target.endpoint.url.family())).collect::<Result<_, _>>()?;
        let mut changes = Changes::default();
        let mut before = std::mem::take(&mut self.running);
        for (target, driver) in targets.into_iter().zip(drivers) {
            let previous = before.remove(&target.name);
            let running = match previous {
                Some(running) if *running.target == target => {
                    changes.unchanged += 1;
                    running.reloaded.notify_one();
                    running
                }
                Some(running) => {
                    changes.changed += 1;
                    running.cancelled.cancel();
                    self.start(Arc::new(target), driver, alone, Some(running.task))
                }
                None => {
                    changes.added += 1;
                    let previous = self.ending.remove(&target.name);
                    self.start(Arc::new(target), driver, alone, previous)
                }
            };
            self.running.insert(running.target.name.clone(), running);
        }
        for (name, running) in before {
            changes.removed += 1;
            running.cancelled.cancel();
            self.board.remove(&name);
            self.ending.insert(name, running.task);
        }
        self.ending.retain(|_, task| !task.is_finished());
        Ok(changes)
    }

    /// Ends every loop. Beats in flight may finish within `grace`; then the fleet aborts their tasks (I12).
    pub async fn stop(&mut self, grace: Duration) {
        let running = std::mem::take(&mut self.running);
        running.values().for_each(|running| running.cancelled.cancel());
        let deadline = self.board.clock().now().mono + grace;
        let ending = std::mem::take(&mut self.ending);
        let mut tasks: Vec<_> = running.into_values().map(|running| running.task).chain(ending.into_values()).collect();
        for task in &mut tasks {
            if clock::timeout_at(deadline, &mut *task).await.is_err() {
                task.abort();
            }
        }
    }

    fn start(&self, target: Arc<Target>, driver: Arc<dyn Driver>, alone: bool, previous: Option<Loop>) -> Running {
        let now = self.board.clock().now();
        let ticks = Ticks::new(&target.schedule, &target.name, now);
        let cell = self.board.insert(Arc::clone(&target), ticks.overdue_after(now, target.timeout));
        let cancelled = CancellationToken::new();
        let reloaded = Arc::new(Notify::new());
        let application_name = Arc::clone(&self.application_name);
        let tending = Arc::new(Tending {
            context: TargetContext { target: Arc::clone(&target), driver, application_name },
            board: Arc::clone(&self.board),
            cell,
            drivers: self.drivers.clone(),
            seed: self.seed,
            server_slots: self.server_slots.clone(),
            timelines: Timelines::default(),
            first: ticks.first(alone, now),
            cancelled: cancelled.clone(),
            reloaded: Arc::clone(&reloaded),
        });
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            // I1: the beat of the earlier loop may wait on the server until its deadline, even if its task is gone.
            // Each loop ends by itself in time, and so does a chain of loops that wait for each other.
            let before = match previous {
                Some(previous) => previous.await.ok().flatten(),
                None => None,
            };
            if !tending.context.target.enabled || tending.cancelled.is_cancelled() {
                return before;
            }
            tending.tend_after(before).await
        }));
        Running { target, cancelled, reloaded, task }
    }
}

impl WrittenLate {
    fn is_of_the_row_of(&self, target: &Target) -> bool {
        self.target.endpoint.url == target.endpoint.url && self.target.heartbeat == target.heartbeat
    }
}

impl Tending {
    /// Runs the target's loop. Once asked to end, it returns when the loop has ended or its time is over.
    async fn tend_after(self: &Arc<Self>, before: Option<WrittenLate>) -> Option<WrittenLate> {
        let (target, clock) = (&self.context.target, self.board.clock());
        let mut first = self.first;
        if let Some(beat) = before.filter(|beat| beat.is_of_the_row_of(target)) {
            let now = clock.now();
            first = Ticks::new(&target.schedule, &target.name, now).next_after_beat(beat.at, now);
        }
        let asked_to_end = async {
            self.cancelled.cancelled().await;
            clock.now()
        };
        let tending = self.tend(first);
        tokio::pin!(tending);
        let asked = tokio::select! {
            biased;
            () = &mut tending => return None,
            asked = asked_to_end => asked,
        };
        // A loop that does not end in time is dropped at its next await, which every loop reaches.
        let _ = clock::timeout_at(asked.mono + target.timeout + FAREWELL, tending).await;
        let last = self.cell.lock().last_beat.clone()?;
        let late = last.outcome == BeatOutcome::Written && last.at.mono >= asked.mono;
        late.then(|| WrittenLate { target: Arc::clone(target), at: last.at })
    }

    /// Runs the target's loop until cancelled, and starts it again after a panic.
    async fn tend(self: &Arc<Self>, first: Moment) {
        let panicked = |failure, now| self.record_panic(failure, now);
        self.supervision("beats", 1).keep(first, |first| self.run_once(first), panicked).await;
    }

    fn supervision<'a>(&'a self, part: &'a str, seed: u64) -> Supervision<'a> {
        let clock = self.board.clock();
        let now = clock.now();
        Supervision {
            target: &self.context.target.name,
            part,
            clock,
            backoff: Backoff::new(self.seed_for(part) ^ seed),
            period: Ticks::new(&self.context.target.schedule, &self.context.target.name, now).period_at(now),
        }
    }

    async fn run_once(self: &Arc<Self>, first: Moment) {
        // The lookers are dropped with this future, even if the loop panics, so they never outlive the loop.
        let (mut beater, _lookers) = self.start_parts();
        beater.run(first, &self.cancelled, &self.reloaded).await;
    }

    /// The target's loop, and the tasks beside it. Not within the future that runs the loop, which would keep room for
    /// all that this needs.
    fn start_parts(self: &Arc<Self>) -> (Beater, JoinSet<()>) {
        let now = self.board.clock().now();
        let ticks = Ticks::new(&self.context.target.schedule, &self.context.target.name, now);
        let (acknowledged, receiver) = watch::channel(Acknowledged::default());
        let (good_connections, good) = watch::channel(0);
        let mut lookers = JoinSet::new();
        for replica in &self.context.target.replicas {
            let watcher = Watcher {
                context: self.context.clone(),
                replica: replica.clone(),
                cell: Arc::clone(&self.cell),
                clock: self.board.clock().clone(),
                ticks: ticks.clone(),
                seed: self.seed_for(&replica.name),
                acknowledged: receiver.clone(),
            };
            let tending = Arc::clone(self);
            lookers.spawn(async move { tending.keep_watching(&watcher).await });
        }
        let inspector = Inspector {
            context: self.context.clone(),
            cell: Arc::clone(&self.cell),
            drivers: self.drivers.clone(),
            clock: self.board.clock().clone(),
            ticks: ticks.clone(),
            acknowledged: receiver,
            good_connections: good,
            server_slots: self.server_slots.clone(),
            seed: self.seed_for("inspector"),
        };
        let tending = Arc::clone(self);
        lookers.spawn(async move { tending.keep_inspecting(&inspector).await });
        if self.context.driver.hosts_with_timelines(&self.context.target.endpoint).len() > 1 {
            let watcher = failover::Watcher {
                context: self.context.clone(),
                cell: Arc::clone(&self.cell),
                clock: self.board.clock().clone(),
                ticks: ticks.clone(),
                timelines: self.timelines.clone(),
                server_slots: self.server_slots.clone(),
                seed: self.seed_for("failover"),
            };
            let tending = Arc::clone(self);
            lookers.spawn(async move { tending.keep_looking_for_failovers(&watcher).await });
        }
        let beater = Beater::new(Parts {
            target: Arc::clone(&self.context.target),
            board: Arc::clone(&self.board),
            cell: Arc::clone(&self.cell),
            connection: Connection::new(self.context.clone(), self.timelines.clone()),
            ticks,
            backoff: Backoff::new(self.seed_for("")),
            acknowledged,
            good_connections,
        });
        (beater, lookers)
    }

    /// Jitter that differs between targets and replicas.
    fn seed_for(&self, part: &str) -> u64 {
        let name = self.context.target.name.bytes().chain(part.bytes());
        name.fold(self.seed, |seed, byte| seed.rotate_left(5) ^ u64::from(byte))
    }

    async fn keep_watching(&self, watcher: &Watcher) {
        let start = |at| watcher.run(at, &self.cancelled);
        let panicked = |failure, now| watcher.record_failure(failure, now);
        let now = self.board.clock().now();
        self.supervision(&watcher.replica.name, 2).keep(now, start, panicked).await;
    }

    async fn keep_inspecting(&self, inspector: &Inspector) {
        let start = |at| inspector.run(at, &self.cancelled);
        let panicked = |failure: Failure, now| inspector.record_panic(failure.message(), now);
        let now = self.board.clock().now();
        self.supervision("inspector", 3).keep(now, start, panicked).await;
    }

    async fn keep_looking_for_failovers(&self, watcher: &failover::Watcher) {
        let start = |at| watcher.run(at, &self.cancelled);
        let panicked = |failure: Failure, now| watcher.record_panic(failure.message(), now);
        let now = self.board.clock().now();
        self.supervision("failover", 4).keep(now, start, panicked).await;
    }

    fn record_panic(&self, failure: Failure, now: Moment) {
        let mut status = self.cell.lock();
        *status.counters.errors.entry((failure.class(), failure.kind())).or_default() += 1;
        status.counters.failed += 1;
        status.tried = true;
        status.trouble = Some(Trouble::after(status.trouble.as_ref(), failure, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The most that the future of a target's loop takes, in bytes. Most targets wait nearly always, so what runs
    /// rarely (a beat, a look) gets a box of its own while it runs.
    const LOOP: usize = 2_048;
    /// The same for the inspector beside it.
    const INSPECTOR: usize = 1_408;

    #[test]
    fn a_target_that_waits_for_its_tick_takes_little_memory() {
        fn size_of_loop<'a, F>(_: impl FnOnce(&'a Arc<Tending>, Option<WrittenLate>) -> F) -> usize {
            size_of::<F>()
        }
        fn size_of_inspector<'a, F>(_: impl FnOnce(&'a Tending, &'a Inspector) -> F) -> usize {
            size_of::<F>() + size_of::<Inspector>()
        }
        let sizes = (size_of_loop(Tending::tend_after), size_of_inspector(Tending::keep_inspecting));
        assert!(sizes.0 <= LOOP && sizes.1 <= INSPECTOR, "{sizes:?}");
    }
}
