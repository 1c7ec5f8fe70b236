//! Finds the cause of a refused statement: the table itself, which may be missing with or without its schema, or a
//! trigger or a view on it. `beat` calls it after a refusal.

use sqlx::mysql::MySqlConnection;

use super::error_codes;
use super::identifier::{Account, literal, quote, table_of};
use super::query;
use crate::heartbeat::{ErrorKind, Failure};
use crate::remedy::Remedy;
use crate::target::HeartbeatTable;

/// A trigger on the table, or the view in its place.
struct TriggerOrView {
    kind: String,
    name: String,
    /// The account that it acts as: `user@host`.
    definer: String,
}

/// Refusals that only a trigger or a view causes, never a table alone: too many rows, a missing routine or account, an
/// update of the table that is being updated, a SIGNAL.
const THEIRS: &[&str] = &[
    error_codes::ER_TOO_MANY_ROWS,
    error_codes::ER_SUBQUERY_NO_1_ROW,
    error_codes::ER_SP_DOES_NOT_EXIST,
    error_codes::ER_VIEW_INVALID,
    error_codes::ER_CANT_UPDATE_USED_TABLE_IN_SF_OR_TRG,
    error_codes::ER_NO_SUCH_USER,
    error_codes::ER_SIGNAL_EXCEPTION,
];

/// Explains a failure whose number may concern the heartbeat table, or an object that a trigger or a view uses. It
/// concerns the latter if the table and its columns exist and this user has the privileges for a beat.
pub(super) async fn explain(connection: &mut MySqlConnection, table: &HeartbeatTable, failure: Failure) -> Failure {
    if failure.code() == Some(error_codes::ER_ACCESS_DENIED_ERROR) {
        // Some servers send this error for a view whose definer is gone, and proxies for a login of their own.
        return match found(connection, table).await {
            all if all.iter().any(TriggerOrView::is_view) => {
                with_steps(table, &all, failure.with_kind(ErrorKind::Rejected))
            }
            _ => failure,
        };
    }
    if can_beat(connection, table).await {
        let failure = failure.with_kind(ErrorKind::Rejected);
        return match found(connection, table).await {
            all if all.is_empty() => failure,
            all => with_steps(table, &all, failure),
        };
    }
    match failure.code() {
        Some(error_codes::ER_NO_SUCH_TABLE | error_codes::ER_BAD_DB_ERROR) => {
            with_what_is_missing(connection, table, failure).await
        }
        _ => failure,
    }
}

/// Whether this user could read and update the table. EXPLAIN runs no trigger.
async fn can_beat(connection: &mut MySqlConnection, table: &HeartbeatTable) -> bool {
    let name = table_of(table);
    for sql in [
        format!("SELECT id, last_update FROM {name} WHERE 1 = 0"),
        format!("EXPLAIN UPDATE {name} SET last_update = NULL WHERE 1 = 0"),
    ] {
        if query::send(connection, sql).await.is_err() {
            return false;
        }
    }
    true
}

/// Adds the triggers that an update fires, and the view in the table's place, as far as this user can see them. They
/// are the cause if the refusal never comes from a table alone; otherwise they are possible causes. Without any, the
/// failure stays as it is.
pub(super) async fn with_remedies(
    connection: &mut MySqlConnection,
    table: &HeartbeatTable,
    failure: Failure,
) -> Failure {
    judged(table, &found(connection, table).await, failure)
}

fn judged(table: &HeartbeatTable, all: &[TriggerOrView], failure: Failure) -> Failure {
    match failure.code() {
        _ if all.is_empty() => failure,
        Some(code) if THEIRS.contains(&code) => with_steps(table, all, failure),
        _ => {
            let create = Remedy::sql(format!("SHOW CREATE TABLE {};", table_of(table)));
            let beside = all.iter().map(|object| object.beside(table));
            with_all(failure, [Remedy::advice(WHAT_OBJECTS).then_run(create)].into_iter().chain(beside))
        }
    }
}

/// The advice if the table itself may refuse the update. The driver's general remedy uses it, too.
pub(super) const WHAT_OBJECTS: &str = "change or drop what objects to the update: a trigger, a constraint, or the table \
     itself, which must be a table of InnoDB with a primary key";

async fn found(connection: &mut MySqlConnection, table: &HeartbeatTable) -> Vec<TriggerOrView> {
    let Ok(rows) = query::send(connection, sql(table)).await else { return Vec::new() };
    let text = |row, column| query::text(row, column).ok().flatten().unwrap_or_default();
    let object = |row| TriggerOrView { kind: text(row, 0), name: text(row, 1), definer: text(row, 2) };
    rows.iter().map(object).collect()
}

fn with_all(failure: Failure, remedies: impl IntoIterator<Item = Remedy>) -> Failure {
    let mut remedies: Vec<Remedy> = remedies.into_iter().collect();
    // A single remedy keeps its order of advice and script.
    let all = if remedies.len() == 1 { remedies.pop() } else { Remedy::all(remedies) };
    match all {
        Some(remedy) => failure.with_remedy(remedy),
        None => failure,
    }
}

fn with_steps(table: &HeartbeatTable, all: &[TriggerOrView], failure: Failure) -> Failure {
    with_all(failure, all.iter().map(|object| object.step(table)))
}

impl TriggerOrView {
    fn is_view(&self) -> bool {
        self.kind == "view"
    }

    fn quoted(&self, table: &HeartbeatTable) -> String {
        format!("{}.{}", quote(&table.schema), quote(&self.name))
    }

