//! The next step for a failure: advice, and SQL that is ready to run, with this target's names. The driver's `remedy`
//! calls it. People read it on a page, in a log or in a report.

use super::error_codes;
use super::galera;
use super::identifier::{Account, account, literal, quote, table_of};
use super::parameters::user_of;
use super::triggers_and_views;
use crate::database_url::Host;
use crate::driver::{certificates, network};
use crate::heartbeat::{ErrorClass, ErrorKind, Failure};
use crate::plan;
use crate::remedy::Remedy;
use crate::target::Target;

/// Shows the members of a replication group to an administrator, on any member.
pub(super) const MEMBERS: &str = "SELECT * FROM performance_schema.replication_group_members;";
/// Shows the state of a Galera node.
pub(super) const WSREP: &str = "SHOW GLOBAL STATUS LIKE 'wsrep%';";
/// Shows whether a server is read-only, and which variable makes it so.
const READ_ONLY: &str =
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', 'super_read_only', 'innodb_read_only');";
/// How a replica names its source.
const ITS_SOURCE: &str = "on a replica, SHOW REPLICA STATUS (before MySQL 8.0.22 and MariaDB 10.5 SHOW SLAVE STATUS) names \
                          the source";
/// Shows who holds what a beat waits for: transactions, sessions, and prepared transactions, which have no session. A beat that
/// waits is left out: ending it frees nothing.
const LOCKS: &str = "SELECT t.trx_mysql_thread_id, t.trx_started, t.trx_query, p.user, p.host FROM \
                     information_schema.INNODB_TRX t LEFT JOIN information_schema.PROCESSLIST p ON p.id = \
                     t.trx_mysql_thread_id WHERE COALESCE(t.trx_query, '') NOT LIKE 'UPDATE /* heartbeatd:%' ORDER BY \
                     t.trx_started; SELECT id, user, host, db, command, time, state, info FROM \
                     information_schema.PROCESSLIST WHERE COALESCE(info, '') NOT LIKE 'UPDATE /* heartbeatd:%'; XA RECOVER;";

/// The names in a remedy, quoted.
struct Names {
    /// The account as far as the address names it: with `%` for its host, which only the server knows.
    account: String,
    user_text: String,
    schema: String,
    table: String,
    table_text: String,
    row: i64,
}

/// The next step, if one is known.
pub(super) fn remedy(failure: &Failure, target: &Target) -> Option<Remedy> {
    let names = Names::of(target);
    match failure.kind().class() {
        ErrorClass::Connection => connection(failure, target, &names),
        _ => database(failure, target, &names),
    }
}

fn connection(failure: &Failure, target: &Target, names: &Names) -> Option<Remedy> {
    let Names { account, user_text, .. } = names;
    let url = &target.endpoint.url;
    Some(match failure.kind() {
        ErrorKind::Name => "check the host's name in the address, and this machine's resolver".into(),
        ErrorKind::Refused => Remedy::advice("check that the server runs and listens where the address says")
            .then_run(Remedy::sql("SELECT @@bind_address, @@port, @@socket, @@skip_networking;")),
        ErrorKind::Network => {
            let network = Remedy::advice("check network and firewall between heartbeatd and the server");
            of_certificates(failure).into_iter().fold(network, Remedy::note)
        }
        ErrorKind::Timeout => network::timeout_advice(target.timeout).into(),
        ErrorKind::Tls => of_certificates(failure)
            .unwrap_or_else(|| tls(failure, url.hosts().iter().any(Host::is_socket)).to_owned())
            .into(),
        ErrorKind::Auth => auth(failure, target, names),
        ErrorKind::AuthMethod => with_a_password(account).note("the account then logs in with a password of its own"),
        ErrorKind::MissingDatabase => {
            Remedy::advice("leave the database out of the address, which a beat does not require, or correct its name")
                .then_run(Remedy::sql("SHOW DATABASES;"))
        }
        ErrorKind::TooManyConnections => too_many_connections(failure),
        ErrorKind::NotWritable => not_writable(failure, url.hosts().len()),
        ErrorKind::ReadOnlySetting => {
            Remedy::advice("make sure that this is the source, and that no administrator or failover tool keeps it read-only")
                .then_run(
                    Remedy::sql("SET GLOBAL TRANSACTION READ WRITE;")
                        .note("if new sessions are still read-only, look at init_connect"),
                )
        }
        ErrorKind::Starting => starting(failure),
        ErrorKind::Shutdown => "wait for the server to come back; if an administrator ended the session, or it was idle \
                                for wait_timeout, no action is needed"
            .into(),
        ErrorKind::Settings => match failure.code() {
            None => Remedy::advice(format!(
                "correct what the message names in the address; if it speaks of the session, find who sets it for {user_text}"
            ))
            .then_run(Remedy::sql(
                "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('init_connect', 'sql_log_bin', 'autocommit');",
            )),
            Some(_) => "look at what is between heartbeatd and the server: a proxy may refuse the setting that the message \
                        names, which heartbeatd makes in each session (autocommit, time_zone, lock waits)"
                .into(),
        },
        ErrorKind::Protocol => {
            "check that a MySQL or MariaDB server, or a proxy that speaks like one, listens on this port, and read its log"
                .into()
        }
        _ => return None,
    })
}

