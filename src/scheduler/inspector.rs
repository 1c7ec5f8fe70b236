//! Looking on while the beats go: the connector's slot once a period, all checks after a recovered connection's first
//! good beat and then at most every ten minutes. One task per target, started by the `fleet` beside the target's loop;
//! it has connections of its own, opened for a look and closed after it, and never delays a beat.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::replica::Acknowledged;
use super::server_slots::ServerSlots;
use crate::check::registry::{self, REPLICA_CONNECT};
use crate::check::{runner, verdict};
use crate::driver::opening::{Known, TargetContext};
use crate::driver::{Delivery, Purpose};
use crate::drivers::Drivers;
use crate::finding::{Inspection, Look, Rung};
use crate::heartbeat::{ErrorKind, Failure};
use crate::status::board::{Cell, Checked, DeliveryStatus};
use crate::target::Endpoint;
use crate::time::clock::{self, Clock, Moment};
use crate::time::ticks::Ticks;

/// The longest time between two runs of all checks; each target takes a share of the jitter off.
const CATALOGUE: Duration = Duration::from_secs(600);
/// Taken off at random, so that many targets of one server do not come together.
const JITTER: Duration = Duration::from_secs(120);
/// The first run comes within this after the first good beat, at random: a thousand targets start at once.
const FIRST: Duration = Duration::from_secs(10);
/// The shortest time between two runs, for a connection that comes and goes.
const SHORTEST: Duration = Duration::from_secs(60);
/// The slot is not looked at more often than this, however short the period.
const SHORTEST_LOOK: Duration = Duration::from_secs(5);

/// The notice that this loop panicked, until all checks have run again.
const FAILED: &str = "inspector_failed";

/// One target's inspector. A clone starts from the beginning.
#[derive(Clone)]
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
    /// The acknowledged beats, with where the log stood at each.
    pub acknowledged: watch::Receiver<Acknowledged>,
    /// Counts connections that have carried a good beat.
    pub good_connections: watch::Receiver<u64>,
    /// Shared with the inspectors of all other targets.
    pub server_slots: ServerSlots,
    /// Jitter.
    pub random: fastrand::Rng,
}

/// An inspection kept for the next one to be compared with: as text, which takes a fraction of the room.
#[derive(Debug)]
struct Kept {
    at: Moment,
    text: Box<str>,
}

/// Where the slot was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SlotServer {
    Source,
    Replica(usize),
}

impl Inspector {
    /// Looks on until cancelled, and not before `first`.
    pub async fn run(mut self, first: Moment, cancelled: CancellationToken) {
        tokio::select! {
            biased;
            () = cancelled.cancelled() => {}
            () = self.look_on(first) => {}
        }
    }

    /// Puts a panic of this loop on the board; what it found before is not known any more.
    pub(super) fn record_panic(&self, message: &str, now: Moment) {
        let mut status = self.cell.lock();
        status.checked = None;
        status.delivery = None;
        status.notice(FAILED, Some(format!("the checks cannot be run: {message}")), now);
    }

    async fn look_on(&mut self, first: Moment) {
        clock::sleep_until(first.mono).await;
        let started = self.clock.now();
        let mut previous: Option<Kept> = None;
        let mut place = None;
        // Never before the first good beat: what a beat tells by itself needs no check.
        if self.good_connections.wait_for(|count| *count > 0).await.is_err() {
            return;
        }
        self.good_connections.mark_unchanged();
        let mut next_catalogue = self.soon();
        clock::sleep_until(next_catalogue.mono).await;
        loop {
            let turn = self.server_slots.at(&self.context.target.endpoint.url).await;
            // While beats fail nobody is asked: a refused password must not be tried by a second door.
            if self.cell.lock().trouble.is_none() {
                if next_catalogue.mono <= self.clock.now().mono {
                    next_catalogue = Box::pin(self.check(&mut previous)).await;
                }
                if self.context.driver.knows_delivery() {
                    Box::pin(self.look_at_the_slot(&mut place, started)).await;
                }
            }
            drop(turn);
            // Where there is no slot, the next run of all checks is soon enough to look for one.
            let period = self.ticks.period_at(self.clock.now()).max(SHORTEST_LOOK);
            let look = self.clock.now().plus(if place.is_some() { period } else { CATALOGUE });
            let again = look.mono.min(next_catalogue.mono).max(self.clock.now().plus(SHORTEST_LOOK).mono);
            if let Ok(Ok(())) = clock::timeout_at(again, self.good_connections.changed()).await {
                // A recovered connection: much may have changed with the server behind it.
                let earliest = previous.as_ref().map_or(self.soon(), |kept| later(kept.at.plus(SHORTEST), self.soon()));
                next_catalogue = if earliest.mono < next_catalogue.mono { earliest } else { next_catalogue };
            }
        }
    }

