//! A double of an Oracle database: a server that speaks TNS and TTC as Oracle 18 does, really checks the password, and
//! keeps the state of one heartbeat table.
//!
//! No Oracle database is available for tests. To show that this double is more than what heartbeatd expects, every test
//! connects with Oracle's own client in Rust, and Oracle's client for Python logs in and writes beats too
//! (`oracle_second_client`). The double answers known statements by heart: it does not judge SQL.

mod blocks;
mod column_type;
mod login;
mod state;
mod wire;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use self::login::Handshake;
pub(crate) use self::state::{State, Trouble};
use self::wire::{Packet, Packets, Reader, Writer, failure, number, text, unnumber};
use super::tls::CERTIFICATES;

/// The user of heartbeatd.
pub(crate) const USER: &str = "HB";
/// The user that owns the table, with the same password.
pub(crate) const OWNER: &str = "STREAMKAP_USER";
/// All users, the last two as the documentation has them.
const USERS: [&str; 4] = [USER, OWNER, "HEARTBEAT", "SYSTEM"];
/// The users' password.
pub(crate) const PASSWORD: &str = "not-the-default";
/// The service that the double has.
pub(crate) const SERVICE: &str = "pdb1";

/// The double; dropping it ends its connections.
#[derive(Debug)]
pub(crate) struct OracleDouble {
    port: u16,
    state: Arc<Mutex<State>>,
    ends: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

/// A connection of any kind.
trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

impl OracleDouble {
    /// Starts it without TLS.
    pub(crate) fn start() -> Self {
        Self::start_with(false)
    }

    /// Starts it behind TLS, with the tests' certificate.
    pub(crate) fn start_with_tls() -> Self {
        Self::start_with(true)
    }

    /// Starts it on a port that was closed until now.
    pub(crate) fn start_at(port: u16) -> Self {
        Self::serve_at(port, false)
    }

    /// Starts a standby of another double: open read-only, it applies the other's writes at once.
    pub(crate) fn standby_of(primary: &Self) -> Self {
        let standby = Self::start();
        {
            let mut state = standby.state();
            (state.role, state.applies) = ("PHYSICAL STANDBY", Some(Arc::clone(&primary.state)));
        }
        standby
    }

    fn start_with(tls: bool) -> Self {
        Self::serve_at(0, tls)
    }

    fn serve_at(port: u16, tls: bool) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let (ends, open) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let double = Self { port, state, ends, open };
        let (state, ends, open) = (Arc::clone(&double.state), Arc::clone(&double.ends), Arc::clone(&double.open));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                let state = Arc::clone(&state);
                open.lock().unwrap().push(stream.try_clone().unwrap());
                thread::spawn(move || {
                    let connection = stream.try_clone().unwrap();
                    // A client may leave at any time.
                    let _ = serve(stream, &state, tls);
                    let _ = connection.shutdown(Shutdown::Both);
                });
            }
        });
        double
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The address of heartbeatd's user, with these parameters appended.
    pub(crate) fn url(&self, parameters: &str) -> String {
        Self::url_at(self.port, parameters)
    }

    /// The same address with another port of 127.0.0.1 that leads to the double.
    pub(crate) fn url_at(port: u16, parameters: &str) -> String {
        format!("oracle://{USER}:{PASSWORD}@localhost:{port}/{SERVICE}{parameters}")
    }

    /// The database's content, and its faults.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The same state, for a standby that applies it.
    pub(crate) fn shared_state(&self) -> Arc<Mutex<State>> {
        Arc::clone(&self.state)
    }

    /// Ends every open connection, as a killed server does.
    pub(crate) fn end_connections(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for OracleDouble {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        self.end_connections();
    }
}

fn serve(stream: TcpStream, state: &Arc<Mutex<State>>, tls: bool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if state.lock().unwrap().trouble == Trouble::SilentLogin {
        // Taken, and never answered.
        let mut stream = stream;
        return io::copy(&mut stream, &mut io::sink()).map(|_| ());
    }
    let stream: Box<dyn Stream> = if tls {
        let certificates = CertificateDer::pem_slice_iter(CERTIFICATES.server.as_bytes()).map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_slice(CERTIFICATES.server_key.as_bytes()).unwrap();
        let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(certificates, key).unwrap();
        let connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        Box::new(rustls::StreamOwned::new(connection, stream))
    } else {
        Box::new(stream)
    };
    let mut session = Session {
        packets: Packets::new(stream),
        state: Arc::clone(state),
        handshake: None,
        cursors: BTreeMap::new(),
        user: None,
    };
    session.run()
}

