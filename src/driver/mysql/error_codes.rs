//! The vendors' names of the error numbers that the driver acts upon. `errors` gives each its kind; the other files of
//! this folder compare codes with them.
//!
//! Names: <https://dev.mysql.com/doc/mysql-errors/9.0/en/server-error-reference.html>,
//! <https://mariadb.com/kb/en/mariadb-error-code-reference/>.

/// CREATE DATABASE: someone else created it.
pub(super) const ER_DB_CREATE_EXISTS: &str = "1007";
pub(super) const ER_ILLEGAL_HA: &str = "1031";
pub(super) const ER_OPEN_AS_READONLY: &str = "1036";
pub(super) const ER_BAD_HOST_ERROR: &str = "1042";
pub(super) const ER_DBACCESS_DENIED_ERROR: &str = "1044";
pub(super) const ER_ACCESS_DENIED_ERROR: &str = "1045";
pub(super) const ER_NO_DB_ERROR: &str = "1046";
/// Galera: the node is not a working part of its cluster (elsewhere "unknown command", which this client never sends).
pub(super) const ER_UNKNOWN_COM_ERROR: &str = "1047";
pub(super) const ER_BAD_DB_ERROR: &str = "1049";
pub(super) const ER_TABLE_EXISTS_ERROR: &str = "1050";
pub(super) const ER_BAD_FIELD_ERROR: &str = "1054";
pub(super) const ER_DUP_ENTRY: &str = "1062";
pub(super) const ER_PARSE_ERROR: &str = "1064";
/// "Can't initialize function": group replication sends it on a server that is not a working member.
pub(super) const ER_CANT_INITIALIZE_UDF: &str = "1123";
pub(super) const ER_FUNCTION_NOT_DEFINED: &str = "1128";
pub(super) const ER_HOST_IS_BLOCKED: &str = "1129";
pub(super) const ER_HOST_NOT_PRIVILEGED: &str = "1130";
pub(super) const ER_NONEXISTING_GRANT: &str = "1141";
pub(super) const ER_TABLEACCESS_DENIED_ERROR: &str = "1142";
pub(super) const ER_COLUMNACCESS_DENIED_ERROR: &str = "1143";
pub(super) const ER_NO_SUCH_TABLE: &str = "1146";
pub(super) const ER_TOO_MANY_ROWS: &str = "1172";
/// MariaDB with Galera: the cluster refused a COMMIT.
pub(super) const ER_ERROR_DURING_COMMIT: &str = "1180";
pub(super) const ER_UNKNOWN_SYSTEM_VARIABLE: &str = "1193";
pub(super) const ER_TOO_MANY_USER_CONNECTIONS: &str = "1203";
pub(super) const ER_LOCK_WAIT_TIMEOUT: &str = "1205";
pub(super) const ER_LOCK_DEADLOCK: &str = "1213";
pub(super) const ER_USER_LIMIT_REACHED: &str = "1226";
pub(super) const ER_SUBQUERY_NO_1_ROW: &str = "1242";
pub(super) const ER_WARN_DATA_OUT_OF_RANGE: &str = "1264";
pub(super) const ER_NON_UPDATABLE_TABLE: &str = "1288";
/// Any option that forbids a statement. Of a heartbeat's statements, only read_only forbids one.
pub(super) const ER_OPTION_PREVENTS_STATEMENT: &str = "1290";
pub(super) const ER_TRUNCATED_WRONG_VALUE: &str = "1292";
pub(super) const ER_SP_DOES_NOT_EXIST: &str = "1305";
/// Someone ran KILL QUERY.
pub(super) const ER_QUERY_INTERRUPTED: &str = "1317";
pub(super) const ER_NONUPDATEABLE_COLUMN: &str = "1348";
pub(super) const ER_VIEW_INVALID: &str = "1356";
pub(super) const ER_NO_DEFAULT_FOR_FIELD: &str = "1364";
pub(super) const ER_PROCACCESS_DENIED_ERROR: &str = "1370";
pub(super) const ER_CANT_UPDATE_USED_TABLE_IN_SF_OR_TRG: &str = "1442";
pub(super) const ER_NO_SUCH_USER: &str = "1449";
pub(super) const ER_NON_INSERTABLE_TABLE: &str = "1471";
/// A partitioned table has no partition for the value.
pub(super) const ER_NO_PARTITION_FOR_GIVEN_VALUE: &str = "1526";
pub(super) const ER_SIGNAL_EXCEPTION: &str = "1644";
/// Also MariaDB's answer for an account that does not exist.
pub(super) const ER_ACCESS_DENIED_NO_PASSWORD_ERROR: &str = "1698";
pub(super) const ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION: &str = "1792";
pub(super) const ER_MUST_CHANGE_PASSWORD: &str = "1820";
pub(super) const ER_READ_ONLY_MODE: &str = "1836";
pub(super) const ER_MUST_CHANGE_PASSWORD_LOGIN: &str = "1862";
pub(super) const ER_INNODB_READ_ONLY: &str = "1874";
/// MariaDB: a value for a generated column.
pub(super) const ER_WARNING_NON_DEFAULT_VALUE_FOR_GENERATED_COLUMN: &str = "1906";
/// MariaDB: `max_statement_time`.
pub(super) const ER_STATEMENT_TIMEOUT: &str = "1969";
/// MySQL: `max_execution_time`.
pub(super) const ER_QUERY_TIMEOUT: &str = "3024";
pub(super) const ER_SERVER_OFFLINE_MODE: &str = "3032";
/// MySQL: a value for a generated column.
pub(super) const ER_NON_DEFAULT_VALUE_FOR_GENERATED_COLUMN: &str = "3105";
pub(super) const ER_ACCOUNT_HAS_BEEN_LOCKED: &str = "3118";
pub(super) const ER_SECURE_TRANSPORT_REQUIRED: &str = "3159";
pub(super) const ER_LOCK_NOWAIT: &str = "3572";
pub(super) const ER_USER_ACCESS_DENIED_FOR_USER_ACCOUNT_BLOCKED_BY_PASSWORD_LOCK: &str = "3955";
/// MariaDB's number for a locked account. MySQL uses it for its bulk loader.
pub(super) const MARIADB_ER_ACCOUNT_HAS_BEEN_LOCKED: &str = "4151";
/// Offline mode with its reason, such as a lost group (MySQL 9).
pub(super) const ER_SERVER_OFFLINE_MODE_REASON: &str = "6400";
/// Offline mode with the user who set it (MySQL 9).
pub(super) const ER_SERVER_OFFLINE_MODE_USER: &str = "6401";
