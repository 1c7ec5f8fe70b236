//! Runs calls of client libraries whose futures must not be dropped before they end. Each call is a separate task; a
//! caller that gives up leaves it running. The drivers of such libraries use one worker per session.

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::time::clock::{self, Instant};

/// Runs the calls of one session, one at a time.
#[derive(Debug, Default)]
pub(super) struct Worker {
    /// The call that may still run.
    call: Option<JoinHandle<()>>,
}

/// Why a call gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// The call did not end in time and continues without its caller.
    Late,
    /// An earlier call still runs, so this one did not start.
    Busy,
    /// The call ended without an answer: it panicked, or the runtime ended.
    Broken,
}

impl Worker {
    /// Runs a call until it ends, or until `limit`. Dropping this future also leaves the call running.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub(super) async fn call<T: Send + 'static>(
        &mut self,
        call: impl Future<Output = T> + Send + 'static,
        limit: Instant,
    ) -> Result<T, Unanswered> {
        if !self.is_idle() {
            return Err(Unanswered::Busy);
        }
        let (answer, answered) = oneshot::channel();
        self.call = Some(tokio::spawn(async move {
            // A caller that gave up needs no answer.
            let _ = answer.send(call.await);
        }));
        let answer = clock::timeout_at(limit, answered).await.map_err(|_| Unanswered::Late)?;
        self.call = None;
        answer.map_err(|_| Unanswered::Broken)
    }

    /// Whether no call is running.
    pub(super) fn is_idle(&self) -> bool {
        self.call.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends the running call by dropping its future. Call it only when the client is closed too.
    pub(super) fn end(&mut self) {
        if let Some(call) = self.call.take() {
            call.abort();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::time::clock::Clock;

    /// A client that hangs until it is released, and counts the calls in it.
    #[derive(Default)]
    struct Toy {
        inside: AtomicUsize,
        most: AtomicUsize,
        release: tokio::sync::Notify,
    }

    struct Inside(Arc<Toy>);

    impl Drop for Inside {
        fn drop(&mut self) {
            self.0.inside.fetch_sub(1, Ordering::SeqCst);
        }
    }

    async fn hang(toy: Arc<Toy>) {
        let now = toy.inside.fetch_add(1, Ordering::SeqCst) + 1;
        toy.most.fetch_max(now, Ordering::SeqCst);
        let inside = Inside(toy);
        inside.0.release.notified().await;
    }

    fn soon() -> Instant {
        Clock::system().now().mono + Duration::from_secs(2)
    }

    #[tokio::test(start_paused = true)]
    async fn a_hanging_call_keeps_running_and_no_second_call_starts() {
        let (toy, mut worker) = (Arc::new(Toy::default()), Worker::default());
        assert_eq!(worker.call(hang(Arc::clone(&toy)), soon()).await, Err(Unanswered::Late));
        for _ in 0..1_000 {
            assert_eq!(worker.call(hang(Arc::clone(&toy)), soon()).await, Err(Unanswered::Busy));
        }
        assert_eq!((toy.inside.load(Ordering::SeqCst), toy.most.load(Ordering::SeqCst)), (1, 1));
        toy.release.notify_one();
        while !worker.is_idle() {
            tokio::task::yield_now().await;
        }
        assert_eq!(worker.call(async { 17 }, soon()).await, Ok(17));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_is_dropped_leaves_its_call_running() {
        let (toy, mut worker) = (Arc::new(Toy::default()), Worker::default());
        let dropped = clock::timeout_at(soon(), worker.call(hang(Arc::clone(&toy)), soon() + Duration::from_secs(60)));
        assert!(dropped.await.is_err());
        assert!(!worker.is_idle());
        assert_eq!(toy.inside.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_that_are_given_up_one_after_the_other_leave_nothing_behind() {
        let toy = Arc::new(Toy::default());
        for _ in 0..1_000 {
            let mut worker = Worker::default();
            assert_eq!(worker.call(hang(Arc::clone(&toy)), soon()).await, Err(Unanswered::Late));
            drop(worker);
            tokio::task::yield_now().await;
        }
        assert_eq!((toy.inside.load(Ordering::SeqCst), toy.most.load(Ordering::SeqCst)), (0, 1));
    }

    #[test]
    fn a_call_that_hangs_does_not_keep_the_program_from_its_end() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let toy = Arc::new(Toy::default());
        runtime.block_on(async {
            let mut worker = Worker::default();
            let limit = Clock::system().now().mono + Duration::from_millis(20);
            assert_eq!(worker.call(hang(Arc::clone(&toy)), limit).await, Err(Unanswered::Late));
            std::mem::forget(worker);
        });
        // The runtime drops the running call when it ends.
        drop(runtime);
        assert_eq!(toy.inside.load(Ordering::SeqCst), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_panics_gives_no_answer() {
        let mut worker = Worker::default();
        assert_eq!(worker.call(async { panic!("on purpose") }, soon()).await, Err::<(), _>(Unanswered::Broken));
        assert_eq!(worker.call(async { 1 }, soon()).await, Ok(1));
    }
}
