//! heartbeatd: parse, dispatch, exit code.
fn main() {}
