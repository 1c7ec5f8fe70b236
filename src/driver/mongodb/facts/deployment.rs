//! The server, and the replica set that it belongs to.

use mongodb::bson::{Document, doc};
use serde::{Deserialize, Serialize};

use super::questions::{Questions, count, documents, number};
use crate::driver::answer::Answer;
use crate::heartbeat::{ErrorKind, Failure};

/// The most members that a replica set can have.
const MEMBERS: usize = 50;

/// The server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::mongodb) struct ServerFacts {
    /// `MongoDB 6.0.5`.
    pub(in crate::driver::mongodb) version: String,
    pub(in crate::driver::mongodb) set_name: Option<String>,
    /// Whether it is a router of a sharded cluster.
    pub(in crate::driver::mongodb) sharded: bool,
    pub(in crate::driver::mongodb) primary: bool,
    pub(in crate::driver::mongodb) secondary: bool,
    /// The primary that it knows.
    pub(in crate::driver::mongodb) knows_primary: Option<String>,
    /// Its clock, in microseconds since 1970.
    pub(in crate::driver::mongodb) time: i64,
    /// Whether this session is encrypted.
    pub(in crate::driver::mongodb) encrypted: bool,
}

/// A member of the set, as the queried server sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::mongodb) struct Member {
    pub(in crate::driver::mongodb) name: String,
    /// `PRIMARY`, `SECONDARY`, `ARBITER`, …
    pub(in crate::driver::mongodb) state: String,
    pub(in crate::driver::mongodb) healthy: bool,
    pub(in crate::driver::mongodb) own: bool,
}

/// The set's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::driver::mongodb) struct SetFacts {
    /// Votes in all.
    pub(in crate::driver::mongodb) votes: u64,
    /// Voting members that hold data: only they can acknowledge a write for the majority.
    pub(in crate::driver::mongodb) voting_data: Vec<String>,
    pub(in crate::driver::mongodb) arbiters: Vec<String>,
}

/// The server itself.
///
/// # Errors
/// The server's error, classified: every user may ask this.
pub(super) async fn server(ask: &mut Questions<'_>, version: String, encrypted: bool) -> Result<ServerFacts, Failure> {
    let hello = match ask.ask("admin", doc! { "hello": 1 }).await? {
        Answer::Seen(hello) => hello,
        Answer::Refused(refusal) => {
            return Err(Failure::new(ErrorKind::Protocol, refusal.message).with_code(refusal.code));
        }
    };
    let is = |name| hello.get_bool(name).unwrap_or(false);
    let time = hello.get_datetime("localTime").map(|time| time.timestamp_millis().saturating_mul(1_000));
    Ok(ServerFacts {
        version,
        set_name: hello.get_str("setName").map(str::to_owned).ok(),
        sharded: hello.get_str("msg").is_ok_and(|kind| kind == "isdbgrid"),
        primary: is("isWritablePrimary"),
        secondary: is("secondary"),
        knows_primary: hello.get_str("primary").map(str::to_owned).ok(),
        time: time.unwrap_or_default(),
        encrypted,
    })
}

/// The members and their states.
///
/// # Errors
/// As [`Questions::ask`].
pub(super) async fn members(ask: &mut Questions<'_>) -> Result<Answer<Vec<Member>>, Failure> {
    let status = ask.ask("admin", doc! { "replSetGetStatus": 1 }).await?;
    let member = |member: Document| Member {
        name: member.get_str("name").unwrap_or_default().to_owned(),
        state: member.get_str("stateStr").unwrap_or_default().to_owned(),
        healthy: number(&member, "health").is_some_and(|health| health > 0.0),
        own: member.get_bool("self").unwrap_or(false),
    };
    Ok(status.make(|status| documents(Some(&status), "members").into_iter().take(MEMBERS).map(member).collect()))
}

/// The facts of the set's configuration.
///
/// # Errors
/// As [`Questions::ask`].
pub(super) async fn set(ask: &mut Questions<'_>) -> Result<Answer<SetFacts>, Failure> {
    let answer = ask.ask("admin", doc! { "replSetGetConfig": 1 }).await?;
    Ok(answer.make(|answer| {
        let members = documents(answer.get_document("config").ok(), "members");
        let (mut votes, mut voting_data, mut arbiters) = (0, Vec::new(), Vec::new());
        for member in members.iter().take(MEMBERS) {
            let name = member.get_str("host").unwrap_or_default().to_owned();
            let own_votes = count(member, "votes").unwrap_or(1);
            votes += own_votes;
            if member.get_bool("arbiterOnly").unwrap_or(false) {
                arbiters.push(name);
            } else if own_votes > 0 {
                voting_data.push(name);
            }
        }
        SetFacts { votes, voting_data, arbiters }
    }))
}

/// The feature compatibility version: the server uses only features up to it.
///
/// # Errors
/// As [`Questions::ask`].
pub(super) async fn feature_version(ask: &mut Questions<'_>) -> Result<Answer<String>, Failure> {
    let answer = ask.ask("admin", doc! { "getParameter": 1, "featureCompatibilityVersion": 1 }).await?;
    Ok(answer.make(|answer| {
        let version = answer.get_document("featureCompatibilityVersion").ok();
        version.and_then(|version| version.get_str("version").ok()).unwrap_or_default().to_owned()
    }))
}
