//! Replica sets: servers that follow an elected primary.

use mongodb::bson::{Bson, Document, doc};

use super::super::wait::{eventually, secs};
use super::client::Admin;
use super::{ADMIN, ADMIN_PASSWORD, MongoOptions, MongoServer};

/// The name of every set.
pub(crate) const SET: &str = "rs0";

/// After this time without an answer from the primary, the others elect a new one, in milliseconds. With a shorter
/// time, a primary that a busy machine pauses would be replaced.
const ELECTION_TIMEOUT: i32 = 5_000;
/// The first election waits for the whole time-out, so it gets a shorter one.
const FIRST_ELECTION_TIMEOUT: i32 = 2_000;

/// Servers that follow an elected primary; dropping it stops them all.
#[derive(Debug)]
pub(crate) struct ReplicaSet {
    members: Vec<MongoServer>,
}

impl ReplicaSet {
    /// Three members that hold data.
    pub(crate) async fn start() -> Self {
        Self::with(3, MongoOptions::default()).await
    }

    /// This many members that hold data, each with these options.
    pub(crate) async fn with(members: usize, options: MongoOptions) -> Self {
        Self::of(members, options, |_| doc! {}).await
    }

    /// As [`with`](Self::with); `further` adds to the configuration of each member, e.g. `arbiterOnly`.
    pub(crate) async fn of(members: usize, options: MongoOptions, further: impl Fn(usize) -> Document) -> Self {
        let starting = (0..members).map(|_| options.clone().member_of(SET).start_bare());
        let set = Self { members: futures_util::future::join_all(starting).await };
        let configured: Vec<Bson> = set
            .members
            .iter()
            .zip(0_i32..)
            .enumerate()
            .map(|(number, (member, id))| {
                let mut configured = doc! { "_id": id, "host": member.host() };
                configured.extend(further(number));
                Bson::from(configured)
            })
            .collect();
        let settings = doc! { "electionTimeoutMillis": FIRST_ELECTION_TIMEOUT, "heartbeatIntervalMillis": 500 };
        let configuration = doc! { "_id": SET, "members": configured, "settings": settings };
        set.members[0].anybody().await.run("admin", doc! { "replSetInitiate": configuration }).await;
        set.members[set.primary().await].create_admin().await;
        set.is_whole().await;
        set.set_election_timeout().await;
        set.is_whole().await;
        set
    }

    async fn set_election_timeout(&self) {
        let mut configuration =
            self.run("admin", doc! { "replSetGetConfig": 1 }).await.get_document("config").unwrap().clone();
        let version = configuration.get_i32("version").unwrap();
        configuration.insert("version", version + 1);
        configuration.get_document_mut("settings").unwrap().insert("electionTimeoutMillis", ELECTION_TIMEOUT);
        self.run("admin", doc! { "replSetReconfig": configuration }).await;
    }

    /// The member of this number, from 0 on.
    pub(crate) fn member(&self, number: usize) -> &MongoServer {
        &self.members[number]
    }

    /// As [`member`](Self::member), to stop or start it.
    pub(crate) fn member_mut(&mut self, number: usize) -> &mut MongoServer {
        &mut self.members[number]
    }

    /// Every member.
    pub(crate) fn members(&self) -> &[MongoServer] {
        &self.members
    }

    /// The address of all members for a user of `admin`, with TLS and these further parameters (`&name=value`).
    pub(crate) fn url(&self, user: &str, password: &str, further: &str) -> String {
        let hosts: Vec<String> = self.members.iter().map(MongoServer::host).collect();
        let ca = self.members[0].ca_file();
        format!(
            "mongodb://{user}:{password}@{}/?replicaSet={SET}&tls=true&tlsCAFile={}{further}",
            hosts.join(","),
            ca.display()
        )
    }

    /// An administrator's client of the whole set: it follows the primary.
    pub(crate) async fn admin(&self) -> Admin {
        Admin::of(&self.url(ADMIN, ADMIN_PASSWORD, "")).await
    }

    /// Runs a command on a database of the primary as the administrator; returns its answer.
    pub(crate) async fn run(&self, database: &str, command: Document) -> Document {
        self.members[self.primary().await].run(database, command).await
    }

    /// The number of the member that accepts writes now.
    pub(crate) async fn primary(&self) -> usize {
        eventually(secs(30), "a primary", async || {
            for (number, member) in self.members.iter().enumerate() {
                if member.is_primary().await {
                    return Ok(number);
                }
            }
            Err("no member is one")
        })
        .await
    }

    /// The numbers of the current secondaries.
    pub(crate) async fn secondaries(&self) -> Vec<usize> {
        let primary = self.primary().await;
        (0..self.members.len()).filter(|number| *number != primary).collect()
    }

    /// Waits until every member is the primary, an arbiter, or a secondary that has caught up with the primary.
    pub(crate) async fn is_whole(&self) {
        eventually(secs(60), "every member to be at the same point", async || {
            let primary = &self.members[self.primary().await];
            let status = primary.run("admin", doc! { "replSetGetStatus": 1 }).await;
            let members: Vec<&Document> =
                status.get_array("members").unwrap().iter().map(|member| member.as_document().unwrap()).collect();
            let states: Vec<i32> = members.iter().map(|member| member.get_i32("state").unwrap()).collect();
            let points: Vec<_> = members
                .iter()
                .filter_map(|member| member.get_document("optime").ok())
                .map(|optime| optime.get_timestamp("ts").unwrap())
                .collect();
            let at_one_point = points.iter().all(|point| *point == points[0]);
            if at_one_point && states.iter().all(|state| matches!(state, 1 | 2 | 7)) {
                Ok(())
            } else {
                Err(format!("{states:?}, {points:?}"))
            }
        })
        .await;
    }

    /// Makes the primary step down for this many seconds; returns the number of its successor.
    pub(crate) async fn step_down(&self, seconds: i32) -> usize {
        let before = self.primary().await;
        let order = doc! { "replSetStepDown": seconds, "secondaryCatchUpPeriodSecs": seconds, "force": true };
        self.members[before].run("admin", order).await;
        eventually(secs(20), "another primary", async || match self.primary().await {
            now if now != before => Ok(now),
            _ => Err("none"),
        })
        .await
    }

    /// The updates of a collection in the primary's oplog, oldest first.
    pub(crate) async fn updates(&self, namespace: &str) -> Vec<Document> {
        let primary = &self.members[self.primary().await];
        primary
            .admin()
            .await
            .find("local", "oplog.rs", doc! { "ns": namespace, "op": "u" }, doc! { "$natural": 1 })
            .await
    }
}
