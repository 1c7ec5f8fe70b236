//! Exit codes, where a command needs more than success.

/// Something a database refused, or that could not be done.
pub const FAILED: u8 = 1;
/// A command line or a configuration that cannot be used, or an answer that cannot be written.
pub const USAGE: u8 = 2;
