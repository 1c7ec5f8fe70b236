//! What the server writes into its binary log, and in which format.

use super::cluster::is_node;
use super::evidence::Evidence;
use super::variables::{NO_LOG, for_a_restart, has_log, set_at_start, set_global, set_globals, set_now};
use crate::driver::mysql::facts::ServerFacts;
use crate::finding::{Check, Finding, Rung, Severity, Status};
use crate::remedy::Remedy;

const VARIABLES: &str = "read access to the variables, which every user has";
/// The name of the variable.
pub(super) const BINLOG_FORMAT: &str = "binlog_format";
const GUIDE: &str = "vendor's set-up guides for MySQL and MariaDB, the binary log";

const ENABLED: Check = Check {
    id: "binlog-enabled",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "the server has a binary log",
    meaning: "The connector reads the binary log. Without one it has nothing to read, and no beat reaches it.",
    judged: "log_bin. Fails unless it is ON.",
    privilege: VARIABLES,
    source: GUIDE,
};
const SERVER_ID: Check = Check {
    id: "server-id",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "the server has a server_id",
    meaning: "With server_id = 0 the server refuses every client that wants to read its binary log.",
    judged: "server_id. Fails if it is 0.",
    privilege: VARIABLES,
    source: GUIDE,
};
const FORMAT: Check = Check {
    id: "binlog-format",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "the server logs changes as rows",
    meaning: "The connector reads rows, not statements. With MIXED, MariaDB's default, the server logs most statements \
              as text, including a scheduled event's beats and other writers' changes. heartbeatd's beat reads server \
              variables, for which MIXED logs the row: the beat arrives and hides that other changes do not. With \
              STATEMENT the server logs the beat as a statement too: no connector sees it, and a read-only replica \
              runs it without changing a row, because its conditions check the server they run on.",
    judged: "binlog_format. Fails unless it is ROW. A server without the variable logs only rows.",
    privilege: VARIABLES,
    source: "vendor's set-up guides; measured: with MIXED a plain UPDATE of last_update is a Query event, heartbeatd's \
             beat an Update_rows event",
};
const IMAGE: Check = Check {
    id: "binlog-row-image",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "the server logs all columns of a changed row",
    meaning: "With MINIMAL or NOBLOB the log contains only the changed columns: the connector gets incomplete rows, or \
              refuses to start.",
    judged: "binlog_row_image. Fails unless it is FULL; a warning for FULL_NODUP (MariaDB), which connectors may not \
             support.",
    privilege: VARIABLES,
    source: GUIDE,
};
const OPTIONS: Check = Check {
    id: "binlog-row-value-options",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "the server logs JSON columns in full",
    meaning: "With PARTIAL_JSON the log contains only the changed part of a JSON column, which connectors cannot \
              reassemble.",
    judged: "binlog_row_value_options. Fails if it contains PARTIAL_JSON. MySQL from 8.0.",
    privilege: VARIABLES,
    source: "Debezium's documentation of its MySQL connector; PeerDB's validation",
};
const COMPRESSION: Check = Check {
    id: "binlog-compression",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "the server does not compress events of the binary log",
    meaning: "Connectors for MariaDB cannot read compressed events.",
    judged: "log_bin_compress. Fails if it is ON. MariaDB only.",
    privilege: VARIABLES,
    source: "Debezium's documentation of its MariaDB connector",
};
const GTID: Check = Check {
    id: "gtid-mode",
    severity: Severity::Warning,
    rung: Rung::Position,
    title: "transactions have GTIDs",
    meaning: "The vendor's read-only snapshots require GTIDs. Without GTIDs the connector also cannot find its \
              position on another server after a failover.",
    judged: "gtid_mode and enforce_gtid_consistency. Fails unless both are ON. MariaDB always has GTIDs.",
    privilege: VARIABLES,
    source: "vendor's connector settings: snapshot_gtid is on by default",
};

pub(super) const CHECKS: &[Check] = &[ENABLED, SERVER_ID, FORMAT, IMAGE, OPTIONS, COMPRESSION, GTID];

/// A wrong setting.
pub(super) struct Fault {
    pub(super) variable: String,
    pub(super) observed: String,
    pub(super) remedy: Remedy,
}

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let server = &evidence.facts.server;
    let mut findings = vec![enabled(server), server_id(server)];
    if !has_log(server) {
        findings.extend(CHECKS[2..].iter().map(|check| check.skipped("log_bin", NO_LOG)));
        return findings;
    }
    findings.extend([format(server), image(server), options(server), compression(server), gtid(server)]);
    findings
}

/// The settings that keep this server from logging changes as connectors need them, each with its remedy.
pub(super) fn faults(server: &ServerFacts) -> Vec<Fault> {
    let judged = if has_log(server) {
        vec![format(server), image(server), options(server), compression(server)]
    } else {
        vec![enabled(server)]
    };
    let failed = judged.into_iter().filter(|finding| finding.status == Status::Failed);
    failed
        .filter_map(|finding| {
            let observed = format!("{} is {}", finding.subject, finding.observed);
            Some(Fault { variable: finding.subject, observed, remedy: finding.remedy? })
        })
        .collect()
}

