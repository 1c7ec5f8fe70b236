//! The exact next step for a failure: SQL that is ready to run, with this target's names. Called by the driver's
//! `remedy`; for people, who read it on a page, in a log or in a report.

use crate::heartbeat::Failure;
use crate::target::Target;

/// The next step, where one is known.
pub(super) fn remedy(_failure: &Failure, _target: &Target) -> Option<String> {
    None
}
