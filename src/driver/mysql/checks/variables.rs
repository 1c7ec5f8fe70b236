//! The server's variables: whether the server has a binary log, and how a remedy sets a value so that it survives a
//! restart.

use crate::driver::mysql::facts::ServerFacts;
use crate::remedy::Remedy;

/// Why a check of the binary log is skipped.
pub(super) const NO_LOG: &str = "there is no binary log";

/// Whether the server has a binary log.
pub(super) fn has_log(server: &ServerFacts) -> bool {
    server.is_on("log_bin") == Some(true)
}

/// A remedy that sets a variable such that the value survives a restart.
pub(super) fn set_global(server: &ServerFacts, name: &str, value: &str) -> Remedy {
    set_globals(server, &[(name, value)])
}

/// As [`set_global`], for several variables in order.
pub(super) fn set_globals(server: &ServerFacts, variables: &[(&str, &str)]) -> Remedy {
    if let Some(managed) = server.managed {
        return managed.set(&final_values(variables)).into();
    }
    let now: Vec<String> = variables.iter().map(|(name, value)| set_now(server, name, value)).collect();
    let remedy = Remedy::sql(now.join(" "));
    match for_a_restart(server, variables) {
        Some(lines) => remedy.note(lines),
        None => remedy,
    }
}

/// The SQL that sets one variable.
pub(super) fn set_now(server: &ServerFacts, name: &str, value: &str) -> String {
    format!("SET {} {name} = {value};", if persists(server) { "PERSIST" } else { "GLOBAL" })
}

/// What to write into the option file so that values survive a restart, if the server does not persist them.
pub(super) fn for_a_restart(server: &ServerFacts, variables: &[(&str, &str)]) -> Option<String> {
    (!persists(server))
        .then(|| format!("also write {} under [mysqld] in the option file, for a restart", final_values(variables)))
}

fn persists(server: &ServerFacts) -> bool {
    server.variables.contains_key("persisted_globals_load")
}

/// Each variable once, with its last value, written as an option.
fn final_values(variables: &[(&str, &str)]) -> String {
    let mut last: Vec<(&str, &str)> = Vec::new();
    for &(name, value) in variables {
        match last.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = value,
            None => last.push((name, value)),
        }
    }
    let lines: Vec<String> = last.iter().map(|(name, value)| format!("{} = {value}", option(name))).collect();
    lines.join(" and ")
}

/// The option that sets a variable at startup. Nearly all have the variable's name. A server with an unknown name in
/// its option file does not start.
fn option(variable: &str) -> &str {
    match variable {
        "tx_read_only" | "transaction_read_only" => "transaction-read-only",
        name => name,
    }
}

/// As [`set_global`], for a variable that can only be set at startup.
pub(super) fn set_at_start(server: &ServerFacts, name: &str, line: &str) -> Remedy {
    match server.managed {
        Some(managed) => managed.set_at_start(name).into(),
        None => format!("write {line} under [mysqld] in the option file, and restart the server").into(),
    }
}
