//! What must hold of any input: one function for each fuzz target, which panics when it does not. Called by the targets of
//! `fuzz/`, and by the integration tests, which replay `fuzz/corpus/`.

mod addresses;
mod facts;
mod schedules;
mod servers;
mod settings;

pub use addresses::address;
pub use facts::{facts, facts_edited};
pub use schedules::cron;
pub use servers::{grants, server_text};
pub use settings::{configuration, variables};

/// A property: any bytes must leave it without a panic.
pub type Property = fn(&[u8]);

/// Every target by its name, which is also the name of its corpus.
pub const TARGETS: &[(&str, Property)] = &[
    ("address", address),
    ("configuration", configuration),
    ("cron", cron),
    ("facts", facts),
    ("facts_edited", facts_edited),
    ("grants", grants),
    ("server_text", server_text),
    ("variables", variables),
];

/// The password in the corpora. Where it stands as a password, nothing may show it.
const PASSWORD: &str = "hunter2";
