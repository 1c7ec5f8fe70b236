//! The places of the status listener: it serves a fixed number of connections at once, and one peer cannot keep all
//! places. `listener` uses it.
//!
//! If all places are in use, a new connection replaces one that requests nothing: of the peer with the most
//! connections, the one that has been silent for the longest time. So a flood of half-open connections replaces itself,
//! and a probe gets its answer.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::time::clock::{self, Clock, Moment};

/// An answer that takes longer than this may lose its place.
const ANSWERED_BY: Duration = Duration::from_secs(1);

/// The pause before the next look, while all connections are being answered.
const PAUSE: Duration = Duration::from_millis(100);

/// All places.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    freed: Notify,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    by_number: HashMap<u64, Taker>,
}

/// Who has a place.
#[derive(Debug, Clone)]
struct Taker {
    peer: IpAddr,
    /// When it connected, or sent its last request.
    heard: Moment,
    asked: bool,
    evicted: CancellationToken,
}

/// The place of one connection, free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    evicted: CancellationToken,
    places: Arc<Places>,
}

impl Places {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, freed: Notify::new(), taken: Mutex::default() })
    }

    /// A place for a connection of this peer.
    ///
    /// Cancel-safe.
    pub(super) async fn take(self: &Arc<Self>, peer: IpAddr) -> Place {
        let mut waited = false;
        loop {
            if let Some(place) = self.try_take(peer) {
                return place;
            }
            self.evict(waited);
            waited = true;
            let _ = clock::timeout_at(Clock::system().now().plus(PAUSE).mono, self.freed.notified()).await;
        }
    }

    fn try_take(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let mut taken = self.taken();
        if taken.by_number.len() >= self.most {
            return None;
        }
        let number = taken.next;
        taken.next += 1;
        let evicted = CancellationToken::new();
        let heard = Clock::system().now();
        let taker = Taker { peer: network_of(peer), heard, asked: false, evicted: evicted.clone() };
        taken.by_number.insert(number, taker);
        Some(Place { number, evicted, places: Arc::clone(self) })
    }

    /// Ends the connection with the weakest claim to its place, if there is one. `waited`: running answers had time to
    /// end.
    pub(super) fn evict(&self, waited: bool) {
        let taken = self.taken();
        let takers: Vec<&Taker> = taken.by_number.values().filter(|taker| !taker.evicted.is_cancelled()).collect();
        if let Some(taker) = to_evict(&takers, waited, Clock::system().now()) {
            taker.evicted.cancel();
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// A request has come.
    pub(super) fn asks(&self) {
        if let Some(taker) = self.places.taken().by_number.get_mut(&self.number) {
            taker.heard = Clock::system().now();
            taker.asked = true;
        }
    }

    /// Returns when another connection needs the place.
    pub(super) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().by_number.remove(&self.number);
        self.places.freed.notify_one();
    }
}

/// Chooses from the peer with the most connections: the oldest one that has sent no request, otherwise the one whose
/// last request is longest ago and must be answered. If running answers had time to end and none did, a peer with more
/// than half of the places loses one of those.
fn to_evict<'a>(takers: &[&'a Taker], waited: bool, now: Moment) -> Option<&'a Taker> {
    let count = |taker: &Taker| takers.iter().filter(|other| other.peer == taker.peer).count();
    let may_go = |taker: &Taker| {
        let idle = !taker.asked || now.age_of(taker.heard) >= ANSWERED_BY;
        idle || waited && 2 * count(taker) > takers.len()
    };
    let order = |taker: &&Taker| (count(taker), !taker.asked, now.age_of(taker.heard));
    takers.iter().copied().filter(|taker| may_go(taker)).max_by_key(order)
}

/// The unit by which connections are counted: one address, or for IPv6 the network that a single machine may own.
fn network_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taker(peer: &str, now: Moment, silent_for: u64, asked: bool) -> Taker {
        let heard = Moment { mono: now.mono - Duration::from_secs(silent_for), wall: now.wall };
        Taker { peer: network_of(peer.parse().unwrap()), heard, asked, evicted: CancellationToken::new() }
    }

    /// The place in the list of the evicted connection.
    fn evicted(waited: bool, takers: &[(&str, u64, bool)]) -> Option<usize> {
        let now = Clock::system().now().plus(Duration::from_secs(100));
        let takers: Vec<_> = takers.iter().map(|(peer, silent, asked)| taker(peer, now, *silent, *asked)).collect();
        let chosen = to_evict(&takers.iter().collect::<Vec<_>>(), waited, now)?;
        takers.iter().position(|taker| std::ptr::eq(taker, chosen))
    }

    #[test]
    fn a_peer_that_has_most_loses_its_own_connection_and_not_the_older_one_of_another() {
        assert_eq!(evicted(false, &[("10.0.0.1", 9, false), ("10.0.0.2", 1, false), ("10.0.0.2", 2, false)]), Some(2));
    }

    #[test]
    fn a_connection_without_a_request_is_evicted_before_an_answered_one() {
        assert_eq!(evicted(false, &[("10.0.0.1", 9, true), ("10.0.0.1", 1, false), ("10.0.0.1", 2, false)]), Some(2));
        assert_eq!(evicted(false, &[("10.0.0.1", 2, true), ("10.0.0.1", 9, true)]), Some(1));
    }

    #[test]
    fn a_running_answer_is_not_interrupted() {
        assert_eq!(evicted(false, &[("10.0.0.1", 0, true), ("10.0.0.1", 0, true)]), None);
        assert_eq!(evicted(true, &[("10.0.0.1", 0, true), ("10.0.0.2", 0, true)]), None);
    }

    #[test]
    fn a_peer_that_keeps_most_places_busy_loses_one_after_a_while() {
        let chosen = evicted(true, &[("10.0.0.2", 0, true), ("10.0.0.1", 0, true), ("10.0.0.1", 0, true)]);
        assert!(matches!(chosen, Some(1 | 2)), "{chosen:?}");
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_peer() {
        assert_eq!(
            evicted(false, &[("2001:db8::1", 1, false), ("10.0.0.2", 9, false), ("2001:db8::2", 2, false)]),
            Some(2)
        );
        assert_eq!(network_of("::ffff:10.0.0.1".parse().unwrap()), network_of("10.0.0.1".parse().unwrap()));
    }
}
