//! The heartbeat's collection, its TTL indexes, and the document.

use mongodb::bson::{Bson, Document, doc};
use serde::{Deserialize, Serialize};

use super::questions::{Questions, count, documents, number};
use crate::driver::answer::Answer;
use crate::driver::mongodb::errors::NAMESPACE_NOT_FOUND;
use crate::driver::mongodb::identifier::id;
use crate::heartbeat::Failure;
use crate::target::HeartbeatTable;

/// The most documents that are counted.
const COUNTED: i32 = 1_000;
/// The most indexes that are read.
const INDEXES: usize = 64;

/// The collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::mongodb) struct CollectionFacts {
    /// `collection`, `view` or `timeseries`.
    pub(in crate::driver::mongodb) kind: String,
    pub(in crate::driver::mongodb) capped: bool,
    /// The collection behind a view.
    pub(in crate::driver::mongodb) view_on: Option<String>,
    /// Whether the validator refuses the document with a new time in it; `None` without a validator, or without a document.
    pub(in crate::driver::mongodb) beat_refused: Option<bool>,
}

/// An index whose documents the server deletes after a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::driver::mongodb) struct TtlIndex {
    pub(in crate::driver::mongodb) name: String,
    pub(in crate::driver::mongodb) field: String,
    pub(in crate::driver::mongodb) seconds: f64,
}

/// The documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::mongodb) struct RowFacts {
    /// At most a thousand and one.
    pub(in crate::driver::mongodb) count: u64,
    /// Whether a document has the configured `_id`.
    pub(in crate::driver::mongodb) found: bool,
    /// The `_id` of an existing document, as mongosh writes it.
    pub(in crate::driver::mongodb) other: Option<String>,
    /// The type of `last_update`; `None` without such a field.
    pub(in crate::driver::mongodb) last_update_type: Option<String>,
    /// As microseconds since 1970.
    pub(in crate::driver::mongodb) last_update: Option<i64>,
}

/// The collection; `None` if it does not exist.
///
/// # Errors
/// As [`Questions::ask`].
pub(super) async fn collection(
    ask: &mut Questions<'_>,
    table: &HeartbeatTable,
) -> Result<Answer<Option<CollectionFacts>>, Failure> {
    let command = doc! { "listCollections": 1, "filter": { "name": &table.table } };
    let answer = match ask.ask(&table.schema, command).await? {
        Answer::Seen(answer) => answer,
        Answer::Refused(refusal) => return Ok(Answer::Refused(refusal)),
    };
    let found = documents(answer.get_document("cursor").ok(), "firstBatch");
    let Some(found) = found.first() else { return Ok(Answer::Seen(None)) };
    let options = found.get_document("options").cloned().unwrap_or_default();
    let beat_refused = match options.get_document("validator") {
        // With "warn" the server logs a document that does not fit, and accepts it.
        Ok(validator) if !options.get_str("validationAction").is_ok_and(|action| action == "warn") => {
            would_refuse(ask, table, validator.clone()).await?
        }
        _ => None,
    };
    Ok(Answer::Seen(Some(CollectionFacts {
        kind: found.get_str("type").unwrap_or("collection").to_owned(),
        capped: options.get_bool("capped").unwrap_or(false),
        view_on: options.get_str("viewOn").map(str::to_owned).ok(),
        beat_refused,
    })))
}

/// Asks the server whether its validator would refuse the document after a beat; writes nothing.
async fn would_refuse(
    ask: &mut Questions<'_>,
    table: &HeartbeatTable,
    validator: Document,
) -> Result<Option<bool>, Failure> {
    let updated = doc! { "$set": { "last_update": "$$NOW" } };
    let pipeline = vec![
        doc! { "$match": { "_id": id(table) } },
        updated,
        doc! { "$facet": {
            "all": [{ "$count": "n" }],
            "fit": [{ "$match": validator }, { "$count": "n" }],
        } },
    ];
    let answer = ask.ask(&table.schema, doc! { "aggregate": &table.table, "pipeline": pipeline, "cursor": {} }).await?;
    let Answer::Seen(answer) = answer else { return Ok(None) };
    let counted = documents(answer.get_document("cursor").ok(), "firstBatch");
    let some = |name| counted.first().is_some_and(|counted| !documents(Some(counted), name).is_empty());
    Ok(some("all").then(|| !some("fit")))
}

/// The indexes that delete documents.
///
/// # Errors
/// As [`Questions::ask`].
pub(super) async fn ttl(ask: &mut Questions<'_>, table: &HeartbeatTable) -> Result<Answer<Vec<TtlIndex>>, Failure> {
    let command = doc! { "listIndexes": &table.table, "cursor": { "batchSize": INDEXES as i32 } };
    let answer = ask.ask(&table.schema, command).await?;
    if matches!(&answer, Answer::Refused(refusal) if refusal.code == NAMESPACE_NOT_FOUND.to_string()) {
        return Ok(Answer::Seen(Vec::new()));
    }
    Ok(answer.make(|answer| {
        let indexes = documents(answer.get_document("cursor").ok(), "firstBatch");
        indexes.iter().take(INDEXES).filter_map(ttl_of).collect()
    }))
}

fn ttl_of(index: &Document) -> Option<TtlIndex> {
    let seconds = number(index, "expireAfterSeconds")?;
    let field = index.get_document("key").ok()?.keys().next()?.clone();
    Some(TtlIndex { name: index.get_str("name").unwrap_or_default().to_owned(), field, seconds })
}

/// The documents.
///
/// # Errors
/// As [`Questions::ask`].
pub(super) async fn row(ask: &mut Questions<'_>, table: &HeartbeatTable) -> Result<Answer<RowFacts>, Failure> {
    let command = doc! { "count": &table.table, "limit": COUNTED + 1 };
    let counted = match ask.ask(&table.schema, command).await? {
        Answer::Seen(answer) => count(&answer, "n").unwrap_or_default(),
        Answer::Refused(refusal) => return Ok(Answer::Refused(refusal)),
    };
    let namespace = (table.schema.as_str(), table.table.as_str());
    let look = (doc! { "_id": id(table) }, doc! {}, doc! { "_id": 0, "last_update": 1 });
    let found = match ask.find(namespace, look, 1).await? {
        Answer::Seen(found) => found,
        Answer::Refused(refusal) => return Ok(Answer::Refused(refusal)),
    };
    let other = (doc! { "_id": { "$ne": id(table) } }, doc! {}, doc! { "_id": 1 });
    Ok(ask.find(namespace, other, 1).await?.make(|other| {
        let value = found.first().and_then(|found| found.get("last_update"));
        RowFacts {
            count: counted,
            found: !found.is_empty(),
            other: other.first().and_then(|other| other.get("_id")).map(shown),
            last_update_type: value.map(type_of),
            last_update: value.and_then(Bson::as_datetime).map(|time| time.timestamp_millis().saturating_mul(1_000)),
        }
    }))
}

/// An `_id`, cut to fit on one line.
fn shown(id: &Bson) -> String {
    id.to_string().chars().take(60).collect()
}

fn type_of(value: &Bson) -> String {
    match value {
        Bson::DateTime(_) => "date",
        Bson::Null => "null",
        Bson::String(_) => "string",
        Bson::Timestamp(_) => "timestamp",
        Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_) => "number",
        Bson::Document(_) => "object",
        Bson::Array(_) => "array",
        _ => "another type",
    }
    .to_owned()
}
