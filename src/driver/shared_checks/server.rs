//! What is asked of every server that is beaten.

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
    meaning: "A replica takes no beat, nor does a primary that a setting makes read-only. After a failover the old address \
              often leads to a replica.",
    judged: "PostgreSQL: pg_is_in_recovery() and default_transaction_read_only. MySQL, MariaDB: read_only, \
             super_read_only, innodb_read_only and transaction_read_only; a warning where the server takes writes and \
             follows another one all the same. Each cause is told by itself. MongoDB: hello.",
    privilege: "a login; MySQL, MariaDB: REPLICATION CLIENT or REPLICA MONITOR to see that it follows another server",
    source: "vendor page on heartbeats: the scheduled job runs on the primary; measured: what refuses says the same for \
             both (SQLSTATE 25006, error 1290)",
};
/// Its version.
pub(in crate::driver) const VERSION: Check = Check {
    id: "server-version",
    severity: Severity::Error,
    rung: Rung::Advice,
    title: "the server's version is one that connectors work on",
    meaning: "PostgreSQL: the connector's plugin pgoutput came with 10, snapshots that only read need 13. MySQL below 5.7 \
              and MariaDB below 10.2 are not known to connectors; the vendor supports MariaDB from 11.4.3 on.",
    judged: "PostgreSQL: an error below 10, a warning below 13. MySQL: an error below 5.7, a warning below 8.0. MariaDB: an \
             error below 10.2, a warning below 10.6, an advice below 11.4.3. MongoDB: an error below 4.4, a warning below \
             5.0.",
    privilege: "a login",
    source: "vendor's set-up guides for PostgreSQL, MySQL and MariaDB, versions; the makers' dates of end of life",
};
/// Its clock.
pub(in crate::driver) const CLOCK: Check = Check {
    id: "server-clock",
    severity: Severity::Warning,
    rung: Rung::Advice,
    title: "the clocks of the server and of this machine agree",
    meaning: "Beats carry the server's time. With a wrong clock every age in reports and alerts is wrong by as much, and \
              password expiry and certificates, too.",
    judged: "The server's clock against the clock here: fails when they differ by more than the time-out and five seconds.",
    privilege: "a login",
    source: "measured: a beat's value is the server's clock",
};
/// That nobody else can answer for it.
pub(in crate::driver) const TLS: Check = Check {
    id: "tls-verified",
    severity: Severity::Warning,
    rung: Rung::Advice,
    title: "the server proves who it is",
    meaning: "Without verification anybody on the way can answer as the server and read the password; with the default \
              (prefer, preferred) the connection may not even be encrypted.",
    judged: "sslmode or ssl-mode of each address, and whether the session is encrypted: fails unless it is verify-full \
             (PostgreSQL) or verify_identity (MySQL, MariaDB); verify-ca takes any name. MongoDB: tls, and whether any \
             certificate will do. A socket or a loopback address needs no TLS.",
    privilege: "none",
    source: "https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-PROTECTION; \
             https://dev.mysql.com/doc/refman/8.4/en/connection-options.html#option_general_ssl-mode",
};
/// Writers inside the database.
pub(in crate::driver) const NATIVE: Check = Check {
    id: "native-scheduler",
    severity: Severity::Warning,
    rung: Rung::Advice,
    title: "no scheduled job of the database beats beside heartbeatd, and one that heartbeatd only watches works",
    meaning: "A job that beats as well doubles the events; one that fails, is switched off since a failover, or updates \
              another row, makes somebody believe in a heartbeat that is not there.",
    judged: "PostgreSQL: cron.job and cron.job_run_details, where pg_cron is in this database; from another database its \
             jobs cannot be seen: unknown while its launcher runs. MySQL, MariaDB: information_schema.EVENTS and \
             event_scheduler.",
    privilege: "PostgreSQL: USAGE on the schema cron, and being the owner of the job or a superuser. MySQL, MariaDB: EVENT \
                on the heartbeat's schema. Others see no row, and no error",
    source: "vendor page on heartbeats, pg_cron and the event scheduler; measured: both show others nothing, without an \
             error; an event that a replica holds stays disabled when it becomes the source; of Galera's nodes one runs it",
};

/// Judges the server's clock, given in microseconds since 1970.
pub(in crate::driver) fn clock(subject: &str, server_time: i64, case: &Case<'_>) -> Finding {
    let ahead = server_time - case.now.taken_at;
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
