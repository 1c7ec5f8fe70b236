//! The checks: gather facts from every server of a target, judge them, and say what to do first. `commands::check` and
//! the daemon's inspector call it.

pub mod configuration;
pub mod formats;
pub mod registry;
pub mod report;
pub mod runner;
pub mod saved;
pub mod verdict;
