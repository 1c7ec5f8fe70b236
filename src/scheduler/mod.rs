//! Time, schedules and the loops that beat.

pub mod clock;
