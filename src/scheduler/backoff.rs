//! How long to wait after a failure: by its kind, growing, with full jitter. Used by the `beater` and by `replica`.

use std::time::Duration;

use crate::heartbeat::{ErrorClass, ErrorKind};

/// Never closer than this, whatever the jitter says.
const SHORTEST: Duration = Duration::from_millis(100);
/// Between two tries with a password that was refused: servers lock accounts.
const AUTHENTICATION: Duration = Duration::from_secs(60);
/// Added to it at random, so that many targets of one server do not come together.
const AUTHENTICATION_JITTER: Duration = Duration::from_secs(15);

/// The pace at which a kind is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pace {
    /// The first wait is at most this.
    base: Duration,
    /// And no wait is longer than this, or than a period where that is shorter.
    cap: Duration,
    /// Whether a short period shortens the cap.
    within_period: bool,
}

/// The waits of one target.
#[derive(Debug, Clone)]
pub struct Backoff {
    failures: u32,
    /// The class of the failure before: another class is another trouble, and begins with short waits again.
    class: Option<ErrorClass>,
    random: fastrand::Rng,
}

impl Backoff {
    /// No failure so far. The seed makes a simulation repeatable.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { failures: 0, class: None, random: fastrand::Rng::with_seed(seed) }
    }

    /// Forgets the failures.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after one more failure of this kind, for a target of this period.
    pub fn next(&mut self, kind: ErrorKind, period: Duration) -> Duration {
        if self.class.replace(kind.class()) != Some(kind.class()) {
            self.failures = 0;
        }
        let exponent = self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        if matches!(kind, ErrorKind::Auth | ErrorKind::AuthMethod) {
            return AUTHENTICATION + AUTHENTICATION_JITTER.mul_f64(self.random.f64());
        }
        let pace = pace_of(kind);
        let cap = if pace.within_period { pace.cap.min(period) } else { pace.cap };
        let widest = pace.base.saturating_mul(1 << exponent).min(cap);
        widest.mul_f64(self.random.f64()).max(SHORTEST)
    }
}

fn pace_of(kind: ErrorKind) -> Pace {
    let seconds = Duration::from_secs;
    match kind {
        // A failover is under way: the new primary is near.
        ErrorKind::NotWritable | ErrorKind::Starting | ErrorKind::Shutdown => {
            Pace { base: seconds(1), cap: seconds(5), within_period: true }
        }
        _ => match kind.class() {
            ErrorClass::Connection => Pace { base: seconds(1), cap: seconds(60), within_period: true },
            ErrorClass::Schema | ErrorClass::Permission => {
                Pace { base: seconds(2), cap: seconds(30), within_period: false }
            }
            ErrorClass::Resource => Pace { base: seconds(1), cap: seconds(60), within_period: true },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn longest(kind: ErrorKind, period: Duration) -> Duration {
        let mut backoff = Backoff::new(7);
        (0..1_000).map(|_| backoff.next(kind, period)).max().unwrap()
    }

    #[test]
    fn waits_stay_below_the_cap_of_their_class() {
        assert!(longest(ErrorKind::Refused, MINUTE) <= MINUTE);
        assert!(longest(ErrorKind::Refused, MINUTE) > MINUTE / 2);
        assert!(longest(ErrorKind::Refused, Duration::from_secs(2)) <= Duration::from_secs(2));
        assert!(longest(ErrorKind::Privilege, MINUTE) <= Duration::from_secs(30));
        assert!(longest(ErrorKind::MissingTable, MINUTE * 60) <= Duration::from_secs(30));
        assert!(longest(ErrorKind::NotWritable, MINUTE * 60) <= Duration::from_secs(5));
    }

    #[test]
    fn a_refused_password_is_not_tried_again_within_a_minute() {
        let mut backoff = Backoff::new(7);
        assert!((0..1_000).all(|_| backoff.next(ErrorKind::Auth, Duration::from_secs(1)) >= MINUTE));
    }

    #[test]
    fn no_kind_is_ever_tried_in_a_tight_loop() {
        for kind in ErrorKind::ALL {
            let mut backoff = Backoff::new(7);
            assert!((0..1_000).all(|_| backoff.next(kind, Duration::from_secs(1)) >= SHORTEST), "{kind}");
        }
    }

    #[test]
    fn another_class_of_trouble_begins_with_a_short_wait() {
        let mut backoff = Backoff::new(7);
        for _ in 0..20 {
            let _ = backoff.next(ErrorKind::Refused, MINUTE);
        }
        assert!(backoff.next(ErrorKind::MissingTable, MINUTE) <= Duration::from_secs(2));
    }

    #[test]
    fn the_first_wait_is_short_again_after_a_success() {
        let mut backoff = Backoff::new(7);
        for _ in 0..20 {
            let _ = backoff.next(ErrorKind::Refused, MINUTE);
        }
        backoff.reset();
        assert!(backoff.next(ErrorKind::Refused, MINUTE) <= Duration::from_secs(1));
    }
}
