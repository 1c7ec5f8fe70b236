//! The server that gets the beats: whether it accepts writes, its version, and whether its certificate is verified.

use tiberius::EncryptionLevel;

use super::evidence::{CATALOGUE, Evidence, with};
use crate::driver::shared_checks::server::{self, CLOCK, clock, is_local};
use crate::driver::sqlserver::identifier::quote;
use crate::driver::sqlserver::parameters::Parameters;
use crate::driver::sqlserver::remedies;
use crate::finding::{Check, Finding, How, Rung, Severity};
use crate::target::Endpoint;

const WRITABLE: Check = server::WRITABLE.how(How {
    judged: "DATABASEPROPERTYEX, Updateability. Fails unless it is READ_WRITE.",
    privilege: "a login with a user in the database",
    source: "vendor page on heartbeats: the scheduled job runs on the primary",
});
const VERSION: Check = server::VERSION.how(How {
    judged: "SERVERPROPERTY and @@VERSION. An error below 2016, in Express and Web Edition, and for a server that is \
             not SQL Server (Babelfish).",
    privilege: "a login with a user in the database",
    source: "vendor's set-up guide for SQL Server, versions; the publisher's end-of-life dates",
});
const TLS: Check = server::TLS.how(How {
    judged: "Encrypt and TrustServerCertificate of each address. Fails without encryption, and if heartbeatd trusts any \
             certificate. A socket or a loopback address needs no TLS.",
    privilege: "none",
    source: "Microsoft's page of connection strings, Encrypt and TrustServerCertificate",
});

const SNAPSHOT: Check = Check {
    id: "snapshot-isolation",
    severity: Severity::Info,
    rung: Rung::Advice,
    title: "the database allows snapshot isolation",
    meaning: "A connector that takes its snapshots in this mode blocks no other session, and can read a secondary; no beat needs it.",
    judged: "sys.databases.snapshot_isolation_state_desc: fails if it is OFF.",
    privilege: "a login with a user in the database",
    source: "https://debezium.io/documentation/reference/stable/connectors/sqlserver.html, snapshot.isolation.mode",
};

pub(super) const CHECKS: &[Check] = &[WRITABLE, VERSION, CLOCK, TLS, SNAPSHOT];

/// SQL Server 2016: the oldest version in the vendor's set-up guide, and the oldest with the T-SQL that is used here.
const OLDEST: u32 = 13;

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let address = &evidence.facts.address;
    let mut findings =
        vec![writable(evidence), version(evidence), clock(address, evidence.facts.server.time, evidence.case)];
    findings.push(tls(address, &evidence.target.endpoint));
    for replica in &evidence.target.replicas {
        findings.push(tls(&format!("replica {}", replica.name), &replica.endpoint));
    }
    findings.push(snapshot(evidence));
    findings
}

fn writable(evidence: &Evidence<'_>) -> Finding {
    let (server, subject) = (&evidence.facts.server, &evidence.facts.address);
    match server.updateability.as_str() {
        "READ_WRITE" => return WRITABLE.ok(subject, "the database accepts writes"),
        "" if !server.read_only => {
            return WRITABLE.unknown(subject, "the server does not say; requires DATABASEPROPERTYEX, Updateability");
        }
        _ => {}
    }
    let (observed, remedy) = if server.read_only {
        ("the database is read-only by its own setting", remedies::set_read_write(evidence.target))
    } else {
        (
            "a secondary replica",
            "name the availability group's listener, or every replica: mssql://user@first,second/database".into(),
        )
    };
    WRITABLE.failed(subject, observed).expected("READ_WRITE").remedy(remedy)
}

fn version(evidence: &Evidence<'_>) -> Finding {
    let (server, subject) = (&evidence.facts.server, &evidence.facts.address);
    if server.babelfish {
        return VERSION
            .failed(subject, "Babelfish: PostgreSQL that speaks T-SQL, without change data capture")
            .expected("SQL Server 2016 or later")
            .remedy("use PostgreSQL's own port, and heartbeatd's PostgreSQL driver: postgres://user@host/database");
    }
    if let Some(name) = server.lookalike() {
        return VERSION
            .failed(subject, format!("{name}: not a SQL Server"))
            .expected("SQL Server 2016 or later")
            .remedy("use the database behind it by that database's own protocol: connectors read SQL Server's change tables");
    }
    if server.version.is_empty() && !server.is_azure() {
        return VERSION
            .unknown(subject, "the server does not say its version; requires SERVERPROPERTY, ProductVersion");
    }
    let found = format!("{} {}", server.version, server.edition);
    match server.version.split('.').next().and_then(|number| number.parse::<u32>().ok()) {
        // In Azure the version number says nothing about the server's features.
        _ if server.is_azure() => VERSION.ok(subject, found),
        None => VERSION
            .unknown(subject, format!("{found} cannot be compared as a version; requires a look at the vendor's list")),
        Some(number) if number < OLDEST => VERSION
            .failed(subject, found)
            .expected("13 (SQL Server 2016) or later")
            .remedy("upgrade the server: connectors do not support this version"),
        Some(_) if server.is_without_cdc() => VERSION
            .failed(subject, format!("{found}: this edition has no change data capture"))
            .expected("Standard, Enterprise or Developer Edition")
            .remedy("move the database to an edition that has it"),
        Some(_) => VERSION.ok(subject, found),
    }
}

fn tls(subject: &str, endpoint: &Endpoint) -> Finding {
    if is_local(&endpoint.url) {
        return TLS.ok(subject, "the server is on this machine");
    }
    let Ok(parameters) = Parameters::read(&endpoint.url) else {
        return TLS.unknown(subject, "heartbeatd refuses a parameter of the address; requires an address without it");
    };
    let observed = match parameters.encryption {
        EncryptionLevel::NotSupported => "nothing is encrypted, the password included",
        _ if parameters.any_certificate => "encrypted, but the certificate is not verified",
        EncryptionLevel::Off => "only the login is encrypted",
        _ => return TLS.ok(subject, "encrypted, and the certificate is verified"),
    };
    TLS.failed(subject, observed).expected("Encrypt=mandatory or strict").remedy(
        "take Encrypt and TrustServerCertificate out of the address, and name the authority with CaFile=FILE unless this \
         machine trusts it already",
    )
}

fn snapshot(evidence: &Evidence<'_>) -> Finding {
    let subject = &evidence.facts.server.database;
    with(&SNAPSHOT, subject, &evidence.facts.database, CATALOGUE, |database| {
        match database.snapshot_isolation.as_str() {
            "OFF" => {}
            "" => {
                return SNAPSHOT
                    .unknown(subject, "the server does not say; requires sys.databases.snapshot_isolation_state_desc");
            }
            state => return SNAPSHOT.ok(subject, state),
        }
        SNAPSHOT.failed(subject, "OFF").expected("ON").remedy(
            remedies::as_administrator(format!("ALTER DATABASE {} SET ALLOW_SNAPSHOT_ISOLATION ON;", quote(subject)))
                .note("if the connector uses it: row versions need space in tempdb"),
        )
    })
}
