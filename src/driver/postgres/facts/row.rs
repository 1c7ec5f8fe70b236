//! The heartbeat row.

use serde::{Deserialize, Serialize};

use super::table::Relation;
use crate::driver::postgres::beat::micros;
use crate::driver::postgres::identifier::quote;
use crate::target::HeartbeatTable;

/// The rows of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RowFacts {
    /// The number of rows, counted up to a thousand.
    pub(crate) count: i64,
    /// The first ids, the configured one first.
    pub(crate) ids: Vec<i64>,
    /// `last_update` of the configured row, in microseconds since 1970; a value without a zone is read as UTC.
    pub(crate) last_update: Option<i64>,
    /// Whether the configured row passes the publication's row filter; `None` without a filter.
    pub(crate) passes_filter: Option<bool>,
}

/// One JSON object, [`RowFacts`]; `None` if the table has no numeric `id`.
///
/// `filter` is the publication's row filter as the server writes it: an expression of built-in, immutable functions,
/// which is evaluated on this table.
pub(super) fn sql(heartbeat: &HeartbeatTable, relation: &Relation, filter: Option<&str>) -> Option<String> {
    let (schema, table, row) = (&heartbeat.schema, &heartbeat.table, heartbeat.row_number());
    if !relation.is_numbered() {
        return None;
    }
    let name = format!("{}.{}", quote(schema), quote(table));
    let last_update = if relation.is_dated() { micros("h.last_update") } else { "NULL::bigint".to_owned() };
    let filter = filter.unwrap_or("NULL::boolean");
    Some(format!(
        "SELECT jsonb_build_object(\
         'count', (SELECT count(*) FROM (SELECT FROM {name} LIMIT 1000) AS rows_of_it), \
         'ids', (SELECT coalesce(jsonb_agg(i.id), '[]') FROM (SELECT h.id::bigint FROM {name} AS h WHERE h.id IS NOT NULL \
         ORDER BY h.id <> {row}, h.id LIMIT 3) AS i), \
         'last_update', (SELECT max({last_update}) FROM {name} AS h WHERE h.id = {row}), \
         'passes_filter', (SELECT bool_or({filter}) FROM {name} WHERE id = {row}))::text"
    ))
}
