//! The scheduler over days and with thousands of targets, in virtual time, with random faults from a seed. The
//! invariants are judged in the recorded history. A failure names its seed, which repeats it.

mod invariants;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use heartbeatd::drivers::Drivers;
use heartbeatd::heartbeat::ErrorKind;
use heartbeatd::scheduler::fleet::Fleet;
use heartbeatd::status::board::{Board, HISTORY};
use heartbeatd::status::health::{self, State};
use heartbeatd::target::{Endpoint, Replica, Target, WriteMode};
use heartbeatd::time::clock::{Clock, WallClock};
use heartbeatd::time::schedule::{CronSchedule, Schedule};

use self::invariants::Judge;
use self::world::{Database, Event, Fault, SimulatedDriver, World};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const PERIOD: Duration = MINUTE;
/// 2026-10-24 22:00 UTC: a night in which daylight saving ends in Europe.
const WALL_START: u64 = 1_792_879_200;

struct Simulation {
    board: Arc<Board>,
    fleet: Fleet,
    world: World,
    wall: WallClock,
}

impl Simulation {
    fn new(databases: BTreeMap<String, Database>, seed: u64) -> Self {
        let (clock, wall) = Clock::simulated(SystemTime::UNIX_EPOCH + Duration::from_secs(WALL_START));
        let world = World::new(databases, clock.now().wall_micros());
        let board = Arc::new(Board::new(clock));
        let fleet = Fleet::new(Arc::clone(&board), drivers(&world), "simulation", seed);
        Self { board, fleet, world, wall }
    }

    fn start(&mut self, targets: Vec<Target>) {
        self.fleet.apply(targets).unwrap();
    }

    fn state(&self, name: &str) -> State {
        health::judge(&self.board.cell(name).unwrap().lock(), self.board.clock().now()).state
    }

    fn trouble(&self, name: &str) -> Option<ErrorKind> {
        self.board.cell(name).unwrap().lock().trouble.as_ref().map(|trouble| trouble.failure.kind())
    }
}

fn drivers(world: &World) -> Drivers {
    Drivers::only(Arc::new(SimulatedDriver(world.clone())))
}

fn target(name: &str) -> Target {
    Target::new(name, Endpoint::parse(&format!("postgres://hb@{name}/db")).unwrap())
}

fn fleet_of(count: usize) -> (BTreeMap<String, Database>, Vec<Target>) {
    let names: Vec<String> = (0..count).map(|number| format!("shop-{number}")).collect();
    let databases = names.iter().map(|name| (name.clone(), Database::default())).collect();
    (databases, names.iter().map(|name| target(name)).collect())
}

fn one(faults: Vec<(Duration, Duration, Fault)>) -> BTreeMap<String, Database> {
    BTreeMap::from([("orders".to_owned(), Database { faults, ..Database::default() })])
}

/// Faults of every kind at random times, with quiet in between.
fn random_faults(random: &mut fastrand::Rng, length: Duration) -> Vec<(Duration, Duration, Fault)> {
    let mut faults = Vec::new();
    let mut at = Duration::ZERO;
    loop {
        at += Duration::from_millis(random.u64(1_000..4 * 3_600_000));
        let end = at + Duration::from_millis(random.u64(50..1_800_000));
        if end >= length {
            return faults;
        }
        let fault = match random.u8(0..8) {
            0 => Fault::Hang,
            1 => Fault::AnswerLost,
            2 => Fault::NoRow,
            3 => Fault::Panic,
            4 => Fault::Slow(Duration::from_millis(random.u64(10..9_000))),
            _ => Fault::Fail(ErrorKind::ALL[random.usize(..ErrorKind::ALL.len())]),
        };
        faults.push((at, end, fault));
        at = end;
    }
}

