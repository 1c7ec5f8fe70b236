//! Remembers the row between two beats, and compares it with a new look: the newest change, another writer, a clock
//! that jumped. Pure. The `beater` owns it.

use std::time::Duration;

use crate::heartbeat::{Beat, BeatOutcome, ErrorKind, Failure, RowReport, Stamp, Writing, ZoneGuess};
use crate::status::board::Change;
use crate::target::WriteMode;
use crate::time::clock::Moment;

/// A notice stays for ten periods after its last sign, and at least this long.
const SHORTEST_NOTICE: Duration = Duration::from_secs(300);
/// If the difference between the server's clock and ours changes by more than this between two beats, the clock has
/// jumped.
const JUMP: i64 = 2_000_000;
/// A larger difference between the server's clock and ours is reported, in microseconds.
const SKEW: i64 = 2_000_000;

/// What heartbeatd remembers of the row.
#[derive(Debug, Clone, Default)]
pub struct RowTracker {
    /// The value at the last look.
    last_seen: Option<Stamp>,
    /// Whether heartbeatd has read the row; its value may be NULL.
    looked: Option<Moment>,
    /// The value this process wrote last.
    last_written: Option<Stamp>,
    /// Set if the answer of a beat was lost. The server may commit that beat until its deadline. Until then, and at the
    /// first look after it, an unknown value may be ours.
    unanswered: Option<Moment>,
    /// The last look found the row stale and the statement did not change it.
    stale_before: bool,
    /// Server clock minus ours at the last look, in microseconds.
    skew: Option<i64>,
    other_writer: Option<Sign>,
    other_zone: Option<Sign>,
    jump: Option<Sign>,
}

/// When something was last seen, and the message about it.
#[derive(Debug, Clone)]
struct Sign {
    at: Moment,
    message: String,
}

/// The result of a look at the row.
#[derive(Debug, Clone, PartialEq)]
pub struct News {
    /// The change that the look found, if any.
    pub change: Option<Change>,
    /// Server clock minus ours, in seconds.
    pub clock_skew: Option<f64>,
}

impl RowTracker {
    /// How to write the next beat in this mode.
    #[must_use]
    pub fn writing(&self, mode: WriteMode, period: Duration) -> Writing {
        match mode {
            WriteMode::Always => Writing::Always,
            WriteMode::WhenStale => Writing::WhenStale { last_seen: self.last_seen, period },
            WriteMode::Never => Writing::Never,
        }
    }

    /// Whether the last look found the row stale and unchanged by the statement.
    #[must_use]
    pub fn stale_before(&self) -> bool {
        self.stale_before
    }

    /// Records an answer to a request that was sent at `asked` and answered at `now`.
    pub fn take_in(&mut self, beat: &Beat, report: &RowReport, mode: WriteMode, asked: Moment, now: Moment) -> News {
        let change = self.change_of(beat, now);
        self.note_writers(beat, mode, now);
        self.unanswered = self.unanswered.filter(|deadline| asked.mono < deadline.mono);
        let skew = beat.server_time.map(|server| server.0 - middle(asked, now));
        self.note_jump(skew, now);
        self.skew = skew.or(self.skew);
        self.last_seen = beat.value;
        self.looked = Some(now);
        if beat.outcome == BeatOutcome::Written {
            self.last_written = beat.value;
        }
        self.stale_before = report.stale && report.changed == 0;
        // A double holds the microseconds of a skew exactly, up to centuries.
        #[allow(clippy::cast_precision_loss, reason = "see above")]
        let clock_skew = skew.map(|micros| micros as f64 / 1e6);
        News { change, clock_skew }
    }

    /// Another server answers after a failover. Its row does not show who wrote it, because our beats may not have
    /// arrived there.
    pub fn moved(&mut self) {
        self.looked = None;
    }

    /// Forgets what a failed try makes uncertain. A stale row seen before it does not matter for the next try, unless
    /// the try failed for exactly that reason; then the next try must fail in the same way instead of reading the row
    /// first.
    ///
    /// `deadline` is that of the try; the server commits nothing of it afterwards (I1).
    pub fn failed(&mut self, failure: &Failure, deadline: Moment) {
        self.stale_before &= failure.kind() == ErrorKind::RowNotUpdatable;
        if failure.has_unknown_outcome() {
            self.lost_answer(deadline);
        }
    }

    /// The answer of a beat was lost: the server may have committed it, or may still do so before `deadline`.
    pub fn lost_answer(&mut self, deadline: Moment) {
        self.unanswered = Some(deadline);
    }

