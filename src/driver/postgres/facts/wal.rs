//! The position of a server in the WAL.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A server's position in the WAL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WalFacts {
    /// Written so far; on a standby, replayed so far.
    pub(crate) position: Option<Position>,
    /// On a standby, the commit time of the newest replayed transaction, in microseconds since 1970.
    pub(crate) replayed_until: Option<i64>,
    /// Whether someone paused the standby's replay.
    pub(crate) replay_paused: Option<bool>,
}

/// A position in the WAL, `16/B374D848`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position(pub(crate) u64);

/// One JSON object, [`WalFacts`].
pub(super) const SQL: &str = "SELECT jsonb_build_object(\
    'position', CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, \
    'replayed_until', (extract(epoch FROM pg_last_xact_replay_timestamp()) * 1000000)::bigint, \
    'replay_paused', CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END)::text";

impl Position {
    /// Parses its two hexadecimal halves.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (high, low) = text.split_once('/')?;
        let half = |digits: &str| u32::from_str_radix(digits, 16).ok().map(u64::from);
        Some(Self(half(high)? << 32 | half(low)?))
    }

    /// The number of bytes from `earlier` to here.
    pub(crate) fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("{text} is not a position in the WAL")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_written_as_it_is_read() {
        for text in ["0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF"] {
            assert_eq!(Position::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "16", "16/", "x/1", "1/100000000"] {
            assert_eq!(Position::parse(text), None, "{text}");
        }
    }
}
