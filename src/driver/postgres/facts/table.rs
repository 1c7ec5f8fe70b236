//! The heartbeat table in the catalogue, which every user may read.
//!
//! Queries compare names as text and use OIDs, because looking up a table by its qualified name requires a privilege on
//! its schema.

use serde::{Deserialize, Serialize};

use crate::driver::postgres::columns::column as column_of;
use crate::driver::postgres::connect::Column;
use crate::driver::postgres::identifier::literal;
use crate::plan::columns;
use crate::target::HeartbeatTable;

/// The schema, the table, and tables of the same name elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TableFacts {
    /// `None` if there is no schema of that name.
    pub(crate) schema: Option<SchemaFacts>,
    /// `None` if the schema has no table of that name.
    pub(crate) table: Option<Relation>,
    /// Quoted names of tables with the same name in other schemas, or with a similar name in this one.
    pub(crate) elsewhere: Vec<String>,
}

/// The schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SchemaFacts {
    /// Whether this session's user may use it.
    pub(crate) usage: bool,
}

/// The table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Relation {
    /// `relkind`: `r` for a table.
    pub(crate) kind: String,
    /// `relpersistence`: `p` for a logged one.
    pub(crate) persistence: String,
    /// `relreplident`: default, nothing, full, index.
    pub(crate) replica_identity: String,
    /// Whether the identity is an index, and that index is valid.
    pub(crate) identity_index: bool,
    pub(crate) owner: String,
    /// Whether row-level security is on.
    pub(crate) row_security: bool,
    /// Whether row-level security applies to this session's user.
    pub(crate) row_security_active: bool,
    pub(crate) policies: Vec<Policy>,
    pub(crate) columns: Vec<ColumnFacts>,
    /// The columns of the primary key, in its order.
    pub(crate) primary_key: Vec<String>,
    /// Whether `id` alone has a valid unique index over all rows.
    #[serde(default)]
    pub(crate) unique_id: bool,
    /// Quoted names of the indexes on `last_update`.
    pub(crate) last_update_indexes: Vec<String>,
    /// The quoted name of the sequence that gives `id` its values.
    #[serde(default)]
    pub(crate) sequence: Option<String>,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ColumnFacts {
    pub(crate) name: String,
    /// As `format_type` writes it; for a domain, its base type.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Whether the server computes its value, so that it cannot be set.
    pub(crate) generated: bool,
    /// How many decimal digits of a second a time column keeps, if it was created with a precision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digits: Option<u8>,
}

/// One policy of row-level security.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Policy {
    /// `polcmd`: `r` SELECT, `w` UPDATE, `*` all …
    pub(crate) command: String,
    pub(crate) permissive: bool,
    /// Whether it applies to this session's user.
    pub(crate) applies: bool,
    /// Whether every row passes it.
    pub(crate) every_row: bool,
}

impl Relation {
    /// Whether it is a table, partitioned or not: nothing else has a primary key and can be published.
    pub(crate) fn is_table(&self) -> bool {
        matches!(self.kind.as_str(), "r" | "p")
    }

    /// Whether `last_update` exists and holds a time.
    pub(crate) fn is_dated(&self) -> bool {
        matches!(self.last_update(), Some(Column::WithZone | Column::WithoutZone))
    }

    /// The columns in the form that is judged for a beat.
    pub(crate) fn judged_columns(&self) -> Vec<columns::Column> {
        self.columns.iter().map(|column| column_of(&column.name, &column.kind, column.generated)).collect()
    }

    /// Whether `id` holds an integer, so that a row can be found by it.
    pub(crate) fn is_numbered(&self) -> bool {
        self.judged_columns().iter().any(|column| column.name == "id" && column.holds == columns::Holds::Number)
    }

    /// The column of this name.
    pub(crate) fn column(&self, name: &str) -> Option<&ColumnFacts> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// What `last_update` holds.
    pub(crate) fn last_update(&self) -> Option<Column> {
        self.column("last_update").map(|column| Column::from_type(column.kind.clone()))
    }
}

/// One JSON object, [`TableFacts`].
pub(super) fn sql(heartbeat: &HeartbeatTable) -> String {
    let (schema, table) = (literal(&heartbeat.schema), literal(&heartbeat.table));
    format!(
        "SELECT jsonb_build_object(\
         'schema', (SELECT jsonb_build_object('usage', has_schema_privilege(n.oid, 'USAGE')) \
         FROM pg_namespace n WHERE n.nspname = {schema}), \
         'elsewhere', (SELECT coalesce(jsonb_agg(o.name), '[]') FROM (SELECT format('%I.%I', n.nspname, c.relname) AS name \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE lower(c.relname) = lower({table}) \
         AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND (n.nspname, c.relname) <> ({schema}, {table}) \
         AND n.nspname !~ '^pg_' ORDER BY 1 LIMIT 5) AS o), \
         'table', (SELECT jsonb_build_object(\
         'kind', c.relkind, 'persistence', c.relpersistence, 'replica_identity', c.relreplident, \
         'identity_index', EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident AND i.indisvalid), \
         'owner', pg_get_userbyid(c.relowner), \
         'row_security', c.relrowsecurity, 'row_security_active', row_security_active(c.oid), \
         'policies', (SELECT coalesce(jsonb_agg(jsonb_build_object('command', p.polcmd, 'permissive', p.polpermissive, \
         'applies', 0 = ANY (p.polroles) OR EXISTS (SELECT FROM unnest(p.polroles) AS r WHERE pg_has_role(r, 'USAGE')), \
         'every_row', coalesce(pg_get_expr(p.polqual, p.polrelid) = 'true', false) \
         AND coalesce(pg_get_expr(p.polwithcheck, p.polrelid) = 'true', true))), '[]') \
         FROM pg_policy p WHERE p.polrelid = c.oid), \
         'columns', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', a.attname, \
         'type', format_type(CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END, NULL), \
         'generated', coalesce(to_jsonb(a) ->> 'attgenerated', '') <> '', \
         'digits', (SELECT m.typmod FROM (SELECT CASE t.typtype WHEN 'd' THEN t.typtypmod ELSE a.atttypmod END AS typmod) AS m \
         WHERE m.typmod >= 0 AND CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END \
         IN ('timestamp'::regtype, 'timestamptz'::regtype))) ORDER BY a.attnum), '[]') \
         FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), \
         'primary_key', (SELECT coalesce(jsonb_agg(a.attname ORDER BY k.place), '[]') FROM pg_index i \
         CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place) \
         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
         WHERE i.indrelid = c.oid AND i.indisprimary), \
         'unique_id', EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = 'id' \
         WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL \
         AND i.indkey[0] = a.attnum AND coalesce((to_jsonb(i) ->> 'indnkeyatts')::int, i.indnatts) = 1), \
         'last_update_indexes', (SELECT coalesce(jsonb_agg(format('%I.%I', n.nspname, x.relname)), '[]') FROM pg_index i \
         JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_attribute a ON a.attrelid = i.indrelid \
         AND a.attname = 'last_update' AND a.attnum = ANY (i.indkey::int2[]) WHERE i.indrelid = c.oid), \
         'sequence', (SELECT format('%I.%I', q.nspname, s.relname) FROM pg_depend d \
         JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_namespace q ON q.oid = s.relnamespace \
         JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid AND a.attname = 'id' \
         WHERE d.refobjid = c.oid AND d.deptype IN ('a', 'i') LIMIT 1)) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = {schema} AND c.relname = {table}))::text"
    )
}
