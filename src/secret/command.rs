//! Runs the command that prints a password in its own process group, reads its output with a limit, and ends it with
//! everything that it started. `secret` calls it.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdout, Command};

use crate::bounded_read::{Unfinished, in_own_thread};
use crate::time::clock::{self, Clock, Instant};

/// How long a password command may run before heartbeatd ends it.
pub const COMMAND_DEADLINE: Duration = Duration::from_secs(5);

/// Why there is no output. It contains nothing that the command printed.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct CommandError {
    message: String,
    source: Option<io::Error>,
}

/// A command that runs. Dropping it ends its whole process group.
struct Running {
    // Before `child`, so that the group ends while its first process still holds its number.
    group: ProcessGroup,
    child: Child,
    stdout: ChildStdout,
}

struct ProcessGroup(Option<Pid>);

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Usually no process is left in the group. The system does not reuse its number while one of its processes
            // lives.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl CommandError {
    fn new(message: String) -> Self {
        Self { message, source: None }
    }

    fn of(message: String, source: io::Error) -> Self {
        Self { message, source: Some(source) }
    }
}

/// Runs a program with its arguments until it ends, by `deadline` and within [`COMMAND_DEADLINE`]; returns what it had
/// printed by then, at most `most` bytes.
///
/// Cancel-safe: dropping the future ends the program.
///
/// # Errors
/// If it cannot be started, fails, prints more, or does not end in time.
pub(super) async fn run(
    program: &str,
    arguments: &[String],
    most: usize,
    deadline: Instant,
) -> Result<Vec<u8>, CommandError> {
    let now = Clock::system().now().mono;
    let within = COMMAND_DEADLINE.min(deadline.saturating_duration_since(now));
    let printed = clock::timeout_at(now + within, start_and_read(program, arguments, most, within)).await;
    printed.unwrap_or_else(|_| {
        let limit = within.as_secs_f32();
        Err(CommandError::new(format!("the password command {program} did not end within {limit} s")))
    })
}

async fn start_and_read(
    program: &str,
    arguments: &[String],
    most: usize,
    within: Duration,
) -> Result<Vec<u8>, CommandError> {
    let mut running = start(program, arguments, within).await?;
    let broken = |error: io::Error| CommandError::of(format!("the password command {program} failed: {error}"), error);
    let too_much = || CommandError::new(format!("the password command {program} printed more than {} KiB", most >> 10));
    let mut printed = Vec::new();
    let mut chunk = vec![0; 4096];
    let mut open = true;
    let status = loop {
        tokio::select! {
            count = running.stdout.read(&mut chunk), if open => {
                let count = count.map_err(broken)?;
                printed.extend_from_slice(chunk.get(..count).unwrap_or_default());
                open = count > 0;
            }
            status = running.child.wait() => break status.map_err(broken)?,
        }
        if printed.len() > most {
            return Err(too_much());
        }
    };
    if !status.success() {
        return Err(CommandError::new(format!("the password command {program} failed ({status})")));
    }
    // A process that it started may hold the output open forever, so this does not wait for the end of the output.
    let Running { group, stdout, .. } = running;
    if open {
        let rest = stdout.into_owned_fd().map_err(broken)?;
        read_what_is_there(rest, most, &mut printed).map_err(broken)?;
    }
    drop(group);
    if printed.len() > most { Err(too_much()) } else { Ok(printed) }
}

/// Starts the command in a separate thread, because a file system that does not answer blocks the thread that starts
/// it.
async fn start(program: &str, arguments: &[String], within: Duration) -> Result<Running, CommandError> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.process_group(0).kill_on_drop(true);
    let runtime = tokio::runtime::Handle::current();
    let start = move || {
        let _entered = runtime.enter();
        let mut child = command.spawn()?;
        let group = ProcessGroup(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("its output is not there"))?;
        Ok(Running { group, child, stdout })
    };
    let cannot = |error: &dyn std::fmt::Display| format!("cannot start the password command {program}: {error}");
    match in_own_thread(Path::new(program), within, start).await {
        Ok(Ok(running)) => Ok(running),
        Ok(Err(error)) | Err(Unfinished::NoThread(error)) => Err(CommandError::of(cannot(&error), error)),
        Err(Unfinished::Outstanding | Unfinished::TooSlow) => {
            Err(CommandError::new(cannot(&"its file system does not answer")))
        }
    }
}

/// Reads what the pipe holds, without waiting for more.
fn read_what_is_there(pipe: OwnedFd, most: usize, printed: &mut Vec<u8>) -> io::Result<()> {
    let mut pipe = std::fs::File::from(pipe);
    let mut chunk = [0; 4096];
    while printed.len() <= most {
        let file = pipe.as_fd();
        let ready = rustix::event::poll(&mut [PollFd::new(&file, PollFlags::IN)], Some(&Timespec::default()))?;
        let count = if ready == 0 { 0 } else { pipe.read(&mut chunk)? };
        if count == 0 {
            break;
        }
        printed.extend_from_slice(chunk.get(..count).unwrap_or_default());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run_shell(script: &str, deadline: Instant) -> Result<Vec<u8>, CommandError> {
        run("sh", &["-c".to_owned(), script.to_owned()], 64 * 1024, deadline).await
    }

    fn in_seconds(seconds: u64) -> Instant {
        Clock::system().now().mono + Duration::from_secs(seconds)
    }

    /// The number of a process that a script has written into the file, if it has come so far.
    fn written_in(pid_file: &Path) -> Option<u32> {
        std::fs::read_to_string(pid_file).ok()?.trim().parse().ok()
    }

    /// Waits until the process with the number in the file is gone.
    async fn is_gone(pid_file: &Path) {
        let pid = written_in(pid_file).expect("the script wrote the number");
        let stat = format!("/proc/{pid}/stat");
        for _ in 0..500 {
            match std::fs::read_to_string(&stat) {
                Ok(stat) if !stat.rsplit(')').next().unwrap_or_default().starts_with(" Z") => {}
                _ => return,
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("process {pid} is left");
    }

    #[tokio::test]
    async fn a_child_that_keeps_the_output_open_neither_delays_the_password_nor_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; echo hunter2", pid.display());
        // Waiting for the child would fail at the command's own deadline.
        assert_eq!(run_shell(&script, in_seconds(60)).await.unwrap(), b"hunter2\n");
        is_gone(&pid).await;
    }

    #[tokio::test]
    async fn at_the_deadline_everything_that_the_command_started_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", pid.display());
        // A busy machine may need more than a second to start the script.
        for seconds in [1, 2, 4] {
            let failure = run_shell(&script, in_seconds(seconds)).await.unwrap_err();
            if written_in(&pid).is_some() {
                assert!(failure.to_string().starts_with("the password command sh did not end within "), "{failure}");
                break;
            }
        }
        is_gone(&pid).await;
    }

    #[tokio::test]
    async fn a_dropped_read_ends_everything_that_the_command_started() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", pid.display());
        let started = async {
            while written_in(&pid).is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            ended = run_shell(&script, in_seconds(60)) => panic!("it ended: {ended:?}"),
            () = started => {}
        }
        is_gone(&pid).await;
    }

    #[tokio::test]
    async fn output_without_end_is_cut_off_while_it_is_read() {
        // Reading it to its end would fail with other words, at the command's own deadline.
        let failure = run_shell("cat /dev/zero", in_seconds(60)).await.unwrap_err();
        assert_eq!(failure.to_string(), "the password command sh printed more than 64 KiB");
    }
}
