//! Exit codes, where a command needs more than success.

/// A database refused something, or it could not be done.
pub const FAILED: u8 = 1;
/// The command line or the configuration cannot be used, or the output cannot be written.
pub const USAGE: u8 = 2;
