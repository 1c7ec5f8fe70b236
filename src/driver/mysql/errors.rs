//! The table of MySQL's and MariaDB's error numbers and of network errors, each with its kind. All files of this folder
//! use it.
//!
//! Numbers: <https://dev.mysql.com/doc/mysql-errors/9.0/en/server-error-reference.html>,
//! <https://mariadb.com/kb/en/mariadb-error-code-reference/>. It uses numbers, never text, because messages are
//! translated, and SQLSTATE is mostly HY000. If one number has several causes, `beat` asks the server which one it is.

use sqlx::mysql::MySqlDatabaseError;

use crate::driver::certificates::{self, ClientFiles};
use crate::driver::network::{kind_of_io, words_of_io};
use crate::heartbeat::{ErrorKind, Failure};

/// With which a node of a Galera cluster answers nearly every statement while it is no working part of its cluster.
pub(super) const NOT_READY: &str = "1047";
/// What the server refuses only now: it is no working part of its cluster, somebody holds a lock, or there is too much to
/// do. Another look may be answered.
pub(super) const PASSING: &[&str] = &[NOT_READY, "1205", "1213", "1317", "1969", "3024", "3572"];

/// Kinds by number, in order.
pub(super) const KINDS: &[(u16, ErrorKind)] = &[
    // Below 1000 the errors of the server's own file layer.
    (1, ErrorKind::Storage),
    (2, ErrorKind::Storage),
    (3, ErrorKind::Storage),
    (5, ErrorKind::Memory),
    (20, ErrorKind::DiskFull),
    (23, ErrorKind::Limit),
    (1020, ErrorKind::Conflict),
    (1021, ErrorKind::DiskFull),
    (1023, ErrorKind::Storage),
    (1024, ErrorKind::Storage),
    (1026, ErrorKind::Storage),
    (1030, ErrorKind::Storage),
    (1031, ErrorKind::Rejected),
    (1034, ErrorKind::Storage),
    (1035, ErrorKind::Storage),
    (1036, ErrorKind::Rejected),
    (1037, ErrorKind::Memory),
    (1038, ErrorKind::Memory),
    (1040, ErrorKind::TooManyConnections),
    (1041, ErrorKind::Memory),
    (1042, ErrorKind::Auth),
    (1043, ErrorKind::Protocol),
    (1044, ErrorKind::Privilege),
    (1045, ErrorKind::Auth),
    // Galera: the node is not ready ("unknown command" elsewhere, which this client has none of).
    (1047, ErrorKind::Starting),
    (1048, ErrorKind::Rejected),
    (1049, ErrorKind::MissingDatabase),
    (1053, ErrorKind::Shutdown),
    (1054, ErrorKind::MissingColumn),
    (1062, ErrorKind::Rejected),
    (1064, ErrorKind::Internal),
    (1077, ErrorKind::Shutdown),
    (1079, ErrorKind::Shutdown),
    (1080, ErrorKind::Shutdown),
    (1099, ErrorKind::Lock),
    (1100, ErrorKind::Internal),
    (1114, ErrorKind::DiskFull),
    (1129, ErrorKind::Auth),
    (1130, ErrorKind::Auth),
    (1133, ErrorKind::Rejected),
    (1135, ErrorKind::Limit),
    (1141, ErrorKind::Rejected),
    (1142, ErrorKind::Privilege),
    (1143, ErrorKind::Privilege),
    (1146, ErrorKind::MissingTable),
    (1152, ErrorKind::Network),
    (1153, ErrorKind::Limit),
    (1154, ErrorKind::Network),
    (1155, ErrorKind::Network),
    (1156, ErrorKind::Network),
    (1157, ErrorKind::Network),
    (1158, ErrorKind::Network),
    (1159, ErrorKind::Network),
    (1160, ErrorKind::Network),
    (1161, ErrorKind::Network),
    // A SELECT … INTO of a trigger's.
    (1172, ErrorKind::Rejected),
    (1175, ErrorKind::Rejected),
    (1180, ErrorKind::Storage),
    (1184, ErrorKind::Network),
    (1193, ErrorKind::Settings),
    (1194, ErrorKind::Storage),
    (1195, ErrorKind::Storage),
    (1197, ErrorKind::Limit),
    (1203, ErrorKind::TooManyConnections),
    (1205, ErrorKind::Lock),
    (1206, ErrorKind::Limit),
    (1213, ErrorKind::Conflict),
    // FLUSH TABLES WITH READ LOCK in this session; with another session's the statement only waits.
    (1223, ErrorKind::Lock),
    (1226, ErrorKind::Limit),
    (1227, ErrorKind::Privilege),
    (1231, ErrorKind::Settings),
    (1242, ErrorKind::Rejected),
    (1251, ErrorKind::AuthMethod),
    (1264, ErrorKind::ColumnType),
    (1265, ErrorKind::ColumnType),
    (1286, ErrorKind::Rejected),
    (1288, ErrorKind::Rejected),
    // Says so of every option that forbids something; of a heartbeat's statements only read_only does.
    (1290, ErrorKind::NotWritable),
    (1292, ErrorKind::ColumnType),
    (1298, ErrorKind::Settings),
    // A procedure or a function that a trigger calls.
    (1305, ErrorKind::Rejected),
    // Someone ran KILL QUERY: the next try may succeed.
    (1317, ErrorKind::Conflict),
    (1347, ErrorKind::Rejected),
    (1348, ErrorKind::Rejected),
    (1356, ErrorKind::Rejected),
    (1362, ErrorKind::Rejected),
    (1364, ErrorKind::Rejected),
    (1366, ErrorKind::ColumnType),
    (1370, ErrorKind::Privilege),
    (1396, ErrorKind::Rejected),
    (1406, ErrorKind::ColumnType),
    (1410, ErrorKind::Privilege),
    (1411, ErrorKind::ColumnType),
    (1442, ErrorKind::Rejected),
    (1449, ErrorKind::Rejected),
    (1451, ErrorKind::Rejected),
    (1452, ErrorKind::Rejected),
    (1471, ErrorKind::Rejected),
    (1524, ErrorKind::AuthMethod),
    (1598, ErrorKind::Rejected),
    (1613, ErrorKind::Conflict),
    (1614, ErrorKind::Conflict),
    (1637, ErrorKind::Limit),
    (1644, ErrorKind::Rejected),
    (1665, ErrorKind::Rejected),
    (1698, ErrorKind::Auth),
    (1785, ErrorKind::Rejected),
    (1792, ErrorKind::NotWritable),
    (1812, ErrorKind::Storage),
    (1814, ErrorKind::Storage),
    (1820, ErrorKind::Auth),
    (1836, ErrorKind::NotWritable),
    (1862, ErrorKind::Auth),
    // A server started with innodb_read_only, and one that recovers by force.
    (1874, ErrorKind::NotWritable),
    (1878, ErrorKind::Storage),
    (1881, ErrorKind::Storage),
    (1906, ErrorKind::Rejected),
    // MariaDB: KILL.
    (1927, ErrorKind::Shutdown),
    (1932, ErrorKind::Storage),
    (1969, ErrorKind::StatementTimeout),
    // Those of the client library, which a proxy passes on as its own.
    (2002, ErrorKind::Refused),
    (2003, ErrorKind::Refused),
    (2005, ErrorKind::Name),
    (2006, ErrorKind::Network),
    (2013, ErrorKind::Network),
    (2026, ErrorKind::Tls),
    (2027, ErrorKind::Protocol),
    (2055, ErrorKind::Network),
    (2059, ErrorKind::AuthMethod),
    (2061, ErrorKind::AuthMethod),
    (3019, ErrorKind::Limit),
    (3024, ErrorKind::StatementTimeout),
    // Offline mode.
    (3032, ErrorKind::Starting),
    // Group replication: the table does not comply, the hook failed, the transaction was rolled back.
    (3098, ErrorKind::Rejected),
    (3100, ErrorKind::Conflict),
    (3101, ErrorKind::Conflict),
    // A value for a generated column.
    (3105, ErrorKind::Rejected),
    (3118, ErrorKind::Auth),
    (3159, ErrorKind::Tls),
    // A server, or a member of a group, that is not up yet.
    (3168, ErrorKind::Starting),
    // MySQL: KILL.
    (3169, ErrorKind::Shutdown),
    (3572, ErrorKind::Lock),
    (3675, ErrorKind::DiskFull),
    // Group replication: a new primary that is not ready yet, or a member that is not, while group_replication_consistency
    // lets nobody in before.
    (3781, ErrorKind::Starting),
    (3782, ErrorKind::Conflict),
    (3783, ErrorKind::Starting),
    (3796, ErrorKind::Starting),
    (3797, ErrorKind::Conflict),
    (3798, ErrorKind::Conflict),
    (3799, ErrorKind::Starting),
    (3819, ErrorKind::Rejected),
    (3955, ErrorKind::Auth),
    // MariaDB's: a CHECK. MySQL has the number for the size of a tablespace, which no heartbeat sets.
    (4025, ErrorKind::Rejected),
    // Idle for wait_timeout.
    (4031, ErrorKind::Shutdown),
    // MariaDB's: a locked account. MySQL has the number for its bulk loader.
    (4151, ErrorKind::Auth),
    // Offline mode with its reason, say a lost group, and with who set it (MySQL 9).
    (6400, ErrorKind::Starting),
    (6401, ErrorKind::Starting),
    // ProxySQL: no server of the host group took a connection in time.
    (9001, ErrorKind::Timeout),
    // RDS Proxy: no connection to the database could be had in time.
    (9501, ErrorKind::Timeout),
];

