//! The exact next step for a failure: for SQL*Plus, ready to run, with this target's names. Called by the driver's `remedy`;
//! for people, who read it on a page, in a log or in a report.

use super::identifier::{literal, quote, quoted_table, stored};
use super::parameters::Place;
use crate::driver::oracle::parameters::Parameters;
use crate::heartbeat::{ErrorClass, ErrorKind, Failure};
use crate::plan;
use crate::plan::columns::ColumnFault;
use crate::target::Target;

/// Where an administrator's statements are typed.
pub(super) const AS_ADMINISTRATOR: &str = "in SQL*Plus, as an administrator, in the database that is beaten:";
/// Where the listener is asked.
const ON_SERVER: &str = "on the database's machine:";

/// How archiving begins; the database is restarted for it.
pub(super) const ARCHIVE: &str = "in SQL*Plus, as SYSDBA, in the root container, at a time when a restart may be: SHUTDOWN \
                                  IMMEDIATE; STARTUP MOUNT; ALTER DATABASE ARCHIVELOG; ALTER DATABASE OPEN; on RDS, set \
                                  the backup retention period above 0";
/// How minimal supplemental logging begins.
pub(super) const MINIMAL_LOGGING: &str = "in SQL*Plus, as SYSDBA, in the root container: ALTER DATABASE ADD SUPPLEMENTAL LOG \
                                          DATA; on RDS: EXEC rdsadmin.rdsadmin_util.alter_supplemental_logging('ADD');";

/// What mends the faults of a table's columns. A table with a wrong column is kept whole under another name.
pub(super) fn mend(table: &str, faults: &[ColumnFault]) -> String {
    if faults.iter().any(ColumnFault::is_in_the_way) {
        return format!(
            "give the table another name, and let a right one be made in its place; {AS_ADMINISTRATOR} ALTER TABLE {table} \
             RENAME TO STREAMKAP_HEARTBEAT_OLD;"
        );
    }
    let column = |fault: &ColumnFault| match fault.column {
        "id" => "ID NUMBER",
        "text" => "TEXT VARCHAR2(4000)",
        _ => "LAST_UPDATE TIMESTAMP",
    };
    let columns: Vec<&str> = faults.iter().map(column).collect();
    format!("{AS_ADMINISTRATOR} ALTER TABLE {table} ADD ({});", columns.join(", "))
}

/// The next step, where one is known.
pub(super) fn remedy(failure: &Failure, target: &Target) -> Option<String> {
    match failure.kind().class() {
        ErrorClass::Connection => connection(failure, target),
        _ => database(failure, target),
    }
}

