//! Judges the promises of ARCHITECTURE.md in the record of a simulation.

use std::time::Duration;

use heartbeatd::heartbeat::Pace;
use heartbeatd::status::board::Board;
use heartbeatd::status::health::{self, State};

use super::world::{Database, Event, Fault, World};
use super::{connects, times, writes};

/// Virtual time has no overhead. This allows for the latency of the simulated servers.
const SLACK: Duration = Duration::from_millis(50);

pub(crate) struct Judge {
    seed: u64,
    period: Duration,
    timeout: Duration,
}

impl Judge {
    pub(crate) fn new(seed: u64, period: Duration, timeout: Duration) -> Self {
        Self { seed, period, timeout }
    }

    /// I8: never healthy after the second tick since the newest change, plus the time-out, has passed.
    pub(crate) fn look_at_the_board(&mut self, board: &Board, world: &World) {
        let now = board.clock().now();
        for cell in board.cells() {
            let status = cell.lock();
            if health::judge(&status, now).state != State::Healthy {
                continue;
            }
            let name = &status.target.name;
            let newest = world.database(name).newest_write();
            let age = newest.map(|at| world.now().saturating_sub(at));
            let limit = self.period * 2 + self.timeout + SLACK;
            assert!(
                age.is_some_and(|age| age <= limit),
                "I8 seed {}: {name} is called healthy, newest {age:?}",
                self.seed
            );
        }
    }

    pub(crate) fn read_the_history(&self, world: &World) {
        for host in world.hosts() {
            let database = world.database(&host);
            let context = format!("seed {} {host}", self.seed);
            assert!(database.most_in_flight <= 1, "I1 {context}: {} in flight", database.most_in_flight);
            assert!(database.most_at_work <= 1, "I1 {context}: {} on the server", database.most_at_work);
            self.keeps_its_distance(&database, &context);
            self.comes_back(&database, world.now(), &context);
            Self::spares_accounts(&database, &context);
        }
    }

    /// I2: no two beats closer than half a period, except the first after a recovery.
    fn keeps_its_distance(&self, database: &Database, context: &str) {
        for pair in writes(database).windows(2) {
            let close = pair[1] - pair[0] + SLACK < self.period / 2;
            // If a fault touches the time between them, the second is the first after a recovery.
            let troubled =
                database.faults.iter().any(|(begin, end, _)| *begin <= pair[1] && *end + self.period * 2 >= pair[0]);
            assert!(!close || troubled, "I2 {context}: beats at {pair:?}");
        }
    }

    /// I3: after a recovery (except of authentication) a beat lands within min(period, 60 s) plus the deadline. If no
    /// call met the fault, there was no outage: the next beat is at the next tick, at most one and a half periods after
    /// the last one.
    fn comes_back(&self, database: &Database, until: Duration, context: &str) {
        let (written, suffered) = (writes(database), times(database, Event::Suffered));
        for (index, (begin, end, fault)) in database.faults.iter().enumerate() {
            let met = suffered.iter().any(|at| (*begin..*end).contains(at));
            let next = if met { self.period.min(Duration::from_secs(60)) } else { self.period * 3 / 2 };
            let limit = next + self.timeout + SLACK;
            let next_fault = database.faults.get(index + 1).map_or(until, |(begin, _, _)| *begin);
            if is_refused_login(*fault) || next_fault < *end + limit {
                continue;
            }
            let came = written.iter().find(|at| **at >= *end).map(|at| *at - *end);
            let in_time = came.is_some_and(|after| after <= limit);
            assert!(in_time, "I3 {context}: {fault:?} ended at {end:?}, beat after {came:?}");
        }
    }

    /// Two attempts with a refused password are at least a minute apart.
    fn spares_accounts(database: &Database, context: &str) {
        let tries = connects(database);
        for (begin, end, fault) in &database.faults {
            if !is_refused_login(*fault) {
                continue;
            }
            let within: Vec<_> = tries.iter().filter(|at| (*begin..*end).contains(*at)).collect();
            let spared = within.windows(2).all(|pair| *pair[1] - *pair[0] >= Duration::from_secs(60));
            assert!(spared, "{context}: refused logins at {within:?}");
        }
    }
}

/// Whether the fault refuses a login, or has the same effect. Such a login is retried after a minute at the earliest.
fn is_refused_login(fault: Fault) -> bool {
    matches!(fault, Fault::Fail(kind) if kind.pace() == Pace::Login)
}