/// Also for an account that logs in by other means: both servers then use their default plugin.
fn with_a_password(account: &str) -> Remedy {
    Remedy::sql(format!("ALTER USER {account} IDENTIFIED BY <password>;"))
}

fn too_many_connections(failure: &Failure) -> Remedy {
    let limit = match failure.code() {
        Some(error_codes::ER_TOO_MANY_USER_CONNECTIONS) => "max_user_connections, the limit of each account",
        _ => "max_connections",
    };
    Remedy::advice(format!("let the owners of other sessions close some, or raise {limit}")).then_run(Remedy::sql(
        "SELECT @@max_connections, @@max_user_connections; SELECT user, host, command, COUNT(*) FROM \
         information_schema.PROCESSLIST GROUP BY user, host, command ORDER BY 4 DESC;",
    ))
}

fn not_writable(failure: &Failure, hosts: usize) -> Remedy {
    if failure.code() == Some(error_codes::ER_CANT_INITIALIZE_UDF) {
        return Remedy::advice(
            "name the group's primary, or all members, in url, and let this member join again (START GROUP_REPLICATION). \
             If the others are lost for good, only an administrator who knows all members decides which of them goes on \
             (manual: network partitioning, group_replication_force_members), or that there is no group any more (without \
             the plugin group_replication a member is a server by itself)",
        )
        .then_run(Remedy::sql(MEMBERS));
    }
    let advice = match hosts {
        1 => {
            "name the source in url, or all hosts (mysql://user@a,b); if this is the source, find out who made it \
              read-only, and let them lift it: a failover tool keeps a former source so"
        }
        _ => "wait for your failover tool to make one of url's hosts writable, or add the source to url",
    };
    Remedy::advice(advice).then_run(Remedy::sql(READ_ONLY).note(ITS_SOURCE))
}

fn starting(failure: &Failure) -> Remedy {
    match failure.code() {
        Some(error_codes::ER_UNKNOWN_COM_ERROR | error_codes::ER_ERROR_DURING_COMMIT) => {
            let wait = "wait for the node to join its cluster, or name its other nodes in url (mysql://user@a,b/)";
            // On a node that is only joining, this would make a second cluster.
            let advice = if failure.message().contains(galera::NON_PRIMARY) {
                format!(
                    "{wait}. If the other nodes are gone for good, only an administrator who knows all nodes makes a new \
                     primary component (Galera's manual: resetting the quorum), of the node with the highest \
                     wsrep_last_committed, when no other node is Primary"
                )
            } else {
                wait.to_owned()
            };
            Remedy::advice(advice).then_run(Remedy::sql(format!("{WSREP} SHOW GLOBAL VARIABLES LIKE 'wsrep_reject_queries';"))
                .note("the server's log says more; if wsrep_reject_queries is not NONE, an administrator set it"))
        }
        // Only programs give a reason, and group replication does.
        Some(error_codes::ER_SERVER_OFFLINE_MODE_REASON) => Remedy::advice(
            "find in the server's log why it is offline: it may have been expelled from its replication group; let it join \
             that again (START GROUP_REPLICATION), and then switch offline_mode off",
        )
        .then_run(Remedy::sql(MEMBERS)),
        Some(error_codes::ER_SERVER_OFFLINE_MODE | error_codes::ER_SERVER_OFFLINE_MODE_USER) => Remedy::advice(
            "ask who set offline_mode, and wait until they are done; if no one did, the server may have been expelled from \
             its replication group, as its log and performance_schema.replication_group_members then say",
        )
        .then_run(Remedy::sql("SET GLOBAL offline_mode = OFF;")),
        Some(_) => Remedy::advice(
            "wait for the server to be ready, or name all members in url (mysql://user@a,b/): a member of a replication \
             group may still recover, or apply what its predecessor left",
        )
        .then_run(Remedy::sql(MEMBERS).note("the server's log says more")),
        None => "wait for the server to be ready; its log says more".into(),
    }
}

