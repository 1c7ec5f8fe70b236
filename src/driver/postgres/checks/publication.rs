//! The publication: whether a beat reaches the connector.

use super::evidence::{CATALOGUE, Evidence, with};
use crate::driver::answer::Answer;
use crate::driver::postgres::errors::PASSING;
use crate::driver::postgres::facts::{PublicationFacts, Relation, RowFacts};
use crate::driver::postgres::family::publication_of;
use crate::driver::postgres::identifier::quote;
use crate::finding::{Check, Finding, Rung, Severity};
use crate::remedy::Remedy;

const PAGE: &str = "vendor page on heartbeats, troubleshooting: the table updates and the connector sees nothing";

const EXISTS: Check = Check {
    id: "publication-exists",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "the publication exists",
    meaning: "The connector reads the changes of a publication. Without the publication it receives none.",
    judged: "pg_publication. Fails if the publication that you configured does not exist. The default name may be \
             absent.",
    privilege: CATALOGUE,
    source: PAGE,
};
const MEMBERSHIP: Check = Check {
    id: "publication-membership",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "the publication holds the heartbeat table",
    meaning: "If the table is not in the publication, beats succeed but the connector never receives them, and its \
              position does not advance.",
    judged: "pg_publication_tables, which also lists the members of FOR ALL TABLES and of TABLES IN SCHEMA. Fails if \
             it does not list the table.",
    privilege: CATALOGUE,
    source: PAGE,
};
const UPDATES: Check = Check {
    id: "publication-updates",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "the publication publishes updates",
    meaning: "A beat is an UPDATE. A publication of inserts only does not contain it.",
    judged: "pg_publication.pubupdate. Fails if it is false.",
    privilege: CATALOGUE,
    source: "measured: a publication of inserts emits nothing for a beat",
};
const FILTER: Check = Check {
    id: "publication-row-filter",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "no row filter of the publication drops the heartbeat row",
    meaning: "If the filter does not match the row, the publication drops its changes without an error.",
    judged: "pg_publication_tables.rowfilter, evaluated on the heartbeat row. Fails unless it is true. From PostgreSQL \
             15.",
    privilege: "SELECT on the heartbeat table, and USAGE on its schema",
    source: "measured: a filter id > 5 drops the beats of row 1",
};
const COLUMNS: Check = Check {
    id: "publication-columns",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "the publication's column list holds id and last_update",
    meaning: "Without last_update the event contains nothing new. Without id the server refuses the UPDATE itself.",
    judged: "pg_publication_tables.attnames. Fails if it lacks one of the two. From PostgreSQL 15.",
    privilege: CATALOGUE,
    source: "https://www.postgresql.org/docs/current/logical-replication-col-lists.html",
};
const IDENTITY: Check = Check {
    id: "replica-identity",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "the table has a replica identity, so that its updates can be published",
    meaning: "Once a publication publishes the table's updates, the server refuses every UPDATE of a table without a \
              replica identity, so the beat fails.",
    judged: "pg_class.relreplident and the primary key. An error if updates are published, otherwise a warning.",
    privilege: CATALOGUE,
    source: "https://www.postgresql.org/docs/current/logical-replication-publication.html; measured: SQLSTATE 55000",
};

pub(super) const CHECKS: &[Check] = &[EXISTS, MEMBERSHIP, UPDATES, FILTER, COLUMNS, IDENTITY];

/// The publication's name, plain for sentences and quoted for SQL.
fn name(evidence: &Evidence<'_>) -> String {
    quote(&publication_of(evidence.target).name)
}

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let name = &name(evidence);
    let published = &evidence.facts.publication;
    vec![
        with(&EXISTS, name, published, |facts| exists(evidence, facts)),
        with(&MEMBERSHIP, name, published, |facts| membership(evidence, facts)),
        with(&UPDATES, name, published, |facts| updates(evidence, facts)),
        with(&FILTER, name, published, |facts| filter(evidence, facts)),
        with(&COLUMNS, name, published, |facts| columns(evidence, facts)),
        evidence.with_table(&IDENTITY, |relation| {
            with(&IDENTITY, &evidence.names.table, published, |facts| identity(evidence, facts, relation))
        }),
    ]
}

fn exists(evidence: &Evidence<'_>, facts: &PublicationFacts) -> Finding {
    let name = name(evidence);
    if facts.named.is_some() {
        return EXISTS.ok(&name, "it exists");
    }
    let others = match facts.others.as_slice() {
        [] => String::new(),
        others => format!("; the table is in {}", others.join(", ")),
    };
    if !publication_of(evidence.target).configured {
        let why = format!("none has the default name{others}: say under [target.connector] which one is read");
        return EXISTS.skipped(&name, why);
    }
    let database = quote(&evidence.facts.server.database);
    EXISTS.failed(&name, format!("the database {database} has no publication of that name{others}")).remedy(
        Remedy::sql(format!("CREATE PUBLICATION {name} FOR TABLE {};", evidence.names.table))
            .note("with every table that the connector captures, separated by commas"),
    )
}

fn membership(evidence: &Evidence<'_>, facts: &PublicationFacts) -> Finding {
    let name = name(evidence);
    let Some(publication) = &facts.named else { return MEMBERSHIP.skipped(&name, "there is no such publication") };
    let Some(relation) = evidence.relation() else { return MEMBERSHIP.skipped(&name, "there is no such table") };
    if publication.table.is_some() {
        let how = if publication.puballtables { "it is one of all tables" } else { "it is a member" };
        return MEMBERSHIP.ok(&name, how);
    }
    if relation.persistence != "p" || !relation.is_table() {
        return MEMBERSHIP.skipped(&name, "the table cannot be published, which comes first");
    }
    MEMBERSHIP
        .failed(&name, format!("{} is not in it", evidence.names.table))
        .expected("the heartbeat table as a member")
        .remedy(Remedy::sql(format!("ALTER PUBLICATION {name} ADD TABLE {};", evidence.names.table)))
}

