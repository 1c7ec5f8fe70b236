//! The heartbeat table in the catalogue. The catalogue hides everything on which this user has no privilege, even a
//! single column.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::mysql::{MySqlConnection, MySqlRow};

use super::question::{ask, by_name};
use crate::driver::answer::Answer;
use crate::driver::mysql::columns::{self, ColumnFacts};
use crate::driver::mysql::identifier::{literal, quote};
use crate::driver::mysql::query;
use crate::heartbeat::Failure;
use crate::plan::columns::Holds;
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
        self.holds("last_update", Holds::Time)
    }

    /// Whether `id` holds an integer, so that a row can be found by it.
    pub(crate) fn is_numbered(&self) -> bool {
        self.holds("id", Holds::Number)
    }

    fn holds(&self, name: &str, wanted: Holds) -> bool {
        self.column(name).is_some_and(|column| columns::holds(&column.kind) == wanted)
    }

    /// The column of this name, in any case.
    pub(crate) fn column(&self, name: &str) -> Option<&ColumnFacts> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }
}

/// Looks up the schema and the table.
///
/// # Errors
/// A failure that ends the connection.
pub(in crate::driver::mysql) async fn find(
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
    let mut facts =
        TableFacts { schema: found.get("found").is_some_and(|count| count != "0"), table: None, elsewhere: Vec::new() };
    let Some((kind, engine)) = found.get("relation").and_then(|relation| relation.split_once('/')) else {
        return Ok(Answer::Seen(facts));
    };
    let columns = match ask(connection, columns::sql(heartbeat)).await? {
        Answer::Seen(rows) => rows.iter().map(ColumnFacts::read).collect::<Result<_, _>>()?,
        Answer::Refused(refusal) => return Ok(Answer::Refused(refusal)),
    };
    let keys = format!(
        "SELECT INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS WHERE {in_table} AND NON_UNIQUE = 0 \
         ORDER BY INDEX_NAME, SEQ_IN_INDEX"
    );
    ask(connection, keys).await?.map(|rows| {
        let mut indexes: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in &rows {
            let [index, column] = pair(row)?;
            indexes.entry(index).or_default().push(column);
        }
        let unique_id =
            indexes.values().any(|columns| matches!(columns.as_slice(), [only] if only.eq_ignore_ascii_case("id")));
        let primary_key = indexes.remove("PRIMARY").unwrap_or_default();
        let engine = Some(engine.to_owned()).filter(|engine| !engine.is_empty());
        facts.table = Some(Relation { kind: kind.to_owned(), engine, columns, primary_key, unique_id });
        Ok(facts)
    })
}

/// As [`find`], and looks for the table in other places if it is not in its own. On a server with very many tables that
/// takes long.
///
/// # Errors
/// A failure that ends the connection.
pub(super) async fn gather(
    connection: &mut MySqlConnection,
    heartbeat: &HeartbeatTable,
) -> Result<Answer<TableFacts>, Failure> {
    let facts = match find(connection, heartbeat).await? {
        Answer::Seen(facts) if facts.table.is_none() => facts,
        found => return Ok(found),
    };
    let (schema, table) = (literal(&heartbeat.schema), literal(&heartbeat.table));
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE LOWER(TABLE_NAME) = LOWER({table}) \
         AND TABLE_SCHEMA NOT IN ('mysql', 'sys', 'performance_schema', 'information_schema') \
         AND NOT (CAST(TABLE_SCHEMA AS BINARY) = CAST({schema} AS BINARY) \
         AND CAST(TABLE_NAME AS BINARY) = CAST({table} AS BINARY)) ORDER BY 1, 2 LIMIT 5"
    );
    ask(connection, sql).await?.map(|rows| {
        let quoted = |row| pair(row).map(|[schema, table]| format!("{}.{}", quote(&schema), quote(&table)));
        Ok(TableFacts { elsewhere: rows.iter().map(quoted).collect::<Result<_, _>>()?, ..facts })
    })
}

/// A row of two names.
fn pair(row: &MySqlRow) -> Result<[String; 2], Failure> {
    Ok([query::text(row, 0)?.unwrap_or_default(), query::text(row, 1)?.unwrap_or_default()])
}
