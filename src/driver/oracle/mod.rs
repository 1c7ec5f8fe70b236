//! The driver for Oracle Database, single-tenant or pluggable. It is used through [`crate::drivers::Drivers`].

mod beat;
mod call_thread;
mod checks;
mod client;
mod connect;
mod connect_strings;
mod errors;
mod facts;
mod family;
mod hung_call;
mod identifier;
#[cfg(feature = "oracle-oci")]
mod oci;
mod parameters;
mod provision;
mod remedies;
mod system_wallet;
mod thin;

use std::sync::Arc;

use async_trait::async_trait;

use crate::database_url::{Family, UrlError};
use crate::driver::rules::{ConnectorKey, Defaults, Judgement};
use crate::driver::{ConnectRequest, Driver, FactsError, Observation, ServerInfo, Session, write_down};
use crate::finding::{Case, Check, Facts, Finding};
use crate::heartbeat::{ErrorKind, Failure, RowReport, Writing};
use crate::plan::{Plan, Step};
use crate::remedy::Remedy;
use crate::target::{Endpoint, Target};
use crate::time::clock::Instant;

/// The driver.
#[derive(Debug, Clone, Copy)]
pub struct Oracle;

/// One open session.
struct OracleSession {
    target: Arc<Target>,
    opened: connect::Opened,
}

#[async_trait]
impl Driver for Oracle {
    fn family(&self) -> Family {
        family::FAMILY
    }

    fn schemes(&self) -> &'static [&'static str] {
        family::SCHEMES
    }

    fn parse(&self, scheme: &str, rest: &str) -> Result<Endpoint, UrlError> {
        family::parse(scheme, rest)
    }

    fn parse_connection_string(&self, text: &str) -> Option<Result<Endpoint, UrlError>> {
        family::parse_connection_string(text)
    }

    fn defaults(&self) -> Defaults {
        family::defaults()
    }

    fn connector_keys(&self) -> &'static [ConnectorKey] {
        family::CONNECTOR_KEYS
    }

    fn validate(&self, target: &Target) -> Judgement {
        family::validate(target)
    }

    async fn connect(&self, request: &ConnectRequest<'_>) -> Result<Box<dyn Session>, Failure> {
        let opened = connect::connect(request).await?;
        Ok(Box::new(OracleSession { target: Arc::clone(request.target), opened }))
    }

    fn remedy(&self, failure: &Failure, target: &Target) -> Option<Remedy> {
        remedies::remedy(failure, target)
    }

    fn checks(&self) -> &'static [Check] {
        checks::all()
    }

    fn judge(&self, case: &Case<'_>) -> Result<Vec<Finding>, FactsError> {
        Ok(checks::judge(case)?)
    }
}

#[async_trait]
impl Session for OracleSession {
    fn server(&self) -> &ServerInfo {
        &self.opened.server
    }

    /// A refusal does not change the session, because its block was rolled back.
    fn survives(&self, failure: ErrorKind) -> bool {
        matches!(failure, ErrorKind::Lock | ErrorKind::Conflict | ErrorKind::MissingRow)
    }

    fn is_ready(&self) -> bool {
        self.opened.thread.is_idle()
    }

    async fn beat(&mut self, writing: Writing, deadline: Instant) -> Result<RowReport, Failure> {
        match beat::beat(&mut self.opened, &self.target.heartbeat, writing, deadline).await {
            Err(failure) => Err(beat::with_remedy(&mut self.opened, &self.target.heartbeat, failure, deadline).await),
            answer => answer,
        }
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
        provision::apply(&mut self.opened, &self.target, step, deadline).await
    }

    fn looks_at_effects(&self) -> bool {
        true
    }

    async fn close(self: Box<Self>) {
        self.opened.thread.close().await;
    }
}
