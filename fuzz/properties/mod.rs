//! What must hold for any input: one function per fuzz target, which panics when it does not hold. The targets of
//! `fuzz/` call them, and so do the integration tests, which replay `fuzz/corpus/`.

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

/// Every target by its name; its corpus has the same name.
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

/// The password in the corpora. Where an input uses it as a password, no output may show it.
const PASSWORD: &str = "hunter2";
