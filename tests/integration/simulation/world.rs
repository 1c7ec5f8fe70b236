//! Simulated databases under a paused clock. Each fails by its own timeline, and records the calls.
//!
//! The tests of the scheduler use them, because no real server can provide days of virtual time and thousands of
//! targets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use heartbeatd::database_url::{Family, UrlError};
use heartbeatd::driver::rules::Judgement;
use heartbeatd::driver::{ConnectRequest, Driver, FactsError, Observation, Purpose, ServerInfo, ServerRole, Session};
use heartbeatd::finding::{Case, Check, Facts, Finding};
use heartbeatd::heartbeat::{ErrorKind, Failure, RowReport, Stamp, Writing, ZoneGuess};
use heartbeatd::plan::{Plan, Step};
use heartbeatd::remedy::Remedy;
use heartbeatd::target::{Endpoint, Target};
use tokio::time::Instant;

/// How a database treats its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It answers nothing, neither a login nor a beat. A beat waits on the server until the fault ends, as for a lock,
    /// even if its caller no longer waits, and up to the limit that the caller set.
    Hang,
    /// The write is applied, but the answer never arrives.
    AnswerLost,
    /// Every call fails with this kind.
    Fail(ErrorKind),
    /// The row is gone.
    NoRow,
    /// The driver panics.
    Panic,
    /// Beats succeed, but judging the facts of the checks panics.
    JudgementPanics,
    /// Each answer takes this long on the server.
    Slow(Duration),
}

/// The calls that a database received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Connect,
    Write,
    /// A call met a fault.
    Suffered,
}

/// All databases of a simulation, by host name.
#[derive(Debug, Clone)]
pub(crate) struct World {
    start: Instant,
    wall_micros: i64,
    databases: Arc<BTreeMap<String, Mutex<Database>>>,
}

/// One database.
#[derive(Debug, Default)]
pub(crate) struct Database {
    /// Faults by their begin and end, counted from the start; sorted, not overlapping.
    pub(crate) faults: Vec<(Duration, Duration, Fault)>,
    /// The row; `None` is NULL.
    pub(crate) row: Option<Stamp>,
    /// The server's clock against ours, in seconds.
    pub(crate) clock_offset: i64,
    /// The calls, and their time since the start.
    pub(crate) events: Vec<(Duration, Event)>,
    pub(crate) in_flight: u32,
    /// The highest number of calls in flight at one time.
    pub(crate) most_in_flight: u32,
    /// Beats in progress on the server, including abandoned ones.
    pub(crate) at_work: u32,
    /// The highest number of beats in progress on the server at one time.
    pub(crate) most_at_work: u32,
}

/// The driver of a world.
#[derive(Debug, Clone)]
pub(crate) struct SimulatedDriver(pub(crate) World);

struct SimulatedSession {
    world: World,
    host: String,
    server: ServerInfo,
}

/// Counts a call as in flight until it ends or is dropped.
struct InFlight(World, String);

/// Counts a beat as in progress on the server until it ends there.
struct AtWork(World, String);

impl World {
    pub(crate) fn new(databases: BTreeMap<String, Database>, wall_micros: i64) -> Self {
        crate::bench::timing::measure_this_test();
        let databases = databases.into_iter().map(|(name, database)| (name, Mutex::new(database))).collect();
        Self { start: Instant::now(), wall_micros, databases: Arc::new(databases) }
    }

    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn database(&self, host: &str) -> MutexGuard<'_, Database> {
        self.databases[host].lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn hosts(&self) -> Vec<String> {
        self.databases.keys().cloned().collect()
    }

    fn server_time(&self, host: &str) -> Stamp {
        let offset = self.database(host).clock_offset * 1_000_000;
        Stamp(self.wall_micros + i64::try_from(self.now().as_micros()).unwrap() + offset)
    }

