//! The next step for a failure: SQL that is ready to run, with this target's names. The driver's `remedy` calls it.
//! People read it on a page, in a log or in a report.

use super::beat;
use super::errors;
use super::galera;
use super::group_replication;
use super::identifier::{account, literal, quote, table_of};
use super::parameters::user_of;
use super::triggers_and_views;
use crate::database_url::Host;
use crate::driver::{certificates, network};
use crate::heartbeat::{ErrorClass, ErrorKind, Failure};
use crate::plan;
use crate::target::Target;

/// The names that a remedy speaks of, quoted.
struct Names {
    /// The account as far as the address tells it: with `%` for its host, which the server knows better.
    account: String,
    user_text: String,
    schema: String,
    schema_text: String,
    table: String,
    table_text: String,
    row: i64,
    /// The command that creates what is missing.
    provision: String,
}

/// The next step, where one is known.
pub(super) fn remedy(failure: &Failure, target: &Target) -> Option<String> {
    let names = Names::of(target);
    match failure.kind().class() {
        ErrorClass::Connection => connection(failure, target, &names),
        _ => database(failure, target, &names),
    }
}

fn connection(failure: &Failure, target: &Target, names: &Names) -> Option<String> {
    let Names { account, user_text, .. } = names;
    let url = &target.endpoint.url;
    Some(match failure.kind() {
        ErrorKind::Name => "check the host's name in the address, and this machine's resolver".to_owned(),
        ErrorKind::Refused => "check that the server runs and listens where the address says: SELECT @@bind_address, \
                               @@port, @@socket, @@skip_networking;"
            .to_owned(),
        ErrorKind::Network => {
            let network = "check network and firewall between heartbeatd and the server";
            match of_certificates(failure) {
                Some(remedy) => format!("{network}; {remedy}"),
                None => network.to_owned(),
            }
        }
        ErrorKind::Timeout => network::timeout_advice(target.timeout),
        ErrorKind::Tls => of_certificates(failure).unwrap_or_else(|| tls(failure, url.hosts().iter().any(Host::is_socket))),
        ErrorKind::Auth => auth(failure, target, names),
        ErrorKind::AuthMethod => format!(
            "use an account with a password of its own: on MySQL ALTER USER {account} IDENTIFIED WITH \
             caching_sha2_password BY <password>; on MariaDB ALTER USER {account} IDENTIFIED VIA mysql_native_password USING \
             PASSWORD(<password>);"
        ),
        ErrorKind::MissingDatabase => {
            "leave the database out of the address, a beat needs none; or correct its name: SHOW DATABASES;".to_owned()
        }
        ErrorKind::TooManyConnections => format!(
            "find who holds them: SELECT user, host, command, COUNT(*) FROM information_schema.PROCESSLIST GROUP BY user, \
             host, command ORDER BY 4 DESC; then let their owners close some, raise max_connections, or lift the account's own \
             limit: ALTER USER {account} WITH MAX_USER_CONNECTIONS 0; and SHOW GLOBAL VARIABLES LIKE \
             'max_user_connections';"
        ),
        ErrorKind::NotWritable if failure.code() == Some(group_replication::NO_MEMBER) => {
            "look where the group is: SELECT MEMBER_HOST, MEMBER_PORT, MEMBER_STATE, MEMBER_ROLE FROM \
             performance_schema.replication_group_members; name its primary, or all members, in url; let this one join \
             again (START GROUP_REPLICATION;). If the others are lost for good, only an administrator who knows all of them \
             decides which member goes on (manual: network partitioning, group_replication_force_members), or that there is \
             no group any more (without the plugin group_replication it is a server by itself)"
                .to_owned()
        }
        ErrorKind::NotWritable => match url.hosts() {
            [_] => "name the source in url, or all hosts (mysql://user@a,b): a replica knows it: SHOW REPLICA STATUS; \
                    (before MySQL 8.0.22 and MariaDB 10.5 SHOW SLAVE STATUS;). If this is the source, find out who made it \
                    read-only, and let them lift it: a failover tool keeps a former source so: SHOW GLOBAL VARIABLES \
                    WHERE Variable_name IN ('read_only', 'super_read_only', 'innodb_read_only');"
                .to_owned(),
            _ => "every host of url is read-only: wait for your failover tool, or add the source to url: a replica knows \
                  it: SHOW REPLICA STATUS; (before MySQL 8.0.22 and MariaDB 10.5 SHOW SLAVE STATUS;)"
                .to_owned(),
        },
        ErrorKind::ReadOnlySetting => "find who set it: SHOW GLOBAL VARIABLES WHERE Variable_name IN \
                                       ('transaction_read_only', 'tx_read_only', 'init_connect'); and lift it: SET GLOBAL \
                                       TRANSACTION READ WRITE;"
            .to_owned(),
        ErrorKind::Starting => starting(failure),
        ErrorKind::Shutdown => "wait for the server to come back; if a session was ended by hand, or for being idle \
                                (wait_timeout), nothing is to do"
            .to_owned(),
        ErrorKind::Settings => match failure.code() {
            None => format!(
                "if it speaks of the session, find who sets it: SHOW GLOBAL VARIABLES WHERE Variable_name IN \
                 ('init_connect', 'sql_log_bin', 'autocommit'); for {user_text}; if of the address, correct what it names"
            ),
            Some(_) => {
                "the server refuses a setting that every session of heartbeatd's makes (autocommit, time_zone, lock \
                 waits): the message names it; a proxy between them may be why"
                    .to_owned()
            }
        },
        ErrorKind::Protocol => {
            "check that a MySQL or MariaDB server, or a proxy that speaks like one, listens on this port, and read its log"
                .to_owned()
        }
        _ => return None,
    })
}

