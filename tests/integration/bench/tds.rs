//! A double of SQL Server in Rust: the parts of TDS and of one heartbeat table that a client uses. No SQL Server is
//! available on test machines. Clients that others wrote judge the double (`sqlserver_judges`).
//!
//! It does not know T-SQL: it answers the batches that the driver sends, by the columns that they ask for, from its own
//! state. It does not show what SQL Server itself makes of a batch.

mod answer;
mod browser;
mod login;
mod state;
mod wire;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

pub(crate) use self::answer::{Answer, Cell, Rows};
pub(crate) use self::browser::Browser;
pub(crate) use self::state::{Index, State, micros};
use self::wire::Wire;
use super::beating_daemon::PASSWORD;
use super::wait::secs;

/// The user for beats.
pub(crate) const USER: &str = "beat";
/// The database that its clients request.
pub(crate) const DATABASE: &str = "orders";

/// Where encryption begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encryption {
    /// Nowhere: the server offers no encryption.
    None,
    /// The login alone.
    Login,
    /// Everything after a greeting in clear; packets wrap the handshake: TDS 7.4.
    Wrapped,
    /// Everything, from the first byte: TDS 8.
    Strict,
}

/// A fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The login is refused with this number.
    Login(u32),
    /// The login redirects to this port of 127.0.0.1.
    Redirect(u16),
    /// A read-only login redirects to this port of 127.0.0.1, as a listener's read-only routing does.
    RouteReaders(u16),
    /// A beat fails with this number.
    Beat(u32),
    /// A beat's row is sent, followed by an error with this number.
    AfterRow(u32),
    /// Every batch fails with this number.
    Every(u32),
    /// Another session holds the row: no answer before this time has passed.
    Slow(Duration),
    /// No batch is ever answered.
    Hang,
    /// The connection ends instead of an answer.
    Drop,
}

/// What a server's greeting says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Greeting {
    /// Version and encryption.
    Usual,
    /// The version alone.
    Version,
    /// Every option that a client could request.
    All,
}

/// How a double words its answers, within what the protocol allows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) greeting: Greeting,
    /// Whether it sends unrequested messages, and rows in their other form.
    pub(crate) chatty: bool,
    /// The largest packet that it sends.
    pub(crate) largest: usize,
}

impl Default for Manner {
    fn default() -> Self {
        Self { greeting: Greeting::Usual, chatty: false, largest: wire::LARGEST }
    }
}

/// The options of a double.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    manner: Manner,
    encryption: Encryption,
    home: IpAddr,
    port: u16,
}

/// A double on a port of 127.0.0.1, or of another address of this machine; dropping it ends its connections.
#[derive(Debug)]
pub(crate) struct TdsServer {
    home: IpAddr,
    port: u16,
    shared: Arc<Shared>,
    server: Option<AbortOnDropHandle<()>>,
}

/// The state that its connections share.
#[derive(Debug)]
pub(super) struct Shared {
    encryption: Encryption,
    manner: Manner,
    state: Mutex<State>,
    fault: Mutex<Option<Fault>>,
    batches: Mutex<Vec<String>>,
    logins: Mutex<Vec<login::Login>>,
    /// Accepted and refused logins.
    attempts: AtomicU64,
    /// The primary whose rows arrive here.
    source: Mutex<Option<Arc<Shared>>>,
    packets_in: AtomicU64,
    packets_out: AtomicU64,
}

impl Options {
    /// With this encryption.
    pub(crate) fn encryption(self, encryption: Encryption) -> Self {
        Self { encryption, ..self }
    }

    /// With this manner.
    pub(crate) fn manner(self, manner: Manner) -> Self {
        Self { manner, ..self }
    }

    /// On this port.
    pub(crate) fn port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// At this address.
    pub(crate) fn home(self, home: impl Into<IpAddr>) -> Self {
        Self { home: home.into(), ..self }
    }

    /// Starts it.
    pub(crate) async fn start(self) -> TdsServer {
        let shared = Arc::new(Shared {
            encryption: self.encryption,
            manner: self.manner,
            state: Mutex::new(State::default()),
            fault: Mutex::new(None),
            batches: Mutex::new(Vec::new()),
            logins: Mutex::new(Vec::new()),
            attempts: AtomicU64::new(0),
            source: Mutex::new(None),
            packets_in: AtomicU64::new(0),
            packets_out: AtomicU64::new(0),
        });
        let mut server = TdsServer { home: self.home, port: self.port, shared, server: None };
        server.listen().await;
        server
    }
}

impl TdsServer {
    /// A double without encryption.
    pub(crate) fn options() -> Options {
        Options { manner: Manner::default(), encryption: Encryption::None, home: Ipv4Addr::LOCALHOST.into(), port: 0 }
    }

