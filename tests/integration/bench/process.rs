//! A started server: its process tree, its end, its log.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use super::place::Watched;
use super::wait::{eventually, secs};

/// A running program and all its children. Dropping ends them.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    farewell: Signal,
    _watched: Watched,
}

impl Process {
    /// Starts `command` with `home` as its working directory; its output is appended to `log`. `farewell` is the signal
    /// that ends it quickly and cleanly.
    pub(crate) fn start(name: &str, mut command: Command, home: &Path, log: &Path, farewell: Signal) -> Self {
        let output = File::options().create(true).append(true).open(log).unwrap();
        command.stdout(output.try_clone().unwrap()).stderr(output);
        Self::start_as_it_prints(name, command, home, log, farewell)
    }

    /// As [`Self::start`], with standard output and error as `command` sets them.
    pub(crate) fn start_as_it_prints(
        name: &str,
        mut command: Command,
        home: &Path,
        log: &Path,
        farewell: Signal,
    ) -> Self {
        command.current_dir(home);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {name} ({command:?}): {error}"));
        let watched = Watched::new(child.id());
        Self { name: name.to_owned(), child, log: log.to_owned(), farewell, _watched: watched }
    }

    /// The id of the first process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// How it ended, if it has.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Fails the test if the process has ended, with the end of its log.
    pub(crate) fn expect_running(&mut self) {
        if let Some(status) = self.exited() {
            panic!("{} ended ({status}); its log ends:\n{}", self.name, self.log_tail());
        }
    }

    /// Signals the first process.
    pub(crate) fn signal(&self, signal: Signal) {
        signal_process(self.pid(), signal);
    }

    /// Signals the first process and waits until the whole tree has ended.
    pub(crate) async fn end(&mut self, signal: Signal, deadline: Duration) -> ExitStatus {
        let tree = tree(self.pid());
        if self.exited().is_none() {
            self.signal(signal);
        }
        let what = format!("{} to end after {signal:?}", self.name);
        eventually(deadline, what, async || {
            let status = self.exited().ok_or_else(|| format!("running; its log ends:\n{}", self.log_tail()))?;
            match tree.iter().filter(|pid| is_alive(**pid)).count() {
                0 => Ok(status),
                left => Err(format!("{left} of its children are left")),
            }
        })
        .await
    }

    /// Kills the whole tree at once, as a power cut would.
    pub(crate) async fn kill(&mut self) {
        self.kill_tree();
        self.end(Signal::KILL, secs(10)).await;
    }

    fn kill_tree(&self) {
        // First stops the tree, so that the first process can neither react to the death of its children nor start new
        // ones.
        self.stop_tree();
        for pid in tree(self.pid()) {
            signal_process(pid, Signal::KILL);
        }
    }

    /// Stops the whole tree: connections stay open, no answer comes.
    pub(crate) fn freeze(&self) {
        let frozen = self.stop_tree();
        // The signal was only sent: on a busy machine a thread may answer one more query before it stops.
        let deadline = Instant::now() + secs(10);
        while !frozen.iter().all(|pid| has_stopped(*pid)) {
            assert!(Instant::now() < deadline, "{} cannot be frozen", self.name);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Stops every process of the tree; returns their ids.
    fn stop_tree(&self) -> Vec<Pid> {
        let mut stopped = Vec::new();
        loop {
            let new: Vec<Pid> = tree(self.pid()).into_iter().filter(|pid| !stopped.contains(pid)).collect();
            if new.is_empty() {
                return stopped;
            }
            for pid in new {
                signal_process(pid, Signal::STOP);
                stopped.push(pid);
            }
        }
    }

    /// Resumes the whole tree.
    pub(crate) fn thaw(&self) {
        for pid in tree(self.pid()) {
            signal_process(pid, Signal::CONT);
        }
    }

    /// The last lines of the log.
    pub(crate) fn log_tail(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {} (end of its log)\n{}\n---", self.name, self.log_tail());
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            self.thaw();
            self.signal(self.farewell);
            for _ in 0..500 {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill_tree();
            let _ = self.child.wait();
        }
    }
}

/// The longest that a program of [`run`] may take. A MySQL that initialised its files was once seen to print without end.
const LONGEST: Duration = secs(180);
/// How much of its output a failure shows.
const SHOWN: u64 = 8 << 10;

/// Runs a program to its end, in limited time and memory, without blocking the other tasks of the test.
pub(super) async fn run(command: Command) {
    let shown = format!("{command:?}");
    let mut log = tempfile::tempfile().unwrap();
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log.try_clone().unwrap()).kill_on_drop(true);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {shown}: {error}"));
    let ended = tokio::time::timeout(LONGEST, child.wait()).await.map(Result::unwrap);
    if ended.as_ref().is_ok_and(ExitStatus::success) {
        return;
    }
    let mut printed = Vec::new();
    log.rewind().unwrap();
    log.take(SHOWN).read_to_end(&mut printed).unwrap();
    let how = ended.map_or_else(|_| format!("did not end within {LONGEST:?}"), |status| status.to_string());
    panic!("{shown}: {how}\n{}", String::from_utf8_lossy(&printed));
}

/// A process and all its descendants, parents first. Not by process group: each of PostgreSQL's children leads its own
/// group.
fn tree(root: Pid) -> Vec<Pid> {
    let parents: Vec<(Pid, Pid)> =
        std::fs::read_dir("/proc").expect("/proc").flatten().filter_map(|entry| parent(&entry.path())).collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&ancestor) = found.get(next) {
        found.extend(parents.iter().filter(|(_, parent)| *parent == ancestor).map(|(pid, _)| pid));
        next += 1;
    }
    found
}

/// The process of a `/proc/PID` folder, and its parent; `None` if it has ended meanwhile.
fn parent(folder: &Path) -> Option<(Pid, Pid)> {
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    // "PID (any name) STATE PARENT …"
    let (pid, rest) = (stat.split_once(' ')?.0, stat.rsplit_once(')')?.1);
    let parent = rest.split_ascii_whitespace().nth(1)?;
    Some((Pid::from_raw(pid.parse().ok()?)?, Pid::from_raw(parent.parse().ok()?)?))
}

fn is_alive(pid: Pid) -> bool {
    state(&PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()))).is_some_and(|state| state != 'Z')
}

/// Whether all its threads have stopped.
fn has_stopped(pid: Pid) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()));
    threads.is_ok_and(|threads| {
        threads.flatten().all(|thread| state(&thread.path()).is_none_or(|state| "TtZX".contains(state)))
    }) || !is_alive(pid)
}

/// The state of the process or thread of a folder of `/proc`; `None` if it has ended meanwhile.
fn state(folder: &Path) -> Option<char> {
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

fn signal_process(pid: Pid, signal: Signal) {
    match kill_process(pid, signal) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(error) => panic!("cannot send {signal:?} to process {pid:?}: {error}"),
    }
}
