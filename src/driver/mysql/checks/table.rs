//! The heartbeat table.

use super::evidence::{Evidence, with};
use super::writer::DENIED;
use crate::driver::mysql::columns::{judged, mend, set_aside};
use crate::driver::mysql::error_codes;
use crate::driver::mysql::errors::PASSING;
use crate::driver::mysql::facts::Relation;
use crate::driver::mysql::identifier::quote;
use crate::driver::shared_checks::row;
use crate::driver::shared_checks::{COLUMNS, PRIMARY_KEY, TABLE};
use crate::finding::{Check, Finding, How, Rung, Severity};
use crate::plan::columns;
use crate::remedy::Remedy;

const SCHEMA: Check = row::SCHEMA.how(How {
    judged: "information_schema.SCHEMATA. The server hides a schema on which this user has no privilege; the finding \
             then says that it is missing or hidden.",
    privilege: "any privilege on the schema",
    source: "vendor page on heartbeats, troubleshooting: the schema streamkap exists",
});
const KIND: Check = row::KIND.how(How {
    judged: "information_schema.TABLES.TABLE_TYPE. Fails unless it is BASE TABLE or SYSTEM VERSIONED; warns \
             of the latter unless last_update is WITHOUT SYSTEM VERSIONING.",
    privilege: "any privilege on the table",
    source: "https://dev.mysql.com/doc/refman/8.4/en/binary-log-formats.html",
});

const ENGINE: Check = Check {
    id: "table-engine",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "the heartbeat table uses a transactional engine",
    meaning: "Some engines keep the row only in memory, or not at all. Others are logged but not crash-safe, so log \
              and table differ after a crash. Galera and group replication do not replicate such engines, or refuse \
              them.",
    judged: "information_schema.TABLES.ENGINE. An error for engines that lose the row or do not update it, a warning \
             for engines without transactions.",
    privilege: "any privilege on the table",
    source: "https://dev.mysql.com/doc/refman/8.4/en/storage-engines.html; measured on MariaDB and MySQL",
};

const NO_TABLE: &str = "it is not an ordinary table";

pub(super) const CHECKS: &[Check] = &[SCHEMA, TABLE, KIND, ENGINE, COLUMNS, PRIMARY_KEY];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let name = &evidence.names.table;
    vec![
        schema(evidence),
        exists(evidence),
        evidence.with_table(&KIND, |relation| kind(relation, evidence)),
        evidence.with_table(&ENGINE, |relation| engine(relation, name)),
        evidence.with_table(&COLUMNS, |relation| columns(relation, evidence)),
        evidence.with_table(&PRIMARY_KEY, |relation| primary_key(relation, name)),
    ]
}

/// Whether an object that the catalogue does not show is missing. The probe's error decides. A user without privileges
/// gets the same error in both cases.
enum Absent {
    Missing,
    /// Why that is unknown.
    Unknown(String),
}

fn absent(evidence: &Evidence<'_>) -> Absent {
    let (table, user) = (&evidence.names.table, &evidence.names.user);
    let grant = format!("GRANT SELECT ON {table} TO {user};");
    match evidence.facts.probes.select.seen() {
        Err(refusal)
            if [error_codes::ER_NO_SUCH_TABLE, error_codes::ER_BAD_DB_ERROR].contains(&refusal.code.as_str()) =>
        {
            Absent::Missing
        }
        Err(refusal) if DENIED.contains(&refusal.code.as_str()) => {
            Absent::Unknown(format!("missing, or hidden from {user}; requires SELECT on it: see writer-select"))
        }
        Err(refusal) => Absent::Unknown(refusal.unless(&grant, PASSING)),
        Ok(()) => {
            Absent::Unknown(format!("the catalogue does not show it, and {user} may read it; requires another look"))
        }
    }
}

