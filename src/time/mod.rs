//! Time: the one door to the clocks, schedules, and a schedule run on a clock. Every room may import it; it imports none.

pub mod clock;
pub mod schedule;
pub mod ticks;

mod stamp;
mod words;

pub use stamp::Stamp;
pub use words::words;
