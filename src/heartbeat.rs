//! The vocabulary of one beat: what is asked of a database, what came of it, and what went wrong of which class.
//! Every room speaks it; of them it imports `time` alone.

use std::time::Duration;

pub use crate::failure::{ErrorClass, ErrorKind, Failure, KeptSession, Outcome, Pace};
pub use crate::time::Stamp;

/// What this beat may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// Write whatever the row holds.
    Always,
    /// Write only if nobody else did: the database decides within the statement.
    WhenStale {
        /// The value found at this daemon's last look; a row that still holds it is stale.
        last_seen: Option<Stamp>,
        /// The period around this moment; a value older than three quarters of it is stale.
        period: Duration,
    },
    /// Look only.
    Never,
}

/// What makes a difference between `last_update` and the server's clock look like a whole zone offset, in microseconds:
/// a multiple of `step` up to `furthest`, give or take `tolerance`. A writer in another time zone is judged by change,
/// not by age; the rule is shared by all drivers, each words it in its SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZoneGuess {
    /// Zone offsets are multiples of a quarter of an hour.
    pub step: i64,
    /// Three quarters of a period, at most a minute.
    pub tolerance: i64,
    /// No zone is further from UTC than fourteen hours.
    pub furthest: i64,
}

/// What a driver found in the row, as the statement returned it; judged by [`judge`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowReport {
    /// Rows with the configured id that the statement could see.
    pub seen: u64,
    /// Rows that it changed.
    pub changed: u64,
    /// Whether the row called for a write (always true with [`Writing::Always`]).
    pub stale: bool,
    /// The value before the beat.
    pub previous: Option<Stamp>,
    /// The value after the beat; equal to `previous` if nothing was written.
    pub value: Option<Stamp>,
    /// The server's clock at the beat.
    pub server_time: Option<Stamp>,
    /// Where the change log stood, in the database's own notation (PostgreSQL: an LSN).
    pub position: Option<String>,
}

/// What came of a beat that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeatOutcome {
    /// An acknowledged commit changed exactly one row.
    Written,
    /// Somebody else had written within the period: nothing to do.
    Fresh,
    /// `write = "never"`: the row was read.
    Watched,
}

/// One beat that did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// What came of it.
    pub outcome: BeatOutcome,
    /// `last_update` as it stands now; `None` is SQL's NULL.
    pub value: Option<Stamp>,
    /// `last_update` as it was found.
    pub previous: Option<Stamp>,
    /// The server's clock at the beat.
    pub server_time: Option<Stamp>,
    /// Where the change log stood, in the database's own notation.
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

    /// The zone offset that a value this far ahead of the server's clock hints at, if any.
    #[must_use]
    pub fn offset_of(&self, ahead_micros: i64) -> Option<Duration> {
        let distance = i64::try_from(ahead_micros.unsigned_abs()).ok()?;
        let offset = (distance + self.step / 2) / self.step * self.step;
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

/// Says what a row report means (I6: `Written` only when exactly one row changed to another value).
///
/// `stale_before` tells that the previous beat already found the row seen, stale and unchanged: twice running and with
/// the same value, it is not a race with another writer but a row that cannot be updated.
///
/// # Errors
/// `missing_row`, `duplicate_rows` or `row_not_updatable`; without a remedy, which only the driver can word.
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
            // Lost to another writer since the last look, however often: then the value is another one than then.
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
    fn a_stale_row_that_somebody_changed_between_the_looks_was_lost_to_that_writer() {
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