fn enabled(server: &ServerFacts) -> Finding {
    let name = "log_bin";
    if has_log(server) {
        return ENABLED.ok(name, "ON");
    }
    let remedy = match server.managed {
        Some(managed) => managed.log_binary().into(),
        None => set_at_start(server, name, "log_bin = binlog and a server_id of its own"),
    };
    ENABLED.failed(name, server.variable(name).unwrap_or("OFF")).expected("ON").remedy(remedy)
}

fn server_id(server: &ServerFacts) -> Finding {
    let name = "server_id";
    match server.variable(name) {
        Some("0") => SERVER_ID
            .failed(name, "0")
            .expected("a number that no other server of the replication has")
            // heartbeatd does not know a free number, so the server refuses the remedy if someone pastes it unchanged.
            .remedy(set_global(server, name, "<NUMBER>")),
        Some(id) => SERVER_ID.ok(name, id),
        None => SERVER_ID.skipped(name, "this server has no such variable"),
    }
}

fn format(server: &ServerFacts) -> Finding {
    let name = BINLOG_FORMAT;
    match server.variable(name) {
        None | Some("ROW") => FORMAT.ok(name, "ROW"),
        // Changing the format at run time is known to break a running cluster.
        Some(format) if is_node(server) => {
            FORMAT.failed(name, format).expected("ROW").remedy(set_at_start(server, name, "binlog_format = ROW"))
        }
        Some(format) => FORMAT
            .failed(name, format)
            .expected("ROW")
            .remedy(set_global(server, name, "ROW").note("open sessions keep their format until they connect again")),
    }
}

fn image(server: &ServerFacts) -> Finding {
    let name = "binlog_row_image";
    let remedy = || set_global(server, name, "FULL");
    match server.variable(name) {
        None | Some("FULL") => IMAGE.ok(name, "FULL"),
        Some("FULL_NODUP") => IMAGE.failed_as(Severity::Warning, name, "FULL_NODUP").expected("FULL").remedy(remedy()),
        Some(image) => IMAGE.failed(name, image).expected("FULL").remedy(remedy()),
    }
}

fn options(server: &ServerFacts) -> Finding {
    let name = "binlog_row_value_options";
    match server.variable(name) {
        None => OPTIONS.skipped(name, "this server has no such variable"),
        Some(options) if options.contains("PARTIAL_JSON") => {
            OPTIONS.failed(name, options).expected("empty").remedy(set_global(server, name, "''"))
        }
        Some(_) => OPTIONS.ok(name, "empty"),
    }
}

fn compression(server: &ServerFacts) -> Finding {
    let name = "log_bin_compress";
    match server.is_on(name) {
        None => COMPRESSION.skipped(name, "this server has no such variable"),
        Some(false) => COMPRESSION.ok(name, "OFF"),
        Some(true) => COMPRESSION.failed(name, "ON").expected("OFF").remedy(set_global(server, name, "OFF")),
    }
}

fn gtid(server: &ServerFacts) -> Finding {
    let name = "gtid_mode";
    let Some(mode) = server.variable(name) else {
        return if server.flavour.is_mariadb() {
            GTID.ok(name, "MariaDB always has GTIDs")
        } else {
            GTID.skipped(name, "this server has no such variable")
        };
    };
    let consistency = server.variable("enforce_gtid_consistency").unwrap_or_default();
    if mode == "ON" && consistency == "ON" {
        return GTID.ok(name, "ON, and enforced");
    }
    // The server accepts one step at a time, and ON only after enforce_gtid_consistency.
    let mut steps = Vec::new();
    if consistency != "ON" {
        steps.push(("enforce_gtid_consistency", "ON"));
    }
    let modes = ["OFF", "OFF_PERMISSIVE", "ON_PERMISSIVE", "ON"];
    let from = modes.iter().position(|known| *known == mode).unwrap_or(0);
    steps.extend(modes[from + 1..].iter().map(|mode| (name, *mode)));
    GTID.failed(name, format!("{mode}, enforce_gtid_consistency {consistency}"))
        .expected("both ON")
        .remedy(next_step(server, &steps))
}

/// The way to GTIDs, one step at a time. Servers whose modes are more than one step apart cannot replicate from each
/// other, and with ON a transaction without a GTID stops a replica.
fn next_step(server: &ServerFacts, steps: &[(&str, &str)]) -> Remedy {
    let [(name, value), later @ ..] = steps else { return set_globals(server, steps) };
    if server.managed.is_some() {
        return set_globals(server, steps);
    }
    let step = Remedy::sql(set_now(server, name, value));
    if !later.is_empty() {
        return step.note("on every server of the replication; this check then shows the next step");
    }
    let wait = Remedy::advice(
        "wait until Ongoing_anonymous_transaction_count (SHOW GLOBAL STATUS) is 0 on every server of the replication and no \
         replica lags",
    );
    let step = step.note("on every server");
    wait.then_run(match for_a_restart(server, &[("enforce_gtid_consistency", "ON"), ("gtid_mode", "ON")]) {
        Some(lines) => step.note(lines),
        None => step,
    })
}
