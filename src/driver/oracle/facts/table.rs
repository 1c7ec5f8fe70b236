//! The heartbeat table: its type, its columns, its row, and how its changes are logged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::questions::{Questions, column, joined, micros, number};
use crate::driver::answer::Answer;
use crate::driver::oracle::identifier::{literal, quoted_table, stored};
use crate::heartbeat::Failure;
use crate::plan::columns::{Column, Holds};
use crate::target::HeartbeatTable;

/// An object that has the heartbeat's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::oracle) struct ObjectFacts {
    pub(in crate::driver::oracle) owner: String,
    /// TABLE, TEMPORARY TABLE, VIEW, SYNONYM …
    pub(in crate::driver::oracle) kind: String,
}

/// The rows of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::oracle) struct RowFacts {
    /// All rows.
    pub(in crate::driver::oracle) count: i64,
    /// Rows with the configured id.
    pub(in crate::driver::oracle) found: i64,
    /// `last_update` of that row, in microseconds since 1970.
    pub(in crate::driver::oracle) last_update: Option<i64>,
    /// The lowest id of another row.
    pub(in crate::driver::oracle) other: Option<i64>,
}

/// Supplemental logging of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::oracle) struct LogGroup {
    /// ALL COLUMN LOGGING, PRIMARY KEY LOGGING …
    pub(in crate::driver::oracle) kind: String,
    /// Whether the group is logged for every change.
    pub(in crate::driver::oracle) always: bool,
}

fn of_table(table: &HeartbeatTable, owner: &str) -> String {
    format!("{owner} = {} AND TABLE_NAME = {}", literal(&stored(&table.schema)), literal(&stored(&table.table)))
}

fn objects_sql(table: &HeartbeatTable) -> String {
    format!(
        "SELECT {} FROM ALL_OBJECTS WHERE OBJECT_NAME = {} AND OBJECT_TYPE IN ('TABLE', 'VIEW', 'MATERIALIZED VIEW', \
         'SYNONYM') AND ROWNUM <= 20",
        // <https://docs.oracle.com/en/database/oracle/oracle-database/19/refrn/ALL_OBJECTS.html>
        joined(&["OWNER", "CASE WHEN TEMPORARY = 'Y' THEN 'TEMPORARY ' END || OBJECT_TYPE"]),
        literal(&stored(&table.table))
    )
}

fn columns_sql(table: &HeartbeatTable) -> String {
    format!(
        "SELECT {} FROM ALL_TAB_COLS WHERE {} AND HIDDEN_COLUMN = 'NO' ORDER BY COLUMN_ID",
        joined(&["COLUMN_NAME", "DATA_TYPE", "VIRTUAL_COLUMN"]),
        of_table(table, "OWNER")
    )
}

/// The columns of keys and unique indexes: `P`, `U` or `I`, the name, the column's place and name. A key may be deferrable,
/// and then its index is not unique. Columns: <https://docs.oracle.com/en/database/oracle/oracle-database/19/refrn/>.
fn keys_sql(table: &HeartbeatTable) -> String {
    let (owner, name) = (literal(&stored(&table.schema)), literal(&stored(&table.table)));
    let line = |kind: &str, named: &str, place: &str| {
        joined(&[kind, named, &format!("TO_CHAR(C.{place}, 'FM00')"), "C.COLUMN_NAME"])
    };
    format!(
        "SELECT {} FROM ALL_CONSTRAINTS K JOIN ALL_CONS_COLUMNS C ON C.OWNER = K.OWNER AND C.CONSTRAINT_NAME = \
         K.CONSTRAINT_NAME WHERE (K.CONSTRAINT_TYPE = 'P' OR K.CONSTRAINT_TYPE = 'U' AND K.STATUS = 'ENABLED') AND K.OWNER = \
         {owner} AND K.TABLE_NAME = {name} UNION ALL SELECT {} FROM ALL_INDEXES I JOIN ALL_IND_COLUMNS C ON C.INDEX_OWNER = \
         I.OWNER AND C.INDEX_NAME = I.INDEX_NAME WHERE I.UNIQUENESS = 'UNIQUE' AND I.STATUS = 'VALID' AND I.TABLE_OWNER = \
         {owner} AND I.TABLE_NAME = {name} ORDER BY 1",
        line("K.CONSTRAINT_TYPE", "K.CONSTRAINT_NAME", "POSITION"),
        line("'I'", "I.INDEX_NAME", "COLUMN_POSITION"),
    )
}