fn schema(evidence: &Evidence<'_>) -> Finding {
    let name = quote(&evidence.target.heartbeat.schema);
    with(&SCHEMA, &name, &evidence.facts.table, |facts| {
        if facts.schema {
            return SCHEMA.ok(&name, "it exists");
        }
        match absent(evidence) {
            Absent::Missing => SCHEMA
                .failed(&name, "the server has no schema of that name")
                .remedy(elsewhere(&facts.elsewhere, evidence)),
            Absent::Unknown(why) => SCHEMA.unknown(&name, why),
        }
    })
}

fn exists(evidence: &Evidence<'_>) -> Finding {
    let name = &evidence.names.table;
    with(&TABLE, name, &evidence.facts.table, |facts| {
        if facts.table.is_some() {
            return TABLE.ok(name, "it exists");
        }
        if !facts.schema {
            return TABLE.skipped(name, "there is no such schema, or it is hidden");
        }
        let observed = match (absent(evidence), facts.elsewhere.as_slice()) {
            (Absent::Unknown(why), _) => return TABLE.unknown(name, why),
            (Absent::Missing, []) => "the schema has no table of that name".to_owned(),
            (Absent::Missing, found) => format!("it is in another place: {}", found.join(", ")),
        };
        TABLE.failed(name, observed).remedy(elsewhere(&facts.elsewhere, evidence))
    })
}

/// The remedy for a table that is not at its configured place.
fn elsewhere(found: &[String], evidence: &Evidence<'_>) -> Remedy {
    let provision = evidence.provision();
    match found {
        [] => provision,
        [first, ..] => Remedy::advice(format!(
            "set schema and table under [target.heartbeat] to {first}, if that is the heartbeat"
        ))
        .or_run(provision),
    }
}

fn kind(relation: &Relation, evidence: &Evidence<'_>) -> Finding {
    let name = &evidence.names.table;
    let observed = match relation.kind.as_str() {
        "BASE TABLE" => return KIND.ok(name, "an ordinary table"),
        "SYSTEM VERSIONED" => return history(relation, name),
        "VIEW" | "SYSTEM VIEW" => "a view".to_owned(),
        other => other.to_lowercase(),
    };
    KIND.failed(name, observed).expected("an ordinary table").remedy(
        Remedy::sql(set_aside(&evidence.target.heartbeat)).note(format!("then run {}", evidence.provision_in_words())),
    )
}

/// A system-versioned table (MariaDB). Each beat adds an old row to its history, unless the history leaves out the one
/// column that a beat changes. Leaving it out loses none of the history.
fn history(relation: &Relation, name: &str) -> Finding {
    if relation.column("last_update").is_none_or(|column| column.unversioned) {
        return KIND.ok(name, "a system-versioned table whose history leaves out last_update");
    }
    let remedy = if relation.is_as_provisioned() {
        Remedy::sql(format!(
            "SET SESSION system_versioning_alter_history = KEEP; ALTER TABLE {name} MODIFY last_update TIMESTAMP NULL DEFAULT \
             CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP WITHOUT SYSTEM VERSIONING;"
        ))
        .note("keeps the history that is there, and adds nothing more to it")
    } else {
        "change last_update to WITHOUT SYSTEM VERSIONING, with its type as it is (system_versioning_alter_history = KEEP keeps \
         the history that is there)"
            .into()
    };
    KIND.failed_as(Severity::Warning, name, "a system-versioned table: each beat adds an old row to its history")
        .expected("last_update WITHOUT SYSTEM VERSIONING")
        .remedy(remedy)
}

