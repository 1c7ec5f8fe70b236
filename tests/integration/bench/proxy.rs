//! A TCP proxy that counts what a client sends (see `frontend`) and disturbs the network on demand.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::frontend::Traffic;
use super::ports;
use super::wait::{eventually, secs};

/// A proxy in front of one port of 127.0.0.1; dropping it ends its connections. It runs on the test's own runtime, so a
/// test that blocks its thread also stops the proxy.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
    toxic: watch::Sender<Toxic>,
    cuts: broadcast::Sender<Cut>,
    listens: watch::Receiver<bool>,
    traffic: Ledger,
    server_port: Arc<AtomicU16>,
    _carrier: AbortOnDropHandle<()>,
}

/// A fault of the network, for old and new connections, until it is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Toxic {
    /// Nothing.
    Clean,
    /// Everything arrives this much later, in each direction.
    Latency(Duration),
    /// Connections are accepted and stay open, but nothing arrives until this is over.
    BlackHole,
    /// What the client sends arrives; the server's answers are held until this is over.
    AnswersHeld,
    /// New connections are refused; existing ones continue.
    Refuse,
}

/// A single event for all open connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Reset,
    HalfClose,
}

enum End {
    Over(io::Result<()>),
    Cut(Cut),
}

#[derive(Debug, Clone, Copy)]
enum Direction {
    ToServer,
    ToClient,
}

type Ledger = Arc<Mutex<Vec<Arc<Mutex<Traffic>>>>>;

impl Proxy {
    /// A proxy without faults in front of that port of 127.0.0.1.
    pub(crate) async fn start(server_port: u16) -> Self {
        Self::start_counting(server_port, Traffic::default()).await
    }

    /// The same for another protocol than PostgreSQL's in which the client sends first: only bursts are counted.
    pub(crate) async fn start_foreign(server_port: u16) -> Self {
        Self::start_counting(server_port, Traffic::foreign()).await
    }

    async fn start_counting(server_port: u16, blank: Traffic) -> Self {
        let port = ports::free();
        let (toxic, toxics) = watch::channel(Toxic::Clean);
        let (listening, listens) = watch::channel(false);
        let cuts = broadcast::Sender::new(16);
        let traffic = Ledger::default();
        let server_port = Arc::new(AtomicU16::new(server_port));
        let carrier_port = Arc::clone(&server_port);
        let carrier = Carrier {
            port,
            server_port: carrier_port,
            toxics,
            cuts: cuts.clone(),
            traffic: Arc::clone(&traffic),
            blank,
        };
        let carrier = AbortOnDropHandle::new(tokio::spawn(carrier.run(listening)));
        let proxy = Self { port, toxic, cuts, listens, traffic, server_port, _carrier: carrier };
        proxy.set(Toxic::Clean).await;
        proxy
    }

    /// Its port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The address of the database `postgres` through the proxy.
    pub(crate) fn url(&self, user: &str, password: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/postgres", self.port)
    }

    /// Directs new connections to another port of 127.0.0.1: the same address, another server.
    pub(crate) fn lead_to(&self, server_port: u16) {
        self.server_port.store(server_port, Ordering::Relaxed);
    }

    /// Sets or removes a fault of the network; in force when this returns.
    pub(crate) async fn set(&self, toxic: Toxic) {
        self.toxic.send_replace(toxic);
        let mut listens = self.listens.clone();
        listens.wait_for(|listens| *listens == (toxic != Toxic::Refuse)).await.expect("the proxy runs");
    }

    /// Resets (RST) every open connection, on both sides; done when this returns.
    pub(crate) async fn reset(&self) {
        let open: Vec<_> = self.traffic.lock().unwrap().iter().map(Arc::clone).collect();
        let _ = self.cuts.send(Cut::Reset);
        eventually(secs(5), "the connections to be reset", async || {
            match open.iter().filter(|traffic| !traffic.lock().unwrap().closed).count() {
                0 => Ok(()),
                left => Err(format!("{left} are open")),
            }
        })
        .await;
    }

    /// Closes every open connection towards the client (FIN), but still forwards what the client sends.
    pub(crate) fn half_close(&self) {
        let _ = self.cuts.send(Cut::HalfClose);
    }

    /// Every connection so far, in order.
    pub(crate) fn connections(&self) -> Vec<Traffic> {
        self.traffic.lock().unwrap().iter().map(|traffic| traffic.lock().unwrap().clone()).collect()
    }

    /// How many connections are open.
    pub(crate) fn open_connections(&self) -> usize {
        self.connections().iter().filter(|traffic| !traffic.closed).count()
    }