fn tls(failure: &Failure, socket: bool) -> &'static str {
    match failure.code() {
        // The account requires what the connection does not have.
        Some(error_codes::ER_SECURE_TRANSPORT_REQUIRED) => {
            "set ssl-mode=verify_identity&ssl-ca=FILE: the server accepts encrypted connections only \
             (require_secure_transport)"
        }
        _ if socket => {
            "give the server a certificate (ssl_ca, ssl_cert, ssl_key) and leave ssl-mode out: over a socket, too, the \
             connection is encrypted only where the server offers TLS and ssl-mode is not disabled; or name the host \
             (mysql://user@host/?ssl-mode=verify_identity&ssl-ca=FILE), or use an account with mysql_native_password"
        }
        _ => {
            "set ssl-mode=verify_identity&ssl-ca=FILE with the authority's certificate, compare the host in the address \
             with the names in the server's certificate, and its dates with today. If the server has no TLS, give it a \
             certificate (ssl_ca, ssl_cert, ssl_key), or use an account with mysql_native_password and \
             ssl-mode=disabled"
        }
    }
}

fn auth(failure: &Failure, target: &Target, names: &Names) -> Remedy {
    let Names { account, user_text, .. } = names;
    // A user without an account may match the account with an empty name.
    let accounts =
        Remedy::sql(format!("SELECT User, Host, plugin, ssl_type FROM mysql.user WHERE User IN ({user_text}, '');"));
    let unlock = || Remedy::sql(format!("ALTER USER {account} ACCOUNT UNLOCK;"));
    match failure.code() {
        Some(error_codes::ER_HOST_IS_BLOCKED) => {
            Remedy::advice("find what on this machine fails to connect, or raise max_connect_errors").then_run(
                Remedy::sql("TRUNCATE TABLE performance_schema.host_cache;").note("lets this machine in again"),
            )
        }
        Some(error_codes::ER_HOST_NOT_PRIVILEGED | error_codes::ER_BAD_HOST_ERROR) => {
            Remedy::advice("create an account for this user whose host includes this machine").then_run(accounts)
        }
        Some(error_codes::ER_ACCESS_DENIED_NO_PASSWORD_ERROR) => Remedy::advice(
            "create the account if it is missing; if it logs in as the operating system's user (unix_socket, auth_socket), \
             give it a password",
        )
        .then_run(accounts),
        Some(error_codes::ER_ACCOUNT_HAS_BEEN_LOCKED | error_codes::MARIADB_ER_ACCOUNT_HAS_BEEN_LOCKED) => {
            Remedy::advice("ask who locked the account").then_run(unlock())
        }
        Some(error_codes::ER_MUST_CHANGE_PASSWORD | error_codes::ER_MUST_CHANGE_PASSWORD_LOGIN) => with_a_password(account)
            .note("its password has expired; with PASSWORD EXPIRE NEVER after the new one, that one does not expire"),
        Some(error_codes::ER_USER_ACCESS_DENIED_FOR_USER_ACCOUNT_BLOCKED_BY_PASSWORD_LOCK) => {
            Remedy::advice("find what logs in with a wrong password: for that the server locked the account for some days")
                .then_run(unlock())
        }
        _ => refused(target).then_run(accounts),
    }
}

