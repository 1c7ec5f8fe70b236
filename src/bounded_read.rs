//! Reads all files: with limits on bytes and time, and only the kinds of files that the caller allows. Used for
//! configuration, passwords, certificates and saved facts.
//!
//! A file system that does not answer blocks the calling thread, and nothing can end that wait. So a separate thread
//! reads each source, one read at a time. A caller that comes during a read waits for it until its own deadline. A
//! source that hangs occupies one thread, however often heartbeatd tries it, and no shared pool of threads.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use tokio::sync::{OwnedMutexGuard, oneshot};

use crate::descriptors::words_of_shortage;
use crate::time::clock::{self, Clock, Instant};

/// Enough for a read. With the default of 2 MiB, threads that hang would look like a memory leak.
const STACK_BYTES: usize = 256 * 1024;

/// How often a caller without a runtime looks whether an earlier read has returned.
const TURN_PAUSE: Duration = Duration::from_millis(10);

/// The limits of one read.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The most bytes; one more is an error.
    pub bytes: u64,
    /// The longest time.
    pub within: Duration,
    /// What may be read.
    pub accept: Accept,
}

/// What may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// Regular files, also through symbolic links. A source that is read repeatedly must be one.
    RegularFiles,
    /// Pipes too (`/dev/stdin`, `<(…)`), for input that a person gives once.
    FilesAndPipes,
}

/// Why there is no content.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refuses.
    #[error("{}", words_of_io(.0))]
    Io(#[from] io::Error),
    /// Something else has that name.
    #[error("it is {0}, not a regular file")]
    NotAFile(&'static str),
    /// More bytes than allowed.
    #[error("it is larger than {}", in_words(*.0))]
    TooLarge(u64),
    /// The read has not returned in time. It continues in its thread.
    #[error("reading it did not end within {} s: does its file system answer?", .0.as_secs_f32())]
    TooSlow(Duration),
    /// The other end of a pipe is missing, or sends nothing.
    #[error("nothing more came through this pipe within {} s", .0.as_secs_f32())]
    Silent(Duration),
    /// An earlier read of the same source has not returned.
    #[error("an earlier read of it has not returned: its file system does not answer")]
    Outstanding,
}

/// Why work in a separate thread gave no result.
#[derive(Debug)]
pub enum Unfinished {
    /// No thread could be started.
    NoThread(io::Error),
    /// Earlier work on the same source has not returned.
    Outstanding,
    /// It has not returned in time, and continues.
    TooSlow,
}

impl ReadError {
    fn unfinished(unfinished: Unfinished, within: Duration) -> Self {
        match unfinished {
            Unfinished::NoThread(error) => Self::Io(error),
            Unfinished::Outstanding => Self::Outstanding,
            Unfinished::TooSlow => Self::TooSlow(within),
        }
    }
}

fn words_of_io(error: &io::Error) -> String {
    words_of_shortage(error).unwrap_or_else(|| error.to_string())
}

fn in_words(bytes: u64) -> String {
    if bytes < 1 << 20 { format!("{} KiB", bytes >> 10) } else { format!("{} MiB", bytes >> 20) }
}

/// Reads a whole file, by `deadline` at the latest.
///
/// Cancel-safe: a read that has begun ends in its thread.
///
/// # Errors
/// As [`ReadError`]. None of them holds file content.
pub async fn read_file(path: &Path, bounds: Bounds, deadline: Instant) -> Result<Vec<u8>, ReadError> {
    let left = deadline.saturating_duration_since(Clock::system().now().mono);
    let bounds = Bounds { within: bounds.within.min(left), ..bounds };
    let owned = path.to_owned();
    let content = in_own_thread(path, bounds.within, move || read_here(&owned, bounds)).await;
    content.unwrap_or_else(|unfinished| Err(ReadError::unfinished(unfinished, bounds.within)))
}

/// As [`read_file`], for a caller that may block.
///
/// # Errors
/// As [`read_file`].
pub fn read_file_blocking(path: &Path, bounds: Bounds) -> Result<Vec<u8>, ReadError> {
    let owned = path.to_owned();
    // The reader of a pipe gives up earlier, with a better message.
    let within = bounds.within + Duration::from_millis(500);
    let content = in_own_thread_blocking(path, within, move || read_here(&owned, bounds));
    content.unwrap_or_else(|unfinished| Err(ReadError::unfinished(unfinished, bounds.within)))
}

/// Reads standard input to its end. It has no time limit, because a person who runs this in a pipeline can end it.
///
/// # Errors
/// As [`ReadError`].
pub fn read_standard_input(bytes: u64) -> Result<Vec<u8>, ReadError> {
    let mut content = Vec::new();
    io::stdin().lock().take(bytes + 1).read_to_end(&mut content)?;
    if content.len() as u64 > bytes { Err(ReadError::TooLarge(bytes)) } else { Ok(content) }
}

/// Runs work that a file system may block in a separate thread, one at a time for each source.
///
/// Cancel-safe: work that has begun ends in its thread, which drops the result.
///
/// # Errors
/// As [`Unfinished`].
pub async fn in_own_thread<T: Send + 'static>(
    source: &Path,
    within: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Unfinished> {
    let deadline = Clock::system().now().mono + within;
    let turn = clock::timeout_at(deadline, turn_of(source).lock_owned()).await.map_err(|_| Unfinished::Outstanding)?;
    let (send, receive) = oneshot::channel();
    start(turn, work, move |result| drop(send.send(result)))?;
    match clock::timeout_at(deadline, receive).await {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(_)) => Err(Unfinished::NoThread(io::Error::other("the thread that reads it panicked"))),
        Err(_) => Err(Unfinished::TooSlow),
    }
}

