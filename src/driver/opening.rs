//! Opens a session of a target: reads the secret and connects, within one deadline. The scheduler's kept connections,
//! the replica watchers, the inspectors and the commands call it.

use std::sync::Arc;

use super::timelines::Timelines;
use super::{ConnectRequest, Driver, Purpose, ServerInfo, Session, SessionAccount, with_remedy};
use crate::heartbeat::{ErrorKind, Failure};
use crate::target::{Endpoint, Replica, Target};
use crate::time::clock::{self, Instant};

/// A target with its driver and the application name of its sessions. Every task that connects for a target holds one.
/// Cheap to clone.
#[derive(Clone)]
pub struct TargetContext {
    /// The target.
    pub target: Arc<Target>,
    /// Its driver.
    pub driver: Arc<dyn Driver>,
    /// The application name of its sessions, from [`application_name`].
    pub application_name: Arc<str>,
}

/// What earlier sessions learned about a target's servers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// The identity of the server that answered.
    pub identity: Option<&'a str>,
    /// The newest timelines seen.
    pub timelines: Option<&'a Timelines>,
    /// The account of a session at the target's own address.
    pub beats_as: Option<&'a SessionAccount>,
}

impl TargetContext {
    /// Opens a session on one of the target's servers.
    ///
    /// Cancel-safe: a dropped future leaves no connection behind.
    ///
    /// # Errors
    /// `secret_source`, `timeout`, or the driver's failure; without a remedy.
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
            beats_as: known.beats_as,
            deadline,
        };
        clock::timeout_at(deadline, self.driver.connect(&request))
            .await
            .map_err(|_| Failure::new(ErrorKind::Timeout, "connecting and logging in took longer than the time-out"))?
    }

    /// Opens a session to read only what the login shows.
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

    /// Adds the exact next step to a failure of the target's source.
    #[must_use]
    pub fn with_remedy(&self, failure: Failure) -> Failure {
        with_remedy(self.driver.as_ref(), failure, &self.target)
    }

    /// Adds the exact next step, on that replica's server, to a failure of one of the target's replicas.
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

/// The application name that administrators see.
#[must_use]
pub fn application_name(instance: &str) -> Arc<str> {
    format!("heartbeatd:{instance}").into()
}
