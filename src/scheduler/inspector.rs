//! Inspects a target in the background: how far the log was read once a period; all checks after the first successful beat
//! of a new connection, and then at most every ten minutes. The `fleet` starts one task per target. It opens its own
//! connections for a look, closes them afterwards, and never delays a beat.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::replica::Acknowledged;
use super::server_slots::ServerSlots;
use crate::check::registry::{self, REPLICA_CONNECT};
use crate::check::{runner, verdict};
use crate::driver::opening::{Known, TargetContext};
use crate::driver::{Progress, Purpose};
use crate::drivers::Drivers;
use crate::finding::{Inspection, Look, Rung};
use crate::heartbeat::{ErrorKind, Failure};
use crate::status::board::{Cell, Checked, ProgressStatus};
use crate::status::problems;
use crate::target::Endpoint;
use crate::time::clock::{self, Clock, Moment};
use crate::time::ticks::Ticks;

/// The longest time between two runs of all checks. Each target subtracts a part of the jitter.
const CATALOGUE: Duration = Duration::from_secs(600);
/// A random part of this is subtracted, so that many targets of one server do not run together.
const JITTER: Duration = Duration::from_secs(120);
/// The first run starts at random within this time after the first successful beat, because a thousand targets start at
/// once.
const FIRST: Duration = Duration::from_secs(10);
/// The shortest time between two runs, for a connection that comes and goes.
const SHORTEST: Duration = Duration::from_secs(60);
/// The shortest time between two looks at the progress, however short the period is.
const SHORTEST_LOOK: Duration = Duration::from_secs(5);

/// The notice that this loop panicked, until all checks have run again.
const FAILED: &str = "inspector_failed";

/// One target's inspector.
pub struct Inspector {
    /// The target, with its driver.
    pub context: TargetContext,
    /// Where its findings go.
    pub cell: Arc<Cell>,
    /// The drivers, for the registry.
    pub drivers: Drivers,
    /// The program's clock.
    pub clock: Clock,
    /// The target's ticks.
    pub ticks: Ticks,
    /// The acknowledged beats, with the log position of each.
    pub acknowledged: watch::Receiver<Acknowledged>,
    /// Counts connections with a successful beat.
    pub good_connections: watch::Receiver<u64>,
    /// Shared with the inspectors of all other targets.
    pub server_slots: ServerSlots,
    /// Of the jitter.
    pub seed: u64,
}

/// The last inspection, to compare the next one with. It is kept as text, which needs a fraction of the memory.
#[derive(Debug)]
struct Kept {
    at: Moment,
    text: Box<str>,
}

/// The endpoint that shows the progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Source,
    Replica(usize),
}

impl Inspector {
    /// Inspects until cancelled, and not before `first`. A second run starts over.
    pub async fn run(&self, first: Moment, cancelled: &CancellationToken) {
        tokio::select! {
            biased;
            () = cancelled.cancelled() => {}
            () = self.look_on(first) => {}
        }
    }

    /// Puts a panic of this loop on the board and removes its earlier findings.
    pub(super) fn record_panic(&self, message: &str, now: Moment) {
        let mut status = self.cell.lock();
        status.checked = None;
        status.progress = None;
        status.notice(FAILED, Some(format!("heartbeatd cannot run the checks: {message}")), now);
    }

    async fn look_on(&self, first: Moment) {
        clock::sleep_until(first.mono).await;
        let mut random = fastrand::Rng::with_seed(self.seed);
        let mut good_connections = self.good_connections.clone();
        let started = self.clock.now();
        let mut previous: Option<Kept> = None;
        let mut place = None;
        // Never before the first successful beat: what a failed beat reports needs no check.
        if good_connections.wait_for(|count| *count > 0).await.is_err() {
            return;
        }
        good_connections.mark_unchanged();
        let mut next_catalogue = self.soon(&mut random);
        clock::sleep_until(next_catalogue.mono).await;
        loop {
            let turn = self.server_slots.at(&self.context.target.endpoint.url).await;
            // While beats fail the inspector asks no server, because a second login with a refused password could lock
            // the account.
            if self.cell.lock().trouble.is_none() {
                if next_catalogue.mono <= self.clock.now().mono {
                    next_catalogue = Box::pin(self.check(&mut previous, &mut random)).await;
                }
                if self.context.driver.shows_progress() {
                    Box::pin(self.look_at_the_progress(&mut place, started)).await;
                }
            }
            drop(turn);
            // If no endpoint shows it, the next run of all checks looks again.
            let period = self.ticks.period_at(self.clock.now()).max(SHORTEST_LOOK);
            let look = self.clock.now().plus(if place.is_some() { period } else { CATALOGUE });
            let again = look.mono.min(next_catalogue.mono).max(self.clock.now().plus(SHORTEST_LOOK).mono);
            if let Ok(Ok(())) = clock::timeout_at(again, good_connections.changed()).await {
                // A new connection: much may have changed on the server behind it.
                let earliest = previous
                    .as_ref()
                    .map_or(self.soon(&mut random), |kept| later(kept.at.plus(SHORTEST), self.soon(&mut random)));
                next_catalogue = if earliest.mono < next_catalogue.mono { earliest } else { next_catalogue };
            }
        }
    }

