//! The soak test: three hundred real targets keep their time while everything around them fails at once. It takes half
//! a minute among the other tests, and ten minutes with `make soak`.

use std::any::Any;
use std::fmt::Write as _;
use std::io::PipeWriter;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::bench::daemon::{Daemon, Heartbeatd};
use crate::bench::hostile::{HostileServer, Malice};
use crate::bench::{PostgresServer, eventually, heartbeat, heartbeatd, secs};

const TARGETS: usize = 300;
const INTERVAL: Duration = secs(4);
const GRACE: Duration = secs(5);
/// A beat that ends when the next one is due is a period late. Neither another target's fault nor a machine that is
/// busy with other tests may cost that much.
const LONGEST_GAP: Duration = INTERVAL.saturating_mul(2);
/// How much memory may vary between two moments: as much as a flood's buffers. A leak has no such limit.
const FLUCTUATION_KIB: u64 = 16 << 10;

/// How long the faults last, after every target has had a beat.
fn span() -> Duration {
    let asked = std::env::var("SOAK_SECONDS").ok().map(|text| text.parse().expect("SOAK_SECONDS is a number"));
    secs(asked.unwrap_or(30))
}

/// A faulty target as lines of the configuration, and the objects that must live for it.
struct Attack {
    lines: String,
    _kept: Box<dyn Any>,
}

#[tokio::test]
async fn three_hundred_targets_beat_on_time_whatever_other_targets_do() {
    let shop = shop().await;
    let mut failover = Failover::lay().await;
    let program = heartbeatd();
    let attacks = [hung_secret(&shop, &program), flooding_server().await, replica_that_panics_the_client(&shop).await];
    let mut text = configuration(&shop);
    text.push_str(&failover.target());
    let mut daemon = program.config(&text).start_logging_to(closed_pipe()).await;
    every_target_beats(&shop).await;
    failover.beats_on_first(&daemon).await;

    let (span, begin) = (span(), Instant::now());
    let since = shop.value("SELECT clock_timestamp()").await.unwrap();
    text.extend(attacks.iter().map(|attack| attack.lines.as_str()));
    let (memory, reloads, ()) = tokio::join!(
        watch_memory_and_door(&daemon, begin + span),
        reload_storm(&daemon, &text, begin + span),
        failover.happen(&daemon, span),
    );
    eprintln!("{reloads} reloads, {memory:?}");
    must_have_kept_their_time(&shop, &since).await;
    memory.must_be_flat();
    failover.must_have_held(&daemon).await;
    let dropped = daemon.count("heartbeatd_log_lines_dropped_total", &[]).await;
    assert!(dropped > 0, "no one reads the log");

    shop.freeze();
    let ending = Instant::now();
    let status = daemon.end(Signal::TERM, GRACE + secs(4)).await;
    eprintln!("ended {:?} after SIGTERM; {dropped} lines of the log were dropped", ending.elapsed());
    assert_eq!(status.code(), Some(0));
    shop.thaw();
}

// --- the good targets

/// A server with a table for each target, and a record of every change with its time.
async fn shop() -> PostgresServer {
    let server = PostgresServer::options().conf("max_connections = 400").start().await;
    heartbeat::create_user(&server).await;
    server
        .execute(&format!(
            "CREATE SCHEMA streamkap;
             CREATE TABLE public.changes (name text NOT NULL, at timestamptz NOT NULL);
             CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
               $f$ BEGIN INSERT INTO public.changes VALUES (TG_TABLE_NAME, clock_timestamp()); RETURN NULL; END $f$;
             DO $$ BEGIN FOR n IN 0..{TARGETS} LOOP
               EXECUTE format('CREATE TABLE streamkap.heartbeat_%s (id int PRIMARY KEY, text text, last_update timestamp)', n);
               EXECUTE format('INSERT INTO streamkap.heartbeat_%s VALUES (1)', n);
               EXECUTE format('CREATE TRIGGER note AFTER UPDATE ON streamkap.heartbeat_%s FOR EACH ROW EXECUTE FUNCTION note()', n);
             END LOOP; END $$;
             GRANT USAGE ON SCHEMA streamkap TO {user};
             GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA streamkap TO {user}",
            user = heartbeat::USER
        ))
        .await;
    server
}

fn configuration(shop: &PostgresServer) -> String {
    // Enough time for 300 simultaneous logins on a machine that is busy with other tests, in this unoptimised build.
    let mut text = format!(
        "[defaults]\ninterval = \"{}s\"\ntimeout = \"30s\"\n[shutdown]\ngrace = \"{}s\"\n",
        INTERVAL.as_secs(),
        GRACE.as_secs()
    );
    let url = heartbeat::url(shop.port(), "");
    for n in 0..TARGETS {
        writeln!(text, "[[target]]\nname = \"shop-{n}\"\nurl = \"{url}\"\nheartbeat.table = \"heartbeat_{n}\"")
            .unwrap();
    }
    text
}

