//! The next step for a failure: advice, and a script for SQL*Plus that is ready to run, with this target's names. The
//! driver's `remedy` calls it, and the checks use the parts that they share with it. People read it on a page, in a log
//! or in a report.
//!
//! A script never contains a second statement that depends on the result of the first. The script is a query, and the
//! advice says what to do next.

use super::errors::{self, code_of};
use super::identifier::{literal, quote, quoted_table, stored};
use super::parameters::{Parameters, Place};
use crate::driver::network;
use crate::heartbeat::{ErrorClass, ErrorKind, Failure};
use crate::plan;
use crate::plan::columns::ColumnFault;
use crate::remedy::{Remedy, RunsOn};
use crate::target::{HeartbeatTable, Target};

/// A script for an administrator of the heartbeat's database.
pub(super) fn as_administrator(script: impl Into<String>) -> Remedy {
    Remedy::sqlplus(script).note("as an administrator, in the heartbeat's database")
}

/// A script that affects the whole database.
pub(super) fn as_sysdba(script: impl Into<String>) -> Remedy {
    Remedy::sqlplus(script).note("as SYSDBA, in the root container where there is one")
}

/// A command for the listener.
fn listener(command: &str) -> Remedy {
    Remedy::shell(command).on(RunsOn::Server("the database's machine".to_owned()))
}

/// Shows the space for archived logs.
pub(super) fn recovery_area() -> Remedy {
    as_administrator("SELECT NAME, SPACE_LIMIT, SPACE_USED, SPACE_RECLAIMABLE FROM V$RECOVERY_FILE_DEST;")
}

/// Advice that frees space without deleting an archived log that the connector needs.
pub(super) const MAKE_ROOM: &str = "raise DB_RECOVERY_FILE_DEST_SIZE, or free space in the recovery area with RMAN, but of \
                                    archived logs only those that are backed up and that the connector has read";

/// Turns on archiving. It requires a restart, and no script restarts the database.
pub(super) fn archive(target: &Target) -> Remedy {
    if is_on_rds(target) {
        return "set the backup retention period of the RDS instance above 0".into();
    }
    "restart the database into ARCHIVELOG mode, at a time that suits its users: as SYSDBA, in the root container where there \
     is one, SHUTDOWN IMMEDIATE, STARTUP MOUNT, ALTER DATABASE ARCHIVELOG, ALTER DATABASE OPEN"
        .into()
}

/// Turns on minimal supplemental logging.
pub(super) fn minimal_logging(target: &Target) -> Remedy {
    if is_on_rds(target) {
        return as_administrator("EXEC rdsadmin.rdsadmin_util.alter_supplemental_logging('ADD');");
    }
    as_sysdba("ALTER DATABASE ADD SUPPLEMENTAL LOG DATA;")
        .note("on RDS with rdsadmin_util.alter_supplemental_logging instead")
}

/// Makes the database log every change, whatever a session asks for.
pub(super) fn force_logging(target: &Target) -> Remedy {
    if is_on_rds(target) {
        return as_administrator("EXEC rdsadmin.rdsadmin_util.force_logging(p_enable => TRUE);");
    }
    as_sysdba("ALTER DATABASE FORCE LOGGING;")
}

/// Keeps archived logs longer.
pub(super) fn keep_archived_logs(target: &Target) -> Remedy {
    if is_on_rds(target) {
        return as_administrator(
            "EXEC rdsadmin.rdsadmin_util.set_configuration('archivelog retention hours', '72');\nCOMMIT;",
        );
    }
    "keep archived logs longer: in RMAN, the archived log deletion policy, and the scripts that delete them; on RDS, \
     archivelog retention hours of rdsadmin_util.set_configuration"
        .into()
}

/// Whether a host name is one that Amazon RDS assigns. A server on RDS may also have a name of the user's own.
fn is_on_rds(target: &Target) -> bool {
    target.endpoint.url.hosts().iter().any(|host| host.name.contains(".rds.amazonaws.com"))
}

/// A statement about a user. A common user is changed in all containers at once, from the root.
fn about_user(name: &str, statement: &str) -> Remedy {
    if stored(name).starts_with("C##") {
        return as_sysdba(format!("{statement} CONTAINER=ALL;"));
    }
    as_administrator(format!("{statement};"))
}

/// Sets a new password. SQL refuses this placeholder (ORA-00988), so a script that is pasted unchanged sets no
/// password.
pub(super) fn new_password(name: &str) -> Remedy {
    about_user(name, &format!("ALTER USER {} IDENTIFIED BY <password>", quote(name)))
        .note("put a new password in its place, and into every configuration that logs in as this user")
}

