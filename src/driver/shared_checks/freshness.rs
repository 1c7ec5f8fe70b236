//! Judges the age of the heartbeat row; all drivers' checks share it.

use std::time::Duration;

use crate::finding::{Case, Check, Finding};
use crate::heartbeat::ZoneGuess;
use crate::target::WriteMode;
use crate::time::ticks::longest_period;
use crate::time::words;

/// Judges the age of `last_update` by the server's own clock, in microseconds (negative: in the future; `None`: NULL).
pub(in crate::driver) fn judge(check: &Check, subject: &str, age: Option<i64>, case: &Case<'_>) -> Finding {
    let period = longest_period(&case.target.schedule, case.now.taken_at);
    let limit = period * 2 + case.target.timeout;
    let expected = format!("younger than {}", words(limit));
    let remedy = match case.target.write {
        WriteMode::Always | WriteMode::WhenStale => "start heartbeatd on this target, or look at its /health",
        WriteMode::Never => "start the writer that this target relies on, or set write = \"when-stale\"",
    };
    let failed = |observed: String| check.failed(subject, observed).expected(&expected).remedy(remedy);
    let Some(age) = age else {
        return failed("it was never written (NULL)".to_owned());
    };
    let shown = Duration::from_micros(age.unsigned_abs());
    if let Some(offset) = ZoneGuess::for_period(period).offset_of(age) {
        let direction = if age < 0 { "ahead of" } else { "behind" };
        return check
            .failed(subject, format!("{} {direction} the server's clock in UTC: a whole zone offset", words(offset)))
            .expected(&expected)
            .remedy("if the row moves, its writer is in another time zone: let it write UTC; if not, start a writer");
    }
    if age < 0 {
        return failed(format!("{} in the future: the clock of the server or of the writer is wrong", words(shown)));
    }
    if shown > limit {
        return failed(format!("{} old", words(shown)));
    }
    check.ok(subject, format!("{} old", words(shown)))
}
