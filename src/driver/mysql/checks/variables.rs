//! The server's variables: whether it has a binary log, and how a remedy sets a value so that it survives a restart.

use crate::driver::mysql::facts::ServerFacts;
use crate::remedy::Remedy;

/// Why what is said of a binary log is not judged.
pub(super) const NO_LOG: &str = "there is no binary log";

/// Whether the server has a binary log.
pub(super) fn has_log(server: &ServerFacts) -> bool {
    server.is_on("log_bin") == Some(true)
}

/// A variable's new value as it is pasted, such that it outlives a restart.
pub(super) fn set_global(server: &ServerFacts, name: &str, value: &str) -> Remedy {
    set_globals(server, &[(name, value)])
}

/// As [`set_global`], for one after the other.
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

/// One variable's new value as SQL.
pub(super) fn set_now(server: &ServerFacts, name: &str, value: &str) -> String {
    format!("SET {} {name} = {value};", if persists(server) { "PERSIST" } else { "GLOBAL" })
}

/// What to write down so that values outlive a restart, where the server does not keep them by itself.
pub(super) fn for_a_restart(server: &ServerFacts, variables: &[(&str, &str)]) -> Option<String> {
    (!persists(server))
        .then(|| format!("also write {} under [mysqld] in the option file, for a restart", final_values(variables)))
}

fn persists(server: &ServerFacts) -> bool {
    server.variables.contains_key("persisted_globals_load")
}

/// Each variable once, with the last of its values, as an option is written.
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

/// The option that sets a variable at the start. Of nearly all it has the same name; a server that finds another one in
/// its option file does not start.
fn option(variable: &str) -> &str {
    match variable {
        "tx_read_only" | "transaction_read_only" => "transaction-read-only",
        name => name,
    }
}

/// As [`set_global`], for a variable that only a start of the server sets.
pub(super) fn set_at_start(server: &ServerFacts, name: &str, line: &str) -> Remedy {
    match server.managed {
        Some(managed) => managed.set_at_start(name).into(),
        None => format!("write {line} under [mysqld] in the option file, and restart the server").into(),
    }
}
