//! The oplog, from which the server serves change streams: how far it reaches back, and what keeps it moving.

use mongodb::bson::{Document, doc};
use serde::{Deserialize, Serialize};

use super::questions::{Questions, count, number};
use crate::driver::answer::Answer;
use crate::heartbeat::Failure;

/// The oplog as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::mongodb) struct OplogFacts {
    /// Seconds between its oldest and its newest entry.
    pub(in crate::driver::mongodb) window: u64,
    /// Bytes in it.
    pub(in crate::driver::mongodb) size: u64,
    /// Its limit in bytes; `None` if the server does not show it.
    pub(in crate::driver::mongodb) max_size: Option<u64>,
}

/// The oplog's reach and size.
///
/// # Errors
/// As [`Questions::ask`].
pub(super) async fn oplog(ask: &mut Questions<'_>) -> Result<Answer<OplogFacts>, Failure> {
    let oplog = ("local", "oplog.rs");
    let mut ends = Vec::new();
    for order in [1, -1] {
        let look = (doc! {}, doc! { "$natural": order }, doc! { "_id": 0, "ts": 1 });
        match ask.find(oplog, look, 1).await? {
            Answer::Seen(found) => ends.push(found.first().and_then(seconds)),
            Answer::Refused(refusal) => return Ok(Answer::Refused(refusal)),
        }
    }
    let window = match ends.as_slice() {
        [Some(oldest), Some(newest)] => u64::from(newest.saturating_sub(*oldest)),
        _ => 0,
    };
    Ok(ask.ask("local", doc! { "collStats": "oplog.rs" }).await?.make(|stats| OplogFacts {
        window,
        size: count(&stats, "size").unwrap_or_default(),
        max_size: count(&stats, "maxSize"),
    }))
}

fn seconds(entry: &Document) -> Option<u32> {
    entry.get_timestamp("ts").ok().map(|time| time.time)
}

/// For how many hours entries are kept at least; 0 if only the size limits them.
///
/// # Errors
/// As [`Questions::ask`].
pub(super) async fn guaranteed_hours(ask: &mut Questions<'_>) -> Result<Answer<f64>, Failure> {
    // All metrics would be a large answer.
    let command = doc! {
        "serverStatus": 1, "metrics": 0, "wiredTiger": 0, "tcmalloc": 0, "locks": 0, "network": 0, "repl": 0,
    };
    Ok(ask.ask("admin", command).await?.make(|status| {
        let truncation = status.get_document("oplogTruncation").ok();
        truncation.and_then(|truncation| number(truncation, "oplogMinRetentionHours")).unwrap_or_default()
    }))
}

/// Whether an idle primary regularly writes an entry, so that the change streams of a sharded cluster advance.
///
/// # Errors
/// As [`Questions::ask`].
pub(super) async fn periodic_noops(ask: &mut Questions<'_>) -> Result<Answer<bool>, Failure> {
    let answer = ask.ask("admin", doc! { "getParameter": 1, "writePeriodicNoops": 1 }).await?;
    Ok(answer.make(|answer| answer.get_bool("writePeriodicNoops").unwrap_or(true)))
}
