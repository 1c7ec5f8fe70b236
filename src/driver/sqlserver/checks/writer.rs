//! The privileges of this session's user.

use super::evidence::{CATALOGUE, Evidence, with};
use crate::driver::shared_checks::writer;
use crate::driver::sqlserver::facts::OwnRights;
use crate::finding::{Check, Finding, How};
use crate::target::{ProvisionMode, WriteMode};

const BY_PERMISSION: How = How {
    judged: "HAS_PERMS_BY_NAME on the table. Fails if it answers 0.",
    privilege: "none",
    source: "Microsoft's page of HAS_PERMS_BY_NAME",
};
const SELECT: Check = writer::SELECT.how(BY_PERMISSION);
const UPDATE: Check = writer::UPDATE.how(BY_PERMISSION);
const INSERT: Check = writer::INSERT.how(BY_PERMISSION);

pub(super) const CHECKS: &[Check] = &[SELECT, UPDATE, INSERT];

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let name = &evidence.names.table;
    let update = match evidence.target.write {
        WriteMode::Never => UPDATE.skipped(name, "write is never: heartbeatd only watches"),
        WriteMode::Always | WriteMode::WhenStale => granted(evidence, &UPDATE, "UPDATE", |own| own.update),
    };
    let insert = match evidence.target.provision {
        ProvisionMode::Never => {
            INSERT.skipped(name, "provision is \"never\": heartbeatd does not insert a missing row")
        }
        ProvisionMode::Auto => granted(evidence, &INSERT, "INSERT", |own| own.insert),
    };
    vec![granted(evidence, &SELECT, "SELECT", |own| own.select), update, insert]
}

fn granted(
    evidence: &Evidence<'_>,
    check: &Check,
    privilege: &str,
    has: impl FnOnce(&OwnRights) -> Option<bool>,
) -> Finding {
    let (name, user) = (&evidence.names.table, &evidence.names.user);
    with(check, name, &evidence.facts.own, CATALOGUE, |own| match has(own) {
        Some(true) => check.ok(name, format!("granted to {user}")),
        None if evidence.facts.table.answer().is_some_and(|table| table.kind.is_some()) => {
            check.unknown(name, "the server does not say; requires HAS_PERMS_BY_NAME")
        }
        None => check.skipped(name, "there is no such table, or it is hidden"),
        Some(false) => check
            .failed(name, format!("{privilege} is not granted to {user}, or is denied"))
            .expected(format!("{privilege} for {user}"))
            .remedy(
                evidence
                    .as_owner(format!("GRANT {privilege} ON OBJECT::{name} TO {user};"))
                    .note("a DENY wins over it: REVOKE that first"),
            ),
    })
}
