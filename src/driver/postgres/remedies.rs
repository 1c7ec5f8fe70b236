//! The next step for a failure: SQL that is ready to run, with this target's names. The driver's `remedy` calls it.
//! People read it on a page, in a log or in a report.

use super::identifier::{literal, quote};
use super::parameters::{database_of, user_of};
use crate::driver::{certificates, network};
use crate::heartbeat::{ErrorKind, Failure};
use crate::plan;
use crate::target::{HeartbeatTable, Target};

/// The names that a remedy speaks of, quoted.
struct Names {
    database: String,
    role: String,
    table: String,
    /// The table's qualified name as a text literal, to be cast to `regclass`.
    regclass: String,
    row: i64,
    /// The command that creates what is missing.
    provision: String,
}

/// The next step, where one is known.
pub(super) fn remedy(failure: &Failure, target: &Target) -> Option<String> {
    let names = Names::of(target);
    match failure.kind().class() {
        crate::heartbeat::ErrorClass::Connection => connection(failure, target, &names),
        _ => database(failure, target, &names),
    }
}

fn connection(failure: &Failure, target: &Target, names: &Names) -> Option<String> {
    let Names { database, role, .. } = names;
    Some(match failure.kind() {
        ErrorKind::Name => "check the host's name in the address, and this machine's resolver".to_owned(),
        ErrorKind::Refused => {
            "check that the server runs and listens where the address says: SHOW listen_addresses; SHOW port;"
                .to_owned()
        }
        ErrorKind::Network => {
            let network = "check network and firewall between heartbeatd and the server";
            match of_certificates(failure) {
                Some(remedy) => format!("{network}; {remedy}"),
                None => network.to_owned(),
            }
        }
        ErrorKind::Timeout => network::timeout_advice(target.timeout),
        ErrorKind::Tls => of_certificates(failure).unwrap_or_else(|| {
            "put the authority's certificate into sslrootcert=FILE, compare the host in the address with \
                           the names in the server's certificate, and its dates with today; sslmode=disable if the \
                           server has no TLS"
                .to_owned()
        }),
        // 28P01 is a password, 28000 everything else.
        ErrorKind::Auth if failure.code() == Some("28P01") => match &target.endpoint.password {
            // The server uses the same words if clientcert=verify-full finds another name.
            Some(source) => {
                let certificate = match target.endpoint.url.parameter("sslcert") {
                    Some(file) => {
                        format!(" and the name in {file} (CN) with the role's, where clientcert=verify-full asks")
                    }
                    None => String::new(),
                };
                format!(
                    "compare the password in {source} with the server's{certificate}: ALTER ROLE {role} PASSWORD <password>;"
                )
            }
            None => "the server asks for a password: set password for this target".to_owned(),
        },
        ErrorKind::Auth => format!(
            "ALTER ROLE {role} LOGIN; and a line in pg_hba.conf (then SELECT pg_reload_conf();): \
             host {database} {role} <this machine's address>/32 scram-sha-256; where such a line asks for a certificate \
             (cert, clientcert), name it in the address: sslcert=FILE&sslkey=FILE"
        ),
        ErrorKind::MissingDatabase => {
            format!("check the name in the address: SELECT datname FROM pg_database; none is called {database}")
        }
        ErrorKind::TooManyConnections => format!(
            "find who holds them: SELECT usename, application_name, state, count(*) FROM pg_stat_activity \
             GROUP BY 1, 2, 3 ORDER BY 4 DESC; then free some, raise max_connections, ALTER ROLE {role} CONNECTION \
             LIMIT -1; or keep a slot for heartbeatd (from PostgreSQL 16): GRANT pg_use_reserved_connections TO {role};"
        ),
        ErrorKind::NotWritable => match target.endpoint.url.hosts() {
            [_] => {
                "name the primary in url, or all hosts (postgres://user@a,b/database): the standby knows it: SELECT \
                    sender_host, sender_port FROM pg_stat_wal_receiver;"
                    .to_owned()
            }
            _ => "every host of url answers as a standby: wait for your failover tool, or add the primary to url: a \
                  standby knows it: SELECT sender_host, sender_port FROM pg_stat_wal_receiver;"
                .to_owned(),
        },
        ErrorKind::OldTimeline => {
            "fence or stop this former primary, or take it out of the address, with the tool that \
                                   manages the failover (Patroni, repmgr, the provider's console), and bring the newer \
                                   server back; where this one is meant to be the primary again, as after a restored \
                                   backup, restart heartbeatd"
                .to_owned()
        }
        // The setting also applies to the person who pastes this.
        ErrorKind::ReadOnlySetting => format!(
            "find who set it: SELECT source, sourcefile FROM pg_settings WHERE name = 'default_transaction_read_only'; \
             and lift it: BEGIN READ WRITE; ALTER ROLE {role} SET default_transaction_read_only = off; COMMIT;"
        ),
        ErrorKind::Identity => "if the server was replaced on purpose, restart or reload heartbeatd; if not, find out \
                                which server answers under this name"
            .to_owned(),
        ErrorKind::Starting => "wait for the server to finish starting; its log says how far it is".to_owned(),
        ErrorKind::Shutdown => {
            "wait for the server to come back; if a session was ended by hand, nothing is to do".to_owned()
        }
        ErrorKind::Protocol if failure.code() == Some("08P01") => {
            "a pooler refuses with this code whatever it does not take: check user, password and database in its \
             configuration (auth_file, [databases]), and read its log"
                .to_owned()
        }
        ErrorKind::Protocol => {
            "check that a PostgreSQL server or PgBouncer listens on this port, and read its log".to_owned()
        }
        _ => return None,
    })
}