fn connection(failure: &Failure, target: &Target) -> Option<String> {
    let url = &target.endpoint.url;
    let user = url.user().map_or_else(|| "USER".to_owned(), quote);
    let plain = url.user().map_or_else(|| literal("USER"), |user| literal(&stored(user)));
    Some(match failure.kind() {
        ErrorKind::Name => "check the host's name in the address, and this machine's resolver".to_owned(),
        ErrorKind::Refused => format!(
            "check the port in the address (1521 where it names none), and that the listener runs; {ON_SERVER} lsnrctl \
             status"
        ),
        ErrorKind::Network => {
            "check network and firewall between heartbeatd and the listener, and the database's alert log".to_owned()
        }
        ErrorKind::Timeout => format!(
            "check network and firewall (is the port dropped, the server frozen?) and whether the archiver hangs on a \
             full recovery area ({AS_ADMINISTRATOR} SELECT * FROM V$RECOVERY_FILE_DEST;), or raise timeout, now {}",
            humantime::format_duration(target.timeout)
        ),
        ErrorKind::Tls => {
            "put the authority's certificate into ewallet.pem in the folder wallet_location=, compare the host in the \
             address with the names in the server's certificate, and its dates with today; protocol=tcp if the listener \
             has no TLS on this port"
                .to_owned()
        }
        ErrorKind::Auth => match failure.code() {
            Some("ORA-28000") => format!(
                "the account is locked: stop whatever logs in with a wrong password, then, {AS_ADMINISTRATOR} ALTER USER \
                 {user} ACCOUNT UNLOCK;"
            ),
            Some("ORA-28001") => {
                format!("give the account a new password, {AS_ADMINISTRATOR} ALTER USER {user} IDENTIFIED BY password;")
            }
            Some("ORA-28009") => "log in as a user of heartbeatd's own, not as SYS".to_owned(),
            _ => match (&target.endpoint.password, url.user()) {
                (_, None) => "write oracle://user@host/service and set password for this target".to_owned(),
                (None, Some(_)) => "set password for this target".to_owned(),
                (Some(source), Some(_)) => format!(
                    "compare the user and the password in {source} before many more tries, since the account is locked \
                     after ten (by default); {AS_ADMINISTRATOR} SELECT ACCOUNT_STATUS FROM DBA_USERS WHERE USERNAME = \
                     {plain};"
                ),
            },
        },
        ErrorKind::AuthMethod => match failure.code() {
            Some("ORA-12660") => {
                "the server asks for Oracle's native network encryption, which this client does not have: use a port \
                 with TLS (protocol=tcps), or a build with the client \"oci\""
                    .to_owned()
            }
            _ => format!(
                "set the account's password again, so that it gets a verifier of version 12C (SQLNET.ALLOWED_LOGON_VERSION_SERVER \
                 must allow it); {AS_ADMINISTRATOR} SELECT PASSWORD_VERSIONS FROM DBA_USERS WHERE USERNAME = {plain};"
            ),
        },
        ErrorKind::ClientLibrary => {
            "install Oracle Instant Client, the package Basic or Basic Light (oracle-instantclient-basiclite), let the loader \
             know its folder (LD_LIBRARY_PATH, or a file in /etc/ld.so.conf.d and ldconfig), and restart heartbeatd; or take \
             client=oci out of the address"
                .to_owned()
        }
        ErrorKind::MissingDatabase => {
            format!("compare the service in the address with those that the listener has; {ON_SERVER} lsnrctl services")
        }
        ErrorKind::TooManyConnections => format!(
            "lower the number of sessions, or raise PROCESSES and SESSIONS; {AS_ADMINISTRATOR} SELECT RESOURCE_NAME, \
             CURRENT_UTILIZATION, LIMIT_VALUE FROM V$RESOURCE_LIMIT WHERE RESOURCE_NAME IN ('processes', 'sessions');"
        ),
        ErrorKind::Starting => "wait for the instance to open; its alert log says how far it is".to_owned(),
        ErrorKind::Shutdown => {
            "wait for the instance to come back; if an administrator ended the session, no action is needed".to_owned()
        }
        ErrorKind::NotWritable => {
            "name the primary in the address (all hosts of a Data Guard configuration may be named), or a service that \
             runs on the primary alone"
                .to_owned()
        }
        ErrorKind::Identity => "if the database was replaced on purpose, restart or reload heartbeatd; if not, find out \
                                which database answers under this service"
            .to_owned(),
        ErrorKind::Protocol => "check that a listener of Oracle 12 or newer is on this port, without TLS unless the \
                                address says protocol=tcps"
            .to_owned(),
        ErrorKind::Settings => match Parameters::read(url).map(|parameters| parameters.place) {
            Ok(Place::Alias(_)) => "check the alias in tnsnames.ora, in the folder tns_admin= or TNS_ADMIN".to_owned(),
            Ok(Place::Descriptor(_)) => "check the descriptor in the address".to_owned(),
            _ => return None,
        },
        _ => return None,
    })
}

