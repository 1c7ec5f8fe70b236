//! Group replication: whether a server that is set up for a group, and takes writes, is a working member of it. Called by
//! `connect`, at each login that looks for the writable host.
//!
//! Such a server need not be the group's: started again without joining it (`group_replication_start_on_boot = OFF`) it
//! comes up as writable as it was, and cut off from the majority it stays writable, and each commit hangs. A beat would
//! be a transaction that the group does not have, which keeps the server from ever joining again, or a lock that nobody
//! ends.

use sqlx::mysql::MySqlConnection;

use super::message;
use crate::heartbeat::{ErrorKind, Failure};

/// The variable that names a server's group.
pub(super) const NAME: &str = "group_replication_group_name";

/// The variable that is OFF where every member of the group takes writes.
pub(super) const SINGLE_PRIMARY: &str = "group_replication_single_primary_mode";

/// Everybody may ask it, and it answers on a member that is ONLINE and in the majority alone. The table of members is not
/// shown to an ordinary account:
/// <https://dev.mysql.com/doc/refman/9.7/en/group-replication-get-communication-protocol.html>.
const QUESTION: &str = "SELECT group_replication_get_communication_protocol()";

/// "Can't initialize function": what it says elsewhere.
pub(super) const NO_MEMBER: &str = "1123";

/// Asks the server whether it is one.
///
/// # Errors
/// `not_writable` if it is none; else what the network says.
pub(super) async fn must_be_a_working_member(connection: &mut MySqlConnection) -> Result<(), Failure> {
    match message::send(connection, QUESTION.to_owned()).await {
        Err(failure) if failure.code() == Some(NO_MEMBER) => {
            let message = "is set up for a replication group and is no working member of it: not ONLINE, or cut off from \
                           the majority";
            Err(Failure::new(ErrorKind::NotWritable, message).with_code(NO_MEMBER).with_source(failure))
        }
        // Without a number it did not come from the server: the connection is lost.
        Err(failure) if failure.code().is_none() => Err(failure),
        // Before MySQL 8.0.16 there is no such function: nothing is known.
        Ok(_) | Err(_) => Ok(()),
    }
}
