//! What is looked at for the checks. Called by the session's `inspect`; judged by `checks`.

use serde::{Deserialize, Serialize};
use sqlx::mysql::MySqlConnection;

use crate::heartbeat::Failure;
use crate::scheduler::clock::Instant;
use crate::target::Target;

/// Everything a MySQL check is judged from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct MysqlFacts {
    /// `host:port`.
    pub(super) address: String,
}

/// Gathers the facts.
///
/// # Errors
/// What the server says, classified, when it cannot be asked at all.
pub(super) async fn gather(
    _connection: &mut MySqlConnection,
    address: &str,
    _target: &Target,
    _deadline: Instant,
) -> Result<MysqlFacts, Failure> {
    Ok(MysqlFacts { address: address.to_owned() })
}
