//! The heartbeat table and its row.

use super::evidence::{Evidence, with};
use crate::driver::oracle::facts::RowFacts;
use crate::driver::oracle::identifier::{quote, stored};
use crate::driver::oracle::remedies::{as_administrator, grant_on, mend, new_user};
use crate::driver::shared_checks::row::{self, MOVES, moves};
use crate::driver::shared_checks::{COLUMNS, FRESH, PRIMARY_KEY, ROW, SINGLE, TABLE, freshness};
use crate::finding::{Check, Finding, How};
use crate::plan::columns;
use crate::remedy::Remedy;

const SCHEMA: Check = row::SCHEMA.how(How {
    judged: "ALL_USERS: a schema is a user. Fails if no user has the configured name.",
    privilege: "a login",
    source: "vendor page on heartbeats, troubleshooting: the schema streamkap exists",
});
const KIND: Check = row::KIND.how(How {
    judged: "ALL_OBJECTS. Fails unless it is a TABLE, and for a temporary one.",
    privilege: "any privilege on the table",
    source: "Oracle's documentation of LogMiner, supported objects",
});

pub(super) const CHECKS: &[Check] = &[SCHEMA, TABLE, KIND, COLUMNS, PRIMARY_KEY, ROW, SINGLE, FRESH, MOVES];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    vec![
        schema(evidence),
        exists(evidence),
        kind(evidence),
        columns(evidence),
        primary_key(evidence),
        evidence.with_rows(&ROW, |rows| row(evidence, rows)),
        evidence.with_rows(&SINGLE, |rows| single(evidence, rows)),
        evidence.with_rows(&FRESH, |rows| fresh(evidence, rows)),
        evidence.with_rows(&MOVES, |rows| moves(evidence, rows.last_update, earlier(evidence))),
    ]
}

/// A schema is a user, and every user can read all user names.
fn schema(evidence: &Evidence<'_>) -> Finding {
    let owner = stored(&evidence.target.heartbeat.schema);
    let name = quote(&owner);
    if evidence.is_in_root() {
        return SCHEMA.skipped(&name, "the session is in the root container, which comes first");
    }
    with(&SCHEMA, &name, &evidence.facts.users, &evidence.catalogue(), |users| {
        if users.contains(&owner) {
            return SCHEMA.ok(&name, "the user exists");
        }
        SCHEMA
            .failed(&name, "there is no user of that name, so there is no such schema")
            .remedy(new_user(&owner, true).note(format!("then run: {}", evidence.provision_in_words())))
    })
}

/// Oracle's error is the same for a missing table and for one that this user may not see.
fn exists(evidence: &Evidence<'_>) -> Finding {
    let (name, user) = (&evidence.names.table, &evidence.names.user);
    with(&TABLE, name, &evidence.facts.objects, &evidence.catalogue(), |objects| {
        if evidence.facts.own_object(&evidence.target.heartbeat).is_some() {
            return TABLE.ok(name, "it exists");
        }
        if evidence.is_in_root() {
            return TABLE.skipped(name, "the session is in the root container, which comes first");
        }
        let elsewhere: Vec<String> = objects
            .iter()
            .filter(|object| object.kind == "TABLE")
            .map(|object| format!("{}.{}", quote(&object.owner), quote(&evidence.target.heartbeat.table)))
            .collect();
        let observed = match elsewhere.as_slice() {
            [] => format!("it is missing, or {user} may not see it"),
            found => format!("it is in another schema: {}", found.join(", ")),
        };
        let remedy = match elsewhere.first() {
            Some(first) => format!(
                "if {first} is the heartbeat, set schema under [target.heartbeat] to its owner, and let the connector's \
                 include list name it; if not, create it: {}",
                evidence.provision_in_words()
            )
            .into(),
            None => Remedy::advice(format!("create it: {}", evidence.provision_in_words()))
                .or_run(grant_on("SELECT, UPDATE", name, user).note("if it exists, and the user may not see it")),
        };
        TABLE.failed(name, observed).remedy(remedy)
    })
}

