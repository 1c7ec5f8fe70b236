//! Looking on while the beats go: the connector's slot once a period, all checks after a recovered connection's first
//! good beat and then at most every ten minutes. One task per target, started by the `fleet` beside the target's loop;
//! it has connections of its own, opened for a look and closed after it, and never delays a beat.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::clock::{self, Clock, Moment};
use super::replica::Acknowledged;
use super::ticks::Ticks;
use crate::check::{registry, runner, verdict};
use crate::driver::opening::Opening;
use crate::driver::{Delivery, Driver, Drivers, Purpose};
use crate::finding::Inspection;
use crate::heartbeat::{ErrorKind, Failure};
use crate::status::board::{Cell, Checked, DeliveryStatus};
use crate::target::{Endpoint, Target};

/// The longest time between two runs of all checks; each target takes a share of the jitter off.
const CATALOGUE: Duration = Duration::from_secs(600);
/// Taken off at random, so that many targets of one server do not come together.
const JITTER: Duration = Duration::from_secs(120);
/// The shortest time between two runs, for a connection that comes and goes.
const SHORTEST: Duration = Duration::from_secs(60);
/// The slot is not looked at more often than this, however short the period.
const SHORTEST_LOOK: Duration = Duration::from_secs(5);

/// One target's inspector.
pub struct Inspector {
    /// The target.
    pub target: Arc<Target>,
    /// Where its findings go.
    pub cell: Arc<Cell>,
    /// The drivers, for the registry.
    pub drivers: Drivers,
    /// The target's driver.
    pub driver: Arc<dyn Driver>,
    /// The program's clock.
    pub clock: Clock,
    /// The target's ticks.
    pub ticks: Ticks,
    /// The acknowledged beats, with where the log stood at each.
    pub acknowledged: watch::Receiver<Acknowledged>,
    /// Counts connections that have carried a good beat.
    pub good_connections: watch::Receiver<u64>,
    /// How sessions name themselves.
    pub application_name: String,
    /// Jitter.
    pub random: fastrand::Rng,
}

/// Where the slot was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Source,
    Replica(usize),
}

impl Inspector {
    /// Looks on until cancelled.
    pub async fn run(mut self, cancelled: CancellationToken) {
        tokio::select! {
            biased;
            () = cancelled.cancelled() => {}
            () = self.look_on() => {}
        }
    }

    async fn look_on(&mut self) {
        let started = self.clock.now();
        let mut previous: Option<Inspection> = None;
        let mut next_catalogue = started;
        let mut place = None;
        // Never before the first good beat: what a beat tells by itself needs no check.
        if self.good_connections.wait_for(|count| *count > 0).await.is_err() {
            return;
        }
        loop {
            let now = self.clock.now();
            if next_catalogue.mono <= now.mono {
                previous = Some(self.check(previous.as_ref()).await);
                next_catalogue = self.clock.now().plus(CATALOGUE - JITTER.mul_f64(self.random.f64()));
            }
            let mut again = next_catalogue.mono;
            if self.driver.knows_delivery() {
                self.look_at_the_slot(&mut place, started).await;
                // Where there is no slot, the next run of all checks is soon enough to look for one.
                if place.is_some() {
                    let period = self.ticks.period_at(now).max(SHORTEST_LOOK);
                    again = again.min(self.clock.now().plus(period).mono);
                }
            }
            if let Ok(Ok(())) = clock::timeout_at(again, self.good_connections.changed()).await {
                // A recovered connection: much may have changed with the server behind it.
                let soon = self.clock.now().plus(SHORTEST.mul_f64(self.random.f64()));
                let earliest = previous.as_ref().map_or(soon, |_| now.plus(SHORTEST));
                next_catalogue = if earliest.mono < next_catalogue.mono { earliest } else { next_catalogue };
            }
        }
    }

    async fn check(&self, previous: Option<&Inspection>) -> Inspection {
        let inspection =
            runner::inspect(&self.target, &self.driver, &self.application_name, &self.clock, self.target.timeout).await;
        let findings = runner::judge(&self.target, self.driver.as_ref(), &inspection, previous);
        let verdict = verdict::climb(&findings, &registry::entries(&self.drivers));
        self.cell.lock().checked = Some(Checked { at: self.clock.now(), findings, verdict });
        inspection
    }

    /// Reads the slot where it was found last, or else on every endpoint.
    async fn look_at_the_slot(&self, place: &mut Option<Place>, started: Moment) {
        let places = std::iter::once(Place::Source).chain((0..self.target.replicas.len()).map(Place::Replica));
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
                    tracing::debug!(target = self.target.name, error = %failure, "the slot cannot be looked at");
                    return;
                }
            }
        }
        *place = None;
        self.cell.lock().delivery = None;
    }

    async fn delivery_at(&self, place: Place) -> Result<Option<Delivery>, Failure> {
        let deadline = self.clock.now().plus(self.target.timeout).mono;
        let (endpoint, purpose): (&Endpoint, _) = match place {
            Place::Source => (&self.target.endpoint, Purpose::Check),
            Place::Replica(index) => (&self.target.replicas[index].endpoint, Purpose::Inspect),
        };
        let opening = Opening {
            endpoint,
            purpose,
            table: &self.target.heartbeat,
            application_name: &self.application_name,
            known_identity: None,
            deadline,
        };
        let work = async {
            let mut session = opening.open(&self.driver).await?;
            let delivery = session.delivery(&self.target, deadline).await?;
            session.close().await;
            Ok(delivery)
        };
        let late = || Failure::new(ErrorKind::Timeout, "the slot was not answered within the time-out");
        clock::timeout_at(deadline, work).await.unwrap_or_else(|_| Err(late()))
    }

    fn record(&self, delivery: Delivery, started: Moment) {
        let confirmed = delivery.confirmed.as_deref().and_then(|confirmed| {
            let passes = |position: &str| self.driver.passes(confirmed, position);
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
