//! Replicas, by GTID: how to create, follow, await and promote them.

use std::collections::BTreeMap;

use sqlx::Connection;

use super::super::wait::{eventually, secs};
use super::session::{execute, records, rows};
use super::{ADMIN, ADMIN_PASSWORD, Flavour, MysqlServer};

impl MysqlServer {
    /// A read-only replica of this server, with its options; returns when both of its threads run.
    pub(crate) async fn replica(&self) -> Self {
        self.replica_with("").await
    }

    /// As [`replica`](Self::replica), with further lines of the option file.
    pub(crate) async fn replica_with(&self, lines: &str) -> Self {
        let mut replica = Self::prepare(self.options.clone().conf(lines)).await;
        replica.write_role(true);
        replica.resume().await;
        replica.follow(self).await;
        replica
    }

    /// Makes this server, a replica or a former primary, a read-only replica of `primary`; returns when both of its
    /// threads run.
    pub(crate) async fn follow(&self, primary: &Self) {
        self.follow_as(primary, ADMIN, ADMIN_PASSWORD).await;
    }

    /// As [`follow`](Self::follow), logged in as this user: for the source, the same as a connector's login.
    pub(crate) async fn follow_as(&self, primary: &Self, user: &str, password: &str) {
        let mut session = self.connect().await;
        let flavour = self.flavour();
        let (stop, change, start) = match flavour {
            Flavour::Mysql => ("STOP REPLICA", "CHANGE REPLICATION SOURCE TO", "START REPLICA"),
            Flavour::Mariadb | Flavour::Mysql57 => ("STOP SLAVE", "CHANGE MASTER TO", "START SLAVE"),
        };
        let prefix = if flavour == Flavour::Mysql { "SOURCE" } else { "MASTER" };
        let by_gtid = match flavour {
            // MASTER_DEMOTE_TO_SLAVE: what the server has written itself counts as replicated.
            Flavour::Mariadb => "MASTER_USE_GTID = slave_pos, MASTER_DEMOTE_TO_SLAVE = 1",
            Flavour::Mysql => "SOURCE_AUTO_POSITION = 1, SOURCE_SSL = 1, GET_SOURCE_PUBLIC_KEY = 1",
            Flavour::Mysql57 => "MASTER_AUTO_POSITION = 1",
        };
        execute(&mut session, stop).await;
        self.write_role(true);
        execute(&mut session, "SET GLOBAL read_only = ON").await;
        let change = format!(
            "{change} {prefix}_HOST = '127.0.0.1', {prefix}_PORT = {port}, {prefix}_CONNECT_RETRY = 1, \
             {prefix}_USER = '{user}', {prefix}_PASSWORD = '{password}', {by_gtid}",
            port = primary.port,
        );
        execute(&mut session, &change).await;
        execute(&mut session, start).await;
        eventually(secs(20), "replication to run", async || {
            let status = self.replication_status().await;
            let threads: Vec<_> = status.iter().filter(|(name, _)| name.ends_with("_Running")).collect();
            if threads.len() == 2 && threads.iter().all(|(_, state)| state.as_deref() == Some("Yes")) {
                return Ok(());
            }
            let errors = status.iter().filter(|(name, _)| name.starts_with("Last_") && name.ends_with("Error"));
            Err(format!("{threads:?} {:?}", errors.collect::<Vec<_>>()))
        })
        .await;
    }

    /// `SHOW REPLICA STATUS`, by its columns' names; empty on a server that follows no other.
    pub(crate) async fn replication_status(&self) -> BTreeMap<String, Option<String>> {
        let question = match self.flavour() {
            Flavour::Mysql => "SHOW REPLICA STATUS",
            Flavour::Mariadb | Flavour::Mysql57 => "SHOW SLAVE STATUS",
        };
        let status = records(&mut self.connect().await, question).await.unwrap();
        status.into_iter().next().unwrap_or_default()
    }

    /// Waits until this replica has applied everything that `primary` has committed so far.
    pub(crate) async fn catch_up_with(&self, primary: &Self) {
        let position = match self.flavour() {
            Flavour::Mariadb => "SELECT @@gtid_binlog_pos",
            Flavour::Mysql | Flavour::Mysql57 => "SELECT @@global.gtid_executed",
        };
        let goal = primary.value(position).await.unwrap_or_default();
        let reached = match self.flavour() {
            Flavour::Mariadb => format!("SELECT MASTER_GTID_WAIT('{goal}', 0.01) = 0"),
            Flavour::Mysql | Flavour::Mysql57 => format!("SELECT GTID_SUBSET('{goal}', @@global.gtid_executed)"),
        };
        eventually(secs(20), format!("the replica to apply {goal}"), async || {
            if self.number(&reached).await == 1 { Ok(()) } else { Err(format!("{:?}", self.value(position).await)) }
        })
        .await;
    }

    /// Ends this replica's replication and makes it writable.
    pub(crate) async fn promote(&self) {
        let orders = match self.flavour() {
            Flavour::Mysql => "STOP REPLICA; RESET REPLICA ALL",
            Flavour::Mariadb | Flavour::Mysql57 => "STOP SLAVE; RESET SLAVE ALL",
        };
        self.execute(orders).await;
        self.write_role(false);
        self.set_global("read_only", "OFF").await;
    }

    /// Ends the sessions of replicas: a stopping MySQL waits some eight seconds for each of them.
    pub(super) async fn dismiss_replicas(&self) {
        let Ok(mut session) = self.connect_as(ADMIN, ADMIN_PASSWORD).await else {
            return;
        };
        for process in records(&mut session, "SHOW PROCESSLIST").await.unwrap_or_default() {
            if process["Command"].as_deref().is_some_and(|command| command.starts_with("Binlog Dump")) {
                let id = process["Id"].as_deref().unwrap();
                // It may have ended by itself.
                let _ = rows(&mut session, &format!("KILL {id}")).await;
            }
        }
        let _ = session.close().await;
    }

    /// Its role, also after a restart.
    pub(crate) fn write_role(&self, replica: bool) {
        let read_only = if replica { "ON" } else { "OFF" };
        self.place.write("role.cnf", format!("[mysqld]\nread_only = {read_only}\n"));
    }
}
