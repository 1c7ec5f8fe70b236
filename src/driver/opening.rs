//! Opening a session: read the secret, connect, both within one deadline. The shared step above the drivers; used by the
//! scheduler's kept connections, by the replica watchers and by the commands.

use std::sync::Arc;
use std::time::Duration;

use super::timelines::Timelines;
use super::{ConnectRequest, Driver, Purpose, ServerInfo, Session};
use crate::heartbeat::{ErrorKind, Failure};
use crate::target::{Endpoint, HeartbeatTable};
use crate::time::clock::{self, Instant};

/// What to open.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// Where.
    pub endpoint: &'a Endpoint,
    /// What for.
    pub purpose: Purpose,
    /// The table the session will work on.
    pub table: &'a HeartbeatTable,
    /// How the session names itself.
    pub application_name: &'a str,
    /// The identity of the server known so far.
    pub known_identity: Option<&'a str>,
    /// The newest timelines known so far.
    pub timelines: Option<&'a Timelines>,
    /// When to give up.
    pub deadline: Instant,
    /// The target's time-out: what later calls on the session may take each.
    pub timeout: Duration,
}

impl Opening<'_> {
    /// Opens it.
    ///
    /// Cancel-safe: a dropped future leaves no connection behind.
    ///
    /// # Errors
    /// `secret_source`, `timeout`, or what the driver says; without a remedy.
    pub async fn open(&self, driver: &Arc<dyn Driver>) -> Result<Box<dyn Session>, Failure> {
        let password = match &self.endpoint.password {
            None => None,
            Some(source) => Some(source.read(self.deadline).await?),
        };
        let request = ConnectRequest {
            endpoint: self.endpoint,
            password: password.as_ref(),
            purpose: self.purpose,
            table: self.table,
            application_name: self.application_name,
            known_identity: self.known_identity,
            timelines: self.timelines,
            deadline: self.deadline,
            timeout: self.timeout,
        };
        clock::timeout_at(self.deadline, driver.connect(&request))
            .await
            .map_err(|_| Failure::new(ErrorKind::Timeout, "connecting and logging in took longer than the time-out"))?
    }

    /// Opens it for what is learned at the login alone.
    ///
    /// Cancel-safe, as [`Self::open`].
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn look(&self, driver: &Arc<dyn Driver>) -> Result<ServerInfo, Failure> {
        let session = self.open(driver).await?;
        let server = session.server().clone();
        session.close().await;
        Ok(server)
    }
}

/// The name a session shows to administrators.
#[must_use]
pub fn application_name(instance: &str) -> String {
    format!("heartbeatd:{instance}")
}