fn starting(failure: &Failure) -> String {
    match failure.code() {
        Some(errors::NOT_READY | beat::COMMIT_FAILED) => {
            let wait = "wait for the node to join its cluster, or name its other nodes in url (mysql://user@a,b/): SHOW \
                        GLOBAL STATUS LIKE 'wsrep%'; SHOW GLOBAL VARIABLES LIKE 'wsrep_reject_queries'; (if it is not NONE, \
                        somebody set it) and the server's log say more";
            // On a node that is only on its way in it would make a second cluster.
            if !failure.message().contains(galera::NON_PRIMARY) {
                return wait.to_owned();
            }
            format!(
                "{wait}. If the others are gone for good, only an administrator who knows all nodes makes a new primary \
                 component (Galera's manual: resetting the quorum), of the node with the highest wsrep_last_committed, when \
                 no other node is Primary"
            )
        }
        // With the reason that a program gave, and group replication gives one.
        Some("6400") => {
            "the server lets administrators in only (offline_mode), as one does that its replication group lost: look why \
             in its log and in performance_schema.replication_group_members, let it join again (START \
             GROUP_REPLICATION;), then SET GLOBAL offline_mode = OFF;"
                .to_owned()
        }
        Some("3032" | "6401") => {
            "the server lets administrators in only (offline_mode): somebody set it. Or, if it belongs to a replication group, \
             it may have lost that one: its log says so, and performance_schema.replication_group_members. When they are \
             done, or it is mended: SET GLOBAL offline_mode = OFF;"
                .to_owned()
        }
        Some(_) => "wait for the server to be ready: a member of a replication group may still recover, or apply what its \
                    predecessor left: SELECT MEMBER_HOST, MEMBER_PORT, MEMBER_STATE, MEMBER_ROLE FROM \
                    performance_schema.replication_group_members; and the server's log say more; or name all members in url \
                    (mysql://user@a,b/)"
            .to_owned(),
        None => "wait for the server to be ready; its log says more".to_owned(),
    }
}

fn tls(failure: &Failure, socket: bool) -> String {
    match failure.code() {
        // The account asks for what the connection is not.
        Some("3159") => {
            "the server takes encrypted connections only (require_secure_transport): set \
                         ssl-mode=verify_identity&ssl-ca=FILE"
                .to_owned()
        }
        _ if socket => {
            "over a socket too the connection is encrypted only where the server offers TLS and ssl-mode is not disabled: \
             give the server a certificate (ssl_ca, ssl_cert, ssl_key) and leave ssl-mode out; or name the host \
             (mysql://user@host/?ssl-mode=verify_identity&ssl-ca=FILE), or use an account with mysql_native_password"
                .to_owned()
        }
        _ => "set ssl-mode=verify_identity&ssl-ca=FILE with the authority's certificate, compare the host in the address \
              with the names in the server's certificate, and its dates with today. If the server has no TLS, give it a \
              certificate (ssl_ca, ssl_cert, ssl_key), or use an account with mysql_native_password and \
              ssl-mode=disabled"
            .to_owned(),
    }
}