async fn every_target_beats(shop: &PostgresServer) {
    let began = Instant::now();
    eventually(secs(150), "two beats of each target", async || {
        let names = "SELECT count(*) FROM (SELECT FROM changes GROUP BY name HAVING count(*) >= 2) AS beaten";
        match usize::try_from(shop.number(names).await).unwrap() {
            TARGETS => Ok(()),
            beaten => Err(format!("{beaten} targets")),
        }
    })
    .await;
    eprintln!("every target had two beats {:?} after the start", began.elapsed());
}

/// By the database's own record, no row went without a change for longer than the longest gap.
async fn must_have_kept_their_time(shop: &PostgresServer, since: &str) {
    let gaps = format!(
        "WITH moments AS (
           SELECT name, at FROM changes WHERE at >= '{since}'
           UNION ALL SELECT name, greatest(min(at), '{since}') FROM changes GROUP BY name
           UNION ALL SELECT name, now() FROM changes GROUP BY name
         ), gaps AS (
           SELECT name, extract(epoch FROM at - lag(at) OVER (PARTITION BY name ORDER BY at)) * 1000 AS gap FROM moments
         )
         SELECT count(DISTINCT name), count(gap), max(gap)::bigint,
           (percentile_cont(0.5) WITHIN GROUP (ORDER BY gap))::bigint,
           (percentile_cont(0.999) WITHIN GROUP (ORDER BY gap))::bigint,
           count(*) FILTER (WHERE gap > {})
         FROM gaps",
        LONGEST_GAP.as_millis()
    );
    let row = shop.rows(&gaps).await.remove(0);
    let figures: Vec<u64> = row.into_iter().map(|figure| figure.unwrap().parse().unwrap()).collect();
    let [targets, count, longest, median, most, late] = figures[..] else { panic!("{figures:?}") };
    eprintln!(
        "{targets} targets, {count} changes: {median} ms apart (median), {most} ms (99.9 %), {longest} ms at most, {late} late"
    );
    // One more: the target whose replica panics.
    assert_eq!(usize::try_from(targets).unwrap(), TARGETS + 1);
    assert_eq!(late, 0, "a beat came later than the next was due: {longest} ms after the one before");
}

// --- what goes wrong

/// A password file that can be opened and never returns a byte.
fn hung_secret(shop: &PostgresServer, program: &Heartbeatd) -> Attack {
    let fifo = program.file("fifo", "");
    std::fs::remove_file(&fifo).unwrap();
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // Open at both ends. Otherwise a non-blocking read would fail to open it.
    let writer = std::fs::File::options().read(true).write(true).open(&fifo).unwrap();
    let url = format!("postgres://{}@127.0.0.1:{}/postgres", heartbeat::USER, shop.port());
    let lines = format!(
        "[[target]]\nname = \"hung-secret\"\nurl = \"{url}\"\npassword = {{ file = \"{}\" }}\ntimeout = \"2s\"\n",
        fifo.display()
    );
    Attack { lines, _kept: Box::new(writer) }
}

/// A server that sends endless rows.
async fn flooding_server() -> Attack {
    let server = HostileServer::start(Malice::PostgresRows).await;
    let lines = format!(
        "[[target]]\nname = \"flood\"\nurl = \"postgres://hb:x@127.0.0.1:{}/postgres\"\ntimeout = \"2s\"\n",
        server.port()
    );
    Attack { lines, _kept: Box::new(server) }
}

/// A target whose replica sends a message that makes the client library panic. Its own beats are as good as the
/// others'.
async fn replica_that_panics_the_client(shop: &PostgresServer) -> Attack {
    let replica = HostileServer::start(Malice::PostgresTooShort).await;
    let lines = format!(
        "[[target]]\nname = \"with-replica\"\nurl = \"{}\"\nheartbeat.table = \"heartbeat_{TARGETS}\"\n\
         [[target.replica]]\nname = \"malformed\"\nurl = \"{}\"\n",
        heartbeat::url(shop.port(), ""),
        heartbeat::url(replica.port(), "")
    );
    Attack { lines, _kept: Box::new(replica) }
}

/// The end of a pipe whose reader went away.
fn closed_pipe() -> PipeWriter {
    std::io::pipe().unwrap().1
}

/// The configuration with two targets more, which a storm of reloads changes: one in its interval, one comes and goes.
fn restless(text: &str, round: usize) -> String {
    let target = |name: &str, interval: usize| {
        format!(
            "[[target]]\nname = \"{name}\"\nurl = \"sqlite:{name}.db\"\nprovision = \"auto\"\ninterval = \"{interval}s\"\n"
        )
    };
    let guest = if round % 2 == 1 { target("guest", 1) } else { String::new() };
    format!("{text}{}{guest}", target("restless", 1 + round % 3))
}

