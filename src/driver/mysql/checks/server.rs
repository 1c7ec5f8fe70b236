//! The server that gets the beats: whether it accepts writes, its version, and whether another server could answer in
//! its place.

use super::cluster;
use super::evidence::Evidence;
use super::variables::set_globals;
use sqlx::mysql::MySqlSslMode;

use crate::driver::mysql::facts::{Channel, ServerFacts};
use crate::driver::mysql::parameters::Parameters;
use crate::driver::shared_checks::server::{self, CLOCK, clock, is_local};
use crate::finding::{Check, Finding, How, Severity};
use crate::remedy::Remedy;
use crate::target::Endpoint;

const WRITABLE: Check = server::WRITABLE.how(How {
    judged: "read_only, super_read_only, innodb_read_only and transaction_read_only; a warning if the server accepts \
             writes and also follows another server. The finding names the cause.",
    privilege: "a login, and REPLICATION CLIENT or REPLICA MONITOR to see that it follows another server",
    source: "vendor page on heartbeats: the scheduled job runs on the primary; measured: the server gives the same \
             error (1290) for a replica and a setting",
});
const VERSION: Check = server::VERSION.how(How {
    judged: "version(). MySQL: an error below 5.7, a warning below 8.0. MariaDB: an error below 10.2, a warning below \
             10.6, an advice below 11.4.3, from which on the vendor supports it.",
    privilege: "a login",
    source: "vendor's set-up guide for MySQL and MariaDB, versions; the publisher's end-of-life dates",
});
const TLS: Check = server::TLS.how(How {
    judged: "ssl-mode of each address, and whether the session is encrypted. Fails unless it is verify_identity; \
             verify_ca accepts any name. A socket or a loopback address needs no TLS.",
    privilege: "none",
    source: "https://dev.mysql.com/doc/refman/8.4/en/connection-options.html#option_general_ssl-mode",
});

pub(super) const CHECKS: &[Check] = &[WRITABLE, VERSION, CLOCK, TLS];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let server = &evidence.facts.server;
    let mut findings =
        vec![writable(evidence), version(evidence), clock(&evidence.facts.address, server.time, evidence.case)];
    findings.push(tls(&evidence.facts.address, &evidence.target.endpoint, Some(server.encrypted)));
    for replica in &evidence.target.replicas {
        let place = evidence.replicas.iter().find(|place| place.name == replica.name);
        let encrypted = place.and_then(|place| place.facts.as_ref().ok()).map(|facts| facts.server.encrypted);
        findings.push(tls(&format!("replica {}", replica.name), &replica.endpoint, encrypted));
    }
    findings
}

fn writable(evidence: &Evidence<'_>) -> Finding {
    let server = &evidence.facts.server;
    let subject = &evidence.facts.address;
    let mut causes = Vec::new();
    let mut lift = Vec::new();
    for guard in ["super_read_only", "read_only"] {
        if server.is_on(guard) == Some(true) {
            causes.push(format!("{guard} is {}", server.variable(guard).unwrap_or_default()));
            // This switches super_read_only off, too.
            lift = vec![("read_only", "OFF")];
        }
    }
    if server.session_read_only {
        causes.push("transaction_read_only is ON".to_owned());
        let names = ["transaction_read_only", "tx_read_only"];
        lift.extend(names.into_iter().find(|name| server.variables.contains_key(*name)).map(|name| (name, "OFF")));
    }
    if server.is_on("innodb_read_only") == Some(true) {
        causes.push("innodb_read_only is ON, as on a reader of Aurora".to_owned());
    }
    let channels = evidence.facts.replication.answer().map(Vec::as_slice);
    let expected = "a primary that nothing makes read-only";
    if causes.is_empty() {
        // A former replica whose replication is stopped is a primary.
        let sources = sources(channels.unwrap_or_default(), Channel::runs);
        if sources.is_empty() {
            return WRITABLE.ok(subject, "it accepts writes, and is not seen to follow another server");
        }
        let observed = format!(
            "it accepts writes, and follows {sources} itself: right for sources that follow each other, wrong for a replica, \
             whose source gets no beat of this one"
        );
        return WRITABLE.failed_as(Severity::Warning, subject, observed).expected(expected).remedy(
            "if this server is a replica, name the primary in url, and set read_only here; if they follow each other, leave \
             this check out ([[target.checks.skip]])",
        );
    }
    let causes = causes.join("; and ");
    let observed = match channels {
        None => format!("{causes}; whether it is a replica is not shown to this user"),
        Some([]) => causes,
        Some(channels) => format!("it is a replica of {}: {causes}", sources(channels, |_| true)),
    };
    WRITABLE.failed(subject, observed).expected(expected).remedy(way_to_write(server, channels, &lift))
}

