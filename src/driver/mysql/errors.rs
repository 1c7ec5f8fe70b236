//! The table of MySQL's and MariaDB's error numbers and of network errors, each with its kind. All files of this folder
//! use it.
//!
//! Numbers: <https://dev.mysql.com/doc/mysql-errors/9.0/en/server-error-reference.html>,
//! <https://mariadb.com/kb/en/mariadb-error-code-reference/>. It uses numbers, never text, because messages are
//! translated, and SQLSTATE is mostly HY000. If one number has several causes, `beat` asks the server which one it is.

use sqlx::mysql::MySqlDatabaseError;

use super::error_codes;
use crate::driver::answer::Refusal;
use crate::driver::certificates::{self, ClientFiles};
use crate::driver::network::{kind_of_io, words_of_io};
use crate::heartbeat::{ErrorKind, Failure};

/// Refusals that may pass: the server is not a working part of its cluster, another session holds a lock, or the server
/// is too busy. A later inspection may succeed.
pub(super) const PASSING: &[&str] = &[
    error_codes::ER_UNKNOWN_COM_ERROR,
    error_codes::ER_LOCK_WAIT_TIMEOUT,
    error_codes::ER_LOCK_DEADLOCK,
    error_codes::ER_QUERY_INTERRUPTED,
    error_codes::ER_STATEMENT_TIMEOUT,
    error_codes::ER_QUERY_TIMEOUT,
    error_codes::ER_LOCK_NOWAIT,
];

/// Of these, the codes of a statement that gave up waiting for a table: a session holds it, or changes its definition.
pub(super) const WAITED: &[&str] =
    &[error_codes::ER_LOCK_WAIT_TIMEOUT, error_codes::ER_STATEMENT_TIMEOUT, error_codes::ER_QUERY_TIMEOUT];

