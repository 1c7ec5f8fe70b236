//! The server, its database, and its place in an availability group.

use serde::{Deserialize, Serialize};

use super::questions::Questions;
use crate::driver::answer::Answer;
use crate::driver::sqlserver::connect::role_expressions;
use crate::driver::sqlserver::family::FILEGROUP;
use crate::driver::sqlserver::identifier::literal;
use crate::driver::sqlserver::lookalike::{PRODUCT, lookalike};
use crate::driver::sqlserver::query::{Expressions, number};
use crate::heartbeat::{ErrorKind, Failure};

/// The value of `SERVERPROPERTY('EngineEdition')` in Azure SQL Database.
pub(in crate::driver::sqlserver) const AZURE_DATABASE: i64 = 5;
/// The value in Azure SQL Managed Instance.
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
    /// The text of `@@VERSION`; empty if it is unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(in crate::driver::sqlserver) product: String,
    /// Whether it is Babelfish: PostgreSQL with T-SQL.
    pub(in crate::driver::sqlserver) babelfish: bool,
    /// Whether it has the procedures of change data capture; `None` if that is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::driver::sqlserver) cdc_procedures: Option<bool>,
    /// Whether it runs on Amazon RDS.
    pub(in crate::driver::sqlserver) rds: bool,
    pub(in crate::driver::sqlserver) availability_groups: bool,
    /// Whether the filegroup of the vendor's set-up guide exists.
    pub(in crate::driver::sqlserver) filegroup: bool,
    /// This session's user in the database.
    pub(in crate::driver::sqlserver) user: String,
    pub(in crate::driver::sqlserver) database: String,
    /// `READ_WRITE` or `READ_ONLY`; empty if the server does not say.
    pub(in crate::driver::sqlserver) updateability: String,
    /// Whether a setting makes the database read-only.
    pub(in crate::driver::sqlserver) read_only: bool,
    /// The server's clock, in microseconds since 1970.
    pub(in crate::driver::sqlserver) time: i64,
}

/// The database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::sqlserver) struct DatabaseFacts {
    /// Whether change data capture is on.
    pub(in crate::driver::sqlserver) cdc: bool,
    /// `SIMPLE`, `BULK_LOGGED` or `FULL`.
    pub(in crate::driver::sqlserver) recovery_model: String,
    /// What prevents the log from being truncated: `NOTHING`, `REPLICATION`, `LOG_BACKUP`, …; empty if the server does
    /// not say.
    pub(in crate::driver::sqlserver) log_reuse_wait: String,
    /// `ON` or `OFF`; empty if the server does not say.
    pub(in crate::driver::sqlserver) snapshot_isolation: String,
}

/// Reads the facts of the server.
///
/// # Errors
/// The server's error, classified, if it answers nothing: every user can query this.
pub(super) async fn server(ask: &mut Questions<'_>) -> Result<ServerFacts, Failure> {
    let property = |kind: &str, name: &str| format!("CONVERT({kind}, SERVERPROPERTY(N'{name}'))");
    let is_there = |expression: String| format!("CASE WHEN {expression} IS NULL THEN 0 ELSE 1 END");
    let mut expressions: Expressions = vec![
        ("version", property("nvarchar(128)", "ProductVersion")),
        ("edition", property("nvarchar(128)", "Edition")),
        ("engine_edition", property("int", "EngineEdition")),
        ("babelfish", property("int", "Babelfish")),
        ("product", PRODUCT.to_owned()),
        ("cdc_procedures", is_there("OBJECT_ID(N'sys.sp_cdc_enable_table')".to_owned())),
        ("availability_groups", property("int", "IsHadrEnabled")),
        ("rds", is_there("DB_ID(N'rdsadmin')".to_owned())),
        ("filegroup_", is_there(format!("FILEGROUP_ID({})", literal(FILEGROUP)))),
        ("own_name", "CONVERT(nvarchar(128), USER_NAME())".to_owned()),
        ("database_name", "CONVERT(nvarchar(128), DB_NAME())".to_owned()),
        ("server_time", "SYSUTCDATETIME()".to_owned()),
    ];
    expressions.extend(role_expressions());
    let found = match ask.ask_values(&expressions).await? {
        Answer::Seen(found) => found,
        Answer::Refused(refusal) => {
            return Err(Failure::new(ErrorKind::Protocol, refusal.message).with_code(refusal.code));
        }
    };
    let text = |name| found.text(name).map(Option::unwrap_or_default);
    Ok(ServerFacts {
        version: text("version")?,
        edition: text("edition")?,
        engine_edition: found.number("engine_edition")?.unwrap_or_default(),
        product: text("product")?.lines().next().unwrap_or_default().to_owned(),
        babelfish: found.flag("babelfish")?,
        cdc_procedures: found.number("cdc_procedures")?.map(|number| number != 0),
        rds: found.flag("rds")?,
        availability_groups: found.flag("availability_groups")?,
        filegroup: found.flag("filegroup_")?,
        user: text("own_name")?,
        database: text("database_name")?,
        updateability: text("updateability")?,
        read_only: found.flag("read_only")?,
        time: found.time("server_time")?.map_or(0, |stamp| stamp.0),
    })
}

