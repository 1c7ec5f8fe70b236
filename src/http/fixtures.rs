//! A board with a paused clock, and a plain HTTP client, for the tests of this room.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;

use crate::driver::{Progress, ServerInfo, ServerRole, SlotProgress};
use crate::heartbeat::{BeatOutcome, ErrorClass, ErrorKind, Failure, Stamp};
use crate::status::board::{
    Board, Cell, Change, Checked, ConnectReason, HistoryEntry, LastBeat, PastFailure, ProgressStatus, Trouble,
};
use crate::target::{Endpoint, Replica, Target};
use crate::time::clock::{Clock, Moment};

/// The password of every address here; no output may show it.
pub(super) const PASSWORD: &str = "hunter2";
/// Two periods and the time-out.
pub(super) const OVERDUE: Duration = Duration::from_secs(130);

/// An empty board, started 2026-11-20 11:22:33 UTC on a clock that only tests move.
pub(super) fn empty_board() -> Arc<Board> {
    let (clock, _) = Clock::simulated(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_173_753));
    Arc::new(Board::new(clock))
}

pub(super) fn endpoint(host: &str) -> Endpoint {
    Endpoint::parse(&format!("postgres://heartbeat:{PASSWORD}@{host}/orders?sslmode=verify-full")).unwrap()
}

pub(super) fn add(board: &Board, name: &str, change: impl FnOnce(&mut Target)) -> Arc<Cell> {
    let mut target = Target::new(name, endpoint("primary-a"));
    change(&mut target);
    board.insert(Arc::new(target), OVERDUE)
}

pub(super) fn replica(name: &str, required: bool) -> Replica {
    Replica { name: name.to_owned(), endpoint: endpoint(name), required, decode: false }
}

pub(super) fn failure() -> Failure {
    Failure::new(ErrorKind::Privilege, "permission denied for table streamkap_heartbeat")
        .with_code("42501")
        .with_remedy("GRANT SELECT, UPDATE ON \"streamkap\".\"streamkap_heartbeat\" TO \"heartbeat\"")
}

pub(super) fn beat(cell: &Cell, at: Moment) {
    let mut status = cell.lock();
    status.tried = true;
    status.newest_change = Some(Change { at, ours: true });
    status.trouble = None;
}

pub(super) fn fail(cell: &Cell, failure: Failure, at: Moment) {
    let mut status = cell.lock();
    status.tried = true;
    status.trouble = Some(Trouble::after(status.trouble.as_ref(), failure, at));
}

/// A board with a target in each state; the worst one has every field set.
pub(super) async fn full_board() -> Arc<Board> {
    let board = empty_board();
    let start = board.clock().now();
    add(&board, "archive", |target| target.enabled = false);
    let healthy = add(&board, "host/billing", |_| {});
    let orders = add(&board, "orders", |target| {
        target.replicas = vec![replica("replica-1", true), replica("replica-2", false)];
    });
    beat(&orders, start);
    tokio::time::advance(Duration::from_secs(200)).await;
    let now = board.clock().now();
    beat(&healthy, now);
    healthy.lock().progress = Some(ProgressStatus {
        progress: Progress::CaptureJob { until: Some(Stamp(now.wall_micros() - 1_500_000)) },
        confirmed_beat: None,
        since: start,
        seen_at: now,
    });
    add(&board, "young", |_| {});
    fill(&orders, start, now);
    board.record("postgres", Duration::from_millis(3), Some(Duration::from_micros(700)));
    board.record("postgres", Duration::from_secs(12), None);
    board
}

fn fill(cell: &Cell, start: Moment, now: Moment) {
    fail(cell, failure(), start.plus(Duration::from_secs(60)));
    fail(cell, failure(), now);
    let mut status = cell.lock();
    let server = ServerInfo {
        address: "primary-a:5432".to_owned(),
        version: "PostgreSQL 15.14".to_owned(),
        identity: Some("7301".to_owned()),
        instance: None,
        timeline: Some(1),
        role: ServerRole::Primary,
    };
    status.server = Some(Arc::new(server.clone()));
    status.last_beat = Some(LastBeat {
        at: start,
        outcome: BeatOutcome::Written,
        duration: Duration::from_micros(1_250),
        lateness: Duration::from_micros(400),
        value: Some(Stamp(start.wall_micros())),
        position: Some("0/16B3748".to_owned()),
    });
    status.next_due = Some(now.plus(Duration::from_secs(30)));
    status.clock_skew = Some(-0.25);
    status.notice("another_writer", Some("another writer updates this row: pg_cron job 7".to_owned()), start);
    status.remember(HistoryEntry {
        at: start.wall,
        duration: Duration::from_micros(1_250),
        result: Ok(BeatOutcome::Written),
    });
    status.remember(HistoryEntry {
        at: now.wall,
        duration: Duration::from_millis(2),
        result: Err(PastFailure { kind: ErrorKind::Privilege, message: failure().message().into() }),
    });
    status.counters.ok = 1;
    status.counters.failed = 2;
    status.counters.ticks_missed = 3;
    status.counters.errors.insert((ErrorClass::Permission, ErrorKind::Privilege), 2);
    status.counters.connects.insert(ConnectReason::Start, 1);
    let finding =
        crate::check::registry::REPLICA_CONNECT.failed("replica replica-2", "connection refused").remedy("start it");
    let entries = crate::check::registry::entries(&crate::drivers::Drivers::built_in());
    let verdict = crate::check::verdict::climb(std::slice::from_ref(&finding), &entries);
    let problems = crate::check::verdict::problems(std::slice::from_ref(&finding), &entries);
    status.checked = Some(Checked::new(now, vec![finding], verdict, problems));
    status.progress = Some(ProgressStatus {
        progress: Progress::Slot(SlotProgress {
            name: "streamkap_pgoutput_slot".to_owned(),
            active: true,
            confirmed: None,
            retained_bytes: Some(16_777_216),
        }),
        confirmed_beat: Some(start),
        since: start,
        seen_at: now,
    });
    let first = status.replicas.get_mut("replica-1").unwrap();
    first.value = Some(Stamp(start.wall_micros()));
    first.seen_at = Some(now);
    first.lag = Some(Duration::from_millis(40));
    first.role = Some(ServerRole::Standby);
    first.server = Some(ServerInfo { role: ServerRole::Standby, address: "replica-1:5432".to_owned(), ..server });
    let second = status.replicas.get_mut("replica-2").unwrap();
    second.trouble = Some(Trouble::after(None, Failure::new(ErrorKind::Refused, "connection refused"), start));
}

/// A running server.
pub(super) struct Served {
    pub(super) address: SocketAddr,
    pub(super) shutdown: CancellationToken,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

pub(super) async fn serve(board: &Arc<Board>) -> Served {
    let listener = super::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let served = Served { address: listener.local_addr().unwrap(), shutdown: CancellationToken::new() };
    tokio::spawn(super::serve(listener, Arc::clone(board), served.shutdown.clone()));
    served
}

/// An answer, parsed as far as the tests need.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn parse(bytes: Vec<u8>) -> Self {
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer but {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }
}

impl Served {
    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path).await
    }

    /// Sends a request from a blocking thread, because tokio's paused clock would otherwise jump to a time-out.
    pub(super) async fn ask(&self, method: &str, path: &str) -> Answer {
        let address = self.address;
        let request = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        let answer = tokio::task::spawn_blocking(move || {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).unwrap();
            bytes
        });
        Answer::parse(answer.await.unwrap())
    }
}
