//! Accepts connections and limits what each may cost. `commands::run` uses it.
//!
//! Not `axum::serve`, which waits without limit for a request's head, for an idle client and at shutdown. Here each
//! connection ends by itself and returns its place: a head must be complete in time (which also ends idle connections),
//! the client must read an answer in time, and shutdown has a limit.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::places::{Place, Places};
use super::routes;
use crate::descriptors::{self, Reserve};
use crate::status::board::Board;

/// The limits of a client.
#[derive(Debug, Clone, Copy)]
struct ListenerLimits {
    /// Connections served at once. One more replaces the most idle connection of the peer that has the most.
    connections: usize,
    /// From the connection, or the end of an answer, until the next request's head is complete.
    head: Duration,
    /// From a request's head until the client has read its answer.
    exchange: Duration,
    /// From the shutdown until open connections are cut.
    drain: Duration,
}

const LIMITS: ListenerLimits = ListenerLimits {
    connections: 64,
    head: Duration::from_secs(5),
    exchange: Duration::from_secs(15),
    drain: DRAIN_LIMIT,
};

/// How long open connections may take to end at shutdown.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(1);

/// The longest head of a request; a longer one gets the answer 431.
const HEAD_BYTES: usize = 16 * 1024;

/// The pause after a failed accept, without which the loop would spin. While no descriptor is left, connections wait
/// this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why heartbeatd cannot listen on the address.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another program listens there.
    #[error("another program uses {listen}: stop it, or change listen under [http]")]
    InUse {
        /// The configured address.
        listen: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// Any other reason: a privileged port, an address of another machine.
    #[error("cannot listen on {listen}: change listen under [http]")]
    Refused {
        /// The configured address.
        listen: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
}

/// Opens the address. Call it before the first beat, so that a program without a status page does not start.
///
/// # Errors
/// [`BindError`], which names the key to change.
pub async fn bind(listen: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(listen).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { listen, source },
        _ => BindError::Refused { listen, source },
    })
}

/// Serves the board until `shutdown`, and returns within a second after it, even if clients keep sending.
///
/// Cancel-safe: dropping it closes every connection.
pub async fn serve(listener: TcpListener, board: Arc<Board>, shutdown: CancellationToken) {
    serve_within(LIMITS, listener, board, shutdown).await;
}

async fn serve_within(limits: ListenerLimits, listener: TcpListener, board: Arc<Board>, shutdown: CancellationToken) {
    let router = routes::router(board);
    let reserve = Arc::new(Reserve::take());
    let places = Places::new(limits.connections);
    let mut connections = JoinSet::new();
    while let Some((stream, place)) = shutdown.run_until_cancelled(next(&listener, &places, &reserve)).await {
        while connections.try_join_next().is_some() {}
        let (router, reserve, shutdown) = (router.clone(), Arc::clone(&reserve), shutdown.clone());
        connections.spawn(async move {
            if let Some(stream) = converse(limits, stream, &place, router, shutdown).await {
                reserve.close(stream);
            }
        });
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain, drained).await.is_err() {
        tracing::debug!(open = connections.len(), "closing HTTP connections that are still open at shutdown");
    }
}

/// The next connection and its place.
async fn next(listener: &TcpListener, places: &Arc<Places>, reserve: &Reserve) -> (TcpStream, Place) {
    let mut reported = false;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, places.take(peer.ip()).await),
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                if !reported {
                    let error = descriptors::words_of_shortage(&error).unwrap_or_else(|| error.to_string());
                    tracing::warn!(error, remedy = descriptors::REMEDY, "cannot accept HTTP connections freely");
                    reported = true;
                }
                // The system takes a descriptor before it looks for a connection, so there may be no connection.
                if is_waited_at(listener) {
                    // Another thread may take the descriptor that the reserve releases.
                    while reserve.release() {
                        if let Ok((stream, peer)) = listener.accept().await {
                            return (stream, places.take(peer.ip()).await);
                        }
                    }
                    // The descriptor of an ended connection goes to the reserve.
                    places.evict(true);
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                reserve.refill();
            }
        }
    }
}

