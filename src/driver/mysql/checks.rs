//! What MySQL's and MariaDB's facts mean: one pure function per check, in a file per subject. Called by the driver's
//! `judge`.

mod activity;
mod binlog;
mod cluster;
mod connector;
mod native;
mod replica;
mod retention;
mod row;
mod server;
mod settings;
mod table;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::LazyLock;

use super::errors::PASSING;
use super::facts::{MysqlFacts, Relation, RowFacts, ServerFacts, TableFacts};
use super::identifier::{Account, account, table_of};
use crate::driver::gathered::Gathered;
use crate::driver::scene::{self, Chapter, Names};
use crate::finding::{Case, Check, Finding};
use crate::target::Target;

/// A case with MySQL's facts.
type Scene<'a> = scene::Scene<'a, MysqlFacts>;
/// One replica.
type Place<'a> = scene::Place<'a, MysqlFacts>;

/// In the order of the report.
const CHAPTERS: &[Chapter<MysqlFacts>] = &[
    (server::CHECKS, server::judge),
    (table::CHECKS, table::judge),
    (row::CHECKS, row::judge),
    (writer::CHECKS, writer::judge),
    (connector::CHECKS, connector::judge),
    (settings::CHECKS, settings::judge),
    (binlog::CHECKS, binlog::judge),
    (retention::CHECKS, retention::judge),
    (cluster::CHECKS, cluster::judge),
    (replica::CHECKS, replica::judge),
    (activity::CHECKS, activity::judge),
    (native::CHECKS, native::judge),
];

static CHECKS: LazyLock<Vec<Check>> = LazyLock::new(|| scene::checks_of(CHAPTERS));

/// All checks, in the order of the report.
pub(super) fn all() -> &'static [Check] {
    &CHECKS
}

/// Judges a case.
///
/// # Errors
/// When the facts are not MySQL's.
pub(super) fn judge(case: &Case<'_>) -> Result<Vec<Finding>, serde_json::Error> {
    scene::judge(case, CHAPTERS, |target: &Target, facts: &MysqlFacts| {
        let connector = facts.roles.connector.answer().and_then(|accounts| accounts.first());
        Names {
            table: table_of(&target.heartbeat),
            user: account(&facts.server.user, &facts.server.host),
            connector: match connector {
                Some(role) => account(&role.user, &role.host),
                None => Account::read(&target.connector.user.name).quoted(),
            },
        }
    })
}

impl Scene<'_> {
    /// The table, if it is known to exist.
    fn relation(&self) -> Option<&Relation> {
        relation_of(&self.facts)
    }

    /// Judges what is known of the table, or says why it is not.
    fn with_table(&self, check: &Check, judge: impl FnOnce(&Relation) -> Finding) -> Finding {
        let name = &self.names.table;
        with(check, name, &self.facts.table, |facts: &TableFacts| match &facts.table {
            Some(relation) => judge(relation),
            None => check.skipped(name, "there is no such table, or it is hidden"),
        })
    }

    /// Judges what is known of the rows, or says why it is not.
    fn with_rows(&self, check: &Check, judge: impl FnOnce(&RowFacts, &Relation) -> Finding) -> Finding {
        self.with_table(check, |relation| match &self.facts.row {
            Some(rows) => with(check, &self.names.table, rows, |rows| judge(rows, relation)),
            None => check.skipped(&self.names.table, "the table has no column id"),
        })
    }

    /// As [`with`], for an answer that one privilege on the whole server gives.
    fn with_privilege<T>(
        &self,
        check: &Check,
        subject: &str,
        gathered: &Gathered<T>,
        privilege: &str,
        judge: impl FnOnce(&T) -> Finding,
    ) -> Finding {
        match gathered.seen() {
            Ok(answer) => judge(answer),
            Err(refusal) => check.unknown(subject, refusal.unless(&self.grant(privilege), PASSING)),
        }
    }

    /// A privilege on the whole server for this session's user.
    fn grant(&self, privilege: &str) -> String {
        format!("GRANT {privilege} ON *.* TO {};", self.names.user)
    }
}

fn relation_of(facts: &MysqlFacts) -> Option<&Relation> {
    facts.table.answer()?.table.as_ref()
}

/// Judges an answer; what the server would not say is unknown, with what it takes.
fn with<T>(check: &Check, subject: &str, gathered: &Gathered<T>, judge: impl FnOnce(&T) -> Finding) -> Finding {
    match gathered.seen() {
        Ok(answer) => judge(answer),
        Err(refusal) => check.unknown(subject, refusal.unless(takes(check), PASSING)),
    }
}

/// What it takes to check something here; what several databases check says so of each of them.
fn takes(check: &Check) -> &'static str {
    match check.id {
        "schema-exists" => "any privilege on the schema",
        "table-kind" => "any privilege on the table",
        "row-exists" | "row-single" | "row-fresh" | "row-moves" | "replica-heartbeat" => {
            "SELECT on the heartbeat table"
        }
        id if id.starts_with("connector-") || id == "writer-expiry" => "SELECT on mysql.*",
        _ => check.privilege,
    }
}

/// What reading the binary log's state takes. The old name is known to every version of both.
const CLIENT: &str = "REPLICATION CLIENT";

/// A variable's new value as it is pasted, such that it outlives a restart.
fn set_global(server: &ServerFacts, name: &str, value: &str) -> String {
    set_globals(server, &[(name, value)])
}

/// As [`set_global`], for one after the other.
fn set_globals(server: &ServerFacts, variables: &[(&str, &str)]) -> String {
    if let Some(managed) = server.managed {
        return managed.set(&final_values(variables));
    }
    let now: Vec<String> = variables.iter().map(|(name, value)| set_now(server, name, value)).collect();
    match for_a_restart(server, variables) {
        Some(lines) => format!("{} -- and {lines}", now.join(" ")),
        None => now.join(" "),
    }
}

/// One variable's new value as SQL.
fn set_now(server: &ServerFacts, name: &str, value: &str) -> String {
    format!("SET {} {name} = {value};", if persists(server) { "PERSIST" } else { "GLOBAL" })
}

/// What is to be written down so that values outlive a restart, where the server does not keep them by itself.
fn for_a_restart(server: &ServerFacts, variables: &[(&str, &str)]) -> Option<String> {
    (!persists(server)).then(|| format!("{} under [mysqld] in the option file, for a restart", final_values(variables)))
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
fn set_at_start(server: &ServerFacts, name: &str, line: &str) -> String {
    match server.managed {
        Some(managed) => managed.set_at_start(name),
        None => format!("write {line} under [mysqld] in the option file, and restart the server"),
    }
}