/// Creates a user. An owner of a table also gets space.
pub(super) fn new_user(name: &str, owns: bool) -> Remedy {
    let quota = if owns { " QUOTA UNLIMITED ON USERS" } else { "" };
    about_user(name, &format!("CREATE USER {} IDENTIFIED BY <password>{quota}", quote(name)))
        .note("put a password in its place")
}

/// Unlocks an account.
pub(super) fn unlock(name: &str) -> Remedy {
    Remedy::advice("stop what logs in with a wrong password, which locked the account")
        .then_run(about_user(name, &format!("ALTER USER {} ACCOUNT UNLOCK", quote(name))))
}

/// Grants privileges on the table to a user.
pub(super) fn grant_on(privileges: &str, table: &str, user: &str) -> Remedy {
    as_administrator(format!("GRANT {privileges} ON {table} TO {user};"))
}

/// Repairs the columns of the table. A table with a wrong column is kept under another name.
pub(super) fn mend(table: &str, faults: &[ColumnFault]) -> Remedy {
    if faults.iter().any(ColumnFault::is_in_the_way) {
        return as_administrator(format!("ALTER TABLE {table} RENAME TO STREAMKAP_HEARTBEAT_OLD;"))
            .note("keeps the table under another name, so that provision can create a right one");
    }
    let column = |fault: &ColumnFault| match fault.column {
        "id" => "ID NUMBER",
        "text" => "TEXT VARCHAR2(4000)",
        _ => "LAST_UPDATE TIMESTAMP",
    };
    let columns: Vec<&str> = faults.iter().map(column).collect();
    as_administrator(format!("ALTER TABLE {table} ADD ({});", columns.join(", ")))
}

/// The next step, if one is known.
pub(super) fn remedy(failure: &Failure, target: &Target) -> Option<Remedy> {
    match failure.kind().class() {
        ErrorClass::Connection => connection(failure, target),
        _ => database(failure, target),
    }
}

fn connection(failure: &Failure, target: &Target) -> Option<Remedy> {
    let url = &target.endpoint.url;
    Some(match failure.kind() {
        ErrorKind::Name => "check the host's name in the address, and this machine's resolver".into(),
        ErrorKind::Refused => {
            Remedy::advice("check the port in the address (1521 where it names none), and that the listener runs")
                .then_run(listener("lsnrctl status"))
        }
        ErrorKind::Network => {
            "check network and firewall between heartbeatd and the listener, and the database's alert log".into()
        }
        ErrorKind::Timeout => Remedy::advice(network::timeout_advice(target.timeout))
            .then_run(recovery_area().note("a full recovery area stops the archiver, and with it every change")),
        ErrorKind::Tls => "put the authority's certificate into the system's store or, where the address has wallet_location=, \
                           into ewallet.pem in that folder; compare the host \
                           in the address with the names in the server's certificate, and its dates with today; \
                           protocol=tcp if the listener has no TLS on this port"
            .into(),
        ErrorKind::Auth => login(failure, target),
        ErrorKind::AuthMethod => match code_of(failure) {
            Some(errors::NATIVE_ENCRYPTION) => "use a port with TLS (protocol=tcps), or a build with the client \"oci\": the \
                                                server asks for Oracle's native network encryption, which this client does \
                                                not have"
                .into(),
            _ => Remedy::advice(
                "set the account's password again, so that it gets a verifier of version 12C, which \
                 SQLNET.ALLOWED_LOGON_VERSION_SERVER must allow",
            )
            .then_run(account(target, "PASSWORD_VERSIONS").note("shows the verifiers that it has")),
        },
        ErrorKind::ClientLibrary => "install Oracle Instant Client, the package Basic or Basic Light \
                                     (oracle-instantclient-basiclite), let the loader know its folder (LD_LIBRARY_PATH, or a \
                                     file in /etc/ld.so.conf.d and ldconfig), and restart heartbeatd; or take client=oci out \
                                     of the address"
            .into(),
        ErrorKind::MissingDatabase => {
            Remedy::advice("compare the service in the address with those that the listener has")
                .then_run(listener("lsnrctl services"))
        }
        ErrorKind::TooManyConnections => match code_of(failure) {
            Some(errors::SESSIONS_PER_USER) => {
                Remedy::advice("end sessions of this user, or raise SESSIONS_PER_USER in its profile").then_run(account(target, "PROFILE"))
            }
            _ => Remedy::advice("lower the number of sessions, or raise PROCESSES and SESSIONS").then_run(as_administrator(
                "SELECT RESOURCE_NAME, CURRENT_UTILIZATION, LIMIT_VALUE FROM V$RESOURCE_LIMIT WHERE RESOURCE_NAME IN \
                 ('processes', 'sessions');",
            )),
        },
        ErrorKind::Starting => "wait for the instance to open; its alert log says how far it is".into(),
        ErrorKind::Shutdown => {
            "wait for the instance to come back; if an administrator ended the session, no action is needed".into()
        }
        ErrorKind::NotWritable => "name the primary in the address (all hosts of a Data Guard configuration may be named), or \
                                   a service that runs on the primary alone"
            .into(),
        ErrorKind::Identity => "if the database was replaced on purpose, restart or reload heartbeatd; if not, find out \
                                which database answers under this service"
            .into(),
        ErrorKind::Protocol => "check that a listener of Oracle 12 or newer is on this port, without TLS unless the address \
                                says protocol=tcps"
            .into(),
        ErrorKind::Settings => match Parameters::read(url).map(|parameters| parameters.place) {
            Ok(Place::Alias(_)) => "check the alias in tnsnames.ora, in the folder tns_admin= or TNS_ADMIN".into(),
            Ok(Place::Descriptor(_)) => "check the descriptor in the address".into(),
            _ => return None,
        },
        _ => return None,
    })
}