    fn fault(&self, host: &str) -> Option<Fault> {
        let now = self.now();
        let database = self.database(host);
        // The faults are sorted, so only the last one that has begun can be active.
        let index = database.faults.partition_point(|(begin, _, _)| *begin <= now);
        let (_, end, fault) = database.faults.get(index.checked_sub(1)?)?;
        (now < *end).then_some(*fault)
    }

    fn record(&self, host: &str, event: Event) {
        let now = self.now();
        self.database(host).events.push((now, event));
    }

    /// What the server does with a beat that no longer waits.
    fn apply(&self, host: &str, writing: Writing) -> RowReport {
        let now = self.server_time(host);
        if self.fault(host) == Some(Fault::NoRow) {
            return RowReport { server_time: Some(now), ..RowReport::default() };
        }
        let previous = self.database(host).row;
        let stale = is_stale(writing, previous, now);
        let write = stale && writing != Writing::Never;
        if write {
            self.database(host).row = Some(now);
            self.record(host, Event::Write);
        }
        RowReport {
            seen: 1,
            changed: u64::from(write),
            stale,
            previous,
            value: if write { Some(now) } else { previous },
            server_time: Some(now),
            position: None,
        }
    }

    /// A hanging beat on the server: it is applied when the fault ends, unless the server's limit comes first.
    async fn apply_late(self, at_work: AtWork, writing: Writing, deadline: Instant) {
        let (host, limit) = (&at_work.1, limit(deadline));
        while self.fault(host) == Some(Fault::Hang) {
            if Instant::now() >= limit {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.apply(host, writing);
    }

    async fn suffer(&self, host: &str) -> Result<(), Failure> {
        let fault = self.fault(host);
        if fault.is_some() {
            self.record(host, Event::Suffered);
        }
        match fault {
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Fail(kind)) => Err(Failure::new(kind, "simulated")),
            Some(Fault::Panic) => panic!("simulated"),
            Some(Fault::Slow(time)) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            Some(Fault::NoRow | Fault::AnswerLost | Fault::JudgementPanics) | None => {
                tokio::time::sleep(Duration::from_millis(1)).await;
                Ok(())
            }
        }
    }
}

impl Database {
    pub(crate) fn newest_write(&self) -> Option<Duration> {
        self.events.iter().rev().find(|(_, event)| *event == Event::Write).map(|(at, _)| *at)
    }
}

impl InFlight {
    fn enter(world: &World, host: &str) -> Self {
        let mut database = world.database(host);
        database.in_flight += 1;
        database.most_in_flight = database.most_in_flight.max(database.in_flight);
        drop(database);
        Self(world.clone(), host.to_owned())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.database(&self.1).in_flight -= 1;
    }
}

impl AtWork {
    fn enter(world: &World, host: &str) -> Self {
        let mut database = world.database(host);
        database.at_work += 1;
        database.most_at_work = database.most_at_work.max(database.at_work);
        drop(database);
        Self(world.clone(), host.to_owned())
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.database(&self.1).at_work -= 1;
    }
}

#[async_trait]
impl Driver for SimulatedDriver {
    fn family(&self) -> Family {
        Family::new("simulated")
    }

    fn schemes(&self) -> &'static [&'static str] {
        &[]
    }

    fn parse(&self, _scheme: &str, _rest: &str) -> Result<Endpoint, UrlError> {
        Err(UrlError::NoScheme)
    }

    fn validate(&self, _target: &Target) -> Judgement {
        Judgement::default()
    }

    async fn connect(&self, request: &ConnectRequest<'_>) -> Result<Box<dyn Session>, Failure> {
        let host = request.endpoint.url.hosts()[0].name.clone();
        let _in_flight = (request.purpose == Purpose::Beat).then(|| InFlight::enter(&self.0, &host));
        if request.purpose == Purpose::Beat {
            self.0.record(&host, Event::Connect);
        }
        self.0.suffer(&host).await?;
        let server = ServerInfo {
            address: host.clone(),
            version: "simulated".to_owned(),
            identity: None,
            instance: None,
            timeline: None,
            role: ServerRole::Primary,
        };
        Ok(Box::new(SimulatedSession { world: self.0.clone(), host, server }))
    }

