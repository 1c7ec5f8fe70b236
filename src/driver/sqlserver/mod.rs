//! The driver for SQL Server: self-managed, Amazon RDS, Azure SQL Database and Managed Instance. It is used through
//! [`crate::drivers::Drivers`].

mod addresses;
mod ado;
mod beat;
mod checks;
mod columns;
mod connect;
mod error_codes;
mod errors;
mod facts;
mod family;
mod identifier;
mod keys;
mod lookalike;
mod parameters;
mod progress;
mod provision;
mod query;
mod remedies;

use std::sync::Arc;

use async_trait::async_trait;

use crate::database_url::{Family, UrlError};
use crate::driver::rules::{ConnectorKey, Defaults, Judgement};
use crate::driver::{
    ConnectRequest, Driver, FactsError, Observation, Progress, ServerInfo, Session, SessionAccount, write_down,
};
use crate::finding::{Case, Check, Facts, Finding};
use crate::heartbeat::{Failure, RowReport, Writing};
use crate::plan::{Plan, Step};
use crate::remedy::Remedy;
use crate::target::{Endpoint, Target};
use crate::time::clock::Instant;

/// The driver.
#[derive(Debug, Clone, Copy)]
pub struct SqlServer;

/// One open connection.
struct SqlServerSession {
    target: Arc<Target>,
    /// The user that beats, if this is not a session of `url`.
    beats_as: Option<SessionAccount>,
    opened: connect::Opened,
}

#[async_trait]
impl Driver for SqlServer {
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
        let beats_as = request.beats_as.cloned();
        Ok(Box::new(SqlServerSession { target: Arc::clone(request.target), beats_as, opened }))
    }

    fn maps_accounts(&self) -> bool {
        true
    }

    fn remedy(&self, failure: &Failure, target: &Target) -> Option<Remedy> {
        remedies::remedy(failure, target)
    }

    fn shows_progress(&self) -> bool {
        true
    }

    fn checks(&self) -> &'static [Check] {
        checks::all()
    }

    fn judge(&self, case: &Case<'_>) -> Result<Vec<Finding>, FactsError> {
        Ok(checks::judge(case)?)
    }
}

#[async_trait]
impl Session for SqlServerSession {
    fn server(&self) -> &ServerInfo {
        &self.opened.server
    }

    async fn beat(&mut self, writing: Writing, deadline: Instant) -> Result<RowReport, Failure> {
        match beat::beat(&mut self.opened, &self.target.heartbeat, writing, deadline).await {
            Err(failure) => Err(beat::with_remedy(&mut self.opened.client, &self.target, failure, deadline).await),
            answer => answer,
        }
    }

    async fn observe(&mut self, deadline: Instant) -> Result<Observation, Failure> {
        beat::observe(&mut self.opened, &self.target.heartbeat, deadline).await
    }

    async fn progress(&mut self, deadline: Instant) -> Result<Option<Progress>, Failure> {
        progress::read(&mut self.opened.client, deadline).await
    }

    async fn inspect(&mut self, deadline: Instant) -> Result<Facts, Failure> {
        write_down(&facts::gather(&mut self.opened, &self.target, deadline).await?)
    }

    async fn account(&mut self, deadline: Instant) -> Result<Option<SessionAccount>, Failure> {
        beat::account(&mut self.opened.client, deadline).await.map(Some)
    }

    async fn plan(&mut self, deadline: Instant) -> Result<Plan, Failure> {
        let facts = facts::gather(&mut self.opened, &self.target, deadline).await?;
        Ok(provision::plan(&facts, &self.target, self.beats_as.as_ref()))
    }

    async fn apply(&mut self, step: &Step, deadline: Instant) -> Result<(), Failure> {
        provision::apply(&mut self.opened.client, &self.target, step, deadline).await
    }

    fn looks_at_effects(&self) -> bool {
        true
    }

    async fn close(self: Box<Self>) {
        connect::leave(self.opened.client).await;
    }
}
