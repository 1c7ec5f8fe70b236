//! Time, schedules and the loops that beat.

pub mod backoff;
pub mod clock;
pub mod ticks;
