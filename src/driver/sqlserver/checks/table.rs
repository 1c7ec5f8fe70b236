//! The heartbeat table: its type, and whether it can store a beat.

use super::evidence::{CATALOGUE, Evidence, with};
use crate::driver::shared_checks::row;
use crate::driver::shared_checks::{COLUMNS, PRIMARY_KEY, TABLE};
use crate::driver::sqlserver::columns;
use crate::driver::sqlserver::facts::{self, TableFacts};
use crate::driver::sqlserver::identifier::quote;
use crate::driver::sqlserver::remedies::ORDINARY_TABLE;
use crate::finding::{Check, Finding, How, Rung, Severity};
use crate::plan::columns::words;
use crate::remedy::Remedy;

const SCHEMA: Check = row::SCHEMA.how(How {
    judged: "sys.schemas. Fails if no schema has the configured name.",
    privilege: "a login with a user in the database",
    source: "vendor page on heartbeats, troubleshooting: the schema streamkap exists",
});
const KIND: Check = row::KIND.how(How {
    judged: "sys.objects.type_desc and sys.tables. Fails unless it is USER_TABLE, and for a memory-optimized table; warns of a \
             system-versioned one.",
    privilege: "a login with a user in the database, and any privilege on the table",
    source: "Microsoft's page of sys.sp_cdc_enable_table: it accepts tables only",
});

const TRIGGERS: Check = Check {
    id: "instead-of-trigger",
    severity: Severity::Warning,
    rung: Rung::Schema,
    title: "no trigger takes the place of a beat's update",
    meaning: "An INSTEAD OF trigger runs in place of the update: the row changes only if the trigger writes it.",
    judged: "sys.triggers: fails if the table has one that is not disabled.",
    privilege: "a login with a user in the database, which sees the triggers of tables that it may use",
    source: "https://learn.microsoft.com/en-us/sql/t-sql/statements/create-trigger-transact-sql",
};

pub(super) const CHECKS: &[Check] = &[SCHEMA, TABLE, KIND, COLUMNS, PRIMARY_KEY, TRIGGERS];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    vec![
        schema(evidence),
        exists(evidence),
        kind(evidence),
        evidence.with_part(&COLUMNS, facts::COLUMNS, |table| columns(evidence, table)),
        evidence.with_part(&PRIMARY_KEY, facts::COLUMNS, |_| {
            evidence.with_part(&PRIMARY_KEY, facts::KEY, |table| primary_key(evidence, table))
        }),
        evidence.with_part(&TRIGGERS, facts::TRIGGERS, |table| triggers(evidence, table)),
    ]
}

fn schema(evidence: &Evidence<'_>) -> Finding {
    let name = quote(&evidence.target.heartbeat.schema);
    with(&SCHEMA, &name, &evidence.facts.table, CATALOGUE, |table| match table.schema {
        true => SCHEMA.ok(&name, "it exists"),
        false => SCHEMA
            .failed(&name, format!("there is no such schema that {} sees", evidence.names.user))
            .remedy(evidence.provision()),
    })
}

fn exists(evidence: &Evidence<'_>) -> Finding {
    let name = &evidence.names.table;
    with(&TABLE, name, &evidence.facts.table, CATALOGUE, |table| match table {
        TableFacts { kind: Some(_), .. } => TABLE.ok(name, "it exists"),
        TableFacts { schema: false, .. } => TABLE.skipped(name, "its schema is missing, which comes first"),
        _ => TABLE.failed(name, format!("it is missing, or hidden from {}", evidence.names.user)).remedy(
            Remedy::advice(format!("create it, if it is missing: {}", evidence.provision_in_words())).or_run(
                evidence
                    .as_owner(format!("GRANT SELECT, INSERT, UPDATE ON OBJECT::{name} TO {};", evidence.names.user))
                    .note("if it exists"),
            ),
        ),
    })
}

fn kind(evidence: &Evidence<'_>) -> Finding {
    let name = &evidence.names.table;
    with(&KIND, name, &evidence.facts.table, CATALOGUE, |table| match table.kind.as_deref() {
        None => KIND.skipped(name, "there is no such table, or it is hidden"),
        Some("USER_TABLE") if table.history => KIND
            .failed_as(Severity::Warning, name, "a system-versioned table: each beat adds an old row to its history")
            .expected("a table without history")
            .remedy(
                evidence
                    .as_owner(format!("ALTER TABLE {name} SET (SYSTEM_VERSIONING = OFF);"))
                    .note("keeps the rows that are in the history table, and adds no more"),
            ),
        Some("USER_TABLE") => KIND.ok(name, "an ordinary table"),
        Some(kind) => KIND.failed(name, format!("of the kind {kind}")).expected("USER_TABLE").remedy(ORDINARY_TABLE),
    })
}

fn columns(evidence: &Evidence<'_>, table: &TableFacts) -> Finding {
    let (name, faults) = (&evidence.names.table, columns::faults(table, false));
    if faults.is_empty() {
        return COLUMNS.ok(name, "id and last_update");
    }
    COLUMNS
        .failed(name, words(&faults))
        .expected("id, and last_update of a type that holds a time")
        .remedy(columns::mend(evidence.target, name, table, &faults))
}

fn primary_key(evidence: &Evidence<'_>, table: &TableFacts) -> Finding {
    let name = &evidence.names.table;
    let key: Vec<&str> = table.columns.iter().filter(|column| column.key).map(|column| column.name.as_str()).collect();
    if matches!(key.as_slice(), [only] if only.eq_ignore_ascii_case("id")) {
        return PRIMARY_KEY.ok(name, "id");
    }
    let Some(id) = table.column("id") else {
        return PRIMARY_KEY.skipped(name, "the table has no column id, which comes first");
    };
    let observed = if key.is_empty() { "it has none".to_owned() } else { key.join(", ") };
    if table.unique_id {
        return PRIMARY_KEY.ok(name, format!("{observed}, and id is unique"));
    }
    let script = match (key.is_empty(), id.nullable) {
        (true, false) => format!("ALTER TABLE {name} ADD PRIMARY KEY (id);"),
        (true, true) => {
            format!("ALTER TABLE {name} ALTER COLUMN id {} NOT NULL; ALTER TABLE {name} ADD PRIMARY KEY (id);", id.kind)
        }
        // Another key is kept: something may rely on it.
        (false, _) => format!("ALTER TABLE {name} ADD UNIQUE (id);"),
    };
    PRIMARY_KEY.failed(name, observed).expected("id").remedy(evidence.as_owner(script))
}

fn triggers(evidence: &Evidence<'_>, table: &TableFacts) -> Finding {
    let name = &evidence.names.table;
    if table.instead_of.is_empty() {
        return TRIGGERS.ok(name, "none");
    }
    let first = table.instead_of.iter().map(|trigger| quote(trigger)).collect::<Vec<_>>().join(", ");
    TRIGGERS
        .failed(name, format!("INSTEAD OF triggers: {first}"))
        .expected("none")
        .remedy(evidence.as_owner(format!("ALTER TABLE {name} DISABLE TRIGGER {first};")).note("if it is not intended"))
}
