//! The beat: one command in one round trip, on the server's clock, acknowledged by the majority. The session's `beat`
//! and `observe` call it.

use mongodb::bson::{Bson, DateTime, Document, doc};

use super::client::Limits;
use super::connect::{self, Opened};
use super::errors::NO_PIPELINE;
use super::identifier::{id, namespace};
use crate::driver::Observation;
use crate::heartbeat::{ErrorKind, Failure, RowReport, Stamp, Writing, ZoneGuess};
use crate::target::HeartbeatTable;
use crate::time::clock::Instant;

/// A value more than this far ahead of the server's clock is not exceeded by a greater one, in milliseconds.
const AHEAD: i64 = 5_000;

/// Writes a beat, or only reads.
///
/// # Errors
/// The server's error, classified; `unconfirmed` for a beat that the majority has not acknowledged in time.
pub(super) async fn beat(
    opened: &mut Opened,
    table: &HeartbeatTable,
    writing: Writing,
    deadline: Instant,
) -> Result<RowReport, Failure> {
    if writing == Writing::Never {
        let Observation { value, rows, server_time, .. } = observe(opened, table, deadline).await?;
        return Ok(RowReport { seen: rows, previous: value, value, server_time, ..RowReport::default() });
    }
    let report = written(opened, table, writing, deadline).await?;
    if report.seen == 0 && !collection_exists(opened, table, deadline).await? {
        return Err(Failure::new(ErrorKind::MissingTable, format!("there is no collection {}", namespace(table))));
    }
    Ok(report)
}

/// Whether the collection exists: an update finds no document without a collection either. Every user who may read the
/// collection may ask.
async fn collection_exists(opened: &mut Opened, table: &HeartbeatTable, deadline: Instant) -> Result<bool, Failure> {
    let limits = Limits::until(deadline);
    let command = doc! {
        "listCollections": 1,
        "filter": { "name": &table.table },
        "nameOnly": true,
        "authorizedCollections": true,
        "maxTimeMS": millis(limits.server),
    };
    let answer = opened.client.run(&table.schema, command, limits.client).await?;
    Ok(!first_batch(&answer)?.is_empty())
}

async fn written(
    opened: &mut Opened,
    table: &HeartbeatTable,
    writing: Writing,
    deadline: Instant,
) -> Result<RowReport, Failure> {
    if opened.pipeline {
        let failure = match by_pipeline(opened, table, writing, deadline).await {
            Ok(report) => return Ok(report),
            Err(failure) => failure,
        };
        if !failure.code().is_some_and(|code| NO_PIPELINE.iter().any(|known| known.to_string() == code)) {
            return Err(failure);
        }
        let report = by_current_date(opened, table, writing, deadline).await?;
        opened.pipeline = false;
        return Ok(report);
    }
    by_current_date(opened, table, writing, deadline).await
}

/// Reads the document and the server's role.
///
/// # Errors
/// The server's error, classified.
pub(super) async fn observe(
    opened: &mut Opened,
    table: &HeartbeatTable,
    deadline: Instant,
) -> Result<Observation, Failure> {
    let limit = Limits::until(deadline).client;
    let hello = opened.client.ask("admin", doc! { "hello": 1 }, limit).await?;
    let (rows, value) = look(opened, table, deadline).await?;
    let (role, _) = connect::read_hello(&hello);
    Ok(Observation { value, rows, server_time: value_of(&hello, "localTime"), role })
}

/// Updates what is known of the server: after a beat the client may use another server than before.
///
/// # Errors
/// The server's error when asked for its version, classified.
pub(super) async fn refresh(opened: &mut Opened, deadline: Instant) -> Result<(), Failure> {
    let Some((address, role)) = opened.client.writable() else { return Ok(()) };
    if address != opened.server.address {
        opened.server.version = connect::version(&mut opened.client, Limits::until(deadline).client).await?;
        opened.server.address = address;
    }
    opened.server.role = role;
    Ok(())
}

async fn by_pipeline(
    opened: &mut Opened,
    table: &HeartbeatTable,
    writing: Writing,
    deadline: Instant,
) -> Result<RowReport, Failure> {
    let limits = Limits::until(deadline);
    let answer = opened.client.run(&table.schema, command(table, writing, limits), limits.client).await?;
    let Some(found) = found(&answer)? else { return Ok(RowReport::default()) };
    let stale = found.get_bool("stale").unwrap_or(true);
    let previous = value_of(found, "last_update");
    acknowledged(&answer, stale)?;
    Ok(RowReport {
        seen: 1,
        changed: u64::from(stale),
        stale,
        previous,
        value: if stale { value_of(found, "value") } else { previous },
        server_time: value_of(found, "now"),
        position: None,
    })
}

