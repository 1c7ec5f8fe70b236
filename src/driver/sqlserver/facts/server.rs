//! The server, its database, and its place in an availability group.

use serde::{Deserialize, Serialize};

use super::questions::{Questions, text};
use crate::driver::answer::Answer;
use crate::driver::sqlserver::connect::ROLE;
use crate::driver::sqlserver::family::FILEGROUP;
use crate::driver::sqlserver::identifier::literal;
use crate::driver::sqlserver::query;
use crate::heartbeat::{ErrorKind, Failure};

/// What `SERVERPROPERTY('EngineEdition')` is in Azure SQL Database.
pub(in crate::driver::sqlserver) const AZURE_DATABASE: i64 = 5;
/// In Azure SQL Managed Instance.
pub(in crate::driver::sqlserver) const MANAGED_INSTANCE: i64 = 8;

/// The server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::sqlserver) struct ServerFacts {
    /// `16.0.4125.3`.
    pub(in crate::driver::sqlserver) version: String,
    /// `Standard Edition (64-bit)`.
    pub(in crate::driver::sqlserver) edition: String,
    /// 2 Standard, 3 Enterprise, 4 Express, 5 Azure SQL Database, 8 Managed Instance.
    pub(in crate::driver::sqlserver) engine_edition: i64,
    /// Whether it is PostgreSQL under T-SQL.
    pub(in crate::driver::sqlserver) babelfish: bool,
    /// Whether Amazon runs it.
    pub(in crate::driver::sqlserver) rds: bool,
    pub(in crate::driver::sqlserver) availability_groups: bool,
    /// Whether the filegroup of the vendor's set-up guide is there.
    pub(in crate::driver::sqlserver) filegroup: bool,
    /// This session's user in the database.
    pub(in crate::driver::sqlserver) user: String,
    pub(in crate::driver::sqlserver) database: String,
    /// `READ_WRITE`, or `READ_ONLY`.
    pub(in crate::driver::sqlserver) updateability: String,
    /// Whether the database is read-only by a setting of its own.
    pub(in crate::driver::sqlserver) read_only: bool,
    /// Its clock, in microseconds since 1970.
    pub(in crate::driver::sqlserver) time: i64,
}

/// The database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::sqlserver) struct DatabaseFacts {
    /// Whether change data capture is on.
    pub(in crate::driver::sqlserver) cdc: bool,
    /// `SIMPLE`, `BULK_LOGGED` or `FULL`.
    pub(in crate::driver::sqlserver) recovery_model: String,
    /// What keeps the log from being cut: `NOTHING`, `REPLICATION`, `LOG_BACKUP`, …
    pub(in crate::driver::sqlserver) log_reuse_wait: String,
    /// `ON` or `OFF`.
    pub(in crate::driver::sqlserver) snapshot_isolation: String,
}

/// The server itself.
///
/// # Errors
/// What the server says, classified: every user may ask this.
pub(super) async fn server(ask: &mut Questions<'_>) -> Result<ServerFacts, Failure> {
    let sql = format!(
        "SELECT CONVERT(nvarchar(128), SERVERPROPERTY(N'ProductVersion')) AS version, \
         CONVERT(nvarchar(128), SERVERPROPERTY(N'Edition')) AS edition, \
         CONVERT(int, SERVERPROPERTY(N'EngineEdition')) AS engine_edition, \
         CONVERT(int, SERVERPROPERTY(N'Babelfish')) AS babelfish, \
         CONVERT(int, SERVERPROPERTY(N'IsHadrEnabled')) AS availability_groups, \
         CASE WHEN DB_ID(N'rdsadmin') IS NULL THEN 0 ELSE 1 END AS rds, \
         CASE WHEN FILEGROUP_ID({}) IS NULL THEN 0 ELSE 1 END AS filegroup_, \
         CONVERT(nvarchar(128), USER_NAME()) AS own_name, CONVERT(nvarchar(128), DB_NAME()) AS database_name, \
         SYSUTCDATETIME() AS server_time, {ROLE};",
        literal(FILEGROUP)
    );
    let read = |row: &tiberius::Row| {
        Ok(ServerFacts {
            version: text(row, "version")?,
            edition: text(row, "edition")?,
            engine_edition: query::number(row, "engine_edition")?.unwrap_or_default(),
            babelfish: query::flag(row, "babelfish")?,
            rds: query::flag(row, "rds")?,
            availability_groups: query::flag(row, "availability_groups")?,
            filegroup: query::flag(row, "filegroup_")?,
            user: text(row, "own_name")?,
            database: text(row, "database_name")?,
            updateability: text(row, "updateability")?,
            read_only: query::flag(row, "read_only")?,
            time: query::time(row, "server_time")?.map_or(0, |stamp| stamp.0),
        })
    };
    match ask.ask_one(&sql, read).await? {
        Answer::Seen(server) => Ok(server),
        Answer::Refused(refusal) => Err(Failure::new(ErrorKind::Protocol, refusal.message).with_code(refusal.code)),
    }
}

/// The database.
///
/// # Errors
/// As [`Questions::ask_one`].
pub(super) async fn database(ask: &mut Questions<'_>) -> Result<Answer<DatabaseFacts>, Failure> {
    let sql = "SELECT CONVERT(int, d.is_cdc_enabled) AS cdc, CONVERT(nvarchar(60), d.recovery_model_desc) AS recovery_model, \
               CONVERT(nvarchar(60), d.log_reuse_wait_desc) AS log_reuse_wait, \
               CONVERT(nvarchar(60), d.snapshot_isolation_state_desc) AS snapshot_isolation \
               FROM sys.databases AS d WHERE d.name = DB_NAME();";
    ask.ask_one(sql, |row| {
        Ok(DatabaseFacts {
            cdc: query::flag(row, "cdc")?,
            recovery_model: text(row, "recovery_model")?,
            log_reuse_wait: text(row, "log_reuse_wait")?,
            snapshot_isolation: text(row, "snapshot_isolation")?,
        })
    })
    .await
}

/// Whether this server holds the database's primary replica; `None` where the database is in no availability group.
///
/// # Errors
/// As [`Questions::ask_one`].
pub(super) async fn primary_replica(ask: &mut Questions<'_>) -> Result<Answer<Option<bool>>, Failure> {
    let sql = "SELECT CONVERT(int, sys.fn_hadr_is_primary_replica(DB_NAME())) AS primary_replica;";
    ask.ask_one(sql, |row| Ok(query::number(row, "primary_replica")?.map(|number| number != 0))).await
}

impl ServerFacts {
    /// Whether Microsoft runs it: the version number then says nothing.
    pub(in crate::driver::sqlserver) fn is_azure(&self) -> bool {
        [AZURE_DATABASE, MANAGED_INSTANCE].contains(&self.engine_edition)
    }

    /// Whether it is Express or Web Edition.
    pub(in crate::driver::sqlserver) fn is_without_cdc(&self) -> bool {
        const EXPRESS: i64 = 4;
        self.engine_edition == EXPRESS || self.edition.starts_with("Web")
    }
}
