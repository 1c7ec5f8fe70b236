//! The heartbeat table in the catalogue. The catalogue hides everything on which this user has no privilege, even a
//! single column.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::mysql::MySqlConnection;

use super::question::{ask, by_name};
use crate::driver::answer::Answer;
use crate::driver::mysql::columns::{column as column_of, is_generated};
use crate::driver::mysql::connect::Column;
use crate::driver::mysql::identifier::{literal, quote};
use crate::heartbeat::Failure;
use crate::plan::columns;
use crate::target::HeartbeatTable;

/// The schema, the table, and tables of the same name elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TableFacts {
    /// Whether this user can see a schema of that name.
    pub(crate) schema: bool,
    /// `None` if the schema has no such table, or the table is hidden.
    pub(crate) table: Option<Relation>,
    /// Quoted names of tables with the same name in other schemas, or with a similar name in this one. Filled only if
    /// the table is not found.
    pub(crate) elsewhere: Vec<String>,
}

/// The table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Relation {
    /// `TABLE_TYPE`: `BASE TABLE`, `VIEW`, `SYSTEM VERSIONED` …
    pub(crate) kind: String,
    /// The storage engine; `None` for a view.
    pub(crate) engine: Option<String>,
    pub(crate) columns: Vec<ColumnFacts>,
    /// The columns of the primary key, in its order, including one that the server generated (`my_row_id`).
    pub(crate) primary_key: Vec<String>,
    /// Whether `id` alone has a unique index.
    #[serde(default)]
    pub(crate) unique_id: bool,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ColumnFacts {
    pub(crate) name: String,
    /// `DATA_TYPE`, without length or sign.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Whether the server computes its value, so that it cannot be set.
    pub(crate) generated: bool,
    /// Whether the history of a system-versioned table leaves this column out (MariaDB).
    #[serde(default)]
    pub(crate) unversioned: bool,
}

impl Relation {
    /// Whether it is a table and not, for example, a view.
    pub(crate) fn is_table(&self) -> bool {
        matches!(self.kind.as_str(), "BASE TABLE" | "SYSTEM VERSIONED")
    }

    /// Whether it looks like the table that `heartbeatd provision` makes.
    pub(crate) fn is_as_provisioned(&self) -> bool {
        let columns = self.columns.iter().map(|column| (column.name.as_str(), column.kind.as_str()));
        columns.eq([("id", "int"), ("text", "text"), ("last_update", "timestamp")]) && self.primary_key == ["id"]
    }

    /// Whether `last_update` exists and holds a time.
    pub(crate) fn is_dated(&self) -> bool {
        self.last_update() == Some(Column::Time)
    }

    /// The columns in the form that is judged for a beat.
    pub(crate) fn judged_columns(&self) -> Vec<columns::Column> {
        self.columns.iter().map(|column| column_of(&column.name, &column.kind, column.generated)).collect()
    }

    /// Whether `id` holds an integer, so that a row can be found by it.
    pub(crate) fn is_numbered(&self) -> bool {
        self.judged_columns().iter().any(|column| column.name == "id" && column.holds == columns::Holds::Number)
    }

    /// The column of this name, in any case.
    pub(crate) fn column(&self, name: &str) -> Option<&ColumnFacts> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// What `last_update` holds.
    pub(crate) fn last_update(&self) -> Option<Column> {
        self.column("last_update").map(|column| Column::from_type(column.kind.clone()))
    }
}