/// As [`in_own_thread`], for a caller that may block.
///
/// # Errors
/// As [`Unfinished`].
pub fn in_own_thread_blocking<T: Send + 'static>(
    source: &Path,
    within: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Unfinished> {
    let deadline = Clock::system().now().mono + within;
    let turns = turn_of(source);
    let turn = loop {
        match Arc::clone(&turns).try_lock_owned() {
            Ok(turn) => break turn,
            Err(_) if Clock::system().now().mono >= deadline => return Err(Unfinished::Outstanding),
            Err(_) => thread::sleep(TURN_PAUSE),
        }
    };
    let (send, receive) = mpsc::channel();
    start(turn, work, move |result| drop(send.send(result)))?;
    match receive.recv_timeout(deadline.saturating_duration_since(Clock::system().now().mono)) {
        Ok(result) => Ok(result),
        Err(mpsc::RecvTimeoutError::Timeout) => Err(Unfinished::TooSlow),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            Err(Unfinished::NoThread(io::Error::other("the thread that reads it panicked")))
        }
    }
}

fn start<T: Send + 'static>(
    turn: OwnedMutexGuard<()>,
    work: impl FnOnce() -> T + Send + 'static,
    hand_over: impl FnOnce(T) + Send + 'static,
) -> Result<(), Unfinished> {
    let work = move || {
        let result = work();
        drop(turn);
        hand_over(result);
    };
    let started = thread::Builder::new().name("file-reader".to_owned()).stack_size(STACK_BYTES).spawn(work);
    started.map(drop).map_err(Unfinished::NoThread)
}

/// The lock that lets the reads of a source take turns.
fn turn_of(source: &Path) -> Arc<tokio::sync::Mutex<()>> {
    type Turn = tokio::sync::Mutex<()>;
    static TURNS: Mutex<Option<HashMap<PathBuf, Weak<Turn>>>> = Mutex::new(None);
    // A panic while the lock was held cannot have left the map half changed.
    let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    let turns = turns.get_or_insert_default();
    if let Some(turn) = turns.get(source).and_then(Weak::upgrade) {
        return turn;
    }
    // Forgets sources without a read, because reloads bring new sources over the years (I10).
    turns.retain(|_, turn| turn.strong_count() > 0);
    let turn = Arc::new(Turn::default());
    turns.insert(source.to_owned(), Arc::downgrade(&turn));
    turn
}

/// Reads in this thread.
fn read_here(path: &Path, bounds: Bounds) -> Result<Vec<u8>, ReadError> {
    let deadline = Clock::system().now().mono + bounds.within;
    let mut file = open(path, deadline, bounds)?;
    let kind = file.metadata()?.file_type();
    let piped = kind.is_fifo() && bounds.accept == Accept::FilesAndPipes;
    if !kind.is_file() && !piped {
        return Err(ReadError::NotAFile(name_of(kind)));
    }
    if piped {
        // Wait before the first read: a read would report a pipe without a writer as empty.
        wait_for_bytes(&file, deadline, bounds)?;
    }
    let mut content = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(content),
            Ok(count) => content.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_for_bytes(&file, deadline, bounds)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
        if content.len() as u64 > bounds.bytes {
            return Err(ReadError::TooLarge(bounds.bytes));
        }
        if Clock::system().now().mono > deadline {
            return Err(ReadError::TooSlow(bounds.within));
        }
    }
}

/// Opens a file without waiting for the other end of a pipe.
fn open(path: &Path, deadline: Instant, bounds: Bounds) -> Result<File, ReadError> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    // Without the bits of the file type, the few remaining flags fit.
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    loop {
        match File::options().read(true).custom_flags(flags).open(path) {
            Ok(file) => return Ok(file),
            // Another program holds a lease on the file (Samba does), and the kernel has asked it to give the lease up.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if Clock::system().now().mono > deadline {
                    return Err(ReadError::TooSlow(bounds.within));
                }
                thread::sleep(TURN_PAUSE);
            }
            Err(error) => {
                // A socket cannot be opened, and the system's message (no such device or address) misleads.
                let kind = std::fs::metadata(path).map(|found| found.file_type());
                return Err(match kind {
                    Ok(kind) if kind.is_socket() => ReadError::NotAFile(name_of(kind)),
                    _ => error.into(),
                });
            }
        }
    }
}