/// Kinds by number, in ascending order.
pub(super) const KINDS: &[(&str, ErrorKind)] = &[
    // Numbers below 1000 come from the server's own file layer.
    ("1", ErrorKind::Storage),
    ("2", ErrorKind::Storage),
    ("3", ErrorKind::Storage),
    ("5", ErrorKind::Memory),
    ("20", ErrorKind::DiskFull),
    ("23", ErrorKind::Limit),
    ("1020", ErrorKind::Conflict), // ER_CHECKREAD
    ("1021", ErrorKind::DiskFull), // ER_DISK_FULL
    ("1023", ErrorKind::Storage),  // ER_ERROR_ON_CLOSE
    ("1024", ErrorKind::Storage),  // ER_ERROR_ON_READ
    ("1026", ErrorKind::Storage),  // ER_ERROR_ON_WRITE
    ("1030", ErrorKind::Storage),  // ER_GET_ERRNO
    (error_codes::ER_ILLEGAL_HA, ErrorKind::Rejected),
    ("1034", ErrorKind::Storage), // ER_NOT_KEYFILE
    ("1035", ErrorKind::Storage), // ER_OLD_KEYFILE
    (error_codes::ER_OPEN_AS_READONLY, ErrorKind::Rejected),
    ("1037", ErrorKind::Memory),             // ER_OUTOFMEMORY
    ("1038", ErrorKind::Memory),             // ER_OUT_OF_SORTMEMORY
    ("1040", ErrorKind::TooManyConnections), // ER_CON_COUNT_ERROR
    ("1041", ErrorKind::Memory),             // ER_OUT_OF_RESOURCES
    (error_codes::ER_BAD_HOST_ERROR, ErrorKind::Auth),
    ("1043", ErrorKind::Protocol), // ER_HANDSHAKE_ERROR
    (error_codes::ER_DBACCESS_DENIED_ERROR, ErrorKind::Privilege),
    (error_codes::ER_ACCESS_DENIED_ERROR, ErrorKind::Auth),
    (error_codes::ER_UNKNOWN_COM_ERROR, ErrorKind::Starting),
    ("1048", ErrorKind::Rejected), // ER_BAD_NULL_ERROR
    (error_codes::ER_BAD_DB_ERROR, ErrorKind::MissingDatabase),
    ("1053", ErrorKind::Shutdown), // ER_SERVER_SHUTDOWN
    (error_codes::ER_BAD_FIELD_ERROR, ErrorKind::MissingColumn),
    (error_codes::ER_DUP_ENTRY, ErrorKind::Rejected),
    (error_codes::ER_PARSE_ERROR, ErrorKind::Internal),
    ("1077", ErrorKind::Shutdown), // ER_NORMAL_SHUTDOWN
    ("1079", ErrorKind::Shutdown), // ER_SHUTDOWN_COMPLETE
    ("1080", ErrorKind::Shutdown), // ER_FORCING_CLOSE
    ("1099", ErrorKind::Lock),     // ER_TABLE_NOT_LOCKED_FOR_WRITE
    ("1100", ErrorKind::Internal), // ER_TABLE_NOT_LOCKED
    ("1114", ErrorKind::DiskFull), // ER_RECORD_FILE_FULL
    (error_codes::ER_HOST_IS_BLOCKED, ErrorKind::Auth),
    (error_codes::ER_HOST_NOT_PRIVILEGED, ErrorKind::Auth),
    ("1133", ErrorKind::Rejected), // ER_PASSWORD_NO_MATCH
    ("1135", ErrorKind::Limit),    // ER_CANT_CREATE_THREAD
    (error_codes::ER_NONEXISTING_GRANT, ErrorKind::Rejected),
    (error_codes::ER_TABLEACCESS_DENIED_ERROR, ErrorKind::Privilege),
    (error_codes::ER_COLUMNACCESS_DENIED_ERROR, ErrorKind::Privilege),
    (error_codes::ER_NO_SUCH_TABLE, ErrorKind::MissingTable),
    ("1152", ErrorKind::Network), // ER_ABORTING_CONNECTION
    ("1153", ErrorKind::Limit),   // ER_NET_PACKET_TOO_LARGE
    ("1154", ErrorKind::Network), // ER_NET_READ_ERROR_FROM_PIPE
    ("1155", ErrorKind::Network), // ER_NET_FCNTL_ERROR
    ("1156", ErrorKind::Network), // ER_NET_PACKETS_OUT_OF_ORDER
    ("1157", ErrorKind::Network), // ER_NET_UNCOMPRESS_ERROR
    ("1158", ErrorKind::Network), // ER_NET_READ_ERROR
    ("1159", ErrorKind::Network), // ER_NET_READ_INTERRUPTED
    ("1160", ErrorKind::Network), // ER_NET_ERROR_ON_WRITE
    ("1161", ErrorKind::Network), // ER_NET_WRITE_INTERRUPTED
    // A trigger's SELECT … INTO.
    (error_codes::ER_TOO_MANY_ROWS, ErrorKind::Rejected),
    ("1175", ErrorKind::Rejected), // ER_UPDATE_WITHOUT_KEY_IN_SAFE_MODE
    (error_codes::ER_ERROR_DURING_COMMIT, ErrorKind::Storage),
    ("1184", ErrorKind::Network), // ER_NEW_ABORTING_CONNECTION
    (error_codes::ER_UNKNOWN_SYSTEM_VARIABLE, ErrorKind::Settings),
    ("1194", ErrorKind::Storage), // ER_CRASHED_ON_USAGE
    ("1195", ErrorKind::Storage), // ER_CRASHED_ON_REPAIR
    ("1197", ErrorKind::Limit),   // ER_TRANS_CACHE_FULL
    (error_codes::ER_TOO_MANY_USER_CONNECTIONS, ErrorKind::TooManyConnections),
    (error_codes::ER_LOCK_WAIT_TIMEOUT, ErrorKind::Lock),
    ("1206", ErrorKind::Limit), // ER_LOCK_TABLE_FULL
    (error_codes::ER_LOCK_DEADLOCK, ErrorKind::Conflict),
    // FLUSH TABLES WITH READ LOCK in this session. In another session it only makes the statement wait.
    ("1223", ErrorKind::Lock), // ER_CANT_UPDATE_WITH_READLOCK
    (error_codes::ER_USER_LIMIT_REACHED, ErrorKind::Limit),
    ("1227", ErrorKind::Privilege), // ER_SPECIFIC_ACCESS_DENIED_ERROR
    ("1231", ErrorKind::Settings),  // ER_WRONG_VALUE_FOR_VAR
    (error_codes::ER_SUBQUERY_NO_1_ROW, ErrorKind::Rejected),
    ("1251", ErrorKind::AuthMethod), // ER_NOT_SUPPORTED_AUTH_MODE
    (error_codes::ER_WARN_DATA_OUT_OF_RANGE, ErrorKind::ColumnType),
    ("1265", ErrorKind::ColumnType), // WARN_DATA_TRUNCATED
    ("1286", ErrorKind::Rejected),   // ER_UNKNOWN_STORAGE_ENGINE
    (error_codes::ER_NON_UPDATABLE_TABLE, ErrorKind::Rejected),
    (error_codes::ER_OPTION_PREVENTS_STATEMENT, ErrorKind::NotWritable),
    (error_codes::ER_TRUNCATED_WRONG_VALUE, ErrorKind::ColumnType),
    ("1298", ErrorKind::Settings), // ER_UNKNOWN_TIME_ZONE
    // A procedure or a function that a trigger calls.
    (error_codes::ER_SP_DOES_NOT_EXIST, ErrorKind::Rejected),
    (error_codes::ER_QUERY_INTERRUPTED, ErrorKind::Conflict),
    ("1347", ErrorKind::Rejected), // ER_WRONG_OBJECT
    (error_codes::ER_NONUPDATEABLE_COLUMN, ErrorKind::Rejected),
    (error_codes::ER_VIEW_INVALID, ErrorKind::Rejected),
    ("1362", ErrorKind::Rejected), // ER_TRG_CANT_CHANGE_ROW
    (error_codes::ER_NO_DEFAULT_FOR_FIELD, ErrorKind::Rejected),
    ("1366", ErrorKind::ColumnType), // ER_TRUNCATED_WRONG_VALUE_FOR_FIELD
    (error_codes::ER_PROCACCESS_DENIED_ERROR, ErrorKind::Privilege),
    ("1396", ErrorKind::Rejected),   // ER_CANNOT_USER
    ("1406", ErrorKind::ColumnType), // ER_DATA_TOO_LONG
    ("1410", ErrorKind::Privilege),  // ER_CANT_CREATE_USER_WITH_GRANT
    ("1411", ErrorKind::ColumnType), // ER_WRONG_VALUE_FOR_TYPE
    (error_codes::ER_CANT_UPDATE_USED_TABLE_IN_SF_OR_TRG, ErrorKind::Rejected),
    (error_codes::ER_NO_SUCH_USER, ErrorKind::Rejected),
    ("1451", ErrorKind::Rejected), // ER_ROW_IS_REFERENCED_2
    ("1452", ErrorKind::Rejected), // ER_NO_REFERENCED_ROW_2
    (error_codes::ER_NON_INSERTABLE_TABLE, ErrorKind::Rejected),
    ("1524", ErrorKind::AuthMethod), // ER_PLUGIN_IS_NOT_LOADED
    (error_codes::ER_NO_PARTITION_FOR_GIVEN_VALUE, ErrorKind::Rejected),
    ("1598", ErrorKind::Rejected), // ER_BINLOG_LOGGING_IMPOSSIBLE
    ("1613", ErrorKind::Conflict), // ER_XA_RBTIMEOUT
    ("1614", ErrorKind::Conflict), // ER_XA_RBDEADLOCK
    ("1637", ErrorKind::Limit),    // ER_TOO_MANY_CONCURRENT_TRXS
    (error_codes::ER_SIGNAL_EXCEPTION, ErrorKind::Rejected),
    ("1665", ErrorKind::Rejected), // ER_BINLOG_STMT_MODE_AND_ROW_ENGINE
    (error_codes::ER_ACCESS_DENIED_NO_PASSWORD_ERROR, ErrorKind::Auth),
    ("1785", ErrorKind::Rejected), // ER_GTID_UNSAFE_NON_TRANSACTIONAL_TABLE
    (error_codes::ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION, ErrorKind::NotWritable),
    ("1812", ErrorKind::Storage), // ER_TABLESPACE_MISSING
    ("1814", ErrorKind::Storage), // ER_TABLESPACE_DISCARDED
    (error_codes::ER_MUST_CHANGE_PASSWORD, ErrorKind::Auth),
    (error_codes::ER_READ_ONLY_MODE, ErrorKind::NotWritable),
    (error_codes::ER_MUST_CHANGE_PASSWORD_LOGIN, ErrorKind::Auth),
    // A server started with innodb_read_only, or in forced recovery.
    (error_codes::ER_INNODB_READ_ONLY, ErrorKind::NotWritable),
    ("1878", ErrorKind::Storage), // ER_TEMP_FILE_WRITE_FAILURE
    ("1881", ErrorKind::Storage), // ER_INNODB_FORCED_RECOVERY
    (error_codes::ER_WARNING_NON_DEFAULT_VALUE_FOR_GENERATED_COLUMN, ErrorKind::Rejected),
    // MariaDB: KILL.
    ("1927", ErrorKind::Shutdown), // ER_CONNECTION_KILLED
    ("1932", ErrorKind::Storage),  // ER_NO_SUCH_TABLE_IN_ENGINE
    (error_codes::ER_STATEMENT_TIMEOUT, ErrorKind::StatementTimeout),
    // Errors of the client library, which a proxy passes on as its own.
    ("2002", ErrorKind::Refused),    // CR_CONNECTION_ERROR
    ("2003", ErrorKind::Refused),    // CR_CONN_HOST_ERROR
    ("2005", ErrorKind::Name),       // CR_UNKNOWN_HOST
    ("2006", ErrorKind::Network),    // CR_SERVER_GONE_ERROR
    ("2013", ErrorKind::Network),    // CR_SERVER_LOST
    ("2026", ErrorKind::Tls),        // CR_SSL_CONNECTION_ERROR
    ("2027", ErrorKind::Protocol),   // CR_MALFORMED_PACKET
    ("2055", ErrorKind::Network),    // CR_SERVER_LOST_EXTENDED
    ("2059", ErrorKind::AuthMethod), // CR_AUTH_PLUGIN_CANNOT_LOAD
    ("2061", ErrorKind::AuthMethod), // CR_AUTH_PLUGIN_ERR
    ("3019", ErrorKind::Limit),      // ER_INNODB_UNDO_LOG_FULL
    (error_codes::ER_QUERY_TIMEOUT, ErrorKind::StatementTimeout),
    (error_codes::ER_SERVER_OFFLINE_MODE, ErrorKind::Starting),
    // Group replication: the table does not comply, the hook failed, the transaction was rolled back.
    ("3098", ErrorKind::Rejected), // ER_BEFORE_DML_VALIDATION_ERROR
    ("3100", ErrorKind::Conflict), // ER_RUN_HOOK_ERROR
    ("3101", ErrorKind::Conflict), // ER_TRANSACTION_ROLLBACK_DURING_COMMIT
    (error_codes::ER_NON_DEFAULT_VALUE_FOR_GENERATED_COLUMN, ErrorKind::Rejected),
    (error_codes::ER_ACCOUNT_HAS_BEEN_LOCKED, ErrorKind::Auth),
    (error_codes::ER_SECURE_TRANSPORT_REQUIRED, ErrorKind::Tls),
    // A server, or a member of a group, that is not ready yet.
    ("3168", ErrorKind::Starting), // ER_SERVER_ISNT_AVAILABLE
    // MySQL: KILL.
    ("3169", ErrorKind::Shutdown), // ER_SESSION_WAS_KILLED
    (error_codes::ER_LOCK_NOWAIT, ErrorKind::Lock),
    ("3675", ErrorKind::DiskFull),
    // Group replication: the new primary, or the member, is not ready yet, and group_replication_consistency admits no
    // session before.
    ("3781", ErrorKind::Starting),
    ("3782", ErrorKind::Conflict),
    ("3783", ErrorKind::Starting),
    ("3796", ErrorKind::Starting), // ER_GRP_TRX_CONSISTENCY_NOT_ALLOWED
    ("3797", ErrorKind::Conflict), // ER_GRP_TRX_CONSISTENCY_BEFORE
    ("3798", ErrorKind::Conflict), // ER_GRP_TRX_CONSISTENCY_AFTER_ON_TRX_BEGIN
    ("3799", ErrorKind::Starting), // ER_GRP_TRX_CONSISTENCY_BEGIN_NOT_ALLOWED
    ("3819", ErrorKind::Rejected), // ER_CHECK_CONSTRAINT_VIOLATED
    (error_codes::ER_USER_ACCESS_DENIED_FOR_USER_ACCOUNT_BLOCKED_BY_PASSWORD_LOCK, ErrorKind::Auth),
    // MariaDB: a CHECK constraint. MySQL uses the number for the size of a tablespace, which no heartbeat sets.
    ("4025", ErrorKind::Rejected), // ER_CONSTRAINT_FAILED
    // Idle for wait_timeout.
    ("4031", ErrorKind::Shutdown), // ER_CLIENT_INTERACTION_TIMEOUT
    (error_codes::MARIADB_ER_ACCOUNT_HAS_BEEN_LOCKED, ErrorKind::Auth),
    (error_codes::ER_SERVER_OFFLINE_MODE_REASON, ErrorKind::Starting),
    (error_codes::ER_SERVER_OFFLINE_MODE_USER, ErrorKind::Starting),
    // ProxySQL: no server of the host group accepted a connection in time.
    ("9001", ErrorKind::Timeout),
    // RDS Proxy: no connection to the database was available in time.
    ("9501", ErrorKind::Timeout),
];

