//! The server that gets the beats: whether it accepts writes, its version, and whether another server could answer in
//! its place.

use super::evidence::{Evidence, alter_system};
use sqlx::postgres::PgSslMode;

use crate::driver::postgres::parameters::Parameters;
use crate::driver::postgres::remedies::primary_of_standby;
use crate::driver::shared_checks::server::{self, CLOCK, clock, is_local};
use crate::finding::{Check, Finding, How, Severity};
use crate::remedy::Remedy;
use crate::target::Endpoint;

const WRITABLE: Check = server::WRITABLE.how(How {
    judged: "pg_is_in_recovery() and default_transaction_read_only. The finding names the cause.",
    privilege: "a login",
    source: "vendor page on heartbeats: the scheduled job runs on the primary; measured: the server gives the same \
             error (SQLSTATE 25006) for a replica and a setting",
});
const VERSION: Check = server::VERSION.how(How {
    judged: "server_version_num. An error below 10, which has no pgoutput; a warning below 13, which has no read-only \
             snapshots.",
    privilege: "a login",
    source: "vendor's set-up guide for PostgreSQL, versions; the publisher's end-of-life dates",
});
const TLS: Check = server::TLS.how(How {
    judged: "sslmode of each address, and whether the session is encrypted. Fails unless it is verify-full; verify-ca \
             accepts any name. A socket or a loopback address needs no TLS.",
    privilege: "none",
    source: "https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-PROTECTION",
});

pub(super) const CHECKS: &[Check] = &[WRITABLE, VERSION, CLOCK, TLS];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = vec![
        writable(evidence),
        version(evidence),
        clock(&evidence.facts.address, evidence.facts.server.time, evidence.case),
    ];
    findings.push(tls(&evidence.facts.address, &evidence.target.endpoint, evidence.facts.server.encrypted));
    for replica in &evidence.target.replicas {
        let place = evidence.replicas.iter().find(|place| place.name == replica.name);
        let encrypted = place.and_then(|place| place.facts.as_ref().ok()).and_then(|facts| facts.server.encrypted);
        findings.push(tls(&format!("replica {}", replica.name), &replica.endpoint, encrypted));
    }
    findings
}

fn writable(evidence: &Evidence<'_>) -> Finding {
    let server = &evidence.facts.server;
    let subject = &evidence.facts.address;
    let mut causes = Vec::new();
    let mut remedy = None;
    if server.in_recovery {
        causes.push("it is a standby".to_owned());
        let advice = Remedy::advice("name the primary in url, or all hosts (postgres://user@a,b/database)");
        remedy = Some(advice.then_run(primary_of_standby()));
    }
    if server.setting("default_transaction_read_only") == Some("on") {
        let source = server.settings.get("default_transaction_read_only").map_or("unknown", |set| &set.source);
        causes.push(format!("default_transaction_read_only is on, from: {source}"));
        remedy = remedy.or_else(|| Some(lift_read_only(evidence, source)));
    }
    let Some(remedy) = remedy else {
        return WRITABLE.ok(subject, "it is the primary, and accepts writes");
    };
    WRITABLE
        .failed(subject, causes.join("; and "))
        .expected("a primary with default_transaction_read_only = off")
        .remedy(remedy)
}

fn lift_read_only(evidence: &Evidence<'_>, source: &str) -> Remedy {
    let user = &evidence.names.user;
    let database = crate::driver::postgres::identifier::quote(&evidence.facts.server.database);
    let reset = "default_transaction_read_only";
    // The setting applies to administrators, too, but they can lift it for themselves.
    let advice =
        Remedy::advice("if this server is the source and no failover tool keeps it read-only, lift the setting");
    // It also applies to the session that this is pasted into.
    let lift = |statement: String| Remedy::sql(format!("BEGIN READ WRITE; {statement}; COMMIT;"));
    advice.then_run(match source {
        "user" => lift(format!("ALTER ROLE {user} RESET {reset}")),
        "database" => lift(format!("ALTER DATABASE {database} RESET {reset}")),
        "database user" => lift(format!("ALTER ROLE {user} IN DATABASE {database} RESET {reset}")),
        _ => alter_system(&evidence.facts.server, reset, "off", false),
    })
}

fn version(evidence: &Evidence<'_>) -> Finding {
    let server = &evidence.facts.server;
    let observed = format!("PostgreSQL {}", server.version);
    let failed = match server.major() {
        0..=9 => VERSION.failed(&evidence.facts.address, observed),
        10..=12 => VERSION.failed_as(Severity::Warning, &evidence.facts.address, observed),
        _ => return VERSION.ok(&evidence.facts.address, observed),
    };
    failed.expected("13 or later").remedy("upgrade the server: this version gets no more fixes")
}

fn tls(subject: &str, endpoint: &Endpoint, encrypted: Option<bool>) -> Finding {
    let url = &endpoint.url;
    if is_local(url) {
        return TLS.ok(subject, "the server is on this machine");
    }
    let Ok(parameters) = Parameters::read(url) else {
        return TLS.unknown(subject, "the address has a parameter that is refused");
    };
    let observed = match (parameters.ssl_mode, encrypted) {
        (PgSslMode::VerifyFull, _) => return TLS.ok(subject, "sslmode=verify-full"),
        (PgSslMode::VerifyCa, _) => "sslmode=verify-ca: any certificate of the authority is taken, whatever its name",
        (PgSslMode::Require, _) => "sslmode=require: encrypted, but the certificate is not verified",
        (PgSslMode::Disable, _) => "sslmode=disable: nothing is encrypted",
        (_, Some(false)) => "sslmode=prefer: this session is not encrypted",
        (_, _) => "sslmode=prefer: the certificate is not verified, and without TLS it connects all the same",
    };
    TLS.failed(subject, observed)
        .expected("sslmode=verify-full")
        .remedy("put sslmode=verify-full into the address, and sslrootcert=FILE unless a public authority signed the certificate")
}