    /// All connections added up.
    pub(crate) fn total(&self) -> Traffic {
        self.connections().iter().fold(Traffic::default(), Traffic::plus)
    }
}

struct Carrier {
    port: u16,
    server_port: Arc<AtomicU16>,
    toxics: watch::Receiver<Toxic>,
    cuts: broadcast::Sender<Cut>,
    traffic: Ledger,
    /// The initial traffic of a connection.
    blank: Traffic,
}

impl Carrier {
    async fn run(self, listening: watch::Sender<bool>) {
        // Aborted with this task.
        let mut connections = JoinSet::new();
        let mut toxics = self.toxics.clone();
        loop {
            let Ok(_) = toxics.wait_for(|toxic| *toxic != Toxic::Refuse).await else { return };
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await.expect("the port is ours");
            listening.send_replace(true);
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let (client, _) = accepted.expect("accept");
                        connections.spawn(self.connection(client));
                    }
                    _ = toxics.wait_for(|toxic| *toxic == Toxic::Refuse) => break,
                }
                while connections.try_join_next().is_some() {}
            }
            drop(listener);
            listening.send_replace(false);
        }
    }

    fn connection(&self, client: TcpStream) -> impl Future<Output = ()> + use<> {
        let traffic = Arc::new(Mutex::new(self.blank.clone()));
        self.traffic.lock().unwrap().push(Arc::clone(&traffic));
        let server = self.server_port.load(Ordering::Relaxed);
        let (toxics, cuts) = (self.toxics.clone(), self.cuts.subscribe());
        async move {
            let server = SocketAddr::from((Ipv4Addr::LOCALHOST, server));
            // An error here means that a connection ended while it was being closed.
            let _ = carry(client, server, toxics, cuts, &traffic).await;
            traffic.lock().unwrap().closed = true;
        }
    }
}

/// Forwards one connection until its end.
async fn carry(
    mut client: TcpStream,
    server: SocketAddr,
    mut toxics: watch::Receiver<Toxic>,
    mut cuts: broadcast::Receiver<Cut>,
    traffic: &Mutex<Traffic>,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let connected = async {
        delay(&mut toxics, Direction::ToServer).await;
        TcpStream::connect(server).await
    };
    let connected = tokio::select! {
        connected = connected => connected,
        _ = cuts.recv() => Err(io::ErrorKind::ConnectionReset.into()),
    };
    let Ok(mut server) = connected else { return client.set_zero_linger() };
    server.set_nodelay(true)?;

    let end = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let both = async {
            tokio::try_join!(
                pump(from_client, to_server, toxics.clone(), Direction::ToServer, traffic),
                pump(from_server, to_client, toxics, Direction::ToClient, traffic),
            )
        };
        tokio::select! {
            ended = both => End::Over(ended.map(|_| ())),
            cut = cuts.recv() => cut.map_or(End::Cut(Cut::Reset), End::Cut),
        }
    };
    match end {
        End::Over(Ok(())) => return Ok(()),
        // One side was reset, so the other is reset too.
        End::Over(Err(_)) | End::Cut(Cut::Reset) => {}
        End::Cut(Cut::HalfClose) => {
            client.shutdown().await?;
            tokio::select! {
                _ = tokio::io::copy(&mut client, &mut server) => {}
                _ = cuts.recv() => {}
            }
        }
    }
    // With this, closing a connection resets it.
    client.set_zero_linger()?;
    server.set_zero_linger()
}

/// Forwards what comes from one side until it ends.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut toxics: watch::Receiver<Toxic>,
    direction: Direction,
    traffic: &Mutex<Traffic>,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        let bytes = &buffer[..length];
        match direction {
            Direction::ToServer => traffic.lock().unwrap().client_said(bytes),
            Direction::ToClient => traffic.lock().unwrap().server_said(bytes),
        }
        delay(&mut toxics, direction).await;
        if bytes.is_empty() {
            return to.shutdown().await;
        }
        to.write_all(bytes).await?;
    }
}

/// Holds bytes (or an end) while the network's fault applies to them.
async fn delay(toxics: &mut watch::Receiver<Toxic>, direction: Direction) {
    loop {
        let toxic = *toxics.borrow_and_update();
        match (toxic, direction) {
            (Toxic::BlackHole, _) | (Toxic::AnswersHeld, Direction::ToClient) => {
                if toxics.changed().await.is_err() {
                    return;
                }
            }
            (Toxic::Latency(time), _) => return sleep(time).await,
            _ => return,
        }
    }
}
