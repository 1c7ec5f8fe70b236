//! The vocabulary of one beat: the request, the result, and the failure with its class. Every room uses it. It imports
//! only `time` and `failure`.

use std::time::Duration;

pub use crate::failure::{ErrorClass, ErrorKind, Failure, KeptSession, Outcome, Pace};
pub use crate::time::Stamp;

/// What this beat may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// Write, whatever the row contains.
    Always,
    /// Write only if no one else did. The database decides within the statement.
    WhenStale {
        /// The value at this daemon's last look. A row that still has it is stale.
        last_seen: Option<Stamp>,
        /// The period around this moment. A value older than three quarters of it is stale.
        period: Duration,
    },
    /// Only read the row.
    Never,
}

/// When a difference between `last_update` and the server's clock looks like a whole zone offset: a multiple of `step`
/// up to `furthest`, give or take `tolerance`, in microseconds. A writer in another time zone is judged by change, not
/// by age. All drivers share the rule; each expresses it in its SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZoneGuess {
    /// Zone offsets are multiples of a quarter of an hour.
    pub step: i64,
    /// Three quarters of a period, at most a minute.
    pub tolerance: i64,
    /// No zone is further from UTC than fourteen hours.
    pub furthest: i64,
}

/// What the statement returned about the row. [`judge`] judges it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowReport {
    /// Rows with the configured id that the statement could see.
    pub seen: u64,
    /// Rows that the statement changed.
    pub changed: u64,
    /// Whether the row needed a write (always true with [`Writing::Always`]).
    pub stale: bool,
    /// The value before the beat.
    pub previous: Option<Stamp>,
    /// The value after the beat; equal to `previous` if nothing was written.
    pub value: Option<Stamp>,
    /// The server's clock at the beat.
    pub server_time: Option<Stamp>,
    /// The position of the change log, in the database's notation (PostgreSQL: an LSN).
    pub position: Option<String>,
}

/// The result of a beat that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeatOutcome {
    /// An acknowledged commit changed exactly one row.
    Written,
    /// Another writer had updated the row within the period, so heartbeatd wrote nothing.
    Fresh,
    /// `write = "never"`: the row was read.
    Watched,
}

/// One beat that did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// The result.
    pub outcome: BeatOutcome,
    /// `last_update` after the beat; `None` is NULL.
    pub value: Option<Stamp>,
    /// `last_update` before the beat.
    pub previous: Option<Stamp>,
    /// The server's clock at the beat.
    pub server_time: Option<Stamp>,
    /// The position of the change log, in the database's notation.
    pub position: Option<String>,
}

impl ZoneGuess {
    /// The guess for a target of this period.
    #[must_use]
    pub fn for_period(period: Duration) -> Self {
        let tolerance = (period / 4 * 3).min(Duration::from_secs(60));
        Self {
            step: 15 * 60 * 1_000_000,
            tolerance: i64::try_from(tolerance.as_micros()).unwrap_or(60_000_000),
            furthest: 14 * 60 * 60 * 1_000_000,
        }
    }

    /// The zone offset that a value so far ahead of the server's clock suggests, if any.
    #[must_use]
    pub fn offset_of(&self, ahead_micros: i64) -> Option<Duration> {
        let distance = i64::try_from(ahead_micros.unsigned_abs()).ok()?;
        let offset = distance.saturating_add(self.step / 2) / self.step * self.step;
        let fits = offset > 0 && offset <= self.furthest && (distance - offset).abs() <= self.tolerance;
        fits.then(|| Duration::from_micros(offset.unsigned_abs()))
    }
}

impl BeatOutcome {
    /// The word for `result` in metrics and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Written => "ok",
            Self::Fresh => "fresh",
            Self::Watched => "watched",
        }
    }
}

