//! Removes environment variables that client libraries read: sqlx would take `PGPASSWORD`, `PGSSLMODE` and other
//! variables of libpq as silent defaults of every connection, and Oracle's client would print every packet. `main`
//! calls it first.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The variables that sqlx reads (its `PgConnectOptions::new_without_pgpass`, and `PGPASSFILE`), and
/// `RSO_DEBUG_PACKETS`, which makes Oracle's client print every packet.
pub const LEAKING: [&str; 14] = [
    "PGAPPNAME",
    "PGDATABASE",
    "PGHOST",
    "PGHOSTADDR",
    "PGOPTIONS",
    "PGPASSFILE",
    "PGPASSWORD",
    "PGPORT",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGSSLMODE",
    "PGSSLROOTCERT",
    "PGUSER",
    "RSO_DEBUG_PACKETS",
];

/// If one of them is set, starts the program again without them in the same process. Returns the names found.
///
/// A restart, because removing a variable is unsafe while other threads run.
///
/// # Errors
/// When the program cannot be started again: in words, naming the variables.
pub fn without_leaking_variables() -> Result<(), String> {
    let found: Vec<&str> = LEAKING.into_iter().filter(|name| std::env::var_os(name).is_some()).collect();
    if found.is_empty() {
        return Ok(());
    }
    let refuse = |reason: String| {
        Err(format!(
            "{} must not be set for heartbeatd ({reason}): write it into the address instead",
            found.join(", ")
        ))
    };
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return refuse(format!("cannot start again without it: {error}")),
    };
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| OsString::from("heartbeatd"));
    let mut again = Command::new(program);
    again.arg0(name).args(arguments);
    for name in &found {
        again.env_remove(name);
    }
    // Returns only on failure.
    let error = again.exec();
    refuse(format!("cannot start again without it: {error}"))
}
