//! The driver of the further family: a database in memory with its own addresses, connector keys and row ids.

mod checks;
mod family;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use heartbeatd::database_url::{Family, UrlError};
use heartbeatd::driver::rules::{ConnectorKey, Defaults, Judgement};
use heartbeatd::driver::{ConnectRequest, Driver, FactsError, Observation, ServerInfo, ServerRole, Session};
use heartbeatd::finding::{Case, Check, Facts, Finding};
use heartbeatd::heartbeat::{ErrorKind, Failure, RowReport, Stamp, Writing};
use heartbeatd::plan::{Plan, Step};
use heartbeatd::remedy::Remedy;
use heartbeatd::target::{Endpoint, RowId, Target};
use heartbeatd::time::clock::{Clock, Instant};

/// The driver, with every database that it can reach.
#[derive(Clone, Default)]
pub(super) struct Ledger(Arc<Mutex<BTreeMap<String, Book>>>);

/// One database: its channels, and the values of its rows.
#[derive(Default)]
pub(super) struct Book {
    pub(super) channels: Vec<String>,
    pub(super) rows: BTreeMap<String, Option<Stamp>>,
}

struct LedgerSession {
    ledger: Ledger,
    target: Arc<Target>,
    server: ServerInfo,
}

impl Ledger {
    pub(super) fn books(&self) -> MutexGuard<'_, BTreeMap<String, Book>> {
        self.0.lock().unwrap()
    }
}

/// The row's name in the ledger.
fn row_of(target: &Target) -> String {
    match &target.heartbeat.row {
        RowId::Number(number) => number.to_string(),
        RowId::Text(text) => text.clone(),
    }
}

fn now() -> Stamp {
    Stamp(Clock::system().now().wall_micros())
}

#[async_trait]
impl Driver for Ledger {
    fn family(&self) -> Family {
        family::FAMILY
    }

    fn schemes(&self) -> &'static [&'static str] {
        family::SCHEMES
    }

    fn parse(&self, scheme: &str, rest: &str) -> Result<Endpoint, UrlError> {
        family::parse(scheme, rest)
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
        let address = family::address(&request.endpoint.url);
        if request.password.is_none() {
            return Err(Failure::new(ErrorKind::Auth, format!("{address} asks for a password")));
        }
        self.books().entry(address.clone()).or_default();
        let server = ServerInfo {
            address,
            version: "ledger 1".to_owned(),
            identity: None,
            instance: None,
            timeline: None,
            role: ServerRole::Primary,
        };
        Ok(Box::new(LedgerSession { ledger: self.clone(), target: Arc::clone(request.target), server }))
    }

    fn remedy(&self, failure: &Failure, target: &Target) -> Option<Remedy> {
        (failure.kind() == ErrorKind::MissingRow).then(|| heartbeatd::plan::command(target))
    }

    fn checks(&self) -> &'static [Check] {
        checks::CHECKS
    }

    fn judge(&self, case: &Case<'_>) -> Result<Vec<Finding>, FactsError> {
        Ok(checks::judge(case)?)
    }
}

#[async_trait]
impl Session for LedgerSession {
    fn server(&self) -> &ServerInfo {
        &self.server
    }

    async fn beat(&mut self, writing: Writing, _: Instant) -> Result<RowReport, Failure> {
        let (mut books, now) = (self.ledger.books(), now());
        let rows = &mut books.get_mut(&self.server.address).unwrap().rows;
        let Some(value) = rows.get_mut(&row_of(&self.target)) else {
            return Ok(RowReport { server_time: Some(now), ..RowReport::default() });
        };
        let previous = *value;
        let write = writing != Writing::Never;
        if write {
            *value = Some(now);
        }
        Ok(RowReport {
            seen: 1,
            changed: u64::from(write),
            stale: true,
            previous,
            value: *value,
            server_time: Some(now),
            position: None,
        })
    }

    async fn observe(&mut self, _: Instant) -> Result<Observation, Failure> {
        let books = self.ledger.books();
        let row = books[&self.server.address].rows.get(&row_of(&self.target));
        Ok(Observation {
            value: row.copied().flatten(),
            rows: u64::from(row.is_some()),
            server_time: Some(now()),
            role: self.server.role,
        })
    }

    async fn inspect(&mut self, _: Instant) -> Result<Facts, Failure> {
        let books = self.ledger.books();
        let book = &books[&self.server.address];
        let rows: Vec<&String> = book.rows.keys().collect();
        Ok(serde_json::json!({ "rows": rows, "channels": book.channels }))
    }

    async fn plan(&mut self, _: Instant) -> Result<Plan, Failure> {
        let row = row_of(&self.target);
        let missing = !self.ledger.books()[&self.server.address].rows.contains_key(&row);
        let step = Step::script(format!("write row {row}"), format!("WRITE {row}"));
        Ok(Plan { steps: missing.then_some(step).into_iter().collect(), ..Plan::default() })
    }

    async fn apply(&mut self, _: &Step, _: Instant) -> Result<(), Failure> {
        let mut books = self.ledger.books();
        books.get_mut(&self.server.address).unwrap().rows.insert(row_of(&self.target), None);
        Ok(())
    }

    async fn close(self: Box<Self>) {}
}
