//! Messages to the service manager that started heartbeatd, over a real notify socket, and credentials from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use heartbeatd::config::{self, Purpose, Sources};
use heartbeatd::database_url::{Family, UrlError};
use heartbeatd::driver::rules::Judgement;
use heartbeatd::driver::sqlite::Sqlite;
use heartbeatd::driver::{ConnectRequest, Driver, FactsError, Session};
use heartbeatd::drivers::Drivers;
use heartbeatd::finding::{Case, Check, Finding};
use heartbeatd::heartbeat::Failure;
use heartbeatd::remedy::Remedy;
use heartbeatd::scheduler::fleet::Fleet;
use heartbeatd::service_manager::ServiceManager;
use heartbeatd::status::board::Board;
use heartbeatd::target::{Endpoint, Target};
use heartbeatd::time::clock::{Clock, monotonic_micros};
use rustix::process::Signal;
use tokio::net::TcpListener;

use crate::bench::beating_daemon::{PASSWORD, ROLE, furnish, target};
use crate::bench::daemon::Heartbeatd;
use crate::bench::{NotifySocket, PostgresServer, eventually, heartbeatd, ports, secs};

/// The program, started by a service manager that listens on this socket.
fn service(socket: &NotifySocket) -> Heartbeatd {
    heartbeatd().env("NOTIFY_SOCKET", socket.path().to_str().unwrap())
}

/// A target with beats, in an embedded database.
fn good(name: &str) -> String {
    target(name, &format!("sqlite:{name}.db"), "provision = \"auto\"")
}

/// A target whose database is not reachable.
fn dead(name: &str) -> String {
    target(name, &format!("postgres://hb@127.0.0.1:{}/orders", ports::free()), "")
}

fn signs_of_life(messages: &[String]) -> usize {
    messages.iter().filter(|message| message.lines().any(|line| line == "WATCHDOG=1")).count()
}

#[tokio::test]
async fn a_service_is_ready_after_its_first_round_reloads_in_one_datagram_and_says_that_it_stops() {
    let mut socket = NotifySocket::bind();
    // Accepts connections and sends nothing, so the first round lasts until its time-out.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = target("silent", &format!("postgres://hb@{}/orders", silent.local_addr().unwrap()), "");
    let silent = silent.replace("timeout = \"2s\"", "timeout = \"8s\"");
    let mut daemon = service(&socket).config(&format!("{}\n{silent}", good("good"))).start().await;
    socket.expect("STATUS=1 of 2 targets beating; not beating: silent", secs(10)).await;
    assert_eq!(daemon.get("/ready").await.status, 503, "the first round is over too early for this test");
    socket.expect("READY=1", secs(30)).await;
    assert_eq!(daemon.get("/ready").await.status, 200);

    let before = monotonic_micros();
    daemon.rewrite_config(&good("good"));
    daemon.signal(Signal::HUP);
    let reloading = socket.expect("RELOADING=1", secs(5)).await;
    let (_, at) = reloading.split_once("\nMONOTONIC_USEC=").expect("both in one datagram");
    assert!((before..=monotonic_micros()).contains(&at.parse().unwrap()), "{reloading}");
    let ready = socket.expect("READY=1", secs(5)).await;
    assert!(!ready.contains("failed"), "{ready}");
    if !ready.contains("STATUS=1 of 1 targets beating") {
        socket.expect("STATUS=1 of 1 targets beating", secs(5)).await;
    }

    daemon.rewrite_config("[[target]]\n");
    daemon.signal(Signal::HUP);
    socket.expect("RELOADING=1", secs(5)).await;
    let ready = socket.expect("READY=1", secs(5)).await;
    assert!(ready.contains("STATUS=1 of 1 targets beating; the last reload failed, see the log"), "{ready}");

    assert!(daemon.end(Signal::TERM, secs(10)).await.success());
    socket.expect("STOPPING=1", secs(1)).await;
}

#[tokio::test]
async fn dead_databases_do_not_stop_the_watchdog_messages_and_none_are_sent_unless_requested() {
    let mut socket = NotifySocket::bind();
    let text = format!("{}\n{}", dead("orders"), dead("billing"));
    let daemon = service(&socket).env("WATCHDOG_USEC", "9000000").config(&text).start().await;
    socket.expect("READY=1", secs(10)).await;
    daemon.more_beats("orders", "failed", 1, secs(10)).await;
    socket.during(secs(0)).await;
    for _ in 0..3 {
        socket.expect("WATCHDOG=1", secs(9)).await;
    }
    assert_eq!((daemon.health().await.0, daemon.get("/live").await.status), (503, 200));

    // The variable belongs to another process.
    let mut other = NotifySocket::bind();
    let program = service(&other).env("WATCHDOG_USEC", "1500000").env("WATCHDOG_PID", "1");
    let _daemon = program.config(&good("good")).start().await;
    other.expect("READY=1", secs(10)).await;
    assert_eq!(signs_of_life(&other.during(secs(3)).await), 0);
}

