//! The door: accepts connections and bounds what each may cost. Used by `commands::run`.
//!
//! Not `axum::serve`: it waits without limit for a request's head, for an idle client and at shutdown. Here each
//! connection ends by itself, so that none keeps its permit: a head must be complete in time (which also ends idle
//! ones), an answer must be taken in time, and at shutdown there is a cap.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::routes;
use crate::status::board::Board;

/// What clients may cost.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Connections served at once; more wait in the kernel's queue.
    connections: usize,
    /// From the connection, or the end of an answer, until the next request's head is complete.
    head: Duration,
    /// From a request's head until its answer is made and taken.
    exchange: Duration,
    /// From the shutdown until open connections are cut.
    drain: Duration,
}

const LIMITS: Limits =
    Limits { connections: 64, head: Duration::from_secs(5), exchange: Duration::from_secs(15), drain: DRAIN_LIMIT };

/// How long open connections may take to end at shutdown.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(1);

/// The longest head of a request; a longer one is answered 431.
const HEAD_BYTES: usize = 16 * 1024;

/// After a failed accept (no file descriptor left): without it the loop would spin.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Why the address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else does already.
    #[error("{listen} is in use by another program: stop that one, or change listen under [http]")]
    InUse {
        /// The configured address.
        listen: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Anything else: a privileged port, an address of another machine.
    #[error("cannot listen on {listen}: change listen under [http]")]
    Refused {
        /// The configured address.
        listen: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// Takes the address; to be called before the first beat, so that a program that cannot tell does not start.
///
/// # Errors
/// [`BindError`], which names the key to change.
pub async fn bind(listen: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(listen).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { listen, source },
        _ => BindError::Refused { listen, source },
    })
}

/// Serves the board until `shutdown`, and returns within a second of it whatever clients do.
///
/// Cancel-safe: dropping it closes every connection.
pub async fn serve(listener: TcpListener, board: Arc<Board>, shutdown: CancellationToken) {
    serve_within(LIMITS, listener, board, shutdown).await;
}

async fn serve_within(limits: Limits, listener: TcpListener, board: Arc<Board>, shutdown: CancellationToken) {
    let router = routes::router(board);
    let permits = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    while let Some(Some((stream, permit))) = shutdown.run_until_cancelled(next(&listener, &permits)).await {
        while connections.try_join_next().is_some() {}
        connections.spawn(converse(limits, stream, permit, router.clone(), shutdown.clone()));
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain, drained).await.is_err() {
        tracing::debug!(open = connections.len(), "cutting HTTP connections still open at shutdown");
    }
}