    /// The remedy if the table itself may be the cause.
    fn beside(&self, table: &HeartbeatTable) -> Remedy {
        let name = self.quoted(table);
        if self.is_view() {
            return format!("put the table itself in the place of the view {name}").into();
        }
        Remedy::sql(format!("SHOW CREATE TRIGGER {name};"))
            .note(format!("the update also sets off the trigger {name}, which may be what objects"))
    }

    /// The remedy if this is the cause.
    fn step(&self, table: &HeartbeatTable) -> Remedy {
        let name = self.quoted(table);
        // MariaDB shows the trigger's name to every user of the table, but its definer only to users with TRIGGER.
        let definer = Some(self.definer.as_str()).filter(|definer| !definer.is_empty());
        let definer = definer.map(|definer| Account::read(definer).quoted());
        let by = definer.as_deref().unwrap_or("its definer");
        if self.is_view() {
            let replace = Remedy::advice(format!("put the table itself in the place of the view {name}"));
            return match &definer {
                Some(account) => replace.or_run(
                    Remedy::sql(format!("CREATE USER {account} ACCOUNT LOCK;"))
                        .note("if the account that the view acts as is gone; then grant it what the view requires"),
                ),
                None => replace.note("or create the account again that it acts as, if that is gone"),
            };
        }
        Remedy::advice(format!(
            "see that {by}, as which the trigger {name} acts, exists and may do what the trigger does; or correct the trigger, \
             or keep what the script shows and drop it"
        ))
        .then_run(Remedy::sql(format!("SHOW CREATE TRIGGER {name};")))
    }
}

/// The server shows triggers to users with TRIGGER on the table, and views to users who may use them.
fn sql(table: &HeartbeatTable) -> String {
    let (schema, table) = (literal(&table.schema), literal(&table.table));
    format!(
        "SELECT 'trigger' AS kind, TRIGGER_NAME AS name, DEFINER AS definer FROM information_schema.TRIGGERS \
         WHERE EVENT_OBJECT_SCHEMA = {schema} AND EVENT_OBJECT_TABLE = {table} AND EVENT_MANIPULATION = 'UPDATE' \
         UNION ALL SELECT 'view', TABLE_NAME, DEFINER FROM information_schema.VIEWS \
         WHERE TABLE_SCHEMA = {schema} AND TABLE_NAME = {table}"
    )
}

/// MariaDB sends the same error for a missing table and for its missing schema, and MySQL calls a schema a database.
/// The catalogue shows which is missing. It hides objects on which this user has no privilege.
async fn with_what_is_missing(connection: &mut MySqlConnection, table: &HeartbeatTable, failure: Failure) -> Failure {
    let name = literal(&table.schema);
    let sql = format!("SELECT COUNT(*) AS found FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {name}");
    match query::send_for_row(connection, sql).await.and_then(|row| query::number(&row, "found")) {
        Ok(Some(0)) => failure.with_kind(ErrorKind::MissingSchema),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> HeartbeatTable {
        HeartbeatTable { schema: "streamkap".to_owned(), table: "streamkap_heartbeat".to_owned(), row: 1.into() }
    }

    fn object(kind: &str, definer: &str) -> TriggerOrView {
        TriggerOrView { kind: kind.to_owned(), name: "it".to_owned(), definer: definer.to_owned() }
    }

    /// The remedy for a refusal with this number, with this trigger or view.
    fn remedy(code: &str, object: TriggerOrView) -> String {
        let failure = Failure::new(ErrorKind::Rejected, "no").with_code(code);
        judged(&table(), &[object], failure).remedy().unwrap().to_string()
    }

    #[test]
    fn a_trigger_is_blamed_for_what_only_a_trigger_does() {
        for code in ["1172", "1242", "1305", "1442", "1449", "1644"] {
            let remedy = remedy(code, object("trigger", "maker@%"));
            assert!(
                remedy.contains("the trigger `streamkap`.`it` acts") && !remedy.contains("DROP"),
                "{code}: {remedy}"
            );
            assert!(
                remedy.ends_with("then run: SHOW CREATE TRIGGER `streamkap`.`it`; -- on the source"),
                "{code}: {remedy}"
            );
        }
    }

    #[test]
    fn a_trigger_is_only_mentioned_where_the_table_itself_may_object() {
        for code in ["1048", "1062", "1452", "3098", "3819", "4025"] {
            let remedy = remedy(code, object("trigger", "maker@%"));
            assert!(remedy.contains("SHOW CREATE TABLE `streamkap`.`streamkap_heartbeat`;"), "{code}: {remedy}");
            assert!(remedy.contains("SHOW CREATE TRIGGER `streamkap`.`it`;"), "{code}: {remedy}");
            assert!(!remedy.contains("DROP"), "{code}: {remedy}");
        }
    }

    #[test]
    fn a_view_that_is_not_updatable_is_not_reported_as_a_missing_account() {
        for code in ["1288", "1348", "1471"] {
            let remedy = remedy(code, object("view", "maker@%"));
            assert!(remedy.contains("put the table itself in the place of the view"), "{code}: {remedy}");
            assert!(!remedy.contains("CREATE USER"), "{code}: {remedy}");
        }
        assert!(remedy("1449", object("view", "maker@%")).contains("CREATE USER `maker`@`%` ACCOUNT LOCK;"));
    }

    #[test]
    fn no_statement_is_offered_if_the_name_is_hidden() {
        let remedy = remedy("1449", object("view", ""));
        assert!(
            !remedy.contains("CREATE USER") && remedy.contains("put the table itself in the place of the view"),
            "{remedy}"
        );
    }
}