/// One update that returns the document as it was before, and beside it the rule's verdict, the written value and the
/// server's clock. `$$NOW` is one value for the whole command, so all three belong to this update.
fn command(table: &HeartbeatTable, writing: Writing, limits: Limits) -> Document {
    let next = next_value();
    let mut fields = doc! { "_id": 0, "last_update": 1, "now": "$$NOW", "value": next.clone() };
    let written = match stale_condition(writing) {
        None => next,
        Some(stale) => {
            fields.insert("stale", stale.clone());
            Bson::from(doc! { "$cond": [stale, next, "$last_update"] })
        }
    };
    doc! {
        "findAndModify": &table.table,
        "query": { "_id": id(table) },
        "update": [{ "$set": { "last_update": written } }],
        "new": false,
        "fields": fields,
        "writeConcern": majority(limits),
        "maxTimeMS": millis(limits.server),
    }
}

/// The server's clock, or the old value plus a millisecond if the clock is not later, because an update without a
/// change is no event. A value far ahead is not exceeded: each later value would stay ahead too.
fn next_value() -> Bson {
    Bson::from(doc! { "$cond": [
        { "$and": [
            { "$eq": [{ "$type": "$last_update" }, "date"] },
            { "$gte": ["$last_update", "$$NOW"] },
            { "$lte": ["$last_update", { "$add": ["$$NOW", AHEAD] }] },
        ] },
        { "$add": ["$last_update", 1] },
        "$$NOW",
    ] })
}

/// The condition of `Writing::WhenStale`; `None` if every beat writes. `$$NOW` is the moment at which the command
/// began: a value that another daemon wrote since then lies slightly ahead of it, and is fresh. A value about a whole
/// zone offset away comes from a writer that takes its local time for UTC; only its change counts, not its age.
fn stale_condition(writing: Writing) -> Option<Document> {
    let Writing::WhenStale { last_seen, period } = writing else { return None };
    let ZoneGuess { step, tolerance, furthest } = ZoneGuess::for_period(period);
    let [step, tolerance, furthest] = [step, tolerance, furthest].map(|micros| micros / 1_000);
    let oldest = millis(period / 4 * 3);
    let mut reasons = vec![doc! { "$ne": [{ "$type": "$last_update" }, "date"] }];
    if let Some(seen) = last_seen {
        reasons.push(doc! { "$eq": ["$last_update", DateTime::from_millis(seen.0.div_euclid(1_000))] });
    }
    let age = doc! { "$subtract": ["$$NOW", "$last_update"] };
    let whole = doc! { "$mod": ["$$apart", step] };
    reasons.push(doc! { "$let": {
        "vars": { "age": age.clone(), "apart": { "$abs": age } },
        "in": { "$and": [
            { "$or": [{ "$lt": ["$$age", -AHEAD] }, { "$gt": ["$$age", oldest] }] },
            { "$not": [{ "$and": [
                { "$gte": ["$$apart", step - tolerance] },
                { "$lte": ["$$apart", furthest + tolerance] },
                { "$or": [{ "$lte": [whole.clone(), tolerance] }, { "$gte": [whole, step - tolerance] }] },
            ] }] },
        ] },
    } });
    // The conditions depend on each other: a value that is no date has no age.
    let reasons: Vec<Bson> = reasons.into_iter().map(Bson::from).collect();
    Some(doc! { "$switch": {
        "branches": reasons.iter().map(|reason| Bson::from(doc! { "case": reason, "then": true })).collect::<Vec<_>>(),
        "default": false,
    } })
}

