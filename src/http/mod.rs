//! Shows the state of the targets to people and programs. It reads only the [`Board`](crate::status::board::Board), so
//! no request waits for a database. `commands::run` calls [`bind`] before the first beat, then [`serve`].
//!
//! Every endpoint, all for GET and HEAD only:
//!
//! - `/`: the status page, for people.
//! - `/live`: 200 while every loop of the program runs, else 503 with the loop that is stuck.
//! - `/ready`: 200 once every enabled target was tried, else 503 with those that were not.
//! - `/health`: 200 if every enabled target is healthy, else 503; each with its state and reasons.
//! - `/targets`: all targets, a summary of each.
//! - `/targets/{name}`: everything about one target; 404 if no target has that name.
//! - `/metrics`: `OpenMetrics` text.
//!
//! Times are RFC 3339 in UTC, durations seconds, what is unknown `null`.

mod health;
mod listener;
pub mod metrics;
mod page;
mod places;
mod routes;
mod summary;
mod targets;

#[cfg(test)]
mod fixtures;

pub use listener::{BindError, DRAIN_LIMIT, bind, serve};