/// The general remedy for a refused login: the server gives no reason.
fn refused(target: &Target) -> Remedy {
    let url = &target.endpoint.url;
    let password = match &target.endpoint.password {
        Some(source) => format!("compare the password in {source} with the server's"),
        None => "set password for this target if the server asks for one".to_owned(),
    };
    // Over a socket the server expects the password itself, but the client offers to encrypt it by RSA.
    let over_a_socket = if url.hosts().iter().any(Host::is_socket) {
        ", and over a socket so is one with caching_sha2_password: let the server offer TLS, and leave ssl-mode out"
    } else {
        ""
    };
    let certificate = match url.parameter("ssl-cert") {
        None => "REQUIRE X509, SUBJECT or ISSUER without a certificate (ssl-cert=FILE&ssl-key=FILE)".to_owned(),
        Some(file) => format!("REQUIRE SUBJECT or ISSUER with another certificate than {file}"),
    };
    Remedy::advice(format!(
        "{password}, and see whether there is such an account, for which hosts, and what it requires: one REQUIRE SSL is \
         refused the same way without TLS{over_a_socket}; so is one {certificate}"
    ))
}

/// The next step for a problem with a certificate.
fn of_certificates(failure: &Failure) -> Option<String> {
    certificates::remedy(failure, "ssl-cert=FILE&ssl-key=FILE", "its variables ssl_ca and ssl_capath")
}

fn database(failure: &Failure, target: &Target, names: &Names) -> Option<Remedy> {
    let Names { account, schema, table, table_text, row, .. } = names;
    Some(match failure.kind() {
        ErrorKind::MissingSchema | ErrorKind::MissingTable => plan::command(target),
        // The beat asked the catalogue which column it is, and got no answer.
        ErrorKind::MissingColumn | ErrorKind::ColumnType => Remedy::advice(
            "compare the table's columns with id int, text text, last_update timestamp: the check table-columns says which \
             one is wrong, and how to mend it without losing a value",
        )
        .then_run(Remedy::sql(format!("SHOW CREATE TABLE {table};"))),
        ErrorKind::MissingRow => {
            Remedy::advice("set row under [target.heartbeat] to the id of the table's row, if it has another one")
                .or_run(plan::command(target).note(format!("creates row {row}")))
        }
        ErrorKind::DuplicateRows => Remedy::advice("keep the row that is needed, and make id the table's primary key")
            .then_run(Remedy::sql(format!("SELECT * FROM {table} WHERE id = {row};"))),
        ErrorKind::RowNotUpdatable => Remedy::advice("change or drop the trigger that puts the old value back")
            .then_run(Remedy::sql(format!("SHOW TRIGGERS FROM {schema} WHERE `Table` = {table_text};"))),
        ErrorKind::Rejected if failure.code() == Some(error_codes::ER_NO_PARTITION_FOR_GIVEN_VALUE) => {
            Remedy::advice("add a partition for the values that last_update has from now on").or_run(
                Remedy::sql(format!("ALTER TABLE {table} REMOVE PARTITIONING;"))
                    .note("keeps every row, in a table without partitions"),
            )
        }
        ErrorKind::Rejected => Remedy::advice(triggers_and_views::WHAT_OBJECTS).then_run(Remedy::sql(format!(
            "SHOW TRIGGERS FROM {schema} WHERE `Table` = {table_text}; SHOW CREATE TABLE {table};"
        ))),
        // Without a privilege on a table, the server does not say whether the table exists.
        ErrorKind::Privilege => match (failure.code(), target.endpoint.url.database()) {
            (Some(error_codes::ER_DBACCESS_DENIED_ERROR), database) if !database.is_empty() => {
                format!("leave the database {} out of the address: a beat does not require one", quote(database)).into()
            }
            _ => create_and_grant(target, account, "with the host that SELECT CURRENT_USER() shows"),
        },
        ErrorKind::Lock | ErrorKind::StatementTimeout => {
            Remedy::advice("ask the owner of the oldest transaction, or of LOCK TABLES, to finish").then_run(
                Remedy::sql(LOCKS).note("KILL ends a session and rolls back what it has not committed; a prepared transaction has none"),
            )
        }
        ErrorKind::DiskFull => Remedy::advice(
            "free space where the server keeps its data, binary logs and temporary files; remove no binary log that a \
             connector or a replica has yet to read: it goes by itself when it is older than binlog_expire_logs_seconds",
        )
        .then_run(Remedy::sql("SELECT @@datadir, @@tmpdir; SHOW BINARY LOGS;")),
        ErrorKind::Memory => {
            "look at the server's memory: innodb_buffer_pool_size, max_connections, the buffers of sessions, and its log"
                .into()
        }
        ErrorKind::Limit if failure.code() == Some(error_codes::ER_USER_LIMIT_REACHED) => Remedy::sql(format!(
            "ALTER USER {account} WITH MAX_QUERIES_PER_HOUR 0 MAX_UPDATES_PER_HOUR 0 MAX_CONNECTIONS_PER_HOUR 0 \
             MAX_USER_CONNECTIONS 0;"
        ))
        .note("lifts the account's own limits; or raise the one that the message names"),
        ErrorKind::Limit => {
            "raise the limit that the message names, on the server (or, for open files, for heartbeatd)".into()
        }
        ErrorKind::Storage => "look at the server's disk and log at once: its storage fails".into(),
        _ => return None,
    })
}

