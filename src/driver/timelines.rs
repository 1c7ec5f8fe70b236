//! Knows which of several primaries of one cluster is the newest. PostgreSQL counts its promotions in the timeline;
//! MySQL and MariaDB have nothing similar. Drivers ask it at each connect, the scheduler keeps it for the life of a
//! target, and the checks judge with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::server::ServerInfo;
use crate::finding::{FailureRecord, Found, HostLook};
use crate::heartbeat::Failure;

/// The highest timeline seen of each database cluster, by the cluster's identity. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Timelines(Arc<Mutex<BTreeMap<String, u32>>>);

/// The next step if two servers of one cluster accept writes.
pub const SPLIT_BRAIN_REMEDY: &str = "stop the one that is behind from taking writes (fence it, or stop it), or take it out \
    of the address, with the tool that manages the failover (Patroni, repmgr, the provider's console); before it joins \
    again, compare the data of both: what only one of them took exists nowhere else";

impl Timelines {
    /// Remembers the timeline of a primary, unless it hides its cluster's identity: its timeline could belong to
    /// another cluster.
    pub fn record(&self, server: &ServerInfo) {
        let (Some(identity), Some(timeline)) = (&server.identity, server.timeline) else { return };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = known.entry(identity.clone()).or_default();
        *newest = timeline.max(*newest);
    }

    /// The newest timeline of the server's cluster, if the server is a primary on an older one.
    #[must_use]
    pub fn newer_than(&self, server: &ServerInfo) -> Option<u32> {
        let (identity, timeline) = (server.identity.as_ref()?, server.timeline?);
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(identity).copied().filter(|newest| *newest > timeline)
    }
}

/// What a look at one host found.
#[must_use]
pub fn host_look(address: &str, found: &Result<ServerInfo, Failure>) -> HostLook {
    let found = match found {
        Ok(server) => Found::Server {
            writable: server.role.takes_writes(),
            identity: server.identity.clone(),
            instance: server.instance.clone(),
            timeline: server.timeline,
        },
        Err(failure) => Found::Failure(FailureRecord::of(failure)),
    };
    HostLook { address: address.to_owned(), found }
}

/// The hosts that accept writes for one cluster, if several servers do. Two names of one running server count once.
#[must_use]
pub fn split_brain(hosts: &[HostLook]) -> Option<String> {
    let mut primaries: Vec<Primary<'_>> = Vec::new();
    for primary in hosts.iter().filter_map(Primary::of) {
        let same = |other: &Primary<'_>| other.instance.is_some() && other.instance == primary.instance;
        if !primaries.iter().any(same) {
            primaries.push(primary);
        }
    }
    let rivals = primaries.iter().map(|one| {
        let of_its_cluster = primaries.iter().filter(|other| other.identity == one.identity);
        of_its_cluster.copied().collect::<Vec<_>>()
    });
    let mut rivals = rivals.max_by_key(Vec::len).filter(|rivals| rivals.len() > 1)?;
    rivals.sort_by_key(|primary| std::cmp::Reverse(primary.timeline));
    let named = |primary: &Primary<'_>| match primary.timeline {
        Some(timeline) => format!("{} (timeline {timeline})", primary.address),
        None => format!("{} (timeline unknown)", primary.address),
    };
    let names: Vec<_> = rivals.iter().map(named).collect();
    let newest = rivals[0].timeline;
    let behind: Vec<_> = rivals.iter().filter(|primary| primary.timeline < newest).map(|one| one.address).collect();
    let verdict = match behind.as_slice() {
        [] => "on the same timeline: heartbeatd cannot see which one is behind".to_owned(),
        [one] => format!("{one} is behind"),
        several => format!("{} are behind", several.join(" and ")),
    };
    Some(format!("split brain: {} take writes for the same database cluster; {verdict}", names.join(" and ")))
}

/// A host that accepts writes for a known cluster.
#[derive(Debug, Clone, Copy)]
struct Primary<'a> {
    address: &'a str,
    identity: &'a str,
    instance: Option<&'a str>,
    timeline: Option<u32>,
}

impl<'a> Primary<'a> {
    fn of(host: &'a HostLook) -> Option<Self> {
        match &host.found {
            Found::Server { writable: true, identity: Some(identity), instance, timeline } => {
                Some(Self { address: &host.address, identity, instance: instance.as_deref(), timeline: *timeline })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::ServerRole;
    use crate::heartbeat::ErrorKind;

    fn server(address: &str, identity: &str, timeline: Option<u32>) -> ServerInfo {
        ServerInfo {
            address: address.to_owned(),
            version: String::new(),
            identity: Some(identity.to_owned()),
            instance: Some(address.to_owned()),
            timeline,
            role: if timeline.is_some() { ServerRole::Primary } else { ServerRole::Standby },
        }
    }

    fn looks(servers: &[ServerInfo]) -> Vec<HostLook> {
        servers.iter().map(|server| host_look(&server.address, &Ok(server.clone()))).collect()
    }

    #[test]
    fn a_primary_on_an_older_timeline_of_its_cluster_than_was_ever_seen_is_behind() {
        let known = Timelines::default();
        assert_eq!(known.newer_than(&server("a", "x", Some(1))), None);
        known.clone().record(&server("b", "x", Some(2)));
        known.record(&server("a", "x", Some(1)));
        assert_eq!(known.newer_than(&server("a", "x", Some(1))), Some(2));
        assert_eq!(known.newer_than(&server("c", "x", Some(2))), None);
        assert_eq!(known.newer_than(&server("a", "y", Some(1))), None, "another cluster's");
        assert_eq!(known.newer_than(&server("a", "x", None)), None, "a standby");
    }

    #[test]
    fn two_primaries_of_one_cluster_are_reported_with_the_one_that_is_behind() {
        let found =
            split_brain(&looks(&[server("a", "x", Some(1)), server("b", "x", Some(2)), server("c", "x", None)]));
        insta::assert_snapshot!(found.unwrap(), @"split brain: b (timeline 2) and a (timeline 1) take writes for the same database cluster; a is behind");
        let found = split_brain(&looks(&[server("a", "x", Some(3)), server("b", "x", Some(3))]));
        insta::assert_snapshot!(found.unwrap(), @"split brain: a (timeline 3) and b (timeline 3) take writes for the same database cluster; on the same timeline: heartbeatd cannot see which one is behind");
    }

    #[test]
    fn one_primary_two_names_of_it_two_clusters_and_hosts_without_an_answer_are_no_split_brain() {
        let one = server("a", "x", Some(2));
        let other_name = ServerInfo { address: "vip".to_owned(), ..one.clone() };
        assert_eq!(split_brain(&looks(&[one.clone(), other_name])), None);
        assert_eq!(split_brain(&looks(&[one.clone(), server("b", "x", None)])), None);
        assert_eq!(split_brain(&looks(&[one.clone(), server("b", "y", Some(1))])), None);
        let gone = host_look("b", &Err(Failure::new(ErrorKind::Refused, "connection refused")));
        assert_eq!(split_brain(&[looks(&[one]).remove(0), gone]), None);
    }
}
