//! One thread for each live session of a blocking client. It runs one call at a time, each with a limit, and a call
//! past its limit is ended from outside. `connect` and the session use it.
//!
//! heartbeatd does not wait for a call that hangs, and starts no second call beside it: neither in the same session,
//! nor in a new session of the same target and purpose until this thread has ended.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::client::Client;
use super::hung_call;
use crate::driver::network::last_close_limit;
use crate::driver::worker::{Unanswered, Worker};
use crate::heartbeat::{ErrorKind, Failure};
use crate::panics;
use crate::time::clock::{self, Clock, Instant};

/// What the thread works on: `None` before the login.
pub(super) type Place = Option<Box<dyn Client>>;

type Call = Box<dyn FnOnce(&mut Place) + Send>;

/// The session's handle to its thread. Dropping it logs off and ends a call that hangs.
#[derive(Debug)]
pub(super) struct CallThread {
    /// `None` after the handle gave the thread up.
    calls: Option<mpsc::Sender<Call>>,
    worker: Worker,
    life: Life,
}

/// What is known of a thread until it ends.
#[derive(Debug, Clone)]
struct Life {
    /// The target and the purpose that it works for.
    of: Arc<str>,
    /// The thread's ID in Linux; 0 before it runs.
    number: Arc<AtomicI32>,
    /// Closed when the thread has ended.
    ended: watch::Receiver<()>,
}

/// Threads that were given up and have not ended yet.
static GIVEN_UP: Mutex<Vec<Life>> = Mutex::new(Vec::new());

/// The first and the longest pause between two attempts to end a call that was given up.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

impl CallThread {
    /// Starts a thread for a session.
    ///
    /// # Errors
    /// `timeout` while an earlier thread of the same target and purpose was given up and has not ended; `limit` if the
    /// machine cannot start another thread.
    pub(super) fn start(of: &str) -> Result<Self, Failure> {
        if given_up(|life| &*life.of == of) {
            return Err(Failure::new(
                ErrorKind::Timeout,
                "the previous call has not returned, so heartbeatd starts no second one",
            ));
        }
        let (calls, queue) = mpsc::channel::<Call>();
        let (alive, ended) = watch::channel(());
        let life = Life { of: of.into(), number: Arc::default(), ended };
        let number = Arc::clone(&life.number);
        let started = thread::Builder::new().name(format!("oracle {of}")).spawn(move || {
            number.store(nix::unistd::gettid().as_raw(), Ordering::Relaxed);
            let mut place = None;
            while let Ok(call) = queue.recv() {
                call(&mut place);
            }
            // Catches a panic of the library, so that the end of the thread is always signalled.
            let _ = panics::caught_now(|| place.take().map(Client::close));
            drop(alive);
        });
        match started {
            Ok(_) => Ok(Self { calls: Some(calls), worker: Worker::default(), life }),
            Err(error) => {
                let message = format!("no thread can be started for the session: {error}");
                Err(Failure::new(ErrorKind::Limit, message).with_source(error))
            }
        }
    }

    /// Runs a call in the thread, for no longer than until `limit`. After a timeout the session is unusable.
    ///
    /// # Errors
    /// The call's own error; `timeout`; `internal` for a panic in the call.
    pub(super) async fn call<T: Send + 'static>(
        &mut self,
        call: impl FnOnce(&mut Place) -> Result<T, Failure> + Send + 'static,
        limit: Instant,
    ) -> Result<T, Failure> {
        let (answer, answered) = oneshot::channel();
        let sent = self.calls.as_ref().is_some_and(|calls| {
            let call: Call = Box::new(move |place| {
                let result = panics::caught_now(|| call(place)).unwrap_or_else(Err);
                // If the caller is gone, the result is dropped.
                let _ = answer.send(result);
            });
            calls.send(call).is_ok()
        });
        if !sent {
            return Err(Failure::new(ErrorKind::Timeout, "the call before this one has not been answered"));
        }
        match self.worker.call(answered, limit).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(Unanswered::Broken) => {
                Err(Failure::new(ErrorKind::Internal, "the session's thread ended before its call"))
            }
            Err(Unanswered::Late) => {
                self.give_up(clock_now());
                Err(Failure::new(ErrorKind::Timeout, "the server's answer did not come in time"))
            }
            Err(Unanswered::Busy) => {
                Err(Failure::new(ErrorKind::Timeout, "the call before this one has not been answered"))
            }
        }
    }

    /// Whether a call can begin.
    pub(super) fn is_idle(&self) -> bool {
        self.calls.is_some() && self.worker.is_idle()
    }

    /// Logs off, within half a second.
    pub(super) async fn close(mut self) {
        self.calls = None;
        let mut ended = self.life.ended.clone();
        let _ = clock::timeout_at(last_close_limit(), ended.changed()).await;
    }

    /// Detaches from the thread, which logs off. A call that still hangs at `limit` is ended.
    fn give_up(&mut self, limit: Instant) {
        self.calls = None;
        if self.life.has_ended() {
            return;
        }
        let life = self.life.clone();
        // Without a runtime the program is ending, and the thread ends with it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if limit <= clock_now() {
            life.keep_in_mind();
        }
        runtime.spawn(life.end_by(limit));
    }
}