/// Whether a connection waits to be accepted.
fn is_waited_at(listener: &TcpListener) -> bool {
    let ready = rustix::event::poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&Timespec::default()));
    ready.is_ok_and(|count| count > 0)
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Serves one connection until it ends in any way; returns its descriptor if possible.
async fn converse(
    limits: ListenerLimits,
    stream: TcpStream,
    place: &Place,
    router: Router,
    shutdown: CancellationToken,
) -> Option<OwnedFd> {
    let requested = Notify::new();
    let service = service_fn(|request| {
        place.asks();
        requested.notify_one();
        router.clone().oneshot(request)
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut leaving = false;
    loop {
        tokio::select! {
            ended = &mut connection => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "an HTTP connection ended early");
                }
                break;
            }
            () = shutdown.cancelled(), if !leaving => {
                leaving = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
            () = place.evicted() => break,
            // Each request restarts the timer; hyper itself waits without limit for a client that does not read.
            () = requested.notified() => {}
            () = tokio::time::sleep(limits.head + limits.exchange) => break,
        }
    }
    connection.into_parts().io.into_inner().into_std().ok().map(OwnedFd::from)
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::JoinHandle;
    use tokio::time::timeout;

    use super::super::fixtures::{Answer, add, empty_board};
    use super::*;

    /// Longer than anything in these tests takes, and shorter than the limits that a test leaves unchanged, so that a
    /// test cannot confuse two limits.
    const GUARD: Duration = Duration::from_secs(10);
    const REQUEST: &[u8] = b"GET /targets HTTP/1.1\r\nHost: test\r\n\r\n";
    const LAST_REQUEST: &[u8] = b"GET /live HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";

    struct Running {
        address: SocketAddr,
        shutdown: CancellationToken,
        task: JoinHandle<()>,
    }

    async fn run(limits: ListenerLimits, board: Arc<Board>) -> Running {
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

    /// So many targets that their list exceeds a connection's buffers.
    fn large_board() -> Arc<Board> {
        let board = empty_board();
        (0..500).for_each(|number| drop(add(&board, &format!("target {number}"), |_| {})));
        board
    }

    /// Reads until the server closes. The server may reset the connection if it leaves bytes unread.
    async fn read_to_end(mut stream: TcpStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        match timeout(GUARD, stream.read_to_end(&mut bytes)).await.expect("the server closes") {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => panic!("{error}"),
            _ => bytes,
        }
    }

    /// Reads the beginning of an answer, which shows that the connection is served.
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
        let wanted = format!("another program uses {address}: stop it, or change listen under [http]");
        assert_eq!(error.to_string(), wanted);
        assert!(error.source().is_some());
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_refused_with_the_systems_message() {
        let error = bind("192.0.2.1:2328".parse().unwrap()).await.unwrap_err();
        assert_eq!(error.to_string(), "cannot listen on 192.0.2.1:2328: change listen under [http]");
        assert!(error.source().is_some());
    }

    #[tokio::test]
    async fn an_endless_head_is_cut_off_even_if_it_arrives_slowly() {
        let running = run(ListenerLimits { head: Duration::from_millis(300), ..LIMITS }, empty_board()).await;
        let mut stream = connect(&running, b"GET / HTTP/1.1\r\nHost: test\r\n").await;
        let dripped = timeout(GUARD, async {
            // A write to a connection that the other side closed fails at the second attempt at the latest.
            while stream.write_all(b"X-Slow: 1\r\n").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        dripped.await.expect("the server closes");
    }

    #[tokio::test]
    async fn an_idle_connection_is_closed_after_its_answer() {
        let running = run(ListenerLimits { head: Duration::from_millis(200), ..LIMITS }, empty_board()).await;
        let answer = Answer::parse(read_to_end(connect(&running, REQUEST).await).await);
        assert_eq!(answer.status, 200);
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_loses_its_place() {
        let short = Duration::from_millis(300);
        let running =
            run(ListenerLimits { connections: 1, head: short, exchange: short, ..LIMITS }, large_board()).await;
        let mut greedy = connect(&running, &REQUEST.repeat(200)).await;
        read_some(&mut greedy).await;
        let other = connect(&running, LAST_REQUEST).await;
        assert_eq!(Answer::parse(read_to_end(other).await).status, 200);
        drop(greedy);
    }

    #[tokio::test]
    async fn beyond_the_cap_a_connection_replaces_the_most_idle_one() {
        let running = run(ListenerLimits { connections: 2, ..LIMITS }, empty_board()).await;
        let mut served = Vec::new();
        for _ in 0..2 {
            let mut stream = connect(&running, REQUEST).await;
            read_some(&mut stream).await;
            served.push(stream);
        }
        let mut third = connect(&running, LAST_REQUEST).await;
        assert!(read_some(&mut third).await.starts_with(b"HTTP/1.1 200"));
        let youngest = served.pop().unwrap();
        assert_eq!(read_to_end(served.pop().unwrap()).await, b"", "the oldest one was closed");
        let open = timeout(Duration::from_millis(200), youngest.readable()).await;
        assert!(open.is_err(), "the younger one is open");
    }

    #[tokio::test]
    async fn idle_connections_up_to_the_cap_do_not_keep_out_the_next_for_ever() {
        let running = run(ListenerLimits { head: Duration::from_millis(500), ..LIMITS }, empty_board()).await;
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
        // The limit must not count all bytes of a connection.
        let mut stream = connect(&running, &REQUEST.repeat(2 * HEAD_BYTES / REQUEST.len())).await;
        assert!(read_some(&mut stream).await.starts_with(b"HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn shutdown_closes_an_idle_connection_at_once() {
        let running = run(ListenerLimits { head: GUARD * 2, drain: GUARD * 2, ..LIMITS }, empty_board()).await;
        let mut idle = connect(&running, REQUEST).await;
        read_some(&mut idle).await;
        running.shutdown.cancel();
        timeout(GUARD, running.task).await.expect("serve returns").unwrap();
        read_to_end(idle).await;
        assert!(TcpStream::connect(running.address).await.is_err(), "no one listens any more");
    }

    #[tokio::test]
    async fn shutdown_waits_neither_for_half_a_head_nor_for_a_client_that_does_not_read() {
        let running = run(ListenerLimits { head: GUARD * 2, ..LIMITS }, large_board()).await;
        let half = connect(&running, b"GET / HTTP/1.1\r\n").await;
        let mut greedy = connect(&running, &REQUEST.repeat(200)).await;
        read_some(&mut greedy).await;
        running.shutdown.cancel();
        timeout(GUARD, running.task).await.expect("serve returns").unwrap();
        read_to_end(half).await;
        drop(greedy);
    }
}