    /// Listens, also after [`stop`](Self::stop); the table keeps its content.
    pub(crate) async fn listen(&mut self) {
        let listener = TcpListener::bind((self.home, self.port)).await.unwrap();
        self.port = listener.local_addr().unwrap().port();
        let shared = Arc::clone(&self.shared);
        let server = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    // Ends with the client.
                    let _ = serve(&shared, stream).await;
                });
            }
        });
        self.server = Some(AbortOnDropHandle::new(server));
    }

    /// Ends all connections, and accepts no new ones.
    pub(crate) async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
            let _ = tokio::time::timeout(secs(5), server).await;
        }
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its address for the user of the beats, without a password; `parameters` follow a `?`; they may be empty.
    pub(crate) fn address(&self, parameters: &str) -> String {
        format!("mssql://{USER}@localhost:{}/{DATABASE}{parameters}", self.port)
    }

    /// The same with the password.
    pub(crate) fn url(&self, parameters: &str) -> String {
        self.address(parameters).replace('@', &format!(":{PASSWORD}@"))
    }

    /// The content of its table and its catalogue.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    /// Sets the fault, or removes it.
    pub(crate) fn fault(&self, fault: impl Into<Option<Fault>>) {
        *self.shared.fault.lock().unwrap() = fault.into();
    }

    /// Every received batch, in order.
    pub(crate) fn batches(&self) -> Vec<String> {
        self.shared.batches.lock().unwrap().clone()
    }

    /// The beats among them.
    pub(crate) fn beats(&self) -> Vec<String> {
        self.batches().into_iter().filter(|batch| state::is_beat(batch)).collect()
    }

    /// Every accepted login.
    pub(crate) fn logins(&self) -> Vec<login::Login> {
        self.shared.logins.lock().unwrap().clone()
    }

    /// How many logins were attempted.
    pub(crate) fn attempts(&self) -> u64 {
        self.shared.attempts.load(Ordering::SeqCst)
    }

    /// Makes it a secondary replica: it receives the rows of `primary`, or none any more.
    pub(crate) fn follow(&self, primary: Option<&Self>) {
        self.state().secondary = true;
        *self.shared.source.lock().unwrap() = primary.map(|primary| Arc::clone(&primary.shared));
    }

    /// Packets received and sent on connections with beats, from the first beat of each.
    pub(crate) fn packets(&self) -> (u64, u64) {
        (self.shared.packets_in.load(Ordering::SeqCst), self.shared.packets_out.load(Ordering::SeqCst))
    }
}

impl Shared {
    fn fault(&self) -> Option<Fault> {
        self.fault.lock().unwrap().clone()
    }
}

/// One connection, to its end.
async fn serve(shared: &Shared, stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut wire = Wire::new(stream, shared.manner.largest);
    if !login::log_in(shared, &mut wire).await? {
        return Ok(());
    }
    let mut beats = false;
    loop {
        let (kind, payload, packets) = wire.message().await?;
        beats |= kind == wire::BATCH && state::is_beat(&answer::text_of_batch(&payload));
        if beats {
            shared.packets_in.fetch_add(packets, Ordering::SeqCst);
        }
        let answer = match kind {
            wire::BATCH => {
                let batch = answer::text_of_batch(&payload);
                shared.batches.lock().unwrap().push(batch.clone());
                match shared.fault() {
                    Some(Fault::Hang) => return std::future::pending().await,
                    Some(Fault::Drop) => return Ok(()),
                    Some(Fault::Slow(time)) => tokio::time::sleep(time).await,
                    _ => {}
                }
                answer(shared, &batch)
            }
            // Attention: the answer that it cancels has ended already.
            wire::ATTENTION => Answer::attention(),
            _ => Answer::default(),
        };
        let packets = wire.send(wire::REPLY, &answer.bytes(shared.manner.chatty)).await?;
        if beats {
            shared.packets_out.fetch_add(packets, Ordering::SeqCst);
        }
    }
}

fn answer(shared: &Shared, batch: &str) -> Answer {
    let number = match shared.fault() {
        Some(Fault::Beat(number)) if state::is_beat(batch) => Some(number),
        Some(Fault::Every(number)) => Some(number),
        _ => None,
    };
    if let Some(number) = number {
        return Answer::error(number, "the double was asked to refuse this");
    }
    let source = shared.source.lock().unwrap().clone();
    if let Some(source) = source {
        let rows = source.state.lock().unwrap().rows.clone();
        shared.state.lock().unwrap().rows = rows;
    }
    let answer = shared.state.lock().unwrap().run(batch);
    match shared.fault() {
        Some(Fault::AfterRow(number)) if state::is_beat(batch) => answer.and_error(number, "after the row"),
        _ => answer,
    }
}
