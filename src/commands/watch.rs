//! Watches the configuration's files for `run`, in a separate thread, because a file system may block without limit.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tokio::sync::mpsc;

/// The watch over the files; without an interval it sees nothing.
pub(super) struct Watch(Option<Watching>);

struct Watching {
    files: Sender<Vec<PathBuf>>,
    changed: mpsc::Receiver<()>,
}

/// What distinguishes two states of a file: the kubelet swaps a symbolic link on the way to it, an editor replaces it,
/// `cp` writes into it. `None` if the file cannot be examined.
type State = Option<(PathBuf, u64, u64, u64, i64, i64)>;

impl Watch {
    /// Starts to look at files at this interval, or never.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(super) fn start(every: Option<Duration>) -> std::io::Result<Self> {
        let Some(every) = every else { return Ok(Self(None)) };
        let ((files, watched), (send, changed)) = (channel(), mpsc::channel(1));
        std::thread::Builder::new().name("watch".to_owned()).spawn(move || look_on(every, &watched, &send))?;
        Ok(Self(Some(Watching { files, changed })))
    }

    /// Sets the files and folders to watch from now on.
    pub(super) fn look_at(&self, files: &[PathBuf]) {
        if let Some(watching) = &self.0 {
            // The thread lives as long as this value.
            let _ = watching.files.send(files.to_vec());
        }
    }

    /// Waits until one of them changes. Cancel-safe.
    pub(super) async fn changed(&mut self) {
        let change = match &mut self.0 {
            Some(watching) => watching.changed.recv().await,
            None => None,
        };
        if change.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

fn look_on(every: Duration, watched: &Receiver<Vec<PathBuf>>, changed: &mpsc::Sender<()>) {
    let mut known: BTreeMap<PathBuf, State> = BTreeMap::new();
    loop {
        match watched.recv_timeout(every) {
            // Files that were already watched keep their earlier state, because they may have changed since they were
            // read.
            Ok(files) => {
                let with_state = |file: PathBuf| {
                    let state = known.remove(&file).unwrap_or_else(|| state(&file));
                    (file, state)
                };
                known = files.into_iter().map(with_state).collect();
            }
            Err(RecvTimeoutError::Timeout) => {
                let mut any = false;
                for (file, before) in &mut known {
                    let now = state(file);
                    any |= *before != now;
                    *before = now;
                }
                if any {
                    // If an earlier change still waits for its reload, that reload will see this change too.
                    let _ = changed.try_send(());
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn state(file: &Path) -> State {
    let real = file.canonicalize().ok()?;
    let found = real.metadata().ok()?;
    Some((real, found.dev(), found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
}