/// SQLite, but a connect for the target "held" blocks its thread until it is released.
struct Holding {
    held: Arc<AtomicBool>,
}

#[async_trait]
impl Driver for Holding {
    fn family(&self) -> Family {
        Sqlite.family()
    }

    fn schemes(&self) -> &'static [&'static str] {
        Sqlite.schemes()
    }

    fn parse(&self, scheme: &str, rest: &str) -> Result<Endpoint, UrlError> {
        Sqlite.parse(scheme, rest)
    }

    fn validate(&self, target: &Target) -> Judgement {
        Sqlite.validate(target)
    }

    async fn connect(&self, request: &ConnectRequest<'_>) -> Result<Box<dyn Session>, Failure> {
        // In place: only this loop's future loses its thread, and its deadline cannot end the call.
        tokio::task::block_in_place(|| {
            while request.target.name == "held" && self.held.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Sqlite.connect(request).await
    }

    fn remedy(&self, failure: &Failure, target: &Target) -> Option<Remedy> {
        Sqlite.remedy(failure, target)
    }

    fn checks(&self) -> &'static [Check] {
        Sqlite.checks()
    }

    fn judge(&self, case: &Case<'_>) -> Result<Vec<Finding>, FactsError> {
        Sqlite.judge(case)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_blocked_loop_stops_the_watchdog_messages_until_it_runs_again() {
    let mut socket = NotifySocket::bind();
    let held = Arc::new(AtomicBool::new(true));
    let drivers = Drivers::only(Arc::new(Holding { held: Arc::clone(&held) }));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("heartbeatd.toml");
    let in_folder = |text: String| text.replace("sqlite:", &format!("sqlite:{}/", folder.path().display()));
    std::fs::write(&file, in_folder(format!("{}\n{}", good("free"), good("held")))).unwrap();
    let sources = Sources { file: Some(file), urls: Vec::new(), environment: Vec::new(), purpose: Purpose::Daemon };
    let settings = config::load(&sources, &drivers).unwrap();
    let board = Arc::new(Board::new(Clock::system()));
    let mut fleet = Fleet::new(Arc::clone(&board), drivers, "test", 1);
    fleet.apply(settings.targets).unwrap();
    let manager = Arc::new(ServiceManager::at(socket.path().as_os_str(), Some(Duration::from_millis(1_500))).unwrap());
    let informing = (Arc::clone(&manager), Arc::clone(&board));
    let informing = tokio::spawn(async move { informing.0.keep_informed(&informing.1).await });

    socket.expect("WATCHDOG=1", secs(5)).await;
    // Its deadline was 2 s, and 30 s later its loop counts as stuck.
    socket.expect("STATUS=1 of 2 targets beating; the loop of target held does not run", secs(60)).await;
    socket.during(secs(0)).await;
    let beats = |name: &str| board.cell(name).unwrap().lock().counters.ok;
    let before = beats("free");
    assert_eq!(signs_of_life(&socket.during(secs(5)).await), 0, "the service manager restarts it now");
    assert!(beats("free") > before && beats("held") == 0);

    held.store(false, Ordering::Relaxed);
    socket.expect("WATCHDOG=1", secs(10)).await;
    eventually(secs(10), "the held target to beat", async || if beats("held") > 0 { Ok(()) } else { Err("no beat") })
        .await;
    fleet.stop(secs(5)).await;
    manager.stopping();
    informing.await.unwrap();
}

#[tokio::test]
async fn a_password_may_be_a_credential_of_the_service_and_is_read_again_at_every_connect() {
    let server = PostgresServer::start().await;
    furnish(&server).await;
    let url = format!("postgres://{ROLE}@127.0.0.1:{}/postgres", server.port());
    let text = target("orders", &url, "password = { credential = \"orders\" }");
    let program = heartbeatd();
    let folder = program.folder().to_str().unwrap().to_owned();
    program.file("orders", "not the password\n");
    let daemon = program.env("CREDENTIALS_DIRECTORY", &folder).config(&text).start().await;
    let reason = daemon.reason_within("auth", secs(10)).await;
    assert!(!reason.to_string().contains("not the password"), "{reason}");
    daemon.replace_file("orders", &format!("{PASSWORD}\n"));
    daemon.signal(Signal::HUP);
    daemon.healthy_within(secs(15)).await;

    let ended = heartbeatd().arg("beat").config(&text).run().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("cannot read the credential orders: CREDENTIALS_DIRECTORY is not set"), "{ended:?}");
    assert!(ended.stdout.contains("next: add LoadCredential=orders:/PATH to the unit"), "{ended:?}");

    let ended = heartbeatd().arg("validate").config(&text.replace("\"orders\" }", "\"../orders\" }")).run().await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("credential: expected the name that LoadCredential= gives it"), "{ended:?}");
}
