//! The checks of every server that gets beats.

use std::net::IpAddr;
use std::time::Duration;

use crate::database_url::{DatabaseUrl, Host};
use crate::finding::{Case, Check, Finding, Rung, Severity};
use crate::time::words;

/// That it takes writes.
pub(in crate::driver) const WRITABLE: Check = Check {
    id: "server-writable",
    severity: Severity::Error,
    rung: Rung::Connection,
    title: "the server is the primary and takes writes",
    meaning: "heartbeatd cannot write a beat on a replica, or on a primary that a setting makes read-only. After a \
              failover the old address often leads to a replica.",
    judged: "PostgreSQL: pg_is_in_recovery() and default_transaction_read_only. MySQL, MariaDB: read_only, \
             super_read_only, innodb_read_only and transaction_read_only; a warning if the server takes writes and \
             also follows another server. MongoDB: hello. Oracle: the role in Data Guard and V$DATABASE.OPEN_MODE. SQL Server: DATABASEPROPERTYEX, Updateability. The finding \
             names the cause.",
    privilege: "a login; MySQL, MariaDB: REPLICATION CLIENT or REPLICA MONITOR to see that it follows another server; \
                Oracle: SELECT_CATALOG_ROLE to see the open mode",
    source: "vendor page on heartbeats: the scheduled job runs on the primary; measured: the server gives the same \
             error for a replica and a setting (SQLSTATE 25006, error 1290)",
};
/// Its version.
pub(in crate::driver) const VERSION: Check = Check {
    id: "server-version",
    severity: Severity::Error,
    rung: Rung::Advice,
    title: "connectors support the server's version",
    meaning: "PostgreSQL: the connector's plugin pgoutput exists from 10 on, and read-only snapshots need 13. MySQL, \
              MariaDB: connectors do not support MySQL below 5.7 and MariaDB below 10.2; the vendor supports MariaDB \
              from 11.4.3 on.",
    judged: "PostgreSQL: an error below 10, a warning below 13. MySQL: an error below 5.7, a warning below 8.0. MariaDB: an \
             error below 10.2, a warning below 10.6, an advice below 11.4.3. MongoDB: an error below 4.4, a warning below \
             5.0. Oracle: an error below 12, a warning below 19. SQL Server: an error below 2016, in Express and Web Edition, and for \
             Babelfish.",
    privilege: "a login",
    source: "vendor's set-up guides for PostgreSQL, MySQL and MariaDB, versions; the publishers' end-of-life dates",
};
/// Its clock.
pub(in crate::driver) const CLOCK: Check = Check {
    id: "server-clock",
    severity: Severity::Warning,
    rung: Rung::Advice,
    title: "the clocks of the server and of this machine agree",
    meaning: "A beat contains the server's time. If a clock is wrong, every age in reports and alerts is wrong by the \
              same amount, and so are password expiry and certificates.",
    judged: "The server's clock, compared with this machine's. Fails if they differ by more than the time-out and five \
             seconds.",
    privilege: "a login",
    source: "measured: the value of a beat is the server's clock",
};
/// That no other server can answer in its place.
pub(in crate::driver) const TLS: Check = Check {
    id: "tls-verified",
    severity: Severity::Warning,
    rung: Rung::Advice,
    title: "heartbeatd verifies the server's certificate",
    meaning: "Without verification an attacker on the network can answer as the server and read the password. With the \
              default (prefer, preferred) the connection may not even be encrypted.",
    judged: "sslmode or ssl-mode of each address, and whether the session is encrypted. Fails unless it is verify-full \
             (PostgreSQL) or verify_identity (MySQL, MariaDB); verify-ca accepts any name. MongoDB: tls, and whether \
             the client accepts any certificate. Oracle: protocol=tcps, which always compares the name. SQL Server: Encrypt and \
             TrustServerCertificate. A socket or a loopback address needs no TLS.",
    privilege: "none",
    source: "https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-PROTECTION; \
             https://dev.mysql.com/doc/refman/8.4/en/connection-options.html#option_general_ssl-mode",
};
/// Writers inside the database.
pub(in crate::driver) const NATIVE: Check = Check {
    id: "native-scheduler",
    severity: Severity::Warning,
    rung: Rung::Advice,
    title: "no scheduled job of the database writes the row in addition to heartbeatd; if heartbeatd only watches, the \
            job works",
    meaning: "A job that also writes the row doubles the events. A job that fails, was disabled by a failover, or \
              updates another row looks like a heartbeat and is not one.",
    judged: "PostgreSQL: cron.job and cron.job_run_details if pg_cron is in this database; another database hides its \
             jobs, so the check is unknown while pg_cron's launcher runs. MySQL, MariaDB: information_schema.EVENTS \
             and event_scheduler. Oracle: ALL_SCHEDULER_JOBS with an action that names the table; a job that runs a \
             program or a procedure is not found. SQL Server: enabled jobs of SQL Server Agent whose steps name the table.",
    privilege: "PostgreSQL: USAGE on the schema cron, and owner of the job or superuser. MySQL, MariaDB: EVENT on the \
                heartbeat's schema. Oracle: SELECT_CATALOG_ROLE. Other users see no row and no error. SQL Server: SELECT on \
                msdb.dbo.sysjobs and sysjobsteps",
    source: "vendor page on heartbeats, pg_cron and the event scheduler; measured: both hide jobs from other users \
             without an error; an event on a replica stays disabled when the replica becomes the source; of Galera's \
             nodes only one runs an event",
};

/// Judges the server's clock, given in microseconds since 1970.
pub(in crate::driver) fn clock(subject: &str, server_time: i64, case: &Case<'_>) -> Finding {
    let ahead = server_time.saturating_sub(case.now.taken_at);
    let apart = Duration::from_micros(ahead.unsigned_abs());
    // The look itself took a part of the time-out.
    let limit = case.target.timeout + Duration::from_secs(5);
    let direction = if ahead < 0 { "behind" } else { "ahead of" };
    let observed = format!("the server's clock is {} {direction} the clock here", words(apart));
    if apart <= limit {
        return CLOCK.ok(subject, observed);
    }
    CLOCK.failed(subject, observed).expected(format!("at most {}", words(limit))).remedy(
        "compare both with a third clock, and let the wrong machine keep time by NTP (timedatectl, chronyc tracking)",
    )
}

/// Whether nothing of an address leaves this machine.
pub(in crate::driver) fn is_local(url: &DatabaseUrl) -> bool {
    url.hosts().iter().all(is_this_machine)
}

fn is_this_machine(host: &Host) -> bool {
    let name = host.name.trim_start_matches('[').trim_end_matches(']');
    host.is_socket() || name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