/// A changed configuration once a second; how many there were. The last one is in force in the end.
async fn reload_storm(daemon: &Daemon, text: &str, end: Instant) -> usize {
    let mut round = 0;
    let mut pace = interval(Duration::from_millis(500));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < end {
        pace.tick().await;
        round += 1;
        daemon.rewrite_config(&restless(text, round));
        daemon.signal(Signal::HUP);
    }
    let schedule = match 1 + round % 3 {
        1 => "every 1s".to_owned(),
        seconds => format!("every {seconds}s"),
    };
    eventually(secs(15), format!("{schedule} to be in force"), async || {
        let target = daemon.target("restless").await;
        if target["configuration"]["schedule"] == schedule { Ok(()) } else { Err(target.to_string()) }
    })
    .await;
    round
}

// --- the failover

/// Two servers of one cluster, both in the address of a target.
struct Failover {
    first: PostgresServer,
    second: PostgresServer,
}

impl Failover {
    async fn lay() -> Self {
        let first = PostgresServer::start().await;
        heartbeat::lay(&first).await;
        let second = first.standby().await;
        Self { first, second }
    }

    fn target(&self) -> String {
        let ports = format!("127.0.0.1:{},127.0.0.1:{}", self.first.port(), self.second.port());
        let url = format!("postgres://{}:{}@{ports}/postgres", heartbeat::USER, heartbeat::PASSWORD);
        format!("[[target]]\nname = \"failover\"\nurl = \"{url}\"\ninterval = \"1s\"\ntimeout = \"5s\"\n")
    }

    async fn beats_on_first(&self, daemon: &Daemon) {
        self.is_beaten_on(daemon, &self.first, secs(30)).await;
        self.second.catch_up_with(&self.first).await;
    }

    /// The first server dies, the second is promoted, the first comes back as a primary, and then the second does not
    /// answer for a while.
    async fn happen(&mut self, daemon: &Daemon, span: Duration) {
        let begin = Instant::now();
        self.first.kill().await;
        self.second.promote().await;
        self.is_beaten_on(daemon, &self.second, secs(20)).await;
        eprintln!("first beat on the promoted server {:?} after the first one died", begin.elapsed());
        self.first.resume().await;
        let before = heartbeat::last_update(&self.first).await;
        daemon.reason_within("split_brain", secs(30)).await;
        self.second.freeze();
        tokio::time::sleep(span / 6).await;
        self.second.thaw();
        self.is_beaten_on(daemon, &self.second, secs(30)).await;
        assert_eq!(heartbeat::last_update(&self.first).await, before, "nothing is written on the former primary");
        tokio::time::sleep_until(begin + span).await;
    }

    async fn must_have_held(&self, daemon: &Daemon) {
        self.is_beaten_on(daemon, &self.second, secs(20)).await;
        let (first, second) =
            (heartbeat::last_update(&self.first).await.unwrap(), heartbeat::last_update(&self.second).await.unwrap());
        assert!(first < second, "{first} on the former primary, {second} on the promoted one");
        daemon.reason_within("split_brain", secs(30)).await;
    }

    /// Waits for three further beats on this server.
    async fn is_beaten_on(&self, daemon: &Daemon, server: &PostgresServer, deadline: Duration) {
        let address = format!("127.0.0.1:{}", server.port());
        let mut seen = Vec::new();
        eventually(deadline, format!("beats on {address}"), async || {
            let now = heartbeat::last_update(server).await;
            if seen.last() != Some(&now) {
                seen.push(now);
            }
            if seen.len() > 3 { Ok(()) } else { Err(daemon.target("failover").await.to_string()) }
        })
        .await;
    }
}

// --- memory and the status page

/// The process's memory while things failed: the first third against the last.
#[derive(Debug, Default)]
struct Memory {
    kib: Vec<u64>,
    files: Vec<usize>,
    slowest_answer: Duration,
}

/// Once a second, reads the memory and requests `/live`.
async fn watch_memory_and_door(daemon: &Daemon, end: Instant) -> Memory {
    let mut memory = Memory::default();
    let mut pace = interval(secs(1));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < end {
        pace.tick().await;
        memory.kib.push(daemon.rss_kib());
        memory.files.push(daemon.open_files());
        let asked = Instant::now();
        assert_eq!(daemon.get("/live").await.status, 200);
        memory.slowest_answer = memory.slowest_answer.max(asked.elapsed());
    }
    memory
}

impl Memory {
    fn must_be_flat(&self) {
        let third = self.kib.len() / 3;
        let highest = |part: &[u64]| part.iter().max().copied().unwrap();
        let (first, last) = (highest(&self.kib[..third]), highest(&self.kib[2 * third..]));
        assert!(last < first + FLUCTUATION_KIB, "{first} KiB, then {last} KiB");
        let most = |part: &[usize]| part.iter().max().copied().unwrap();
        let (first, last) = (most(&self.files[..third]), most(&self.files[2 * third..]));
        // Connections of checks and of targets that come and go.
        assert!(last < first + 20, "{first} files open, then {last}");
    }
}
