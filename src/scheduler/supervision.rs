//! Reports a loop that panicked and starts it again, after waits that grow. The `fleet` uses it for each loop of a
//! target.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;

use super::backoff::Backoff;
use crate::heartbeat::{ErrorKind, Failure};
use crate::panics;
use crate::time::clock::{Clock, Moment};

/// If a loop ran longer than this before it panicked, the panic counts as a new problem.
const SETTLED: Duration = Duration::from_secs(10 * 60);
/// The shortest time between two log lines about one loop.
const REMINDER: Duration = Duration::from_secs(60);

/// Which loop to restart, and at which pace.
pub(super) struct Supervision<'a> {
    /// The target it belongs to.
    pub(super) target: &'a str,
    /// The loop: `beats`, `inspector`, or a replica's name.
    pub(super) part: &'a str,
    /// The program's clock.
    pub(super) clock: &'a Clock,
    /// The waits between a panic and the next start.
    pub(super) backoff: Backoff,
    /// The target's period: no wait is longer.
    pub(super) period: Duration,
}

impl Supervision<'_> {
    /// Runs the loop that `start` creates until it ends by itself, and again after each panic. `start` gets the moment
    /// before which it must do nothing, at first `first`. `panicked` puts a panic on the board.
    pub(super) async fn keep<L: Future<Output = ()>>(
        &mut self,
        first: Moment,
        start: impl Fn(Moment) -> L,
        panicked: impl Fn(Failure, Moment),
    ) {
        let mut at = first;
        let mut logged: Option<Moment> = None;
        loop {
            let began = self.clock.now();
            let ended = AssertUnwindSafe(async { start(at).await }).catch_unwind().await;
            let Err(_) = ended else { return };
            let now = self.clock.now();
            let failure = panics::as_failure();
            if logged.is_none_or(|logged| now.age_of(logged) >= REMINDER) {
                let (target, part) = (self.target, self.part);
                let (error, remedy) = (failure.message(), failure.remedy().map(tracing::field::display));
                tracing::error!(target, part, error, remedy, "a loop panicked and is started again");
                logged = Some(now);
            }
            panicked(failure, now);
            if now.age_of(began) > SETTLED {
                self.backoff.reset();
            }
            at = now.plus(self.backoff.next(ErrorKind::Internal, self.period));
        }
    }
}