fn database(failure: &Failure, target: &Target) -> Option<String> {
    let (heartbeat, provision) = (&target.heartbeat, plan::command_in_words(target));
    let table = quoted_table(heartbeat);
    let grant = || {
        let user = target.endpoint.url.user().map_or_else(|| "USER".to_owned(), quote);
        format!("{AS_ADMINISTRATOR} GRANT SELECT, UPDATE ON {table} TO {user};")
    };
    Some(match failure.kind() {
        ErrorKind::MissingTable => format!(
            "Oracle says the same of a table that is missing and of one that the user may not see. Create what is \
             missing: {provision}. If the table exists: {}",
            grant()
        ),
        ErrorKind::MissingColumn => format!(
            "{AS_ADMINISTRATOR} DESCRIBE {table} shows its columns; a beat needs ID and LAST_UPDATE: ALTER TABLE {table} \
             ADD (LAST_UPDATE TIMESTAMP);"
        ),
        ErrorKind::ColumnType => {
            format!("a beat needs ID as a NUMBER and LAST_UPDATE as a TIMESTAMP; {AS_ADMINISTRATOR} DESCRIBE {table}")
        }
        ErrorKind::MissingRow => format!(
            "create the row with ID {}: {provision}; if SELECT ID FROM {table}; shows another, set row under \
             [target.heartbeat]",
            heartbeat.row_number(),
        ),
        ErrorKind::DuplicateRows => format!(
            "keep one row of this ID, then, {AS_ADMINISTRATOR} ALTER TABLE {table} ADD PRIMARY KEY (ID); the rows: SELECT \
             ROWID, LAST_UPDATE FROM {table} WHERE ID = {};",
            heartbeat.row_number(),
        ),
        ErrorKind::RowNotUpdatable => format!(
            "look for a trigger or a policy on {table}; {AS_ADMINISTRATOR} SELECT OWNER, TRIGGER_NAME, STATUS FROM \
             DBA_TRIGGERS WHERE TABLE_OWNER = {} AND TABLE_NAME = {};",
            literal(&stored(&heartbeat.schema)),
            literal(&stored(&heartbeat.table)),
        ),
        ErrorKind::Rejected => "read the server's message: it refuses the update for a reason of its own".to_owned(),
        ErrorKind::Privilege => match failure.code() {
            Some("ORA-01045") => {
                let user = target.endpoint.url.user().map_or_else(|| "USER".to_owned(), quote);
                format!("{AS_ADMINISTRATOR} GRANT CREATE SESSION TO {user};")
            }
            _ => grant(),
        },
        ErrorKind::Lock => format!(
            "find who holds the row; {AS_ADMINISTRATOR} SELECT SID, SERIAL#, USERNAME, PROGRAM, SECONDS_IN_WAIT FROM \
             V$SESSION WHERE SID IN (SELECT SESSION_ID FROM V$LOCKED_OBJECT L JOIN DBA_OBJECTS O ON O.OBJECT_ID = \
             L.OBJECT_ID WHERE O.OWNER = {} AND O.OBJECT_NAME = {});",
            literal(&stored(&heartbeat.schema)),
            literal(&stored(&heartbeat.table)),
        ),
        ErrorKind::StatementTimeout => {
            "find what keeps the server busy; a resource plan may limit the session".to_owned()
        }
        ErrorKind::DiskFull => match failure.code() {
            Some("ORA-00257" | "ORA-19809" | "ORA-19815") => format!(
                "archived logs have nowhere to go, and every change waits: enlarge the recovery area (ALTER SYSTEM SET \
                 DB_RECOVERY_FILE_DEST_SIZE), or free space in it with RMAN, but of archived logs only those that are \
                 backed up and that the connector has read; {AS_ADMINISTRATOR} SELECT NAME, SPACE_LIMIT, SPACE_USED, \
                 SPACE_RECLAIMABLE FROM V$RECOVERY_FILE_DEST;"
            ),
            Some("ORA-01536") => format!(
                "{AS_ADMINISTRATOR} SELECT TABLESPACE_NAME, BYTES, MAX_BYTES FROM DBA_TS_QUOTAS WHERE USERNAME = {};",
                literal(&stored(&heartbeat.schema)),
            ),
            _ => "enlarge the tablespace that the message names: ALTER TABLESPACE ... ADD DATAFILE".to_owned(),
        },
        ErrorKind::Memory => {
            "look at the instance's memory: SGA_TARGET, PGA_AGGREGATE_LIMIT, and its alert log".to_owned()
        }
        ErrorKind::Limit => {
            "the message names the limit: raise it on the server (or, for threads and open files, for heartbeatd)"
                .to_owned()
        }
        ErrorKind::Storage => "look at the database's disks and alert log at once: its storage fails".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Endpoint;

    fn target() -> Target {
        let mut target = Target::new("orders", Endpoint::parse("oracle://hb:x@db.example/pdb1").unwrap());
        target.heartbeat = super::super::family::defaults().heartbeat;
        target
    }

    #[test]
    fn every_kind_this_driver_gives_has_a_next_step_but_those_that_heal_by_themselves() {
        for kind in ErrorKind::ALL.iter().copied() {
            let expected = !matches!(
                kind,
                ErrorKind::SecretSource
                    | ErrorKind::MissingFile
                    | ErrorKind::MissingSchema
                    | ErrorKind::OldTimeline
                    | ErrorKind::ReadOnlySetting
                    | ErrorKind::NoPrimary
                    | ErrorKind::Unconfirmed
                    | ErrorKind::Settings
                    | ErrorKind::Conflict
                    | ErrorKind::Throttled
                    | ErrorKind::Unknown
                    | ErrorKind::Internal
            );
            assert_eq!(remedy(&Failure::new(kind, "x"), &target()).is_some(), expected, "{kind}");
        }
    }

    #[test]
    fn a_code_that_says_more_than_its_kind_has_a_step_of_its_own() {
        let remedy = |code: u32| remedy(&super::super::errors::of_code(code), &target()).unwrap();
        assert!(remedy(28_000).contains("ALTER USER \"HB\" ACCOUNT UNLOCK;"));
        assert!(remedy(257).contains("DB_RECOVERY_FILE_DEST_SIZE"));
        assert!(remedy(1045).contains("GRANT CREATE SESSION TO \"HB\";"));
        assert!(remedy(942).contains("GRANT SELECT, UPDATE ON \"STREAMKAP_USER\".\"STREAMKAP_HEARTBEAT\" TO \"HB\";"));
    }
}
