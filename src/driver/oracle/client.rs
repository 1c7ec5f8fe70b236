//! The interface to a client library: connect, run a block with values in and out, run a statement, close. `connect`
//! picks the library; `call_thread` runs its calls in a separate thread, because both libraries block.
//!
//! There is no call for a query. Each question is a block that returns values, in one round trip, so nothing remains to
//! be fetched and no cursor stays open.

use std::time::Duration;

use crate::driver::oracle::parameters::Library;
use crate::heartbeat::{ErrorKind, Failure};
use crate::secret::Secret;

/// An open session of a client library.
pub(super) trait Client: Send {
    /// The server's version, as the server sent it at the login.
    fn version(&self) -> String;

    /// Runs a block. Returns its values in the order of its binds.
    ///
    /// # Errors
    /// The server's error, classified.
    fn run(&mut self, block: &Block) -> Result<Values, Failure>;

    /// Runs a statement without values.
    ///
    /// # Errors
    /// The server's error, classified.
    fn execute(&mut self, statement: &str) -> Result<(), Failure>;

    /// Logs off. Waits for the server without a limit.
    fn close(self: Box<Self>);
}

/// What a login needs.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) library: Library,
    /// A descriptor, or an alias of `tnsnames.ora`.
    pub(super) place: String,
    /// The folder of `tnsnames.ora`, if the address names one.
    pub(super) tns_admin: Option<String>,
    pub(super) wallet: Option<String>,
    /// Whether the connection is known to be encrypted with TLS.
    pub(super) tls: bool,
    /// Whether the connection may be encrypted with TLS: an alias does not show it.
    pub(super) may_be_tls: bool,
    /// Empty for external authentication, which only the client in C supports.
    pub(super) user: String,
    pub(super) password: Secret,
    /// The session's name, as the server shows it.
    pub(super) name: String,
    /// How long the login may take.
    pub(super) within: Duration,
    /// How many addresses the host's name has. The client tries one after the other.
    pub(super) addresses: u32,
}

/// An anonymous block with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) sql: String,
    /// The values by name, in the order in which the block first names them.
    pub(super) binds: Vec<(&'static str, Bind)>,
}

/// A value of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bind {
    /// Input.
    Number(Option<i64>),
    /// Input.
    Text(String),
    /// Output.
    NumberOut,
    /// Output of at most [`LONGEST_TEXT`] bytes.
    TextOut,
}

/// The longest output text in bytes: as much as Oracle's client in Rust reserves.
pub(super) const LONGEST_TEXT: usize = 4_000;

/// An output value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Number(Option<i64>),
    Text(Option<String>),
}

/// The output values of a block, in the order of its binds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Values(pub(super) Vec<Value>);

impl Values {
    /// The number at this position; `None` for NULL.
    ///
    /// # Errors
    /// `protocol` if there is no number.
    pub(super) fn number(&self, place: usize) -> Result<Option<i64>, Failure> {
        match self.0.get(place) {
            Some(Value::Number(number)) => Ok(*number),
            _ => Err(unexpected()),
        }
    }

    /// The text at this position; `None` for NULL.
    ///
    /// # Errors
    /// `protocol` if there is no text.
    pub(super) fn text(&self, place: usize) -> Result<Option<String>, Failure> {
        match self.0.get(place) {
            Some(Value::Text(text)) => Ok(text.clone()),
            _ => Err(unexpected()),
        }
    }
}

fn unexpected() -> Failure {
    Failure::new(ErrorKind::Protocol, "not the answer that was asked for")
}
