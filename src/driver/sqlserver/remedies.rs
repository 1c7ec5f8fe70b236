//! The exact next step for a failure: T-SQL ready to run, with this target's names. Called by the driver's `remedy`; for
//! people, who read it on a page, in a log or in a report.

use super::errors::{CANNOT_OPEN, LOGIN_FAILED};
use super::identifier::{literal, quote};
use crate::driver::network;
use crate::heartbeat::{ErrorClass, ErrorKind, Failure};
use crate::plan;
use crate::target::Target;

/// Which sessions wait for whom, and what the ones in front run.
const BLOCKERS: &str = "SELECT session_id, blocking_session_id, wait_type, wait_time FROM sys.dm_exec_requests WHERE \
                        blocking_session_id <> 0;";

/// The next step, where one is known.
pub(super) fn remedy(failure: &Failure, target: &Target) -> Option<String> {
    match failure.kind().class() {
        ErrorClass::Connection => connection(failure, target),
        _ => database(failure, target),
    }
}

fn connection(failure: &Failure, target: &Target) -> Option<String> {
    let url = &target.endpoint.url;
    let is = |number: u32| failure.code().is_some_and(|code| code == number.to_string());
    let user = url.user().map_or_else(|| "the user".to_owned(), quote);
    Some(match failure.kind() {
        ErrorKind::Name => "check the host's name in the address, and this machine's resolver; for a named instance, that \
                            SQL Server Browser runs and UDP port 1434 is open, or write the instance's port: host:port"
            .to_owned(),
        ErrorKind::Refused => "check that SQL Server runs and listens on this port (SQL Server Configuration Manager, \
                               TCP/IP is enabled), and the port in the address"
            .to_owned(),
        ErrorKind::Network => "check network and firewall between heartbeatd and the server; in Azure, the server's \
                               networking rules"
            .to_owned(),
        ErrorKind::Timeout => network::timeout_advice(target.timeout),
        ErrorKind::Tls => "put the certificate of the authority (or the server's own, if it signed itself) into \
                           CaFile=FILE; compare the host in the address with the names in the server's certificate, or name \
                           the right one in HostNameInCertificate; Encrypt=optional if the server has no encryption for data"
            .to_owned(),
        ErrorKind::Auth => match (&target.endpoint.password, url.user()) {
            _ if !is(LOGIN_FAILED) => format!(
                "read the server's message: the login is disabled, locked or expired, or a firewall rule of Azure is \
                 missing; on the server, in master, as an administrator: ALTER LOGIN {user} ENABLE; or ALTER LOGIN {user} \
                 WITH PASSWORD = N'<password>' UNLOCK;"
            ),
            (Some(source), Some(_)) => format!(
                "compare the user and the password in {source}; the server's error log gives the reason as the state of \
                 error 18456; on the server, in master, as an administrator: ALTER LOGIN {user} WITH PASSWORD = \
                 N'<password>';"
            ),
            (None, Some(_)) => "the server asks for a password: set password for this target".to_owned(),
            (_, None) => "the access token was refused: let the command or file that password names give a fresh one, and \
                          make its identity a user of the database (CREATE USER [name] FROM EXTERNAL PROVIDER;)"
                .to_owned(),
        },
        ErrorKind::MissingDatabase => {
            let database = quote(url.database());
            let cause = if is(CANNOT_OPEN) {
                "the database does not exist, is offline, or the login has no user in it"
            } else {
                "the database does not exist"
            };
            format!(
                "{cause}: check the name in the address; if it is right, in {database}, as an administrator: CREATE USER \
                 {user} FOR LOGIN {user};"
            )
        }
        ErrorKind::NotWritable => "if the availability group failed over, name its listener, or both replicas \
                                   (mssql://user@first,second/database): the primary is found; if the database was set \
                                   read-only: ALTER DATABASE CURRENT SET READ_WRITE;"
            .to_owned(),
        ErrorKind::ReadOnlySetting => "the database is read-only by its own setting; on this server, as an administrator: \
                                       ALTER DATABASE CURRENT SET READ_WRITE;"
            .to_owned(),
        ErrorKind::Identity => "if the database was replaced on purpose, restart or reload heartbeatd; if not, find out which \
                                server answers under this name"
            .to_owned(),
        ErrorKind::Starting => "wait until the database has recovered; if it stays so, look at the server's error log, and \
                                at state_desc in sys.databases"
            .to_owned(),
        ErrorKind::Shutdown => {
            "wait for the server to come back; if an administrator ended the session, no action is needed".to_owned()
        }
        ErrorKind::Protocol => "check that a SQL Server from 2016 on listens on this port, and that Encrypt=strict is only \
                                used with one from 2022 on"
            .to_owned(),
        ErrorKind::TooManyConnections => "close other sessions: the server, or this database in single-user mode, takes no \
                                          more; SELECT session_id, login_name, program_name FROM sys.dm_exec_sessions WHERE \
                                          is_user_process = 1;"
            .to_owned(),
        _ => return None,
    })
}