    /// The current notices, by the board's keys. `None` clears a notice.
    #[must_use]
    pub fn notices(&self, period: Duration, now: Moment) -> [(&'static str, Option<String>); 4] {
        let lasts = SHORTEST_NOTICE.max(period * 10);
        let standing = |sign: &Option<Sign>| {
            sign.as_ref().filter(|sign| now.age_of(sign.at) < lasts).map(|sign| sign.message.clone())
        };
        let skew = self.skew.filter(|skew| skew.abs() > SKEW).map(|skew| {
            let seconds = skew.unsigned_abs() / 1_000_000;
            let direction = if skew > 0 { "ahead of" } else { "behind" };
            format!("the server's clock is {seconds} s {direction} the clock of heartbeatd's machine")
        });
        [
            ("another_writer", standing(&self.other_writer)),
            ("other_time_zone", standing(&self.other_zone)),
            ("clock_jumped", standing(&self.jump)),
            ("clock_skew", skew),
        ]
    }

    fn change_of(&self, beat: &Beat, now: Moment) -> Option<Change> {
        if beat.outcome == BeatOutcome::Written {
            return Some(Change { at: now, ours: true });
        }
        let last_look = self.looked?;
        if beat.value == self.last_seen {
            return None;
        }
        // The row changed between the two looks. If the server's clock agrees, its value says when.
        let since_look = now.age_of(last_look);
        let age = beat
            .server_time
            .zip(beat.value)
            .and_then(|(server, value)| u64::try_from(server.micros_since(value)).ok())
            .map(Duration::from_micros)
            .filter(|age| *age <= since_look)
            .unwrap_or_default();
        let at = Moment {
            mono: now.mono.checked_sub(age).unwrap_or(now.mono),
            wall: now.wall.checked_sub(age).unwrap_or(now.wall),
        };
        Some(Change { at, ours: false })
    }

    fn note_writers(&mut self, beat: &Beat, mode: WriteMode, now: Moment) {
        let Some(previous) = beat.previous else { return };
        // The value at the first look does not show who writes.
        let foreign = self.looked.is_some() && Some(previous) != self.last_seen && Some(previous) != self.last_written;
        if !foreign || self.unanswered.is_some() {
            return;
        }
        // With when-stale another writer is expected; with never it is the only one.
        if mode == WriteMode::Always {
            let message = "another writer updates the heartbeat row too (a scheduled job, the connector, or another \
                           heartbeatd). This is harmless, but each beat is written twice: to avoid it, set write = \
                           \"when-stale\"";
            self.other_writer = Some(Sign { at: now, message: message.to_owned() });
        }
        let ahead = beat.server_time.map(|server| previous.micros_since(server));
        let guess = ZoneGuess { tolerance: 60_000_000, ..ZoneGuess::for_period(SHORTEST_NOTICE) };
        if let Some(offset) = ahead.and_then(|ahead| guess.offset_of(ahead)) {
            let message = format!(
                "last_update was {} away from the server's clock in UTC: its writer is in another time zone",
                humantime::format_duration(offset)
            );
            self.other_zone = Some(Sign { at: now, message });
        }
    }

    /// I4: a server clock that jumps is reported, not hidden.
    fn note_jump(&mut self, skew: Option<i64>, now: Moment) {
        let Some(moved) = skew.zip(self.skew).map(|(new, old)| new - old).filter(|moved| moved.abs() > JUMP) else {
            return;
        };
        let direction = if moved > 0 { "forward" } else { "back" };
        let seconds = moved.unsigned_abs() / 1_000_000;
        let message = format!("the server's clock jumped {direction} by {seconds} s");
        self.jump = Some(Sign { at: now, message });
    }
}

/// Our wall clock halfway through the round trip, in microseconds.
fn middle(asked: Moment, now: Moment) -> i64 {
    let half = now.mono.saturating_duration_since(asked.mono) / 2;
    now.wall_micros() - i64::try_from(half.as_micros()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::time::clock::Clock;

    const MINUTE: Duration = Duration::from_secs(60);

    struct Row {
        tracker: RowTracker,
        start: Moment,
        base: i64,
    }

    impl Row {
        fn new() -> Self {
            let start = Clock::simulated(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)).0.now();
            Self { tracker: RowTracker::default(), start, base: start.wall_micros() }
        }

        /// A look `at` seconds after the start that found `previous` and left `value`, in seconds after the start.
        fn look(&mut self, mode: WriteMode, at: u64, previous: i64, value: i64) -> News {
            let now = self.start.plus(Duration::from_secs(at));
            let stamp = |seconds: i64| Some(Stamp(self.base + seconds * 1_000_000));
            let written = previous != value;
            let report = RowReport {
                seen: 1,
                changed: u64::from(written),
                previous: stamp(previous),
                value: stamp(value),
                server_time: stamp(i64::try_from(at).unwrap()),
                ..RowReport::default()
            };
            let beat = Beat {
                outcome: if written { BeatOutcome::Written } else { BeatOutcome::Fresh },
                value: report.value,
                previous: report.previous,
                server_time: report.server_time,
                position: None,
            };
            self.tracker.take_in(&beat, &report, mode, now, now)
        }

        fn notice(&self, key: &str, at: u64) -> Option<String> {
            let now = self.start.plus(Duration::from_secs(at));
            self.tracker
                .notices(MINUTE, now)
                .into_iter()
                .find(|(name, _)| *name == key)
                .and_then(|(_, message)| message)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn another_writers_change_is_seen_at_the_second_look_and_dated_by_the_server() {
        let mut row = Row::new();
        assert_eq!(row.look(WriteMode::WhenStale, 0, -10, -10).change, None);
        let change = row.look(WriteMode::WhenStale, 60, 50, 50).change.unwrap();
        assert!(!change.ours);
        assert_eq!(change.at.mono, row.start.plus(Duration::from_secs(50)).mono);
        assert_eq!(row.look(WriteMode::WhenStale, 120, 50, 50).change, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_that_cannot_be_updated_fails_again_and_any_other_failure_starts_over() {
        for (kind, remembered) in [(ErrorKind::RowNotUpdatable, true), (ErrorKind::Network, false)] {
            let mut row = Row::new();
            let report = RowReport { seen: 1, stale: true, ..RowReport::default() };
            let beat =
                Beat { outcome: BeatOutcome::Fresh, value: None, previous: None, server_time: None, position: None };
            row.tracker.take_in(&beat, &report, WriteMode::WhenStale, row.start, row.start);
            row.tracker.failed(&Failure::new(kind, "x"), row.start);
            assert_eq!(row.tracker.stale_before(), remembered, "{kind}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn another_writer_is_recognised_by_a_value_this_process_did_not_write() {
        let mut row = Row::new();
        row.look(WriteMode::Always, 0, -10, 0);
        row.look(WriteMode::Always, 60, 0, 60);
        assert_eq!(row.notice("another_writer", 60), None);
        row.look(WriteMode::Always, 120, 90, 120);
        assert!(row.notice("another_writer", 120).is_some());
        row.look(WriteMode::Always, 180, 120, 180);
        assert!(row.notice("another_writer", 700).is_some(), "it lasts for ten periods");
        assert_eq!(row.notice("another_writer", 721), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_found_after_a_lost_answer_may_be_ours_and_one_after_a_refusal_is_not() {
        for (failure, noticed) in [
            (Failure::new(ErrorKind::Network, "x").with_unknown_outcome(), false),
            (Failure::new(ErrorKind::Refused, "x"), true),
        ] {
            let mut row = Row::new();
            row.look(WriteMode::Always, 0, -10, 0);
            row.tracker.failed(&failure, row.start.plus(Duration::from_secs(70)));
            row.look(WriteMode::Always, 65, 61, 65);
            assert_eq!(row.notice("another_writer", 65).is_some(), noticed, "{failure}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_answer_excuses_no_value_that_is_found_later() {
        let mut row = Row::new();
        row.look(WriteMode::Always, 0, -10, 0);
        let lost = Failure::new(ErrorKind::Timeout, "x").with_unknown_outcome();
        row.tracker.failed(&lost, row.start.plus(Duration::from_secs(70)));
        row.look(WriteMode::Always, 75, 61, 75);
        assert_eq!(row.notice("another_writer", 75), None);
        row.look(WriteMode::Always, 135, 100, 135);
        assert!(row.notice("another_writer", 135).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_a_whole_zone_away_is_called_another_time_zone() {
        let mut row = Row::new();
        row.look(WriteMode::WhenStale, 0, 7_190, 7_190);
        assert_eq!(row.notice("other_time_zone", 0), None, "one look is no writer");
        row.look(WriteMode::WhenStale, 60, 7_250, 7_250);
        assert!(row.notice("other_time_zone", 60).unwrap().contains("2h"));
        let mut near = Row::new();
        near.look(WriteMode::WhenStale, 0, 400, 400);
        near.look(WriteMode::WhenStale, 60, 460, 460);
        assert_eq!(near.notice("other_time_zone", 60), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_clock_that_jumps_or_differs_is_reported() {
        let mut row = Row::new();
        row.look(WriteMode::Always, 0, -10, 0);
        assert_eq!(row.notice("clock_jumped", 0), None);
        row.base -= 3_600_000_000;
        let news = row.look(WriteMode::Always, 60, 3_600, 60);
        assert_eq!(news.clock_skew, Some(-3_600.0));
        assert!(row.notice("clock_jumped", 60).unwrap().contains("back by 3600 s"));
        assert!(row.notice("clock_skew", 60).unwrap().contains("behind"));
    }
}
