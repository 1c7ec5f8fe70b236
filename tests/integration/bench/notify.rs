//! The service manager's end of a notify socket, as systemd holds it.

use std::path::PathBuf;

use tokio::net::UnixDatagram;
use tokio::time::{Duration, timeout};

use super::place::Place;

/// A bound socket, and the received datagrams.
#[derive(Debug)]
pub(crate) struct NotifySocket {
    socket: UnixDatagram,
    place: Place,
    seen: Vec<String>,
}

impl NotifySocket {
    /// A new one; the address is `path()`.
    pub(crate) fn bind() -> Self {
        let place = Place::new("notify");
        let socket = UnixDatagram::bind(place.join("socket")).unwrap();
        Self { socket, place, seen: Vec::new() }
    }

    /// The value for `NOTIFY_SOCKET`.
    pub(crate) fn path(&self) -> PathBuf {
        self.place.join("socket")
    }

    /// The next datagram, unchanged.
    async fn next(&mut self) -> String {
        let mut buffer = [0; 4096];
        let count = self.socket.recv(&mut buffer).await.unwrap();
        let message = String::from_utf8(buffer[..count].to_vec()).unwrap();
        self.seen.push(message.clone());
        message
    }

    /// Waits for a datagram with this line, or with a line that begins like it.
    pub(crate) async fn expect(&mut self, line: &str, within: Duration) -> String {
        let found = timeout(within, async {
            loop {
                let message = self.next().await;
                if message.lines().any(|found| found.starts_with(line)) {
                    return message;
                }
            }
        })
        .await;
        found.unwrap_or_else(|_| panic!("{line} did not come within {within:?}; what came: {:?}", self.seen))
    }

    /// All datagrams within this time, including those that already arrived.
    pub(crate) async fn during(&mut self, span: Duration) -> Vec<String> {
        let before = self.seen.len();
        let _ = timeout(span, async {
            loop {
                self.next().await;
            }
        })
        .await;
        self.seen[before..].to_vec()
    }
}