/// The remedy for an account that lacks a privilege.
fn create_and_grant(target: &Target, account: &str, host: &str) -> Remedy {
    let grant =
        Remedy::sql(format!("GRANT SELECT, INSERT, UPDATE ON TABLE {} TO {account};", table_of(&target.heartbeat)));
    Remedy::advice(format!("let an administrator create and grant what is missing: {}", plan::command_in_words(target)))
        .or_run(grant.note(format!(
            "if the table is there; {host}; a role that holds the privileges must be a default one (SET DEFAULT ROLE)"
        )))
}

/// The next step for a session that lacks a privilege; `own` is its account on the server. The account may differ from
/// the login, as with a proxy user or an account without a name.
pub(super) fn for_the_sessions_account(target: &Target, own: &Account) -> Remedy {
    let user = user_of(&target.endpoint.url);
    if own.user.is_empty() {
        let login = account(&user, &own.host);
        return Remedy::advice(format!(
            "give {login} an account of its own: the login matched the account without a name, which anyone may use from there"
        ))
        .then_run(Remedy::sql(format!("CREATE USER {login} IDENTIFIED BY <password>;")).note("then grant it what is missing"));
    }
    let whose =
        if own.user == user { "this session's account" } else { "the account that the server maps this login to" };
    create_and_grant(target, &own.quoted(), whose)
}