/// Numbers with which the server refuses any write, before it checks privileges or rows.
pub(super) const READ_ONLY: &[&str] = &["1290", "1792", "1836", "1874"];

/// How the client words a way of logging in that it does not know; the rest is the plugin's name. There is no number:
/// the login ends on this side.
const UNKNOWN_PLUGIN: &str = "unknown authentication plugin: ";

/// How it words that it does not send passwords in clear, which PAM, LDAP and cloud accounts ask for.
const NO_CLEAR_PASSWORD: &str = "mysql_cleartext_plugin disabled";
/// How it words that it does not send passwords by RSA.
const NO_RSA: &str = "RSA auth backend disabled";

/// The number of an error, if the server sent it.
pub(super) fn number_of(error: &sqlx::Error) -> Option<u16> {
    let database = error.as_database_error()?;
    database.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
}

/// Classifies an error. The message is the server's own.
pub(super) fn classify(error: sqlx::Error) -> Failure {
    let number = number_of(&error);
    let (kind, message) = match &error {
        sqlx::Error::Database(database) => (number.map_or(ErrorKind::Unknown, kind_of), database.message().to_owned()),
        sqlx::Error::Io(io) => (kind_of_io(io), words_of_io(io)),
        sqlx::Error::Tls(tls) => (ErrorKind::Tls, tls.to_string()),
        sqlx::Error::Protocol(text) => match text.strip_prefix(UNKNOWN_PLUGIN) {
            Some(rest) => {
                // The name is followed by a place in the client's source.
                let plugin = rest.split(' ').next().unwrap_or(rest);
                let message = format!("the account logs in by the plugin {plugin}, which this program does not speak");
                (ErrorKind::AuthMethod, message)
            }
            None if text.starts_with(NO_CLEAR_PASSWORD) => (
                ErrorKind::AuthMethod,
                "the account's password would be sent in clear (mysql_clear_password, as PAM, LDAP and cloud accounts \
                 ask for), which this program does not do"
                    .to_owned(),
            ),
            None => (ErrorKind::Protocol, text.clone()),
        },
        sqlx::Error::Configuration(text) => (ErrorKind::Settings, text.to_string()),
        sqlx::Error::RowNotFound
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_) => (ErrorKind::Protocol, format!("not the answer that was asked for: {error}")),
        other => (ErrorKind::Internal, other.to_string()),
    };
    let failure = Failure::new(kind, message).with_source(error);
    match number {
        Some(number) => failure.with_code(number.to_string()),
        None => failure,
    }
}