fn auth(failure: &Failure, target: &Target, names: &Names) -> String {
    let Names { account, user_text, .. } = names;
    let plugins = format!("SELECT User, Host, plugin FROM mysql.user WHERE User IN ({user_text}, '');");
    let hosts = format!("SELECT User, Host FROM mysql.user WHERE User IN ({user_text}, '');");
    // There the server takes what it is sent for the password itself, and the client offers it by RSA.
    let over_a_socket = if target.endpoint.url.hosts().iter().any(Host::is_socket) {
        ", and over a socket so is one with caching_sha2_password: let the server offer TLS, and leave ssl-mode out"
    } else {
        ""
    };
    let by_certificate = match target.endpoint.url.parameter("ssl-cert") {
        None => format!(
            "; one REQUIRE X509, SUBJECT or ISSUER without a certificate (ssl-cert=FILE&ssl-key=FILE): SHOW CREATE USER \
             {account};"
        ),
        Some(file) => format!(
            "; one REQUIRE SUBJECT or ISSUER with another certificate than {file}, or without TLS: SHOW CREATE USER \
             {account};"
        ),
    };
    match failure.code() {
        Some("1129") => {
            "the server has locked this machine out after failed connections: FLUSH HOSTS; (from MySQL 8.0.23 \
                         TRUNCATE TABLE performance_schema.host_cache;); then find what fails, or raise \
                         max_connect_errors"
                .to_owned()
        }
        Some("1130" | "1042") => {
            format!(
                "no account of this user may come from this machine: {hosts} then CREATE USER {account} IDENTIFIED BY <password>;"
            )
        }
        // MariaDB says so of an account that does not exist, too, lest anybody guess at names.
        Some("1698") => format!(
            "either there is no such account, or it logs in by the operating system's user (unix_socket, auth_socket) and \
             has no password: {plugins} then CREATE USER {account} IDENTIFIED BY <password>; or, on MariaDB, ALTER USER {account} \
             IDENTIFIED VIA mysql_native_password USING PASSWORD(<password>);"
        ),
        Some("3118" | "4151") => format!("ALTER USER {account} ACCOUNT UNLOCK;"),
        Some("1820" | "1862") => {
            format!(
                "its password has run out: ALTER USER {account} IDENTIFIED BY <password>; and, for good, ALTER USER {account} \
                     PASSWORD EXPIRE NEVER;"
            )
        }
        Some("3955") => {
            format!("the account is locked for some days after failed logins: ALTER USER {account} ACCOUNT UNLOCK;")
        }
        _ => match &target.endpoint.password {
            Some(source) => format!(
                "compare the password in {source} with the server's: ALTER USER {account} IDENTIFIED BY <password>; and see \
                 whether there is such an account, and for which hosts: {hosts} An account REQUIRE SSL is refused the same \
                 way without TLS{over_a_socket}{by_certificate}"
            ),
            None => format!(
                "if the server asks for a password, set password for this target; else look which accounts there are: \
                 {hosts}{by_certificate}"
            ),
        },
    }
}

/// The next step where a certificate is the trouble.
fn of_certificates(failure: &Failure) -> Option<String> {
    certificates::remedy(failure, "ssl-cert=FILE&ssl-key=FILE", "SELECT @@ssl_ca, @@ssl_capath;")
}