fn database(failure: &Failure, target: &Target) -> Option<String> {
    let (heartbeat, provision) = (&target.heartbeat, plan::command_in_words(target));
    let table = format!("{}.{}", quote(&heartbeat.schema), quote(&heartbeat.table));
    let user = target.endpoint.url.user().map_or_else(|| "[user]".to_owned(), quote);
    Some(match failure.kind() {
        ErrorKind::MissingSchema | ErrorKind::MissingTable => format!("create it: {provision}"),
        ErrorKind::MissingRow => format!(
            "create row {}: {provision}; if SELECT id FROM {table}; shows another, set row under [target.heartbeat]",
            heartbeat.row_number()
        ),
        ErrorKind::MissingColumn | ErrorKind::ColumnType => format!(
            "compare the columns with id, text and last_update (a datetime2): SELECT name, TYPE_NAME(system_type_id), \
             is_computed FROM sys.columns WHERE object_id = OBJECT_ID({}); {provision} --dry-run prints what mends them",
            literal(&table)
        ),
        ErrorKind::DuplicateRows => format!(
            "keep one row: SELECT * FROM {table} WHERE id = {}; then make id the primary key",
            heartbeat.row_number()
        ),
        ErrorKind::RowNotUpdatable => format!(
            "find the trigger or security policy that undoes the update: SELECT name, is_instead_of_trigger FROM \
             sys.triggers WHERE parent_id = OBJECT_ID({}); SELECT name, is_enabled FROM sys.security_policies;",
            literal(&table)
        ),
        ErrorKind::Rejected => {
            "read the server's message: a constraint, a trigger or the table's kind refuses the update".to_owned()
        }
        ErrorKind::Privilege => {
            format!("on the primary, as a member of db_owner: GRANT SELECT, INSERT, UPDATE ON OBJECT::{table} TO {user};")
        }
        ErrorKind::Lock => format!("find who holds the row; as an administrator: {BLOCKERS}"),
        ErrorKind::DiskFull => "the message names what is full: for the log, SELECT name, log_reuse_wait_desc FROM \
                                sys.databases; says why it is not cut (LOG_BACKUP: back it up; REPLICATION: the capture job \
                                does not run); for a filegroup, add space"
            .to_owned(),
        ErrorKind::Memory => "look at the server's memory: SELECT TOP (10) type, pages_kb FROM sys.dm_os_memory_clerks ORDER \
                              BY pages_kb DESC;"
            .to_owned(),
        ErrorKind::Throttled => "wait: the service takes requests again by itself; if it happens often, raise the database's \
                                 service tier, or lower its load (sys.dm_db_resource_stats)"
            .to_owned(),
        ErrorKind::Limit => "the message names the limit: raise it on the server (or, for open files, for heartbeatd)"
            .to_owned(),
        ErrorKind::Storage => "look at the server's storage and error log at once: DBCC CHECKDB; tells the damage".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Endpoint;

    fn target() -> Target {
        Target::new("orders", Endpoint::parse("mssql://h]b@db.example/orders").unwrap())
    }

    #[test]
    fn every_kind_this_driver_gives_has_a_next_step_but_those_that_heal_by_themselves() {
        for kind in ErrorKind::ALL.iter().copied() {
            let expected = !matches!(
                kind,
                ErrorKind::AuthMethod
                    | ErrorKind::ClientLibrary
                    | ErrorKind::SecretSource
                    | ErrorKind::MissingFile
                    | ErrorKind::OldTimeline
                    | ErrorKind::NoPrimary
                    | ErrorKind::Unconfirmed
                    | ErrorKind::Settings
                    | ErrorKind::StatementTimeout
                    | ErrorKind::Conflict
                    | ErrorKind::Unknown
                    | ErrorKind::Internal
            );
            assert_eq!(remedy(&Failure::new(kind, "x"), &target()).is_some(), expected, "{kind}");
        }
    }

    #[test]
    fn names_in_a_remedy_are_quoted() {
        let remedy = remedy(&Failure::new(ErrorKind::Privilege, "x"), &target()).unwrap();
        assert!(remedy.ends_with("ON OBJECT::[streamkap].[streamkap_heartbeat] TO [h]]b];"), "{remedy}");
    }
}