/// The next connection and its permit. The permit comes first: who exceeds the cap waits in the kernel's queue.
async fn next(listener: &TcpListener, permits: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    // `None` only of a closed semaphore, which nobody closes.
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    let mut reported = false;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Some((stream, permit)),
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                if !reported {
                    tracing::warn!(%error, "cannot accept HTTP connections, trying again every second");
                    reported = true;
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn converse(
    limits: Limits,
    stream: TcpStream,
    _permit: OwnedSemaphorePermit,
    router: Router,
    shutdown: CancellationToken,
) {
    let requested = Notify::new();
    let service = service_fn(|request| {
        requested.notify_one();
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut leaving = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "an HTTP connection ended early");
                }
                return;
            }
            () = shutdown.cancelled(), if !leaving => {
                leaving = true;
                connection.as_mut().graceful_shutdown();
            }
            // Each request starts the watch anew; hyper itself waits without limit for a client that does not read.
            () = requested.notified() => {}
            () = tokio::time::sleep(limits.head + limits.exchange) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::JoinHandle;
    use tokio::time::timeout;

    use super::super::fixtures::{Answer, add, empty_board};
    use super::*;

    /// Longer than anything here takes, and shorter than the limits a test does not shorten: one limit must not pass
    /// for another.
    const GUARD: Duration = Duration::from_secs(10);
    const REQUEST: &[u8] = b"GET /targets HTTP/1.1\r\nHost: test\r\n\r\n";
    const LAST_REQUEST: &[u8] = b"GET /live HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";

    struct Running {
        address: SocketAddr,
        shutdown: CancellationToken,
        task: JoinHandle<()>,
    }

    async fn run(limits: Limits, board: Arc<Board>) -> Running {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
        let task = tokio::spawn(serve_within(limits, listener, board, shutdown.clone()));
        Running { address, shutdown, task }
    }

    async fn connect(running: &Running, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream
    }

    /// So many targets that a list of them does not fit into the buffers of a connection for long.
    fn large_board() -> Arc<Board> {
        let board = empty_board();
        (0..500).for_each(|number| drop(add(&board, &format!("target {number}"), |_| {})));
        board
    }

    /// Everything until the server closes. It may reset where it leaves bytes unread.
    async fn read_to_end(mut stream: TcpStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        match timeout(GUARD, stream.read_to_end(&mut bytes)).await.expect("the server closes") {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => panic!("{error}"),
            _ => bytes,
        }
    }

    /// Reads the beginning of an answer: the connection is then known to be served.
    async fn read_some(stream: &mut TcpStream) -> Vec<u8> {
        let mut bytes = vec![0; 4096];
        let length = timeout(GUARD, stream.read(&mut bytes)).await.expect("an answer").unwrap();
        bytes.truncate(length);
        bytes
    }

    #[tokio::test]
    async fn a_taken_port_is_named_with_the_key_to_change() {
        let first = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = first.local_addr().unwrap();
        let error = bind(address).await.unwrap_err();
        let wanted = format!("{address} is in use by another program: stop that one, or change listen under [http]");
        assert_eq!(error.to_string(), wanted);
        assert!(error.source().is_some());
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_refused_with_the_systems_words() {
        let error = bind("192.0.2.1:2328".parse().unwrap()).await.unwrap_err();
        assert_eq!(error.to_string(), "cannot listen on 192.0.2.1:2328: change listen under [http]");
        assert!(error.source().is_some());
    }

    #[tokio::test]
    async fn a_head_that_does_not_end_is_cut_however_slowly_it_drips() {
        let running = run(Limits { head: Duration::from_millis(300), ..LIMITS }, empty_board()).await;
        let mut stream = connect(&running, b"GET / HTTP/1.1\r\nHost: test\r\n").await;
        let dripped = timeout(GUARD, async {
            // A write to a connection that the other side has closed fails at the latest at the second attempt.
            while stream.write_all(b"X-Slow: 1\r\n").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        dripped.await.expect("the server closes");
    }

    #[tokio::test]
    async fn an_idle_connection_is_closed_after_its_answer() {
        let running = run(Limits { head: Duration::from_millis(200), ..LIMITS }, empty_board()).await;
        let answer = Answer::parse(read_to_end(connect(&running, REQUEST).await).await);
        assert_eq!(answer.status, 200);
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_loses_its_place() {
        let short = Duration::from_millis(300);
        let running = run(Limits { connections: 1, head: short, exchange: short, ..LIMITS }, large_board()).await;
        let mut greedy = connect(&running, &REQUEST.repeat(200)).await;
        read_some(&mut greedy).await;
        let other = connect(&running, LAST_REQUEST).await;
        assert_eq!(Answer::parse(read_to_end(other).await).status, 200);
        drop(greedy);
    }

    #[tokio::test]
    async fn who_exceeds_the_cap_waits_until_a_place_is_free() {
        let running = run(Limits { connections: 2, ..LIMITS }, empty_board()).await;
        let mut served = Vec::new();
        for _ in 0..2 {
            let mut stream = connect(&running, REQUEST).await;
            read_some(&mut stream).await;
            served.push(stream);
        }
        let mut third = connect(&running, LAST_REQUEST).await;
        let early = timeout(Duration::from_millis(200), third.readable()).await;
        assert!(early.is_err(), "a third connection was served beside two open ones");
        served.pop();
        assert!(read_some(&mut third).await.starts_with(b"HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn idle_connections_up_to_the_cap_do_not_keep_out_the_next_for_ever() {
        let running = run(Limits { head: Duration::from_millis(500), ..LIMITS }, empty_board()).await;
        let mut idle = Vec::new();
        for _ in 0..LIMITS.connections {
            idle.push(connect(&running, b"").await);
        }
        let next = connect(&running, LAST_REQUEST).await;
        assert_eq!(Answer::parse(read_to_end(next).await).status, 200);
        drop(idle);
    }

    #[tokio::test]
    async fn a_head_of_more_than_16_kib_is_refused() {
        let running = run(LIMITS, empty_board()).await;
        let long = format!("GET / HTTP/1.1\r\nHost: test\r\nX-Long: {}\r\n\r\n", "x".repeat(HEAD_BYTES));
        let mut stream = connect(&running, long.as_bytes()).await;
        assert!(read_some(&mut stream).await.starts_with(b"HTTP/1.1 431"));
        // Not a limit of the bytes on a connection.
        let mut stream = connect(&running, &REQUEST.repeat(2 * HEAD_BYTES / REQUEST.len())).await;
        assert!(read_some(&mut stream).await.starts_with(b"HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn shutdown_closes_an_idle_connection_at_once() {
        let running = run(Limits { head: GUARD * 2, drain: GUARD * 2, ..LIMITS }, empty_board()).await;
        let mut idle = connect(&running, REQUEST).await;
        read_some(&mut idle).await;
        running.shutdown.cancel();
        timeout(GUARD, running.task).await.expect("serve returns").unwrap();
        read_to_end(idle).await;
        assert!(TcpStream::connect(running.address).await.is_err(), "nobody listens any more");
    }

    #[tokio::test]
    async fn shutdown_waits_neither_for_half_a_head_nor_for_a_client_that_does_not_read() {
        let running = run(Limits { head: GUARD * 2, ..LIMITS }, large_board()).await;
        let half = connect(&running, b"GET / HTTP/1.1\r\n").await;
        let mut greedy = connect(&running, &REQUEST.repeat(200)).await;
        read_some(&mut greedy).await;
        running.shutdown.cancel();
        timeout(GUARD, running.task).await.expect("serve returns").unwrap();
        read_to_end(half).await;
        drop(greedy);
    }
}