#[tokio::test(start_paused = true)]
async fn two_thousand_targets_beat_on_time_for_six_hours() {
    let (databases, targets) = fleet_of(2_000);
    let mut simulation = Simulation::new(databases, 1);
    simulation.start(targets);
    tokio::time::sleep(6 * HOUR).await;
    for host in simulation.world.hosts() {
        let database = simulation.world.database(&host);
        let writes = writes(&database);
        assert!((360..=362).contains(&writes.len()), "{host}: {} beats in six hours", writes.len());
        // After the first beat, which is off the phase, each interval is exactly the period.
        let steady =
            writes[1..].windows(2).all(|pair| (pair[1] - pair[0]).abs_diff(PERIOD) <= Duration::from_millis(2));
        assert!(steady, "{host} left its phase");
        assert_eq!(database.events.iter().filter(|(_, event)| *event == Event::Connect).count(), 1);
    }
    let per_second = busiest_second(&simulation.world);
    assert!(per_second <= 80, "{per_second} beats fell into one second: they are not spread");
}

#[tokio::test(start_paused = true)]
async fn the_invariants_hold_through_days_of_random_faults() {
    // Each seed takes about fifteen seconds of processor time; `make soak` runs twenty.
    let seeds = std::env::var("SIMULATION_SEEDS").map_or(2, |text| text.parse().expect("SIMULATION_SEEDS is a number"));
    for seed in 1..=seeds {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut databases, targets) = fleet_of(150);
        for database in databases.values_mut().skip(30) {
            database.faults = random_faults(&mut random, 2 * DAY);
        }
        let mut simulation = Simulation::new(databases, seed);
        let mut judge = Judge::new(seed, PERIOD, targets[0].timeout);
        simulation.start(targets);
        while simulation.world.now() < 2 * DAY {
            tokio::time::sleep(Duration::from_millis(67_311)).await;
            judge.look_at_the_board(&simulation.board, &simulation.world);
        }
        judge.read_the_history(&simulation.world);
        for cell in simulation.board.cells() {
            assert!(cell.lock().history.len() <= HISTORY);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hung_server_gets_one_beat_when_it_is_back_and_no_burst() {
    let mut simulation = Simulation::new(one(vec![(10 * MINUTE, 40 * MINUTE, Fault::Hang)]), 1);
    simulation.start(vec![target("orders")]);
    tokio::time::sleep(20 * MINUTE).await;
    assert_eq!(simulation.trouble("orders"), Some(ErrorKind::Timeout));
    assert_eq!(simulation.state("orders"), State::Unhealthy);
    tokio::time::sleep(23 * MINUTE).await;
    assert_eq!(simulation.state("orders"), State::Healthy);
    let database = simulation.world.database("orders");
    let back: Vec<_> = writes(&database).into_iter().filter(|at| *at > 40 * MINUTE).collect();
    assert!((2..=4).contains(&back.len()), "{back:?}");
    assert_eq!(database.most_in_flight, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_password_is_tried_at_most_once_a_minute() {
    let mut simulation = Simulation::new(one(vec![(MINUTE / 2, 3 * HOUR, Fault::Fail(ErrorKind::Auth))]), 1);
    let quick = Target { schedule: Schedule::Interval(SECOND), ..target("orders") };
    simulation.start(vec![quick]);
    tokio::time::sleep(2 * HOUR).await;
    let database = simulation.world.database("orders");
    let tries: Vec<_> = connects(&database).into_iter().filter(|at| *at > MINUTE).collect();
    assert!(tries.len() > 60 && tries.windows(2).all(|pair| pair[1] - pair[0] >= MINUTE), "{} tries", tries.len());
}

#[tokio::test(start_paused = true)]
async fn one_targets_trouble_never_delays_another() {
    let (mut databases, targets) = fleet_of(200);
    for (number, database) in databases.values_mut().enumerate().filter(|(number, _)| number % 10 != 0) {
        let fault = if number % 2 == 0 { Fault::Hang } else { Fault::Panic };
        database.faults = vec![(Duration::ZERO, DAY, fault)];
    }
    let mut simulation = Simulation::new(databases, 1);
    simulation.start(targets);
    tokio::time::sleep(HOUR).await;
    let lateness = simulation.board.drivers()["postgres"].lateness.clone();
    // I5: 50 ms is a bucket bound of the histogram. No tick of any target, even of a hung one, started later.
    let late: u64 = lateness.counts[7..].iter().sum();
    assert_eq!(late, 0, "{lateness:?}");
    let well = simulation.world.hosts().into_iter().filter(|host| writes(&simulation.world.database(host)).len() >= 59);
    assert_eq!(well.count(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_reported_and_the_target_started_again() {
    let mut simulation = Simulation::new(one(vec![(5 * MINUTE, 7 * MINUTE, Fault::Panic)]), 1);
    simulation.start(vec![target("orders")]);
    tokio::time::sleep(6 * MINUTE + 30 * SECOND).await;
    assert_eq!(simulation.trouble("orders"), Some(ErrorKind::Internal));
    tokio::time::sleep(3 * MINUTE).await;
    assert_eq!((simulation.state("orders"), simulation.trouble("orders")), (State::Healthy, None));
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_panics_is_started_again_its_lag_disappears_and_a_required_replica_turns_red() {
    let mut databases = one(Vec::new());
    let faults = vec![(10 * MINUTE, 30 * MINUTE, Fault::Panic)];
    databases.insert("copy".to_owned(), Database { faults, ..Database::default() });
    let mut simulation = Simulation::new(databases, 1);
    let endpoint = Endpoint::parse("postgres://hb@copy/db").unwrap();
    let replica = Replica { name: "copy".to_owned(), endpoint, required: true, decode: false };
    simulation.start(vec![Target { replicas: vec![replica], ..target("orders") }]);
    let copy = |simulation: &Simulation| simulation.board.cell("orders").unwrap().lock().replicas["copy"].clone();
    let replicate = async |simulation: &Simulation, until: Duration| {
        while simulation.world.now() < until {
            tokio::time::sleep(SECOND).await;
            let row = simulation.world.database("orders").row;
            simulation.world.database("copy").row = row;
        }
    };
    replicate(&simulation, 9 * MINUTE).await;
    assert!(copy(&simulation).lag.is_some() && simulation.state("orders") == State::Healthy);
    replicate(&simulation, 20 * MINUTE).await;
    let seen = copy(&simulation);
    let trouble = seen.trouble.expect("the panic is told");
    assert_eq!((trouble.failure.kind(), seen.lag), (ErrorKind::Internal, None));
    assert!(trouble.attempts > 5, "{} starts in ten minutes", trouble.attempts);
    assert_eq!((simulation.state("orders"), simulation.trouble("orders")), (State::Unhealthy, None));
    replicate(&simulation, 33 * MINUTE).await;
    assert!(copy(&simulation).lag.is_some() && simulation.state("orders") == State::Healthy);
    assert_eq!(writes(&simulation.world.database("orders")).len(), 33, "beats go on beside it");
}

#[tokio::test(start_paused = true)]
async fn an_inspector_that_panics_is_started_again_and_what_it_found_before_disappears() {
    let mut simulation = Simulation::new(one(vec![(15 * MINUTE, 45 * MINUTE, Fault::JudgementPanics)]), 1);
    simulation.start(vec![target("orders")]);
    let found = |simulation: &Simulation| {
        let cell = simulation.board.cell("orders").unwrap();
        let status = cell.lock();
        (status.checked.is_some(), status.notices.contains_key("inspector_failed"))
    };
    tokio::time::sleep(14 * MINUTE).await;
    assert_eq!(found(&simulation), (true, false));
    tokio::time::sleep(20 * MINUTE).await;
    assert_eq!(found(&simulation), (false, true));
    assert_eq!(simulation.state("orders"), State::Healthy);
    tokio::time::sleep(15 * MINUTE).await;
    assert_eq!(found(&simulation), (true, false));
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_within_the_grace_period_with_every_server_hung() {
    let (mut databases, targets) = fleet_of(500);
    databases.values_mut().for_each(|database| database.faults = vec![(MINUTE, DAY, Fault::Hang)]);
    let mut simulation = Simulation::new(databases, 1);
    simulation.start(targets.into_iter().map(|target| Target { timeout: HOUR, ..target }).collect());
    tokio::time::sleep(3 * MINUTE).await;
    let before = simulation.world.now();
    simulation.fleet.stop(5 * SECOND).await;
    assert!(simulation.world.now() - before <= 5 * SECOND + Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_unchanged_targets_as_they_are() {
    let (databases, targets) = fleet_of(20);
    let mut simulation = Simulation::new(databases, 1);
    simulation.start(targets.clone());
    tokio::time::sleep(10 * MINUTE).await;
    let mut next = targets;
    let removed = next.remove(0).name;
    let changed = next[0].name.clone();
    next[0].schedule = Schedule::Interval(2 * MINUTE);
    let changes = simulation.fleet.apply(next).unwrap();
    assert_eq!((changes.added, changes.changed, changes.removed, changes.unchanged), (0, 1, 1, 18));
    tokio::time::sleep(10 * MINUTE).await;
    assert!(simulation.board.cell(&removed).is_none());
    for host in simulation.world.hosts().into_iter().filter(|host| *host != removed) {
        let database = simulation.world.database(&host);
        let gaps: Vec<_> = writes(&database)[1..].windows(2).map(|pair| pair[1] - pair[0]).collect();
        let unchanged = gaps.iter().all(|gap| gap.abs_diff(PERIOD) <= Duration::from_millis(2));
        assert_eq!(
            (unchanged, connects(&database).len()),
            if host == changed { (false, 2) } else { (true, 1) },
            "{host}"
        );
    }
    let gone = simulation.world.database(&removed);
    assert!(writes(&gone).iter().all(|at| *at < 11 * MINUTE), "a removed target still beats");
}

#[tokio::test(start_paused = true)]
async fn two_daemons_with_when_stale_give_one_beat_a_period_together_at_every_offset() {
    for offset in [1, 13, 29, 30, 31, 47, 59] {
        let mut first = Simulation::new(one(Vec::new()), 1);
        let target = Target { write: WriteMode::WhenStale, ..target("orders") };
        first.start(vec![target.clone()]);
        tokio::time::sleep(Duration::from_secs(offset)).await;
        // The second daemon has a separate clock and board, and another phase because of its name.
        let (clock, _) = Clock::simulated(SystemTime::UNIX_EPOCH + Duration::from_secs(WALL_START + offset));
        let board = Arc::new(Board::new(clock));
        let mut second = Fleet::new(Arc::clone(&board), drivers(&first.world), "second", 2);
        let renamed = Target { name: format!("orders-{offset}"), ..target };
        second.apply(vec![renamed.clone()]).unwrap();
        let begin = first.world.now() + 5 * MINUTE;
        tokio::time::sleep(125 * MINUTE).await;
        let beats = writes(&first.world.database("orders")).into_iter().filter(|at| *at > begin).count();
        assert!((118..=122).contains(&beats), "offset {offset}: {beats} beats in 120 periods");
        assert_eq!(first.state("orders"), State::Healthy);
        let state = health::judge(&board.cell(&renamed.name).unwrap().lock(), board.clock().now()).state;
        assert_eq!(state, State::Healthy, "the one that finds it fresh is healthy too");
        // The daemon that writes ends. The other one continues within two periods of the last beat.
        let last = *writes(&first.world.database("orders")).last().unwrap();
        let first_wrote = first.board.cell("orders").unwrap().lock().newest_change.is_some_and(|change| change.ours);
        if first_wrote {
            first.fleet.stop(SECOND).await;
        } else {
            second.stop(SECOND).await;
        }
        tokio::time::sleep(3 * MINUTE).await;
        let next = writes(&first.world.database("orders")).into_iter().find(|at| *at > last + SECOND).unwrap();
        assert!(next - last <= 2 * PERIOD, "offset {offset}: the other came {:?} later", next - last);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cron_schedule_has_no_gap_when_daylight_saving_ends_nor_when_the_wall_clock_is_set() {
    let mut simulation = Simulation::new(one(Vec::new()), 1);
    let schedule = Schedule::Cron(Box::new(CronSchedule::parse("* * * * *", "Europe/Berlin").unwrap()));
    simulation.start(vec![Target { schedule, ..target("orders") }]);
    tokio::time::sleep(6 * HOUR).await;
    let gaps = |simulation: &Simulation| -> Vec<Duration> {
        writes(&simulation.world.database("orders")).windows(2).map(|pair| pair[1] - pair[0]).collect()
    };
    let steady = gaps(&simulation);
    assert!(steady.len() >= 359 && steady[1..].iter().all(|gap| gap.abs_diff(PERIOD) < SECOND), "{steady:?}");
    for step in [7_200, -7_200, 30, -30] {
        simulation.wall.step(step);
        tokio::time::sleep(HOUR).await;
    }
    let longest = gaps(&simulation).into_iter().max().unwrap();
    assert!(longest <= 2 * PERIOD, "a gap of {longest:?} after the wall clock was set");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_beats_soon_after_it_wakes() {
    let mut simulation = Simulation::new(one(Vec::new()), 1);
    simulation.start(vec![target("orders")]);
    tokio::time::sleep(10 * MINUTE + 5 * SECOND).await;
    let before = writes(&simulation.world.database("orders")).len();
    // Linux's monotonic clock stops during suspend, so only the wall clock has advanced.
    simulation.wall.step(3_600);
    assert_eq!(simulation.state("orders"), State::Unhealthy, "an hour without a change is an hour, on either clock");
    tokio::time::sleep(35 * SECOND).await;
    assert_eq!(writes(&simulation.world.database("orders")).len(), before + 1);
    assert_eq!(simulation.state("orders"), State::Healthy);
}

#[tokio::test(start_paused = true)]
async fn a_slow_server_gets_one_beat_at_a_time_and_missed_ticks_are_counted() {
    let mut simulation = Simulation::new(one(vec![(MINUTE, HOUR, Fault::Slow(2_500 * SECOND / 1_000))]), 1);
    simulation.start(vec![Target { schedule: Schedule::Interval(SECOND), ..target("orders") }]);
    tokio::time::sleep(11 * MINUTE).await;
    let database = simulation.world.database("orders");
    let beats = writes(&database).into_iter().filter(|at| *at > MINUTE + 5 * SECOND).count();
    assert!((195..=200).contains(&beats), "{beats} beats of 2.5 s each in ten minutes");
    assert_eq!(database.most_in_flight, 1);
    let missed = simulation.board.cell("orders").unwrap().lock().counters.ticks_missed;
    assert!((395..=402).contains(&missed), "{missed} of 600 ticks missed");
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_falls_behind_is_reported_with_its_lag_and_is_red_only_if_required() {
    for required in [false, true] {
        let mut databases = one(Vec::new());
        databases.insert("copy".to_owned(), Database::default());
        let mut simulation = Simulation::new(databases, 1);
        let replica = Replica {
            name: "copy".to_owned(),
            endpoint: Endpoint::parse("postgres://hb@copy/db").unwrap(),
            required,
            decode: false,
        };
        simulation.start(vec![Target { replicas: vec![replica], ..target("orders") }]);
        let lag = |simulation: &Simulation| simulation.board.cell("orders").unwrap().lock().replicas["copy"].lag;
        for _ in 0..10 * 60 * 20 {
            // Replication with a lag of half a second.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let row = simulation.world.database("orders").row;
            let ready = writes(&simulation.world.database("orders")).last().copied();
            if ready.is_some_and(|at| simulation.world.now() >= at + Duration::from_millis(500)) {
                simulation.world.database("copy").row = row;
            }
        }
        let steady = lag(&simulation).expect("a lag is known");
        assert!((Duration::from_millis(450)..Duration::from_millis(1_100)).contains(&steady), "{steady:?}");
        let since = |simulation: &Simulation| {
            simulation.board.cell("orders").unwrap().lock().replicas["copy"].behind_since.unwrap().mono
        };
        tokio::time::sleep(4 * MINUTE).await;
        let first = since(&simulation);
        tokio::time::sleep(6 * MINUTE).await;
        assert!(lag(&simulation).unwrap() > 7 * MINUTE, "{:?}", lag(&simulation));
        assert_eq!(since(&simulation), first, "it is behind since the first beat that it misses");
        assert_eq!(simulation.state("orders"), if required { State::Unhealthy } else { State::Healthy });
    }
}

fn times(database: &Database, wanted: Event) -> Vec<Duration> {
    database.events.iter().filter(|(_, event)| *event == wanted).map(|(at, _)| *at).collect()
}

fn writes(database: &Database) -> Vec<Duration> {
    times(database, Event::Write)
}

fn connects(database: &Database) -> Vec<Duration> {
    times(database, Event::Connect)
}

fn busiest_second(world: &World) -> usize {
    let mut seconds: BTreeMap<u64, usize> = BTreeMap::new();
    for host in world.hosts() {
        for at in writes(&world.database(&host)).into_iter().filter(|at| *at > MINUTE) {
            *seconds.entry(at.as_secs()).or_default() += 1;
        }
    }
    seconds.into_values().max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn a_reload_tries_a_failing_target_at_once() {
    let mut simulation = Simulation::new(one(vec![(MINUTE / 2, 90 * SECOND, Fault::Fail(ErrorKind::Auth))]), 1);
    simulation.start(vec![target("orders")]);
    tokio::time::sleep(95 * SECOND).await;
    assert_eq!(simulation.trouble("orders"), Some(ErrorKind::Auth));
    simulation.start(vec![target("orders")]);
    tokio::time::sleep(SECOND).await;
    assert_eq!(simulation.trouble("orders"), None);
}

#[tokio::test(start_paused = true)]
async fn a_target_taken_off_and_put_back_while_its_beat_hangs_never_has_two_in_flight() {
    let mut simulation = Simulation::new(one(vec![(MINUTE, HOUR, Fault::Hang)]), 1);
    let target = Target { timeout: 30 * SECOND, ..target("orders") };
    simulation.start(vec![target.clone()]);
    tokio::time::sleep(MINUTE + 25 * SECOND).await;
    for _ in 0..5 {
        simulation.start(Vec::new());
        tokio::time::sleep(SECOND).await;
        simulation.start(vec![target.clone()]);
        tokio::time::sleep(SECOND).await;
    }
    tokio::time::sleep(5 * MINUTE).await;
    let database = simulation.world.database("orders");
    assert_eq!((database.most_in_flight, database.most_at_work), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_reloaded_while_its_beat_waits_on_the_server_is_written_once_when_the_wait_ends() {
    // The wait ends while the first loop's beat is in flight, and after the time-outs of several loops.
    for (end, timeout) in [(MINUTE + 50 * SECOND, HOUR), (10 * MINUTE, 30 * SECOND)] {
        let mut simulation = Simulation::new(one(vec![(MINUTE, end, Fault::Hang)]), 1);
        simulation.start(vec![Target { timeout, ..target("orders") }]);
        tokio::time::sleep(MINUTE + 25 * SECOND).await;
        for reload in 0..20 {
            let schedule = Schedule::Interval(PERIOD + reload * SECOND);
            simulation.start(vec![Target { schedule, timeout, ..target("orders") }]);
            tokio::time::sleep(SECOND).await;
        }
        tokio::time::sleep(end + MINUTE / 2 - simulation.world.now()).await;
        let database = simulation.world.database("orders");
        assert_eq!((database.most_in_flight, database.most_at_work), (1, 1));
        let after: Vec<_> = writes(&database).into_iter().filter(|at| *at >= end).collect();
        assert!(after.len() <= 1, "{after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_failed_read_of_a_required_replica_turns_nothing_red() {
    let mut databases = one(Vec::new());
    let faults = vec![
        (Duration::ZERO, 30 * SECOND, Fault::Fail(ErrorKind::Refused)),
        (HOUR, 2 * HOUR, Fault::Fail(ErrorKind::Refused)),
    ];
    databases.insert("copy".to_owned(), Database { faults, ..Database::default() });
    let mut simulation = Simulation::new(databases, 1);
    let endpoint = Endpoint::parse("postgres://hb@copy/db").unwrap();
    let replica = Replica { name: "copy".to_owned(), endpoint, required: true, decode: false };
    simulation.start(vec![Target { replicas: vec![replica], ..target("orders") }]);
    tokio::time::sleep(20 * SECOND).await;
    assert_eq!(simulation.state("orders"), State::Healthy);
    tokio::time::sleep(HOUR + 5 * MINUTE).await;
    assert_eq!(simulation.state("orders"), State::Unhealthy, "a replica that cannot be looked at for minutes is red");
}
