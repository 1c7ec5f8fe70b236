//! Finds the cause of a refused statement: the table itself, which may be missing with or without its schema, or a
//! trigger or a view on it. `beat` calls it after a refusal.

use sqlx::mysql::MySqlConnection;

use super::error_codes;
use super::identifier::{Account, literal, quote, table_of};
use super::query;
use crate::heartbeat::{ErrorKind, Failure};
use crate::remedy::Remedy;
use crate::target::HeartbeatTable;

/// A trigger on the table, or the view that it is.
struct Culprit {
    kind: String,
    name: String,
    /// Whom it acts as, as `user@host`.
    definer: String,
}

/// Refusals that no table makes by itself, only what a trigger or a view brings in: a row too many, a routine or an account
/// that is missing, an update of the table that is being updated, a SIGNAL.
const THEIRS: &[&str] = &[
    error_codes::ER_TOO_MANY_ROWS,
    error_codes::ER_SUBQUERY_NO_1_ROW,
    error_codes::ER_SP_DOES_NOT_EXIST,
    error_codes::ER_VIEW_INVALID,
    error_codes::ER_CANT_UPDATE_USED_TABLE_IN_SF_OR_TRG,
    error_codes::ER_NO_SUCH_USER,
    error_codes::ER_SIGNAL_EXCEPTION,
];

/// A failure whose number may be about the heartbeat's table, or about what a trigger or a view brings in. If the table is
/// there with its columns, and this user may do with it what a beat does, it is the latter.
pub(super) async fn told(connection: &mut MySqlConnection, table: &HeartbeatTable, failure: Failure) -> Failure {
    if failure.code() == Some(error_codes::ER_ACCESS_DENIED_ERROR) {
        // So some servers say of a view whose definer is gone, and proxies of a login of their own.
        return match found(connection, table).await {
            all if all.iter().any(Culprit::is_view) => with_steps(table, &all, failure.with_kind(ErrorKind::Rejected)),
            _ => failure,
        };
    }
    if is_at_our_service(connection, table).await {
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

/// Whether a beat's own needs are met. Explained, no trigger is run.
async fn is_at_our_service(connection: &mut MySqlConnection, table: &HeartbeatTable) -> bool {
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

/// Names the triggers that an update sets off, and the view in the table's place, as far as this user is shown them: as the
/// cause where no table refuses so by itself, else beside it. Without any, the failure as it is.
pub(super) async fn named(connection: &mut MySqlConnection, table: &HeartbeatTable, failure: Failure) -> Failure {
    judged(table, &found(connection, table).await, failure)
}

fn judged(table: &HeartbeatTable, all: &[Culprit], failure: Failure) -> Failure {
    match failure.code() {
        _ if all.is_empty() => failure,
        Some(code) if THEIRS.contains(&code) => with_steps(table, all, failure),
        _ => {
            let create = Remedy::sql(format!("SHOW CREATE TABLE {};", table_of(table)));
            let beside = all.iter().map(|culprit| culprit.beside(table));
            with_all(failure, [Remedy::advice(WHAT_OBJECTS).then_run(create)].into_iter().chain(beside))
        }
    }
}

/// What to do where the table itself may be what objects; for the driver's general remedy, too.
pub(super) const WHAT_OBJECTS: &str = "change or drop what objects to the update: a trigger, a constraint, or the table \
     itself, which must be a table of InnoDB with a primary key";

async fn found(connection: &mut MySqlConnection, table: &HeartbeatTable) -> Vec<Culprit> {
    let Ok(rows) = query::send(connection, sql(table)).await else { return Vec::new() };
    let text = |row, column| query::text(row, column).ok().flatten().unwrap_or_default();
    let culprit = |row| Culprit { kind: text(row, 0), name: text(row, 1), definer: text(row, 2) };
    rows.iter().map(culprit).collect()
}

fn with_all(failure: Failure, remedies: impl IntoIterator<Item = Remedy>) -> Failure {
    let mut remedies: Vec<Remedy> = remedies.into_iter().collect();
    // The only one keeps its order of advice and script.
    let all = if remedies.len() == 1 { remedies.pop() } else { Remedy::all(remedies) };
    match all {
        Some(remedy) => failure.with_remedy(remedy),
        None => failure,
    }
}

fn with_steps(table: &HeartbeatTable, all: &[Culprit], failure: Failure) -> Failure {
    with_all(failure, all.iter().map(|culprit| culprit.step(table)))
}

impl Culprit {
    fn is_view(&self) -> bool {
        self.kind == "view"
    }

    fn quoted(&self, table: &HeartbeatTable) -> String {
        format!("{}.{}", quote(&table.schema), quote(&self.name))
    }

    /// How it is spoken of where the table itself may be what objects.
    fn beside(&self, table: &HeartbeatTable) -> Remedy {
        let name = self.quoted(table);
        if self.is_view() {
            return format!("put the table itself in the place of the view {name}").into();
        }
        Remedy::sql(format!("SHOW CREATE TRIGGER {name};"))
            .note(format!("the update also sets off the trigger {name}, which may be what objects"))
    }

    /// What to do about it.
    fn step(&self, table: &HeartbeatTable) -> Remedy {
        let name = self.quoted(table);
        // MariaDB names the trigger to all who may use the table, and this only to who has TRIGGER.
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

    fn culprit(kind: &str, definer: &str) -> Culprit {
        Culprit { kind: kind.to_owned(), name: "it".to_owned(), definer: definer.to_owned() }
    }

    /// The next step for a refusal by this number, where there is this culprit.
    fn remedy(code: &str, culprit: Culprit) -> String {
        let failure = Failure::new(ErrorKind::Rejected, "no").with_code(code);
        judged(&table(), &[culprit], failure).remedy().unwrap().to_string()
    }

    #[test]
    fn a_trigger_is_blamed_for_what_only_a_trigger_does() {
        for code in ["1172", "1242", "1305", "1442", "1449", "1644"] {
            let remedy = remedy(code, culprit("trigger", "maker@%"));
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
            let remedy = remedy(code, culprit("trigger", "maker@%"));
            assert!(remedy.contains("SHOW CREATE TABLE `streamkap`.`streamkap_heartbeat`;"), "{code}: {remedy}");
            assert!(remedy.contains("SHOW CREATE TRIGGER `streamkap`.`it`;"), "{code}: {remedy}");
            assert!(!remedy.contains("DROP"), "{code}: {remedy}");
        }
    }

    #[test]
    fn a_view_that_takes_no_update_lacks_no_account() {
        for code in ["1288", "1348", "1471"] {
            let remedy = remedy(code, culprit("view", "maker@%"));
            assert!(remedy.contains("put the table itself in the place of the view"), "{code}: {remedy}");
            assert!(!remedy.contains("CREATE USER"), "{code}: {remedy}");
        }
        assert!(remedy("1449", culprit("view", "maker@%")).contains("CREATE USER `maker`@`%` ACCOUNT LOCK;"));
    }

    #[test]
    fn no_statement_is_offered_with_a_name_that_is_not_shown() {
        let remedy = remedy("1449", culprit("view", ""));
        assert!(
            !remedy.contains("CREATE USER") && remedy.contains("put the table itself in the place of the view"),
            "{remedy}"
        );
    }
}
