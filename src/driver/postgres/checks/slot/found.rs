//! The slots with the connector's name on the source and its replicas, which of them the connector reads, and the SQL
//! that creates or drops one. The checks of the slot and of the replica call it.

use super::super::evidence::Evidence;
use crate::driver::postgres::facts::{PostgresFacts, SlotFacts};
use crate::driver::postgres::family::slot_of;
use crate::driver::postgres::identifier::{literal, quote};
use crate::remedy::Remedy;

/// The role of a slot for the connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The slot that it reads.
    Read,
    /// A standby's copy of the primary's slot, for a failover. It cannot be dropped by hand.
    Copy,
    /// A slot that only has the name: the connector reads the slot on another server.
    Leftover,
}

/// A slot, with the server that has it.
pub(super) struct Found<'a> {
    /// The slot's name, with the replica's if it is on one.
    pub(super) subject: String,
    /// The replica that has it; `None` for the source.
    pub(super) replica: Option<&'a str>,
    pub(super) facts: &'a PostgresFacts,
    pub(super) slot: &'a SlotFacts,
    /// The same slot in the previous inspection.
    pub(super) earlier: Option<&'a SlotFacts>,
    pub(super) part: Part,
}

/// The slots of the configured name, the source's first.
pub(super) fn find<'a>(evidence: &'a Evidence<'_>) -> Vec<Found<'a>> {
    let name = quote(&slot_of(evidence.target).name);
    let replicas = evidence.replicas.iter().filter_map(|place| {
        let facts = place.facts.as_ref().ok()?;
        Some((Some(place.name), facts, place.earlier.as_ref()))
    });
    let places = std::iter::once((None, &evidence.facts, evidence.earlier.as_ref())).chain(replicas);
    let found = places.filter_map(|(replica, facts, earlier)| {
        let slot = named(facts).filter(|slot| !is_foreign(evidence, facts, slot))?;
        let subject = replica.map_or_else(|| name.clone(), |replica| format!("{name} on replica {replica}"));
        let part = if slot.is_copy() { Part::Copy } else { Part::Read };
        Some(Found { subject, replica, facts, slot, earlier: earlier.and_then(named), part })
    });
    let mut found: Vec<_> = found.collect();
    mark_leftovers(evidence, &mut found);
    found
}

/// Of several slots that are not copies, the connector reads one: a slot that a client reads; otherwise a slot on a
/// replica that is configured to decode; otherwise the source's.
fn mark_leftovers(evidence: &Evidence<'_>, found: &mut [Found<'_>]) {
    let decodes = |replica: Option<&str>| {
        evidence.target.replicas.iter().any(|known| Some(known.name.as_str()) == replica && known.decode)
    };
    let signs: [&dyn Fn(&Found<'_>) -> bool; 3] = [
        &|found| found.slot.active || found.earlier.is_some_and(|earlier| earlier.active),
        &|found| decodes(found.replica),
        &|found| found.replica.is_none(),
    ];
    let candidate = |found: &Found<'_>| found.part == Part::Read;
    let Some(sign) = signs.iter().find(|sign| found.iter().any(|slot| candidate(slot) && sign(slot))) else { return };
    for slot in found.iter_mut().filter(|slot| slot.part == Part::Read) {
        if !sign(slot) {
            slot.part = Part::Leftover;
        }
    }
}

/// Whether a slot only has the default name: it belongs to another database, whose connector took the name first.
pub(super) fn is_foreign(evidence: &Evidence<'_>, facts: &PostgresFacts, slot: &SlotFacts) -> bool {
    let other_database = slot.database.as_ref().is_some_and(|database| *database != facts.server.database);
    other_database && !slot_of(evidence.target).configured
}

fn named(facts: &PostgresFacts) -> Option<&SlotFacts> {
    facts.slots.answer().and_then(|slots| slots.named.as_ref())
}

impl Found<'_> {
    /// The server that has it, for people. Its remedies run only there.
    pub(super) fn server(&self) -> String {
        server(self.replica, self.facts)
    }

    /// Why it is unusable, if it is.
    pub(super) fn end(&self) -> Option<String> {
        match (&self.slot.invalidation_reason, self.slot.wal_status.as_deref(), self.slot.conflicting) {
            (Some(reason), ..) => Some(format!("invalidated: {reason}")),
            (_, Some("lost"), _) => Some("lost: the WAL it needs has been removed".to_owned()),
            (_, _, Some(true)) => Some("invalidated by a conflict with recovery".to_owned()),
            _ => None,
        }
    }

    /// Drops this slot, which is unusable, and creates it again with the same options.
    pub(super) fn drop_and_create(&self, evidence: &Evidence<'_>) -> Remedy {
        let name = literal(&slot_of(evidence.target).name);
        // A standby refuses to create a slot with failover.
        let failover = self.slot.failover == Some(true) && !self.facts.server.in_recovery;
        let options = [(failover, ", failover => true"), (self.slot.two_phase == Some(true), ", twophase => true")];
        let options: String = options.iter().filter(|(set, _)| *set).map(|(_, option)| *option).collect();
        let plugin = literal(self.slot.plugin.as_deref().unwrap_or("pgoutput"));
        let sql = format!(
            "SELECT pg_drop_replication_slot({name}); SELECT pg_create_logical_replication_slot({name}, {plugin}{options});"
        );
        self.there(Remedy::sql(sql)).note(format!(
            "in the database {}; the slot has already lost its position, and the connector the changes since; then let the \
             connector take a snapshot",
            quote(&self.facts.server.database)
        ))
    }

    /// Drops a slot that only has the name.
    pub(super) fn drop_leftover(&self, evidence: &Evidence<'_>) -> Remedy {
        let name = literal(&slot_of(evidence.target).name);
        self.there(Remedy::sql(format!("SELECT pg_drop_replication_slot({name});")))
    }

    /// Adds this slot's server to a remedy, which must run only there.
    pub(super) fn there(&self, remedy: Remedy) -> Remedy {
        there(remedy, self.replica, self.facts)
    }
}

/// Creates the slot on the source. No server has it yet.
pub(super) fn create(evidence: &Evidence<'_>) -> Remedy {
    let name = literal(&slot_of(evidence.target).name);
    let sql = format!("SELECT pg_create_logical_replication_slot({name}, 'pgoutput');");
    there(Remedy::sql(sql), None, &evidence.facts).note(format!(
        "in the database {}; then let the connector take a snapshot, as a new slot does not hold earlier changes",
        quote(&evidence.facts.server.database)
    ))
}

/// Also names the server by its address, because an address may list several servers.
fn there(remedy: Remedy, replica: Option<&str>, facts: &PostgresFacts) -> Remedy {
    let remedy = match replica {
        Some(name) => remedy.on_replica(name),
        None => remedy,
    };
    remedy.note(format!("at {}", facts.address))
}

fn server(replica: Option<&str>, facts: &PostgresFacts) -> String {
    match replica {
        Some(name) => format!("on replica {name} ({})", facts.address),
        None => format!("on the source ({})", facts.address),
    }
}
