//! The PostgreSQL driver against real servers: each failure with its kind, each promise of a beat kept.

mod beats;
mod connections;
mod faults;
mod provisioning;

use std::sync::Arc;
use std::time::Duration;

use heartbeatd::driver::opening::Opening;
use heartbeatd::driver::postgres::Postgres;
use heartbeatd::driver::{Driver, Purpose, Session};
use heartbeatd::heartbeat::{Beat, ErrorKind, Failure, RowReport, Writing, judge};
use heartbeatd::provisioning::provision;
use heartbeatd::scheduler::clock::{self, Clock};
use heartbeatd::target::{Endpoint, Target};

use crate::bench::{PostgresServer, secs};

const TABLE: &str = "streamkap.streamkap_heartbeat";
const TIME: Duration = secs(10);
const MINUTE: Duration = secs(60);
const WHEN_STALE: Writing = Writing::WhenStale { last_seen: None, period: MINUTE };

/// A server with the heartbeat's objects, and the role `hb` that may do what a beat needs and no more.
async fn provisioned() -> (PostgresServer, Target) {
    let server = PostgresServer::start().await;
    server.execute("CREATE ROLE hb LOGIN PASSWORD 'hb-password'").await;
    let target = target(&server.url("hb", "hb-password"));
    assert_eq!(provision_as_admin(&server, &target).await, 6);
    (server, target)
}

fn target(url: &str) -> Target {
    Target::new("orders", Endpoint::parse(url).unwrap())
}

/// Several servers in one address.
fn several(user: &str, password: &str, servers: &[&PostgresServer]) -> Target {
    let hosts: Vec<String> = servers.iter().map(|server| format!("127.0.0.1:{}", server.port())).collect();
    target(&format!("postgres://{user}:{password}@{}/postgres", hosts.join(",")))
}

fn at(url: &str, like: &Target) -> Target {
    Target { endpoint: Endpoint::parse(url).unwrap(), ..like.clone() }
}

/// Applies what is missing as the superuser; how many steps that took.
async fn provision_as_admin(server: &PostgresServer, target: &Target) -> usize {
    let mut session = open(&at(&server.admin_url(), target), Purpose::Provision, None, TIME).await.unwrap();
    let applied = provision(session.as_mut(), target, in_time()).await.unwrap();
    assert!(applied.failed.is_empty(), "{:?}", applied.failed);
    applied.done.len()
}

async fn open(
    target: &Target,
    purpose: Purpose,
    known_identity: Option<&str>,
    time: Duration,
) -> Result<Box<dyn Session>, Failure> {
    let driver: Arc<dyn Driver> = Arc::new(Postgres);
    let opening = Opening {
        endpoint: &target.endpoint,
        purpose,
        table: &target.heartbeat,
        application_name: "heartbeatd:test",
        known_identity,
        deadline: Clock::system().now().mono + time,
    };
    opening.open(&driver).await
}

async fn session(target: &Target) -> Box<dyn Session> {
    open(target, Purpose::Beat, None, TIME).await.unwrap()
}

/// One beat within `time`, as the caller enforces it.
async fn report(
    session: &mut dyn Session,
    target: &Target,
    writing: Writing,
    time: Duration,
) -> Result<RowReport, Failure> {
    let deadline = Clock::system().now().mono + time;
    let beat = clock::timeout_at(deadline, session.beat(&target.heartbeat, writing, deadline)).await;
    beat.unwrap_or_else(|_| Err(Failure::new(ErrorKind::Timeout, "the caller gave up")))
}

/// A beat on a connection of its own, judged.
async fn beat(target: &Target, writing: Writing) -> Result<Beat, Failure> {
    let mut session = open(target, Purpose::Beat, None, TIME).await?;
    let report = report(session.as_mut(), target, writing, TIME).await?;
    judge(&report, writing, true)
}

/// What a beat fails with; there must be a next step for it.
async fn failure(target: &Target) -> ErrorKind {
    let failure = beat(target, Writing::Always).await.expect_err("the beat succeeds");
    assert!(Postgres.remedy(&failure, target).is_some(), "no remedy for {failure}");
    failure.kind()
}

/// A deadline that no step reaches.
fn in_time() -> clock::Instant {
    Clock::system().now().mono + secs(10)
}
