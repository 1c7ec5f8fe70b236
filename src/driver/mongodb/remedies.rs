//! The next step for a failure: a script for mongosh that is ready to run, with this target's names. The driver's
//! `remedy` calls it. People read it on a page, in a log or in a report.

use super::identifier::{WRITER, auth_database, id_literal, literal, namespace};
use crate::driver::{certificates, network};
use crate::heartbeat::{ErrorClass, ErrorKind, Failure};
use crate::plan;
use crate::remedy::{Remedy, RunsOn};
use crate::target::{HeartbeatTable, Target};

/// Shows the members and their states.
const MEMBERS: &str = "rs.status().members.map(m => [m.name, m.stateStr, m.lastHeartbeatMessage])";

/// A script for an administrator's mongosh on the primary.
pub(super) fn on_primary(script: impl Into<String>) -> Remedy {
    Remedy::mongosh(script).on(RunsOn::Server("the primary".to_owned())).note("as an administrator")
}

/// A script that only shows something on the primary; a user with the role clusterMonitor may run it too.
fn look_on_primary(script: &str) -> Remedy {
    Remedy::mongosh(script).on(RunsOn::Server("the primary".to_owned()))
}

/// Creates the role for beats if it is missing, gives it these privileges, and grants it to a user of a database.
/// Pasting it again changes nothing.
pub(super) fn let_user_beat(heartbeat: &HeartbeatTable, user: &str, defined_in: &str, actions: &[&str]) -> Remedy {
    let (schema, role) = (literal(&heartbeat.schema), literal(WRITER));
    let database = format!("db.getSiblingDB({schema})");
    let actions: Vec<String> = actions.iter().map(|action| literal(action)).collect();
    on_primary(format!(
        "{database}.getRole({role}) || {database}.createRole({{role: {role}, privileges: [], roles: []}}); \
         {database}.grantPrivilegesToRole({role}, [{{resource: {{db: {schema}, collection: {}}}, actions: [{}]}}]); \
         db.getSiblingDB({}).grantRolesToUser({}, [{{role: {role}, db: {schema}}}])",
        literal(&heartbeat.table),
        actions.join(", "),
        literal(defined_in),
        literal(user),
    ))
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
        ErrorKind::Name => "check the host's name in the address (of mongodb+srv: its SRV record), and this machine's \
                            resolver"
            .into(),
        ErrorKind::Refused => "check that mongod runs and listens where the address says: net.port and net.bindIp in \
                               mongod.conf"
            .into(),
        ErrorKind::Network => "check network and firewall between heartbeatd and every member of the replica set; in \
                               Atlas, the IP access list"
            .into(),
        ErrorKind::Timeout => network::timeout_advice(target.timeout).into(),
        ErrorKind::Tls => certificates::remedy(failure, "tlsCertificateKeyFile=FILE", "net.tls.CAFile in mongod.conf")
            .unwrap_or_else(|| {
                "put the authority's certificate into tlsCAFile=FILE, compare the host in the address with the names in \
                 the server's certificate, and its dates with today; tls=false if the server has no TLS"
                    .to_owned()
            })
            .into(),
        ErrorKind::Auth => match (&target.endpoint.password, url.user()) {
            (_, None) => "the server asks for a login: write mongodb://user@host/ and set password for this target".into(),
            (Some(source), Some(user)) => {
                let auth = literal(&auth_database(target));
                Remedy::advice(format!(
                "compare the user, the password in {source}, and the database that the user is defined in (authSource, \
                 now {auth})"
            ))
            .or_run(on_primary(format!(
                "db.getSiblingDB({auth}).changeUserPassword({}, passwordPrompt())",
                literal(user)
            )))
            }
            (None, Some(_)) => "the server asks for a password: set password for this target".into(),
        },
        ErrorKind::AuthMethod => "name a way of logging in that the user has: authMechanism=SCRAM-SHA-256, SCRAM-SHA-1 or \
                                  MONGODB-X509"
            .into(),
        ErrorKind::NoPrimary => Remedy::advice(
            "wait for an election to end; if it does not end, start the members that are down, because a primary requires \
             the majority of the votes; compare replicaSet= in the address with the name of the set",
        )
        .then_run(Remedy::mongosh(MEMBERS).on(RunsOn::Server("any member".into()))),
        ErrorKind::Unconfirmed => Remedy::advice(
            "start or speed up the secondaries: the primary has the write, and change streams deliver it once the majority \
             has it",
        )
        .then_run(look_on_primary(MEMBERS)),
        ErrorKind::NotWritable => match url.parameter("directConnection") {
            Some("true") => "take directConnection=true out of the address, so that the primary is found".into(),
            _ => "wait for the election to end: the new primary is found without any change".into(),
        },
        ErrorKind::Identity => "if the replica set was replaced on purpose, restart or reload heartbeatd; if not, find out \
                                which servers answer under these names"
            .into(),
        ErrorKind::Starting => "wait for the member to finish starting; its log says how far it is".into(),
        ErrorKind::Shutdown => {
            "wait for the server to come back; if an administrator ended the operation, no action is needed".into()
        }
        ErrorKind::Protocol => "check that a MongoDB server of version 4.4 or newer listens on this port".into(),
        ErrorKind::TooManyConnections => {
            "lower the number of clients, or raise net.maxIncomingConnections in mongod.conf".into()
        }
        _ => return None,
    })
}

