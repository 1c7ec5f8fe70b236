//! The connector's progress: one row about its slot. The session's `progress` calls it once a period.

use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::errors;
use super::facts::Position;
use super::identifier::literal;
use super::query::{self, ServerLimits};
use crate::driver::{Progress, SlotProgress};
use crate::heartbeat::Failure;
use crate::time::clock::Instant;

/// Reads the slot; `None` if this server has no slot of that name. A slot of another database sends no changes of this
/// one, so its position says nothing about this target.
///
/// `pg_replication_slots` shows every slot to every user:
/// <https://www.postgresql.org/docs/current/view-pg-replication-slots.html>.
///
/// # Errors
/// The server's error, classified.
pub(super) async fn read(
    connection: &mut PgConnection,
    slot: &str,
    deadline: Instant,
) -> Result<Option<Progress>, Failure> {
    let rows = query::send(connection, format!("{} {}", ServerLimits::until(deadline).sql(), sql(slot))).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let progress = || -> Result<_, sqlx::Error> {
        Ok(SlotProgress {
            name: slot.to_owned(),
            active: row.try_get("active")?,
            confirmed: row.try_get("confirmed")?,
            retained_bytes: row.try_get::<Option<i64>, _>("retained")?.and_then(|bytes| u64::try_from(bytes).ok()),
        })
    };
    progress().map(|progress| Some(Progress::Slot(progress))).map_err(errors::classify)
}

/// Whether one LSN has reached another; false if one of them is not an LSN.
pub(super) fn passes(confirmed: &str, position: &str) -> bool {
    Position::parse(confirmed).zip(Position::parse(position)).is_some_and(|(confirmed, position)| confirmed >= position)
}

fn sql(slot: &str) -> String {
    format!(
        "SELECT s.active, s.confirmed_flush_lsn::text AS confirmed, \
         pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() \
         ELSE pg_catalog.pg_current_wal_lsn() END, s.restart_lsn)::bigint AS retained \
         FROM pg_catalog.pg_replication_slots AS s WHERE s.slot_name = {} \
         AND coalesce(s.database, pg_catalog.current_database()) = pg_catalog.current_database()",
        literal(slot)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_compared_as_numbers() {
        assert!(passes("16/B374D848", "16/B374D848"));
        assert!(passes("A/0", "9/FFFFFFFF"));
        assert!(!passes("9/FFFFFFFF", "10/0"));
        assert!(!passes("", "0/0") && !passes("0/0", "zero") && !passes("1/1/1", "0/0"));
    }
}
