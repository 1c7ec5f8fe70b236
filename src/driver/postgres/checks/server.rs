//! The server that is beaten: whether it takes writes, how old it is, and whether anybody else could answer for it.

use std::net::IpAddr;

use sqlx::postgres::PgSslMode;

use super::Scene;
use crate::database_url::Host;
use crate::driver::postgres::parameters::Parameters;
use crate::finding::{Check, Finding, Rung, Severity};
use crate::freshness::words;
use crate::target::Endpoint;

const WRITABLE: Check = Check {
    id: "server-writable",
    severity: Severity::Error,
    rung: Rung::Connection,
    title: "the server is the primary and takes writes",
    meaning: "A standby takes no beat, nor does a primary whose sessions are read-only by a setting. After a failover \
              the old address often leads to a standby.",
    judged: "pg_is_in_recovery() and default_transaction_read_only, each told by itself.",
    privilege: "a login",
    source: "vendor page on heartbeats: the scheduled job runs on the primary; measured: both give SQLSTATE 25006",
};
const VERSION: Check = Check {
    id: "server-version",
    severity: Severity::Error,
    rung: Rung::Advice,
    title: "the server's version is one that logical decoding with pgoutput works on",
    meaning: "The connector's plugin pgoutput came with PostgreSQL 10; snapshots that only read need 13.",
    judged: "server_version_num: an error below 10, a warning below 13.",
    privilege: "a login",
    source: "vendor's set-up guide for PostgreSQL, versions",
};
const CLOCK: Check = Check {
    id: "server-clock",
    severity: Severity::Warning,
    rung: Rung::Advice,
    title: "the clocks of the server and of this machine agree",
    meaning: "Beats carry the server's time. With a wrong clock every age in reports and alerts is wrong by as much, and \
              password expiry and certificates, too.",
    judged: "The server's clock_timestamp() against the clock here: fails when they differ by more than the time-out and \
             five seconds.",
    privilege: "a login",
    source: "measured: a beat's value is clock_timestamp()",
};
const TLS: Check = Check {
    id: "tls-verified",
    severity: Severity::Warning,
    rung: Rung::Advice,
    title: "the server proves who it is",
    meaning: "Without verification anybody on the way can answer as the server and read the password; with \
              sslmode=prefer the connection may not even be encrypted.",
    judged: "sslmode of each address, and pg_stat_ssl: fails unless it is verify-full; prefer is the default, and verify-ca \
             takes any name. A socket or a loopback address needs no TLS.",
    privilege: "none",
    source: "https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-PROTECTION",
};

pub(super) const CHECKS: &[Check] = &[WRITABLE, VERSION, CLOCK, TLS];

pub(super) fn judge(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings = vec![writable(scene), version(scene), clock(scene)];
    findings.push(tls(&scene.facts.address, &scene.target.endpoint, scene.facts.server.encrypted));
    for replica in &scene.target.replicas {
        let place = scene.replicas.iter().find(|place| place.name == replica.name);
        let encrypted = place.and_then(|place| place.facts.as_ref().ok()).and_then(|facts| facts.server.encrypted);
        findings.push(tls(&format!("replica {}", replica.name), &replica.endpoint, encrypted));
    }
    findings
}

fn writable(scene: &Scene<'_>) -> Finding {
    let server = &scene.facts.server;
    let subject = &scene.facts.address;
    let mut causes = Vec::new();
    let mut remedies = Vec::new();
    if server.in_recovery {
        causes.push("it is a standby".to_owned());
        remedies.push(
            "name the primary in url, or all hosts (postgres://user@a,b/database); the standby knows it: \
             SELECT sender_host, sender_port FROM pg_stat_wal_receiver;"
                .to_owned(),
        );
    }
    if server.setting("default_transaction_read_only") == Some("on") {
        let source = server.settings.get("default_transaction_read_only").map_or("unknown", |set| &set.source);
        causes.push(format!("default_transaction_read_only is on, from: {source}"));
        remedies.push(lift_read_only(scene, source));
    }
    if causes.is_empty() {
        return WRITABLE.ok(subject, "it is the primary, and takes writes");
    }
    WRITABLE
        .failed(subject, causes.join("; and "))
        .expected("a primary with default_transaction_read_only = off")
        .remedy(remedies.join(" "))
}

