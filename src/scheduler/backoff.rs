//! How long to wait after a failure. The wait depends on the kind, grows, and has full jitter. `beater` and `replica`
//! use it.

use std::time::Duration;

use crate::heartbeat::{ErrorClass, ErrorKind, Pace};

/// The shortest wait with any jitter.
const SHORTEST: Duration = Duration::from_millis(100);

/// The waits of one target.
#[derive(Debug, Clone)]
pub struct Backoff {
    failures: u32,
    /// The class of the previous failure. Another class is another problem and starts with short waits again.
    class: Option<ErrorClass>,
    random: fastrand::Rng,
}

impl Backoff {
    /// The state before any failure. With the same seed a simulation has the same waits.
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
        let pace = kind.pace();
        let (shortest, longest) = pace.limits();
        if pace == Pace::Login {
            // Not doubled, because the first wait is already long. The jitter separates the targets of one server.
            return shortest + (longest - shortest).mul_f64(self.random.f64());
        }
        let cap = if pace.within_period() { longest.min(period) } else { longest };
        let widest = shortest.saturating_mul(1 << exponent).min(cap);
        widest.mul_f64(self.random.f64()).max(SHORTEST)
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
        for kind in ErrorKind::ALL.iter().copied() {
            let mut backoff = Backoff::new(7);
            assert!((0..1_000).all(|_| backoff.next(kind, Duration::from_secs(1)) >= SHORTEST), "{kind}");
        }
    }

    #[test]
    fn another_class_of_failure_starts_with_a_short_wait() {
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
