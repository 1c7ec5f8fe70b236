//! Durations of a configuration: text like `1m` or `1m 30s`, or whole seconds. Judged by `check`, read by `raw`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// A duration as serde reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

/// The bounds of a duration.
#[derive(Debug, Clone, Copy)]
pub(super) struct DurationLimits {
    pub(super) shortest: Duration,
    pub(super) longest: Duration,
}

/// Reads text; `None` if it is not a duration.
pub(super) fn from_text(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}

/// Reads whole seconds; `None` below zero.
pub(super) fn from_seconds(seconds: i64) -> Option<Duration> {
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

/// As a configuration writes it, without spaces: `1m30s`.
pub(super) fn to_text(duration: Duration) -> String {
    humantime::format_duration(duration).to_string().replace(' ', "")
}

impl DurationLimits {
    /// The complaint about a duration outside these bounds.
    pub(super) fn judge(self, duration: Duration) -> Result<(), String> {
        let (shortest, longest) = (to_text(self.shortest), to_text(self.longest));
        if duration < self.shortest {
            return Err(format!("too short: expected {shortest} to {longest}"));
        }
        if duration > self.longest {
            return Err(format!("too long: expected {shortest} to {longest}"));
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                from_text(text).map(Span).ok_or_else(|| E::custom("not a duration"))
            }

            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Span, E> {
                from_seconds(seconds).map(Span).ok_or_else(|| E::custom("not a duration"))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_needs_a_unit_and_is_shown_without_spaces() {
        assert_eq!(from_text("1m 30s"), Some(Duration::from_secs(90)));
        assert_eq!(from_text("60"), None);
        assert_eq!(from_text("soon"), None);
        assert_eq!(from_text("99999999999999999999y"), None);
        assert_eq!(to_text(Duration::from_secs(90)), "1m30s");
        assert_eq!(to_text(Duration::ZERO), "0s");
    }

    #[test]
    fn a_duration_outside_its_limits_is_refused_with_the_limits() {
        let limits = DurationLimits { shortest: Duration::from_secs(1), longest: Duration::from_secs(86_400) };
        assert_eq!(limits.judge(Duration::ZERO).unwrap_err(), "too short: expected 1s to 1day");
        assert_eq!(limits.judge(Duration::from_secs(86_401)).unwrap_err(), "too long: expected 1s to 1day");
        assert_eq!(limits.judge(Duration::from_secs(86_400)), Ok(()));
    }
}
