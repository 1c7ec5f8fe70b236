//! The heartbeat table.

use super::evidence::{CATALOGUE, Evidence, with};
use crate::driver::postgres::columns::mend;
use crate::driver::postgres::connect::ALL_DIGITS;
use crate::driver::postgres::facts::Relation;
use crate::driver::postgres::identifier::quote;
use crate::driver::shared_checks::row;
use crate::driver::shared_checks::{COLUMNS, PRIMARY_KEY, TABLE};
use crate::finding::{Check, Finding, How, Rung, Severity};
use crate::plan::columns;
use crate::remedy::Remedy;

const SCHEMA: Check = row::SCHEMA.how(How {
    judged: "pg_namespace, which hides nothing (information_schema.schemata hides schemas without privileges). Fails if \
             no schema has the configured name.",
    privilege: CATALOGUE,
    source: "vendor page on heartbeats, troubleshooting: the schema streamkap exists",
});
const KIND: Check = row::KIND.how(How {
    judged: "pg_class.relkind. Fails unless it is r (ordinary) or p (partitioned).",
    privilege: CATALOGUE,
    source: "https://www.postgresql.org/docs/current/sql-createpublication.html",
});

const LOGGED: Check = Check {
    id: "table-logged",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "the heartbeat table is logged",
    meaning: "Changes of an unlogged table are not in the WAL, so no connector and no standby receives them.",
    judged: "pg_class.relpersistence. Fails unless it is p (permanent).",
    privilege: CATALOGUE,
    source: "https://www.postgresql.org/docs/current/sql-createpublication.html",
};
const INDEX: Check = Check {
    id: "last-update-index",
    severity: Severity::Info,
    rung: Rung::Advice,
    title: "last_update is not indexed",
    meaning: "Without an index on last_update a beat is a heap-only update that leaves nothing to vacuum. With one, \
              every beat adds an index entry.",
    judged: "pg_index. Fails if an index contains last_update.",
    privilege: CATALOGUE,
    source: "measured: 3,480 of 3,502 beats were heap-only",
};

const NO_TABLE: &str = "it is not an ordinary table";

pub(super) const CHECKS: &[Check] = &[SCHEMA, TABLE, KIND, LOGGED, COLUMNS, PRIMARY_KEY, INDEX];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let name = &evidence.names.table;
    vec![
        schema(evidence),
        exists(evidence),
        evidence.with_table(&KIND, |relation| kind(relation, evidence)),
        evidence.with_table(&LOGGED, |relation| match relation.persistence.as_str() {
            _ if !relation.is_table() => LOGGED.skipped(name, NO_TABLE),
            "p" => LOGGED.ok(name, "it is"),
            _ => LOGGED.failed(name, "it is unlogged").remedy(Remedy::sql(format!("ALTER TABLE {name} SET LOGGED;"))),
        }),
        evidence.with_table(&COLUMNS, |relation| columns(relation, name)),
        evidence.with_table(&PRIMARY_KEY, |relation| primary_key(relation, name)),
        evidence.with_table(&INDEX, |relation| index(relation, name)),
    ]
}

fn schema(evidence: &Evidence<'_>) -> Finding {
    let name = quote(&evidence.target.heartbeat.schema);
    with(&SCHEMA, &name, &evidence.facts.table, |facts| match &facts.schema {
        Some(_) => SCHEMA.ok(&name, "it exists"),
        None => SCHEMA
            .failed(
                &name,
                format!("the database {} has no schema of that name", quote(&evidence.facts.server.database)),
            )
            .remedy(elsewhere(&facts.elsewhere, evidence)),
    })
}

fn exists(evidence: &Evidence<'_>) -> Finding {
    let name = &evidence.names.table;
    with(&TABLE, name, &evidence.facts.table, |facts| {
        if facts.table.is_some() {
            return TABLE.ok(name, "it exists");
        }
        if facts.schema.is_none() {
            return TABLE.skipped(name, "there is no such schema");
        }
        let observed = match facts.elsewhere.as_slice() {
            [] => format!("the database {} has no table of that name", quote(&evidence.facts.server.database)),
            found => format!("it is in another place: {}", found.join(", ")),
        };
        TABLE.failed(name, observed).remedy(elsewhere(&facts.elsewhere, evidence))
    })
}

