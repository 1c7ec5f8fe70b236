//! All targets: starts a loop for each, keeps unchanged ones through a reload, starts one again that panicked, and ends
//! them within the grace period. Owned by `commands::run`, and by the simulation.

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

/// How much longer than its time-out the loop of a target that was taken off or changed may take: the beat in flight ends
/// by its deadline, the good-bye within half a second. A loop that has not ended then is stuck, and is dropped.
const FAREWELL: Duration = Duration::from_secs(1);

/// The targets that are looked after.
pub struct Fleet {
    board: Arc<Board>,
    drivers: Drivers,
    application_name: Arc<str>,
    seed: u64,
    server_slots: ServerSlots,
    running: BTreeMap<String, Running>,
    /// Tasks of targets that were taken off and have not ended yet: one that comes back waits for its own (I1).
    ending: BTreeMap<String, Loop>,
}

/// The task of a target's loop, and of those before it that it waits for: dropped, they all end where they are. It tells
/// of the beat that was in flight when the loop was asked to end, where that one was written.
type Loop = AbortOnDropHandle<Option<WrittenLate>>;

/// A beat that was written when its loop had already been asked to end: the next loop keeps its distance (I2).
struct WrittenLate {
    target: Arc<Target>,
    at: Moment,
}

/// One target that is looked after.
struct Running {
    target: Arc<Target>,
    cancelled: CancellationToken,
    reloaded: Arc<Notify>,
    task: Loop,
}

/// What a reload changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Targets that appeared.
    pub added: usize,
    /// Targets whose configuration is another one.
    pub changed: usize,
    /// Targets that are gone.
    pub removed: usize,
    /// Targets that go on as they were.
    pub unchanged: usize,
}

/// What one target's task needs.
#[derive(Clone)]
struct Tending {
    context: TargetContext,
    board: Arc<Board>,
    cell: Arc<Cell>,
    drivers: Drivers,
    seed: u64,
    server_slots: ServerSlots,
    /// For the life of the process, or until the target is changed.
    timelines: Timelines,
    first: Moment,
    cancelled: CancellationToken,
    reloaded: Arc<Notify>,
}

impl Fleet {
    /// A fleet without targets. `seed` makes the jitter of a simulation repeatable.
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

    /// Makes `targets` the ones that are looked after. Those whose configuration did not change keep their connection,
    /// their phase and their state; one that fails is tried again at once, and takes whatever server answers then.
    ///
    /// # Errors
    /// When a target's driver is not in this build; nothing has changed then.
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

    /// Ends every loop: beats in flight may finish within `grace`, then their tasks are ended where they stand (I12).
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
        let tending = Tending {
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
        };
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            // I1: the beat of the loop before this one may wait on the server until its own deadline, whatever becomes of
            // its task. Each loop ends by itself in time, and so does a row of loops that wait for each other.
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
    /// Runs the target's loop until it is asked to end and has ended, or has had the time for it.
    async fn tend_after(mut self, before: Option<WrittenLate>) -> Option<WrittenLate> {
        let (target, cell, cancelled) =
            (Arc::clone(&self.context.target), Arc::clone(&self.cell), self.cancelled.clone());
        let clock = self.board.clock().clone();
        if let Some(beat) = before.filter(|beat| beat.is_of_the_row_of(&target)) {
            let now = clock.now();
            self.first = Ticks::new(&target.schedule, &target.name, now).next_after_beat(beat.at, now);
        }
        let asked_to_end = async {
            cancelled.cancelled().await;
            clock.now()
        };
        let tending = self.tend();
        tokio::pin!(tending);
        let asked = tokio::select! {
            biased;
            () = &mut tending => return None,
            asked = asked_to_end => asked,
        };
        // Dropped if it does not end in time: at its next await, which every loop reaches.
        let _ = clock::timeout_at(asked.mono + target.timeout + FAREWELL, tending).await;
        let last = cell.lock().last_beat.clone()?;
        let late = last.outcome == BeatOutcome::Written && last.at.mono >= asked.mono;
        late.then(|| WrittenLate { target, at: last.at })
    }

    /// Runs the target's loop, and again after a panic, until cancelled.
    async fn tend(self) {
        let panicked = |failure, now| self.record_panic(failure, now);
        self.supervision("beats", 1).keep(self.first, |first| self.run_once(first), panicked).await;
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

    async fn run_once(&self, first: Moment) {
        let now = self.board.clock().now();
        let ticks = Ticks::new(&self.context.target.schedule, &self.context.target.name, now);
        let (acknowledged, receiver) = watch::channel(Acknowledged::default());
        let (good_connections, good) = watch::channel(0);
        // Dropped with this future, also when the loop panics: what looks on never outlives it.
        let mut lookers = JoinSet::new();
        for replica in &self.context.target.replicas {
            let watcher = Watcher {
                context: self.context.clone(),
                replica: replica.clone(),
                cell: Arc::clone(&self.cell),
                clock: self.board.clock().clone(),
                ticks: ticks.clone(),
                backoff: Backoff::new(self.seed_for(&replica.name)),
                acknowledged: receiver.clone(),
            };
            lookers.spawn(self.clone().keep_watching(watcher));
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
            random: fastrand::Rng::with_seed(self.seed_for("inspector")),
        };
        lookers.spawn(self.clone().keep_inspecting(inspector));
        if self.context.driver.hosts_with_timelines(&self.context.target.endpoint).len() > 1 {
            let watcher = failover::Watcher {
                context: self.context.clone(),
                cell: Arc::clone(&self.cell),
                clock: self.board.clock().clone(),
                ticks: ticks.clone(),
                timelines: self.timelines.clone(),
                server_slots: self.server_slots.clone(),
                random: fastrand::Rng::with_seed(self.seed_for("failover")),
            };
            lookers.spawn(self.clone().keep_looking_for_failovers(watcher));
        }
        let connection = Connection::new(self.context.clone(), self.timelines.clone());
        let parts = Parts {
            target: Arc::clone(&self.context.target),
            board: Arc::clone(&self.board),
            cell: Arc::clone(&self.cell),
            connection,
            ticks,
            backoff: Backoff::new(self.seed_for("")),
            acknowledged,
            good_connections,
        };
        Beater::new(parts).run(first, &self.cancelled, &self.reloaded).await;
    }

    /// Jitter that differs by target and replica.
    fn seed_for(&self, part: &str) -> u64 {
        let name = self.context.target.name.bytes().chain(part.bytes());
        name.fold(self.seed, |seed, byte| seed.rotate_left(5) ^ u64::from(byte))
    }

    async fn keep_watching(self, watcher: Watcher) {
        let start = |at| watcher.clone().run(at, self.cancelled.clone());
        let panicked = |failure, now| watcher.record_failure(failure, now);
        let now = self.board.clock().now();
        self.supervision(&watcher.replica.name, 2).keep(now, start, panicked).await;
    }

    async fn keep_inspecting(self, inspector: Inspector) {
        let start = |at| inspector.clone().run(at, self.cancelled.clone());
        let panicked = |failure: Failure, now| inspector.record_panic(failure.message(), now);
        let now = self.board.clock().now();
        self.supervision("inspector", 3).keep(now, start, panicked).await;
    }

    async fn keep_looking_for_failovers(self, watcher: failover::Watcher) {
        let start = |at| watcher.clone().run(at, self.cancelled.clone());
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
