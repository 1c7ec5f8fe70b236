//! The heartbeat's collection: its kind, and what would delete or refuse its document.

use super::evidence::{DATA, Evidence, with};
use crate::driver::answer::Answer;
use crate::driver::mongodb::facts::CollectionFacts;
use crate::driver::mongodb::identifier::literal;
use crate::driver::mongodb::remedies::{self, on_primary};
use crate::driver::shared_checks;
use crate::driver::shared_checks::row;
use crate::finding::{Check, Finding, How, Rung, Severity};
use crate::remedy::Remedy;

const KIND: Check = row::KIND.how(How {
    judged: "listCollections. Fails for a view, a time series or a capped collection.",
    privilege: DATA,
    source: "MongoDB's manual: change streams do not open on views and time series; a capped collection refuses updates \
             that grow",
});
const TABLE: Check = shared_checks::TABLE.requires(DATA);

const TTL: Check = Check {
    id: "ttl-index",
    severity: Severity::Error,
    rung: Rung::Schema,
    title: "no index deletes the heartbeat document",
    meaning: "A TTL index on last_update deletes the document if beats pause for long enough. Later beats then find no \
              document.",
    judged: "listIndexes. Fails if an index on last_update has expireAfterSeconds.",
    privilege: DATA,
    source: "https://www.mongodb.com/docs/manual/core/index-ttl/",
};
const VALIDATOR: Check = Check {
    id: "validator",
    severity: Severity::Error,
    rung: Rung::Schema,
    title: "the collection's validator accepts a beat",
    meaning: "A validator refuses documents that do not match it, including the document that a beat writes (error \
              121).",
    judged: "heartbeatd asks the server whether the document would match with a new date in last_update, and writes \
             nothing. Fails if it would not. Skipped if there is no document.",
    privilege: DATA,
    source: "https://www.mongodb.com/docs/manual/core/schema-validation/",
};

pub(super) const CHECKS: &[Check] = &[TABLE, KIND, TTL, VALIDATOR];

/// The longest time for which an index can keep documents: 68 years.
const FOR_EVER: u32 = 2_147_483_647;

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    vec![
        exists(evidence),
        evidence.with_collection(&KIND, |collection| kind(evidence, collection)),
        ttl(evidence),
        evidence.with_collection(&VALIDATOR, |collection| validator(evidence, collection)),
    ]
}

fn exists(evidence: &Evidence<'_>) -> Finding {
    let name = &evidence.names.table;
    match (&evidence.facts.collection, evidence.facts.row.answer()) {
        (Answer::Seen(Some(_)), _) => TABLE.ok(name, "it exists"),
        (Answer::Seen(None), _) => TABLE.failed(name, "there is no such collection").remedy(evidence.provision()),
        // A user who may not list collections can still see the documents.
        (Answer::Refused(_), Some(row)) if row.count > 0 => TABLE.ok(name, "it holds documents"),
        (refused @ Answer::Refused(_), _) => with(&TABLE, name, refused, DATA, |_| TABLE.ok(name, "it exists")),
    }
}

fn kind(evidence: &Evidence<'_>, collection: &CollectionFacts) -> Finding {
    let name = &evidence.names.table;
    let failed = |observed: String, remedy: String| {
        KIND.failed(name, observed).expected("an ordinary collection").remedy(remedy)
    };
    let another = || "name an ordinary collection under [target.heartbeat]".to_owned();
    match collection.kind.as_str() {
        _ if collection.capped => failed("a capped collection: it drops its oldest documents".to_owned(), another()),
        "view" => {
            let on = collection.view_on.as_deref().unwrap_or("another collection");
            failed(format!("a view on {on}"), format!("set table under [target.heartbeat] to {on}, or {}", another()))
        }
        "collection" => KIND.ok(name, "an ordinary collection"),
        "timeseries" => failed("a time series, whose documents are not updated one by one".to_owned(), another()),
        other => failed(format!("of the kind {other}"), another()),
    }
}

fn ttl(evidence: &Evidence<'_>) -> Finding {
    let name = &evidence.names.table;
    with(&TTL, name, &evidence.facts.ttl, DATA, |indexes| {
        let Some(index) =
            indexes.iter().find(|index| index.field == "last_update" && index.seconds < f64::from(FOR_EVER))
        else {
            return TTL.ok(name, "none on last_update");
        };
        let heartbeat = &evidence.target.heartbeat;
        TTL.failed(name, format!("{} deletes it {} s after the last beat", literal(&index.name), index.seconds))
            .expected("no expireAfterSeconds")
            .remedy(
                on_primary(format!(
                    "db.getSiblingDB({}).runCommand({{collMod: {}, index: {{name: {}, expireAfterSeconds: {FOR_EVER}}}}})",
                    literal(&heartbeat.schema),
                    literal(&heartbeat.table),
                    literal(&index.name)
                ))
                .note("keeps the index and lets nothing expire"),
            )
    })
}

fn validator(evidence: &Evidence<'_>, collection: &CollectionFacts) -> Finding {
    let name = &evidence.names.table;
    match collection.beat_refused {
        None => VALIDATOR.ok(name, "none that could be asked"),
        Some(false) => VALIDATOR.ok(name, "it accepts a date"),
        Some(true) => {
            VALIDATOR.failed(name, "it refuses a date in last_update").expected("last_update: a date").remedy(
                Remedy::advice("let it accept a date in last_update")
                    .then_run(on_primary(remedies::validator(evidence.target)).note("shows the validator")),
            )
        }
    }
}
