//! Watches a login that may go on without TLS, between the client library and the server: a server that asks for the
//! password in clear is refused before it has it. Used by the drivers' `connect`; each says what its protocol's login looks
//! like.
//!
//! The libraries answer such a request of their own accord and have no switch against it. A look on a connection of its own
//! would not do: MySQL counts it as a failed one, and blocks a host after `max_connect_errors` of them.

use std::future::poll_fn;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net as unix;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Poll, ready};

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio_util::task::AbortOnDropHandle;

use crate::descriptors::words_of_shortage;
use crate::heartbeat::{ErrorKind, Failure};
use crate::time::clock::{self, Instant};

/// A connection to a server, which the client library reaches by a socket of this process. Dropping it ends the connection.
#[derive(Debug)]
pub(super) struct LoginGuard {
    folder: PathBuf,
    refused: Arc<OnceLock<Failure>>,
    carrier: AbortOnDropHandle<()>,
}

/// A protocol's login.
#[async_trait]
pub(super) trait Login: Send + Sync + 'static {
    /// Carries a login to the point from which the password can no longer be asked for in clear.
    ///
    /// # Errors
    /// What the server asked for, or a lost connection.
    async fn carry(&self, client: &mut UnixStream, server: &mut TcpStream) -> Result<(), Stop>;
}

/// Why a login was not carried on.
#[derive(Debug)]
pub(super) enum Stop {
    /// The server asked for what it must not have.
    Refused(Failure),
    /// One side is gone; the client library finds the connection closed, and says so.
    Lost,
}

/// A message of a login is shorter; PostgreSQL's own client takes 30,000 bytes of an error for the most there is.
const LONGEST_MESSAGE: usize = 64 << 10;

/// What is handed on at a time: a beat and its answer are shorter.
const CHUNK: usize = 4 << 10;

impl LoginGuard {
    /// Connects to a server, and listens for the client library at `folder()` + `/` + `file`, a name that is no file but
    /// one in Linux's abstract namespace.
    ///
    /// # Errors
    /// The network's.
    pub(super) async fn connect(host: &str, port: u16, file: &str, login: impl Login) -> io::Result<Self> {
        let server = TcpStream::connect((host, port)).await?;
        // Messages are whole when they are handed on.
        server.set_nodelay(true)?;
        let name = format!("heartbeatd-{}-{:016x}", std::process::id(), fastrand::u64(..));
        let address = unix::SocketAddr::from_abstract_name(format!("{name}/{file}"))?;
        let listener = unix::UnixListener::bind_addr(&address)?;
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        let refused = Arc::new(OnceLock::new());
        let carrier = AbortOnDropHandle::new(tokio::spawn(carry(listener, server, login, Arc::clone(&refused))));
        Ok(Self { folder: format!("\0{name}").into(), refused, carrier })
    }

    /// Where the client library finds the socket.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the server asked for in vain.
    pub(super) fn refusal(&self) -> Option<Failure> {
        self.refused.get().cloned()
    }
}

/// Hands on the good-bye of a connection that the client library has closed, by `limit` at the latest.
pub(super) async fn finish(guard: Option<LoginGuard>, limit: Instant) {
    if let Some(guard) = guard {
        let _ = clock::timeout_at(limit, guard.carrier).await;
    }
}

async fn carry(listener: UnixListener, mut server: TcpStream, login: impl Login, refused: Arc<OnceLock<Failure>>) {
    let accepted = accept(&listener).await;
    drop(listener);
    let mut client = match accepted {
        Ok(client) => client,
        Err(error) => {
            // The client finds its connection closed; only here is it known that no descriptor was left.
            if let Some(words) = words_of_shortage(&error) {
                let _ = refused.set(Failure::new(ErrorKind::Limit, words).with_source(error));
            }
            return;
        }
    };
    match login.carry(&mut client, &mut server).await {
        Ok(()) => pass_on(client, server).await,
        // Known before the client finds its connection closed.
        Err(Stop::Refused(failure)) => drop(refused.set(failure)),
        Err(Stop::Lost) => {}
    }
}

/// The first connection of this process: the name may be guessed by another one.
async fn accept(listener: &UnixListener) -> io::Result<UnixStream> {
    loop {
        let (client, _) = listener.accept().await?;
        let pid = client.peer_cred()?.pid();
        if pid.is_none_or(|pid| u32::try_from(pid) == Ok(std::process::id())) {
            return Ok(client);
        }
    }
}

/// Until either side has ended: what it had to say is then handed on.
async fn pass_on(mut client: UnixStream, mut server: TcpStream) {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    // An error is the end of a connection, which the client finds for itself.
    tokio::select! {
        _ = hand_on(&mut from_client, &mut to_server) => {}
        _ = hand_on(&mut from_server, &mut to_client) => {}
    }
}

/// One direction, until its end. Unlike `tokio::io::copy` it holds no buffer while it waits: most connections are idle for
/// nearly all of a minute, and two buffers of 8 KiB each were as much as all else that a connection needs.
async fn hand_on(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    loop {
        let chunk = poll_fn(|context| {
            let mut space = [0; CHUNK];
            let mut buffer = ReadBuf::new(&mut space);
            let read = ready!(Pin::new(&mut *from).poll_read(context, &mut buffer));
            Poll::Ready(read.map(|()| buffer.filled().to_vec()))
        })
        .await?;
        if chunk.is_empty() {
            return Ok(());
        }
        to.write_all(&chunk).await?;
    }
}

/// Appends so many bytes to a message.
///
/// # Errors
/// For more than a login needs, and at the connection's end.
pub(super) async fn read_more(
    from: &mut (impl AsyncReadExt + Unpin),
    message: &mut Vec<u8>,
    length: usize,
) -> Result<(), Stop> {
    let read = message.len();
    if length > LONGEST_MESSAGE {
        return Err(Stop::Lost);
    }
    message.resize(read + length, 0);
    from.read_exact(&mut message[read..]).await.map(|_| ()).map_err(Stop::from)
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Lost
    }
}
