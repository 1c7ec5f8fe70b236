//! The next step for a failure: advice, and T-SQL that is ready to run, with this target's names. The driver's `remedy`
//! calls it, and the checks and `provision` use its scripts. People read it on a page, in a log or in a report.

use super::error_codes::{
    ACCOUNT_DISABLED, ACCOUNT_LOCKED, CANNOT_OPEN, ENDED_IN_TRIGGER, LOG_FULL, LOGIN_FAILED, MUST_CHANGE, NO_ACCESS,
    NO_FIREWALL_RULE, NO_NETWORK_RULE, PASSWORD_EXPIRED, RAISED_IN_TRIGGER, SIZE_QUOTA, UNKNOWN_SERVER,
    VIEW_NOT_UPDATABLE,
};
use super::identifier::{literal, quote};
use crate::driver::network;
use crate::heartbeat::{ErrorClass, ErrorKind, Failure};
use crate::plan;
use crate::remedy::{Remedy, RunsOn};
use crate::target::Target;

/// Advice for a failover.
const FIND_PRIMARY: &str = "wait for the failover to end; if it does not end, let the address name the availability \
                            group's listener, or every replica (mssql://user@first,second/database)";

/// The remedy for an object that is not a table, or that is memory-optimized.
pub(super) const ORDINARY_TABLE: &str =
    "name an ordinary table under [target.heartbeat]: change data capture tracks no other";

/// A script that a member of db_owner runs in the heartbeat's database.
pub(super) fn as_owner(target: &Target, script: impl Into<String>) -> Remedy {
    look(target, script).note("as a member of db_owner")
}

/// A script for the heartbeat's database that only shows something, or that names its privilege in a note.
pub(super) fn look(target: &Target, script: impl Into<String>) -> Remedy {
    Remedy::sql(script).note(format!("in the database {}", database_of(target)))
}

/// As [`as_owner`], if the connection may have reached a secondary.
pub(super) fn on_primary(target: &Target, script: impl Into<String>) -> Remedy {
    as_owner(target, script).on(RunsOn::Server("the primary".to_owned()))
}

/// A script for the whole server.
pub(super) fn as_administrator(script: impl Into<String>) -> Remedy {
    Remedy::sql(script).note("as an administrator")
}

/// Makes a database writable again that a setting made read-only.
pub(super) fn set_read_write(target: &Target) -> Remedy {
    as_administrator(format!("ALTER DATABASE {} SET READ_WRITE;", database_of(target)))
        .note("if the database is not meant to be read-only")
}

/// Creates a user in the database for a login.
pub(super) fn create_user(target: &Target, user: &str) -> Remedy {
    as_owner(target, format!("CREATE USER {user} FOR LOGIN {user};"))
}

/// Removes the reason why a privilege is denied to `whom` despite any grant: a DENY to `by`, or membership in one of
/// the server's own roles that deny. `whom` is quoted.
pub(super) fn revoke(target: &Target, privilege: &str, by: &str, whom: &str) -> Remedy {
    let (table, denies) = (table_of(target), quote(by));
    if ["db_denydatareader", "db_denydatawriter"].contains(&by) {
        return as_owner(target, format!("ALTER ROLE {denies} DROP MEMBER {whom};"))
            .note("if it is not meant to be a member; it may be one by way of another role");
    }
    as_owner(target, format!("REVOKE {privilege} ON OBJECT::{table} FROM {denies};"))
        .note("if the DENY is not intended; one on the schema or the database requires REVOKE there")
}

/// Shows who holds locks on the table; `table` is quoted. A list of waiting sessions would not help, because the beat
/// no longer waits.
fn holders(target: &Target, table: &str) -> Remedy {
    Remedy::advice("ask the owner of the session that holds the lock to finish").then_run(
        look(target, format!(
            "SELECT l.request_session_id, l.request_mode, s.login_name, s.host_name, s.program_name, \
             s.last_request_start_time, l.request_owner_guid FROM sys.dm_tran_locks AS l LEFT JOIN sys.dm_exec_sessions AS s ON \
             s.session_id = l.request_session_id WHERE l.resource_type = N'OBJECT' AND l.resource_database_id = DB_ID() AND \
             l.resource_associated_entity_id = OBJECT_ID({}) AND l.request_status = N'GRANT' AND ISNULL(s.program_name, N'') \
             NOT LIKE N'heartbeatd:%';",
            literal(table)
        ))
        .note("requires VIEW SERVER STATE")
        .note(
            "-2 is a distributed transaction without a session, which KILL 'request_owner_guid' ends; KILL rolls back what is \
             not committed",
        ),
    )
}

