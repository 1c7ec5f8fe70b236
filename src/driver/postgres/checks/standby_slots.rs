//! The standbys that the connector's slot waits for: `synchronized_standby_slots`.

use super::evidence::{Evidence, alter_system};
use crate::driver::postgres::facts::PhysicalSlot;
use crate::driver::postgres::family::slot_of;
use crate::driver::postgres::identifier::quote;
use crate::finding::{Check, Finding, Rung, Severity};
use crate::remedy::Remedy;

const WAITED_FOR: Check = Check {
    id: "synchronized-standby-slots",
    severity: Severity::Error,
    rung: Rung::Movement,
    title: "every standby that the connector's slot waits for is reading",
    meaning: "The server sends changes to a slot with failover = true only after the standbys named in \
              synchronized_standby_slots have received them. If one of them is gone, the connector receives nothing, and \
              nothing reports an error.",
    judged: "synchronized_standby_slots, compared with the physical slots in pg_replication_slots. Fails if a slot in the \
             list does not exist, is not read, or is lost. From PostgreSQL 17, for a slot with failover = true.",
    privilege: "read access to pg_settings and pg_replication_slots, which every user has",
    source: "https://www.postgresql.org/docs/current/runtime-config-replication.html; measured: the WAL sender waits \
             (WaitForStandbyConfirmation)",
};

pub(super) const CHECKS: &[Check] = &[WAITED_FOR];

const SETTING: &str = "synchronized_standby_slots";

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    vec![waited_for(evidence)]
}

fn waited_for(evidence: &Evidence<'_>) -> Finding {
    let server = &evidence.facts.server;
    if server.major() < 17 {
        return WAITED_FOR.skipped(SETTING, "PostgreSQL has it from version 17 on");
    }
    let Some(setting) = server.setting(SETTING) else {
        return WAITED_FOR.unknown(SETTING, "the server does not show it; requires GRANT pg_read_all_settings");
    };
    let waited: Vec<String> = names(setting);
    if waited.is_empty() {
        return WAITED_FOR.ok(SETTING, "no slot waits for a standby");
    }
    let slots = match evidence.facts.slots.seen() {
        Ok(slots) => slots,
        Err(refusal) => return WAITED_FOR.unknown(SETTING, refusal.unless(WAITED_FOR.privilege, &[])),
    };
    let failover = slots.named.as_ref().is_some_and(|slot| slot.failover == Some(true));
    if !failover {
        let name = quote(&slot_of(evidence.target).name);
        return WAITED_FOR.skipped(SETTING, format!("the slot {name} does not wait: failover is not set for it"));
    }
    let faults: Vec<(&String, &str)> =
        waited.iter().filter_map(|name| Some((name, fault(name, &slots.physical)?))).collect();
    if faults.is_empty() {
        return WAITED_FOR.ok(SETTING, format!("{} is read", waited.join(", ")));
    }
    let observed: Vec<String> = faults.iter().map(|(name, fault)| format!("{} {fault}", quote(name))).collect();
    let rest: Vec<String> =
        waited.iter().filter(|name| !faults.iter().any(|(fault, _)| fault == name)).map(|name| quote(name)).collect();
    WAITED_FOR
        .failed(SETTING, format!("{}: the connector receives nothing until it is", observed.join("; ")))
        .expected("every slot in the list read by its standby")
        .remedy(
            Remedy::advice(
                "start the standby that reads the slot; if it is gone for good, take the slot out of the list: after a \
                 failover to that standby the connector would have changes which the standby lacks",
            )
            .or_run(alter_system(&evidence.facts.server, SETTING, &rest.join(", "), false)),
        )
}

fn fault(name: &str, physical: &[PhysicalSlot]) -> Option<&'static str> {
    match physical.iter().find(|slot| slot.name == name) {
        None => Some("does not exist as a physical slot"),
        Some(slot) if slot.wal_status.as_deref() == Some("lost") => Some("is lost"),
        Some(slot) if !slot.active => Some("is not read"),
        Some(_) => None,
    }
}

/// The names in a list of identifiers, in lower case unless quoted.
fn names(list: &str) -> Vec<String> {
    let (mut names, mut name, mut quoted) = (Vec::new(), String::new(), false);
    for c in list.chars().chain([',']) {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => names.push(std::mem::take(&mut name)),
            c if quoted => name.push(c),
            c if c.is_whitespace() => {}
            c => name.extend(c.to_lowercase()),
        }
    }
    names.into_iter().filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_slots_is_read_as_the_server_reads_it() {
        assert_eq!(names(" sb1 , SB2,\"Sb,3\""), ["sb1", "sb2", "Sb,3"]);
        assert_eq!(names(""), [""; 0]);
    }
}