/// Looks up the table.
///
/// # Errors
/// A failure that ends the connection.
pub(super) async fn gather(
    connection: &mut MySqlConnection,
    heartbeat: &HeartbeatTable,
) -> Result<Answer<TableFacts>, Failure> {
    let (schema, table) = (literal(&heartbeat.schema), literal(&heartbeat.table));
    let in_table = format!("TABLE_SCHEMA = {schema} AND TABLE_NAME = {table}");
    let sql = format!(
        "SELECT (SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {schema}) AS found, \
         (SELECT CONCAT(TABLE_TYPE, '/', COALESCE(ENGINE, '')) FROM information_schema.TABLES WHERE {in_table}) AS relation"
    );
    let found = match ask(connection, sql).await? {
        Answer::Seen(rows) => rows.first().map(by_name).transpose()?.unwrap_or_default(),
        Answer::Refused(refusal) => return Ok(Answer::Refused(refusal)),
    };
    let schema_found = found.get("found").is_some_and(|count| count != "0");
    let Some((kind, engine)) = found.get("relation").and_then(|relation| relation.split_once('/')) else {
        let elsewhere = elsewhere(connection, &schema, &table).await?;
        return elsewhere.map(|elsewhere| Ok(TableFacts { schema: schema_found, table: None, elsewhere }));
    };
    let columns = format!(
        "SELECT COLUMN_NAME AS name, DATA_TYPE AS kind, EXTRA AS extra FROM information_schema.COLUMNS \
         WHERE {in_table} ORDER BY ORDINAL_POSITION"
    );
    let key = format!(
        "SELECT INDEX_NAME AS part_of, COLUMN_NAME AS name FROM information_schema.STATISTICS WHERE {in_table} AND \
         NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX"
    );
    let columns = match ask(connection, columns).await? {
        Answer::Seen(rows) => rows.iter().map(column).collect::<Result<_, _>>()?,
        Answer::Refused(refusal) => return Ok(Answer::Refused(refusal)),
    };
    ask(connection, key).await?.map(|rows| {
        let mut indexes: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in &rows {
            let row = by_name(row)?;
            indexes.entry(value(&row, "part_of")).or_default().push(value(&row, "name"));
        }
        let unique_id =
            indexes.values().any(|columns| matches!(columns.as_slice(), [only] if only.eq_ignore_ascii_case("id")));
        let primary_key = indexes.remove("PRIMARY").unwrap_or_default();
        let engine = Some(engine.to_owned()).filter(|engine| !engine.is_empty());
        let table = Relation { kind: kind.to_owned(), engine, columns, primary_key, unique_id };
        Ok(TableFacts { schema: schema_found, table: Some(table), elsewhere: Vec::new() })
    })
}

fn column(row: &sqlx::mysql::MySqlRow) -> Result<ColumnFacts, Failure> {
    let row = by_name(row)?;
    let extra = value(&row, "extra");
    let (generated, unversioned) = (is_generated(&extra), extra.contains("WITHOUT SYSTEM VERSIONING"));
    Ok(ColumnFacts { name: value(&row, "name"), kind: value(&row, "kind"), generated, unversioned })
}

async fn elsewhere(
    connection: &mut MySqlConnection,
    schema: &str,
    table: &str,
) -> Result<Answer<Vec<String>>, Failure> {
    let sql = format!(
        "SELECT TABLE_SCHEMA AS place, TABLE_NAME AS name FROM information_schema.TABLES \
         WHERE LOWER(TABLE_NAME) = LOWER({table}) \
         AND TABLE_SCHEMA NOT IN ('mysql', 'sys', 'performance_schema', 'information_schema') \
         AND NOT (CAST(TABLE_SCHEMA AS BINARY) = CAST({schema} AS BINARY) \
         AND CAST(TABLE_NAME AS BINARY) = CAST({table} AS BINARY)) ORDER BY 1, 2 LIMIT 5"
    );
    ask(connection, sql).await?.map(|rows| {
        let quoted = |row| {
            let row = by_name(row)?;
            Ok(format!("{}.{}", quote(&value(&row, "place")), quote(&value(&row, "name"))))
        };
        rows.iter().map(quoted).collect()
    })
}

fn value(row: &std::collections::BTreeMap<String, String>, name: &str) -> String {
    row.get(name).cloned().unwrap_or_default()
}
