//! The program on a terminal, as a person sees it: for output that only a terminal gets, and for Ctrl-C.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::time::timeout;

use super::{Ended, Heartbeatd};
use crate::bench::wait::secs;

impl Heartbeatd {
    /// Runs the program with a terminal as its standard error until `shown` appears there, sends it SIGINT, and waits
    /// for its end. Each must come within 30 s.
    pub(crate) async fn run_and_interrupt(self, shown: &'static str) -> Ended {
        let (screen, stderr) = terminal();
        self.interrupt_on(screen, Stdio::piped(), stderr.into(), shown).await
    }

    /// As [`Self::run_and_interrupt`], with the terminal as its standard output; the result contains what it showed.
    pub(crate) async fn run_on_a_terminal_and_interrupt(self, shown: &'static str) -> Ended {
        let (screen, stdout) = terminal();
        let ended = self.interrupt_on(screen, stdout.into(), Stdio::null(), shown).await;
        Ended { stdout: ended.stderr, stderr: String::new(), ..ended }
    }

    /// Waits until `shown` is on the screen, and returns the screen's content as standard error.
    async fn interrupt_on(self, screen: OwnedFd, stdout: Stdio, stderr: Stdio, shown: &'static str) -> Ended {
        let command = format!("{:?}", self.command);
        // The command holds the terminal's other end until this statement ends; the screen must end with the program.
        let process = tokio::process::Command::from(self.command)
            .stdout(stdout)
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command}: {error}"));
        let pid = Pid::from_raw(i32::try_from(process.id().unwrap()).unwrap()).unwrap();
        let (seen, was_seen) = tokio::sync::oneshot::channel();
        let reading = std::thread::spawn(move || watch(screen.into(), shown, seen));
        let Ok(Ok(())) = timeout(secs(30), was_seen).await else { panic!("{command} did not show {shown:?}") };
        kill_process(pid, Signal::INT).unwrap();
        let output = timeout(secs(30), process.wait_with_output()).await;
        let output = output.unwrap_or_else(|_| panic!("{command} did not end within 30 s")).unwrap();
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: reading.join().unwrap(),
        }
    }
}

/// Both ends of a new terminal: what shows on it, and where the program writes.
fn terminal() -> (OwnedFd, File) {
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&screen).unwrap();
    unlockpt(&screen).unwrap();
    let name = ptsname(&screen, Vec::new()).unwrap().into_string().unwrap();
    (screen, File::options().read(true).write(true).open(name).unwrap())
}

/// Reads the screen to its end, and sends a message once `shown` has appeared.
fn watch(mut screen: File, shown: &str, seen: tokio::sync::oneshot::Sender<()>) -> String {
    let (mut text, mut seen, mut buffer) = (Vec::new(), Some(seen), [0; 1024]);
    // When no process holds the other end, Linux reports "input/output error" instead of the end.
    while let Ok(count @ 1..) = screen.read(&mut buffer) {
        text.extend_from_slice(&buffer[..count]);
        if String::from_utf8_lossy(&text).contains(shown)
            && let Some(seen) = seen.take()
        {
            let _ = seen.send(());
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}
