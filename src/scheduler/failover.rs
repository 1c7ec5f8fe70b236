//! Watches the other hosts of an address: looks at each once a period, and at least once a minute, on a short separate
//! connection. So beats leave a former primary for the newest one, and heartbeatd reports two primaries of one cluster.
//! The `fleet` starts one task per target whose address has several hosts. It never delays a beat.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::server_slots::ServerSlots;
use crate::driver::ServerInfo;
use crate::driver::opening::{Known, TargetContext};
use crate::driver::timelines::{SPLIT_BRAIN_REMEDY, Timelines, host_look, split_brain};
use crate::heartbeat::{ErrorKind, Failure};
use crate::status::board::{Cell, SPLIT_BRAIN};
use crate::target::Endpoint;
use crate::time::clock::{self, Clock, Moment};
use crate::time::ticks::Ticks;

/// The longest time between two looks.
const LONGEST: Duration = Duration::from_secs(60);

/// The notice that this loop panicked, until it has looked again.
const FAILED: &str = "failover_watcher_failed";

/// The watcher of one target's other hosts.
pub struct Watcher {
    /// The target, with its driver.
    pub context: TargetContext,
    /// Where two primaries are reported.
    pub cell: Arc<Cell>,
    /// The program's clock.
    pub clock: Clock,
    /// The target's ticks.
    pub ticks: Ticks,
    /// Shared with the target's connection, which leaves a primary that is behind.
    pub timelines: Timelines,
    /// Shared with the inspectors and failover watchers of all other targets.
    pub server_slots: ServerSlots,
    /// Of the jitter.
    pub seed: u64,
}

/// One host of the address.
struct Host {
    address: String,
    endpoint: Endpoint,
    backoff: Backoff,
    /// After a refused login: no further attempt before this.
    not_before: Option<Moment>,
}

impl Watcher {
    /// Watches until cancelled, and not before `first`. A second run starts over.
    pub async fn run(&self, first: Moment, cancelled: &CancellationToken) {
        tokio::select! {
            biased;
            () = cancelled.cancelled() => {}
            () = self.look_on(first) => {}
        }
    }

    /// Puts a panic of this loop on the board. Whether several servers take writes is then unknown.
    pub(super) fn record_panic(&self, message: &str, now: Moment) {
        let mut status = self.cell.lock();
        status.notice(SPLIT_BRAIN, None, now);
        status.notice(
            FAILED,
            Some(format!("heartbeatd cannot look at the other hosts of the address: {message}")),
            now,
        );
    }

    async fn look_on(&self, first: Moment) {
        let mut random = fastrand::Rng::with_seed(self.seed);
        let hosts = self.context.driver.hosts_with_timelines(&self.context.target.endpoint).into_iter();
        let mut hosts: Vec<_> = hosts
            .map(|(address, endpoint)| {
                let backoff = Backoff::new(random.u64(..));
                Host { address, endpoint, backoff, not_before: None }
            })
            .collect();
        let mut next = first.plus(self.pause().mul_f64(random.f64()));
        loop {
            clock::sleep_until(next.mono).await;
            let turn = self.server_slots.at(&self.context.target.endpoint.url).await;
            let began = self.clock.now();
            // A failing beat asks all hosts itself, and a second login with a refused password could lock the account.
            let current = {
                let status = self.cell.lock();
                status.server.clone().filter(|_| status.trouble.is_none())
            };
            if let Some(current) = current {
                Box::pin(self.look_beside(&current, &mut hosts)).await;
            }
            drop(turn);
            next = began.plus(self.pause());
        }
    }

    fn pause(&self) -> Duration {
        self.ticks.period_at(self.clock.now()).min(LONGEST)
    }

    /// Looks at every host except the one that gets the beats.
    async fn look_beside(&self, current: &ServerInfo, hosts: &mut [Host]) {
        let now = self.clock.now();
        let rested = |host: &Host| host.not_before.is_none_or(|at| at.mono <= now.mono);
        let (own, others): (Vec<_>, Vec<_>) = hosts.iter_mut().partition(|host| host.address == current.address);
        let others = others.into_iter().filter(|host| rested(host));
        let mut looks = join_all(others.map(|host| self.look(host, current))).await;
        let takes_writes = |found: &Result<ServerInfo, Failure>| found.as_ref().is_ok_and(|it| it.role.takes_writes());
        // The server of the last beat may be gone since then, as in any failover. heartbeatd asks it again before it
        // reports two primaries.
        if looks.iter().any(|(_, found)| takes_writes(found)) {
            looks.extend(join_all(own.into_iter().map(|host| self.look(host, current))).await);
        }
        looks.iter().filter_map(|(_, found)| found.as_ref().ok()).for_each(|server| self.timelines.record(server));
        let hosts: Vec<_> = looks.iter().map(|(address, found)| host_look(address, found)).collect();
        self.report(split_brain(&hosts));
    }

    async fn look(&self, host: &mut Host, current: &ServerInfo) -> (String, Result<ServerInfo, Failure>) {
        let known = Known { identity: current.identity.as_deref(), ..Known::default() };
        let deadline = self.clock.now().plus(self.context.target.timeout).mono;
        let found = self.context.look(&host.endpoint, known, deadline).await;
        let refused = found.as_ref().err().map(Failure::kind);
        host.not_before = match refused.filter(|kind| matches!(kind, ErrorKind::Auth | ErrorKind::AuthMethod)) {
            Some(kind) => Some(self.clock.now().plus(host.backoff.next(kind, self.pause()))),
            None => None,
        };
        (host.address.clone(), found)
    }

    fn report(&self, found: Option<String>) {
        let mut status = self.cell.lock();
        let reported = status.notices.contains_key(SPLIT_BRAIN);
        status.notice(SPLIT_BRAIN, found.clone(), self.clock.now());
        status.notice(FAILED, None, self.clock.now());
        drop(status);
        let target = self.context.target.name.as_str();
        match found {
            Some(error) if !reported => tracing::warn!(target, error, remedy = SPLIT_BRAIN_REMEDY, "split brain"),
            None if reported => tracing::info!(target, "one host takes writes again"),
            _ => {}
        }
    }
}
