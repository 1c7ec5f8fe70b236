//! heartbeatd keeps change-data-capture connectors alive on quiet databases: it updates one heartbeat row every minute
//! from outside, and reports the result to people and programs.
//!
//! `ARCHITECTURE.md` lists the rooms and who may import whom.

pub mod bounded_read;
pub mod check;
pub mod cli;
pub mod commands;
pub mod config;
pub mod database_url;
pub mod descriptors;
pub mod driver;
pub mod drivers;
pub mod environment;
mod failure;
pub mod finding;
pub mod heartbeat;
pub mod http;
pub mod logging;
pub mod panics;
pub mod plain_text;
pub mod plan;
pub mod provisioning;
pub mod remedy;
pub mod scheduler;
pub mod secret;
pub mod service_manager;
pub mod shard;
pub mod stable_hash;
pub mod status;
pub mod target;
pub mod time;