fn engine(relation: &Relation, name: &str) -> Finding {
    let engine = match &relation.engine {
        _ if !relation.is_table() => return ENGINE.skipped(name, NO_TABLE),
        None => {
            return ENGINE.unknown(name, "the catalogue names none: the table may be damaged; requires CHECK TABLE");
        }
        Some(engine) => engine,
    };
    let why = match engine.to_ascii_uppercase().as_str() {
        "INNODB" | "ROCKSDB" | "TOKUDB" => return ENGINE.ok(name, engine),
        "MYISAM" | "ARIA" | "MRG_MYISAM" | "CSV" => {
            (Severity::Warning, "has no transactions: after a crash it may differ from the log")
        }
        "MEMORY" => (Severity::Error, "is empty after every restart"),
        "BLACKHOLE" => (Severity::Error, "keeps no row, so that no beat changes one"),
        "ARCHIVE" => (Severity::Error, "accepts no updates"),
        "FEDERATED" | "SPIDER" | "CONNECT" | "S3" => {
            (Severity::Error, "keeps its rows in another place, and this server's log has none of it")
        }
        _ => (Severity::Warning, "is none that this program knows"),
    };
    ENGINE
        .failed_as(why.0, name, format!("{engine}, which {}", why.1))
        .expected("InnoDB")
        .remedy(Remedy::sql(format!("ALTER TABLE {name} ENGINE = InnoDB;")))
}

fn columns(relation: &Relation, evidence: &Evidence<'_>) -> Finding {
    let name = &evidence.names.table;
    let hidden = evidence.facts.probes.select.seen().is_err_and(|refusal| DENIED.contains(&refusal.code.as_str()));
    if hidden && ["id", "last_update"].iter().any(|column| relation.column(column).is_none()) {
        return COLUMNS.skipped(name, "columns are hidden from a user who may not read them, which comes first");
    }
    let faults = columns::judge(&judged(&relation.columns), false);
    if faults.is_empty() {
        let shown = relation.columns.iter().take(10).map(|column| format!("{} {}", column.name, column.kind));
        return COLUMNS.ok(name, shown.collect::<Vec<_>>().join(", "));
    }
    COLUMNS.failed(name, columns::words(&faults)).expected("id int, text text, last_update timestamp").remedy(mend(
        &evidence.target.heartbeat,
        !relation.primary_key.is_empty(),
        &faults,
    ))
}

fn primary_key(relation: &Relation, name: &str) -> Finding {
    match relation.primary_key.as_slice() {
        [only] if only.eq_ignore_ascii_case("id") => PRIMARY_KEY.ok(name, "id"),
        others if relation.unique_id => {
            let key = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
            PRIMARY_KEY.ok(name, format!("{key}, and id is unique"))
        }
        _ if !relation.is_table() => PRIMARY_KEY.skipped(name, NO_TABLE),
        _ if relation.column("id").is_none() => {
            PRIMARY_KEY.skipped(name, "the table has no column id, or it is hidden")
        }
        [] => PRIMARY_KEY
            .failed(name, "none")
            .expected("id")
            .remedy(Remedy::sql(format!("ALTER TABLE {name} ADD PRIMARY KEY (id);"))),
        others => PRIMARY_KEY
            .failed(name, others.join(", "))
            .expected("id")
            .remedy(Remedy::sql(format!("ALTER TABLE {name} ADD UNIQUE (id);"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept_by(engine: &str) -> (Severity, bool) {
        let (kind, columns, primary_key) = ("BASE TABLE".to_owned(), Vec::new(), Vec::new());
        let table = Relation { kind, engine: Some(engine.to_owned()), columns, primary_key, unique_id: false };
        let finding = super::engine(&table, "`s`.`t`");
        (finding.severity, finding.remedy.is_some())
    }

    #[test]
    fn engines_that_lose_the_row_are_errors_and_those_without_transactions_warnings() {
        for engine in ["InnoDB", "ROCKSDB", "TokuDB"] {
            assert!(!kept_by(engine).1, "{engine}");
        }
        for engine in ["MyISAM", "Aria", "CSV", "SomethingNew"] {
            assert_eq!(kept_by(engine), (Severity::Warning, true), "{engine}");
        }
        for engine in ["MEMORY", "BLACKHOLE", "ARCHIVE", "FEDERATED", "SPIDER"] {
            assert_eq!(kept_by(engine), (Severity::Error, true), "{engine}");
        }
    }
}
