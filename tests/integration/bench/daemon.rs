//! The compiled program: runs to its end, or as a daemon with its HTTP listener.

mod terminal;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::metrics::Metrics;
use super::place::{Place, without_postgres_variables};
use super::ports;
use super::process::Process;
use super::wait::{eventually, secs};

/// An answer may take this long in any state of the databases.
const ANSWER_DEADLINE: Duration = secs(10);

/// How to start the program: no arguments, and an environment without the program's and PostgreSQL's variables.
#[derive(Debug)]
pub(crate) struct Heartbeatd {
    command: Command,
    place: Place,
    port: u16,
    input: Option<String>,
}

/// The program, running as a daemon; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Daemon {
    // Before `place`: the program ends before its folder is removed.
    process: Process,
    place: Place,
    port: u16,
}

/// The program, ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code.
    pub(crate) code: Option<i32>,
    /// What it printed.
    pub(crate) stdout: String,
    /// What it logged.
    pub(crate) stderr: String,
}

/// One HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The header lines, as they came.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: String,
}

/// Asserts that each second had a tick, and that most ticks had a beat: on a busy machine some are missed.
pub(crate) fn are_on_time(name: &str, beats: u64, ticks: u64, seconds: f64) {
    assert!((ticks as f64 - seconds).abs() <= 1.0, "{name}: {beats} beats, {ticks} ticks, {seconds} s");
    assert!(beats * 2 > ticks, "{name}: {beats} beats, {ticks} ticks, {seconds} s");
}

/// The program, ready for arguments, configuration, environment. Its working directory is a new, empty folder.
pub(crate) fn heartbeatd() -> Heartbeatd {
    let place = Place::new("heartbeatd");
    let mut command = Command::new(env!("CARGO_BIN_EXE_heartbeatd"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"HEARTBEATD_")) {
        command.env_remove(name);
    }
    without_postgres_variables(&mut command);
    command.env_remove("RUST_LOG").env_remove("NO_COLOR").stdin(Stdio::null()).current_dir(place.path());
    Heartbeatd { command, place, port: ports::free(), input: None }
}

impl Heartbeatd {
    /// Adds an argument.
    pub(crate) fn arg(mut self, argument: &str) -> Self {
        self.command.arg(argument);
        self
    }

    /// Writes the configuration file and adds `-c FILE`. [`start`](Self::start) sets its HTTP listener.
    pub(crate) fn config(self, text: &str) -> Self {
        let file = self.place.write("heartbeatd.toml", text);
        self.arg("-c").arg(file.to_str().unwrap())
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Gives [`run`](Self::run) a pipe with this text as standard input.
    pub(crate) fn input(mut self, text: &str) -> Self {
        self.input = Some(text.to_owned());
        self
    }

    /// Sets these limits of open files, as a shell's `ulimit` or a unit's `LimitNOFILE=` would.
    pub(crate) fn open_files(mut self, soft: u32, hard: u32) -> Self {
        let mut limited = Command::new("/bin/sh");
        limited.arg("-c").arg(format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" \"$@\""));
        limited.arg(self.command.get_program()).args(self.command.get_args()).stdin(Stdio::null());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => limited.env(name, value),
                None => limited.env_remove(name),
            };
        }
        self.command = limited;
        self.command.current_dir(self.place.path());
        self
    }

    /// Its working directory.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.place.path()
    }

    /// Writes another file into the working directory (a password, an included file), and returns its path.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        self.place.write(name, content)
    }

    /// Runs the program to its end, within 30 s.
    pub(crate) async fn run(self) -> Ended {
        self.run_printing_to(Stdio::piped()).await
    }

    /// As [`Self::run`], with standard output written to `output`.
    pub(crate) async fn run_printing_to(self, output: impl Into<Stdio>) -> Ended {
        let command = format!("{:?}", self.command);
        let mut program = tokio::process::Command::from(self.command);
        if self.input.is_some() {
            program.stdin(Stdio::piped());
        }
        let mut child = program
            .stdout(output)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command}: {error}"));
        if let (Some(text), Some(mut stdin)) = (self.input, child.stdin.take()) {
            stdin.write_all(text.as_bytes()).await.unwrap();
        }
        let output = timeout(secs(30), child.wait_with_output()).await;
        let output = output.unwrap_or_else(|_| panic!("{command} did not end within 30 s")).unwrap();
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs the program to its end, within 30 s, with its log written to `log`; returns its exit code.
    pub(crate) async fn run_logging_to(mut self, log: impl Into<Stdio>) -> Option<i32> {
        self.command.stdout(Stdio::null()).stderr(log);
        let mut child = tokio::process::Command::from(self.command).kill_on_drop(true).spawn().unwrap();
        timeout(secs(30), child.wait()).await.expect("an end within 30 s").unwrap().code()
    }

    /// Starts the daemon on a separate port, set by `HEARTBEATD_HTTP__LISTEN`; returns when `/live` answers.
    pub(crate) async fn start(self) -> Daemon {
        self.start_with(Process::start).await
    }

    /// As [`Self::start`], with its log written to `log`.
    pub(crate) async fn start_logging_to(mut self, log: impl Into<Stdio>) -> Daemon {
        self.command.stdout(Stdio::null()).stderr(log);
        self.start_with(Process::start_as_it_prints).await
    }

    async fn start_with(mut self, start: impl FnOnce(&str, Command, &Path, &Path, Signal) -> Process) -> Daemon {
        self.command.env("HEARTBEATD_HTTP__LISTEN", format!("127.0.0.1:{}", self.port));
        let log = self.place.write("heartbeatd.log", "");
        let process = start("heartbeatd", self.command, self.place.path(), &log, Signal::KILL);
        let mut daemon = Daemon { process, place: self.place, port: self.port };
        eventually(secs(15), "heartbeatd to answer", async || {
            daemon.process.expect_running();
            daemon.try_get("/live").await
        })
        .await;
        daemon
    }
}