    fn soon(&mut self) -> Moment {
        self.clock.now().plus(FIRST.mul_f64(self.random.f64()))
    }

    /// Runs all checks; when to run them again.
    async fn check(&mut self, previous: &mut Option<Kept>) -> Moment {
        let inspection = runner::inspect(&self.context, &self.clock, self.context.target.timeout).await;
        let now = self.clock.now();
        if let Look::Failure(failure) = &inspection.source {
            if failure.kind == ErrorKind::Internal.as_str() {
                self.record_panic(&failure.message, now);
            }
            // What else keeps us from the source the beats tell, and tell it as long as it is so.
            return now.plus(SHORTEST);
        }
        let earlier = previous.as_ref().and_then(Kept::inspection);
        let mut findings =
            runner::judge(&self.context.target, self.context.driver.as_ref(), &inspection, earlier.as_ref());
        let entries = registry::entries(&self.drivers);
        // Whether the right server is reached, the beats and the replicas' watchers tell at each tick, and never late.
        let told_by_beats = |id: &str| {
            let entry = entries.iter().find(|entry| entry.check.id == id);
            id == REPLICA_CONNECT.id || entry.is_some_and(|entry| entry.check.rung == Rung::Connection)
        };
        // The tree is climbed on everything: it takes a report without a connection for one that asked no server.
        let verdict = verdict::climb(&findings, &entries);
        findings.retain(|finding| !told_by_beats(&finding.id));
        let mut status = self.cell.lock();
        status.checked = Some(Checked::new(now, findings, verdict));
        status.notice(FAILED, None, now);
        drop(status);
        *previous = Kept::of(&inspection, now);
        now.plus(CATALOGUE - JITTER.mul_f64(self.random.f64()))
    }

    /// Reads the slot where it was found last, or else on every endpoint.
    async fn look_at_the_slot(&self, place: &mut Option<SlotServer>, started: Moment) {
        let places =
            std::iter::once(SlotServer::Source).chain((0..self.context.target.replicas.len()).map(SlotServer::Replica));
        for candidate in place.iter().copied().chain(places).collect::<Vec<_>>() {
            match self.delivery_at(candidate).await {
                Ok(Some(delivery)) => {
                    *place = Some(candidate);
                    self.record(delivery, started);
                    return;
                }
                Ok(None) => {}
                // What the connection lacks, the beats and the checks tell; the last figures stay and grow old.
                Err(failure) => {
                    tracing::debug!(target = self.context.target.name, error = %failure, "the slot cannot be looked at");
                    return;
                }
            }
        }
        *place = None;
        self.cell.lock().delivery = None;
    }

    async fn delivery_at(&self, place: SlotServer) -> Result<Option<Delivery>, Failure> {
        let deadline = self.clock.now().plus(self.context.target.timeout).mono;
        let (endpoint, purpose): (&Endpoint, _) = match place {
            SlotServer::Source => (&self.context.target.endpoint, Purpose::Check),
            SlotServer::Replica(index) => (&self.context.target.replicas[index].endpoint, Purpose::Inspect),
        };
        let work = async {
            let mut session = self.context.open(endpoint, purpose, Known::default(), deadline).await?;
            let delivery = session.delivery(deadline).await?;
            session.close().await;
            Ok(delivery)
        };
        let late = || Failure::new(ErrorKind::Timeout, "the slot was not answered within the time-out");
        clock::timeout_at(deadline, work).await.unwrap_or_else(|_| Err(late()))
    }

    fn record(&self, delivery: Delivery, started: Moment) {
        let confirmed = delivery.confirmed.as_deref().and_then(|confirmed| {
            let passes = |position: &str| self.context.driver.passes(confirmed, position);
            self.acknowledged.borrow().newest_confirmed(passes)
        });
        let mut status = self.cell.lock();
        // A beat that was confirmed once stays so, also when the ring of beats has gone on without it.
        let before = status.delivery.as_ref().and_then(|delivery| delivery.confirmed_beat);
        status.delivery = Some(DeliveryStatus {
            slot: delivery.slot,
            active: delivery.active,
            retained_bytes: delivery.retained_bytes,
            confirmed_beat: confirmed.or(before),
            since: started,
            seen_at: self.clock.now(),
        });
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
