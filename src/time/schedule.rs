//! When beats are due: an interval, or a cron expression with a time zone. Plain data with its arithmetic on wall-clock
//! time; `config` makes it, `time::ticks` runs it on a clock.

use std::fmt;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds};

/// The shortest interval that a configuration may set.
pub const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// The longest interval. A rarer heartbeat keeps no connector alive.
pub const LONGEST_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// The start of the trial run of an expression, in seconds since 1970: the beginning of 2026.
const SAMPLED_FROM: i64 = 1_767_225_600;

/// A target's schedule.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// At a fixed distance, on a phase that the target's name gives.
    Interval(Duration),
    /// At the moments of a cron expression.
    Cron(Box<CronSchedule>),
}

/// A cron expression (five fields, or six with seconds first) in a time zone.
#[derive(Clone)]
pub struct CronSchedule {
    expression: String,
    timezone: Tz,
    cron: Cron,
}

/// Why a cron expression or its zone is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The expression cannot be read.
    #[error("not a cron expression: {0}")]
    Expression(String),
    /// The expression never comes due, or not within two years.
    #[error("this cron expression never comes due")]
    Never,
    /// The zone is not in the IANA database.
    #[error("unknown time zone \"{0}\": expected a name like UTC or Europe/Berlin")]
    Timezone(String),
}

impl Schedule {
    /// The shortest distance between two moments; for a cron expression, among its first 64 moments.
    #[must_use]
    pub fn shortest_gap(&self) -> Duration {
        match self {
            Self::Interval(interval) => *interval,
            Self::Cron(cron) => {
                let start = SystemTime::from(DateTime::<Utc>::from_timestamp(SAMPLED_FROM, 0).unwrap_or_default());
                let moments: Vec<_> =
                    std::iter::successors(cron.next_after(start), |last| cron.next_after(*last)).take(64).collect();
                let gaps = moments.windows(2).filter_map(|pair| pair[1].duration_since(pair[0]).ok());
                gaps.min().unwrap_or(LONGEST_INTERVAL)
            }
        }
    }
}

impl CronSchedule {
    /// Reads an expression and a zone.
    ///
    /// # Errors
    /// As [`ScheduleError`].
    pub fn parse(expression: &str, timezone: &str) -> Result<Self, ScheduleError> {
        let timezone: Tz = timezone.parse().map_err(|_| ScheduleError::Timezone(timezone.to_owned()))?;
        // The parser reads it as a list without any moment, and its search for one never ends.
        if expression.split_whitespace().any(|field| field.split(',').any(str::is_empty)) {
            return Err(ScheduleError::Expression("a list has nothing beside one of its commas".to_owned()));
        }
        let cron = CronParser::builder()
            .seconds(Seconds::Optional)
            .build()
            .parse(expression)
            .map_err(|error| ScheduleError::Expression(error.to_string()))?;
        let schedule = Self { expression: expression.to_owned(), timezone, cron };
        let start = DateTime::<Utc>::from_timestamp(SAMPLED_FROM, 0).unwrap_or_default();
        let limit = start + chrono::TimeDelta::days(2 * 366);
        match schedule.find_after(start) {
            Some(first) if first < limit => Ok(schedule),
            _ => Err(ScheduleError::Never),
        }
    }

    /// The expression as written.
    #[must_use]
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The zone it is read in.
    #[must_use]
    pub fn timezone(&self) -> Tz {
        self.timezone
    }

    fn find_after(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = moment.with_timezone(&self.timezone);
        self.cron.find_next_occurrence(&local, false).ok().map(|time| time.with_timezone(&Utc))
    }

    /// The first moment strictly after `moment`; `None` only beyond the calendar.
    #[must_use]
    pub fn next_after(&self, moment: SystemTime) -> Option<SystemTime> {
        self.find_after(moment.into()).map(SystemTime::from)
    }

    /// The last moment at or before `moment`; `None` only beyond the calendar.
    #[must_use]
    pub fn last_until(&self, moment: SystemTime) -> Option<SystemTime> {
        let local = DateTime::<Utc>::from(moment).with_timezone(&self.timezone);
        self.cron.find_previous_occurrence(&local, true).ok().map(|time| time.with_timezone(&Utc).into())
    }
}

impl PartialEq for CronSchedule {
    fn eq(&self, other: &Self) -> bool {
        self.expression == other.expression && self.timezone == other.timezone
    }
}

impl fmt::Debug for CronSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.expression, self.timezone)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interval(interval) => write!(f, "every {}", humantime::format_duration(*interval)),
            Self::Cron(cron) => write!(f, "cron {} {}", cron.expression, cron.timezone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SystemTime {
        DateTime::parse_from_rfc3339(text).unwrap().into()
    }

    #[test]
    fn every_minute_has_no_gap_when_daylight_saving_ends() {
        let schedule = CronSchedule::parse("* * * * *", "Europe/Berlin").unwrap();
        let (mut now, end) = (at("2026-10-25T00:00:00Z"), at("2026-10-25T03:00:00Z"));
        while now < end {
            let next = schedule.next_after(now).unwrap();
            assert_eq!(next.duration_since(now).unwrap(), Duration::from_secs(60));
            now = next;
        }
    }

    #[test]
    fn weekdays_are_numbered_as_everywhere_else_in_unix() {
        let schedule = CronSchedule::parse("0 9 * * 1", "UTC").unwrap();
        assert_eq!(schedule.next_after(at("2026-11-20T00:00:00Z")), Some(at("2026-11-23T09:00:00Z")));
        assert_eq!(schedule.last_until(at("2026-11-23T09:00:00Z")), Some(at("2026-11-23T09:00:00Z")));
    }

    #[test]
    fn the_shortest_gap_is_that_between_two_moments() {
        for (expression, seconds) in
            [("* * * * *", 60), ("0 9 * * *", 86_400), ("0,3 0 9 * * *", 3), ("*/2 * * * * *", 2)]
        {
            let cron = CronSchedule::parse(expression, "UTC").unwrap();
            assert_eq!(Schedule::Cron(Box::new(cron)).shortest_gap(), Duration::from_secs(seconds), "{expression}");
        }
    }

    #[test]
    fn an_empty_list_is_refused_instead_of_searched_forever() {
        for expression in [", * * * *", "1,39 , * * * *", "0 0 ,,, 2 *", "1,,2 * * * *"] {
            let refused = CronSchedule::parse(expression, "UTC").unwrap_err();
            assert!(refused.to_string().contains("comma"), "{expression}: {refused}");
        }
    }

    #[test]
    fn a_schedule_that_never_comes_due_is_refused() {
        assert_eq!(CronSchedule::parse("0 0 30 2 *", "UTC").unwrap_err(), ScheduleError::Never);
        assert!(matches!(CronSchedule::parse("every day", "UTC"), Err(ScheduleError::Expression(_))));
        assert!(matches!(CronSchedule::parse("* * * * *", "Mars/Phobos"), Err(ScheduleError::Timezone(_))));
    }
}
