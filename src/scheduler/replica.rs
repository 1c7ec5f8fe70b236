//! Watches one replica and measures when the beat arrives there. The `fleet` starts one task per replica. It never
//! writes and never delays a beat.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use crate::driver::opening::{Known, TargetContext};
use crate::driver::{Observation, Purpose, ServerInfo, Session};
use crate::heartbeat::{ErrorKind, Failure, KeptSession, Stamp};
use crate::status::board::{Cell, Trouble};
use crate::target::Replica;
use crate::time::clock::{self, Clock, Moment};
use crate::time::ticks::Ticks;

/// How many acknowledged beats heartbeatd remembers: an hour at a beat a minute. The lag of a replica further behind is a
/// lower bound.
const REMEMBERED: usize = 64;
/// When to read the replica after a beat, counted from its acknowledgement.
const LOOKS: [Duration; 6] = [
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(8),
];
/// Between looks further apart than this the connection is closed.
const KEPT_OPEN: Duration = Duration::from_secs(15);
/// The longest time of a look, also for targets with a longer time-out.
const LONGEST_LOOK: Duration = Duration::from_secs(10);

/// The acknowledged beats of a target, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Acknowledged(VecDeque<AcknowledgedBeat>);

/// One of them.
#[derive(Debug, Clone)]
struct AcknowledgedBeat {
    value: Stamp,
    at: Moment,
    /// The position of the change log during the beat: before its own commit, after the commit of the previous beat.
    position: Option<Box<str>>,
}

/// What a look says about a replica's lag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrival {
    /// The newest beat has arrived.
    Arrived,
    /// When the oldest beat that has not arrived was acknowledged.
    Missing { since: Moment },
    /// Another writer wrote the value.
    Foreign,
}

/// One replica's watcher.
pub struct Watcher {
    /// The target it belongs to, with its driver.
    pub context: TargetContext,
    /// The replica.
    pub replica: Replica,
    /// Where its state goes.
    pub cell: Arc<Cell>,
    /// The program's clock.
    pub clock: Clock,
    /// The target's ticks: a period is at least one look.
    pub ticks: Ticks,
    /// Of the jitter of the waits after failures.
    pub seed: u64,
    /// The acknowledged beats.
    pub acknowledged: watch::Receiver<Acknowledged>,
}

impl Acknowledged {
    /// Adds a beat; the oldest goes when there are too many.
    pub fn push(&mut self, value: Stamp, at: Moment, position: Option<Box<str>>) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(AcknowledgedBeat { value, at, position });
    }

    fn newest(&self) -> Option<(Stamp, Moment)> {
        self.0.back().map(|beat| (beat.value, beat.at))
    }

    /// When the newest confirmed beat was acknowledged. The commit of a beat lies before the position that the next
    /// beat read, so a confirmation past that position has passed the beat.
    pub fn newest_confirmed(&self, passes: impl Fn(&str) -> bool) -> Option<Moment> {
        let beats = self.0.iter().zip(self.0.iter().skip(1)).rev();
        let mut confirmed = beats.filter(|(_, next)| next.position.as_deref().is_some_and(&passes));
        confirmed.next().map(|(beat, _)| beat.at)
    }

    fn arrival(&self, seen: Option<Stamp>) -> Option<Arrival> {
        let oldest = self.0.front()?;
        if let Some(position) = self.0.iter().position(|beat| Some(beat.value) == seen) {
            return Some(match self.0.get(position + 1) {
                None => Arrival::Arrived,
                Some(next) => Arrival::Missing { since: next.at },
            });
        }
        match seen {
            Some(seen) if seen > oldest.value => Some(Arrival::Foreign),
            _ => Some(Arrival::Missing { since: oldest.at }),
        }
    }
}

impl Watcher {
    /// Watches until cancelled, and not before `first`. A second run starts over.
    pub async fn run(&self, first: Moment, cancelled: &CancellationToken) {
        tokio::select! {
            biased;
            () = cancelled.cancelled() => {}
            () = self.watch(first) => {}
        }
    }

    async fn watch(&self, first: Moment) {
        let mut backoff = Backoff::new(self.seed);
        let mut acknowledged = self.acknowledged.clone();
        let mut session: Option<Box<dyn Session>> = None;
        let mut not_before = first.mono;
        loop {
            let beat = acknowledged.borrow_and_update().newest();
            let period = self.ticks.period_at(self.clock.now());
            // The looks after a beat; without a beat one per period.
            let looks: &[Duration] = if beat.is_some() { &LOOKS } else { &LOOKS[..1] };
            let anchor = beat.map_or(self.clock.now(), |(_, at)| at);
            for look in looks.iter().filter(|look| **look < period) {
                let at = (anchor.mono + *look).max(not_before);
                clock::sleep_until(at).await;
                let result = Box::pin(self.look(&mut session)).await;
                let now = self.clock.now();
                let arrived = match result {
                    Ok((observation, server)) => {
                        backoff.reset();
                        self.record(&observation, server, now)
                    }
                    Err(failure) => {
                        not_before = now.mono + backoff.next(failure.kind(), period);
                        self.record_failure(failure, now);
                        continue;
                    }
                };
                if arrived || acknowledged.has_changed().unwrap_or(false) {
                    break;
                }
            }
            if period > KEPT_OPEN
                && let Some(session) = session.take()
            {
                session.close().await;
            }
            let again = self.clock.now().mono + period;
            let _ = clock::timeout_at(again, acknowledged.changed()).await;
        }
    }

