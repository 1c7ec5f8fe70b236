//! Opening a session of a target: read the secret, connect, both within one deadline. The shared step above the drivers;
//! used by the scheduler's kept connections, by the replica watchers and by the commands.

use std::sync::Arc;

use super::timelines::Timelines;
use super::{ConnectRequest, Driver, Purpose, ServerInfo, Session, with_remedy};
use crate::heartbeat::{ErrorKind, Failure};
use crate::target::{Endpoint, Replica, Target};
use crate::time::clock::{self, Instant};

/// A target with its driver and the name that its sessions show: what every task that connects for it shares. Cheap to
/// clone.
#[derive(Clone)]
pub struct TargetContext {
    /// The target.
    pub target: Arc<Target>,
    /// Its driver.
    pub driver: Arc<dyn Driver>,
    /// How its sessions name themselves, as [`application_name`] makes it.
    pub application_name: Arc<str>,
}

/// What is known so far of the servers of a target.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// The identity of the server that answered.
    pub identity: Option<&'a str>,
    /// The newest timelines.
    pub timelines: Option<&'a Timelines>,
}

impl TargetContext {
    /// Opens a session on one of the target's servers.
    ///
    /// Cancel-safe: a dropped future leaves no connection behind.
    ///
    /// # Errors
    /// `secret_source`, `timeout`, or what the driver says; without a remedy.
    pub async fn open(
        &self,
        endpoint: &Endpoint,
        purpose: Purpose,
        known: Known<'_>,
        deadline: Instant,
    ) -> Result<Box<dyn Session>, Failure> {
        let password = match &endpoint.password {
            None => None,
            Some(source) => Some(source.read(deadline).await?),
        };
        let request = ConnectRequest {
            target: &self.target,
            endpoint,
            password: password.as_ref(),
            purpose,
            application_name: &self.application_name,
            known_identity: known.identity,
            timelines: known.timelines,
            deadline,
        };
        clock::timeout_at(deadline, self.driver.connect(&request))
            .await
            .map_err(|_| Failure::new(ErrorKind::Timeout, "connecting and logging in took longer than the time-out"))?
    }

    /// Opens one to look, for what is learned at the login alone.
    ///
    /// Cancel-safe, as [`Self::open`].
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn look(&self, endpoint: &Endpoint, known: Known<'_>, deadline: Instant) -> Result<ServerInfo, Failure> {
        let session = self.open(endpoint, Purpose::Inspect, known, deadline).await?;
        let server = session.server().clone();
        session.close().await;
        Ok(server)
    }

    /// A failure of the target's source with the exact next step.
    #[must_use]
    pub fn with_remedy(&self, failure: Failure) -> Failure {
        with_remedy(self.driver.as_ref(), failure, &self.target)
    }

    /// A failure of one of its replicas with the exact next step there.
    #[must_use]
    pub fn with_remedy_at(&self, replica: &Replica, failure: Failure) -> Failure {
        let target = Target { endpoint: replica.endpoint.clone(), ..(*self.target).clone() };
        let failure = with_remedy(self.driver.as_ref(), failure, &target);
        match failure.remedy().cloned() {
            Some(remedy) => failure.with_remedy(remedy.moved_to_replica(&replica.name)),
            None => failure,
        }
    }
}

/// The name a session shows to administrators.
#[must_use]
pub fn application_name(instance: &str) -> Arc<str> {
    format!("heartbeatd:{instance}").into()
}