fn updates(evidence: &Evidence<'_>, facts: &PublicationFacts) -> Finding {
    let name = name(evidence);
    let Some(publication) = &facts.named else { return UPDATES.skipped(&name, "there is no such publication") };
    let flags = [
        ("insert", publication.pubinsert),
        ("update", publication.pubupdate),
        ("delete", publication.pubdelete),
        ("truncate", publication.pubtruncate.unwrap_or(false)),
    ];
    let words = |also: &str| -> String {
        let words = flags.iter().filter(|(word, on)| *on || *word == also).map(|(word, _)| *word);
        words.collect::<Vec<_>>().join(", ")
    };
    if publication.pubupdate {
        return UPDATES.ok(&name, words(""));
    }
    let observed = words("");
    UPDATES
        .failed(&name, if observed.is_empty() { "nothing at all".to_owned() } else { format!("only {observed}") })
        .expected("update among them")
        .remedy(Remedy::sql(format!("ALTER PUBLICATION {name} SET (publish = '{}');", words("update"))))
}

/// Removing the table and adding it again is the only way to drop both its filter and its column list on every version.
fn publish_whole(evidence: &Evidence<'_>) -> Remedy {
    let (name, table) = (name(evidence), &evidence.names.table);
    Remedy::sql(format!(
        "BEGIN; ALTER PUBLICATION {name} DROP TABLE {table}; ALTER PUBLICATION {name} ADD TABLE {table}; COMMIT;"
    ))
}

fn filter(evidence: &Evidence<'_>, facts: &PublicationFacts) -> Finding {
    let name = name(evidence);
    if facts.named.as_ref().is_none_or(|publication| publication.table.is_none()) {
        return FILTER.skipped(&name, "the table is not in the publication");
    }
    let Some(filter) = facts.row_filter() else { return FILTER.ok(&name, "there is none") };
    let rows: Option<&Answer<RowFacts>> = evidence.facts.row.as_ref();
    match rows.map(Answer::seen) {
        Some(Ok(rows)) if rows.ids.first() != Some(&evidence.target.heartbeat.row_number()) => {
            FILTER.skipped(&name, "there is no such row, or it is hidden")
        }
        Some(Ok(rows)) if rows.passes_filter == Some(true) => FILTER.ok(&name, format!("the row passes {filter}")),
        Some(Ok(_)) => FILTER
            .failed(&name, format!("the row does not pass {filter}"))
            .expected("no filter on the heartbeat table")
            .remedy(publish_whole(evidence)),
        Some(Err(refusal)) => FILTER.unknown(&name, refusal.unless(FILTER.privilege, PASSING)),
        None => FILTER.skipped(&name, "the table has no column id"),
    }
}

fn columns(evidence: &Evidence<'_>, facts: &PublicationFacts) -> Finding {
    let name = name(evidence);
    let Some(table) = facts.named.as_ref().and_then(|publication| publication.table.as_ref()) else {
        return COLUMNS.skipped(&name, "the table is not in the publication");
    };
    let Some(columns) = &table.attnames else { return COLUMNS.ok(&name, "there is no column list in this version") };
    let relation = evidence.relation();
    let there = |column: &str| relation.is_some_and(|relation| relation.column(column).is_some());
    let lacks = |column: &&str| there(column) && !columns.iter().any(|held| held == column);
    let missing: Vec<&str> = ["id", "last_update"].into_iter().filter(lacks).collect();
    if missing.is_empty() {
        return COLUMNS.ok(&name, columns.iter().take(10).cloned().collect::<Vec<_>>().join(", "));
    }
    COLUMNS
        .failed(&name, format!("without {}", missing.join(" and ")))
        .expected("id and last_update")
        .remedy(publish_whole(evidence))
}

fn identity(evidence: &Evidence<'_>, facts: &PublicationFacts, relation: &Relation) -> Finding {
    let table = &evidence.names.table;
    if !relation.is_table() {
        return IDENTITY.skipped(table, "it is not an ordinary table");
    }
    if let (true, parts @ [_, ..]) = (relation.kind == "p", facts.partitions_without_identity.as_slice()) {
        let severity = if facts.updates_published { Severity::Error } else { Severity::Warning };
        let remedy: Vec<String> =
            parts.iter().map(|part| format!("ALTER TABLE {part} REPLICA IDENTITY DEFAULT;")).collect();
        return IDENTITY
            .failed_as(severity, table, format!("nothing, in the partitions {}", parts.join(", ")))
            .expected("the primary key")
            .remedy(Remedy::sql(remedy.join(" ")));
    }
    let observed = match relation.replica_identity.as_str() {
        "f" => return IDENTITY.ok(table, "the whole row"),
        "i" if relation.identity_index => return IDENTITY.ok(table, "an index"),
        "d" if !relation.primary_key.is_empty() => return IDENTITY.ok(table, "the primary key"),
        "d" => "the primary key, and there is none",
        "i" => "an index that is gone",
        _ => "nothing",
    };
    let severity = if facts.updates_published { Severity::Error } else { Severity::Warning };
    let default = format!("ALTER TABLE {table} REPLICA IDENTITY DEFAULT;");
    let remedy = match (relation.primary_key.is_empty(), relation.replica_identity.as_str()) {
        (true, "d") => format!("ALTER TABLE {table} ADD PRIMARY KEY (id);"),
        (true, _) => format!("ALTER TABLE {table} ADD PRIMARY KEY (id); {default}"),
        (false, _) => default,
    };
    IDENTITY.failed_as(severity, table, observed).expected("the primary key").remedy(Remedy::sql(remedy))
}