/// What a beat needs, for this user in this database.
pub(super) fn grants(user: &str, database: &str, heartbeat: &HeartbeatTable) -> String {
    let (database, role, schema, table) =
        (quote(database), quote(user), quote(&heartbeat.schema), quote(&heartbeat.table));
    format!(
        "GRANT CONNECT ON DATABASE {database} TO {role}; GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT, INSERT, \
         UPDATE ON TABLE {schema}.{table} TO {role};"
    )
}

/// The next step where a certificate is the trouble.
fn of_certificates(failure: &Failure) -> Option<String> {
    certificates::remedy(failure, "sslcert=FILE&sslkey=FILE", "SHOW ssl_ca_file;")
}

fn database(failure: &Failure, target: &Target, names: &Names) -> Option<String> {
    let Names { role, table, regclass, row, provision, .. } = names;
    Some(match failure.kind() {
        ErrorKind::MissingSchema | ErrorKind::MissingTable => format!("create it: {provision}"),
        // Which column it is, the beat has asked the catalogue, and was not answered.
        ErrorKind::MissingColumn | ErrorKind::ColumnType => format!(
            "compare the columns of {table} with id integer, text text, last_update timestamp: the check table-columns says \
             which one is wrong, and how to mend it without losing a value"
        ),
        ErrorKind::MissingRow => format!(
            "create row {row}: {provision}; if SELECT id FROM {table}; shows another, set row under [target.heartbeat]; \
             if it shows row {row} to the owner only: CREATE POLICY heartbeatd ON {table} TO {role} USING (true);"
        ),
        ErrorKind::DuplicateRows => format!(
            "look at them, and keep the one that is needed: SELECT ctid, * FROM {table} WHERE id = {row}; then ALTER \
             TABLE {table} ADD PRIMARY KEY (id);"
        ),
        ErrorKind::RowNotUpdatable => format!(
            "row-level security: CREATE POLICY heartbeatd ON {table} FOR UPDATE TO {role} USING (true); or a trigger: \
             SELECT tgname FROM pg_trigger WHERE tgrelid = {regclass}::regclass AND NOT tgisinternal;"
        ),
        ErrorKind::Rejected => match failure.code() {
            Some("42P10") => format!(
                "the row filter or the column list of a publication does not fit the table's replica identity; which one, and \
                 the way out: heartbeatd check --target {} --only publication-identity",
                plan::shell_word(&target.name)
            ),
            Some("55000") => format!(
                "a publication needs to know the row: ALTER TABLE {table} ADD PRIMARY KEY (id); ALTER TABLE {table} \
                 REPLICA IDENTITY DEFAULT;"
            ),
            _ => format!(
                "take off what objects to the update: SELECT tgname FROM pg_trigger WHERE tgrelid = {regclass}::regclass \
                 AND NOT tgisinternal; SELECT conname FROM pg_constraint WHERE conrelid = {regclass}::regclass;"
            ),
        },
        ErrorKind::Privilege => {
            let url = &target.endpoint.url;
            grants(&user_of(url), &database_of(url), &target.heartbeat)
        }
        ErrorKind::Lock | ErrorKind::StatementTimeout => format!(
            "find who holds it: SELECT a.pid, a.usename, a.application_name, a.state, a.xact_start, a.query FROM \
             pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.relation = {regclass}::regclass AND l.granted \
             ORDER BY a.xact_start; and ask its owner to finish. To end it all the same, which rolls back what it has \
             not committed: SELECT pg_terminate_backend(pid); A prepared transaction has no session: SELECT gid, owner, \
             prepared FROM pg_prepared_xacts;"
        ),
        ErrorKind::DiskFull => "free space; what holds WAL back: SELECT slot_name, active, \
             pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)) FROM pg_replication_slots ORDER BY \
             restart_lsn;"
            .to_owned(),
        ErrorKind::Memory => "look at the server's memory: work_mem, max_connections, and its log".to_owned(),
        ErrorKind::Limit if failure.code() == Some("54000") => {
            "the server has run out of transaction IDs: let what reads the oldest slot read on, then VACUUM (FREEZE) each \
             database: SELECT slot_name, active, age(xmin), age(catalog_xmin) FROM pg_replication_slots; SELECT datname, \
             age(datfrozenxid) FROM pg_database ORDER BY 2 DESC;"
                .to_owned()
        }
        ErrorKind::Limit => {
            "the message names the limit: raise it on the server (or, for open files, for heartbeatd)".to_owned()
        }
        ErrorKind::Storage => "look at the server's disk and log at once: its storage fails".to_owned(),
        _ => return None,
    })
}

