//! The next step for a failure: what to do, or SQL that is ready to run, with this target's names. The driver's
//! `remedy` calls it. People read it on a page, in a log or in a report.

use super::errors::{
    CHECK_VIOLATION, INVALID_COLUMN_REFERENCE, INVALID_PASSWORD, OBJECT_NOT_IN_PREREQUISITE_STATE,
    PROGRAM_LIMIT_EXCEEDED, PROTOCOL_VIOLATION, is_without_partition,
};
use super::identifier::{literal, quote};
use super::parameters::{database_of, user_of};
use crate::driver::{certificates, network};
use crate::heartbeat::{ErrorClass, ErrorKind, Failure};
use crate::plan;
use crate::remedy::{Remedy, RunsOn};
use crate::target::{HeartbeatTable, Target};

/// The names in a remedy, quoted.
struct Names {
    database: String,
    role: String,
    table: String,
    /// The table's qualified name as a text literal, for a cast to `regclass`.
    regclass: String,
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
    let Names { database, role, .. } = names;
    Some(match failure.kind() {
        ErrorKind::Name => "check the host's name in the address, and this machine's resolver".into(),
        ErrorKind::Refused => Remedy::advice("check that the server runs and listens where the address says").then_run(
            Remedy::sql("SELECT name, setting FROM pg_settings WHERE name IN ('listen_addresses', 'port');")
                .note("from the server's own machine"),
        ),
        ErrorKind::Network => {
            let network = "check network and firewall between heartbeatd and the server";
            of_certificates(failure, &format!("{network}; ")).unwrap_or_else(|| network.into())
        }
        ErrorKind::Timeout => network::timeout_advice(target.timeout).into(),
        ErrorKind::Tls => of_certificates(failure, "").unwrap_or_else(|| {
            "put the authority's certificate into sslrootcert=FILE, compare the host in the address with the names in the \
             server's certificate, and its dates with today; sslmode=disable if the server has no TLS"
                .into()
        }),
        // The other codes of this kind do not concern a password.
        ErrorKind::Auth if failure.code() == Some(INVALID_PASSWORD) => password(target, role),
        ErrorKind::Auth => Remedy::advice(format!(
            "let the server accept this login, with a line in pg_hba.conf and a reload: host {database} {role} <this \
             machine's address>/32 scram-sha-256; where such a line asks for a certificate (cert, clientcert), name it in \
             the address: sslcert=FILE&sslkey=FILE"
        ))
        .or_run(Remedy::sql(format!("ALTER ROLE {role} LOGIN;")).note("if the role exists and has NOLOGIN")),
        ErrorKind::MissingDatabase => {
            Remedy::advice(format!("check the database's name in the address: the server has none called {database}"))
                .then_run(Remedy::sql("SELECT datname FROM pg_database;"))
        }
        ErrorKind::TooManyConnections => {
            Remedy::advice("close connections that are not needed, or raise max_connections").then_run(
                Remedy::sql(
                    "SELECT usename, application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3 ORDER BY 4 \
                     DESC;",
                )
                .note(format!(
                    "shows who holds them; if the role's own limit is the one that is reached, ALTER ROLE {role} \
                     CONNECTION LIMIT -1; from PostgreSQL 16, GRANT pg_use_reserved_connections TO {role} gives heartbeatd \
                     one of reserved_connections"
                )),
            )
        }
        ErrorKind::NotWritable => {
            let advice = match target.endpoint.url.hosts() {
                [_] => "name the primary in url, or all hosts (postgres://user@a,b/database)",
                _ => "wait for your failover tool, or add the primary to url: every host of url answers as a standby",
            };
            Remedy::advice(advice).then_run(primary_of_standby())
        }
        ErrorKind::OldTimeline => {
            "fence or stop this former primary, or take it out of the address, with the tool that manages the failover \
             (Patroni, repmgr, the provider's console), and bring the newer server back; if this one is meant to be the \
             primary again, as after a restored backup, restart heartbeatd"
                .into()
        }
        // The setting also applies to the session of the person who pastes this.
        ErrorKind::ReadOnlySetting => Remedy::advice(
            "find out who set default_transaction_read_only (SELECT source, sourcefile FROM pg_settings); if this server \
             is the source and no failover tool keeps it read-only, lift the setting for this role",
        )
        .then_run(Remedy::sql(format!(
            "BEGIN READ WRITE; ALTER ROLE {role} SET default_transaction_read_only = off; COMMIT;"
        ))),
        ErrorKind::Identity => "if the server was replaced on purpose, restart or reload heartbeatd; if not, find out \
                                which server answers under this name"
            .into(),
        ErrorKind::Starting => "wait for the server to finish starting; its log says how far it is".into(),
        ErrorKind::Shutdown => {
            "wait for the server to come back; if an administrator ended the session, no action is needed".into()
        }
        ErrorKind::Protocol if failure.code() == Some(PROTOCOL_VIOLATION) => {
            "check user, password and database in the pooler's configuration (PgBouncer: auth_file, [databases]), and read \
             its log: a pooler gives this code to whatever it refuses"
                .into()
        }
        ErrorKind::Protocol => {
            "check that a PostgreSQL server or PgBouncer listens on this port, and read its log".into()
        }
        _ => return None,
    })
}

