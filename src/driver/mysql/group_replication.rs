//! Group replication: whether a writable server that is configured for a group is a working member of it. `connect`
//! calls it at each login; `facts` calls it too.
//!
//! Such a server may be outside its group. If it restarts without joining (`group_replication_start_on_boot = OFF`), it
//! is writable. If it is cut off from the majority, it stays writable and each commit hangs. A beat would then be a
//! transaction that the group does not have, which keeps the server from ever joining again, or a lock that never ends.

use std::collections::BTreeMap;

use sqlx::mysql::MySqlConnection;

use super::error_codes;
use super::query;
use crate::heartbeat::{ErrorKind, Failure};

/// The variable that names a server's group.
pub(super) const NAME: &str = "group_replication_group_name";

/// The variable that is OFF if every member of the group accepts writes.
pub(super) const SINGLE_PRIMARY: &str = "group_replication_single_primary_mode";

/// Every account may call this function. It succeeds only on a member that is ONLINE and in the majority. The table of
/// members is hidden from ordinary accounts:
/// <https://dev.mysql.com/doc/refman/9.7/en/group-replication-get-communication-protocol.html>.
const QUESTION: &str = "SELECT group_replication_get_communication_protocol()";

/// The errors of a server without this function, as before MySQL 8.0.16. The server then looks for a stored function in
/// the session's database. There is no database, or the account may execute nothing in it (1046 and 1370, measured on
/// MySQL 5.7 and 9.7), or it has no function of that name (1305 and 1128, from the manual). Every account may execute
/// the plugin's function.
const UNKNOWN: &[&str] = &[
    error_codes::ER_NO_DB_ERROR,
    error_codes::ER_FUNCTION_NOT_DEFINED,
    error_codes::ER_SP_DOES_NOT_EXIST,
    error_codes::ER_PROCACCESS_DENIED_ERROR,
];

/// Whether a server with these variables is configured for a group, as a working member or not.
pub(super) fn is_configured(variables: &BTreeMap<String, String>) -> bool {
    variables.get(NAME).is_some_and(|name| !name.is_empty())
}

/// Asks the server whether it is a working member; `None` if that is unknown.
///
/// # Errors
/// The server's or the network's error, if the server does not answer.
pub(super) async fn is_a_working_member(connection: &mut MySqlConnection) -> Result<Option<bool>, Failure> {
    answer(query::send(connection, QUESTION.to_owned()).await.map(drop))
}

fn answer(said: Result<(), Failure>) -> Result<Option<bool>, Failure> {
    match said {
        Ok(()) => Ok(Some(true)),
        Err(failure) if failure.code() == Some(error_codes::ER_CANT_INITIALIZE_UDF) => Ok(Some(false)),
        Err(failure) if failure.code().is_some_and(|code| UNKNOWN.contains(&code)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// The failure of a server that is not a working member.
pub(super) fn no_working_member() -> Failure {
    let message =
        "is set up for a replication group and is not a working member of it: not ONLINE, or cut off from the majority";
    Failure::new(ErrorKind::NotWritable, message).with_code(error_codes::ER_CANT_INITIALIZE_UDF)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(code: Option<&str>) -> Result<Option<bool>, Failure> {
        let failure = Failure::new(ErrorKind::Unknown, "no");
        answer(Err(code.map_or(failure.clone(), |code| failure.with_code(code))))
    }

    #[test]
    fn only_a_server_without_the_function_is_trusted_without_an_answer() {
        assert_eq!(answer(Ok(())).unwrap(), Some(true));
        assert_eq!(to(Some(error_codes::ER_CANT_INITIALIZE_UDF)).unwrap(), Some(false));
        for code in ["1046", "1128", "1305", "1370"] {
            assert_eq!(to(Some(code)).unwrap(), None, "{code}");
        }
        // A timeout, a KILL, a missing privilege, a lost connection.
        for code in [Some("3024"), Some("1317"), Some("1227"), Some("1045"), Some("3169"), None] {
            assert!(to(code).is_err(), "{code:?}");
        }
    }
}
