//! The seam to a client library: connect, run a block with values in and out, run a statement, close. Both libraries block;
//! they are used in a thread of their own (`call_thread`) and know nothing of the rest.
//!
//! There is no call for a query: everything is asked by blocks with values out, each one round trip, so that nothing of an
//! answer is left to fetch and no cursor stays open.

use std::time::Duration;

use crate::driver::oracle::parameters::Library;
use crate::heartbeat::{ErrorKind, Failure};
use crate::secret::Secret;

/// An open session of a client library.
pub(super) trait Client: Send {
    /// The server's version, as the login told it.
    fn version(&self) -> String;

    /// Runs a block; its values out, in the order of its binds.
    ///
    /// # Errors
    /// What the server says, classified.
    fn run(&mut self, block: &Block) -> Result<Values, Failure>;

    /// Runs a statement without values.
    ///
    /// # Errors
    /// What the server says, classified.
    fn execute(&mut self, statement: &str) -> Result<(), Failure>;

    /// Logs off. Waits for the server without a limit.
    fn close(self: Box<Self>);
}

/// Where to log in, and as whom.
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
    /// Whether it may be: an alias does not say.
    pub(super) may_be_tls: bool,
    /// Empty for a login from outside, which only the client in C has.
    pub(super) user: String,
    pub(super) password: Secret,
    /// How the session names itself.
    pub(super) name: String,
    /// How long the login may take.
    pub(super) within: Duration,
    /// How many addresses the host's name has, which are tried one after the other.
    pub(super) addresses: u32,
}

/// An anonymous block with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) sql: String,
    /// By name, in the order in which the block first names them.
    pub(super) binds: Vec<(&'static str, Bind)>,
}

/// A value of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bind {
    /// Goes in.
    Number(Option<i64>),
    /// Goes in.
    Text(String),
    /// Comes out.
    NumberOut,
    /// Comes out, with at most [`LONGEST_TEXT`] bytes.
    TextOut,
}

/// Room for a text that comes out, in bytes: what Oracle's client in Rust reserves.
pub(super) const LONGEST_TEXT: usize = 4_000;

/// A value that came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Number(Option<i64>),
    Text(Option<String>),
}

/// The values that came out of a block, in the order of its binds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Values(pub(super) Vec<Value>);

impl Values {
    /// The number at this place; `None` for NULL.
    ///
    /// # Errors
    /// `protocol`, where there is no number.
    pub(super) fn number(&self, place: usize) -> Result<Option<i64>, Failure> {
        match self.0.get(place) {
            Some(Value::Number(number)) => Ok(*number),
            _ => Err(unexpected()),
        }
    }

    /// The text at this place; `None` for NULL.
    ///
    /// # Errors
    /// `protocol`, where there is no text.
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