    fn remedy(&self, _failure: &Failure, _target: &Target) -> Option<Remedy> {
        None
    }

    fn checks(&self) -> &'static [Check] {
        &[]
    }

    fn judge(&self, case: &Case<'_>) -> Result<Vec<Finding>, FactsError> {
        let host = &case.target.endpoint.url.hosts()[0].name;
        assert_ne!(self.0.fault(host), Some(Fault::JudgementPanics), "simulated");
        Ok(Vec::new())
    }
}

#[async_trait]
impl Session for SimulatedSession {
    fn server(&self) -> &ServerInfo {
        &self.server
    }

    async fn beat(&mut self, writing: Writing, deadline: Instant) -> Result<RowReport, Failure> {
        let _in_flight = InFlight::enter(&self.world, &self.host);
        let at_work = AtWork::enter(&self.world, &self.host);
        match self.world.fault(&self.host) {
            Some(Fault::Hang) => {
                self.world.record(&self.host, Event::Suffered);
                tokio::spawn(self.world.clone().apply_late(at_work, writing, deadline));
                std::future::pending().await
            }
            Some(Fault::Slow(time)) => {
                self.world.record(&self.host, Event::Suffered);
                // A caller that drops this call does not end it on the server.
                let world = self.world.clone();
                let slowly = async move {
                    let limit = limit(deadline);
                    let in_time = tokio::time::timeout_at(limit, tokio::time::sleep(time)).await.is_ok();
                    in_time.then(|| world.apply(&at_work.1, writing))
                };
                let report = tokio::spawn(slowly).await.unwrap();
                report.ok_or_else(|| Failure::new(ErrorKind::Timeout, "simulated: the server's limit"))
            }
            _ => {
                self.world.suffer(&self.host).await?;
                let report = self.world.apply(&self.host, writing);
                drop(at_work);
                if self.world.fault(&self.host) == Some(Fault::AnswerLost) {
                    std::future::pending::<()>().await;
                }
                Ok(report)
            }
        }
    }

    async fn observe(&mut self, _: Instant) -> Result<Observation, Failure> {
        self.world.suffer(&self.host).await?;
        let value = self.world.database(&self.host).row;
        let server_time = Some(self.world.server_time(&self.host));
        Ok(Observation { value, rows: 1, server_time, role: ServerRole::Standby })
    }

    async fn inspect(&mut self, _: Instant) -> Result<Facts, Failure> {
        self.world.suffer(&self.host).await?;
        Ok(Facts::Null)
    }

    async fn plan(&mut self, _: Instant) -> Result<Plan, Failure> {
        Ok(Plan::default())
    }

    async fn apply(&mut self, _: &Step, _: Instant) -> Result<(), Failure> {
        Ok(())
    }

    async fn close(self: Box<Self>) {}
}

/// When the server itself ends a beat: like with the drivers, a little before its caller gives up.
fn limit(deadline: Instant) -> Instant {
    let left = deadline.saturating_duration_since(Instant::now());
    deadline - (left / 10).min(Duration::from_millis(500))
}

/// The rule of `when-stale`, which the drivers write in SQL.
fn is_stale(writing: Writing, previous: Option<Stamp>, now: Stamp) -> bool {
    let Writing::WhenStale { last_seen, period } = writing else { return true };
    let Some(previous) = previous else { return true };
    if last_seen == Some(previous) {
        return true;
    }
    let age = now.micros_since(previous);
    let other_zone = ZoneGuess::for_period(period).offset_of(age).is_some();
    let oldest = i64::try_from((period / 4 * 3).as_micros()).unwrap();
    !other_zone && (age < 0 || age > oldest)
}
