//! One client of the crate for one session: runs commands with their own limit, and leaves nothing behind at its end.
//! `connect` opens it; all files of this folder use it.

use std::sync::Arc;
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::Document;
use mongodb::error::ErrorKind as Crate;
use mongodb::options::{ClientOptions, ReadPreference, SelectionCriteria};

use super::errors;
use super::parameters::PORT;
use super::topology::Topology;
use crate::database_url::Host;
use crate::driver::ServerRole;
use crate::driver::network::{last_close_limit, name_or_network};
use crate::driver::worker::{Unanswered, Worker};
use crate::heartbeat::{ErrorKind, Failure};
use crate::time::clock::{self, Clock, Instant};

/// A client whose calls run one at a time.
///
/// The crate warns that a dropped future of its own may leave the client in an inconsistent state, so a late call
/// continues until it ends or the client is closed.
#[derive(Debug)]
pub(super) struct MongoClient {
    /// `None` once it is closed.
    client: Option<Client>,
    worker: Worker,
    topology: Arc<Topology>,
    hosts: Vec<Host>,
    replica_set: Option<String>,
}

/// The limits of one command, each below the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// How long a write waits for the majority.
    pub(super) majority: Duration,
    /// When the server ends the command.
    pub(super) server: Duration,
    /// When the client stops waiting for the answer.
    pub(super) client: Instant,
}

impl Limits {
    /// The limits of a command that begins now, for a caller that gives up at `deadline`.
    pub(super) fn until(deadline: Instant) -> Self {
        let now = Clock::system().now().mono;
        let left = deadline.saturating_duration_since(now);
        // The result of the call must be reported before the caller drops its future.
        let client = left - (left / 10).min(Duration::from_millis(100));
        let least = Duration::from_millis(1);
        Self { majority: (client * 3 / 4).max(least), server: (client * 9 / 10).max(least * 2), client: now + client }
    }
}

impl MongoClient {
    /// A client with these options. Its monitors connect at once; the client connects at the first command.
    ///
    /// # Errors
    /// `settings` or `tls`, for options that contradict each other.
    pub(super) fn new(mut options: ClientOptions, hosts: &[Host]) -> Result<Self, Failure> {
        let topology = Arc::new(Topology::default());
        options.sdam_event_handler = Some(topology.listener());
        let replica_set = options.repl_set_name.clone();
        let client = Client::with_options(options).map_err(|error| errors::classify(&error))?;
        Ok(Self { client: Some(client), worker: Worker::default(), topology, hosts: hosts.to_vec(), replica_set })
    }

    /// Runs a command on a database of the server that accepts writes. Returns the answer even if its write concern
    /// failed.
    ///
    /// # Errors
    /// The server's error, classified; `no_primary` if no server accepts writes; `timeout`.
    pub(super) async fn run(&mut self, database: &str, command: Document, limit: Instant) -> Result<Document, Failure> {
        self.run_on(database, command, None, limit).await
    }

    /// As [`run`](Self::run), on the nearest server that holds data.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(super) async fn ask(&mut self, database: &str, command: Document, limit: Instant) -> Result<Document, Failure> {
        let anywhere = SelectionCriteria::ReadPreference(ReadPreference::PrimaryPreferred { options: None });
        self.run_on(database, command, Some(anywhere), limit).await
    }

    async fn run_on(
        &mut self,
        database: &str,
        command: Document,
        server: Option<SelectionCriteria>,
        limit: Instant,
    ) -> Result<Document, Failure> {
        let Some(client) = &self.client else {
            return Err(Failure::new(ErrorKind::Internal, "the client was closed before its last use"));
        };
        let database = client.database(database);
        let call = async move {
            let run = database.run_command(command);
            match server {
                Some(server) => run.selection_criteria(server).await,
                None => run.await,
            }
        };
        match self.worker.call(call, limit).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.explain(&error).await),
            Err(Unanswered::Late) => Err(Failure::new(ErrorKind::Timeout, "the server's answer did not come in time")),
            Err(Unanswered::Busy) => {
                Err(Failure::new(ErrorKind::Timeout, "the command before this one has not been answered yet"))
            }
            Err(Unanswered::Broken) => Err(Failure::new(ErrorKind::Internal, "the MongoDB client broke off a command")),
        }
    }

    /// For the error that no server fits, the explanation comes from what the client's monitors saw.
    async fn explain(&self, error: &mongodb::error::Error) -> Failure {
        let failure = match &*error.kind {
            Crate::ServerSelection { .. } => self.topology.why_none_fits(self.replica_set.as_deref()),
            _ => errors::classify(error),
        };
        match self.hosts.as_slice() {
            [host] => name_or_network(host, host.port.unwrap_or(PORT), failure).await,
            _ => failure,
        }
    }

    /// The server that accepts writes, as far as the client knows; sends no query.
    pub(super) fn writable(&self) -> Option<(String, ServerRole)> {
        self.topology.writable()
    }

    /// Whether a command can begin: no earlier one is still running.
    pub(super) fn is_idle(&self) -> bool {
        self.worker.is_idle()
    }

    /// Closes the client, within half a second.
    pub(super) async fn close(mut self) {
        self.worker.end();
        if let Some(client) = self.client.take() {
            let _ = clock::timeout_at(last_close_limit(), client.shutdown().immediate(true).into_future()).await;
        }
    }
}

/// A client that is only dropped keeps its sockets for up to half a minute, and asks a frozen server to end its
/// session.
impl Drop for MongoClient {
    fn drop(&mut self) {
        self.worker.end();
        if let (Some(client), Ok(runtime)) = (self.client.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(clock::timeout_at(last_close_limit(), client.shutdown().immediate(true).into_future()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_limit_for_the_majority_is_below_the_servers_limit_and_that_is_below_the_clients_limit() {
        for millis in [50, 1_000, 2_000, 10_000, 60_000] {
            let now = Clock::system().now().mono;
            let deadline = now + Duration::from_millis(millis);
            let Limits { majority, server, client } = Limits::until(deadline);
            assert!(majority < server && now + server < client && client < deadline, "{millis} ms");
            assert!(majority >= Duration::from_millis(millis) / 2, "{millis} ms");
        }
        let late = Limits::until(Clock::system().now().mono);
        assert!(late.majority > Duration::ZERO && late.server > late.majority);
    }
}
