//! A schedule run on a clock: when the next beat is due, the length of the current period, when a target is overdue.
//! The `beater` uses it, one value per target.

use std::time::Duration;

use super::clock::Moment;
use crate::stable_hash::stable_hash;
use crate::time::schedule::Schedule;

/// The widest spread of first beats and of cron ticks, so that many targets do not beat at one moment.
const WIDEST_SPREAD: Duration = Duration::from_secs(10);

/// More ticks than this are not counted one by one (a wall clock set forward by years).
const MOST_MISSED: u64 = 10_000;

/// One target's ticks.
#[derive(Debug, Clone)]
pub struct Ticks {
    schedule: Schedule,
    /// A number from the target's name, the same in every process: it sets the target's place among the others.
    place: u64,
    /// Intervals: one tick of the stable phase. Later ticks follow by the monotonic clock, so that setting the wall
    /// clock does not move them.
    anchor: Moment,
    /// Cron: how much later than the expression the ticks come.
    spread: Duration,
}

impl Ticks {
    /// The ticks of a target of this name, from `now` on.
    #[must_use]
    pub fn new(schedule: &Schedule, name: &str, now: Moment) -> Self {
        let place = stable_hash(name.as_bytes());
        let mut ticks = Self { schedule: schedule.clone(), place, anchor: now, spread: Duration::ZERO };
        match schedule {
            Schedule::Interval(period) => ticks.anchor = now.plus(until_phase(*period, place, now)),
            Schedule::Cron(_) => {
                let half = ticks.period_at(now) / 2;
                ticks.spread = share(place, half.min(WIDEST_SPREAD));
            }
        }
        ticks
    }

    /// When the first beat is due: within min(period, 10 s), by name; at once if there is only one target.
    #[must_use]
    pub fn first(&self, alone: bool, now: Moment) -> Moment {
        if alone {
            return now;
        }
        now.plus(share(self.place, self.period_at(now).min(WIDEST_SPREAD)))
    }

    /// The first tick strictly after `reference`, as a moment on both clocks seen from `now`.
    #[must_use]
    pub fn next_after(&self, reference: Moment, now: Moment) -> Moment {
        match &self.schedule {
            Schedule::Interval(period) => {
                let Some(passed) = reference.mono.checked_duration_since(self.anchor.mono) else {
                    return self.anchor;
                };
                let count = passed.as_nanos() / period.as_nanos() + 1;
                self.anchor.plus(times(*period, count))
            }
            Schedule::Cron(cron) => {
                let before = reference.wall.checked_sub(self.spread).unwrap_or(reference.wall);
                // `None` is a moment beyond the calendar: try again in a day.
                let tick = cron.next_after(before).map_or(now.wall + Duration::from_secs(86_400), |t| t + self.spread);
                let wait = tick.duration_since(now.wall).unwrap_or_default();
                Moment { mono: now.mono + wait, wall: tick }
            }
        }
    }

    /// The tick after a beat that began at `beat`: the next one after `now`. A tick closer than half a period to the
    /// beat is dropped (I2).
    #[must_use]
    pub fn next_after_beat(&self, beat: Moment, now: Moment) -> Moment {
        let next = self.next_after(now, now);
        let distance = next.mono.saturating_duration_since(beat.mono);
        if distance < self.period_at(now) / 2 { self.next_after(next, now) } else { next }
    }

    /// How many ticks were due after `from`, up to and including `to`.
    #[must_use]
    pub fn count_between(&self, from: Moment, to: Moment) -> u64 {
        match &self.schedule {
            Schedule::Interval(period) => {
                let passed = |moment: Moment| {
                    moment
                        .mono
                        .checked_duration_since(self.anchor.mono)
                        .map_or(0, |d| d.as_nanos() / period.as_nanos() + 1)
                };
                u64::try_from(passed(to).saturating_sub(passed(from))).unwrap_or(u64::MAX)
            }
            Schedule::Cron(_) => {
                let mut count = 0;
                let mut tick = self.next_after(from, to);
                while tick.wall <= to.wall && count < MOST_MISSED {
                    count += 1;
                    tick = self.next_after(tick, to);
                }
                count
            }
        }
    }

    /// The period at a moment: the distance between the scheduled ticks around it.
    #[must_use]
    pub fn period_at(&self, now: Moment) -> Duration {
        match &self.schedule {
            Schedule::Interval(period) => *period,
            Schedule::Cron(cron) => {
                let around = cron.last_until(now.wall).zip(cron.next_after(now.wall));
                around.and_then(|(last, next)| next.duration_since(last).ok()).unwrap_or(Duration::from_secs(86_400))
            }
        }
    }

    /// The age at which a change made at `change` makes the target overdue: until the second scheduled tick after it,
    /// plus the time-out (I8).
    #[must_use]
    pub fn overdue_after(&self, change: Moment, timeout: Duration) -> Duration {
        let first = self.next_after(change, change);
        let second = self.next_after(first, change);
        second.mono.saturating_duration_since(change.mono) + timeout
    }

    /// Whether ticks follow the wall clock.
    #[must_use]
    pub fn follow_wall_clock(&self) -> bool {
        matches!(self.schedule, Schedule::Cron(_))
    }
}

