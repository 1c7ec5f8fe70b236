//! The publication that the connector reads.

use serde::{Deserialize, Serialize};

use crate::driver::postgres::family::publication_of;
use crate::driver::postgres::identifier::literal;
use crate::target::Target;

/// The publication, and others that contain the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PublicationFacts {
    /// `None` if no publication has that name.
    pub(crate) named: Option<Publication>,
    /// Names of other publications that contain the table.
    pub(crate) others: Vec<String>,
    /// Whether any publication publishes updates of the table.
    pub(crate) updates_published: bool,
    /// Every publication that lists the table with a row filter or a column list; from PostgreSQL 15.
    #[serde(default)]
    pub(crate) narrowed: Vec<HoldingPublication>,
    /// The columns of the replica identity; `None` if it is the whole row.
    #[serde(default)]
    pub(crate) identity: Option<Vec<String>>,
    /// Quoted names of the partitions without a replica identity.
    #[serde(default)]
    pub(crate) partitions_without_identity: Vec<String>,
}

/// A publication that contains the table with a row filter or a column list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HoldingPublication {
    pub(crate) name: String,
    /// Whether it publishes updates.
    pub(crate) updates: bool,
    /// The row filter, in parentheses.
    pub(crate) filter: Option<String>,
    /// The columns that the filter names.
    pub(crate) filter_columns: Vec<String>,
    /// The column list; `None` for all columns.
    pub(crate) columns: Option<Vec<String>>,
}

/// A row of `pg_publication`. Later versions have more columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Publication {
    pub(crate) puballtables: bool,
    pub(crate) pubinsert: bool,
    pub(crate) pubupdate: bool,
    pub(crate) pubdelete: bool,
    /// From PostgreSQL 11.
    #[serde(default)]
    pub(crate) pubtruncate: Option<bool>,
    /// The number of other tables in it.
    #[serde(default)]
    pub(crate) other_tables: Option<i64>,
    /// What it publishes of the table; `None` if it does not contain the table.
    pub(crate) table: Option<PublishedTable>,
}

/// A row of `pg_publication_tables`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PublishedTable {
    /// The columns; from PostgreSQL 15.
    #[serde(default)]
    pub(crate) attnames: Option<Vec<String>>,
    /// The row filter; from PostgreSQL 15.
    #[serde(default)]
    pub(crate) rowfilter: Option<String>,
}

impl PublicationFacts {
    /// The row filter on the table.
    pub(crate) fn row_filter(&self) -> Option<&str> {
        self.named.as_ref()?.table.as_ref()?.rowfilter.as_deref()
    }
}

/// One JSON object, [`PublicationFacts`].
pub(super) fn sql(target: &Target) -> String {
    let (schema, table) = (literal(&target.heartbeat.schema), literal(&target.heartbeat.table));
    let name = literal(&publication_of(target).name);
    // The view also has the members of FOR ALL TABLES and of TABLES IN SCHEMA. For a partitioned table it shows the
    // root or, without publish_via_partition_root, the partitions.
    format!(
        "WITH RECURSIVE tree(oid, root) AS (SELECT c.oid, true FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = {schema} AND c.relname = {table} \
         UNION ALL SELECT i.inhrelid, false FROM tree JOIN pg_class p ON p.oid = tree.oid AND p.relkind = 'p' \
         JOIN pg_inherits i ON i.inhparent = tree.oid), \
         part AS (SELECT tree.root, c.oid, c.relkind, c.relreplident, n.nspname, c.relname FROM tree \
         JOIN pg_class c ON c.oid = tree.oid JOIN pg_namespace n ON n.oid = c.relnamespace), \
         listed AS (SELECT t.pubname, part.root, part.oid, to_jsonb(t) AS shown FROM pg_publication_tables t \
         JOIN part ON part.nspname = t.schemaname AND part.relname = t.tablename), \
         leaves AS (SELECT count(*) AS number FROM part WHERE NOT root AND relkind <> 'p'), \
         held AS (SELECT l.pubname, (array_agg(l.shown ORDER BY l.root DESC))[1] AS shown FROM listed l \
         GROUP BY l.pubname HAVING bool_or(l.root) OR count(*) = (SELECT number FROM leaves)), \
         holding AS (SELECT p.pubname, p.pubupdate FROM pg_publication p JOIN held h ON h.pubname = p.pubname), \
         identity AS (SELECT a.attname FROM part JOIN pg_index i ON i.indrelid = part.oid \
         AND (part.relreplident = 'd' AND i.indisprimary OR part.relreplident = 'i' AND i.indisreplident) \
         JOIN pg_attribute a ON a.attrelid = part.oid AND a.attnum = ANY (i.indkey::int2[]) WHERE part.root), \
         narrowed AS (SELECT p.pubname, p.pubupdate, r.prrelid, to_jsonb(r) ->> 'prqual' AS qual, \
         to_jsonb(r) ->> 'prattrs' AS attrs, (SELECT l.shown ->> 'rowfilter' FROM listed l WHERE l.pubname = p.pubname \
         AND l.oid = r.prrelid) AS filter \
         FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid JOIN part ON part.oid = r.prrelid AND part.root) \
         SELECT jsonb_build_object(\
         'named', (SELECT to_jsonb(p) || jsonb_build_object('table', (SELECT h.shown FROM held h WHERE h.pubname = p.pubname), \
         'other_tables', (SELECT count(*) FROM pg_publication_tables t WHERE t.pubname = p.pubname AND NOT EXISTS \
         (SELECT FROM part WHERE part.nspname = t.schemaname AND part.relname = t.tablename))) \
         FROM pg_publication p WHERE p.pubname = {name}), \
         'others', (SELECT coalesce(jsonb_agg(h.pubname ORDER BY h.pubname), '[]') FROM holding h WHERE h.pubname <> {name}), \
         'updates_published', (SELECT coalesce(bool_or(h.pubupdate), false) FROM holding h), \
         'identity', (SELECT coalesce(jsonb_agg(i.attname), '[]') FROM identity i \
         HAVING NOT EXISTS (SELECT FROM part WHERE part.root AND part.relreplident = 'f')), \
         'partitions_without_identity', (SELECT coalesce(jsonb_agg(format('%I.%I', part.nspname, part.relname)), '[]') \
         FROM part WHERE NOT part.root AND part.relkind = 'r' AND (part.relreplident = 'n' OR part.relreplident = 'd' \
         AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = part.oid AND i.indisprimary))), \
         'narrowed', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', w.pubname, 'updates', w.pubupdate, \
         'filter', w.filter, 'filter_columns', (SELECT coalesce(jsonb_agg(DISTINCT a.attname), '[]') \
         FROM regexp_matches(w.qual, ':varattno ([0-9]+)', 'g') AS m JOIN pg_attribute a ON a.attrelid = w.prrelid \
         AND a.attnum = m[1]::int2), \
         'columns', (SELECT jsonb_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = w.prrelid \
         AND a.attnum::text IN (SELECT n[1] FROM regexp_matches(w.attrs, '[0-9]+', 'g') AS n)))), '[]') \
         FROM narrowed w WHERE w.qual IS NOT NULL OR w.attrs IS NOT NULL))::text"
    )
}
