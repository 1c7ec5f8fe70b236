//! Time: the clocks, schedules, and a schedule run on a clock. Every room may import it.

pub mod clock;
pub mod schedule;
pub mod ticks;

mod stamp;
mod words;

pub use stamp::Stamp;
pub use words::words;
