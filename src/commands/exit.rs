//! Exit codes for commands that need more than success.

/// A database refused a request, or the work failed.
pub const FAILED: u8 = 1;
/// The command line or the configuration is invalid, or the output cannot be written.
pub const USAGE: u8 = 2;
