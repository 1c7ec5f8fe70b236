//! Cron expressions in time zones: the first line holds the zone, the second the expression.

use std::time::{Duration, SystemTime};

use heartbeatd::time::schedule::{CronSchedule, Schedule};

/// Moments to test, in seconds since 1970: an ordinary one, the hours in which Berlin and New York put their clocks
/// forward and back, the last day of February.
const MOMENTS: &[u64] = &[
    1_767_225_600,
    1_774_746_000 - 1_800,
    1_774_746_000 + 1_800,
    1_792_890_000 - 1_800,
    1_792_890_000 + 1_800,
    1_772_953_200 - 1_800,
    1_793_512_800 + 1_800,
    1_835_395_199,
];

/// The next time is later, the last time is earlier, and none lies between the two.
pub fn cron(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (timezone, expression) = text.split_once('\n').unwrap_or(("UTC", text));
    let Ok(schedule) = CronSchedule::parse(expression, timezone) else { return };
    assert_eq!(schedule.expression(), expression);
    for seconds in MOMENTS {
        let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(*seconds);
        if let Some(next) = schedule.next_after(moment) {
            assert!(next > moment, "{text:?}: next {next:?} after {moment:?}");
            assert_eq!(schedule.last_until(next), Some(next), "{text:?}: the last until the next");
        }
        if let Some(last) = schedule.last_until(moment) {
            assert!(last <= moment, "{text:?}: last {last:?} until {moment:?}");
            assert_eq!(
                schedule.next_after(last),
                schedule.next_after(moment),
                "{text:?}: next after the last, {moment:?}"
            );
        }
    }
    assert!(Schedule::Cron(Box::new(schedule)).shortest_gap() >= Duration::from_secs(1), "{text:?}");
}
