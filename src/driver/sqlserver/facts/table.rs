//! The heartbeat table, its row, and the privileges of this session's user on it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tiberius::Row;

use super::questions::{Questions, text};
use crate::driver::answer::{Answer, Refusal};
use crate::driver::sqlserver::connect::Column;
use crate::driver::sqlserver::identifier::{literal, quote};
use crate::driver::sqlserver::query;
use crate::heartbeat::Failure;
use crate::target::Target;

/// The table and its schema.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::sqlserver) struct TableFacts {
    /// Whether the schema exists and is visible.
    pub(in crate::driver::sqlserver) schema: bool,
    /// `USER_TABLE`, `VIEW`, …, or [`IN_MEMORY`]; `None` if no object of this name exists or is visible.
    pub(in crate::driver::sqlserver) kind: Option<String>,
    /// Whether it is system-versioned, so that each old row goes into a history table.
    #[serde(default)]
    pub(in crate::driver::sqlserver) history: bool,
    /// Whether change data capture tracks it.
    pub(in crate::driver::sqlserver) tracked: bool,
    /// Triggers that run instead of an update.
    pub(in crate::driver::sqlserver) instead_of: Vec<String>,
    pub(in crate::driver::sqlserver) columns: Vec<ColumnFacts>,
    /// Whether `id` alone has an enabled unique index over all rows.
    #[serde(default)]
    pub(in crate::driver::sqlserver) unique_id: bool,
    /// The refusals of the server, by the name of the part.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::driver::sqlserver) refused: BTreeMap<String, Refusal>,
}

/// The parts of a table that a server may refuse separately.
pub(in crate::driver::sqlserver) const COLUMNS: &str = "columns";
pub(in crate::driver::sqlserver) const KEY: &str = "key";
pub(in crate::driver::sqlserver) const TRIGGERS: &str = "triggers";
pub(in crate::driver::sqlserver) const TRACKED: &str = "tracked";

/// The kind of a memory-optimized table, which change data capture does not track.
const IN_MEMORY: &str = "MEMORY_OPTIMIZED_TABLE";
/// `temporal_type` of a table whose old rows go into a history table.
const SYSTEM_VERSIONED: i64 = 2;

/// A column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::sqlserver) struct ColumnFacts {
    pub(in crate::driver::sqlserver) name: String,
    /// The server's name of the system type.
    pub(in crate::driver::sqlserver) kind: String,
    /// The decimal digits of a second, for types that have them.
    pub(in crate::driver::sqlserver) scale: u8,
    pub(in crate::driver::sqlserver) nullable: bool,
    pub(in crate::driver::sqlserver) identity: bool,
    pub(in crate::driver::sqlserver) computed: bool,
    pub(in crate::driver::sqlserver) has_default: bool,
    /// Whether it is part of the primary key.
    pub(in crate::driver::sqlserver) key: bool,
}

/// The rows of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::sqlserver) struct RowFacts {
    /// The number of rows, counted up to 1,001.
    pub(in crate::driver::sqlserver) count: i64,
    /// The number of rows with the configured id.
    pub(in crate::driver::sqlserver) found: i64,
    /// The lowest id of another row.
    pub(in crate::driver::sqlserver) other: Option<i64>,
    /// Microseconds since 1970.
    pub(in crate::driver::sqlserver) last_update: Option<i64>,
}

/// The privileges of this session's user on the table; `None` if the server does not say, as for a hidden table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::sqlserver) struct OwnRights {
    pub(in crate::driver::sqlserver) select: Option<bool>,
    pub(in crate::driver::sqlserver) insert: Option<bool>,
    pub(in crate::driver::sqlserver) update: Option<bool>,
}

/// The table's name as a literal for `OBJECT_ID`.
pub(super) fn name_literal(target: &Target) -> String {
    literal(&format!("{}.{}", quote(&target.heartbeat.schema), quote(&target.heartbeat.table)))
}

/// Reads the facts of the table.
///
/// # Errors
/// As [`Questions::ask`].
pub(super) async fn table(ask: &mut Questions<'_>, target: &Target) -> Result<Answer<TableFacts>, Failure> {
    let name = name_literal(target);
    let mut answer = outline(ask, target).await?;
    if let Answer::Seen(table) = &mut answer
        && table.kind.is_some()
    {
        columns(ask, &name, table).await?;
        key(ask, &name, table).await?;
        triggers(ask, &name, table).await?;
    }
    Ok(answer)
}

