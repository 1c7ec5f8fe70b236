//! Time: the one door to the clocks, schedules, and a schedule run on a clock. Every room may import it; it imports none.

pub mod clock;
pub mod schedule;
pub mod ticks;

mod stamp;

pub use stamp::Stamp;