fn database(failure: &Failure, target: &Target, names: &Names) -> Option<String> {
    let Names { account, schema, schema_text, table, table_text, row, provision, .. } = names;
    Some(match failure.kind() {
        ErrorKind::MissingSchema | ErrorKind::MissingTable => format!("create it: {provision}"),
        // Which column it is, the beat has asked the catalogue, and was not answered.
        ErrorKind::MissingColumn | ErrorKind::ColumnType => {
            // An invalid time, or one outside its range.
            let late = match failure.code() {
                Some("1264" | "1292") => format!(
                    ". But if the server's clock stands at the end of the range of timestamp (2038-01-19): SET time_zone = \
                     '+00:00'; ALTER TABLE {table} MODIFY last_update datetime NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP;"
                ),
                _ => String::new(),
            };
            format!(
                "compare the columns of {table} with id int, text text, last_update timestamp: the check table-columns says \
                 which one is wrong, and how to mend it without losing a value{late}"
            )
        }
        ErrorKind::MissingRow => format!(
            "create row {row}: {provision}; if SELECT id FROM {table}; shows another, set row under [target.heartbeat]"
        ),
        ErrorKind::DuplicateRows => format!(
            "look at them, and keep the one that is needed: SELECT * FROM {table} WHERE id = {row}; then ALTER TABLE \
             {table} ADD PRIMARY KEY (id);"
        ),
        ErrorKind::RowNotUpdatable => format!(
            "a trigger puts the old value back: SHOW TRIGGERS FROM {schema} WHERE `Table` = {table_text};"
        ),
        ErrorKind::Rejected => format!(
            "take off what objects to the update: SHOW TRIGGERS FROM {schema} WHERE `Table` = {table_text}; {}",
            triggers_and_views::as_a_table_must_be(&target.heartbeat)
        ),
        // Without a privilege on a table the server does not say that it does not exist.
        ErrorKind::Privilege => match (failure.code(), target.endpoint.url.database()) {
            (Some("1044"), database) if !database.is_empty() => format!(
                "leave the database out of the address, a beat needs none; or GRANT SELECT ON {}.* TO {account};",
                quote(database)
            ),
            _ => format!(
                "let an administrator create and grant what is missing: {provision}; or, if the table is there, GRANT \
                 SELECT, INSERT, UPDATE ON TABLE {table} TO {account}; with the host that SELECT CURRENT_USER(); shows; a \
                 role that holds the privileges must be a default one (SET DEFAULT ROLE)"
            ),
        },
        ErrorKind::Lock | ErrorKind::StatementTimeout => format!(
            "find who holds it: SELECT t.trx_mysql_thread_id, t.trx_started, t.trx_query, p.user, p.host FROM \
             information_schema.INNODB_TRX t JOIN information_schema.PROCESSLIST p ON p.id = t.trx_mysql_thread_id ORDER \
             BY t.trx_started; (MySQL from 8.0 also: SELECT * FROM performance_schema.data_locks WHERE object_schema = \
             {schema_text} AND object_name = {table_text};) or SHOW PROCESSLIST; for a LOCK TABLES or FLUSH TABLES WITH READ \
             LOCK, and ask its owner to finish. To end it all the same, which rolls back what it has not committed: KILL id; A prepared \
             transaction has no session: XA RECOVER;"
        ),
        ErrorKind::DiskFull => "free space where the server keeps its data, binary logs and temporary files: SHOW BINARY \
                                LOGS; SELECT @@datadir, @@tmpdir; a binary log goes by itself when it is older than \
                                binlog_expire_logs_seconds: remove none that a connector or a replica has yet to read"
            .to_owned(),
        ErrorKind::Memory => {
            "look at the server's memory: innodb_buffer_pool_size, max_connections, the buffers of sessions, and its log"
                .to_owned()
        }
        ErrorKind::Limit => {
            format!(
                "the message names the limit: raise it on the server (or, for open files, for heartbeatd); one of the \
                 account: ALTER USER {account} WITH MAX_QUERIES_PER_HOUR 0 MAX_UPDATES_PER_HOUR 0 \
                 MAX_CONNECTIONS_PER_HOUR 0 MAX_USER_CONNECTIONS 0;"
            )
        }
        ErrorKind::Storage => "look at the server's disk and log at once: its storage fails".to_owned(),
        _ => return None,
    })
}

