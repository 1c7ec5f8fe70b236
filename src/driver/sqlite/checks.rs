//! Judges SQLite's facts: one pure function per check.

use super::columns::mend;
use super::facts::{SqliteFacts, TableFacts, Writable};
use super::identifier::quote;
use crate::driver::shared_checks::freshness;
use crate::driver::shared_checks::{COLUMNS, FRESH, PRIMARY_KEY, ROW, SINGLE, TABLE};
use crate::finding::{Case, Check, Finding, Look, Rung, Severity};
use crate::plan::{self, columns};
use crate::remedy::Remedy;
use crate::target::Target;

const WRITABLE: Check = Check {
    id: "sqlite-writable",
    severity: Severity::Error,
    rung: Rung::Connection,
    title: "heartbeatd can write the file",
    meaning: "heartbeatd cannot write a beat if this user may not write the file, or if another program keeps it \
              locked.",
    judged: "heartbeatd takes the write lock and releases it (BEGIN IMMEDIATE; ROLLBACK). Fails if SQLite refuses.",
    privilege: "write permission on the file and its directory",
    source: "https://www.sqlite.org/lang_transaction.html",
};
const JOURNAL: Check = Check {
    id: "sqlite-journal-mode",
    severity: Severity::Info,
    rung: Rung::Advice,
    title: "the file is in WAL mode",
    meaning: "Without WAL mode, readers block a beat while they read, and a beat blocks them.",
    judged: "PRAGMA journal_mode. Fails unless it is wal.",
    privilege: "read permission on the file",
    source: "https://www.sqlite.org/wal.html",
};

/// In the order of the report.
pub(super) const CHECKS: &[Check] = &[WRITABLE, TABLE, COLUMNS, PRIMARY_KEY, ROW, SINGLE, FRESH, JOURNAL];

/// Judges a case.
///
/// # Errors
/// When the facts are not SQLite's.
pub(super) fn judge(case: &Case<'_>) -> Result<Vec<Finding>, serde_json::Error> {
    let Look::Facts(facts) = &case.now.source else { return Ok(Vec::new()) };
    let facts: SqliteFacts = serde_json::from_value(facts.clone())?;
    let target = case.target;
    Ok(vec![
        judge_writable(&facts),
        judge_table(&facts, target),
        with_table(&COLUMNS, &facts, target, judge_columns),
        with_table(&PRIMARY_KEY, &facts, target, judge_primary_key),
        with_table(&ROW, &facts, target, judge_row),
        with_table(&SINGLE, &facts, target, judge_single),
        judge_fresh(&facts, case),
        judge_journal(&facts),
    ])
}

fn judge_writable(facts: &SqliteFacts) -> Finding {
    match &facts.writable {
        Writable::Yes => WRITABLE.ok(&facts.file, "the write lock was taken and let go"),
        Writable::OpenedReadOnly => WRITABLE.skipped(&facts.file, "the address opens it read-only (mode=ro)"),
        Writable::No(why) => WRITABLE
            .failed(&facts.file, why)
            .expected("the write lock can be taken")
            .remedy(format!("make {} and its directory writable for the user that runs heartbeatd", facts.file)),
    }
}

fn judge_table(facts: &SqliteFacts, target: &Target) -> Finding {
    let name = &target.heartbeat.table;
    match &facts.table {
        Some(_) => TABLE.ok(name, "it exists"),
        None => TABLE.failed(name, "there is no table of that name").remedy(plan::command(target)),
    }
}

fn with_table(
    check: &Check,
    facts: &SqliteFacts,
    target: &Target,
    judge: impl Fn(&TableFacts, &Target) -> Finding,
) -> Finding {
    match &facts.table {
        Some(table) => judge(table, target),
        None => check.skipped(&target.heartbeat.table, "there is no such table"),
    }
}

fn judge_columns(table: &TableFacts, target: &Target) -> Finding {
    let name = &target.heartbeat.table;
    // Facts saved by an earlier version contain only names.
    let faults = if table.judged.is_empty() { Vec::new() } else { columns::judge(&table.judged, false) };
    if faults.is_empty() {
        return COLUMNS.ok(name, table.columns.join(", "));
    }
    COLUMNS.failed(name, columns::words(&faults)).expected("id and last_update").remedy(mend(
        &target.heartbeat,
        &table.judged,
        &faults,
    ))
}

fn judge_primary_key(table: &TableFacts, target: &Target) -> Finding {
    let name = &target.heartbeat.table;
    if matches!(table.primary_key.as_slice(), [only] if only.eq_ignore_ascii_case("id")) {
        return PRIMARY_KEY.ok(name, "id");
    }
    if table.unique_id {
        return PRIMARY_KEY.ok(name, "id alone is unique");
    }
    let observed = if table.primary_key.is_empty() { "none".to_owned() } else { table.primary_key.join(", ") };
    PRIMARY_KEY.failed(name, observed).expected("id").remedy(Remedy::sql(format!(
        "CREATE UNIQUE INDEX {} ON {} (id);",
        quote(&format!("{name}_id")),
        quote(name)
    )))
}

fn judge_row(table: &TableFacts, target: &Target) -> Finding {
    let (name, wanted) = (&target.heartbeat.table, target.heartbeat.row_number());
    let Some(rows) = &table.rows else { return ROW.skipped(name, "the table has no column id") };
    match rows.id {
        Some(id) if id == wanted => ROW.ok(name, format!("row {id}")),
        Some(id) => ROW
            .failed(name, format!("there is row {id} and not row {wanted}"))
            .expected(format!("row {wanted}"))
            .remedy(format!("set row = {id} under [target.heartbeat]")),
        None => ROW
            .failed(name, if rows.count == 0 { "the table is empty" } else { "no row has a whole number for its id" })
            .expected(format!("row {wanted}"))
            .remedy(plan::command(target)),
    }
}

fn judge_single(table: &TableFacts, target: &Target) -> Finding {
    let (name, wanted) = (&target.heartbeat.table, target.heartbeat.row_number());
    match table.rows.as_ref().map(|rows| (rows.count, rows.id)) {
        None => SINGLE.skipped(name, "the table has no column id"),
        Some((count @ 0..=1, _)) => SINGLE.ok(name, format!("{count}")),
        // Keeping only a row that does not exist would empty the table.
        Some((_, id)) if id != Some(wanted) => {
            SINGLE.skipped(name, format!("row {wanted} is not among them, which must be repaired first"))
        }
        Some((count, _)) => SINGLE.failed(name, format!("{count} rows")).expected("one row").remedy(
            Remedy::sql(format!("SELECT * FROM {} WHERE id <> {wanted};", quote(name)))
                .note("shows the other rows: find out who inserts them, and whether anyone needs them"),
        ),
    }
}

fn judge_fresh(facts: &SqliteFacts, case: &Case<'_>) -> Finding {
    let name = &case.target.heartbeat.table;
    let rows = facts.table.as_ref().and_then(|table| table.rows.as_ref());
    if rows.and_then(|rows| rows.id) != Some(case.target.heartbeat.row_number()) {
        return FRESH.skipped(name, "there is no such row");
    }
    freshness::judge(&FRESH, name, facts.age(), case)
}

fn judge_journal(facts: &SqliteFacts) -> Finding {
    if facts.journal_mode.eq_ignore_ascii_case("wal") {
        return JOURNAL.ok(&facts.file, "wal");
    }
    JOURNAL.failed(&facts.file, &facts.journal_mode).expected("wal").remedy(Remedy::sql("PRAGMA journal_mode = WAL;"))
}
