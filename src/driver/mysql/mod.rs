//! MySQL, MariaDB and servers that use their protocol. Used through [`crate::drivers::Drivers`].

mod beat;
mod catalog;
mod checks;
mod cloud;
mod columns;
mod connect;
mod error_codes;
mod errors;
mod facts;
mod family;
mod flavour;
#[doc(hidden)]
pub mod fuzzing;
mod galera;
mod grants;
mod group_replication;
mod identifier;
mod like;
mod login;
mod name_case;
mod parameters;
mod provision;
mod query;
mod remedies;
mod replication_filters;
mod triggers_and_views;

use std::sync::Arc;

use async_trait::async_trait;

use crate::database_url::{Family, UrlError};
use crate::driver::hosts::Candidate;
use crate::driver::rules::Judgement;
use crate::driver::{
    ConnectRequest, Driver, FactsError, Observation, ServerInfo, Session, SessionAccount, network, write_down,
};
use crate::finding::{Case, Check, Facts, Finding};
use crate::heartbeat::{ErrorKind, Failure, RowReport, Writing};
use crate::plan::{Plan, Step};
use crate::remedy::Remedy;
use crate::target::{Endpoint, Target};
use crate::time::clock::Instant;
use catalog::BeatsAs;
use identifier::Account;

/// The driver.
#[derive(Debug, Clone, Copy)]
pub struct Mysql;

/// One open connection.
struct MysqlSession {
    target: Arc<Target>,
    /// Who beats, where that is known.
    beats_as: BeatsAs,
    opened: connect::Opened,
}

#[async_trait]
impl Driver for Mysql {
    fn family(&self) -> Family {
        family::FAMILY
    }

    fn schemes(&self) -> &'static [&'static str] {
        family::SCHEMES
    }

    fn parse(&self, scheme: &str, rest: &str) -> Result<Endpoint, UrlError> {
        family::parse(scheme, rest)
    }

    fn validate(&self, target: &Target) -> Judgement {
        family::validate(target)
    }

    async fn connect(&self, request: &ConnectRequest<'_>) -> Result<Box<dyn Session>, Failure> {
        let opened = connect::connect(request).await?;
        let beats_as = match request.beats_as {
            Some(account) => BeatsAs::Session(Account::read(&account.user)),
            None if request.endpoint == &request.target.endpoint => BeatsAs::Own,
            None => BeatsAs::Login,
        };
        Ok(Box::new(MysqlSession { target: Arc::clone(request.target), beats_as, opened }))
    }

    fn maps_accounts(&self) -> bool {
        true
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
impl Session for MysqlSession {
    fn server(&self) -> &ServerInfo {
        &self.opened.server
    }

    async fn beat(&mut self, writing: Writing, deadline: Instant) -> Result<RowReport, Failure> {
        let result = beat::beat(&mut self.opened, &self.target.heartbeat, writing, deadline).await;
        self.opened.give_back_buffers();
        let failure = match result {
            Err(failure) if failure.kind() == ErrorKind::Privilege && failure.remedy().is_none() => failure,
            done => return done,
        };
        match beat::account(&mut self.opened).await {
            Ok(own) => Err(failure.with_remedy(remedies::for_the_sessions_account(&self.target, &own))),
            Err(_) => Err(failure),
        }
    }

    async fn observe(&mut self, _deadline: Instant) -> Result<Observation, Failure> {
        beat::observe(&mut self.opened, &self.target.heartbeat).await
    }

    async fn inspect(&mut self, deadline: Instant) -> Result<Facts, Failure> {
        let address = &self.opened.server.address;
        let facts = facts::gather(&mut self.opened.connection, address, &self.target, deadline).await?;
        write_down(&facts)
    }

    async fn account(&mut self, _deadline: Instant) -> Result<Option<SessionAccount>, Failure> {
        let own = beat::account(&mut self.opened).await?;
        Ok(Some(SessionAccount { user: format!("{}@{}", own.user, own.host), database: None }))
    }

    async fn plan(&mut self, deadline: Instant) -> Result<Plan, Failure> {
        let facts = catalog::gather(&mut self.opened.connection, &self.target, &self.beats_as, deadline).await?;
        Ok(provision::plan(&facts, &self.target))
    }

    async fn apply(&mut self, step: &Step, deadline: Instant) -> Result<(), Failure> {
        provision::apply(&mut self.opened.connection, step, deadline).await
    }

    async fn close(self: Box<Self>) {
        self.opened.close(network::last_close_limit()).await;
    }
}
