//! What this session's own user may do.

use super::scene::{Scene, with};
use crate::driver::mongodb::facts::Rights;
use crate::driver::mongodb::identifier::{WRITER, literal};
use crate::driver::shared_checks::writer::{INSERT, SELECT, UPDATE};
use crate::finding::{Check, Finding};
use crate::target::{ProvisionMode, WriteMode};

pub(super) const CHECKS: &[Check] = &[SELECT, UPDATE, INSERT];

pub(super) fn judge(scene: &Scene<'_>) -> Vec<Finding> {
    let name = &scene.names.table;
    let update = match scene.target.write {
        WriteMode::Never => UPDATE.skipped(name, "write is never: heartbeatd only watches"),
        WriteMode::Always | WriteMode::WhenStale => granted(scene, &UPDATE, "update", |rights| rights.update),
    };
    let insert = match scene.target.provision {
        ProvisionMode::Never => INSERT.skipped(name, "provision is never: the document is not brought back unasked"),
        ProvisionMode::Auto => granted(scene, &INSERT, "insert", |rights| rights.insert),
    };
    vec![granted(scene, &SELECT, "find", |rights| rights.find), update, insert]
}

fn granted(scene: &Scene<'_>, check: &Check, action: &str, has: impl FnOnce(&Rights) -> bool) -> Finding {
    let name = &scene.names.table;
    with(check, name, &scene.facts.own, "a login", |own| {
        if has(&own.rights) {
            let whom = if own.name.is_empty() { "everybody: the server asks for no login" } else { &own.name };
            return check.ok(name, format!("granted to {whom}"));
        }
        check
            .failed(name, format!("{action} is not granted to {}", own.name))
            .expected(format!("{action} for {}", own.name))
            .remedy(format!(
                "{} makes the role {WRITER}; in mongosh, on the primary: db.getSiblingDB({}).grantPrivilegesToRole({}, \
                 [{{resource: {{db: {}, collection: {}}}, actions: [{}]}}])",
                scene.provision(),
                literal(&scene.target.heartbeat.schema),
                literal(WRITER),
                literal(&scene.target.heartbeat.schema),
                literal(&scene.target.heartbeat.table),
                literal(action),
            ))
    })
}
