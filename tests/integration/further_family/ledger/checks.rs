//! Judges the facts of a ledger.

use heartbeatd::finding::{Case, Check, Finding, Look, Rung, Severity};
use serde::Deserialize;

use super::family::CHANNEL;
use super::row_of;

/// A check under an id that no other driver has.
const READ: Check = Check {
    id: "ledger-channel",
    severity: Severity::Error,
    rung: Rung::Tracking,
    title: "the connector's channel is open",
    meaning: "No one reads the row.",
    judged: "From the list of channels: fails if the configured one is not there.",
    privilege: "none",
    source: "measured",
};
/// A check of the row.
const ROW: Check = Check {
    id: "ledger-row",
    severity: Severity::Error,
    rung: Rung::Schema,
    title: "the row is in the book",
    meaning: "Without it there is nothing to update.",
    judged: "From the book.",
    privilege: "none",
    source: "measured",
};

pub(super) const CHECKS: &[Check] = &[READ, ROW];

#[derive(Deserialize)]
struct LedgerFacts {
    rows: Vec<String>,
    channels: Vec<String>,
}

pub(super) fn judge(case: &Case<'_>) -> Result<Vec<Finding>, serde_json::Error> {
    let Look::Facts(facts) = &case.now.source else { return Ok(Vec::new()) };
    let facts: LedgerFacts = serde_json::from_value(facts.clone())?;
    let (channel, row) = (CHANNEL.named(case.target).name, row_of(case.target));
    Ok(vec![
        match facts.channels.contains(&channel) {
            true => READ.ok(channel, "open"),
            false => READ.failed(channel.clone(), "not open").remedy(format!("OPEN {channel}")),
        },
        match facts.rows.contains(&row) {
            true => ROW.ok(row, "there"),
            false => ROW.failed(row, "not there").remedy(heartbeatd::plan::command(case.target)),
        },
    ])
}