/// Reads the table without its columns, key and triggers, in one batch.
///
/// # Errors
/// As [`Questions::ask_values`].
pub(super) async fn outline(ask: &mut Questions<'_>, target: &Target) -> Result<Answer<TableFacts>, Failure> {
    let (schema, name) = (literal(&target.heartbeat.schema), name_literal(target));
    // A lookalike that lacks one of these columns has no such tables either. Columns:
    // <https://learn.microsoft.com/en-us/sql/relational-databases/system-catalog-views/sys-tables-transact-sql>.
    let of_table = |column: &str| {
        format!("(SELECT CONVERT(int, t.{column}) FROM sys.tables AS t WHERE t.object_id = OBJECT_ID({name}))")
    };
    let expressions = vec![
        ("schema_id", format!("SCHEMA_ID({schema})")),
        (
            "kind",
            format!(
                "(SELECT CONVERT(nvarchar(60), o.type_desc) FROM sys.objects AS o WHERE o.object_id = OBJECT_ID({name}))"
            ),
        ),
        ("tracked", of_table("is_tracked_by_cdc")),
        ("temporal", of_table("temporal_type")),
        ("in_memory", of_table("is_memory_optimized")),
        // For a server without sys.objects.
        ("user_table", format!("OBJECT_ID({name}, N'U')")),
    ];
    let found = match ask.ask_values(&expressions).await? {
        Answer::Seen(found) => found,
        Answer::Refused(refusal) => return Ok(Answer::Refused(refusal)),
    };
    let is_table = found.number("user_table")?.is_some();
    let kind = found.text("kind")?.or_else(|| is_table.then(|| "USER_TABLE".to_owned()));
    let mut table = TableFacts {
        kind: if found.flag("in_memory")? { Some(IN_MEMORY.to_owned()) } else { kind },
        history: found.number("temporal")? == Some(SYSTEM_VERSIONED),
        tracked: found.flag("tracked")?,
        ..TableFacts::default()
    };
    table.schema = table.kind.is_some() || found.number("schema_id")?.is_some();
    table.keep(TRACKED, found.refusal("tracked"));
    Ok(Answer::Seen(table))
}

async fn columns(ask: &mut Questions<'_>, name: &str, table: &mut TableFacts) -> Result<(), Failure> {
    let sql = format!(
        "SELECT CONVERT(nvarchar(128), c.name) AS name, CONVERT(nvarchar(128), TYPE_NAME(c.system_type_id)) AS kind, \
         CONVERT(int, c.scale) AS scale, CONVERT(int, c.is_nullable) AS nullable, \
         CONVERT(int, c.is_identity) AS identity_, CONVERT(int, c.is_computed) AS computed, \
         CASE WHEN c.default_object_id = 0 THEN 0 ELSE 1 END AS has_default \
         FROM sys.columns AS c WHERE c.object_id = OBJECT_ID({name}) ORDER BY c.column_id;"
    );
    let columns = ask
        .ask(&sql, |row| {
            Ok(ColumnFacts {
                name: text(row, "name")?,
                kind: text(row, "kind")?,
                scale: query::number(row, "scale")?.and_then(|scale| u8::try_from(scale).ok()).unwrap_or_default(),
                nullable: query::flag(row, "nullable")?,
                identity: query::flag(row, "identity_")?,
                computed: query::flag(row, "computed")?,
                has_default: query::flag(row, "has_default")?,
                key: false,
            })
        })
        .await?;
    table.columns = table.answer(COLUMNS, columns);
    Ok(())
}

/// The primary key, and whether another unique index holds `id` alone.
async fn key(ask: &mut Questions<'_>, name: &str, table: &mut TableFacts) -> Result<(), Failure> {
    // A filtered or disabled index allows two rows with the same id. Columns:
    // <https://learn.microsoft.com/en-us/sql/relational-databases/system-catalog-views/sys-indexes-transact-sql>.
    let sql = format!(
        "SELECT CONVERT(int, i.index_id) AS index_, CONVERT(int, i.is_primary_key) AS primary_, CONVERT(nvarchar(128), \
         COL_NAME(i.object_id, ic.column_id)) AS key_ FROM sys.indexes AS i \
         JOIN sys.index_columns AS ic ON ic.object_id = i.object_id AND ic.index_id = i.index_id \
         WHERE i.object_id = OBJECT_ID({name}) AND ic.key_ordinal > 0 AND (i.is_primary_key = 1 OR i.is_unique = 1 AND \
         i.has_filter = 0 AND i.is_disabled = 0 AND i.is_hypothetical = 0) ORDER BY i.index_id, ic.key_ordinal;"
    );
    let column = |row: &Row| {
        Ok((query::number(row, "index_")?.unwrap_or_default(), query::flag(row, "primary_")?, text(row, "key_")?))
    };
    let answer = ask.ask(&sql, column).await?;
    let mut indexes: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for (index, is_primary, name) in table.answer(KEY, answer) {
        if is_primary && let Some(column) = table.columns.iter_mut().find(|column| column.name == name) {
            column.key = true;
        }
        indexes.entry(index).or_default().push(name);
    }
    table.unique_id = indexes.values().any(|key| matches!(key.as_slice(), [only] if only.eq_ignore_ascii_case("id")));
    Ok(())
}