/// The remedy for a table that is not at its configured place.
fn elsewhere(found: &[String], evidence: &Evidence<'_>) -> Remedy {
    match found {
        [] => evidence.provision(),
        [first, ..] => Remedy::advice(format!(
            "if {first} is the heartbeat, set schema and table under [target.heartbeat] to it; if not, create it"
        ))
        .or_run(evidence.provision()),
    }
}

fn kind(relation: &Relation, evidence: &Evidence<'_>) -> Finding {
    let name = &evidence.names.table;
    let (observed, drop) = match relation.kind.as_str() {
        "r" => return KIND.ok(name, "an ordinary table"),
        "p" => return KIND.ok(name, "a partitioned table"),
        "v" => ("a view", "VIEW"),
        "m" => ("a materialized view", "MATERIALIZED VIEW"),
        "f" => ("a foreign table", "FOREIGN TABLE"),
        "S" => ("a sequence", "SEQUENCE"),
        "i" | "I" => ("an index", "INDEX"),
        _ => ("no table", "TYPE"),
    };
    KIND.failed(name, observed).expected("an ordinary table").remedy(
        Remedy::sql(format!("ALTER {drop} {name} RENAME TO {};", quote("not_the_heartbeat")))
            .note(format!("then run {}", evidence.provision_in_words())),
    )
}

fn columns(relation: &Relation, name: &str) -> Finding {
    let found = relation.judged_columns();
    let faults = columns::judge(&found, false);
    if faults.is_empty() {
        let shown = relation.columns.iter().take(10).map(|column| format!("{} {}", column.name, column.kind));
        let shown = shown.collect::<Vec<_>>().join(", ");
        let coarse =
            relation.column("last_update").and_then(|column| column.digits).filter(|digits| *digits < ALL_DIGITS);
        return COLUMNS.ok(
            name,
            match coarse {
                Some(digits) => format!("{shown}; last_update keeps {digits} decimal digits of a second"),
                None => shown,
            },
        );
    }
    COLUMNS
        .failed(name, columns::words(&faults))
        .expected("id integer, text text, last_update timestamp")
        .remedy(mend(name, &found, &faults))
}

fn primary_key(relation: &Relation, name: &str) -> Finding {
    match relation.primary_key.as_slice() {
        [only] if only == "id" => PRIMARY_KEY.ok(name, "id"),
        _ if !relation.is_table() => PRIMARY_KEY.skipped(name, NO_TABLE),
        _ if relation.column("id").is_none() => PRIMARY_KEY.skipped(name, "the table has no column id"),
        [] => PRIMARY_KEY
            .failed(name, "none")
            .expected("id")
            .remedy(Remedy::sql(format!("ALTER TABLE {name} ADD PRIMARY KEY (id);"))),
        others if relation.unique_id => {
            PRIMARY_KEY.ok(name, format!("{}; and id alone is unique, too", others.join(", ")))
        }
        // On a partitioned table, every unique index must contain the partition key.
        others if relation.kind == "p" => PRIMARY_KEY.failed(name, others.join(", ")).expected("id").remedy(
            "see to it that no two rows have the same id: an index of a partitioned table holds its partition key",
        ),
        others => PRIMARY_KEY
            .failed(name, others.join(", "))
            .expected("id")
            .remedy(Remedy::sql(format!("ALTER TABLE {name} ADD UNIQUE (id);"))),
    }
}

fn index(relation: &Relation, name: &str) -> Finding {
    let indexes = &relation.last_update_indexes;
    if indexes.is_empty() {
        return INDEX.ok(name, "no index holds it");
    }
    INDEX.failed(name, format!("indexed by {}", indexes.join(", "))).expected("no index").remedy(
        Remedy::advice("find out whether a query or a constraint needs the index; if none does, drop it")
            .then_run(Remedy::sql(format!("DROP INDEX {};", indexes.join(", ")))),
    )
}
