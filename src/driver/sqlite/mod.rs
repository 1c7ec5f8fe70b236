//! SQLite, the embedded database: a heartbeat without installing a server. Used through [`crate::drivers::Drivers`].

mod beat;
mod checks;
mod columns;
mod connect;
mod errors;
mod facts;
mod family;
mod identifier;
mod message;
mod provision;
mod remedies;

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;

use crate::database_url::{Family, UrlError};
use crate::driver::rules::Judgement;
use crate::driver::{ConnectRequest, Driver, FactsError, Observation, ServerInfo, Session, write_down};
use crate::finding::{Case, Check, Facts, Finding};
use crate::heartbeat::{Failure, RowReport, Writing};
use crate::plan::{Plan, Step};
use crate::remedy::Remedy;
use crate::target::{Endpoint, Target};
use crate::time::clock::Instant;

/// The driver.
#[derive(Debug, Clone, Copy)]
pub struct Sqlite;

/// One open file.
struct SqliteSession {
    target: Arc<Target>,
    connection: SqliteConnection,
    server: ServerInfo,
    /// The opened file, so that a replacement is noticed.
    file: connect::OpenedFile,
}

#[async_trait]
impl Driver for Sqlite {
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
        let (connection, server, file) = connect::connect(request).await?;
        Ok(Box::new(SqliteSession { target: Arc::clone(request.target), connection, server, file }))
    }

    fn remedy(&self, failure: &Failure, target: &Target) -> Option<Remedy> {
        remedies::remedy(failure, target)
    }

    fn checks(&self) -> &'static [Check] {
        checks::CHECKS
    }

    fn judge(&self, case: &Case<'_>) -> Result<Vec<Finding>, FactsError> {
        Ok(checks::judge(case)?)
    }
}

#[async_trait]
impl Session for SqliteSession {
    fn server(&self) -> &ServerInfo {
        &self.server
    }

    async fn beat(&mut self, writing: Writing, deadline: Instant) -> Result<RowReport, Failure> {
        self.file.must_be_in_place(deadline).await?;
        beat::beat(&mut self.connection, &self.target.heartbeat, writing, deadline).await
    }

    async fn observe(&mut self, deadline: Instant) -> Result<Observation, Failure> {
        self.file.must_be_in_place(deadline).await?;
        beat::observe(&mut self.connection, &self.target.heartbeat, self.server.role, deadline).await
    }

    async fn inspect(&mut self, deadline: Instant) -> Result<Facts, Failure> {
        self.file.must_be_in_place(deadline).await?;
        let facts = facts::gather(&mut self.connection, &self.server, &self.target.heartbeat, deadline).await?;
        write_down(&facts)
    }

    async fn plan(&mut self, _deadline: Instant) -> Result<Plan, Failure> {
        let facts = provision::gather(&mut self.connection, &self.target.heartbeat).await?;
        Ok(provision::plan(&facts, &self.target))
    }

    async fn apply(&mut self, step: &Step, deadline: Instant) -> Result<(), Failure> {
        provision::apply(&mut self.connection, step, deadline).await
    }

    async fn close(self: Box<Self>) {
        connect::close(self.connection).await;
    }
}
