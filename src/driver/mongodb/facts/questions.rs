//! One command for one question, and the parts of its answer. The files of this folder use it.

use mongodb::bson::{Bson, Document, doc};

use crate::driver::answer::{Answer, Refusal};
use crate::driver::mongodb::client::{Limits, MongoClient};
use crate::heartbeat::Failure;

/// Asks one server.
pub(super) struct Questions<'a> {
    client: &'a mut MongoClient,
    limits: Limits,
}

impl<'a> Questions<'a> {
    /// Prepares questions to the server of a client.
    pub(super) fn of(client: &'a mut MongoClient, limits: Limits) -> Self {
        Self { client, limits }
    }

    /// Runs one command; a refusal by the server is part of the facts.
    ///
    /// # Errors
    /// A failure that did not come from the server.
    pub(super) async fn ask(&mut self, database: &str, mut command: Document) -> Result<Answer<Document>, Failure> {
        let millis = i64::try_from(self.limits.server.as_millis()).unwrap_or(i64::MAX);
        command.insert("maxTimeMS", millis.min(i64::from(i32::MAX)));
        match self.client.ask(database, command, self.limits.client).await {
            Ok(answer) => Ok(Answer::Seen(answer)),
            Err(failure) => match failure.code() {
                Some(code) => {
                    Ok(Answer::Refused(Refusal { code: code.to_owned(), message: failure.message().to_owned() }))
                }
                None => Err(failure),
            },
        }
    }

    /// The documents that a query finds, at most `limit`.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub(super) async fn find(
        &mut self,
        (database, collection): (&str, &str),
        (filter, sort, projection): (Document, Document, Document),
        limit: i32,
    ) -> Result<Answer<Vec<Document>>, Failure> {
        let command = doc! {
            "find": collection, "filter": filter, "sort": sort, "projection": projection, "limit": limit,
            "singleBatch": true,
        };
        Ok(self
            .ask(database, command)
            .await?
            .make(|answer| documents(answer.get_document("cursor").ok(), "firstBatch")))
    }
}

/// The documents of an array in a document.
pub(super) fn documents(of: Option<&Document>, name: &str) -> Vec<Document> {
    let array = of.and_then(|of| of.get_array(name).ok());
    array.into_iter().flatten().filter_map(Bson::as_document).cloned().collect()
}

/// A number of any numeric type.
pub(super) fn number(document: &Document, name: &str) -> Option<f64> {
    match document.get(name)? {
        Bson::Int32(number) => Some(f64::from(*number)),
        #[allow(clippy::cast_precision_loss, reason = "sizes and hours, of which fifteen digits are plenty")]
        Bson::Int64(number) => Some(*number as f64),
        Bson::Double(number) => Some(*number),
        _ => None,
    }
}

/// A count, a whole number of any numeric type.
pub(super) fn count(document: &Document, name: &str) -> Option<u64> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from a count, and none is negative")]
    number(document, name).filter(|number| *number >= 0.0).map(|number| number as u64)
}