/// The remedy for a refused login.
fn login(failure: &Failure, target: &Target) -> Remedy {
    match (code_of(failure), &target.endpoint.password, target.endpoint.url.user()) {
        (Some(errors::ACCOUNT_LOCKED), ..) => unlock(user_name(target)),
        (Some(errors::PASSWORD_EXPIRED), ..) => new_password(user_name(target)),
        (Some(errors::SYS_AS_SYSDBA), ..) => "log in as a user of heartbeatd's own, not as SYS".into(),
        (_, _, None) => "write oracle://user@host/service and set password for this target".into(),
        (_, None, Some(_)) => "set password for this target".into(),
        (_, Some(source), Some(_)) => Remedy::advice(format!(
            "compare the user and the password in {source} before many more tries: by default Oracle locks an account after \
             ten"
        ))
        .then_run(account(target, "ACCOUNT_STATUS")),
    }
}

fn database(failure: &Failure, target: &Target) -> Option<Remedy> {
    let (heartbeat, provision) = (&target.heartbeat, plan::command_in_words(target));
    let table = quoted_table(heartbeat);
    let code = code_of(failure);
    Some(match failure.kind() {
        ErrorKind::MissingTable => Remedy::advice(format!(
            "create the table: {provision}; Oracle reports the same for a table that the user may not see"
        ))
        .or_run(grant(target)),
        ErrorKind::MissingColumn => {
            Remedy::advice("add the column that is missing: a heartbeat needs ID NUMBER and LAST_UPDATE TIMESTAMP")
                .then_run(columns(heartbeat))
        }
        ErrorKind::ColumnType => {
            Remedy::advice("change the column that differs: a heartbeat needs ID NUMBER and LAST_UPDATE TIMESTAMP")
                .then_run(columns(heartbeat))
        }
        ErrorKind::MissingRow => Remedy::advice(format!(
            "create the row with ID {}: {provision}; if the table holds another row, set row under [target.heartbeat] to \
             its ID instead",
            heartbeat.row_number(),
        ))
        .then_run(Remedy::sqlplus(format!("SELECT ID, LAST_UPDATE FROM {table};"))),
        ErrorKind::DuplicateRows => Remedy::advice("keep one row of this ID, and make ID the primary key").then_run(
            as_administrator(format!("SELECT ROWID, LAST_UPDATE FROM {table} WHERE ID = {};", heartbeat.row_number())),
        ),
        ErrorKind::RowNotUpdatable => {
            Remedy::advice(format!("look for a trigger or a policy on {table}")).then_run(triggers(heartbeat))
        }
        ErrorKind::Rejected => match code {
            Some(errors::POLICY_CHECK) => policy(heartbeat),
            _ => "read the server's message: it refuses the update for a reason of its own".into(),
        },
        ErrorKind::Privilege => match code {
            Some(errors::NO_CREATE_SESSION) => as_administrator(format!("GRANT CREATE SESSION TO {};", quote(user_name(target)))),
            Some(errors::NO_QUOTA) => quota(heartbeat),
            Some(errors::POLICY_FUNCTION) => policy(heartbeat),
            _ => grant(target),
        },
        ErrorKind::Lock if code == Some(errors::IN_DOUBT) => Remedy::advice(
            "end the distributed transaction that is in doubt in the same way as its coordinator did: COMMIT FORCE or \
             ROLLBACK FORCE",
        )
        .then_run(as_administrator(
            "SELECT LOCAL_TRAN_ID, GLOBAL_TRAN_ID, STATE, FAIL_TIME, HOST FROM DBA_2PC_PENDING;",
        )),
        ErrorKind::Lock => Remedy::advice("find out who holds the row, and have them commit or roll back").then_run(
            as_administrator(format!(
                "SELECT S.SID, S.SERIAL#, S.USERNAME, S.PROGRAM, S.LAST_CALL_ET FROM V$SESSION S JOIN V$LOCKED_OBJECT L ON \
                 L.SESSION_ID = S.SID JOIN DBA_OBJECTS O ON O.OBJECT_ID = L.OBJECT_ID WHERE O.OWNER = {} AND O.OBJECT_NAME = {} AND NVL(S.MODULE, ' ') NOT LIKE \
                 'heartbeatd:%';",
                literal(&stored(&heartbeat.schema)),
                literal(&stored(&heartbeat.table)),
            )),
        ),
        ErrorKind::StatementTimeout => "find what keeps the server busy; a resource plan may limit the session".into(),
        ErrorKind::DiskFull => match code {
            Some(errors::ARCHIVER_ERROR | errors::RECOVERY_AREA_FULL | errors::RECOVERY_AREA_WARNING) => {
                Remedy::advice(MAKE_ROOM).then_run(recovery_area())
            }
            Some(errors::QUOTA_EXCEEDED) => quota(heartbeat),
            _ => Remedy::advice("add a data file to the tablespace that the message names, or let one of its files grow")
                .then_run(as_administrator(
                    "SELECT TABLESPACE_NAME, FILE_NAME, BYTES, AUTOEXTENSIBLE, MAXBYTES FROM DBA_DATA_FILES;",
                )),
        },
        ErrorKind::Memory => {
            "look at the instance's memory: SGA_TARGET, PGA_AGGREGATE_LIMIT, and its alert log".into()
        }
        ErrorKind::Limit => {
            "raise the limit that the message names, on the server (or, for threads and open files, for heartbeatd)".into()
        }
        ErrorKind::Storage => "look at the database's disks and alert log at once: its storage fails".into(),
        _ => return None,
    })
}

