//! How other publications affect the heartbeat, and how the connector's publication affects other tables.

use super::evidence::{CATALOGUE, Evidence, with};
use crate::driver::postgres::errors::PASSING;
use crate::driver::postgres::facts::{HoldingPublication, PublicationFacts};
use crate::driver::postgres::family::publication_of;
use crate::driver::postgres::identifier::quote;
use crate::finding::{Check, Finding, Rung, Severity};
use crate::remedy::Remedy;

const NARROWED: Check = Check {
    id: "publication-identity",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "no publication refuses the beat because of its row filter or column list",
    meaning: "If any publication of the table filters by a column outside the replica identity, or leaves out a column of \
              it, the server refuses every UPDATE of the table, whichever publication the connector reads.",
    judged: "pg_publication_rel, pg_publication.pubupdate and the replica identity. Fails for each publication of updates \
             whose row filter names a column outside the replica identity, or whose column list lacks one of its columns. \
             From PostgreSQL 15.",
    privilege: CATALOGUE,
    source: "https://www.postgresql.org/docs/current/logical-replication-row-filter.html; measured: SQLSTATE 42P10",
};
const ALONE: Check = Check {
    id: "publication-tables",
    severity: Severity::Warning,
    rung: Rung::Tracking,
    title: "the publication holds more than the heartbeat table",
    meaning: "A publication that was created again for the heartbeat alone looks healthy: the beats arrive. The connector \
              receives no other table.",
    judged: "pg_publication_tables. Fails if the heartbeat table, with its partitions, is the only one.",
    privilege: CATALOGUE,
    source: "seen after a schema was reset and its publication created again",
};

pub(super) const CHECKS: &[Check] = &[NARROWED, ALONE];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let (table, published) = (&evidence.names.table, &evidence.facts.publication);
    let alone = quote(&publication_of(evidence.target).name);
    let mut findings = match published.seen() {
        Ok(facts) => narrowed(evidence, facts),
        Err(refusal) => vec![NARROWED.unknown(table, refusal.unless(NARROWED.privilege, PASSING))],
    };
    findings.push(with(&ALONE, &alone, published, |facts| tables(evidence, facts, &alone)));
    findings
}

/// Whether a publication makes the server refuse the UPDATE, and the remedy.
fn refusal(evidence: &Evidence<'_>, facts: &PublicationFacts, held: &HoldingPublication) -> Option<Finding> {
    let (table, name) = (&evidence.names.table, quote(&held.name));
    let own = held.name == publication_of(evidence.target).name;
    let failed = |observed: String| Some(NARROWED.failed(&name, observed));
    let without = |wanted: &[String], there: &[String]| -> Vec<String> {
        wanted.iter().filter(|column| !there.contains(column)).cloned().collect()
    };
    match (&facts.identity, &held.columns) {
        (None, Some(_)) => {
            let observed = "its column list is no longer allowed: the replica identity is the whole row".to_owned();
            return failed(observed).map(|finding| {
                finding
                    .expected("every column, or the primary key as the replica identity")
                    .remedy(again(table, held, None))
            });
        }
        // A connector's own publication without `id` is the finding of publication-columns.
        (Some(_), Some(columns)) if own && !columns.iter().any(|column| column == "id") => return None,
        (Some(identity), Some(columns)) if !without(identity, columns).is_empty() => {
            let missing = without(identity, columns);
            let all: Vec<String> = columns.iter().chain(&missing).cloned().collect();
            let observed = format!("its column list lacks {} of the replica identity", missing.join(" and "));
            return failed(observed).map(|finding| {
                finding.expected("every column of the replica identity").remedy(again(table, held, Some(&all)))
            });
        }
        _ => {}
    }
    let identity = facts.identity.as_ref()?;
    let outside = without(&held.filter_columns, identity);
    if outside.is_empty() {
        return None;
    }
    let observed = format!("its row filter names {}, outside the replica identity", outside.join(" and "));
    let remedy = match held.columns {
        // If the replica identity is the whole row, the server allows no column list.
        Some(_) => again(table, &HoldingPublication { filter: None, ..held.clone() }, held.columns.as_deref()),
        None => Remedy::sql(format!("ALTER TABLE {table} REPLICA IDENTITY FULL;")),
    };
    failed(observed).map(|finding| finding.expected("a filter on columns of the replica identity").remedy(remedy))
}

/// Removes the table from a publication and adds it again. `SET TABLE` would drop every other table.
fn again(table: &str, held: &HoldingPublication, columns: Option<&[String]>) -> Remedy {
    let name = quote(&held.name);
    let list = columns.map_or(String::new(), |columns| {
        format!(" ({})", columns.iter().map(|column| quote(column)).collect::<Vec<_>>().join(", "))
    });
    let filter = held.filter.as_ref().map_or(String::new(), |filter| format!(" WHERE {filter}"));
    Remedy::sql(format!(
        "BEGIN; ALTER PUBLICATION {name} DROP TABLE {table}; ALTER PUBLICATION {name} ADD TABLE {table}{list}{filter}; COMMIT;"
    ))
}

fn narrowed(evidence: &Evidence<'_>, facts: &PublicationFacts) -> Vec<Finding> {
    let table = &evidence.names.table;
    let publishing = facts.narrowed.iter().filter(|held| held.updates);
    let refusals: Vec<Finding> = publishing.filter_map(|held| refusal(evidence, facts, held)).collect();
    if !refusals.is_empty() {
        return refusals;
    }
    vec![match facts.narrowed.as_slice() {
        [] => NARROWED.ok(table, "no publication has a row filter or a column list for it"),
        some => {
            let names: Vec<&str> = some.iter().map(|held| held.name.as_str()).collect();
            NARROWED.ok(table, format!("the filters and lists of {} fit the replica identity", names.join(", ")))
        }
    }]
}

fn tables(evidence: &Evidence<'_>, facts: &PublicationFacts, name: &str) -> Finding {
    let Some(publication) = &facts.named else { return ALONE.skipped(name, "there is no such publication") };
    if publication.table.is_none() {
        return ALONE.skipped(name, "the table is not in the publication, which comes first");
    }
    match publication.other_tables {
        None => ALONE.unknown(name, "the facts do not hold it"),
        Some(0) => ALONE
            .failed(name, format!("{} is the only table in it", evidence.names.table))
            .expected("every table that the connector captures")
            .remedy(format!(
                "add every table that the connector captures to the publication (ALTER PUBLICATION {name} ADD TABLE …)"
            )),
        Some(1) => ALONE.ok(name, "one other table"),
        Some(others) => ALONE.ok(name, format!("{others} other tables")),
    }
}
