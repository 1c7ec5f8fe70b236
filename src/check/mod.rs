//! The checks: gather facts from every server of a target, judge them, say what to do first. Called by
//! `commands::check`, and by the daemon's inspector.

pub mod configuration;
pub mod formats;
pub mod registry;
pub mod report;
pub mod runner;
pub mod saved;
pub mod verdict;
