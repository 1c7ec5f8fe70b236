//! The next step for a failure: a script for mongosh that is ready to run, with this target's names. The driver's
//! `remedy` calls it. People read it on a page, in a log or in a report.

use super::identifier::{WRITER, auth_database, id_literal, literal, namespace};
use crate::driver::certificates;
use crate::heartbeat::{ErrorClass, ErrorKind, Failure};
use crate::plan;
use crate::target::Target;

/// Where the administrator's commands are typed.
const ON_PRIMARY: &str = "in mongosh, on the primary, as an administrator:";
/// Which members there are, and in which state.
const MEMBERS: &str = "rs.status().members.map(m => [m.name, m.stateStr, m.lastHeartbeatMessage])";

/// The next step, where one is known.
pub(super) fn remedy(failure: &Failure, target: &Target) -> Option<String> {
    match failure.kind().class() {
        ErrorClass::Connection => connection(failure, target),
        _ => database(failure, target),
    }
}

fn connection(failure: &Failure, target: &Target) -> Option<String> {
    let url = &target.endpoint.url;
    Some(match failure.kind() {
        ErrorKind::Name => "check the host's name in the address (of mongodb+srv: its SRV record), and this machine's \
                            resolver"
            .to_owned(),
        ErrorKind::Refused => "check that mongod runs and listens where the address says: net.port and net.bindIp in \
                               mongod.conf"
            .to_owned(),
        ErrorKind::Network => "check network and firewall between heartbeatd and every member of the replica set; in \
                               Atlas, the IP access list"
            .to_owned(),
        ErrorKind::Timeout => format!(
            "check network and firewall (is the port dropped, the server frozen?), or raise timeout, now {}",
            humantime::format_duration(target.timeout)
        ),
        ErrorKind::Tls => certificates::remedy(failure, "tlsCertificateKeyFile=FILE", "net.tls.CAFile in mongod.conf")
            .unwrap_or_else(|| {
                "put the authority's certificate into tlsCAFile=FILE, compare the host in the address with the names in \
                 the server's certificate, and its dates with today; tls=false if the server has no TLS"
                    .to_owned()
            }),
        ErrorKind::Auth => match (&target.endpoint.password, url.user()) {
            (_, None) => "the server asks for a login: write mongodb://user@host/ and set password for this target".to_owned(),
            (Some(source), Some(user)) => format!(
                "compare the user, the password in {source}, and the database that the user is defined in \
                 (authSource, now {auth}); {ON_PRIMARY} db.getSiblingDB({auth}).changeUserPassword({user}, \
                 passwordPrompt())",
                user = literal(user),
                auth = literal(&auth_database(target)),
            ),
            (None, Some(_)) => "the server asks for a password: set password for this target".to_owned(),
        },
        ErrorKind::AuthMethod => "name a way of logging in that the user has: authMechanism=SCRAM-SHA-256, SCRAM-SHA-1 or \
                                  MONGODB-X509"
            .to_owned(),
        ErrorKind::NoPrimary => format!(
            "wait for an election to end; if it does not, start the members that are down, as a primary needs the \
             majority of the votes; compare replicaSet= in the address with the set's name; in mongosh, on any member: \
             {MEMBERS}"
        ),
        ErrorKind::Unconfirmed => format!(
            "the write stands on the primary, and change streams deliver it once the majority has it: start or speed up \
             the secondaries; in mongosh, on the primary: {MEMBERS}"
        ),
        ErrorKind::NotWritable => match url.parameter("directConnection") {
            Some("true") => "take directConnection=true out of the address, so that the primary is found".to_owned(),
            _ => "wait for the election to end: the new primary is found without any change".to_owned(),
        },
        ErrorKind::Identity => "if the replica set was replaced on purpose, restart or reload heartbeatd; if not, find out \
                                which servers answer under these names"
            .to_owned(),
        ErrorKind::Starting => "wait for the member to finish starting; its log says how far it is".to_owned(),
        ErrorKind::Shutdown => {
            "wait for the server to come back; if an administrator ended the operation, no action is needed".to_owned()
        }
        ErrorKind::Protocol => "check that a MongoDB server of version 4.4 or newer listens on this port".to_owned(),
        ErrorKind::TooManyConnections => {
            "lower the number of clients, or raise net.maxIncomingConnections in mongod.conf".to_owned()
        }
        _ => return None,
    })
}

fn database(failure: &Failure, target: &Target) -> Option<String> {
    let (heartbeat, provision) = (&target.heartbeat, plan::command_in_words(target));
    let collection = collection(target);
    Some(match failure.kind() {
        ErrorKind::MissingSchema | ErrorKind::MissingTable => format!("create it: {provision}"),
        ErrorKind::MissingRow => format!(
            "create the document with _id {}: {provision}; if {collection}.find({{}}, {{_id: 1}}) shows another, set row \
             under [target.heartbeat]",
            id_literal(heartbeat),
        ),
        ErrorKind::Rejected => match failure.code() {
            Some("121") => format!(
                "let the collection's validator take a date in last_update; {ON_PRIMARY} \
                 db.getSiblingDB({}).getCollectionInfos({{name: {}}})[0].options.validator",
                literal(&heartbeat.schema),
                literal(&heartbeat.table),
            ),
            Some("166") => {
                format!("{} is a view: name the collection below it, under [target.heartbeat]", namespace(heartbeat))
            }
            _ => "read the server's message: it refuses the update for a reason of its own".to_owned(),
        },
        ErrorKind::Privilege => match target.endpoint.url.user() {
            Some(user) => format!(
                "{provision} makes the role {WRITER}; {ON_PRIMARY} db.getSiblingDB({}).grantRolesToUser({}, [{{role: \
                 {}, db: {}}}])",
                literal(&auth_database(target)),
                literal(user),
                literal(WRITER),
                literal(&heartbeat.schema),
            ),
            None => {
                "the server asks for a login: write mongodb://user@host/ and set password for this target".to_owned()
            }
        },
        ErrorKind::Lock | ErrorKind::StatementTimeout => {
            format!("find what holds the server; {ON_PRIMARY} db.currentOp({{secs_running: {{$gte: 5}}}}).inprog")
        }
        ErrorKind::Conflict => return None,
        ErrorKind::DiskFull => "free space on the primary's machine, where storage.dbPath of mongod.conf is".to_owned(),
        ErrorKind::Memory => "look at the primary's memory, and its log".to_owned(),
        ErrorKind::Limit => {
            "the message names the limit: raise it on the server (or, for open files, for heartbeatd)".to_owned()
        }
        ErrorKind::Storage => "look at the primary's disk and log at once: its storage fails".to_owned(),
        _ => return None,
    })
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
    fn every_kind_this_driver_gives_has_a_next_step_but_those_that_heal_by_themselves() {
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
    fn names_in_a_remedy_are_text_to_mongosh() {
        let remedy = remedy(&Failure::new(ErrorKind::Privilege, "x"), &target()).unwrap();
        assert!(
            remedy.contains(r#"grantRolesToUser("h\"b", [{role: "heartbeatd_writer", db: "streamkap"}])"#),
            "{remedy}"
        );
    }
}
