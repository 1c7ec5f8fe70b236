//! Where the tests' servers keep their files, and as which user they run: one folder per test process, one subfolder
//! per server. Also the watcher that cleans up after a killed test process.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::timing::measure_this_test;

/// The user of Debian's PostgreSQL package.
const SERVER_USER: &str = "postgres";

/// Waits until its input ends, that is, until the test process has ended for any reason; then kills every process
/// listed in `$1/running`, with its children, and removes the folder `$1`.
const WATCHER: &str = r#"
cd / && read -r _
for file in "$1"/running/*; do
    pid=${file##*/}
    kill -STOP "$pid"
    kill -KILL $(grep -ls "^PPid:[[:space:]]*$pid\$" /proc/[0-9]*/status | cut -d / -f 3) "$pid"
done
rm -rf "$1"
"#;

static BASE: LazyLock<Base> = LazyLock::new(Base::lay);

/// User and group ids for the servers; `None` if the tests run as an ordinary user.
static SERVER_IDS: LazyLock<Option<(u32, u32)>> =
    LazyLock::new(|| rustix::process::geteuid().is_root().then(|| (id("-u"), id("-g"))));

struct Base {
    path: PathBuf,
    _watcher: ChildStdin,
}

/// A separate folder inside the test process's folder, removed on drop.
#[derive(Debug)]
pub(crate) struct Place(PathBuf);

/// A process for the watcher to kill if the test process ends first.
#[derive(Debug)]
pub(crate) struct Watched(PathBuf);

impl Base {
    fn lay() -> Self {
        let path = tempfile::Builder::new().prefix("hb-").tempdir().unwrap().keep();
        let path = path.canonicalize().unwrap();
        // A socket's path holds 107 bytes; the longest path here ends in "/postgres-9999/.s.PGSQL.32000".
        assert!(path.as_os_str().len() < 70, "TMPDIR is too long for the servers' sockets: {}", path.display());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::create_dir(path.join("running")).unwrap();
        give_to_servers(&path);
        #[allow(clippy::zombie_processes, reason = "it outlives this process")]
        let mut watcher = Command::new("sh")
            .args(["-c", WATCHER, "watcher"])
            .arg(&path)
            .process_group(0) // so that Ctrl-C in the terminal does not end it first
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        Self { path, _watcher: watcher.stdin.take().unwrap() }
    }
}

impl Place {
    /// A new, empty folder whose name begins with `what`; it belongs to the servers' user.
    pub(crate) fn new(what: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        measure_this_test();
        let path = BASE.path.join(format!("{what}-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        std::fs::create_dir(&path).unwrap();
        give_to_servers(&path);
        Self(path)
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A path within it.
    pub(crate) fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }

    /// Creates an empty folder in it.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.join(name);
        std::fs::create_dir(&path).unwrap();
        give_to_servers(&path);
        path
    }

    /// Writes a file that only the servers' user (and root) can read.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        give_to_servers(&path);
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        match std::fs::remove_dir_all(&self.0) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // The watcher removes the rest.
            Err(error) => eprintln!("bench: cannot remove {}: {error}", self.0.display()),
        }
    }
}

impl Watched {
    /// Puts a process on the watcher's list.
    pub(crate) fn new(pid: u32) -> Self {
        let path = BASE.path.join("running").join(pid.to_string());
        std::fs::write(&path, []).unwrap();
        Self(path)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A command that runs as the servers' user, without the environment variables of PostgreSQL's programs.
pub(crate) fn server_command(program: impl AsRef<OsStr>) -> Command {
    let mut command = match *SERVER_IDS {
        None => Command::new(program),
        Some((user, group)) => {
            let mut command = Command::new("setpriv");
            command.arg(format!("--reuid={user}")).arg(format!("--regid={group}")).arg("--clear-groups").arg("--");
            command.arg(program);
            command
        }
    };
    without_postgres_variables(&mut command);
    command.current_dir(&BASE.path).process_group(0).stdin(Stdio::null());
    command
}

/// Removes the variables of libpq and sqlx from a command's environment.
pub(crate) fn without_postgres_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PG")) {
        command.env_remove(name);
    }
}

fn give_to_servers(path: &Path) {
    if let Some((user, group)) = *SERVER_IDS {
        chown(path, Some(user), Some(group)).unwrap();
    }
}

fn id(which: &str) -> u32 {
    let output = Command::new("id").arg(which).arg(SERVER_USER).output().expect("the program id");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().unwrap_or_else(|_| {
        panic!("there is no user \"{SERVER_USER}\" to run servers as: run tests/bench/install (package postgresql-15)")
    })
}