fn row_sql(table: &HeartbeatTable, with_zone: bool) -> String {
    let row = table.row_number();
    let value = if with_zone { "SYS_EXTRACT_UTC(LAST_UPDATE)" } else { "CAST(LAST_UPDATE AS TIMESTAMP)" };
    let own = format!("CASE WHEN ID = {row} THEN {value} END");
    format!(
        "SELECT {} FROM {}",
        joined(&[
            "TO_CHAR(COUNT(*))",
            &format!("TO_CHAR(COUNT(CASE WHEN ID = {row} THEN 1 END))"),
            &format!("TO_CHAR({})", micros(&format!("MAX({own})"))),
            &format!("TO_CHAR(MIN(CASE WHEN ID <> {row} THEN ID END))"),
        ]),
        quoted_table(table)
    )
}

fn log_groups_sql(table: &HeartbeatTable) -> String {
    format!("SELECT {} FROM ALL_LOG_GROUPS WHERE {}", joined(&["LOG_GROUP_TYPE", "ALWAYS"]), of_table(table, "OWNER"))
}

pub(super) async fn objects(
    ask: &mut Questions<'_>,
    table: &HeartbeatTable,
) -> Result<Answer<Vec<ObjectFacts>>, Failure> {
    let object = |line: Vec<String>| ObjectFacts {
        owner: column(&line, 0).unwrap_or_default(),
        kind: column(&line, 1).unwrap_or_default(),
    };
    Ok(ask.ask(&objects_sql(table)).await?.make(|lines| lines.into_iter().map(object).collect()))
}

pub(super) async fn columns(ask: &mut Questions<'_>, table: &HeartbeatTable) -> Result<Answer<Vec<Column>>, Failure> {
    let of_line = |line: Vec<String>| {
        let text = |place| column(&line, place).unwrap_or_default();
        column_of(&text(0), &text(1), text(2) == "YES")
    };
    Ok(ask.ask(&columns_sql(table)).await?.make(|lines| lines.into_iter().map(of_line).collect()))
}

fn column_of(name: &str, kind: &str, generated: bool) -> Column {
    let holds = match kind {
        "NUMBER" | "FLOAT" => Holds::Number,
        "DATE" => Holds::Time,
        kind if kind.starts_with("TIMESTAMP") => Holds::Time,
        _ => Holds::Other,
    };
    Column { name: name.to_ascii_lowercase(), kind: kind.to_owned(), holds, generated }
}

/// The primary key's columns, and whether `ID` alone is unique by whatever key or index.
pub(super) async fn keys(
    ask: &mut Questions<'_>,
    table: &HeartbeatTable,
) -> Result<(Answer<Vec<String>>, bool), Failure> {
    let answer = ask.ask(&keys_sql(table)).await?.make(|lines| {
        let mut keys: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for line in lines {
            let text = |place| column(&line, place).unwrap_or_default();
            keys.entry((text(0), text(1))).or_default().push(text(3));
        }
        keys
    });
    let has_unique_id = |keys: &BTreeMap<_, Vec<String>>| keys.values().any(|key| key == &["ID"]);
    let unique_id = answer.answer().is_some_and(has_unique_id);
    let primary = |((kind, _), key): ((String, String), Vec<String>)| (kind == "P").then_some(key);
    Ok((answer.make(|keys| keys.into_iter().find_map(primary).unwrap_or_default()), unique_id))
}

pub(super) async fn row(
    ask: &mut Questions<'_>,
    table: &HeartbeatTable,
    with_zone: bool,
) -> Result<Answer<RowFacts>, Failure> {
    Ok(ask.ask(&row_sql(table, with_zone)).await?.make(|lines| {
        let line = lines.into_iter().next().unwrap_or_default();
        let count = |place| number(&line, place).unwrap_or_default();
        RowFacts { count: count(0), found: count(1), last_update: number(&line, 2), other: number(&line, 3) }
    }))
}

pub(super) async fn log_groups(
    ask: &mut Questions<'_>,
    table: &HeartbeatTable,
) -> Result<Answer<Vec<LogGroup>>, Failure> {
    let group = |line: Vec<String>| LogGroup {
        kind: column(&line, 0).unwrap_or_default(),
        always: column(&line, 1).is_none_or(|word| word == "ALWAYS"),
    };
    Ok(ask.ask(&log_groups_sql(table)).await?.make(|lines| lines.into_iter().map(group).collect()))
}

#[cfg(test)]
pub(super) fn statements(table: &HeartbeatTable) -> Vec<String> {
    vec![
        objects_sql(table),
        columns_sql(table),
        keys_sql(table),
        row_sql(table, true),
        row_sql(table, false),
        log_groups_sql(table),
    ]
}
