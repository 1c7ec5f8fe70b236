//! The loops that beat and look on.

pub mod backoff;
pub mod beater;
pub mod failover;
pub mod fleet;
pub mod inspector;
pub mod link;
pub mod memory;
pub mod replica;
mod supervision;
pub mod turns;