/// One connection.
struct Session {
    packets: Packets<Box<dyn Stream>>,
    state: Arc<Mutex<State>>,
    handshake: Option<Handshake>,
    /// Statements that the client may repeat by their number.
    cursors: BTreeMap<u64, Statement>,
    /// Who is logged in.
    user: Option<String>,
}

#[derive(Debug, Clone)]
struct Statement {
    sql: String,
    /// Whether each value is an output.
    out: Vec<bool>,
}

impl Session {
    fn run(&mut self) -> io::Result<()> {
        let descriptor = self.packets.connect()?;
        {
            let mut state = self.state.lock().unwrap();
            state.connects += 1;
            state.descriptors.push(descriptor.clone());
        }
        let trouble = self.trouble();
        if let Trouble::Refuse(code) = trouble {
            return self.packets.refuse(code);
        }
        if let Trouble::Bytes(bytes) = &trouble {
            return self.packets.raw(bytes);
        }
        if !descriptor.to_lowercase().contains(&format!("service_name={SERVICE})")) {
            return self.packets.refuse(12_514);
        }
        self.packets.accept()?;
        loop {
            match self.packets.receive()? {
                Packet::Marker(_) => self.packets.answer_break()?,
                Packet::End => return Ok(()),
                Packet::Data(bytes) => {
                    self.state.lock().unwrap().requests += 1;
                    let Some(answer) = self.message(&mut Reader::new(&bytes))? else { return Ok(()) };
                    self.send(&answer)?;
                }
            }
        }
    }

    fn trouble(&self) -> Trouble {
        self.state.lock().unwrap().trouble.clone()
    }

    /// Sends an answer; byte by byte with that fault.
    fn send(&mut self, answer: &[u8]) -> io::Result<()> {
        if self.trouble() != Trouble::Drip {
            return self.packets.send(answer);
        }
        self.packets.drip(answer, Duration::from_millis(100))
    }

    /// Answers one message; `None` ends the connection.
    fn message(&mut self, message: &mut Reader<'_>) -> io::Result<Option<Vec<u8>>> {
        loop {
            match message.u8() {
                1 => return Ok(Some(wire::protocol())),
                2 => return Ok(Some(vec![2, 0, 0])),
                3 => break,
                17 => {
                    let seen = blocks::piggyback(message);
                    self.state.lock().unwrap().modules.extend(seen);
                }
                other => return Err(io::Error::other(format!("message {other}"))),
            }
        }
        let function = message.u8();
        message.u8();
        match function {
            118 => {
                let handshake = Handshake::begin(message);
                let answer = match self.trouble() {
                    Trouble::OldVerifier => handshake.old_challenge(),
                    _ => handshake.challenge(),
                };
                self.handshake = Some(handshake);
                Ok(Some(answer))
            }
            115 => Ok(Some(self.log_in(message))),
            94 => self.execute(message),
            4 | 78 => self.execute_again(message),
            9 | 14 | 15 | 147 => {
                if self.trouble() == Trouble::HangAtGoodbye && function == 9 {
                    self.packets.swallow()?;
                    return Ok(None);
                }
                Ok(Some(wire::done()))
            }
            other => Err(io::Error::other(format!("function {other}"))),
        }
    }

    fn log_in(&mut self, message: &mut Reader<'_>) -> Vec<u8> {
        let mut state = self.state.lock().unwrap();
        state.logins += 1;
        if let Trouble::LoginError(code) = state.trouble {
            return failure(code);
        }
        let handshake = self.handshake.take();
        let user = handshake.as_ref().map(|handshake| handshake.user.to_uppercase());
        match handshake.and_then(|handshake| handshake.finish(message)) {
            Some(answer) => {
                self.user = user;
                match state.trouble {
                    Trouble::LoginWarning(code) => [wire::warning(code), answer].concat(),
                    _ => answer,
                }
            }
            None => failure(1017),
        }
    }