/// The next step for a server that refuses writes. Making it writable is offered only if it is seen to follow no other
/// server, and only on a condition. A writable replica diverges from its source permanently, and a failover tool keeps
/// a former source read-only.
fn way_to_write(server: &ServerFacts, channels: Option<&[Channel]>, lift: &[(&str, &str)]) -> Remedy {
    if server.is_on("innodb_read_only") == Some(true) {
        return "name the cluster's writer endpoint in url".into();
    }
    let name_it = "name the primary in url, or all hosts (mysql://user@a,b/)";
    match channels {
        Some([]) if cluster::membership(server).is_none() => {
            let first = "make sure that this is the source and that no failover tool keeps it read-only";
            match set_globals(server, lift) {
                lift if lift.is_advice() => lift.about(first),
                lift => Remedy::advice(first).then_run(lift),
            }
        }
        Some(channels) if channels.iter().any(Channel::runs) => name_it.into(),
        _ => format!("{name_it}; let your failover tool decide whether this server becomes the primary").into(),
    }
}

/// The servers that this one follows, by the channels that count.
fn sources(channels: &[Channel], counts: fn(&Channel) -> bool) -> String {
    let counted = channels.iter().filter(|channel| counts(channel));
    counted.map(|channel| channel.source.as_str()).collect::<Vec<_>>().join(" and ")
}

fn version(evidence: &Evidence<'_>) -> Finding {
    let server = &evidence.facts.server;
    let observed = format!("{} {}", server.flavour.as_str(), server.version);
    let Some((severity, expected, remedy)) = too_old(server) else {
        return VERSION.ok(&evidence.facts.address, observed);
    };
    VERSION.failed_as(severity, &evidence.facts.address, observed).expected(expected).remedy(remedy)
}

fn too_old(server: &ServerFacts) -> Option<(Severity, &'static str, &'static str)> {
    const ENDED: &str = "upgrade the server: this version gets no fixes any more";
    if server.flavour.is_mariadb() {
        let expected = "MariaDB 11.4.3 or later";
        match server.numbers() {
            (0..=9, ..) | (10, 0..=1, _) => Some((Severity::Error, expected, ENDED)),
            (10, 2..=5, _) => Some((Severity::Warning, expected, ENDED)),
            version if version < (11, 4, 3) => {
                Some((Severity::Info, expected, "upgrade the server: the vendor supports its connector from there on"))
            }
            _ => None,
        }
    } else {
        match server.numbers() {
            (0..=4, ..) | (5, 0..=6, _) => Some((Severity::Error, "MySQL 8.0 or later", ENDED)),
            (5, ..) => Some((Severity::Warning, "MySQL 8.0 or later", ENDED)),
            _ => None,
        }
    }
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
        (MySqlSslMode::VerifyIdentity, _) => return TLS.ok(subject, "ssl-mode=verify_identity"),
        (MySqlSslMode::VerifyCa, _) => {
            "ssl-mode=verify_ca: any certificate of the authority is taken, whatever its name"
        }
        (MySqlSslMode::Required, _) => "ssl-mode=required: encrypted, but the certificate is not verified",
        (MySqlSslMode::Disabled, _) => "ssl-mode=disabled: nothing is encrypted",
        (_, Some(false)) => "ssl-mode=preferred: this session is not encrypted",
        (_, _) => "ssl-mode=preferred: the certificate is not verified, and without TLS it connects all the same",
    };
    TLS.failed(subject, observed)
        .expected("ssl-mode=verify_identity")
        .remedy("put ssl-mode=verify_identity into the address, and ssl-ca=FILE unless a public authority signed the certificate")
}