    async fn look(&self, kept: &mut Option<Box<dyn Session>>) -> Result<(Observation, ServerInfo), Failure> {
        let limit = self.context.target.timeout.min(LONGEST_LOOK);
        let deadline = self.clock.now().mono + limit;
        let was_kept = kept.is_some();
        match self.look_once(kept, deadline).await {
            // A dead connection is replaced at once.
            Err(failure) if was_kept && failure.kind().kept_session() == KeptSession::Replaced => {
                self.look_once(kept, deadline).await
            }
            other => other,
        }
    }

    async fn look_once(
        &self,
        kept: &mut Option<Box<dyn Session>>,
        deadline: clock::Instant,
    ) -> Result<(Observation, ServerInfo), Failure> {
        let mut session = match kept.take() {
            Some(session) => session,
            None => self.open(deadline).await?,
        };
        let late = || Failure::new(ErrorKind::Timeout, "the replica did not answer within the time-out");
        let observation = clock::timeout_at(deadline, session.observe(deadline)).await.map_err(|_| late())??;
        let server = session.server().clone();
        *kept = Some(session);
        if observation.rows == 0 {
            return Err(Failure::new(ErrorKind::MissingRow, "the replica has no such heartbeat row yet"));
        }
        Ok((observation, server))
    }

    async fn open(&self, deadline: clock::Instant) -> Result<Box<dyn Session>, Failure> {
        self.context.open(&self.replica.endpoint, Purpose::Inspect, Known::default(), deadline).await
    }

    /// Puts a look on the board. Returns whether the newest beat has arrived.
    fn record(&self, observation: &Observation, server: ServerInfo, now: Moment) -> bool {
        let acknowledged = self.acknowledged.borrow();
        let arrival = acknowledged.arrival(observation.value);
        let newest = acknowledged.newest().map(|(_, at)| at);
        drop(acknowledged);
        let mut status = self.cell.lock();
        let Some(replica) = status.replicas.get_mut(&self.replica.name) else { return true };
        let seen_before = replica.value == observation.value;
        replica.trouble = None;
        replica.role = Some(observation.role);
        replica.server = Some(server);
        replica.seen_at = Some(now);
        match (arrival, newest) {
            // The lag of a beat is set when the beat is first seen, and stays until the next beat.
            (Some(Arrival::Arrived), Some(_)) if seen_before && replica.lag.is_some() => {}
            (Some(Arrival::Arrived), Some(at)) => replica.lag = Some(now.age_of(at)),
            (Some(Arrival::Missing { since }), _) => replica.lag = Some(now.age_of(since)),
            _ => replica.lag = None,
        }
        replica.behind_since = match arrival {
            Some(Arrival::Missing { since }) => Some(replica.behind_since.unwrap_or(since)),
            _ => None,
        };
        replica.value = observation.value;
        matches!(arrival, Some(Arrival::Arrived | Arrival::Foreign) | None)
    }

    /// Puts a failed look on the board, even one that panicked. The lag is then unknown.
    pub(super) fn record_failure(&self, failure: Failure, now: Moment) {
        let failure = self.context.with_remedy_at(&self.replica, failure);
        let mut status = self.cell.lock();
        let Some(replica) = status.replicas.get_mut(&self.replica.name) else { return };
        let trouble = Trouble::after(replica.trouble.as_ref(), failure, now);
        if trouble.attempts == 1 {
            let (target, error) = (self.context.target.name.as_str(), trouble.failure.to_string());
            let remedy = trouble.failure.remedy().map(tracing::field::display);
            tracing::warn!(target = target, replica = self.replica.name, error, remedy, "replica cannot be looked at");
        }
        replica.trouble = Some(trouble);
        replica.lag = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_lag_counts_from_the_oldest_beat_that_is_missing() {
        let start = Clock::simulated(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)).0.now();
        let at = |second| start.plus(Duration::from_secs(second));
        let mut acknowledged = Acknowledged::default();
        assert_eq!(acknowledged.arrival(Some(Stamp(5))), None);
        for beat in 1..=3 {
            acknowledged.push(Stamp(beat * 10), at(u64::try_from(beat).unwrap()), Some(beat.to_string().into()));
        }
        assert_eq!(acknowledged.arrival(Some(Stamp(30))), Some(Arrival::Arrived));
        assert_eq!(acknowledged.arrival(Some(Stamp(10))), Some(Arrival::Missing { since: at(2) }));
        assert_eq!(acknowledged.arrival(Some(Stamp(1))), Some(Arrival::Missing { since: at(1) }));
        assert_eq!(acknowledged.arrival(None), Some(Arrival::Missing { since: at(1) }));
        assert_eq!(acknowledged.arrival(Some(Stamp(25))), Some(Arrival::Foreign));
    }

    #[tokio::test(start_paused = true)]
    async fn a_beat_is_confirmed_by_the_position_that_the_next_one_read() {
        let start = Clock::simulated(SystemTime::UNIX_EPOCH).0.now();
        let at = |second| start.plus(Duration::from_secs(second));
        let mut acknowledged = Acknowledged::default();
        for beat in 1..=3 {
            acknowledged.push(Stamp(beat), at(u64::try_from(beat).unwrap()), Some(beat.to_string().into()));
        }
        let confirmed = |upto: u32| acknowledged.newest_confirmed(|position| position.parse::<u32>().unwrap() <= upto);
        assert_eq!([confirmed(0), confirmed(1), confirmed(2), confirmed(9)], [None, None, Some(at(1)), Some(at(2))]);
    }
}