/// The longest distance between two ticks around a moment, in microseconds since 1970. A check that does not know the
/// phase must allow for it.
#[must_use]
pub fn longest_period(schedule: &Schedule, wall_micros: i64) -> Duration {
    match schedule {
        Schedule::Interval(period) => *period,
        Schedule::Cron(cron) => {
            let since = Duration::from_micros(u64::try_from(wall_micros).unwrap_or(0));
            let now = std::time::SystemTime::UNIX_EPOCH + since;
            let next = cron.next_after(now);
            let around = [cron.last_until(now), next, next.and_then(|next| cron.next_after(next))];
            let gaps = around.windows(2).filter_map(|pair| pair[1]?.duration_since(pair[0]?).ok());
            gaps.max().unwrap_or(Duration::from_secs(86_400))
        }
    }
}

/// A part of `whole`, by place, in whole milliseconds.
fn share(place: u64, whole: Duration) -> Duration {
    let millis = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX).max(1);
    Duration::from_millis(place % millis)
}

/// How long until the wall clock next reaches the phase.
fn until_phase(period: Duration, place: u64, now: Moment) -> Duration {
    let phase = share(place, period).as_micros();
    let period = period.as_micros().max(1);
    let since_epoch = u128::try_from(now.wall_micros().max(0)).unwrap_or(0);
    let into = (since_epoch + period - phase % period) % period;
    Duration::from_micros(u64::try_from(period - into).unwrap_or(0))
}

fn times(period: Duration, count: u128) -> Duration {
    let nanos = period.as_nanos().saturating_mul(count);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::time::clock::Clock;
    use crate::time::schedule::CronSchedule;

    const MINUTE: Duration = Duration::from_secs(60);

    fn start(seconds: u64) -> Moment {
        Clock::simulated(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).0.now()
    }

    #[tokio::test(start_paused = true)]
    async fn the_phase_is_the_same_after_a_restart() {
        let schedule = Schedule::Interval(MINUTE);
        let (first, later) = (start(1_700_000_000), start(1_700_000_017));
        let a = Ticks::new(&schedule, "orders", first).next_after(first, first).wall;
        let b = Ticks::new(&schedule, "orders", later).next_after(later, later).wall;
        let distance = b.duration_since(a).unwrap_or_else(|error| error.duration());
        assert_eq!(distance.as_micros() % MINUTE.as_micros(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_phase_tick_close_to_an_off_phase_beat_is_dropped() {
        let now = start(1_700_000_000);
        let ticks = Ticks::new(&Schedule::Interval(MINUTE), "orders", now);
        let tick = ticks.next_after(now, now);
        for (before, dropped) in [(29, true), (31, false)] {
            let beat = Moment { mono: tick.mono - Duration::from_secs(before), wall: tick.wall };
            let next = ticks.next_after_beat(beat, beat);
            let expected = if dropped { tick.plus(MINUTE) } else { tick };
            assert_eq!(next.mono, expected.mono, "{before} s before the tick");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn first_beats_are_spread_by_name_within_ten_seconds_and_one_alone_is_at_once() {
        let now = start(1_700_000_000);
        let first = |name: &str, alone| {
            Ticks::new(&Schedule::Interval(MINUTE), name, now).first(alone, now).mono.duration_since(now.mono)
        };
        assert_eq!(first("orders", true), Duration::ZERO);
        let firsts: Vec<_> = (0..1_000).map(|n| first(&format!("shop-{n}"), false)).collect();
        assert!(firsts.iter().all(|wait| *wait < Duration::from_secs(10)));
        for second in 0..10 {
            let within = firsts.iter().filter(|wait| wait.as_secs() == second).count();
            assert!((60..140).contains(&within), "{within} of 1000 first beats in second {second}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn overdue_is_the_second_scheduled_tick_and_the_time_out() {
        let now = start(1_700_000_000);
        let ticks = Ticks::new(&Schedule::Interval(MINUTE), "orders", now);
        let change = ticks.next_after(now, now).plus(Duration::from_millis(5));
        let timeout = Duration::from_secs(10);
        assert_eq!(ticks.overdue_after(change, timeout), MINUTE * 2 + timeout - Duration::from_millis(5));
        let nightly = Schedule::Cron(Box::new(CronSchedule::parse("0 9 * * *", "UTC").unwrap()));
        let at_nine = start(1_700_038_800); // 09:00 UTC
        let overdue = Ticks::new(&nightly, "orders", at_nine).overdue_after(at_nine.plus(MINUTE), timeout);
        assert!(overdue > Duration::from_secs(47 * 3_600) && overdue < Duration::from_secs(49 * 3_600), "{overdue:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn missed_ticks_are_counted_for_both_kinds_of_schedule() {
        let now = start(1_700_000_000);
        let cron = Schedule::Cron(Box::new(CronSchedule::parse("* * * * *", "Europe/Berlin").unwrap()));
        for schedule in [Schedule::Interval(MINUTE), cron] {
            let ticks = Ticks::new(&schedule, "orders", now);
            let tick = ticks.next_after(now, now);
            assert_eq!(ticks.count_between(tick, tick.plus(MINUTE * 5)), 5, "{schedule}");
            assert_eq!(ticks.count_between(tick, tick.plus(MINUTE / 2)), 0, "{schedule}");
        }
    }
}
