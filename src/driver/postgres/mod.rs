//! PostgreSQL and servers that use its protocol. Used through [`crate::drivers::Drivers`].

mod beat;
mod catalog;
mod checks;
mod cloud;
mod columns;
mod connect;
mod errors;
mod facts;
mod family;
#[doc(hidden)]
pub mod fuzzing;
mod identifier;
mod login;
mod parameters;
mod pooler;
mod progress;
mod provision;
mod query;
mod remedies;

use std::sync::Arc;

use async_trait::async_trait;

use crate::database_url::{Family, UrlError};
use crate::driver::hosts::Candidate;
use crate::driver::rules::{ConnectorKey, Judgement};
use crate::driver::{
    ConnectRequest, Driver, FactsError, Observation, Progress, ServerInfo, Session, SessionAccount, network, write_down,
};
use crate::finding::{Case, Check, Facts, Finding};
use crate::heartbeat::{Failure, RowReport, Writing};
use crate::plan::{Plan, Step};
use crate::remedy::Remedy;
use crate::target::{Endpoint, Target};
use crate::time::clock::Instant;
use catalog::BeatsAs;

/// The driver.
#[derive(Debug, Clone, Copy)]
pub struct Postgres;

/// One open connection.
struct PostgresSession {
    target: Arc<Target>,
    /// Who beats, where this is no session of `url`.
    beats_as: Option<SessionAccount>,
    opened: connect::Opened,
}

#[async_trait]
impl Driver for Postgres {
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
        let beats_as = request.beats_as.cloned();
        Ok(Box::new(PostgresSession { target: Arc::clone(request.target), beats_as, opened }))
    }

    fn hosts_with_timelines(&self, endpoint: &Endpoint) -> Vec<(String, Endpoint)> {
        connect::each_host(endpoint)
    }

    fn remedy(&self, failure: &Failure, target: &Target) -> Option<Remedy> {
        remedies::remedy(failure, target)
    }

    fn maps_accounts(&self) -> bool {
        true
    }

    fn shows_progress(&self) -> bool {
        true
    }

    fn passes(&self, confirmed: &str, position: &str) -> bool {
        progress::passes(confirmed, position)
    }

    fn checks(&self) -> &'static [Check] {
        checks::all()
    }

    fn judge(&self, case: &Case<'_>) -> Result<Vec<Finding>, FactsError> {
        Ok(checks::judge(case)?)
    }
}

#[async_trait]
impl Session for PostgresSession {
    fn server(&self) -> &ServerInfo {
        &self.opened.server
    }

    async fn beat(&mut self, writing: Writing, deadline: Instant) -> Result<RowReport, Failure> {
        let report = beat::beat(&mut self.opened, &self.target.heartbeat, writing, deadline).await;
        self.opened.give_back_buffers();
        report
    }

    async fn observe(&mut self, deadline: Instant) -> Result<Observation, Failure> {
        beat::observe(&mut self.opened.connection, &self.target.heartbeat, deadline).await
    }

    async fn progress(&mut self, deadline: Instant) -> Result<Option<Progress>, Failure> {
        progress::read(&mut self.opened.connection, &family::slot_of(&self.target).name, deadline).await
    }

    async fn inspect(&mut self, deadline: Instant) -> Result<Facts, Failure> {
        let address = &self.opened.server.address;
        let facts = facts::gather(&mut self.opened.connection, address, &self.target, deadline).await?;
        write_down(&facts)
    }

    async fn account(&mut self, deadline: Instant) -> Result<Option<SessionAccount>, Failure> {
        beat::account(&mut self.opened.connection, deadline).await.map(Some)
    }

    async fn plan(&mut self, deadline: Instant) -> Result<Plan, Failure> {
        let beats_as = match (&self.beats_as, self.opened.over_url) {
            (Some(account), _) => BeatsAs::Session(account),
            (None, true) => BeatsAs::Own,
            (None, false) => BeatsAs::Login,
        };
        let facts = catalog::gather(&mut self.opened.connection, &self.target, beats_as, deadline).await?;
        Ok(provision::plan(&facts, &self.target))
    }

    async fn apply(&mut self, step: &Step, deadline: Instant) -> Result<(), Failure> {
        provision::apply(&mut self.opened.connection, step, deadline).await
    }

    async fn close(self: Box<Self>) {
        self.opened.close(network::last_close_limit()).await;
    }
}
