//! Limits how many inspectors look at one server at a time, so that they never use up the server's connections. The
//! `fleet` owns it; each `inspector` asks it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::database_url::{DatabaseUrl, Family, Host};

/// How many inspectors look at one server at a time. Each holds one connection. Eight are few compared with the 100 to
/// 150 connections that servers allow by default, and with a look of half a second they are still a thousand looks a
/// minute.
const AT_A_TIME: usize = 8;

/// The slots of all servers of a fleet. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct ServerSlots(Arc<Mutex<HashMap<Server, Weak<Semaphore>>>>);

/// A server, as its addresses show it: hosts in order, in lower case. A server with two names, or with its default port
/// and without one, counts twice.
type Server = (Family, Vec<Host>);

/// The right to look at one server. Dropping it returns the slot.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "held for its drop")] Option<OwnedSemaphorePermit>);

impl ServerSlots {
    /// Waits for a slot of this server, first come, first served. A server that hangs delays only the inspectors of
    /// that server, and no longer than the time-outs of those before them.
    ///
    /// Cancel-safe: the place in the queue is lost.
    pub async fn at(&self, url: &DatabaseUrl) -> Turn {
        let hosts = url.hosts().iter().map(|host| Host { name: host.name.to_ascii_lowercase(), ..host.clone() });
        let mut hosts: Vec<_> = hosts.collect();
        hosts.sort();
        let turns = self.of((url.family(), hosts));
        // `None` only if the semaphore is closed, which never happens.
        Turn(turns.acquire_owned().await.ok())
    }

    fn of(&self, server: Server) -> Arc<Semaphore> {
        let mut servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turns) = servers.get(&server).and_then(Weak::upgrade) {
            return turns;
        }
        // Servers come and go with reloads. Servers without inspectors are removed here.
        servers.retain(|_, turns| turns.strong_count() > 0);
        let turns = Arc::new(Semaphore::new(AT_A_TIME));
        servers.insert(server, Arc::downgrade(&turns));
        turns
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::join_all;

    use super::*;

    fn url(text: &str) -> DatabaseUrl {
        crate::target::Endpoint::parse(text).unwrap().url
    }

    #[tokio::test]
    async fn few_inspectors_look_at_one_server_at_a_time_for_any_database_or_user() {
        let turns = ServerSlots::default();
        let held = join_all((0..AT_A_TIME).map(|n| {
            let turns = turns.clone();
            async move { turns.at(&url(&format!("postgres://user{n}@a,b/database{n}"))).await }
        }));
        let mut held = held.now_or_never().unwrap();
        assert!(turns.at(&url("postgres://user@B,a/other")).now_or_never().is_none());
        assert!(turns.at(&url("postgres://user@a,b:5433/other")).now_or_never().is_some());
        assert!(turns.at(&url("postgres://user@a/other")).now_or_never().is_some());
        held.pop();
        assert!(turns.at(&url("postgres://user@B,a/other")).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_server_without_inspectors_is_forgotten() {
        let turns = ServerSlots::default();
        for n in 0..100 {
            drop(turns.at(&url(&format!("postgres://user@db{n}/orders"))).await);
        }
        assert_eq!(turns.0.lock().unwrap().len(), 1);
    }
}
