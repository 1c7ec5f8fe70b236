//! A point in time as a database stores it; `heartbeat` re-exports it.

/// A point in time as a database stores it in `last_update`: microseconds since 1970-01-01 00:00 UTC. A value without a
/// zone counts as UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub i64);

impl Stamp {
    /// Microseconds between two stamps, `self` minus `earlier`.
    #[must_use]
    pub fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The stamp as `2026-11-20T11:22:33.123456Z`, or its number if a calendar cannot show it.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        chrono::DateTime::from_timestamp_micros(self.0)
            .map_or_else(|| format!("{} µs", self.0), |time| time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true))
    }
}