fn wait_for_bytes(file: &File, deadline: Instant, bounds: Bounds) -> Result<(), ReadError> {
    loop {
        let left = deadline.saturating_duration_since(Clock::system().now().mono);
        let timeout = Timespec::try_from(left).ok();
        let file = file.as_fd();
        match rustix::event::poll(&mut [PollFd::new(&file, PollFlags::IN)], timeout.as_ref()) {
            Ok(0) => return Err(ReadError::Silent(bounds.within)),
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
}

fn name_of(kind: std::fs::FileType) -> &'static str {
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { bytes: 1024, within: Duration::from_millis(300), accept: Accept::RegularFiles };

    fn in_a_minute() -> Instant {
        Clock::system().now().mono + Duration::from_secs(60)
    }

    fn readers() -> usize {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        tasks
            .filter(|task| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name == "hung\n"))
            .count()
    }

    /// A thread takes its name only when it runs, and its result arrives before the thread ends.
    async fn readers_become(expected: usize) {
        let deadline = Clock::system().now().mono + Duration::from_secs(30);
        while readers() != expected {
            assert!(Clock::system().now().mono < deadline, "{} readers instead of {expected}", readers());
            clock::timeout_at(Clock::system().now().mono + Duration::from_millis(5), std::future::pending::<()>())
                .await
                .unwrap_err();
        }
    }

    #[tokio::test]
    async fn a_hanging_source_uses_one_thread_for_all_attempts_and_delays_no_other_source() {
        let (go_on, wait) = mpsc::channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        let hang = || {
            let wait = Arc::clone(&wait);
            move || {
                rustix::thread::set_name(c"hung").unwrap();
                wait.lock().unwrap().recv().unwrap();
            }
        };
        let (hung, short) = (Path::new("/hung"), Duration::from_millis(50));
        assert!(matches!(in_own_thread(hung, short, hang()).await, Err(Unfinished::TooSlow)));
        for _ in 0..20 {
            assert!(matches!(in_own_thread(hung, short, hang()).await, Err(Unfinished::Outstanding)));
        }
        assert!(matches!(in_own_thread_blocking(hung, short, hang()), Err(Unfinished::Outstanding)));
        readers_become(1).await;
        in_own_thread(Path::new("/good"), Duration::from_secs(60), || ()).await.unwrap();
        // Once the read has returned, the source is read again.
        go_on.send(()).unwrap();
        in_own_thread(hung, Duration::from_secs(60), || ()).await.unwrap();
        readers_become(0).await;
    }

    #[tokio::test]
    async fn reads_of_one_source_at_the_same_time_all_succeed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "content").unwrap();
        let bounds = Bounds { within: Duration::from_secs(60), ..BOUNDS };
        let reads = (0..50).map(|_| read_file(file.path(), bounds, in_a_minute()));
        for content in futures_util::future::join_all(reads).await {
            assert_eq!(content.unwrap(), b"content");
        }
    }

    #[tokio::test]
    async fn a_file_at_the_size_limit_is_read_and_one_byte_more_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let bounds = Bounds { within: Duration::from_secs(60), ..BOUNDS };
        std::fs::write(file.path(), [b'x'; 1024]).unwrap();
        assert_eq!(read_file(file.path(), bounds, in_a_minute()).await.unwrap().len(), 1024);
        std::fs::write(file.path(), [b'x'; 1025]).unwrap();
        let error = read_file(file.path(), bounds, in_a_minute()).await.unwrap_err();
        assert_eq!(error.to_string(), "it is larger than 1 KiB");
    }

    #[test]
    fn a_link_to_a_file_is_read_because_kubernetes_mounts_secrets_as_links() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("..2026")).unwrap();
        std::fs::write(folder.path().join("..2026/password"), "x").unwrap();
        std::os::unix::fs::symlink("..2026", folder.path().join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/password", folder.path().join("password")).unwrap();
        let bounds = Bounds { within: Duration::from_secs(60), ..BOUNDS };
        assert_eq!(read_file_blocking(&folder.path().join("password"), bounds).unwrap(), b"x");
    }

    #[test]
    fn reading_a_pipe_without_a_writer_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let refused = read_file_blocking(&path, Bounds { within: Duration::from_secs(60), ..BOUNDS }).unwrap_err();
        assert_eq!(refused.to_string(), "it is a named pipe, not a regular file");
        // A busy machine may start or wake the reader so late that its caller has given up, and still find it at work.
        let silent = (0..10)
            .map(|_| read_file_blocking(&path, Bounds { accept: Accept::FilesAndPipes, ..BOUNDS }).unwrap_err())
            .find(|error| !matches!(error, ReadError::TooSlow(_) | ReadError::Outstanding))
            .expect("an answer of the reader");
        assert_eq!(silent.to_string(), "nothing more came through this pipe within 0.3 s");
        let writer = {
            let path = path.clone();
            thread::spawn(move || std::fs::write(path, "late").unwrap())
        };
        let patient = Bounds { accept: Accept::FilesAndPipes, within: Duration::from_secs(60), ..BOUNDS };
        assert_eq!(read_file_blocking(&path, patient).unwrap(), b"late");
        writer.join().unwrap();
    }
}
