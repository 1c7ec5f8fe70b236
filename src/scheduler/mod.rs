//! The loops of the daemon: they write beats, watch replicas and inspect servers.

pub mod backoff;
pub mod beater;
pub mod connection;
pub mod failover;
pub mod fleet;
pub mod inspector;
pub mod replica;
pub mod row_tracker;
pub mod server_slots;
mod supervision;
