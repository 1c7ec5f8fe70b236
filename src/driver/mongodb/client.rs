//! One client of the crate for one session: runs commands with their own limit, and ends without leaving anything
//! behind. `connect` opens it; all files of this folder use it.

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

/// A client, whose calls run one at a time.
///
/// The crate warns that a future of its that is dropped may leave a client in disorder: a call that is late goes on until
/// it ends or the client is given up.
#[derive(Debug)]
pub(super) struct MongoClient {
    /// `None` once it leaves.
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
    /// When the answer is waited for no longer.
    pub(super) client: Instant,
}

impl Limits {
    /// Those of a command that begins now and whose caller gives up at `deadline`.
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
    /// A client with these options; it connects when it is first used, and its monitors at once.
    ///
    /// # Errors
    /// `settings` or `tls`, for options that do not go together.
    pub(super) fn new(mut options: ClientOptions, hosts: &[Host]) -> Result<Self, Failure> {
        let topology = Arc::new(Topology::default());
        options.sdam_event_handler = Some(topology.listener());
        let replica_set = options.repl_set_name.clone();
        let client = Client::with_options(options).map_err(|error| errors::classify(&error))?;
        Ok(Self { client: Some(client), worker: Worker::default(), topology, hosts: hosts.to_vec(), replica_set })
    }

    /// Runs a command on a database of the server that takes writes; the answer, whatever it says of a write concern.
    ///
    /// # Errors
    /// What the server says, classified; `no_primary` where no server takes writes; `timeout`.
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

    /// What the client says of servers that do not fit comes from what its monitors saw.
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

    /// The server that takes writes, as the client knows it now, without asking.
    pub(super) fn writable(&self) -> Option<(String, ServerRole)> {
        self.topology.writable()
    }

    /// Whether a command can begin: none before it is still under way.
    pub(super) fn is_idle(&self) -> bool {
        self.worker.is_idle()
    }

    /// Leaves, within half a second.
    pub(super) async fn close(mut self) {
        self.worker.end();
        if let Some(client) = self.client.take() {
            let _ = clock::timeout_at(last_close_limit(), client.shutdown().immediate(true).into_future()).await;
        }
    }
}

/// A client that is merely dropped keeps its sockets for up to half a minute, and asks a frozen server to end its session.
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
    async fn the_majority_is_waited_for_below_the_servers_limit_and_that_lies_below_the_clients() {
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