/// The next step after a refused password.
fn password(target: &Target, role: &str) -> Remedy {
    let Some(source) = &target.endpoint.password else {
        return "set password for this target: the server asks for one".into();
    };
    // The server uses the same words if clientcert=verify-full finds another name.
    let certificate = match target.endpoint.url.parameter("sslcert") {
        Some(file) => format!(", and the name in {file} (CN) with the role's, where clientcert=verify-full asks"),
        None => String::new(),
    };
    Remedy::advice(format!(
        "compare the password in {source} with the server's{certificate}; an administrator sets a new one in psql: \
         \\password {role}"
    ))
}

/// The SQL that shows a standby's primary.
pub(super) fn primary_of_standby() -> Remedy {
    Remedy::sql("SELECT sender_host, sender_port FROM pg_stat_wal_receiver;")
        .on(RunsOn::Server("the standby".to_owned()))
        .note("shows its primary")
}

/// The privileges for a beat, for this user in this database.
pub(super) fn grants(user: &str, database: &str, heartbeat: &HeartbeatTable) -> Remedy {
    let (database, role, schema, table) =
        (quote(database), quote(user), quote(&heartbeat.schema), quote(&heartbeat.table));
    Remedy::sql(format!(
        "GRANT CONNECT ON DATABASE {database} TO {role}; GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT, INSERT, \
         UPDATE ON TABLE {schema}.{table} TO {role};"
    ))
}

/// The policy that lets a user see and update every row; `command` limits it to one command.
pub(super) fn policy(heartbeat: &HeartbeatTable, user: &str, command: &str) -> Remedy {
    let (schema, table, role) = (quote(&heartbeat.schema), quote(&heartbeat.table), quote(user));
    Remedy::sql(format!("CREATE POLICY heartbeatd ON {schema}.{table}{command} TO {role} USING (true);"))
}

/// The next step for a problem with a certificate; `first` comes before it.
fn of_certificates(failure: &Failure, first: &str) -> Option<Remedy> {
    let trusted = "ssl_ca_file in postgresql.conf";
    let advice = certificates::remedy(failure, "sslcert=FILE&sslkey=FILE", trusted)?;
    let advice = Remedy::advice(format!("{first}{advice}"));
    Some(match certificates::cause_of(failure) {
        Some(certificates::Cause::Refused) => advice.then_run(Remedy::sql("SHOW ssl_ca_file;")),
        _ => advice,
    })
}

