//! The database: the session's container, how the database logs changes, and how long it keeps the logs.

use serde::{Deserialize, Serialize};

use super::questions::{Questions, column, joined, micros, number};
use crate::driver::answer::Answer;
use crate::heartbeat::Failure;

/// Where the session is. Every user can query it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::oracle) struct ContextFacts {
    /// The container: `CDB$ROOT`, a pluggable database's name, or the database's own.
    pub(in crate::driver::oracle) container: String,
    /// Whether the database is multitenant.
    pub(in crate::driver::oracle) multitenant: bool,
    /// The session's user.
    pub(in crate::driver::oracle) user: String,
    /// The role in Data Guard.
    pub(in crate::driver::oracle) role: String,
    /// The server's clock, in microseconds since 1970.
    pub(in crate::driver::oracle) time: i64,
}

/// The contents of V$DATABASE. In a pluggable database it shows the state of the whole database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::oracle) struct DatabaseFacts {
    pub(in crate::driver::oracle) log_mode: String,
    pub(in crate::driver::oracle) force_logging: String,
    /// YES, IMPLICIT or NO.
    pub(in crate::driver::oracle) minimal_logging: String,
    /// Whether all columns of all tables are logged.
    pub(in crate::driver::oracle) all_columns: bool,
    pub(in crate::driver::oracle) open_mode: String,
    /// How long ago the database was created, in seconds.
    pub(in crate::driver::oracle) age: i64,
}

/// The supplemental logging that a pluggable database has of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::oracle) struct PdbLogging {
    pub(in crate::driver::oracle) minimal: bool,
    pub(in crate::driver::oracle) all_columns: bool,
}

/// The space for archived logs, backups and flashback logs, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::oracle) struct RecoveryArea {
    pub(in crate::driver::oracle) limit: i64,
    pub(in crate::driver::oracle) used: i64,
    pub(in crate::driver::oracle) reclaimable: i64,
}

const PDB_LOGGING: &str = "SELECT MINIMAL || CHR(9) || ALL_COLUMN FROM DBA_SUPPLEMENTAL_LOGGING";
const DESTINATIONS: &str =
    "SELECT TO_CHAR(COUNT(*)) FROM V$ARCHIVE_DEST_STATUS WHERE STATUS = 'VALID' AND TYPE = 'LOCAL'";
/// Times from the control file are in the time zone of the server's machine, as SYSDATE is.
const OLDEST: &str = "SELECT TO_CHAR(ROUND((SYSDATE - MIN(FIRST_TIME)) * 86400)) FROM V$ARCHIVED_LOG \
                      WHERE NAME IS NOT NULL AND DELETED = 'NO' AND STANDBY_DEST = 'NO'";
const RECOVERY_AREA: &str = "SELECT TO_CHAR(SPACE_LIMIT) || CHR(9) || TO_CHAR(SPACE_USED) || CHR(9) || \
                             TO_CHAR(SPACE_RECLAIMABLE) FROM V$RECOVERY_FILE_DEST";

fn context_sql() -> String {
    let setting = |name: &str| format!("SYS_CONTEXT('USERENV', '{name}')");
    let time = format!("TO_CHAR({})", micros("SYS_EXTRACT_UTC(SYSTIMESTAMP)"));
    let (container, cdb) = (setting("CON_NAME"), setting("CDB_NAME"));
    let (user, role) = (setting("SESSION_USER"), setting("DATABASE_ROLE"));
    format!("SELECT {} FROM DUAL", joined(&[&container, &cdb, &user, &role, &time]))
}

fn database_sql() -> String {
    let age = "TO_CHAR(ROUND((SYSDATE - CREATED) * 86400))";
    let columns = joined(&[
        "LOG_MODE",
        "FORCE_LOGGING",
        "SUPPLEMENTAL_LOG_DATA_MIN",
        "SUPPLEMENTAL_LOG_DATA_ALL",
        "OPEN_MODE",
        age,
    ]);
    format!("SELECT {columns} FROM V$DATABASE")
}

/// Reads where the session is.
///
/// # Errors
/// The server cannot be queried, or sends no answer.
pub(super) async fn context(ask: &mut Questions<'_>) -> Result<ContextFacts, Failure> {
    let lines = match ask.ask(&context_sql()).await? {
        Answer::Seen(lines) => lines,
        Answer::Refused(refusal) => {
            return Err(Failure::new(crate::heartbeat::ErrorKind::Protocol, refusal.to_string()));
        }
    };
    let line = lines.first().map(Vec::as_slice).unwrap_or_default();
    let text = |place| column(line, place).unwrap_or_default();
    Ok(ContextFacts {
        container: text(0),
        multitenant: column(line, 1).is_some(),
        user: text(2),
        role: text(3),
        time: number(line, 4).unwrap_or_default(),
    })
}

pub(super) async fn database(ask: &mut Questions<'_>) -> Result<Answer<DatabaseFacts>, Failure> {
    Ok(ask.ask(&database_sql()).await?.make(|lines| {
        let line = lines.into_iter().next().unwrap_or_default();
        let text = |place| column(&line, place).unwrap_or_default();
        DatabaseFacts {
            log_mode: text(0),
            force_logging: text(1),
            minimal_logging: text(2),
            all_columns: text(3) == "YES",
            open_mode: text(4),
            age: number(&line, 5).unwrap_or_default(),
        }
    }))
}

pub(super) async fn pdb_logging(ask: &mut Questions<'_>) -> Result<Answer<Option<PdbLogging>>, Failure> {
    Ok(ask.ask(PDB_LOGGING).await?.make(|lines| {
        lines.first().map(|line| {
            let is = |place| column(line, place).is_some_and(|word| word == "YES");
            PdbLogging { minimal: is(0), all_columns: is(1) }
        })
    }))
}

pub(super) async fn destinations(ask: &mut Questions<'_>) -> Result<Answer<u64>, Failure> {
    let count = |lines: Vec<Vec<String>>| lines.first().and_then(|line| number(line, 0)).unwrap_or_default();
    Ok(ask.ask(DESTINATIONS).await?.make(|lines| count(lines).unsigned_abs()))
}

pub(super) async fn oldest_archived(ask: &mut Questions<'_>) -> Result<Answer<Option<i64>>, Failure> {
    Ok(ask.ask(OLDEST).await?.make(|lines| lines.first().and_then(|line| number(line, 0))))
}

pub(super) async fn recovery_area(ask: &mut Questions<'_>) -> Result<Answer<Option<RecoveryArea>>, Failure> {
    Ok(ask.ask(RECOVERY_AREA).await?.make(|lines| {
        let line = lines.first()?;
        let area = RecoveryArea { limit: number(line, 0)?, used: number(line, 1)?, reclaimable: number(line, 2)? };
        Some(area).filter(|area| area.limit > 0)
    }))
}

#[cfg(test)]
pub(super) fn statements() -> Vec<String> {
    let fixed = [PDB_LOGGING, DESTINATIONS, OLDEST, RECOVERY_AREA].map(str::to_owned);
    [context_sql(), database_sql()].into_iter().chain(fixed).collect()
}