fn kind(evidence: &Evidence<'_>) -> Finding {
    let name = &evidence.names.table;
    match evidence.facts.own_object(&evidence.target.heartbeat) {
        Some("TABLE") => KIND.ok(name, "a table"),
        Some(other) => KIND
            .failed(name, format!("a {}", other.to_lowercase()))
            .expected("a table")
            .remedy("name an ordinary table under [target.heartbeat]: the connector sees no changes of another object"),
        None => KIND.skipped(name, "there is no such table, or it is hidden"),
    }
}

fn columns(evidence: &Evidence<'_>) -> Finding {
    let name = &evidence.names.table;
    if !evidence.has_table() {
        return COLUMNS.skipped(name, "there is no such table, or it is hidden");
    }
    with(&COLUMNS, name, &evidence.facts.columns, &evidence.catalogue(), |found| {
        let faults = columns::judge(found, false);
        if faults.is_empty() {
            return COLUMNS.ok(name, "ID and LAST_UPDATE are right");
        }
        COLUMNS
            .failed(name, columns::words(&faults))
            .expected("ID a number, LAST_UPDATE a time")
            .remedy(mend(name, &faults))
    })
}

fn primary_key(evidence: &Evidence<'_>) -> Finding {
    let name = &evidence.names.table;
    if !evidence.has_table() {
        return PRIMARY_KEY.skipped(name, "there is no such table, or it is hidden");
    }
    with(&PRIMARY_KEY, name, &evidence.facts.primary_key, &evidence.catalogue(), |key| match key.as_slice() {
        [only] if only == "ID" => PRIMARY_KEY.ok(name, "ID"),
        key if evidence.facts.unique_id => {
            let key = if key.is_empty() { "it has none".to_owned() } else { key.join(", ") };
            PRIMARY_KEY.ok(name, format!("{key}, and ID is unique"))
        }
        [] => PRIMARY_KEY
            .failed(name, "it has none")
            .expected("ID")
            .remedy(as_administrator(format!("ALTER TABLE {name} ADD PRIMARY KEY (ID);"))),
        other => PRIMARY_KEY
            .failed(name, other.join(", "))
            .expected("ID")
            .remedy(as_administrator(format!("ALTER TABLE {name} ADD UNIQUE (ID);"))),
    })
}

fn row(evidence: &Evidence<'_>, rows: &RowFacts) -> Finding {
    let (name, wanted) = (&evidence.names.table, evidence.target.heartbeat.row_number());
    if rows.found > 0 {
        return ROW.ok(name, format!("ID {wanted}"));
    }
    let (observed, remedy) = match rows.other {
        Some(other) => (
            format!("there is ID {other} and not {wanted}"),
            format!("set row = {other} under [target.heartbeat] to adopt it"),
        ),
        None => ("the table is empty".to_owned(), format!("create it: {}", evidence.provision_in_words())),
    };
    ROW.failed(name, observed).expected(format!("ID {wanted}")).remedy(remedy)
}

fn single(evidence: &Evidence<'_>, rows: &RowFacts) -> Finding {
    let name = &evidence.names.table;
    if rows.count <= 1 {
        return SINGLE.ok(name, format!("{}", rows.count));
    }
    if rows.found == 0 {
        return SINGLE.skipped(name, "the configured row is not among them, which comes first");
    }
    SINGLE
        .failed(name, format!("{} rows", rows.count))
        .expected("one")
        .remedy("find out what inserts rows, and let it update the row instead; the other rows do no harm")
}

fn fresh(evidence: &Evidence<'_>, rows: &RowFacts) -> Finding {
    let name = &evidence.names.table;
    if rows.found == 0 {
        return FRESH.skipped(name, "there is no such row, which comes first");
    }
    let age = rows.last_update.map(|value| evidence.facts.context.time.saturating_sub(value));
    freshness::judge(&FRESH, name, age, evidence.case)
}

/// `last_update` at the earlier inspection, if that inspection saw the row.
fn earlier(evidence: &Evidence<'_>) -> Option<Option<i64>> {
    let rows = evidence.earlier.as_ref()?.row.answer()?;
    (rows.found > 0).then_some(rows.last_update)
}
