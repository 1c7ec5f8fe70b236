//! Watches the files of the configuration for `run`. In a thread of its own, which a file system may keep waiting as long
//! as it likes.

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

/// What tells one state of a file from another: the kubelet swaps a symbolic link on the way to it, an editor puts another
/// file in its place, `cp` writes into it. `None` of a file that cannot be looked at.
type State = Option<(PathBuf, u64, u64, u64, i64, i64)>;

impl Watch {
    /// Looks at files at this interval, or never.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub(super) fn start(every: Option<Duration>) -> std::io::Result<Self> {
        let Some(every) = every else { return Ok(Self(None)) };
        let ((files, watched), (send, changed)) = (channel(), mpsc::channel(1));
        std::thread::Builder::new().name("watch".to_owned()).spawn(move || look_on(every, &watched, &send))?;
        Ok(Self(Some(Watching { files, changed })))
    }

    /// Looks at these files and folders from now on.
    pub(super) fn look_at(&self, files: &[PathBuf]) {
        if let Some(watching) = &self.0 {
            // The thread ends with this value, not before.
            let _ = watching.files.send(files.to_vec());
        }
    }

    /// Until one of them has changed. Cancel-safe.
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
            // What was watched before keeps its state of then: it may have changed since it was read.
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
                    // If an earlier change is still to be attended to, that reload will see this one, too.
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