fn database(failure: &Failure, target: &Target, names: &Names) -> Option<Remedy> {
    let Names { role, table, regclass, row, .. } = names;
    Some(match failure.kind() {
        ErrorKind::MissingSchema | ErrorKind::MissingTable => plan::command(target),
        // The beat asked the catalogue which column it is, and got no answer.
        ErrorKind::MissingColumn | ErrorKind::ColumnType => Remedy::advice(format!(
            "compare the columns of {table} with id integer, text text, last_update timestamp"
        ))
        .then_run(look(target, "table-columns").note("says which column is wrong, and how to mend it without losing a value")),
        ErrorKind::MissingRow => plan::command(target).note(format!(
            "creates row {row}; if SELECT id FROM {table} shows another row, set row under [target.heartbeat]; if row-level \
             security hides it, the check row-level-security has the policy"
        )),
        ErrorKind::DuplicateRows => Remedy::advice("keep the row that is needed, and make id the primary key").then_run(
            Remedy::sql(format!("SELECT ctid, * FROM {table} WHERE id = {row};"))
                .note(format!("then ALTER TABLE {table} ADD PRIMARY KEY (id)")),
        ),
        ErrorKind::RowNotUpdatable => Remedy::advice("find the trigger or the policy that undoes the update").then_run(
            Remedy::sql(format!(
                "SELECT tgname AS name, pg_get_triggerdef(oid) AS definition FROM pg_trigger WHERE tgrelid = \
                 {regclass}::regclass AND NOT tgisinternal UNION ALL SELECT policyname, qual FROM pg_policies WHERE \
                 format('%I.%I', schemaname, tablename)::regclass = {regclass}::regclass;"
            ))
            .note(format!("under row-level security, {role} requires a policy for UPDATE")),
        ),
        ErrorKind::Rejected => rejected(failure, target, names),
        ErrorKind::Privilege => {
            let url = &target.endpoint.url;
            grants(&user_of(url), &database_of(url), &target.heartbeat)
        }
        ErrorKind::Lock | ErrorKind::StatementTimeout => {
            Remedy::advice("ask the owner of the session that holds the lock to finish").then_run(
                Remedy::sql(format!(
                    "SELECT l.pid, a.usename, a.application_name, a.state, a.wait_event_type, a.xact_start, a.query, x.gid, \
                     x.owner, x.prepared FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid) LEFT JOIN \
                     pg_prepared_xacts x ON l.virtualtransaction = '-1/' || x.transaction WHERE l.relation = \
                     {regclass}::regclass AND l.granted AND coalesce(a.application_name, '') NOT LIKE 'heartbeatd:%' \
                     ORDER BY coalesce(a.xact_start, x.prepared);"
                ))
                .note(
                    "a row without pid is a prepared transaction, which has no session; pg_terminate_backend(pid) ends a \
                     session, and rolls back what it has not committed",
                ),
            )
        }
        ErrorKind::DiskFull => Remedy::advice("free space on the server's disk").then_run(
            Remedy::sql(
                "SELECT slot_name, active, pg_size_pretty(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN \
                 pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn)) FROM pg_replication_slots ORDER BY \
                 restart_lsn;",
            )
            .note("shows which slots hold back WAL"),
        ),
        ErrorKind::Memory => "look at the server's memory: work_mem, max_connections, and its log".into(),
        ErrorKind::Limit if failure.code() == Some(PROGRAM_LIMIT_EXCEEDED) => Remedy::advice(
            "let what reads the oldest slot read on, then run VACUUM (FREEZE) in each database: the server has run out of \
             transaction IDs",
        )
        .then_run(Remedy::sql(
            "SELECT slot_name, active, age(xmin), age(catalog_xmin) FROM pg_replication_slots; SELECT datname, \
             age(datfrozenxid) FROM pg_database ORDER BY 2 DESC;",
        )),
        ErrorKind::Limit => {
            "raise the limit that the message names, on the server (or, for open files, for heartbeatd)".into()
        }
        ErrorKind::Storage => "look at the server's disk and log at once: its storage fails".into(),
        _ => return None,
    })
}

