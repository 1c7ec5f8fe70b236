//! How far a reader has read the log that the beats flow through. The drivers report it, the scheduler compares it with
//! the beats, the board shows it.

use crate::heartbeat::Stamp;

/// How far a reader has read the database's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The connector itself, which confirms what it has read to a replication slot.
    Slot(SlotProgress),
    /// A job of the database, which copies changes to tables that connectors read. No server shows how far the
    /// connectors are.
    CaptureJob {
        /// The commit time of the newest change that it copied, on the server's clock; `None` before the first one.
        until: Option<Stamp>,
    },
}

/// How far the connector has read, according to its replication slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotProgress {
    /// The slot's name.
    pub name: String,
    /// Whether a client reads from it now.
    pub active: bool,
    /// The log position that the connector has confirmed, in the database's own notation.
    /// [`Driver::passes`](super::Driver::passes) compares it with the position of a beat.
    pub confirmed: Option<String>,
    /// How many bytes of log the server retains for it.
    pub retained_bytes: Option<u64>,
}