impl Names {
    fn of(target: &Target) -> Self {
        let heartbeat = &target.heartbeat;
        let user = user_of(&target.endpoint.url);
        Self {
            account: account(&user, "%"),
            user_text: literal(&user),
            schema: quote(&heartbeat.schema),
            schema_text: literal(&heartbeat.schema),
            table: table_of(heartbeat),
            table_text: literal(&heartbeat.table),
            row: heartbeat.row_number(),
            provision: plan::command_in_words(target),
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
        remedy(&Failure::new(kind, "x"), &target())
    }

    fn coded(kind: ErrorKind, code: &str, target: &Target) -> String {
        remedy(&Failure::new(kind, "x").with_code(code), target).unwrap()
    }

    #[test]
    fn every_kind_this_driver_gives_has_a_next_step_but_those_that_heal_by_themselves() {
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

    #[test]
    fn names_are_quoted_for_sql_and_for_the_shell() {
        insta::assert_snapshot!(remedy_of(ErrorKind::Privilege).unwrap(), @"let an administrator create and grant what is missing: heartbeatd provision --target 'orders db' (with the same configuration or address); or, if the table is there, GRANT SELECT, INSERT, UPDATE ON TABLE `streamkap`.`streamkap_heartbeat` TO `hb``x`@`%`; with the host that SELECT CURRENT_USER(); shows; a role that holds the privileges must be a default one (SET DEFAULT ROLE)");
        insta::assert_snapshot!(remedy_of(ErrorKind::MissingTable).unwrap(), @"create it: heartbeatd provision --target 'orders db' (with the same configuration or address)");
    }

    #[test]
    fn a_refused_login_says_by_its_number_what_to_do() {
        for (code, words) in [
            ("1045", "set password"),
            ("1129", "FLUSH HOSTS;"),
            ("1130", "CREATE USER `hb``x`@`%`"),
            ("1042", "SELECT User, Host FROM mysql.user"),
            ("1698", "SELECT User, Host, plugin FROM mysql.user"),
            ("3118", "ALTER USER `hb``x`@`%` ACCOUNT UNLOCK;"),
            ("4151", "ACCOUNT UNLOCK;"),
            ("1820", "IDENTIFIED BY"),
            ("1862", "IDENTIFIED BY"),
        ] {
            let text = coded(ErrorKind::Auth, code, &target());
            assert!(text.contains(words), "{code}: {text}");
        }
    }

    /// Which of the databases' clusters a remedy sends people to.
    fn clusters_in(text: &str) -> (bool, bool) {
        (text.contains("wsrep"), text.contains("replication_group_members"))
    }

    #[test]
    fn every_number_of_a_server_that_is_not_ready_is_told_what_its_own_cluster_takes() {
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
    fn no_second_cluster_is_made_of_a_node_that_is_on_its_way_into_the_first() {
        let said =
            |message: &str| remedy(&Failure::new(ErrorKind::Starting, message).with_code("1047"), &target()).unwrap();
        for message in ["WSREP has not yet prepared node for application use", "wsrep_cluster_status Primary"] {
            let text = said(message);
            assert!(!text.contains("primary component"), "{text}");
        }
        let text = said("wsrep_ready is OFF, wsrep_cluster_status non-Primary");
        assert!(text.contains("no other node is Primary") && text.contains("resetting the quorum"), "{text}");
    }

    #[test]
    fn a_server_that_somebody_took_offline_is_not_told_to_join_a_group() {
        for number in ["3032", "6401"] {
            let text = coded(ErrorKind::Starting, number, &target());
            assert!(
                !text.contains("START GROUP_REPLICATION") && text.contains("When they are done"),
                "{number}: {text}"
            );
        }
        assert!(coded(ErrorKind::Starting, "6400", &target()).contains("START GROUP_REPLICATION;"));
    }

    #[test]
    fn no_password_is_set_by_what_is_pasted_as_it_stands() {
        for kind in [ErrorKind::Auth, ErrorKind::AuthMethod] {
            for code in ["1045", "1130", "1698", "1820", "1862"] {
                let mut with_password = target();
                with_password.endpoint = Endpoint::parse("mysql://hb:hunter2@db/orders").unwrap();
                let text = coded(kind, code, &with_password);
                let set = text.contains(" BY <password>") && !text.contains(" BY '") && !text.contains("PASSWORD('");
                assert!(set, "{code}: {text}");
            }
        }
    }

    #[test]
    fn a_refused_password_names_its_source_and_never_itself() {
        let mut target = target();
        target.endpoint = Endpoint::parse("mysql://hb:hunter2@db/orders").unwrap();
        let text = coded(ErrorKind::Auth, "1045", &target);
        assert!(text.contains("[redacted]") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_database_in_the_address_that_the_account_may_not_use_is_left_out_of_it() {
        let mut target = target();
        target.endpoint = Endpoint::parse("mysql://hb@db/orders").unwrap();
        let text = coded(ErrorKind::Privilege, "1044", &target);
        assert!(text.starts_with("leave the database out") && text.contains("ON `orders`.*"), "{text}");
    }

    #[test]
    fn a_socket_is_not_told_to_verify_a_name() {
        let mut target = target();
        let without = remedy(&Failure::new(ErrorKind::Tls, "x"), &target).unwrap();
        target.endpoint = Endpoint::parse("mysql://hb@localhost/?socket=/run/mysqld/mysqld.sock").unwrap();
        let socket = remedy(&Failure::new(ErrorKind::Tls, "x"), &target).unwrap();
        assert!(without.starts_with("set ssl-mode=verify_identity") && socket.starts_with("over a socket"), "{socket}");
    }
}
