//! Gathers the facts for the checks and for a plan, with one command for each question. The session's `inspect` and
//! `plan` call it; `checks` and `provision` judge the facts.
//!
//! The facts contain no secret: no password, no content of documents except the heartbeat's time. Each
//! answer has a size limit.

mod collection;
mod deployment;
mod oplog;
mod questions;
pub(super) mod users;

use serde::{Deserialize, Serialize};

pub(super) use collection::{CollectionFacts, RowFacts, TtlIndex};
pub(super) use deployment::{Member, ServerFacts, SetFacts};
pub(super) use oplog::OplogFacts;
pub(super) use users::{Rights, UserFacts};

use self::questions::Questions;
use super::client::Limits;
use super::connect::Opened;
use super::identifier::{READER, WRITER, auth_database};
use super::parameters::Parameters;
use crate::driver::answer::Answer;
use crate::heartbeat::Failure;
use crate::target::Target;
use crate::time::clock::Instant;

/// All facts from which MongoDB's checks are judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct MongoFacts {
    /// `host:port`.
    pub(super) address: String,
    pub(super) server: ServerFacts,
    /// `None` if there is no such collection.
    pub(super) collection: Answer<Option<CollectionFacts>>,
    /// The indexes by which the server deletes documents.
    pub(super) ttl: Answer<Vec<TtlIndex>>,
    pub(super) row: Answer<RowFacts>,
    /// This session's user.
    pub(super) own: Answer<UserFacts>,
    /// The user of the target's address, who writes the heartbeat; `None` if there is no such user.
    pub(super) writer: Answer<Option<UserFacts>>,
    /// The connector's user.
    pub(super) connector: Answer<Option<UserFacts>>,
    /// What the roles of provisioning allow; `None` for a missing role.
    pub(super) writer_role: Answer<Option<Rights>>,
    pub(super) reader_role: Answer<Option<Rights>>,
    /// The members of the replica set, as this member sees them.
    pub(super) members: Answer<Vec<Member>>,
    /// What the replica set's configuration says.
    pub(super) set: Answer<SetFacts>,
    pub(super) oplog: Answer<OplogFacts>,
    /// The hours for which the oplog is kept at least; 0 for no guarantee.
    pub(super) guaranteed_hours: Answer<f64>,
    /// Whether an idle primary regularly writes into its oplog.
    pub(super) periodic_noops: Answer<bool>,
    pub(super) feature_version: Answer<String>,
    /// The number of open change streams.
    pub(super) readers: Answer<u64>,
}

/// Gathers the facts, in two dozen commands at most.
///
/// # Errors
/// The server's error, classified, if it answers no command at all.
pub(super) async fn gather(opened: &mut Opened, target: &Target, deadline: Instant) -> Result<MongoFacts, Failure> {
    let encrypted = Parameters::read(&target.endpoint.url).is_ok_and(|parameters| parameters.uses_tls());
    let version = opened.server.version.clone();
    let mut ask = Questions::of(&mut opened.client, Limits::until(deadline));
    let heartbeat = &target.heartbeat;
    let server = deployment::server(&mut ask, version, encrypted).await?;
    let writer = target.endpoint.url.user().unwrap_or_default();
    Ok(MongoFacts {
        address: opened.server.address.clone(),
        server,
        collection: collection::collection(&mut ask, heartbeat).await?,
        ttl: collection::ttl(&mut ask, heartbeat).await?,
        row: collection::row(&mut ask, heartbeat).await?,
        own: users::own(&mut ask, heartbeat).await?,
        writer: users::user(&mut ask, writer, &auth_database(target), heartbeat).await?,
        connector: users::user(&mut ask, &target.connector.user.name, "admin", heartbeat).await?,
        writer_role: users::role(&mut ask, WRITER, heartbeat).await?,
        reader_role: users::role(&mut ask, READER, heartbeat).await?,
        members: deployment::members(&mut ask).await?,
        set: deployment::set(&mut ask).await?,
        oplog: oplog::oplog(&mut ask).await?,
        guaranteed_hours: oplog::guaranteed_hours(&mut ask).await?,
        periodic_noops: oplog::periodic_noops(&mut ask).await?,
        feature_version: deployment::feature_version(&mut ask).await?,
        readers: users::readers(&mut ask).await?,
    })
}