impl Names {
    fn of(target: &Target) -> Self {
        let heartbeat = &target.heartbeat;
        let user = user_of(&target.endpoint.url);
        Self {
            account: account(&user, "%"),
            user_text: literal(&user),
            schema: quote(&heartbeat.schema),
            table: table_of(heartbeat),
            table_text: literal(&heartbeat.table),
            row: heartbeat.row_number(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::mysql::errors::KINDS;
    use crate::target::Endpoint;

    fn target() -> Target {
        Target::new("orders db", Endpoint::parse("mysql://hb`x@db.example/").unwrap())
    }

    fn remedy_of(kind: ErrorKind) -> Option<String> {
        remedy(&Failure::new(kind, "x"), &target()).map(|remedy| remedy.to_string())
    }

    fn coded(kind: ErrorKind, code: &str, target: &Target) -> String {
        remedy(&Failure::new(kind, "x").with_code(code), target).unwrap().to_string()
    }

    #[test]
    fn every_kind_of_this_driver_has_a_next_step_unless_it_heals_by_itself() {
        for kind in ErrorKind::ALL.iter().copied() {
            let expected = !matches!(
                kind,
                ErrorKind::ClientLibrary
                    | ErrorKind::SecretSource
                    | ErrorKind::MissingFile
                    | ErrorKind::NoPrimary
                    | ErrorKind::Unconfirmed
                    | ErrorKind::Identity
                    | ErrorKind::OldTimeline
                    | ErrorKind::Conflict
                    | ErrorKind::Throttled
                    | ErrorKind::Unknown
                    | ErrorKind::Internal
            );
            assert_eq!(remedy_of(kind).is_some(), expected, "{kind}");
        }
    }

    /// The remedy for each code of the table, and for each kind without a code, as people read it.
    #[test]
    fn every_failure_of_the_table_reads_like_this() {
        let mut seen: Vec<ErrorKind> = Vec::new();
        let mut lines = Vec::new();
        for kind in ErrorKind::ALL.iter().copied() {
            let without = ("-", kind);
            let coded = KINDS.iter().filter(|(_, of)| *of == kind).map(|(code, of)| (*code, *of));
            let mut known: Vec<(String, String)> = Vec::new();
            for (code, kind) in [without].into_iter().chain(coded) {
                let failure = Failure::new(kind, "x");
                let failure = if code == "-" { failure } else { failure.with_code(code) };
                let text =
                    remedy(&failure, &target()).map_or_else(|| "nothing".to_owned(), |remedy| remedy.to_string());
                match known.iter_mut().find(|(_, same)| *same == text) {
                    Some((codes, _)) => *codes = format!("{codes} {code}"),
                    None => known.push((code.to_owned(), text)),
                }
            }
            seen.push(kind);
            lines.extend(known.into_iter().map(|(codes, text)| format!("{} {kind} {codes}\n    {text}", kind.class())));
        }
        assert!(KINDS.iter().all(|(_, kind)| seen.contains(kind)));
        insta::assert_snapshot!(lines.join("\n"));
    }

    /// Which databases' clusters a remedy mentions.
    fn clusters_in(text: &str) -> (bool, bool) {
        (text.contains("wsrep"), text.contains("replication_group_members"))
    }

    #[test]
    fn every_number_of_a_server_that_is_not_ready_leads_to_its_own_cluster() {
        let numbers =
            KINDS.iter().filter(|(_, kind)| *kind == ErrorKind::Starting).map(|(number, _)| number.to_string());
        let numbers: Vec<String> = numbers.chain(["1180".to_owned()]).collect();
        assert!(numbers.len() > 8, "{numbers:?}");
        for number in numbers {
            let text = coded(ErrorKind::Starting, &number, &target());
            let expected = if ["1047", "1180"].contains(&number.as_str()) { (true, false) } else { (false, true) };
            assert_eq!(clusters_in(&text), expected, "{number}: {text}");
        }
    }

    #[test]
    fn a_node_that_is_joining_a_cluster_never_starts_a_second_one() {
        let said = |message: &str| {
            let failure = Failure::new(ErrorKind::Starting, message).with_code("1047");
            remedy(&failure, &target()).unwrap().to_string()
        };
        for message in ["WSREP has not yet prepared node for application use", "wsrep_cluster_status Primary"] {
            let text = said(message);
            assert!(!text.contains("primary component"), "{text}");
        }
        let text = said("wsrep_ready is OFF, wsrep_cluster_status non-Primary");
        assert!(text.contains("no other node is Primary") && text.contains("resetting the quorum"), "{text}");
    }

    #[test]
    fn no_remedy_sets_a_password_if_it_is_pasted_unchanged() {
        for kind in [ErrorKind::Auth, ErrorKind::AuthMethod] {
            for code in ["1045", "1130", "1698", "1820", "1862"] {
                let mut with_password = target();
                with_password.endpoint = Endpoint::parse("mysql://hb:hunter2@db/orders").unwrap();
                let text = coded(kind, code, &with_password);
                let without = !text.contains(" BY '") && !text.contains("PASSWORD('") && !text.contains("hunter2");
                assert!(without, "{code}: {text}");
            }
        }
    }

    #[test]
    fn a_refused_password_is_reported_by_its_source_and_never_shown() {
        let mut target = target();
        target.endpoint = Endpoint::parse("mysql://hb:hunter2@db/orders").unwrap();
        let text = coded(ErrorKind::Auth, "1045", &target);
        assert!(text.contains("[redacted]") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_database_that_the_account_may_not_use_is_removed_from_the_address() {
        let mut target = target();
        target.endpoint = Endpoint::parse("mysql://hb@db/orders").unwrap();
        let text = coded(ErrorKind::Privilege, "1044", &target);
        assert!(text.starts_with("leave the database `orders` out") && !text.contains("GRANT"), "{text}");
    }

    #[test]
    fn no_remedy_verifies_a_name_over_a_socket() {
        let mut target = target();
        let without = remedy(&Failure::new(ErrorKind::Tls, "x"), &target).unwrap().to_string();
        target.endpoint = Endpoint::parse("mysql://hb@localhost/?socket=/run/mysqld/mysqld.sock").unwrap();
        let socket = remedy(&Failure::new(ErrorKind::Tls, "x"), &target).unwrap().to_string();
        assert!(
            without.starts_with("set ssl-mode=verify_identity") && socket.contains("over a socket, too"),
            "{socket}"
        );
    }
}
