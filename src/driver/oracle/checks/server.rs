//! The database that gets the beats: whether it accepts writes, which container the session is in, and the server's
//! version.

use super::evidence::{Evidence, with};
use crate::driver::oracle::facts::ROOT;
use crate::driver::oracle::parameters::{Parameters, Place};
use crate::driver::shared_checks::server::{self, CLOCK, clock, is_local};
use crate::finding::{Check, Finding, How, Rung, Severity};
use crate::target::Endpoint;

const WRITABLE: Check = server::WRITABLE.how(How {
    judged: "The role in Data Guard, and V$DATABASE.OPEN_MODE. Fails for a standby, and for a database that is open \
             read-only.",
    privilege: "a login, and SELECT_CATALOG_ROLE to see the open mode",
    source: "vendor page on heartbeats: the scheduled job runs on the primary",
});
const VERSION: Check = server::VERSION.how(How {
    judged: "The version at login. An error below 12, a warning below 19.",
    privilege: "a login",
    source: "vendor's set-up guide for Oracle, versions; the publisher's end-of-life dates",
});
const TLS: Check = server::TLS.how(How {
    judged: "The protocol of each address. Fails unless it is tcps, which always compares the name. A socket or a \
             loopback address needs no TLS.",
    privilege: "none",
    source: "Oracle's documentation of Easy Connect Plus",
});

const CONTAINER: Check = Check {
    id: "container",
    severity: Severity::Error,
    rung: Rung::Connection,
    title: "the session is in the database that the connector reads",
    meaning: "In a multitenant database the heartbeat belongs in the pluggable database that the connector captures. \
              The service in the address decides where a session is.",
    judged: "SYS_CONTEXT('USERENV', 'CON_NAME'): fails in CDB$ROOT.",
    privilege: "a login",
    source: "vendor page on heartbeats for Oracle: the table is made in the pluggable database",
};

pub(super) const CHECKS: &[Check] = &[WRITABLE, CONTAINER, VERSION, CLOCK, TLS];

/// The oldest version that connectors support.
const SUPPORTED: u32 = 19;
/// The oldest version that the client supports.
const OLDEST: u32 = 12;

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let address = &evidence.facts.address;
    let mut findings = vec![
        writable(evidence),
        container(evidence),
        version(evidence),
        clock(address, evidence.facts.context.time, evidence.case),
        tls(address, &evidence.target.endpoint),
    ];
    for replica in &evidence.target.replicas {
        findings.push(tls(&format!("replica {}", replica.name), &replica.endpoint));
    }
    findings
}

fn writable(evidence: &Evidence<'_>) -> Finding {
    let (facts, subject) = (&evidence.facts, &evidence.facts.address);
    if facts.context.role != "PRIMARY" {
        return WRITABLE
            .failed(subject, format!("its role is {}", facts.context.role))
            .expected("PRIMARY")
            .remedy("name the primary in the address, or a service that runs on the primary alone");
    }
    with(&WRITABLE, subject, &facts.database, &evidence.catalogue(), |database| {
        if database.open_mode == "READ WRITE" {
            return WRITABLE.ok(subject, "the primary, open READ WRITE");
        }
        let advice = match facts.context.multitenant {
            true => "open the pluggable database READ WRITE; it has to be closed first, which ends its sessions",
            false => "restart the database, and open it READ WRITE",
        };
        WRITABLE.failed(subject, format!("it is open {}", database.open_mode)).expected("READ WRITE").remedy(advice)
    })
}

fn container(evidence: &Evidence<'_>) -> Finding {
    let (context, subject) = (&evidence.facts.context, &evidence.facts.address);
    if evidence.is_in_root() {
        return CONTAINER
            .failed(subject, format!("the session is in {ROOT}"))
            .expected("a pluggable database")
            .remedy("write the service of the pluggable database into the address, after the host");
    }
    let kind = if context.multitenant { "the pluggable database" } else { "the single-tenant database" };
    CONTAINER.ok(subject, format!("{kind} {}", context.container))
}

fn version(evidence: &Evidence<'_>) -> Finding {
    let (found, subject) = (&evidence.facts.version, &evidence.facts.address);
    let digits: String = found.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    let failed = match digits.parse::<u32>() {
        Err(_) => {
            let why = format!("{found} cannot be compared as a version; requires a look at the vendor's list");
            return VERSION.unknown(subject, why);
        }
        Ok(version) if version < OLDEST => VERSION.failed(subject, found),
        Ok(version) if version < SUPPORTED => VERSION.failed_as(Severity::Warning, subject, found),
        Ok(_) => return VERSION.ok(subject, found),
    };
    failed.expected("Oracle 19 or later").remedy("upgrade the database: Oracle no longer supports this version")
}

fn tls(subject: &str, endpoint: &Endpoint) -> Finding {
    let url = &endpoint.url;
    if is_local(url) {
        return TLS.ok(subject, "the server is on this machine");
    }
    match Parameters::read(url) {
        Err(_) => TLS.unknown(subject, "heartbeatd refuses a parameter of the address; requires an address without it"),
        Ok(parameters) if parameters.place != Place::Hosts => {
            TLS.skipped(subject, "heartbeatd does not read the alias or the descriptor")
        }
        Ok(parameters) if parameters.tls => TLS.ok(subject, "protocol=tcps"),
        Ok(_) => TLS.failed(subject, "nothing is encrypted").expected("protocol=tcps").remedy(
            "put protocol=tcps and the listener's port for TLS into the address, and wallet_location=FOLDER with the \
             authority's certificate in ewallet.pem unless this machine trusts it already",
        ),
    }
}