/// Judges a row report (I6: `Written` only if exactly one row changed to another value).
///
/// `stale_before`: the previous beat already saw the row, found it stale, and did not change it. Twice in a row with
/// the same value is not a race with another writer; the row cannot be updated.
///
/// # Errors
/// `missing_row`, `duplicate_rows` or `row_not_updatable`, without a remedy, because only the driver knows the remedy.
pub fn judge(report: &RowReport, writing: Writing, stale_before: bool) -> Result<Beat, Failure> {
    let beat = |outcome| Beat {
        outcome,
        value: report.value,
        previous: report.previous,
        server_time: report.server_time,
        position: report.position.clone(),
    };
    match (report.seen, report.changed) {
        (0, _) => Err(Failure::new(
            ErrorKind::MissingRow,
            "the heartbeat table holds no row with the configured id, or none that this user can see",
        )),
        (2.., _) | (_, 2..) => {
            Err(Failure::new(ErrorKind::DuplicateRows, "several rows of the heartbeat table carry the configured id"))
        }
        (1, 1) if report.value == report.previous => Err(Failure::new(
            ErrorKind::RowNotUpdatable,
            "the update was accepted and last_update still holds its old value",
        )),
        (1, 1) => Ok(beat(BeatOutcome::Written)),
        (1, 0) => match writing {
            Writing::Never => Ok(beat(BeatOutcome::Watched)),
            // If another writer was faster since the last look, the value is a different one, however often that
            // happens.
            Writing::WhenStale { last_seen, .. } if !report.stale || !stale_before || report.previous != last_seen => {
                Ok(beat(BeatOutcome::Fresh))
            }
            Writing::Always | Writing::WhenStale { .. } => Err(Failure::new(
                ErrorKind::RowNotUpdatable,
                "the heartbeat row is visible, the update succeeds, and no row changes",
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(seen: u64, changed: u64, stale: bool) -> RowReport {
        let value = if changed > 0 { 2 } else { 1 };
        RowReport { seen, changed, stale, previous: Some(Stamp(1)), value: Some(Stamp(value)), ..RowReport::default() }
    }

    const WHEN_STALE: Writing = Writing::WhenStale { last_seen: Some(Stamp(1)), period: Duration::from_secs(60) };

    #[test]
    fn zero_rows_are_never_success() {
        for writing in [Writing::Always, WHEN_STALE, Writing::Never] {
            let failure = judge(&report(0, 0, true), writing, false).unwrap_err();
            assert_eq!(failure.kind(), ErrorKind::MissingRow);
        }
    }

    #[test]
    fn a_row_seen_and_not_changed_is_not_updatable() {
        let failure = judge(&report(1, 0, true), Writing::Always, false).unwrap_err();
        assert_eq!(failure.kind(), ErrorKind::RowNotUpdatable);
    }

    #[test]
    fn a_stale_row_lost_to_another_writer_once_is_fresh_and_twice_running_a_failure() {
        assert_eq!(judge(&report(1, 0, true), WHEN_STALE, false).unwrap().outcome, BeatOutcome::Fresh);
        assert_eq!(judge(&report(1, 0, true), WHEN_STALE, true).unwrap_err().kind(), ErrorKind::RowNotUpdatable);
        assert_eq!(judge(&report(1, 0, false), WHEN_STALE, true).unwrap().outcome, BeatOutcome::Fresh);
    }

    #[test]
    fn a_stale_row_changed_between_the_looks_was_lost_to_another_writer() {
        let seen_another = Writing::WhenStale { last_seen: Some(Stamp(0)), period: Duration::from_secs(60) };
        assert_eq!(judge(&report(1, 0, true), seen_another, true).unwrap().outcome, BeatOutcome::Fresh);
    }

    #[test]
    fn an_update_that_changes_no_value_is_a_failure() {
        let mut unchanged = report(1, 1, true);
        unchanged.value = unchanged.previous;
        assert_eq!(judge(&unchanged, Writing::Always, false).unwrap_err().kind(), ErrorKind::RowNotUpdatable);
    }

    #[test]
    fn several_rows_of_one_id_are_a_schema_fault() {
        assert_eq!(judge(&report(2, 2, true), Writing::Always, false).unwrap_err().class(), ErrorClass::Schema);
    }
}
