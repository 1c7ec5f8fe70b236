//! Opens the file, and notices when another one takes its place.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Row};

use super::errors;
use crate::bounded_read::{Unfinished, in_own_thread};
use crate::database_url::DatabaseUrl;
use crate::descriptors::{shortage_now, words_of_shortage};
use crate::driver::{ConnectRequest, Purpose, ServerInfo, ServerRole};
use crate::heartbeat::{ErrorKind, Failure};
use crate::time::clock::{self, Clock, Instant};

/// Which file a session has open.
#[derive(Debug)]
pub(super) struct OpenedFile {
    path: PathBuf,
    device_and_inode: (u64, u64),
}

/// How an address wants the file opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    ReadOnly,
    ReadWrite,
    Create,
}

/// Opens the file. It is created only for provisioning, or where the address says `mode=rwc`.
///
/// # Errors
/// `missing_file` for no such file, `privilege` for one that may not be read or written, and SQLite's error.
pub(super) async fn connect(
    request: &ConnectRequest<'_>,
) -> Result<(SqliteConnection, ServerInfo, OpenedFile), Failure> {
    let path = PathBuf::from(request.endpoint.url.database());
    let mode = mode(&request.endpoint.url);
    let looking = matches!(request.purpose, Purpose::Inspect | Purpose::Check | Purpose::Plan);
    let create = !looking && mode == Mode::Create || request.purpose == Purpose::Provision && mode == Mode::ReadWrite;
    let absent = found(&path, request.deadline).await.err();
    let imagined = absent.is_some() && request.purpose == Purpose::Plan;
    if let Some(error) = absent
        && (!create && !imagined || error.kind() == io::ErrorKind::TimedOut)
    {
        return Err(missing(&path, error));
    }
    let read_only = matches!(request.purpose, Purpose::Inspect | Purpose::Plan) || mode == Mode::ReadOnly;
    let options = if imagined {
        SqliteConnectOptions::new().in_memory(true)
    } else {
        SqliteConnectOptions::new().filename(&path)
    };
    let options = options.create_if_missing(create).read_only(read_only).disable_statement_logging();
    let mut connection = options.connect().await.map_err(|error| match shortage_now() {
        // SQLite says only that it cannot open the file.
        Some(shortage) => {
            let message = words_of_shortage(&shortage).unwrap_or_default();
            Failure::new(ErrorKind::Limit, message).with_source(shortage)
        }
        None => errors::classify(error, None),
    })?;
    let version: String = sqlx::raw_sql("SELECT sqlite_version() AS version")
        .fetch_one(&mut connection)
        .await
        .and_then(|row| row.try_get("version"))
        .map_err(|error| errors::classify(error, None))?;
    let file = OpenedFile::of(&path, imagined, request.deadline).await?;
    let server = ServerInfo {
        address: path.display().to_string(),
        version: format!("SQLite {version}"),
        identity: None,
        instance: None,
        timeline: None,
        role: if read_only { ServerRole::ReadOnly } else { ServerRole::Primary },
    };
    if matches!(request.purpose, Purpose::Beat | Purpose::Check) && read_only {
        let message = format!("{} is opened read-only, as its address says (mode=ro)", path.display());
        return Err(Failure::new(ErrorKind::ReadOnlySetting, message));
    }
    Ok((connection, server, file))
}

/// Closes the file, within half a second.
pub(super) async fn close(connection: SqliteConnection) {
    let limit = Clock::system().now().mono + Duration::from_millis(500);
    // A failure to close does not matter: the drop releases the file anyway.
    let _ = clock::timeout_at(limit, connection.close()).await;
}

impl OpenedFile {
    async fn of(path: &Path, imagined: bool, deadline: Instant) -> Result<Self, Failure> {
        let device_and_inode = match found(path, deadline).await {
            Ok(opened) => (opened.dev(), opened.ino()),
            Err(_) if imagined => (0, 0),
            Err(error) => return Err(missing(path, error)),
        };
        Ok(Self { path: path.to_owned(), device_and_inode })
    }

    /// A deleted or replaced file would accept beats without end, but no one would read them.
    ///
    /// # Errors
    /// `network`, so that the kept connection is replaced at once; or the error of the path.
    pub(super) async fn must_be_in_place(&self, deadline: Instant) -> Result<(), Failure> {
        let now = found(&self.path, deadline).await.map_err(|error| missing(&self.path, error))?;
        if (now.dev(), now.ino()) == self.device_and_inode {
            return Ok(());
        }
        Err(Failure::new(ErrorKind::Network, format!("another file was put in the place of {}", self.path.display())))
    }
}

/// Looks for the file before SQLite does: on a file system that does not answer, nothing could end SQLite's own look,
/// and each try would leave a thread behind.
async fn found(path: &Path, deadline: Instant) -> io::Result<Metadata> {
    let left = deadline.saturating_duration_since(Clock::system().now().mono);
    let owned = path.to_owned();
    match in_own_thread(path, left.mul_f64(0.8), move || std::fs::metadata(owned)).await {
        Ok(found) => found,
        Err(Unfinished::NoThread(error)) => Err(error),
        Err(Unfinished::TooSlow | Unfinished::Outstanding) => {
            Err(io::Error::new(io::ErrorKind::TimedOut, "its file system does not answer"))
        }
    }
}

fn mode(url: &DatabaseUrl) -> Mode {
    match url.parameter("mode") {
        Some("ro") => Mode::ReadOnly,
        Some("rwc") => Mode::Create,
        _ => Mode::ReadWrite,
    }
}

/// SQLite's own wait for a lock ends before the caller's deadline. Each statement sets it, because the time left at
/// connect says nothing about later beats.
pub(super) fn lock_wait(deadline: Instant) -> String {
    let left = deadline.saturating_duration_since(Clock::system().now().mono);
    format!("PRAGMA busy_timeout = {};", left.mul_f64(0.8).as_millis())
}

fn missing(path: &Path, error: io::Error) -> Failure {
    let shown = path.display();
    let (kind, message) = match error.kind() {
        io::ErrorKind::NotFound if path.parent().is_some_and(|folder| folder != Path::new("") && !folder.is_dir()) => {
            (ErrorKind::Storage, format!("there is no directory for the file {shown}"))
        }
        io::ErrorKind::NotFound => (ErrorKind::MissingFile, format!("there is no file {shown}")),
        io::ErrorKind::PermissionDenied => (ErrorKind::Privilege, format!("this user may not reach the file {shown}")),
        _ => (ErrorKind::Storage, format!("the file {shown} cannot be reached: {error}")),
    };
    Failure::new(kind, message).with_source(error)
}
