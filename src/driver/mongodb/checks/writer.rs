//! The privileges of this session's user.

use super::evidence::{Evidence, with};
use crate::driver::mongodb::facts::Rights;
use crate::driver::mongodb::identifier::WRITER;
use crate::driver::mongodb::remedies::let_user_beat;
use crate::driver::shared_checks::writer;
use crate::finding::{Check, Finding, How};
use crate::remedy::Remedy;
use crate::target::{ProvisionMode, WriteMode};

const BY_ROLES: How = How {
    judged: "connectionStatus, by the server's rules for resources. Fails if no role grants it.",
    privilege: "none",
    source: "MongoDB's manual, resource document; measured",
};
const SELECT: Check = writer::SELECT.how(BY_ROLES);
const UPDATE: Check = writer::UPDATE.how(BY_ROLES);
const INSERT: Check = writer::INSERT.how(BY_ROLES);

pub(super) const CHECKS: &[Check] = &[SELECT, UPDATE, INSERT];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let name = &evidence.names.table;
    let update = match evidence.target.write {
        WriteMode::Never => UPDATE.skipped(name, "write is never: heartbeatd only watches"),
        WriteMode::Always | WriteMode::WhenStale => granted(evidence, &UPDATE, "update", |rights| rights.update),
    };
    let insert = match evidence.target.provision {
        ProvisionMode::Never => {
            INSERT.skipped(name, "provision is \"never\": heartbeatd does not insert a missing document")
        }
        ProvisionMode::Auto => granted(evidence, &INSERT, "insert", |rights| rights.insert),
    };
    vec![granted(evidence, &SELECT, "find", |rights| rights.find), update, insert]
}

fn granted(evidence: &Evidence<'_>, check: &Check, action: &str, has: impl FnOnce(&Rights) -> bool) -> Finding {
    let name = &evidence.names.table;
    with(check, name, &evidence.facts.own, "a login", |own| {
        if has(&own.rights) {
            let whom = if own.name.is_empty() { "everybody: the server asks for no login" } else { &own.name };
            return check.ok(name, format!("granted to {whom}"));
        }
        check
            .failed(name, format!("{action} is not granted to {}", own.name))
            .expected(format!("{action} for {}", own.name))
            .remedy(
                Remedy::advice(format!("create and grant the role {WRITER}: {}", evidence.provision_in_words()))
                    .or_run(let_user_beat(&evidence.target.heartbeat, &own.name, &own.database, &[action])),
            )
    })
}
