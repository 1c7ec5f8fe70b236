//! The tests' own clients, separate from the program's.

use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::ClientOptions;
use tokio::time::timeout;

use super::super::wait::secs;

/// How long a query of the tests may take, so that a frozen server fails the test instead of hanging it.
const ANSWER_DEADLINE: Duration = secs(10);

/// A client that runs queries and commands, usually the administrator's.
#[derive(Debug, Clone)]
pub(crate) struct Admin(Client);

impl Admin {
    /// A client of this address.
    pub(crate) async fn of(url: &str) -> Self {
        let mut options = ClientOptions::parse(url).await.unwrap();
        options.app_name = Some("bench".to_owned());
        options.connect_timeout = Some(secs(2));
        options.server_selection_timeout = Some(secs(5));
        options.retry_reads = Some(false);
        Self(Client::with_options(options).unwrap())
    }

    /// The driver's own client, for requests that are not commands.
    pub(crate) fn client(&self) -> &Client {
        &self.0
    }

    /// Runs a command on a database; returns its answer.
    pub(crate) async fn run(&self, database: &str, command: Document) -> Document {
        let shown = command.to_string();
        self.try_run(database, command).await.unwrap_or_else(|error| panic!("{shown}: {error}"))
    }

    /// Runs a command on a database.
    pub(crate) async fn try_run(&self, database: &str, command: Document) -> mongodb::error::Result<Document> {
        let shown = command.to_string();
        let database = self.0.database(database);
        let answer = timeout(ANSWER_DEADLINE, database.run_command(command)).await;
        answer.unwrap_or_else(|_| panic!("{shown}: no answer"))
    }

    /// The first batch of a query: all of the answer if it is small.
    pub(crate) async fn find(
        &self,
        database: &str,
        collection: &str,
        filter: Document,
        sort: Document,
    ) -> Vec<Document> {
        let answer =
            self.run(database, doc! { "find": collection, "filter": filter, "sort": sort, "batchSize": 10_000 }).await;
        let batch = answer.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch")).unwrap();
        batch.iter().map(|document| document.as_document().unwrap().clone()).collect()
    }
}
