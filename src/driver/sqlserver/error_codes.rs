//! SQL Server's error numbers by name. `errors` gives each its kind; the other files of this folder compare codes with
//! them.
//!
//! The vendor has no names for them, so the text of each is its message, shortened.
//! Numbers:
//! <https://learn.microsoft.com/en-us/sql/relational-databases/errors-events/database-engine-events-and-errors>, and
//! Azure's: <https://learn.microsoft.com/en-us/azure/azure-sql/database/troubleshoot-common-errors-issues>.

/// Incorrect syntax near.
pub(super) const SYNTAX: u32 = 102;
/// Incorrect syntax near the keyword.
pub(super) const SYNTAX_AT_KEYWORD: u32 = 156;
/// Operand type clash.
pub(super) const OPERAND_TYPE_CLASH: u32 = 206;
/// Invalid column name.
pub(super) const INVALID_COLUMN: u32 = 207;
/// "Invalid object name": a table is missing or hidden.
pub(super) const INVALID_OBJECT: u32 = 208;
/// Arithmetic overflow for data type.
pub(super) const ARITHMETIC_OVERFLOW: u32 = 220;
/// The permission was denied on the object.
pub(super) const OBJECT_DENIED: u32 = 229;
/// The permission was denied on the column.
pub(super) const COLUMN_DENIED: u32 = 230;
/// The client was unable to establish a connection.
pub(super) const CONNECTION_NOT_ESTABLISHED: u32 = 233;
/// Conversion failed when converting date and/or time.
pub(super) const TIME_CONVERSION: u32 = 241;
/// The conversion resulted in an out-of-range value.
pub(super) const TIME_OUT_OF_RANGE: u32 = 242;
/// Conversion failed.
pub(super) const CONVERSION: u32 = 245;
/// Implicit conversion is not allowed.
pub(super) const NO_IMPLICIT_CONVERSION: u32 = 257;
/// Permission denied in database.
pub(super) const DATABASE_DENIED: u32 = 262;
/// The column cannot be modified: it is computed.
pub(super) const COMPUTED_COLUMN: u32 = 271;
/// Cannot update a timestamp column.
pub(super) const ROWVERSION_COLUMN: u32 = 272;
/// The user does not have permission to perform this action.
pub(super) const ACTION_DENIED: u32 = 297;
/// Permission was denied on object 'server'.
pub(super) const SERVER_DENIED: u32 = 300;
/// Cannot insert the value NULL.
pub(super) const NULL_REFUSED: u32 = 515;
/// Adding a value to a column caused an overflow.
pub(super) const COLUMN_OVERFLOW: u32 = 517;
/// Explicit conversion is not allowed.
pub(super) const NO_EXPLICIT_CONVERSION: u32 = 529;
/// The statement conflicted with a constraint.
pub(super) const CONSTRAINT: u32 = 547;
/// The session is in the kill state.
pub(super) const SESSION_KILLED: u32 = 596;
/// Could not continue scan due to data movement.
pub(super) const DATA_MOVED: u32 = 601;
/// Could not find database.
pub(super) const DATABASE_NOT_FOUND: u32 = 615;
/// A descriptor was not found.
pub(super) const DESCRIPTOR_NOT_FOUND: u32 = 617;
/// A file system limitation.
pub(super) const FILE_SYSTEM_LIMIT: u32 = 665;
/// A row object is inconsistent.
pub(super) const ROW_INCONSISTENT: u32 = 669;
/// There is insufficient system memory.
pub(super) const NO_SYSTEM_MEMORY: u32 = 701;
/// There is insufficient memory in the buffer pool.
pub(super) const NO_BUFFER_MEMORY: u32 = 802;
/// The operating system returned an error on a page.
pub(super) const PAGE_IO: u32 = 823;
/// A logical consistency-based I/O error.
pub(super) const PAGE_INCONSISTENT: u32 = 824;
/// A read succeeded after failing.
pub(super) const READ_RETRIED: u32 = 825;
/// A page that should have been constant has changed.
pub(super) const PAGE_CHANGED: u32 = 832;
/// Time-out while waiting for a buffer latch.
pub(super) const BUFFER_LATCH_WAIT: u32 = 844;
/// Time-out while waiting for a buffer latch.
pub(super) const BUFFER_LATCH_TIMEOUT: u32 = 845;
/// The database cannot be autostarted.
pub(super) const NO_AUTOSTART: u32 = 904;
/// The database needs another edition.
pub(super) const EDITION_LIMIT: u32 = 905;
/// The database does not exist.
pub(super) const DATABASE_MISSING: u32 = 911;
/// Could not find database ID.
pub(super) const DATABASE_ID_MISSING: u32 = 913;
/// "The server principal is not able to access the database": the login has no user in the database.
pub(super) const NO_ACCESS: u32 = 916;
/// The database has not been recovered yet.
pub(super) const NOT_RECOVERED: u32 = 921;
/// The database is being recovered.
pub(super) const RECOVERING: u32 = 922;
/// The database is in single-user mode.
pub(super) const DATABASE_SINGLE_USER: u32 = 924;
/// The database is marked SUSPECT.
pub(super) const SUSPECT: u32 = 926;
/// The database is in the middle of a restore.
pub(super) const RESTORING: u32 = 927;
/// The database is not started.
pub(super) const NOT_STARTED: u32 = 941;
/// The database is offline.
pub(super) const OFFLINE: u32 = 942;
/// The database cannot be opened: inaccessible files.
pub(super) const FILES_INACCESSIBLE: u32 = 945;
/// The database acts as a mirror.
pub(super) const MIRROR: u32 = 954;
/// A secondary that is not readable.
pub(super) const SECONDARY_NOT_READABLE: u32 = 976;
/// A secondary that accepts only connections with read-only intent.
pub(super) const SECONDARY_READ_INTENT_ONLY: u32 = 978;
/// A secondary that accepts only connections with read-only intent, and the client has none.
pub(super) const SECONDARY_READ_INTENT_REQUIRED: u32 = 979;
/// No read-only replica.
pub(super) const NO_READABLE_REPLICA: u32 = 982;
/// The replica is neither primary nor secondary now.
pub(super) const REPLICA_RESOLVING: u32 = 983;
/// The replica lacks a quorum.
pub(super) const REPLICA_WITHOUT_QUORUM: u32 = 988;
/// Could not allocate a new page.
pub(super) const NO_NEW_PAGE: u32 = 1101;
/// Could not allocate space in a filegroup.
pub(super) const FILEGROUP_FULL: u32 = 1105;
/// The elastic pool has reached its storage limit.
pub(super) const POOL_FULL: u32 = 1132;
/// Out of locks.
pub(super) const OUT_OF_LOCKS: u32 = 1204;
/// "Transaction was deadlocked and has been chosen as the deadlock victim."
pub(super) const DEADLOCK: u32 = 1205;
/// "Lock request time out period exceeded."
pub(super) const LOCK_TIMEOUT: u32 = 1222;
/// A duplicate key in a unique index.
pub(super) const DUPLICATE_IN_INDEX: u32 = 2601;
/// A duplicate key of a constraint.
pub(super) const DUPLICATE_KEY: u32 = 2627;
/// Data would be truncated.
pub(super) const TRUNCATION_NAMED: u32 = 2628;
/// "There is already an object named … in the database."
pub(super) const OBJECT_EXISTS: u32 = 2714;
/// The schema does not exist, or no permission to use it.
pub(super) const SCHEMA_MISSING_OR_HIDDEN: u32 = 2760;
/// Could not find stored procedure.
pub(super) const PROCEDURE_MISSING: u32 = 2812;
/// Recovery failed.
pub(super) const RECOVERY_FAILED: u32 = 3414;
/// The transaction ended in the trigger.
pub(super) const ENDED_IN_TRIGGER: u32 = 3609;
/// An error was raised during trigger execution.
pub(super) const RAISED_IN_TRIGGER: u32 = 3616;
/// Cannot drop: missing, or no permission.
pub(super) const CANNOT_DROP: u32 = 3701;
/// The database is read-only.
pub(super) const DATABASE_READ_ONLY: u32 = 3906;
/// Could not run BEGIN TRANSACTION: emergency mode.
pub(super) const EMERGENCY_MODE: u32 = 3908;
/// Snapshot isolation: update conflict.
pub(super) const SNAPSHOT_CONFLICT: u32 = 3960;
/// "Cannot open database requested by the login."
pub(super) const CANNOT_OPEN: u32 = 4060;
/// A secondary waits for versions after a failover.
pub(super) const SECONDARY_AWAITS_VERSIONS: u32 = 4221;
/// "The view or function is not updatable."
pub(super) const VIEW_NOT_UPDATABLE: u32 = 4406;
/// Cannot truncate: CDC.
pub(super) const CANNOT_TRUNCATE_CAPTURED: u32 = 4711;
/// Cannot find the object.
pub(super) const OBJECT_NOT_FOUND: u32 = 4902;
/// A recovery unit failed.
pub(super) const RECOVERY_UNIT_FAILED: u32 = 5901;
/// SHUTDOWN is in progress.
pub(super) const SHUTDOWN: u32 = 6005;
/// A nested transaction is not offered.
pub(super) const NO_NESTED_TRANSACTION: u32 = 7395;
/// Error converting data type.
pub(super) const TYPE_CONVERSION: u32 = 8114;
/// Arithmetic overflow converting an expression.
pub(super) const EXPRESSION_OVERFLOW: u32 = 8115;
/// The operand's data type is invalid for the operator.
pub(super) const OPERAND_TYPE_INVALID: u32 = 8117;
/// Data would be truncated.
pub(super) const TRUNCATION: u32 = 8152;
/// Time-out while waiting for memory.
pub(super) const MEMORY_TIMEOUT: u32 = 8645;
/// The minimum query memory is not available.
pub(super) const MINIMUM_MEMORY: u32 = 8651;
/// A memory allocation error.
pub(super) const MEMORY_ALLOCATION: u32 = 8902;
/// The log is not available.
pub(super) const LOG_UNAVAILABLE: u32 = 9001;
/// "The transaction log for the database is full."
pub(super) const LOG_FULL: u32 = 9002;
/// A transport-level error.
pub(super) const CONNECTION_ABORTED: u32 = 10_053;
/// A transport-level error: the connection was reset.
pub(super) const CONNECTION_RESET: u32 = 10_054;
/// A transport-level error: the connection timed out.
pub(super) const CONNECTION_TIMED_OUT: u32 = 10_060;
/// Not supported with memory optimized tables.
pub(super) const NOT_IN_MEMORY: u32 = 10_794;
/// Azure: a resource limit of the database.
pub(super) const DATABASE_RESOURCE_LIMIT: u32 = 10_928;
/// Azure: the server is too busy.
pub(super) const SERVER_TOO_BUSY: u32 = 10_929;
/// Azure: a limit of the elastic pool.
pub(super) const POOL_RESOURCE_LIMIT: u32 = 10_936;
/// The user does not have permission to perform this action.
pub(super) const PERMISSION_MISSING: u32 = 15_247;
/// "Cannot execute as the database principal": the server does not know the database's owner.
pub(super) const NO_OWNER: u32 = 15_517;
/// The cursor is READ ONLY.
pub(super) const CURSOR_READ_ONLY: u32 = 16_929;
/// The service is paused.
pub(super) const SERVICE_PAUSED: u32 = 17_142;
/// Not ready to accept new connections.
pub(super) const NOT_READY: u32 = 17_187;
/// The maximum number of connections is reached.
pub(super) const CONNECTIONS_EXHAUSTED: u32 = 17_809;
/// A network error while a connection was established.
pub(super) const NETWORK_AT_LOGIN: u32 = 17_830;
/// Login failed: script upgrade mode.
pub(super) const SCRIPT_UPGRADE: u32 = 18_401;
/// Login failed: only administrators at this time.
pub(super) const ADMINISTRATORS_ONLY: u32 = 18_451;
/// Login failed: an untrusted domain.
pub(super) const UNTRUSTED_DOMAIN: u32 = 18_452;
/// "Login failed."
pub(super) const LOGIN_FAILED: u32 = 18_456;
/// Login failed: single-user mode.
pub(super) const SERVER_SINGLE_USER: u32 = 18_461;
/// "Login failed: the account is disabled."
pub(super) const ACCOUNT_DISABLED: u32 = 18_470;
/// "Login failed because the account is currently locked out."
pub(super) const ACCOUNT_LOCKED: u32 = 18_486;
/// "Login failed: the password of the account has expired."
pub(super) const PASSWORD_EXPIRED: u32 = 18_487;
/// "Login failed: the password of the account must be changed."
pub(super) const MUST_CHANGE: u32 = 18_488;
/// Cannot find an object ID for the replication system table.
pub(super) const REPLICATION_TABLE_MISSING: u32 = 18_807;
/// Only sysadmin or db_owner.
pub(super) const DB_OWNER_ONLY: u32 = 21_050;
/// The capture job could not update the metadata of change data capture.
pub(super) const CAPTURE_METADATA: [u32; 3] = [22_830, 22_831, 22_832];
/// The database is not enabled for CDC.
pub(super) const CDC_DISABLED: u32 = 22_901;
/// The caller is not authorised for CDC.
pub(super) const CDC_NOT_AUTHORISED: u32 = 22_904;
/// The capture instance cannot be found.
pub(super) const CAPTURE_INSTANCE_MISSING: u32 = 22_911;
/// A capture instance of that name exists already.
pub(super) const CAPTURE_INSTANCE_EXISTS: u32 = 22_926;
/// The source table does not exist.
pub(super) const SOURCE_TABLE_MISSING: u32 = 22_931;
/// Azure: the service failed over, or reconfigures.
pub(super) const SERVICE_FAILED_OVER: u32 = 40_197;
/// Azure: "The service is currently busy."
pub(super) const SERVICE_BUSY: u32 = 40_501;
/// Azure: "Cannot open server requested by the login."
pub(super) const UNKNOWN_SERVER: u32 = 40_532;
/// Azure: the database has reached its size quota.
pub(super) const SIZE_QUOTA: u32 = 40_544;
/// Azure: a long transaction was ended.
pub(super) const LONG_TRANSACTION_ENDED: u32 = 40_549;
/// Azure: too many locks.
pub(super) const TOO_MANY_LOCKS: u32 = 40_550;
/// Azure: too much of tempdb.
pub(super) const TOO_MUCH_TEMPDB: u32 = 40_551;
/// Azure: too much of the log.
pub(super) const TOO_MUCH_LOG: u32 = 40_552;
/// Azure: too much memory.
pub(super) const TOO_MUCH_MEMORY: u32 = 40_553;
/// Azure: the database is not available now (paused, or failing over).
pub(super) const DATABASE_UNAVAILABLE: u32 = 40_613;
/// Azure: the client's address is not allowed by a firewall rule.
pub(super) const NO_FIREWALL_RULE: u32 = 40_615;
/// Azure: the client's virtual network is not allowed by a rule.
pub(super) const NO_NETWORK_RULE: u32 = 40_914;
/// Fabric: the partition is changing.
pub(super) const PARTITION_CHANGING: u32 = 41_614;
/// Too many commit dependencies.
pub(super) const COMMIT_DEPENDENCIES: u32 = 41_839;
/// Azure: not enough resources to process the request; too many create or update operations; too many operations.
pub(super) const NO_RESOURCES: [u32; 3] = [49_918, 49_919, 49_920];
/// The lowest number that a trigger or procedure raises by itself (RAISERROR, THROW).
pub(super) const RAISED: u32 = 50_000;
/// Babelfish's number for nearly every error of its own: `beat` finds the fault in the catalogue.
pub(super) const BABELFISH: u32 = 33_557_097;
