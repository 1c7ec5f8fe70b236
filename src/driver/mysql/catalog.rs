//! What exists of the heartbeat's objects, as the catalogue tells it: facts for `provision`, which judges them.

use sqlx::mysql::MySqlConnection;

use crate::heartbeat::Failure;
use crate::scheduler::clock::Instant;
use crate::target::Target;

/// What exists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Facts {}

/// Looks at what exists.
///
/// # Errors
/// What the server says, classified.
pub(super) async fn gather(
    _connection: &mut MySqlConnection,
    _target: &Target,
    _deadline: Instant,
) -> Result<Facts, Failure> {
    Ok(Facts::default())
}
