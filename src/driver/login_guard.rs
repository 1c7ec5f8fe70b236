//! Sits between the client library and the server during a login that may continue without TLS. If the server asks for
//! the password in clear, it ends the login before the password is sent. The drivers' `connect` uses it; each driver
//! knows the login of its protocol.
//!
//! The client libraries answer such a request and have no setting against it. A separate probing connection does not
//! work: MySQL counts it as a failed one and blocks a host after `max_connect_errors` of them.

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

/// A connection to a server. The client library uses it through a socket of this process. Dropping it ends the
/// connection.
#[derive(Debug)]
pub(super) struct LoginGuard {
    folder: PathBuf,
    refused: Arc<OnceLock<Failure>>,
    carrier: AbortOnDropHandle<()>,
}

/// A protocol's login.
#[async_trait]
pub(super) trait Login: Send + Sync + 'static {
    /// Forwards a login up to the point after which the server can no longer ask for the password in clear.
    ///
    /// # Errors
    /// What the server asked for, or a lost connection.
    async fn carry(&self, client: &mut UnixStream, server: &mut TcpStream) -> Result<(), Stop>;
}

/// Why a login was not forwarded.
#[derive(Debug)]
pub(super) enum Stop {
    /// The server asked for the password in clear.
    Refused(Failure),
    /// One side closed the connection; the client library notices and reports it.
    Lost,
}

/// Longer than any message of a login. PostgreSQL's own client allows 30,000 bytes for an error.
const LONGEST_MESSAGE: usize = 64 << 10;

/// How many bytes to forward at once. A beat and its answer are shorter.
const CHUNK: usize = 4 << 10;

impl LoginGuard {
    /// Connects to a server, and listens for the client library at `folder()` + `/` + `file`, a name in Linux's
    /// abstract namespace and not a file.
    ///
    /// # Errors
    /// Those of the network.
    pub(super) async fn connect(host: &str, port: u16, file: &str, login: impl Login) -> io::Result<Self> {
        let server = TcpStream::connect((host, port)).await?;
        // The guard forwards only whole messages.
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

    /// What the server asked for and was refused.
    pub(super) fn refusal(&self) -> Option<Failure> {
        self.refused.get().cloned()
    }
}

/// Forwards the last bytes of a connection that the client library has closed, by `limit` at the latest.
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
            // The client sees only a closed connection; only this code knows that no descriptor was left.
            if let Some(words) = words_of_shortage(&error) {
                let _ = refused.set(Failure::new(ErrorKind::Limit, words).with_source(error));
            }
            return;
        }
    };
    match login.carry(&mut client, &mut server).await {
        Ok(()) => pass_on(client, server).await,
        // Set before the client sees its connection closed.
        Err(Stop::Refused(failure)) => drop(refused.set(failure)),
        Err(Stop::Lost) => {}
    }
}

/// The first connection from this process. Another process could guess the name.
async fn accept(listener: &UnixListener) -> io::Result<UnixStream> {
    loop {
        let (client, _) = listener.accept().await?;
        let pid = client.peer_cred()?.pid();
        if pid.is_none_or(|pid| u32::try_from(pid) == Ok(std::process::id())) {
            return Ok(client);
        }
    }
}

/// Runs until either side ends and its last bytes are forwarded.
async fn pass_on(mut client: UnixStream, mut server: TcpStream) {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    // An error ends the connection, which the client notices itself.
    tokio::select! {
        _ = hand_on(&mut from_client, &mut to_server) => {}
        _ = hand_on(&mut from_server, &mut to_client) => {}
    }
}

/// Forwards one direction until its end. Unlike `tokio::io::copy` it holds no buffer while it waits: most connections
/// are idle for nearly a whole minute, and two buffers of 8 KiB took as much memory as the rest of a connection.
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

/// Appends this many bytes to a message.
///
/// # Errors
/// If the message is longer than a login needs, or if the connection ends.
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