/// Reads the facts of the database.
///
/// # Errors
/// As [`Questions::ask_values`].
pub(super) async fn database(ask: &mut Questions<'_>) -> Result<Answer<DatabaseFacts>, Failure> {
    let of = |expression: &str| format!("(SELECT {expression} FROM sys.databases AS d WHERE d.name = DB_NAME())");
    let expressions = vec![
        ("cdc", of("CONVERT(int, d.is_cdc_enabled)")),
        ("recovery_model", of("CONVERT(nvarchar(60), d.recovery_model_desc)")),
        ("log_reuse_wait", of("CONVERT(nvarchar(60), d.log_reuse_wait_desc)")),
        ("snapshot_isolation", of("CONVERT(nvarchar(60), d.snapshot_isolation_state_desc)")),
    ];
    let found = match ask.ask_values(&expressions).await? {
        Answer::Seen(found) => found,
        Answer::Refused(refusal) => return Ok(Answer::Refused(refusal)),
    };
    if let Some(refusal) = found.refusal("cdc") {
        return Ok(Answer::Refused(refusal.clone()));
    }
    let text = |name| found.text(name).map(Option::unwrap_or_default);
    Ok(Answer::Seen(DatabaseFacts {
        cdc: found.flag("cdc")?,
        recovery_model: text("recovery_model")?,
        log_reuse_wait: text("log_reuse_wait")?,
        snapshot_isolation: text("snapshot_isolation")?,
    }))
}

/// Whether this server holds the database's primary replica; `None` if the database is in no availability group.
///
/// # Errors
/// As [`Questions::ask_one`].
pub(super) async fn primary_replica(ask: &mut Questions<'_>) -> Result<Answer<Option<bool>>, Failure> {
    let sql = "SELECT CONVERT(int, sys.fn_hadr_is_primary_replica(DB_NAME())) AS primary_replica;";
    ask.ask_one(sql, |row| Ok(number(row, "primary_replica")?.map(|number| number != 0))).await
}

impl ServerFacts {
    /// The product's name, if the server is not SQL Server.
    pub(in crate::driver::sqlserver) fn lookalike(&self) -> Option<String> {
        lookalike(self.babelfish, &self.product)
    }

    /// Whether it is the secondary of an availability group.
    pub(in crate::driver::sqlserver) fn is_secondary(&self) -> bool {
        !["", "READ_WRITE"].contains(&self.updateability.as_str()) && !self.read_only
    }

    /// Whether it is Azure SQL. The version number then says nothing about its features.
    pub(in crate::driver::sqlserver) fn is_azure(&self) -> bool {
        [AZURE_DATABASE, MANAGED_INSTANCE].contains(&self.engine_edition)
    }

    /// Whether it is an edition without change data capture: Express or Web.
    pub(in crate::driver::sqlserver) fn is_without_cdc(&self) -> bool {
        const EXPRESS: i64 = 4;
        self.engine_edition == EXPRESS || self.edition.starts_with("Web")
    }
}