/// The heartbeat table, quoted.
fn table_of(target: &Target) -> String {
    format!("{}.{}", quote(&target.heartbeat.schema), quote(&target.heartbeat.table))
}

/// The database of a target, quoted.
fn database_of(target: &Target) -> String {
    quote(target.endpoint.url.database())
}

/// The next step, if one is known.
pub(super) fn remedy(failure: &Failure, target: &Target) -> Option<Remedy> {
    match failure.kind().class() {
        ErrorClass::Connection => connection(failure, target),
        _ => database(failure, target),
    }
}

/// The error number, if the server sent one.
fn number_of(failure: &Failure) -> Option<u32> {
    failure.code()?.parse().ok()
}

fn connection(failure: &Failure, target: &Target) -> Option<Remedy> {
    Some(match failure.kind() {
        ErrorKind::Name => "check the host's name in the address, and this machine's resolver; for a named instance, that \
                            SQL Server Browser runs and UDP port 1434 is open, or write the instance's port: host:port"
            .into(),
        ErrorKind::Refused => "check that SQL Server runs and listens on this port (SQL Server Configuration Manager, \
                               TCP/IP is enabled), and the port in the address"
            .into(),
        ErrorKind::Network => "check network and firewall between heartbeatd and the server; in Azure, the server's \
                               networking rules"
            .into(),
        ErrorKind::Timeout => network::timeout_advice(target.timeout).into(),
        ErrorKind::Tls => "put the certificate of the authority (or the server's own, if it signed itself) into \
                           CaFile=FILE; compare the host in the address with the names in the server's certificate, or name \
                           the right one in HostNameInCertificate; Encrypt=optional if the server encrypts only logins"
            .into(),
        ErrorKind::Auth => login(failure, target),
        ErrorKind::MissingDatabase => missing_database(failure, target),
        ErrorKind::NotWritable => Remedy::advice(FIND_PRIMARY).then_run(
            Remedy::sql(format!(
                "SELECT name, is_read_only, state_desc, DATABASEPROPERTYEX(name, N'Updateability') AS updateability FROM \
                 sys.databases WHERE name = {};",
                literal(target.endpoint.url.database())
            ))
            .note("is_read_only = 1 is a setting of the database, not a failover"),
        ),
        ErrorKind::ReadOnlySetting => set_read_write(target),
        ErrorKind::Identity => "if the database was replaced on purpose, restart or reload heartbeatd; if not, find out \
                                which server answers under this name"
            .into(),
        ErrorKind::Starting => Remedy::advice(
            "wait until the database has recovered; if it does not, read the server's error log",
        )
        .then_run(Remedy::sql("SELECT name, state_desc FROM sys.databases;")),
        ErrorKind::Shutdown => {
            "wait for the server to come back; if an administrator ended the session, no action is needed".into()
        }
        ErrorKind::Protocol => "check that SQL Server 2016 or later listens on this port; use Encrypt=strict only with \
                                SQL Server 2022 or later"
            .into(),
        ErrorKind::TooManyConnections => Remedy::advice(
            "close other sessions: the server accepts no more, or the database is in single-user mode",
        )
        .then_run(as_administrator(
            "SELECT session_id, login_name, host_name, program_name FROM sys.dm_exec_sessions WHERE is_user_process = 1;",
        )),
        _ => return None,
    })
}

/// The remedy for a refused login. No script sets a password, because someone could paste it with the placeholder
/// unchanged.
fn login(failure: &Failure, target: &Target) -> Remedy {
    let url = &target.endpoint.url;
    let state_of_login = |user: &str| {
        let user = literal(user);
        as_administrator(format!(
            "SELECT LOGINPROPERTY({user}, N'IsLocked') AS locked, LOGINPROPERTY({user}, N'IsExpired') AS expired, \
             LOGINPROPERTY({user}, N'IsMustChange') AS must_change, LOGINPROPERTY({user}, N'BadPasswordCount') AS refused;"
        ))
    };
    match (number_of(failure), url.user(), &target.endpoint.password) {
        (Some(NO_FIREWALL_RULE | NO_NETWORK_RULE), ..) => {
            "allow this machine's address in the server's networking rules in Azure; a new rule needs up to five minutes"
                .into()
        }
        (Some(UNKNOWN_SERVER), ..) => {
            "compare the server's name in the address with its name in Azure, and write the user as user@server if a proxy \
             hides that name"
                .into()
        }
        (Some(ACCOUNT_DISABLED), Some(user), _) => {
            as_administrator(format!("ALTER LOGIN {} ENABLE;", quote(user))).note("if it was not disabled on purpose")
        }
        (Some(ACCOUNT_LOCKED), Some(user), _) => Remedy::advice(
            "find out what logs in with a wrong password; then let an administrator unlock the login with ALTER LOGIN … WITH \
             PASSWORD … UNLOCK",
        )
        .then_run(state_of_login(user)),
        (Some(PASSWORD_EXPIRED | MUST_CHANGE), Some(_), _) => {
            "let an administrator give the login a new password (ALTER LOGIN … WITH PASSWORD …), and set it for this target"
                .into()
        }
        (_, Some(user), Some(source)) => Remedy::advice(format!(
            "compare the user and the password in {source}; the server's error log gives the reason as the state of error \
             {LOGIN_FAILED}"
        ))
        .then_run(state_of_login(user)),
        (_, Some(_), None) => "the server asks for a password: set password for this target".into(),
        (_, None, _) => Remedy::advice(
            "let the command or file that password names print a fresh access token, whose identity is a user of the \
             database",
        )
        .then_run(look(target, "SELECT name, type_desc FROM sys.database_principals WHERE type IN ('E', 'X');").note(
            "shows the users of Entra ID; CREATE USER … FROM EXTERNAL PROVIDER adds one",
        )),
    }
}