/// The target's user as the address writes it.
fn user_name(target: &Target) -> &str {
    target.endpoint.url.user().unwrap_or("USER")
}

/// Shows a column of the target's user in the list of accounts.
fn account(target: &Target, column: &str) -> Remedy {
    let name = literal(&stored(user_name(target)));
    as_administrator(format!("SELECT USERNAME, {column} FROM DBA_USERS WHERE USERNAME = {name};"))
}

/// The client in Rust panics at a login that requires a feature it lacks, because it expects one particular answer.
pub(super) fn client_failed(target: &Target) -> Failure {
    let message = "Oracle's client failed at the login (a panic): either the account has no verifier of version 12C, \
                   or the server requires native network encryption, or the server is not Oracle, or its answer is \
                   malformed";
    Failure::new(ErrorKind::Internal, message).with_remedy(
        Remedy::advice(
            "set the account's password again if it has no version 12C; if the server requires native network encryption, use \
             a port with TLS (protocol=tcps); if neither is the cause, report the fault with the log line \"panic\"",
        )
        .then_run(account(target, "PASSWORD_VERSIONS").note("shows the verifiers that it has")),
    )
}

/// Grants the privileges that a beat needs.
fn grant(target: &Target) -> Remedy {
    grant_on("SELECT, UPDATE", &quoted_table(&target.heartbeat), &quote(user_name(target)))
}

fn columns(heartbeat: &HeartbeatTable) -> Remedy {
    as_administrator(format!(
        "SELECT COLUMN_NAME, DATA_TYPE FROM DBA_TAB_COLUMNS WHERE OWNER = {} AND TABLE_NAME = {};",
        literal(&stored(&heartbeat.schema)),
        literal(&stored(&heartbeat.table)),
    ))
}

fn triggers(heartbeat: &HeartbeatTable) -> Remedy {
    as_administrator(format!(
        "SELECT OWNER, TRIGGER_NAME, STATUS FROM DBA_TRIGGERS WHERE TABLE_OWNER = {} AND TABLE_NAME = {};",
        literal(&stored(&heartbeat.schema)),
        literal(&stored(&heartbeat.table)),
    ))
}