async fn triggers(ask: &mut Questions<'_>, name: &str, table: &mut TableFacts) -> Result<(), Failure> {
    let sql = format!(
        "SELECT TOP (20) CONVERT(nvarchar(128), r.name) AS name FROM sys.triggers AS r \
         WHERE r.parent_id = OBJECT_ID({name}) AND r.is_disabled = 0 AND r.is_instead_of_trigger = 1 ORDER BY r.name;"
    );
    let answer = ask.ask(&sql, |row| text(row, "name")).await?;
    table.instead_of = table.answer(TRIGGERS, answer);
    Ok(())
}

/// Reads the rows. Without the table or its columns there are none to query.
///
/// # Errors
/// As [`Questions::ask_one`].
pub(super) async fn row(
    ask: &mut Questions<'_>,
    target: &Target,
    table: Option<&TableFacts>,
) -> Result<Answer<RowFacts>, Failure> {
    let name = format!("{}.{}", quote(&target.heartbeat.schema), quote(&target.heartbeat.table));
    let id = target.heartbeat.row_number();
    let column = table.and_then(TableFacts::last_update).unwrap_or(Column::DateTime2(7));
    let value = column.utc("last_update");
    let value = if matches!(column, Column::Other(_)) { "CAST(NULL AS datetime2)" } else { &value };
    let sql = format!(
        "SELECT (SELECT CONVERT(bigint, COUNT(*)) FROM (SELECT TOP (1001) id FROM {name}) AS first_ones) AS total, \
         (SELECT CONVERT(bigint, COUNT(*)) FROM {name} WHERE id = {id}) AS found, \
         (SELECT CONVERT(bigint, MIN(id)) FROM (SELECT TOP (1001) id FROM {name} WHERE id <> {id}) AS others) AS other, \
         (SELECT MAX({value}) FROM {name} WHERE id = {id}) AS last_update;"
    );
    ask.ask_one(&sql, |row| {
        Ok(RowFacts {
            count: query::number(row, "total")?.unwrap_or_default(),
            found: query::number(row, "found")?.unwrap_or_default(),
            other: query::number(row, "other")?,
            last_update: query::time(row, "last_update")?.map(|stamp| stamp.0),
        })
    })
    .await
}

/// Reads the privileges of this session's user.
///
/// # Errors
/// As [`Questions::ask_one`].
pub(super) async fn own(ask: &mut Questions<'_>, target: &Target) -> Result<Answer<OwnRights>, Failure> {
    let name = name_literal(target);
    let may = |privilege: &str| format!("HAS_PERMS_BY_NAME({name}, N'OBJECT', N'{privilege}')");
    let expressions = vec![
        ("can_select", may("SELECT")),
        ("can_insert", may("INSERT")),
        ("can_update", format!("HAS_PERMS_BY_NAME({name}, N'OBJECT', N'UPDATE', N'last_update', N'COLUMN')")),
    ];
    let found = match ask.ask_values(&expressions).await? {
        Answer::Seen(found) => found,
        Answer::Refused(refusal) => return Ok(Answer::Refused(refusal)),
    };
    let has = |name| Ok(found.number(name)?.map(|number| number != 0));
    Ok(Answer::Seen(OwnRights { select: has("can_select")?, insert: has("can_insert")?, update: has("can_update")? }))
}

impl TableFacts {
    /// Returns the answer for a part of the table, and keeps a refusal under the part's name.
    fn answer<T>(&mut self, part: &str, answer: Answer<Vec<T>>) -> Vec<T> {
        match answer {
            Answer::Seen(found) => found,
            Answer::Refused(refusal) => {
                self.keep(part, Some(&refusal));
                Vec::new()
            }
        }
    }

    fn keep(&mut self, part: &str, refusal: Option<&Refusal>) {
        self.refused.extend(refusal.map(|refusal| (part.to_owned(), refusal.clone())));
    }

    /// Finds a column by name. It ignores case, as most databases do.
    pub(in crate::driver::sqlserver) fn column(&self, name: &str) -> Option<&ColumnFacts> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// The type of `last_update`.
    pub(in crate::driver::sqlserver) fn last_update(&self) -> Option<Column> {
        self.column("last_update").map(|column| Column::from_type(&column.kind, column.scale))
    }
}