fn missing_database(failure: &Failure, target: &Target) -> Remedy {
    let url = &target.endpoint.url;
    match (number_of(failure), url.user()) {
        (Some(CANNOT_OPEN), Some(user)) => Remedy::advice(
            "check the database's name in the address, that it is online, and that the login has a user in it",
        )
        .then_run(create_user(target, &quote(user)).note("if it has none")),
        _ => Remedy::advice("check the database's name in the address")
            .then_run(Remedy::sql("SELECT name, state_desc FROM sys.databases;")),
    }
}

fn database(failure: &Failure, target: &Target) -> Option<Remedy> {
    let heartbeat = &target.heartbeat;
    let (table, row) = (table_of(target), heartbeat.row_number());
    let user = target.endpoint.url.user().map_or_else(|| "[user]".to_owned(), quote);
    Some(match failure.kind() {
        ErrorKind::MissingSchema | ErrorKind::MissingTable => plan::command(target),
        ErrorKind::MissingRow => plan::command(target)
            .note(format!("creates row {row}; if the table holds another one, set row under [target.heartbeat] instead")),
        ErrorKind::MissingColumn | ErrorKind::ColumnType => look(target, format!(
            "SELECT name, TYPE_NAME(system_type_id) AS type, is_computed FROM sys.columns WHERE object_id = OBJECT_ID({});",
            literal(&table)
        ))
        .note("compare the columns with id, text and last_update (a datetime2)")
        .note("heartbeatd provision --dry-run prints the statements that repair them"),
        ErrorKind::DuplicateRows => look(target, format!("SELECT * FROM {table} WHERE id = {row};"))
            .note("keep one of these rows, then make id the primary key"),
        ErrorKind::RowNotUpdatable => look(target, format!(
            "SELECT name, is_instead_of_trigger, is_disabled FROM sys.triggers WHERE parent_id = OBJECT_ID({}); SELECT name, \
             is_enabled FROM sys.security_policies;",
            literal(&table)
        ))
        .note("find the trigger or security policy that undoes the update"),
        ErrorKind::Rejected => match number_of(failure) {
            Some(VIEW_NOT_UPDATABLE) => {
                format!("{table} is a view: name its base table under [target.heartbeat]").into()
            }
            Some(ENDED_IN_TRIGGER | RAISED_IN_TRIGGER) => look(target, format!(
                "SELECT name, OBJECT_DEFINITION(object_id) AS definition FROM sys.triggers WHERE parent_id = OBJECT_ID({}) AND \
                 is_disabled = 0;",
                literal(&table)
            ))
            .note("find the trigger that refuses the update, and let it accept the heartbeat's"),
            _ => "read the server's message: a constraint, a trigger or the table's kind refuses the update".into(),
        },
        ErrorKind::Privilege if number_of(failure) == Some(NO_ACCESS) => create_user(target, &user),
        ErrorKind::Privilege => {
            as_owner(target, format!("GRANT SELECT, INSERT, UPDATE ON OBJECT::{table} TO {user};"))
        }
        ErrorKind::Lock => holders(target, &table),
        ErrorKind::DiskFull => disk_full(failure, target),
        ErrorKind::Memory => as_administrator(
            "SELECT TOP (10) type, pages_kb FROM sys.dm_os_memory_clerks ORDER BY pages_kb DESC;",
        )
        .note("shows what uses the server's memory"),
        ErrorKind::Throttled => "wait: the service accepts requests again by itself; if it happens often, raise the \
                                 database's service tier, or lower its load (sys.dm_db_resource_stats)"
            .into(),
        ErrorKind::Limit => {
            "the message names the limit: raise it on the server (or, for open files, for heartbeatd)".into()
        }
        ErrorKind::Storage => Remedy::advice("look at the server's storage and error log at once")
            .then_run(as_administrator("SELECT * FROM msdb.dbo.suspect_pages;").note("DBCC CHECKDB shows the damage")),
        _ => return None,
    })
}

