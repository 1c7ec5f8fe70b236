//! Time, schedules and the loops that beat.

pub mod backoff;
pub mod beater;
pub mod clock;
pub mod fleet;
pub mod inspector;
pub mod link;
pub mod memory;
pub mod replica;
pub mod ticks;
pub mod turns;
