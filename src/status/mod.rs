//! How every target is: written by the scheduler's loops, read by HTTP, with no database in between.

pub mod board;
pub mod dropped_lines;
pub mod health;
pub mod histogram;
pub mod log_throttle;