fn disk_full(failure: &Failure, target: &Target) -> Remedy {
    match number_of(failure) {
        Some(LOG_FULL) => Remedy::sql(format!(
            "SELECT name, log_reuse_wait_desc FROM sys.databases WHERE name = {};",
            literal(target.endpoint.url.database())
        ))
        .note("shows why the log is not truncated")
        .note(
            "LOG_BACKUP: back the log up; REPLICATION: start the capture job; ACTIVE_TRANSACTION: end the oldest one",
        ),
        Some(SIZE_QUOTA) => "raise the maximum size of the database in Azure, or delete what is not needed".into(),
        _ => Remedy::advice("free space on the server, or let the full file grow")
            .then_run(look(target, "SELECT name, size, max_size, growth FROM sys.database_files;")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;

    use super::super::errors::KINDS;
    use super::*;
    use crate::remedy::Script;
    use crate::secret::SecretSource;
    use crate::target::Endpoint;

    fn target() -> Target {
        Target::new("orders", Endpoint::parse("mssql://h]b@db.example/orders").unwrap())
    }

    /// Targets whose logins fail for different reasons: one with a password, one without, and one with an access token.
    fn targets() -> [(&'static str, Target); 3] {
        let mut with_password = target();
        with_password.endpoint.password = Some(SecretSource::Env("HB".to_owned()));
        let token = Endpoint::parse("mssql://db.example/orders?Authentication=AccessToken").unwrap();
        [("", with_password), (" without password", target()), (" by token", Target::new("orders", token))]
    }

    /// Each kind without a number, and with each of its numbers.
    fn failures() -> Vec<Failure> {
        let of_kind = |kind: ErrorKind| {
            let numbers = KINDS.iter().filter(move |(_, known)| *known == kind);
            let with_number = move |(number, _): &(u32, _)| Failure::new(kind, "MESSAGE").with_code(number.to_string());
            std::iter::once(Failure::new(kind, "MESSAGE")).chain(numbers.map(with_number))
        };
        ErrorKind::ALL.iter().copied().flat_map(of_kind).collect()
    }

    /// The remedy for each kind of failure, as people read it. Numbers with the same remedy share a block.
    #[test]
    fn every_kind_and_number_has_its_next_step() {
        let mut blocks: Vec<(String, Vec<String>)> = Vec::new();
        for failure in failures() {
            for (whose, target) in targets() {
                let kind = failure.kind();
                let next = remedy(&failure, &target).map_or_else(|| "(none)".to_owned(), |remedy| remedy.to_string());
                let block = format!("{} {kind}\n  {next}", kind.class());
                let line = format!("{failure}{whose}");
                match blocks.iter_mut().find(|(known, _)| *known == block) {
                    Some((_, lines)) => lines.push(line),
                    None => blocks.push((block, vec![line])),
                }
            }
        }
        let mut text = String::new();
        for (block, mut lines) in blocks {
            // One line if all three targets have the same remedy.
            let (before, others) = (lines.clone(), [" without password", " by token"]);
            let is_there = |line: String| before.contains(&line);
            lines.retain(|line| {
                let mut failures = others.iter().filter_map(|other| line.strip_suffix(other));
                !failures.any(|failure| others.iter().all(|other| is_there(format!("{failure}{other}"))))
            });
            writeln!(text, "{block}\n  for: {}", lines.join(", ")).unwrap();
        }
        insta::assert_snapshot!(text);
    }

    /// The scripts that people can paste, one per line. Another test passes this list to a foreign parser of T-SQL.
    #[test]
    fn scripts_of_remedies() {
        let scripts: BTreeSet<String> = failures()
            .iter()
            .flat_map(|failure| targets().map(|(_, target)| remedy(failure, &target)))
            .flatten()
            .filter_map(|remedy| remedy.script().map(Script::text).map(str::to_owned))
            .filter(|script| !script.starts_with("heartbeatd "))
            .collect();
        assert!(scripts.iter().all(|script| !script.contains('\n') && !script.contains("<password")), "{scripts:?}");
        insta::assert_snapshot!(scripts.into_iter().collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn every_kind_of_this_driver_has_a_next_step_unless_it_heals_by_itself() {
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
        let script = remedy.script().unwrap().text();
        assert!(script.ends_with("ON OBJECT::[streamkap].[streamkap_heartbeat] TO [h]]b];"), "{script}");
    }
}