/// For a step that the server accepted and that had no effect: shows the triggers of the database, of schemas, and of
/// the table.
pub(super) fn no_effect(heartbeat: &HeartbeatTable) -> Remedy {
    Remedy::advice("look for a trigger that undoes the step, and let the trigger allow it").then_run(as_administrator(format!(
        "SELECT OWNER, TRIGGER_NAME, TRIGGERING_EVENT FROM DBA_TRIGGERS WHERE STATUS = 'ENABLED' AND (BASE_OBJECT_TYPE IN \
         ('DATABASE', 'SCHEMA') OR TABLE_OWNER = {} AND TABLE_NAME = {});",
        literal(&stored(&heartbeat.schema)),
        literal(&stored(&heartbeat.table)),
    )))
}

fn policy(heartbeat: &HeartbeatTable) -> Remedy {
    Remedy::advice("let the policy of the table allow the heartbeat's update").then_run(as_administrator(format!(
        "SELECT POLICY_NAME, PF_OWNER, PACKAGE, FUNCTION, ENABLE FROM DBA_POLICIES WHERE OBJECT_OWNER = {} AND OBJECT_NAME = {};",
        literal(&stored(&heartbeat.schema)),
        literal(&stored(&heartbeat.table)),
    )))
}

fn quota(heartbeat: &HeartbeatTable) -> Remedy {
    let owner = stored(&heartbeat.schema);
    Remedy::advice(format!(
        "give {} more room (ALTER USER, QUOTA) on the tablespace that the message names",
        quote(&owner)
    ))
    .then_run(as_administrator(format!(
        "SELECT TABLESPACE_NAME, BYTES, MAX_BYTES FROM DBA_TS_QUOTAS WHERE USERNAME = {};",
        literal(&owner)
    )))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::plan::columns::Lack;
    use crate::target::Endpoint;

    fn target() -> Target {
        let mut target = Target::new("orders", Endpoint::parse("oracle://hb:x@db.example/pdb1").unwrap());
        target.heartbeat = super::super::family::defaults().heartbeat;
        target
    }

    #[test]
    fn every_kind_of_this_driver_has_a_next_step_unless_it_heals_by_itself() {
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

    /// The remedy for each code of the table, and for each kind without a code, as people read it.
    #[test]
    fn every_failure_reads_like_this() {
        let coded = errors::KINDS.iter().map(|(code, ..)| errors::of_code(*code));
        let bare = ErrorKind::ALL.iter().map(|kind| Failure::new(*kind, "what happened"));
        let lines = coded.chain(bare).map(|failure| {
            let next = remedy(&failure, &target()).map_or_else(|| "-".to_owned(), |remedy| remedy.to_string());
            format!("{} {}: {failure}\n    {next}\n", failure.kind().class(), failure.kind())
        });
        insta::assert_snapshot!(lines.collect::<String>());
    }

    /// Another test reads this list and passes each script to a foreign parser.
    #[test]
    fn every_script_is_listed_for_the_foreign_parser() {
        let coded = errors::KINDS.iter().map(|(code, ..)| errors::of_code(*code));
        let bare = ErrorKind::ALL.iter().map(|kind| Failure::new(*kind, "what happened"));
        let mut rds = target();
        rds.endpoint = Endpoint::parse("oracle://hb:x@a.b.eu-central-1.rds.amazonaws.com/pdb1").unwrap();
        let of_database = [target(), rds]
            .into_iter()
            .flat_map(|target| [archive(&target), minimal_logging(&target), keep_archived_logs(&target)]);
        let (wrong, missing) = (
            ColumnFault { column: "id", lack: Lack::NoNumber("CLOB".to_owned()) },
            ColumnFault { column: "last_update", lack: Lack::Missing },
        );
        let users = ["U", "C##U"].into_iter().flat_map(|name| [new_user(name, true), new_password(name), unlock(name)]);
        let more = users.chain([mend("T", &[wrong]), mend("T", &[missing]), no_effect(&target().heartbeat)]);
        let all = coded.chain(bare).filter_map(|failure| remedy(&failure, &target())).chain(of_database).chain(more);
        let scripts: BTreeSet<String> =
            all.filter_map(|remedy| remedy.script().map(|script| script.text().to_owned())).collect();
        insta::assert_snapshot!(scripts.into_iter().collect::<Vec<_>>().join("\n"));
    }
}