/// The next step for an update that the server refuses.
fn rejected(failure: &Failure, target: &Target, names: &Names) -> Remedy {
    let regclass = &names.regclass;
    match failure.code() {
        Some(INVALID_COLUMN_REFERENCE) => Remedy::advice(
            "find the publication whose row filter or column list does not fit the table's replica identity",
        )
        .then_run(look(target, "publication-identity").note("names it, with the way out")),
        Some(CHECK_VIOLATION) if is_without_partition(failure) => {
            let HeartbeatTable { schema, table, .. } = &target.heartbeat;
            let default = format!("{}.{}", quote(schema), quote(&default_partition(table)));
            Remedy::advice("create a partition for the present time, as the table's other partitions are made").or_run(
                Remedy::sql(format!("CREATE TABLE {default} PARTITION OF {} DEFAULT;", names.table))
                    .note("holds rows of every time that no other partition holds"),
            )
        }
        Some(OBJECT_NOT_IN_PREREQUISITE_STATE) => Remedy::advice(
            "give the table, or the partition that the message names, a replica identity: a publication publishes its \
             updates",
        )
        .then_run(look(target, "replica-identity").note("says how")),
        _ => Remedy::advice("take away what refuses the update: a trigger or a constraint").then_run(Remedy::sql(
            format!(
                "SELECT tgname AS name, pg_get_triggerdef(oid) AS definition FROM pg_trigger WHERE tgrelid = \
             {regclass}::regclass AND NOT tgisinternal UNION ALL SELECT conname, pg_get_constraintdef(oid) FROM \
             pg_constraint WHERE conrelid = {regclass}::regclass;"
            ),
        )),
    }
}

/// A name for the default partition, no longer than the server keeps.
fn default_partition(table: &str) -> String {
    let kept = table.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= 55).last().unwrap_or(0);
    format!("{}_default", &table[..kept])
}

/// The one check that names the cause and the remedy.
fn look(target: &Target, check: &str) -> Remedy {
    Remedy::shell(format!("heartbeatd check --target {} --only {check}", plan::shell_word(&target.name)))
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
        remedy(&Failure::new(kind, "x"), &target()).map(|remedy| remedy.to_string())
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
        insta::assert_snapshot!(remedy_of(ErrorKind::Privilege).unwrap(), @r#"GRANT CONNECT ON DATABASE "orders" TO "hb""x"; GRANT USAGE ON SCHEMA "streamkap" TO "hb""x"; GRANT SELECT, INSERT, UPDATE ON TABLE "streamkap"."streamkap_heartbeat" TO "hb""x"; -- on the source"#);
        insta::assert_snapshot!(remedy_of(ErrorKind::MissingTable).unwrap(), @"heartbeatd provision --target 'orders db' # where heartbeatd is configured: with the same configuration or address");
    }

    #[test]
    fn a_refused_password_is_reported_by_its_source_and_never_shown() {
        let mut target = target();
        target.endpoint = Endpoint::parse("postgres://hb:hunter2@db/orders").unwrap();
        let of = |code: &str| remedy(&Failure::new(ErrorKind::Auth, "x").with_code(code), &target).unwrap().to_string();
        let text = of(INVALID_PASSWORD);
        assert!(text.contains("[redacted]") && !text.contains("hunter2"), "{text}");
        // SQL with a password would put it into the server's log.
        assert!(text.ends_with(r#"in psql: \password "hb""#), "{text}");
        assert!(of("28000").contains("pg_hba.conf"), "{}", of("28000"));
    }

    /// The remedy for each kind with its SQLSTATEs, as people read it.
    #[test]
    fn what_a_person_reads_of_each_kind_and_code() {
        let mut target = target();
        target.endpoint = Endpoint::parse("postgres://hb\"x:hunter2@db.example/orders").unwrap();
        let mut shown: Vec<(String, Vec<&str>)> = Vec::new();
        for kind in ErrorKind::ALL.iter().copied() {
            let codes = super::super::errors::codes_of(kind);
            for code in codes.iter().copied().chain(codes.is_empty().then_some("")) {
                let failure = Failure::new(kind, "what the server says");
                let failure = if code.is_empty() { failure } else { failure.with_code(code) };
                let next = remedy(&failure, &target).map_or("nothing".to_owned(), |remedy| remedy.to_string());
                let text = format!("{} {kind}: {}\n    next: {next}", kind.class(), failure.message());
                match shown.iter_mut().find(|(known, _)| *known == text) {
                    Some((_, codes)) => codes.push(code),
                    None => shown.push((text, vec![code])),
                }
            }
        }
        let lines = shown.iter().map(|(text, codes)| format!("{}\n    codes: {}", text, codes.join(" ").trim()));
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n\n"));
    }
}