impl Daemon {
    /// Its HTTP port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Requests a path; the answer must come within 10 s.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.try_get(path).await.unwrap_or_else(|error| panic!("GET {path}: {error}; log:\n{}", self.log()))
    }

    /// Requests a path.
    pub(crate) async fn try_get(&self, path: &str) -> std::io::Result<Answer> {
        let exchange = async {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
            // HTTP 1.0: one answer, unchunked, then the end. Written by hand, because the daemon contains no HTTP
            // client.
            stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).await?;
            let mut text = String::new();
            stream.read_to_string(&mut text).await?;
            Ok::<_, std::io::Error>(text)
        };
        let text = timeout(ANSWER_DEADLINE, exchange).await??;
        let malformed = || std::io::Error::other(format!("not an HTTP answer: {text:?}"));
        let (head, body) = text.split_once("\r\n\r\n").ok_or_else(malformed)?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(malformed)?;
        Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
    }

    /// `/health`: its status code and its JSON.
    pub(crate) async fn health(&self) -> (u16, Value) {
        let answer = self.get("/health").await;
        (answer.status, answer.json())
    }

    /// `/targets/{name}`; fails the test if no target has that name.
    pub(crate) async fn target(&self, name: &str) -> Value {
        let answer = self.get(&format!("/targets/{name}")).await;
        assert_eq!(answer.status, 200, "/targets/{name}: {}", answer.body);
        answer.json()
    }

    /// `/metrics`.
    pub(crate) async fn metrics(&self) -> Metrics {
        let answer = self.get("/metrics").await;
        assert_eq!(answer.status, 200, "/metrics: {}", answer.body);
        Metrics::parse(&answer.body)
    }

    /// The sum of a counter over the series with these labels; 0 without such a series.
    pub(crate) async fn count(&self, counter: &str, labels: &[(&str, &str)]) -> u64 {
        self.metrics().await.sum(counter, labels) as u64
    }

    /// A target's beats with this result so far.
    pub(crate) async fn beats(&self, target: &str, result: &str) -> u64 {
        self.count("heartbeatd_beats_total", &[("target", target), ("result", result)]).await
    }

    /// A target's ticks so far that had a beat or were counted as missed.
    pub(crate) async fn ticks(&self, target: &str) -> u64 {
        let metrics = self.metrics().await;
        let sum = |counter| metrics.sum(counter, &[("target", target)]) as u64;
        sum("heartbeatd_beats_total") + sum("heartbeatd_ticks_missed_total")
    }

    /// A target's ticks so far that were missed.
    pub(crate) async fn missed(&self, target: &str) -> u64 {
        self.count("heartbeatd_ticks_missed_total", &[("target", target)]).await
    }

    /// Waits until a target has this many more beats with this result; returns the new total.
    #[track_caller]
    pub(crate) fn more_beats(
        &self,
        target: &str,
        result: &str,
        more: u64,
        deadline: Duration,
    ) -> impl Future<Output = u64> {
        let place = std::panic::Location::caller();
        async move {
            let goal = self.beats(target, result).await + more;
            let what = format!("{goal} beats \"{result}\" of {target} ({place})");
            eventually(deadline, what, async || match self.beats(target, result).await {
                now if now >= goal => Ok(now),
                now => Err(format!("{now}; log:\n{}", self.log())),
            })
            .await
        }
    }

    /// Waits until `/health` answers 200.
    #[track_caller]
    pub(crate) fn healthy_within(&self, deadline: Duration) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            let what = format!("/health to be 200 ({place})");
            eventually(deadline, what, async || match self.health().await {
                (200, _) => Ok(()),
                (status, health) => Err(format!("{status}: {health}")),
            })
            .await;
        }
    }

    /// Waits until `/health` names a reason of this kind; returns the reason.
    #[track_caller]
    pub(crate) fn reason_within(&self, kind: &str, deadline: Duration) -> impl Future<Output = Value> {
        let place = std::panic::Location::caller();
        async move {
            let what = format!("the reason {kind} on /health ({place})");
            eventually(deadline, what, async || {
                let (_, health) = self.health().await;
                let reasons =
                    health["targets"].as_array().into_iter().flatten().filter_map(|t| t["reasons"].as_array());
                let found = reasons.flatten().find(|reason| reason["kind"] == kind).cloned();
                found.ok_or_else(|| health.to_string())
            })
            .await
        }
    }

    /// Waits until no more than this many files are open: what a fault or a check left open is closed.
    pub(crate) async fn open_files_fall_to(&self, limit: usize) {
        eventually(secs(30), format!("at most {limit} open files"), async || match self.open_files() {
            now if now <= limit => Ok(()),
            now => Err(format!("{now} files")),
        })
        .await;
    }

    /// Waits for the first run of all checks of a target, which comes soon after its first beat and not again for minutes.
    /// If that run times out, heartbeatd repeats it after a minute.
    pub(crate) async fn checked(&self, target: &str) {
        eventually(secs(120), "the first run of all checks", async || match self.target(target).await["checks"] {
            Value::Null => Err("none yet"),
            _ => Ok(()),
        })
        .await;
    }

    /// Looks right after a beat, so that none is in flight meanwhile; `look` gets the number of beats.
    pub(crate) async fn right_after_a_beat<T>(&self, target: &str, mut look: impl AsyncFnMut(u64) -> T) -> T {
        eventually(secs(60), "a second without a beat to look in", async || {
            let beats = self.more_beats(target, "ok", 1, secs(20)).await;
            let seen = look(beats).await;
            match self.beats(target, "ok").await {
                now if now == beats => Ok(seen),
                now => Err(format!("{beats} beats, then {now}")),
            }
        })
        .await
    }

    /// The lag of a target's only replica in seconds, once it is known; the metric must exist too.
    pub(crate) async fn replica_lag(&self, target: &str, name: &str) -> f64 {
        self.lag_of("standby", target, name).await
    }

    /// As [`Self::replica_lag`], for a server of this role.
    pub(crate) async fn lag_of(&self, role: &str, target: &str, name: &str) -> f64 {
        eventually(secs(20), "the replica's lag", async || {
            let replica = self.target(target).await["replicas"][0].take();
            // Before its first look a replica has no role, and on a busy machine its first look may fail.
            if (&replica["name"], &replica["role"], &replica["error"]) != (&name.into(), &role.into(), &Value::Null) {
                return Err(replica.to_string());
            }
            let labels = [("target", target), ("replica", name)];
            let metric = self.metrics().await.value("heartbeatd_replica_lag_seconds", &labels);
            replica["lag_seconds"].as_f64().filter(|_| metric.is_some()).ok_or_else(|| format!("{replica}, {metric:?}"))
        })
        .await
    }

    /// Everything it has printed and logged so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.place.join("heartbeatd.log")).unwrap()).into_owned()
    }

    /// Replaces its configuration file; call `signal(Signal::HUP)` afterwards.
    pub(crate) fn rewrite_config(&self, text: &str) {
        self.place.write("heartbeatd.toml", text);
    }

    /// Replaces a file in its working directory at once, as a secret's mount does.
    pub(crate) fn replace_file(&self, name: &str, content: &str) -> PathBuf {
        let new = self.place.write(&format!("{name}.new"), content);
        let path = self.place.join(name);
        std::fs::rename(new, &path).unwrap();
        path
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Sends a signal and waits for the end, which must come within `deadline`.
    pub(crate) async fn end(&mut self, signal: Signal, deadline: Duration) -> ExitStatus {
        self.process.end(signal, deadline).await
    }

    /// How it ended, if it has.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.process.exited()
    }

    /// Stops all its threads, as a suspended machine would.
    pub(crate) fn freeze(&self) {
        self.process.freeze();
    }

    /// Resumes it.
    pub(crate) fn thaw(&self) {
        self.process.thaw();
    }

    /// Its resident memory.
    pub(crate) fn rss_kib(&self) -> u64 {
        self.status_of("VmRSS:")
    }

    /// The peak of its resident memory.
    pub(crate) fn peak_kib(&self) -> u64 {
        self.status_of("VmHWM:")
    }

    /// How many threads it has.
    pub(crate) fn threads(&self) -> u64 {
        self.status_of("Threads:")
    }

    fn status_of(&self, name: &str) -> u64 {
        let pid = self.process.pid().as_raw_nonzero();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of that name");
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Its working directory.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.place.path()
    }

    /// The processor time that it has used.
    pub(crate) fn cpu(&self) -> Duration {
        let pid = self.process.pid().as_raw_nonzero();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        // "PID (name) STATE …": user and system time, in hundredths of a second.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().collect();
        let ticks = |field: usize| fields[field].parse::<u64>().unwrap();
        Duration::from_millis(10 * (ticks(11) + ticks(12)))
    }

    /// How many files and sockets it holds open.
    pub(crate) fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process.pid().as_raw_nonzero())).unwrap().count()
    }
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.body))
    }
}
