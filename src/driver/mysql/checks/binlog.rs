//! Whether the beat reaches the binary log.

use super::evidence::{CLIENT, Evidence};
use super::variables::{NO_LOG, has_log, set_at_start};
use crate::driver::evidence::ONE_LOOK;
use crate::driver::mysql::facts::{BinlogFacts, MysqlFacts, ServerFacts};
use crate::finding::{Check, Finding, Rung, Severity};
use crate::remedy::Remedy;

const FILTERS: Check = Check {
    id: "binlog-filters",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "the binary log does not exclude the heartbeat's schema",
    meaning: "A filter of the binary log drops changes without an error: the UPDATE succeeds, and the connector \
              receives nothing.",
    judged: "Binlog_Do_DB and Binlog_Ignore_DB of SHOW BINARY LOG STATUS. Fails if they exclude the schema.",
    privilege: "REPLICATION CLIENT (MariaDB: BINLOG MONITOR)",
    source: "measured: with binlog_do_db = app an UPDATE in another database changes a row and writes no event",
};
const SESSION: Check = Check {
    id: "session-binlog",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "the server logs what this user's sessions write",
    meaning: "If sql_log_bin is off in a session, which init_connect can do, the session's updates are not in the \
              binary log.",
    judged: "@@session.sql_log_bin of this session. Fails if it is off.",
    privilege: "a login",
    source: "measured: with sql_log_bin = 0 an UPDATE changes a row and writes no event",
};
const MOVES: Check = Check {
    id: "binlog-moves",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "the binary log grows when the row changes",
    meaning: "If a beat changes the row but not the binary log, no connector and no replica receives it, whatever the \
              reason.",
    judged: "Two looks. Fails if last_update changed, and neither the position in the binary log nor its transactions \
             did (MySQL: gtid_executed; MariaDB: gtid_binlog_pos). On a server with other writers it cannot fail.",
    privilege: "MySQL without GTIDs: REPLICATION CLIENT",
    source: "measured: each beat advances both",
};

pub(super) const CHECKS: &[Check] = &[FILTERS, SESSION, MOVES];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    if !has_log(&evidence.facts.server) {
        return CHECKS.iter().map(|check| check.skipped("log_bin", NO_LOG)).collect();
    }
    vec![filters(evidence), session(evidence), moves(evidence)]
}

/// The filter that excludes this schema, with its value.
pub(super) fn left_out(server: &ServerFacts, binlog: &BinlogFacts, schema: &str) -> Option<(&'static str, String)> {
    let holds = |list: &str| !entries(server, list, schema).is_empty();
    if !binlog.do_db.is_empty() && !holds(&binlog.do_db) {
        return Some(("binlog_do_db", binlog.do_db.clone()));
    }
    holds(&binlog.ignore_db).then(|| ("binlog_ignore_db", binlog.ignore_db.clone()))
}

/// The entries of a list that the server matches to this schema.
fn entries<'a>(server: &ServerFacts, list: &'a str, schema: &str) -> Vec<&'a str> {
    let naming = server.naming();
    let wanted = naming.schema_in_filter(&naming.kept(schema));
    list.split(',').map(str::trim).filter(|entry| naming.schema_in_filter(entry) == wanted).collect()
}

/// The remedy. These filters can only be set when the server starts.
pub(super) fn let_in(server: &ServerFacts, filter: &str, value: &str, schema: &str) -> Remedy {
    if let Some(managed) = server.managed {
        let change = if filter == "binlog_do_db" { "with" } else { "without" };
        return managed.set_at_start(&format!("{filter}, {change} {schema},")).into();
    }
    if filter == "binlog_do_db" {
        let schema = server.naming().kept(schema);
        set_at_start(server, filter, &format!("a further line binlog_do_db = {schema}"))
    } else {
        let lines: Vec<String> =
            entries(server, value, schema).iter().map(|entry| format!("binlog_ignore_db = {entry}")).collect();
        format!("remove the line {} from the option file, and restart the server", lines.join(" and the line ")).into()
    }
}

fn filters(evidence: &Evidence<'_>) -> Finding {
    let subject = "SHOW BINARY LOG STATUS";
    let (server, schema) = (&evidence.facts.server, &evidence.target.heartbeat.schema);
    evidence.with_privilege(&FILTERS, subject, &evidence.facts.binlog, CLIENT, |binlog| {
        match left_out(server, binlog, schema) {
            None if binlog.do_db.is_empty() && binlog.ignore_db.is_empty() => {
                FILTERS.ok(subject, "nothing is left out")
            }
            None => FILTERS.ok(subject, format!("{schema} is not left out")),
            Some((filter, value)) => FILTERS
                .failed(filter, format!("{filter} is {value}: {schema} is left out"))
                .expected(format!("{schema} is logged"))
                .remedy(let_in(server, filter, &value, schema)),
        }
    })
}

fn session(evidence: &Evidence<'_>) -> Finding {
    let user = &evidence.names.user;
    if evidence.facts.server.session_binlog {
        return SESSION.ok(user, "sql_log_bin is on");
    }
    SESSION.failed(user, "sql_log_bin is off in this session").expected("sql_log_bin = 1").remedy(
        Remedy::advice("find where sql_log_bin is set: in init_connect, or by a pooler")
            .then_run(Remedy::sql("SHOW GLOBAL VARIABLES LIKE 'init_connect';")),
    )
}

fn moves(evidence: &Evidence<'_>) -> Finding {
    let subject = &evidence.facts.address;
    // The last read of the first inspection and the first read of the second, so that changes during an inspection do
    // not count.
    let (Some(earlier), Some(before), Some(after)) = (
        &evidence.earlier,
        evidence.earlier.as_ref().and_then(|earlier| earlier.last_update_again.or_else(|| last_update(earlier))),
        last_update(&evidence.facts),
    ) else {
        return MOVES.skipped(subject, ONE_LOOK);
    };
    if before == after {
        return MOVES.skipped(subject, "last_update did not change between the two looks");
    }
    let steps =
        [(position(earlier), position(&evidence.facts)), (transactions(earlier), transactions(&evidence.facts))];
    let seen: Vec<bool> =
        steps.iter().filter_map(|(before, after)| Some(before.as_ref()? != after.as_ref()?)).collect();
    if seen.is_empty() {
        let grant = evidence.grant(CLIENT);
        return MOVES.unknown(subject, format!("the position of the binary log is hidden; requires {grant}"));
    }
    if seen.contains(&true) {
        return MOVES.ok(subject, "it grew between the two looks, as the row changed");
    }
    MOVES
        .failed(subject, "last_update changed between the two looks, and the binary log did not grow")
        .expected("an event for each beat")
        .remedy("find who writes without logging (sql_log_bin = 0), and look at binlog-filters and binlog-format")
}

fn last_update(facts: &MysqlFacts) -> Option<i64> {
    facts.rows()?.last_update
}

fn position(facts: &MysqlFacts) -> Option<&str> {
    facts.binlog.answer()?.position.as_deref()
}

/// Without `gtid_mode`, MySQL's set of transactions never changes.
fn transactions(facts: &MysqlFacts) -> Option<&str> {
    let server = &facts.server;
    let kept = server.flavour.is_mariadb() || server.variable("gtid_mode") == Some("ON");
    server.transactions.as_deref().filter(|_| kept)
}