    fn soon(&self, random: &mut fastrand::Rng) -> Moment {
        self.clock.now().plus(FIRST.mul_f64(random.f64()))
    }

    /// Runs all checks. Returns when to run them again.
    async fn check(&self, previous: &mut Option<Kept>, random: &mut fastrand::Rng) -> Moment {
        let inspection = runner::inspect(&self.context, &self.clock, self.context.target.timeout).await;
        let now = self.clock.now();
        if let Look::Failure(failure) = &inspection.source {
            if failure.kind == ErrorKind::Internal.as_str() {
                self.record_panic(&failure.message, now);
            }
            // Other problems with the source are reported by the beats, for as long as they last.
            return now.plus(SHORTEST);
        }
        let earlier = previous.as_ref().and_then(Kept::inspection);
        let mut findings =
            runner::judge(&self.context.target, self.context.driver.as_ref(), &inspection, earlier.as_ref());
        let entries = registry::entries(&self.drivers);
        // The beats and the replicas' watchers report at each tick whether the right server is reachable.
        let reported_by_beats = |id: &str| {
            let entry = entries.iter().find(|entry| entry.check.id == id);
            id == REPLICA_CONNECT.id || entry.is_some_and(|entry| entry.check.rung == Rung::Connection)
        };
        // The verdict needs all findings: a report without a connection looks like one that asked no server.
        let verdict = verdict::climb(&findings, &entries);
        findings.retain(|finding| !reported_by_beats(&finding.id));
        let problems = verdict::problems(&findings, &entries);
        let checked = Checked::new(now, findings, verdict, problems);
        let mut status = self.cell.lock();
        problems::log_change(&self.context.target, status.checked.as_ref(), &checked);
        status.checked = Some(checked);
        status.notice(FAILED, None, now);
        drop(status);
        *previous = Kept::of(&inspection, now);
        now.plus(CATALOGUE - JITTER.mul_f64(random.f64()))
    }

    /// Asks the endpoint that showed it last, otherwise every endpoint.
    async fn look_at_the_progress(&self, place: &mut Option<Place>, started: Moment) {
        let places = std::iter::once(Place::Source).chain((0..self.context.target.replicas.len()).map(Place::Replica));
        for candidate in place.iter().copied().chain(places).collect::<Vec<_>>() {
            match self.progress_at(candidate).await {
                Ok(Some(progress)) => {
                    *place = Some(candidate);
                    self.record(progress, started);
                    return;
                }
                Ok(None) => {}
                // The beats and the checks report problems of the connection. The last figures stay and grow old.
                Err(failure) => {
                    tracing::debug!(target = self.context.target.name, error = %failure, "the log's reader cannot be looked at");
                    return;
                }
            }
        }
        *place = None;
        self.cell.lock().progress = None;
    }

    async fn progress_at(&self, place: Place) -> Result<Option<Progress>, Failure> {
        let deadline = self.clock.now().plus(self.context.target.timeout).mono;
        let (endpoint, purpose): (&Endpoint, _) = match place {
            Place::Source => (&self.context.target.endpoint, Purpose::Check),
            Place::Replica(index) => (&self.context.target.replicas[index].endpoint, Purpose::Inspect),
        };
        let work = async {
            let mut session = self.context.open(endpoint, purpose, Known::default(), deadline).await?;
            let progress = session.progress(deadline).await?;
            session.close().await;
            Ok(progress)
        };
        let late =
            || Failure::new(ErrorKind::Timeout, "the server did not say within the time-out how far the log was read");
        clock::timeout_at(deadline, work).await.unwrap_or_else(|_| Err(late()))
    }

    fn record(&self, progress: Progress, started: Moment) {
        let confirmed = match &progress {
            Progress::Slot(slot) => slot.confirmed.as_deref(),
            Progress::CaptureJob { .. } => None,
        };
        let confirmed = confirmed.and_then(|confirmed| {
            let passes = |position: &str| self.context.driver.passes(confirmed, position);
            self.acknowledged.borrow().newest_confirmed(passes)
        });
        let mut status = self.cell.lock();
        // A confirmed beat stays confirmed, even after the ring of beats has dropped it.
        let before = status.progress.as_ref().and_then(|seen| seen.confirmed_beat);
        let confirmed_beat = confirmed.or(before);
        status.progress = Some(ProgressStatus { progress, confirmed_beat, since: started, seen_at: self.clock.now() });
    }
}

impl Kept {
    fn of(inspection: &Inspection, at: Moment) -> Option<Self> {
        Some(Self { at, text: serde_json::to_string(inspection).ok()?.into_boxed_str() })
    }

    fn inspection(&self) -> Option<Inspection> {
        serde_json::from_str(&self.text).ok()
    }
}

fn later(one: Moment, other: Moment) -> Moment {
    if one.mono > other.mono { one } else { other }
}