/// For servers without updates by a pipeline. It returns the new value, which is the server's clock, and not the
/// previous one. Only the value of the last look shows whether another writer wrote.
async fn by_current_date(
    opened: &mut Opened,
    table: &HeartbeatTable,
    writing: Writing,
    deadline: Instant,
) -> Result<RowReport, Failure> {
    let mut query = doc! { "_id": id(table) };
    if let Writing::WhenStale { last_seen, .. } = writing {
        let (rows, value) = look(opened, table, deadline).await?;
        let Some(old) = value.filter(|value| Some(*value) != last_seen) else {
            // The update repeats the condition of the look, so it leaves a value alone that another writer wrote in
            // between.
            query
                .insert("last_update", value.map_or(Bson::Null, |value| DateTime::from_millis(value.0 / 1_000).into()));
            return update_to_current_date(opened, table, query, (rows, value), deadline).await;
        };
        return Ok(RowReport { seen: rows, previous: Some(old), value: Some(old), ..RowReport::default() });
    }
    update_to_current_date(opened, table, query, (0, None), deadline).await
}

async fn update_to_current_date(
    opened: &mut Opened,
    table: &HeartbeatTable,
    query: Document,
    (rows, previous): (u64, Option<Stamp>),
    deadline: Instant,
) -> Result<RowReport, Failure> {
    let limits = Limits::until(deadline);
    let command = doc! {
        "findAndModify": &table.table,
        "query": query,
        "update": { "$currentDate": { "last_update": true } },
        "new": true,
        "fields": { "last_update": 1 },
        "writeConcern": majority(limits),
        "maxTimeMS": millis(limits.server),
    };
    let answer = opened.client.run(&table.schema, command, limits.client).await?;
    let Some(found) = found(&answer)? else {
        // Without an earlier look, no document was found; with one, another writer came first.
        return Ok(RowReport { seen: rows, previous, value: previous, ..RowReport::default() });
    };
    acknowledged(&answer, true)?;
    let value = value_of(found, "last_update");
    Ok(RowReport { seen: 1, changed: 1, stale: true, previous, value, server_time: value, position: None })
}

/// How many documents have the `_id`, and the value. Reads what the majority has, because a value that may be rolled
/// back is no heartbeat.
async fn look(opened: &mut Opened, table: &HeartbeatTable, deadline: Instant) -> Result<(u64, Option<Stamp>), Failure> {
    let limits = Limits::until(deadline);
    let command = doc! {
        "find": &table.table,
        "filter": { "_id": id(table) },
        "projection": { "_id": 0, "last_update": 1 },
        "limit": 2,
        "singleBatch": true,
        "readConcern": { "level": "majority" },
        "maxTimeMS": millis(limits.server),
    };
    let answer = opened.client.ask(&table.schema, command, limits.client).await?;
    let batch = first_batch(&answer)?;
    let value = batch.first().and_then(Bson::as_document).and_then(|found| value_of(found, "last_update"));
    Ok((batch.len() as u64, value))
}

/// The first batch of a cursor: all of the answer if it is small.
pub(super) fn first_batch(answer: &Document) -> Result<&[Bson], Failure> {
    let batch = answer.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
    batch.map(Vec::as_slice).map_err(|_| malformed())
}

/// The document that `findAndModify` returns; `None` if no document matched.
fn found(answer: &Document) -> Result<Option<&Document>, Failure> {
    match answer.get("value") {
        Some(Bson::Document(found)) => Ok(Some(found)),
        Some(Bson::Null) | None => Ok(None),
        Some(_) => Err(malformed()),
    }
}

/// A failed write concern comes inside an answer with "ok".
fn acknowledged(answer: &Document, written: bool) -> Result<(), Failure> {
    let Ok(error) = answer.get_document("writeConcernError") else { return Ok(()) };
    let code = error.get_i32("code").unwrap_or_default();
    let what = if written {
        "the primary has the beat, and the majority has not acknowledged it"
    } else {
        "the row is fresh, and the majority has not acknowledged that"
    };
    let words = error.get_str("errmsg").unwrap_or_default();
    Err(Failure::new(ErrorKind::Unconfirmed, format!("{what}: {words}")).with_code(code.to_string()))
}

fn majority(limits: Limits) -> Document {
    doc! { "w": "majority", "wtimeout": millis(limits.majority) }
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).clamp(1, i64::from(i32::MAX))
}

/// A date as microseconds; any other value counts as NULL.
fn value_of(document: &Document, field: &str) -> Option<Stamp> {
    document.get_datetime(field).ok().map(|time| stamp(*time))
}

fn stamp(time: DateTime) -> Stamp {
    Stamp(time.timestamp_millis().saturating_mul(1_000))
}

fn malformed() -> Failure {
    Failure::new(ErrorKind::Protocol, "not the answer of a MongoDB server")
}
