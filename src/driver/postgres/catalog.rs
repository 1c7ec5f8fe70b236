//! Reads from the catalogue which of the heartbeat's objects exist. `provision` judges these facts.
//!
//! Queries use OIDs. By name, a missing privilege on the schema would be an error instead of an answer.

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::columns;
use super::connect::Column as TimeColumn;
use super::errors;
use super::family::publication_of;
use super::identifier::{literal, quote};
use super::parameters::user_of;
use super::query::{self, ServerLimits};
use crate::driver::SessionAccount;
use crate::heartbeat::{ErrorKind, Failure};
use crate::plan::columns::{Column, Holds};
use crate::plan::existing_table::Rows;
use crate::target::{HeartbeatTable, Target};
use crate::time::clock::Instant;

/// The user that beats, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub(super) enum BeatsAs<'a> {
    /// This session's user: its address is `url`.
    Own,
    /// A session of `url` has this user.
    Session(&'a SessionAccount),
    /// Only the login in `url` is known.
    Login,
}

/// What exists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Facts {
    /// The user of this session.
    pub(super) user: String,
    /// The database of this session.
    pub(super) database: String,
    /// The user of a session of `url`.
    pub(super) beats_as: String,
    /// The database of a session of `url`, if such a session was asked.
    pub(super) beats_in: Option<String>,
    pub(super) schema: bool,
    pub(super) table: Option<TableFacts>,
    /// The roles of the daemon and of the connector that exist.
    pub(super) roles: Vec<RoleFacts>,
    pub(super) publication: Option<PublicationFacts>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct TableFacts {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Rows,
    /// The quoted name of the sequence that gives `id` its values.
    pub(super) sequence: Option<String>,
    /// Whether that sequence will return the configured id again.
    pub(super) sequence_behind: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct RoleFacts {
    pub(super) name: String,
    /// Whether it has every privilege on the objects that this session's user will create.
    pub(super) owns_what_we_make: bool,
    pub(super) uses_schema: bool,
    /// The privileges that it has on the table, out of SELECT, INSERT, UPDATE and DELETE.
    pub(super) on_table: Vec<String>,
    pub(super) uses_sequence: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct PublicationFacts {
    /// Whether it publishes the table: by name, with all tables, or with its schema.
    pub(super) holds_table: bool,
}

/// Reads what exists.
///
/// # Errors
/// The server's error, classified.
pub(super) async fn gather(
    connection: &mut PgConnection,
    target: &Target,
    beats_as: BeatsAs<'_>,
    deadline: Instant,
) -> Result<Facts, Failure> {
    let limits = ServerLimits::step(deadline).sql();
    let object = query::send_for_row(connection, format!("{limits} {}", objects_sql(target, beats_as))).await?;
    let read = |error| errors::classify(error);
    let oid = |column: &str| -> Result<Option<i64>, Failure> { object.try_get(column).map_err(read) };
    let (schema, table, sequence) = (oid("schema")?, oid("rel")?, oid("sequence_oid")?);
    let writer: String = object.try_get("beats_as").map_err(read)?;
    let roles = roles_sql(target, &writer, schema, table, sequence);
    let roles = query::send(connection, format!("{limits} {roles}")).await?;
    let mut facts = facts_of(&object, &roles).map_err(read)?;
    if let BeatsAs::Session(account) = beats_as {
        facts.beats_in.clone_from(&account.database);
    }
    let readable = object.try_get::<Option<bool>, _>("readable").map_err(read)?.unwrap_or(false);
    if let Some(table) = &mut facts.table {
        table.columns = columns::gather(connection, &target.heartbeat, ServerLimits::step(deadline)).await?;
    }
    if let Some(table) = &mut facts.table
        && readable
        && table.columns.iter().any(|column| column.name == "id" && column.holds == Holds::Number)
    {
        let rows = query::send(connection, format!("{limits} {}", rows_sql(&target.heartbeat))).await?;
        let ids = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i64>, _>>().map_err(read)?;
        let filtered = object.try_get::<Option<bool>, _>("filtered").map_err(read)?.unwrap_or(false);
        // With row-level security, an unseen row may exist.
        table.rows = if ids.is_empty() && filtered { Rows::Hidden } else { Rows::Ids(ids) };
    }
    if let (Some(publication), None, Some(schema)) = (&mut facts.publication, &facts.table, schema) {
        // A publication of the schema also publishes a table that does not exist yet.
        let sql = format!("{limits} {}", published_schema_sql(schema, &publication_of(target).name));
        publication.holds_table |= match query::send(connection, sql).await {
            Ok(rows) => !rows.is_empty(),
            // PostgreSQL before 15 has no such catalogue.
            Err(failure) if failure.kind() == ErrorKind::MissingTable => false,
            Err(failure) => return Err(failure),
        };
    }
    Ok(facts)
}

impl TableFacts {
    /// The type of time in `last_update`.
    pub(super) fn last_update(&self) -> Option<TimeColumn> {
        let column = self.columns.iter().find(|column| column.name == "last_update");
        column.map(|column| TimeColumn::from_type(column.kind.clone()))
    }
}

fn facts_of(object: &PgRow, roles: &[PgRow]) -> Result<Facts, sqlx::Error> {
    let flag = |row: &PgRow, column: &str| row.try_get::<Option<bool>, _>(column).map(|flag| flag.unwrap_or(false));
    let words = |text: Option<String>| -> Vec<String> {
        text.map_or(Vec::new(), |text| text.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect())
    };
    let table = match object.try_get::<Option<i64>, _>("rel")? {
        None => None,
        Some(_) => Some(TableFacts {
            columns: Vec::new(),
            rows: Rows::Hidden,
            sequence: object.try_get("sequence")?,
            sequence_behind: flag(object, "sequence_behind")?,
        }),
    };
    let publication = match object.try_get::<Option<i64>, _>("publication")? {
        None => None,
        Some(_) => Some(PublicationFacts { holds_table: flag(object, "published")? }),
    };
    let roles = roles.iter().map(|row| {
        Ok(RoleFacts {
            name: row.try_get("name")?,
            owns_what_we_make: flag(row, "owns")?,
            uses_schema: flag(row, "uses_schema")?,
            on_table: words(row.try_get("on_table")?),
            uses_sequence: flag(row, "uses_sequence")?,
        })
    });
    Ok(Facts {
        user: object.try_get("user_name")?,
        database: object.try_get("database_name")?,
        beats_as: object.try_get("beats_as")?,
        beats_in: None,
        schema: object.try_get::<Option<i64>, _>("schema")?.is_some(),
        table,
        roles: roles.collect::<Result<_, sqlx::Error>>()?,
        publication,
    })
}

/// One row on schema, table, sequence and publication.
fn objects_sql(target: &Target, beats_as: BeatsAs<'_>) -> String {
    let (schema, table, row) = (&target.heartbeat.schema, &target.heartbeat.table, target.heartbeat.row_number());
    format!(
        "SELECT current_user::text AS user_name, current_database()::text AS database_name, {beats_as} AS beats_as, n.oid::bigint AS schema, c.oid::bigint AS rel, \
         has_schema_privilege(n.oid, 'USAGE') AND (SELECT has_column_privilege(c.oid, a.attnum, 'SELECT') \
         FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'id' AND NOT a.attisdropped) AS readable, \
         row_security_active(c.oid) AS filtered, \
         s.oid::bigint AS sequence_oid, s.name AS sequence, \
         CASE WHEN has_sequence_privilege(s.oid, 'USAGE') OR has_sequence_privilege(s.oid, 'SELECT') \
         THEN coalesce(pg_sequence_last_value(s.oid), s.before) < {row} END AS sequence_behind, \
         p.oid::bigint AS publication, p.puballtables OR EXISTS (SELECT FROM pg_catalog.pg_publication_tables pt \
         WHERE pt.pubname = p.pubname AND pt.schemaname = n.nspname AND pt.tablename = c.relname) \
         OR EXISTS (SELECT FROM pg_catalog.pg_publication_rel pr WHERE pr.prpubid = p.oid AND pr.prrelid = c.oid) AS published \
         FROM (SELECT) AS one \
         LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = {schema} \
         LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = {table} \
         LEFT JOIN LATERAL (SELECT r.oid, format('%I.%I', sn.nspname, r.relname) AS name, \
         q.seqstart - q.seqincrement AS before FROM pg_catalog.pg_depend d \
         JOIN pg_catalog.pg_class r ON r.oid = d.objid AND r.relkind = 'S' \
         JOIN pg_catalog.pg_namespace sn ON sn.oid = r.relnamespace \
         JOIN pg_catalog.pg_sequence q ON q.seqrelid = r.oid \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid AND a.attname = 'id' \
         WHERE d.refobjid = c.oid AND d.deptype IN ('a', 'i') LIMIT 1) AS s ON true \
         LEFT JOIN pg_catalog.pg_publication p ON p.pubname = {publication}",
        schema = literal(schema),
        table = literal(table),
        publication = literal(&publication_of(target).name),
        beats_as = beats_as_sql(target, beats_as),
    )
}

/// One row for each of the roles that exists.
fn roles_sql(
    target: &Target,
    beats_as: &str,
    schema: Option<i64>,
    table: Option<i64>,
    sequence: Option<i64>,
) -> String {
    let oid = |oid: Option<i64>| oid.map_or("NULL::oid".to_owned(), |oid| format!("{oid}::oid"));
    let (schema, table, sequence) = (oid(schema), oid(table), oid(sequence));
    format!(
        "SELECT r.rolname::text AS name, r.rolsuper OR pg_has_role(r.oid, current_user, 'USAGE') AS owns, \
         has_schema_privilege(r.oid, {schema}, 'USAGE') AS uses_schema, \
         (SELECT string_agg(w, ',') FROM unnest('{{SELECT,INSERT,UPDATE,DELETE}}'::text[]) AS w \
         WHERE has_table_privilege(r.oid, {table}, w)) AS on_table, \
         has_sequence_privilege(r.oid, {sequence}, 'USAGE') AS uses_sequence \
         FROM pg_catalog.pg_roles r WHERE r.rolname IN ({}, {})",
        literal(beats_as),
        literal(&target.connector.user.name),
    )
}

/// The user of a session of `url`. If only the login is known: the `role` that is set for it, with the setting for this
/// database first.
fn beats_as_sql(target: &Target, beats_as: BeatsAs<'_>) -> String {
    let login = match beats_as {
        BeatsAs::Own => return "current_user::text".to_owned(),
        BeatsAs::Session(account) => return format!("{}::text", literal(&account.user)),
        BeatsAs::Login => literal(&user_of(&target.endpoint.url)),
    };
    format!(
        "coalesce((SELECT substr(setting, 6) FROM pg_catalog.pg_db_role_setting d \
         JOIN pg_catalog.pg_roles l ON l.oid = d.setrole CROSS JOIN LATERAL unnest(d.setconfig) AS setting \
         WHERE l.rolname = {login} AND setting LIKE 'role=%' AND setting <> 'role=none' AND d.setdatabase IN \
         (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())) \
         ORDER BY d.setdatabase DESC LIMIT 1), {login})"
    )
}

/// A row if the publication holds all tables of the schema.
fn published_schema_sql(schema: i64, publication: &str) -> String {
    format!(
        "SELECT 1 FROM pg_catalog.pg_publication_namespace pn JOIN pg_catalog.pg_publication p ON p.oid = pn.pnpubid \
         WHERE pn.pnnspid = {schema}::oid AND p.pubname = {}",
        literal(publication)
    )
}

/// The ids of the first two rows, the configured one first.
fn rows_sql(heartbeat: &HeartbeatTable) -> String {
    let (schema, table, row) = (&heartbeat.schema, &heartbeat.table, heartbeat.row_number());
    format!(
        "SELECT id::bigint FROM {}.{} WHERE id IS NOT NULL ORDER BY id <> {row}, id LIMIT 2",
        quote(schema),
        quote(table)
    )
}