impl Drop for CallThread {
    fn drop(&mut self) {
        let limit = if self.worker.is_idle() { last_close_limit() } else { clock_now() };
        if self.calls.is_some() || !self.life.has_ended() {
            self.give_up(limit);
        }
    }
}

impl Life {
    fn has_ended(&self) -> bool {
        self.ended.has_changed().is_err()
    }

    /// Blocks new sessions of the same target and purpose until this thread has ended.
    fn keep_in_mind(&self) {
        let mut given_up = GIVEN_UP.lock().unwrap_or_else(PoisonError::into_inner);
        given_up.push(self.clone());
    }

    /// Waits until the thread has ended. From `limit` on, it ends each call that the thread hangs on.
    async fn end_by(mut self, limit: Instant) {
        if clock::timeout_at(limit, self.ended.changed()).await.is_ok() {
            return;
        }
        if !given_up(|life| Arc::ptr_eq(&life.number, &self.number)) {
            self.keep_in_mind();
        }
        let (mut pause, longest) = PAUSES;
        loop {
            hung_call::end(self.number.load(Ordering::Relaxed));
            if clock::timeout_at(clock_now() + pause, self.ended.changed()).await.is_ok() {
                return;
            }
            pause = (pause * 2).min(longest);
        }
    }
}

/// Whether a thread that was given up and has not ended matches.
fn given_up(is_it: impl Fn(&Life) -> bool) -> bool {
    let mut given_up = GIVEN_UP.lock().unwrap_or_else(PoisonError::into_inner);
    given_up.retain(|life| !life.has_ended());
    given_up.iter().any(is_it)
}

fn clock_now() -> Instant {
    Clock::system().now().mono
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn soon(millis: u64) -> Instant {
        clock_now() + Duration::from_millis(millis)
    }

    /// Reads from a server that sends nothing.
    fn hang(address: std::net::SocketAddr) -> Result<usize, Failure> {
        Ok(TcpStream::connect(address).unwrap().read(&mut [0; 1]).unwrap())
    }

    async fn until_ended(life: Life) {
        let mut ended = life.ended;
        clock::timeout_at(soon(5_000), ended.changed()).await.expect("the thread has ended").unwrap_err();
    }

    #[tokio::test]
    async fn a_call_that_hangs_is_ended_and_the_next_session_begins_after_it() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let mut session = CallThread::start("a target that hangs").unwrap();
        let failure = session.call(move |_| hang(address), soon(50)).await.unwrap_err();
        assert_eq!(failure.kind(), ErrorKind::Timeout);
        assert!(!session.is_idle());
        let life = session.life.clone();
        drop(session);
        until_ended(life).await;
        let mut next = CallThread::start("a target that hangs").unwrap();
        assert_eq!(next.call(|_| Ok(17), soon(5_000)).await.unwrap(), 17);
    }

    #[tokio::test]
    async fn no_session_begins_beside_a_call_that_cannot_be_ended() {
        let mut session = CallThread::start("a target that sleeps").unwrap();
        let (go_on, wait) = mpsc::channel::<()>();
        let failure = session.call(move |_| Ok(wait.recv().is_ok()), soon(20)).await.unwrap_err();
        assert_eq!(failure.kind(), ErrorKind::Timeout);
        let life = session.life.clone();
        drop(session);
        for _ in 0..100 {
            let refused = CallThread::start("a target that sleeps").unwrap_err();
            assert!(refused.message().contains("the previous call has not returned"), "{refused}");
        }
        CallThread::start("another target").unwrap();
        go_on.send(()).unwrap();
        until_ended(life).await;
        CallThread::start("a target that sleeps").unwrap();
    }

    #[tokio::test]
    async fn a_panic_of_the_client_is_the_calls_own_failure() {
        let mut session = CallThread::start("a target that panics").unwrap();
        let failure = session.call(|_| -> Result<(), _> { panic!("on purpose") }, soon(5_000)).await.unwrap_err();
        assert_eq!(failure.kind(), ErrorKind::Internal);
        assert_eq!(session.call(|_| Ok(1), soon(5_000)).await.unwrap(), 1);
    }
}