    fn execute(&mut self, message: &mut Reader<'_>) -> io::Result<Option<Vec<u8>>> {
        let (cursor, sql, values) = blocks::read_execute(message);
        let (cursor, statement) = match sql {
            Some(sql) => {
                let out = vec![true; blocks::bind_names(&sql).len()];
                (self.cursors.len() as u64 + 1, Statement { sql, out })
            }
            None => match self.cursors.get(&cursor) {
                Some(statement) => (cursor, statement.clone()),
                None => return Ok(Some(failure(1001))),
            },
        };
        self.answer(cursor, statement, values)
    }

    fn execute_again(&mut self, message: &mut Reader<'_>) -> io::Result<Option<Vec<u8>>> {
        let cursor = message.ub();
        let Some(statement) = self.cursors.get(&cursor).cloned() else { return Ok(Some(failure(1001))) };
        message.ub();
        message.ub();
        message.ub();
        let sent = statement.out.iter().filter(|out| !**out).count();
        let values = if sent == 0 { Vec::new() } else { blocks::read_row(message, sent) };
        let mut values = values.into_iter();
        let values = statement.out.iter().map(|out| if *out { Vec::new() } else { values.next().unwrap_or_default() });
        let values = values.collect();
        self.answer(cursor, statement, values)
    }

    /// Runs a statement. A statement that waits for the row's lock starts again until it has the lock or its wait is
    /// over.
    fn run_in_time(&self, user: &str, sql: &str, given: &BTreeMap<String, Vec<u8>>) -> state::Outcome {
        let begin = Instant::now();
        loop {
            let outcome = self.state.lock().unwrap().run(user, sql, given);
            match outcome {
                state::Outcome::Locked(wait, _) if begin.elapsed() < wait => thread::sleep(Duration::from_millis(20)),
                outcome => return outcome,
            }
        }
    }

    fn answer(&mut self, cursor: u64, mut statement: Statement, values: Vec<Vec<u8>>) -> io::Result<Option<Vec<u8>>> {
        let Some(user) = self.user.clone() else { return Ok(Some(failure(1012))) };
        let names = blocks::bind_names(&statement.sql);
        let given: BTreeMap<String, Vec<u8>> = names.iter().cloned().zip(values).collect();
        let result = self.run_in_time(&user, &statement.sql, &given);
        match result {
            state::Outcome::Error(code) => Ok(Some(failure(code))),
            state::Outcome::Raised(code) | state::Outcome::Locked(_, code) => Ok(Some(wire::raised(code))),
            state::Outcome::DoesNotCompile(cause) => Ok(Some(wire::does_not_compile(cause))),
            state::Outcome::Hang => {
                self.packets.swallow()?;
                Ok(None)
            }
            state::Outcome::Close => Ok(None),
            state::Outcome::Bytes(bytes) => {
                self.packets.raw(&bytes)?;
                Ok(None)
            }
            state::Outcome::Done(out) => {
                statement.out = names.iter().map(|name| out.contains_key(name)).collect();
                let mut answer = Writer::default();
                if !names.is_empty() {
                    answer.directions(&statement.out);
                    answer.out_values(names.iter().filter_map(|name| out.get(name)));
                }
                answer.end(cursor);
                self.cursors.insert(cursor, statement);
                Ok(Some(answer.bytes()))
            }
        }
    }
}

/// A value of a block as the wire has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Number(i64),
    Text(String),
}

impl Value {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Null => Vec::new(),
            Self::Number(value) => number(*value),
            Self::Text(value) => text(value),
        }
    }
}

/// The number of this name among the given values, if it is not NULL.
fn given_number(given: &BTreeMap<String, Vec<u8>>, name: &str) -> Option<i64> {
    given.get(name).filter(|bytes| !bytes.is_empty()).map(|bytes| unnumber(bytes))
}

/// The text of this name among the given values.
fn given_text(given: &BTreeMap<String, Vec<u8>>, name: &str) -> String {
    given.get(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
}
