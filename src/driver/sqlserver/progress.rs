//! How far the capture job has read: the time of the newest change it copied. The session's `progress` calls it once a
//! period.

use super::facts;
use super::query::{Limits, SqlClient};
use crate::driver::Progress;
use crate::heartbeat::{Failure, Stamp};
use crate::time::clock::Instant;

/// Reads the job's progress; `None` where change data capture is off, or this login may not read its times.
///
/// # Errors
/// A failure that did not come from the server, classified.
pub(super) async fn read(client: &mut SqlClient, deadline: Instant) -> Result<Option<Progress>, Failure> {
    let captured = facts::captured(client, Limits::until(deadline)).await?;
    Ok(captured.answer().map(|captured| Progress::CaptureJob { until: captured.until.map(Stamp) }))
}