/// The numbers with which the server refuses any write, before it checks privileges or rows.
pub(super) const READ_ONLY: &[&str] = &[
    error_codes::ER_OPTION_PREVENTS_STATEMENT,
    error_codes::ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION,
    error_codes::ER_READ_ONLY_MODE,
    error_codes::ER_INNODB_READ_ONLY,
];

/// The client's words for an authentication plugin that it does not know; the plugin's name follows. There is no error
/// number, because the login ends on the client's side.
const UNKNOWN_PLUGIN: &str = "unknown authentication plugin: ";

/// The client's words when it does not send passwords in clear, which PAM, LDAP and cloud accounts require.
const NO_CLEAR_PASSWORD: &str = "mysql_cleartext_plugin disabled";
/// The client's words when it does not send passwords by RSA.
const NO_RSA: &str = "RSA auth backend disabled";

/// The number of an error, if the server sent it.
pub(super) fn number_of(error: &sqlx::Error) -> Option<u16> {
    let database = error.as_database_error()?;
    database.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
}

/// Classifies an error. The message stays the server's own.
pub(super) fn classify(error: sqlx::Error) -> Failure {
    let number = number_of(&error);
    let (kind, message) = match &error {
        sqlx::Error::Database(database) => (number.map_or(ErrorKind::Unknown, kind_of), database.message().to_owned()),
        sqlx::Error::Io(io) => (kind_of_io(io), words_of_io(io)),
        sqlx::Error::Tls(tls) => (ErrorKind::Tls, tls.to_string()),
        sqlx::Error::Protocol(text) => match text.strip_prefix(UNKNOWN_PLUGIN) {
            Some(rest) => {
                // A place in the client's source follows the name.
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

/// As [`classify`], for an error of the login. A configuration error then means a password that the client would have
/// to send without TLS, or a client certificate that it cannot use. `client` holds the files of that certificate, if
/// there is one.
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

/// The failure that was kept as a refusal, for a caller that cannot go on without the answer.
pub(super) fn failure_of(refusal: Refusal) -> Failure {
    Failure::new(refusal.code.parse().map_or(ErrorKind::Unknown, kind_of), refusal.message).with_code(refusal.code)
}

/// The kind of an error number.
pub(super) fn kind_of(number: u16) -> ErrorKind {
    let code = number.to_string();
    KINDS.iter().find(|(known, _)| *known == code).map_or(ErrorKind::Unknown, |(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_sorted_and_unique() {
        let numbers: Vec<u16> = KINDS.iter().map(|(code, _)| code.parse().unwrap()).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn every_number_has_its_kind_and_class() {
        let shown: Vec<_> = KINDS
            .iter()
            .map(|(code, _)| (code, kind_of(code.parse().unwrap())))
            .map(|(code, kind)| format!("{code} {} {kind}", kind.class()))
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
