//! The server that is beaten: whether it takes writes, how old it is, and whether anybody else could answer for it.

use super::Scene;
use crate::driver::shared_checks::server::{CLOCK, clock};
use crate::finding::{Check, Finding};

pub(super) const CHECKS: &[Check] = &[CLOCK];

pub(super) fn judge(scene: &Scene<'_>) -> Vec<Finding> {
    vec![clock(&scene.facts.address, scene.facts.server.time, scene.case)]
}
