//! Gathers the facts for the checks and for a plan: one question per subject, one round trip each. The session's
//! `inspect` and `plan` call it; `checks` and `provision` judge the facts.
//!
//! The facts contain no secret: no password, and of the rows only ids and the heartbeat's time. Each answer has a
//! maximum size.

mod accounts;
mod database;
mod questions;
mod table;

use serde::{Deserialize, Serialize};

pub(super) use accounts::{AccountFacts, Grant};
pub(super) use database::{ContextFacts, DatabaseFacts, PdbLogging, RecoveryArea};
pub(super) use table::{LogGroup, ObjectFacts, RowFacts};

use self::questions::Questions;
use super::connect::Opened;
use super::family::common_user_of;
use super::identifier::stored;
use crate::driver::answer::Answer;
use crate::heartbeat::Failure;
use crate::plan::columns::Column;
use crate::target::{HeartbeatTable, Target};
use crate::time::clock::Instant;

/// All facts that the Oracle checks judge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct OracleFacts {
    /// `host:port`, or the alias.
    pub(super) address: String,
    pub(super) version: String,
    pub(super) context: ContextFacts,
    pub(super) database: Answer<DatabaseFacts>,
    /// The supplemental logging that a pluggable database has of its own.
    pub(super) pdb_logging: Answer<Option<PdbLogging>>,
    /// How many valid local destinations archived logs have.
    pub(super) destinations: Answer<u64>,
    /// The age of the oldest archived log that is still there, in seconds; `None` if there is no such log.
    pub(super) oldest_archived: Answer<Option<i64>>,
    /// `None` if the server has no recovery area.
    pub(super) recovery_area: Answer<Option<RecoveryArea>>,
    /// Tables and views of the heartbeat's name, in any schema.
    pub(super) objects: Answer<Vec<ObjectFacts>>,
    pub(super) columns: Answer<Vec<Column>>,
    pub(super) primary_key: Answer<Vec<String>>,
    /// Whether `ID` alone has an enabled key or a usable unique index.
    #[serde(default)]
    pub(super) unique_id: bool,
    pub(super) row: Answer<RowFacts>,
    pub(super) log_groups: Answer<Vec<LogGroup>>,
    /// The privileges of this session's user on the table, and its privileges on any table.
    pub(super) own_privileges: Answer<Vec<String>>,
    pub(super) own_account: Answer<AccountFacts>,
    /// Which of these users exist: the table's owner, the connector's user, the common user, the user that beats.
    pub(super) users: Answer<Vec<String>>,
    /// The accounts of the connector's users.
    pub(super) accounts: Answer<Vec<AccountFacts>>,
    /// The grants on the heartbeat table.
    pub(super) grants: Answer<Vec<Grant>>,
    /// System privileges and roles of the connector's users.
    pub(super) system_privileges: Answer<Vec<Grant>>,
    /// Scheduled jobs that name the heartbeat table, each with its state.
    pub(super) jobs: Answer<Vec<(String, String)>>,
}

/// The root of a multitenant database.
pub(super) const ROOT: &str = "CDB$ROOT";

impl OracleFacts {
    /// The type of the object that has the heartbeat's schema and name.
    pub(super) fn own_object(&self, table: &HeartbeatTable) -> Option<&str> {
        let owner = stored(&table.schema);
        let objects = self.objects.answer()?;
        objects.iter().find(|object| object.owner == owner).map(|object| object.kind.as_str())
    }
}

/// Reads the columns of the heartbeat table.
///
/// # Errors
/// The server cannot be queried.
pub(super) async fn columns(
    opened: &mut Opened,
    table: &HeartbeatTable,
    deadline: Instant,
) -> Result<Answer<Vec<Column>>, Failure> {
    let mut ask = Questions::of(&mut opened.thread, super::connect::limit_of(deadline));
    table::columns(&mut ask, table).await
}

/// Gathers the facts, with about two dozen questions.
///
/// # Errors
/// The server's error, classified, if the server cannot be queried at all.
pub(super) async fn gather(opened: &mut Opened, target: &Target, deadline: Instant) -> Result<OracleFacts, Failure> {
    let (address, version) = (opened.server.address.clone(), opened.server.version.clone());
    let with_zone = opened.column == Some(super::connect::Column::WithZone);
    let heartbeat = &target.heartbeat;
    let (connector, common) = (stored(&target.connector.user.name), stored(&common_user_of(target).name));
    let writer = stored(target.endpoint.url.user().unwrap_or_default());
    let mut ask = Questions::of(&mut opened.thread, super::connect::limit_of(deadline));
    let context = database::context(&mut ask).await?;
    let (primary_key, unique_id) = table::keys(&mut ask, heartbeat).await?;
    Ok(OracleFacts {
        address,
        version,
        database: database::database(&mut ask).await?,
        pdb_logging: database::pdb_logging(&mut ask).await?,
        destinations: database::destinations(&mut ask).await?,
        oldest_archived: database::oldest_archived(&mut ask).await?,
        recovery_area: database::recovery_area(&mut ask).await?,
        objects: table::objects(&mut ask, heartbeat).await?,
        columns: table::columns(&mut ask, heartbeat).await?,
        primary_key,
        unique_id,
        row: table::row(&mut ask, heartbeat, with_zone).await?,
        log_groups: table::log_groups(&mut ask, heartbeat).await?,
        own_privileges: accounts::own_privileges(&mut ask, heartbeat).await?,
        own_account: accounts::own_account(&mut ask).await?,
        users: accounts::users(&mut ask, &[&stored(&heartbeat.schema), &connector, &common, &writer]).await?,
        accounts: accounts::accounts(&mut ask, &[&connector, &common]).await?,
        grants: accounts::grants(&mut ask, heartbeat, &context.user).await?,
        system_privileges: accounts::system_privileges(&mut ask, &[&connector, &common]).await?,
        jobs: accounts::jobs(&mut ask, heartbeat).await?,
        context,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another test reads this list and passes each query to a foreign parser.
    #[test]
    fn every_question_is_listed_for_the_foreign_parser() {
        let heartbeat = crate::driver::oracle::family::defaults().heartbeat;
        let users = ["STREAMKAP_USER", "C##STREAMKAP_USER"];
        let mut all = database::statements();
        all.extend(table::statements(&heartbeat));
        all.extend(accounts::statements(&heartbeat, &users));
        assert!(all.iter().all(|question| question.starts_with("SELECT ") && !question.contains('\n')), "{all:?}");
        insta::assert_snapshot!(all.join("\n"));
        insta::assert_snapshot!(questions::BLOCK);
    }
}
