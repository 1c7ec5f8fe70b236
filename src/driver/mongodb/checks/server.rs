//! The server that gets the beats: whether it accepts writes, its version, and whether another server could answer in
//! its place.

use super::evidence::{Evidence, MONITOR, with};
use crate::driver::mongodb::parameters::Parameters;
use crate::driver::mongodb::remedies::on_primary;
use crate::driver::shared_checks::server::{self, CLOCK, clock, is_local};
use crate::finding::{Check, Finding, How, Rung, Severity};
use crate::target::Endpoint;

const WRITABLE: Check = server::WRITABLE.how(How {
    judged: "The command hello. Fails unless the server is the primary.",
    privilege: "a login",
    source: "vendor page on heartbeats: the scheduled job runs on the primary",
});
const VERSION: Check = server::VERSION.how(How {
    judged: "The command buildInfo. An error below 4.4, a warning below 5.0.",
    privilege: "a login",
    source: "vendor's set-up guide for MongoDB, versions; the publisher's end-of-life dates",
});
const TLS: Check = server::TLS.how(How {
    judged: "tls of each address. Fails without TLS, and if the client accepts any certificate. A socket or a loopback \
             address needs no TLS.",
    privilege: "none",
    source: "MongoDB's manual, TLS options of the connection string",
});

const FEATURES: Check = Check {
    id: "feature-compatibility",
    severity: Severity::Info,
    rung: Rung::Advice,
    title: "the server uses the features of its own version",
    meaning: "After an upgrade the old version's features stay in force until an administrator confirms the new ones. \
              Beats do not need them; the next upgrade does.",
    judged: "featureCompatibilityVersion, compared with the server's version. Fails if it is lower.",
    privilege: "the role clusterMonitor on the database admin",
    source: "https://www.mongodb.com/docs/manual/reference/command/setFeatureCompatibilityVersion/",
};

pub(super) const CHECKS: &[Check] = &[WRITABLE, VERSION, FEATURES, CLOCK, TLS];

/// Connectors support this version and later ones.
const SUPPORTED: (u32, u32) = (5, 0);
/// The oldest version that heartbeatd was run with.
const RUN: (u32, u32) = (4, 4);

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let address = &evidence.facts.address;
    let mut findings = vec![
        writable(evidence),
        version(evidence),
        features(evidence),
        clock(address, evidence.facts.server.time, evidence.case),
    ];
    findings.push(tls(address, &evidence.target.endpoint));
    for replica in &evidence.target.replicas {
        findings.push(tls(&format!("replica {}", replica.name), &replica.endpoint));
    }
    findings
}

fn writable(evidence: &Evidence<'_>) -> Finding {
    let (server, subject) = (&evidence.facts.server, &evidence.facts.address);
    if server.primary {
        return WRITABLE.ok(subject, "it is the primary, and accepts writes");
    }
    let remedy = match &server.knows_primary {
        Some(primary) => format!("take directConnection=true out of the address, or name the primary: {primary}"),
        None => "wait for an election, or start the members that are down".to_owned(),
    };
    let observed = if server.secondary { "it is a secondary" } else { "it accepts no writes" };
    WRITABLE.failed(subject, observed).expected("the primary").remedy(remedy)
}

fn version(evidence: &Evidence<'_>) -> Finding {
    let (found, subject) = (&evidence.facts.server.version, &evidence.facts.address);
    let failed = match numbers(found) {
        None => {
            return VERSION.unknown(
                subject,
                format!("{found} cannot be compared as a version; requires a look at the vendor's list"),
            );
        }
        Some(version) if version < RUN => VERSION.failed(subject, found),
        Some(version) if version < SUPPORTED => VERSION.failed_as(Severity::Warning, subject, found),
        Some(_) => return VERSION.ok(subject, found),
    };
    failed.expected("MongoDB 5.0 or later").remedy("upgrade the server: connectors do not support this version")
}

fn features(evidence: &Evidence<'_>) -> Finding {
    let subject = &evidence.facts.address;
    with(&FEATURES, subject, &evidence.facts.feature_version, MONITOR, |features| {
        let (Some(own), Some(used)) = (numbers(&evidence.facts.server.version), numbers(features)) else {
            return FEATURES.skipped(subject, "it does not say");
        };
        if used >= own {
            return FEATURES.ok(subject, features);
        }
        // From that version on, the server asks for a confirmation.
        let confirm = if own >= (7, 0) { ", confirm: true" } else { "" };
        FEATURES.failed(subject, features).expected(format!("{}.{}", own.0, own.1)).remedy(
            on_primary(format!(
                "db.adminCommand({{setFeatureCompatibilityVersion: \"{}.{}\"{confirm}}})",
                own.0, own.1
            ))
            .note("only when you no longer need to go back"),
        )
    })
}

/// The first two numbers of a version.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let digits = version.trim_start_matches(|c: char| !c.is_ascii_digit());
    let mut parts = digits.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

fn tls(subject: &str, endpoint: &Endpoint) -> Finding {
    let url = &endpoint.url;
    if is_local(url) {
        return TLS.ok(subject, "the server is on this machine");
    }
    let Ok(parameters) = Parameters::read(url) else {
        return TLS.unknown(subject, "heartbeatd refuses a parameter of the address; requires an address without it");
    };
    let observed = if !parameters.uses_tls() {
        "nothing is encrypted"
    } else if parameters.any_certificate {
        "encrypted, but the certificate is not verified"
    } else {
        return TLS.ok(subject, "tls=true");
    };
    TLS.failed(subject, observed).expected("tls=true").remedy(
        "put tls=true into the address, and tlsCAFile=FILE unless this machine trusts the authority already; take \
         tlsInsecure and tlsAllowInvalidCertificates out",
    )
}
