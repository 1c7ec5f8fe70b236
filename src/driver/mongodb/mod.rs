//! MongoDB: standalone, replica set or sharded cluster. Used through [`crate::drivers::Drivers`].

mod beat;
mod checks;
mod client;
mod connect;
mod errors;
mod facts;
mod family;
mod identifier;
mod parameters;
mod provision;
mod remedies;
mod topology;

use std::sync::Arc;

use async_trait::async_trait;

use crate::database_url::{Family, UrlError};
use crate::driver::rules::{ConnectorKey, Judgement};
use crate::driver::{ConnectRequest, Driver, FactsError, Observation, ServerInfo, Session, write_down};
use crate::finding::{Case, Check, Facts, Finding};
use crate::heartbeat::{ErrorKind, Failure, RowReport, Writing};
use crate::plan::{Plan, Step};
use crate::remedy::Remedy;
use crate::target::{Endpoint, Target};
use crate::time::clock::Instant;

/// The driver.
#[derive(Debug, Clone, Copy)]
pub struct MongoDb;

/// One open client.
struct MongoSession {
    target: Arc<Target>,
    opened: connect::Opened,
}

#[async_trait]
impl Driver for MongoDb {
    fn family(&self) -> Family {
        family::FAMILY
    }

    fn schemes(&self) -> &'static [&'static str] {
        family::SCHEMES
    }

    fn parse(&self, scheme: &str, rest: &str) -> Result<Endpoint, UrlError> {
        family::parse(scheme, rest)
    }

    fn connector_keys(&self) -> &'static [ConnectorKey] {
        family::CONNECTOR_KEYS
    }

    fn validate(&self, target: &Target) -> Judgement {
        family::validate(target)
    }

    async fn connect(&self, request: &ConnectRequest<'_>) -> Result<Box<dyn Session>, Failure> {
        let opened = connect::connect(request).await?;
        Ok(Box::new(MongoSession { target: Arc::clone(request.target), opened }))
    }

    fn remedy(&self, failure: &Failure, target: &Target) -> Option<Remedy> {
        remedies::remedy(failure, target)
    }

    fn comment(&self) -> &'static str {
        "//"
    }

    fn checks(&self) -> &'static [Check] {
        checks::all()
    }

    fn judge(&self, case: &Case<'_>) -> Result<Vec<Finding>, FactsError> {
        Ok(checks::judge(case)?)
    }
}

#[async_trait]
impl Session for MongoSession {
    fn server(&self) -> &ServerInfo {
        &self.opened.server
    }

    /// The client follows elections by itself, and finds the primary faster than a new client.
    fn survives(&self, failure: ErrorKind) -> bool {
        !matches!(
            failure,
            ErrorKind::Auth | ErrorKind::AuthMethod | ErrorKind::Tls | ErrorKind::Settings | ErrorKind::Internal
        )
    }

    /// A command without an answer hangs on a server that may be gone, so the client is closed with it.
    fn is_ready(&self) -> bool {
        self.opened.client.is_idle()
    }

    async fn beat(&mut self, writing: Writing, deadline: Instant) -> Result<RowReport, Failure> {
        let report = beat::beat(&mut self.opened, &self.target.heartbeat, writing, deadline).await?;
        // The beat is written; if this fails, the next beat updates what is known of the server.
        let _ = beat::refresh(&mut self.opened, deadline).await;
        Ok(report)
    }

    async fn observe(&mut self, deadline: Instant) -> Result<Observation, Failure> {
        beat::observe(&mut self.opened, &self.target.heartbeat, deadline).await
    }

    async fn inspect(&mut self, deadline: Instant) -> Result<Facts, Failure> {
        write_down(&facts::gather(&mut self.opened, &self.target, deadline).await?)
    }

    async fn plan(&mut self, deadline: Instant) -> Result<Plan, Failure> {
        let facts = facts::gather(&mut self.opened, &self.target, deadline).await?;
        Ok(provision::plan(&facts, &self.target))
    }

    async fn apply(&mut self, step: &Step, deadline: Instant) -> Result<(), Failure> {
        provision::apply(&mut self.opened, step, deadline).await
    }

    async fn close(self: Box<Self>) {
        self.opened.client.close().await;
    }
}
