//! The state of every target: the scheduler writes it, HTTP reads it, without a database in between.

pub mod board;
pub mod dropped_lines;
pub mod health;
pub mod histogram;
pub mod log_throttle;
pub mod problems;