fn lift_read_only(scene: &Scene<'_>, source: &str) -> String {
    let user = &scene.user;
    let database = crate::driver::postgres::identifier::quote(&scene.facts.server.database);
    let reset = "default_transaction_read_only";
    // Administrators are held by it as well, and can lift it for themselves.
    let by = "SET default_transaction_read_only = off;";
    match source {
        "user" => format!("{by} ALTER ROLE {user} RESET {reset};"),
        "database" => format!("{by} ALTER DATABASE {database} RESET {reset};"),
        "database user" => format!("{by} ALTER ROLE {user} IN DATABASE {database} RESET {reset};"),
        _ => format!("{by} ALTER SYSTEM RESET {reset}; SELECT pg_reload_conf();"),
    }
}

fn version(scene: &Scene<'_>) -> Finding {
    let server = &scene.facts.server;
    let observed = format!("PostgreSQL {}", server.version);
    let failed = match server.major() {
        0..=9 => VERSION.failed(&scene.facts.address, observed),
        10..=12 => VERSION.failed_as(Severity::Warning, &scene.facts.address, observed),
        _ => return VERSION.ok(&scene.facts.address, observed),
    };
    failed.expected("13 or later").remedy("upgrade the server: this version gets no fixes any more")
}

fn clock(scene: &Scene<'_>) -> Finding {
    let ahead = scene.facts.server.time - scene.case.now.taken_at;
    let apart = std::time::Duration::from_micros(ahead.unsigned_abs());
    // The look itself took a part of the time-out.
    let limit = scene.target.timeout + std::time::Duration::from_secs(5);
    let direction = if ahead < 0 { "behind" } else { "ahead of" };
    let observed = format!("the server's clock is {} {direction} the clock here", words(apart));
    if apart <= limit {
        return CLOCK.ok(&scene.facts.address, observed);
    }
    CLOCK.failed(&scene.facts.address, observed).expected(format!("at most {}", words(limit))).remedy(
        "compare both with a third clock, and let the wrong machine keep time by NTP (timedatectl, chronyc tracking)",
    )
}

fn tls(subject: &str, endpoint: &Endpoint, encrypted: Option<bool>) -> Finding {
    let url = &endpoint.url;
    if url.hosts().iter().all(is_this_machine) {
        return TLS.ok(subject, "the server is on this machine");
    }
    let Ok(parameters) = Parameters::read(url) else {
        return TLS.unknown(subject, "the address has a parameter that is refused");
    };
    let observed = match (parameters.ssl_mode, encrypted) {
        (PgSslMode::VerifyFull, _) => return TLS.ok(subject, "sslmode=verify-full"),
        (PgSslMode::VerifyCa, _) => "sslmode=verify-ca: any certificate of the authority is taken, whatever its name",
        (PgSslMode::Require, _) => "sslmode=require: encrypted, and the certificate is not looked at",
        (PgSslMode::Disable, _) => "sslmode=disable: nothing is encrypted",
        (_, Some(false)) => "sslmode=prefer: this session is not encrypted",
        (_, _) => "sslmode=prefer: the certificate is not looked at, and without TLS it connects all the same",
    };
    TLS.failed(subject, observed)
        .expected("sslmode=verify-full")
        .remedy("put sslmode=verify-full into the address, and sslrootcert=FILE unless a public authority signed the certificate")
}

fn is_this_machine(host: &Host) -> bool {
    let name = host.name.trim_start_matches('[').trim_end_matches(']');
    host.is_socket() || name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
