//! What stands behind a statement that the server refuses: the table itself, or a trigger or a view on it. Called by `beat`
//! after a refusal.

use sqlx::mysql::MySqlConnection;

use super::identifier::{Account, literal, quote, table_of};
use super::message;
use crate::heartbeat::{ErrorKind, Failure};
use crate::target::HeartbeatTable;

/// A trigger on the table, or the view that it is.
struct Culprit {
    kind: String,
    name: String,
    /// Whom it acts as, as `user@host`.
    definer: String,
}

/// "Access denied", as a login is told.
const REFUSED: &str = "1045";

/// A failure whose number may be about the heartbeat's table, or about what a trigger or a view brings in. If the table is
/// there with its columns, and this user may do with it what a beat does, it is the latter.
pub(super) async fn told(connection: &mut MySqlConnection, table: &HeartbeatTable, failure: Failure) -> Failure {
    if failure.code() == Some(REFUSED) {
        // So some servers say of a view whose definer is gone, and proxies of a login of their own.
        return match found(connection, table).await {
            all if all.iter().any(Culprit::is_view) => with_steps(table, &all, failure.with_kind(ErrorKind::Rejected)),
            _ => failure,
        };
    }
    if is_at_our_service(connection, table).await {
        return named(connection, table, failure.with_kind(ErrorKind::Rejected)).await;
    }
    match failure.code() {
        Some("1146" | "1049") => with_what_is_missing(connection, table, failure).await,
        _ => failure,
    }
}

/// Whether a beat's own needs are met. Explained, no trigger is run.
async fn is_at_our_service(connection: &mut MySqlConnection, table: &HeartbeatTable) -> bool {
    let name = table_of(table);
    for sql in [
        format!("SELECT id, last_update FROM {name} WHERE 1 = 0"),
        format!("EXPLAIN UPDATE {name} SET last_update = NULL WHERE 1 = 0"),
    ] {
        if message::send(connection, sql).await.is_err() {
            return false;
        }
    }
    true
}

/// Names the triggers that an update sets off, and the view in the table's place, with whom they act as; as far as this user
/// is shown them. Else the failure as it is.
pub(super) async fn named(connection: &mut MySqlConnection, table: &HeartbeatTable, failure: Failure) -> Failure {
    let all = found(connection, table).await;
    if all.is_empty() { failure } else { with_steps(table, &all, failure) }
}

async fn found(connection: &mut MySqlConnection, table: &HeartbeatTable) -> Vec<Culprit> {
    let Ok(rows) = message::send(connection, sql(table)).await else { return Vec::new() };
    let text = |row, column| message::text(row, column).ok().flatten().unwrap_or_default();
    let culprit = |row| Culprit { kind: text(row, 0), name: text(row, 1), definer: text(row, 2) };
    rows.iter().map(culprit).collect()
}

fn with_steps(table: &HeartbeatTable, all: &[Culprit], failure: Failure) -> Failure {
    let steps: Vec<String> = all.iter().map(|culprit| culprit.step(table)).collect();
    failure.with_remedy(steps.join("; "))
}

impl Culprit {
    fn is_view(&self) -> bool {
        self.kind == "view"
    }

    /// What to do about it.
    fn step(&self, table: &HeartbeatTable) -> String {
        let name = format!("{}.{}", quote(&table.schema), quote(&self.name));
        // MariaDB names the trigger to all who may use the table, and this only to who has TRIGGER.
        let by = match self.definer.as_str() {
            "" => "its definer".to_owned(),
            definer => Account::read(definer).quoted(),
        };
        if self.is_view() {
            return format!(
                "{name} is a view, which acts as {by}: if that account is gone, CREATE USER {by} ACCOUNT LOCK; and grant it \
                 what the view takes; better, put the table itself in its place"
            );
        }
        format!(
            "the update sets off the trigger {name}, which acts as {by}: mend it (SHOW CREATE TRIGGER {name};), see that this \
             account exists and may do what it does, or take it off: DROP TRIGGER {name};"
        )
    }
}

/// Triggers are shown to who has TRIGGER on the table, views to who may use them.
fn sql(table: &HeartbeatTable) -> String {
    let (schema, table) = (literal(&table.schema), literal(&table.table));
    format!(
        "SELECT 'trigger' AS kind, TRIGGER_NAME AS name, DEFINER AS definer FROM information_schema.TRIGGERS \
         WHERE EVENT_OBJECT_SCHEMA = {schema} AND EVENT_OBJECT_TABLE = {table} AND EVENT_MANIPULATION = 'UPDATE' \
         UNION ALL SELECT 'view', TABLE_NAME, DEFINER FROM information_schema.VIEWS \
         WHERE TABLE_SCHEMA = {schema} AND TABLE_NAME = {table}"
    )
}

/// MariaDB says the same of a table that is missing and of its schema, and MySQL calls a schema a database: the catalogue
/// is asked which. It hides what this user has no privilege on.
async fn with_what_is_missing(connection: &mut MySqlConnection, table: &HeartbeatTable, failure: Failure) -> Failure {
    let name = literal(&table.schema);
    let sql = format!("SELECT COUNT(*) AS found FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {name}");
    match message::send_for_row(connection, sql).await.and_then(|row| message::number(&row, "found")) {
        Ok(Some(0)) => failure.with_kind(ErrorKind::MissingSchema),
        _ => failure,
    }
}
