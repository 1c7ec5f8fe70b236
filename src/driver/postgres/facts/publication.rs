//! The publication that the connector reads.

use serde::{Deserialize, Serialize};

use crate::driver::postgres::family::publication_of;
use crate::driver::postgres::identifier::literal;
use crate::target::Target;

/// The publication, and others that hold the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PublicationFacts {
    /// `None` if no publication has that name.
    pub(crate) named: Option<Publication>,
    /// Names of other publications that hold the table.
    pub(crate) others: Vec<String>,
    /// Whether any publication at all publishes updates of the table.
    pub(crate) updates_published: bool,
}

/// A row of `pg_publication`, whose columns are more in later versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Publication {
    pub(crate) puballtables: bool,
    pub(crate) pubinsert: bool,
    pub(crate) pubupdate: bool,
    pub(crate) pubdelete: bool,
    /// From PostgreSQL 11.
    #[serde(default)]
    pub(crate) pubtruncate: Option<bool>,
    /// What it publishes of the table; `None` where it does not hold it.
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
    // The view holds the members of FOR ALL TABLES and of TABLES IN SCHEMA, too.
    format!(
        "WITH holding AS (SELECT p.pubname, p.pubupdate FROM pg_publication p JOIN pg_publication_tables t \
         ON t.pubname = p.pubname WHERE t.schemaname = {schema} AND t.tablename = {table}) \
         SELECT jsonb_build_object(\
         'named', (SELECT to_jsonb(p) || jsonb_build_object('table', (SELECT to_jsonb(t) FROM pg_publication_tables t \
         WHERE t.pubname = p.pubname AND t.schemaname = {schema} AND t.tablename = {table})) \
         FROM pg_publication p WHERE p.pubname = {name}), \
         'others', (SELECT coalesce(jsonb_agg(h.pubname ORDER BY h.pubname), '[]') FROM holding h WHERE h.pubname <> {name}), \
         'updates_published', (SELECT coalesce(bool_or(h.pubupdate), false) FROM holding h))::text"
    )
}
