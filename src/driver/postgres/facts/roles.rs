//! This session's role and the connector's. Privileges are queried by OID, which every user may do.

use serde::{Deserialize, Serialize};

use crate::driver::postgres::identifier::literal;
use crate::target::Target;

/// The two roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RolesFacts {
    /// This session's role.
    pub(crate) own: Option<RoleFacts>,
    /// The connector's role; `None` if there is no role of that name.
    pub(crate) connector: Option<RoleFacts>,
}

/// One role. A privilege is `None` if its object does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RoleFacts {
    pub(crate) name: String,
    pub(crate) superuser: bool,
    pub(crate) login: bool,
    pub(crate) replication: bool,
    /// When its password expires, in microseconds since 1970; `None` for never.
    pub(crate) valid_until: Option<i64>,
    /// The managed flavours' replication roles that it is a member of.
    pub(crate) replication_roles: Vec<String>,
    /// CONNECT on this database.
    pub(crate) connect: bool,
    /// USAGE on the schema.
    pub(crate) usage: Option<bool>,
    pub(crate) select: Option<bool>,
    pub(crate) insert: Option<bool>,
    /// UPDATE on the table, or on `last_update`.
    pub(crate) update: Option<bool>,
    pub(crate) delete: Option<bool>,
    /// USAGE on the sequence of `id`.
    pub(crate) sequence: Option<bool>,
}

/// One JSON object, [`RolesFacts`].
pub(super) fn sql(target: &Target) -> String {
    let own = role_sql("current_user", target);
    let connector = role_sql(&literal(&target.connector.user.name), target);
    format!("SELECT jsonb_build_object('own', ({own}), 'connector', ({connector}))::text")
}

fn role_sql(name: &str, target: &Target) -> String {
    let (schema, table) = (literal(&target.heartbeat.schema), literal(&target.heartbeat.table));
    // An unknown name would be an error instead of an answer; a NULL OID answers NULL.
    format!(
        "SELECT jsonb_build_object(\
         'name', r.rolname, 'superuser', r.rolsuper, 'login', r.rolcanlogin, 'replication', r.rolreplication, \
         'valid_until', CASE WHEN isfinite(r.rolvaliduntil) \
         THEN (extract(epoch FROM r.rolvaliduntil) * 1000000)::bigint END, \
         'replication_roles', (SELECT coalesce(jsonb_agg(m.rolname), '[]') FROM pg_roles m WHERE m.rolname IN \
         ('rds_replication', 'rds_superuser', 'rdsadmin', 'rdsrepladmin') AND pg_has_role(r.oid, m.oid, 'MEMBER')), \
         'connect', (SELECT has_database_privilege(r.oid, d.oid, 'CONNECT') FROM pg_database d \
         WHERE d.datname = current_database()), \
         'usage', has_schema_privilege(r.oid, n.oid, 'USAGE'), \
         'select', has_table_privilege(r.oid, c.oid, 'SELECT') OR (SELECT bool_and(has_column_privilege(r.oid, c.oid, \
         a.attnum, 'SELECT')) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), \
         'insert', has_table_privilege(r.oid, c.oid, 'INSERT'), \
         'update', has_table_privilege(r.oid, c.oid, 'UPDATE') OR coalesce((SELECT has_column_privilege(r.oid, c.oid, \
         a.attnum, 'UPDATE') FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'last_update' \
         AND NOT a.attisdropped), false), \
         'delete', has_table_privilege(r.oid, c.oid, 'DELETE'), \
         'sequence', (SELECT has_sequence_privilege(r.oid, s.oid, 'USAGE') FROM pg_depend d \
         JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' \
         JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid AND a.attname = 'id' \
         WHERE d.refobjid = c.oid AND d.deptype IN ('a', 'i') LIMIT 1)) \
         FROM pg_roles r LEFT JOIN pg_namespace n ON n.nspname = {schema} \
         LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = {table} WHERE r.rolname = {name}"
    )
}
