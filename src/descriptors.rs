//! File descriptors of this process: raises the limit at start, words the error when none is left, and keeps a reserve
//! for the status page. `main`, `commands::run`, `http` and all code that opens files and connections use it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::{Errno, FdFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The next step when this process, or its machine, has no descriptor left.
pub const REMEDY: &str = "raise heartbeatd's limit of open files: LimitNOFILE= in the systemd unit, --ulimit nofile= of a \
                          container, ulimit -n in a shell (the system's own limit: sysctl fs.file-max); then restart it";

/// Descriptors needed besides those of the targets: for the status page's connections, and what a running program has
/// open anyway.
const BASE: usize = 100;
/// Per target: its connection, which uses three descriptors if it may go without TLS, and one for an inspection; or the
/// additional files of SQLite.
const PER_TARGET: usize = 4;

/// The most that the reserve keeps.
const RESERVED: usize = 16;

/// Descriptors that are kept open, so that something else can be opened when none is left.
#[derive(Debug)]
pub struct Reserve {
    wanted: usize,
    /// What replaces a closed descriptor's file: a socket without an address needs neither a file system nor a peer.
    nothing: Option<UnixDatagram>,
    spares: Mutex<Vec<OwnedFd>>,
}

/// Raises the soft limit to the hard one. The soft limit exists for programs that use `select`, which heartbeatd does
/// not.
pub fn raise_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // If the system refuses, the limit stays unchanged, and a warning follows if it is too low.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// The limit in force; `None` if there is no limit.
#[must_use]
pub fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Warns if the limit is too low for this many targets and replicas.
#[must_use]
pub fn shortage_for(targets: usize, replicas: usize) -> Option<String> {
    let needed = BASE + PER_TARGET * targets + replicas;
    let limit = limit().filter(|limit| *limit < needed as u64)?;
    Some(format!("{targets} targets need about {needed} file descriptors, and the limit is {limit}: {REMEDY}"))
}

/// The message of an error when no descriptor is left.
#[must_use]
pub fn words_of_shortage(error: &io::Error) -> Option<String> {
    let is = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
    if is(Errno::NFILE) {
        return Some("no file descriptor is left on this machine".to_owned());
    }
    let limit = limit().map_or_else(|| "none".to_owned(), |limit| limit.to_string());
    is(Errno::MFILE).then(|| format!("no file descriptor is left to heartbeatd (the limit is {limit})"))
}

/// Whether an error, or one of its sources, means that no descriptor is left.
#[must_use]
pub fn is_shortage(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(current) = error {
        if current.downcast_ref::<io::Error>().is_some_and(|error| words_of_shortage(error).is_some()) {
            return true;
        }
        error = current.source();
    }
    false
}

/// The error of opening something now, if no descriptor is left: for a library that does not say why it could not open
/// a file.
#[must_use]
pub fn shortage_now() -> Option<io::Error> {
    UnixDatagram::unbound().err().filter(|error| words_of_shortage(error).is_some())
}

impl Reserve {
    /// Reserves an eighth of the limit, 16 at most.
    #[must_use]
    pub fn take() -> Self {
        let share = limit().and_then(|limit| usize::try_from(limit / 8).ok());
        let reserve = Self {
            wanted: share.unwrap_or(RESERVED).min(RESERVED),
            nothing: UnixDatagram::unbound().ok(),
            spares: Mutex::default(),
        };
        reserve.refill();
        reserve
    }

    /// Releases one, so that something else can be opened at once. Returns whether there was one.
    pub fn release(&self) -> bool {
        self.spares().pop().is_some()
    }

    /// Opens the missing ones, as far as descriptors are available.
    pub fn refill(&self) {
        let mut spares = self.spares();
        while spares.len() < self.wanted {
            let Ok(spare) = UnixDatagram::unbound() else { return };
            spares.push(spare.into());
        }
    }

    /// Closes the file behind a descriptor. The descriptor itself goes to the reserve if one is missing there, because
    /// another thread could take it between a close and an open.
    pub fn close(&self, mut descriptor: OwnedFd) {
        let mut spares = self.spares();
        if spares.len() >= self.wanted {
            return;
        }
        if let Some(nothing) = &self.nothing
            && rustix::io::dup2(nothing, &mut descriptor).is_ok()
        {
            // Commands that heartbeatd starts must not inherit it; a failure costs such a command one descriptor.
            let _ = rustix::io::fcntl_setfd(&descriptor, FdFlags::CLOEXEC);
            spares.push(descriptor);
        }
    }

    fn spares(&self) -> MutexGuard<'_, Vec<OwnedFd>> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