/// As [`classify`], for an error of the login: what the client finds wrong with its own configuration is then a password
/// that would have to be sent without TLS. `client` are the files of the client's certificate, if it has one.
pub(super) fn classify_login(error: sqlx::Error, client: Option<&ClientFiles>) -> Failure {
    let error = match certificates::failure_of(error, client) {
        Ok(failure) => return failure,
        Err(error) => error,
    };
    let sqlx::Error::Configuration(text) = &error else { return classify(error) };
    let text = text.to_string();
    let message = if text.starts_with(NO_RSA) {
        "the account's password is sent through TLS only (caching_sha2_password, sha256_password), and this connection \
         has none"
            .to_owned()
    } else {
        format!("the client's certificate or key cannot be used: {text}")
    };
    Failure::new(ErrorKind::Tls, message).with_source(error)
}

/// The kind of a number.
pub(super) fn kind_of(number: u16) -> ErrorKind {
    let known = KINDS.binary_search_by_key(&number, |(known, _)| *known);
    known.map_or(ErrorKind::Unknown, |index| KINDS[index].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_stand_in_order_and_once() {
        assert!(KINDS.is_sorted_by(|(a, _), (b, _)| a < b));
    }

    #[test]
    fn every_number_has_its_kind_and_class() {
        let shown: Vec<_> = KINDS
            .iter()
            .map(|(number, _)| (*number, kind_of(*number)))
            .map(|(n, k)| format!("{n} {} {k}", k.class()))
            .collect();
        insta::assert_snapshot!(shown.join("\n"));
    }

    #[test]
    fn numbers_that_are_not_known_are_unknown() {
        for number in [0, 4, 1000, 1999, u16::MAX] {
            assert_eq!(kind_of(number), ErrorKind::Unknown, "{number}");
        }
    }

    #[test]
    fn errors_of_the_client_have_their_kinds() {
        assert_eq!(classify(sqlx::Error::Tls("no".into())).kind(), ErrorKind::Tls);
        assert_eq!(classify(sqlx::Error::Protocol("no".into())).kind(), ErrorKind::Protocol);
        let plugin = classify(sqlx::Error::Protocol("unknown authentication plugin: client_ed25519 (auth:36)".into()));
        assert_eq!(plugin.kind(), ErrorKind::AuthMethod);
        assert!(plugin.message().contains("plugin client_ed25519, which"), "{plugin}");
        assert_eq!(classify(sqlx::Error::RowNotFound).kind(), ErrorKind::Protocol);
        assert_eq!(classify(sqlx::Error::Configuration("no".into())).kind(), ErrorKind::Settings);
        let clear = classify(sqlx::Error::Protocol("mysql_cleartext_plugin disabled (auth_switch:30)".into()));
        assert_eq!(clear.kind(), ErrorKind::AuthMethod);
        let rsa = classify_login(sqlx::Error::Configuration("RSA auth backend disabled; and more".into()), None);
        assert!(rsa.kind() == ErrorKind::Tls && rsa.message().contains("through TLS only"), "{rsa}");
        let key = classify_login(sqlx::Error::Configuration("no keys found in pem file".into()), None);
        assert!(key.kind() == ErrorKind::Tls && key.message().contains("no keys found"), "{key}");
        assert_eq!(classify(sqlx::Error::WorkerCrashed).kind(), ErrorKind::Internal);
    }
}