impl Names {
    fn of(target: &Target) -> Self {
        let url = &target.endpoint.url;
        let heartbeat = &target.heartbeat;
        let table = format!("{}.{}", quote(&heartbeat.schema), quote(&heartbeat.table));
        Self {
            database: quote(&database_of(url)),
            role: quote(&user_of(url)),
            regclass: literal(&table),
            table,
            row: heartbeat.row_number(),
            provision: plan::command_in_words(target),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Endpoint;

    fn target() -> Target {
        Target::new("orders db", Endpoint::parse("postgres://hb\"x@db.example/orders").unwrap())
    }

    fn remedy_of(kind: ErrorKind) -> Option<String> {
        remedy(&Failure::new(kind, "x"), &target())
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
                    | ErrorKind::AuthMethod
                    | ErrorKind::Settings
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
        insta::assert_snapshot!(remedy_of(ErrorKind::Privilege).unwrap(), @r#"GRANT CONNECT ON DATABASE "orders" TO "hb""x"; GRANT USAGE ON SCHEMA "streamkap" TO "hb""x"; GRANT SELECT, INSERT, UPDATE ON TABLE "streamkap"."streamkap_heartbeat" TO "hb""x";"#);
        insta::assert_snapshot!(remedy_of(ErrorKind::MissingTable).unwrap(), @"create it: heartbeatd provision --target 'orders db' (with the same configuration or address)");
    }

    #[test]
    fn a_refused_password_names_its_source_and_never_itself() {
        let mut target = target();
        target.endpoint = Endpoint::parse("postgres://hb:hunter2@db/orders").unwrap();
        let text = remedy(&Failure::new(ErrorKind::Auth, "x").with_code("28P01"), &target).unwrap();
        assert!(text.contains("[redacted]") && !text.contains("hunter2"), "{text}");
        // Pasted unchanged it sets nothing.
        assert!(text.contains(" PASSWORD <password>;"), "{text}");
        let text = remedy(&Failure::new(ErrorKind::Auth, "x").with_code("28000"), &target).unwrap();
        assert!(text.contains("pg_hba.conf"), "{text}");
    }
}
