//! Database addresses: what the addresses of all databases share, and the grammar from which each driver builds its own.
//! `driver` parses them; for every other room an address is plain data.
//!
//! Not the `url` crate: it refuses several hosts in one address, and it would show the password.

mod address;
mod error;
mod grammar;
#[cfg(test)]
mod tests;

pub use self::address::{DatabaseUrl, Family, Host};
pub use self::error::UrlError;
pub use self::grammar::{AddressParts, split_scheme};