fn database(failure: &Failure, target: &Target) -> Option<Remedy> {
    let (heartbeat, provision) = (&target.heartbeat, plan::command_in_words(target));
    let collection = collection(target);
    Some(match failure.kind() {
        ErrorKind::MissingSchema | ErrorKind::MissingTable => plan::command(target),
        ErrorKind::MissingRow => format!(
            "create the document with _id {}: {provision}; if {collection}.find({{}}, {{_id: 1}}) shows another, set row \
             under [target.heartbeat]",
            id_literal(heartbeat),
        )
        .into(),
        ErrorKind::Rejected => match failure.code() {
            Some("121") => Remedy::advice("let the collection's validator accept a date in last_update")
                .then_run(on_primary(validator(target)).note("shows the validator")),
            Some("166") => {
                format!("{} is a view: name the collection below it, under [target.heartbeat]", namespace(heartbeat)).into()
            }
            _ => "read the server's message: it refuses the update for a reason of its own".into(),
        },
        ErrorKind::Privilege => match target.endpoint.url.user() {
            Some(user) => Remedy::advice(format!("create and grant the role {WRITER}: {provision}"))
                .or_run(let_user_beat(heartbeat, user, &auth_database(target), &["find", "update"])),
            None => {
                "the server asks for a login: write mongodb://user@host/ and set password for this target".into()
            }
        },
        ErrorKind::Lock | ErrorKind::StatementTimeout => {
            on_primary("db.currentOp({secs_running: {$gte: 5}}).inprog").note("shows what holds the server")
        }
        ErrorKind::Conflict => return None,
        ErrorKind::DiskFull => "free space on the primary's machine, where storage.dbPath of mongod.conf is".into(),
        ErrorKind::Memory => "look at the primary's memory, and its log".into(),
        ErrorKind::Limit => {
            "the message names the limit: raise it on the server (or, for open files, for heartbeatd)".into()
        }
        ErrorKind::Storage => "look at the primary's disk and log at once: its storage fails".into(),
        _ => return None,
    })
}

/// Shows the collection's validator.
pub(super) fn validator(target: &Target) -> String {
    let (database, name) = (literal(&target.heartbeat.schema), literal(&target.heartbeat.table));
    format!("db.getSiblingDB({database}).getCollectionInfos({{name: {name}}})[0].options.validator")
}

/// The heartbeat's collection as mongosh writes it.
pub(super) fn collection(target: &Target) -> String {
    let (database, collection) = (literal(&target.heartbeat.schema), literal(&target.heartbeat.table));
    format!("db.getSiblingDB({database}).getCollection({collection})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Endpoint;

    fn target() -> Target {
        Target::new("orders", Endpoint::parse("mongodb://h\"b@db.example/?replicaSet=rs0").unwrap())
    }

    #[test]
    fn every_kind_of_this_driver_has_a_next_step_unless_it_heals_by_itself() {
        for kind in ErrorKind::ALL.iter().copied() {
            let expected = !matches!(
                kind,
                ErrorKind::ClientLibrary
                    | ErrorKind::SecretSource
                    | ErrorKind::MissingDatabase
                    | ErrorKind::MissingFile
                    | ErrorKind::OldTimeline
                    | ErrorKind::ReadOnlySetting
                    | ErrorKind::Settings
                    | ErrorKind::MissingColumn
                    | ErrorKind::ColumnType
                    | ErrorKind::DuplicateRows
                    | ErrorKind::RowNotUpdatable
                    | ErrorKind::Conflict
                    | ErrorKind::Throttled
                    | ErrorKind::Unknown
                    | ErrorKind::Internal
            );
            assert_eq!(remedy(&Failure::new(kind, "x"), &target()).is_some(), expected, "{kind}");
        }
    }

    #[test]
    fn names_in_a_remedy_are_quoted_for_mongosh() {
        let remedy = remedy(&Failure::new(ErrorKind::Privilege, "x"), &target()).unwrap().to_string();
        assert!(
            remedy.contains(r#"grantRolesToUser("h\"b", [{role: "heartbeatd_writer", db: "streamkap"}])"#),
            "{remedy}"
        );
    }
}
